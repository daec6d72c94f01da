"""Measures this engine beside others in one run, on the same book: each is checked for the same answers before its time counts.

    python -m bench.beside               300,000 positions: beats and trades
    python -m bench.beside --leaves 2000 a smaller book

The others are optional, and nothing here installs them: bench/README.md says how. What is missing is skipped, and said so.
Contenders take turns, round by round. Times are of the processor (`process_time`, all threads), so that other programs on the
machine disturb them less; the clock's median stands beside. A ratio is to C, or to this engine where there is no compiler.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from bench.beside_arrays import Answer, BareNumPy, Book, Compiled, Contender, FloatArray, Loop, NotHere, SciPyProduct
from bench.beside_systems import DuckDb, Perspective, Polars, ThisEngine
from bench.beside_trades import Dictionary, EngineTrades, Nautilus, note_crossings, same
from bench.book import HELD, INSTRUMENTS, LEAVES, NOW, Maker, Shape, batches
from bench.latency import machine
from riskengine.engine.engine import Engine
from riskengine.rebuild.rebuild import settle_memory

FEW = 10
TRADES, TRADE_ROUNDS = 20_000, 3
WARM_UP = 2
TOLERANCE = 1e-10
"""Largest difference between two answers, of a node's gross exposure: a total is what is left of sums as large as that."""


class Timed(NamedTuple):
    """Seconds of one round, of the processor and by the clock."""

    processor: float
    clock: float


def timed(work: Callable[[], object]) -> Timed:
    began, clock = process_time(), perf_counter()
    work()
    return Timed(process_time() - began, perf_counter() - clock)


def line(name: str, rounds: Sequence[Timed], limit: float) -> str:
    times = sorted(one.processor * 1e3 for one in rounds)
    clock = median(one.clock for one in rounds) * 1e3
    middle = median(times)
    return f"| {name} | {middle:.3g} | {times[0]:.3g} to {times[-1]:.3g} | {clock:.3g} | {middle / limit:.2g} x | {len(times)} |"


def shape_of(leaves: int) -> Shape:
    """The book in one currency, with 100 accounts a desk and 10 desks a book."""
    desks = max(1, leaves // 100)
    return Shape(leaves=leaves, levels=(max(1, desks // 10), desks), currencies=())


def contenders(maker: Maker) -> list[Contender]:
    trades = maker.trades(maker.held)
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(trades):
        engine.apply(batch, NOW)
    engine.publish(NOW)
    book = Book.of(maker, trades)
    present: list[Contender] = [Loop(book), ThisEngine(engine)]
    for make in (Compiled, BareNumPy, SciPyProduct, Polars, DuckDb, Perspective):
        try:
            present.append(make(book))
        except NotHere as reason:
            print(f"skipped: {reason}; bench/README.md says how to install it", file=sys.stderr)
    return present


def check(name: str, answer: Answer, expected: Answer) -> None:
    """Exit where an answer is not that of the loop: a time of another answer says nothing."""
    allowed = TOLERANCE * expected.gross + 1e-9
    for what, found, right in zip(Answer._fields, answer, expected, strict=True):
        if len(found) != len(right) or not np.all(np.abs(found - right) <= allowed):
            sys.exit(f"{name} computes another {what}: its times say nothing")


def prices_of(maker: Maker, before: FloatArray, numbers: Sequence[int]) -> FloatArray:
    new = before.copy()
    new[list(numbers)] = [maker.seeded.uniform(0.999, 1.001) for _ in numbers]
    return new


def run_beats(maker: Maker, present: Sequence[Contender], new: int) -> dict[str, list[Timed]]:
    """Rounds in turns; slow contenders have fewer. While the loop, the first, plays, and at the end, all must have its answer."""
    count = len(maker.instruments)
    prices = prices_of(maker, np.zeros(count), range(count))
    for one in present:
        one.full(prices)
    times: dict[str, list[Timed]] = {one.name: [] for one in present}
    most = max(one.rounds for one in present)
    for number in range(WARM_UP + most):
        chosen = range(count) if new == count else maker.seeded.sample(range(count), new)
        prices = prices_of(maker, prices, chosen)
        moved = np.array(chosen)
        playing = [one for one in present if number < WARM_UP + one.rounds]
        for one in playing:
            took = timed(partial(one.full, prices) if new == count else partial(one.some, moved, prices))
            if number >= WARM_UP:
                times[one.name].append(took)
        if number == WARM_UP + most - 1:
            present[0].full(prices)
        elif present[0] not in playing:
            continue
        for one in playing:
            check(one.name, one.answer, present[0].answer)
    return times


def show_beats(title: str, times: dict[str, list[Timed]]) -> None:
    middle = {name: median(one.processor for one in rounds) * 1e3 for name, rounds in times.items()}
    limit = next((name for name in middle if name.startswith("C ")), "this engine")
    print(f"\n{title}\n\n| | ms, processor | spread | ms, clock | to {limit} | rounds |\n|---|---|---|---|---|---|")
    for name in sorted(middle, key=middle.__getitem__):
        print(line(name, times[name], middle[limit]), flush=True)


def run_trades(maker: Maker, positions: int) -> None:
    reference = maker.reference
    present: list[EngineTrades | Nautilus | Dictionary] = [EngineTrades(reference), Dictionary(reference)]
    try:
        present += [Nautilus(reference, built=True), Nautilus(reference, built=False)]
    except NotHere as reason:
        print(f"skipped: {reason}; bench/README.md says how to install it", file=sys.stderr)
    pool = maker.held[:positions]
    opening = maker.trades(pool)
    sums: dict[tuple[str, str], int] = {}
    crossed: set[tuple[str, str]] = set()
    note_crossings(opening, sums, crossed)
    for one in present:
        one.prepare(opening)()
    rates: dict[str, list[float]] = {one.name: [] for one in present}
    gc.collect()
    gc.freeze()
    for _ in range(TRADE_ROUNDS):
        trades = maker.trades(maker.seeded.choices(pool, k=TRADES))
        note_crossings(trades, sums, crossed)
        for one in present:
            rates[one.name].append(TRADES / timed(one.prepare(trades)).processor)
    expected = present[0].held()
    for one in present:
        if not same(one.held(), expected, crossed):
            sys.exit(f"{one.name} holds other positions than the engine: its times say nothing")
    ours = median(rates["this engine"])
    print(f"\nTrades on {positions:,} positions\n\n| | trades/s, processor | spread | this engine to it |\n|---|---|---|---|")
    for name, found in rates.items():
        print(
            f"| {name} | {median(found):,.0f} | {min(found):,.0f} to {max(found):,.0f} | {ours / median(found):.2f} x |",
            flush=True,
        )
    gc.unfreeze()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=LEAVES, help="accounts of 15 positions each")
    parser.add_argument("--only", choices=("beats", "trades"), help="one of the two")
    chosen = parser.parse_args()
    print(machine())
    maker = Maker(shape_of(chosen.leaves))
    positions = chosen.leaves * HELD
    if chosen.only != "trades":
        gc.disable()
        present = contenders(maker)
        gc.enable()
        settle_memory()
        show_beats(f"Full beat, {positions:,} positions", run_beats(maker, present, INSTRUMENTS))
        show_beats(f"{FEW} of {INSTRUMENTS:,} prices, {positions:,} positions", run_beats(maker, present, FEW))
        del present
        gc.unfreeze()
    if chosen.only != "beats":
        for pool in (300, positions):
            run_trades(Maker(shape_of(chosen.leaves)), pool)


if __name__ == "__main__":
    main()
