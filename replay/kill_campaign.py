"""A drill: `kill -9` of the running engine at random moments under load, again and again; nothing may be lost, nothing doubled.

    python replay/kill_campaign.py --store sqlite --runs 200
    python replay/kill_campaign.py --store postgres --runs 50     # RISKENGINE_TEST_POSTGRES, or a server of its own

Clients post singles and batches over HTTP, a publisher sends frames over the websocket, a booking system writes rows of its own,
prices flow; among the trades are repeats, amends, cancels, conflicts, cancels before their trade, and late ones. The server is
killed under that load, sometimes also in the middle of its morning, and started again. Then everything that was not answered is
sent again. Straight after the start, and again after that, quantity, net cash and number of trades of every leaf's and every
dealer's position must equal a sum over the acknowledged trades that shares no code with the engine (`independent_sum.py`). A new
store is begun every 25 kills; at its end a rebuild must give the digest that the engine shows, `riskengine reconcile` must find
no break and `riskengine audit verify` a whole trail.

One line a run on stdout, a summary as JSON at the end; exit status 0 where nothing was lost, doubled or otherwise wrong.
"""

import argparse
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from replay.dealing import Journal
from replay.independent_sum import Expected, Finding, counted, differences, expected, together
from replay.own_postgres import Cluster, missing
from replay.senders import Booking, Life, Market, Poster, Publisher, Sender
from replay.shown_positions import shown_positions
from replay.store_tables import connected, make_store, trade_rows
from tests.running import Server, begin, commands, start

KILLS_A_STORE = 25
APPLIED_WITHIN_S = 1.0
"""How soon rows of others must be in the positions."""
QUIET_S = 30.0
ANSWERS = ("applied", "duplicate", "conflict", "superseded", "parked", "quarantined", "rejected", "booked")


class Day:
    """One store, the programs around it, and the server that is killed again and again."""

    def __init__(self, store_url: str, folder: Path, seed: int, environment: Mapping[str, str] | None = None) -> None:
        """A new day on an empty store; `environment` is what the server's gets besides."""
        self.url = store_url
        # What an engine remembers of a store outside of it goes with the drill.
        self._environment = {"XDG_STATE_HOME": str(folder / "state"), **(environment or {})}
        self._log = folder / "server.log"
        self.rng = random.Random(f"{seed} kills")
        self.journal = Journal()
        self.life = Life(store_url, self.journal)
        make_store(store_url)
        self.senders: list[Sender] = [
            Poster("single", self.life, seed, 1),
            Poster("batch", self.life, seed, 60),
            Poster("list", self.life, seed, 8),
            Publisher("stream", self.life, seed),
            Booking("book", self.life, seed),
            Market("market", self.life, seed),
        ]
        for sender in self.senders:
            sender.start()
        self.server: Server | None = None

    def start_server(self) -> Server:
        """Start it and wait until it is live."""
        self.server = start("serve", "--port", "0", "--store", self.url, log=self._log, environment=self._environment)
        return self.server

    def kill_in_the_morning(self) -> float:
        """Start it and kill it before or around the moment when it goes live; after how long."""
        process = begin("serve", "--port", "0", "--store", self.url, log=self._log, environment=self._environment)
        moment = self.rng.uniform(0.1, 1.5)
        time.sleep(moment)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        return moment

    def kill_under_load(self) -> float:
        """Deal, and kill it at a random moment; after how long."""
        assert self.server is not None
        self.life.url, self.life.dealing = self.server.url, True
        moment = self.rng.uniform(0.02, 0.9)
        time.sleep(moment)
        self.server.kill()
        self.life.url, self.life.dealing = None, False
        assert self.server.process.stdout is not None
        self.server.process.stdout.close()
        self.server = None
        return moment

    def send_again(self) -> None:
        """Let everybody send what was not answered, until all is. Raises TimeoutError."""
        assert self.server is not None
        for sender in self.senders:
            sender.idle.clear()
        self.life.url = self.server.url
        for sender in self.senders:
            if not sender.idle.wait(QUIET_S):
                raise TimeoutError(f"{sender.name} was not answered within {QUIET_S:.0f} s: {self.life.failures[-3:]}")

    def compare(self) -> tuple[Expected, Finding]:
        """The engine's positions against the independent sum, nothing being on its way."""
        assert self.server is not None
        rows, newest = trade_rows(self.url)
        due = expected(self.journal, rows)
        deadline = time.monotonic() + APPLIED_WITHIN_S
        while True:
            here = differences(shown_positions(self.server), due.positions)
            seen = self.server.get("/v1/status")["watermark"]
            if (here.is_clean and seen >= newest) or time.monotonic() > deadline:
                return due, together(due.finding, here)
            time.sleep(0.02)

    def close(self) -> None:
        """End the senders and the server."""
        self.life.ended.set()
        for sender in self.senders:
            sender.join(QUIET_S)
        if self.server is not None:
            self.server.stop()
            assert self.server.process.stdout is not None
            self.server.process.stdout.close()
            self.server = None

    def agrees(self) -> Finding:
        """What the engine's own commands say: a rebuild has its digest, reconciliation finds no break, the trail is whole."""
        assert self.server is not None
        digest = self.server.get("/v1/digest")["digest"]
        rebuild, reconcile, audit = commands(
            ("rebuild", "--store", self.url, "--json"),
            ("reconcile", "--engine", self.server.url, "--store", self.url, "--json"),
            ("audit", "verify", "--store", self.url, "--json"),
        )
        wrong = [] if rebuild.returncode == 0 and json.loads(rebuild.stdout)["digest"] == digest else ["a rebuild differs"]
        wrong += [f"{each.args[0]}: {each.stdout[-300:]} {each.stderr[-300:]}" for each in (reconcile, audit) if each.returncode]
        return Finding([], [], wrong)


