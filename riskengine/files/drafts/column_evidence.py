"""What speaks for a column of a strange file being a column of a record: candidates with a score and their evidence. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from riskengine.files.drafts.date_styles import DateStyle, date_formats, date_style, day_numbers
from riskengine.files.drafts.header_words import LANGUAGES, Meaning, meanings
from riskengine.files.drafts.sniff import FileSample
from riskengine.files.drafts.value_shapes import Values, describe, side_in

_SAME = ("source", "leg", "version", "action", "source_seq", "instrument", "desk", "dealer")
_OUTSIDE = ("counterparty", "account", "broker", "order_id", "strategy", "comment")
_INSTRUMENT = {"isin": "instrument", "instrument_name": "instrument"}

COLUMN_ROLES: Mapping[str, Mapping[str, str]] = {
    "trades": {name: name for name in (*_SAME, *_OUTSIDE)}
    | {name: name for name in ("trade_id", "ts", "date", "time", "side", "quantity", "price", "fees", "fees_currency")}
    | {name: name for name in ("value_date", "booked_ts", "contra_amount", "currency")}
    | _INSTRUMENT,
    "ticks": {name: name for name in ("instrument", "ts", "date", "time", "bid", "ask", "mid", "source")} | _INSTRUMENT,
    "positions": {name: name for name in ("desk", "dealer", "instrument", "ts", "date", "time", "quantity", "average_price")}
    | {"realised": "realised", "fees": "fees", "mark": "mark"}
    | {"price": "average_price", "holding": "quantity"}
    | _INSTRUMENT,
    "closes": {name: name for name in ("instrument", "price", "source", "currency")}
    | {"date": "day", "ts": "day", "mark": "price"}
    | _INSTRUMENT,
    "marks": {name: name for name in ("instrument", "ts", "date", "time", "price", "source", "currency")}
    | {"mark": "price"}
    | _INSTRUMENT,
    "statement": {"desk": "desk", "dealer": "dealer", "instrument": "instrument", "quantity": "quantity"}
    | {"average_price": "average_price", "price": "average_price", "holding": "quantity"}
    | _INSTRUMENT,
}
"""For each kind of file, the role that a column has whose header has a meaning.

