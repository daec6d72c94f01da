"""`/v1/stream`: sends changes to all subscribers, without a queue anywhere.

`sender` decides who is sent what and when. Here connections come and go, requests are answered, heartbeats are sent, and clients
that read nothing for seconds are dropped.
"""

import asyncio
from itertools import count
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from riskengine.errors import EngineNotLive
from riskengine.observe import get_logger
from riskengine.serve.answers.problems import POLICY_VIOLATION, HttpProblem, bad_field
from riskengine.serve.gateway import Gateway, principal_of
from riskengine.serve.routes.limits import LimitRows
from riskengine.serve.routes.status import status, visible_status
from riskengine.serve.stream.frames import DEFLATED_FRAMED, FRAMED
from riskengine.serve.stream.ingest import ingest_endpoint
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.sender import Sender, StreamConnection
from riskengine.serve.stream.uvicorn_server import accept_when_live
from riskengine.snapshot.snapshot import SeqGone, Snapshot
from riskengine.views.board import Board, Encoding
from riskengine.views.grants import Grants
from riskengine.views.subscription import Subscriptions, heartbeat

HEARTBEAT_GROUPS = 10
"""Heartbeats go to one group of connections at a time, so that they do not all come between a beat and its updates."""

MESSAGES_PER_S = 100.0
BURST_MESSAGES = 200.0
"""A client that sends more requests is throttled: the server stops reading from it meanwhile."""

MAX_MISTAKES = 200
"""Requests in a row that are answered with an error before the connection is closed."""

log = get_logger("riskengine.serve.stream")


