"""Reads CSV and NDJSON files as rows under our column names, whatever names the sender uses.

An unreadable line becomes a `Refusal` in its place; the lines after it are unharmed. A file with the wrong header raises
`InputError` before its first row. Numbers of a CSV are texts, those of NDJSON `int` or `Decimal`: both exact.
"""

import csv
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from riskengine.errors import InputError
from riskengine.files.lines import LINE_LIMIT, Lines, display_name
from riskengine.files.mappings.mapping import FileMapping
from riskengine.files.shapes import ANY, Shape
from riskengine.files.spreadsheet import unescape_formula
from riskengine.files.times import RepeatedHour
from riskengine.nearest import nearest
from riskengine.records.decode import refusal_of
from riskengine.records.fields import Rejected, excerpt, name
from riskengine.records.types import Refusal

Row = dict[str, Any]

_QUOTED_LINES = 20
"""The most lines in a quoted field: a quote without an end must not swallow the file."""
ALIASED = ("instrument", "underlying", "pair", "desk", "dealer", "node", "parent")
_json = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

_SEPARATORS = {
    b",": "commas: leave --delimiter out",
    b";": "';': --delimiter ';' reads it",
    b"\t": "tabs: --delimiter tab reads it",
    b"|": "'|': --delimiter '|' reads it",
}
"""What may stand between fields, and the option that says so."""

MAX_IGNORED = 40
"""Names of ignored columns that are kept and told, of one file."""


def tell_nobody(text: str) -> None:
    """Say nothing."""


def no_hint(field: str, name: str) -> str:
    """Nothing to say of a name that no record has."""
    return ""


def keep_nothing(line: int, row: Row) -> None:
    """Keep no row."""


class ColumnOptions(msgspec.Struct, frozen=True):
    """How to map a foreign file: the mapping options of the command line.

    `columns` maps our names to theirs; numbers (`ts=1,bid=2`) are columns of a file without a header, counted from 1.
    `instrument` is the instrument of rows without one. `alias` maps their names of instruments, desks, dealers and nodes to
    ours. For `tz`, `time_format` and `repeated_hour` see `times.time_parser`, for `date_format` `times.date_parser`. `tell` gets
    a sentence about each file of which columns are ignored, `keep` each row of a file of records as it was read, with its line.
    `near` says of a field and a name that no record has what comes near, as the rest of the reason why the line is refused
    (`near_names`). `mapping` describes a file in full (`mapped_rows`); the other options but `alias` and `instrument` are then
    part of it.
    """

    columns: dict[str, str] = {}
    tz: str | None = None
    time_format: str | None = None
    instrument: str | None = None
    alias: dict[str, str] = {}
    tell: Callable[[str], None] = tell_nobody
    keep: Callable[[int, Row], None] = keep_nothing
    near: Callable[[str, str], str] = no_hint
    date_format: str | None = None
    repeated_hour: RepeatedHour | None = None
    mapping: FileMapping | None = None


def parse_columns(text: str) -> dict[str, str]:
    """Parse `--columns`: `instrument=Symbol,ts=Date` maps our names to theirs. Raises InputError."""
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not (ours and equals and theirs):
            raise InputError(f"--columns: expected ours=theirs, such as instrument=Symbol, not {excerpt(part)}")
        if ours in columns:
            raise InputError(f"--columns: {excerpt(ours)} is mapped twice")
        columns[ours] = theirs
    if text and not columns:
        raise InputError("--columns: is empty")
    return columns


def load_alias(path: str) -> dict[str, str]:
    """Read a CSV of two columns, their names and ours, with or without the header `alias,name`. Raises InputError."""
    alias: dict[str, str] = {}
    for number, fields in csv_records(Lines(path)):
        where = f"{display_name(path)}: line {number}"
        if isinstance(fields, Refusal):
            raise InputError(f"{where}: {fields.reason}")
        if len(fields) != 2:
            raise InputError(f"{where}: has {count_fields(fields)}; two are expected: their name and ours")
        theirs, ours = (unescape_formula(field.strip()) for field in fields)
        if not alias and (theirs.lower(), ours.lower()) == ("alias", "name"):
            continue
        try:
            name(theirs, "alias")
            name(ours, "name")
        except Rejected as error:
            raise InputError(f"{where}: {error}") from None
        if alias.setdefault(theirs, ours) != ours:
            raise InputError(f"{where}: {excerpt(theirs)} has two names, {excerpt(alias[theirs])} and {excerpt(ours)}")
    return alias


