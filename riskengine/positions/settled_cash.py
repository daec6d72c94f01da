"""What of the P&L of FX and futures positions is money on the account: the part of available cash that no row holds.

FX: the realised P&L of the trades whose value date is over, with balances brought forward and carry. Non-deliverable forwards:
C + k q F, F their fixing, once their value date is over. Futures: the variation up to the last settlement, C + k q m of the
trades before it at the settlement price, with carry since. A position is worked out again when its day or its settlement price
changes, or something among its settled trades does; a new trade costs nothing. A trading day that begins is taken over a few
thousand positions at a time. Writer thread only.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from riskengine.market.calendars import Calendars
from riskengine.market.settlement import settled_before
from riskengine.market.trading_day import TradingDay
from riskengine.positions.ledger import Rollup
from riskengine.positions.merged import MergedPosition
from riskengine.positions.position import Position, Stood, open_cost
from riskengine.records.forwards import is_non_deliverable
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, ONE, Kind

AT_ONCE = 2_000
"""Positions that are worked out again in one step of a new day: about 5 ms."""

FAR = 2**62

SETTLED_KINDS = frozenset({Kind.FX, Kind.FX_FORWARD, Kind.FUTURE})
"""Kinds whose settled P&L is cash."""


class Settlement(NamedTuple):
    """The last settlement of a future: its time in microseconds, and its price in units of 1e-10."""

    ts: int
    price: int


class SettledChange(NamedTuple):
    """The settled P&L of a leaf's position changed by so much (units of 1e-28); `unsettled`: by so much it lacks a price."""

    owner: int
    instrument: int
    change: int
    unsettled: int


class _Known(NamedTuple):
    """What was worked out: from which position, before which moment, with how many trades; None: a settlement is missing."""

    position: Position
    before: int
    settled: int
    carry: Any
    amount: int | None


