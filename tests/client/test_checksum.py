"""The checksum of rows equals a second implementation of its definition."""

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from riskengine.client.checksum import checksum, checksum_in_turns, row_checksum

VALUES = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False) | st.text(max_size=5)
ROWS = st.dictionaries(st.text(min_size=1, max_size=4), VALUES | st.lists(st.integers(), max_size=2), max_size=6)


def checksum_by_definition(row: dict) -> int:
    """The definition of the manual, word for word: fields in the order of their UTF-8 bytes."""
    content = b""
    for name in sorted(row, key=lambda name: name.encode()):
        value = row[name]
        if value is True or value is False:
            content += name.encode() + (b"t" if value else b"f")
        elif isinstance(value, str):
            content += name.encode() + b"s" + value.encode()
        elif isinstance(value, int | float):
            double = 0.0 if value == 0 else float(value)
            content += name.encode() + b"n" + struct.pack(">d", double)
    return zlib.crc32(content)


@given(ROWS)
def test_a_row_s_checksum_is_as_checksum_by_definition(row):
    assert row_checksum(row) == checksum_by_definition(row)


@given(st.lists(ROWS, max_size=120))
def test_a_view_s_checksum_is_the_sum_over_its_rows_in_any_order_and_in_slices(rows):
    expected = sum(map(checksum_by_definition, rows)) % 2**32
    assert checksum(rows) == checksum(rows[::-1]) == expected
    *turns, last = checksum_in_turns(rows)
    assert last == expected and turns == [None] * (len(rows) // 50)


def test_unknown_absent_and_structured_values_do_not_count_and_an_integer_is_its_double():
    assert row_checksum({"a": None, "b": [1], "c": {"d": 1}}) == row_checksum({}) == 0
    assert row_checksum({"n": 3}) == row_checksum({"n": 3.0}) != row_checksum({"n": "3"})
    assert row_checksum({"n": -0.0}) == row_checksum({"n": 0}) != row_checksum({"n": False})
