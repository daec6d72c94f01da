"""What a strange file is made of: encoding, separator or fixed columns, preamble, header, rows, totals. Found, never believed.

Reads the first part of a file only, so that 2 GB cost no more than 1 MB. Every finding has its evidence, and a doubt where the
file could be read another way.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

import msgspec

from riskengine.errors import InputError
from riskengine.files.drafts.header_words import fold, meanings
from riskengine.files.drafts.value_shapes import has_shape, is_number, is_total

SEPARATORS = {";": "semicolon", ",": "comma", "\t": "tab", "|": "vertical bar", "~": "tilde", "^": "caret"}
"""What may stand between the values of a row, with its name."""

SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 5_000

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class FormatFinding(msgspec.Struct, frozen=True):
    """Something found in a file: what it is, what speaks for it, and what could be otherwise ("" if nothing)."""

    value: str
    evidence: str
    doubt: str = ""


class SampleRow(msgspec.Struct, frozen=True):
    """A row of a sample: its line in the file, counted from 1, and its values, stripped."""

    line: int
    values: list[str]


class Slice(msgspec.Struct, frozen=True):
    """The place of a column in a fixed-width line: characters `start` to `end`, counted from 0, without `end` itself."""

    start: int
    end: int


class FileSample(msgspec.Struct):
    """The first rows of a file, taken apart. `slices` are there for fixed-width files alone, which have no separator.

    `header_line` is 0 where no header was found, and `header` then has empty names. `totals` are rows that sum up or end the
    file, `odd` those that have another number of values than most, `preamble` the lines before the header.
    """

    encoding: FormatFinding
    separator: FormatFinding
    header_line: int
    header: list[str]
    rows: list[SampleRow]
    preamble: list[str]
    totals: list[SampleRow]
    odd: list[SampleRow]
    slices: list[Slice]
    whole: bool

    def column(self, index: int) -> list[str]:
        """The values of a column, empty ones too."""
        return [row.values[index] for row in self.rows]


def take_sample(data: bytes, name: str, *, whole: bool = True) -> FileSample:
    """Take apart the first bytes of a file. `whole` says that there are no more. Raises InputError: no rows, not a text."""
    encoding = find_encoding(data, name)
    text = data.decode(encoding.value, errors="replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not whole:
        lines.pop()  # the last line of a part may be half a line
        if not lines:
            raise InputError(f"{name}: its first line is longer than {len(data):,} bytes: is it a table?")
    if not any(line.strip() for line in lines):
        raise InputError(f"{name}: is empty")
    if next(line for line in lines if line.strip()).lstrip()[:1] in "{[<":
        raise InputError(f"{name}: is JSON or XML; a mapping is for files of rows with separators or fixed columns")
    separator, width = find_separator(lines)
    if separator is None:
        slices = find_slices(lines)
        if len(slices) < 2:
            raise InputError(f"{name}: no separator and no columns were found: is it a table?")
        rows = [
            SampleRow(number, [line[cut.start : cut.end].strip() for cut in slices])
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        ends = f"{slices[0].start + 1} to {slices[-1].end}"
        found = FormatFinding(
            "", f"no separator fits; {len(slices)} columns stand one below the other in characters {ends}", _FIXED
        )
        return _divide(rows[:SAMPLE_ROWS], len(slices), slices, encoding, found, lines, whole)
    rows = read_separated(lines, separator.value)
    return _divide(rows, width, [], encoding, separator, lines, whole)


_FIXED = "columns without a blank between them cannot be told apart: compare the characters with the file's description"


def find_encoding(data: bytes, name: str) -> FormatFinding:
    """The encoding of a text. Raises InputError for what is no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return FormatFinding(encoding, f"starts with the byte-order mark of {encoding.upper()}")
    if data.startswith(b"PK\x03\x04"):
        raise InputError(f"{name}: is a zip archive or a spreadsheet (xlsx): save it as CSV first")
    start = data[:4096]
    zeros = start.count(0)
    if zeros:
        if zeros > len(start) // 4:
            little = start[1::2].count(0) >= start[::2].count(0)
            return FormatFinding("utf-16-le" if little else "utf-16-be", "every second byte is 0", "no byte-order mark says so")
        raise InputError(f"{name}: has bytes of 0 in it: it is no text")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.end < len(data) - 3:
            byte = data[error.start]
            evidence = f"byte {error.start + 1} is {byte:#x}, which is not UTF-8"
            return FormatFinding(
                "cp1252", evidence, "another one-byte encoding (iso-8859-15, mac) looks alike: look at the accents"
            )
    if data.isascii():
        return FormatFinding("utf-8", "all letters are ASCII")
    return FormatFinding("utf-8", "all letters are valid UTF-8")


