"""What a server lives through in a soak: screens that come and go, feeds that stop, trades, and a database that goes away."""

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg
from picows import WSError, WSMsgType

from bench.fanout_wire import Client, Line, line, now_us, open_websocket
from tests.soak.measures import Counts, Latency
from tests.soak.proxy import Proxy

VIEWS: tuple[dict[str, str], ...] = (
    {"view": "nodes"},
    {"view": "dealers"},
    {"view": "ladder"},
    {"view": "ladder", "node": "FX1"},
    {"view": "ladder", "node": "EQ1"},
    {"view": "exposure"},
    {"view": "status"},
)
PRICES = {"EURUSD": 1.1, "GBPUSD": 1.3, "USDJPY": 150.0, "ACME": 40.0, "ESZ6": 5_000.0}
SETTLE_S = 5.0
"""After an outage trades are not timed for so long: the engine connects again, and what waited is stored."""

PATIENCE_S = 20.0
GONE = (OSError, EOFError, WSError, asyncio.IncompleteReadError, asyncio.TimeoutError)
"""How a connection ends that the server, or the machine, has ended."""


class Tally:
    """What has happened so far; `quiet_from_s` is the end of the last outage."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.latencies: list[Latency] = []
        self.quiet_from_s = 0.0
        self.is_away = False

    def add(self, **counts: int) -> None:
        self.counts = self.counts._replace(**{name: getattr(self.counts, name) + count for name, count in counts.items()})

    def begin_outage(self) -> None:
        self.is_away = True
        self.add(outages=1)

    def end_outage(self) -> None:
        self.is_away = False
        self.quiet_from_s = time.monotonic() + SETTLE_S

    def is_quiet(self, since_s: float) -> bool:
        """Whether no outage has touched the time since then."""
        return not self.is_away and since_s > self.quiet_from_s


# -- screens -------------------------------------------------------------------------------------------------------------


async def screen(url: str, number: int, life_s: float, tally: Tally) -> None:
    """One client for ever: connects, watches a few views for a while, leaves in order or breaks off, and comes again."""
    dice = random.Random(number)
    await asyncio.sleep(dice.uniform(0, life_s / 2))
    while True:
        with contextlib.suppress(*GONE):
            client = await open_websocket(url, dice.choice(("/v1/stream", "/v1/stream?encoding=msgpack")), _ignore)
            tally.add(connections=1)
            try:
                await _watch(client, dice, life_s, tally)
            finally:
                client.transport.disconnect(graceful=False)
        await asyncio.sleep(dice.uniform(0, life_s / 10))


async def _watch(client: Client, dice: random.Random, life_s: float, tally: Tally) -> None:
    """Watch a few views for a while, and say goodbye one time in two."""
    client.say(op="configure", max_hz=1)
    for place, view in enumerate(dice.sample(VIEWS, 2)):
        client.say(op="subscribe", id=str(place), **view)
    await _stay(client, dice.uniform(0.1, 2.0) * life_s)
    if client.closed:
        tally.add(cut_off=1)
    elif dice.random() < 0.5:
        client.transport.send_close()
        await _stay(client, 3.0)


def _ignore(client: Client, message: bytes) -> None:
    """A screen that only looks."""


async def _stay(client: Client, seconds: float) -> None:
    """Until so long has passed, or the server has ended the connection."""
    ends = time.monotonic() + seconds
    while not client.closed and (left := ends - time.monotonic()) > 0:  # noqa: ASYNC110 - picows has no event for it
        await asyncio.sleep(min(0.5, left))


# -- feeds ---------------------------------------------------------------------------------------------------------------


async def feed(url: str, number: int, life_s: float, tally: Tally) -> None:
    """One publisher for ever: ten frames of ticks a second for a while, then nothing for a while."""
    dice = random.Random(f"feed {number}")
    while True:
        with contextlib.suppress(*GONE):
            client = await open_websocket(url, "/v1/ingest", _ignore)
            ends = time.monotonic() + dice.uniform(0.5, 2.0) * life_s
            try:
                while time.monotonic() < ends and not client.closed:
                    ticks = [_tick(symbol, price * (1 + dice.gauss(0, 1e-4)), number) for symbol, price in PRICES.items()]
                    frame = {"ticks": ticks, "heartbeat": {"source": f"feed{number}"}}
                    client.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())
                    await asyncio.sleep(0.1)
            finally:
                client.transport.disconnect(graceful=False)
                tally.add(feed_stops=1)
        await asyncio.sleep(dice.uniform(0.1, 0.5) * life_s)


def _tick(symbol: str, mid: float, number: int) -> dict[str, Any]:
    return {"instrument": symbol, "ts": now_us(), "mid": round(mid, 6), "source": f"feed{number}"}


# -- trades --------------------------------------------------------------------------------------------------------------


class Dealing:
    """Trades one after the other, each timed from its post to the patch of the position on a screen. None may be lost."""

    def __init__(self, url: str, tally: Tally, a_second: float) -> None:
        self._url = url
        self._tally = tally
        self._pause_s = 1.0 / a_second
        self._updates: deque[tuple[int, float]] = deque(maxlen=2_000)
        self._heard = asyncio.Event()
        self.acknowledged: list[str] = []

    async def run(self) -> None:
        """Deal for ever."""
        number = 0
        while True:
            async with contextlib.AsyncExitStack() as ends:
                with contextlib.suppress(*GONE):
                    client = await open_websocket(self._url, "/v1/stream", self._hear)
                    ends.callback(client.transport.disconnect, False)
                    client.say(op="subscribe", id="a", view="ladder", node="FX1")
                    http = await line(self._url)
                    ends.callback(http.writer.close)
                    while not client.closed:
                        number += 1
                        async with asyncio.timeout(PATIENCE_S * 4):
                            await self._deal(http, f"soak-{number}")
                        await asyncio.sleep(self._pause_s)
            await asyncio.sleep(0.5)

    def _hear(self, client: Client, message: bytes) -> None:
        if message.startswith((b'{"type":"update"', b'{"type":"snapshot"')):
            self._updates.append((int(json.loads(message)["seq"]), time.monotonic()))
            self._heard.set()

    async def _deal(self, http: Line, trade_id: str) -> None:
        """Send a trade until it is stored; time it where no outage was near."""
        sent = {"source": "soak", "trade_id": trade_id, "ts": now_us() - 1_000, "instrument": "EURUSD", "desk": "FX1"}
        body = json.dumps([sent | {"dealer": "ann", "side": "buy", "quantity": "1", "price": "1.1"}]).encode()
        while True:
            began = time.monotonic()
            status, answer = await _post(http, "/v1/trades", body)
            if status == 200:
                break
            self._tally.add(not_stored=1)
            if status != 503:
                self._tally.add(errors=1)
            await asyncio.sleep(1.0)
        seq = json.loads(answer)["seq"]
        self.acknowledged.append(trade_id)
        self._tally.add(trades=1)
        shown = await self._shown(seq)
        if self._tally.is_quiet(began):
            self._tally.latencies.append(Latency(began, (shown - began) * 1_000))

    async def _shown(self, seq: int) -> float:
        """When the screen first stood at a snapshot that has the trade."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            found = next((at for heard, at in self._updates if heard >= seq), None)
            if found is not None:
                return found
            self._heard.clear()
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                await self._heard.wait()


