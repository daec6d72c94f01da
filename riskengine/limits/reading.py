"""Reads the numbers of all lines from one snapshot after another, at the cost of what changed.

One thread uses a reader, with snapshots in ascending order.
"""

from collections.abc import Sequence

import numpy as np

from riskengine.limits.figures import FIGURES, LASTS_US, NO_FIGURES, FigureLines, Figures
from riskengine.limits.holdings import EXPOSURES, NOTHING_KNOWN, Exposures, Number
from riskengine.limits.lines import LimitLine
from riskengine.limits.numbers import OwnerNumbers
from riskengine.limits.positions import PositionLines
from riskengine.limits.readings import Readings
from riskengine.records.types import IntArray
from riskengine.snapshot.exposure import rows_of
from riskengine.snapshot.exposure_renewal import columns_of
from riskengine.snapshot.snapshot import Snapshot, Table

CASH = frozenset({"nav", "available_cash"})


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
        positions: list[tuple[int, LimitLine]] = []
        self._exposed: dict[tuple[bool, int], list[tuple[int, LimitLine]]] = {}
        for at, line in enumerate(lines):
            if line.owner < 0 or line.limit.terms.of_trade:
                continue
            if line.limit.measure in FIGURES:
                continue
            if line.limit.measure in EXPOSURES:
                self._exposed.setdefault((bool(line.node), line.owner), []).append((at, line))
            elif line.limit.terms.instrument == "none":
                of_tables[bool(line.node)].append((at, line))
            else:
                positions.append((at, line))
        self._tables = [_OfTable(is_nodes, found) for is_nodes, found in of_tables.items() if found]
        self._positions = PositionLines(positions)
        self.figures = FigureLines(lines)
        self._numbers: dict[int, tuple[tuple[object, ...], Number]] = {}
        self.drawdowns: list[int] = [at for at, line in enumerate(lines) if line.limit.measure == "drawdown"]

    def read(self, snapshot: Snapshot, figures: Figures = NO_FIGURES, lasts_us: int = LASTS_US) -> Readings:
        """The numbers of a snapshot, and of `figures` those that are new enough.

        O(lines) in arrays, and O(what changed) for positions and exposures.
        """
        found = Readings(len(self.lines))
        for table in self._tables:
            table.read(snapshot, found)
        self._positions.read(snapshot, found)
        for (is_node, owner), lines in self._exposed.items():
            self._read_exposures(snapshot.nodes if is_node else snapshot.dealers, owner, lines, snapshot, found)
        self.figures.read(snapshot.as_of, figures, lasts_us, found)
        return found

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