def read_rows(path: str, options: ColumnOptions, shape: Shape = ANY) -> Iterator[tuple[int, Row | Refusal]]:
    """The rows of a file with their line numbers, in constant memory. `-` is standard input.

    Columns are mapped by `options`. Values of a CSV are stripped texts without
    the apostrophe before what would start a formula (`spreadsheet`), those of NDJSON are as sent; times are not parsed. The
    names of a CSV header may be in any case, the keys of NDJSON are exact. Rows have the columns of `shape`; a column that looks
    like one of them that is missing is refused, others are ignored and told. A Refusal has its line number as index. Raises
    InputError if the whole file cannot be read or lacks a column.
    """
    table = TableFile(path, options, shape)
    alias = options.alias
    for number, record in table.records():
        if isinstance(record, Refusal):
            yield number, record
            continue
        if isinstance(record, list):
            row: Row = {ours: unescape_formula(record[index].strip()) for ours, index in table.layout.items()}
        else:
            known = table.known_fields(record, number)
            if isinstance(known, Refusal):
                yield number, known
                continue
            row = known
        if options.instrument and row.get("instrument") in (None, ""):
            row["instrument"] = options.instrument
        for field in ALIASED if alias else ():
            value = row.get(field)
            if isinstance(value, str):
                row[field] = alias.get(value, value)
        yield number, row


class TableFile:
    """An open table file. `layout` maps our columns to the fields of a CSV record."""

    def __init__(self, path: str, options: ColumnOptions, shape: Shape) -> None:
        """Read the header. Raises InputError."""
        self.name = display_name(path)
        self.layout: dict[str, int] = {}
        self.is_json = False
        self._lines = Lines(path)
        self._options = options
        self._shape = shape
        self._header: list[str] | None = None
        self._width = 0
        self._ignored: dict[str, None] = {}
        self._check_mapping()
        first = next((line for line in self._lines if line[1].strip()), None)
        if first is None:
            raise InputError(f"{self.name}: is empty")
        self._lines.give_back([first])
        self._first_line = first[1]
        numbered = [theirs.isascii() and theirs.isdigit() for theirs in options.columns.values()]
        start = first[1].lstrip()[:1]
        if start == b"[":
            raise InputError(f"{self.name}: is a JSON list; NDJSON is expected, one object per line")
        if any(numbered) and (start == b"{" or not all(numbered)):
            raise InputError("--columns: numbers are for files without header, and then for every column")
        if start == b"{":
            self.is_json = True
        elif any(numbered):
            self._number_columns()
        else:
            self._read_header()

    def records(self) -> Iterator[tuple[int, list[str] | Row | Refusal]]:
        """Each line as the fields of a CSV record, the object of an NDJSON line, or a Refusal. Then tells what was ignored."""
        yield from _json_records(self._lines) if self.is_json else self._check_records()
        if not self.is_json:  # NDJSON that was cut off lacks the last bracket
            tell_open_end(self._lines, self._options.tell)
        if self._ignored:
            names = list(map(_short_name, self._ignored))
            more = ", and more" if len(names) >= MAX_IGNORED else ""
            what = "column" if len(names) == 1 else "columns"
            self._options.tell(f"{self.name}: ignored {what} that a {self._shape.what} does not have: {', '.join(names)}{more}")

    def known_fields(self, record: Row, number: int) -> Row | Refusal:
        """An NDJSON object under our names, without the fields that nobody knows; a Refusal for one that looks misspelt."""
        row = self._rename(record)
        known = self._shape.columns
        if not known or row.keys() <= set(known):
            return row
        for field in row.keys() - set(known):
            reason = self._misspelt(field, row)
            if reason is not None:
                return Refusal(number, _short_name(field), reason)
            self._ignore(field)
        return {field: value for field, value in row.items() if field in known}

    def _misspelt(self, column: str, given: Collection[str]) -> str | None:
        """Why a column that nobody knows is refused: it looks like one that is missing. None if it is only ignored.

        Under `--columns` somebody has said which columns count.
        """
        if self._options.columns:
            return None
        near = nearest(column, [ours for ours in self._shape.columns if ours not in given])
        if near is None:
            return None
        what = self._shape.what
        return f"is not a column of a {what}: did you mean {near}? Rename it, or name the columns that count by --columns"

    def _ignore(self, column: str) -> None:
        if len(self._ignored) < MAX_IGNORED:
            self._ignored[column] = None

    def _rename(self, record: Row) -> Row:
        """An NDJSON object under our names; a mapped field wins over a field that has the name itself."""
        columns = self._options.columns
        if not columns:
            return record
        theirs = set(columns.values())
        row = {key: value for key, value in record.items() if key not in theirs}
        row.update((ours, record[key]) for ours, key in columns.items() if key in record)
        return row

    def _check_records(self) -> Iterator[tuple[int, list[str] | Refusal]]:
        header, width = self._header, self._width
        for number, fields in csv_records(self._lines, width if header else None):
            if isinstance(fields, Refusal):
                yield number, fields
            elif header is None:
                short = len(fields) < width
                yield number, Refusal(number, "", _short_reason(fields, width)) if short else fields
            elif len(fields) != width:
                yield number, Refusal(number, "", f"has {count_fields(fields)}; the header has {width}")
            elif fields[-1].strip() == header[-1] and strip_header(fields) == header:
                yield number, Refusal(number, "", "repeats the header")
            else:
                yield number, fields

    def _check_mapping(self) -> None:
        shape = self._shape
        for ours in self._options.columns:
            if shape.columns and ours not in shape.columns:
                raise InputError(
                    f"--columns: {excerpt(ours)} is not a column of a {shape.what}; those are {', '.join(shape.columns)}"
                )

    def _number_columns(self) -> None:
        self.layout = {ours: int(theirs) - 1 for ours, theirs in self._options.columns.items()}
        if min(self.layout.values()) < 0:
            raise InputError("--columns: columns count from 1")
        if max(self.layout.values()) >= LINE_LIMIT:
            raise InputError("--columns: a line cannot have that many columns")
        self._width = max(self.layout.values()) + 1
        self._check_required(f"--columns maps {', '.join(self.layout)}")

    def _read_header(self) -> None:
        number, fields = next(csv_records(self._lines))
        if isinstance(fields, Refusal):
            hint = _separator_hint(self._first_line)
            more = f"; {hint}" if hint else ""
            raise InputError(f"{self.name}: line {number}: {fields.reason}{more} (a header was expected there)")
        if any("\r" in field for field in fields):
            raise InputError(f"{self.name}: has lines that end in a carriage return alone; save it with Unix line ends")
        self._header = strip_header(fields)
        self._width = len(fields)
        listed = listed_header(self._header)
        for column in filter(None, self._header):
            if self._header.count(column) > 1:
                raise InputError(f"{self.name}: the header has {excerpt(column)} twice")
        self._lay_out(self._header, listed)
        self._check_required(listed)

    def _lay_out(self, header: list[str], listed: str) -> None:
        """Find the mapped columns; the others keep their names, in lower case like ours."""
        used = set()
        folded = [column.lower() for column in header]
        for ours, theirs in self._options.columns.items():
            if theirs in header:
                index = header.index(theirs)
            elif folded.count(theirs.lower()) == 1:
                index = folded.index(theirs.lower())
            else:
                raise InputError(f"{self.name}: has no column {excerpt(theirs)} for {ours}; {listed}")
            self.layout[ours] = index
            used.add(index)
        for index, column in enumerate(folded):
            if not column or index in used or column in self._options.columns:
                continue
            if self.layout.setdefault(column, index) != index:
                raise InputError(f"{self.name}: the header has {excerpt(column)} twice")
        self._leave_out_unknown(header)

    def _leave_out_unknown(self, header: list[str]) -> None:
        """Take the columns that nobody knows out of the layout. Raises InputError for one that looks like one that is missing."""
        known = self._shape.columns
        strange = [ours for ours in self.layout if known and ours not in known]
        given = self.layout.keys() - set(strange)
        if self._options.instrument:
            given |= {"instrument"}
        for column in strange:
            name = header[self.layout.pop(column)]
            reason = self._misspelt(column, given)
            if reason is not None:
                raise InputError(f"{self.name}: {excerpt(name)} {reason}")
            self._ignore(name)

    def _check_required(self, listed: str) -> None:
        given: Collection[str] = {*self.layout, "instrument"} if self._options.instrument else self.layout
        lacking = [group for group in self._shape.required if not any(ours in given for ours in group)]
        if lacking and self._header is None:
            raise InputError(f"{self.name}: lacks {', '.join(_listed_groups(lacking))}; {listed}")
        if lacking:
            raise lacking_error(self.name, self._shape, lacking, self._header or [])


