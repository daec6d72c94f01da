"""The messages of the stream (manual/stream.md), decoded and checked. Messages of unknown types are skipped."""

from collections.abc import Callable
from typing import Any

import msgspec

from riskengine.errors import InputError

PROTOCOL = 1
ENCODINGS = ("json", "msgpack")

Row = dict[str, Any]


class Hello(msgspec.Struct, tag="hello"):
    """The first message of a connection."""

    protocol: int
    epoch: int
    seq: int
    reporting_currency: str
    heartbeat_ms: int
    max_hz: float


class RowsMessage(msgspec.Struct, tag="snapshot"):
    """All rows of one subscription."""

    id: str
    epoch: int
    seq: int
    as_of: int
    key: list[str]
    rows: list[Row]
    summary: Row = {}


class Patch(msgspec.Struct):
    """The changed rows and removed keys of one view, and its summary if that changed."""

    rows: list[Row] = []
    removed: list[list[Any]] = []
    summary: Row | None = None


class Update(msgspec.Struct, tag="update"):
    """The patches that bring every subscription of the connection from `prev_seq` to `seq`."""

    epoch: int
    seq: int
    prev_seq: int
    as_of: int
    conflated: int = 0
    views: dict[str, Patch] = {}
    checksums: dict[str, int] = {}


class Heartbeat(msgspec.Struct, tag="heartbeat"):
    """The newest published snapshot, the engine's clock, and the age of that snapshot."""

    epoch: int
    seq: int
    ts: int
    publish_age_ms: int | None = None


class ErrorMessage(msgspec.Struct, tag="error"):
    """The server refuses a request (`id` is the request's), or ends the session (`id` is null)."""

    title: str
    detail: str = ""
    id: str | int | None = None


class Bye(msgspec.Struct, tag="bye"):
    """The server is about to close the connection."""

    reconnect_after_ms: int


class Other(msgspec.Struct):
    """Any message, with only its type decoded."""

    type: str = ""


Message = Hello | RowsMessage | Update | Heartbeat | ErrorMessage | Bye
KNOWN = frozenset({"hello", "snapshot", "update", "heartbeat", "error", "bye"})

_json: Callable[[str], Message] = msgspec.json.Decoder(Message).decode
_msgpack: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode
_json_type = msgspec.json.Decoder(Other).decode
_msgpack_type = msgspec.msgpack.Decoder(Other).decode
_encode_json = msgspec.json.Encoder().encode

encode_msgpack: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode


def decode(frame: str | bytes) -> Message | None:
    """Decode a message of the server: JSON text or msgpack bytes. None if its type is unknown. Raises InputError."""
    try:
        try:
            return _json(frame) if isinstance(frame, str) else _msgpack(frame)
        except msgspec.ValidationError:
            found = _json_type(frame) if isinstance(frame, str) else _msgpack_type(frame)
            if found.type in KNOWN:
                raise
            return None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as mistake:
        raise InputError(f"the server sent a message that is not of this protocol: {mistake}") from None


def encode(request: Row, encoding: str) -> str | bytes:
    """Encode a request as one frame."""
    return _encode_json(request).decode() if encoding == "json" else encode_msgpack(request)
