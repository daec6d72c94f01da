"""A client's copy of its subscriptions, and the rules that keep it equal to the engine's. No socket, clock or task.

A feed outlives its connections. When a connection ends, the feed keeps the rows, and the state's status says how current they
are. A patch makes a new row and never changes one that a state contains: any thread may keep and read a state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from riskengine.client.checksum import checksum_in_turns
from riskengine.client.errors import SubscriptionRefused
from riskengine.client.messages import PROTOCOL, Bye, ErrorMessage, Heartbeat, Hello, Message, Patch, Row, RowsMessage, Update
from riskengine.errors import EngineUnreachable, InputError

Key = Any
"""Identifies a row: the value of the key field; "" if the view has no key field, a tuple if it has several."""

CONNECTING, LOADING, LIVE, STALE, DISCONNECTED = "connecting", "loading", "live", "stale", "disconnected"

MAX_RESYNCS = 3
"""Resyncs without a matching checksum in between; after these the client reconnects."""

SILENT_HEARTBEATS = 3
"""Heartbeats without a message before the status is stale."""

GIVE_UP_HEARTBEATS = 10
"""Heartbeats without a message before the client reconnects."""

QUIET_HEARTBEATS = 5
"""Heartbeats without a new snapshot, from an engine that still sends them, before the status is stale."""


@dataclass(frozen=True, slots=True)
class State:
    """One subscription at one moment.

    `status` says how current the rows are, `reason` why they are not live:

    connecting     no message has arrived yet
    loading        the engine is not live yet, or fresh rows are on their way
    live           the rows are the engine's at `seq`
    stale          connected, but no message arrives or the engine publishes nothing: the rows are as of `as_of`
    disconnected   the connection was lost and the client reconnects: the rows are as of `as_of`

    `changed` and `removed` are the keys that differ from the previous state; `conflated` counts the snapshots skipped in
    between. `epoch` changes when the engine restarts. `summary` has the figures beside the rows of an `exposure`; it is empty
    for other views. Times are in microseconds, UTC.
    """

    status: str
    reason: str
    epoch: int | None
    seq: int | None
    as_of: int | None
    rows: Mapping[Key, Row]
    changed: frozenset[Key]
    removed: frozenset[Key]
    conflated: int
    reporting_currency: str | None
    summary: Row = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether the rows are the engine's at `seq`."""
        return self.status == LIVE


@dataclass(eq=False, slots=True)
class ViewCopy:
    """The copy of one subscription's rows. `fresh`: they are at the connection's seq; otherwise fresh rows are on their way."""

    id: str
    view: str
    node: str | None
    dealer: str | None
    by: str | None = None
    key: tuple[str, ...] = ()
    rows: dict[Key, Row] = field(default_factory=dict)
    summary: Row = field(default_factory=dict)
    fresh: bool = False
    refused: SubscriptionRefused | None = None
    conflated: int = 0
    _last_rows: dict[Key, Row] = field(default_factory=dict)

    def request(self) -> Row:
        """The message that subscribes to the view."""
        named = {"node": self.node, "dealer": self.dealer, "by": self.by}
        asked = {"op": "subscribe", "id": self.id, "view": self.view}
        return asked | {name: value for name, value in named.items() if value is not None}

    def take(self, message: RowsMessage) -> None:
        """Replace all rows; unchanged rows stay the same objects. Raises KeyError."""
        self.key = tuple(message.key)
        before = self.rows
        self.rows = rows = {}
        for row in message.rows:
            key = self._key(row)
            known = before.get(key)
            rows[key] = row if known != row else known
        self.summary = message.summary
        self.fresh = True

    def patch(self, change: Patch) -> None:
        """Apply a patch. O(rows changed). Raises KeyError."""
        for row in change.rows:
            key = self._key(row)
            known = self.rows.get(key)
            self.rows[key] = row if known is None else known | row
        for values in change.removed:
            self.rows.pop(values[0] if len(values) == 1 else tuple(values), None)
        if change.summary is not None:
            self.summary = change.summary

    def differences(self) -> tuple[dict[Key, Row], frozenset[Key], frozenset[Key]]:
        """A copy of the rows, and the keys changed and removed since the last call. O(rows)."""
        before, now = self._last_rows, dict(self.rows)
        self._last_rows = now
        changed = frozenset(key for key, row in now.items() if before.get(key) is not row)
        return now, changed, frozenset(before.keys() - now.keys())

    def _key(self, row: Row) -> Key:
        if len(self.key) == 1:
            return row[self.key[0]]
        return tuple(row[name] for name in self.key) if self.key else ""


