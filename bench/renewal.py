"""Measures the cost of new reference data in a running engine: `python -m bench.renewal`.

The real server runs on a temporary store: 1 million trades on 300,000 positions of `bench/book.py`, or as many as `--trades` and
`--positions` say. The bench posts single trades at a steady rate, without waiting for answers; then another program saves an
instrument for which a stored row is waiting.

Prints one JSON object: seconds from the change until that row is applied; acknowledgement times (p50, p99, the longest) before,
until a second after the change, and for 15 s after that, while the old engine is released; memory of the server.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.book import CURRENCIES, LEAVES, Maker
from bench.latency import ROOT, Poster, get, is_ready, machine
from bench.start import APPEND, _status_mb
from riskengine.records.types import Instrument, Kind
from riskengine.store.open_store import open_store

PARTS = ("before", "during", "after")
CLIENTS = 8


def make_store(url: str, trades: int, positions: int) -> None:
    store = open_store(url)
    maker = Maker()
    store.save_nodes(maker.reference.hierarchy.nodes)
    store.save_instruments(maker.instruments)
    for first in range(0, trades, APPEND):
        store.append_trades(maker.trades([maker.held[at % positions] for at in range(first, min(first + APPEND, trades))]))
    store.close()


def start(url: str, folder: Path) -> "tuple[subprocess.Popen[str], str]":
    command = [sys.executable, "-m", "riskengine.cli", "serve", "--store", url, "--port", "0"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    while not is_ready(address):
        assert server.poll() is None, (folder / "log").read_text()[-2_000:]
        time.sleep(0.1)
    return server, address


class Dealing:
    """Posts single trades at a steady rate and notes the time of each, by part of the measurement."""

    def __init__(self, posters: "asyncio.Queue[Poster]") -> None:
        self.posters = posters
        self.part = "before"
        self.answers: dict[str, list[float]] = {part: [] for part in PARTS}
        self.made = 0

    async def run(self, per_s: float) -> None:
        due = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        while True:
            due += 1.0 / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._deal(due))
            running.add(task)
            task.add_done_callback(running.discard)

    async def _deal(self, due: float) -> None:
        self.made += 1
        trade = {
            "trade_id": f"renewal-{self.made}",
            "ts": time.time_ns() // 1_000,
            "instrument": f"{CURRENCIES[self.made % 9]}USD",
            "desk": f"L{self.made * 7 % LEAVES:05}",
            "dealer": "ann",
            "side": "buy",
            "quantity": "100",
            "price": "1.01",
        }
        poster = await self.posters.get()
        part = self.part
        await poster.post(trade)
        self.answers[part].append(time.perf_counter() - due)
        self.posters.put_nowait(poster)


async def measure(server_pid: int, address: str, store_url: str, per_s: float) -> dict[str, Any]:
    host = address.removeprefix("http://")
    name, _, port = host.rpartition(":")
    posters: asyncio.Queue[Poster] = asyncio.Queue()
    for _ in range(CLIENTS):
        posters.put_nowait(Poster(*await asyncio.open_connection(name, int(port)), host))
    dealing = Dealing(posters)
    posting = asyncio.create_task(dealing.run(per_s))
    await asyncio.sleep(5.0)
    memory = {"before": _status_mb(server_pid, "VmRSS")}

    def quarantined() -> int:
        return int(get(address, "/v1/status")["counts"]["quarantined"])

    def load() -> None:
        store = open_store(store_url)
        store.save_instruments([Instrument(instrument="NEWCO", kind=Kind.EQUITY, quote_currency="USD")])
        store.close()

    assert await asyncio.to_thread(quarantined) == 1
    dealing.part = "during"
    started = time.perf_counter()
    await asyncio.to_thread(load)
    while await asyncio.to_thread(quarantined):  # noqa: ASYNC110 - another process reports it
        await asyncio.sleep(0.05)
    applied_s = time.perf_counter() - started
    await asyncio.sleep(1.0)  # trades in flight at the change count as during it
    memory["peak"] = _status_mb(server_pid, "VmHWM")
    dealing.part = "after"
    await asyncio.sleep(15.0)
    memory["after"] = _status_mb(server_pid, "VmRSS")
    posting.cancel()
    return {
        "applied_s": round(applied_s, 2),
        "memory_mb": {part: round(mb) for part, mb in memory.items()},
        "acknowledged_ms": {part: _figures(dealing.answers[part]) for part in PARTS},
    }


def _figures(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    figures = {"p50": cuts[49], "p99": cuts[98], "max": max(seconds)}
    return {"count": len(seconds), **{name: round(1_000 * figure, 2) for name, figure in figures.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--positions", type=int, default=300_000)
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--store", help="URL of an empty store; default: a temporary file")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        url = chosen.store or f"sqlite:///{name}/renewal.db"
        make_store(url, chosen.trades, chosen.positions)
        server, address = start(url, Path(name))
        try:
            _book(url)
            time.sleep(1.0)
            found = asyncio.run(measure(server.pid, address, url, chosen.per_second))
        finally:
            server.terminate()
            server.wait(60)
    print(json.dumps({"machine": machine(), "trades": chosen.trades, "positions": chosen.positions} | found, indent=1))
    return 0


def _book(url: str) -> None:
    """Insert a trade in an instrument that is not loaded yet, as another program does."""
    columns = "trade_id, ts, instrument, desk, side, quantity, price"
    values = ("B1", time.time_ns() // 1_000, "NEWCO", "L00000", "buy", "1", "2")
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as store, store:
            store.execute(f"INSERT INTO trades ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    else:
        with psycopg.connect(url) as server:
            insert = f"INSERT INTO trades ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
            server.execute(insert.encode(), tuple(map(str, values)))


if __name__ == "__main__":
    sys.exit(main())
