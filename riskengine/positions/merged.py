"""A position with forwards in it: a forward that is merged into spot at its roll, or the spot position that takes it.

Each merge is an entry at the boundary of the roll, as what a corporate action generates (`adjusted`): the forward gives its
quantity away at a price, spot takes it at the same. A forward keeps all its trades in memory. A spot position may have a base
that stands for older trades than its first entry.
"""

from collections.abc import Callable
from itertools import pairwise

from riskengine.positions.adjusted import AdjustedPosition, Entry
from riskengine.positions.position import NO_FEES, Position, next_average, replace_fees
from riskengine.records.actions import NO_RATIO, Ratio
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import CASH_PER_ONE, ONE, Instrument, Opening, Trade, order_key

MERGE = "merge"
"""The kind of the entries, and of what they show as."""


class MergeTerms:
    """In place of `adjustments.Terms`, where no corporate action acts: every trade counts as it was dealt."""

    def __init__(self, instrument: Instrument, *, is_forward: bool) -> None:
        self.symbol = instrument.instrument
        self.multiplier = instrument.multiplier
        self.decimals = instrument.quantity_decimals
        self.currency = instrument.currency
        self.is_forward = is_forward
        self.paths = {self.symbol: NO_PATH}

    def is_early(self, ts: int, date: str) -> bool:
        """Whether entries follow from a trade: from every one of a forward."""
        return self.is_forward

    def fold(self, trade: Trade) -> tuple[int, float]:
        """Signed quantity and price that a trade counts with."""
        return trade.signed_quantity, trade.fill_price

    def ratio_of(self, trade: Trade) -> Ratio:
        """The ratio of the splits that a trade is dated before: none."""
        return NO_RATIO

    def fold_opening(self, opening: Opening) -> tuple[int, float]:
        """Signed quantity and price that a balance counts with."""
        return opening.quantity, opening.average_price / ONE


class _NoPath:
    """The way of an instrument that nothing has changed."""

    splits: tuple[()] = ()


NO_PATH = _NoPath()


class MergedPosition(AdjustedPosition):
    """See the module. `waiting` gets the position of a forward when its merges are to be worked out again (`merges`)."""

    __slots__ = ()

    def __init__(self, owner: int, instrument: int, slot: int, terms: MergeTerms, waiting: "dict[Position, None]") -> None:
        super().__init__(owner, instrument, slot, terms, waiting)  # type: ignore[arg-type]

    @classmethod
    def of(cls, position: Position, terms: MergeTerms) -> "MergedPosition":
        """The same position, ready to take entries. O(trades)."""
        made = cls(position.owner, position.instrument, position.slot, terms, {})
        for field in ("openings", "base", "carry", "beside", "cash", "fees", "identities", "checkpoints", "trades"):
            setattr(made, field, getattr(position, field))
        made.quantity, made.average, made.refolded_from = position.quantity, position.average, 0
        return made

    def without(self, leaves_out: Callable[[Trade], bool], multiplier: int, currency: str) -> Position:
        """See `AdjustedPosition`."""
        terms: MergeTerms = self.terms  # type: ignore[assignment]
        other = MergedPosition(self.owner, self.instrument, self.slot, terms, {})
        if self.base is None:
            other.open_with(self.openings, multiplier, currency)
        else:
            other.base, other.cash, other.fees = self.base, self.base.cash, self.base.fees or None
            other.identities, other.quantity, other.average = self.base.identities, self.base.quantity, self.base.average
        kept = [trade for trade in self.trades if not leaves_out(trade)]
        if not other.extend(kept, [0] * len(kept)):
            for trade in kept:
                other.add(trade)
        other.set_entries(self.entries)
        return other

    def stood_before(self, ts: int) -> tuple[int, int, float | None]:
        """Quantity, cash and average from the trades and entries of before a moment, carry with it. O(trades)."""
        quantity, average = self._opened()
        later = [trade for trade in self.trades if trade.ts >= ts]
        entries = [entry for entry in self.folds if entry.ts < ts]
        cash = self.cash - sum(trade.cash for trade in later) - sum(entry.cash for entry in self.folds if entry.ts >= ts)
        done = 0
        for trade in self.trades[: len(self.trades) - len(later)]:
            while done < len(entries) and entries[done].ts <= trade.ts:
                quantity, average = self._take(quantity, average, entries[done])
                done += 1
            average = next_average(quantity, average, trade.signed_quantity, trade.fill_price)
            quantity += trade.signed_quantity
        for entry in entries[done:]:
            quantity, average = self._take(quantity, average, entry)
        return quantity, cash, average

    def _opened(self) -> tuple[int, float | None]:
        """See `Position`."""
        if self.base is not None:
            return self.base.quantity, self.base.average
        return super()._opened()

    def check(self, multiplier: int) -> None:
        """Assert every invariant: its state is what its base, its trades and its entries come to. O(trades)."""
        for before, after in pairwise(self.trades):
            assert order_key(before) < order_key(after), "trades out of order"
        quantity, average = self.quantity, self.average
        self._fold_from(0)
        assert (quantity, average) == (self.quantity, self.average), "I3: not the fold of its trades in order"
        base = self.base
        if base is not None:
            cash, identities, fees = base.cash, base.identities, base.fees
        else:
            cash = sum(o.realised * CASH_PER_ONE - o.quantity * o.average_price * multiplier for o in self.openings)
            identities, fees = 0, NO_FEES
        cash += sum(trade.cash for trade in self.trades) + sum(entry.cash for entry in self.entries)
        assert self.cash == cash + self.carry_cash, "I1: cash is not the sum of the trades"
        assert self.identities == identities + sum(map(trade_fingerprint, self.trades)), "the fingerprints are not of the trades"
        for trade in self.trades if base is not None or not self.openings else ():
            fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees}) if trade.fees else fees
        assert self.openings or base is not None or fees == (self.fees or NO_FEES), "I1: fees are not the sum of the trades"
        assert (average is None) == (quantity == 0), "flat exactly when there is no average"


def merge_entry(ts: int, rank: tuple[str, str], owner: tuple[str, str], signed: int, price: int, multiplier: int) -> Entry:
    """What a merge adds to a position of (desk, dealer): `signed` units at a price, both in units of 1e-10."""
    desk, dealer = owner
    return Entry(ts, rank, MERGE, desk, dealer, signed, signed, price / ONE, -signed * price * multiplier)
