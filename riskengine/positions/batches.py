"""Trades that enter and leave positions, carried out together.

What happens to one position happens in the order in which it came; what happens to different positions does not touch each
other and may be done in any order. So a large batch is done position by position: each is fetched from memory once, not once for
each of its trades, which at a start on 300,000 positions is most of the time. Writer thread only.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from riskengine.positions.fold_columns import Folded, Runs, TradeColumns, passing, put
from riskengine.positions.ledger import MASK, SHIFT, Ledger, Rollup
from riskengine.positions.position import LateFold, fold_in
from riskengine.records.types import IntArray, Trade, version_fingerprints

GROUP_FROM_TRADES = 2_048
"""Trades from which on sorting them by position pays."""

COLUMNS_FROM_TRADES = 16_384
"""Trades from which on folding the new positions among theirs in columns pays."""

NOWHERE = -1


class Late(NamedTuple):
    """A trade that was put in its place behind newer ones; `place` is what `Moves.enter` was given."""

    place: int
    trade: Trade
    fold: LateFold


class PositionChanges:
    """What is to be done, in order. `told` hears how much of it is done, 0 to 1, where there is very much."""

    __slots__ = ("_told", "leaving", "places", "trades")

    def __init__(self, told: Callable[[float], None] | None = None) -> None:
        self._told = told
        self.trades: list[Trade] = []
        self.places: list[int] = []
        self.leaving: set[int] = set()

    def enter(self, trade: Trade, place: int = NOWHERE) -> None:
        """A trade enters its positions. `place` names it where a `Late` about it is wanted."""
        self.trades.append(trade)
        self.places.append(place)

    def enter_all(self, trades: Sequence[Trade], first: int, end: int) -> None:
        """Trades `first` to `end` (excluded) enter their positions; their places are those numbers."""
        self.trades += trades[first:end]
        self.places += range(first, end)

    def leave(self, trade: Trade) -> None:
        """A trade leaves its positions."""
        self.leaving.add(len(self.trades))
        self.enter(trade)

    def apply(self, ledger: Ledger, tolerance: int) -> list[Late]:
        """Do it. Returns what came late, more than `tolerance` microseconds, by place. 4 us a trade."""
        if len(self.trades) < GROUP_FROM_TRADES:
            late = self._one_by_one(ledger, tolerance)
        else:
            late = sorted(self._by_position(ledger, tolerance), key=attrgetter("place"))
        return late

    def _one_by_one(self, ledger: Ledger, tolerance: int) -> list[Late]:
        late: list[Late] = []
        for at, trade in enumerate(self.trades):
            if at in self.leaving:
                ledger.remove(trade)
                continue
            fold = ledger.add(trade, tolerance)
            if fold is not None and self.places[at] != NOWHERE:
                late.append(Late(self.places[at], trade, fold))
        return late

    def _by_position(self, ledger: Ledger, tolerance: int) -> Iterator[Late]:
        trades = self.trades
        names = (map(attrgetter(field), trades) for field in ("source", "trade_id", "leg", "version"))
        prints = version_fingerprints(*map(list, names))
        self._tell(0.2)
        dealers = {dealer: ledger.dealer_number(dealer) for dealer in dict.fromkeys(trade.dealer for trade in trades)}
        instruments = _numbers("instrument", ledger.reference.instrument_index, trades)
        fold = None
        if len(trades) >= COLUMNS_FROM_TRADES:
            columns = TradeColumns(trades, np.fromiter(prints, np.int64, len(trades)), instruments, ledger.reference)
            fold = partial(Folded, columns, moves=passing(trades, self.leaving))
            self._tell(0.4)
        keys = _numbers("dealer", dealers, trades) << SHIFT | instruments
        for _ in self._folded(ledger.dealers, keys, prints, tolerance, fold):
            pass  # lateness is the organisation's
        self._tell(0.6)
        desks = _numbers("desk", ledger.reference.hierarchy.index, trades)
        if fold is not None:
            fold = partial(fold, watched=np.array(self.places) != NOWHERE, tolerance=tolerance)
        yield from self._folded(ledger.organisation, desks << SHIFT | instruments, prints, tolerance, fold)
        self._tell(1.0)

    def _tell(self, share: float) -> None:
        if self._told is not None:
            self._told(share)

    def _folded(
        self, rollup: Rollup, keys: IntArray, prints: Sequence[int], tolerance: int, fold: Callable[..., Folded] | None
    ) -> Iterator[Late]:
        """Do it in one roll-up: owner by owner, and there in the order in which instruments first came."""
        order = np.argsort(keys, kind="stable")
        ordered_keys = keys[order]
        starts = np.flatnonzero(np.diff(ordered_keys, prepend=-1))
        ends = np.append(starts[1:], len(keys))
        run_keys = ordered_keys[starts]
        runs = np.lexsort((order[starts], run_keys >> SHIFT))
        if fold is not None:
            states = fold(Runs(order, starts, ends)).states()
            folded = zip(run_keys[runs].tolist(), map(states.__getitem__, runs.tolist()), strict=True)
            put_there = [put(rollup, key >> SHIFT, key & MASK, state) for key, state in folded]
            runs = runs[~np.array(put_there, dtype=np.bool_)]
            order, starts, ends = _left(runs, order, starts, ends)
        arrived = order.tolist()
        ordered, printed = [*map(self.trades.__getitem__, arrived)], [*map(prints.__getitem__, arrived)]
        instruments, leaving, places = rollup.reference.instruments, self.leaving, self.places
        for key, start, stop in zip(*(column[runs].tolist() for column in (run_keys, starts, ends)), strict=True):
            position = rollup.position(key >> SHIFT, key & MASK)
            for first, end in _stretches(arrived, start, stop, leaving) if leaving else ((start, stop),):
                if end - first == 1 and arrived[first] in leaving:
                    position.remove(ordered[first])
                elif not position.extend(ordered[first:end], printed[first:end]):
                    for at in range(first, end):
                        late = fold_in(position, ordered[at], printed[at], tolerance, instruments[key & MASK].multiplier)
                        if late is not None and places[arrived[at]] != NOWHERE:
                            yield Late(places[arrived[at]], ordered[at], late)


def _left(runs: IntArray, order: IntArray, starts: IntArray, ends: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """What is left of an order when only some of its runs are, with their starts and ends in it."""
    left = np.zeros(len(starts), dtype=np.bool_)
    left[runs] = True
    lengths = ends - starts
    ends = np.cumsum(np.where(left, lengths, 0))
    return order[np.repeat(left, lengths)], ends - lengths, ends


def _stretches(arrived: Sequence[int], first: int, end: int, leaving: Collection[int]) -> Iterator[tuple[int, int]]:
    """The parts of a run: one for each trade that leaves, one for those between them."""
    since = first
    for at in range(first, end):
        if arrived[at] in leaving:
            if since < at:
                yield since, at
            yield at, at + 1
            since = at + 1
    if since < end:
        yield since, end


def _numbers(field: str, index: Mapping[str, int], trades: Sequence[Trade]) -> IntArray:
    """The number of what each trade names in a field."""
    return np.fromiter(map(index.__getitem__, map(attrgetter(field), trades)), dtype=np.int64, count=len(trades))
