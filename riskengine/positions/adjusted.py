"""A position on which corporate actions act: it holds its trades as stored, and folds them by the terms in force.

Beside trades it has `entries`: what actions generate (cash in lieu of a fraction, a spin-off; a dividend is carry). They stand in
the fold at the start of the ex-date, before its first trade. They are no trades: like opening balances they have no identity and
no count.
Such a position keeps all its trades in memory (`freezing` passes it over).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import ClassVar, NamedTuple

from msgspec.structs import replace

from riskengine.positions.adjustments import Terms
from riskengine.positions.position import (
    LONG_HISTORY_TRADES,
    TRADES_PER_CHECKPOINT,
    Position,
    next_average,
)
from riskengine.records.cash import CarryEntry
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import CASH_PER_ONE, ONE, Opening, Trade, order_key

ACTION_SOURCE = "action"
"""The source of generated entries, where they are shown as trades."""

GENERATED = 0
"""The version of carry that an action generates."""

CASH_IN_LIEU, DIVIDEND, SPIN_OFF = "cash_in_lieu", "dividend", "spin_off"


class Entry(NamedTuple):
    """What an action generates for one (desk, dealer, instrument). Units as in `Trade`.

    ts        the start of the ex-date, microseconds; `rank` is (ex_date, action_id)
    kind      `cash_in_lieu`, `dividend` or `spin_off`
    quantity  signed change, in units of the ex-date; `signed` is the same in units of today
    price     at which it changes the average open price, in units of today
    cash      exact change of net cash
    beside    of a dividend: the currency of `cash`, where that is another one than the instrument's
    cost      whether the cash is a part of the open cost that leaves: then it changes the average and realises nothing
    """

    ts: int
    rank: tuple[str, str]
    kind: str
    desk: str
    dealer: str
    quantity: int = 0
    signed: int = 0
    price: float = 0.0
    cash: int = 0
    cost: bool = False
    beside: str = ""

    def as_carry(self, currency: str) -> CarryEntry:
        """A dividend as it stands among the carry of a position; `currency` is the instrument's. Version 0, as no record has."""
        carry_id = f"{ACTION_SOURCE}:{self.rank[1]}:{self.desk}:{self.dealer}"
        return CarryEntry(self.ts, carry_id, GENERATED, DIVIDEND, self.cash, self.beside or currency, bool(self.beside))


_entry_order = attrgetter("ts", "rank", "kind", "cost", "desk", "dealer")


def netted(entries: Iterable[Entry], multiplier: int) -> Iterator[Entry]:
    """The entries as a position folds them: what one spin-off gives to several holders comes at once, at their common cost.

    One holder after the other would realise a part of what the short ones gave for what the long ones got.
    """
    for (_, kind, cost), group in groupby(entries, key=attrgetter("rank", "kind", "cost")):
        same = list(group)
        if kind != SPIN_OFF or cost or len(same) == 1:
            yield from same
            continue
        signed, cash = sum(entry.signed for entry in same), sum(entry.cash for entry in same)
        price = -cash / (signed * multiplier * ONE) if signed else 0.0
        yield same[0]._replace(quantity=0, signed=signed, price=price, cash=cash)


