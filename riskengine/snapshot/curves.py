"""Curves: what nodes were worth over the day. Samples of published snapshots, in a ring that forgets the oldest.

A sample has MEASURES of up to `max_nodes` nodes, the first in the order of the tree, totals before desks: 64 bytes a node. A
day of one sample a minute (1,440) takes 92 KB a node, 92 MB for 1,000 nodes. Unknown is not-a-number; a time without a sample
is not there. Samples name their nodes, so curves go on through a renewal of the reference data.

Only the event loop uses `Curves`; any thread may call `sample`.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from riskengine.records.types import MEASURES, Sample
from riskengine.snapshot.rows import node_row
from riskengine.snapshot.snapshot import Snapshot


class Series(NamedTuple):
    """One amount over time: `times` ascend, in microseconds; a value is not-a-number where it is unknown."""

    times: list[int]
    values: list[float]


def sample(snapshot: Snapshot, max_nodes: int) -> Sample:
    """Take a sample of a snapshot; a measure that its rows do not have is unknown. 10 us a node."""
    names = snapshot.reference.hierarchy.names
    rows = [node_row(snapshot, number) for number in range(min(len(names), max_nodes))]
    amounts = np.array([[_nan_if_none(row.get(measure)) for row in rows] for measure in MEASURES], dtype=np.float64)
    nodes = names if len(rows) == len(names) else names[: len(rows)]
    return Sample(snapshot.as_of, snapshot.epoch, snapshot.seq, nodes, amounts.reshape(len(MEASURES), len(rows)))


def _nan_if_none(value: float | None) -> float:
    return np.nan if value is None else float(value)


class Curves:
    """The newest samples, at most `capacity`, in ascending order of time."""

    def __init__(self, capacity: int) -> None:
        self._samples: deque[Sample] = deque(maxlen=capacity)
        self._places: tuple[tuple[str, ...], dict[str, int]] = ((), {})

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def nbytes(self) -> int:
        """The size of all amounts, in bytes. O(samples)."""
        return sum(each.amounts.nbytes for each in self._samples)

    def add(self, new: Sample) -> None:
        """Append a sample. Drops samples that are not older than it: a clock that was set back took their time away."""
        while self._samples and self._samples[-1].ts >= new.ts:
            self._samples.pop()
        self._samples.append(new)

    def restore(self, older: Iterable[Sample]) -> None:
        """Put samples from before the start in front of those taken since. `older` is ascending, as it was stored."""
        first = self._samples[0].ts if self._samples else None
        together = [*(each for each in older if first is None or each.ts < first), *self._samples]
        self._samples.clear()
        self._samples.extend(together)

    def series(self, node: str, measure: str, since: int, newest: tuple[int, float | None]) -> Series:
        """The samples of a node from `since` on, oldest first, then `newest`: a time, and the amount at that time.

        O(samples), 0.5 ms for a day of minutes.
        """
        row, (last_ts, last) = MEASURES.index(measure), newest
        times: list[int] = []
        values: list[float] = []
        for each in self._samples:
            if since <= each.ts < last_ts and (place := self._place(each.nodes, node)) is not None:
                times.append(each.ts)
                values.append(float(each.amounts[row, place]))
        if last_ts >= since:
            times.append(last_ts)
            values.append(_nan_if_none(last))
        return Series(times, values)

    def _place(self, nodes: tuple[str, ...], node: str) -> int | None:
        """The place of a node in a sample, or None. Cached, because consecutive samples nearly always have the same nodes."""
        if nodes is not self._places[0]:
            self._places = nodes, {name: place for place, name in enumerate(nodes)}
        return self._places[1].get(node)
