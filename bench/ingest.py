"""Measures the ticks a second of one publisher over one websocket, in frames of 100: `python -m bench.ingest`.

Server and publisher are processes; the publisher sends as fast as the server allows, first JSON, then msgpack. The figure is the
server's own count of accepted ticks. It also measures the usage of server and publisher, and the response times of `/healthz` and
a ladder, because a feed must not delay readers. Prints one JSON object; exit status 1 if the target is missed.
"""

import argparse
import json
import statistics
import sys
from typing import Any

from bench.fanout import Crew, Server, crew
from bench.fanout_house import engine
from bench.latency import machine

TARGET_PER_S = 400_000
AS_FAST_AS_IT_GOES = 5_000_000


def measure(packed: bool, frame: int, seconds: float, publishers: int, limit: int) -> dict[str, Any]:
    with engine(f"[ingest]\nticks_per_s = {limit}\n") as served, crew() as working:
        add_feeds(working, served.url, publishers, packed, frame)
        working.add("probe", url=served.url, trades_per_s=10)
        server = Server(served)
        said = working.measure(seconds, lambda: server.watch(seconds))
    return {"ticks_per_s": server.found.pop("ticks_per_s"), "server": server.found, "processes": said}


def add_feeds(working: Crew, url: str, publishers: int, packed: bool, frame: int) -> None:
    for _ in range(publishers):
        working.add("feed", url=url, ticks_per_s=AS_FAST_AS_IT_GOES // publishers, frame=frame, packed=packed)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure ticks a second over one websocket.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--frame", type=int, default=100, help="ticks in a frame")
    parser.add_argument("--publishers", type=int, default=1)
    parser.add_argument("--limit", type=int, default=0, help="[ingest] ticks_per_s of the server; 0: none")
    parser.add_argument("--only", choices=["json", "msgpack"])
    asked = parser.parse_args()
    result: dict[str, Any] = {"bench": "ingest", "machine": machine(), "target": TARGET_PER_S}
    for kind in (asked.only,) if asked.only else ("json", "msgpack"):
        runs = [measure(kind == "msgpack", asked.frame, asked.seconds, asked.publishers, asked.limit) for _ in range(asked.runs)]
        rates = [run["ticks_per_s"] for run in runs]
        result[kind] = {"ticks_per_s": statistics.median(rates), "lowest": min(rates), "highest": max(rates), "runs": runs}
    met = all(result[kind]["ticks_per_s"] >= TARGET_PER_S for kind in ("json", "msgpack") if kind in result)
    print(json.dumps({**result, "met": met}, indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
