"""Measures how fast trades are acknowledged (durable, applied, published) over HTTP: `python -m bench.acknowledge`.

Two measurements, each with its own server on an empty store (SQLite, or an empty schema that `--store` names):

batches  one client posts batches of 100 over one connection, each after the answer to the previous one; trades a second
singles  8 clients post single trades at fixed times, 2,000 a second in total, without waiting for answers; p50 and p99 of the
         time from when a trade was due (not when it was sent) to its answer

For comparison it measures a bare commit on the same disk: appending 8 KiB and `fdatasync`. Prints one JSON object; exit status 1
if a target is missed.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from bench.latency import DESKS, SYMBOLS, Poster, load, machine, quantiles, serving

BATCH = 100
WARM_UP_S = 2.0
TARGET_TRADES_PER_S = 20_000
TARGET_P99_MS = 25.0


def trade(number: int) -> dict[str, Any]:
    return {
        "trade_id": f"bench-{number}",
        "ts": time.time_ns() // 1_000,
        "instrument": SYMBOLS[number % len(SYMBOLS)],
        "desk": DESKS[number % len(DESKS)],
        "dealer": f"dealer{number % 7}",
        "side": "buy" if number % 3 else "sell",
        "quantity": str(100 + number % 50),
        "price": f"{90 + number % 20}.{number % 100:02}",
    }


async def connect(url: str) -> Poster:
    host = url.removeprefix("http://")
    address, _, port = host.rpartition(":")
    return Poster(*await asyncio.open_connection(address, int(port)), host)


async def batches(url: str, seconds: float) -> dict[str, Any]:
    """Trades a second in each whole second, and the time of a batch."""
    poster, number = await connect(url), 0
    answered: list[float] = []
    took: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() < started + WARM_UP_S + seconds:
        body = msgspec.json.encode([trade(number + place) for place in range(BATCH)])
        number += BATCH
        sent = time.perf_counter()
        answer = json.loads(await poster.send(body))
        assert answer["counts"]["applied"] == BATCH, answer["counts"]
        if sent > started + WARM_UP_S:
            answered.append(time.perf_counter())
            took.append(answered[-1] - sent)
    whole = [0] * int(seconds)
    for at in answered:
        second = int(at - started - WARM_UP_S)
        if second < len(whole):
            whole[second] += BATCH
    # The time in which the client makes the next batch does not count.
    return {
        "trades_per_s": {"median": statistics.median(whole), "min": min(whole), "max": max(whole)},
        "while_waiting_per_s": round(BATCH * len(took) / sum(took)),
        "batch_ms": quantiles(took),
    }


async def singles(url: str, seconds: float, clients: int, per_s: float) -> dict[str, Any]:
    """Acknowledgement times of single trades at a steady rate."""
    took: list[float] = []
    started = time.perf_counter()

    async def client(number: int) -> None:
        poster, count = await connect(url), 0
        due = started + number / per_s
        while due < started + WARM_UP_S + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await poster.post(trade(number + clients * count))
            if due > started + WARM_UP_S:
                took.append(time.perf_counter() - due)
            due += clients / per_s
            count += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return {"clients": clients, "per_s": round(len(took) / seconds), "answer_ms": quantiles(took)}


def syncs(folder: Path, count: int = 300) -> dict[str, float]:
    """The time this disk takes to sync 8 KiB."""
    took = []
    with open(folder / "sync", "wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return quantiles(took)


def run_measurement(asked: argparse.Namespace, measure: Callable[[str], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-acknowledge-") as folder, serving(load(Path(folder), asked.store)) as url:
        return asyncio.run(measure(url))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast trades are acknowledged over HTTP.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--per-s", type=float, default=2_000.0, help="single trades a second, all clients together")
    parser.add_argument("--only", choices=["batches", "singles"])
    parser.add_argument("--store", metavar="URL", help="an empty store, with --only; default: SQLite in a temporary folder")
    asked = parser.parse_args()
    if asked.store and not asked.only:
        parser.error("--store goes with --only: each measurement needs an empty store")
    with tempfile.TemporaryDirectory(prefix="bench-acknowledge-") as folder:
        result: dict[str, Any] = {"bench": "acknowledge", "machine": machine(), "sync_ms": syncs(Path(folder))}
    met = True
    if asked.only != "singles":
        result["batches"] = run_measurement(asked, lambda url: batches(url, asked.seconds))
        met = result["batches"]["trades_per_s"]["median"] >= TARGET_TRADES_PER_S
    if asked.only != "batches":
        result["singles"] = run_measurement(asked, lambda url: singles(url, asked.seconds, asked.clients, asked.per_s))
        met = met and result["singles"]["answer_ms"]["p99"] <= TARGET_P99_MS
    target = {"batches_trades_per_s": TARGET_TRADES_PER_S, "singles_p99_ms": TARGET_P99_MS}
    print(json.dumps({**result, "target": target, "met": met}, indent=2))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
