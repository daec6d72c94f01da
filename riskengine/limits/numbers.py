"""The numbers of nodes and dealers that limits bound, read from a snapshot in arrays.

Of each owner a number is whole, or the sum of what is known of it, or unknown (NaN). What no trade and no price can have changed
since the snapshot before is not read again. One thread uses a reader, with snapshots in ascending order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.day_values import DAY_NUMBERS, START, START_FEES, UNKNOWN_COUNT, UNKNOWN_TOTAL
from riskengine.valuation.number_pages import DELTA, FEES, GAMMA, GROSS, LINES, MEASURES, NET, PAGE, THETA, TOTAL, UNPRICED, VEGA

COLUMNS = {
    "net_exposure": NET,
    "gross_exposure": GROSS,
    "delta_cash": DELTA,
    "gamma_cash": GAMMA,
    "vega": VEGA,
    "theta": THETA,
    "total_pnl": TOTAL,
}
"""Measures that are lines of the table of node numbers."""


class Numbers(NamedTuple):
    """A measure of several owners: `value`, NaN where unknown, and `whole`, False where parts of it are unknown."""

    value: FloatArray
    whole: BoolArray


class OwnerNumbers:
    """The numbers of some owners of one roll-up: `owners` are their numbers, rising."""

    def __init__(self, owners: Sequence[int]) -> None:
        self.owners: IntArray = np.array(owners, dtype=np.int64)
        pages = self.owners // PAGE
        starts = np.flatnonzero(np.diff(pages, prepend=-1))
        ends = [*starts[1:].tolist(), len(self.owners)]
        spans = zip(starts.tolist(), ends, strict=True)
        self._spans = [(int(pages[first]), first, end, self.owners[first:end] % PAGE) for first, end in spans]
        size = len(self.owners)
        self._table: FloatArray = np.zeros((MEASURES, size))
        self._day: FloatArray = np.zeros((DAY_NUMBERS, size))
        self._counts: FloatArray = np.zeros((2, size))
        self._seen: dict[tuple[str | int, int], object] = {}
        self._broken: BoolArray = np.zeros(size, dtype=np.bool_)

    def read(self, snapshot: Snapshot, table: Table) -> None:
        """Read the numbers of a snapshot. O(owners on pages that changed)."""
        for page, first, end, within in self._spans:
            states = table.states[page]
            for group, (lines, numbers) in enumerate(zip(LINES, table.numbers.of_page(page), strict=True)):
                if self._is_new(group, page, numbers):
                    self._table[lines, first:end] = numbers[:, within]
            if self._is_new("states", page, states):
                self._counts[:, first:end] = [
                    [states[at].position_count for at in within.tolist()],
                    [states[at].quarantined_count for at in within.tolist()],
                ]
            if table.day is not None:
                self._read_day(table.day.pages, page, first, end, within)
        self._has_day = table.day is not None and snapshot.day is not None
        if table.broken or self._broken.any():
            self._broken = np.array([table.is_broken(owner) for owner in self.owners.tolist()], dtype=np.bool_)
        quarantined = self._counts[1]
        self._unpriced = self._table[UNPRICED] + quarantined
        self._whole = (self._unpriced == 0.0) & ~self._broken
        self._nothing = ((self._unpriced >= self._counts[0]) & (self._unpriced > 0.0)) | self._broken

    def _read_day(self, pages: Sequence[FloatArray], page: int, first: int, end: int, within: IntArray) -> None:
        numbers = pages[page] if page < len(pages) else None
        if not self._is_new("day", page, numbers):
            return
        self._day[:, first:end] = 0.0
        if numbers is not None:  # owners beyond came after the close: dealers
            there = within < numbers.shape[1]
            self._day[:, first + np.flatnonzero(there)] = numbers[:, within[there]]

    def _is_new(self, what: str | int, page: int, found: object) -> bool:
        if self._seen.get((what, page), self) is found:
            return False
        self._seen[what, page] = found
        return True

    # -- measures ----------------------------------------------------------------------------------------------

    def measure(self, name: str) -> Numbers:
        """One of COLUMNS or `net_day_pnl`, of the snapshot of the last `read`. O(owners)."""
        if name == "net_day_pnl":
            return self._net_day_pnl()
        value = self._table[COLUMNS[name]]
        nothing = self._nothing
        if name in ("net_exposure", "gross_exposure"):
            # The legs of a pair without a mark have rates of their own.
            nothing = (nothing & (self._table[GROSS] == 0.0)) | self._broken
        return Numbers(np.where(nothing, np.nan, value + 0.0), self._whole & ~nothing)

    def _net_day_pnl(self) -> Numbers:
        table, day = self._table, self._day
        if not self._has_day:
            return Numbers(np.full(len(self.owners), np.nan), np.zeros(len(self.owners), dtype=np.bool_))
        value = table[TOTAL] - day[UNKNOWN_TOTAL] - day[START] - (table[FEES] - day[START_FEES])
        unknown = day[UNKNOWN_COUNT]
        nothing = self._nothing | ((unknown > 0.0) & (unknown >= self._counts[0]))
        return Numbers(np.where(nothing, np.nan, value + 0.0), self._whole & (unknown == 0.0) & ~nothing)

    def cash(self, snapshot: Snapshot, name: str) -> Numbers:
        """`nav` or `available_cash` of nodes, of the snapshot of the last `read`. O(owners)."""
        cash = snapshot.nodes.cash
        assert cash is not None, "the organisation has cash"
        if name == "nav":
            value = cash.movements[self.owners] + self._table[TOTAL] - self._table[FEES]
        else:
            value = cash.available[self.owners]
        unknown, whole = self._nothing.copy(), self._whole.copy()
        if cash.unknown or cash.unsettled:
            unsettled = cash.unsettled if name == "available_cash" else frozenset[int]()
            owners = self.owners.tolist()
            unknown |= np.array([owner in cash.unknown_own or owner in unsettled for owner in owners], dtype=np.bool_)
            whole &= np.array([not cash.unknown.get(owner) for owner in owners], dtype=np.bool_)
        return Numbers(np.where(unknown, np.nan, value + 0.0), whole & ~unknown)
