"""Measures a start: from `riskengine serve` to `/readyz` 200, 1 million trades on 300,000 positions: `python -m bench.start`.

The book is that of `bench/book.py`. The first 300,000 trades open every position, the others go to positions at random; one
trade in four has fees, one in a hundred is amended later and one in two hundred cancelled. The bench makes the store once, in a
temporary folder or at `--store` (an empty store, or one from an earlier call; for PostgreSQL name a separate schema:
`postgresql://host/database?options=-csearch_path%3Dbench_start`). Then it starts the real server on it several times.

Prints one JSON object: seconds to live, CPU seconds and peak memory (VmHWM) of the engine's process, and of all its processes
together; exit status 1 if the median is above the target.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.book import CURRENCIES, LEAVES, NOW, POSITIONS, Maker
from bench.latency import ROOT, is_ready, machine
from riskengine.records.types import ONE, StoredMark, Trade
from riskengine.store.open_store import open_store

TARGET_S = {"sqlite": 9.0, "postgresql": 10.0}
TARGET_MB = 1_500
APPEND = 2_000
"""Trades in each transaction that fills the store."""
LIMIT_S = 180.0


# -- the store ---------------------------------------------------------------------------------------------------


def trades_of(maker: Maker, count: int) -> Iterator[list[Trade]]:
    """`count` rows of trades in store order, in parts."""
    dice = random.Random(3)
    waiting: list[Trade] = []
    made = 0
    while made < count:
        wanted = min(APPEND, count - made)
        first = made % POSITIONS if made < POSITIONS else None
        held = maker.held[first : first + wanted] if first is not None else dice.choices(maker.held, k=wanted)
        part = [_add_fees(trade, dice) for trade in maker.trades(held)]
        for place in range(len(part)):
            draw = dice.random()
            if draw < 0.015 and len(waiting) > 100:
                part[place] = _later_version(waiting.pop(dice.randrange(len(waiting))), part[place].ts, cancel=draw < 0.005)
            elif draw > 0.95 and made >= POSITIONS // 2:
                waiting.append(part[place])
        made += len(part)
        yield part


def _add_fees(trade: Trade, dice: random.Random) -> Trade:
    return msgspec.structs.replace(trade, fees=dice.randint(1, 500) * ONE // 100) if dice.random() < 0.25 else trade


def _later_version(trade: Trade, ts: int, *, cancel: bool) -> Trade:
    if cancel:
        return Trade(source=trade.source, trade_id=trade.trade_id, version=2, action="cancel", received_ts=ts)
    price = trade.price + ONE // 100
    cash = trade.cash // trade.price * price
    return msgspec.structs.replace(
        trade, version=2, action="amend", price=price, cash=cash, fill_price=price / ONE, booked_ts=ts, received_ts=ts
    )


def make_store(url: str, count: int) -> None:
    """Fill an empty store; leave a store from an earlier call unchanged."""
    store = open_store(url)
    try:
        held = store.counts().trades
        if held >= count:
            return
        assert not held, f"{url} holds {held} trades, not 0, and fewer than {count}: name another store"
        maker = Maker()
        reference = maker.reference
        store.save_nodes(reference.hierarchy.nodes)
        store.save_instruments(maker.instruments)
        marks = maker.marks(range(len(maker.instruments)))
        store.save_marks([StoredMark(maker.instruments[n].instrument, NOW, mark.price) for n, mark in marks.items()])
        for part in trades_of(maker, count):
            store.append_trades(part)
    finally:
        store.close()


# -- one start ---------------------------------------------------------------------------------------------------


class Watch:
    """The usage of a start's processes, sampled twenty times a second until `stop`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.together_mb = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            resident = [_status_mb(pid, "VmRSS") for pid in [self.pid, *_children(self.pid)]]
            self.together_mb = max(self.together_mb, sum(resident))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        found: list[int] = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
        return [each for child in found for each in (child, *_children(child))]
    return []


def _status_mb(pid: int, line: str) -> float:
    with contextlib.suppress(OSError):
        for text in Path(f"/proc/{pid}/status").read_text().splitlines():
            if text.startswith(f"{line}:"):
                return int(text.split()[1]) * 1_024 / 1e6
    return 0.0


def _cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds of a process and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    own, children = (int(fields[11]) + int(fields[12])) / tick, (int(fields[13]) + int(fields[14])) / tick
    return {"engine": own, "children": children}


def start_once(url: str) -> dict[str, Any]:
    """Start the real server, wait until it is live, stop it; return the measurements."""
    command = [sys.executable, "-m", "riskengine.cli", "serve", "--store", url, "--port", "0"]
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as server:
            watch = Watch(server.pid)
            try:
                assert server.stdout is not None
                line = server.stdout.readline()
                answering = time.monotonic() - began
                assert line, "the engine did not start: " + _tail(log)
                address = line.split()[-1]
                while not is_ready(address):
                    assert time.monotonic() - began < LIMIT_S and server.poll() is None, "not live: " + _tail(log)
                    time.sleep(0.02)
                took = time.monotonic() - began
                cpu = _cpu_s(server.pid)
                return {
                    "s": round(took, 2),
                    "answers_after_s": round(answering, 2),
                    "cpu_s": cpu,
                    "peak_mb": round(_status_mb(server.pid, "VmHWM")),
                    "together_mb": round(watch.together_mb),
                    "log": _live_line(log),
                }
            finally:
                watch.stop()
                server.send_signal(signal.SIGINT)
                server.wait(60)


def _tail(log: Any) -> str:
    log.seek(0)
    return str(log.read()[-2_000:])


def _live_line(log: Any) -> dict[str, Any]:
    """The engine's own report of its start."""
    log.seek(0)
    lines = [json.loads(line) for line in log.read().splitlines() if line.startswith("{")]
    return next((line for line in lines if line.get("event") == "live"), {})


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "min": min(values), "max": max(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the time from `riskengine serve` to /readyz 200.")
    parser.add_argument("--store", metavar="URL", help="empty, or made by an earlier call; default: SQLite in a temporary folder")
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        url = asked.store or f"sqlite:///{folder}/bench.db"
        make_store(url, asked.trades)
        runs = [start_once(url) for _ in range(asked.runs)]
    seconds, peak = _spread([run["s"] for run in runs]), _spread([run["peak_mb"] for run in runs])
    kind = url.partition(":")[0]
    met = seconds["median"] <= TARGET_S[kind] and peak["median"] <= TARGET_MB
    print(
        json.dumps(
            {
                "bench": "start",
                "machine": machine(),
                "store": kind,
                "trades": asked.trades,
                "positions": POSITIONS,
                "leaves": LEAVES,
                "currencies": len(CURRENCIES) + 1,
                "seconds": seconds,
                "peak_mb": peak,
                "target": {"seconds": TARGET_S[kind], "peak_mb": TARGET_MB},
                "met": met,
                "runs": runs,
            },
            indent=2,
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
