"""The checksum over the rows of a view, with which a client finds out that its own copy has drifted.

It is made from values, not from their text, so every language and both encodings get the same. It covers the fields of a row that
are a number, a text, true or false, sorted by name; it ignores null, absent, lists and objects. Each field gives its name in
UTF-8, then: for a number `n` and the 8 bytes of its double (IEEE 754, big-endian, minus zero as zero); for a text `s` and its
UTF-8; for true `t`, for false `f`. The checksum of a row is the CRC-32 of these bytes (as in zlib). The checksum of a view is the
sum over its rows modulo 2**32, so the order of rows does not matter.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping

_double = struct.Struct(">d").pack
_names: dict[str, bytes] = {}
"""Field names in UTF-8, each with the `n` of a number. Bounded by the number of fields in the interface."""


def row_checksum(row: Mapping[str, object]) -> int:
    """The checksum of one row, 0 to 2**32 - 1. About 6 us for a row of 30 fields."""
    parts: list[bytes] = []
    add = parts.append
    for name in sorted(row):
        value = row[name]
        kind = type(value)
        if kind is float or kind is int:
            number = _names.get(name)
            if number is None:
                number = _names[name] = name.encode() + b"n"
            add(number)
            add(_double(value + 0.0))  # type: ignore[operator]
        elif kind is str:
            add(name.encode() + b"s" + value.encode())  # type: ignore[attr-defined]
        elif kind is bool:
            add(name.encode() + (b"t" if value else b"f"))
    return zlib.crc32(b"".join(parts))


def view_checksum(rows: Iterable[Mapping[str, object]]) -> int:
    """The checksum of all rows of a view. O(rows)."""
    return sum(map(row_checksum, rows)) & 0xFFFF_FFFF
