"""Counts the work of a trade, a tick and a beat: calls, memory and bytes of pages made anew. A busy machine counts the same.

    python -m bench.counted_work            counts, and shows them beside what is stored
    python -m bench.counted_work --write    stores what it counted: do this when a change is worth its work, or saves some

`tests/system/test_counted_work.py` holds the engine to what `bench/counted_work.json` stores, by version of Python. Each figure
is the mean of a fixed series, after a warm-up:

calls         of functions of riskengine, and of built-in functions by them (`sys.setprofile`)
kept_blocks   blocks of memory that a reader keeps alive who keeps every snapshot (tracemalloc)
kept_bytes    their size
peak_bytes    most memory at once beyond what was there before, by the largest of the series
copied_bytes  pages that the new snapshot does not share with the one before it: numbers, rows and states
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType

import riskengine
from bench.book import NOW, Maker, Shape
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import decode_ticks
from riskengine.snapshot.snapshot import Snapshot, Table

SHAPE = Shape(leaves=1_000, held=5, instruments=200, dealers=10, levels=(4, 20))
WARM_UP, ROUNDS, TICKS = 5, 20, 100
PACKAGE = str(Path(riskengine.__file__).parent)
STORED = Path(__file__).with_suffix(".json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

ALLOWED = {"calls": 0.02, "kept_blocks": 0.05, "kept_bytes": 0.03, "peak_bytes": 0.03, "copied_bytes": 0.02}
"""Share by which a figure may rise: calls and pages are exact, blocks differ by some 2 % from run to run."""

Step = Callable[[], object]
"""One piece of work. What it returns is kept, as a reader would."""
Figures = dict[str, float]


def count_calls(steps: Sequence[Step]) -> int:
    """Calls of functions of riskengine, and of built-in functions by them."""
    counted = 0

    def note(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(PACKAGE):
            counted += 1

    for step in steps:
        sys.setprofile(note)
        try:
            step()
        finally:
            sys.setprofile(None)
    return counted


def count_memory(steps: Sequence[Step]) -> tuple[int, int, int]:
    """Blocks and bytes that the results of all steps keep, and the highest peak of one step."""
    kept: list[object] = [None] * len(steps)
    tracemalloc.start()
    try:
        highest = 0
        blocks = len(tracemalloc.take_snapshot().traces)
        first, _ = tracemalloc.get_traced_memory()
        for number, step in enumerate(steps):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            kept[number] = step()
            highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
        last, _ = tracemalloc.get_traced_memory()
        return len(tracemalloc.take_snapshot().traces) - blocks, last - first, highest
    finally:
        tracemalloc.stop()


def _blocks_of(table: Table) -> dict[int, int]:
    """The blocks of memory that the pages of a table consist of: size by identity."""
    found: dict[int, int] = {}
    for page in (*table.numbers.arrays(), *(table.day.pages if table.day is not None else ())):
        block = page if page.base is None else page.base
        found[id(block)] = block.nbytes
    for states in table.states:
        found[id(states)] = sys.getsizeof(states)
        for state in states:
            found[id(state.pages)] = sys.getsizeof(state.pages)
            found.update((id(rows), sys.getsizeof(rows)) for rows in state.pages)
    return found


def copied_bytes(before: Snapshot, after: Snapshot) -> int:
    """Bytes of the pages of `after` that it does not share with `before`. Both must be alive, or identities mean nothing."""
    pairs = ((before.nodes, after.nodes), (before.dealers, after.dealers))
    blocks = [(_blocks_of(old), _blocks_of(new)) for old, new in pairs]
    return sum(size for old, new in blocks for block, size in new.items() if block not in old)


def count(make: Callable[[], Step], units: int = 1) -> Figures:
    """The figures of a piece of work, by unit. `make` prepares one outside what is counted."""
    for _ in range(WARM_UP):
        make()()
    gc.collect()
    rounds = ROUNDS * units
    calls = count_calls([make() for _ in range(ROUNDS)]) / rounds
    blocks, kept, peak = count_memory([make() for _ in range(ROUNDS)])
    figures = {"calls": calls, "kept_blocks": blocks / rounds, "kept_bytes": kept / rounds, "peak_bytes": peak / units}
    results = [make()() for _ in range(ROUNDS)]
    snapshots = [result for result in results if isinstance(result, Snapshot)]
    if snapshots:
        copied = [copied_bytes(old, new) for old, new in pairwise(snapshots)]
        figures["copied_bytes"] = sum(copied) / len(copied)
    return {name: round(figure, 2) for name, figure in figures.items()}


def _tick_frame(maker: Maker) -> bytes:
    seeded, symbols = maker.seeded, maker.reference.symbols
    quotes = [(seeded.choice(symbols), round(seeded.uniform(1.0980, 1.0999), 5)) for _ in range(TICKS)]
    ticks = [
        {"instrument": symbol, "ts": NOW + number, "source": "feed", "bid": bid, "ask": round(bid + 0.001, 5)}
        for number, (symbol, bid) in enumerate(quotes)
    ]
    return json.dumps(ticks).encode()


def count_all() -> dict[str, Figures]:
    """The figures of every piece of work, on one engine and one book, always in the same order."""
    maker = Maker(SHAPE)
    engine = Engine(maker.reference, now=NOW)
    engine.apply(maker.trades(maker.held), NOW)
    engine.beat(maker.marks(range(SHAPE.instruments)), NOW)
    engine.publish(NOW)
    book = QuoteBook(maker.reference, Config().marks, 60.0)

    def trade() -> Step:
        made = maker.trades([maker.seeded.choice(maker.held)])
        return lambda: (engine.apply(made, NOW), engine.publish(NOW))[1]

    def ticks() -> Step:
        frame = _tick_frame(maker)
        return lambda: (book.offer(decode_ticks(frame), NOW), book.take())[1]  # type: ignore[arg-type]  # every tick is valid

    def beat(new: int) -> Step:
        marks = maker.marks(maker.seeded.sample(maker.reference.products.nonzero()[0].tolist(), new))
        return lambda: (engine.beat(marks, NOW), engine.publish(NOW))[1]

    def full_beat() -> Step:
        marks = maker.marks(range(SHAPE.instruments))
        return lambda: (engine.beat(marks, NOW), engine.publish(NOW))[1]

    gc.disable()
    try:
        return {
            "trade applied and published": count(trade),
            "tick": count(ticks, TICKS),
            "beat, all prices new": count(full_beat),
            "beat, 10 prices new": count(partial(beat, 10)),
        }
    finally:
        gc.enable()


def count_alone() -> dict[str, Figures]:
    """`count_all` in a process of its own: other threads and warm caches would be counted too."""
    command = [sys.executable, "-m", "bench.counted_work", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(STORED.parent.parent)}
    ended = subprocess.run(command, env=environment, cwd=STORED.parent.parent, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def stored_counts() -> dict[str, Figures] | None:
    """What is stored for this version of Python; None where nobody has counted with it."""
    return json.loads(STORED.read_text(encoding="utf-8")).get(VERSION)


def risen(counted: dict[str, Figures], stored: dict[str, Figures]) -> list[str]:
    """A line for each figure that rose by more than ALLOWED, or that is not stored."""
    return [
        f"{work}: {name} {figure:,.2f}, stored {before:,.2f}" if before is not None else f"{work}: {name} is not stored"
        for work, figures in counted.items()
        for name, figure in figures.items()
        for before in [stored.get(work, {}).get(name)]
        if before is None or figure > before * (1 + ALLOWED[name])
    ]


def _write(counted: dict[str, Figures]) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    text = json.dumps({**stored, VERSION: counted}, indent=2, sort_keys=True)
    STORED.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store what is counted")
    parser.add_argument("--json", action="store_true", help="count in this process, print JSON")
    chosen = parser.parse_args()
    if chosen.json:
        print(json.dumps(count_all()))
        return
    counted = count_alone()
    stored = (stored_counts() if STORED.exists() else None) or {}
    for work, figures in counted.items():
        for name, figure in figures.items():
            before = stored.get(work, {}).get(name)
            change = (
                "not stored" if before is None else f"stored {before:,.2f}, {figure / before - 1:+.1%}" if before else "stored 0"
            )
            print(f"{work:30} {name:13} {figure:14,.2f}   {change}")
    if chosen.write:
        _write(counted)
        print(f"stored for Python {VERSION}: {STORED.name}")


if __name__ == "__main__":
    main()
