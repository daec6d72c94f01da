"""A drill: `kill -9` of PostgreSQL at random moments under load, while the engine stays up. No trade may be lost or doubled.

    python replay/postgres_kill_campaign.py --runs 20

Makes a temporary PostgreSQL server (`own_postgres.py`; skips with a message if none is installed), runs the engine on it under
the load of `kill_campaign.py`, kills the server with all its processes, and starts it again after a moment. During the outage
every post must be answered 503 with Retry-After, every read of the snapshot 200, and `/v1/status` must say degraded. When the
server is back, the engine must resume by itself; the senders repeat unacknowledged messages, and the positions must equal the
independent sum. At the end the engine is restarted, and must show the same digest.

One line a run on stdout, a summary as JSON at the end; exit status 0 if nothing was lost, doubled or otherwise wrong.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from replay.independent_sum import Finding, count_faults, merge_findings
from replay.kill_campaign import ANSWERS, Day
from replay.own_postgres import Cluster, missing

DEGRADED_WITHIN_S = 5.0
RESUMED_WITHIN_S = 10.0
READS = ("/v1/nodes", "/v1/positions?limit=50", "/v1/ladder", "/v1/dealers", "/v1/marks", "/v1/digest", "/readyz", "/healthz")

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Outage(NamedTuple):
    """What the drill saw from the death of the server until the engine had resumed."""

    processes: int
    reads: int
    refused_posts: int
    resumed_s: float
    wrong: list[str]


def watch_outage(day: Day, cluster: Cluster) -> Outage:
    """Kill the server under load, watch the engine, start the server again, wait until the engine has resumed."""
    assert day.server is not None
    wrong: list[str] = []
    processes = cluster.kill()
    seen = _watch_degrading(day, day.rng.uniform(0.05, 1.5), wrong)
    cluster.start()
    back = time.monotonic()
    while day.server.get("/v1/status")["state"] != "live":
        if time.monotonic() - back > RESUMED_WITHIN_S:
            wrong.append(f"not live {RESUMED_WITHIN_S:.0f} s after the server was back")
            break
        time.sleep(0.01)
    return Outage(processes, seen["reads"], seen["posts"], time.monotonic() - back, wrong)


def _watch_degrading(day: Day, dead_s: float, wrong: list[str]) -> Counter[str]:
    """Check that every read is answered and every post refused, for `dead_s` and until the engine says degraded."""
    assert day.server is not None
    seen: Counter[str] = Counter()
    began = time.monotonic()
    degraded = False
    while time.monotonic() - began < dead_s or not degraded:
        for path in READS:
            status, _ = _request(day.server.url + path)
            seen["reads"] += 1
            if status != 200:
                wrong.append(f"{path} was answered {status} while the server was dead")
        status, headers = _request(day.server.url + "/v1/trades", b"[" + _probe() + b"]")
        seen["posts"] += 1
        if status != 503 or "Retry-After" not in headers:
            wrong.append(f"a post was answered {status} (Retry-After {headers.get('Retry-After')}) while the server was dead")
        degraded = degraded or day.server.get("/v1/status")["state"] == "degraded"
        if not degraded and time.monotonic() - began > DEGRADED_WITHIN_S:
            wrong.append(f"not degraded {DEGRADED_WITHIN_S:.0f} s after the server died")
            break
    return seen


def _probe() -> bytes:
    """A trade that must never be stored: the drill sends it only while the server is dead."""
    now = time.time_ns() // 1_000
    trade = {
        "source": "probe",
        "trade_id": f"probe-{now}",
        "ts": now,
        "instrument": "EURUSD",
        "desk": "FX1",
        "side": "buy",
        "quantity": "1",
        "price": "1",
    }
    return json.dumps(trade).encode()


def _request(url: str, body: bytes | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"} if body else {})
    try:
        with _opener.open(request, timeout=20) as answer:
            answer.read()
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def one_run(day: Day, cluster: Cluster, number: int) -> tuple[Finding, Outage]:
    """Deal, kill PostgreSQL, start it, send again, compare; print the line of the run."""
    assert day.server is not None
    began, resent = time.monotonic(), day.journal.resent
    day.life.url, day.life.dealing = day.server.url, True
    moment = day.rng.uniform(0.02, 0.9)
    time.sleep(moment)
    seen = watch_outage(day, cluster)
    time.sleep(day.rng.uniform(0.0, 0.2))  # dealing continues after the engine has resumed
    day.life.dealing = False
    day.send_again()
    _, compared = day.compare()
    finding = merge_findings(compared, Finding([], [], [*seen.wrong, *day.life.failures]))
    day.life.failures.clear()
    print(
        f"run {number}: PostgreSQL ({seen.processes} processes) killed {moment:.3f} s into the load; meanwhile {seen.reads} reads"
        f" answered, {seen.refused_posts} probes refused; live {seen.resumed_s:.2f} s after it was back;"
        f" {day.journal.promised:,} versions acknowledged, {day.journal.resent - resent} sent again: {finding};"
        f" {time.monotonic() - began:.1f} s",
        *finding.lines(),
        sep="\n",
        flush=True,
    )
    return finding, seen


def check_restart(day: Day) -> Finding:
    """Restart the engine and check that its digest is unchanged."""
    assert day.server is not None
    before = day.server.get("/v1/digest")["digest"]
    day.life.url = None
    status = day.server.stop()
    assert day.server.process.stdout is not None
    day.server.process.stdout.close()
    after = day.start_server().get("/v1/digest")["digest"]
    wrong = [f"stopped with status {status}"] if status else []
    return Finding([], [], wrong + (["the digest changed in a restart"] if before != after else []))


def campaign(runs: int, seed: int) -> dict[str, Any]:
    """Run `runs` kills of PostgreSQL, print a line for each, return the summary."""
    began = time.monotonic()
    cluster = Cluster()
    findings: list[Finding] = []
    seen: list[Outage] = []
    try:
        cluster.start()
        with tempfile.TemporaryDirectory(prefix="riskengine-postgres-kills-") as name:
            day = Day(cluster.url(), Path(name), seed)
            try:
                day.start_server()
                for number in range(1, runs + 1):
                    finding, outage_seen = one_run(day, cluster, number)
                    findings.append(finding)
                    seen.append(outage_seen)
                findings.append(check_restart(day))
            finally:
                day.close()
    finally:
        cluster.close()
    return {
        "kills": runs,
        "seed": seed,
        **count_faults(findings),
        "acknowledged": day.journal.promised,
        "resent": day.journal.resent,
        "reads_answered": sum(each.reads for each in seen),
        "probes_refused": sum(each.refused_posts for each in seen),
        "resumed_s_worst": round(max(each.resumed_s for each in seen), 2),
        "answers": {status: day.journal.answers[status] for status in ANSWERS},
        "traffic": dict(sorted(day.life.counts.items())),
        "seconds": round(time.monotonic() - began, 1),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    if missing():
        print(f"SKIPPED, nothing was tested: {missing()}", file=sys.stderr)
        return 2
    summary = campaign(options.runs, options.seed)
    print(json.dumps(summary))
    return 0 if not summary["lost"] and not summary["doubled"] and not summary["other"] else 1


if __name__ == "__main__":
    sys.exit(main())
