"""Messages between this process and its child: a length of eight bytes, then a value as the interpreter itself writes it.

Both ends are the same interpreter and trust each other. Integers may be of any size.
"""

import marshal
from typing import Any, BinaryIO

_LENGTH = 8


def frame(value: Any) -> bytes:
    """A value of plain types as one message."""
    body = marshal.dumps(value)
    return len(body).to_bytes(_LENGTH, "little") + body


def read_frame(stream: BinaryIO) -> Any:
    """The next message. Raises EOFError where there is none, or not all of it."""
    return opened(read_body(stream))


def read_body(stream: BinaryIO) -> bytes:
    """The next message as it came, for `opened`. Raises EOFError."""
    return _exactly(stream, int.from_bytes(_exactly(stream, _LENGTH), "little"))


def opened(body: bytes) -> Any:
    """The value of a message."""
    return marshal.loads(body)  # noqa: S302 - written by our own parent or child


def _exactly(stream: BinaryIO, length: int) -> bytes:
    found = stream.read(length)
    if len(found) < length:
        raise EOFError("the other process has ended")
    return found
