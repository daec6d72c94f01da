"""A drill: `kill -9` of the running engine at random moments under load. No trade may be lost or doubled.

    python replay/kill_campaign.py --store sqlite --runs 200
    python replay/kill_campaign.py --store postgres --runs 50     # RISKENGINE_TEST_POSTGRES, or a temporary server

Clients post single trades and batches over HTTP, a publisher sends frames over the websocket, a booking system writes its own
rows and prices arrive. The trades include repeats, amends, cancels, conflicts, cancels before their trade, and late trades. The
drill kills the server under that load, sometimes also during its start, and starts it again. Then the senders send everything
unanswered again. Right after the start, and after the repeats, quantity, net cash and number of trades of every leaf's and every
dealer's position must equal a sum over the acknowledged trades that shares no code with the engine (`independent_sum.py`). Every
25 kills the drill changes to a new store. For the old one, a rebuild must give the engine's digest, `riskengine reconcile` must
find no break, and `riskengine audit verify` an intact trail.

One line a run on stdout, a summary as JSON at the end; exit status 0 if nothing was lost, doubled or otherwise wrong.
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
from replay.independent_sum import Expected, Finding, count_faults, differences, expected_positions, merge_findings
from replay.own_postgres import Cluster, missing
from replay.senders import Booking, Life, Market, Poster, Publisher, Sender
from replay.shown_positions import shown_positions
from replay.store_tables import connection_to, make_store, trade_rows
from tests.running import Server, begin, commands, start

KILLS_A_STORE = 25
APPLIED_WITHIN_S = 1.0
"""Time within which rows of other programs must reach the positions."""
QUIET_S = 30.0
ANSWERS = ("applied", "duplicate", "conflict", "superseded", "parked", "quarantined", "rejected", "booked")


class Day:
    """One store, its senders, and the server that the drill kills repeatedly."""

    def __init__(self, store_url: str, folder: Path, seed: int, environment: Mapping[str, str] | None = None) -> None:
        """Start a day on an empty store. `environment` is added to the server's."""
        self.url = store_url
        # The engine's state files outside the store are removed with the drill.
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
        """Start the server and wait until it is live."""
        self.server = start("serve", "--port", "0", "--store", self.url, log=self._log, environment=self._environment)
        return self.server

    def kill_in_the_morning(self) -> float:
        """Start the server and kill it shortly before or after it goes live; return the seconds until the kill."""
        process = begin("serve", "--port", "0", "--store", self.url, log=self._log, environment=self._environment)
        moment = self.rng.uniform(0.1, 1.5)
        time.sleep(moment)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        return moment

    def kill_under_load(self) -> float:
        """Deal, and kill the server at a random moment; return the seconds until the kill."""
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
        """Let all senders repeat unanswered messages until everything is answered. Raises TimeoutError."""
        assert self.server is not None
        for sender in self.senders:
            sender.idle.clear()
        self.life.url = self.server.url
        for sender in self.senders:
            if not sender.idle.wait(QUIET_S):
                raise TimeoutError(f"{sender.name} was not answered within {QUIET_S:.0f} s: {self.life.failures[-3:]}")

    def compare(self) -> tuple[Expected, Finding]:
        """Compare the engine's positions with the independent sum, while nothing is in flight."""
        assert self.server is not None
        rows, newest = trade_rows(self.url)
        due = expected_positions(self.journal, rows)
        deadline = time.monotonic() + APPLIED_WITHIN_S
        while True:
            here = differences(shown_positions(self.server), due.positions)
            seen = self.server.get("/v1/status")["watermark"]
            if (here.is_clean and seen >= newest) or time.monotonic() > deadline:
                return due, merge_findings(due.finding, here)
            time.sleep(0.02)

    def close(self) -> None:
        """Stop the senders and the server."""
        self.life.ended.set()
        for sender in self.senders:
            sender.join(QUIET_S)
        if self.server is not None:
            self.server.stop()
            assert self.server.process.stdout is not None
            self.server.process.stdout.close()
            self.server = None

    def run_checks(self) -> Finding:
        """Run the engine's own checks: rebuild gives its digest, reconcile finds no break, the audit trail is intact."""
        assert self.server is not None
        digest = self.server.get("/v1/digest")["digest"]
        rebuild, reconcile, audit = commands(
            ("rebuild", "--store", self.url, "--json"),
            ("reconcile", "--engine", self.server.url, "--store", self.url, "--json"),
            ("audit", "verify", "--store", self.url, "--json"),
        )
        wrong = (
            []
            if rebuild.returncode == 0 and json.loads(rebuild.stdout)["digest"] == digest
            else ["the digest of a rebuild differs"]
        )
        wrong += [f"{each.args[0]}: {each.stdout[-300:]} {each.stderr[-300:]}" for each in (reconcile, audit) if each.returncode]
        return Finding([], [], wrong)


def one_run(day: Day, number: int) -> tuple[Finding, str]:
    """Kill, start, compare, send again, compare; return the faults and the line of the run."""
    began = time.monotonic()
    moment = day.kill_under_load()
    resent, unanswered = day.journal.resent, sum(len(batch) for sender in day.senders for batch in sender.waiting)
    morning = f", then {day.kill_in_the_morning():.2f} s into its start" if day.rng.random() < 0.12 else ""
    day.start_server()
    due, first = day.compare()
    day.send_again()
    _, second = day.compare()
    finding = merge_findings(first, second, Finding([], [], day.life.failures[:]))
    day.life.failures.clear()
    line = (
        f"run {number}: killed {moment:.3f} s into the load{morning}; {day.journal.promised:,} versions acknowledged,"
        f" {unanswered} sent and unanswered ({due.durable_unanswered} durable), {day.journal.resent - resent} sent again;"
        f" {len(due.positions)} positions: {finding}; {time.monotonic() - began:.1f} s"
    )
    return finding, line


@contextmanager
def new_store(kind: str, folder: Path) -> Iterator[str]:
    """Make an empty store for the length of a block; its URL."""
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
        with connection_to(server) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
        with connection_to(server) as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        if own is not None:
            own.close()


def campaign(
    kind: str, runs: int, seed: int, *, kills_a_store: int = KILLS_A_STORE, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run `runs` kills, print a line for each, return the summary."""
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
                findings.append(day.run_checks())
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
        **count_faults(findings),
        **totals,
        "answers": {status: answers[status] for status in ANSWERS},
        "traffic": dict(sorted(traffic.items())),
        "seconds": round(time.monotonic() - began, 1),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the drill; return the exit status."""
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
