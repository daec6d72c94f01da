"""The marks by which the writer values: arrays by instrument number."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import MarksConfig
from riskengine.market.marks import Mark
from riskengine.market.sessions import MarketHours
from riskengine.market.split_prices import NO_SPLITS, SplitPrices
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray

_price_of, _ts_of, _by_hand_of = attrgetter("price"), attrgetter("ts"), attrgetter("by_hand")


class MarkTable:
    """The marks in force, by instrument number. Owned by the writer thread.

    `future_limit_s` is how far ahead of the clock a tick, and so a mark, may be. `hours` say when the market of each instrument
    is shut: a mark that was fresh when it shut, or that came since, is closed and not stale. None: no market is ever shut.
    """

    def __init__(
        self,
        reference: Reference,
        config: MarksConfig,
        future_limit_s: float = 60.0,
        hours: MarketHours | None = None,
    ) -> None:
        size = len(reference.instruments)
        self.hours = hours
        self._is_held = np.zeros(size, dtype=np.bool_)
        self._never_shut = np.zeros(size, dtype=np.bool_)
        self._never_shut.flags.writeable = False
        self._index = reference.instrument_index
        self._stale_after = int(config.stale_after_s * MICROS_PER_SECOND)
        self._future_limit = int(future_limit_s * MICROS_PER_SECOND)
        self.marks: list[Mark | None] = [None] * size
        self.price = np.zeros(size)
        self.ts = np.zeros(size, dtype=np.int64)
        self.priced = np.zeros(size, dtype=np.bool_)
        self.unsaved: set[int] = set()
        self.splits = NO_SPLITS
        self._symbols = reference.symbols
        self._blocked = np.zeros(size, dtype=np.bool_)
        self.revision = 0
        """Rises with every change, so that a reader of `marks` knows whether to copy."""

    def grow(self, reference: Reference) -> None:
        """Make room for the forwards that a reference has beyond this one's. O(instruments)."""
        new = len(reference.instruments) - len(self.marks)
        flags, self._index, self._symbols = np.zeros(new, dtype=np.bool_), reference.instrument_index, reference.symbols
        self.marks = [*self.marks, *([None] * new)]
        self.price, self.ts = np.append(self.price, np.zeros(new)), np.append(self.ts, np.zeros(new, dtype=np.int64))
        self._is_held, self.priced = np.append(self._is_held, flags), np.append(self.priced, flags)
        self._blocked, self._never_shut = np.append(self._blocked, flags), np.append(self._never_shut, flags)
        self._never_shut.flags.writeable = False
        if self.hours is not None:
            self.hours.grow(reference.instruments)
        self.revision += 1

    def take(self, marks: Mapping[int, Mark]) -> list[int]:
        """Put changed marks in force. Returns the numbers of those with a new price. O(marks)."""
        if not marks:
            return []
        self.revision += 1
        current = self.marks
        for number, mark in marks.items():
            current[number] = mark
        good, ts = marks, np.fromiter(map(_ts_of, marks.values()), dtype=np.int64, count=len(marks))
        if not ts.all():
            self._unprice([number for number, mark in marks.items() if not mark.ts and self.priced[number]])
            good, ts = {number: mark for number, mark in marks.items() if mark.ts}, ts[ts != 0]
            if not good:
                return []
        numbers = np.fromiter(good, dtype=np.int64, count=len(good))
        prices = np.fromiter(map(_price_of, good.values()), dtype=np.float64, count=len(good))
        prices[self._blocked[numbers]] = 0.0
        moved = numbers[(prices != self.price[numbers]) | ~self.priced[numbers]]
        self.price[numbers] = prices
        self.ts[numbers] = ts
        if any(map(_by_hand_of, good.values())) or self._is_held.any():
            self._is_held[numbers] = [mark.is_held for mark in good.values()]
        self.priced[numbers] = ~self._blocked[numbers]
        self.unsaved.update(good)
        return cast(list[int], moved.tolist())

    def put_made(self, number: int, mark: Mark | None) -> None:
        """Put the mark of an instrument in force that is made from others, or take it out again. It is not stored. O(1)."""
        self.revision += 1
        self.marks[number] = mark
        if mark is None:
            self._unprice([number])
        else:
            self.price[number], self.ts[number] = mark.price, mark.ts
            self.priced[number], self._is_held[number] = True, False

    def _unprice(self, numbers: list[int]) -> None:
        """Instruments that have no mark any more."""
        self.price[numbers] = 0.0
        self.ts[numbers] = 0
        self.priced[numbers] = self._is_held[numbers] = False

    def restore(self, marks: Mapping[str, Mark]) -> None:
        """Put in marks from before the start. They are stored already, so `take_unsaved` leaves them out."""
        self.take({self._index[symbol]: self.of_now(symbol, mark) for symbol, mark in marks.items() if symbol in self._index})
        self.take(self._under_new_names())
        self.unsaved.clear()

    def of_now(self, symbol: str, mark: Mark) -> Mark:
        """A mark as it was quoted, in the units of now."""
        return mark.repriced(symbol, self.splits.now) if self.splits.splits else mark

    def _as_quoted(self, symbol: str, mark: Mark) -> Mark:
        return mark.repriced(symbol, self.splits.then) if self.splits.splits else mark

    def quoted(self) -> dict[str, Mark]:
        """All marks as they were quoted, by instrument. O(instruments)."""
        pairs = zip(self._symbols, self.marks, strict=True)
        return {symbol: self._as_quoted(symbol, mark) for symbol, mark in pairs if mark is not None}

    def take_splits(self, splits: SplitPrices) -> dict[int, Mark]:
        """Let prices from before an ex-date count by these splits. Returns the marks that are others now, to be `take`n.

        They are not to be stored again: the store has them as they were quoted. O(instruments concerned).
        """
        concerned = [symbol for symbol in self.splits.splits.keys() | splits.splits.keys() if symbol in self._index]
        quoted = {
            symbol: self._as_quoted(symbol, mark) for symbol in concerned if (mark := self.marks[self._index[symbol]]) is not None
        }
        self.splits = splits
        blocked = np.zeros(len(self._symbols), dtype=np.bool_)
        blocked[[self._index[symbol] for symbol in splits.unpriced if symbol in self._index]] = True
        self.priced[blocked], self.price[blocked] = False, 0.0
        for number in np.flatnonzero(self._blocked & ~blocked).tolist():
            mark = self.marks[number]
            if mark is not None and mark.ts:
                self.priced[number], self.price[number] = True, mark.price
        self._blocked = blocked
        changed = {self._index[symbol]: self.of_now(symbol, mark)._replace(suspects=()) for symbol, mark in quoted.items()}
        same = {number for number, mark in changed.items() if (old := self.marks[number]) and mark == old._replace(suspects=())}
        return {number: mark for number, mark in changed.items() if number not in same} | self._under_new_names()

    def _under_new_names(self) -> dict[int, Mark]:
        """The last marks of instruments that were renamed, for those that have none under their new names."""
        found = {}
        for symbol, former in self.splits.formerly.items():
            number, other = self._index.get(symbol), self._index.get(former)
            if number is None or other is None:
                continue
            mark, known = self.marks[number], self.marks[other]
            if known is not None and known.ts and (mark is None or not mark.ts):
                found[number] = known._replace(suspects=())
        return found

    def fresh(self, now: int) -> "np.typing.NDArray[np.bool_]":
        """True for marks within `stale_after_s` of `now` by event time; while a market is shut, of when it shut. O(instruments).

        True for those held by hand too. A mark further ahead of the clock than a tick may be is not fresh: somebody has set the
        clock back.
        """
        latest: Any = now
        if self.hours is not None and self.hours.any_shut(now):
            latest = np.minimum(self.hours.shut_since(now), now)
        since = (self.ts >= latest - self._stale_after) | self._is_held
        return np.asarray(self.priced & since & (self.ts <= now + self._future_limit))

    def shut(self, now: int) -> BoolArray:
        """Whether the market of each instrument is shut; read-only, and the same array while nothing opens or shuts."""
        return self._never_shut if self.hours is None else self.hours.shut(now)

    def take_unsaved(self) -> list[tuple[int, Mark]]:
        """The marks that changed since the last call, for the store."""
        numbers, self.unsaved = sorted(self.unsaved), set()
        return [
            (number, self._as_quoted(self._symbols[number], mark))
            for number in numbers
            if (mark := self.marks[number]) is not None
        ]
