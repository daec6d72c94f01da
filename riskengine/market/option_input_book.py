"""Vols, rates and Greeks on their way to the writer, the store and the close: coalesced, the newest of each subject.

Of what came between two beats only the newest row of each subject goes to the writer, and of what came between two saves that of
each trading day to the store; by the rule of `OptionMarket` that changes nothing.

The newest row of before the boundary of the day that is to be closed is kept apart once a newer one has its place: the close is
struck with it, whatever comes after the boundary, and a late row of before it reaches the close. Used on the event loop.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from riskengine.market.option_market import OptionMarket, Subject, is_newer, subject_of
from riskengine.records.option_inputs import DatedInput, OptionInput

NEVER = 2**62
"""The boundary of a day that nobody closes."""


class OptionInputBook:
    """The newest row of each subject as it came, and which of them the writer and the store have not got."""

    def __init__(self, day_of: Callable[[int], dt.date], rows: Iterable[OptionInput] = (), now: int = 0) -> None:
        """`day_of` gives the trading day of a moment; `rows` are those that the engine was started with."""
        self._day_of = day_of
        self._market = OptionMarket(rows, now)
        self._changed: dict[Subject, OptionInput] = {}
        self._unsaved: dict[tuple[str, Subject], DatedInput] = {}
        self._boundary = NEVER
        self._apart: dict[Subject, OptionInput] = {}

    def set_boundary(self, boundary: int, before: Iterable[OptionInput] = ()) -> None:
        """The trading day that is to be closed ends at `boundary`, microseconds. O(rows).

        `before` are rows that the store holds, for a start that comes when the boundary has passed already.
        """
        self._boundary, self._apart = boundary, {}
        for row in before:
            if row.ts < boundary:
                self._keep_apart(row)

    def closing_inputs(self) -> tuple[OptionInput, ...]:
        """The newest row of each subject of before the boundary; a subject that was first heard of after it has none. O(rows)."""
        apart = dict(self._apart)
        found = []
        for row in self._market:
            kept = apart.pop(subject_of(row), None)
            if row.ts < self._boundary:
                found.append(row)
            elif kept is not None:
                found.append(kept)
        return (*found, *apart.values())

    def _keep_apart(self, row: OptionInput) -> bool:
        """Keep a row of before the boundary for the close, unless it has a newer one. Whether it does."""
        subject = subject_of(row)
        known = self._apart.get(subject)
        if known is not None and (row.ts < known.ts or row == known):
            return False
        self._apart[subject] = row
        return True

    def offer(self, rows: Sequence[OptionInput], now: int) -> list[int]:
        """Take rows in order; returns the places of those without effect, because a newer one is known. 3 us each.

        A row that is known already counts as taken.
        """
        older = []
        for place, row in enumerate(rows):
            if self._take(row, now, is_stored=False) is None:
                older.append(place)
        return older

    def take_stored(self, rows: Iterable[OptionInput], now: int) -> int:
        """Take rows that the store holds; returns how many of them are new."""
        return sum(self._take(row, now, is_stored=True) is True for row in rows)

    def _take(self, row: OptionInput, now: int, *, is_stored: bool) -> bool | None:
        """Whether a row changes what is known; None for an older one."""
        before = self._market.in_force(row)
        if not is_newer(row, before, now):
            return self._take_late(row, before, is_stored=is_stored)
        if row == before:
            return False
        if before is not None and before.ts < self._boundary <= row.ts:
            self._keep_apart(before)
        self._market.take((row,), now)
        subject, day = subject_of(row), self._day_of(row.ts).isoformat()
        self._changed[subject] = row
        if is_stored:
            self._unsaved.pop((day, subject), None)  # older than what the store holds
        else:
            self._unsaved[day, subject] = DatedInput(day, row)
        return True

    def _take_late(self, row: OptionInput, before: OptionInput | None, *, is_stored: bool) -> bool | None:
        """Take a row that an in-force one has overtaken: it may be news for the close. None where it has no effect."""
        if before is None or not row.ts < self._boundary <= before.ts or not self._keep_apart(row):
            return None
        day = self._day_of(row.ts).isoformat()
        if not is_stored:
            self._unsaved[day, subject_of(row)] = DatedInput(day, row)
        return True

    def take_changed(self) -> Sequence[OptionInput]:
        """What has changed since the last call, for the writer."""
        changed, self._changed = self._changed, {}
        return tuple(changed.values())

    def take_unsaved(self) -> Sequence[DatedInput]:
        """What the store has not got since the last call."""
        unsaved, self._unsaved = self._unsaved, {}
        return tuple(unsaved.values())

    def __len__(self) -> int:
        return len(self._market)
