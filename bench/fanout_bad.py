"""Bad clients that a server must withstand: they never read, read slowly, break off in the middle of a frame, or send garbage."""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bench.fanout_wire import WINDOW, now_us

HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SLOW_BYTES_PER_S = 20_000
SLOW_READ = 4_096
SETTLED = 8
"""Updates after which the server has measured how slow a client is."""


def mask_frame(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    return (bytes((first, 0x80 | size)) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)) + bytes(4) + payload


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(url: str, views: list[dict[str, str]]) -> Pair:
    host = url.removeprefix("http://")
    address, _, port = host.rpartition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (address, int(port)))
    reader, writer = await asyncio.open_connection(sock=connection, limit=SLOW_READ)
    writer.write(HANDSHAKE.format(host=host).encode())
    await reader.readuntil(b"\r\n\r\n")
    for number, view in enumerate(views):
        writer.write(mask_frame(json.dumps({"op": "subscribe", "id": str(number), **view}).encode()))
    return reader, writer


class Bad:
    """The bad clients, and counts of what happened to them."""

    def __init__(self, url: str, views: list[dict[str, str]]) -> None:
        self.url = url
        self.views = views
        self.gone_after_s: list[float] = []
        self.conflated = self.updates = self.resets = self.garbage = self.broken_chains = self.lost = 0
        self.oldest_ms = 0.0

    async def stuck(self) -> None:
        """Never read. A write shows whether the server has dropped the connection."""
        _, writer = await connect(self.url, self.views)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not writer.transport.is_closing():
                writer.write(mask_frame(b"", 0x8A))  # an unsolicited pong
                await writer.drain()
                await asyncio.sleep(0.2)
        self.gone_after_s.append(time.monotonic() - began)
        writer.transport.abort()

    async def slow(self) -> None:
        """Read SLOW_READ bytes a second; answer pings when they are reached."""
        reader, writer = await connect(self.url, self.views)
        due, seq, heard = time.monotonic(), None, 0
        try:
            while True:
                first, payload = await _frame(reader)
                due = max(due + len(payload) / SLOW_BYTES_PER_S, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
                if first & 0x0F == 9:
                    writer.write(mask_frame(payload, 0x8A))
                elif first & 0x0F == 8:
                    break
                elif payload.startswith(b'{"type":"update"'):
                    update = msgspec.json.decode(payload)
                    self.broken_chains += seq is not None and update["prev_seq"] != seq
                    seq, heard = update["seq"], heard + 1
                    self.updates += 1
                    self.conflated += update["conflated"] > 0
                    if heard > SETTLED:
                        self.oldest_ms = max(self.oldest_ms, (now_us() - update["as_of"]) / 1e3)
                elif payload.startswith(b'{"type":"snapshot"'):
                    seq = msgspec.json.decode(payload)["seq"]
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        self.lost += 1
        writer.transport.abort()

    async def reset(self) -> None:
        """Reset the connection in the middle of a frame, and connect again."""
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                _, writer = await connect(self.url, self.views)
                writer.write(mask_frame(b'{"op":"ping","id":"never whole"}')[:9])
                await asyncio.sleep(random.uniform(0.2, 1.0))
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                self.resets += 1
            await asyncio.sleep(0.05)

    async def garble(self) -> None:
        """Send garbage: not JSON, not a request, not a frame."""
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                reader, writer = await connect(self.url, [])
                for number in range(40):
                    noise = os.urandom(200)
                    writer.write(mask_frame(b"[" * 100) if number % 2 else mask_frame(b'{"op":"' + noise.hex().encode() + b'"}'))
                    await asyncio.sleep(0.02)
                writer.write(random.choice([noise, mask_frame(noise), mask_frame(noise, 0x83)]))
                async with asyncio.timeout(5):
                    while await reader.read(65_536):
                        pass
                writer.transport.abort()
                self.garbage += 1
            await asyncio.sleep(0.05)


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size == 126:
        [size] = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        [size] = struct.unpack("!Q", await reader.readexactly(8))
    return first, await reader.readexactly(size)


async def bad(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Run `each` clients of every kind until the window ends."""
    made = Bad(options["url"], options["views"])
    kinds = (made.stuck, made.slow, made.reset, made.garble)
    working = [asyncio.create_task(kind()) for kind in kinds for _ in range(options["each"])]
    await asyncio.sleep(0.5)
    await ready()
    await asyncio.sleep(max(0.0, WINDOW.last / 1e6 - time.time()))
    failed = [task.exception() for task in working if task.done() and task.exception() is not None]
    assert not failed, failed
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    return {
        "each": options["each"],
        "stuck_gone": len(made.gone_after_s),
        "stuck_gone_after_s": max(made.gone_after_s, default=None),
        "slow_lost": made.lost,
        "slow_updates": made.updates,
        "slow_conflated": made.conflated,
        "slow_oldest_ms": made.oldest_ms,
        "broken_chains": made.broken_chains,
        "resets": made.resets,
        "garbage": made.garbage,
    }
