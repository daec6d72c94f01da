"""Says of names in a file that no record has which known ones come near, and counts them.

A file can name a million of them: the looking is bounded, and so are the names that are counted.
"""

from collections.abc import Callable, Iterable, Mapping

from riskengine.nearest import by_first_words, nearest
from riskengine.records.fields import excerpt

ALIAS = "--alias FILE gives their names ours"

MAX_NAMES = 1_000
"""Unknown names that are counted, of one command."""

MAX_COMPARISONS = 200_000
"""Pairs of names that are compared, of one command: a few seconds."""

_TITLES = ("instrument", "underlying", "pair")
"""Fields whose names senders write with more words than the store, or fewer: ENEL SPA."""

SHOWN = 10
"""Unknown names that a summary lists."""


class NearNames:
    """The unknown names of the files of one command. `known` reads the names that there are, by field, once one is unknown."""

    def __init__(self, known: Mapping[str, Callable[[], Iterable[str]]]) -> None:
        self._readers = known
        self._known: dict[str, tuple[str, ...]] = {}
        self._near: dict[tuple[str, str], str | None] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._uncounted = 0
        self._left = MAX_COMPARISONS

    def hint(self, field: str, name: str) -> str:
        """Count a name as `near` does; the rest of the sentence that refuses it."""
        near = self.near(field, name)
        if near is not None:
            return f": did you mean {excerpt(near)}? ({ALIAS})"
        return f" ({ALIAS})"

    def near(self, field: str, name: str) -> str | None:
        """Count a name that no record has; the known one that comes near. O(known names x letters^2) at first."""
        self._count(field, name)
        return self._nearest(field, name)

    def summary(self) -> list[str]:
        """A line for each field: its unknown names with their counts, the most frequent first. Empty if few lines had one."""
        told = []
        for field in dict.fromkeys(field for field, _ in self._counts):
            counts = {name: count for (of, name), count in self._counts.items() if of == field}
            if sum(counts.values()) > SHOWN:
                told.append(self._summary_of(field, counts))
        if self._uncounted:
            told.append(f"{self._uncounted:,} more lines have other unknown names")
        return told

    def _summary_of(self, field: str, counts: Mapping[str, int]) -> str:
        frequent = sorted(counts, key=lambda name: -counts[name])
        parts = []
        for name in frequent[:SHOWN]:
            near = self._near.get((field, name))
            parts.append(f"{excerpt(name)} in {_count_lines(counts[name])}" + (f" (near: {excerpt(near)})" if near else ""))
        more = f", and {len(frequent) - SHOWN:,} more" if len(frequent) > SHOWN else ""
        return f"unknown {field}s: {', '.join(parts)}{more}; {ALIAS}"

    def _count(self, field: str, name: str) -> None:
        key = (field, name)
        if key in self._counts or len(self._counts) < MAX_NAMES:
            self._counts[key] = self._counts.get(key, 0) + 1
        else:
            self._uncounted += 1

    def _nearest(self, field: str, name: str) -> str | None:
        key = (field, name)
        if key in self._near:
            return self._near[key]
        if field not in self._known:
            reader = self._readers.get(field)
            self._known[field] = tuple(reader()) if reader else ()
        known = self._known[field]
        if len(known) > self._left or key not in self._counts:
            return None
        self._left -= len(known)
        near = nearest(name, known)
        if near is None and field in _TITLES:
            near = by_first_words(name, known)
        self._near[key] = near
        return self._near[key]


def _count_lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"
