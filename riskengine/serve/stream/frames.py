"""Websocket frames, ready-made: a message is encoded and framed once for all clients that receive it.

A client that asked for deflate gets frames that are deflated each for itself, so that one frame serves all of them.
"""

import struct
import zlib

from riskengine.views.board import JSON, MSGPACK, Encoding

TEXT, BINARY = 0x81, 0x82
"""First byte of a whole message, unmasked."""

DEFLATED = 0x40
"""Set in the first byte of a deflated message (RSV1)."""

MIN_DEFLATE_BYTES = 256
"""A smaller message goes as it is."""

MAX_DEFLATE_BYTES = 262_144
"""A larger message goes as it is, which the standard allows for each: deflating it would hold the loop for milliseconds."""

WINDOW_BITS = 15

_FLUSH_MARK = b"\x00\x00\xff\xff"
"""The end of a flushed deflate block, which RFC 7692 leaves out."""


def frame(payload: bytes, first: int) -> bytes:
    """A payload as one frame; `first` is its first byte. O(bytes), a copy."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def deflated_frame(payload: bytes, first: int) -> bytes:
    """The same, deflated where that pays."""
    if not MIN_DEFLATE_BYTES <= len(payload) <= MAX_DEFLATE_BYTES:
        return frame(payload, first)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -WINDOW_BITS)
    deflated = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(deflated.removesuffix(_FLUSH_MARK), first | DEFLATED)


def _framed(encoding: Encoding, *, deflate: bool) -> Encoding:
    first, make = TEXT if encoding.is_text else BINARY, deflated_frame if deflate else frame
    return Encoding(encoding.name, encoding.encode, encoding.is_text, lambda payload: make(payload, first))


FRAMED = {encoding.name: _framed(encoding, deflate=False) for encoding in (JSON, MSGPACK)}
"""By name: encodings whose messages are frames."""

DEFLATED_FRAMED = {encoding.name: _framed(encoding, deflate=True) for encoding in (JSON, MSGPACK)}
"""The same for clients that asked for deflate."""
