"""At which rates forwards with a fixing are paid: from the official closes of the fixing date.

A close of the forward itself, which a person may load, goes before one of the instrument that `fixing_source` names.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from riskengine.market.trading_day import TradingDay
from riskengine.records.forwards import is_non_deliverable
from riskengine.records.types import Close, Instrument


class FixingStore(Protocol):
    """The part of a store that knows closes. Reads raise StoreError."""

    def closes(self, date: str | None = None) -> list[Close]: ...


class Fixing(NamedTuple):
    """The rate at which a forward is paid: the end of the day that it is of, microseconds, and the price."""

    ts: int
    price: float


def fixings(store: FixingStore, instruments: Iterable[Instrument], trading_day: TradingDay, now: int) -> dict[str, Fixing]:
    """The fixings that are known of forwards whose fixing date has come, by name. A read for each fixing date."""
    today = trading_day.date_of(now).isoformat()
    due: dict[str, list[Instrument]] = {}
    for each in instruments:
        if is_non_deliverable(each) and each.fixing_date <= today:
            due.setdefault(each.fixing_date, []).append(each)
    found: dict[str, Fixing] = {}
    for date, forwards in due.items():
        prices = {close.instrument: close.price for close in store.closes(date)}
        ts = trading_day.close_of(dt.date.fromisoformat(date))
        for each in forwards:
            price = prices.get(each.instrument, prices.get(each.fixing_source))
            if price is not None and price > 0.0:
                found[each.instrument] = Fixing(ts, price)
    return found
