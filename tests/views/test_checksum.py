"""The checksum of rows: it covers values, not their text."""

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from riskengine.views.checksum import row_checksum, view_checksum


def checksum_by_definition(row: dict[str, object]) -> int:
    """The checksum of a row, by its definition word for word."""
    data = b""
    for name in sorted(row):
        value = row[name]
        if isinstance(value, bool):
            data += name.encode() + (b"t" if value else b"f")
        elif isinstance(value, int | float):
            data += name.encode() + b"n" + struct.pack(">d", float(value) or 0.0)
        elif isinstance(value, str):
            data += name.encode() + b"s" + value.encode()
    return zlib.crc32(data)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.just([1]),
    st.just({"a": 1}),
)
rows = st.dictionaries(st.text("abcdefgh_", min_size=1), values)


@given(rows)
def test_a_row_has_the_checksum_of_the_definition(row):
    assert row_checksum(row) == checksum_by_definition(row)


@given(st.lists(rows), st.randoms())
def test_the_order_of_rows_does_not_matter(many, dice):
    other = list(many)
    dice.shuffle(other)
    assert view_checksum(many) == view_checksum(other) == sum(map(checksum_by_definition, many)) % 2**32


def test_null_and_absent_are_the_same_and_so_are_the_two_zeros():
    assert row_checksum({"a": None, "b": -0.0}) == row_checksum({"b": 0})


def test_a_whole_number_is_the_same_with_and_without_a_point():
    assert row_checksum({"a": 5}) == row_checksum({"a": 5.0})


def test_a_value_that_has_changed_shows():
    assert row_checksum({"a": 1.0}) != row_checksum({"a": 1.0000000000000002})
