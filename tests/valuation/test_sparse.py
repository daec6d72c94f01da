"""The sparse matrix: whatever is written, in whatever order, its products are those of the plain matrix."""

import doctest
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.valuation import sparse as sparse_module
from riskengine.valuation.sparse import Cells, ExactRows, SparseRows

COLUMNS = 12
writes = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 5), st.integers(0, COLUMNS - 1), st.integers(-9, 9)),
        st.just("add a row"),
        st.just("multiply"),
    ),
    max_size=120,
)


def write(steps) -> tuple[SparseRows, np.ndarray]:
    """A matrix and its plain copy, whose numbers are whole: their sums are exact in any order."""
    sparse, plain = SparseRows(3, COLUMNS, 2), np.zeros((3, COLUMNS))
    for step in steps:
        if step == "add a row":
            assert sparse.add_row() == len(plain)
            plain = np.vstack((plain, np.zeros(COLUMNS)))
        elif step == "multiply":
            sparse.product(0, np.ones(COLUMNS))
        else:
            row, column, value = step[0] % len(plain), step[1], float(step[2])
            sparse.set(row, column, (value, 2 * value))
            plain[row, column] = value
    sparse.check()
    return sparse, plain


def test_the_examples_in_the_docstrings_are_right():
    failed, attempted = doctest.testmod(sparse_module)
    assert failed == 0 and attempted > 20


# What must hold after any operation

operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 3), st.integers(0, COLUMNS - 1), st.integers(-9, 9)),
        st.tuples(st.sampled_from(["clear row", "product", "products"]), st.integers(0, 3)),
        st.tuples(st.just("fill"), st.sets(st.tuples(st.integers(0, 2), st.integers(0, COLUMNS - 1)))),
        st.just(("add row",)),
        st.just(("fill a column",)),
    ),
    max_size=40,
)


def fill(sparse: SparseRows, plain: np.ndarray, cells: set[tuple[int, int]]) -> None:
    """Replace both matrices by these cells: the cell (row, column) is row + column + 1."""
    rows, columns = (np.array([cell[at] for cell in cells], dtype=np.int32) for at in (0, 1))
    values = (rows + columns + 1.0)[:, None]
    sparse.fill(Cells(rows, columns, np.hstack((values, -values))))
    plain[:] = 0.0
    plain[rows, columns] = values[:, 0]


@given(operations)
def test_every_invariant_holds_after_every_operation(steps):
    sparse, plain = SparseRows(3, COLUMNS, 2), np.zeros((3, COLUMNS))
    for name, *arguments in steps:
        row = arguments[0] % len(plain) if arguments and isinstance(arguments[0], int) else 0
        if name == "set":
            column, value = arguments[1], float(arguments[2])
            sparse.set(row, column, (value, -value))
            plain[row, column] = value
        elif name == "clear row":
            sparse.clear_row(row)
            plain[row] = 0.0
        elif name == "product":
            sparse.product(0, np.ones(COLUMNS))
        elif name == "products":
            sparse.products(np.arange(row), (0, np.ones(COLUMNS)), (1, np.ones(COLUMNS)))
        elif name == "fill":
            fill(sparse, plain, arguments[0])
        elif name == "add row":
            sparse.add_row()
            plain = np.vstack((plain, np.zeros(COLUMNS)))
        else:
            for one in range(len(plain)):
                sparse.set(one, 5, (1.0, -1.0))
                plain[one, 5] = 1.0
        sparse.check()
    cells = [[sparse.get(row, column) for column in range(COLUMNS)] for row in range(len(plain))]
    assert cells == [[(value, -value) for value in line] for line in plain.tolist()]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(-(10**30), 10**30)),
            st.sampled_from(["flush", "clear", "clear row", "many"]),
        ),
        max_size=40,
    )
)
def test_exact_sums_and_their_doubles_agree_after_every_flush(steps):
    sums, plain = ExactRows(3, 4, 10**10), [[0] * 4 for _ in range(3)]
    for step in steps:
        if step == "flush":
            sums.flush()
            sums.check()
        elif step == "clear":
            sums.clear()
            plain = [[0] * 4 for _ in range(3)]
        elif step == "clear row":
            sums.clear_row(1)
            plain[1] = [0] * 4
        elif step == "many":
            sums.add_all(np.array([2, 0, 2]), np.array([3, 1, 3]), [7, 10**25, 8])
            plain[2][3] += 15
            plain[0][1] += 10**25
        else:
            sums.add(*step)
            plain[step[0]][step[1]] += step[2]
    sums.flush()
    sums.check()
    ones = np.ones(4)
    assert sums.product(0, ones).tolist() == [float(np.add.reduce([one / 10**10 for one in row])) for row in plain]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda rows: rows._used.__setitem__(0, 100), "room"),
        (lambda rows: rows._place.__setitem__(0, 1), "place of its own"),
        (lambda rows: rows._indices.__setitem__(slice(0, 2), [4, 3]), "order of columns"),
        (lambda rows: rows._indices.__setitem__(0, COLUMNS), "in columns"),
        (lambda rows: rows._data[1].__setitem__(rows._start[0] + rows._used[0], 1.0), "unused"),
        (lambda rows: setattr(rows, "_index_view", np.zeros(64, dtype=np.int32).data), "views"),
        (lambda rows: setattr(rows, "_cells", 1), "fill the arrays"),
        (lambda rows: rows._place.__setitem__(slice(None), rows._place[::-1]), "place of its number"),
    ],
)
def test_the_check_finds_every_broken_invariant(spoil, what):
    rows = SparseRows(2, COLUMNS, 2)
    rows.fill(Cells(np.array([0, 0, 1]), np.array([1, 4, 2]), np.ones((3, 2))))
    rows.check()
    spoil(rows)
    with pytest.raises(AssertionError, match=what):
        rows.check()


