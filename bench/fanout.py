"""Measures the stream with a thousand screens, on server and clients, as processes: `python -m bench.fanout SCENARIO`.

load       1,000 clients at 2 Hz with two subscriptions each (the tree and one of several ladders), 100,000 ticks/s and 500
           trades/s over the wire; a probe whose ladder changes by its own trades only
broadcast  2,000 clients, 10 Hz, patches of 2 KB: the engine, a bare picows broadcast of the same bytes, a plain uvicorn one
idle       5,000 connections without traffic: memory of the server for each
growth     `load`, shorter, with 100 to 5,000 clients and with 1, 10 and 100 distinct ladders
all        everything, `--runs` times each

Prints one line of JSON on stdout for each run, and a table on stderr at the end (medians with lowest and highest); `--write FILE`
writes the table as Markdown. Under `load` the bulk clients run at a lower priority than server and probe: in production they have
their own machines. Every client process reports its own usage; a figure marked `saturated` measures the client, not the server.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.fanout_house import Engine, Usage, end, engine, raise_limit, resident_bytes, views
from bench.fanout_table import rows_of, table
from bench.latency import ROOT, machine

WARM_UP_S = 3.0
NICE = 10
CONNECTING_S = 120.0

Options = dict[str, Any]


# -- clients as processes ----------------------------------------------------------------------------------------


class Crew:
    """Client processes, connected and waiting for the measurement window."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def add(self, role: str, module: str = "bench.fanout_clients", **options: Any) -> None:
        """Start a client process; return once it has connected."""
        command = [sys.executable, "-m", module, role, json.dumps(options)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{role} has ended"

    def measure(self, seconds: float, meanwhile: Callable[[], Any] | None = None) -> list[dict[str, Any]]:
        """Run all clients; return the report of each for `seconds` after a warm-up. Calls `meanwhile` during the measurement."""
        first = time.time() + WARM_UP_S
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps([int(first * 1e6), int((first + seconds) * 1e6)]) + "\n")
            process.stdin.flush()
        if meanwhile is not None:
            meanwhile()
        said = []
        for process in self.processes:
            assert process.stdout is not None
            said.append(json.loads(process.stdout.readline()))
        return said

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


@contextlib.contextmanager
def crew() -> Iterator[Crew]:
    made = Crew()
    try:
        yield made
    finally:
        made.close()


class Server:
    """The usage and work of the server between two moments of a measurement."""

    def __init__(self, served: Engine) -> None:
        self.served = served
        self.usage: Usage
        self.found: dict[str, Any] = {}

    def watch(self, seconds: float) -> None:
        time.sleep(WARM_UP_S)
        before, usage = self.served.counts(), Usage(self.served.pid)
        time.sleep(seconds - 0.2)
        self.found = usage.read()
        after = self.served.counts()
        took = after["at"] - before["at"]
        for name, key in (("ticks_per_s", "ticks"), ("trades_per_s", "trades"), ("snapshots_per_s", "seq")):
            self.found[name] = round((after[key] - before[key]) / took)


def add_screens(clients: Crew, asked: argparse.Namespace, number: int, **options: Any) -> None:
    """Add `number` screens, distributed over the processes."""
    for place in range(asked.processes):
        share = number // asked.processes + (place < number % asked.processes)
        if share:
            clients.add("screens", clients=share, **options)


# -- scenarios ---------------------------------------------------------------------------------------------------


