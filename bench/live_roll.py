"""Measures what a roll costs a live engine: `python -m bench.live_roll`, for four minutes, on a day from Monday to Friday.

The real server runs on loopback with the book of `bench/book.py`, 300,000 positions, while a publisher sends 10,000 ticks a
second and single trades come at a steady rate. The boundary of its trading day is set to one of the next minutes. The server
notes when it publishes, and the pauses of the garbage collector, in files that `sitecustomize` writes. With `--states` it also
makes the state of the close before, which a start shortly before the roll leaves to do.

Prints one JSON object: gaps between publications and acknowledgement times (p50, p99, the longest) in the 20 s before the roll,
during it and 20 s after it; the longest pauses of the collector; when the close was stored. Exit status 1 if a beat came more
than 50 ms late during the roll, or the p99 of acknowledgements is above 100 ms, or the close was stored after more than 3 s.
"""

import argparse
import asyncio
import datetime as dt
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.book import INSTRUMENTS, POSITIONS, Maker
from bench.latency import ROOT, Poster, get, is_ready, machine, publish_ticks, quantiles
from bench.renewal import CLIENTS, PARTS, Dealing
from bench.start import make_store

BEAT_MS = 100.0
TOLERANCE_S = 5.0
AROUND_S = 20.0
"""What is measured before the roll and after it."""
START_S = 60.0
"""Time for a start, and for what follows it."""
LIMIT_S = 120.0
TARGET = {"late_ms": 50.0, "answer_p99_ms": 100.0, "stored_s": 3.0}

NOTES = """
import gc, os, struct, time
from riskengine.snapshot.snapshot import SnapshotHistory
from riskengine.store.sql_store import SqlStore

folder = os.environ["ROLL_NOTES"]
notes = {name: os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND) for name in ("published", "paused", "stored")}
publish, save = SnapshotHistory.publish, SqlStore.save_struck_close
begun = 0.0

def noting(self, snapshot):
    publish(self, snapshot)
    os.write(notes["published"], struct.pack("d", time.time()))

def saving(self, close):
    save(self, close)
    os.write(notes["stored"], struct.pack("d", time.time()))

def collecting(phase, info):
    global begun
    now = time.perf_counter()
    if phase == "start":
        begun = now
    else:
        os.write(notes["paused"], struct.pack("ddd", time.time(), now - begun, info["generation"]))

SnapshotHistory.publish, SqlStore.save_struck_close = noting, saving
gc.callbacks.append(collecting)
"""


