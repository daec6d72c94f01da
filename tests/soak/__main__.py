"""Soak the real server on PostgreSQL: `python -m tests.soak --minutes 30`. The status is 1 if a limit is broken.

RISKENGINE_TEST_POSTGRES names the database server; the soak makes a database of its own there, and drops it.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from riskengine.store.open_store import open_store
from tests.running import Server
from tests.soak.load import Dealing, Tally, break_database, feed, reconcile, screen
from tests.soak.measures import LONG, SHORT, Limits, Sample, broken_limits, growth_percent, percentile, thirds
from tests.soak.proxy import Proxy
from tests.soak.server import SERVER, own_database, own_server, sample

FEEDS = 3
SAMPLE_S = 10.0
EMPTY_S = 15.0
"""Clients that have gone are forgotten within so long."""


class Plan(NamedTuple):
    """How long, with how many clients, how often something breaks."""

    minutes: float
    clients: int
    life_s: float
    every_s: float
    away_s: float
    reconcile_s: float
    trades_a_second: float

    @property
    def warm_up_s(self) -> float:
        """Time before which memory is not judged: a third of the run."""
        return self.minutes * 20

    @property
    def limits(self) -> Limits:
        """What it may show: memory and latencies are judged from ten minutes on."""
        return LONG if self.minutes >= 10 else SHORT


class Soak:
    """One run against one server."""

    def __init__(self, plan: Plan, server: Server, proxy: Proxy, admin: str, database: str) -> None:
        self.plan, self.server = plan, server
        self._proxy, self._admin, self._database = proxy, admin, database
        self.tally = Tally()
        self.samples: list[Sample] = []
        self.before: Sample
        self.after: Sample
        self.dealing = Dealing(server.url, self.tally, plan.trades_a_second)

    async def run(self) -> None:
        """Warm up with a few clients, then all for the time of the plan, then nobody."""
        url, plan = self.server.url, self.plan
        await self._for(plan.life_s, [screen(url, -1 - number, plan.life_s / 5, Tally()) for number in range(20)])
        await asyncio.sleep(min(EMPTY_S, plan.life_s))
        self.before = await sample(self.server)
        told = [
            *(screen(url, number, plan.life_s, self.tally) for number in range(plan.clients)),
            *(feed(url, number, plan.life_s, self.tally) for number in range(FEEDS)),
            self.dealing.run(),
            break_database(self._admin, self._database, self._proxy, plan.every_s, plan.away_s, self.tally),
            reconcile(url, plan.reconcile_s, self.tally, say),
            self._watch(),
        ]
        await self._for(plan.minutes * 60, told)
        await self._proxy_back()
        await asyncio.sleep(EMPTY_S)
        self.after = await sample(self.server)

    async def _proxy_back(self) -> None:
        if self.tally.is_away:
            await asyncio.sleep(1.0)
            await self._proxy.refuse()
            await self._proxy.allow()
            self.tally.end_outage()

    async def _for(self, seconds: float, works: list[Coroutine[Any, Any, None]]) -> None:
        """Do works for a while. One that fails ends the run: it is a mistake of the soak."""
        tasks = [asyncio.create_task(work) for work in works]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _watch(self) -> None:
        """Take a sample now and again, and tell one a minute."""
        began, told = time.monotonic(), time.monotonic()
        while True:
            self.samples.append(await sample(self.server))
            if time.monotonic() - told >= 60:
                told = time.monotonic()
                say(f"{(told - began) / 60:4.0f} min  {self.line()}")
            await asyncio.sleep(min(SAMPLE_S, self.plan.minutes * 2))

    @property
    def warm(self) -> list[Sample]:
        """The samples after the warm-up."""
        first = self.samples[0].at_s + self.plan.warm_up_s
        return [each for each in self.samples if each.at_s >= first]

    def line(self) -> str:
        """How it stands."""
        now, counts, growth = self.samples[-1], self.tally.counts, growth_percent(self.warm)
        recent = [each.ms for each in self.tally.latencies[-200:]]
        memory = f"{now.resident_kb / 1_024:.1f} MB ({growth.an_hour:+.2f} % an hour, error {growth.error:.2f})"
        held = f"{now.descriptors} fds  {now.tasks} tasks  {now.threads} threads  {now.clients} clients of {counts.connections:,}"
        done = f"{counts.trades:,} trades, p99 {percentile(recent, 99):.1f} ms  {counts.outages} outages"
        return f"{memory}  {held}  {done}  {counts.reconciled} reconciled, {counts.breaks} breaks"


def say(text: str) -> None:
    """A line of the report, at once."""
    print(text, flush=True)


def soak(plan: Plan) -> tuple[list[str], dict[str, Any]]:
    """What was broken, and the figures."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8_192)), hard))
    with own_database() as (admin, database, url):
        return asyncio.run(_soak(plan, admin, database, url))


