"""The numbers of lines on positions, all lines at once: arrays of what they hold, multiplied with the prices of a snapshot.

One thread uses them, with snapshots in ascending order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from riskengine.limits.holdings import NOTHING_KNOWN, position_number, worst_position
from riskengine.limits.lines import LimitLine
from riskengine.limits.readings import Readings
from riskengine.positions.ledger import Row
from riskengine.records.limits import ABSOLUTE, BELOW
from riskengine.records.types import CASH_ONE, ONE, BoolArray, FloatArray, IntArray
from riskengine.snapshot.rows import QUANTITY_ONE
from riskengine.snapshot.snapshot import OwnerState, Snapshot

EXACT_ROWS = frozenset({"quantity"})
"""Measures that no price moves."""


class _Held(NamedTuple):
    """What a line is about, in columns: instrument, k q, net cash, whether it is open, whether all of it is known."""

    number: IntArray
    size: FloatArray
    quantity: FloatArray
    cash: FloatArray
    is_open: BoolArray
    is_sound: BoolArray

    @classmethod
    def of(cls, snapshot: Snapshot, rows: Sequence[Row]) -> "_Held":
        multipliers = [snapshot.reference.instruments[row.instrument].contract_multiplier for row in rows]
        return cls(
            np.array([row.instrument for row in rows], dtype=np.int64),
            np.array([row.quantity * k / QUANTITY_ONE for row, k in zip(rows, multipliers, strict=True)]),
            np.array([row.quantity / ONE for row in rows]),
            np.array([row.cash / CASH_ONE for row in rows]),
            np.array([bool(row.open_count) for row in rows], dtype=np.bool_),
            np.array([not row.quarantined for row in rows], dtype=np.bool_),
        )


_NO_AMOUNTS: FloatArray = np.zeros(0)
_NO_FLAGS: BoolArray = np.zeros(0, dtype=np.bool_)
_NOTHING = _Held(np.zeros(0, dtype=np.int64), _NO_AMOUNTS, _NO_AMOUNTS, _NO_AMOUNTS, _NO_FLAGS, _NO_FLAGS)


class PositionLines:
    """Reads the lines on positions. `places` are their places among all lines."""

    def __init__(self, lines: Sequence[tuple[int, LimitLine]]) -> None:
        self._lines = lines
        self._places: IntArray = np.array([at for at, _ in lines], dtype=np.int64)
        limits = [line.limit for _, line in lines]
        self._sign: FloatArray = np.array([-1.0 if limit.side == BELOW else 1.0 for limit in limits])
        self._absolute: BoolArray = np.array([limit.side == ABSOLUTE for limit in limits], dtype=np.bool_)
        self._of_one: BoolArray = np.array([bool(limit.instrument) for limit in limits], dtype=np.bool_)
        self._is_pnl: BoolArray = np.array([limit.measure == "position_pnl" for limit in limits], dtype=np.bool_)
        self._is_quantity: BoolArray = np.array([limit.measure in EXACT_ROWS for limit in limits], dtype=np.bool_)
        self._states: list[OwnerState | None] = [None] * len(lines)
        self._held: list[_Held] = [_NOTHING] * len(lines)
        self._slow: dict[int, list[Row]] = {}
        self._all: _Held | None = None
        self._seen: tuple[object, object] = (None, None)
        self._nameless: Sequence[tuple[int, LimitLine]] = ()
        """Lines on instruments that nobody knows any more."""
        self._starts: IntArray = np.zeros(0, dtype=np.int64)
        self._counts: IntArray = np.zeros(0, dtype=np.int64)

    def read(self, snapshot: Snapshot, into: Readings) -> None:
        """Set the numbers of all lines. O(rows of the owners whose state changed), and O(rows of all lines) in arrays."""
        if not self._lines:
            return
        self._take(snapshot)
        assert self._all is not None, "taken"
        value, whole, subject = self._numbers(snapshot, self._all)
        into.value[self._places], into.whole[self._places] = value, whole
        symbols = snapshot.reference.symbols
        for at, number in zip(self._places.tolist(), subject.tolist(), strict=True):
            if number >= 0:
                into.subjects[at] = symbols[number]
        for place, rows in self._slow.items():
            at, line = self._lines[place]
            into.subjects.pop(at, None)
            if not line.limit.instrument:
                into.put(at, worst_position(snapshot, line.limit, rows))
            else:
                into.put(at, position_number(snapshot, line.limit, rows[0] if rows else None))
        lines = self._lines if snapshot.nodes.broken or snapshot.dealers.broken else self._nameless
        for at, line in lines:
            if self._is_broken(snapshot, line):
                into.subjects.pop(at, None)
                into.put(at, NOTHING_KNOWN)

    def _is_broken(self, snapshot: Snapshot, line: LimitLine) -> bool:
        table, number = line.table(snapshot), snapshot.reference.instrument_index.get(line.limit.instrument)
        if table.is_broken(line.owner) or (number is None and line.limit.instrument):
            return True
        if number is not None:
            return table.is_broken(line.owner, number)
        return any(table.is_broken(line.owner, row.instrument) for row in table.state(line.owner).positions())

    def _take(self, snapshot: Snapshot) -> None:
        """Take the rows of owners whose state has changed."""
        seen = (snapshot.nodes.states, snapshot.dealers.states)
        if all(now is before for now, before in zip(seen, self._seen, strict=True)):
            return
        self._seen = seen
        known, is_new = snapshot.reference.instrument_index, False
        self._nameless = [each for each in self._lines if (name := each[1].limit.instrument) and name not in known]
        for place, (_, line) in enumerate(self._lines):
            state = line.table(snapshot).state(line.owner)
            if state is self._states[place]:
                continue
            is_new = True
            self._states[place] = state
            number = snapshot.reference.instrument_index.get(line.limit.instrument, -1)
            rows = [row for row in state.positions() if not line.limit.instrument or row.instrument == number]
            self._slow.pop(place, None)
            if any(row.beside for row in rows):
                self._slow[place] = rows
            self._held[place] = _Held.of(snapshot, rows)
        if is_new:
            self._all = _Held(*(np.concatenate(each) for each in zip(*self._held, strict=True)))
            self._counts = np.array([len(held.number) for held in self._held], dtype=np.int64)
            self._starts = np.concatenate(([0], np.cumsum(self._counts)[:-1]))

    def _numbers(self, snapshot: Snapshot, held: _Held) -> tuple[FloatArray, BoolArray, IntArray]:
        """By line: the number, whether it is whole, and the instrument that decides it, -1 for none."""
        units, counts, number = snapshot.units, self._counts, held.number
        of_row = np.repeat(np.arange(len(counts)), counts)
        rated = units.rated[number]
        has_value = ~held.is_open | (units.priced[number] & rated)
        value = np.where(held.is_open, held.size * units.price[number] * units.rate[number], 0.0)
        is_pnl, is_quantity = self._is_pnl[of_row], self._is_quantity[of_row]
        value = np.where(is_pnl, value + held.cash * units.rate[number], np.where(is_quantity, held.quantity, value))
        known = held.is_sound & (is_quantity | np.where(is_pnl, has_value & rated, has_value))
        rank = np.where(self._absolute[of_row], np.abs(value), value * self._sign[of_row])
        rank[~known] = -np.inf
        filled = counts > 0
        best = np.full(len(counts), -np.inf)
        all_known = np.ones(len(counts), dtype=np.bool_)
        if filled.any():
            starts = self._starts[filled]
            best[filled] = np.maximum.reduceat(rank, starts)
            all_known[filled] = np.logical_and.reduceat(known, starts)
        chosen = np.full(len(counts), -1, dtype=np.int64)
        hits = np.flatnonzero((rank == best[of_row]) & known)
        chosen[of_row[hits][::-1]] = hits[::-1]  # the first of each line
        counts_for = (chosen >= 0) & (self._of_one | (best > 0.0))
        found = np.where(counts_for, value[chosen] if len(value) else 0.0, 0.0) + 0.0
        found[self._of_one & filled & ~all_known] = np.nan
        return found, all_known, np.where(counts_for, number[chosen] if len(number) else -1, -1)
