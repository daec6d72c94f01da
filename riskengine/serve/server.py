"""uvicorn as this project runs it: plain frames, encoded once, and no client that can hold anybody up.

Per-message deflate is off (it costs three times the send). A connection that does not answer pings is aborted:
closing would wait for the flush that never comes. The kernel's send buffer is small, so that what a client has not read shows
in the transport's buffer, and newer updates replace older ones before they are written, not after.
"""

import signal
import socket
import struct
import threading
from asyncio import BaseTransport
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import HANDLED_SIGNALS

from riskengine.board import Encoding
from riskengine.config import Config
from riskengine.gateway import Gateway
from riskengine.subscription import bye

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 10.0
SEND_BUFFER_BYTES = 65_536
LAST_FLUSH_S = 1.0
"""What a client gets at the end to take what was written to it."""

GRACEFUL_SHUTDOWN_S = 5

RECONNECT_AFTER_MS = 1_000
TRY_AGAIN_LATER = 1013

_OUTLET = "riskengine.outlet"
_TEXT, _BINARY = 0x81, 0x82
"""First byte of a whole message, unmasked."""


class Outlet(WebSocketsSansIOProtocol):
    """A websocket whose messages are written ready-made, at once, past the queue of ASGI events.

    `farewell` is a message to send first when the server shuts down.
    """

    farewell: tuple[bytes, bool] | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Called by the transport."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    async def run_asgi(self) -> None:
        """Run the application, with this outlet in the scope of its connection."""
        cast(dict[str, Any], self.scope["extensions"])[_OUTLET] = self
        await super().run_asgi()

    def write_message(self, payload: bytes, is_text: bool) -> None:
        """Send one message, behind what still waits in the buffer; nothing where it is closing. 5 us and a copy."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        first, size = _TEXT if is_text else _BINARY, len(payload)
        if size < 126:
            header = bytes((first, size))
        elif size < 65_536:
            header = struct.pack("!BBH", first, 126, size)
        else:
            header = struct.pack("!BBQ", first, 127, size)
        self.transport.write(header + payload)

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken and the kernel has no room for. O(1)."""
        return self.transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Wait while much is unsent; ends also when the connection does."""
        await self.writable.wait()

    def abort(self) -> None:
        """Drop the connection now, with whatever it has not read."""
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """No pong has come in time: the client is gone, or reads nothing."""
        self.pong_timer = None
        self.abort()

    def shutdown(self) -> None:
        """Say farewell and close; who does not take that in time is dropped."""
        if self.farewell is not None and self.handshake_complete:
            self.write_message(*self.farewell)
        super().shutdown()
        if self.unsent_bytes:
            self.loop.call_later(LAST_FLUSH_S, self.abort)


async def accept_when_live(websocket: WebSocket, gateway: Gateway, encoding: Encoding) -> Outlet | None:
    """Accept a connection and return its outlet. None where it is gone, or was told to come back because nothing is live."""
    try:
        await websocket.accept()
        outlet = websocket.scope.get("extensions", {}).get(_OUTLET)
        assert isinstance(outlet, Outlet), "websockets need the server of this module"
        farewell = encoding.encode(bye(RECONNECT_AFTER_MS))
        if gateway.is_live:
            outlet.farewell = farewell, encoding.is_text
            return outlet
        outlet.write_message(farewell, encoding.is_text)
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
    return Server(uvicorn.Config(
        app, host=server.host, port=server.port, http="httptools", ws=Outlet, ws_max_size=server.max_body_bytes,
        ws_per_message_deflate=False, ws_ping_interval=PING_INTERVAL_S, ws_ping_timeout=PING_TIMEOUT_S,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S, log_config=None, access_log=False, server_header=False,
        proxy_headers=False,
    ))  # fmt: skip
