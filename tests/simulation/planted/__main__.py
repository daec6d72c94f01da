"""Find for each planted bug the first seed that catches it: `python -m tests.simulation.planted [NAME ...]`.

Writes `caught.json` beside this file (the seed, the check that failed, and what it said) and the table of the README. A bug that
no seed catches is printed.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.simulation.planted.bugs import BUGS, planted
from tests.simulation.virtual import load_all
from tests.simulation.world import live_a_world

CAUGHT = Path(__file__).with_name("caught.json")
README = Path(__file__).parents[1] / "README.md"
DAYS = 2
SEEDS = (24, 3, 4, 2, 1, 6, 7, 18, 8, 13, 21, 10, 29, 31)


def search(name: str, seeds: Sequence[int]) -> dict[str, object] | None:
    """The first seed that catches a bug, and how."""
    load_all()
    for seed in seeds:
        with planted(name):
            try:
                world = live_a_world(str(seed), DAYS)
            except Exception as error:  # the bug broke the engine in a way that no check expects
                return {"seed": seed, "check": "crash", "day": 1, "said": f"{type(error).__name__}: {error}"[:300]}
        if world.violation is not None:
            said = str(world.violation)
            return {"seed": seed, "check": world.violation.check, "day": world.days + 1, "said": said[:300]}
    return None


def table(caught: Mapping[str, Mapping[str, object]]) -> str:
    """The table of the README, in the order of `BUGS`."""
    rows = [
        f"| {name} | `{caught[name]['check']}` | {caught[name]['seed']}, {caught[name]['day']} |"
        for name in BUGS
        if name in caught
    ]
    return "\n".join(["| bug | caught by the check | seed, day |", "|---|---|---|", *rows])


def write_table(caught: Mapping[str, Mapping[str, object]]) -> None:
    """Put the table into the README in place of the one that is there."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition("| bug | caught by")
    README.write_text(f"{before}{table(caught)}\n\n{rest.partition(chr(10) * 2)[2]}", encoding="utf-8")


def main() -> int:
    """Search, and keep what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted")
    parser.add_argument("names", nargs="*", help="bugs; all that are not in the table yet if none is named")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="seeds to try, in this order")
    asked = parser.parse_args()
    caught = json.loads(CAUGHT.read_text()) if CAUGHT.exists() else {}
    missed = 0
    for name in asked.names or [name for name in BUGS if name not in caught]:
        found = search(name, asked.seeds)
        print(f"{name}: {found or 'NOT CAUGHT'}", flush=True)
        if found is None:
            missed += 1
            continue
        caught[name] = found
        CAUGHT.write_text(json.dumps(dict(sorted(caught.items())), indent=1) + "\n")
    write_table(caught)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
