"""Rows of many owners in columns, for sums that are built at once. Immutable once made."""

from collections.abc import Iterable
from itertools import compress, repeat
from operator import attrgetter, truediv

import numpy as np

from riskengine.positions.ledger import Row, RowsOfOwner
from riskengine.records.types import BoolArray, FloatArray, Int32Array


class RowColumns:
    """The rows of many owners in columns: `rows` themselves, and for each the numbers of its owner and its instrument.

    A number made here is that of the single row, to the bit: the same division of the same integers.
    """

    def __init__(self, books: Iterable[tuple[int, RowsOfOwner]]) -> None:
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

    def select(self, mask: BoolArray) -> "RowColumns":
        """Some of the rows."""
        found = RowColumns(())
        found.rows = [*compress(self.rows, mask.tolist())]
        found.owners, found.instruments = self.owners[mask], self.instruments[mask]
        return found

    def owners_by_instrument(self, instruments: int) -> list[Int32Array]:
        """For each instrument number, the owners that have a row of it."""
        order = np.argsort(self.instruments, kind="stable")
        ends = np.cumsum(np.bincount(self.instruments, minlength=instruments))[:-1]
        return np.split(self.owners[order], ends)
