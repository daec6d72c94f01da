"""What the page costs a browser and its server: first numbers, a trade to its painted cell, every cell new ten times a second.

    python -m bench.screens [--rows 500] [--seconds 30] [--ticks 10000]
    python -m bench.screens --seconds 600          # the long run: what the heap grows by in ten minutes

An engine holds a position in each instrument; every price is new ten times a second, at `--ticks` a second in all, and the page
asks for ten updates a second. The browser shares the machine with engine and publisher, and draws without a graphics card: the
load of the machine stands beside the figures.
"""

import argparse
import contextlib
import gzip
import itertools
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import connect

from riskengine.clock import SystemClock
from riskengine.serve.page import BUILT
from tests.running import Server, command, running
from tests.web.browsing import chromium, wait_live

HZ = 10
TRACED_S = 20.0
"""How long tasks are traced: a trace takes memory."""
LONG_MS = 50
SCREEN = {"width": 1_600, "height": 1_000}
PREFERENCES = {"updatesPerSecond": HZ}
KEPT = f"localStorage.setItem('riskengine/local/preferences', JSON.stringify({json.dumps(PREFERENCES)}))"

NOTE_LONG_TASKS = """
    window.frames_ = 0;
    const count = () => { window.frames_ += 1; requestAnimationFrame(count); };
    count();
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration)))
        .observe({ entryTypes: ["longtask"] });
"""

TRADE_TO_CELL = """async (trade) => {
    const cell = () => document.querySelector('.ag-row[row-id="=S0000"] [col-id="quantity"]').textContent;
    const [before, began] = [cell(), performance.now()];
    const headers = { "content-type": "application/json" };
    let answered = 0;
    const posted = fetch("v1/trades", { method: "POST", body: JSON.stringify([trade]), headers })
        .then(() => { answered = performance.now() - began; });
    await new Promise((done) => {
        const look = () => cell() !== before && (watcher.disconnect(), requestAnimationFrame(done));  // the frame that paints it
        const watcher = new MutationObserver(look);
        watcher.observe(document.querySelector(".ag-root"), { subtree: true, childList: true, characterData: true });
    });
    const painted = performance.now() - began;
    await posted;
    return [painted, answered];
}"""


def symbol(number: int) -> str:
    """The name of an instrument."""
    return f"S{number:04}"


def trade(name: str, instrument: str) -> dict[str, Any]:
    """A deal of 100."""
    terms = {"desk": "D1", "dealer": "ann", "side": "buy", "quantity": "100", "price": "50"}
    return {"source": "bench", "trade_id": name, "ts": SystemClock().now(), "instrument": instrument} | terms


@contextlib.contextmanager
def engine(folder: Path, rows: int) -> Iterator[Server]:
    """An engine with a position in each of `rows` instruments."""
    (folder / "nodes.csv").write_text("node,level,parent\nALL,total,\nD1,desk,ALL\n")
    listed = "".join(f"{symbol(number)},equity,USD,2\n" for number in range(rows))
    (folder / "instruments.csv").write_text(f"instrument,kind,quote_currency,price_decimals\n{listed}")
    store = f"sqlite:///{folder}/desk.db"
    for kind in ("nodes", "instruments"):
        command("load", kind, folder / f"{kind}.csv", "--store", store)
    with running("serve", "--store", store, "--port", "0", log=folder / "log") as server:
        server.post("/v1/trades", [trade(f"open-{number}", symbol(number)) for number in range(rows)])
        yield server


