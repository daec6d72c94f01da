"""What nodes came to over the day: samples of published snapshots, by name, in a ring that forgets the oldest.

A sample holds MEASURES of up to `max_nodes` nodes, the first in the order of the tree, totals before desks: 48 bytes a node. A
day of one a minute (1,440) takes 69 KB a node, 69 MB for 1,000 nodes. Unknown is not-a-number in here and null outside; a time
without a sample is a hole and nothing else. Nodes go by their names, so that curves go on through a renewal of the reference
data.

Used on the event loop, but for `sample`, which any thread may call.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.records.types import MEASURES, FloatArray, Sample
from riskengine.snapshot.rows import RowDict, node_row
from riskengine.snapshot.snapshot import Snapshot


class Point(NamedTuple):
    """Of one curve, one sample or all samples of a stretch of time; amounts that are unknown are None.

    ts          of the sample, or the beginning of the stretch
    value       the last one, None where that was unknown
    min, max    of those that were known
    samples     how many there are
    """

    ts: int
    value: float | None
    min: float | None
    max: float | None
    samples: int


def sample(snapshot: Snapshot, max_nodes: int) -> Sample:
    """What the nodes of a snapshot come to. 10 us a node."""
    names = snapshot.reference.hierarchy.names
    rows = [node_row(snapshot, number) for number in range(min(len(names), max_nodes))]
    amounts = np.array([[_double(row, measure) for row in rows] for measure in MEASURES], dtype=np.float64)
    nodes = names if len(rows) == len(names) else names[: len(rows)]
    return Sample(snapshot.as_of, snapshot.epoch, snapshot.seq, nodes, amounts.reshape(len(MEASURES), len(rows)))


def _double(row: RowDict, measure: str) -> float:
    value = row[measure]
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
        """What the amounts take. O(samples)."""
        return sum(each.amounts.nbytes for each in self._samples)

    def add(self, new: Sample) -> None:
        """Put a sample at the end. Those that are not before it, of an hour that a corrected clock never had, go."""
        while self._samples and self._samples[-1].ts >= new.ts:
            self._samples.pop()
        self._samples.append(new)

    def restore(self, older: Iterable[Sample]) -> None:
        """Put samples from before the start in front of those that there are. Ascending, as they were stored."""
        first = self._samples[0].ts if self._samples else None
        together = [*(each for each in older if first is None or each.ts < first), *self._samples]
        self._samples.clear()
        self._samples.extend(together)

    def points(self, node: str, measure: str, since: int, newest: tuple[int, float | None], bucket_us: int = 0) -> list[Point]:
        """The curve of a node from `since` on, oldest first, up to `newest`: a time, and the amount at that time.

        `bucket_us` puts what falls into one stretch of that length together, stretches being counted from the epoch; a stretch
        without a sample has no point. O(samples), 0.5 ms for a day of minutes.
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
            return [Point(ts, known := _known(value), known, known, 1) for ts, value in zip(times, values, strict=True)]
        return _in_buckets(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64), bucket_us)

    def _place(self, nodes: tuple[str, ...], node: str) -> int | None:
        """Where a node stands; samples in a row nearly always have the same nodes."""
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
        Point(int(starts[at]), _known(float(values[end - 1])), low if seen else None, high if seen else None, int(end - at))
        for at, end, low, high, seen in zip(first, ends, least, most, some, strict=True)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