class StreamHub:
    """All connections of the stream. Its tasks run while there are any. Event loop only."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._config = gateway.config.server
        self._sender: Sender | None = None
        self._numbers = count()
        self._tasks: list[asyncio.Task[None]] = []
        self._limit_rows = LimitRows()

    def join(self, outlet: Outlet, encoding: Encoding, grants: Grants) -> StreamConnection:
        """Add a client and send its hello."""
        sender = self._running_sender()
        subscriptions = Subscriptions(sender.board, encoding, self._config, grants)
        subscriptions.refresh = sender.catch_up
        connection = StreamConnection(subscriptions, outlet, encoding, next(self._numbers))
        outlet.counts_messages = True
        outlet.write_frame(subscriptions.hello())
        sender.add(connection)
        self._gateway.metrics.clients.inc()
        return connection

    def leave(self, connection: StreamConnection) -> None:
        """Remove a client. With the last one, sending ends."""
        connection.subscriptions.close()
        self._gateway.metrics.clients.dec()
        if (why := connection.outlet.dropped_because) is not None:
            evictions = self._gateway.metrics.evictions
            evictions.get(why, evictions["session ended"]).inc()
        sender = self._sender
        if sender is None or connection not in sender.connections:
            return  # its sender failed
        sender.remove(connection)
        if not sender.connections:
            self._stop()

    def answer(self, connection: StreamConnection, message: str | bytes) -> bool:
        """Do what a request asks, and answer it about the newest snapshot. Returns whether it was an error."""
        if self._sender is None or connection not in self._sender.connections:
            return False  # its sender failed, and it is being dropped
        subscriptions = connection.subscriptions
        frames = subscriptions.handle(message)
        for frame in frames:
            connection.outlet.write_frame(frame)
        self._sender.after_request(connection)
        return subscriptions.refused

    def _running_sender(self) -> Sender:
        """The sender, at the newest snapshot and running."""
        newest = self._gateway.history.newest
        if self._sender is None:
            board = Board(newest, self._status, self._limits)
            self._sender = Sender(self._gateway, board, asyncio.get_running_loop().time)
        self._sender.catch_up()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._sender.run()), asyncio.create_task(self._send_heartbeats(self._sender))]
            for task in self._tasks:
                task.add_done_callback(self._sender_ended)
        return self._sender

    def _status(self, snapshot: Snapshot, grants: Grants) -> dict[str, Any]:
        return visible_status(status(self._gateway, snapshot), grants, snapshot)

    def _limits(self, snapshot: Snapshot, grants: Grants) -> list[dict[str, Any]]:
        """As far as the engine still answers: then the rows stay as they were."""
        try:
            judgement = self._gateway.judgement(snapshot)
        except (EngineNotLive, SeqGone):
            judgement = None
        return self._limit_rows.visible(judgement, snapshot.reference.hierarchy, grants)

    def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    def _sender_ended(self, task: asyncio.Task[None]) -> None:
        """A sender that fails is a bug of ours: drop its clients so that they reconnect, rather than keep them waiting."""
        if task.cancelled() or task.exception() is None or self._sender is None:
            return
        log.critical("stream_failed", exc_info=task.exception())
        self._stop()
        for connection in self._sender.connections:
            connection.outlet.abort("stream failed")
        self._sender = None

    async def _send_heartbeats(self, sender: Sender) -> None:
        pause, loop = self._config.heartbeat_ms / 1_000 / HEARTBEAT_GROUPS, asyncio.get_running_loop()
        group = 0
        while True:
            await asyncio.sleep(pause)
            if not self._gateway.is_live:
                for connection in tuple(sender.connections):
                    connection.outlet.shutdown()
                continue
            gateway, group = self._gateway, (group + 1) % HEARTBEAT_GROUPS
            message = heartbeat(gateway.history.newest, gateway.clock.now(), gateway.publish_age_ms)
            frames = {name: encoding.message(message) for name, encoding in FRAMED.items()}
            for part in sender.parts_of_group(group, HEARTBEAT_GROUPS):
                for connection in part:
                    if connection.is_stalled(loop.time()):
                        log.warning("client_dropped", reason="reads nothing", unsent_bytes=connection.unsent_bytes)
                        connection.outlet.abort("reads nothing")
                    elif not connection.unsent_bytes:
                        connection.outlet.write_frame(frames[connection.encoding.name])
                await asyncio.sleep(0)


class MessageThrottle:
    """Limits the requests of one client to MESSAGES_PER_S, with bursts of BURST_MESSAGES."""

    __slots__ = ("_at", "_saved")

    def __init__(self, now: float) -> None:
        self._at = now
        self._saved = BURST_MESSAGES

    def wait_s(self, now: float) -> float:
        """Count one request; returns how long to wait before the next is read."""
        self._saved = min(BURST_MESSAGES, self._saved + (now - self._at) * MESSAGES_PER_S) - 1.0
        self._at = now
        return max(0.0, -self._saved / MESSAGES_PER_S)


def stream_routes(gateway: Gateway) -> list[BaseRoute]:
    """The websockets: `/v1/stream` and `/v1/ingest`."""
    hub = StreamHub(gateway)

    async def serve_stream(websocket: WebSocket) -> None:
        encoding = FRAMED.get(websocket.query_params.get("encoding", "json"))
        if encoding is None:
            problem = bad_field("encoding", f"must be {' or '.join(FRAMED)}")
            await websocket.send_denial_response(problem.response())
            return
        outlet = await accept_when_live(websocket, gateway, encoding)
        if outlet is None:
            return
        if outlet.deflates:
            encoding = DEFLATED_FRAMED[encoding.name]
        connection = hub.join(outlet, encoding, principal_of(websocket.scope).grants)
        try:
            await _take_messages(websocket, hub, connection)
        finally:
            hub.leave(connection)

    endpoints = {"/v1/stream": serve_stream, "/v1/ingest": ingest_endpoint(gateway)}
    sockets: list[BaseRoute] = [WebSocketRoute(path, endpoint) for path, endpoint in endpoints.items()]
    sockets.append(WebSocketRoute("/{path:path}", refuse_unknown))
    return [*sockets, *(Route(path, refuse_without_upgrade, methods=["GET"]) for path in endpoints)]


async def refuse_unknown(websocket: WebSocket) -> None:
    """404: a websocket that there is not. Starlette alone would answer 403 without a word."""
    problem = HttpProblem(404, f"there is no websocket {websocket.scope['path']}")
    await websocket.send_denial_response(problem.response())


async def refuse_without_upgrade(request: Request) -> Response:
    """426: a request by plain HTTP for what is a websocket."""
    detail = f"{request.scope['path']} is a websocket: connect to it with ws:// or wss://"
    return HttpProblem(426, detail, headers={"upgrade": "websocket", "connection": "upgrade"}).response()


async def _take_messages(websocket: WebSocket, hub: StreamHub, connection: StreamConnection) -> None:
    """Answer requests until the connection ends.

    A client that asks too much, or does not read the answers, is not read from meanwhile.
    """
    now = asyncio.get_running_loop().time
    throttle = MessageThrottle(now())
    outlet, mistakes = connection.outlet, 0
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        mistakes = mistakes + 1 if hub.answer(connection, _payload(message)) else 0
        if mistakes >= MAX_MISTAKES:
            outlet.close(POLICY_VIOLATION, "too many mistakes")
            return
        await outlet.drained()
        await asyncio.sleep(throttle.wait_s(now()))


def _payload(message: Any) -> str | bytes:
    """Text or bytes of a received message."""
    text: str | None = message.get("text")
    payload: str | bytes = message["bytes"] if text is None else text
    return payload
