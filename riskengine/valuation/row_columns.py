"""The rows of many owners side by side, a column per field: for whoever works out something from all of them at once.

A number made here is that of the single row, to the bit: the same division of the same integers.
"""

from collections.abc import Iterable
from itertools import compress, repeat
from operator import attrgetter, truediv

import numpy as np

from riskengine.positions.ledger import Book, Row
from riskengine.records.types import BoolArray, FloatArray, Int32Array


class RowColumns:
    """All rows of some owners: `rows` themselves, and for each the number of its owner and of its instrument."""

    def __init__(self, books: Iterable[tuple[int, Book]]) -> None:
        self.rows: list[Row] = []
        owners: list[int] = []
        counts: list[int] = []
        for owner, book in books:
            before = len(self.rows)
            self.rows += [row for row in book.rows if row is not None]
            owners.append(owner)
            counts.append(len(self.rows) - before)
        self.owners: Int32Array = np.repeat(np.array(owners, dtype=np.int32), counts)
        self.instruments: Int32Array = np.fromiter(self.integers("instrument"), dtype=np.int32, count=len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def integers(self, field: str) -> Iterable[int]:
        """One exact field of every row."""
        return map(attrgetter(field), self.rows)

    def amounts(self, field: str, unit: int) -> FloatArray:
        """One field of every row in units of `unit`, the nearest doubles."""
        return np.fromiter(map(truediv, self.integers(field), repeat(unit)), dtype=np.float64, count=len(self.rows))

    def chosen(self, those: BoolArray) -> "RowColumns":
        """Some of the rows."""
        found = RowColumns(())
        found.rows = [*compress(self.rows, those.tolist())]
        found.owners, found.instruments = self.owners[those], self.instruments[those]
        return found

    def owners_by_instrument(self, instruments: int) -> list[Int32Array]:
        """Who has a row of each instrument."""
        order = np.argsort(self.instruments, kind="stable")
        ends = np.cumsum(np.bincount(self.instruments, minlength=instruments))[:-1]
        return np.split(self.owners[order], ends)