async def _soak(plan: Plan, admin: str, database: str, url: str) -> tuple[list[str], dict[str, Any]]:
    proxy = Proxy(url)
    await proxy.open()
    serving = own_server(proxy.url)
    server, log = await asyncio.to_thread(serving.__enter__)  # beside this loop, in which the proxy runs
    try:
        run = Soak(plan, server, proxy, admin, database)
        await run.run()
        stopped = await asyncio.to_thread(server.stop)
        found = _errors_of(log.read_text())
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
    lost = _lost(url, run.dealing.acknowledged)
    run.tally.add(lost=len(lost), errors=len(found) + (stopped != 0))
    for text in (*found[:20], *lost[:20]):
        say(text)
    await proxy.refuse()
    return broken_limits(run.warm, run.tally.latencies, run.before, run.after, run.tally.counts, plan.limits), figures(run)


def _lost(url: str, acknowledged: list[str]) -> list[str]:
    """The trades that were acknowledged and are not stored once, as sentences."""
    store = open_store(url)
    try:
        stored: dict[str, int] = {}
        for row in store.trades_after(0):
            stored[row.trade_id] = stored.get(row.trade_id, 0) + 1
    finally:
        store.close()
    return [f"{name} is stored {stored.get(name, 0)} times" for name in acknowledged if stored.get(name) != 1]


def _errors_of(log: str) -> list[str]:
    """What the server logged as a mistake."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [json.dumps(line)[:500] for line in lines if line["level"] == "critical" or "Traceback" in str(line.get("exception"))]


def figures(run: Soak) -> dict[str, Any]:
    """The figures of a run by name."""
    warm, latencies = run.warm, run.tally.latencies
    first, last = thirds(latencies, latencies[0].at_s, latencies[-1].at_s) if latencies else ([], [])
    growth = growth_percent(warm)
    return {
        "plan": run.plan._asdict(),
        "load_average": os.getloadavg(),
        "resident_mb": [round(each.resident_kb / 1_024, 1) for each in warm[:1] + warm[-1:]],
        "growth_percent_an_hour": round(growth.an_hour, 2),
        "growth_error": round(growth.error, 2),
        "before": run.before._asdict(),
        "after": run.after._asdict(),
        "most": {name: max(getattr(each, name) for each in run.samples) for name in Sample._fields[1:]},
        "p50_ms": [round(percentile(each, 50), 1) for each in (first, last)],
        "p99_ms": [round(percentile(each, 99), 1) for each in (first, last)],
        "timed_trades": len(latencies),
        **run.tally.counts._asdict(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--write", type=Path, help="write the figures there, as JSON")
    asked = parser.parse_args(arguments)
    if SERVER not in os.environ:
        parser.error(f"set {SERVER}, for example to postgresql://postgres@127.0.0.1:5432/test")
    short = asked.minutes < 5
    plan = Plan(
        asked.minutes,
        asked.clients,
        life_s=5.0 if short else 30.0,
        every_s=asked.minutes * 10 if short else 90.0,
        away_s=2.0 if short else 10.0,
        reconcile_s=asked.minutes * 15 if short else 60.0,
        trades_a_second=2.0,
    )
    broken, told = soak(plan)
    say(json.dumps(told, indent=2))
    if asked.write is not None:
        asked.write.write_text(json.dumps(told, indent=2) + "\n")
    for text in broken:
        print(f"broken: {text}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
