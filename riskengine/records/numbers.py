"""The numbers that a source gives its trades: which have come, which are missing, and what the source and people said of them.

A source that sends heartbeats with a `last_seq` promises dense numbers from 1. Of any other source the same is kept, because it
may promise later, but its holes mean nothing. Numbers count as come whatever became of their trades: refused, duplicate and
conflicting ones too.

Memory is bounded: at most MAX_HOLES ranges of missing numbers a source. Beyond that the lowest two are joined, with the numbers
between them: what came there can no longer be told from what did not, so only a person can end that alarm.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

Range = tuple[int, int]
"""First and last number."""

MAX_HOLES = 200

_last = itemgetter(1)


def runs_of(numbers: Iterable[int]) -> list[Range]:
    """The ranges that these numbers make, ascending. O(n) for numbers in order. Ignores 0 and below, which mean no number."""
    ordered = sorted({number for number in numbers if number > 0})
    if not ordered:
        return []
    if ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]
    runs, first = [], ordered[0]
    for before, number in pairwise(ordered):
        if number != before + 1:
            runs.append((first, before))
            first = number
    runs.append((first, ordered[-1]))
    return runs


def remove_range(ranges: list[Range], first: int, last: int) -> None:
    """Take the numbers `first` to `last` out of sorted, disjoint ranges. O(log n) to find, O(n) to close up."""
    begin = bisect_left(ranges, first, key=_last)
    end, rest = begin, []
    while end < len(ranges) and ranges[end][0] <= last:
        low, high = ranges[end]
        if low < first:
            rest.append((low, first - 1))
        if high > last:
            rest.append((last + 1, high))
        end += 1
    if end > begin:
        ranges[begin:end] = rest


def count_of(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


def ranges_text(ranges: Iterable[Range]) -> str:
    """Ranges as people read them and the store keeps them. Example: `2, 5-6`."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def parse_ranges(text: str) -> list[Range]:
    """The ranges of `ranges_text`. Raises ValueError."""
    found = []
    for part in text.split(",") if text.strip() else ():
        first, _, last = part.strip().partition("-")
        found.append((int(first), int(last or first)))
    return found


class NumberSet:
    """The numbers that have come: all from 1 to `highest` but those in `missing`, which is sorted and disjoint.

    `joined` is the last number of ranges that were joined because there were too many (0: none were).
    """

    __slots__ = ("highest", "joined", "missing")

    def __init__(self, highest: int = 0, missing: Iterable[Range] = (), joined: int = 0) -> None:
        self.highest = highest
        self.missing = list(missing)
        self.joined = joined

    def take(self, runs: Iterable[Range]) -> None:
        """Note that these numbers have come. O(1) for the next ones in order."""
        for first, last in runs:
            if first > self.highest + 1:
                self.missing.append((self.highest + 1, first - 1))
                if len(self.missing) > MAX_HOLES:
                    self._join_lowest()
            elif first <= self.highest and self.missing:
                self._fill(first, min(last, self.highest))
            self.highest = max(self.highest, last)

    def has(self, first: int, last: int) -> bool:
        """Whether all numbers from `first` to `last` have come."""
        if last > self.highest:
            return False
        at = bisect_left(self.missing, first, key=_last)
        return at == len(self.missing) or self.missing[at][0] > last

    def missing_up_to(self, last: int) -> list[Range]:
        """The missing numbers when the source has sent all up to `last`."""
        return [*self.missing, (self.highest + 1, last)] if last > self.highest else list(self.missing)

    def cut(self, last: int) -> None:
        """Forget what came beyond `last`."""
        if last < self.highest:
            remove_range(self.missing, last + 1, self.highest)
            self.highest = last
            self.joined = min(self.joined, last)

    def runs(self) -> list[Range]:
        """The ranges that have come."""
        runs, first = [], 1
        for low, high in [*self.missing, (self.highest + 1, self.highest + 1)]:
            if low > first:
                runs.append((first, low - 1))
            first = high + 1
        return runs

    def copy(self) -> "NumberSet":
        """An independent copy."""
        return NumberSet(self.highest, self.missing, self.joined)

    def text(self) -> str:
        """As the store keeps it. Example: `7: 2, 5-6`; `900~400: 1-400, 500` where ranges up to 400 were joined."""
        joined = f"~{self.joined}" if self.joined else ""
        return f"{self.highest}{joined}: {ranges_text(self.missing)}"

    @classmethod
    def parse(cls, text: str) -> "NumberSet":
        """The set of `text()`. Raises ValueError."""
        head, _, missing = text.partition(":")
        highest, _, joined = head.partition("~")
        return cls(int(highest), parse_ranges(missing), int(joined or 0))

    def _fill(self, first: int, last: int) -> None:
        remove_range(self.missing, first, last)
        if len(self.missing) > MAX_HOLES:
            self._join_lowest()
        if self.joined and not (self.missing and self.missing[0][0] <= self.joined):
            self.joined = 0

    def _join_lowest(self) -> None:
        (first, _), (_, last) = self.missing[:2]
        self.missing[:2] = [(first, last)]
        self.joined = last


