"""A drill: starts two engines on one store at once, again and again. Exactly one must go live; the other must name it.

    python replay/engine_races.py --store sqlite --runs 20
    python replay/engine_races.py --store postgres --runs 20

One engine goes live; the other must end with status 1 and one line that names the holder's process. Then the drill kills the
holder with `kill -9`, and the next engine must go live as fast as on a free store.

One line a run on stdout, a summary as JSON at the end; exit status 0 if nothing was wrong.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from replay.kill_campaign import new_store
from replay.store_tables import make_store
from tests.running import Server, begin, start

DECIDED_S = 60.0
DELAYED_S = 2.0
"""A start that takes this much longer than the first one, on the free store, counts as delayed."""


class Race(NamedTuple):
    """The result of two engines started at once, and of the next start. `wrong` lists the faults."""

    decided_s: float
    start_s: float
    wrong: list[str]


def serve(url: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start an engine without waiting for it; its stderr goes to `log`."""
    return begin("serve", "--port", "0", "--store", url, log=log, environment={"XDG_STATE_HOME": str(log.parent / "state")})


def race(url: str, folder: Path) -> Race:
    """Start two engines, kill the one that goes live, start a third."""
    began = time.monotonic()
    logs = [folder / f"{time.monotonic_ns()}-{name}.log" for name in "ab"]
    engines = [serve(url, log) for log in logs]
    wrong: list[str] = []
    try:
        while all(engine.poll() is None for engine in engines) and time.monotonic() - began < DECIDED_S:
            time.sleep(0.005)
        decided = time.monotonic() - began
        alive = [number for number, engine in enumerate(engines) if engine.poll() is None]
        if len(alive) != 1:
            return Race(decided, 0.0, [f"{len(alive)} engines live"])
        holder, loser = alive[0], 1 - alive[0]
        said = logs[loser].read_text()
        if engines[loser].returncode != 1 or "Traceback" in said:
            wrong.append(f"the other ended with {engines[loser].returncode}: {said[-300:]!r}")
        if f"has a writer already: riskengine serve (pid {engines[holder].pid} on " not in said:
            wrong.append(f"the other did not name the holder {engines[holder].pid}: {said[-300:]!r}")
        stdout = engines[holder].stdout
        assert stdout is not None
        if not stdout.readline().startswith(b"riskengine "):
            wrong.append(f"the remaining engine does not serve: {logs[holder].read_text()[-300:]!r}")
        engines[holder].kill()
        engines[holder].wait()
        return Race(decided, timed_start(url, folder, wrong), wrong)
    finally:
        for engine in engines:
            engine.kill()
            engine.wait()
            assert engine.stdout is not None
            engine.stdout.close()


def timed_start(url: str, folder: Path, wrong: list[str]) -> float:
    """Start an engine and stop it again; return the seconds until it was live."""
    began = time.monotonic()
    server: Server = start(
        "serve", "--port", "0", "--store", url, log=folder / "next.log", environment={"XDG_STATE_HOME": str(folder / "state")}
    )
    took = time.monotonic() - began
    if server.stop() != 0:
        wrong.append("the next engine did not stop with status 0")
    assert server.process.stdout is not None
    server.process.stdout.close()
    return took


def campaign(kind: str, runs: int) -> dict[str, Any]:
    """Run `runs` races, print a line for each, return the summary."""
    found: list[Race] = []
    with tempfile.TemporaryDirectory(prefix="riskengine-races-") as name, new_store(kind, Path(name)) as url:
        make_store(url)
        alone = timed_start(url, Path(name), [])
        for number in range(1, runs + 1):
            seen = race(url, Path(name))
            if seen.start_s > alone + DELAYED_S:
                seen.wrong.append("the next start was delayed")
            found.append(seen)
            print(
                f"run {number}: decided after {seen.decided_s:.2f} s; holder killed, the next was live after"
                f" {seen.start_s:.2f} s: {len(seen.wrong)} wrong",
                *(f"    {each}" for each in seen.wrong),
                sep="\n",
                flush=True,
            )
    return {
        "store": kind,
        "races": runs,
        "wrong": sum(len(each.wrong) for each in found),
        "start_alone_s": round(alone, 2),
        "start_after_a_kill_s": {
            "median": round(statistics.median(each.start_s for each in found), 2),
            "worst": round(max(each.start_s for each in found), 2),
        },
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres"), required=True)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args(words)
    summary = campaign(options.store, options.runs)
    print(json.dumps(summary))
    return 1 if summary["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