def load(
    asked: argparse.Namespace, clients: int | None = None, ladders: int | None = None, seconds: float | None = None
) -> Options:
    """Many screens under load."""
    number, distinct, lasting = clients or asked.clients, ladders or asked.ladders, seconds or asked.seconds
    watched = [[{"view": "nodes"}, {"view": "ladder", **ladder}] for ladder in views(distinct)]
    with engine() as served, crew() as working:
        add_screens(working, asked, number, url=served.url, max_hz=asked.hz, views=watched, nice=NICE)
        if asked.ticks:
            working.add("feed", url=served.url, ticks_per_s=asked.ticks, frame=asked.frame, nice=NICE // 2)
        if asked.trades:
            working.add("dealers", url=served.url, trades_per_s=asked.trades, over=asked.over, nice=NICE // 2)
        working.add("probe", url=served.url, trades_per_s=asked.probe)
        server = Server(served)
        said = working.measure(lasting, lambda: server.watch(lasting))
    return {"clients": number, "ladders": distinct, "hz": asked.hz, "seconds": lasting, "server": server.found, "processes": said}


def broadcast(asked: argparse.Namespace) -> Options:
    """The engine, then the yardsticks with the bytes of one of the engine's updates."""
    number, lasting = asked.clients if asked.clients_given else 2_000, asked.seconds
    options: Options = {"max_hz": 10, "views": [[{"view": "ladder", "node": "CAST"}]], "sample": True}
    found: Options = {"clients": number, "hz": 10, "seconds": lasting}
    with engine() as served, crew() as working:
        add_screens(working, asked, number, url=served.url, **options)
        working.add("feed", url=served.url, symbols="cast", ticks_per_s=700, frame=7)
        server = Server(served)
        said = working.measure(lasting, lambda: server.watch(lasting))
        found["engine"] = {"server": server.found, "processes": said}
    payload = said[0]["sample"]
    found["bytes"] = len(payload)
    for kind in ("picows", "uvicorn"):
        with yardstick(kind, payload) as (url, pid), crew() as working:
            add_screens(working, asked, number, url=url, **options)
            used: dict[str, Any] = {}

            def watch(pid: int = pid, used: dict[str, Any] = used) -> None:
                time.sleep(WARM_UP_S)
                usage = Usage(pid)
                time.sleep(lasting - 0.2)
                used.update(usage.read())

            found[kind] = {"processes": working.measure(lasting, watch), "server": used}
    for said in (found["engine"], found["picows"], found["uvicorn"]):
        for client in said["processes"]:
            client.pop("sample", None)
    for name in ("p50", "p99"):
        found[f"ratio_{name}"] = round(worst(found["engine"], name) / worst(found["picows"], name), 2)
    return found


def worst(run: Options, name: str) -> float:
    return float(max(process["as_of_to_received_ms"][name] for process in run["processes"] if process["role"] == "screens"))


@contextlib.contextmanager
def yardstick(kind: str, payload: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "bench.broadcast_servers", kind]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdin is not None and server.stdout is not None
            server.stdin.write(json.dumps({"payload": payload, "hz": 10}) + "\n")
            server.stdin.flush()
            yield server.stdout.readline().strip(), server.pid
        finally:
            end(server)


def idle(asked: argparse.Namespace) -> Options:
    """Connections without a subscription, then as many with a ladder that does not change."""
    number = asked.clients if asked.clients_given else 5_000
    found: Options = {"clients": number}
    for kind, watched in (("connected", []), ("subscribed", [{"view": "ladder", "node": "PROBE"}])):
        with engine() as served, crew() as working:
            working.add("screens", url=served.url, clients=200, views=[watched])  # allocations that happen once
            time.sleep(1.0)
            before = resident_bytes(served.pid)
            working.add("screens", url=served.url, clients=number, views=[watched], nice=NICE)
            server = Server(served)
            said = working.measure(asked.seconds, lambda server=server: server.watch(asked.seconds))  # type: ignore[misc]
            taken = resident_bytes(served.pid) - before
        found[kind] = {
            "kib_each": round(taken / number / 1024, 1),
            "server": server.found,
            "lost": sum(client["lost"] for client in said),
        }
    return found


GROWTH_CLIENTS = (100, 500, 1_000, 2_000, 5_000)
GROWTH_LADDERS = (1, 10, 100)


def growth(asked: argparse.Namespace) -> Iterator[Options]:
    seconds = min(asked.seconds, 10.0)
    for number in GROWTH_CLIENTS:
        yield {**load(asked, clients=number, seconds=seconds), "grows": "clients"}
    for distinct in GROWTH_LADDERS:
        yield {**load(asked, ladders=distinct, seconds=seconds), "grows": "ladders"}


def runs(asked: argparse.Namespace) -> Iterator[Options]:
    """Do every requested run; yield each result."""
    names = ("load", "broadcast", "idle", "growth") if asked.scenario == "all" else (asked.scenario,)
    for name in names:
        for run in range(asked.runs):
            if name == "growth":
                for found in growth(asked):
                    yield {"bench": "fanout", "scenario": name, "run": run, **found}
            else:
                found = {"load": load, "broadcast": broadcast, "idle": idle}[name](asked)
                yield {"bench": "fanout", "scenario": name, "run": run, **found}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the stream with many clients; server and clients are processes.")
    parser.add_argument("scenario", choices=["load", "broadcast", "idle", "growth", "all"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--clients", type=int, help="default: 1000 (load), 2000 (broadcast), 5000 (idle)")
    parser.add_argument("--ladders", type=int, default=10, help="distinct ladders that clients watch")
    parser.add_argument("--hz", type=float, default=2.0)
    parser.add_argument("--ticks", type=int, default=100_000, help="a second")
    parser.add_argument("--frame", type=int, default=100, help="ticks in a frame")
    parser.add_argument("--trades", type=int, default=500, help="a second")
    parser.add_argument("--over", choices=["http", "ingest"], default="http", help="how trades are sent")
    parser.add_argument("--probe", type=float, default=20.0, help="trades of the probe a second")
    parser.add_argument("--processes", type=int, default=1, help="processes that share the screens")
    parser.add_argument("--write", metavar="FILE", type=Path, help="the table as Markdown")
    asked = parser.parse_args(arguments)
    asked.clients_given, asked.clients = asked.clients is not None, asked.clients or 1_000
    raise_limit()
    found, here = [], machine()
    for run in runs(asked):
        print(json.dumps(run), flush=True)
        found.append(run)
    text = table(found, here)
    print(text, file=sys.stderr)
    if asked.write is not None:
        asked.write.write_text(text + "\n")
    return 0 if all(row.met for row in rows_of(found)) else 1


if __name__ == "__main__":
    sys.exit(main())
