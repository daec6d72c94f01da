"""Lives through ranges of seeds, in this process or in several: what comes of a range does not depend on how many there are."""

import gc
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import NamedTuple

from tests.simulation.trace import Coverage, Trace
from tests.simulation.world import live_a_world

DAYS_A_WORLD = 3
WORLDS_A_BLOCK = 10
BLOCKS_A_PROCESS = 40
"""Blocks after which a process is replaced by a new one: what worlds leave in memory goes with it."""


class Block(NamedTuple):
    """Worlds with consecutive seeds: how many days each is to live."""

    first: int
    days: tuple[int, ...]


class Lived(NamedTuple):
    """What came of a block, world by world. `failed` names what was found, by seed; `cpu_s` is the time of its process."""

    first: int
    last: int
    days: int
    digests: tuple[str, ...]
    met: "Counter[tuple[str, str]]"
    counts: "Counter[str]"
    failed: dict[str, str]
    cpu_s: float


def blocks(seed: int, days: int) -> Iterator[Block]:
    """The blocks from a seed on that come to so many days."""
    while days > 0:
        lives: list[int] = []
        while days > 0 and len(lives) < WORLDS_A_BLOCK:
            lives.append(min(DAYS_A_WORLD, days))
            days -= lives[-1]
        yield Block(seed, tuple(lives))
        seed += len(lives)


def live(block: Block, until: str = "") -> Lived:
    """Live through a block, but begin no world after `until`. A world that fails counts with the days that it was to live."""
    began, digests, failed, coverage = time.process_time(), list[str](), dict[str, str](), Coverage()
    for seed, days in enumerate(block.days, block.first):
        if is_over(until):
            break
        try:
            world = live_a_world(str(seed), days)
        except Exception as error:  # of the engine, or of the simulation: a failed seed either way
            failed[str(seed)] = f"{type(error).__name__}: {error}"
            digests.append("")
            continue
        digests.append(world.trace.digest)
        coverage.add(world.coverage)
        if world.violation is not None:
            failed[str(seed)] = f"day {world.days + 1}: {world.violation}"
    gc.collect()
    lived = len(digests)
    cpu_s = time.process_time() - began
    last, days = block.first + lived - 1, sum(block.days[:lived])
    return Lived(block.first, last, days, tuple(digests), coverage.met, coverage.counts, failed, cpu_s)


def live_all(seed: int, days: int, processes: int, until: str = "") -> Iterator[Lived]:
    """All blocks in the order of their seeds, without gaps. No world begins after `until` (HH:MM of today; empty: any time)."""
    for block, lived in _live_each(blocks(seed, days), processes, until):
        if lived.digests:
            yield lived
        if len(lived.digests) < len(block.days):
            return


def _live_each(planned: Iterator[Block], processes: int, until: str) -> Iterator[tuple[Block, Lived]]:
    if processes == 1:
        yield from ((block, live(block, until)) for block in planned)
        return
    spawn = multiprocessing.get_context("spawn")  # each begins with the same modules, whatever this one has done
    with ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=BLOCKS_A_PROCESS) as pool:
        going: deque[tuple[Block, Future[Lived]]] = deque()
        for block in planned:
            going.append((block, pool.submit(live, block, until)))
            if len(going) == 2 * processes:
                block, future = going.popleft()
                yield block, future.result()
        while going:
            block, future = going.popleft()
            yield block, future.result()


def is_over(until: str) -> bool:
    """Whether the time of day `until` has passed."""
    return bool(until) and time.strftime("%H:%M") >= until


class Range:
    """The blocks of one range of seeds, added up: one line of the ledger."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first - 1
        self.days = 0
        self.cpu_s = 0.0
        self.failed: dict[str, str] = {}
        self.trace = Trace()
        self.coverage = Coverage()

    def add(self, lived: Lived) -> None:
        """The next block."""
        assert lived.first == self.last + 1, "blocks come in the order of their seeds"
        self.last = lived.last
        self.days += lived.days
        self.cpu_s += lived.cpu_s
        self.failed |= lived.failed
        for digest in lived.digests:
            self.trace.join(digest)
        self.coverage.met.update(lived.met)
        self.coverage.counts.update(lived.counts)
