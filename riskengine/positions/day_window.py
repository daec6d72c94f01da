"""Which trades belong to which side of a close: before the current day, in it, or after it.

A trade belongs to its `trade_date`, else to the trading day of its `ts`. Quantity and cash of a position at the last close are
sums, so they do not depend on order: they follow from its trades alone, whenever those came, were amended or cancelled. Pure.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from riskengine.market.trading_day import TradingDay
from riskengine.positions.position import NO_FEES, Position, next_average, replace_fees
from riskengine.records.types import CASH_PER_ONE, ONE, Opening, Trade


class DayWindow(NamedTuple):
    """The current trading day, between the close that began it and the one that will end it.

    closed, current    dates, YYYY-MM-DD: that of the last close, and the current day
    start_ts, end_ts   the boundaries that begin and end the current day, microseconds
    """

    closed: str
    current: str
    start_ts: int
    end_ts: int

    @classmethod
    def after(cls, closed: dt.date, trading_day: TradingDay) -> "DayWindow":
        """The day that follows a close."""
        current = trading_day.next(closed)
        start_ts, end_ts = trading_day.window(current)
        return cls(closed.isoformat(), current.isoformat(), start_ts, end_ts)

    def is_before(self, trade: Trade) -> bool:
        """Whether a trade belongs to a day before the current one. 0.1 us."""
        return trade.trade_date <= self.closed if trade.trade_date else trade.ts < self.start_ts

    def is_after(self, trade: Trade) -> bool:
        """Whether a trade belongs to a day after the current one. 0.1 us."""
        return trade.trade_date > self.current if trade.trade_date else trade.ts >= self.end_ts


class Held(NamedTuple):
    """A position after some of its trades; units as in `Position`."""

    quantity: int
    cash: int
    average: float | None
    fees: dict[str, int]


def held_before(position: Position, window: DayWindow) -> tuple[int, int]:
    """Quantity and cash from all trades that belong before the current day, and from all balances. O(trades in memory)."""
    quantity, cash = position.quantity, position.cash
    for trade in position.trades:
        if not window.is_before(trade):
            quantity -= trade.signed_quantity
            cash -= trade.cash
    return quantity, cash


def held_at_close(position: Position, window: DayWindow, multiplier: int, currency: str) -> Held:
    """The position without the trades that belong after the current day. O(trades in memory)."""
    return _fold(position, (trade for trade in position.trades if not window.is_after(trade)), multiplier, currency)


def _fold(position: Position, trades: Iterable[Trade], multiplier: int, currency: str) -> Held:
    base = position.base
    if base is not None:
        quantity, cash, average, fees = base.quantity, base.cash, base.average, base.fees
    else:
        quantity, cash, average, fees = _opened(position.openings, multiplier, currency)
    for trade in trades:
        average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
        quantity += trade.signed_quantity
        cash += trade.cash
        if trade.fees:
            fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees})
    return Held(quantity, cash, average, fees)


def _opened(openings: Iterable[Opening], multiplier: int, currency: str) -> Held:
    quantity, cash, charged, average = 0, 0, 0, None
    for opening in openings:
        cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * multiplier
        charged += opening.fees
        if opening.quantity:
            average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
            quantity += opening.quantity
    return Held(quantity, cash, average, {currency: charged} if charged else NO_FEES)