def listed_header(header: Sequence[str]) -> str:
    """A file's header for a message, cut where it is long."""
    return f"the header is {', '.join(map(_short_name, header[:40]))}"


def lacking_error(
    name: str, shape: Shape, lacking: Sequence[tuple[str, ...]], header: Sequence[str], delimiter: str = ","
) -> InputError:
    """The error of a file whose header lacks columns, with the way out: another separator, another line, near columns."""
    told = f"{name}: lacks {', '.join(_listed_groups(lacking))}; {listed_header(header)}"
    separator = _separator_hint(header[0].encode(), delimiter) if len(header) == 1 else ""
    if separator:
        return InputError(f"{told}; {separator}")
    near = similar_columns(
        [ours for group in lacking for ours in group], [column for column in header if column.lower() not in shape.columns]
    )
    if near:
        mapped = ",".join(f"{ours}={theirs}" for ours, theirs in near.items())
        return InputError(f"{told}; near ones are mapped by --columns {shlex.quote(mapped)}")
    if len(header) == 1:
        return InputError(f"{told}; if other lines stand above the header, --skip N passes over them")
    return InputError(f"{told}; --columns maps other names")


def tell_open_end(lines: Lines, tell: Callable[[str], None]) -> None:
    """Tell of a last line without an end: a file that was cut off inside its last field looks whole."""
    for line in lines.open_end:
        tell(f"{lines.name}: the last line ({line}) has no line end: make sure that the file was not cut off there")