@contextlib.contextmanager
def prices(server: Server, rows: int, ticks_a_second: int) -> Iterator[None]:
    """Every price new, ten times a second, by two-sided quotes of that rate, for the length of a block."""
    ended = threading.Event()
    numbers = itertools.cycle(range(rows))

    def publish() -> None:
        with connect(server.url.replace("http", "ws") + "/v1/ingest", proxy=None) as socket:
            due = time.monotonic()
            for count in itertools.count():
                due += 1 / HZ
                if ended.wait(max(0.0, due - time.monotonic())):
                    break
                now = SystemClock().now()
                ticks = [quote(next(numbers), count, now) for _ in range(max(rows, ticks_a_second // HZ))]
                socket.send(json.dumps({"ticks": ticks}))

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def quote(number: int, count: int, now: int) -> dict[str, Any]:
    """The quote of an instrument; every `count` has another one."""
    bid = 50 + (number * 7 + count * 3) % 200 / 100
    return {"instrument": symbol(number), "ts": now, "bid": bid, "ask": bid + 0.02, "source": "bench"}


def first_ladder(server: Server) -> float:
    """Milliseconds from the subscription to all rows of a ladder that nobody else watches, on a connection that is there."""
    with connect(server.url.replace("http", "ws") + "/v1/stream", proxy=None, max_size=None) as socket:
        socket.recv()
        began = time.perf_counter()
        socket.send(json.dumps({"op": "subscribe", "id": "l", "view": "ladder", "node": "D1"}))
        while b'"snapshot"' not in bytes(socket.recv(decode=False))[:40]:
            pass
        return (time.perf_counter() - began) * 1e3


def load() -> str:
    """What else the machine does."""
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def metrics(devtools: Any) -> dict[str, float]:
    """The browser's own account of the page."""
    return {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}


def heap(devtools: Any) -> float:
    """Megabytes in use after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    return metrics(devtools)["JSHeapUsedSize"] / 1e6


def main_thread_seconds() -> float:
    """Processor seconds of the busiest renderer's main thread: other programs on the machine do not count."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and b"--type=renderer" in (folder / "cmdline").read_bytes():
                fields = (folder / "task" / folder.name / "stat").read_text().rpartition(")")[2].split()
                found.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return max(found, default=0.0)


def traced_tasks(browser: Any, page: Any, seconds: float) -> list[float]:
    """Milliseconds of processor time of each task of the page's main thread, longest first.

    From a trace of the browser: what other programs take of the processors does not count.
    """
    browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    page.wait_for_timeout(seconds * 1_000)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"].get("name") == "CrRendererMain"
    }
    by_thread: dict[tuple[int, int], list[float]] = {}
    for each in events:
        if each["name"] == "RunTask" and each.get("ph") == "X" and (each["pid"], each["tid"]) in mains:
            by_thread.setdefault((each["pid"], each["tid"]), []).append(each.get("tdur", 0) / 1e3)
    return sorted(max(by_thread.values(), key=sum, default=[]), reverse=True)


def first_numbers(browser: Any, url: str) -> float:
    """Milliseconds from the request for the page to the first line of numbers, in a fresh profile."""
    context = browser.new_context(viewport=SCREEN, locale="en-US")
    page = context.new_page()
    page.add_init_script("addEventListener('load', () => 0);" + KEPT)
    page.goto(url, wait_until="commit")
    page.wait_for_function(
        "() => { if (!window.seen && document.querySelector('.line-row')) window.seen = performance.now(); return window.seen; }"
    )
    took: float = page.evaluate("() => window.seen")
    context.close()
    return took


def measure(browser: Any, server: Server, seconds: float) -> None:
    """Print the figures of one page."""
    context = browser.new_context(viewport=SCREEN, locale="en-US")
    page = context.new_page()
    page.add_init_script(KEPT + ";" + NOTE_LONG_TASKS)
    page.goto(f"{server.url}/#/ladder?node=D1")
    page.wait_for_selector(".line-row")
    wait_live(page)
    page.wait_for_timeout(3_000)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    page.evaluate("() => { window.longTasks.length = window.frames_ = 0; }")
    held = heap(devtools)
    began, before, worked = time.monotonic(), metrics(devtools), main_thread_seconds()
    page.wait_for_timeout(seconds * 1_000)
    after, passed, worked = metrics(devtools), time.monotonic() - began, main_thread_seconds() - worked
    tasks = page.evaluate("() => window.longTasks")

    def share(*names: str) -> str:
        return f"{sum(after[name] - before[name] for name in names) / passed:.0%}"

    print(f"main thread: {worked / passed:.0%} of a processor; by the clock {share('TaskDuration')} busy,")
    print(f"  script {share('ScriptDuration')}, layout and style {share('LayoutDuration', 'RecalcStyleDuration')}")
    print(f"{page.evaluate('() => window.frames_') / passed:.0f} frames a second")
    print(f"tasks over 50 ms: {len(tasks)} in {passed:.0f} s, longest {max(tasks, default=0):.0f} ms")
    traced = traced_tasks(browser, page, min(seconds, TRACED_S))
    longest, over = max(traced, default=0.0), sum(each > LONG_MS for each in traced)
    print(f"by processor time: {over} of {len(traced):,} tasks over {LONG_MS} ms, longest {longest:.0f} ms")
    print(f"heap {held:.1f} MB, {heap(devtools) - held:+.1f} MB after {passed:.0f} s")
    took = [page.evaluate(TRADE_TO_CELL, trade(f"live-{number}", symbol(0))) for number in range(100)]
    for what, times in zip(("painted cell", "answer"), map(sorted, zip(*took, strict=True)), strict=True):
        print(f"trade posted to {what}: p50 {statistics.median(times):.0f} ms, p99 {times[98]:.0f} ms")
    context.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--ticks", type=int, default=10_000, help="a second")
    asked = parser.parse_args()
    weight = sum(len(gzip.compress(path.read_bytes())) for path in BUILT.rglob("*.js"))
    print(f"{load()}; all scripts {weight / 1e3:.0f} kB as gzip")
    with (
        TemporaryDirectory() as folder,
        engine(Path(folder), asked.rows) as server,
        prices(server, asked.rows, asked.ticks),
        chromium() as browser,
    ):
        ladders = sorted(first_ladder(server) for _ in range(50))
        print(f"first ladder of {asked.rows} rows, asked to received: p50 {ladders[25]:.1f} ms, p90 {ladders[45]:.1f} ms")
        print(f"first numbers after {statistics.median(first_numbers(browser, server.url) for _ in range(5)):.0f} ms")
        measure(browser, server, asked.seconds)
    print(load())


if __name__ == "__main__":
    main()
