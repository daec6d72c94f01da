"""On which trading day a forward is merged into spot: the roll at which its value date is the spot date, or past it.

A trade is merged on the first trading day after its own on which spot of the pair is at its value date or beyond (ACCOUNTING
section 5); one that was dealt for a date before spot, tom or cash, at the next roll. Spot dates are those of stored facts, and no
day after the one asked about is looked at, so that no fact is made before its day.
"""

import datetime as dt
from typing import NamedTuple

from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import Instrument

LOOK_BACK = dt.timedelta(days=21)
"""No spot date lies further from its trade date."""

_DAY = dt.timedelta(days=1)


class RollMoment(NamedTuple):
    """A roll: the trading day that it begins (YYYY-MM-DD), and the boundary at which it does, microseconds."""

    day: str
    ts: int


class ForwardRoll:
    """Answers for one engine. One thread at a time."""

    def __init__(self, spot_dates: SpotDates, trading_day: TradingDay) -> None:
        self._spot_dates = spot_dates
        self._trading_day = trading_day
        self._first: dict[tuple[str, str, str], dt.date] = {}

    def roll_of(self, pair: Instrument, value_date: str, ts: int, trade_date: str, until: str) -> RollMoment | None:
        """The roll that merges what was dealt at `ts` (or on `trade_date`); None where none up to the day `until` does. 3 us."""
        first = self._first_spot_day(pair, value_date, until)
        if first is None:
            return None
        dealt = dt.date.fromisoformat(trade_date) if trade_date else self._trading_day.date_of(ts)
        day = max(first, self._trading_day.next(dealt))
        if day.isoformat() > until:
            return None
        return RollMoment(day.isoformat(), self._trading_day.close_of(self._trading_day.previous(day)))

    def is_due(self, pair: Instrument, value_date: str, until: str) -> bool:
        """Whether spot of the pair has come to a value date by the day `until`."""
        return self._first_spot_day(pair, value_date, until) is not None

    def _first_spot_day(self, pair: Instrument, value_date: str, until: str) -> dt.date | None:
        """The first trading day, up to one, whose spot date is at or past a value date."""
        if not until or until < (dt.date.fromisoformat(value_date) - LOOK_BACK).isoformat():
            return None
        key = (pair.base_currency, pair.quote_currency, value_date)
        found = self._first.get(key)
        if found is None:
            day, last = dt.date.fromisoformat(value_date) - LOOK_BACK, dt.date.fromisoformat(until)
            day = self._trading_day.next(day - _DAY)
            while day <= last and self._spot_dates.spot_of_day(pair, day.isoformat()) < value_date:
                day = self._trading_day.next(day)
            if day > last:
                return None
            found = self._first[key] = day
        return found if found.isoformat() <= until else None