async def _post(http: Line, path: str, body: bytes) -> tuple[int, bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: {http.host}\r\nContent-Type: application/json\r\n"
    return await http._send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


# -- the database and the reconciliation -----------------------------------------------------------------------------------


async def break_database(admin: str, database: str, proxy: Proxy, every_s: float, away_s: float, tally: Tally) -> None:
    """In turn the server ends every session, and nobody can connect for a while."""
    while True:
        await asyncio.sleep(every_s)
        tally.begin_outage()
        await asyncio.to_thread(_end_sessions, admin, database)
        await asyncio.sleep(1.0)
        tally.end_outage()
        await asyncio.sleep(every_s)
        tally.begin_outage()
        await proxy.refuse()
        await asyncio.sleep(away_s)
        await proxy.allow()
        tally.end_outage()


def _end_sessions(admin: str, database: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])


async def reconcile(url: str, every_s: float, tally: Tally, tell: Callable[[str], None]) -> None:
    """Compare engine and store now and again; while the store is away there is nothing to compare."""
    while True:
        await asyncio.sleep(every_s)
        began = time.monotonic()
        with contextlib.suppress(*GONE):
            http = await line(url)
            async with asyncio.timeout(120):
                status, answer = await _post(http, "/v1/reconcile", b"{}")
            http.writer.close()
            if status == 200:
                found = json.loads(answer)
                tally.add(reconciled=1, breaks=len(found["breaks"]))
                if found["breaks"]:
                    tell(f"breaks: {found['breaks']}")
            elif tally.is_quiet(began):
                tally.add(errors=1)
                tell(f"reconcile: {status} {answer[:300]!r}")
            else:
                tally.add(not_reconciled=1)
