"""Bytes of a connection: request heads, bodies, websocket handshakes and frames, in pieces, through the real server's protocols.

No socket: the transport is a stand-in. The protocols may close a connection whenever they like; they must not raise, log a
mistake of ours, or leave a task behind.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from zlib import crc32

import uvicorn
from uvicorn.server import ServerState

from riskengine.config import Config
from riskengine.serve.app import create_app
from riskengine.serve.stream.heads import HttpConnection
from riskengine.serve.stream.uvicorn_server import make_server
from tests.fuzz.frames import LISTS
from tests.fuzz.house import house, sound_rows
from tests.fuzz.mutation import TEXTS, Draw
from tests.fuzz.operations import Screens
from tests.fuzz.rules import Violation
from tests.serve.raw_client import masked
from tests.serve.stand_in import PORT
from tests.serve.wired import Wired
from tests.world import mark_settings

UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
LINES = (
    *("Content-Length: 5", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked", "Expect: 100-continue"),
    *("Connection: close", "Connection: keep-alive, Upgrade", "Upgrade: h2c", "X: y\r\n folded", ": empty", "NoColon", "X:\0"),
    *("Accept: text/csv", "Accept-Encoding: gzip", "Origin: null", "Cookie: \xff", "Host: other", "X: " + "y" * 9_000),
)
PATHS = (
    *("/v1/nodes", "/v1/status", "/healthz", "/metrics", "/v1/trades", "/openapi.json", "/login", "/manual", "/nowhere"),
    *("*", "//", "http://127.0.0.1/v1/nodes", "/v1/nodes?x=\xff", "/v1/nodes/%ff%00", "/v1/stream", "/v1/ingest", "/?#x", ""),
)
SERVER_LASTS = 1_000
TURNS = 400
"""Turns of the loop within which the tasks of a connection that has ended are over."""


class Wire(asyncio.Transport):
    """What a protocol writes, and whether it has closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", PORT), "socket": self})
        self.written: list[bytes] = []
        self.protocol: Any = None
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self.protocol.connection_lost(None)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def pause_reading(self) -> None:
        """All is given at once all the same."""

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        return 0

    # What is asked of its socket.

    def setsockopt(self, *_: int) -> None:
        """Whatever it is."""

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", PORT)

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 50_000)


