"""The house of the fan-out bench (20 desks, 80 dealers, 60 instruments), and the engine that serves it, as a process.

Desk PROBE holds instruments without new quotes after the start: only trades change its ladder. Desk CAST holds seven instruments
that only some scenarios quote: their patch has about 2 KB.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from bench.latency import ROOT, get, is_ready

DESKS = [f"DESK{number:02}" for number in range(20)]
DEALERS = [f"dealer{number:02}" for number in range(80)]
QUOTED = [f"STOCK{number:02}" for number in range(40)]
CAST, QUIET = [f"CAST{number}" for number in range(7)], [f"QUIET{number}" for number in range(14)]
BOOKS = 4
AHEAD_S = 50.0
"""First prices are dated this far ahead, within the engine's limit, and stay fresh that much longer."""


def views(count: int) -> list[dict[str, str]]:
    """`count` distinct ladders, desks first."""
    ladders = [{"node": desk} for desk in DESKS] + [{"dealer": dealer} for dealer in DEALERS]
    assert 1 <= count <= len(ladders), f"there are {len(ladders)} ladders"
    return ladders[:count]


def trade(trade_id: str, instrument: str, desk: str, dealer: str) -> dict[str, Any]:
    return {
        "trade_id": trade_id,
        "ts": time.time_ns() // 1_000,
        "instrument": instrument,
        "desk": desk,
        "dealer": dealer,
        "side": "buy",
        "quantity": "100",
        "price": "100.01",
    }


def first_trades() -> list[dict[str, Any]]:
    """One trade for each position: the desks and dealers hold the quoted instruments, CAST and PROBE their own."""
    made = []
    for place, desk in enumerate(DESKS):
        for number, symbol in enumerate(QUOTED):
            made.append(trade(f"first-{desk}-{symbol}", symbol, desk, DEALERS[(place * len(QUOTED) + number) % len(DEALERS)]))
    made += [trade(f"first-{symbol}", symbol, "CAST", "cast") for symbol in CAST]
    made += [trade(f"first-{symbol}", symbol, "PROBE", "probe") for symbol in QUIET]
    return made


def load(folder: Path) -> str:
    """Make a store with the house; return its URL."""
    nodes, instruments, store = folder / "nodes.csv", folder / "instruments.csv", f"sqlite:///{folder / 'bench.db'}"
    lines = ["ALL,total,", *(f"BOOK{book},book,ALL" for book in range(BOOKS)), "CAST,desk,BOOK0", "PROBE,desk,BOOK0"]
    lines += [f"{desk},desk,BOOK{place % BOOKS}" for place, desk in enumerate(DESKS)]
    nodes.write_text("\n".join(["node,level,parent", *lines, ""]))
    lines = [f"{symbol},equity,USD,2,0" for symbol in (*QUOTED, *CAST, *QUIET)]
    instruments.write_text("\n".join(["instrument,kind,quote_currency,price_decimals,quantity_decimals", *lines, ""]))
    for kind, path in (("nodes", nodes), ("instruments", instruments)):
        command = [sys.executable, "-m", "riskengine.cli", "load", kind, str(path), "--store", store]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store


def post(url: str, path: str, body: Any) -> Any:
    request = Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.loads(answer.read())


def prime(url: str) -> None:
    """Post prices for all instruments, then the first trades."""
    ts = int((time.time() + AHEAD_S) * 1e6)
    quiet = [{"instrument": symbol, "ts": ts, "bid": 100.0, "ask": 100.02} for symbol in QUIET]
    moving = [{"instrument": symbol, "ts": time.time_ns() // 1_000, "bid": 100.0, "ask": 100.02} for symbol in (*QUOTED, *CAST)]
    assert post(url, "/v1/ticks", quiet + moving)["accepted"] == len(quiet) + len(moving)
    trades = first_trades()
    for first in range(0, len(trades), 200):
        part = trades[first : first + 200]
        assert post(url, "/v1/trades", part)["counts"]["applied"] == len(part)


def raise_limit() -> None:
    """Raise the limit on open sockets to the maximum, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Engine:
    """The running server."""

    def __init__(self, url: str, pid: int, log: Path) -> None:
        self.url = url
        self.pid = pid
        self.log = log

    def counts(self) -> dict[str, float]:
        """The counts of ticks and trades so far."""
        said = get(self.url, "/v1/status")
        return {"at": time.time(), "seq": said["seq"], "ticks": said["ticks"]["accepted"], "trades": said["counts"]["applied"]}


@contextlib.contextmanager
def engine(settings: str = "") -> Iterator[Engine]:
    """Run the engine, live and primed, on its own store. `settings` is TOML."""
    with tempfile.TemporaryDirectory(prefix="bench-fanout-") as name:
        folder = Path(name)
        store, log, config = load(folder), folder / "log", folder / "bench.toml"
        config.write_text(settings)
        command = [sys.executable, "-m", "riskengine.cli", "serve", "--config", str(config), "--store", store, "--port", "0"]
        with (
            log.open("w") as stderr,
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as server,
        ):
            try:
                assert server.stdout is not None
                url = server.stdout.readline().split()[-1]
                deadline = time.monotonic() + 30
                while not is_ready(url):
                    assert time.monotonic() < deadline and server.poll() is None, log.read_text()[-2_000:]
                    time.sleep(0.05)
                prime(url)
                yield Engine(url, server.pid, log)
                assert server.poll() is None, "the engine has ended: " + log.read_text()[-2_000:]
            finally:
                end(server)


def end(server: "subprocess.Popen[str]") -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(10)


# -- usage of a process ------------------------------------------------------------------------------------------


class Usage:
    """Processor time of a process since creation of this object, from `/proc`: of all threads, and of the event loop's alone."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._before = time.monotonic(), *self._seconds()

    def _seconds(self) -> tuple[float, float]:
        return tuple(_processor_s(f"/proc/{self.pid}/{place}") for place in ("", f"task/{self.pid}/"))  # type: ignore[return-value]

    def read(self) -> dict[str, float]:
        """Per cent of one core since creation, and resident memory now."""
        then, whole, loop = self._before
        took, (whole_now, loop_now) = time.monotonic() - then, self._seconds()
        return {
            "cpu_percent": round(100 * (whole_now - whole) / took, 1),
            "loop_cpu_percent": round(100 * (loop_now - loop) / took, 1),
            "resident_mb": round(resident_bytes(self.pid) / 1e6, 1),
        }


def _processor_s(folder: str) -> float:
    fields = Path(folder, "stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99, max; microseconds in, milliseconds out."""
    ordered = sorted(values)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e3, 2) for name, share in shares.items()}
