"""Which trades belong to which side of a close: before the current day, in it, or after it.

A trade belongs to its `trade_date`, else to the trading day of its `ts`. Quantity and cash of a position at the last close are
sums, so they do not depend on order: they follow from its trades alone, whenever those came, were amended or cancelled. Pure.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from riskengine.market.trading_day import TradingDay
from riskengine.positions.adjusted import AdjustedPosition
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
        """The day that follows a close: from its boundary on, whatever a calendar loaded since says of the closed day."""
        current = trading_day.next(closed)
        return cls(closed.isoformat(), current.isoformat(), trading_day.close_of(closed), trading_day.close_of(current))

    def is_before(self, trade: Trade) -> bool:
        """Whether a trade belongs to a day before the current one. 0.1 us."""
        return trade.trade_date <= self.closed if trade.trade_date else trade.ts < self.start_ts

    def is_after(self, trade: Trade) -> bool:
        """Whether a trade belongs to a day after the current one. 0.1 us."""
        return trade.trade_date > self.current if trade.trade_date else trade.ts >= self.end_ts


class Held(NamedTuple):
    """A position after some of its trades and some of its carry; units as in `Position`."""

    quantity: int
    cash: int
    average: float | None
    fees: dict[str, int]
    beside: dict[str, int]


class HeldBefore(NamedTuple):
    """A position at the last close, from all that belongs before the current day; units as in `Position`.

    carry  the carry of the current day in the cash currency: it is not in `cash`
    """

    quantity: int
    cash: int
    carry: int
    beside: Mapping[str, int]


NOTHING_HELD = HeldBefore(0, 0, 0, NO_FEES)


def held_before(position: Position, window: DayWindow) -> HeldBefore:
    """What all trades and carry that belong before the current day, and all balances, come to. O(trades in memory + carry)."""
    quantity, cash, carry = position.quantity, position.cash, 0
    for trade in position.folded_trades():
        if not window.is_before(trade):
            quantity -= trade.signed_quantity
            cash -= trade.cash
    beside: Mapping[str, int] = position.beside or NO_FEES
    for entry in position.carry:
        if entry.ts >= window.start_ts and entry.is_beside:
            beside = replace_fees({**beside}, {entry.currency: entry.amount}, NO_FEES)
        elif entry.ts >= window.start_ts:
            carry += entry.amount
    return HeldBefore(quantity, cash - carry, carry, beside)


def is_ahead(position: Position, window: DayWindow) -> bool:
    """Whether a position holds a trade or carry that belongs after the current day. O(trades in memory + carry)."""
    return any(map(window.is_after, position.trades)) or any(entry.ts >= window.end_ts for entry in position.carry)


def held_at_close(position: Position, window: DayWindow, multiplier: int, currency: str) -> Held:
    """The position without the trades that belong after the current day. O(trades in memory)."""
    held = _fold(position, window.is_after, multiplier, currency)
    cash, beside = held.cash, NO_FEES
    for entry in position.carry:
        if entry.ts < window.end_ts and entry.is_beside:
            beside = replace_fees(beside, NO_FEES, {entry.currency: entry.amount})
        elif entry.ts < window.end_ts:
            cash += entry.amount
    return held._replace(cash=cash, beside=beside)


def _fold(position: Position, leaves_out: Callable[[Trade], bool], multiplier: int, currency: str) -> Held:
    if isinstance(position, AdjustedPosition):
        other = position.without(leaves_out, multiplier, currency)
        return Held(other.quantity, other.cash, other.average, other.fees or NO_FEES, NO_FEES)
    trades = (trade for trade in position.trades if not leaves_out(trade))
    base = position.base
    if base is not None:
        quantity, cash, average, fees = base.quantity, base.cash, base.average, base.fees
    else:
        quantity, cash, average, fees, _ = _opened(position.openings, multiplier, currency)
    for trade in trades:
        average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
        quantity += trade.signed_quantity
        cash += trade.cash
        if trade.fees:
            fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees})
    return Held(quantity, cash, average, fees, NO_FEES)


def _opened(openings: Iterable[Opening], multiplier: int, currency: str) -> Held:
    quantity, cash, charged, average = 0, 0, 0, None
    for opening in openings:
        cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * multiplier
        charged += opening.fees
        if opening.quantity:
            average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
            quantity += opening.quantity
    return Held(quantity, cash, average, {currency: charged} if charged else NO_FEES, NO_FEES)
