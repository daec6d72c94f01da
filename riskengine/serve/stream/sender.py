"""Who is sent what, and when: the one task that writes updates to all connections of the stream.

A connection is sent what a trade changed at once, and again at most every `trade_push_ms`; what prices changed at beats, as often
as its `max_hz` lets it. It is looked at only when one of its views has moved or its beat has come: who watches what stands still
costs nothing. Connections with the same subscriptions have their beats together, so that they stand alike and share their bytes;
different ones are spread over the beats.

Sending goes in turns of about a millisecond, with the loop given back in between. Those whose views a fresh trade has moved come
first, then those who had to wait for the next push, then those whose beat it is. Where pushes after trades take more than a share
of the time, the pause between two of them for one client is stretched, up to the time between two price updates.

Everything happens on the event loop.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from math import ceil
from time import perf_counter

from riskengine.clock import MICROS_PER_SECOND
from riskengine.serve.answers.turns import TURN_S
from riskengine.serve.gateway import Gateway
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.pacing import PushPause, Rhythm, after
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.board import Board, Encoding, Move, SharedView, Standing
from riskengine.views.subscription import Subscriptions

STALL_TIMEOUT_S = 5.0
"""A connection that takes nothing of what waits for it for so long is dropped."""

SENDS_PER_TURN = 160
"""Messages written in one turn: the system calls, about a millisecond, come when the loop goes on."""
SEND_COST_S = 7e-6
"""What the loop needs beside the turn to write one message."""
CHECKSUM_INTERVAL_S = 5.0
NEVER = float("inf")
MAX_LAYOUT_SHARE = 0.1
"""Of the time that working out what one set of subscriptions is told may take: what is large is told less often."""

GROUP = 256
"""Connections of one layout that have their beats together."""


class StreamConnection:
    """One client of the stream: where it stands and when it may be sent what. Times are the loop's, in seconds."""

    __slots__ = (
        "beat_due",
        "beats_apart",
        "check_due",
        "encoding",
        "number",
        "outlet",
        "stalled_at",
        "subscriptions",
        "trade_due",
        "unsent_bytes",
        "waits",
        "watched",
    )

    def __init__(self, subscriptions: Subscriptions, outlet: Outlet, encoding: Encoding, number: int) -> None:
        self.subscriptions = subscriptions
        self.outlet = outlet
        self.encoding = encoding
        self.number = number
        self.watched: tuple[SharedView, ...] = ()
        self.waits = False
        """Whether it is to be pushed what a trade changed."""
        self.trade_due = 0.0
        self.beat_due = 0
        self.beats_apart = 1
        self.check_due = 0.0
        self.unsent_bytes = 0
        self.stalled_at: float | None = None

    def is_stalled(self, now: float) -> bool:
        """Whether it has taken nothing for STALL_TIMEOUT_S. Asked once a heartbeat."""
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
        self._pace = PushPause(server.trade_push_ms / 1_000)
        self._reference: object = board.snapshot.reference
        self._units: object = board.snapshot.units
        self._beat = 0
        self._beat_seq = board.snapshot.seq
        self._beat_at = 0.0
        self._calm: dict[SharedView, set[StreamConnection]] = {}
        """By view, who watches it and is to be told of the next trade there."""
        self._fresh: deque[StreamConnection] = deque()
        self._later: list[tuple[float, int, StreamConnection]] = []
        self._on_beat: deque[StreamConnection] = deque()
        self._later_due = 0.0
        # The move that was looked up last: the next connection mostly stands where the one before did.
        self._last_from: Standing | None = None
        self._last_to: Snapshot = board.snapshot
        self._last_checked = False
        self._last_move: Move | None = None
        self._messages = self._bytes = self._skipped = 0
        """Written in this turn: messages, their bytes, snapshots that they skipped."""
        self._ties = count()
        self._woken = asyncio.Event()
        self._failure: Exception | None = None

    # -- connections -------------------------------------------------------------------------------------------

    def add(self, connection: StreamConnection) -> None:
        """A new client, which watches nothing yet."""
        self.connections[connection] = None

    def remove(self, connection: StreamConnection) -> None:
        """A client is gone; what is still queued for it is passed over."""
        self._watch(connection, ())
        self.connections.pop(connection, None)

    def asked(self, connection: StreamConnection) -> None:
        """A client has asked for something and was answered about the newest snapshot."""
        views = tuple(connection.subscriptions.views)
        if views != connection.watched:
            self._watch(connection, views)
        connection.beats_apart = max(1, ceil(1.0 / (connection.subscriptions.max_hz * self._rhythm.beat_s) - 0.01))
        if connection.beat_due > self._beat:
            connection.beat_due = min(connection.beat_due, self._next_beat(connection))
        self._woken.set()

    def _watch(self, connection: StreamConnection, views: tuple[SharedView, ...]) -> None:
        for view in connection.watched:
            watching = self._calm.get(view)
            if watching is not None:
                watching.discard(connection)
                if not watching and not view.users:
                    del self._calm[view]
        connection.watched = views
        if connection.subscriptions.trade_waits and views:
            self._wait(connection, self._time())
        else:
            self._calm_down(connection)

    def _calm_down(self, connection: StreamConnection) -> None:
        """It has been told everything: the next trade in one of its views is news to it."""
        connection.waits = False
        for view in connection.watched:
            self._calm.setdefault(view, set()).add(connection)

    def _wait(self, connection: StreamConnection, now: float) -> None:
        """A trade is news to it: it is pushed at once, or when its pause is over."""
        if connection.waits:
            return
        connection.waits = True
        if connection.trade_due <= now:
            self._fresh.append(connection)
        else:
            self._wait_on(connection)

    def _wait_on(self, connection: StreamConnection) -> None:
        """Queue it for when its pause is over; one whose pushes are left to the beats is in no queue."""
        if connection.trade_due < NEVER:
            heapq.heappush(self._later, (connection.trade_due, next(self._ties), connection))

    def parts_of_group(self, group: int, groups: int) -> Iterator[list[StreamConnection]]:
        """Every connection of one group of so many, in parts of a turn."""
        members = [connection for connection in self.connections if connection.number % groups == group]
        for first in range(0, len(members), SENDS_PER_TURN):
            yield members[first : first + SENDS_PER_TURN]

    # -- what is due -------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Bring the board to the newest snapshot, and queue those to whom that is news."""
        self.board.take(self._note())

    def _note(self) -> Snapshot:
        """The newest, noted before any board takes it: the writer's thread may publish between two looks at the newest."""
        newest, now = self._gateway.history.newest, self._time()
        moved = self.board.note(newest)
        if newest.reference is not self._reference:
            self._reference = newest.reference
            self.board.take(newest)
            for connection in tuple(self.connections):
                for frame in connection.subscriptions.review():
                    connection.outlet.write_frame(frame)
                    self.asked(connection)
        for view in moved:
            calm = self._calm.get(view)
            if calm:
                for connection in calm:
                    self._wait(connection, now)
                calm.clear()
        if newest.units is not self._units or (newest.seq > self._beat_seq and now - self._beat_at > 2 * self._rhythm.beat_s):
            # Where no prices come, whatever else is published, and is no matter of trades, goes as often as prices would.
            self._units, self._beat_seq, self._beat_at = newest.units, newest.seq, now
            self._beat = self._rhythm.number(now)
            queued = set(self._on_beat)
            self._on_beat.extend(c for c in self.connections if c.beat_due <= self._beat and c.watched and c not in queued)
        return newest

    def _next_beat(self, connection: StreamConnection) -> int:
        """The first beat after the current one at which a connection may be sent prices."""
        layout = connection.subscriptions.standing.layout
        apart = max(connection.beats_apart, ceil(layout.cost_s / (MAX_LAYOUT_SHARE * self._rhythm.beat_s)))
        if connection.beat_due == self._beat:
            return self._beat + apart
        phase = layout.number + connection.number // GROUP
        return self._beat + 1 + (phase - self._beat - 1) % apart

    # -- sending -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send, until cancelled."""
        loop = asyncio.get_running_loop()
        stop_listening = self._gateway.listen(self._published)
        try:
            while True:
                timer = loop.call_at(self._later[0][0], self._woken.set) if self._later else None
                await self._woken.wait()
                if timer is not None:
                    timer.cancel()
                self._woken.clear()
                if self._failure is not None:
                    raise self._failure
                more = True
                while more:
                    more = self.turn()
                    await asyncio.sleep(0)
        finally:
            stop_listening()

    def _published(self) -> None:
        """A turn at once, so that a fresh trade does not wait until the task has its turn; what is left is the task's."""
        try:
            more = self.turn()
        except Exception as error:
            self._failure, more = error, True
        if more or self._later:
            self._woken.set()

    def turn(self) -> bool:
        """Send for about a millisecond; whether more is due now."""
        newest = self._note()
        started = perf_counter()
        now = self._time()
        pushes = sends = 0
        send = self._send
        for connection in self._due(now, newest):
            if connection.waits:
                pushes += 1
            sends += 1
            worked = send(connection, now)
            if sends >= SENDS_PER_TURN or (worked and perf_counter() - started > TURN_S):
                break
        spent = perf_counter() - started
        self._pace.spent((spent + SEND_COST_S * sends) * pushes / max(sends, 1), now)
        if self._messages:
            self._tell()
        return bool(self._fresh or self._on_beat or (self._later and self._later[0][0] <= now))

    def _tell(self) -> None:
        """Add what a turn has written to the metrics: of its newest snapshot also how long that took to get here."""
        metrics, age_us = self._gateway.metrics, self._gateway.clock.now() - self.board.snapshot.as_of
        metrics.publish_to_send_seconds.observe(max(age_us, 0) / MICROS_PER_SECOND)
        metrics.sent_messages.inc(self._messages)
        metrics.sent_bytes.inc(self._bytes)
        metrics.conflated_snapshots.inc(self._skipped)
        self._messages = self._bytes = self._skipped = 0

    def _due(self, now: float, newest: Snapshot) -> Iterable[StreamConnection]:
        """Who is to be sent something, the most urgent first.

        The board moves for a fresh trade, for the next that are due together, for a beat, and else stays, so that those who stand
        alike are sent the same.
        """
        fresh, later, on_beat = self._fresh, self._later, self._on_beat
        if fresh or self.board.snapshot.seq < self._beat_seq:
            self.board.take(newest)
        while True:
            if fresh:
                connection = fresh.popleft()
                if connection.waits:
                    yield connection
            elif later and later[0][0] <= now:
                due, _, connection = heapq.heappop(later)
                if connection.waits and connection.trade_due == due:
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
        """Send what is news to a connection. One that has not taken the last is passed over: it finds newer news next time.

        Returns whether it had to be worked out. 1 us and the write where it is what the connection before was sent.
        """
        subscriptions, outlet, waits = connection.subscriptions, connection.outlet, connection.waits
        if outlet.is_behind:
            if waits:
                connection.trade_due = now + 1.0 / subscriptions.max_hz
                self._wait_on(connection)
            return False
        pushed = waits and connection.trade_due <= now
        checked = not pushed and now >= connection.check_due
        standing, snapshot = subscriptions.standing, self.board.snapshot
        worked = standing is not self._last_from or snapshot is not self._last_to or checked is not self._last_checked
        if worked:
            started = perf_counter()
            self._last_move = standing.move(checked=checked)
            layout = standing.layout
            # Falls at once and rises slowly: what another thread held up for once was not expensive.
            layout.cost_s = min(perf_counter() - started, 1.5 * layout.cost_s + 0.001)
            self._last_from, self._last_to, self._last_checked = standing, snapshot, checked
        move = self._last_move
        if move is not None:
            subscriptions.standing = move.standing
            outlet.write_frame(move.message)
            self._messages += 1
            self._bytes += len(move.message)
            self._skipped += snapshot.seq - standing.seq - 1
            if checked:
                connection.check_due = after(now, CHECKSUM_INTERVAL_S, standing.layout.number)
        if pushed or (waits and not subscriptions.trade_waits):
            connection.trade_due = self._next_push(connection, now)
            if not subscriptions.trade_waits:
                self._calm_down(connection)
            else:  # a newer trade than was pushed
                self._wait_on(connection)
        return worked

    def _next_push(self, connection: StreamConnection, now: float) -> float:
        """From when on a trade may be pushed again, NEVER where that is left to the beats.

        Who watches what many watch waits longest, for that is what takes the time. Longer pauses are the shortest times a
        power of two, and end at the same moments for all connections of a layout, so that they go on standing alike.
        """
        watchers = min(max(view.users for view in connection.watched), len(self.connections))
        stretched = self._pace.pause_s * watchers / len(self.connections)
        stretched = max(stretched, connection.subscriptions.standing.layout.cost_s / MAX_LAYOUT_SHARE)
        pause = self._pace.least_s
        while 2.0 * pause <= stretched:
            pause *= 2.0
        if pause >= 1.0 / connection.subscriptions.max_hz:
            return NEVER
        if pause == self._pace.least_s:
            return now + pause
        last = connection.trade_due if 0.0 <= now - connection.trade_due < 0.5 * pause else now
        return after(last + pause - 1e-6, pause, connection.subscriptions.standing.layout.number)
