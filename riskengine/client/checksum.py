"""The checksum with which a client detects that its copy of a view differs from the engine's (manual/stream.md, "Checksums")."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MODULUS = 1 << 32
ROWS_AT_ONCE = 50
"""Rows summed before other tasks get a turn: about a millisecond."""

_double = struct.Struct(">d").pack


def row_checksum(row: Mapping[str, Any]) -> int:
    """CRC-32 over the fields whose value is a number, a text or a boolean, in the order of their names. O(fields)."""
    parts: list[bytes] = []
    for name in sorted(row):
        value = row[name]
        if isinstance(value, bool):
            parts += name.encode(), b"t" if value else b"f"
        elif isinstance(value, int | float):
            parts += name.encode(), b"n", _double(value + 0.0)  # minus zero becomes zero
        elif isinstance(value, str):
            parts += name.encode(), b"s", value.encode()
    return zlib.crc32(b"".join(parts))


def checksum(rows: Iterable[Mapping[str, Any]]) -> int:
    """The checksum of a view: the sum over its rows, modulo 2^32. 10 us a row."""
    return sum(map(row_checksum, rows)) % MODULUS


def checksum_in_turns(rows: Iterable[Mapping[str, Any]]) -> Iterator[int | None]:
    """The same in slices of ROWS_AT_ONCE: yields None between slices and the checksum at the end."""
    total = 0
    for number, row in enumerate(rows, start=1):
        total += row_checksum(row)
        if not number % ROWS_AT_ONCE:
            yield None
    yield total % MODULUS
