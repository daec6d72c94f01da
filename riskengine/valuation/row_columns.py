"""Rows of many owners in columns, for sums that are built at once.

A column is made in slices: one call into compiled code for all rows would keep the interpreter from other threads for tens of
milliseconds.
"""

from collections.abc import Iterable, Iterator
from itertools import compress, repeat
from operator import attrgetter, truediv
from typing import Any

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.types import BoolArray, FloatArray, Int32Array

SLICE = 2_048
"""Rows that one call into compiled code works on: half a millisecond."""


class RowColumns:
    """The rows of many owners in columns: `rows` themselves, and for each the numbers of its owner and its instrument.

    A number made here is that of the single row, to the bit: the same division of the same integers. It is made once.
    """

    def __init__(self, held: Iterable[tuple[int, Iterable[Row | None]]]) -> None:
        self.rows: list[Row] = []
        owners: list[int] = []
        counts: list[int] = []
        for owner, rows in held:
            before = len(self.rows)
            self.rows += [row for row in rows if row is not None]
            owners.append(owner)
            counts.append(len(self.rows) - before)
        self.owners: Int32Array = np.repeat(np.array(owners, dtype=np.int32), counts)
        self._amounts: dict[tuple[str, int], FloatArray] = {}
        self.instruments: Int32Array = np.empty(len(self.rows), dtype=np.int32)
        get = attrgetter("instrument")
        for first, some in self._slices():
            self.instruments[first : first + len(some)] = np.fromiter(map(get, some), dtype=np.int32, count=len(some))

    def __len__(self) -> int:
        return len(self.rows)

    def _slices(self) -> Iterator[tuple[int, list[Row]]]:
        for first in range(0, len(self.rows), SLICE):
            yield first, self.rows[first : first + SLICE]

    def integers(self, field: str) -> Iterable[int]:
        """One exact field of every row."""
        return map(attrgetter(field), self.rows)

    def column(self, field: str) -> list[Any]:
        """One field of every row. O(rows)."""
        get, found = attrgetter(field), list[Any]()
        for _, some in self._slices():
            found += map(get, some)
        return found

    def amounts(self, field: str, unit: int) -> FloatArray:
        """One field of every row in units of `unit`, the nearest doubles. O(rows) at the first call."""
        known = self._amounts.get((field, unit))
        if known is not None:
            return known
        get, found = attrgetter(field), np.empty(len(self.rows))
        for first, some in self._slices():
            values: Iterator[Any] = map(get, some) if unit == 1 else map(truediv, map(get, some), repeat(unit))
            found[first : first + len(some)] = np.fromiter(values, dtype=np.float64, count=len(some))
        self._amounts[field, unit] = found
        return found

    def select(self, mask: BoolArray) -> "RowColumns":
        """Some of the rows."""
        found = RowColumns(())
        for first, some in self._slices():
            found.rows += compress(some, mask[first : first + len(some)].tolist())
        found.owners, found.instruments = self.owners[mask], self.instruments[mask]
        found._amounts = {key: amounts[mask] for key, amounts in self._amounts.items()}
        return found

    def owners_by_instrument(self, instruments: int) -> list[Int32Array]:
        """For each instrument number, the owners that have a row of it."""
        order = np.argsort(self.instruments, kind="stable")
        ends = np.cumsum(np.bincount(self.instruments, minlength=instruments))[:-1]
        return np.split(self.owners[order], ends)
