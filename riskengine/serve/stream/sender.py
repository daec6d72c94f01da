"""Sends updates: one task decides which connection of the stream gets what, and when.

A connection gets the changes of a trade at once, then at most every `trade_push_ms`; changes of prices at beats, at most at its
`max_hz`. It is visited only if one of its views has moved or its beat has come: clients of views that stand still cost nothing.
Connections with the same subscriptions have their beats together, so that they share their bytes; different ones are spread over
the beats.

Sending goes in turns of about a millisecond; between two turns the loop is free. Views moved by a fresh trade come first, then
pushes whose pause is over, then beats. If pushes after trades take more than a share of the time, the pause between two pushes to
one client grows, up to the time between two price updates.

Event loop only.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from math import ceil
from time import perf_counter

from riskengine.clock import MICROS_PER_SECOND
from riskengine.serve.answers.turns import TURN_S
from riskengine.serve.gateway import Gateway
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.pacing import PushPause, Rhythm, next_moment
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.board import Board, Encoding, Move, SharedView, Standing
from riskengine.views.subscription import Subscriptions

STALL_TIMEOUT_S = 5.0
"""A connection that takes no unsent bytes for so long is dropped."""

SENDS_PER_TURN = 160
"""Messages written in one turn. Their system calls, about a millisecond, come when the loop goes on."""
SEND_COST_S = 7e-6
"""Time that the loop needs outside the turn to write one message."""
CHECKSUM_INTERVAL_S = 5.0
NEVER = float("inf")
MAX_LAYOUT_SHARE = 0.1
"""Largest share of the time for computing the updates of one set of subscriptions: expensive ones are sent less often."""

GROUP_CONNECTIONS = 256
"""Connections of one layout that have their beats together."""


class StreamConnection:
    """One client of the stream: what it was sent last and when it may be sent what. Times are the loop's, in seconds."""

    __slots__ = (
        "awaits_push",
        "beat_due",
        "beats_apart",
        "check_due",
        "encoding",
        "held_back",
        "number",
        "outlet",
        "stalled_at",
        "subscriptions",
        "trade_due",
        "unsent_bytes",
        "watched",
    )

    def __init__(self, subscriptions: Subscriptions, outlet: Outlet, encoding: Encoding, number: int) -> None:
        self.subscriptions = subscriptions
        self.outlet = outlet
        self.encoding = encoding
        self.number = number
        self.watched: tuple[SharedView, ...] = ()
        self.awaits_push = False
        """Whether a trade has changed one of its views since its last push."""
        self.trade_due = 0.0
        self.held_back = False
        """Whether a push that was due found it behind: it is sent once it has read."""
        self.beat_due = 0
        self.beats_apart = 1
        self.check_due = 0.0
        self.unsent_bytes = 0
        self.stalled_at: float | None = None

    def is_stalled(self, now: float) -> bool:
        """Whether it has taken nothing for STALL_TIMEOUT_S. Called once a heartbeat."""
        unsent, before = self.outlet.unsent_bytes, self.unsent_bytes
        self.unsent_bytes = unsent
        if not unsent:
            self.stalled_at = None
        elif self.stalled_at is None or unsent < before:
            self.stalled_at = now
        return self.stalled_at is not None and now - self.stalled_at >= STALL_TIMEOUT_S


