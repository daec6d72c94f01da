"""Curves: what nodes and dealers came to over the day. Samples of published snapshots, in a ring that forgets the oldest.

A sample has MEASURES of up to `at_most` nodes, the first in the order of the tree, totals before desks, and of as many dealers,
in the order in which they first dealt: 64 bytes each. A day of one sample a minute (1,440) takes 92 KB a node or dealer, 92 MB
for 1,000. Unknown is not-a-number; a time without a sample is not there. Samples name their nodes and dealers, so curves go on
through a renewal of the reference data.

Only the event loop uses `Curves`; any thread may call `sample`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from riskengine.records.types import MEASURES, FloatArray, Sample
from riskengine.snapshot.rows import RowDict, dealer_row, node_row
from riskengine.snapshot.snapshot import Snapshot

Side = Literal["node", "dealer"]


class Series(NamedTuple):
    """One amount over time: `times` ascend, in microseconds; a value is not-a-number where it is unknown."""

    times: list[int]
    values: list[float]


def sample(snapshot: Snapshot, at_most: int) -> Sample:
    """Take a sample of a snapshot; a measure that its rows do not have is unknown. 10 us a node or dealer."""
    names, dealers = snapshot.reference.hierarchy.names, snapshot.dealer_names
    of_nodes = _amounts([node_row(snapshot, number) for number in range(min(len(names), at_most))])
    of_dealers = _amounts([dealer_row(snapshot, number) for number in range(min(len(dealers), snapshot.dealers.size, at_most))])
    taken = of_nodes.shape[1], of_dealers.shape[1]
    return Sample(
        snapshot.as_of, snapshot.epoch, snapshot.seq, _first(names, taken[0]), of_nodes, _first(dealers, taken[1]), of_dealers
    )


def _amounts(rows: Sequence[RowDict]) -> FloatArray:
    amounts = np.array([[_nan_if_none(row.get(measure)) for row in rows] for measure in MEASURES], dtype=np.float64)
    return amounts.reshape(len(MEASURES), len(rows))


def _first(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The first names; the tuple itself where that is all of them: samples then share it."""
    return names if count == len(names) else names[:count]


def _nan_if_none(value: float | None) -> float:
    return np.nan if value is None else float(value)


class Curves:
    """The newest samples, at most `capacity`, in ascending order of time."""

    def __init__(self, capacity: int) -> None:
        self._samples: deque[Sample] = deque(maxlen=capacity)
        self._places: dict[Side, tuple[tuple[str, ...], dict[str, int]]] = {"node": ((), {}), "dealer": ((), {})}

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def nbytes(self) -> int:
        """The size of all amounts, in bytes. O(samples)."""
        return sum(each.amounts.nbytes + each.of_dealers.nbytes for each in self._samples)

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

    def series(self, owner: str, measure: str, since: int, newest: tuple[int, float | None], *, of: Side = "node") -> Series:
        """The samples of a node or dealer from `since` on, oldest first, then `newest`: a time, and the amount at that time.

        O(samples), 0.5 ms for a day of minutes.
        """
        row, (last_ts, last) = MEASURES.index(measure), newest
        times: list[int] = []
        values: list[float] = []
        for each in self._samples:
            names, amounts = (each.nodes, each.amounts) if of == "node" else (each.dealers, each.of_dealers)
            if since <= each.ts < last_ts and (place := self._place(of, names, owner)) is not None:
                times.append(each.ts)
                values.append(float(amounts[row, place]))
        if last_ts >= since:
            times.append(last_ts)
            values.append(_nan_if_none(last))
        return Series(times, values)

    def _place(self, of: Side, names: tuple[str, ...], owner: str) -> int | None:
        """The place of an owner in a sample, or None. Cached, because consecutive samples nearly always have the same names."""
        if names is not self._places[of][0]:
            self._places[of] = names, {name: place for place, name in enumerate(names)}
        return self._places[of][1].get(owner)