class AdjustedPosition(Position):
    """See the module. `waiting` gets this position when its entries are to be worked out again (`generated`)."""

    __slots__ = ("_folds", "entries", "terms", "waiting")

    is_adjusted: ClassVar[bool] = True

    def __init__(self, owner: int, instrument: int, slot: int, terms: Terms, waiting: "dict[Position, None]") -> None:
        super().__init__(owner, instrument, slot)
        self.terms = terms
        self.entries: tuple[Entry, ...] = ()
        self._folds: tuple[Entry, ...] = ()
        self.waiting = waiting
        waiting[self] = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of it: no trade, no balance, nothing generated. O(1)."""
        return not self.entries and super().is_empty

    @property
    def has_entries(self) -> bool:
        """See `Position`."""
        return bool(self.entries)

    def open_with(self, openings: Collection[Opening], multiplier: int, currency: str) -> None:
        """See `Position`."""
        super().open_with(openings, multiplier, currency)
        self.waiting[self] = None

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """See `Position`. O(trades since the last checkpoint before it)."""
        self.identities += trade_fingerprint(trade) if fingerprint is None else fingerprint
        if not self.trades:
            self.trades = []
        self._note(trade)
        return self._insert(trade)

    def extend(self, trades: Sequence[Trade], fingerprints: Sequence[int]) -> bool:
        """See `Position`."""
        held = self.trades or []
        ordered = (*held[-1:], *trades)
        if type(held) is not list or len(held) + len(trades) > LONG_HISTORY_TRADES:
            return False
        if any(order_key(one) > order_key(other) for one, other in pairwise(ordered)):
            return False
        count = len(held)
        held += trades
        self.trades = held
        self.identities += sum(fingerprints)
        self.cash += sum(trade.cash for trade in trades)
        for trade in trades:
            if trade.fees:
                self._add_fees(trade.fees_currency, trade.fees)
            self._note(trade)
        self._fold_from(count)
        return True

    def remove(self, trade: Trade) -> None:
        """See `Position`."""
        super().remove(trade)
        self._note(trade)

    def _note(self, trade: Trade) -> None:
        """Have the entries worked out again if an action may act on a trade that comes or goes."""
        if self.terms.is_early(trade.ts, trade.trade_date):
            self.waiting[self] = None

    @property
    def folds(self) -> tuple[Entry, ...]:
        """The entries as they are folded (`netted`)."""
        return self._folds

    def set_entries(self, entries: Iterable[Entry]) -> None:
        """Replace what actions generate. O(trades)."""
        given = list(entries)
        paid = [entry.as_carry(self.terms.currency) for entry in given if entry.kind == DIVIDEND]
        for entry in [entry for entry in self.carry if entry.version == GENERATED]:
            self.remove_carry(entry)
        super().add_carry(paid)
        ordered = tuple(sorted((entry for entry in given if entry.kind != DIVIDEND), key=_entry_order))
        if ordered == self.entries:
            return
        self.cash += sum(entry.cash for entry in ordered) - sum(entry.cash for entry in self.entries)
        self.entries, self._folds = ordered, tuple(netted(ordered, self.terms.multiplier))
        self._fold_from(0)

    def add_carry(self, entries: Collection[CarryEntry]) -> None:
        """See `Position`. Generated carry is left out: it comes with the entries, once they are worked out again."""
        super().add_carry([entry for entry in entries if entry.version != GENERATED])

    def folded_trades(self) -> Sequence[Trade]:
        """What it is folded from, as trades, in order: its own with the quantity and price that count, and its entries."""
        found = [self._folded(trade) for trade in self.trades]
        found += [self._as_trade(entry) for entry in self.entries]
        found.sort(key=lambda trade: (trade.ts, trade.source != ACTION_SOURCE or trade.leg >= 0, order_key(trade)))
        return found

    def without(self, leaves_out: Callable[[Trade], bool], multiplier: int, currency: str) -> Position:
        """What it would be without some of its trades; carry left out. O(trades log trades)."""
        other = AdjustedPosition(self.owner, self.instrument, self.slot, self.terms, {})
        other.open_with(self.openings, multiplier, currency)
        kept = [trade for trade in self.trades if not leaves_out(trade)]
        if not other.extend(kept, [0] * len(kept)):
            for trade in kept:
                other.add(trade)
        other.set_entries(self.entries)
        return other

    def _folded(self, trade: Trade) -> Trade:
        signed, price = self.terms.fold(trade)
        same = signed == trade.signed_quantity
        return trade if same else replace(trade, signed_quantity=signed, fill_price=price)

    def _as_trade(self, entry: Entry) -> Trade:
        """An entry in the form of a trade; leg -1, which no trade has, tells it from every stored one."""
        ex_date, action_id = entry.rank
        trade_id = f"{action_id}:{entry.desk}:{entry.dealer}"
        return Trade(
            ACTION_SOURCE,
            trade_id,
            -1,
            action=entry.kind,
            ts=entry.ts,
            instrument=self.terms.symbol,
            desk=entry.desk,
            dealer=entry.dealer,
            side="buy" if entry.signed >= 0 else "sell",
            quantity=abs(entry.signed),
            trade_date=ex_date,
            signed_quantity=entry.signed,
            cash=entry.cash,
            fill_price=entry.price,
        )

    def _fold_from(self, at: int) -> None:
        """See `Position`. An entry comes before every trade of its time or later."""
        self.refolded_from = min(self.refolded_from, at)
        kept = at // TRADES_PER_CHECKPOINT
        if self.checkpoints:
            del self.checkpoints[kept:]
        entries = self._folds
        if kept:
            assert self.checkpoints is not None, "a checkpoint every so many trades"
            quantity, average = self.checkpoints[-1]
            since = self.trades[kept * TRADES_PER_CHECKPOINT - 1].ts
            entries = tuple(entry for entry in entries if entry.ts > since)
        else:
            quantity, average = self._opened()
        count, done, fold = kept * TRADES_PER_CHECKPOINT, 0, self.terms.fold
        for trade in self.trades[count:]:
            while done < len(entries) and entries[done].ts <= trade.ts:
                quantity, average = self._take(quantity, average, entries[done])
                done += 1
            signed, price = fold(trade)
            if signed:
                average = next_average(quantity, average, signed, price)
                quantity += signed
            count += 1
            if count % TRADES_PER_CHECKPOINT == 0:
                self._checkpoint(quantity, average)
        for entry in entries[done:]:
            quantity, average = self._take(quantity, average, entry)
        self.quantity, self.average = quantity, average

    def _take(self, quantity: int, average: float | None, entry: Entry) -> tuple[int, float | None]:
        """Quantity and average after an entry."""
        if entry.signed:
            average = next_average(quantity, average, entry.signed, entry.price)
            return quantity + entry.signed, average
        if entry.cost and average is not None:
            average -= entry.cash / (quantity * self.terms.multiplier * ONE)
        return quantity, average

    def _opened(self) -> tuple[int, float | None]:
        """See `Position`."""
        quantity, average = 0, None
        for opening in self.openings:
            signed, price = self.terms.fold_opening(opening)
            if signed:
                average = next_average(quantity, average, signed, price)
                quantity += signed
        return quantity, average

    def check(self, multiplier: int) -> None:
        """Assert every invariant: its state is what its trades and entries come to. O(trades)."""
        for before, after in pairwise(self.trades):
            assert order_key(before) < order_key(after), "trades out of order"
        quantity, average, cash = self.quantity, self.average, self.cash
        self._fold_from(0)
        assert (quantity, average) == (self.quantity, self.average), "I3: not the fold of its trades in order"
        opened = sum(o.realised * CASH_PER_ONE - o.quantity * o.average_price * multiplier for o in self.openings)
        expected = opened + sum(trade.cash for trade in self.trades) + sum(entry.cash for entry in self.entries)
        assert cash == expected + self.carry_cash, "I1: cash is not the sum of the trades"
        assert self.identities == sum(map(trade_fingerprint, self.trades)), "the fingerprints are not those of the trades"
        assert (average is None) == (quantity == 0), "flat exactly when there is no average"
