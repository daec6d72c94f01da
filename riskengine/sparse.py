"""A sparse matrix that is written a cell at a time and multiplied as a whole.

Compressed rows with a little room at the end of each. A row that outgrows its room moves to the end of the arrays, and
the hole is closed when holes have become a third of the whole. Cells of a row stand in the order of their columns, and a product
adds them one after the other in that order: the result depends on the cells alone, not on the order in which they came.

The inner loop is scipy's compiled `csr_matvec`, called directly: the public matrix classes check their arguments at every
product, which costs more than the product of one row. It releases the interpreter lock. 0.15 ms for 300,000 cells (bench/).
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import _sparsetools

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int32]


class SparseRows:
    """`rows` x `columns` cells, each with `layers` numbers: as many matrices that share one pattern.

    Written by one thread. Products return new arrays.
    """

    def __init__(self, rows: int, columns: int, layers: int) -> None:
        self.columns = columns
        self.layers = layers
        self._cells = 0
        self._start: list[int] = [0] * (rows + 1)
        self._used: list[int] = [0] * rows
        self._place: list[int] = list(range(rows))
        self._ordered = True
        self._bounds: IndexArray | None = None
        self._order: IndexArray | None = None
        self._indices: IndexArray = np.zeros(0, dtype=np.int32)
        self._data: list[FloatArray] = [np.zeros(0)] * layers
        self._allocate(max(64, 4 * rows))

    def __len__(self) -> int:
        return len(self._place)

    def add_row(self) -> int:
        """A new empty row at the end; its number. O(1)."""
        row = len(self._place)
        self._place.append(len(self._used))
        self._used.append(0)
        self._start.append(self._start[-1])
        self._bounds = self._order = None
        return row

    def set(self, row: int, column: int, values: Sequence[float]) -> None:
        """Write one cell in every layer. O(log cells of the row); a new column moves the cells after it."""
        place = self._place[row]
        start = self._start[place]
        end = start + self._used[place]
        at = bisect_left(self._index_view, column, start, end)
        if at == end or self._index_view[at] != column:
            at = self._make_room(row, at - start)
            self._index_view[at] = column
        for view, value in zip(self._data_views, values, strict=True):
            view[at] = value

    def get(self, row: int, column: int) -> tuple[float, ...]:
        """One cell of every layer; zeros where there is none. O(log cells of the row)."""
        place = self._place[row]
        start = self._start[place]
        end = start + self._used[place]
        at = bisect_left(self._index_view, column, start, end)
        if at == end or self._index_view[at] != column:
            return (0.0,) * self.layers
        return tuple(view[at] for view in self._data_views)

    def product(self, layer: int, factors: FloatArray) -> FloatArray:
        """Sum over columns of cell x factor for every row; shape (rows,). O(cells)."""
        self._close_holes()
        if self._bounds is None:
            self._bounds = np.array(self._start, dtype=np.int32)
        sums = np.zeros(len(self._used))
        _sparsetools.csr_matvec(
            len(self._used), self.columns, self._bounds, self._indices, self._data[layer], factors, sums
        )
        if len(self._used) == len(self._place) and self._ordered:
            return sums
        if self._order is None:
            self._order = np.array(self._place, dtype=np.int32)
        return sums[self._order]

    def product_of_rows(self, layer: int, rows: npt.NDArray[np.int64], factors: FloatArray) -> FloatArray:
        """The same for some rows, to the last bit; shape (len(rows),). O(cells of those rows)."""
        if self._bounds is None:
            self._bounds = np.array(self._start, dtype=np.int32)
        if self._order is None:
            self._order = np.array(self._place, dtype=np.int32)
        places = self._order[rows]
        bounds = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum(self._bounds[places + 1] - self._bounds[places], out=bounds[1:])
        indices = np.empty(bounds[-1], dtype=np.int32)
        data = np.empty(bounds[-1])
        sums = np.zeros(len(rows))
        _sparsetools.csr_row_index(len(rows), places, self._bounds, self._indices, self._data[layer], indices, data)
        _sparsetools.csr_matvec(len(rows), self.columns, bounds, indices, data, factors, sums)
        return sums

    def product_of_row(self, layer: int, row: int, factors: FloatArray) -> float:
        """The same for one row, to the last bit. O(cells of the row)."""
        place = self._place[row]
        start = self._start[place]
        bounds = np.array((start, start + self._used[place]), dtype=np.int32)
        total = np.zeros(1)
        _sparsetools.csr_matvec(1, self.columns, bounds, self._indices, self._data[layer], factors, total)
        return float(total[0])

    def _allocate(self, capacity: int) -> None:
        """Arrays for `capacity` cells, the old ones copied; zeros in the room."""
        indices = np.zeros(capacity, dtype=np.int32)
        data = [np.zeros(capacity) for _ in range(self.layers)]
        if self._cells:
            indices[: self._cells] = self._indices[: self._cells]
            for new, old in zip(data, self._data, strict=True):
                new[: self._cells] = old[: self._cells]
        self._indices, self._data = indices, data
        self._index_view: memoryview[int] = memoryview(indices)
        self._data_views: list[Any] = [memoryview(layer) for layer in data]

    def _make_room(self, row: int, offset: int) -> int:
        """Room for one more cell at `offset` within the row; the place of that cell in the arrays."""
        place = self._place[row]
        start, used = self._start[place], self._used[place]
        if start + used == self._start[place + 1]:
            place = self._move_to_end(row)
            start = self._start[place]
        at, end = start + offset, start + used
        if at < end:
            self._indices[at + 1 : end + 1] = self._indices[at:end].copy()
            for layer in self._data:
                layer[at + 1 : end + 1] = layer[at:end].copy()
        self._used[place] += 1
        return at

    def _move_to_end(self, row: int) -> int:
        """Give a full row a new place with more room at the end of the arrays; the place's number."""
        old = self._place[row]
        start, used = self._start[old], self._used[old]
        room = used + max(2, used // 4)
        if self._cells + room > len(self._indices):
            self._allocate(2 * (self._cells + room))
        end = self._cells
        self._indices[end : end + used] = self._indices[start : start + used]
        for layer in self._data:
            layer[end : end + used] = layer[start : start + used]
        place = len(self._used)
        self._used.append(used)
        self._used[old] = 0
        self._start.append(end + room)
        self._place[row] = place
        self._cells = end + room
        self._bounds = self._order = None
        self._ordered = False
        return place

    def _close_holes(self) -> None:
        """Lay the rows out in order again when the places given up outnumber half of those in use."""
        if len(self._used) <= len(self._place) + max(16, len(self._place) // 2):
            return
        used = [self._used[place] for place in self._place]
        starts = [self._start[place] for place in self._place]
        lengths = np.array(used, dtype=np.int64)
        rooms = lengths + np.maximum(1, lengths // 8)
        new_start = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(rooms)))
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source = np.repeat(np.array(starts, dtype=np.int64), lengths) + within
        target = np.repeat(new_start[:-1], lengths) + within
        indices, data = self._indices, self._data
        self._cells = 0
        self._allocate(int(new_start[-1]) * 5 // 4 + 64)
        self._indices[target] = indices[source]
        for new, old in zip(self._data, data, strict=True):
            new[target] = old[source]
        self._cells = int(new_start[-1])
        self._start = [int(start) for start in new_start]
        self._used = used
        self._place = list(range(len(used)))
        self._bounds = self._order = None
        self._ordered = True
