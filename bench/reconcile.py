"""Measures reconciliation of 300,000 positions and 1 million trades beside live trading: `python -m bench.reconcile`.

The real server runs on the store of `bench/start.py` (made in a temporary folder, or at `--store`). The bench posts 50 trades a
second to six accounts whose ladders six clients watch, as in `bench/latency.py`, without ticks. Stretches with nothing else
alternate with stretches in which one reconciliation follows another (`POST /v1/reconcile`).

Prints one JSON object: the time of a run, by the engine's clock, and trade-to-patch with and without it; exit status 1 if the
median run takes longer than 5 s, or the p99 of trade-to-patch rises by more than 5 ms.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from bench.book import CURRENCIES, POSITIONS
from bench.latency import Watch, get, machine, measure, quantiles
from bench.renewal import start
from bench.start import make_store

ACCOUNTS = [f"L{number:05}" for number in range(6)]
PAIRS = [f"{code}USD" for code in CURRENCIES]
TRADES_PER_S = 50.0
TARGET_S = 5.0
TARGET_RISE_MS = 5.0
TIMEOUT_S = 120


def reconcile(url: str) -> dict[str, Any]:
    request = Request(url + "/v1/reconcile", data=b"{}", headers={"content-type": "application/json"}, method="POST")
    with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
        report: dict[str, Any] = json.loads(answer.read())
    assert report["clean"], report["breaks"][:3]
    return report


class Reconciling:
    """Runs one reconciliation after another on a thread, inside a `with` block."""

    def __init__(self, url: str) -> None:
        self.reports: list[dict[str, Any]] = []
        self._url = url
        self._stopping = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reconciling":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self.reports.append(reconcile(self._url))


def stretch(url: str, name: str, seconds: float) -> list[float]:
    """Trade-to-patch times of one stretch."""
    held = {
        (account, row["instrument"]): row["trade_count"]
        for account in ACCOUNTS
        for row in get(url, f"/v1/ladder?node={account}")["rows"]
    }
    return asyncio.run(measure(url, ACCOUNTS, TRADES_PER_S, seconds, PAIRS, Watch(name, held))).patch_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", metavar="URL", help="empty, or made by bench.start; default: SQLite in a temporary folder")
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each stretch")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    alone: list[float] = []
    beside: list[float] = []
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-reconcile-") as folder:
        url = asked.store or f"sqlite:///{folder}/bench.db"
        make_store(url, asked.trades)
        server, address = start(url, Path(folder))
        try:
            time.sleep(5.0)  # let the work after a start finish
            run = f"{time.time_ns()}"
            for number in range(asked.rounds):
                alone += stretch(address, f"{run}-alone-{number}", asked.seconds)
                with Reconciling(address) as reconciling:
                    beside += stretch(address, f"{run}-beside-{number}", asked.seconds)
                reports += reconciling.reports
        finally:
            server.terminate()
            server.wait(60)
    took = [report["took_ms"] / 1_000 for report in reports]
    figures = {"alone": quantiles(alone), "beside": quantiles(beside)}
    rise = figures["beside"]["p99"] - figures["alone"]["p99"]
    met = statistics.median(took) <= TARGET_S and rise <= TARGET_RISE_MS
    print(
        json.dumps(
            {
                "bench": "reconcile",
                "machine": machine(),
                "store": url.partition(":")[0],
                "trades": asked.trades,
                "positions": POSITIONS,
                "compared": reports[0]["compared"],
                "runs": len(took),
                "took_s": {"median": round(statistics.median(took), 2), "min": min(took), "max": max(took)},
                "trade_to_patch_ms": figures,
                "p99_rise_ms": round(rise, 2),
                "target": {"took_s": TARGET_S, "p99_rise_ms": TARGET_RISE_MS},
                "met": met,
            },
            indent=2,
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
