"""HTTP connections whose request heads are bounded in time and in size, before they are parsed.

A stranger who sends a head without end must cost nothing: no memory (431 above MAX_HEAD_BYTES) and no place (dropped after
REQUEST_HEAD_S). That holds for websocket handshakes, which begin as requests, and for trailers behind a chunked body.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from riskengine.serve.answers.problems import PROBLEM_JSON
from riskengine.serve.answers.wire import encode

REQUEST_HEAD_S = 10.0
"""Time for a client to send the lines before the body of a request, or of a websocket's handshake."""

MAX_HEAD_BYTES = 65_536
PART_BYTES = 16_384
"""A head is parsed in parts of this size: a line that never ends is held for so much longer than MAX_HEAD_BYTES at most."""

LINE_BYTES = 4
"""Bytes of a header line beside its name and value."""

LINGER_S = 1.0
LINGER_BYTES = 16 * 1024 * 1024
"""After a refusal so much more is taken and thrown away, so that the client comes to read the answer."""


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection that refuses a head which is too long, and is dropped when a head does not come in time."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _held_bytes = 0
    _has_progressed = False
    _is_refused = False
    _thrown_away = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the transport."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Called by the transport. What the parser takes without passing anything on, it holds: that is counted too."""
        first = 0
        while first < len(data):
            if self._is_refused:
                self._throw_away(len(data) - first)
                return
            is_head = self._head_timer is not None
            part = data[first : first + PART_BYTES] if is_head and len(data) > PART_BYTES else data[first:]
            first += len(part)
            self._has_progressed = False
            super().data_received(part)
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return
            self._held_bytes = 0 if self._has_progressed else self._held_bytes + len(part)
            if max(self._head_bytes, self._held_bytes) > MAX_HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """Called by the parser: a request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """Called by the parser: a part of the request's target."""
        self._count(len(url))
        if self._head_bytes <= MAX_HEAD_BYTES:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser: one line of the head, or of the trailers."""
        self._count(len(name) + len(value) + LINE_BYTES)
        if self._head_bytes <= MAX_HEAD_BYTES:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser: the head is complete."""
        self._stop_waiting()
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser: a part of the body."""
        self._has_progressed = True
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser: the request is complete."""
        if not self._is_refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Called by the parser's caller: a websocket's handshake is complete."""
        if not self._is_refused:
            super().handle_websocket_upgrade()
            # The transport calls the websocket from now on and nobody ends this protocol, which its parser refers to: of no
            # use any more, both would stay until the garbage collector comes by.
            self.parser = None  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """Called for a request that is no HTTP."""
        if not self._is_refused:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _count(self, size: int) -> None:
        self._has_progressed = True
        self._head_bytes += size

    def _refuse_head(self) -> None:
        """Answer 431, unless an answer is under way; take nothing more."""
        if self._is_refused:
            return
        self._is_refused = True
        self._stop_waiting()
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering:  # trailers without end, or a pipelined request behind one that is being answered
            self.transport.abort()
            return
        self.transport.write(_too_long())
        self._head_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > LINGER_BYTES:
            self.transport.abort()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(REQUEST_HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _too_long() -> bytes:
    """The whole answer."""
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    detail = f"the request line and headers are longer than {MAX_HEAD_BYTES} bytes: send fewer or shorter ones"
    body = encode({"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "errors": []})
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
