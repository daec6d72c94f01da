"""One websocket as the engine writes to it: ready-made frames, at once, never more than the client reads.

What a client has not read lies in its kernel's buffer, in ours and in the transport's; there is no other queue. The transport's
buffer can be measured and our kernel's is kept small, but the client's kernel may hold megabytes: minutes of old prices. So a
ping follows every so many bytes, and until its pong has come the client counts as behind: it is sent nothing, and gets newer news
later. A client that answers no ping is dropped: a close would wait for a flush that never comes.
"""

import random
import socket
from asyncio import BaseTransport
from collections.abc import Callable, Sequence
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
"""Longest extra wait for the pong of a client that has much to read before the ping; then as long as it keeps reading."""

PROGRESS_S = 2.0

MIN_WINDOW_BYTES, INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES = 4_096, 16_384, 131_072
"""A ping follows this many bytes; while its pong is awaited about as many again may be sent."""

WINDOW_S = 0.25
"""The window grows while pongs come within this time; otherwise it is what the client was seen to read in it."""

SEND_BUFFER_BYTES = 65_536
WRITE_BUFFER_BYTES = 65_536
"""With more unsent than this, the server stops reading from the client until it has taken some."""

PART_BYTES = 8_192
MAX_FRAMES_PER_S = 2_000
"""Pings, pongs and further parts of messages that a client may send; each costs the loop 20 us and more."""


LAST_FLUSH_S = 1.0
"""Time for a client to take the last bytes that were written to it."""

OUTLET = "riskengine.outlet"
"""Key in the extensions of a connection's scope: its outlet."""

_PING = b"\x89\x04"
"""The first bytes of a ping frame with a payload of four bytes."""

_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


