"""`/v1/stream`: what changes, to everybody who watches, without a queue anywhere.

One task sends. A publication wakes it; it takes the newest snapshot to the board and goes round the connections, in turns of
about a millisecond with the loop given back in between, so that a thousand screens do not hold up an HTTP read. A connection
is sent what a trade changed at once (at most every `trade_push_ms`), what prices changed at its own `max_hz`, and
nothing while it has not taken the last: then it finds a newer snapshot next time. Who takes nothing for seconds is dropped.
"""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from riskengine.board import ENCODINGS, Board, Encoding
from riskengine.gateway import Gateway
from riskengine.observe import get_logger
from riskengine.serve.ingest import ingest_endpoint
from riskengine.serve.problems import bad_field
from riskengine.serve.server import Outlet, accept_when_live
from riskengine.serve.status import status
from riskengine.subscription import Subscriptions, heartbeat

STALL_S = 5.0
"""A connection that takes nothing of what waits for it for so long is dropped."""

TURN_S = 0.001
SLACK = 0.1
"""A price update may go out by this share of its period early, so that it goes with a beat rather than just before one."""

NEVER = float("inf")

log = get_logger("riskengine.serve.stream")


class Connection:
    """One client of the stream: where it stands and when it may be sent what. Times are the loop's, in seconds."""

    __slots__ = ("encoding", "outlet", "price_due", "stalled_at", "subscriptions", "trade_due", "unsent_bytes")

    def __init__(self, subscriptions: Subscriptions, outlet: Outlet, encoding: Encoding) -> None:
        self.subscriptions = subscriptions
        self.outlet = outlet
        self.encoding = encoding
        self.price_due = 0.0
        self.trade_due = 0.0
        self.unsent_bytes = 0
        self.stalled_at: float | None = None

    def send(self, frame: bytes) -> None:
        """Write one message."""
        self.outlet.write_message(frame, self.encoding.is_text)

    def push(self, now: float, trade_push_s: float) -> float:
        """Send what is due, if anything is; when to look again, NEVER where the next publication is soon enough."""
        subscriptions = self.subscriptions
        if not subscriptions.behind:
            return NEVER
        period = 1.0 / subscriptions.max_hz
        price_due = self.price_due - SLACK * period
        trade = subscriptions.trade_waits
        due = min(price_due, self.trade_due) if trade else price_due
        if now < due:
            return due
        if self.outlet.unsent_bytes:
            self.trade_due = self.price_due = now + period
            return self.price_due
        frame = subscriptions.update()
        if frame is not None:
            self.send(frame)
        if trade:
            self.trade_due = now + trade_push_s
            self.price_due = now + period
        else:
            self.price_due = max(self.price_due, now) + period
        return NEVER

    def is_stalled(self, now: float) -> bool:
        """Whether it has taken nothing for STALL_S. Asked once a heartbeat."""
        unsent, before = self.outlet.unsent_bytes, self.unsent_bytes
        self.unsent_bytes = unsent
        if not unsent:
            self.stalled_at = None
        elif self.stalled_at is None or unsent < before:
            self.stalled_at = now
        return self.stalled_at is not None and now - self.stalled_at >= STALL_S


