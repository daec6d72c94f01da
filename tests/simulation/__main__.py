"""Simulate a desk: `python -m tests.simulation --seed N --days D [--processes P]`. The last line is `trace <sha256>`.

Exit status 1 if a world breaks a rule, or if faults and states did not meet often enough.
"""

import argparse
import sys

from tests.simulation import ledger
from tests.simulation.needs import missed
from tests.simulation.runner import DAYS_A_WORLD, Range, live_all
from tests.simulation.world import live_a_world


def main(arguments: list[str] | None = None) -> int:
    """Run worlds from `--seed` on until `--days` have been lived."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--days", type=int, default=30, help=f"days to live, {DAYS_A_WORLD} a seed")
    parser.add_argument("--processes", type=int, default=1, help="processes that live at once; the trace is the same")
    parser.add_argument("--until", default="", help="HH:MM: begin no world after that")
    parser.add_argument("--ledger", action="store_true", help="append the result to the ledger")
    parser.add_argument("--line-days", type=int, default=3_000, help="days that one line of the ledger stands for")
    parser.add_argument("--verbose", action="store_true", help="print every event of the worlds, and live in this process")
    asked = parser.parse_args(arguments)
    if asked.verbose:
        print_events(asked.seed, asked.days)
    at = ledger.commit()
    whole, line = Range(asked.seed), Range(asked.seed)
    for lived in live_all(asked.seed, asked.days, asked.processes, asked.until):
        whole.add(lived)
        line.add(lived)
        for seed, text in lived.failed.items():
            print(f"seed {seed}, {text}", file=sys.stderr, flush=True)
        print(f"seed {whole.last}: {whole.days} days, {whole.cpu_s:.0f} s of processor, {len(whole.failed)} failed", flush=True)
        if asked.ledger and line.days >= asked.line_days:
            ledger.append(ledger.entry(at, line))
            line = Range(line.last + 1)
    if asked.ledger and line.days:
        ledger.append(ledger.entry(at, line))
    return report(whole)


def print_events(seed: int, days: int) -> None:
    """Every event of the worlds of a range."""
    while days > 0:
        keep: list[str] = []
        live_a_world(str(seed), min(DAYS_A_WORLD, days), keep=keep)
        print("\n".join(keep))
        seed, days = seed + 1, days - DAYS_A_WORLD


def report(whole: Range) -> int:
    """Print what came of a range. The exit status."""
    rare = missed(whole.coverage, whole.days)
    for (fault, state), count in sorted(whole.coverage.met.items()):
        print(f"{fault:28} {state:10} {count}")
    for name, count in sorted(whole.coverage.counts.items()):
        print(f"{name:28} {count}")
    for text in rare:
        print(f"too rare: {text}", file=sys.stderr)
    pace = whole.days / max(whole.cpu_s, 0.001)
    print(f"{whole.days} days, {len(whole.failed)} failed, {pace:.2f} days a second of processor")
    print(f"trace {whole.trace.digest}")
    return 1 if whole.failed or rare else 0


if __name__ == "__main__":
    sys.exit(main())
