"""Ids from the content of rows: equal rows are counted, and every reading gives the same."""

import tracemalloc

from riskengine.files.mappings.row_ids import RowIds


def test_equal_rows_are_counted_in_their_order() -> None:
    ids = RowIds()
    first, second, other, third = (ids.of(fields) for fields in (("a", "1"), ("a", "1"), ("a", "2"), ("a", "1")))
    assert second == f"{first}-2" and third == f"{first}-3"
    assert other not in (first, second, third)


def test_fields_are_told_apart_from_their_neighbours() -> None:
    ids = RowIds()
    assert ids.of(("ab", "c")) != ids.of(("a", "bc"))


def test_ids_do_not_depend_on_the_rows_around() -> None:
    alone = RowIds().of(("x", "y"))
    many = RowIds()
    for number in range(20_000):
        many.of((str(number), "y"))
    assert many.of(("x", "y")) == alone


def test_no_row_of_many_is_taken_for_another_and_memory_is_bounded() -> None:
    rows = 100_000
    tracemalloc.start()
    try:
        ids = RowIds()
        repeated = sum("-" in ids.of((str(number),)) for number in range(rows))
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert repeated == 0
    assert grown < 26 * rows
