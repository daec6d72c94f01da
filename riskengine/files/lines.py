"""Reads a path as numbered lines: a file or standard input, plain or gzip, in constant memory.

The first bytes tell gzip from plain text; the file's name does not matter. Errors name the file and the line.
"""

import codecs
import sys
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import BinaryIO, cast

from riskengine.errors import InputError

STDIN = "-"
UTF_8 = "utf-8"
LINE_LIMIT = 1 << 20
"""The most bytes in a line: one without an end must not fill the memory."""

_BLOCK = 1 << 16
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_AS_UTF_8 = "UTF-8 is expected: save it as UTF-8, or name its --encoding"
_AS_CSV = "CSV or NDJSON is expected: open it and save it as CSV in UTF-8"
_FOREIGN = {
    b"\xff\xfe\0\0": f"is UTF-32; {_AS_UTF_8}",
    b"\0\0\xfe\xff": f"is UTF-32; {_AS_UTF_8}",
    b"\xff\xfe": f"is UTF-16; {_AS_UTF_8}",
    b"\xfe\xff": f"is UTF-16; {_AS_UTF_8}",
    b"PK\x03\x04": f"is a zip archive or a spreadsheet (.xlsx, .ods), whatever its name says; {_AS_CSV}",
    b"\xd0\xcf\x11\xe0": f"is an old Excel workbook (.xls), whatever its name says; {_AS_CSV}",
    b"%PDF": f"is a PDF; {_AS_CSV}",
    b"<!DOCTYPE": "is a web page; CSV or NDJSON is expected: was it a page to log in that was downloaded?",
    b"<html": "is a web page; CSV or NDJSON is expected: was it a page to log in that was downloaded?",
    b"<?xml": f"is XML; {_AS_CSV}",
    b"BZh": "is compressed with bzip2; only gzip is supported: unpack it",
    b"\xfd7zXZ": "is compressed with xz; only gzip is supported: unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; only gzip is supported: unpack it",
    b"PAR1": f"is a Parquet file; {_AS_CSV}",
}
"""How files begin that are no text in UTF-8: what they are, and the way out."""


class _CannotRead(Exception):
    """The file cannot be read further; the message says why."""


def display_name(path: str) -> str:
    """The name of the file in messages."""
    return "stdin" if path == STDIN else path


