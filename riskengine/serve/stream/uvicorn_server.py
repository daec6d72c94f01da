"""uvicorn as this project runs it: frames that are made once, and no client that can hold anybody up.

Per-message deflate is off but where a client asks for it by its URL (browsers offer it always, and it costs three times the
send); then too a message is deflated once for all.
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
"""What a client gets for the lines before the body of a request, or of a websocket's handshake."""

RECONNECT_AFTER_MS = range(500, 3_000, 50)
"""One of these is told to each client, so that a thousand do not come back in one moment."""

TRY_AGAIN_LATER = 1013


class Door(HttpToolsProtocol):
    """An HTTP connection on which a request that does not come to its point is not waited for."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the transport."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Called by the parser: a request begins."""
        super().on_message_begin()
        if self._late is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Called by the parser: all is there but the body."""
        self._head_came()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self._head_came()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._late = self.loop.call_later(REQUEST_HEAD_S, self.transport.abort)

    def _head_came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


async def accept_when_live(websocket: WebSocket, gateway: Gateway, encoding: Encoding) -> Outlet | None:
    """Accept a connection and return its outlet. None where it is gone, or was told to come back because nothing is live.

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
    """A server that a signal ends in order: clients are told, connections closed, then `serve` returns.

    The signal is not raised again afterwards, for the engine behind it has yet to stop.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while it serves, where it serves on the main thread."""
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
            http=Door,
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