def one_run(day: Day, number: int) -> tuple[Finding, str]:
    """Kill, start, compare, send again, compare; what was wrong, and the line that says how it went."""
    began = time.monotonic()
    moment = day.kill_under_load()
    resent, unanswered = day.journal.resent, sum(len(batch) for sender in day.senders for batch in sender.waiting)
    morning = f", then {day.kill_in_the_morning():.2f} s into its start" if day.rng.random() < 0.12 else ""
    day.start_server()
    due, first = day.compare()
    day.send_again()
    _, second = day.compare()
    finding = together(first, second, Finding([], [], day.life.failures[:]))
    day.life.failures.clear()
    line = (
        f"run {number}: killed {moment:.3f} s into the load{morning}; {day.journal.promised:,} versions acknowledged,"
        f" {unanswered} sent and unanswered ({due.durable_unanswered} durable), {day.journal.resent - resent} sent again;"
        f" {len(due.positions)} positions: {finding}; {time.monotonic() - began:.1f} s"
    )
    return finding, line


@contextmanager
def new_store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store of its own."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/day.db"
        return
    server, own = os.environ.get("RISKENGINE_TEST_POSTGRES", ""), None
    if not server:
        if missing():
            sys.exit(f"set RISKENGINE_TEST_POSTGRES to a server's URL: {missing()}")
        own = Cluster()
        own.start()
        server = own.url()
    schema = f"riskengine_drill_{secrets.token_hex(6)}"
    try:
        with connected(server) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
        with connected(server) as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        if own is not None:
            own.close()


def campaign(
    kind: str, runs: int, seed: int, *, kills_a_store: int = KILLS_A_STORE, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`runs` kills; prints a line for each. The summary."""
    findings: list[Finding] = []
    answers: Counter[str] = Counter()
    traffic: Counter[str] = Counter()
    totals = Counter(acknowledged=0, resent=0)
    began, done = time.monotonic(), 0
    while done < runs:
        with tempfile.TemporaryDirectory(prefix="riskengine-kills-") as name, new_store(kind, Path(name)) as url:
            day = Day(url, Path(name), seed + done, environment)
            try:
                day.start_server()
                for _ in range(min(kills_a_store, runs - done)):
                    done += 1
                    finding, line = one_run(day, done)
                    findings.append(finding)
                    print(line, *finding.lines(), sep="\n", flush=True)
                findings.append(day.agrees())
                print(*findings[-1].lines(), sep="\n", end="", flush=True)
            finally:
                day.close()
            answers += day.journal.answers
            traffic += day.life.counts
            totals += Counter(acknowledged=day.journal.promised, resent=day.journal.resent)
    return {
        "store": kind,
        "kills": done,
        "seed": seed,
        **counted(findings),
        **totals,
        "answers": {status: answers[status] for status in ANSWERS},
        "traffic": dict(sorted(traffic.items())),
        "seconds": round(time.monotonic() - began, 1),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the drill; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres"), required=True)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    summary = campaign(options.store, options.runs, options.seed)
    print(json.dumps(summary))
    return 0 if not summary["lost"] and not summary["doubled"] and not summary["other"] else 1


if __name__ == "__main__":
    sys.exit(main())
