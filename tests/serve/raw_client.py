"""A websocket client without a library that would behave, and what the engine says about its clients."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

from riskengine.snapshot.rows import node_rows
from tests.serve.wired import Wired, talk

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(payload: bytes, first: int = 0x81) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)
    return head + bytes(4) + payload


class Raw:
    """A client's socket without a library that would behave."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, **message: Any) -> None:
        self.writer.write(masked(json.dumps(message).encode()))

    async def closed(self, within_s: float) -> bool:
        """Whether the server ends the connection; what it says meanwhile is read."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(within_s):
                while await self.reader.read(65_536):
                    pass
        return True


@contextlib.asynccontextmanager
async def raw(engine: Wired, path: str = "/v1/stream", receive_bytes: int | None = None) -> AsyncIterator[Raw]:
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", engine.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1_024)
    try:
        writer.write(HANDSHAKE.format(path=path, port=engine.port).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def clients(engine: Wired) -> float:
    return engine.metrics.registry.get_sample_value("riskengine_clients") or 0.0


async def healthy(engine: Wired) -> None:
    """The engine answers others as ever."""
    async with talk(engine) as client:
        await client.hear("hello")
        assert (await client.ask(op="subscribe", id="a", view="nodes"))["rows"] == node_rows(engine.history.newest)