class FeedState:
    """What is known of one source of trades, in memory and in the store alike.

    came          the numbers that have come
    promised      the highest `last_seq` that it has sent; None: it promises nothing
    acknowledged  missing numbers that a person knows of: they alarm no more
    anew, anew_seq  it seems to number anew: what has come since, and its newest `last_seq`; None until then
    retired       a person says that it is no more
    """

    __slots__ = ("acknowledged", "anew", "anew_seq", "came", "promised", "retired", "source")

    def __init__(
        self,
        source: str,
        came: NumberSet | None = None,
        promised: int | None = None,
        acknowledged: Iterable[Range] = (),
        anew: NumberSet | None = None,
        anew_seq: int = 0,
        retired: bool = False,
    ) -> None:
        self.source = source
        self.came = came or NumberSet()
        self.promised = promised
        self.acknowledged = list(acknowledged)
        self.anew = anew
        self.anew_seq = anew_seq
        self.retired = retired

    def missing(self) -> list[Range]:
        """The numbers that alarm: of a source that promises dense numbers, what it has sent and what has not come."""
        return [] if self.promised is None or self.retired else self.came.missing_up_to(self.promised)

    def take(self, runs: Sequence[Range]) -> None:
        """Note that these numbers have come."""
        self.came.take(runs)
        if self.acknowledged:
            for first, last in runs:
                remove_range(self.acknowledged, first, last)
        if self.anew is not None:
            self.anew.take(runs)

    def promise(self, last_seq: int) -> None:
        """Note that the source has sent numbers up to `last_seq`. That it is alive ends its retirement."""
        self.promised = max(self.promised or 0, last_seq)
        self.retired = False

    def suspect(self, last_seq: int, since: NumberSet) -> None:
        """Note that the source seems to number anew, with what has come since it last did not."""
        self.anew, self.anew_seq = self.anew or since.copy(), last_seq

    def acknowledge(self) -> None:
        """A person knows of what is missing: these numbers alarm no more. Nothing is missing where nothing was promised."""
        missing = [] if self.promised is None else self.came.missing_up_to(self.promised)
        known = [*self.acknowledged, *missing]
        self.acknowledged = sorted(known)[-MAX_HOLES:]
        self.came = NumberSet(max(self.came.highest, self.promised or 0))

    def restart(self) -> None:
        """A person says that the source numbers anew: what came since then is all that came."""
        promises = self.promised is not None or self.anew is not None
        self.came = self.anew or NumberSet()
        if self.anew is not None:
            self.came.cut(self.anew_seq)
        self.promised = self.anew_seq if promises else None
        self.acknowledged, self.anew, self.anew_seq = [], None, 0

    def retire(self) -> None:
        """A person says that the source is no more: it promises nothing, and nothing of it alarms."""
        self.acknowledge()
        self.promised, self.anew, self.anew_seq, self.retired = None, None, 0, True


FeedChange = Callable[[FeedState], None]
"""Changes the state of one source, in memory or in the store."""
