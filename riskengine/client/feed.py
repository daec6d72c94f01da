"""The copy that a client keeps of what it has subscribed to, and the rules by which it stays one. No socket, clock or task.

A feed lives through many connections. Rows that were heard stay when a connection ends, and the state says how good they are.
Rows are never written to once they are in a state: a patch makes a new row, so that a state can be kept and read anywhere.
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
"""What tells rows apart: the value of the key field, "" where there is only one row, a tuple where there are several fields."""

CONNECTING, LOADING, LIVE, STALE, DISCONNECTED = "connecting", "loading", "live", "stale", "disconnected"

MAX_RESYNCS = 3
"""So often are rows asked for anew without one checksum that agrees in between; then another connection is made."""

SILENT_HEARTBEATS = 3
"""Nothing for so many heartbeats: the state says stale."""

GIVE_UP_HEARTBEATS = 10
"""Nothing for so many heartbeats: another connection is made."""

QUIET_HEARTBEATS = 5
"""An engine that beats but has published nothing for so many heartbeats is said to be stale."""


@dataclass(frozen=True, slots=True)
class State:
    """One subscription at one moment.

    `status` says how good it is, `reason` in words why it is not live:

    connecting     nothing has been heard yet
    loading        the engine is not live yet, or fresh rows have been asked for
    live           the rows are the engine's at `seq`
    stale          connected, but nothing comes or the engine publishes nothing: the rows are of `as_of`
    disconnected   the connection was lost and is being made again: the rows are of `as_of`

    `changed` and `removed` are the keys that differ from the state before; `conflated` counts the snapshots that were
    skipped in between. `epoch` is another one after the engine was started anew. Times are in microseconds, UTC.
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

    @property
    def is_live(self) -> bool:
        """Whether the rows are the engine's, now."""
        return self.status == LIVE


@dataclass(eq=False, slots=True)
class Held:
    """One subscription. `fresh`: its rows are those of the connection's seq; otherwise fresh ones are on their way."""

    id: str
    view: str
    node: str | None
    dealer: str | None
    key: tuple[str, ...] = ()
    rows: dict[Key, Row] = field(default_factory=dict)
    fresh: bool = False
    refused: SubscriptionRefused | None = None
    conflated: int = 0
    _shown: dict[Key, Row] = field(default_factory=dict)

    def request(self) -> Row:
        """What subscribes to it."""
        named = {"node": self.node, "dealer": self.dealer}
        asked = {"op": "subscribe", "id": self.id, "view": self.view}
        return asked | {name: value for name, value in named.items() if value is not None}

    def take(self, message: RowsMessage) -> None:
        """All rows. Those that say what they said stay the same objects. Raises KeyError."""
        self.key = tuple(message.key)
        before = self.rows
        self.rows = rows = {}
        for row in message.rows:
            key = self._key(row)
            known = before.get(key)
            rows[key] = row if known != row else known
        self.fresh = True

    def patch(self, change: Patch) -> None:
        """What changed. O(rows changed). Raises KeyError."""
        for row in change.rows:
            key = self._key(row)
            known = self.rows.get(key)
            self.rows[key] = row if known is None else known | row
        for values in change.removed:
            self.rows.pop(values[0] if len(values) == 1 else tuple(values), None)

    def differences(self) -> tuple[dict[Key, Row], frozenset[Key], frozenset[Key]]:
        """A copy of the rows, and what changed and went since this was last asked. O(rows)."""
        before, now = self._shown, dict(self.rows)
        self._shown = now
        changed = frozenset(key for key, row in now.items() if before.get(key) is not row)
        return now, changed, frozenset(before.keys() - now.keys())

    def _key(self, row: Row) -> Key:
        if len(self.key) == 1:
            return row[self.key[0]]
        return tuple(row[name] for name in self.key) if self.key else ""


