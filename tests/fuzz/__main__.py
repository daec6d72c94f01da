"""Try inputs at every door: `python -m tests.fuzz --inputs N --until HH:MM`. The status is 1 if one breaks a rule.

The inputs are drawn from `--seed`; the same seed draws the same. They are tried in a child process, so that a crash of the
interpreter is a find too. What breaks a rule is written to the folder `--keep`; `--replay FILE` tries such a file again.
"""

import argparse
import asyncio
import faulthandler
import logging
import shutil
import sys
import tempfile
import time
import warnings
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.doors import every_door, weight_of
from tests.fuzz.run import Broken, Found, blocks, name_of, run_block, timed, tried

EVERY_S = 60.0
"""Pause between two lines of progress."""


def try_inputs(seed: int, only: str, pipe: Connection) -> None:
    """The child: tries block after block; tells which it begins, then what came of it. Without end."""
    faulthandler.enable()
    quiet()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    targets = [target for target in every_door(loop) if only in ("", target.name)]
    with timed():
        for target, block in blocks(targets, [weight_of(target) for target in targets]):
            pipe.send((target.name, block))
            found = Found()
            run_block(target, seed, block, found)
            pipe.send(found)


def quiet() -> None:
    """Keep what the engine logs off the terminal; a warning of Python or NumPy is a find."""
    warnings.simplefilter("error")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def add(found: Found, more: Found) -> None:
    """Count what came of a block."""
    found.inputs.update(more.inputs)
    found.seconds.update(more.seconds)
    for name, ways in more.ways.items():
        found.ways.setdefault(name, set()).update(ways)
    found.broken += more.broken


def run(inputs: int, until: str, seed: int, only: str, keep: Path) -> Found:
    """Try inputs until there are so many, or until a time of the day."""
    found, began, told = Found(), time.monotonic(), time.monotonic()
    folder = tempfile.mkdtemp(prefix="riskengine-fuzz-")
    tempfile.tempdir = folder  # the child is killed in the end, and leaves its files
    here, there = get_context("fork").Pipe(duplex=False)
    child = get_context("fork").Process(target=try_inputs, args=(seed, only, there))
    child.start()
    there.close()
    at: tuple[str, int] = ("", 0)
    try:
        while found.total < inputs and not (until and time.strftime("%H:%M") >= until):
            heard = here.recv()
            if not isinstance(heard, Found):
                at = heard
                continue
            add(found, heard)
            for broken in heard.broken:
                write(broken, keep)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(f"{found.total:,} inputs in {told - began:.0f} s, {len(found.broken)} broken", flush=True)
    except EOFError:
        child.join()
        found.broken.append(Broken(at[0], b"", f"the interpreter died ({child.exitcode}) in block {at[1]} of seed {seed}"))
        print(f"{at[0]}: {found.broken[-1].error}", file=sys.stderr, flush=True)
    finally:
        child.kill()
        child.join()
        shutil.rmtree(folder, ignore_errors=True)
    return found


def write(broken: Broken, keep: Path) -> None:
    """Keep a broken input, and say how it broke."""
    keep.mkdir(parents=True, exist_ok=True)
    (keep / name_of(broken)).write_bytes(broken.data)
    print(f"{keep / name_of(broken)}: {broken.error[:500]}", file=sys.stderr, flush=True)


def replay(paths: list[str]) -> int:
    """Try inputs that were kept; how many still break."""
    quiet()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    doors = {target.name: target for target in every_door(loop)}
    count = 0
    with timed():
        for path in paths:
            way, error = tried(doors[Path(path).name.rpartition("-")[0]], Path(path).read_bytes())
            print(f"{path}: {error or way}")
            count += error is not None
    return count


def main() -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--until", default="", help="HH:MM: begin no block after that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default="", help="one door only")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where inputs go that break a rule")
    parser.add_argument("--replay", nargs="*", default=[], help="try kept inputs again")
    asked = parser.parse_args()
    if asked.replay:
        return 1 if replay(asked.replay) else 0
    found = run(asked.inputs, asked.until, asked.seed, asked.target, asked.keep)
    for name, count in sorted(found.inputs.items()):
        ways = len(found.ways[name])
        print(f"{name:16} {count:>12,} inputs {count / max(found.seconds[name], 0.001):>9,.0f} a second {ways:>7,} ways")
    cpu_s = sum(found.seconds.values())
    print(f"{found.total:,} inputs in {cpu_s:,.0f} s of processor, {len(found.broken)} broken, seed {asked.seed}")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