class Sender:
    """All connections, and what is due to them. `time` is the loop's: seconds that never go back."""

    def __init__(self, gateway: Gateway, board: Board, time: Callable[[], float]) -> None:
        server = gateway.config.server
        self._time = time
        self.connections: dict[StreamConnection, None] = {}
        self.board = board
        self._gateway = gateway
        self._rhythm = Rhythm(gateway.config.engine.beat_ms / 1_000)
        self._push_pause = PushPause(server.trade_push_ms / 1_000)
        self._reference = board.snapshot.reference
        self._units: object = board.snapshot.units
        self._beat = 0
        self._beat_seq = board.snapshot.seq
        self._beat_at = 0.0
        self._some_wait = False
        """Whether the newest beat was too early for some connections."""
        self._up_to_date: dict[SharedView, set[StreamConnection]] = {}
        """By view: the connections that are up to date there, so that the next trade is news to them."""
        self._fresh: deque[StreamConnection] = deque()
        self._later: list[tuple[float, int, StreamConnection]] = []
        self._on_beat: deque[StreamConnection] = deque()
        self._later_due = 0.0
        # The last move: the next connection mostly has the same standing as the one before.
        self._last_from: Standing | None = None
        self._last_to: Snapshot = board.snapshot
        self._last_checked = False
        self._last_move: Move | None = None
        self._sent_messages = self._sent_bytes = self._skipped_snapshots = 0
        """Written in this turn: messages, their bytes, snapshots that they skipped."""
        self._ties = count()
        self._wakeup = asyncio.Event()
        self._failure: Exception | None = None

    # -- connections -------------------------------------------------------------------------------------------

    def add(self, connection: StreamConnection) -> None:
        """Add a new client, without subscriptions yet."""
        self.connections[connection] = None
        connection.outlet.on_caught_up = partial(self._caught_up, connection)

    def remove(self, connection: StreamConnection) -> None:
        """Remove a client; what is still queued for it is skipped."""
        self._watch(connection, ())
        connection.outlet.on_caught_up = None
        self.connections.pop(connection, None)

    def after_request(self, connection: StreamConnection) -> None:
        """Take over a client's subscriptions and rate after a request, which was answered about the newest snapshot."""
        views = tuple(connection.subscriptions.views)
        if views != connection.watched:
            self._watch(connection, views)
        connection.beats_apart = max(1, ceil(1.0 / (connection.subscriptions.max_hz * self._rhythm.beat_s) - 0.01))
        if connection.beat_due > self._beat:
            connection.beat_due = min(connection.beat_due, self._next_beat(connection))
        self._wakeup.set()

    def _watch(self, connection: StreamConnection, views: tuple[SharedView, ...]) -> None:
        for view in connection.watched:
            watching = self._up_to_date.get(view)
            if watching is not None:
                watching.discard(connection)
                if not watching and not view.users:
                    del self._up_to_date[view]
        connection.watched = views
        if connection.subscriptions.trade_waits and views:
            self._await_push(connection, self._time())
        else:
            self._mark_up_to_date(connection)

    def _mark_up_to_date(self, connection: StreamConnection) -> None:
        """It has everything: the next trade in one of its views is news to it."""
        connection.awaits_push = False
        for view in connection.watched:
            self._up_to_date.setdefault(view, set()).add(connection)

    def _await_push(self, connection: StreamConnection, now: float) -> None:
        """A trade is news to it: push at once, or when its pause is over."""
        if connection.awaits_push:
            return
        connection.awaits_push = True
        if connection.trade_due <= now:
            self._fresh.append(connection)
        else:
            self._queue_push(connection)

    def _queue_push(self, connection: StreamConnection) -> None:
        """Queue it for the end of its pause. A connection whose pushes are left to the beats is in no queue."""
        if connection.trade_due < NEVER:
            heapq.heappush(self._later, (connection.trade_due, next(self._ties), connection))

    def _caught_up(self, connection: StreamConnection) -> None:
        """A client has read what it was sent: the push that it was held back waits for no other moment."""
        if not connection.held_back:
            return
        connection.held_back = False
        if connection.awaits_push:
            connection.trade_due = self._time()
            self._fresh.append(connection)
            self._wakeup.set()

    def parts_of_group(self, group: int, groups: int) -> Iterator[list[StreamConnection]]:
        """The connections of one of `groups` groups, in parts of a turn."""
        members = [connection for connection in self.connections if connection.number % groups == group]
        for first in range(0, len(members), SENDS_PER_TURN):
            yield members[first : first + SENDS_PER_TURN]

    # -- what is due -------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Bring the board to the newest snapshot, and queue the connections to which that is news."""
        self.board.take(self._note_newest())

    def _note_newest(self) -> Snapshot:
        """The newest snapshot, noted before the board takes it: the writer thread may publish between two reads of the newest."""
        newest, now = self._gateway.history.newest, self._time()
        moved = self.board.note(newest)
        if not newest.reference.is_kin(self._reference):
            self._reference = newest.reference
            self.board.take(newest)
            for connection in tuple(self.connections):
                for frame in connection.subscriptions.review():
                    connection.outlet.write_frame(frame)
                    self.after_request(connection)
        for view in moved:
            up_to_date = self._up_to_date.get(view)
            if up_to_date:
                for connection in up_to_date:
                    self._await_push(connection, now)
                up_to_date.clear()
        if newest.units is not self._units or (newest.seq > self._beat_seq and now - self._beat_at > 2 * self._rhythm.beat_s):
            # Without prices, other publications that are no trades go out at the rhythm of prices.
            self._units, self._beat_seq, self._beat_at = newest.units, newest.seq, now
            self._beat = self._rhythm.number(now)
            queued = set(self._on_beat)
            self._on_beat.extend(c for c in self.connections if c.beat_due <= self._beat and c.watched and c not in queued)
            self._some_wait = any(c.beat_due > self._beat and c.watched for c in self.connections)
        elif self._some_wait and now >= self._quiet_at:
            self._beat_without_publication(now)
        return newest

    @property
    def _quiet_at(self) -> float:
        """When the next beat has published nothing: half a beat after it."""
        return self._beat_at + 1.5 * self._rhythm.beat_s

    def _beat_without_publication(self, now: float) -> None:
        """Prices stand still since a beat that was too early for some connections: what they lack waits for no other news."""
        self._beat, self._beat_at = max(self._beat, self._rhythm.nearest(now)), now
        queued = set(self._on_beat)
        behind = [c for c in self.connections if c.watched and c.subscriptions.standing.seq < self._beat_seq and c not in queued]
        self._on_beat.extend(c for c in behind if c.beat_due <= self._beat)
        self._some_wait = any(c.beat_due > self._beat for c in behind)

    def _next_beat(self, connection: StreamConnection) -> int:
        """The first beat after the current one at which a connection may be sent prices."""
        layout = connection.subscriptions.standing.layout
        apart = max(connection.beats_apart, ceil(layout.cost_s / (MAX_LAYOUT_SHARE * self._rhythm.beat_s)))
        if connection.beat_due == self._beat:
            return self._beat + apart
        phase = layout.number + connection.number // GROUP_CONNECTIONS
        return self._beat + 1 + (phase - self._beat - 1) % apart

    # -- sending -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send, until cancelled."""
        loop = asyncio.get_running_loop()
        stop_listening = self._gateway.listen(self._on_publish)
        try:
            while True:
                moments = [self._later[0][0]] if self._later else []
                if self._some_wait:
                    moments.append(self._quiet_at)
                timer = loop.call_at(min(moments), self._wakeup.set) if moments else None
                await self._wakeup.wait()
                if timer is not None:
                    timer.cancel()
                self._wakeup.clear()
                if self._failure is not None:
                    raise self._failure
                more = True
                while more:
                    more = self.run_turn()
                    await asyncio.sleep(0)
        finally:
            stop_listening()

    def _on_publish(self) -> None:
        """Run a turn at once, so that a fresh trade does not wait for the task; the task does the rest."""
        try:
            more = self.run_turn()
        except Exception as error:
            self._failure, more = error, True
        if more or self._later or self._some_wait:
            self._wakeup.set()

    def run_turn(self) -> bool:
        """Send for about a millisecond; returns whether more is due now."""
        newest = self._note_newest()
        started = perf_counter()
        now = self._time()
        pushes = sends = 0
        send = self._send
        for connection in self._due(now, newest):
            if connection.awaits_push:
                pushes += 1
            sends += 1
            computed = send(connection, now)
            if sends >= SENDS_PER_TURN or (computed and perf_counter() - started > TURN_S):
                break
        spent = perf_counter() - started
        self._push_pause.add_busy((spent + SEND_COST_S * sends) * pushes / max(sends, 1), now)
        if self._sent_messages:
            self._report()
        return bool(self._fresh or self._on_beat or (self._later and self._later[0][0] <= now))

    def _report(self) -> None:
        """Add what a turn has written to the metrics, and how long its newest snapshot took to get here."""
        metrics, age_us = self._gateway.metrics, self._gateway.clock.now() - self.board.snapshot.as_of
        metrics.publish_to_send_seconds.observe(max(age_us, 0) / MICROS_PER_SECOND)
        metrics.sent_messages.inc(self._sent_messages)
        metrics.sent_bytes.inc(self._sent_bytes)
        metrics.conflated_snapshots.inc(self._skipped_snapshots)
        self._sent_messages = self._sent_bytes = self._skipped_snapshots = 0

    def _due(self, now: float, newest: Snapshot) -> Iterable[StreamConnection]:
        """The connections that are due, the most urgent first.

        The board moves for a fresh trade, for pushes that are due together, and for a beat. Otherwise it stays, so that
        connections at the same standing get the same bytes.
        """
        fresh, later, on_beat = self._fresh, self._later, self._on_beat
        if fresh or self.board.snapshot.seq < self._beat_seq:
            self.board.take(newest)
        while True:
            if fresh:
                connection = fresh.popleft()
                if connection.awaits_push:
                    yield connection
            elif later and later[0][0] <= now:
                due, _, connection = heapq.heappop(later)
                if connection.awaits_push and connection.trade_due == due:
                    if due != self._later_due:
                        self._later_due = due
                        self.board.take(newest)
                    yield connection
            elif on_beat:
                connection = on_beat.popleft()
                if connection.beat_due <= self._beat and connection.watched:
                    connection.beat_due = self._next_beat(connection)
                    yield connection
            else:
                return

    def _send(self, connection: StreamConnection, now: float) -> bool:
        """Send a connection its news. If it has not taken the last message it is skipped: it finds newer news next time.

        Returns whether the update had to be computed. Costs 1 us and the write if the connection before was sent the same.
        """
        subscriptions, outlet, awaits_push = connection.subscriptions, connection.outlet, connection.awaits_push
        if outlet.is_behind:
            if awaits_push:
                connection.held_back = True
                connection.trade_due = now + 1.0 / subscriptions.max_hz
                self._queue_push(connection)
            return False
        connection.held_back = False
        pushed = awaits_push and connection.trade_due <= now
        checked = not pushed and now >= connection.check_due
        standing, snapshot = subscriptions.standing, self.board.snapshot
        computed = standing is not self._last_from or snapshot is not self._last_to or checked is not self._last_checked
        if computed:
            started = perf_counter()
            self._last_move = standing.move(checked=checked)
            layout = standing.layout
            # Falls at once and rises slowly: one delay by another thread does not make a layout expensive.
            layout.cost_s = min(perf_counter() - started, 1.5 * layout.cost_s + 0.001)
            self._last_from, self._last_to, self._last_checked = standing, snapshot, checked
        move = self._last_move
        if move is not None:
            subscriptions.standing = move.standing
            outlet.write_frame(move.message)
            self._sent_messages += 1
            self._sent_bytes += len(move.message)
            self._skipped_snapshots += snapshot.seq - standing.seq - 1
            if checked:
                connection.check_due = next_moment(now, CHECKSUM_INTERVAL_S, standing.layout.number)
        if pushed or (awaits_push and not subscriptions.trade_waits):
            connection.trade_due = self._next_push(connection, now)
            if not subscriptions.trade_waits:
                self._mark_up_to_date(connection)
            else:  # a trade newer than the push
                self._queue_push(connection)
        return computed

    def _next_push(self, connection: StreamConnection, now: float) -> float:
        """The earliest time of the next push after a trade; NEVER if that is left to the beats.

        Views with many watchers pause longest, because they take the time. Longer pauses are the shortest one times a power of
        two, and end together for all connections of a layout, so that these keep the same standing.
        """
        watchers = min(max(view.users for view in connection.watched), len(self.connections))
        stretched = self._push_pause.pause_s * watchers / len(self.connections)
        stretched = max(stretched, connection.subscriptions.standing.layout.cost_s / MAX_LAYOUT_SHARE)
        pause = self._push_pause.min_pause_s
        while 2.0 * pause <= stretched:
            pause *= 2.0
        if pause >= 1.0 / connection.subscriptions.max_hz:
            return NEVER
        if pause == self._push_pause.min_pause_s:
            return now + pause
        last = connection.trade_due if 0.0 <= now - connection.trade_due < 0.5 * pause else now
        return next_moment(last + pause - 1e-6, pause, connection.subscriptions.standing.layout.number)
