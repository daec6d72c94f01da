"""Websocket messages made ready to be written: framed, and where a client asked for it deflated, once for all that get them.

RFC 6455 section 5.2 for frames, RFC 7692 for deflate. Frames of a server are not masked, so the same bytes serve everybody;
deflate without context takeover keeps nothing from one message to the next, so that these are the same for everybody too.
"""

import struct
import zlib

from riskengine.views.board import JSON, MSGPACK, Encoding

TEXT, BINARY = 0x81, 0x82
"""First byte of a whole message, unmasked."""

DEFLATED = 0x40
"""Set in the first byte of a message that is deflated (RSV1)."""

DEFLATE_FROM_BYTES = 256
DEFLATE_TO_BYTES = 262_144
"""A larger message goes as it is, which the standard allows for each: deflating it would hold the loop for milliseconds."""

WINDOW_BITS = 15
_FLUSHED = b"\x00\x00\xff\xff"


def frame(payload: bytes, first: int) -> bytes:
    """A payload as one frame. O(bytes), a copy."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def deflated_frame(payload: bytes, first: int) -> bytes:
    """The same, deflated where that pays."""
    if not DEFLATE_FROM_BYTES <= len(payload) <= DEFLATE_TO_BYTES:
        return frame(payload, first)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -WINDOW_BITS)
    squeezed = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(squeezed.removesuffix(_FLUSHED), first | DEFLATED)


def _framed(encoding: Encoding, *, deflate: bool) -> Encoding:
    first, make = TEXT if encoding.is_text else BINARY, deflated_frame if deflate else frame
    return Encoding(encoding.name, encoding.encode, encoding.is_text, lambda payload: make(payload, first))


FRAMED = {encoding.name: _framed(encoding, deflate=False) for encoding in (JSON, MSGPACK)}
"""Encodings whose messages are frames."""
DEFLATED_FRAMED = {encoding.name: _framed(encoding, deflate=True) for encoding in (JSON, MSGPACK)}
"""The same for clients that asked for deflate."""