class SettledCash:
    """The settled P&L of every FX and futures position of a roll-up."""

    def __init__(self, reference: Reference, rollup: Rollup, trading_day: TradingDay, calendars: Calendars) -> None:
        self._instruments = reference.instruments
        self._rollup = rollup
        self._trading_day = trading_day
        self._calendars = calendars
        self._today: dt.date | None = None
        self._today_lasts = (0, 0)
        self._last_close = 0
        self._before: dict[int, int] = {}
        self._settlements: dict[int, Settlement] = {}
        self._fixings: dict[int, int] = {}
        self._known: dict[tuple[int, int], _Known] = {}
        self._waiting: Iterator[Position] = iter(())
        self._is_kind = [each.kind in SETTLED_KINDS for each in reference.instruments]
        self._index = reference.instrument_index

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(new ones)."""
        self._is_kind += [each.kind in SETTLED_KINDS for each in reference.instruments[len(self._is_kind) :]]
        self._instruments, self._index = reference.instruments, reference.instrument_index

    def set_time(self, now: int) -> None:
        """The time is now: with a new trading day what has settled is worked out again. O(1), O(positions) over a new day."""
        first, end = self._today_lasts
        if first <= now < end:
            return
        today = self._trading_day.date_of(now)
        self._today_lasts = self._trading_day.window(today)
        if today != self._today:
            self._today = today
            self._last_close = self._trading_day.close_of(self._trading_day.last_closed(now))
            self._begin_again()

    def follow(self, trading_day: TradingDay, calendars: Calendars) -> None:
        """Take calendars in force: what has settled is worked out again. O(positions), a few at a time."""
        self._trading_day, self._calendars = trading_day, calendars
        self._today_lasts = (0, 0)
        self._begin_again()

    def set_settlements(self, prices: Mapping[str, tuple[int, float]]) -> None:
        """The newest settlement of each future, by symbol: time and price; in place of those known."""
        found = {
            self._index[symbol]: Settlement(ts, int(Decimal(repr(price)) * ONE))
            for symbol, (ts, price) in prices.items()
            if symbol in self._index and self._instruments[self._index[symbol]].kind is Kind.FUTURE
        }
        if found != self._settlements:
            self._settlements = found
            self._begin_again()

    def set_fixings(self, prices: Mapping[str, float]) -> None:
        """The fixings of non-deliverable forwards, by symbol; in place of those known."""
        found = {
            self._index[symbol]: int(Decimal(repr(price)) * ONE) for symbol, price in prices.items() if symbol in self._index
        }
        if found != self._fixings:
            self._fixings = found
            self._begin_again()

    def unsettled_since(self, number: int) -> int:
        """The moment since which trades of an instrument may not have settled; of a future, which pays nothing, never."""
        return FAR if self._instruments[number].kind is Kind.FUTURE else self._before_of(number)

    def _begin_again(self) -> None:
        self._before.clear()
        positions = [position for book in self._rollup.books for position in book.positions.values()]
        self._waiting = iter([position for position in positions if self._is_kind[position.instrument]])

    def moments(self) -> dict[str, int]:
        """Before which moment trades have settled, by pair and by future that has a settlement price. O(instruments)."""
        has_one = self._settlements.keys()
        return {
            each.instrument: self._before_of(number)
            for number, each in enumerate(self._instruments)
            if each.kind is Kind.FX or number in has_one
        }

    def changes(self, *, at_once: bool = False) -> Iterator[SettledChange]:
        """What has changed since the last call, of touched positions and of those that wait. Call it before `settle`."""
        is_kind, books = self._is_kind, self._rollup.books
        for position in self._rollup.touched:
            if is_kind[position.instrument] and self._is_due(position):
                yield from self._work_out(position)
        for position in self._waiting if at_once else islice(self._waiting, AT_ONCE):
            if books[position.owner].positions.get(position.instrument) is position:
                yield from self._work_out(position)

    def _is_due(self, position: Position) -> bool:
        """Whether something among the settled trades has changed. O(1)."""
        known = self._known.get((position.owner, position.instrument))
        if known is None or known.position is not position or known.carry is not position.carry:
            return True
        trades = position.trades
        if position.refolded_from < known.settled or len(trades) < known.settled:
            return True
        return len(trades) > known.settled and trades[known.settled].ts < known.before

    def _work_out(self, position: Position) -> Iterable[SettledChange]:
        key = position.owner, position.instrument
        before = self._before_of(position.instrument)
        count = _count_before(position, before)
        is_unknown = self._lacks_price(position) or self._is_frozen_beyond(position, before)
        amount = None if is_unknown else self._amount(position, count)
        position.refolded_from = FAR
        old = self._known.get(key)
        self._known[key] = _Known(position, before, count, position.carry, amount)
        change = (amount or 0) - ((old.amount or 0) if old is not None else 0)
        lacking = (amount is None) - (old is not None and old.amount is None)
        return [SettledChange(*key, change, lacking)] if change or lacking else []

    def _before_of(self, number: int) -> int:
        """The moment before which the trades of an instrument have settled."""
        if number not in self._before:
            instrument = self._instruments[number]
            if instrument.kind is Kind.FUTURE:
                settlement = self._settlements.get(number)
                self._before[number] = settlement.ts if settlement is not None else 0
            else:
                assert self._today is not None, "the time is set before the first publication"
                self._before[number] = settled_before(instrument, self._today, self._trading_day, self._calendars)
        return self._before[number]

    def _lacks_price(self, position: Position) -> bool:
        """Whether a future was carried over the last close, and nobody has said at which price it was settled.

        Or a non-deliverable forward is to be paid, and nobody has said at which fixing.
        """
        if position.quarantined or position.instrument in self._settlements:
            return False
        if is_non_deliverable(self._instruments[position.instrument]) and self._before_of(position.instrument):
            return position.instrument not in self._fixings and bool(position.quantity)
        if self._instruments[position.instrument].kind is not Kind.FUTURE:
            return False
        trades = position.trades
        return bool(position.openings or position.base is not None or (trades and trades[0].ts < self._last_close))

    def _is_frozen_beyond(self, position: Position, before: int) -> bool:
        """Whether its base stands for trades that have not settled, and does not say how it stood before those."""
        if position.quarantined or position.base is None or position.base.newest.ts < before:
            return False
        if _stood(position, before) is not None:
            return False
        return self._instruments[position.instrument].kind is Kind.FX or position.instrument in self._settlements

    def _amount(self, position: Position, count: int) -> int:
        """The settled P&L, units of 1e-28."""
        if position.quarantined:
            return 0
        instrument = self._instruments[position.instrument]
        if instrument.kind is Kind.FUTURE and position.instrument not in self._settlements:
            return position.carry_cash
        if instrument.kind is Kind.FX_FORWARD and not self._before_of(position.instrument):
            return position.carry_cash  # all of it is paid on one day, which has not passed
        stood = _stood(position, self._before_of(position.instrument))
        if isinstance(position, MergedPosition):
            is_paid = instrument.kind is Kind.FX_FORWARD  # and its date has passed
            quantity, cash, average = position.stood_before(FAR if is_paid else self._before_of(position.instrument))
        elif stood is None:
            cash = position.cash - sum(trade.cash for trade in position.trades[count:])
            quantity, average = position.state_after(count)
        else:
            quantity, cash, average = stood.quantity, stood.cash + position.carry_cash, stood.average
        if is_non_deliverable(instrument):
            return int(cash + quantity * self._fixings.get(position.instrument, 0) * instrument.contract_multiplier)
        if instrument.kind is Kind.FUTURE:
            return int(cash + quantity * self._settlements[position.instrument].price * instrument.contract_multiplier)
        scale = instrument.contract_multiplier / 10**MULTIPLIER_DECIMALS
        return int(cash) + (open_cost(quantity / ONE * scale * average) if average is not None else 0)


def _stood(position: Position, before: int) -> Stood | None:
    """How a position stood at a moment, if its base stands for trades of after that and says so."""
    base = position.base
    if base is None or base.newest.ts < before:
        return None
    return next((each for each in base.stood if each.ts == before), None)


def _count_before(position: Position, ts: int) -> int:
    """How many of the trades in memory were executed before a moment. O(log n)."""
    trades = position.trades
    if not trades:
        return 0
    if type(trades) is list:
        return bisect_left(trades, ts, key=attrgetter("ts"))
    return int(trades.bisect_key_left((ts,)))