def similar_columns(wanted: Iterable[str], header: Sequence[str]) -> dict[str, str]:
    """For each of our columns the one of a file's header that comes near, if there is one; each is named once.

    Near is what `nearest` takes, what has our name's words among its own (`Trade Price`), or what shortens it (`qty`).
    """
    found: dict[str, str] = {}
    for ours in wanted:
        left = [column for column in header if column not in found.values() and "," not in column and "=" not in column]
        theirs = nearest(ours, left) or next((column for column in left if _is_like(ours, column)), None)
        if theirs is not None:
            found[ours] = theirs
    return found


def _is_like(ours: str, theirs: str) -> bool:
    words = set(re.findall(r"[^\W_]+", theirs.casefold()))
    if set(ours.split("_")) <= words:
        return True
    rest = iter(ours)
    short = theirs.casefold()
    return 3 <= len(short) < len(ours) and short[0] == ours[0] and all(letter in rest for letter in short)


def _listed_groups(groups: Sequence[tuple[str, ...]]) -> list[str]:
    """The columns that a file lacks, as texts. What an `action` stands in for is said once: it is for files of cancels."""
    names = [" or ".join(column for column in group if column != "action") for group in groups]
    if any("action" in group for group in groups):
        names[-1] += " (a file of cancels needs action instead)"
    return names


def _separator_hint(line: bytes, delimiter: str = ",") -> str:
    """What separates the fields of a line, where that is not `delimiter` and occurs more often; else empty."""
    counts = {separator: line.count(separator) for separator in _SEPARATORS}
    separator = max(counts, key=lambda each: counts[each])
    if counts[separator] <= line.count(delimiter.encode()):
        return ""
    return f"it looks separated by {_SEPARATORS[separator]}"


def csv_records(
    lines: Lines, width: int | None = None, delimiter: str = ",", *, quote: bool = True
) -> Iterator[tuple[int, list[str] | Refusal]]:
    """The fields of each line that is not blank, with its number (for a record over several lines, that of the first).

    A record over several lines must have `width` fields, if given; otherwise its first line is refused. Without `quote` a
    quote is an ordinary character.
    """
    for number, raw in lines:
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            yield (
                number,
                Refusal(number, "", f"is not UTF-8 at byte {error.start + 1}: save the file as UTF-8, or name its --encoding"),
            )
            continue
        if "\0" in text:
            yield number, Refusal(number, "", "has a NUL byte: the file is damaged, export it again")
        elif quote and '"' in text:
            yield number, _read_quoted(number, text, lines, width, delimiter)
        elif text and not text.isspace():
            yield number, text.split(delimiter)


def _read_quoted(number: int, text: str, lines: Lines, width: int | None, delimiter: str) -> list[str] | Refusal:
    """Read a record with quotes, which may continue over line ends.

    If it has no valid end, only its first line is refused; the lines after it are read again on their own.
    """
    texts = [text]
    taken: list[tuple[int, bytes]] = []
    reason = "has a quote that is not closed"
    while True:
        try:
            fields = next(csv.reader(texts, strict=True, delimiter=delimiter))
            if len(texts) == 1 or width is None or len(fields) == width:
                return fields
            break
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                if len(texts) == 1:
                    reason = str(error)
                break
        line = next(lines, None) if len(texts) < _QUOTED_LINES else None
        if line is None:
            break
        taken.append(line)
        try:
            texts += [texts.pop() + "\n", line[1].decode()]
        except UnicodeDecodeError:
            break
    lines.give_back(taken)
    return Refusal(number, "", reason)


def _json_records(lines: Lines) -> Iterator[tuple[int, Row | Refusal]]:
    for number, raw in lines:
        if not raw.strip():
            continue
        try:
            yield number, _json.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            yield number, refusal_of(error, number)
        except InvalidOperation:
            yield number, Refusal(number, "", "has a number that is out of range")


def strip_header(fields: list[str]) -> list[str]:
    """The fields of a header. Joined files may have a byte-order mark in the middle."""
    return [field.strip().removeprefix("\ufeff") for field in fields]


def count_fields(fields: list[str]) -> str:
    """How many fields there are, in words."""
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _short_reason(fields: list[str], mapped: int) -> str:
    hint = _separator_hint(fields[0].encode()) if len(fields) == 1 else ""
    return f"has {count_fields(fields)}; {mapped} are mapped{'; ' if hint else ''}{hint}"


def _short_name(text: str) -> str:
    return text if len(text) <= 40 and text.isprintable() else excerpt(text)