class Server:
    """The real server with a boundary of the day that is near, and what it notes."""

    def __init__(self, folder: Path, store: str, *, states: bool) -> None:
        self.folder = folder
        now = dt.datetime.now(dt.UTC)
        self.boundary = (now + dt.timedelta(seconds=START_S + AROUND_S + 60)).replace(second=0, microsecond=0)
        assert self.boundary.weekday() < 5, "the engine has no roll on a Saturday or a Sunday"
        day = f'day_boundary = "{self.boundary:%H:%M}"\nday_zone = "UTC"\ntolerance_s = {TOLERANCE_S}'
        (folder / "bench.toml").write_text(f"[engine]\n{day}\nstart_from_close = {str(states).lower()}\n")
        (folder / "sitecustomize.py").write_text(NOTES)
        (folder / "notes").mkdir()
        self.log = folder / "log"
        command = [sys.executable, "-m", "riskengine.cli", "serve", "--store", store, "--port", "0"]
        paths = {"PYTHONPATH": f"{folder}:{ROOT}", "ROLL_NOTES": str(folder / "notes")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(folder / "bench.toml")],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | paths,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the engine did not start: " + self.log.read_text()[-2_000:]
        self.url = line.split()[-1]
        while not is_ready(self.url):
            assert self.process.poll() is None, self.log.read_text()[-2_000:]
            time.sleep(0.1)

    def noted(self, name: str, size: int = 1) -> list[tuple[float, ...]]:
        """The notes of one kind, oldest first, each of `size` numbers."""
        return [*struct.iter_unpack("d" * size, (self.folder / "notes" / name).read_bytes())]

    def event(self, name: str) -> dict[str, Any] | None:
        """The newest line of the log of one kind."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return next((line for line in reversed(lines) if line.get("event") == name), None)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


async def deal_through(server: Server, per_s: float) -> tuple[dict[str, list[float]], dict[str, tuple[float, float]]]:
    """Post trades until after the roll. The acknowledgement times, and from when to when each part lasted."""
    due = server.boundary.timestamp() + TOLERANCE_S
    assert time.time() < due - AROUND_S, "the start took too long: the boundary is too near"
    await asyncio.sleep(due - AROUND_S - time.time())
    host = server.url.removeprefix("http://")
    name, _, port = host.rpartition(":")
    posters: asyncio.Queue[Poster] = asyncio.Queue()
    for _ in range(CLIENTS):
        posters.put_nowait(Poster(*await asyncio.open_connection(name, int(port)), host))
    dealing = Dealing(posters)
    posting = asyncio.create_task(dealing.run(per_s))
    await asyncio.sleep(due - time.time())
    dealing.part = "during"
    while server.event("close_struck") is None:
        assert time.time() < due + LIMIT_S, "no close was struck: " + server.log.read_text()[-2_000:]
        await asyncio.sleep(0.05)
    ended = time.time()
    dealing.part = "after"
    await asyncio.sleep(AROUND_S)
    posting.cancel()
    bounds = {"before": (due - AROUND_S, due), "during": (due, ended), "after": (ended, ended + AROUND_S)}
    return dealing.answers, bounds


def report(server: Server, answers: dict[str, list[float]], bounds: dict[str, tuple[float, float]]) -> dict[str, Any]:
    published = [each[0] for each in server.noted("published")]
    pauses = [(ts, seconds, int(generation)) for ts, seconds, generation in server.noted("paused", 3)]
    found: dict[str, Any] = {}
    for part in PARTS:
        begin, end = bounds[part]
        gaps = [after - before for before, after in pairwise(published) if begin <= before < end]
        longest = sorted((round(seconds * 1e3, 1), generation) for ts, seconds, generation in pauses if begin <= ts < end)[-3:]
        found[part] = {
            "seconds": round(end - begin, 1),
            "gap_ms": quantiles(gaps),
            "answer_ms": quantiles(answers[part]) | {"count": len(answers[part])},
            "collector_ms_generation": longest,
        }
    due = bounds["during"][0]
    found["stored_s"] = round(next(ts for (ts,) in server.noted("stored") if ts > due) - due, 2)
    return found


def run(url: str, ticks: int, trades: float, *, states: bool) -> dict[str, Any]:
    """One roll."""
    with tempfile.TemporaryDirectory(prefix="bench-live-roll-") as folder:
        server = Server(Path(folder), url, states=states)
        symbols = [each.instrument for each in Maker().instruments]
        arguments = (server.url, ticks, symbols, 1.0)
        feed = multiprocessing.get_context("spawn").Process(target=publish_ticks, args=arguments, daemon=True)
        feed.start()
        try:
            found = report(server, *asyncio.run(deal_through(server, trades)))
            assert get(server.url, "/v1/status")["ticks"]["accepted"] > 0, "no tick was taken"
            return found
        finally:
            feed.terminate()
            feed.join()
            server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure beats and acknowledgements of a live engine during a roll.")
    parser.add_argument("--store", metavar="URL", help="empty, or made by bench.start; default: SQLite in a temporary folder")
    parser.add_argument("--ticks", type=int, default=10_000, help="a second")
    parser.add_argument("--trades", type=float, default=20.0, help="a second")
    parser.add_argument("--states", action="store_true", help="let the engine make the state of a close beside the roll")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-live-roll-") as folder:
        url = asked.store or f"sqlite:///{folder}/bench.db"
        make_store(url, POSITIONS)
        found = run(url, asked.ticks, asked.trades, states=asked.states)
    during = found["during"]
    met = (
        during["gap_ms"]["max"] <= BEAT_MS + TARGET["late_ms"]
        and during["answer_ms"]["p99"] <= TARGET["answer_p99_ms"]
        and found["stored_s"] <= TARGET["stored_s"]
    )
    head = {"bench": "live_roll", "machine": machine(), "positions": POSITIONS, "instruments": INSTRUMENTS}
    print(json.dumps({**head, **found, "target": TARGET, "met": met}, indent=2))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
