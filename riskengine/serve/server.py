"""uvicorn as this project runs it: frames that are made once, and no client that can hold anybody up.

Per-message deflate is off but where a client asks for it by its URL (browsers offer it always, and it costs three times the
send); then too a message is deflated once for all. A connection that does not answer pings is aborted:
closing would wait for the flush that never comes. The kernel's send buffer is small, so that what a client has not read shows
in the transport's buffer, and newer updates replace older ones before they are written, not after.
"""

import asyncio
import random
import signal
import socket
import threading
from asyncio import BaseTransport
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import uvicorn
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import HANDLED_SIGNALS
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.http11 import Request

from riskengine.board import Encoding
from riskengine.config import Config
from riskengine.gateway import Gateway
from riskengine.serve.websocket_frames import BINARY, TEXT, WINDOW_BITS, frame
from riskengine.subscription import bye

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 10.0
SEND_BUFFER_BYTES = 65_536
WRITE_BUFFER_BYTES = 65_536
"""A client for whom more waits than this is not read from until it has taken some of it."""

LAST_FLUSH_S = 1.0
"""What a client gets at the end to take what was written to it."""

GRACEFUL_SHUTDOWN_S = 5

REQUEST_HEAD_S = 10.0
"""What a client gets for the lines before the body of a request, or of a websocket's handshake."""

RECONNECT_AFTER_MS = range(500, 3_000, 50)
"""One of these is told to each client, so that a thousand do not come back in one moment."""

TRY_AGAIN_LATER = 1013

_OUTLET = "riskengine.outlet"
_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


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


class Outlet(WebSocketsSansIOProtocol):
    """A websocket whose messages are written ready-made, at once, past the queue of ASGI events.

    `farewell` is a frame to send first when the server shuts down; `gone` says why a client was dropped, if it was.
    """

    farewell: bytes | None = None
    gone: str | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Called by the transport."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)  # type: ignore[attr-defined]

    def handle_connect(self, event: Request) -> None:
        """A client has asked for the connection, perhaps a deflated one."""
        if "deflate" in parse_qs(urlsplit(event.path).query).get("compression", ()):
            self.conn.available_extensions = [_DEFLATE]
        super().handle_connect(event)

    async def run_asgi(self) -> None:
        """Run the application, with this outlet in the scope of its connection."""
        cast(dict[str, Any], self.scope["extensions"])[_OUTLET] = self
        await super().run_asgi()

    @property
    def deflates(self) -> bool:
        """Whether the client takes messages that are deflated, each for itself, with the widest window."""
        return any(
            isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == WINDOW_BITS
            for extension in self.conn.extensions
        )

    def write_frame(self, frame: bytes) -> None:
        """Send one message that is framed, behind what still waits in the buffer; nothing where it is closing. 2 us."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frame)

    def write_message(self, payload: bytes, is_text: bool) -> None:
        """The same with a message that is not framed yet."""
        self.write_frame(frame(payload, TEXT if is_text else BINARY))

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken and the kernel has no room for. O(1)."""
        return self.transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Wait while much is unsent; ends also when the connection does."""
        await self.writable.wait()

    def abort(self, why: str | None = None) -> None:
        """Drop the connection now, with whatever it has not read."""
        self.gone = self.gone or why
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """No pong has come in time: the client is gone, or reads nothing."""
        self.pong_timer = None
        self.abort("no pong")

    def close(self, code: int, reason: str) -> None:
        """End the connection in order, with a reason that the client is told; who does not take that in time is dropped."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.gone = self.gone or reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.close_timer = self.loop.call_later(LAST_FLUSH_S, self.abort)

    def shutdown(self) -> None:
        """Say farewell and close; who does not take that in time is dropped."""
        if self.farewell is not None and self.handshake_complete:
            self.write_frame(self.farewell)
        super().shutdown()
        if self.unsent_bytes:
            self.loop.call_later(LAST_FLUSH_S, self.abort)

    def send_receive_event_to_app(self) -> None:
        """A whole message has come. One that is no UTF-8 ends its connection, without a traceback in the log."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            if not self.close_sent:
                self.close(1007, "text that is no UTF-8")
            return
        super().send_receive_event_to_app()


def _is_utf8(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


async def accept_when_live(websocket: WebSocket, gateway: Gateway, encoding: Encoding) -> Outlet | None:
    """Accept a connection and return its outlet. None where it is gone, or was told to come back because nothing is live.

    `encoding` is one whose messages are frames.
    """
    try:
        await websocket.accept()
        outlet = websocket.scope.get("extensions", {}).get(_OUTLET)
        assert isinstance(outlet, Outlet), "websockets need the server of this module"
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
    return Server(uvicorn.Config(
        app, host=server.host, port=server.port, http=Door, ws=Outlet, ws_max_size=server.max_body_bytes,
        ws_per_message_deflate=False, ws_ping_interval=PING_INTERVAL_S, ws_ping_timeout=PING_TIMEOUT_S,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S, log_config=None, access_log=False, server_header=False,
        proxy_headers=False,
    ))  # fmt: skip
