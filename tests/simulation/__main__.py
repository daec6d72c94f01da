"""Simulate a desk: `python -m tests.simulation --seed N --days D`. The last line is `trace <sha256>`.

Exit status 1 if a world breaks a rule, or if faults and states did not meet often enough.
"""

import argparse
import gc
import sys
import time

from tests.simulation import ledger
from tests.simulation.needs import missed
from tests.simulation.trace import Coverage, Trace
from tests.simulation.world import live_a_world

DAYS_A_WORLD = 3


def main(arguments: list[str] | None = None) -> int:
    """Run worlds from `--seed` on until `--days` have been lived."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--days", type=int, default=30, help="days to live, DAYS_A_WORLD a seed")
    parser.add_argument("--until", default="", help="HH:MM: begin no world after that")
    parser.add_argument("--ledger", action="store_true", help="append the result to the ledger")
    parser.add_argument("--verbose", action="store_true", help="print every event of the worlds")
    asked = parser.parse_args(arguments)
    at = ledger.commit()
    trace, coverage, failed = Trace(), Coverage(), dict[str, str]()
    began, lived, seed = time.process_time(), 0, asked.seed
    while lived < asked.days and not (asked.until and time.strftime("%H:%M") >= asked.until):
        days = min(DAYS_A_WORLD, asked.days - lived)
        keep: list[str] | None = [] if asked.verbose else None
        world = live_a_world(str(seed), days, keep=keep)
        if keep is not None:
            print("\n".join(keep))
        trace.join(world.trace.digest)
        coverage.add(world.coverage)
        lived += world.days if world.violation is None else days
        if world.violation is not None:
            failed[str(seed)] = str(world.violation)
            print(f"seed {seed}, day {world.days + 1}: {world.violation}", file=sys.stderr, flush=True)
        seed += 1
        if seed % 20 == 0:
            gc.collect()
            print(
                f"seed {seed}: {lived} days, {time.process_time() - began:.0f} s of processor, {len(failed)} failed", flush=True
            )
    cpu_s = time.process_time() - began
    rare = missed(coverage, lived)
    for (fault, state), count in sorted(coverage.met.items()):
        print(f"{fault:28} {state:10} {count}")
    for name, count in sorted(coverage.counts.items()):
        print(f"{name:28} {count}")
    for text in rare:
        print(f"too rare: {text}", file=sys.stderr)
    if asked.ledger:
        ledger.append(ledger.entry(at, asked.seed, seed - 1, lived, coverage, failed, trace.digest, cpu_s))
    print(f"{lived} days, {len(failed)} failed, {lived / max(cpu_s, 0.001):.2f} days a second of processor")
    print(f"trace {trace.digest}")
    return 1 if failed or rare else 0


if __name__ == "__main__":
    sys.exit(main())
