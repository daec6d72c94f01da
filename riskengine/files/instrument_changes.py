"""Checks loaded instruments against others: an option's underlying must be known, what trades are worth must not change."""

from collections.abc import Callable, Iterator, Mapping

from riskengine.records.fields import Rejected
from riskengine.records.instrument_terms import check_underlying
from riskengine.records.types import Instrument, Refusal

_NumberedInstruments = Iterator[tuple[int, Instrument | Refusal]]

DEAL_TERMS = frozenset(
    {"kind", "multiplier", "base_currency", "quote_currency", "premium_currency", "premium_style", "option_type", "strike"}
    | {"expiry", "cut", "exercise", "settlement", "underlying", "fixing_date", "settlement_currency"}
)
"""Columns of an instrument that say what its trades are worth: a change moves the P&L of every trade there is."""

_CAME_LATER = frozenset({"premium_style", "cut", "exercise", "settlement", "fixing_date", "settlement_currency"})
"""Terms that a version of before they counted left empty: filling one in moves nothing, unless the unit of the price changes."""


def with_known_underlyings(
    records: _NumberedInstruments, known: Mapping[str, Instrument], hint: Callable[[str, str], str], hold: Callable[[int], None]
) -> _NumberedInstruments:
    """The records, options behind what they are on: one whose underlying neither `known` nor the file has is refused at its end.

    The caller adds what it takes to `known` meanwhile. `hold` gets the lines that wait; memory: those options.
    """
    waiting: list[tuple[int, Instrument]] = []
    seen: dict[str, Instrument] = {}
    for line, record in records:
        if isinstance(record, Refusal):
            yield line, record
            continue
        seen[record.instrument] = record
        below = record.underlying
        if below and below not in known and below not in seen:
            hold(line)
            waiting.append((line, record))
        else:
            yield line, _checked(line, record, known, seen, hint)
    for line, option in waiting:
        yield line, _checked(line, option, known, seen, hint)


def _checked(
    line: int,
    instrument: Instrument,
    known: Mapping[str, Instrument],
    seen: Mapping[str, Instrument],
    hint: Callable[[str, str], str],
) -> Instrument | Refusal:
    below = seen.get(instrument.underlying) or known.get(instrument.underlying)
    try:
        check_underlying(instrument, {} if below is None else {instrument.underlying: below})
    except Rejected as error:
        more = hint("underlying", error.unknown) if error.unknown else ""
        return Refusal(line, error.field, f"{error.reason}{more}")
    return instrument


def changes_worth(field: str, old: Instrument, new: Instrument) -> bool:
    """Whether a column that differs may move the P&L of trades.

    With fewer quantity decimals than before, stored quantities may be none any more.
    """
    if field == "quantity_decimals":
        return new.quantity_decimals < old.quantity_decimals
    if field in _CAME_LATER and not getattr(old, field):
        return old.contract_multiplier != new.contract_multiplier
    return field in DEAL_TERMS
