"""Vols, rates and Greeks on their way to the writer and the store: coalesced, the newest of each subject.

Of what came between two beats only the newest row of each subject goes to the writer, and of what came between two saves that of
each trading day to the store; by the rule of `OptionMarket` that changes nothing. Used on the event loop.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from riskengine.market.option_market import OptionMarket, Subject, is_newer, subject_of
from riskengine.records.option_inputs import DatedInput, OptionInput


class OptionInputBook:
    """The newest row of each subject as it came, and which of them the writer and the store have not got."""

    def __init__(self, day_of: Callable[[int], dt.date], rows: Iterable[OptionInput] = (), now: int = 0) -> None:
        """`day_of` gives the trading day of a moment; `rows` are those that the engine was started with."""
        self._day_of = day_of
        self._market = OptionMarket(rows, now)
        self._changed: dict[Subject, OptionInput] = {}
        self._unsaved: dict[tuple[str, Subject], DatedInput] = {}

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
            return None
        if row == before:
            return False
        self._market.take((row,), now)
        subject, day = subject_of(row), self._day_of(row.ts).isoformat()
        self._changed[subject] = row
        if is_stored:
            self._unsaved.pop((day, subject), None)  # older than what the store holds
        else:
            self._unsaved[day, subject] = DatedInput(day, row)
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