class Mistakes(logging.Handler):
    """What the server logs as a mistake."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.texts.append(f"{record.getMessage()} {error!r}")


@contextmanager
def watched() -> Iterator[Mistakes]:
    """What is logged as an error inside the block."""
    found, root = Mistakes(), logging.getLogger()
    root.addHandler(found)
    try:
        yield found
    finally:
        root.removeHandler(found)


class Connections:
    """One connection after the other."""

    name = "connections"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = 0
        self._screens = Screens()
        self._settings: uvicorn.Config
        self._state: ServerState
        self._mistakes: Mistakes
        self._loop.set_exception_handler(self._on_error)
        self._raised: list[str] = []

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._raised.append(f"{context.get('message')} {context.get('exception')!r}")

    def draw(self, draw: Draw) -> bytes:
        """The bytes of one connection."""
        if draw.chance(0.5):
            made = _handshake(draw) + b"".join(self._frame(draw) for _ in range(draw.few(6)))
        else:
            made = b"".join(_request(draw) for _ in range(1 + draw.few(2)))
        return draw.damage(made, 2) if draw.chance(0.2) else made

    def _frame(self, draw: Draw) -> bytes:
        what = draw.below(10)
        if what < 5:
            said = self._screens.draw(draw)[1:200]
            return masked(said, draw.pick((0x81, 0x82, 0x01, 0x80, 0xC1)))
        if what < 7:
            name = draw.pick(LISTS)
            return masked(b'{"%s":%s}' % (name.encode(), draw.written([draw.record(draw.pick(sound_rows(name)))])))
        payload = draw.pick(TEXTS).encode("utf-8", "surrogatepass")[:125]
        return masked(payload, draw.pick((0x88, 0x89, 0x8A, 0x08, 0x83, 0x8B, 0xF1, 0x00)))

    def check(self, data: bytes) -> str:
        """Give the bytes to a fresh connection, in pieces, then end it."""
        if not self._left:
            settings = Config(marks=mark_settings())
            self._settings = make_server(create_app(Wired(settings, house())), settings).config
            self._state, self._left = ServerState(), SERVER_LASTS
        self._left -= 1
        self._raised.clear()
        is_sound = False
        try:
            with watched() as mistakes:
                way = self._loop.run_until_complete(self._converse(data))
            if mistakes.texts or self._raised:
                raise Violation("; ".join((*mistakes.texts, *self._raised)))
            is_sound = True
        finally:
            if not is_sound:
                self._left = 0  # what one connection has broken must not be counted against the next
        return way

    async def _converse(self, data: bytes) -> str:
        wire = Wire()
        protocol: Any = HttpConnection(self._settings, self._state, {})
        wire.protocol = protocol
        protocol.connection_made(wire)
        pieces = Random(crc32(data))
        first = 0
        while first < len(data) and not wire.closed:
            size = pieces.choice((1, 7, 100, 65_536, 65_536, 65_536))
            wire.protocol.data_received(data[first : first + size])
            first += size
            for _ in range(pieces.choice((0, 1, 5))):
                await asyncio.sleep(0)
        for _ in range(30):
            if not self._state.tasks:
                break
            await asyncio.sleep(0)
        wire.close()
        await asyncio.sleep(0)
        for _ in range(TURNS):
            if not self._state.tasks:
                break
            await asyncio.sleep(0)
        await self._check_ended()
        return _way(b"".join(wire.written), may_be_empty=b"HEAD" in data)

    async def _check_ended(self) -> None:
        """Threads of long answers may still be at work: they have a second."""
        for _ in range(100):
            if not self._state.tasks:
                break
            await asyncio.sleep(0.01)
        if self._state.tasks or self._state.connections:
            left = [repr(task) for task in self._state.tasks]
            raise Violation(f"left behind: {left} {self._state.connections}")


def _way(said: bytes, *, may_be_empty: bool) -> str:
    """The kind of what the server said first. Raises Violation for a mistake of ours, and for a refusal without a word."""
    status = said[9:12].decode("latin-1")
    if said.startswith(b"HTTP/1.1 500"):
        raise Violation(f"{said!r:.500}")
    if status >= "400" and not said.partition(b"\r\n\r\n")[2] and not may_be_empty:
        raise Violation(f"refused without a reason: {said!r:.500}")
    return status


def _handshake(draw: Draw) -> bytes:
    path = draw.pick(("/v1/stream", "/v1/stream", "/v1/ingest", "/v1/stream?encoding=msgpack", "/v1/stream?encoding=x", "/x"))
    if draw.chance(0.1):
        path += "?compression=deflate" + draw.pick(("", "&x=%ff", "&[", "#", "\xe9"))
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{PORT}", *UPGRADE[: 4 + draw.below(2)]]
    if draw.chance(0.2):
        lines[1 + draw.below(len(lines) - 1)] = draw.pick(LINES)
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _request(draw: Draw) -> bytes:
    method = (
        draw.pick(("GET", "GET", "POST", "HEAD"))
        if draw.chance(0.8)
        else draw.pick(("PUT", "OPTIONS", "CONNECT", "get", "PRI", ""))
    )
    version = "HTTP/1.1" if draw.chance(0.8) else draw.pick(("HTTP/1.0", "HTTP/2.0", "HTTP/1.1 x", ""))
    lines = [f"{method} {draw.pick(PATHS)} {version}"]
    if draw.chance(0.9):
        lines.append(f"Host: 127.0.0.1:{PORT}")
    lines += [draw.pick(LINES) for _ in range(draw.few(2))] if draw.chance(0.6) else []
    body = draw.pick((b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"[]", b"zz\r\n", b"[" + b"{}," * 50))
    end = draw.pick(("\r\n", "\r\n", "\r\n", "\n"))
    return end.join([*lines, "", ""]).encode("latin-1", "replace") + body
