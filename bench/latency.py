"""Measures the time from a trade posted over HTTP to its patch on a websocket, under 10,000 ticks/s: `python bench/latency.py`.

The real server runs as a process on a temporary store, and a publisher in another process. The bench posts 50 trades a second, 10
to 30 ms apart, without waiting for answers: a pause of the server delays every trade that falls into it. The trades rotate over
six desks, each watched by its own client; a trade's time ends when the desk's ladder shows it. With `--desks 1` all trades are in
one ladder, and most of the time is the pause between two pushes (`server.trade_push_ms`). Prints one JSON object; exit status 1
if a target is missed.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
DESKS = [f"DESK{number}" for number in range(1, 7)]
SYMBOLS = [f"STOCK{number:02}" for number in range(40)]
TARGET_MS = {"p50": 10.0, "p99": 50.0}
FRAME_TICKS = 100
WARM_UP_S = 2.0
POSTERS = 4
"""Number of keep-alive connections for posting trades."""


def load(folder: Path, store: str | None = None) -> str:
    """Make a store with a small house; return its URL. `store` is the URL of an empty store to use."""
    nodes = folder / "nodes.csv"
    desks = "".join(f"{desk},desk,BOOK\n" for desk in DESKS)
    nodes.write_text("node,level,parent\nALL,total,\nBOOK,book,ALL\n" + desks)
    instruments = folder / "instruments.csv"
    lines = "".join(f"{symbol},equity,USD,2,0\n" for symbol in SYMBOLS)
    instruments.write_text("instrument,kind,quote_currency,price_decimals,quantity_decimals\n" + lines)
    store = store or f"sqlite:///{folder / 'bench.db'}"
    for kind, path in (("nodes", nodes), ("instruments", instruments)):
        command = [sys.executable, "-m", "riskengine.cli", "load", kind, str(path), "--store", store]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store


@contextlib.contextmanager
def serving(store: str) -> Iterator[str]:
    """Run the engine until the block ends; yield its URL once it is live."""
    command = [sys.executable, "-m", "riskengine.cli", "serve", "--store", store, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            deadline = time.monotonic() + 30
            while not is_ready(url):
                assert time.monotonic() < deadline and server.poll() is None, "the engine did not go live"
                time.sleep(0.05)
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)


def is_ready(url: str) -> bool:
    try:
        return bool(get(url, "/readyz"))
    except OSError:
        return False


def get(url: str, path: str) -> Any:
    with build_opener(ProxyHandler({})).open(url + path, timeout=5) as answer:
        return json.loads(answer.read())


def ticks_taken(url: str) -> int:
    return int(get(url, "/v1/status")["ticks"]["accepted"])


def publish_ticks(url: str, ticks_per_s: int, symbols: Sequence[str] = SYMBOLS, price: float = 100.0) -> None:
    """Publish frames of 100 ticks at a steady rate until stopped."""
    encode = msgspec.json.Encoder().encode
    dice = random.Random(1)
    prices, spread = dict.fromkeys(symbols, price), price / 10_000
    with connect(url.replace("http", "ws") + "/v1/ingest", compression=None, proxy=None) as socket:
        due = time.monotonic()
        while True:
            frame = []
            for _ in range(FRAME_TICKS):
                symbol = dice.choice(symbols)
                bid = prices[symbol] = round(prices[symbol] * (1 + dice.gauss(0, 1e-5)), 6)
                frame.append({"instrument": symbol, "ts": time.time_ns() // 1_000, "bid": bid, "ask": round(bid + spread, 6)})
            socket.send(encode({"ticks": frame}).decode())
            due = max(due + FRAME_TICKS / ticks_per_s, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))


class Poster:
    """One keep-alive HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader = reader
        self.writer = writer
        self.head = f"POST /v1/trades HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "

    async def post(self, trade: dict[str, Any]) -> None:
        answer = json.loads(await self.send(msgspec.json.encode(trade)))
        assert answer["counts"]["applied"] == 1, answer

    async def send(self, body: bytes) -> bytes:
        """Post a body; return the answer."""
        self.writer.write(f"{self.head}{len(body)}\r\n\r\n".encode() + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200"), head
        size = int(head.split("content-length:")[1].split("\r\n")[0])
        return await self.reader.readexactly(size)


class Watch:
    """When each trade was posted, answered and seen. A ladder's row contains the number of trades of its instrument.

    `name` is the prefix of the trades' ids; `held` is the number of trades that each ladder's row already has.
    """

    def __init__(self, name: str = "bench", held: Mapping[tuple[str, str], int] | None = None) -> None:
        self.name = name
        self.posted: dict[tuple[str, str], deque[tuple[int, float]]] = defaultdict(deque)
        self.count: dict[tuple[str, str], int] = defaultdict(int, held or {})
        self.patch_s: list[float] = []
        self.answer_s: list[float] = []
        self.measuring = False

    def note_posted(self, desk: str, symbol: str, now: float) -> None:
        self.count[desk, symbol] += 1
        self.posted[desk, symbol].append((self.count[desk, symbol], now))

    def note_seen(self, desk: str, symbol: str, trades: int, now: float) -> None:
        waiting = self.posted[desk, symbol]
        while waiting and waiting[0][0] <= trades:
            _, posted = waiting.popleft()
            if self.measuring:
                self.patch_s.append(now - posted)

    @property
    def unseen(self) -> int:
        return sum(map(len, self.posted.values()))


async def listen(socket: ClientConnection, desk: str, watch: Watch) -> None:
    await socket.send(json.dumps({"op": "subscribe", "id": "a", "view": "ladder", "node": desk}))
    decode = msgspec.json.Decoder().decode
    async for message in socket:
        now = time.perf_counter()
        update = decode(message)
        if update["type"] == "update":
            for row in update["views"].get("a", {"rows": ()})["rows"]:
                if "trade_count" in row:
                    watch.note_seen(desk, row["instrument"], row["trade_count"], now)


async def deal(posters: asyncio.Queue[Poster], watch: Watch, desks: list[str], symbols: list[str], number: int) -> None:
    poster = await posters.get()
    desk, symbol = desks[number % len(desks)], symbols[number // len(desks) % len(symbols)]
    trade = {
        "trade_id": f"{watch.name}-{number}",
        "ts": time.time_ns() // 1_000,
        "instrument": symbol,
        "desk": desk,
        "dealer": "ann",
        "side": "buy" if number % 3 else "sell",
        "quantity": "100",
        "price": "100.01",
    }
    posted = time.perf_counter()
    watch.note_posted(desk, symbol, posted)
    await poster.post(trade)
    if watch.measuring:
        watch.answer_s.append(time.perf_counter() - posted)
    posters.put_nowait(poster)


async def measure(
    url: str, desks: list[str], trades_per_s: float, seconds: float, symbols: list[str] = SYMBOLS, watch: Watch | None = None
) -> Watch:
    host = url.removeprefix("http://")
    address, _, port = host.rpartition(":")
    posters: asyncio.Queue[Poster] = asyncio.Queue()
    for _ in range(POSTERS):
        posters.put_nowait(Poster(*await asyncio.open_connection(address, int(port)), host))
    watch, dice = watch or Watch(), random.Random(2)
    async with contextlib.AsyncExitStack() as sockets:
        listening = []
        for desk in desks:
            connection = connect_async(f"ws://{host}/v1/stream", compression=None, proxy=None)
            socket = await sockets.enter_async_context(connection)
            listening.append(asyncio.create_task(listen(socket, desk, watch)))
        started = due = time.perf_counter()
        dealing: list[asyncio.Task[None]] = []
        while due < started + WARM_UP_S + seconds:
            due += dice.uniform(0.5, 1.5) / trades_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            watch.measuring = due > started + WARM_UP_S
            dealing.append(asyncio.create_task(deal(posters, watch, desks, symbols, len(dealing))))
        await asyncio.gather(*dealing)
        deadline = time.perf_counter() + 5
        while watch.unseen and time.perf_counter() < deadline:  # noqa: ASYNC110 - the listener has no event for it
            await asyncio.sleep(0.01)
        for task in listening:
            task.cancel()
    assert not watch.unseen, f"{watch.unseen} trades were never seen"
    return watch


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3, 2) for name, share in shares.items()}


