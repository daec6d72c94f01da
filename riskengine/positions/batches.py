"""Collects the trades that enter and leave positions in a batch, and applies them together.

Changes of one position are applied in the order in which they came; changes of different positions are independent. So a large
batch goes position by position: each is fetched from memory once, not once for each of its trades, which would be most of the
time of a start with 300,000 positions. Writer thread only.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from riskengine.positions.fold_columns import ColumnFold, Runs, TradeColumns, find_round_trips, put_position
from riskengine.positions.ledger import MASK, SHIFT, Ledger, Rollup
from riskengine.positions.position import LateFold, fold_in
from riskengine.records.fingerprints import fingerprint_columns, join_parts
from riskengine.records.types import IntArray, Trade

GROUP_FROM_TRADES = 2_048
"""From this many trades on, sorting them by position pays."""

COLUMNS_FROM_TRADES = 16_384
"""From this many trades on, folding in columns pays."""

NOWHERE = -1
"""The place of a trade that needs no `Late`."""


class Late(NamedTuple):
    """A trade that was folded behind newer ones; `place` is the one that it entered with."""

    place: int
    trade: Trade
    fold: LateFold


class PositionChanges:
    """The trades that enter and leave positions, in order. `on_progress` hears how much is applied, 0 to 1, of a large batch."""

    __slots__ = ("_on_progress", "leaving", "places", "trades")

    def __init__(self, on_progress: Callable[[float], None] | None = None) -> None:
        self._on_progress = on_progress
        self.trades: list[Trade] = []
        self.places: list[int] = []
        self.leaving: set[int] = set()

    def enter(self, trade: Trade, place: int = NOWHERE) -> None:
        """Let a trade enter its positions. If it comes late, `apply` returns a `Late` with this `place`, unless it is NOWHERE."""
        self.trades.append(trade)
        self.places.append(place)

    def enter_all(self, trades: Sequence[Trade], first: int, end: int) -> None:
        """Let trades `first` to `end` (excluded) enter their positions; their places are those numbers."""
        self.trades += trades[first:end]
        self.places += range(first, end)

    def leave(self, trade: Trade) -> None:
        """Let a trade leave its positions."""
        self.leaving.add(len(self.trades))
        self.enter(trade)

    def apply(self, ledger: Ledger, tolerance: int) -> list[Late]:
        """Apply them. Returns the trades that came more than `tolerance` microseconds late, by place. 4 us a trade."""
        if len(self.trades) < GROUP_FROM_TRADES:
            late = self._apply_one_by_one(ledger, tolerance)
        else:
            if ledger.window is not None:
                leaving = self.leaving
                for at, trade in enumerate(self.trades):
                    ledger.note_dated(trade, leaves=at in leaving)
            late = sorted(self._apply_by_position(ledger, tolerance), key=attrgetter("place"))
        return late

    def _apply_one_by_one(self, ledger: Ledger, tolerance: int) -> list[Late]:
        late: list[Late] = []
        for at, trade in enumerate(self.trades):
            if at in self.leaving:
                ledger.remove(trade)
                continue
            fold = ledger.add(trade, tolerance)
            if fold is not None and self.places[at] != NOWHERE:
                late.append(Late(self.places[at], trade, fold))
        return late

    def _apply_by_position(self, ledger: Ledger, tolerance: int) -> Iterator[Late]:
        trades = self.trades
        parts = np.array(fingerprint_columns(trades), dtype=np.int64)
        self._report(0.2)
        dealers = {dealer: ledger.dealer_number(dealer) for dealer in dict.fromkeys(trade.dealer for trade in trades)}
        instruments = _numbers("instrument", ledger.numbers, trades)
        fold = None
        if len(trades) >= COLUMNS_FROM_TRADES:
            columns = TradeColumns(trades, parts, instruments, ledger.reference, _adjusted(ledger.organisation))
            fold = partial(ColumnFold, columns, round_trips=find_round_trips(trades, self.leaving))
            self._report(0.4)
        keys = _numbers("dealer", dealers, trades) << SHIFT | instruments
        for _ in self._apply_to(ledger.dealers, keys, parts, tolerance, fold):
            pass  # the organisation alone reports what came late
        self._report(0.6)
        desks = _numbers("desk", ledger.reference.hierarchy.index, trades)
        if fold is not None:
            fold = partial(fold, watched=np.array(self.places) != NOWHERE, tolerance=tolerance)
        yield from self._apply_to(ledger.organisation, desks << SHIFT | instruments, parts, tolerance, fold)
        self._report(1.0)

    def _report(self, share: float) -> None:
        if self._on_progress is not None:
            self._on_progress(share)

    def _apply_to(
        self, rollup: Rollup, keys: IntArray, parts: IntArray, tolerance: int, fold: Callable[..., ColumnFold] | None
    ) -> Iterator[Late]:
        """Apply the changes to one roll-up: by owner, and for each by instrument in the order of first trades.

        `parts` are those of the trades' fingerprints, shape (3, trades).
        """
        order = np.argsort(keys, kind="stable")
        ordered_keys = keys[order]
        starts = np.flatnonzero(np.diff(ordered_keys, prepend=-1))
        ends = np.append(starts[1:], len(keys))
        run_keys = ordered_keys[starts]
        runs = np.lexsort((order[starts], run_keys >> SHIFT))
        if fold is not None:
            books, listed = rollup.books, run_keys.tolist()
            held = [books[key >> SHIFT].positions.get(key & MASK) for key in listed]
            states = fold(Runs(order, starts, ends), held).states()
            folded = zip(run_keys[runs].tolist(), map(states.__getitem__, runs.tolist()), strict=True)
            is_put = [put_position(rollup, key >> SHIFT, key & MASK, state) for key, state in folded]
            runs = runs[~np.array(is_put, dtype=np.bool_)]
            order, starts, ends = _keep_runs(runs, order, starts, ends)
        arrived = order.tolist()
        ordered, ordered_prints = [*map(self.trades.__getitem__, arrived)], join_parts(*parts[:, order].tolist())
        instruments, leaving, places = rollup.reference.instruments, self.leaving, self.places
        for key, start, stop in zip(*(column[runs].tolist() for column in (run_keys, starts, ends)), strict=True):
            position = rollup.position(key >> SHIFT, key & MASK)
            for first, end in _split_run(arrived, start, stop, leaving) if leaving else ((start, stop),):
                if end - first == 1 and arrived[first] in leaving:
                    position.remove(ordered[first])
                elif not position.extend(ordered[first:end], ordered_prints[first:end]):
                    for at in range(first, end):
                        late = fold_in(
                            position, ordered[at], ordered_prints[at], tolerance, instruments[key & MASK].contract_multiplier
                        )
                        if late is not None and places[arrived[at]] != NOWHERE:
                            yield Late(places[arrived[at]], ordered[at], late)


def _adjusted(rollup: Rollup) -> Collection[int]:
    """The instruments whose positions are folded by terms of their own."""
    return {*rollup.terms, *rollup.makers} if rollup.makers else rollup.terms


def _keep_runs(runs: IntArray, order: IntArray, starts: IntArray, ends: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """An order reduced to some of its runs, with the starts and ends of those in it."""
    kept = np.zeros(len(starts), dtype=np.bool_)
    kept[runs] = True
    lengths = ends - starts
    ends = np.cumsum(np.where(kept, lengths, 0))
    return order[np.repeat(kept, lengths)], ends - lengths, ends


def _split_run(arrived: Sequence[int], first: int, end: int, leaving: Collection[int]) -> Iterator[tuple[int, int]]:
    """The parts of a run: one for each trade that leaves, one for the trades between two of those."""
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
    """For each trade the number of the name in a field."""
    return np.fromiter(map(index.__getitem__, map(attrgetter(field), trades)), dtype=np.int64, count=len(trades))
