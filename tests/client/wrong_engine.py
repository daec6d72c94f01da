"""A small server that follows a test's script of the stream protocol, also a wrong one, and reads the client's messages."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from riskengine.client.checksum import checksum

PATIENCE_S = 10.0


class Visit:
    """One connection of a client, from the server's side."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.packed = "encoding=msgpack" in (connection.request.path if connection.request else "")
        self.seq = 0

    async def say(self, **message: Any) -> None:
        frame: str | bytes = msgspec.msgpack.encode(message) if self.packed else json.dumps(message)
        await self.connection.send(frame)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            frame = await self.connection.recv()
        return msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else json.loads(frame)

    async def hello(self, *, epoch: int = 1, seq: int = 10, heartbeat_ms: int = 1_000) -> None:
        self.epoch, self.seq = epoch, seq
        await self.say(
            type="hello", protocol=1, epoch=epoch, seq=seq, reporting_currency="USD", heartbeat_ms=heartbeat_ms, max_hz=5.0
        )

    async def snapshot(self, name: str, *rows: dict[str, Any], key: tuple[str, ...] = ("instrument",)) -> None:
        self.seq += 1
        await self.say(
            type="snapshot", id=name, epoch=self.epoch, seq=self.seq, as_of=self.seq * 1_000, key=list(key), rows=list(rows)
        )

    async def update(
        self, changes: Mapping[str, Any] | None = None, *, prev_seq: int | None = None, checksums: dict[str, int] | None = None
    ) -> None:
        before, self.seq = self.seq if prev_seq is None else prev_seq, self.seq + 1
        views = {name: {"rows": rows, "removed": []} for name, rows in (changes or {}).items()}
        more = {} if checksums is None else {"checksums": checksums}
        await self.say(
            type="update",
            epoch=self.epoch,
            seq=self.seq,
            prev_seq=before,
            as_of=self.seq * 1_000,
            conflated=0,
            views=views,
            **more,
        )


class WrongEngine:
    """Runs the next script for each connection; first refuses a handshake with each of `answers`: (status, headers, body)."""

    def __init__(self, *scripts: Callable[[Visit], Awaitable[None]], answers: tuple[Any, ...] = ()) -> None:
        self.scripts = list(scripts)
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.url = ""
        self.failed: list[BaseException] = []

    async def _handle(self, connection: ServerConnection) -> None:
        if not self.scripts:
            await connection.close(1012)
            return
        try:
            await self.scripts.pop(0)(Visit(connection))
        except Exception as failure:
            self.failed.append(failure)
            raise

    def _gate(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if not self.answers:
            return None
        status, headers, body = self.answers.pop(0)
        return Response(status, HTTPStatus(status).phrase, Headers(headers | {"Content-Length": str(len(body))}), body)


@contextlib.asynccontextmanager
async def wrong_engine(
    *scripts: Callable[[Visit], Awaitable[None]], answers: tuple[Any, ...] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[WrongEngine]:
    engine = WrongEngine(*scripts, answers=answers)
    async with serve(engine._handle, "127.0.0.1", 0, process_request=engine._gate, close_timeout=1, ssl=tls) as server:
        engine.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield engine
    assert not engine.failed, engine.failed


def checksum_of(*rows: dict[str, Any]) -> int:
    return checksum(rows)


async def stay(visit: Visit) -> None:
    """Be quiet until the client goes."""
    try:
        while True:
            await visit.connection.recv()
    except ConnectionClosed:
        pass
