"""A sparse matrix that is written a cell at a time and multiplied as a whole.

It stores compressed rows with a little room at the end of each. A row that outgrows its room moves to the end of the arrays and
leaves a hole; holes are closed once they are a third of all. The cells of a row stand in the order of their columns, and a
product adds them in that order: it depends on the cells alone, not on the order in which they were written. Columns that are
added later (`grow`) come with the place of every column in that order.

The inner loop is scipy's compiled `csr_matvec`, which releases the interpreter lock. It is called directly: the public matrix
classes check their arguments at every product, which costs more than the product of one row. It is also imported directly: the
package around it takes a quarter of the time of a start's imports.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from itertools import repeat
from operator import eq, truediv
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from riskengine.records.types import FloatArray, Int32Array


def _load_sparsetools() -> Any:
    """`scipy.sparse._sparsetools` without `scipy.sparse`."""
    scipy = find_spec("scipy")
    assert scipy is not None and scipy.submodule_search_locations, "scipy is a dependency"
    folders = [str(Path(place) / "sparse") for place in scipy.submodule_search_locations]
    spec = PathFinder.find_spec("scipy.sparse._sparsetools", folders)
    assert spec is not None and spec.loader is not None, "scipy has its compiled loops"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_sparsetools = _load_sparsetools()

_COLUMN = 32
_COLUMN_MASK = (1 << _COLUMN) - 1
"""An exact sum is kept under `row << _COLUMN | column`, so that more columns change no key."""
ADDED_AT_ONCE = 4_096
"""Exact sums that one call into compiled code works on: more would keep the interpreter from other threads for too long."""

Rows = npt.NDArray[np.int64] | int | None
"""Some rows by number (ascending), one row, or all (None)."""


class SparseRows:
    """`rows` x `columns` cells, each with `layers` numbers: as many matrices with the same cells. For one thread.

    >>> held = SparseRows(rows=2, columns=3, layers=2)
    >>> held.set(0, 2, (5.0, 1.0))
    True
    >>> held.set(1, 0, (-7.0, 1.0))
    True
    >>> held.get(0, 2)
    (5.0, 1.0)
    >>> prices = np.array([1.0, 10.0, 100.0])
    >>> held.product(0, prices)
    array([500.,  -7.])
    >>> held.product(0, prices, 1)
    -7.0
    """

    def __init__(self, rows: int, columns: int, layers: int, order: Sequence[int] | None = None) -> None:
        """`order` gives the place of each column among the cells of a row; None: columns stand in the order of their numbers."""
        self.columns = columns
        self.layers = layers
        self._order: Sequence[int] | None = None
        self.grow(columns, order)
        # A row stands at a place. Places lie one behind the other in the arrays: each ends where the next one starts. The unused
        # cells of a place are 0.0, so that a product may add them. A place that its row has left is a hole.
        self._start = array("i", bytes(4 * (rows + 1)))  # by place
        self._used = array("i", bytes(4 * rows))  # by place
        self._place = array("i", range(rows))  # by row
        self._ordered = True  # every row stands at the place of its number
        self._cells = 0
        self._has_cells = False
        self._indices: Int32Array = np.zeros(0, dtype=np.int32)
        self._data: list[FloatArray] = [np.zeros(0)] * layers
        self._allocate(64)
        self._one_row = np.zeros(2, dtype=np.int32), np.zeros(1)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def has_cells(self) -> bool:
        """Whether any cell was written, be it 0.0."""
        return self._has_cells

    def grow(self, columns: int, order: Sequence[int] | None) -> None:
        """Make room for more columns. Among those that are there already, `order` must put none elsewhere. O(1), 0.1 us a column.

        >>> rows = SparseRows(rows=1, columns=2, layers=1)
        >>> rows.set(0, 1, (1.0,))
        True
        >>> rows.grow(3, (0, 2, 1))
        >>> rows.set(0, 2, (2.0,))
        True
        >>> rows.columns_of(0)
        [2, 1]
        """
        self.columns = columns
        self._order = None if order is None or all(map(eq, order, range(columns))) else order

    def columns_of(self, row: int) -> list[int]:
        """The columns of the cells of a row, in their order. O(those)."""
        place = self._place[row]
        start = self._start[place]
        return list(self._index_view[start : start + self._used[place]])

    def _find(self, column: int, start: int, end: int) -> int:
        """Where among the cells from `start` to `end` a column stands, or would stand."""
        if self._order is None:
            return bisect_left(self._index_view, column, start, end)
        return bisect_left(self._index_view, self._order[column], start, end, key=self._order.__getitem__)

    def add_row(self) -> int:
        """Add an empty row at the end. Returns its number. O(1).

        >>> SparseRows(rows=2, columns=3, layers=1).add_row()
        2
        """
        row = len(self._place)
        self._place.append(len(self._used))
        self._used.append(0)
        self._start.append(self._start[-1])
        return row

    def set(self, row: int, column: int, values: Sequence[float]) -> bool:
        """Write one cell in every layer. Returns whether it is a new one.

        O(log cells of the row); a new cell moves those after it.

        >>> rows = SparseRows(rows=1, columns=3, layers=1)
        >>> rows.set(0, 1, (5.0,)), rows.set(0, 1, (6.0,))
        (True, False)
        """
        place = self._place[row]
        start = self._start[place]
        end = start + self._used[place]
        at = self._find(column, start, end)
        new = at == end or self._index_view[at] != column
        if new:
            at = self._make_room(row, at - start)
            self._index_view[at] = column
        for view, value in zip(self._data_views, values, strict=True):
            view[at] = value
        return new

    def get(self, row: int, column: int) -> tuple[float, ...]:
        """One cell in every layer; zeros where there is none. O(log cells of the row).

        >>> SparseRows(rows=1, columns=3, layers=2).get(0, 1)
        (0.0, 0.0)
        """
        place = self._place[row]
        start = self._start[place]
        end = start + self._used[place]
        at = self._find(column, start, end)
        if at == end or self._index_view[at] != column:
            return (0.0,) * self.layers
        return tuple(view[at] for view in self._data_views)

    def clear_row(self, row: int) -> None:
        """Set every cell of a row to 0.0; they stay cells. O(cells of the row).

        >>> rows = SparseRows(rows=1, columns=3, layers=1)
        >>> rows.set(0, 1, (5.0,))
        True
        >>> rows.clear_row(0)
        >>> rows.product(0, np.ones(3))
        array([0.])
        >>> rows.set(0, 1, (6.0,))
        False
        """
        place = self._place[row]
        start = self._start[place]
        for data in self._data:
            data[start : start + self._used[place]] = 0.0

    def fill(self, cells: "Cells") -> None:
        """Replace all cells by these. O(cells log cells), all of it in arrays.

        >>> rows = SparseRows(rows=2, columns=3, layers=1)
        >>> rows.fill(Cells(np.array([1, 0, 1]), np.array([2, 0, 0]), np.array([[4.0], [1.0], [3.0]])))
        >>> rows.product(0, np.ones(3))
        array([1., 7.])
        """
        row_of, column_of = cells.rows, cells.columns
        places = column_of if self._order is None else np.array(self._order, dtype=np.int64)[column_of]
        order = np.lexsort((places, row_of))
        self._has_cells = len(row_of) > 0
        self._cells = 0
        target = self._lay_out(np.bincount(row_of, minlength=len(self._place)))
        self._indices[target] = column_of[order]
        for layer, data in enumerate(self._data):
            data[target] = cells.values[order, layer]

    def product(self, layer: int, factors: FloatArray, rows: Rows = None) -> Any:
        """Sum of cell x factor over the columns: a new array for all rows or some (ascending), a float for one row.

        The product of a row is the same to the last bit, however it is asked for. Factors must be finite. O(cells of those rows),
        none of them copied.

        >>> rows = SparseRows(rows=3, columns=1, layers=1)
        >>> rows.fill(Cells(np.array([0, 1, 2]), np.array([0, 0, 0]), np.array([[1.0], [2.0], [3.0]])))
        >>> factors = np.array([10.0])
        >>> rows.product(0, factors), rows.product(0, factors, np.array([0, 2])), rows.product(0, factors, 2)
        (array([10., 20., 30.]), array([10., 30.]), 30.0)
        """
        return self.product_of_row(layer, rows, factors) if isinstance(rows, int) else self.products(rows, (layer, factors))[0]

    def products(self, rows: Rows, *terms: tuple[int, FloatArray]) -> list[Any]:
        """Several products over the same rows, each of a layer with its factors. See `product`."""
        if rows is None:
            return [self._product_of_all(layer, factors) for layer, factors in terms]
        if isinstance(rows, int):
            return [self.product_of_row(layer, rows, factors) for layer, factors in terms]
        bounds, order = self._bounds_of(rows)
        results = []
        for layer, factors in terms:
            every_second = np.zeros(len(bounds))
            _sparsetools.csr_matvec(
                max(len(bounds) - 1, 0), self.columns, bounds, self._indices, self._data[layer], factors, every_second
            )
            sums = np.empty(len(rows))
            sums[order] = every_second[0::2]
            results.append(sums)
        return results

    def product_of_rows(self, layer: int, rows: npt.NDArray[np.int64], factors: FloatArray) -> FloatArray:
        """The product for some rows (ascending), shape (len(rows),). See `product`."""
        return cast(FloatArray, self.product(layer, factors, rows))

    def product_of_range(self, layer: int, factors: FloatArray, first: int, count: int) -> FloatArray:
        """The product for `count` rows from `first` on: quicker than for as many named rows. See `product`."""
        if not self._ordered:
            return self.product_of_rows(layer, np.arange(first, first + count), factors)
        sums = np.zeros(count)
        bounds = np.frombuffer(self._start, dtype=np.int32)[first : first + count + 1]
        _sparsetools.csr_matvec(count, self.columns, bounds, self._indices, self._data[layer], factors, sums)
        return sums

    def _product_of_all(self, layer: int, factors: FloatArray) -> FloatArray:
        if not self._has_cells:
            return np.zeros(len(self._place))
        self._close_holes()
        places = len(self._used)
        sums = np.zeros(places)
        bounds = np.frombuffer(self._start, dtype=np.int32)
        _sparsetools.csr_matvec(places, self.columns, bounds, self._indices, self._data[layer], factors, sums)
        return sums if self._ordered else sums[np.frombuffer(self._place, dtype=np.int32)]

    def _bounds_of(self, rows: npt.NDArray[np.int64]) -> tuple[Int32Array, slice | npt.NDArray[np.int64]]:
        """Bounds for `csr_matvec` of a matrix whose every second row is one of `rows`, and the order in which those come.

        The bounds descend: the row between two of them runs from the end of one to the start of another that stands before it,
        and so has no cells.
        """
        places = np.frombuffer(self._place, dtype=np.int32)[rows]
        order = slice(None, None, -1) if self._ordered else np.argsort(-places)
        places = places[order]
        starts = np.frombuffer(self._start, dtype=np.int32)[places]
        bounds = np.empty(2 * len(rows), dtype=np.int32)
        bounds[0::2] = starts
        bounds[1::2] = starts + np.frombuffer(self._used, dtype=np.int32)[places]
        return bounds, order

    def product_of_row(self, layer: int, row: int, factors: FloatArray) -> float:
        """The product for one row. O(cells of the row). See `product`."""
        place = self._place[row]
        start, used = self._start[place], self._used[place]
        if not used:
            return 0.0
        if used == 1:  # without the cost of a call into compiled code; the product adds to 0.0, so never gives -0.0
            return float(0.0 + self._data_views[layer][start] * factors.item(self._index_view[start]))
        bounds, total = self._one_row
        bounds[0], bounds[1], total[0] = start, start + used, 0.0
        _sparsetools.csr_matvec(1, self.columns, bounds, self._indices, self._data[layer], factors, total)
        return total.item(0)

    def check(self) -> None:
        """Assert every invariant of the structure. O(cells)."""
        start, used, place = (np.array(of, dtype=np.int32) for of in (self._start, self._used, self._place))
        capacity = len(self._indices)
        assert len(start) == len(used) + 1 and start[0] == 0 and start[-1] == self._cells <= capacity, "places fill the arrays"
        assert (0 <= used).all() and (used <= np.diff(start)).all(), "no place uses more than its room"
        assert len(np.unique(place)) == len(place) and (place < len(used)).all(), "every row has a place of its own"
        assert not np.delete(used, place).any(), "a hole uses nothing"
        if self._ordered:
            assert np.array_equal(place, np.arange(len(used))), "in order, every row stands at the place of its number"
        assert len(self._data) == len(self._data_views) == self.layers
        assert all(data.shape == (capacity,) for data in self._data), "every layer has all cells"
        assert self._index_view.obj is self._indices, "views are of the arrays"
        assert all(view.obj is data for view, data in zip(self._data_views, self._data, strict=True)), "views are of the arrays"
        assert ((0 <= self._indices) & (self._indices < max(self.columns, 1))).all(), "cells stand in columns"
        for first, count, end in zip(start[place], used[place], start[place + 1], strict=True):
            stands = self._indices[first : first + count]
            places = stands if self._order is None else np.array(self._order)[stands]
            assert (np.diff(places) > 0).all(), "cells of a row stand in the order of columns"
            assert not any(data[first + count : end].any() for data in self._data), "unused cells are 0.0"

    def _allocate(self, capacity: int) -> None:
        """New arrays for `capacity` cells with the old cells in them, the rest zeros."""
        indices = np.zeros(capacity, dtype=np.int32)
        data = [np.zeros(capacity) for _ in range(self.layers)]
        if self._cells:
            indices[: self._cells] = self._indices[: self._cells]
            for new, old in zip(data, self._data, strict=True):
                new[: self._cells] = old[: self._cells]
        self._indices, self._data = indices, data
        self._index_view: Any = indices.data
        self._data_views: list[Any] = [layer.data for layer in data]

    def _make_room(self, row: int, offset: int) -> int:
        """Make room for one more cell at `offset` within the row. Returns where the cell stands in the arrays."""
        self._has_cells = True
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
        """Move a full row to a new place with more room at the end of the arrays. Returns the number of the place."""
        old = self._place[row]
        start, used = self._start[old], self._used[old]
        room = used + max(2, used // 4)
        if self._cells + room > len(self._indices):
            self._allocate((self._cells + room) * 5 // 4 + 64)
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
        self._ordered = False
        return place

    def _close_holes(self) -> None:
        """Lay the rows out in order again once there are more holes than half the rows."""
        if len(self._used) <= len(self._place) + max(16, len(self._place) // 2):
            return
        places = np.frombuffer(self._place, dtype=np.int32)
        lengths = np.frombuffer(self._used, dtype=np.int32)[places].astype(np.int64)
        source = np.repeat(np.frombuffer(self._start, dtype=np.int32)[places], lengths) + _within(lengths)
        indices, data = self._indices, self._data
        self._cells = 0
        target = self._lay_out(lengths)
        self._indices[target] = indices[source]
        for new, old in zip(self._data, data, strict=True):
            new[target] = old[source]

    def _lay_out(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Make new arrays with a place, an eighth of it room, for every row in order. Returns where the cells go, row by row."""
        bounds = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths + np.maximum(1, lengths // 8), out=bounds[1:])
        self._allocate(int(bounds[-1]) * 17 // 16 + 64)
        self._cells = int(bounds[-1])
        self._start = array("i", bounds.astype(np.int32).tobytes())
        self._used = array("i", lengths.astype(np.int32).tobytes())
        self._place = array("i", range(len(lengths)))
        self._ordered = True
        return np.repeat(bounds[:-1], lengths) + _within(lengths)


class Cells(NamedTuple):
    """Cells to fill a matrix with, in any order, each (row, column) once. `values` has a line per cell, a number per layer."""

    rows: Int32Array
    columns: Int32Array
    values: FloatArray


class ExactRows:
    """Exact sums by row and column, and a matrix of their nearest doubles: layer 0 has the sums, layer 1 their sizes.

    `unit` is the integer that is 1.0. Exact sums do not depend on the order of adding, so neither do the doubles.

    >>> cash = ExactRows(rows=1, columns=2, unit=100)
    >>> cash.add(0, 0, 250)
    >>> cash.add(0, 1, -1)
    >>> cash.flush()
    >>> cash.product(0, np.array([1.0, 1.0])), cash.product(1, np.array([1.0, 1.0]))
    (array([2.49]), array([2.51]))
    """

    def __init__(self, rows: int, columns: int, unit: int, order: Sequence[int] | None = None) -> None:
        """`order` as in `SparseRows`."""
        self._columns = columns
        self._order: Sequence[int] | None = order
        self._unit = unit
        self._sums: dict[int, int] = {}
        self._touched: set[int] = set()
        self._cells = SparseRows(rows, columns, 2, order)
        self.product = self._cells.product
        self.product_of_row = self._cells.product_of_row
        self.add_row = self._cells.add_row
        self.get = self._cells.get

    def __bool__(self) -> bool:
        return bool(self._sums)

    @property
    def has_changed(self) -> bool:
        """Whether a sum changed since the last `flush`."""
        return bool(self._touched)

    def grow(self, columns: int, order: Sequence[int] | None) -> None:
        """Make room for more columns. See `SparseRows.grow`."""
        self._columns, self._order = columns, order
        self._cells.grow(columns, order)

    def exact(self, row: int) -> dict[int, int]:
        """The sums of a row by column, without zeros. O(columns)."""
        first, sums = row << _COLUMN, self._sums
        return {column: total for column in range(self._columns) if (total := sums.get(first + column, 0))}

    def add(self, row: int, column: int, change: int) -> None:
        """Add to one sum. The matrix follows at `flush`. O(1)."""
        key = row << _COLUMN | column
        self._sums[key] = self._sums.get(key, 0) + change
        self._touched.add(key)

    def add_all(self, rows: Int32Array, columns: Int32Array, changes: Iterable[int]) -> None:
        """Add to many sums at once; the same sum may occur several times. O(n), most of it in arrays, some thousand at a time.

        >>> cash = ExactRows(rows=1, columns=2, unit=1)
        >>> cash.add_all(np.array([0, 0, 0]), np.array([1, 0, 1]), [5, 1, 6])
        >>> cash.flush()
        >>> cash.product(0, np.array([100.0, 1.0]))
        array([111.])
        """
        keys, waiting = rows.astype(np.int64) << _COLUMN | columns, iter(changes)
        for first in range(0, len(keys), ADDED_AT_ONCE):
            self._add_some(keys[first : first + ADDED_AT_ONCE], waiting)

    def _add_some(self, keys: npt.NDArray[np.int64], changes: Iterator[int]) -> None:
        """Add the next changes to the sums of `keys`."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        exact = np.fromiter(changes, dtype=np.object_, count=len(keys))
        totals = np.add.reduceat(exact[order], first)
        sums = self._sums
        for key, total in zip(keys[first].tolist(), totals.tolist(), strict=True):
            if total:
                sums[key] = sums.get(key, 0) + total
                self._touched.add(key)

    def doubles(self, row: int) -> list[tuple[int, float]]:
        """Column and sum of the cells of a row, in the order in which a product adds them. After `flush`. O(cells of the row)."""
        return [(column, self._cells.get(row, column)[0]) for column in self._cells.columns_of(row)]

    def product_of_rest(self, row: int, without: Mapping[int, int], factors: FloatArray) -> float:
        """The sum over the columns of (sum - `without`) x factor, for one row: without some of what was added. O(columns).

        >>> fees = ExactRows(rows=1, columns=2, unit=1)
        >>> fees.add(0, 0, 7)
        >>> fees.add(0, 1, 5)
        >>> fees.product_of_rest(0, {0: 4}, np.array([10.0, 1.0]))
        35.0
        """
        first, total = row << _COLUMN, 0.0
        for column in self._in_order():
            rest = self._sums.get(first + column, 0) - without.get(column, 0)
            if rest:
                total += rest / self._unit * float(factors[column])
        return total

    def _in_order(self) -> Iterable[int]:
        """The columns in the order in which a product adds them."""
        return range(self._columns) if self._order is None else sorted(range(self._columns), key=self._order.__getitem__)

    def flush(self) -> None:
        """Write the sums that changed into the matrix; all sums at once where that is less work."""
        sums, unit, touched = self._sums, self._unit, self._touched
        if not touched:
            return
        if 4 * len(touched) > len(sums) > 1_000:
            keys = np.fromiter(sums, dtype=np.int64, count=len(sums))
            rows, columns = keys >> _COLUMN, keys & _COLUMN_MASK
            values, waiting = np.empty(len(sums)), map(truediv, sums.values(), repeat(unit))
            for first in range(0, len(sums), ADDED_AT_ONCE):
                some = values[first : first + ADDED_AT_ONCE]
                some[:] = np.fromiter(waiting, dtype=np.float64, count=len(some))
            both = np.stack((values, np.abs(values)), axis=1)
            self._cells.fill(Cells(rows.astype(np.int32), columns.astype(np.int32), both))
        else:
            for key in touched:
                row, column = key >> _COLUMN, key & _COLUMN_MASK
                value = sums[key] / unit
                self._cells.set(row, column, (value, abs(value)))
        self._touched = set()

    def clear_row(self, row: int) -> None:
        """Set the sums of one row to 0. O(columns)."""
        first = row << _COLUMN
        for key in range(first, first + self._columns):
            if key in self._sums:
                self._sums[key] = 0
                self._touched.add(key)
        self._cells.clear_row(row)

    def clear(self) -> None:
        """Set all sums to 0. The matrix follows at `flush`. O(sums)."""
        self._touched = set(self._sums)
        self._sums = dict.fromkeys(self._sums, 0)

    def check(self) -> None:
        """Assert every invariant: the matrix is sound, and has exactly the doubles of the sums. After `flush`. O(cells)."""
        self._cells.check()
        assert not self._touched, "flush before check"
        rows = len(self._cells)
        for key, total in self._sums.items():
            row, column = key >> _COLUMN, key & _COLUMN_MASK
            assert row < rows, "a sum is of a row"
            assert self._cells.get(row, column) == (total / self._unit, abs(total / self._unit)), (
                "a double is not that of its sum"
            )
        ones = np.ones(self._columns)
        sizes = np.zeros(rows)
        place = {column: at for at, column in enumerate(self._in_order())}
        for key in sorted(self._sums, key=lambda key: (key >> _COLUMN, place[key & _COLUMN_MASK])):
            sizes[key >> _COLUMN] += abs(self._sums[key] / self._unit)
        assert np.array_equal(self._cells.product(1, ones), sizes), "the matrix has a cell without a sum"


def _within(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, 2, ... within each of the stretches of these lengths."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