def read_separated(lines: list[str], separator: str) -> list[SampleRow]:
    """The lines as rows of stripped values; blank lines are left out. Quotes may hold separators and line ends."""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=False)
    rows: list[SampleRow] = []
    before = 0
    while len(rows) < SAMPLE_ROWS:
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            values = [f"({error})"]
        if any(value.strip() for value in values):
            rows.append(SampleRow(before + 1, [value.strip() for value in values]))
        before = reader.line_num
    return rows


def find_separator(lines: list[str]) -> tuple[FormatFinding | None, int]:
    """The separator that makes a table of the lines, and its number of columns; None if none does (a fixed-width file?).

    A separator is as good as the share of lines that it cuts into equally many values, times the share of values that look like
    something: a number, a time, a word. The wrong one leaves values with other separators in them.
    """
    scores: list[tuple[float, int, str, int]] = []
    for separator in SEPARATORS:
        rows = read_separated(lines, separator)
        widths = Counter(len(row.values) for row in rows if len(row.values) > 1)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda pair: (pair[1], pair[0]))
        even = [row for row in rows if len(row.values) == width]
        values = [value for row in even[:200] for value in row.values if value]
        clean = sum(_is_clean(value, separator) for value in values) / max(1, len(values))
        has_header = any(_is_header(row.values) for row in even[:5])
        share = count / max(1, len(rows))
        if count >= 2 or len(rows) == 1:
            scores.append((share * clean**2 * (1.0 if has_header else 0.8), width, separator, count))
    scores.sort(reverse=True)
    if not scores or scores[0][0] < 0.3 or _looks_fixed(lines, scores[0][1]):
        return None, 0
    score, width, separator, count = scores[0]
    evidence = f"a {SEPARATORS[separator]} cuts {count} lines into {width} values each"
    rivals = [other for other in scores[1:] if other[0] > 0.8 * score and other[1] >= width]
    doubt = f"a {SEPARATORS[rivals[0][2]]} would make {rivals[0][1]} values" if rivals else ""
    return FormatFinding(separator, evidence, doubt), width


def _is_clean(value: str, separator: str) -> bool:
    """Whether a value holds no other separator: one that does was probably cut by the wrong one."""
    if has_shape(value):
        return True
    return not any(other in value for other in ";\t|" if other != separator)


def _looks_fixed(lines: list[str], width: int) -> bool:
    """Whether the lines look like fixed columns in which a few commas cut less than the blanks do."""
    full = [line for line in lines if line.strip()]
    lengths = Counter(len(line.rstrip()) for line in full)
    runs = median(len(re.findall(r" {2,}", line.strip())) for line in full)
    return runs + 1 > width and lengths.most_common(1)[0][1] * 2 >= len(full)