class Stream:
    """All connections of the stream. It runs while there are any; everything happens on the event loop."""

    def __init__(self, gateway: Gateway) -> None:
        server = gateway.config.server
        self._gateway = gateway
        self._config = server
        self._trade_push_s = server.trade_push_ms / 1_000
        self._connections: set[Connection] = set()
        self._board: Board | None = None
        self._woken = asyncio.Event()
        self._sweep_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    # -- connections -------------------------------------------------------------------------------------------

    def join(self, outlet: Outlet, encoding: Encoding) -> Connection:
        """A new client; it has been sent its hello."""
        connection = Connection(Subscriptions(self._up_to_date(), encoding, self._config), outlet, encoding)
        connection.send(connection.subscriptions.hello())
        self._connections.add(connection)
        self._gateway.metrics.clients.inc()
        if not self._tasks:
            self._start()
        return connection

    def leave(self, connection: Connection) -> None:
        """A client is gone. With the last one, sending ends."""
        connection.subscriptions.close()
        self._connections.discard(connection)
        self._gateway.metrics.clients.dec()
        if not self._connections:
            self._stop()

    def answer(self, connection: Connection, message: str | bytes) -> None:
        """Do what a client's message asks, and answer it about the newest snapshot."""
        self._up_to_date()
        for frame in connection.subscriptions.handle(message):
            connection.send(frame)
        period = 1.0 / connection.subscriptions.max_hz
        connection.price_due = min(connection.price_due, asyncio.get_running_loop().time() + period)
        self._woken.set()

    def _up_to_date(self) -> Board:
        """The board, at the newest snapshot."""
        newest = self._gateway.history.newest
        if self._board is None:
            self._board = Board(newest, lambda snapshot: status(self._gateway, snapshot))
        self._board.take(newest)
        return self._board

    # -- sending -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._tasks = [asyncio.create_task(self._send_updates()), asyncio.create_task(self._send_heartbeats())]
        for task in self._tasks:
            task.add_done_callback(self._sender_ended)

    def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    def _sender_ended(self, task: asyncio.Task[None]) -> None:
        """A sender that fails is a mistake of ours: clients are let go, so that they come back, rather than kept waiting."""
        if task.cancelled() or task.exception() is None:
            return
        log.critical("stream_failed", exc_info=task.exception())
        self._stop()
        for connection in self._connections:
            connection.outlet.abort()

    async def _send_updates(self) -> None:
        stop_listening = self._gateway.listen(self._woken.set)
        loop = asyncio.get_running_loop()
        try:
            due = NEVER
            while True:
                timer = None if due == NEVER else loop.call_at(due, self._woken.set)
                await self._woken.wait()
                if timer is not None:
                    timer.cancel()
                self._woken.clear()
                due = await self._sweep(loop)
                # The loop is everybody's: after a long round, others have it for as long.
                await asyncio.sleep(self._sweep_s if self._sweep_s > TURN_S else 0.0)
        finally:
            stop_listening()

    async def _sweep(self, loop: asyncio.AbstractEventLoop) -> float:
        """Go round once; when somebody will be due whom no publication needs to wake."""
        self._up_to_date()
        started = perf_counter()
        # A round that takes longer than the pause between two pushes means that the sender is behind.
        trade_push_s = max(self._trade_push_s, 2.0 * self._sweep_s)
        due = NEVER
        async for connection in self._in_turns():
            due = min(due, connection.push(loop.time(), trade_push_s))
        self._sweep_s = perf_counter() - started
        return due

    async def _send_heartbeats(self) -> None:
        period = self._config.heartbeat_ms / 1_000
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(period)
            if not self._gateway.is_live:
                for connection in tuple(self._connections):
                    connection.outlet.shutdown()
                continue
            message = heartbeat(self._gateway.history.newest, self._gateway.clock.now())
            frames = {encoding: encoding.encode(message) for encoding in ENCODINGS.values()}
            async for connection in self._in_turns():
                if connection.is_stalled(loop.time()):
                    log.warning("client_dropped", reason="reads nothing", unsent_bytes=connection.unsent_bytes)
                    connection.outlet.abort()
                elif not connection.unsent_bytes:
                    connection.send(frames[connection.encoding])

    async def _in_turns(self) -> AsyncIterator[Connection]:
        """Every connection once, the loop given back about every millisecond."""
        turn = perf_counter()
        for connection in tuple(self._connections):
            yield connection
            if perf_counter() - turn > TURN_S:
                await asyncio.sleep(0)
                turn = perf_counter()


def stream_routes(gateway: Gateway) -> list[BaseRoute]:
    """The websockets: `/v1/stream` and `/v1/ingest`."""
    stream = Stream(gateway)

    async def serve_stream(websocket: WebSocket) -> None:
        encoding = ENCODINGS.get(websocket.query_params.get("encoding", "json"))
        if encoding is None:
            problem = bad_field("encoding", f"must be {' or '.join(ENCODINGS)}")
            await websocket.send_denial_response(problem.response())
            return
        outlet = await accept_when_live(websocket, gateway, encoding)
        if outlet is None:
            return
        connection = stream.join(outlet, encoding)
        try:
            while (message := await websocket.receive())["type"] != "websocket.disconnect":
                stream.answer(connection, _payload(message))
                await outlet.drained()
                await asyncio.sleep(0)
        finally:
            stream.leave(connection)

    return [WebSocketRoute("/v1/stream", serve_stream), WebSocketRoute("/v1/ingest", ingest_endpoint(gateway))]


def _payload(message: Any) -> str | bytes:
    """Text or bytes of a received message."""
    text: str | None = message.get("text")
    payload: str | bytes = message["bytes"] if text is None else text
    return payload
