"""FX forwards: how they are named, made of their pair, and named again as they are stored.

A trade on a pair whose value date is not spot is a position in `<pair>@<YYYY-MM-DD>` (ACCOUNTING section 5). Its stored row says
`instrument` and `value_date`; the record of it that the engine holds has the forward as its `instrument` (`placed`), so that
everything that goes by instrument finds it there. Pure.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from riskengine.records.types import Instrument, Kind, Trade

AT = "@"
"""Stands between the pair and the value date."""

_NAME = re.compile(r"(.+)@(\d{4}-\d{2}-\d{2})\Z", re.DOTALL)


class ForwardName(NamedTuple):
    """The two parts of a forward's name: the pair, and the value date (YYYY-MM-DD)."""

    pair: str
    value_date: str


def forward_name(pair: str, value_date: str) -> str:
    """The name of a forward. `EURUSD@2026-12-16`."""
    return f"{pair}{AT}{value_date}"


def name_parts(symbol: str) -> ForwardName | None:
    """What the name of a forward says; None for any other name. 0.3 us."""
    found = _NAME.match(symbol) if AT in symbol else None
    return None if found is None else ForwardName(found[1], found[2])


def made_forward(pair: Instrument, value_date: str) -> Instrument:
    """The forward on a spot pair to a value date: its lot size, decimals and calendar are the pair's."""
    return Instrument(
        instrument=forward_name(pair.instrument, value_date),
        kind=Kind.FX_FORWARD,
        base_currency=pair.base_currency,
        quote_currency=pair.quote_currency,
        price_decimals=pair.price_decimals,
        quantity_decimals=pair.quantity_decimals,
        multiplier=pair.multiplier,
        sector=pair.sector,
        underlying=pair.instrument,
        expiry=value_date,
        calendar=pair.calendar,
    )


def forward_of(symbol: str, by_symbol: Mapping[str, Instrument]) -> Instrument | None:
    """The forward of that name, made of its pair; None where it is no such name or no spot pair."""
    parts = name_parts(symbol)
    pair = None if parts is None else by_symbol.get(parts.pair)
    if parts is None or pair is None or pair.kind is not Kind.FX:
        return None
    return made_forward(pair, parts.value_date)


def value_date_of(forward: Instrument) -> str:
    """The value date of a forward, YYYY-MM-DD; "" where nobody has said it."""
    return forward.expiry[:10]


def is_non_deliverable(forward: Instrument) -> bool:
    """Whether a forward is paid in one currency, by a fixing."""
    return forward.kind is Kind.FX_FORWARD and bool(forward.fixing_date)


def pair_symbol(forward: Instrument, by_symbol: Mapping[str, Instrument]) -> str:
    """The spot pair whose price values a forward: its `underlying`, the pair in its name, or base and quote; "" for none."""
    parts = name_parts(forward.instrument)
    named = (forward.underlying, parts.pair if parts is not None else "", forward.base_currency + forward.quote_currency)
    for symbol in named:
        pair = by_symbol.get(symbol)
        if pair is not None and pair.kind is Kind.FX and _currencies(pair) == _currencies(forward):
            return symbol
    return ""


def _currencies(instrument: Instrument) -> tuple[str, str]:
    return instrument.base_currency, instrument.quote_currency


# -- trades --------------------------------------------------------------------------------------------------------


def placed(trade: Trade) -> Trade:
    """A trade on a pair as a trade in the forward to its value date. 1.5 us."""
    return replace(trade, instrument=forward_name(trade.instrument, trade.value_date))


def unplaced(trade: Trade) -> Trade:
    """A trade as its row says it: on the pair. 0.1 us for any that is no forward."""
    if not trade.value_date or AT not in trade.instrument:
        return trade
    parts = name_parts(trade.instrument)
    if parts is None or parts.value_date != trade.value_date:
        return trade
    return replace(trade, instrument=parts.pair)


# -- cash ----------------------------------------------------------------------------------------------------------


def cash_bucket(forward: Instrument) -> str:
    """The bucket of a forward's cash. One for each forward: pairs in one currency differ in spot dates, and so in discount."""
    return f"{forward.currency}{AT}{forward.instrument}"


def base_bucket(forward: Instrument) -> str:
    """The bucket of what a forward delivers in its base currency: its worth follows from the outright."""
    return f"{forward.base_currency}{AT}{forward.instrument}"


def is_bucket(code: str) -> bool:
    """Whether a code is that of a bucket, and no currency's."""
    return AT in code