def find_slices(lines: list[str]) -> list[Slice]:
    """The columns of a fixed-width file: what stands between characters that are blank in every full line of values.

    A column takes the blanks behind it, unless the next one is written to the right: then they are its own, for longer numbers.
    """
    full = _full_lines(lines)
    named = _best_header([re.split(r" {2,}", line.strip()) for line in full[:20]])
    full = full if named is None else full[named:]
    body = full[1:] if len(full) > 1 and named is not None else full
    length = max(map(len, body), default=0)
    blank = [all(index >= len(line) or line[index] == " " for line in body) for index in range(length)]
    starts = [index for index in range(length) if not blank[index] and (index == 0 or blank[index - 1])]
    ends = [next((index for index in range(start, length) if blank[index]), length) for start in starts]
    cuts = [0]
    for end, start in zip(ends, starts[1:], strict=False):
        is_right = any(line[start : start + 1] in ("", " ") for line in body)
        cut = end if is_right else start
        while cut < start and full[0][cut - 1 : cut].strip() and full[0][cut : cut + 1].strip():
            cut += 1  # not through a word of the header
        cuts.append(cut)
    slices = [Slice(start, end) for start, end in zip(cuts, [*cuts[1:], max(map(len, lines), default=0)], strict=True)]
    return _join_times(slices, full[0] if len(body) < len(full) else "")


def _full_lines(lines: list[str]) -> list[str]:
    """Header and rows of a fixed-width file: the lines that have about as many words as most, and sum nothing up."""
    candidates = [line.rstrip() for line in lines[:SAMPLE_ROWS] if line.strip() and not is_total([line.strip(), ""])]
    words = [len(line.split()) for line in candidates]
    usual = median(words) if words else 0
    longest = median(len(line) for line in candidates) if candidates else 0
    return [line for line, count in zip(candidates, words, strict=True) if count >= 0.6 * usual and len(line) >= 0.6 * longest]


def _join_times(slices: list[Slice], header: str) -> list[Slice]:
    """Join what the header has one name for, and one blank alone divides: a date and its time."""
    joined: list[Slice] = []
    for cut in slices:
        if header and joined and not header[cut.start : cut.end].strip():
            joined[-1] = Slice(joined[-1].start, cut.end)
        else:
            joined.append(cut)
    return joined


def _divide(
    rows: list[SampleRow],
    width: int,
    slices: list[Slice],
    encoding: FormatFinding,
    separator: FormatFinding,
    lines: list[str],
    whole: bool,
) -> FileSample:
    """Tell preamble, header, rows and totals apart."""
    header_at = _find_header(rows, width)
    if header_at is None:
        first = next((index for index, row in enumerate(rows) if len(row.values) == width), 0)
        header, header_line = [""] * width, 0
        before, rest = rows[:first], rows[first:]
    else:
        header, header_line = rows[header_at].values, rows[header_at].line
        before, rest = rows[:header_at], rows[header_at + 1 :]
    totals = [row for row in rest if is_total(row.values)]
    body = [row for row in rest if row not in totals and row.values != header]
    usual = median(sum(map(bool, row.values)) for row in body) if body else 0
    odd = [row for row in body if len(row.values) != len(header) or sum(map(bool, row.values)) * 2 < usual]
    even = [row for row in body if row not in odd]
    last = (before[-1].line if before else 0) if header_line == 0 else header_line - 1
    preamble = [line for line in lines[:last] if line.strip()]
    is_all = whole and len(rows) < SAMPLE_ROWS
    return FileSample(encoding, separator, header_line, header, even, preamble, totals, odd, slices, is_all)


def _find_header(rows: list[SampleRow], width: int) -> int | None:
    """The row of names before the rows of values."""
    return _best_header([row.values if abs(len(row.values) - width) <= 1 else [] for row in rows[:50]])


def _best_header(rows: Sequence[Sequence[str]]) -> int | None:
    """The row with the most known words among those that may be a header; of equal ones the first. None if none may be one."""
    places = [index for index, values in enumerate(rows) if len(values) > 1 and _is_header(values)]
    return max(places, key=lambda index: sum(bool(meanings(value)) for value in rows[index]), default=None)


def _is_header(values: Sequence[str]) -> bool:
    """Whether a row names columns: mostly words, no numbers, and known words or words alone."""
    named = [value for value in values if value]
    if len(named) < 2 or len(named) * 2 < len(values) or any(is_number(value) for value in named):
        return False
    known = sum(bool(meanings(value)) for value in named)
    typed = sum(has_shape(value) for value in named)
    return known * 2 >= len(named) or (typed == 0 and len(set(map(fold, named))) == len(named))