class Feed:
    """All subscriptions of one client. Messages go in by `hear`, requests to send come out by `take_requests`.

    `version` rises whenever a state would change. `close_reason` is the server's reason for ending the session,
    `reconnect_after_s` its request when to reconnect. One task or thread uses a feed.
    """

    def __init__(self, max_hz: float | None = None) -> None:
        self.status = CONNECTING
        self.reason = ""
        self.epoch: int | None = None
        self.seq: int | None = None
        self.as_of: int | None = None
        self.reporting_currency: str | None = None
        self.heartbeat_s = 1.0
        self.reconnect_after_s: float | None = None
        self.close_reason = ""
        self.version = 0
        self._max_hz = max_hz
        self._copies: dict[str, ViewCopy] = {}
        self.connected = False
        self._number = 0
        self._resyncs = 0
        self._requests: list[Row] = []
        self._checksums: dict[str, int] = {}

    # -- subscriptions -----------------------------------------------------------------------------------------

    def subscribe(self, view: str, node: str | None, dealer: str | None, by: str | None = None) -> ViewCopy:
        """Add a subscription; its rows arrive with a later message."""
        self._number += 1
        copy = self._copies[str(self._number)] = ViewCopy(str(self._number), view, node, dealer, by)
        if self.connected:
            self._requests.append(copy.request())
        return copy

    def unsubscribe(self, copy: ViewCopy) -> None:
        """End a subscription. Calling it again does nothing."""
        if self._copies.pop(copy.id, None) is not None and self.connected and copy.refused is None:
            self._requests.append({"op": "unsubscribe", "id": copy.id})

    def state(self, copy: ViewCopy) -> State:
        """The state of a subscription now. Raises SubscriptionRefused. O(rows)."""
        if copy.refused is not None:
            raise copy.refused
        rows, changed, removed = copy.differences()
        conflated, copy.conflated = copy.conflated, 0
        status, reason = self.status, self.reason
        if status == LIVE and not copy.fresh:
            status, reason = LOADING, self.reason or "its rows are on their way"
        return State(
            status,
            reason,
            self.epoch,
            self.seq,
            self.as_of,
            MappingProxyType(rows),
            changed,
            removed,
            conflated,
            self.reporting_currency,
            copy.summary,
        )

    def is_open(self, copy: ViewCopy) -> bool:
        """Whether a subscription is still open."""
        return copy.id in self._copies

    @property
    def all_fresh(self) -> bool:
        """Whether every subscription is at `seq`, or was refused."""
        return all(copy.fresh for copy in self._copies.values())

    def take_requests(self) -> list[Row]:
        """Take the requests to send now, in order."""
        requests, self._requests = self._requests, []
        return requests

    # -- the connection ----------------------------------------------------------------------------------------

    def note_lost(self, status: str, reason: str) -> None:
        """Note that the connection ended, or that an attempt to connect failed."""
        self.connected = False
        self._requests.clear()
        self._checksums.clear()
        for copy in self._copies.values():
            copy.fresh = False
        self._set_status(status, reason)

    def note_silence(self, seconds: float) -> None:
        """Note that no message has arrived for a while on an open connection."""
        if self.connected:
            self._set_status(STALE, f"no message for {seconds:.0f} s")

    def hear(self, message: Message) -> None:
        """Take one message. Raises InputError if the server breaks the protocol: the caller must reconnect."""
        if isinstance(message, Hello):
            self._hello(message)
            return
        if not self.connected and not isinstance(message, Bye | ErrorMessage):
            raise InputError("the server sent a message before its hello")
        try:
            match message:
                case RowsMessage():
                    self._rows(message)
                case Update():
                    self._update(message)
                case Heartbeat():
                    self._heartbeat(message)
                case ErrorMessage():
                    self._take_refusal(message)
                case Bye():
                    self.reconnect_after_s = message.reconnect_after_ms / 1_000
        except (KeyError, TypeError) as mistake:  # a row without its key, or a key that is a list
            raise InputError(f"the server sent a row without its key: {mistake}") from None

    def verify(self) -> Iterator[None]:
        """Check the rows against the last message's checksums, in slices of a millisecond. Request rows that differ again."""
        checksums, self._checksums = self._checksums, {}
        for name, expected in checksums.items():
            copy = self._copies.get(name)
            if copy is None or not copy.fresh:
                continue
            found = None
            for found in checksum_in_turns(copy.rows.values()):
                if found is None:
                    yield
            if found == expected:
                self._resyncs = 0
            else:
                self._resync([copy], f"the rows of {copy.view} differ from the engine's at seq {self.seq}")

    # -- messages ----------------------------------------------------------------------------------------------

    def _hello(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            raise EngineUnreachable(f"the engine speaks stream protocol {hello.protocol}, this client speaks {PROTOCOL}")
        self.connected = True
        self.epoch, self.seq = hello.epoch, hello.seq
        self.reporting_currency = hello.reporting_currency
        self.heartbeat_s = max(hello.heartbeat_ms, 1) / 1_000
        self.reconnect_after_s, self.close_reason = None, ""
        self._resyncs = 0
        self._requests = [{"op": "configure", "max_hz": self._max_hz}] if self._max_hz is not None else []
        self._requests += [copy.request() for copy in self._copies.values() if copy.refused is None]
        self._set_status(LIVE, "")

    def _rows(self, message: RowsMessage) -> None:
        assert self.seq is not None
        if message.epoch != self.epoch or message.seq < self.seq:
            raise InputError(f"the server went back from seq {self.seq} of epoch {self.epoch} to {message.seq}")
        copy = self._copies.get(message.id)
        if copy is not None:
            copy.take(message)
        self._advance(message.seq, message.as_of)

    def _update(self, update: Update) -> None:
        if update.epoch != self.epoch:
            raise InputError(f"the server changed from epoch {self.epoch} to {update.epoch} on one connection")
        if update.seq <= update.prev_seq:
            raise InputError(f"an update goes from seq {update.prev_seq} to {update.seq}")
        if update.prev_seq != self.seq:
            fresh = [copy for copy in self._copies.values() if copy.fresh and copy.refused is None]
            self._resync(fresh, f"an update follows seq {update.prev_seq}, not {self.seq}")
        for name, change in update.views.items():
            copy = self._copies.get(name)
            if copy is not None and copy.fresh:
                copy.patch(change)
        for copy in self._copies.values():
            copy.conflated += update.conflated
        self._checksums = update.checksums
        self._advance(update.seq, update.as_of)

    def _advance(self, seq: int, as_of: int) -> None:
        self.seq, self.as_of = seq, as_of
        self.version += 1
        self.status = LIVE
        if self.all_fresh:
            self.reason = ""

    def _heartbeat(self, beat: Heartbeat) -> None:
        age_s = (beat.publish_age_ms or 0) / 1_000
        if age_s > QUIET_HEARTBEATS * self.heartbeat_s:
            self._set_status(STALE, f"the engine has published nothing for {age_s:.0f} s")
        elif self.status == STALE:
            self._set_status(LIVE, "")

    def _take_refusal(self, refusal: ErrorMessage) -> None:
        copy = None if refusal.id is None else self._copies.get(str(refusal.id))
        if copy is None:
            self.close_reason = f"{refusal.title}: {refusal.detail}"
            return
        copy.refused = SubscriptionRefused(refusal.title, refusal.detail)
        copy.fresh = True
        self.version += 1

    def _resync(self, stale: list[ViewCopy], reason: str) -> None:
        """Request all rows of some subscriptions; ignore their updates until the rows arrive."""
        self._resyncs += 1
        if self._resyncs > MAX_RESYNCS:
            raise InputError(f"fresh rows did not help: {reason}")
        for copy in stale:
            copy.fresh = False
            self._requests.append({"op": "resync", "id": copy.id})
        self.reason = reason
        self.version += 1

    def _set_status(self, status: str, reason: str) -> None:
        if (status, reason) != (self.status, self.reason):
            self.status, self.reason = status, reason
            self.version += 1