class Lines(Iterator[tuple[int, bytes]]):
    """The lines of a file without their ends, numbered from 1. `give_back` returns lines to be read again.

    Opens the file at the first line. Lines are UTF-8, whatever the file's `encoding` is. Raises InputError if the file cannot
    be opened or read, is empty, is damaged (after the lines before the damage, and never half a line) or has a line above
    `LINE_LIMIT`. `open_end` gets the number of a last line without a line end: a file that was cut off ends so.
    """

    def __init__(self, path: str, encoding: str = UTF_8) -> None:
        self.name = display_name(path)
        self.open_end: list[int] = []
        self._lines = _number_lines(path, encoding, self.open_end)
        self._given_back: deque[tuple[int, bytes]] = deque()

    def __next__(self) -> tuple[int, bytes]:
        if self._given_back:
            return self._given_back.popleft()
        return next(self._lines)

    def give_back(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Read these lines again, in this order, before the rest."""
        self._given_back.extendleft(reversed(list(lines)))

    def close(self) -> None:
        """Close the file. Its end closes it too."""
        self._lines.close()


def _number_lines(path: str, encoding: str, open_end: list[int]) -> Generator[tuple[int, bytes], None, None]:
    name = display_name(path)
    number = 0
    pending = b""
    try:
        for block in _text_blocks(path) if encoding == UTF_8 else _transcoded(path, encoding):
            parts = block.split(b"\n")
            if len(pending) + len(parts[0]) > LINE_LIMIT:
                raise InputError(f"{name}: line {number + 1} is longer than {LINE_LIMIT:,} bytes")
            parts[0] = pending + parts[0]
            pending = parts.pop()
            for part in parts:
                number += 1
                yield number, part.removesuffix(b"\r")
    except _CannotRead as error:
        where = f" (after line {number})" if number else ""
        raise InputError(f"{name}: {error}{where}") from None
    if pending:
        open_end.append(number + 1)
        yield number + 1, pending.removesuffix(b"\r")
    elif not number:
        raise InputError(f"{name}: is empty{' or closed' if path == STDIN else ''}")


def _text_blocks(path: str) -> Iterator[bytes]:
    """The unpacked bytes, without a byte-order mark."""
    blocks = _blocks(path)
    start = b""
    for block in blocks:
        start += block
        if len(start) >= 6:
            break
    _refuse_foreign(start)
    if _is_unmarked_utf_16(start[:400]):
        raise _CannotRead(f"is UTF-16 without a byte-order mark; {_AS_UTF_8}")
    yield start.removeprefix(_BYTE_ORDER_MARK)
    yield from blocks


def _refuse_foreign(start: bytes, *, any_text: bool = False) -> None:
    """Raise _CannotRead where a file begins as one that is no text, or (but for `any_text`) in another encoding than UTF-8."""
    for magic, reason in _FOREIGN.items():
        if start[: len(magic)].lower() == magic.lower() and not (any_text and _AS_UTF_8 in reason):
            raise _CannotRead(reason)


def _is_unmarked_utf_16(start: bytes) -> bool:
    """Whether text begins as UTF-16 writes Latin letters: every other byte is 0, and no byte in between."""
    even, odd = start[::2], start[1::2]
    return any(
        zeros.count(0) * 10 >= len(zeros) * 8 and 0 not in letters for zeros, letters in ((even, odd), (odd, even)) if zeros
    )


def _transcoded(path: str, encoding: str) -> Iterator[bytes]:
    """The unpacked text as UTF-8, without a byte-order mark."""
    decoder = codecs.getincrementaldecoder(encoding)()
    blocks = _blocks(path)
    taken, is_first = 0, True
    for block in chain(blocks, (b"",)):
        if not taken:
            _refuse_foreign(block, any_text=True)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            at = taken + error.start + 1 if isinstance(error, UnicodeDecodeError) else taken + 1
            raise _CannotRead(f"is not {encoding} near byte {at}") from None
        taken += len(block)
        if text and is_first:
            text, is_first = text.removeprefix("\ufeff"), False
        yield text.encode("utf-8", "surrogatepass")


def _blocks(path: str) -> Iterator[bytes]:
    with _open(path) as file:
        start = _read(file)
        if len(start) == 1:  # a pipe may give one byte; the check needs two
            start += _read(file)
        if start.startswith(_GZIP):
            yield from _inflate(file, start)
        else:
            while start:
                yield start
                start = _read(file)


def _inflate(file: BinaryIO, data: bytes) -> Iterator[bytes]:
    """Unpack gzip of one or more members. At most four blocks are in memory, whatever the ratio of compression."""
    inflate = zlib.decompressobj(wbits=31)
    while data:
        while data:
            if inflate.eof:
                data = data.lstrip(b"\0")  # zero padding from tapes and some tools
                if not data:
                    break
                inflate = zlib.decompressobj(wbits=31)
            try:
                block = inflate.decompress(data, 4 * _BLOCK)
            except zlib.error as error:
                raise _CannotRead(f"the gzip data is damaged: {error}") from None
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if block:
                yield block
        data = _read(file)
    if not inflate.eof:
        raise _CannotRead("the gzip data ends in the middle: the file is incomplete")


def _open(path: str) -> AbstractContextManager[BinaryIO]:
    if path == STDIN:
        if sys.stdin is None:
            raise _CannotRead("is closed")
        return nullcontext(cast(BinaryIO, sys.stdin.buffer))
    try:
        return open(path, "rb")
    except OSError as error:
        raise _CannotRead(_os_reason(error)) from None
    except ValueError as error:
        raise _CannotRead(str(error)) from None


def _read(file: BinaryIO) -> bytes:
    """The bytes at hand, at most a block; empty at the end."""
    try:
        return cast(bytes, file.read1(_BLOCK))  # type: ignore[attr-defined]
    except OSError as error:
        raise _CannotRead(f"cannot be read: {_os_reason(error)}") from None


def _os_reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def first_bytes(path: str, most: int) -> tuple[bytes, bool]:
    """The first unpacked bytes of a file, in whatever encoding, and whether they are all of it. Raises InputError.

    At least `most` where the file has so many, and at most four blocks more.
    """
    data, whole = bytearray(), True
    try:
        for block in _blocks(path):
            data += block
            if len(data) >= most:
                whole = False
                break
    except _CannotRead as error:
        raise InputError(f"{display_name(path)}: {error}") from None
    for magic, reason in _FOREIGN.items():
        if data.startswith(magic) and not magic.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError(f"{display_name(path)}: {reason}")
    return bytes(data), whole
