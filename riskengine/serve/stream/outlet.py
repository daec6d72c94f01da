"""One websocket as the engine writes to it: ready-made frames, past the queue of ASGI events, and never more than it takes.

What a client has not read lies in four places: its own kernel's buffer, ours, the transport's, and nowhere else, for there is no
queue. The transport's can be looked at, and our kernel's is kept small, but the client's may hold megabytes: minutes of old
prices. So a ping goes out behind every so many bytes, and until its pong has come the client is taken to be behind: it is sent
nothing, and finds newer news then. A client that answers no ping is dropped; closing would wait for the flush that never comes.
"""

import random
import socket
from asyncio import BaseTransport
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.http11 import Request

from riskengine.serve.stream.frames import BINARY, TEXT, WINDOW_BITS, frame

PING_INTERVAL_S = 4.0
PING_TIMEOUT_S = 4.0
SLOWEST_BYTES_PER_S = 32_768.0
MAX_EXTRA_S = 1.5
"""A client that has more to read before a ping is waited for longer, up to this; then as long as it goes on reading."""

PROGRESS_S = 2.0

MIN_WINDOW_BYTES, INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES = 4_096, 16_384, 131_072
"""A ping goes out behind so many bytes; while its pong is awaited no more than about as many again are sent."""

WINDOW_S = 0.25
"""The window grows while pongs come within this time, else it is what the client was seen to read in it."""

SEND_BUFFER_BYTES = 65_536
WRITE_BUFFER_BYTES = 65_536
"""A client for whom more waits than this is not read from until it has taken some of it."""

PART_BYTES = 8_192
MAX_FRAMES_PER_S = 2_000
"""Pings, pongs and further parts of messages that a client may send; each costs the loop 20 us and more."""


LAST_FLUSH_S = 1.0
"""What a client gets at the end to take what was written to it."""

OUTLET = "riskengine.outlet"
"""Where the extensions of a connection's scope have its outlet."""

_PING = b"\x89\x04"
"""The beginning of a ping frame with four bytes."""

_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


