"""Reads the numbers of all lines from one snapshot after another, at the cost of what changed.

One thread uses a reader, with snapshots in ascending order.
"""

from collections.abc import Sequence

import numpy as np

from riskengine.limits.holdings import EXPOSURES, NOTHING_KNOWN, Exposures, Number, position_number, worst_position
from riskengine.limits.lines import LimitLine
from riskengine.limits.numbers import OwnerNumbers
from riskengine.positions.ledger import Row
from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.snapshot.exposure import rows_of
from riskengine.snapshot.exposure_renewal import columns_of
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table

CASH = frozenset({"nav", "available_cash"})


class Readings:
    """The numbers of all lines at one snapshot: `value`, NaN where unknown, `whole`, and what decides some of them, by line."""

    __slots__ = ("subjects", "value", "whole")

    def __init__(self, size: int) -> None:
        self.value: FloatArray = np.full(size, np.nan)
        self.whole: BoolArray = np.zeros(size, dtype=np.bool_)
        self.subjects: dict[int, str] = {}

    def put(self, line: int, number: Number) -> None:
        """Set the number of a line."""
        self.value[line], self.whole[line] = number.value, number.whole
        if number.subject:
            self.subjects[line] = number.subject


class _OfTable:
    """The lines of one roll-up whose numbers stand in its table, in groups by measure."""

    def __init__(self, is_nodes: bool, lines: Sequence[tuple[int, LimitLine]]) -> None:
        self.is_nodes = is_nodes
        owners = sorted({line.owner for _, line in lines})
        places = {owner: at for at, owner in enumerate(owners)}
        self.numbers = OwnerNumbers(owners)
        measures: dict[str, list[tuple[int, int]]] = {}
        for at, line in lines:
            measures.setdefault(line.limit.measure, []).append((at, places[line.owner]))
        self.groups: list[tuple[str, IntArray, IntArray]] = [
            (measure, *(np.array(each, dtype=np.int64) for each in zip(*members, strict=True)))  # type: ignore[misc]
            for measure, members in measures.items()
        ]

    def read(self, snapshot: Snapshot, into: Readings) -> None:
        """Read all groups. The number of a `drawdown` is that of the day: the judge knows the high."""
        self.numbers.read(snapshot, snapshot.nodes if self.is_nodes else snapshot.dealers)
        for measure, lines, owners in self.groups:
            if measure in CASH:
                found = self.numbers.cash(snapshot, measure)
            else:
                found = self.numbers.measure("net_day_pnl" if measure == "drawdown" else measure)
            into.value[lines], into.whole[lines] = found.value[owners], found.whole[owners]


class LineReader:
    """Reads the numbers of some lines. Lines of trades, and of places that nobody knows, stay unknown."""

    def __init__(self, lines: Sequence[LimitLine]) -> None:
        self.lines = lines
        of_tables: dict[bool, list[tuple[int, LimitLine]]] = {True: [], False: []}
        self._positions: list[tuple[int, LimitLine]] = []
        self._exposed: dict[tuple[bool, int], list[tuple[int, LimitLine]]] = {}
        for at, line in enumerate(lines):
            if line.owner < 0 or line.limit.terms.of_trade:
                continue
            if line.limit.measure in EXPOSURES:
                self._exposed.setdefault((bool(line.node), line.owner), []).append((at, line))
            elif line.limit.terms.instrument == "none":
                of_tables[bool(line.node)].append((at, line))
            else:
                self._positions.append((at, line))
        self._tables = [_OfTable(is_nodes, found) for is_nodes, found in of_tables.items() if found]
        self._rows: dict[int, tuple[OwnerState, list[Row]]] = {}
        self._numbers: dict[int, tuple[tuple[object, ...], Number]] = {}
        self.drawdowns: list[int] = [at for at, line in enumerate(lines) if line.limit.measure == "drawdown"]

    def read(self, snapshot: Snapshot) -> Readings:
        """The numbers of a snapshot. O(lines) in arrays, and O(what changed) for positions and exposures."""
        found = Readings(len(self.lines))
        for table in self._tables:
            table.read(snapshot, found)
        for at, line in self._positions:
            found.put(at, self._position(at, line, snapshot))
        for (is_node, owner), lines in self._exposed.items():
            self._read_exposures(snapshot.nodes if is_node else snapshot.dealers, owner, lines, snapshot, found)
        return found

    def _position(self, at: int, line: LimitLine, snapshot: Snapshot) -> Number:
        table = line.table(snapshot)
        state = table.state(line.owner)
        seen = (state, snapshot.units, table.broken)
        known = self._numbers.get(at)
        if known is not None and all(a is b for a, b in zip(known[0], seen, strict=True)):
            return known[1]
        number = self._read_position(at, line, state, table, snapshot)
        self._numbers[at] = (seen, number)
        return number

    def _read_position(self, at: int, line: LimitLine, state: OwnerState, table: Table, snapshot: Snapshot) -> Number:
        limit = line.limit
        if limit.instrument:
            number = snapshot.reference.instrument_index.get(limit.instrument)
            if number is None or table.is_broken(line.owner) or table.is_broken(line.owner, number):
                return NOTHING_KNOWN
        elif table.is_broken(line.owner):
            return NOTHING_KNOWN
        known = self._rows.get(at)
        if known is None or known[0] is not state:
            rows = [row for row in state.positions() if not limit.instrument or row.instrument == number]
            known = self._rows[at] = (state, rows)
        if not limit.instrument:
            return worst_position(snapshot, limit, known[1])
        return position_number(snapshot, limit, known[1][0] if known[1] else None)

    def _read_exposures(
        self, table: Table, owner: int, lines: Sequence[tuple[int, LimitLine]], snapshot: Snapshot, into: Readings
    ) -> None:
        cash = None if snapshot.nodes.cash is None else snapshot.nodes.cash.by_node
        seen = (table.state(owner), snapshot.units, snapshot.rates, table.broken, cash)
        known = self._numbers.get(lines[0][0])
        if known is not None and all(a is b for a, b in zip(known[0], seen, strict=True)):
            for at, _ in lines:
                into.put(at, self._numbers[at][1])
            return
        _, broken = rows_of(table, owner)
        made = Exposures(snapshot, columns_of(snapshot, table, owner, broken))
        for at, line in lines:
            number = NOTHING_KNOWN if table.is_broken(owner) else made.number(line.limit)
            self._numbers[at] = (seen, number)
            into.put(at, number)
