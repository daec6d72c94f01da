"""The stand-in behind the real server, in one loop with the clients of a test."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from riskengine.config import AccessConfig, Config, IngestConfig, ServerConfig
from riskengine.engine.inbox import Receipt
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import Reference
from riskengine.records.types import Trade
from riskengine.serve.app import create_app
from riskengine.serve.stream.uvicorn_server import Server, make_server
from riskengine.snapshot.snapshot import Snapshot
from tests.serve.stand_in import StandIn
from tests.world import REFERENCE, mark_settings, quote

PATIENCE_S = 5.0


class Wired(StandIn):
    """Wakes the loop when it publishes. `store_open`: the store may be slow; `beats`: the heartbeats of feeds."""

    def __init__(self, config: Config | None = None, reference: Reference = REFERENCE) -> None:
        super().__init__(reference, config)
        self.listeners: list[Callable[[], None]] = []
        self.store_open = asyncio.Event()
        self.store_open.set()
        self.waiting = 0
        self.beats: list[tuple[str, int | None]] = []
        self.server: Server
        self.port = 0

    def publish(self) -> Snapshot:
        snapshot = super().publish()
        for wake in self.listeners:
            asyncio.get_running_loop().call_soon(wake)
        return snapshot

    async def submit(self, trades: Sequence[Trade], check: TradeCheck) -> Receipt:
        self.waiting += 1
        await self.store_open.wait()
        self.waiting -= 1
        return await super().submit(trades, check)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(wake)
        return lambda: self.listeners.remove(wake)

    def feed_heartbeat(self, source: str, last_seq: int | None) -> str | None:
        self.beats.append((source, last_seq))
        return None

    def note_refused(self, numbers: Sequence[tuple[str, int]]) -> None:
        """Nothing watches feeds here."""

    async def decide_feed(self, source: str, action: str, actor: str) -> dict[str, Any] | None:
        return {"source": source, "retired": action == "retire"} if source == "desk" else None

    def deal(self, *trades: Trade) -> Snapshot:
        self.stored.extend(trades)
        self.engine.apply(trades, self.clock.now(), len(self.stored))
        return self.publish()

    def marks(self, **prices: float) -> Snapshot:
        self.clock.advance(100_000)  # type: ignore[attr-defined]
        self.quotes.offer([quote(symbol, price, price, self.clock.now()) for symbol, price in prices.items()], self.clock.now())
        self.engine.beat(self.quotes.take(), self.clock.now())
        return self.publish()


class Talk:
    """A client's end of a websocket. `heard` are unrequested messages."""

    def __init__(self, connection: ClientConnection, packed: bool) -> None:
        self.connection = connection
        self.packed = packed

    async def say(self, **message: Any) -> None:
        await self.connection.send(msgspec.msgpack.encode(message) if self.packed else json.dumps(message))

    async def hear(self, kind: str | None = None) -> Any:
        """The next message; with `kind`, the next of that type, skipping only heartbeats, which may come at any time."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await self.connection.recv()
                message = msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else json.loads(frame)
                if kind is None or message["type"] == kind:
                    return message
                assert message["type"] == "heartbeat", message

    async def ask(self, **message: Any) -> Any:
        await self.say(**message)
        return await self.hear("snapshot")

    async def silence(self, seconds: float) -> None:
        """Nothing but heartbeats arrives for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    message = json.loads(await self.connection.recv())
                    assert message["type"] == "heartbeat", message

    async def closed(self) -> int | None:
        """Wait for the close; its code."""
        async with asyncio.timeout(PATIENCE_S):
            await self.connection.wait_closed()
        return self.connection.close_code


@contextlib.asynccontextmanager
async def talk(engine: Wired, path: str = "/v1/stream", **options: Any) -> AsyncIterator[Talk]:
    """A connection to `path`."""
    url = f"ws://127.0.0.1:{engine.port}{path}"
    async with connect(url, proxy=None, max_size=None, close_timeout=1, **options) as connection:
        yield Talk(connection, "msgpack" in path)


@contextlib.asynccontextmanager
async def wired(
    *,
    access: AccessConfig | None = None,
    ingest: IngestConfig | None = None,
    reference: Reference = REFERENCE,
    **server: Any,
) -> AsyncIterator[Wired]:
    """An engine behind a server on a free port, with some history."""
    settings = Config(
        marks=mark_settings(), server=ServerConfig(**server), access=access or AccessConfig(), ingest=ingest or IngestConfig()
    )
    engine = Wired(settings, reference)
    engine.marks(EURUSD=1.1, GBPUSD=1.3)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    engine.port = listener.getsockname()[1]
    engine.server = make_server(create_app(engine), engine.config)
    serving = asyncio.create_task(engine.server.serve(sockets=[listener]))
    while not engine.server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield engine
    finally:
        engine.server.should_exit = True
        async with asyncio.timeout(PATIENCE_S * 2):
            await serving


def run(scenario: Coroutine[Any, Any, None] | Awaitable[None]) -> None:
    """A scenario from beginning to end."""

    async def main() -> None:
        await scenario

    asyncio.run(main())
