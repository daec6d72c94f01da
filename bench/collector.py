"""Measures the pauses of the garbage collector while a loaded engine takes trades and prices: `python -m bench.collector`.

The book is that of `bench/book.py`, settled in memory as after a start. Trades come in twenties, each twenty is published, ten
prices are new after every tenth; the newest 300 snapshots are kept, as readers would. A pause stops every thread, the loop too.
Times are of the processor; the longest by the clock stands beside, and has the waiting of a busy machine in it.
"""

import argparse
import gc
from collections import deque
from statistics import median
from time import perf_counter, thread_time
from typing import NamedTuple

from bench.book import NOW, Maker, load_engine
from bench.latency import machine
from riskengine.rebuild.rebuild import settle_memory

TOGETHER, KEPT = 20, 300


class Pause(NamedTuple):
    """One pass of the collector: its generation, and seconds of the processor and by the clock."""

    generation: int
    processor: float
    clock: float


class Pauses:
    """What the collector reports of its passes (`gc.callbacks`)."""

    def __init__(self) -> None:
        self.found: list[Pause] = []
        self._began = 0.0, 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = thread_time(), perf_counter()
        else:
            processor, clock = self._began
            self.found.append(Pause(info["generation"], thread_time() - processor, perf_counter() - clock))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=200_000)
    chosen = parser.parse_args()
    print(machine())
    maker = Maker()
    engine = load_engine(maker)
    settle_memory()
    equities = maker.reference.products.nonzero()[0].tolist()
    pauses, kept = Pauses(), deque([engine.snapshot], maxlen=KEPT)
    gc.callbacks.append(pauses)
    for number in range(chosen.trades // TOGETHER):
        engine.apply(maker.trades(maker.seeded.choices(maker.held, k=TOGETHER)), NOW)
        kept.append(engine.publish(NOW))
        if number % 10 == 9:
            engine.beat(maker.marks(maker.seeded.sample(equities, 10)), NOW)
    gc.callbacks.remove(pauses)
    print(f"{len(gc.get_objects()):,} objects are watched")
    for generation in sorted({pause.generation for pause in pauses.found}):
        some = [pause for pause in pauses.found if pause.generation == generation]
        times = [pause.processor * 1e3 for pause in some]
        clock = max(pause.clock for pause in some) * 1e3
        print(
            f"generation {generation}: {len(some)} pauses, median {median(times):.1f} ms, longest {max(times):.1f} ({clock:.0f})"
        )


if __name__ == "__main__":
    main()
