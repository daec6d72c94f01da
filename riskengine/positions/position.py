"""One position: exact quantity and cash, average cost, and the trades behind it in event-time order.

The average price is one IEEE double, computed trade by trade in the order of `order_key` with the expressions of
ACCOUNTING section 1. It depends on that order, so a trade that arrives late, is amended or cancelled makes its position fold
again from the last checkpoint before it. Quantity, cash and fees are exact and only need their difference.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, cast

from sortedcontainers import SortedKeyList

from riskengine.records.types import (
    CASH_ONE,
    CASH_PER_ONE,
    MULTIPLIER_DECIMALS,
    ONE,
    Opening,
    Trade,
    order_key,
    version_fingerprint,
)

TRADES_PER_CHECKPOINT = 64
"""Trades between two checkpoints: what a late trade costs at most beyond its own distance from the end."""

_UNIT: int = CASH_ONE
_MILLI: int = CASH_ONE // 10**3
_MICRO: int = CASH_ONE // 10**6
_NANO: int = CASH_ONE // 10**9

LONG_HISTORY_TRADES = 2_000
"""From this many trades on a sorted list of blocks beats one flat list for insertions in the middle."""

NO_FEES: dict[str, int] = {}

BEFORE_THE_BASE = "trades that a base stands for are read again before anything comes among them"


def replace_fees(total: dict[str, int], old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    """Fees by currency with `old` taken out and `new` put in; a new dictionary, by name, without zeros."""
    if len(new) == 1 and old.keys() <= new.keys() and total.keys() <= new.keys():  # nearly always one currency
        for currency, units in new.items():
            units += total.get(currency, 0) - old.get(currency, 0)
            return {currency: units} if units else {}
    result = dict(total)
    for currency, units in old.items():
        result[currency] = result.get(currency, 0) - units
    for currency, units in new.items():
        result[currency] = result.get(currency, 0) + units
    return {currency: units for currency, units in sorted(result.items()) if units}


def next_average(quantity: int, average: float | None, signed: int, price: float) -> float | None:
    """The average open price after a trade of `signed` units (1e-10, buy > 0) at `price`; None when flat.

    The table of ACCOUNTING section 1. Example: long 100 at 1.0, buy 50 at 4.0 -> 2.0; sell 150 -> None; sell 200 -> 4.0.
    """
    after = quantity + signed
    if quantity == 0:
        return price
    if (quantity > 0) == (signed > 0):
        held: float = abs(quantity) / ONE
        added: float = abs(signed) / ONE
        assert average is not None, "an open position has an average"
        return (held * average + added * price) / (held + added)
    if after == 0:
        return None
    return average if (after > 0) == (quantity > 0) else price


class Base(NamedTuple):
    """What a position was after opening balances and its oldest trades, which it holds no more.

    `newest` is the newest of those trades, `since` the time of the oldest, `trade_count` how many they are.
    """

    quantity: int
    cash: int
    average: float | None
    identities: int
    fees: dict[str, int]
    newest: Trade
    trade_count: int
    since: int


class Position:
    """The state of one (leaf node, instrument) or (dealer, instrument). Owned by the writer thread.

    quantity  signed, units of 1e-10          average  open price (double), None when flat
    cash      net cash, units of 1e-28        fees     by currency, units of 1e-10; replaced, never changed in place
    trades    effective trades, oldest first  openings balances brought forward
    identities sum of the trades' fingerprints
    base      what stands for still older trades (`freeze`), None where `trades` are all

    `owner`, `instrument` and `slot` say where it stands in its roll-up (`ledger`).
    """

    __slots__ = (
        "average",
        "base",
        "cash",
        "checkpoints",
        "fees",
        "identities",
        "instrument",
        "openings",
        "owner",
        "quantity",
        "slot",
        "trades",
    )

    quarantined: ClassVar[int] = 0
    """Positions here whose amounts are unknown: 0, but 1 of a `SetAsidePosition`."""

    def __init__(self, owner: int = 0, instrument: int = 0, slot: int = 0) -> None:
        self.owner = owner
        self.instrument = instrument
        self.slot = slot
        self.quantity = 0
        self.cash = 0
        self.average: float | None = None
        self.fees: dict[str, int] | None = None
        self.identities = 0
        self.trades: Any = ()  # then list[Trade], and a SortedKeyList of them once it is long
        self.checkpoints: list[tuple[int, float | None]] | None = None
        self.openings: tuple[Opening, ...] = ()
        self.base: Base | None = None

    @property
    def count(self) -> int:
        """How many effective trades there are."""
        return len(self.trades) + (self.base.trade_count if self.base is not None else 0)

    def open_with(self, opening: Opening, multiplier: int, currency: str) -> None:
        """Add a balance brought forward: a trade at its average price plus its realised P&L, before every trade.

        A position nets several (of dealers at a desk, of desks of a dealer): they are folded by (ts, desk, dealer). O(trades).
        """
        self.openings = tuple(sorted((*self.openings, opening), key=lambda o: (o.ts, o.desk, o.dealer)))
        self.cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * multiplier
        self._add_fees(currency, opening.fees)
        self._fold_from(0)

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """Put a trade in its place. Returns how many newer trades were there already (0: it is the newest).

        `fingerprint` is its `version_fingerprint`, for who has it. O(1) for the newest; otherwise O(log n + trades since the last
        checkpoint before it).
        """
        self.identities += _fingerprint(trade) if fingerprint is None else fingerprint
        trades = self.trades
        if trades:
            newest = trades[-1]
            if newest.ts >= trade.ts and order_key(newest) > order_key(trade):
                return self._insert(trade)
            if type(trades) is list:
                trades.append(trade)
                if len(trades) > LONG_HISTORY_TRADES:
                    self.trades = SortedKeyList(trades, key=order_key)
            else:
                trades.add(trade)
        else:
            assert not self.covers(trade), BEFORE_THE_BASE
            self.trades = [trade]
        quantity, signed = self.quantity, trade.signed_quantity
        self.average = next_average(quantity, self.average, signed, trade.fill_price) if quantity else trade.fill_price
        self.quantity = quantity + signed
        self.cash += trade.cash
        if trade.fees:
            self._add_fees(trade.fees_currency, trade.fees)
        if trades and not len(trades) % TRADES_PER_CHECKPOINT:
            self._checkpoint(self.quantity, self.average)
        return 0

    def extend(self, trades: Sequence[Trade], fingerprints: Sequence[int]) -> bool:
        """Put several trades behind those that are there, as `add` does one by one. O(trades).

        Returns False, and nothing is done, where that is not their place or the history gets long.
        """
        held = self.trades or []
        count = len(held)
        if type(held) is not list or count + len(trades) > LONG_HISTORY_TRADES:
            return False
        quantity, average, cash = self.quantity, self.average, self.cash
        newest = held[-1] if held else self.base.newest if self.base is not None else None
        charged: list[Trade] = []
        checkpoints: list[tuple[int, float | None]] = []
        for trade in trades:
            if newest is not None and newest.ts >= trade.ts and order_key(newest) > order_key(trade):
                return False
            newest = trade
            signed = trade.signed_quantity
            average = next_average(quantity, average, signed, trade.fill_price) if quantity else trade.fill_price
            quantity += signed
            cash += trade.cash
            if trade.fees:
                charged.append(trade)
            count += 1
            if not count % TRADES_PER_CHECKPOINT:
                checkpoints.append((quantity, average))
        held += trades
        self.trades, self.quantity, self.average, self.cash = held, quantity, average, cash
        self.identities += sum(fingerprints)
        for currency in {trade.fees_currency for trade in charged}:
            self._add_fees(currency, sum(trade.fees for trade in charged if trade.fees_currency == currency))
        if checkpoints:
            self.checkpoints = (self.checkpoints or []) + checkpoints
        return True

    def _insert(self, trade: Trade) -> int:
        """Put a trade before newer ones; how many there are."""
        assert not self.covers(trade), BEFORE_THE_BASE
        trades = self.trades
        self.cash += trade.cash
        self._add_fees(trade.fees_currency, trade.fees)
        at = self._index(trade)
        if type(trades) is list:
            trades.insert(at, trade)
            if len(trades) > LONG_HISTORY_TRADES:
                trades = self.trades = SortedKeyList(trades, key=order_key)
        else:
            trades.add(trade)
        self._fold_from(at)
        return len(trades) - at - 1

    def remove(self, trade: Trade) -> None:
        """Take a trade out again (amended or cancelled). O(log n + trades since the last checkpoint before it)."""
        assert not self.covers(trade), BEFORE_THE_BASE
        at = self._index(trade)
        assert self.trades[at].identity == trade.identity, "a trade to remove must be in its position"
        del self.trades[at]
        self.identities -= _fingerprint(trade)
        self.cash -= trade.cash
        self._add_fees(trade.fees_currency, -trade.fees)
        self._fold_from(at)

    def holds(self, trade: Trade) -> bool:
        """Whether this very record of a trade stands here, in its place, or is so old that the base stands for it. O(log n)."""
        if self.covers(trade):
            return True
        at = self._index(trade)
        return at < len(self.trades) and self.trades[at] is trade

    def adopt(self, trade: Trade) -> None:
        """Hold this very record of a trade in the place of an equal one, where there is one. O(log n)."""
        if (at := self._index(trade)) < len(self.trades) and self.trades[at] == trade:
            del self.trades[at]
            self.trades.insert(at, trade) if type(self.trades) is list else self.trades.add(trade)

    def covers(self, trade: Trade) -> bool:
        """Whether the place of a trade is among those that the base stands for."""
        return self.base is not None and order_key(trade) <= order_key(self.base.newest)

    def freeze(self, count: int) -> None:
        """Let the base stand for the oldest `count` trades; whatever is shown stays as it is. O(trades left)."""
        since, newest = self.trades[0].ts if self.base is None else self.base.since, self.trades[count - 1]
        if count == len(self.trades):
            fees = self.fees or NO_FEES
            self.base = Base(self.quantity, self.cash, self.average, self.identities, fees, newest, self.count, since)
            self.trades, self.checkpoints = (), None
            return
        (quantity, average), left, fees = self._after(count), list(self.trades[count:]), self.fees or NO_FEES
        for trade in filter(attrgetter("fees"), left):
            fees = replace_fees(fees, {trade.fees_currency: trade.fees}, NO_FEES)
        self.base = Base(
            quantity,
            self.cash - sum(trade.cash for trade in left),
            average,
            self.identities - sum(map(_fingerprint, left)),
            fees,
            newest,
            self.count - len(left),
            since,
        )
        self._hold(left)

    def thaw(self, trades: Sequence[Trade]) -> None:
        """Hold again, oldest first, the trades that the base stands for. O(trades)."""
        self.base = None
        self._hold([*trades, *self.trades])

    def _hold(self, trades: list[Trade]) -> None:
        self.trades = SortedKeyList(trades, key=order_key) if len(trades) > LONG_HISTORY_TRADES else trades
        self._fold_from(0)

    def _after(self, count: int) -> tuple[int, float | None]:
        """Quantity and average after the oldest `count` trades. O(trades since the last checkpoint before)."""
        kept = count // TRADES_PER_CHECKPOINT
        quantity, average = self.checkpoints[kept - 1] if kept and self.checkpoints is not None else self._opened()
        for trade in self.trades[kept * TRADES_PER_CHECKPOINT : count]:
            average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
            quantity += trade.signed_quantity
        return quantity, average

    def _index(self, trade: Trade) -> int:
        if type(self.trades) is SortedKeyList:
            return cast(int, self.trades.bisect_key_left(order_key(trade)))
        return bisect_left(self.trades, order_key(trade), key=order_key)

    def _add_fees(self, currency: str, units: int) -> None:
        if not units:
            return
        self.fees = replace_fees(self.fees or NO_FEES, NO_FEES, {currency: units}) or None

    def _fold_from(self, at: int) -> None:
        """Recompute quantity and average from the last checkpoint at or before index `at`."""
        kept = at // TRADES_PER_CHECKPOINT
        if self.checkpoints:
            del self.checkpoints[kept:]
        if kept:
            assert self.checkpoints is not None, "a checkpoint every so many trades"
            quantity, average = self.checkpoints[-1]
        else:
            quantity, average = self._opened()
        count = kept * TRADES_PER_CHECKPOINT
        for trade in self.trades[count:]:
            average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
            quantity += trade.signed_quantity
            count += 1
            if count % TRADES_PER_CHECKPOINT == 0:
                self._checkpoint(quantity, average)
        self.quantity, self.average = quantity, average

    def _checkpoint(self, quantity: int, average: float | None) -> None:
        if self.checkpoints is None:
            self.checkpoints = []  # most positions never get one
        self.checkpoints.append((quantity, average))

    def _opened(self) -> tuple[int, float | None]:
        """Quantity and average before the first trade that is held."""
        if self.base is not None:
            return self.base.quantity, self.base.average
        quantity, average = 0, None
        for opening in self.openings:
            if opening.quantity:
                average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
                quantity += opening.quantity
        return quantity, average

    def check(self, multiplier: int) -> None:
        """Assert that the state is what its trades say (every invariant that concerns one position). O(trades)."""
        quantity, average = self._opened()
        if self.base is not None:
            cash, identities = self.base.cash, self.base.identities
            assert not self.trades or not self.covers(self.trades[0]), "trades out of order"
        else:
            cash = sum(o.realised * CASH_PER_ONE - o.quantity * o.average_price * multiplier for o in self.openings)
            identities = 0
        trades: Sequence[Trade] = self.trades
        for before, after in pairwise(trades):
            assert order_key(before) < order_key(after), "trades out of order"
        for trade in trades:
            average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
            quantity += trade.signed_quantity
            cash += trade.cash
            identities += _fingerprint(trade)
        assert identities == self.identities, "the fingerprints are not those of the trades"
        assert (quantity, cash) == (self.quantity, self.cash), "I1: quantity or cash is not the sum of the trades"
        assert average == self.average, "I3: the average is not that of the trades in order"
        assert (self.average is None) == (self.quantity == 0), "flat exactly when there is no average"


def _fingerprint(trade: Trade) -> int:
    return version_fingerprint(trade.source, trade.trade_id, trade.leg, trade.version)


def open_cost(cost: float) -> int:
    """K = k q A as an exact integer in units of 1e-28, to the fifteen digits that a double is good for.

    Without the noise of the sixteenth, a position that was opened and never reduced has realised exactly nothing.
    """
    size = abs(cost)
    if size < 1e6:
        return round(cost * 1e9) * _NANO
    if size < 1e9:
        return round(cost * 1e6) * _MICRO
    if size < 1e12:
        return round(cost * 1e3) * _MILLI
    return round(cost) * _UNIT


class HeldState(NamedTuple):
    """A position as it stood: for the notice of a late trade."""

    quantity: int
    cash: int
    average: float | None
    multiplier: int

    def split(self, mark: float | None) -> dict[str, float | None]:
        """Average, realised and unrealised in the instrument's currency; unrealised is None without a mark."""
        size = self.quantity * self.multiplier / (ONE * 10**MULTIPLIER_DECIMALS)
        cost = size * self.average if self.average is not None else 0.0
        unrealised = 0.0 if not self.quantity else None if mark is None else size * mark - cost
        return {"average_price": self.average, "realised_pnl": self.cash / CASH_ONE + cost, "unrealised_pnl": unrealised}


class LateFold(NamedTuple):
    """A position before and after a trade `late_by` microseconds older than its newest was put in its place."""

    late_by: int
    before: HeldState
    after: HeldState


def fold_in(position: Position, trade: Trade, fingerprint: int, tolerance: int, multiplier: int) -> LateFold | None:
    """Put a trade in its place (`Position.add`).

    Returns what that did where it came more than `tolerance` microseconds of event time behind the newest there, else None.
    """
    quantity, cash, average = position.quantity, position.cash, position.average
    if not position.add(trade, fingerprint):
        return None
    late_by = position.trades[-1].ts - trade.ts
    if late_by <= tolerance:
        return None
    before = HeldState(quantity, cash, average, multiplier)
    return LateFold(late_by, before, HeldState(position.quantity, position.cash, position.average, multiplier))
