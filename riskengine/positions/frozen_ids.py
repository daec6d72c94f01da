"""Old identities as fingerprints: which trades the engine has processed, without the trades.

It keeps 8 bytes of each identity and its number of versions. If a fingerprint is not here, that trade was never put in. If it is
here, ask the store, whose unique index on identity and version is exact: two trades share a fingerprint once in 2**64 pairs,
which costs one look-up. Pure. One thread adds, while it builds an engine; after that any thread may ask.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt

from riskengine.records.types import Identity, IntArray, Trade

VersionCounts = npt.NDArray[np.uint8]

MAX_VERSIONS = 255
"""An identity with more versions stays in memory."""

MERGE_STRETCH_IDS = 500_000
"""Fingerprints that a merge moves at once; it needs memory for as many beside the runs and their result."""


def identity_fingerprint(source: str, trade_id: str, leg: int) -> int:
    """64 bits for an identity, the same in every process: CPython does not salt hashes of numbers. 0.5 us.

    A number of up to 61 bits for the whole text and its CRC: names that somebody makes to share a fingerprint cost look-ups.
    """
    text = f"{source}\0{trade_id}".encode("utf-8", "surrogatepass")
    return hash((int.from_bytes(text), crc32(text), leg))


class FrozenIds:
    """A set of fingerprints, each with its number of versions: sorted runs, merged as they grow. 9 bytes each."""

    def __init__(self) -> None:
        self._runs: list[tuple[IntArray, VersionCounts]] = []

    def __len__(self) -> int:
        return sum(len(prints) for prints, _ in self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays. O(runs)."""
        return sum(prints.nbytes + counts.nbytes for prints, counts in self._runs)

    def add(self, prints: Sequence[int], versions: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Put fingerprints in, each with its number of versions, 1 to MAX_VERSIONS. Returns which were new, and so taken.

        O(n log n) for n of them; now and then a merge, O(all), which needs as much memory again for a moment.
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

    def set_count(self, fingerprint: int, versions: int) -> None:
        """Set the number of versions of a fingerprint that is here. 2 us."""
        for run, counts in self._runs:
            at = int(run.searchsorted(fingerprint))
            if at < len(run) and run[at] == fingerprint:
                counts[at] = versions

    def remove(self, prints: Sequence[int]) -> None:
        """Take fingerprints out that are here. O(all)."""
        wanted = np.fromiter(prints, np.int64, len(prints))
        kept = [~np.isin(run, wanted) for run, _ in self._runs]
        self._runs = [(run[stays], counts[stays]) for (run, counts), stays in zip(self._runs, kept, strict=True) if stays.any()]

    def restore(self, parts: Iterable[tuple[IntArray, VersionCounts]], count: int, rest: Callable[[], None]) -> None:
        """Hold `count` fingerprints, ascending over all `parts`, and nothing else. O(count). Calls `rest` between parts."""
        prints, counts = np.empty(count, np.int64), np.empty(count, np.uint8)
        done = 0
        for some, versions in parts:
            prints[done : done + len(some)], counts[done : done + len(some)] = some, versions
            done += len(some)
            rest()
        assert done == count, "as many fingerprints as were counted"
        self._runs = [(prints, counts)] if count else []

    def parts(self, size: int) -> Iterator[tuple[IntArray, VersionCounts]]:
        """All fingerprints, ascending, each with its number of versions, `size` of them at once. After `merge_all`."""
        assert len(self._runs) <= 1, "merge all runs first"
        for prints, counts in self._runs:
            for first in range(0, len(prints), size):
                yield prints[first : first + size], counts[first : first + size]

    def merge_all(self) -> None:
        """Merge all runs into one, the fastest to look up. O(all)."""
        while len(self._runs) > 1:
            self._merge()

    def _merge(self) -> None:
        """Merge the last two runs, a stretch at a time: needs little memory beside theirs and that of the result."""
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

    def version_counts(self, identities: Sequence[Identity | Trade]) -> list[int]:
        """The number of versions of each identity; 0 if it was certainly never put in. 3 us, and 0.5 us each."""
        prints = (identity_fingerprint(each.source, each.trade_id, each.leg) for each in identities)
        found: list[int] = self._counts(np.fromiter(prints, np.int64, len(identities))).tolist()
        return found

    def version_count(self, source: str, trade_id: str, leg: int) -> int:
        """`version_counts` for one identity. 2 us."""
        wanted = identity_fingerprint(source, trade_id, leg)
        for run, counts in self._runs:
            at = int(run.searchsorted(wanted))
            if at < len(run) and run[at] == wanted:
                return int(counts[at])
        return 0

    def _counts(self, prints: IntArray) -> VersionCounts:
        found = np.zeros(len(prints), dtype=np.uint8)
        for run, counts in self._runs:
            places = np.minimum(np.searchsorted(run, prints), len(run) - 1)
            found = np.where(run[places] == prints, counts[places], found)
        return found