class Outlet(WebSocketsSansIOProtocol):
    """A websocket whose messages are written ready-made, at once, past the queue of ASGI events.

    `farewell` is a frame to send first when the server shuts down; `dropped_because` is why the engine dropped the client, if it
    did.
    """

    farewell: bytes | None = None
    dropped_because: str | None = None
    on_caught_up: Callable[[], None] | None = None
    """Called when a pong has come and the client is behind no more."""
    counts_messages = False
    """Whether its messages count against MAX_FRAMES_PER_S: a screen sends few, a publisher many."""
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
        """Called by the protocol: a client asks for the connection, perhaps a deflated one."""
        try:
            if "deflate" in parse_qs(urlsplit(event.path).query).get("compression", ()):
                self.conn.available_extensions = [_DEFLATE]
            super().handle_connect(event)
        except ValueError:  # invalid path; uvicorn would never forget a connection that raises here
            self.abort("no path")

    def data_received(self, data: bytes) -> None:
        """Called by the transport. Parses in parts, so that a flood of tiny frames is noticed before all of it is parsed."""
        for first in range(0, len(data), PART_BYTES):
            super().data_received(data[first : first + PART_BYTES])
            if self.transport.is_closing():
                return

    def _count_frame(self) -> None:
        """Count a frame of which no client needs many; drop one that floods."""
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
        """Answer a ping behind what is unsent; if that is much, answer only the last ping, when it has been taken."""
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
        """The client closes the connection, or agrees to its close. One that reads nothing any more is not waited for."""
        super().handle_close(event)
        if self.unsent_bytes:
            self.loop.call_later(LAST_FLUSH_S, self.abort)

    async def run_asgi(self) -> None:
        """Run the application, with this outlet in the scope of its connection for so long."""
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"][OUTLET] = self
        try:
            await super().run_asgi()
        finally:
            scope.clear()  # it refers to this outlet: see `connection_lost`

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport. Lets go of what refers to itself: the collector, which is rare here, would find it late.

        It is 10 kB for each connection, spread over a heap that cannot shrink around it.
        """
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.parser_exc = self.conn.handshake_exc = None

    async def send(self, message: Any) -> None:
        """Called by the application. A refusal that was sent is an end in order: uvicorn would log it as a mistake of ours."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def handle_parser_exception(self) -> None:
        """The client sends what is no frame."""
        if self.conn.close_sent is None:
            self._give_up("no frame")
        else:
            super().handle_parser_exception()

    def _give_up(self, why: str) -> None:
        """Drop a client whose handshake is not answered yet: no close can be sent, nor what the application answers now."""
        self.disconnected = True
        self.abort(why)

    @property
    def deflates(self) -> bool:
        """Whether the client takes messages that are deflated each for itself, with the widest window."""
        return any(
            isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == WINDOW_BITS
            for extension in self.conn.extensions
        )

    def write_frame(self, frame: bytes) -> None:
        """Write one framed message behind what is unsent; does nothing on a closing connection. 2 us."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frame)
            sent = self.sent_bytes = self.sent_bytes + len(frame)
            if sent > self._ping_behind and self.pending_ping_payload is None:
                self._ping_now()

    def write_message(self, payload: bytes, is_text: bool) -> None:
        """Frame a message and write it."""
        self.write_frame(frame(payload, TEXT if is_text else BINARY))

    @property
    def unsent_bytes(self) -> int:
        """Bytes that neither the client nor the kernel has taken. O(1)."""
        return self.transport.get_write_buffer_size()

    @property
    def is_behind(self) -> bool:
        """Whether the client still has so much to read that more would only grow old. O(1)."""
        return self.transport.get_write_buffer_size() > 0 or (
            self.pending_ping_payload is not None and self.sent_bytes - self._taken_bytes > 2 * self._window_bytes
        )

    def _ping_now(self) -> None:
        if self.ping_interval is not None:
            if self.ping_timer is not None:
                self.ping_timer.cancel()
            self.send_keepalive_ping()

    def send_keepalive_ping(self) -> None:
        """Ping, and wait for the pong as long as a slow client takes to reach the ping."""
        self.ping_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        self._sent_before_ping = self.sent_bytes
        # The overridden method with a frame made here: ten times as fast.
        self.pending_ping_payload = random.randbytes(4)
        self.ping_sent_at = self.loop.time()
        self.transport.write(_PING + self.pending_ping_payload)
        if self.config.ws_ping_timeout is not None:
            self._unsent_at_ping = self.unsent_bytes
            extra_s = min((self.sent_bytes - self._taken_bytes) / SLOWEST_BYTES_PER_S, MAX_EXTRA_S)
            self.pong_timer = self.loop.call_later(self.config.ws_ping_timeout + extra_s, self.keepalive_timeout)

    def handle_pong(self, event: Frame) -> None:
        """The client has reached a ping: it has read everything before it."""
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
            # Random, so that connections with the same updates do not all ping in the same round.
            self._ping_behind = self._taken_bytes + int(self._window_bytes * random.uniform(0.5, 1.0))
            if self.on_caught_up is not None and not self.is_behind:
                self.on_caught_up()

    async def drained(self) -> None:
        """Wait while much is unsent; ends also when the connection does."""
        await self.writable.wait()

    def abort(self, why: str | None = None) -> None:
        """Drop the connection now, with everything unread."""
        self.dropped_because = self.dropped_because or why
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """No pong came in time: the client is gone, or reads nothing, or is still reading towards the ping."""
        unsent = self.unsent_bytes
        if unsent < self._unsent_at_ping:
            self._unsent_at_ping = unsent
            self.pong_timer = self.loop.call_later(PROGRESS_S, self.keepalive_timeout)
            return
        self.pong_timer = None
        self.abort("no pong")

    def close(self, code: int, reason: str) -> None:
        """Close the connection in order, with a reason for the client; a client that does not respond in time is dropped."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        if not self.handshake_complete:
            self._give_up(reason)
            return
        self.dropped_because = self.dropped_because or reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.close_timer = self.loop.call_later(LAST_FLUSH_S, self.abort)

    def shutdown(self) -> None:
        """Send the farewell and close; a client that does not respond in time is dropped.

        Does nothing if the client has closed already.
        """
        if self.transport.is_closing():
            return
        if self.farewell is not None and self.handshake_complete:
            self.write_frame(self.farewell)
        super().shutdown()
        if self.unsent_bytes:
            self.loop.call_later(LAST_FLUSH_S, self.abort)

    def send_receive_event_to_app(self) -> None:
        """A whole message has come. Invalid UTF-8 closes the connection, without a traceback in the log."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            if not self.close_sent:
                self.close(1007, "text that is no UTF-8")
            return
        if self.counts_messages:
            self._count_frame()
        super().send_receive_event_to_app()


def _is_utf8(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
