"""One connection of the stream without its socket: its subscriptions, what it was sent last, and what to send next.

All connections stand at one `Board`. A connection keeps the seq sent last and a version of each view, never a queue: one update
moves all its views from that seq to the board's, and a slow reader finds a newer board next time.

No clock, thread, task or socket. One thread uses a board and everything that stands at it.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from riskengine.config import ServerConfig
from riskengine.nearest import unknown
from riskengine.records.fields import MAX_INTEGER
from riskengine.snapshot.exposure import BY, CURRENCY
from riskengine.snapshot.snapshot import Snapshot, UnknownName
from riskengine.views.board import OWNER_VIEWS, SUMMARY, Board, Encoding, SharedView, Standing
from riskengine.views.grants import EVERYTHING, Grants

PROTOCOL = 1
VIEWS = ("nodes", "dealers", "ladder", "risk", "exposure", "limits", "status")
MAX_SUBSCRIPTIONS = 100
MAX_ROWS = 50_000
"""Of all subscriptions of a connection together, when it makes another; a single one may have more."""

MAX_MESSAGE_BYTES = 65_536
MAX_ID_CHARACTERS = 128
MIN_HZ, MAX_HZ = 0.2, 10.0

_decode_json = msgspec.json.Decoder().decode
_decode_msgpack = msgspec.msgpack.Decoder().decode


class Refused(Exception):
    """The server refuses a request and answers with an error message; the connection goes on."""

    def __init__(self, title: str, detail: str) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail


# -- messages about no view --------------------------------------------------------------------------------------


def hello(snapshot: Snapshot, config: ServerConfig) -> dict[str, Any]:
    """The server's first message; `max_hz` holds until the client configures another."""
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "epoch": snapshot.epoch,
        "seq": snapshot.seq,
        "reporting_currency": snapshot.reference.reporting_currency,
        "heartbeat_ms": config.heartbeat_ms,
        "max_hz": config.max_hz,
    }


def heartbeat(snapshot: Snapshot, now: int, publish_age_ms: int | None) -> dict[str, Any]:
    """The newest published snapshot, whether or not the connection was brought to it, its age, and the engine's time."""
    return {
        "type": "heartbeat",
        "epoch": snapshot.epoch,
        "seq": snapshot.seq,
        "ts": now,
        "publish_age_ms": publish_age_ms,
    }


def bye(reconnect_after_ms: int) -> dict[str, Any]:
    """The last message before the server closes a connection."""
    return {"type": "bye", "reconnect_after_ms": reconnect_after_ms}


def error(request_id: object, title: str, detail: str) -> dict[str, Any]:
    """What is wrong with a request; `id` is that of the request, null if it has none that can be repeated."""
    return {"type": "error", "id": request_id if _is_id(request_id) else None, "title": title, "detail": detail}