def machine() -> dict[str, Any]:
    cpu = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the latency from POST /v1/trades to the patch on /v1/stream.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--ticks", type=int, default=10_000, help="a second")
    parser.add_argument("--trades", type=float, default=50.0, help="a second")
    parser.add_argument("--desks", type=int, default=len(DESKS), choices=range(1, len(DESKS) + 1), metavar="1-6")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(load(Path(folder))) as url:
        feed = multiprocessing.get_context("spawn").Process(target=publish_ticks, args=(url, asked.ticks), daemon=True)
        feed.start()
        try:
            while not ticks_taken(url):
                time.sleep(0.05)
            before = ticks_taken(url), time.monotonic()
            watch = asyncio.run(measure(url, DESKS[: asked.desks], asked.trades, asked.seconds))
            after = ticks_taken(url), time.monotonic()
        finally:
            feed.terminate()
            feed.join()
    patch = quantiles(watch.patch_s)
    met = all(patch[name] <= limit for name, limit in TARGET_MS.items())
    print(
        json.dumps(
            {
                "bench": "post_to_patch",
                "machine": machine(),
                "seconds": asked.seconds,
                "desks": asked.desks,
                "trades": len(watch.patch_s),
                "ticks_per_s": round((after[0] - before[0]) / (after[1] - before[1])),
                "patch_ms": patch,
                "answer_ms": quantiles(watch.answer_s),
                "target_ms": TARGET_MS,
                "met": met,
            },
            indent=2,
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
