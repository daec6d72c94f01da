"""One connection of the stream without its socket: what it has subscribed to, what it holds, what to tell it next.

A connection stands at a `Board` that it shares with all others. It keeps the last seq that was sent and a version number per
view, never a queue: one update moves all its views from that seq to the board's, and a slow reader finds a newer board next
time.

No clock, thread, task or socket in here. One thread uses a board and everything that stands at it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from riskengine.board import Board, Encoding, SharedView
from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import ServerConfig
from riskengine.fields import MAX_INTEGER
from riskengine.snapshot import Snapshot
from riskengine.views import UnknownName

PROTOCOL = 1
VIEWS = ("nodes", "dealers", "ladder", "status")
MAX_SUBSCRIPTIONS = 100
MAX_MESSAGE = 65_536
MAX_ID = 128
MIN_HZ, MAX_HZ = 0.2, 10.0

QUIET_US = MICROS_PER_SECOND
"""A connection whose views do not change is told so this often, by an update without views."""

_decode_json = msgspec.json.Decoder().decode
_decode_msgpack = msgspec.msgpack.Decoder().decode


class Refused(Exception):
    """A request that is answered with an error message; the connection goes on."""

    def __init__(self, title: str, detail: str) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail


# -- messages that say nothing of a view -------------------------------------------------------------------------


def hello(snapshot: Snapshot, config: ServerConfig) -> dict[str, Any]:
    """What the server says first; `max_hz` is what the connection has until it configures another."""
    return {
        "type": "hello", "protocol": PROTOCOL, "epoch": snapshot.epoch, "seq": snapshot.seq,
        "reporting_currency": snapshot.reference.reporting_currency, "heartbeat_ms": config.heartbeat_ms,
        "max_hz": config.max_hz,
    }  # fmt: skip


def heartbeat(snapshot: Snapshot, now: int) -> dict[str, Any]:
    """The newest snapshot published, whether or not the connection has been brought to it, and the engine's time."""
    return {"type": "heartbeat", "epoch": snapshot.epoch, "seq": snapshot.seq, "ts": now}


def bye(reconnect_after_ms: int) -> dict[str, Any]:
    """The last message before the server closes a connection."""
    return {"type": "bye", "reconnect_after_ms": reconnect_after_ms}


def error(request_id: object, title: str, detail: str) -> dict[str, Any]:
    """What is wrong with a request; `request_id` is its own where it had one that can be repeated."""
    return {"type": "error", "id": request_id if _is_id(request_id) else None, "title": title, "detail": detail}


def decode_message(message: str | bytes) -> dict[str, Any]:
    """A client's message: JSON as text, msgpack as bytes. Raises Refused."""
    if len(message) > MAX_MESSAGE:
        raise Refused("message too large", f"a message has at most {MAX_MESSAGE} bytes")
    try:
        decoded = _decode_json(message) if isinstance(message, str) else _decode_msgpack(message)
    except (msgspec.MsgspecError, UnicodeError, TypeError) as problem:  # TypeError: a map as the key of a map
        raise Refused("malformed message", str(problem)) from None
    except RecursionError:
        raise Refused("malformed message", "nested too deeply") from None
    if not isinstance(decoded, dict):
        raise Refused("malformed message", "a message is an object with the field 'op'")
    return decoded


def _is_id(value: object) -> bool:
    """Whether a request's id can be repeated in the answer: a text or a number, not large."""
    if isinstance(value, str):
        return len(value) <= MAX_ID
    return isinstance(value, int) and abs(value) <= MAX_INTEGER


# -- one connection ----------------------------------------------------------------------------------------------


class Held:
    """One subscription: its view, and the version of it that the client has."""

    __slots__ = ("number", "view")

    def __init__(self, view: SharedView, number: int) -> None:
        self.view = view
        self.number = number


