"""Connections of the fan-out bench's clients: a websocket, an HTTP connection, and the measurement window."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


def now_us() -> int:
    return time.time_ns() // 1_000


class Window:
    """The start and end of the measurement; unknown until the parent process sends them."""

    def __init__(self) -> None:
        self.first = self.last = float("inf")

    def holds(self, now: float) -> bool:
        return self.first <= now < self.last


WINDOW = Window()


# -- one client --------------------------------------------------------------------------------------------------


class Client(WSListener):
    """A websocket that passes complete messages to `on_message`."""

    def __init__(self, on_message: Callable[["Client", bytes], None]) -> None:
        self.on_message = on_message
        self.transport: WSTransport
        self.waiting = 0
        self.updates = 0
        self.writable = asyncio.Event()
        self.writable.set()
        self.closed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.on_message(self, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed = True
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def say(self, **message: Any) -> None:
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())


async def open_websocket(url: str, path: str, on_message: Callable[[Client, bytes], None]) -> Client:
    address = url.replace("http", "ws", 1) + path
    _, client = await ws_connect(
        lambda: Client(on_message), address, websocket_handshake_timeout=60, enable_auto_ping=False, read_buffer_init_size=4_096
    )
    assert isinstance(client, Client)
    return client


# -- HTTP --------------------------------------------------------------------------------------------------------


class Line:
    """One keep-alive HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    async def get(self, path: str) -> bytes:
        status, body = await self.ask(path)
        assert status == 200, (path, status, body[:200])
        return body

    async def ask(self, path: str) -> tuple[int, bytes]:
        """The status and body of a GET, without any check."""
        return await self._send(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    async def post(self, path: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        status, answer = await self._send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert status == 200, (path, status, answer[:200])
        return answer

    async def _send(self, request: bytes) -> tuple[int, bytes]:
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length:")[1].split("\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(size)


async def line(url: str) -> Line:
    host = url.removeprefix("http://")
    address, _, port = host.rpartition(":")
    return Line(*await asyncio.open_connection(address, int(port), limit=1 << 22), host)
