"""Measures checks before a trade over HTTP: `python -m bench.checks`.

50 clients, one connection each, ask `POST /v1/check` at fixed times, 500 a second in total, while 10,000 ticks/s come in. A check
meets the two rules that always hold and four limits: price band, size, position and net exposure. The time of a check runs from
when it was due (not when it was sent) to its answer. Beside it stands the processor time of the server for one check: that of all
its threads, less what they use for the ticks alone. Prints one JSON object; exit status 1 if the target is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from bench.acknowledge import connect, trade
from bench.latency import SYMBOLS, WARM_UP_S, get, load, machine, publish_ticks, quantiles, serving, ticks_taken

CLIENTS, PER_S = 50, 500.0
TARGET_P99_MS = 2.0
IDLE_S = 5.0
"""How long the processor time of ticks alone is measured."""

LIMITS = [
    {"limit_id": "BAND", "measure": "price_band", "level": "desk", "limit": 100},
    *(
        {"limit_id": f"SIZE-{name}", "measure": "trade_quantity", "node": "ALL", "instrument": name, "limit": 1e6}
        for name in SYMBOLS
    ),
    *({"limit_id": f"HELD-{name}", "measure": "quantity", "node": "ALL", "instrument": name, "limit": 1e9} for name in SYMBOLS),
    {"limit_id": "NET", "measure": "net_exposure", "level": "desk", "limit": 1e12},
]


def post(url: str, path: str, body: Any) -> Any:
    request = Request(url + path, msgspec.json.encode(body), {"Content-Type": "application/json"}, method="POST")
    with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
        return json.loads(answer.read())


def processor_s(pid: int) -> float:
    """Processor time that a process has used, all threads, user and system. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(url: str, seconds: float) -> list[float]:
    """The times of all checks, of clients that keep their beat."""
    took: list[float] = []
    started = time.perf_counter()

    async def client(number: int) -> None:
        poster, due = await connect(url), started + number / PER_S
        poster.head = poster.head.replace("/v1/trades", "/v1/check")
        body = msgspec.json.encode(trade(number))
        while due < started + WARM_UP_S + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = json.loads(await poster.send(body))
            assert answer["outcome"] == "pass" and len(answer["rules"]) == 6, answer
            if due > started + WARM_UP_S:
                took.append(time.perf_counter() - due)
            due += CLIENTS / PER_S

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return took


def measure(url: str, seconds: float) -> dict[str, Any]:
    assert post(url, "/v1/limits", LIMITS)["counts"]["applied"] == len(LIMITS)
    pid = int(get(url, "/v1/status")["pid"])
    before, ticks = processor_s(pid), ticks_taken(url)
    time.sleep(IDLE_S)
    idle, per_s = processor_s(pid) - before, (ticks_taken(url) - ticks) / IDLE_S
    before, began = processor_s(pid), time.perf_counter()
    took = asyncio.run(ask(url, seconds))
    used, passed = processor_s(pid) - before, time.perf_counter() - began
    asked = PER_S * (seconds + WARM_UP_S)
    return {
        "clients": CLIENTS,
        "checks_per_s": round(len(took) / seconds),
        "ticks_per_s": round(per_s),
        "answer_ms": quantiles(took),
        "processor_ms_a_check": round((used - idle / IDLE_S * passed) / asked * 1_000, 3),
        "processor_share_of_ticks": round(idle / IDLE_S, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure checks before a trade over HTTP.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--ticks", type=int, default=10_000, help="a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-checks-") as folder, serving(load(Path(folder))) as url:
        feed = multiprocessing.get_context("spawn").Process(target=publish_ticks, args=(url, asked.ticks), daemon=True)
        feed.start()
        try:
            while not ticks_taken(url):
                time.sleep(0.05)
            time.sleep(1.0)
            result = measure(url, asked.seconds)
        finally:
            feed.terminate()
            feed.join()
    met = result["answer_ms"]["p99"] <= TARGET_P99_MS
    print(json.dumps({"bench": "checks", "machine": machine(), **result, "target_p99_ms": TARGET_P99_MS, "met": met}, indent=2))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