def decode_message(message: str | bytes) -> dict[str, Any]:
    """A client's message: JSON as text, msgpack as bytes. Raises Refused."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise Refused("message too large", f"a message has at most {MAX_MESSAGE_BYTES} bytes")
    try:
        decoded = _decode_json(message) if isinstance(message, str) else _decode_msgpack(message)
    except (msgspec.MsgspecError, UnicodeError, TypeError) as problem:  # TypeError: a map as the key of a map
        raise Refused("malformed message", str(problem)) from None
    except RecursionError:
        raise Refused("malformed message", "nested too deeply") from None
    if not isinstance(decoded, dict):
        raise Refused("malformed message", "a message is an object with the field 'op'")
    return decoded


FIELDS: Mapping[str, tuple[str, ...]] = {
    "subscribe": ("op", "id", "view", "node", "dealer", "by"),
    "unsubscribe": ("op", "id"),
    "resync": ("op", "id"),
    "configure": ("op", "id", "max_hz"),
    "ping": ("op", "id"),
}
"""What the messages of a client hold."""


def _check_fields(operation: object, request: Mapping[str, Any]) -> None:
    """Refuse a field that the operation does not have."""
    known = FIELDS.get(operation) if isinstance(operation, str) else None
    for field in request:
        if known is not None and field not in known:
            raise Refused("bad parameter", f"{_quoted(field)}: {unknown(str(field), known, f'a field of {operation}')}")


def _by(request: Mapping[str, Any], view: str) -> str | None:
    """What the rows of an exposure are of; None for other views. Raises Refused."""
    by = request.get("by")
    if view != "exposure":
        if by is not None:
            raise Refused("bad parameter", f"by: the view {view!r} takes none")
        return None
    if by is None:
        return CURRENCY
    if by not in BY:
        raise Refused("bad parameter", f"by: {_quoted(by)}: there are {', '.join(BY[:-1])} and {BY[-1]}")
    return str(by)


def _is_id(value: object) -> bool:
    """Whether an answer can repeat the id of a request: it is a text or an integer, and not large."""
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARACTERS
    return isinstance(value, int) and abs(value) <= MAX_INTEGER


def _keep_board() -> None:
    """The default of `Subscriptions.refresh`: the board stays where it is."""


# -- one connection ----------------------------------------------------------------------------------------------


class Subscriptions:
    """One connection: a request comes in, frames go out; the board moves on, one update goes out.

    `max_hz` is the rate that the client asked for, `grants` are whose numbers it may see.
    """

    def __init__(self, board: Board, encoding: Encoding, config: ServerConfig, grants: Grants = EVERYTHING) -> None:
        self.max_hz = config.max_hz
        self.standing = board.layout(encoding, ()).standing()
        self.standing.layout.users += 1
        self._board = board
        self._grants = grants
        self._encoding = encoding
        self._config = config
        self._subscribed: dict[str, SharedView] = {}
        self.refused = False
        """Whether the answer to the last request was an error."""
        self.refresh: Callable[[], None] = _keep_board
        """Brings the board to the newest snapshot, before a request that is answered with rows."""

    @property
    def seq(self) -> int:
        """The seq sent last, at first that of the hello."""
        return self.standing.seq

    def hello(self) -> bytes:
        """The first frame."""
        return self._encoding.message(hello(self._board.snapshot, self._config))

    def close(self) -> None:
        """End every subscription."""
        for view in self._subscribed.values():
            self._board.close(view)
        self._subscribed.clear()
        self._stand_at_board()

    @property
    def views(self) -> Collection[SharedView]:
        """The views of all subscriptions."""
        return self._subscribed.values()

    @property
    def behind(self) -> bool:
        """Whether the board shows a newer snapshot than this connection's subscriptions. O(1)."""
        return self._board.snapshot.seq > self.standing.seq and bool(self._subscribed)

    @property
    def trade_waits(self) -> bool:
        """Whether a trade has changed a view of this connection since its last seq. O(subscriptions)."""
        return self.standing.layout.trade_seq > self.standing.seq

    def update(self, *, checked: bool = False) -> bytes | None:
        """One frame that moves every subscription to the board's snapshot; None if there is no news (see `Standing.move`).

        `checked` adds checksums. Connections that share a standing get the same bytes: O(1) for all but the first.
        """
        if not self._subscribed:
            return None
        move = self.standing.move(checked=checked)
        if move is None:
            return None
        self.standing = move.standing
        return move.message

    def handle(self, message: str | bytes) -> list[bytes]:
        """Do what a client's message asks. Returns the frames to send, in order. Never raises."""
        request_id, self.refused = None, False
        try:
            request = decode_message(message)
            request_id = request.get("id")
            operation = request.get("op")
            _check_fields(operation, request)
            if operation == "subscribe":
                return self._subscribe(request)
            if operation == "unsubscribe":
                return self._unsubscribe(request)
            if operation == "resync":
                return self._resync(request)
            if operation == "configure":
                return self._configure(request)
            if operation == "ping":
                return [self._encoding.message({"type": "pong", "id": request_id if _is_id(request_id) else None})]
            known = "subscribe, unsubscribe, resync, configure and ping"
            raise Refused("unknown op", f"{_quoted(operation)}: there are {known}")
        except Refused as refused:
            self.refused = True
            return [self._encoding.message(error(request_id, refused.title, refused.detail))]

    def review(self) -> list[bytes]:
        """End views of owners that other reference data moved out of the grants. Returns error frames. O(subscriptions)."""
        frames = []
        for name, view in tuple(self._subscribed.items()):
            try:
                if view.owner is not None:
                    self._check_grants(*view.owner)
            except Refused as refused:
                self._drop(name)
                frames.append(self._encoding.message(error(name, refused.title, refused.detail)))
        return frames

    # -- requests ----------------------------------------------------------------------------------------------

    def _subscribe(self, request: Mapping[str, Any]) -> list[bytes]:
        name = self._id(request)
        view, node, dealer = request.get("view"), request.get("node"), request.get("dealer")
        if view not in VIEWS:
            raise Refused("unknown view", f"{_quoted(view)}: there are {', '.join(VIEWS[:-1])} and {VIEWS[-1]}")
        for field, value in (("node", node), ("dealer", dealer)):
            if value is not None and not isinstance(value, str):
                raise Refused("bad parameter", f"{field}: must be a text")
            if value is not None and view not in OWNER_VIEWS:
                raise Refused("bad parameter", f"{field}: the view {view!r} takes none")
        if node is not None and dealer is not None:
            article = "an" if view == "exposure" else "a"
            raise Refused("bad parameter", f"dealer: {article} {view} is of a node or of a dealer, not of both")
        by = _by(request, view)
        if name not in self._subscribed and len(self._subscribed) >= MAX_SUBSCRIPTIONS:
            raise Refused("too many subscriptions", f"a connection has at most {MAX_SUBSCRIPTIONS}")
        self.refresh()
        if view in OWNER_VIEWS:
            self._check_grants(node, dealer)
        try:
            shared = self._board.open(view, node, dealer, self._grants, by)
        except UnknownName as lookup:
            raise Refused("unknown name", str(lookup)) from None
        others = sum(view.size for known, view in self._subscribed.items() if known != name)
        if others and others + shared.size > MAX_ROWS:
            self._board.close(shared)
            raise Refused("too many rows", f"several subscriptions have at most {MAX_ROWS:,} rows together")
        self._drop(name)
        frames = self._catch_up()
        self._subscribed[name] = shared
        self._stand_at_board()
        return [*frames, self._snapshot(name, shared)]

    def _check_grants(self, node: str | None, dealer: str | None) -> None:
        """Refuse a view of an owner that is not granted, in the same words whether or not the owner exists."""
        grants, hierarchy = self._grants, self._board.snapshot.reference.hierarchy
        if grants.see_everything:
            return
        if dealer is not None:
            if not grants.sees_dealer(dealer):
                raise Refused("not allowed", f"dealer: {_quoted(dealer)} is not granted to you")
        elif grants.nodes is not None:
            name = next(iter(hierarchy.names), "") if node is None else node
            if not grants.sees_below(hierarchy, name):
                which = "the root" if node is None else _quoted(node)  # the root's name is not granted either
                raise Refused("not allowed", f"node: {which} is not granted to you")

    def _unsubscribe(self, request: Mapping[str, Any]) -> list[bytes]:
        self._existing(request)
        self._drop(request["id"])
        return []

    def _resync(self, request: Mapping[str, Any]) -> list[bytes]:
        """Send all rows of one subscription, or of all if the request has no id; bring the others to the same seq."""
        wanted = dict(self._subscribed) if request.get("id") is None else {request["id"]: self._existing(request)}
        self.refresh()
        subscribed = dict(self._subscribed)
        for name in wanted:
            self._leave(name)
        frames = self._catch_up()
        self._subscribed = subscribed
        self._stand_at_board()
        return [*frames, *(self._snapshot(name, view) for name, view in wanted.items())]

    def _configure(self, request: Mapping[str, Any]) -> list[bytes]:
        asked = request.get("max_hz")
        if not isinstance(asked, int | float) or isinstance(asked, bool) or not MIN_HZ <= asked <= MAX_HZ:
            raise Refused("bad parameter", f"max_hz: must be a number from {MIN_HZ:g} to {MAX_HZ:g}")
        self.max_hz = float(asked)
        return []

    def _id(self, request: Mapping[str, Any]) -> str:
        name = request.get("id")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARACTERS:
            raise Refused("bad id", f"id: must be a text of 1 to {MAX_ID_CHARACTERS} characters")
        return name

    def _existing(self, request: Mapping[str, Any]) -> SharedView:
        name = self._id(request)
        if name not in self._subscribed:
            raise Refused("unknown id", f"there is no subscription {_quoted(name)}")
        return self._subscribed[name]

    def _drop(self, name: str) -> None:
        """End the subscription of this name, if there is one."""
        if name in self._subscribed:
            self._board.close(self._leave(name))

    def _leave(self, name: str) -> SharedView:
        """Take one subscription out of the standing; the others keep their versions. Returns its view."""
        view, before = self._subscribed.pop(name), self.standing
        place = [known for known, _ in before.layout.items].index(name)
        layout = self._board.layout(self._encoding, tuple(self._subscribed.items()))
        self._stand(before.without(layout, before.versions[:place] + before.versions[place + 1 :]))
        return view

    def _stand_at_board(self) -> None:
        """Stand at the board's snapshot with the current subscriptions."""
        self._stand(self._board.layout(self._encoding, tuple(self._subscribed.items())).standing())

    def _stand(self, standing: Standing) -> None:
        """Stand in another layout."""
        before, self.standing = self.standing.layout, standing
        standing.layout.users += 1
        before.leave()

    # -- frames ------------------------------------------------------------------------------------------------

    def _catch_up(self) -> list[bytes]:
        """The update, if any, that brings the other subscriptions to the board's seq before a snapshot of that seq is sent."""
        if not self.behind:
            return []
        move = self.standing.move(quietly=False)
        assert move is not None, "the board has moved on"
        self.standing = move.standing
        return [move.message]

    def _snapshot(self, name: str, view: SharedView) -> bytes:
        """All rows of a view at the board's snapshot: the same bytes for all that subscribe under this name."""
        snapshot, encoding = self._board.snapshot, self._encoding
        version = view.version(snapshot)
        return version.message(
            snapshot.seq,
            (encoding, name),
            lambda: encoding.message(
                {
                    "type": "snapshot",
                    "id": name,
                    "epoch": snapshot.epoch,
                    "seq": snapshot.seq,
                    "as_of": snapshot.as_of,
                    "key": view.key,
                    "rows": version.all_rows(encoding),
                }
                | ({SUMMARY: version.summary} if version.summary else {})
            ),
        )


def _quoted(value: object) -> str:
    """A client's value for an answer, quoted and cut short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