def test_the_check_finds_a_double_that_is_not_that_of_its_sum():
    sums = ExactRows(2, 3, 10)
    sums.add(0, 0, 50)
    sums.flush()
    sums._sums[0] = 51
    with pytest.raises(AssertionError, match="not that of its sum"):
        sums.check()


def test_the_check_finds_a_cell_without_a_sum():
    sums = ExactRows(2, 3, 10)
    sums._cells.set(1, 1, (1.0, 1.0))
    with pytest.raises(AssertionError, match="without a sum"):
        sums.check()


# Products


@given(writes)
def test_a_product_is_that_of_the_plain_matrix(steps):
    sparse, plain = write(steps)
    factors = np.arange(1.0, COLUMNS + 1)
    assert sparse.product(0, factors).tolist() == (plain @ factors).tolist()
    assert sparse.product(1, factors).tolist() == (plain @ factors * 2).tolist()


@given(writes, st.integers(0, 2**32 - 1))
def test_products_of_some_rows_are_those_of_all_to_the_last_bit(steps, seed):
    sparse, plain = write(steps)
    factors = np.random.default_rng(seed).normal(size=COLUMNS) * 1e6
    whole = sparse.product(0, factors)
    rows = np.arange(len(plain))[::2]
    assert np.array_equal(sparse.product_of_rows(0, rows, factors), whole[rows])
    assert [sparse.product_of_row(0, row, factors) for row in range(len(plain))] == whole.tolist()


@given(writes, st.data())
def test_products_do_not_depend_on_the_order_of_writing(steps, data):
    cells = {}
    for step in steps:
        if isinstance(step, tuple):
            cells[step[0], step[1]] = step[2] / 7
    factors = np.random.default_rng(1).normal(size=COLUMNS)
    results = set()
    for order in (list(cells), data.draw(st.permutations(list(cells)))):
        sparse = SparseRows(6, COLUMNS, 1)
        for row, column in order:
            sparse.set(row, column, (cells[row, column],))
        results.add(sparse.product(0, factors).tobytes())
    assert len(results) == 1


def test_a_cell_reads_back_in_every_layer():
    sparse = SparseRows(2, COLUMNS, 3)
    sparse.set(1, 4, (1.0, 2.0, 3.0))
    assert sparse.get(1, 4) == (1.0, 2.0, 3.0)


def test_a_cell_never_written_is_zero():
    assert SparseRows(2, COLUMNS, 3).get(1, 4) == (0.0, 0.0, 0.0)


def test_a_cell_written_again_is_replaced():
    sparse = SparseRows(1, COLUMNS, 1)
    sparse.set(0, 4, (1.0,))
    sparse.set(0, 4, (5.0,))
    assert sparse.product(0, np.ones(COLUMNS)).tolist() == [5.0]


def test_rows_that_outgrow_their_room_again_and_again_leave_no_holes():
    sparse = SparseRows(50, 200, 1)
    columns = list(range(200))
    random.Random(2).shuffle(columns)
    sizes: list[int] = []
    for column in columns:
        for row in range(50):
            sparse.set(row, column, (1.0,))
        assert sparse.product(0, np.ones(200)).sum() == 50 * (len(sizes) + 1)
        sizes.append(len(sparse._used))
    assert max(sizes) <= 50 + 50 + 16
    assert len(sparse._indices) <= 3 * 50 * 200


def test_rows_can_be_added_after_holes_were_closed():
    sparse = SparseRows(40, 50, 1)
    for column in range(50):
        for row in range(40):
            sparse.set(row, column, (float(column),))
        sparse.product(0, np.ones(50))
    row = sparse.add_row()
    sparse.set(row, 7, (3.0,))
    assert sparse.product(0, np.ones(50))[row] == 3.0
    assert len(sparse) == 41


def test_a_cleared_row_is_zero_and_may_be_written_again():
    sparse = SparseRows(2, COLUMNS, 2)
    for row in (0, 1):
        for column in range(COLUMNS):
            sparse.set(row, column, (row + 1.0, 5.0))
    sparse.clear_row(0)
    assert not sparse.set(0, 3, (7.0, 8.0)), "its cells stay"
    assert sparse.product(0, np.ones(COLUMNS)).tolist() == [7.0, 2.0 * COLUMNS]
    assert sparse.product(1, np.ones(COLUMNS)).tolist() == [8.0, 5.0 * COLUMNS]


def test_exact_sums_of_a_cleared_row_begin_at_zero():
    sums = ExactRows(2, 3, 10)
    for row, column in ((0, 0), (0, 2), (1, 2)):
        sums.add(row, column, 50)
    sums.flush()
    sums.clear_row(0)
    sums.add(0, 2, 7)
    sums.flush()
    assert sums.product(0, np.array([1.0, 10.0, 100.0])).tolist() == [70.0, 500.0]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_an_empty_matrix_gives_zeros(rows):
    assert SparseRows(rows, COLUMNS, 1).product(0, np.ones(COLUMNS)).tolist() == [0.0] * rows


def test_a_product_is_a_new_array():
    sparse = SparseRows(1, COLUMNS, 1)
    sparse.set(0, 0, (1.0,))
    first = sparse.product(0, np.ones(COLUMNS))
    sparse.set(0, 0, (2.0,))
    assert first.tolist() == [1.0]