class Feed:
    """All subscriptions of one client. Messages go in by `hear`, requests to send come out by `take_requests`.

    `version` rises with everything that a state shows. `farewell` is what the server said of the session's end, and
    `reconnect_after_s` when it wants to be called again. One task or thread uses a feed.
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
        self.farewell = ""
        self.version = 0
        self._max_hz = max_hz
        self._held: dict[str, Held] = {}
        self.connected = False
        self._number = 0
        self._resyncs = 0
        self._requests: list[Row] = []
        self._checksums: dict[str, int] = {}

    # -- subscriptions -----------------------------------------------------------------------------------------

    def subscribe(self, view: str, node: str | None, dealer: str | None) -> Held:
        """One more subscription; its rows come with a later message."""
        self._number += 1
        held = self._held[str(self._number)] = Held(str(self._number), view, node, dealer)
        if self.connected:
            self._requests.append(held.request())
        return held

    def unsubscribe(self, held: Held) -> None:
        """End one; again is nothing."""
        if self._held.pop(held.id, None) is not None and self.connected and held.refused is None:
            self._requests.append({"op": "unsubscribe", "id": held.id})

    def state(self, held: Held) -> State:
        """What a subscription shows now. Raises SubscriptionRefused. O(rows)."""
        if held.refused is not None:
            raise held.refused
        rows, changed, removed = held.differences()
        conflated, held.conflated = held.conflated, 0
        status, reason = self.status, self.reason
        if status == LIVE and not held.fresh:
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
        )

    def holds(self, held: Held) -> bool:
        """Whether a subscription has not been ended."""
        return held.id in self._held

    @property
    def all_fresh(self) -> bool:
        """Whether every subscription stands at `seq`, or was refused."""
        return all(held.fresh for held in self._held.values())

    def take_requests(self) -> list[Row]:
        """What is to be sent now, in order."""
        requests, self._requests = self._requests, []
        return requests

    # -- the connection ----------------------------------------------------------------------------------------

    def lost(self, status: str, reason: str) -> None:
        """The connection ended, or none could be made."""
        self.connected = False
        self._requests.clear()
        self._checksums.clear()
        for held in self._held.values():
            held.fresh = False
        self._say(status, reason)

    def silent(self, seconds: float) -> None:
        """Nothing has come for a while, though the connection stands."""
        if self.connected:
            self._say(STALE, f"nothing has come for {seconds:.0f} s")

    def hear(self, message: Message) -> None:
        """Take one message. Raises InputError where the server breaks the protocol: then another connection is needed."""
        if isinstance(message, Hello):
            self._hello(message)
            return
        if not self.connected and not isinstance(message, Bye | ErrorMessage):
            raise InputError("the server sent something before its hello")
        try:
            match message:
                case RowsMessage():
                    self._rows(message)
                case Update():
                    self._update(message)
                case Heartbeat():
                    self._heartbeat(message)
                case ErrorMessage():
                    self._refusal(message)
                case Bye():
                    self.reconnect_after_s = message.reconnect_after_ms / 1_000
        except (KeyError, TypeError) as mistake:  # a row without its key, or a key that is a list
            raise InputError(f"the server sent a row without its key: {mistake}") from None

    def verify(self) -> Iterator[None]:
        """Hold the last message's checksums against the rows, in slices of a millisecond; what differs is asked for anew."""
        checksums, self._checksums = self._checksums, {}
        for name, told in checksums.items():
            held = self._held.get(name)
            if held is None or not held.fresh:
                continue
            found = None
            for found in checksum_in_turns(held.rows.values()):
                if found is None:
                    yield
            if found == told:
                self._resyncs = 0
            else:
                self._resync([held], f"the rows of {held.view} are not the engine's at seq {self.seq}")

    # -- messages ----------------------------------------------------------------------------------------------

    def _hello(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            raise EngineUnreachable(f"the engine speaks protocol {hello.protocol} of the stream, this client {PROTOCOL}")
        self.connected = True
        self.epoch, self.seq = hello.epoch, hello.seq
        self.reporting_currency = hello.reporting_currency
        self.heartbeat_s = max(hello.heartbeat_ms, 1) / 1_000
        self.reconnect_after_s, self.farewell = None, ""
        self._resyncs = 0
        self._requests = [{"op": "configure", "max_hz": self._max_hz}] if self._max_hz is not None else []
        self._requests += [held.request() for held in self._held.values() if held.refused is None]
        self._say(LIVE, "")

    def _rows(self, message: RowsMessage) -> None:
        assert self.seq is not None
        if message.epoch != self.epoch or message.seq < self.seq:
            raise InputError(f"the server went back from seq {self.seq} of epoch {self.epoch} to {message.seq}")
        held = self._held.get(message.id)
        if held is not None:
            held.take(message)
        self._stand(message.seq, message.as_of)

    def _update(self, update: Update) -> None:
        if update.epoch != self.epoch:
            raise InputError(f"the server went from epoch {self.epoch} to {update.epoch} without a new connection")
        if update.seq <= update.prev_seq:
            raise InputError(f"an update goes from seq {update.prev_seq} to {update.seq}")
        if update.prev_seq != self.seq:
            fresh = [held for held in self._held.values() if held.fresh and held.refused is None]
            self._resync(fresh, f"an update follows seq {update.prev_seq}, not {self.seq}")
        for name, change in update.views.items():
            held = self._held.get(name)
            if held is not None and held.fresh:
                held.patch(change)
        for held in self._held.values():
            held.conflated += update.conflated
        self._checksums = update.checksums
        self._stand(update.seq, update.as_of)

    def _stand(self, seq: int, as_of: int) -> None:
        self.seq, self.as_of = seq, as_of
        self.version += 1
        self.status = LIVE
        if self.all_fresh:
            self.reason = ""

    def _heartbeat(self, beat: Heartbeat) -> None:
        age_s = (beat.publish_age_ms or 0) / 1_000
        if age_s > QUIET_HEARTBEATS * self.heartbeat_s:
            self._say(STALE, f"the engine has published nothing for {age_s:.0f} s")
        elif self.status == STALE:
            self._say(LIVE, "")

    def _refusal(self, refusal: ErrorMessage) -> None:
        held = None if refusal.id is None else self._held.get(str(refusal.id))
        if held is None:
            self.farewell = f"{refusal.title}: {refusal.detail}"
            return
        held.refused = SubscriptionRefused(refusal.title, refusal.detail)
        held.fresh = True
        self.version += 1

    def _resync(self, stale: list[Held], reason: str) -> None:
        """Ask for all rows of some subscriptions; what changes in them meanwhile is not taken."""
        self._resyncs += 1
        if self._resyncs > MAX_RESYNCS:
            raise InputError(f"fresh rows did not help: {reason}")
        for held in stale:
            held.fresh = False
            self._requests.append({"op": "resync", "id": held.id})
        self.reason = reason
        self.version += 1

    def _say(self, status: str, reason: str) -> None:
        if (status, reason) != (self.status, self.reason):
            self.status, self.reason = status, reason
            self.version += 1
