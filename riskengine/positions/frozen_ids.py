"""Identities of long ago, as fingerprints: which trades the engine has processed, without the trades.

Of each identity 8 bytes and how many versions it had. A fingerprint that is not here is a trade that was certainly never put in;
one that is here says "ask the store", whose unique index on identity and version confirms it: two trades share a fingerprint once
in 2**64 pairs, and then one look-up was for nothing. Pure. One thread adds, while an engine is built; afterwards any may ask.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from riskengine.records.types import Identity, IntArray, Trade

ProbeCounts = npt.NDArray[np.uint8]

MAX_VERSIONS = 255
"""An identity with more stays in memory."""

MERGE_STRETCH_IDS = 500_000


def identity_fingerprint(source: str, trade_id: str, leg: int) -> int:
    """64 bits for an identity: SipHash of its names under this process's own key. 0.1 us; another process has others."""
    return hash((source, trade_id, leg))


class FrozenIds:
    """A set of fingerprints, each once, with a small number; sorted runs that are merged as they grow. 9 bytes each."""

    def __init__(self) -> None:
        self._runs: list[tuple[IntArray, ProbeCounts]] = []

    def __len__(self) -> int:
        return sum(len(prints) for prints, _ in self._runs)

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        return sum(prints.nbytes + counts.nbytes for prints, counts in self._runs)

    def add(self, prints: Sequence[int], versions: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Put fingerprints in, each with how many versions there are, 1 to MAX_VERSIONS. Which were taken: those not here yet.

        O(n log n) of what is added, and now and then a merge, O(all), which needs as much memory again for a moment.
        """
        added, counts = np.fromiter(prints, np.int64, len(prints)), np.fromiter(versions, np.uint8, len(versions))
        order = np.argsort(added, kind="stable")
        ordered = added[order]
        fresh = (np.diff(ordered, prepend=ordered[:1] - 1) != 0) & (self._counts(ordered) == 0)
        taken = np.zeros(len(added), dtype=np.bool_)
        taken[order] = fresh
        if fresh.any():
            self._runs = [*self._runs, (ordered[fresh], counts[order][fresh])]
            while len(self._runs) > 1 and 2 * len(self._runs[-1][0]) >= len(self._runs[-2][0]):
                self._merge()
        return taken

    def settle(self) -> None:
        """Make one run of all, which is asked fastest. O(all)."""
        while len(self._runs) > 1:
            self._merge()

    def _merge(self) -> None:
        """The last two runs as one; a stretch at a time, so that little memory is needed beside theirs and that of the result."""
        *others, (into, counts), (more, more_counts) = self._runs
        prints, merged = np.empty(len(into) + len(more), np.int64), np.empty(len(into) + len(more), np.uint8)
        done = taken = 0
        for first in range(0, len(into), MERGE_STRETCH_IDS):
            end = min(first + MERGE_STRETCH_IDS, len(into))
            until = len(more) if end == len(into) else int(np.searchsorted(more, into[end]))
            places = np.searchsorted(into[first:end], more[taken:until])
            stretch = slice(done, done + end - first + until - taken)
            prints[stretch] = np.insert(into[first:end], places, more[taken:until])
            merged[stretch] = np.insert(counts[first:end], places, more_counts[taken:until])
            done, taken = stretch.stop, until
        self._runs = [*others, (prints, merged)]

    def versions(self, identities: Sequence[Identity | Trade]) -> list[int]:
        """How many versions each had that may be here, 0 where it is certainly not. 3 us, and 0.5 us each."""
        prints = (identity_fingerprint(each.source, each.trade_id, each.leg) for each in identities)
        found: list[int] = self._counts(np.fromiter(prints, np.int64, len(identities))).tolist()
        return found

    def versions_of(self, source: str, trade_id: str, leg: int) -> int:
        """The same of one identity. 2 us."""
        wanted = identity_fingerprint(source, trade_id, leg)
        for run, counts in self._runs:
            at = int(run.searchsorted(wanted))
            if at < len(run) and run[at] == wanted:
                return int(counts[at])
        return 0

    def _counts(self, prints: IntArray) -> ProbeCounts:
        found = np.zeros(len(prints), dtype=np.uint8)
        for run, counts in self._runs:
            places = np.minimum(np.searchsorted(run, prints), len(run) - 1)
            found = np.where(run[places] == prints, counts[places], found)
        return found