`date` and `time` are halves of `ts`, `day` is a date of its own.
"""

_ANY = {
    "code": 0.9,
    "text": 0.9,
    "number": 0.8,
    "pair": 0.7,
    "currency": 0.6,
    "side": 0.6,
    "isin": 0.6,
    "time": 0.3,
    "empty": 0.5,
}
_NUMBER = {"number": 1.0, "empty": 0.5}
_NAME = {"code": 1.0, "text": 0.8, "number": 0.5, "currency": 0.4, "pair": 0.4, "empty": 0.5, "side": 0.2}
_FITS: Mapping[str, Mapping[str, float]] = {
    "trade_id": {"code": 1.0, "number": 1.0, "text": 0.8, "isin": 0.4},
    "order_id": {"code": 1.0, "number": 1.0, "text": 0.9, "empty": 0.6},
    "ts": {"time": 1.0},
    "date": {"time": 1.0},
    "time": {"time": 1.0},
    "value_date": {"time": 1.0},
    "booked_ts": {"time": 1.0},
    "instrument": {"pair": 1.0, "isin": 1.0, "code": 0.9, "currency": 0.85, "text": 0.6, "number": 0.3},
    "isin": {"isin": 0.95, "code": 0.85, "number": 0.7},
    "instrument_name": {"text": 0.5, "code": 0.5, "pair": 0.5},
    "side": {"side": 1.0, "code": 0.5, "text": 0.5, "number": 0.3},
    "currency": {"currency": 1.0},
    "fees_currency": {"currency": 1.0, "empty": 0.5},
    "comment": _ANY,
    "action": {"code": 0.5, "text": 0.4},
    "version": {"number": 1.0},
    "leg": {"number": 1.0},
    "source_seq": {"number": 1.0},
    **dict.fromkeys(("quantity", "holding", "price", "fees", "contra_amount"), _NUMBER),
    **dict.fromkeys(("bid", "ask", "mid", "mark", "average_price", "realised", "vol"), _NUMBER),
    **dict.fromkeys(("desk", "dealer", "counterparty", "account", "broker", "strategy", "source"), _NAME),
}
"""How well a shape of values fits a meaning; a shape that is not named rules it out."""

_NO_NAME = ("code", "text", "pair", "currency", "isin", "side")
_UNUSED_MISFITS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("row_number", "multiplier", "exit_levels", "result", "net_total"), (*_NO_NAME, "time")),
    **dict.fromkeys(("exchange_rate", "base_value", "tax"), (*_NO_NAME, "time")),
    **dict.fromkeys(("asset_class", "order_type", "venue"), ("time",)),
}
"""Shapes of values that a column without use does not have: the words of its header then mean something else."""

_ORDER = len("%d/%m")
_TITLE_DATE = re.compile(r"(?<![\d./-])\d{1,2}([-./])\d{1,2}\1\d{2,4}(?!\d)")
_FOREIGN_LANGUAGE = 0.85
_LEAST_KNOWN = 0.5


class Known(NamedTuple):
    """Names that the store knows; all empty where no store was named."""

    instruments: Collection[str] = ()
    desks: Collection[str] = ()


class ColumnFacts(msgspec.Struct, frozen=True):
    """A column of a sample: its header, what its values are, how its dates are written, and what its header may mean."""

    index: int
    header: str
    values: Values
    dates: DateStyle | None
    meanings: list[Meaning]


class Candidate(NamedTuple):
    """One guess: the column `place` has `role` ("" for a column that no record takes), with a score from 0 and its evidence."""

    score: float
    place: int
    role: str
    evidence: str
    meaning: str


def gather_facts(sample: FileSample, language: str) -> list[ColumnFacts]:
    """Describe every column. `language` is that of the header, which tells day from month where nothing else does."""
    day_first = "" if language == "en" else f"the header is {LANGUAGES[language]}, where the day stands first"
    facts = []
    for index, header in enumerate(sample.header):
        values = sample.column(index)
        described = describe(values)
        dates = date_style(values, day_first=day_first) if described.dates or described.shape == "number" else None
        meant = meanings(header)
        if dates is None and meant and meant[0].field in ("ts", "date", "value_date", "booked_ts"):
            dates = day_numbers(values)
        facts.append(ColumnFacts(index, header, described, dates, meant))
    title = _order_of_title(sample)
    return [msgspec.structs.replace(each, dates=_as_elsewhere(each, facts, title)) for each in facts]


def _as_elsewhere(column: ColumnFacts, facts: Sequence[ColumnFacts], title: tuple[str, str]) -> DateStyle | None:
    """The dates of a column that fit two readings, read as those of another column, or of a title line, that fit one."""
    style = column.dates
    if style is None or len(style.others) < 2:
        return style
    orders = [
        (other.dates.format[:_ORDER], f"so it is in {other.header or f'column {other.index + 1}'}: {other.dates.evidence}")
        for other in facts
        if other.dates is not None and not other.dates.doubt and other.dates.has_date
    ]
    for order, evidence in (*orders, title):
        same = [each for each in style.others if order and each[:_ORDER] == order]
        if len(same) == 1:
            return msgspec.structs.replace(style, format=same[0], evidence=evidence, doubt="", open=False)
    return style


def _order_of_title(sample: FileSample) -> tuple[str, str]:
    """The order of day and month in the lines before the header, with its evidence; empty where they have none, or both."""
    found: dict[str, str] = {}
    for match in _TITLE_DATE.finditer(" ".join(sample.preamble)):
        formats = date_formats(match[0])
        if len(formats) == 1:
            found.setdefault(formats[0][:_ORDER], match[0])
    if len(found) != 1:
        return "", ""
    ((order, example),) = found.items()
    return order, f"a line before the header has {example}, which can be read in this order only"


def candidates_of(facts: ColumnFacts, kind: str, language: str, known: Known, column: list[str]) -> list[Candidate]:
    """Everything that a column may be by its own looks, the best first: header, shape, names in the store."""
    found: dict[str, Candidate] = {}
    for candidate in (*_by_header(facts, kind, language), *_by_shape(facts, kind, column), *_by_store(facts, known, column)):
        if candidate.role not in found or found[candidate.role].score < candidate.score:
            found[candidate.role] = candidate
    return sorted(found.values(), key=lambda candidate: -candidate.score)


def _by_header(facts: ColumnFacts, kind: str, language: str) -> Iterator[Candidate]:
    roles = COLUMN_ROLES[kind]
    for meaning in facts.meanings:
        own = meaning.language in (language, "en")
        strength = meaning.strength * (1.0 if own else _FOREIGN_LANGUAGE)
        words = f'"{meaning.words}" is {LANGUAGES[meaning.language]} for {meaning.field.replace("_", " ")}'
        if facts.values.shape in _UNUSED_MISFITS.get(meaning.field, ()):
            continue
        if meaning.unused or meaning.field not in roles:
            yield Candidate(strength * 0.95, facts.index, "", words, meaning.field)
            continue
        fit = _fit(meaning.field, facts)
        if fit:
            yield Candidate(strength * fit, facts.index, roles[meaning.field], words, meaning.field)


def _fit(meaning: str, facts: ColumnFacts) -> float:
    """How well the values fit a meaning, 0 to 1."""
    dates = facts.dates
    if meaning in ("ts", "date", "time", "value_date", "booked_ts") and dates is not None:
        halves = {"ts": (True, True), "date": (True, False), "time": (False, True)}
        if meaning in halves:
            whole = (dates.has_date, dates.has_time)
            return 1.0 if whole == halves[meaning] else 0.75 if meaning != "time" and dates.has_date else 0.0
        return 1.0 if dates.has_date else 0.0
    if meaning == "time" and facts.values.shape in ("code", "number") and _is_clock(facts.values.examples):
        return 0.9
    if meaning == "side" and facts.values.shape in ("code", "text"):
        return 0.95 if any(side_in(value) for value in (*facts.values.examples, *facts.values.others)) else 0.4
    return _FITS.get(meaning, {}).get(facts.values.shape, 0.0)


def _is_clock(examples: list[str]) -> bool:
    return all(len(value) == 6 and value.isdigit() and value < "240000" for value in examples)


def _by_shape(facts: ColumnFacts, kind: str, column: list[str]) -> Iterator[Candidate]:
    """What the values alone say."""
    values, dates, index = facts.values, facts.dates, facts.index

    def guess(score: float, role: str, evidence: str) -> Iterator[Candidate]:
        if role in COLUMN_ROLES[kind]:
            yield Candidate(score, index, COLUMN_ROLES[kind][role], evidence, role)

    if dates is not None and values.shape == "time":
        role = "ts" if dates.has_date and dates.has_time else "date" if dates.has_date else "time"
        yield from guess(0.5, role, f"values are times: {values.examples[0]}")
    elif dates is not None and dates.has_time:
        yield from guess(0.5, "ts", dates.evidence)
    match values.shape:
        case "side":
            yield from guess(0.6, "side", f"values are words of a side: {', '.join(values.examples)}")
        case "isin":
            yield from guess(0.55, "instrument", f"values are ISINs: {values.examples[0]}")
        case "pair":
            yield from guess(0.55, "instrument", f"values are pairs: {values.examples[0]}")
        case "currency":
            yield from _by_currency(facts, guess)
        case "code" if values.is_unique and any(any(map(str.isdigit, each)) for each in values.examples):
            yield from guess(0.35, "trade_id", "each value stands once")
        case "number" if not facts.meanings and dates is None:
            has_part = any(re.search(r"[.,]\d*[1-9]", number.core) for number in values.numbers)
            yield from guess(0.31, "price" if has_part else "quantity", "numbers with decimals" if has_part else "whole numbers")
        case "text" | "code":
            sides = [value for value in column if side_in(value)]
            if len(sides) * 2 >= max(1, values.count) and len({side_in(value) for value in sides}) == 2:
                yield from guess(0.5, "side", f"values name a side: {sides[0]}")
            if not facts.meanings and values.shape == "code":
                yield from guess(0.31, "instrument", f"values are short names: {values.examples[0]}")


def _by_currency(facts: ColumnFacts, guess: Callable[[float, str, str], Iterator[Candidate]]) -> Iterator[Candidate]:
    """What a column of currencies is the currency of, by the words of its header."""
    said = f"values are currencies: {facts.values.examples[0]}"
    fields = {meaning.field for meaning in facts.meanings}
    if fields & {"price", "contra_amount"}:
        yield from guess(0.6, "currency", f"{said}, and the header names the price or the amount")
    elif "fees" in fields:
        yield from guess(0.6, "fees_currency", f"{said}, and the header names the fees")
    elif "quantity" in fields:
        yield Candidate(0.6, facts.index, "", f"{said}, and the header names the quantity: its unit", "unit")
    else:
        yield from guess(0.35, "currency", said)


def by_pairs(facts: Sequence[ColumnFacts], columns: Sequence[Sequence[str]]) -> list[Candidate]:
    """What a column of currencies is beside a column of pairs: the second of each pair, in which the price is, or the first."""
    pairs = next((each.index for each in facts if each.values.shape == "pair"), None)
    found = []
    for each in facts if pairs is not None else ():
        if each.values.shape != "currency":
            continue
        rows = [(pair, value) for pair, value in zip(columns[pairs or 0], columns[each.index], strict=True) if pair and value]
        if rows and all(pair.endswith(value) for pair, value in rows):
            found.append(Candidate(1.05, each.index, "currency", "is the second currency of the pair in every row", "currency"))
        elif rows and all(pair.startswith(value) for pair, value in rows):
            found.append(Candidate(1.05, each.index, "", "is the first currency of the pair in every row", "unit"))
    return found


def _by_store(facts: ColumnFacts, known: Known, column: list[str]) -> Iterator[Candidate]:
    """What the names in the store say."""
    values = {value for value in column if value}
    for role, names in (("instrument", known.instruments), ("desk", known.desks)):
        if not values or not names:
            continue
        met = [value for value in values if value in names or store_name(value) in names]
        share = len(met) / len(values)
        if share >= _LEAST_KNOWN:
            evidence = f"the store knows {len(met)} of {len(values)} values as {role}s: {min(met)}"
            yield Candidate(0.6 + 0.4 * share, facts.index, role, evidence, role)


def store_name(value: str) -> str:
    """A pair as the store names it: EUR/USD, EUR.USD and eur-usd are EURUSD."""
    letters = "".join(letter for letter in value.upper() if letter.isalnum())
    return letters if len(letters) == 6 else value
