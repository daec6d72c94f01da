"""Measures how much bad clients slow down healthy ones: `python -m bench.bad_clients`.

300 healthy clients (at 2 Hz, with the tree and a ladder each) work under 20,000 ticks/s and 200 trades/s, alone and among 50
clients that never read, 50 that read 20 KB a second, 50 that break off in the middle of a frame and 50 that send garbage. The
measurements alternate: a machine that slows down affects both. Prints one JSON object; exit status 1 if a bound is missed.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from bench.fanout import NICE, Server, crew
from bench.fanout_house import Engine, engine, raise_limit, resident_bytes, views

STUCK_GONE_S = 10.0
SLOW_OLDEST_MS = 5_000.0
MORE_P99 = 1.10
MORE_MB = 150.0


def among(served: Engine, healthy: int, each: int, seconds: float, ticks: int, trades: int) -> dict[str, Any]:
    """One measurement with `each` bad clients of every kind (0: none)."""
    watched = [[{"view": "nodes"}, {"view": "ladder", **ladder}] for ladder in views(10)]
    with crew() as working:
        working.add("screens", url=served.url, clients=healthy, max_hz=2.0, views=watched, nice=NICE)
        working.add("feed", url=served.url, ticks_per_s=ticks, frame=100, nice=NICE // 2)
        working.add("dealers", url=served.url, trades_per_s=trades, over="http", nice=NICE // 2)
        working.add("probe", url=served.url, trades_per_s=8)
        if each:
            working.add("bad", url=served.url, each=each, views=[{"view": "nodes"}, {"view": "ladder"}], nice=NICE)
        before, server = resident_bytes(served.pid), Server(served)
        said = {client["role"]: client for client in working.measure(seconds, lambda: server.watch(seconds))}
        grown = (resident_bytes(served.pid) - before) / 1e6
    return {"said": said, "server": server.found, "grown_mb": round(grown, 1)}


def faults(found: dict[str, Any]) -> list[str]:
    """The faults of a measurement among bad clients, except times."""
    bad, healthy = found["said"]["bad"], found["said"]["screens"]
    wrong = {
        "healthy clients were lost": healthy["lost"] > 0,
        "stuck clients are still connected": bad["stuck_gone"] < bad["each"],
        f"a stuck client was connected for more than {STUCK_GONE_S:g} s": (bad["stuck_gone_after_s"] or 0.0) > STUCK_GONE_S,
        "slow clients received no count of skipped snapshots": not bad["slow_conflated"],
        f"a slow client saw values older than {SLOW_OLDEST_MS:g} ms": bad["slow_oldest_ms"] > SLOW_OLDEST_MS,
        "a slow client's chain of updates was broken": bad["broken_chains"] > 0,
        f"the server grew by more than {MORE_MB:g} MB": found["grown_mb"] > MORE_MB,
    }
    return [what for what, holds in wrong.items() if holds]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure how much bad clients slow down healthy ones.")
    parser.add_argument("--healthy", type=int, default=300)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ticks", type=int, default=20_000)
    parser.add_argument("--trades", type=int, default=200)
    asked = parser.parse_args(arguments)
    raise_limit()
    alone: list[tuple[float, float]] = []
    with_bad: list[tuple[float, float]] = []
    wrong: list[str] = []
    last: dict[str, Any] = {}
    for _ in range(asked.rounds):
        for each, times in ((0, alone), (asked.each, with_bad)):
            with engine() as served:  # a new engine each time: trade ids repeat
                found = among(served, asked.healthy, each, asked.seconds, asked.ticks, asked.trades)
            said = found["said"]
            times.append((said["screens"]["as_of_to_received_ms"]["p99"], said["probe"]["posted_to_patch_ms"]["p99"]))
            if each:
                wrong += faults(found)
                last = found
    medians = [[statistics.median(column) for column in zip(*times, strict=True)] for times in (alone, with_bad)]
    result: dict[str, Any] = {
        "prices_p99_ms": {"alone": medians[0][0], "among": medians[1][0], "ratio": round(medians[1][0] / medians[0][0], 2)},
        "trades_p99_ms": {"alone": medians[0][1], "among": medians[1][1], "ratio": round(medians[1][1] / medians[0][1], 2)},
        "runs": {"alone": alone, "among": with_bad},
        "bad": last["said"]["bad"],
        "server": last["server"],
        "grown_mb": last["grown_mb"],
        "wrong": sorted(set(wrong)),
    }
    print(json.dumps(result, indent=1))
    return 1 if wrong or result["prices_p99_ms"]["ratio"] > MORE_P99 else 0


if __name__ == "__main__":
    sys.exit(main())
