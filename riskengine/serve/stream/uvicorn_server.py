"""uvicorn as this project runs it: ready-made frames, bounds for slow and long requests, and an end in order.

Per-message deflate is off unless a client asks for it in its URL (browsers always offer it, and it triples the cost of a send).
Even then a message is deflated once for all clients.
"""

import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from riskengine.config import Config
from riskengine.serve.access.sessions import attach
from riskengine.serve.gateway import Gateway
from riskengine.serve.stream.heads import HttpConnection
from riskengine.serve.stream.outlet import OUTLET, PING_INTERVAL_S, PING_TIMEOUT_S, Outlet
from riskengine.views.board import Encoding
from riskengine.views.subscription import bye

GRACEFUL_SHUTDOWN_S = 5

RECONNECT_AFTER_MS = range(500, 3_000, 50)
"""Each client is told one of these at random, so that a thousand do not reconnect at the same moment."""

TRY_AGAIN_LATER = 1013

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_SIGNALS = 2
"""Signals after which the process still ends in order."""


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

    The signal is not raised again afterwards: the engine behind the server must still stop. Hold `ending_on_signals` until then.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `ending_on_signals`."""
        yield

    @contextmanager
    def ending_on_signals(self) -> Iterator[None]:
        """Inside the block SIGINT, SIGTERM and SIGHUP end the server in order, if this is the main thread.

        A second one has it not wait for its connections, the third ends the process at once. SIGHUP stays ignored where the
        parent ignores it (`nohup`).
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP]
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once `serve` is to end."""
        await super().shutdown(sockets)
        if self.force_exit:  # it does not wait for connections then, and leaves this out too
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for each signal."""
        self._signals += 1
        self.should_exit = True
        self.force_exit = self._signals > 1
        if self._signals > MAX_SIGNALS:
            os._exit(128 + sig)  # what is stored is applied by the next start

    _signals = 0


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
