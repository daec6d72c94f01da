"""uvicorn as this project runs it: ready-made frames, and time limits for slow clients.

Per-message deflate is off unless a client asks for it in its URL (browsers always offer it, and it triples the cost of a send).
Even then a message is deflated once for all clients.
"""

import asyncio
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

from riskengine.config import Config
from riskengine.serve.access.sessions import attach
from riskengine.serve.gateway import Gateway
from riskengine.serve.stream.outlet import OUTLET, PING_INTERVAL_S, PING_TIMEOUT_S, Outlet
from riskengine.views.board import Encoding
from riskengine.views.subscription import bye

GRACEFUL_SHUTDOWN_S = 5

REQUEST_HEAD_S = 10.0
"""Time for a client to send the lines before the body of a request, or of a websocket's handshake."""

RECONNECT_AFTER_MS = range(500, 3_000, 50)
"""Each client is told one of these at random, so that a thousand do not reconnect at the same moment."""

TRY_AGAIN_LATER = 1013


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection that is dropped when a request's head does not come in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the transport."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Called by the parser: a request begins."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Called by the parser: the head is complete."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(REQUEST_HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


async def accept_when_live(websocket: WebSocket, gateway: Gateway, encoding: Encoding) -> Outlet | None:
    """Accept a connection and return its outlet. None if it is gone, or was sent away because the engine is not live.

    `encoding` is one whose messages are frames.
    """
    try:
        await websocket.accept()
        outlet = websocket.scope.get("extensions", {}).get(OUTLET)
        assert isinstance(outlet, Outlet), "websockets need the server of this module"
        attach(websocket.scope, outlet, encoding)
        farewell = encoding.message(bye(random.choice(RECONNECT_AFTER_MS)))
        if gateway.is_live:
            outlet.farewell = farewell
            return outlet
        outlet.write_frame(farewell)
        await websocket.close(TRY_AGAIN_LATER)
    except WebSocketDisconnect:
        pass
    return None


class Server(uvicorn.Server):
    """A server that a signal stops in order: it tells its clients, closes the connections, then `serve` returns.

    The signal is not raised again afterwards: the engine behind the server must still stop.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while it serves, if it serves on the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(app: ASGIApp, config: Config) -> Server:
    """A server for `app`; `await server.serve(sockets=[listener])` runs it until a signal comes or `should_exit` is set."""
    server = config.server
    return Server(
        uvicorn.Config(
            app,
            host=server.host,
            port=server.port,
            http=HttpConnection,
            ws=Outlet,
            ws_max_size=server.max_body_bytes,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_TIMEOUT_S,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=server.tls_certificate or None,
            ssl_keyfile=server.tls_key or None,
        )
    )