class Subscriptions:
    """One connection: a request in, frames out; the board moves on, one update out.

    `seq` is the last one sent, first that of the hello. `max_hz` is what the client asked for.
    """

    def __init__(self, board: Board, encoding: Encoding, config: ServerConfig) -> None:
        self.seq = board.snapshot.seq
        self.max_hz = config.max_hz
        self._board = board
        self._encode = encoding.encode
        self._encoding = encoding
        self._config = config
        self._as_of = board.snapshot.as_of
        self._held: dict[str, Held] = {}

    def hello(self) -> bytes:
        """The first frame."""
        return self._encode(hello(self._board.snapshot, self._config))

    def close(self) -> None:
        """End every subscription."""
        for held in self._held.values():
            self._board.close(held.view)
        self._held.clear()

    @property
    def behind(self) -> bool:
        """Whether the board shows a newer snapshot than this connection's subscriptions."""
        return self._board.snapshot.seq > self.seq and bool(self._held)

    @property
    def trade_waits(self) -> bool:
        """Whether a trade has moved a view of this connection since its last seq. O(subscriptions)."""
        return any(held.view.trade_seq > self.seq for held in self._held.values())

    def update(self) -> bytes | None:
        """One frame that moves every subscription to the board's snapshot; None where there is nothing to say."""
        if not self.behind:
            return None
        changes = self._changes()
        if not changes and self._board.snapshot.as_of - self._as_of < QUIET_US:
            return None
        return self._update(changes)

    def handle(self, message: str | bytes) -> list[bytes]:
        """Do what a client's message asks; the frames to send, in order. Never raises."""
        request_id = None
        try:
            request = decode_message(message)
            request_id = request.get("id")
            operation = request.get("op")
            if operation == "subscribe":
                return self._subscribe(request)
            if operation == "unsubscribe":
                return self._unsubscribe(request)
            if operation == "resync":
                return self._resync(request)
            if operation == "configure":
                return self._configure(request)
            if operation == "ping":
                return [self._encode({"type": "pong", "id": request_id if _is_id(request_id) else None})]
            known = "subscribe, unsubscribe, resync, configure and ping"
            raise Refused("unknown op", f"{_shown(operation)}: there are {known}")
        except Refused as refused:
            return [self._encode(error(request_id, refused.title, refused.detail))]

    # -- requests ----------------------------------------------------------------------------------------------

    def _subscribe(self, request: Mapping[str, Any]) -> list[bytes]:
        name = self._id(request)
        view, node, dealer = request.get("view"), request.get("node"), request.get("dealer")
        if view not in VIEWS:
            raise Refused("unknown view", f"{_shown(view)}: there are {', '.join(VIEWS[:-1])} and {VIEWS[-1]}")
        for field, value in (("node", node), ("dealer", dealer)):
            if value is not None and not isinstance(value, str):
                raise Refused("bad parameter", f"{field}: must be a text")
            if value is not None and view != "ladder":
                raise Refused("bad parameter", f"{field}: the view {view!r} takes none")
        if node is not None and dealer is not None:
            raise Refused("bad parameter", "dealer: a ladder is of a node or of a dealer, not of both")
        if name not in self._held and len(self._held) >= MAX_SUBSCRIPTIONS:
            raise Refused("too many subscriptions", f"a connection has at most {MAX_SUBSCRIPTIONS}")
        try:
            shared = self._board.open(view, node, dealer)
        except UnknownName as unknown:
            raise Refused("unknown name", str(unknown)) from None
        self._drop(name)
        frames = self._bring_up()
        held = self._held[name] = Held(shared, 0)
        return [*frames, self._snapshot(name, held)]

    def _unsubscribe(self, request: Mapping[str, Any]) -> list[bytes]:
        self._existing(request)
        self._drop(request["id"])
        return []

    def _resync(self, request: Mapping[str, Any]) -> list[bytes]:
        """Fresh rows of one subscription, or of all where no id is given."""
        if request.get("id") is None:
            return [self._snapshot(name, held) for name, held in self._held.items()]
        held = self._existing(request)
        del self._held[request["id"]]
        frames = self._bring_up()
        self._held[request["id"]] = held
        return [*frames, self._snapshot(request["id"], held)]

    def _configure(self, request: Mapping[str, Any]) -> list[bytes]:
        asked = request.get("max_hz")
        if not isinstance(asked, int | float) or isinstance(asked, bool) or not MIN_HZ <= asked <= MAX_HZ:
            raise Refused("bad parameter", f"max_hz: must be a number from {MIN_HZ:g} to {MAX_HZ:g}")
        self.max_hz = float(asked)
        return []

    def _id(self, request: Mapping[str, Any]) -> str:
        name = request.get("id")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
            raise Refused("bad id", f"id: must be a text of 1 to {MAX_ID} characters")
        return name

    def _existing(self, request: Mapping[str, Any]) -> Held:
        name = self._id(request)
        if name not in self._held:
            raise Refused("unknown id", f"there is no subscription {_shown(name)}")
        return self._held[name]

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self._board.close(held.view)

    # -- frames ------------------------------------------------------------------------------------------------

    def _bring_up(self) -> list[bytes]:
        """The update, if one is due, that has the other subscriptions stand where a snapshot is about to."""
        return [self._update(self._changes())] if self.behind else []

    def _changes(self) -> dict[str, msgspec.Raw]:
        """What the client lacks, by subscription; it counts as told."""
        snapshot, encoding = self._board.snapshot, self._encoding
        changes: dict[str, msgspec.Raw] = {}
        for name, held in self._held.items():
            number = held.view.version(snapshot).number
            if held.number != number:
                changes[name] = held.view.change(held.number, encoding)
                held.number = number
        return changes

    def _update(self, changes: Mapping[str, msgspec.Raw]) -> bytes:
        snapshot, prev_seq = self._board.snapshot, self.seq
        self.seq, self._as_of = snapshot.seq, snapshot.as_of
        return self._encode({
            "type": "update", "epoch": snapshot.epoch, "seq": snapshot.seq, "prev_seq": prev_seq, "as_of": snapshot.as_of,
            "conflated": snapshot.seq - prev_seq - 1, "views": changes,
        })  # fmt: skip

    def _snapshot(self, name: str, held: Held) -> bytes:
        snapshot = self._board.snapshot
        version = held.view.version(snapshot)
        held.number = version.number
        self.seq, self._as_of = snapshot.seq, snapshot.as_of
        return self._encode({
            "type": "snapshot", "id": name, "epoch": snapshot.epoch, "seq": snapshot.seq, "as_of": snapshot.as_of,
            "key": held.view.key, "rows": version.whole(self._encoding),
        })  # fmt: skip


def _shown(value: object) -> str:
    """A client's value, cut, for an answer."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
