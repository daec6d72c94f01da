"""One position: exact quantity and cash, average cost, and the trades behind it in event-time order.

The average price is one IEEE double, computed trade by trade in the order of `order_key` with the expressions of ACCOUNTING
section 1. It depends on that order: when a trade arrives late, is amended or is cancelled, its position folds again from the last
checkpoint before it. Quantity, cash and fees are exact sums, which only take the difference.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, cast

from sortedcontainers import SortedKeyList

from riskengine.records.cash import CarryEntry
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import (
    CASH_ONE,
    CASH_PER_ONE,
    MULTIPLIER_DECIMALS,
    ONE,
    Opening,
    Trade,
    order_key,
)

TRADES_PER_CHECKPOINT = 64
"""Trades between two checkpoints. A late trade folds at most this many more than its own distance from the newest."""

_UNIT: int = CASH_ONE
_MILLI: int = CASH_ONE // 10**3
_MICRO: int = CASH_ONE // 10**6
_NANO: int = CASH_ONE // 10**9

LONG_HISTORY_TRADES = 2_000
"""Above this, a sorted list of blocks beats one flat list at insertions in the middle."""

NO_FEES: dict[str, int] = {}

BEHIND_THE_BASE = "the trades behind a base are recalled before a trade enters or leaves among them"


def replace_fees(total: dict[str, int], old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    """`total` with the fees `old` taken out and `new` put in: a new dictionary by currency, ordered by name, without zeros."""
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


Fold = tuple[int, int, float | None, int, dict[str, int], Trade | None]
"""A position after some of its trades: quantity, cash, average, identities, fees, the newest of those trades."""


class Base(NamedTuple):
    """A position after its opening balances and its oldest trades, which are no longer in memory (`freezing`).

    newest       the newest of those trades; `trade_count` is their number, `since` the time of the oldest in microseconds
    """

    quantity: int
    cash: int
    average: float | None
    identities: int
    fees: dict[str, int]
    newest: Trade
    trade_count: int
    since: int

    @property
    def fold(self) -> Fold:
        """What folding those trades again must come to, to the last bit."""
        return self[:6]


class Position:
    """The state of one (leaf node, instrument) or (dealer, instrument). Owned by the writer thread.

    quantity     signed, units of 1e-10
    cash         net cash, units of 1e-28
    average      open price (double), None when flat
    fees         by currency, units of 1e-10; replaced, never changed in place; None where there are none
    identities   sum of the fingerprints of all its effective trades (`records.fingerprints`): which they are and what they say
    trades       effective trades in memory, oldest first
    openings     balances brought forward
    carry        what it paid and received beside its trades, by time; in `cash` and `beside` already
    beside       carry in other currencies than that of `cash`, by currency, units of 1e-28; as `fees`
    base         the sums of still older trades (`freezing`), None where `trades` are all
    checkpoints  quantity and average after every TRADES_PER_CHECKPOINT of `trades`; None where there is none

    refolded_from  the lowest place among `trades` at which it was folded again since somebody looked (`settled_cash`)

    `owner`, `instrument` and `slot` are its place in its roll-up (`ledger`).
    """

    __slots__ = (
        "average",
        "base",
        "beside",
        "carry",
        "cash",
        "checkpoints",
        "fees",
        "identities",
        "instrument",
        "openings",
        "owner",
        "quantity",
        "refolded_from",
        "slot",
        "trades",
    )

    quarantined: ClassVar[int] = 0
    """1 for a `SetAsidePosition`, whose amounts are unknown, 0 for any other."""

    is_adjusted: ClassVar[bool] = False
    """Whether corporate actions act on it: then it is an `AdjustedPosition`."""

    @property
    def has_entries(self) -> bool:
        """Whether corporate actions generate something here. O(1)."""
        return False

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
        self.carry: tuple[CarryEntry, ...] = ()
        self.beside: dict[str, int] | None = None
        self.refolded_from = 0

    @property
    def trade_count(self) -> int:
        """The number of its effective trades, in memory or behind the base. O(1)."""
        return len(self.trades) + (self.base.trade_count if self.base is not None else 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of it: no trade, no balance brought forward, no carry. O(1)."""
        return not self.trades and not self.openings and not self.carry and self.base is None

    @property
    def is_frozen(self) -> bool:
        """Whether a base stands for its oldest trades, rather than the trades themselves. O(1)."""
        return self.base is not None

    def open_with(self, openings: Collection[Opening], multiplier: int, currency: str) -> None:
        """Add balances brought forward: each a trade at its average price plus its realised P&L, before every trade.

        A position nets several balances (of dealers at a desk, of desks of a dealer): they are folded by (ts, desk, dealer), all
        of them once a call. O(balances log balances + trades).
        """
        self.openings = tuple(sorted((*self.openings, *openings), key=_opening_order))
        self.cash += sum(each.realised * CASH_PER_ONE - each.quantity * each.average_price * multiplier for each in openings)
        self._add_fees(currency, sum(each.fees for each in openings))
        self._fold_from(0)

    @property
    def carry_cash(self) -> int:
        """The part of `cash` that is carry, units of 1e-28. O(carry)."""
        return sum(entry.amount for entry in self.carry if not entry.is_beside)

    def add_carry(self, entries: Collection[CarryEntry]) -> None:
        """Let carry enter net cash, or stand beside it. Quantity and average stay. O(carry log carry)."""
        self.carry = tuple(sorted((*self.carry, *entries)))
        self._count_carry(entries, 1)

    def remove_carry(self, entry: CarryEntry) -> None:
        """Take one carry entry out again, if it is there. O(carry)."""
        if entry in self.carry:
            self.carry = tuple(other for other in self.carry if other != entry)
            self._count_carry((entry,), -1)

    def _count_carry(self, entries: Collection[CarryEntry], sign: int) -> None:
        for entry in entries:
            if entry.is_beside:
                self.beside = replace_fees(self.beside or NO_FEES, NO_FEES, {entry.currency: sign * entry.amount}) or None
            else:
                self.cash += sign * entry.amount

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """Put a trade in its place. Returns how many newer trades were there already (0: it is the newest).

        Pass its `trade_fingerprint` where it is known. O(1) for the newest; otherwise O(log n + trades since the last
        checkpoint before it).
        """
        self.identities += trade_fingerprint(trade) if fingerprint is None else fingerprint
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
            assert not self.covers(trade), BEHIND_THE_BASE
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
        """Put several trades, oldest first, after those already there: the state that `add` makes one by one. O(trades).

        Returns False and does nothing where one of them is not the newest or the history gets long: then `add` them one by one.
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

    def at_time(self, ts: int) -> Iterator[Trade]:
        """Its trades in memory that were executed at `ts`, the last in order first. O(1) for the newest time, else O(log n)."""
        trades = self.trades
        if not trades or trades[-1].ts < ts:
            return
        end = len(trades)
        if trades[-1].ts > ts:
            is_list = type(trades) is list
            end = bisect_right(trades, ts, key=attrgetter("ts")) if is_list else trades.bisect_key_left((ts + 1,))
        for at in range(end - 1, -1, -1):
            if trades[at].ts != ts:
                return
            yield trades[at]

    def _insert(self, trade: Trade) -> int:
        """Put a trade before newer ones. Returns their number."""
        assert not self.covers(trade), BEHIND_THE_BASE
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
        assert not self.covers(trade), BEHIND_THE_BASE
        at = self._index(trade)
        assert self.trades[at].identity == trade.identity, "a trade to remove must be in its position"
        del self.trades[at]
        self.identities -= trade_fingerprint(trade)
        self.cash -= trade.cash
        self._add_fees(trade.fees_currency, -trade.fees)
        self._fold_from(at)

    def folded_trades(self) -> Sequence[Trade]:
        """What it is folded from in memory, in order, with the quantity and price that count now."""
        trades: Sequence[Trade] = self.trades
        return trades

    def holds(self, trade: Trade) -> bool:
        """Whether this very record of a trade stands in its place here, or the base stands for it. O(log n)."""
        if self.covers(trade):
            return True
        at = self._index(trade)
        return at < len(self.trades) and self.trades[at] is trade

    def adopt(self, trade: Trade) -> None:
        """Replace an equal record of a trade by this one, where there is one: the records then share memory. O(log n)."""
        if (at := self._index(trade)) < len(self.trades) and self.trades[at] == trade:
            del self.trades[at]
            self.trades.insert(at, trade) if type(self.trades) is list else self.trades.add(trade)

    def covers(self, trade: Trade) -> bool:
        """Whether the place of a trade is among those that the base stands for. O(1)."""
        return self.base is not None and order_key(trade) <= order_key(self.base.newest)

    def set_history(self, base: Base | None, trades: list[Trade]) -> None:
        """Hold `trades`, oldest first, and `base` for all older ones. The sums stay: both must come to the same. O(trades)."""
        self.base = base
        self.trades = SortedKeyList(trades, key=order_key) if len(trades) > LONG_HISTORY_TRADES else trades
        self._fold_from(0)

    def state_after(self, count: int) -> tuple[int, float | None]:
        """Quantity and average after the oldest `count` trades in memory. O(trades since the last checkpoint before)."""
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
        """Fold quantity and average again from the last checkpoint at or before index `at`."""
        self.refolded_from = min(self.refolded_from, at)
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
            self.checkpoints = []  # most positions never need the list
        self.checkpoints.append((quantity, average))

    def _opened(self) -> tuple[int, float | None]:
        """Quantity and average before the first trade in memory."""
        if self.base is not None:
            return self.base.quantity, self.base.average
        quantity, average = 0, None
        for opening in self.openings:
            if opening.quantity:
                average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
                quantity += opening.quantity
        return quantity, average

    def check(self, multiplier: int) -> None:
        """Assert every invariant of one position: its state is what its trades come to. O(trades)."""
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
            identities += trade_fingerprint(trade)
        assert identities == self.identities, "the fingerprints are not those of the trades"
        assert (quantity, cash + self.carry_cash) == (self.quantity, self.cash), (
            "I1: quantity or cash is not the sum of the trades"
        )
        assert average == self.average, "I3: the average is not that of the trades in order"
        assert (self.average is None) == (self.quantity == 0), "flat exactly when there is no average"


_opening_order = attrgetter("ts", "desk", "dealer")


def open_cost(cost: float) -> int:
    """K = k q A as an exact integer in units of 1e-28, rounded to the fifteen digits that a double is good for.

    The sixteenth digit is noise: without it, a position that was opened and never reduced has realised exactly 0.
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
    """A position at one moment, for the notice of a late trade. Units as in `Position`; `multiplier` in units of 1e-8."""

    quantity: int
    cash: int
    average: float | None
    multiplier: int

    def split(self, mark: float | None) -> dict[str, float | None]:
        """Average, realised and unrealised P&L in the instrument's currency; unrealised is None without a mark."""
        size = self.quantity * self.multiplier / (ONE * 10**MULTIPLIER_DECIMALS)
        cost = size * self.average if self.average is not None else 0.0
        unrealised = 0.0 if not self.quantity else None if mark is None else size * mark - cost
        return {"average_price": self.average, "realised_pnl": self.cash / CASH_ONE + cost, "unrealised_pnl": unrealised}


class LateFold(NamedTuple):
    """A position before and after it took a trade `late_by` microseconds older than its newest."""

    late_by: int
    before: HeldState
    after: HeldState


def fold_in(position: Position, trade: Trade, fingerprint: int, tolerance: int, multiplier: int) -> LateFold | None:
    """Put a trade in its place (`Position.add`).

    Returns before and after if the trade came more than `tolerance` microseconds of event time behind the newest, else None.
    """
    quantity, cash, average = position.quantity, position.cash, position.average
    if not position.add(trade, fingerprint):
        return None
    late_by = position.trades[-1].ts - trade.ts
    if late_by <= tolerance:
        return None
    before = HeldState(quantity, cash, average, multiplier)
    return LateFold(late_by, before, HeldState(position.quantity, position.cash, position.average, multiplier))
