"""What splits in force make of prices from before their ex-dates: a price divided by the ratio. Pure.

A mark and a tick count by their own time, a close by its date: that of the day before the ex-date has the time of its start.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

CLOSE_KIND = "close"
"""The kind of a mark that is a loaded close."""


class PriceSplit(NamedTuple):
    """`new` units for `old` ones from `start_ts` on, microseconds."""

    start_ts: int
    new: int
    old: int


class SplitPrices:
    """The splits in force by instrument.

    formerly  instruments that had another name before: theirs is the last price of that name until they have one
    unpriced  instruments whose price says nothing, whatever is quoted
    """

    def __init__(
        self,
        splits: Mapping[str, Collection[PriceSplit]] | None = None,
        formerly: Mapping[str, str] | None = None,
        unpriced: Collection[str] = (),
    ) -> None:
        self.splits = {symbol: tuple(each) for symbol, each in (splits or {}).items() if each}
        self.formerly = formerly or {}
        self.unpriced = frozenset(unpriced)

    def until(self, ts: int) -> "SplitPrices":
        """Those that start before a moment. O(splits)."""
        splits = {symbol: [each for each in of_it if each.start_ts < ts] for symbol, of_it in self.splits.items()}
        return SplitPrices(splits, self.formerly, self.unpriced)

    def concerns(self, symbol: str, ts: int) -> bool:
        """Whether a split of an instrument starts after `ts`. O(1)."""
        splits = self.splits.get(symbol)
        return splits is not None and ts < splits[-1].start_ts

    def now(self, symbol: str, price: float, ts: int, kind: str = "") -> float:
        """A price of `ts`, as it was quoted, in the units of now."""
        new, old = self._ratio(symbol, ts, kind)
        return price if new == old else price * old / new

    def then(self, symbol: str, price: float, ts: int, kind: str = "") -> float:
        """The inverse of `now`, but for the last bit of a double: the price as it was quoted."""
        new, old = self._ratio(symbol, ts, kind)
        return price if new == old else price * new / old

    def _ratio(self, symbol: str, ts: int, kind: str) -> tuple[int, int]:
        new = old = 1
        for split in self.splits.get(symbol, ()):
            if ts < split.start_ts or (kind == CLOSE_KIND and ts == split.start_ts):
                new *= split.new
                old *= split.old
        return new, old


NO_SPLITS = SplitPrices()
