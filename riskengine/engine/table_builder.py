"""Builds the `Table` of one roll-up for each snapshot: freezes what changed, shares the rest with the table before.

Writer thread only.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from riskengine.positions.ledger import MASK, SHIFT, Changes, Rollup
from riskengine.positions.repair import resum
from riskengine.positions.settle_columns import settle_new
from riskengine.snapshot.snapshot import EMPTY_STATE, ROWS_PAGE, OwnerState, Table
from riskengine.valuation.day_values import DayValues
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.number_pages import PAGE
from riskengine.valuation.unit_values import Factors, Units


class TableBuilder:
    """Keeps the frozen rows of all owners in pages, beside the `valuation` and its pages of numbers."""

    def __init__(self, rollup: Rollup, valuation: Valuation) -> None:
        self.rollup = rollup
        self.valuation = valuation
        self._pages: tuple[tuple[OwnerState, ...], ...] = tuple(
            (EMPTY_STATE,) * min(PAGE, valuation.size - first) for first in range(0, valuation.size, PAGE)
        )
        self._broken: frozenset[int] = frozenset()
        self.day: DayValues | None = None
        """The lines of the day; None while the engine knows no day."""

    def settle(self, units: Units, factors: Factors, *, at_once: bool = False) -> bool:
        """Carry trades into rows and numbers. Returns whether they changed since the last call. O(touched).

        `at_once`: see `Engine.publish`.
        """
        while self.valuation.size < len(self.rollup.books):
            self.valuation.add_owner()
            if self.valuation.size % PAGE == 1:
                self._pages = (*self._pages, ())
            self._pages = (*self._pages[:-1], (*self._pages[-1], EMPTY_STATE))
        cash = self.valuation.node_cash
        moved = () if cash is None else cash.take_moved()
        changes = None if at_once and settle_new(self.rollup) else self.rollup.settle()
        resummed = resum(self.rollup) if self.rollup.resum else ()
        if changes is None:
            slots = {owner: range(0, len(book.rows), ROWS_PAGE) for owner, book in enumerate(self.rollup.books)}
            self._freeze_states(slots)
            self.valuation.take_all(self.rollup.books, factors)
        elif changes:
            self._freeze_states(self._slots_of(changes))
            self.valuation.take(changes, factors)
        if resummed:
            books = self.rollup.books
            self._freeze_states({owner: range(0, len(books[owner].rows), ROWS_PAGE) for owner in resummed})
            self.valuation.retake(resummed, books, factors)
            self._broken = frozenset(self.rollup.broken_sums)
        if cash is not None:
            cash.reprice(factors)
        if moved:
            self._freeze_states(dict.fromkeys(moved, ()))  # another object: what nodes show has changed
        if self.day is not None and (changes is None or changes or resummed):
            self.day.take(None if resummed else changes, units, factors)
        return changes is None or bool(changes) or bool(resummed) or bool(moved)

    def table(self) -> Table:
        """The table of now, once all is settled. O(1)."""
        day = self.day.table if self.day is not None else None
        cash = self.valuation.node_cash
        values = None if cash is None else cash.values
        return Table(self.valuation.size, self._pages, self.valuation.pages, self._broken, values, day)

    def _slots_of(self, changes: Changes) -> dict[int, list[int]]:
        """The slots of the changed rows, by owner."""
        slots: dict[int, list[int]] = {}
        for key in changes:
            owner = key >> SHIFT
            slot = self.rollup.books[owner].slot(key & MASK)
            assert slot is not None, "a row that changed stands somewhere"
            slots.setdefault(owner, []).append(slot)
        return slots

    def _freeze_states(self, slots: Mapping[int, Iterable[int]]) -> None:
        """Make new states for the owners in `slots`, whose rows there have changed. O(owners + changed pages of rows)."""
        pages = list(self._pages)
        copies: dict[int, list[OwnerState]] = {}
        for owner, changed in slots.items():
            number, at = divmod(owner, PAGE)
            page = copies.get(number)
            if page is None:
                page = copies[number] = list(pages[number])
            book = self.rollup.books[owner]
            rows = list(page[at].pages)
            if len(book.rows) > len(rows) * ROWS_PAGE:
                rows.extend(() for _ in range(len(rows) * ROWS_PAGE, len(book.rows), ROWS_PAGE))
            for first in {slot // ROWS_PAGE for slot in changed}:
                rows[first] = tuple(book.rows[first * ROWS_PAGE : (first + 1) * ROWS_PAGE])
            page[at] = OwnerState(tuple(rows), book.count, book.trades, book.last_trade_ts, book.quarantined)
        for number, page in copies.items():
            pages[number] = tuple(page)
        self._pages = tuple(pages)

    def check(self, factors: Factors) -> None:
        """Assert that the published numbers equal those of a full revaluation, bit for bit. O(everything)."""
        published = self.valuation.pages
        self.valuation.reprice(factors)
        for before, after in zip(published, self.valuation.pages, strict=True):
            assert np.array_equal(before, after), "numbers kept by differences are not those of a full revaluation"
        self.valuation.pages = published
        if self.valuation.node_cash is not None:
            self.valuation.node_cash.check(factors)
