"""What the values of a column look like: numbers and how they are written, sides, currencies, pairs, codes, texts. Pure.

A number may have a currency mark, a unit, brackets or a minus behind it; how its decimals are marked is a question for the whole
file (`number_style`), since `1,234` alone says nothing.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from importlib.resources import files
from typing import NamedTuple

import msgspec

from riskengine.files.drafts.date_styles import LONGEST, date_formats
from riskengine.files.drafts.header_words import fold

_WORDS: dict[str, dict[str, list[str]]] = tomllib.loads(
    files("riskengine.files.drafts").joinpath("value_words.toml").read_text(encoding="utf-8")
)


def _all_words(name: str) -> list[str]:
    return [word for words in _WORDS[name].values() for word in words]


CURRENCIES = frozenset(_all_words("currencies"))
"""Codes that a column of currencies holds."""

SIDE_WORDS: dict[str, str] = {word: side for side in ("buy", "sell") for word in _all_words(side)}
"""Words of a side in seven languages, folded as headers are; all are guesses until a person has looked."""

_CANCEL_WORDS = frozenset(_all_words("cancel"))
_TOTALS = re.compile("(?:" + "|".join(word.replace("*", "[a-z]*") for word in _all_words("total")) + r")(?![a-z])")
_LETTER_PAIRS = ({"k", "v"}, {"a", "v"}, {"c", "v"}, {"b", "s"}, {"1", "2"})
_MARK = r"[€$£¥₿₹]|US\$|[A-Z]{3,4}(?=[ \d-])"
_NUMBER = re.compile(
    rf"""(?P<open>\()?\s*(?P<sign>[-+\u2212\u2013])?\s*(?P<mark>{_MARK})?\s*(?P<sign2>[-+\u2212\u2013])?\s*
    (?P<core>\d[\d.,'\u2019\u00a0\u202f ]*|[.,]\d+)(?P<exp>[eE][-+]?\d{{1,2}})?\s*(?P<unit>[A-Za-z]{{1,10}}|%|[€$£¥₿])?\s*
    (?P<behind>-)?(?P<close>\))?""",
    re.VERBOSE,
)
_GROUPED = {
    ".": re.compile(r"\d*(?:\.\d*)?|\d{1,3}(?:(?P<mark>[,'\u2019\u00a0\u202f ])\d{3})(?:(?P=mark)\d{3})*(?:\.\d*)?"),
    ",": re.compile(r"\d*(?:,\d*)?|\d{1,3}(?:(?P<mark>[.'\u2019\u00a0\u202f ])\d{3})(?:(?P=mark)\d{3})*(?:,\d*)?"),
}
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}\d")
_PAIR = re.compile(r"([A-Z0-9]{2,6})([/._-]?)([A-Z]{3,4})")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/^=-]{0,23}")
_MOST_VALUES = 1_000


class WrittenNumber(NamedTuple):
    """A number as it is written: its digits with their marks, its sign (-1, 1), and what stands around it."""

    core: str
    sign: int
    mark: str
    unit: str
    brackets: bool
    minus_behind: bool
    exponent: str

    def value(self, decimal: str) -> Decimal | None:
        """The number under a decimal mark; None where it does not fit."""
        if not _GROUPED[decimal].fullmatch(self.core):
            return None
        whole, _, rest = self.core.partition(decimal)
        digits = f"{re.sub('[^0-9]', '', whole) or '0'}.{rest or '0'}{self.exponent}"
        return self.sign * Decimal(digits)


class NumberStyle(msgspec.Struct, frozen=True):
    """How numbers are written: the decimal mark, the mark of thousands ("" for none), with evidence, and a doubt or ""."""

    decimal: str
    thousands: str
    evidence: str
    doubt: str = ""


class Values(msgspec.Struct, frozen=True):
    """The values of a column, described. `shape` is what nearly all are; `others` are examples of those that are not.

    Shapes: empty, number, time (anything with a date or a time of day in it), side, currency, isin, pair, code, text.
    """

    shape: str
    count: int
    distinct: int
    examples: list[str]
    others: list[str]
    numbers: list[WrittenNumber]
    dates: list[str]

    @property
    def is_unique(self) -> bool:
        """Whether no value stands twice, in two rows or more."""
        return self.count > 1 and self.count == self.distinct

    @property
    def has_negatives(self) -> bool:
        """Whether any number is below 0."""
        return any(number.sign < 0 and _is_nonzero(number) for number in self.numbers)

    @property
    def is_never_positive(self) -> bool:
        """Whether no number is above 0, and one at least is below."""
        return self.has_negatives and all(number.sign < 0 or not _is_nonzero(number) for number in self.numbers)

    @property
    def units(self) -> list[str]:
        """Units and currency marks that stand at the numbers, most frequent first."""
        counted = Counter(part for number in self.numbers for part in (number.mark, number.unit) if part)
        return [unit for unit, _ in counted.most_common()]


def _is_nonzero(number: WrittenNumber) -> bool:
    return any(digit in number.core for digit in "123456789")


def written_number(text: str) -> WrittenNumber | None:
    """A text taken apart as a number; None if it is none."""
    found = _NUMBER.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    core = found["core"].strip()
    if not any(pattern.fullmatch(core) for pattern in _GROUPED.values()):
        return None
    minus = (
        sum(found[name] in ("-", "\u2212", "\u2013") for name in ("sign", "sign2")) + bool(found["behind"]) + bool(found["open"])
    )
    if minus > 1 or _is_code(found, core):
        return None
    sign = -1 if minus else 1
    return WrittenNumber(
        core, sign, found["mark"] or "", found["unit"] or "", bool(found["open"]), bool(found["behind"]), found["exp"] or ""
    )


def _is_code(found: re.Match[str], core: str) -> bool:
    """Whether it is a name with digits in it (`DAX40`, `0007`) and no amount."""
    mark = found["mark"] or ""
    return (mark.isalpha() and mark not in CURRENCIES) or (core.isdigit() and len(core) > 1 and core.startswith("0"))


def is_number(text: str) -> bool:
    """Whether a text is a number, however written, without a word around it."""
    number = written_number(text)
    return number is not None and not number.unit.isalpha() and not number.mark.isalpha()


def has_shape(text: str) -> bool:
    """Whether a text is a number, a time, a currency or an ISIN: something that no header is."""
    return is_number(text) or bool(date_formats(text)) or text in CURRENCIES or bool(_ISIN.fullmatch(text))


def side_of(text: str) -> str | None:
    """`buy` or `sell` for a word of a side in any of the languages; None for another word."""
    return SIDE_WORDS.get(fold(text))


def is_cancel(text: str) -> bool:
    """Whether a text has a word of a cancel in it: `BUY (Ca.)`."""
    return any(word in _CANCEL_WORDS for word in fold(text).split())


def side_in(text: str) -> str | None:
    """The side that a text of a few words names (`Stocks/ETF purchase`); None where it names none, both, or a cancel."""
    if is_cancel(text):
        return None
    words = fold(text).split()
    found = {side for word in words if len(word) > 2 and (side := SIDE_WORDS.get(word))}
    return side_of(text) or (found.pop() if len(found) == 1 else None)


def number_style(columns: Iterable[Sequence[str]]) -> NumberStyle:
    """How the numbers of a file are written, from all columns of them: what fits every value, or a doubt."""
    numbers = [number for values in columns for text in values if text and (number := written_number(text)) is not None]
    only: dict[str, str] = {}
    for number in numbers:
        fits = [decimal for decimal, pattern in _GROUPED.items() if pattern.fullmatch(number.core)]
        if len(fits) == 1:
            only.setdefault(fits[0], number.core)
    marks = {decimal: _thousands(numbers, decimal) for decimal in (".", ",")}
    if len(only) == 2:
        decimal = "."
        doubt = f"both marks of decimals occur: {only['.']} and {only[',']}"
        return NumberStyle(decimal, "", "more than one style", doubt)
    if only:
        ((decimal, example),) = only.items()
        return NumberStyle(decimal, marks[decimal], f"{example} can be read in one way only")
    example = next((number.core for number in numbers if re.search(r"[.,]\d", number.core)), "")
    if not example:
        return NumberStyle(".", "", "no number has decimals")
    mark = "." if "." in example else ","
    whole = example.replace(mark, "")
    doubt = f"{example} may be {example.replace(mark, '.')} or {whole}: no number of the sample tells"
    return NumberStyle(mark, "", "no number has both marks", doubt)


def _thousands(numbers: Sequence[WrittenNumber], decimal: str) -> str:
    """The mark of thousands that occurs in numbers of that style."""
    for number in numbers:
        whole = number.core.partition(decimal)[0]
        for mark in re.findall(r"[^\d]", whole):
            return str(mark)
    return ""


def is_total(values: Sequence[str]) -> bool:
    """Whether a row sums up or ends a file: its first word says so, and a third of its values or more are empty."""
    first = next((value for value in values if value), "")
    return bool(_TOTALS.match(fold(first))) and sum(not value for value in values) * 3 >= len(values)


def describe(values: Sequence[str]) -> Values:
    """What the values of a column are. A shape is taken where nine of ten values have it."""
    full = [value for value in values if value]
    some = full[:_MOST_VALUES]
    kept = list(dict.fromkeys(some))
    numbers = [number for value in some if (number := written_number(value)) is not None]
    dates = [value for value in kept if date_formats(value)]
    tests = (
        ("side", lambda value: side_of(value) is not None and not value.isdigit()),
        ("isin", lambda value: bool(_ISIN.fullmatch(value))),
        ("currency", lambda value: value in CURRENCIES),
        ("pair", _is_pair),
        ("time", lambda value: bool(date_formats(value)) and not is_number(value)),
        ("number", lambda value: written_number(value) is not None),
        ("code", lambda value: bool(_CODE.fullmatch(value))),
    )
    shape, others = "empty" if not kept else "text", list[str]()
    for name, fits in tests:
        missing = [value for value in kept if not fits(value)]
        if kept and len(missing) * 10 <= len(kept):
            shape, others = name, missing
            break
    if shape == "side" and not _is_side(kept):
        shape = "code"
    return Values(shape, len(full), len(set(full)), kept[:3], others[:3], numbers if shape == "number" else [], dates)


def _is_side(kept: Sequence[str]) -> bool:
    """Whether words are those of sides: words, or letters that belong together."""
    folded = {fold(value) for value in kept}
    return any(len(word) > 1 for word in folded) or any(folded <= pair for pair in _LETTER_PAIRS)


def _is_pair(value: str) -> bool:
    """Whether a value is a name and a currency, with or without a mark between them: EURUSD, EUR/USD, DOGEEUR, BTC-USDT."""
    found = _PAIR.fullmatch(value)
    if found is None:
        return False
    name, mark, rest = found.groups()
    cuts = [(name, rest)] if mark else [(value[:-size], value[-size:]) for size in (4, 3)]
    return any(quote in CURRENCIES and (len(base) == 3 or (len(base) > 1 and base not in CURRENCIES)) for base, quote in cuts)
