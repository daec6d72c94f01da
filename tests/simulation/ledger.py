"""The ledger: what was simulated, at which commit, and what came of it. One line of JSON a run, appended by the command."""

import datetime as dt
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.simulation.runner import Range

LEDGER = Path(__file__).with_name("ledger.jsonl")
CRASHES = (
    "crash_now",
    "crash_at_statement",
    "crash_before_commit",
    "crash_torn_commit",
    "crash_after_commit",
)


def commit() -> str:
    """The commit of this folder; `+` behind it if files differ from it."""
    git = ["git", "-C", str(LEDGER.parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False).stdout
    dirty = any(not line.endswith(LEDGER.name) for line in changed.splitlines())
    return head + ("+" if dirty else "")


def entry(at: str, lived: Range) -> dict[str, Any]:
    """The line of one range of seeds at a commit. `failed` names what was found, by seed."""
    coverage = lived.coverage
    counts = coverage.counts
    faults = {name: coverage.of(name) for name in sorted({name for name, _ in coverage.met})}
    return {
        "on": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": at,
        "python": platform.python_version(),
        "seeds": [lived.first, lived.last],
        "days": lived.days,
        "starts": counts["starts"],
        "crashes": sum(coverage.of(name) for name in CRASHES) + coverage.of("evening_kill"),
        "crash_points": counts["statements"],
        "messages": counts["messages"],
        "duplicated_or_reordered": counts["duplicated_or_reordered"],
        "records": counts["records"],
        "updates": counts["updates"],
        "evenings": counts["evenings"],
        "closes_compared": counts["closes_compared"],
        "faults": faults,
        "failed": dict(lived.failed),
        "cpu_s": round(lived.cpu_s, 1),
        "trace": lived.trace.digest,
    }


def append(line: Mapping[str, Any], path: Path = LEDGER) -> None:
    """Add a line to the ledger."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(path: Path = LEDGER) -> list[dict[str, Any]]:
    """All lines, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def sums(lines: list[dict[str, Any]]) -> dict[str, int]:
    """What the ledger comes to."""
    names = ("days", "starts", "crashes", "crash_points", "messages", "duplicated_or_reordered", "records", "evenings")
    return {name: sum(line[name] for line in lines) for name in names} | {"failed": sum(len(line["failed"]) for line in lines)}