class Outlet(WebSocketsSansIOProtocol):
    """A websocket whose messages are written ready-made, at once, past the queue of ASGI events.

    `farewell` is a frame to send first when the server shuts down; `gone` says why a client was dropped, if it was.
    """

    farewell: bytes | None = None
    gone: str | None = None
    asks_little = False
    """Whether its messages count as frames of which nobody needs many: a screen's do, a publisher's do not."""
    sent_bytes = 0
    _frames_since = 0.0
    _frame_count = 0
    _owed_pong = b""
    _sent_before_ping = 0
    _taken_bytes = 0
    _unsent_at_ping = 0
    _window_bytes: float = INITIAL_WINDOW_BYTES
    _ping_behind = INITIAL_WINDOW_BYTES

    def connection_made(self, transport: BaseTransport) -> None:
        """Called by the transport."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)  # type: ignore[attr-defined]

    def handle_connect(self, event: Request) -> None:
        """A client has asked for the connection, perhaps a deflated one."""
        try:
            if "deflate" in parse_qs(urlsplit(event.path).query).get("compression", ()):
                self.conn.available_extensions = [_DEFLATE]
            super().handle_connect(event)
        except ValueError:  # the path is none; a connection that raises here would never be forgotten
            self.abort("no path")

    def data_received(self, data: bytes) -> None:
        """Called by the transport. In parts, so that a flood of tiny frames is noticed before all of it has been taken apart."""
        for first in range(0, len(data), PART_BYTES):
            super().data_received(data[first : first + PART_BYTES])
            if self.transport.is_closing():
                return

    def _count_frame(self) -> None:
        """A frame that is no message of its own: nobody needs many of them."""
        now = self.loop.time()
        if now - self._frames_since >= 1.0:
            self._frames_since, self._frame_count = now, 0
        self._frame_count += 1
        if self._frame_count > MAX_FRAMES_PER_S:
            self.abort("a flood of frames")

    def handle_cont(self, event: Frame) -> None:
        """The next part of a message."""
        self._count_frame()
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAMES_PER_S:
            self.abort("a message in too many parts")

    def handle_ping(self) -> None:
        """Answered behind what waits; where much does, only the last ping is, when that has been taken."""
        self._count_frame()
        pong = b"".join(self.conn.data_to_send())
        if not self.writable.is_set():
            self._owed_pong = pong
        elif not self.transport.is_closing():
            self.transport.write(pong)

    def resume_writing(self) -> None:
        """Called by the transport."""
        super().resume_writing()
        pong, self._owed_pong = self._owed_pong, b""
        if pong and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    def handle_close(self, event: Frame) -> None:
        """The client ends the connection, or agrees to its end. One that takes nothing any more is not waited for."""
        super().handle_close(event)
        if self.unsent_bytes:
            self.loop.call_later(LAST_FLUSH_S, self.abort)

    async def run_asgi(self) -> None:
        """Run the application, with this outlet in the scope of its connection."""
        cast(dict[str, Any], self.scope["extensions"])[OUTLET] = self
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
            sent = self.sent_bytes = self.sent_bytes + len(frame)
            if sent > self._ping_behind and self.pending_ping_payload is None:
                self._ping_now()

    def write_message(self, payload: bytes, is_text: bool) -> None:
        """The same with a message that is not framed yet."""
        self.write_frame(frame(payload, TEXT if is_text else BINARY))

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken and the kernel has no room for. O(1)."""
        return self.transport.get_write_buffer_size()

    @property
    def is_behind(self) -> bool:
        """Whether the client has so much to read already that more would only lie there and grow old. O(1)."""
        return self.transport.get_write_buffer_size() > 0 or (
            self.pending_ping_payload is not None and self.sent_bytes - self._taken_bytes > 2 * self._window_bytes
        )

    def _ping_now(self) -> None:
        if self.ping_interval is not None:
            if self.ping_timer is not None:
                self.ping_timer.cancel()
            self.send_keepalive_ping()

    def send_keepalive_ping(self) -> None:
        """Ping, and wait for the pong as long as it takes a slow client to come to it."""
        self.ping_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        self._sent_before_ping = self.sent_bytes
        # The same as the method that this takes the place of, but for the frame, which is made here: ten times as fast.
        self.pending_ping_payload = random.randbytes(4)
        self.ping_sent_at = self.loop.time()
        self.transport.write(_PING + self.pending_ping_payload)
        if self.config.ws_ping_timeout is not None:
            self._unsent_at_ping = self.unsent_bytes
            extra_s = min((self.sent_bytes - self._taken_bytes) / SLOWEST_BYTES_PER_S, MAX_EXTRA_S)
            self.pong_timer = self.loop.call_later(self.config.ws_ping_timeout + extra_s, self.keepalive_timeout)

    def handle_pong(self, event: Frame) -> None:
        """The client has come to a ping: all before it is read."""
        self._count_frame()
        awaited = self.pending_ping_payload is not None
        super().handle_pong(event)
        if awaited and self.pending_ping_payload is None:
            read, took_s = self._sent_before_ping - self._taken_bytes, self.last_ping_rtt
            if took_s > WINDOW_S:
                self._window_bytes = max(read / took_s * WINDOW_S, MIN_WINDOW_BYTES)
            elif read >= self._window_bytes / 2:
                self._window_bytes = min(self._window_bytes + MIN_WINDOW_BYTES, MAX_WINDOW_BYTES)
            self._taken_bytes = self._sent_before_ping
            # By chance, so that connections that are sent the same do not all ping in the same round.
            self._ping_behind = self._taken_bytes + int(self._window_bytes * random.uniform(0.5, 1.0))

    async def drained(self) -> None:
        """Wait while much is unsent; ends also when the connection does."""
        await self.writable.wait()

    def abort(self, why: str | None = None) -> None:
        """Drop the connection now, with whatever it has not read."""
        self.gone = self.gone or why
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """No pong has come in time: the client is gone, or reads nothing, or has not come to the ping but goes on reading."""
        unsent = self.unsent_bytes
        if unsent < self._unsent_at_ping:
            self._unsent_at_ping = unsent
            self.pong_timer = self.loop.call_later(PROGRESS_S, self.keepalive_timeout)
            return
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
        """Say farewell and close; who does not take that in time is dropped. Nothing where the client has closed already."""
        if self.transport.is_closing():
            return
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
        if self.asks_little:
            self._count_frame()
        super().send_receive_event_to_app()


def _is_utf8(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
