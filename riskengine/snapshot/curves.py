"""Curves: what nodes were worth over the day. Samples of published snapshots, in a ring that forgets the oldest.

A sample has MEASURES of up to `max_nodes` nodes, the first in the order of the tree, totals before desks: 48 bytes a node. A
day of one sample a minute (1,440) takes 69 KB a node, 69 MB for 1,000 nodes. Unknown is not-a-number in a sample and None in a
point; a time without a sample has no point. Samples name their nodes, so curves go on through a renewal of the reference data.

Only the event loop uses `Curves`; any thread may call `sample`.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.records.types import MEASURES, FloatArray, Sample
from riskengine.snapshot.rows import node_row
from riskengine.snapshot.snapshot import Snapshot


class Point(NamedTuple):
    """A point of a curve: one sample, or all samples of a bucket of time. Unknown amounts are None.

    ts          time of the sample, or the beginning of the bucket
    value       the last value, None if that was unknown
    min, max    of the known values
    samples     how many samples there are
    """

    ts: int
    value: float | None
    min: float | None
    max: float | None
    samples: int


def sample(snapshot: Snapshot, max_nodes: int) -> Sample:
    """Take a sample of a snapshot. 10 us a node."""
    names = snapshot.reference.hierarchy.names
    rows = [node_row(snapshot, number) for number in range(min(len(names), max_nodes))]
    amounts = np.array([[_nan_if_none(row[measure]) for row in rows] for measure in MEASURES], dtype=np.float64)
    nodes = names if len(rows) == len(names) else names[: len(rows)]
    return Sample(snapshot.as_of, snapshot.epoch, snapshot.seq, nodes, amounts.reshape(len(MEASURES), len(rows)))


def _nan_if_none(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else value


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

    def points(self, node: str, measure: str, since: int, newest: tuple[int, float | None], bucket_us: int = 0) -> list[Point]:
        """The curve of a node from `since` on, oldest first. `newest` is its last point: a time, and the amount at that time.

        `bucket_us` joins the samples of each bucket of that length, counted from the Unix epoch; a bucket without a sample has no
        point. O(samples), 0.5 ms for a day of minutes.
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
            values.append(np.nan if last is None else last)
        if not bucket_us:
            return [Point(ts, known := _none_if_nan(value), known, known, 1) for ts, value in zip(times, values, strict=True)]
        return _in_buckets(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64), bucket_us)

    def _place(self, nodes: tuple[str, ...], node: str) -> int | None:
        """The place of a node in a sample, or None. Cached, because consecutive samples nearly always have the same nodes."""
        if nodes is not self._places[0]:
            self._places = nodes, {name: place for place, name in enumerate(nodes)}
        return self._places[1].get(node)


def _in_buckets(times: npt.NDArray[np.int64], values: FloatArray, bucket_us: int) -> list[Point]:
    if not len(times):
        return []
    starts = times - times % bucket_us
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    ends = np.append(first[1:], len(times))
    known = ~np.isnan(values)
    least = np.minimum.reduceat(np.where(known, values, np.inf), first).tolist()
    most = np.maximum.reduceat(np.where(known, values, -np.inf), first).tolist()
    some = np.logical_or.reduceat(known, first).tolist()
    return [
        Point(int(starts[at]), _none_if_nan(float(values[end - 1])), low if seen else None, high if seen else None, int(end - at))
        for at, end, low, high, seen in zip(first, ends, least, most, some, strict=True)
    ]
