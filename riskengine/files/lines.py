"""From a path to numbered lines: plain or gzip, a file or standard input, in constant memory.

What is inside decides, not what the file is called: gzip is known by its first bytes. Errors name the file and the
line.
"""

import sys
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO, cast

from riskengine.errors import InputError

STDIN = "-"
LINE_LIMIT = 1 << 20
"""Bytes that a line may have: one without end must not fill the memory."""

_BLOCK = 1 << 16
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN = {
    b"\xff\xfe": "is UTF-16, UTF-8 is expected",
    b"\xfe\xff": "is UTF-16, UTF-8 is expected",
    b"PK\x03\x04": "is a zip archive or a spreadsheet, CSV or NDJSON is expected",
    b"BZh": "is compressed with bzip2, only gzip is read",
    b"\xfd7zXZ": "is compressed with xz, only gzip is read",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd, only gzip is read",
    b"PAR1": "is a Parquet file, CSV or NDJSON is expected",
}


class _Broken(Exception):
    """The bytes end here; what is wrong is the message."""


def shown_path(path: str) -> str:
    """What a message calls the file."""
    return "stdin" if path == STDIN else path


class Lines(Iterator[tuple[int, bytes]]):
    """The lines of a file without their ends, counted from 1. Lines may be given back, to be read again.

    Opens at the first line. Raises InputError where the file cannot be opened or read, is empty, is damaged (after the
    lines before the damage; half a line is never given) or has a line above `LINE_LIMIT`.
    """

    def __init__(self, path: str) -> None:
        self.name = shown_path(path)
        self._lines = _numbered(path)
        self._held: deque[tuple[int, bytes]] = deque()

    def __next__(self) -> tuple[int, bytes]:
        if self._held:
            return self._held.popleft()
        return next(self._lines)

    def give_back(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Read these again, in this order, before what follows."""
        self._held.extendleft(reversed(list(lines)))

    def close(self) -> None:
        """Close the file; it also closes when it ends."""
        self._lines.close()


def _numbered(path: str) -> Generator[tuple[int, bytes], None, None]:
    name = shown_path(path)
    number = 0
    pending = b""
    try:
        for block in _text_blocks(path):
            parts = block.split(b"\n")
            if len(pending) + len(parts[0]) > LINE_LIMIT:
                raise InputError(f"{name}: line {number + 1} is longer than {LINE_LIMIT:,} bytes")
            parts[0] = pending + parts[0]
            pending = parts.pop()
            for part in parts:
                number += 1
                yield number, part.removesuffix(b"\r")
    except _Broken as error:
        where = f" (after line {number})" if number else ""
        raise InputError(f"{name}: {error}{where}") from None
    if pending:
        yield number + 1, pending.removesuffix(b"\r")
    elif not number:
        raise InputError(f"{name}: is empty")


def _text_blocks(path: str) -> Iterator[bytes]:
    """The unpacked bytes without a byte-order mark."""
    blocks = _blocks(path)
    start = b""
    for block in blocks:
        start += block
        if len(start) >= 6:
            break
    for magic, reason in _FOREIGN.items():
        if start.startswith(magic):
            raise _Broken(reason)
    yield start.removeprefix(_BYTE_ORDER_MARK)
    yield from blocks


def _blocks(path: str) -> Iterator[bytes]:
    with _opened(path) as file:
        start = _read(file)
        if len(start) == 1:  # a pipe gives what it has, and two bytes are needed
            start += _read(file)
        if start.startswith(_GZIP):
            yield from _inflated(file, start)
        else:
            while start:
                yield start
                start = _read(file)


def _inflated(file: BinaryIO, data: bytes) -> Iterator[bytes]:
    """Unpack gzip, also of several members. At most four blocks are in memory, however well they are packed."""
    inflate = zlib.decompressobj(wbits=31)
    while data:
        while data:
            if inflate.eof:
                data = data.lstrip(b"\0")  # padding, as tapes and some tools leave it
                if not data:
                    break
                inflate = zlib.decompressobj(wbits=31)
            try:
                block = inflate.decompress(data, 4 * _BLOCK)
            except zlib.error as error:
                raise _Broken(f"the gzip data is damaged: {error}") from None
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if block:
                yield block
        data = _read(file)
    if not inflate.eof:
        raise _Broken("the gzip data ends in the middle: the file is only partly written")


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    if path == STDIN:
        if sys.stdin is None:
            raise _Broken("is closed")
        return nullcontext(cast(BinaryIO, sys.stdin.buffer))
    try:
        return open(path, "rb")
    except OSError as error:
        raise _Broken(_told(error)) from None
    except ValueError as error:
        raise _Broken(str(error)) from None


def _read(file: BinaryIO) -> bytes:
    """What is there, at most a block; empty at the end."""
    try:
        return cast(bytes, file.read1(_BLOCK))  # type: ignore[attr-defined]
    except OSError as error:
        raise _Broken(f"cannot be read: {_told(error)}") from None


def _told(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
