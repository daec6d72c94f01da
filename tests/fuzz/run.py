"""Gives inputs to the doors one after the other, and keeps what breaks a rule."""

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from tests.fuzz.mutation import Draw
from tests.fuzz.rules import Target, Violation

BLOCK = 200
"""Inputs drawn from one generator, and given to one door before the next has its turn."""

MOST_S = 5.0
"""Processor time for one input."""


class Broken(NamedTuple):
    """An input that broke a rule, and how."""

    target: str
    data: bytes
    error: str


class Found:
    """What came of inputs: how many, in which ways they were taken or refused, what broke a rule."""

    def __init__(self) -> None:
        self.inputs: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.ways: dict[str, set[str]] = {}
        self.broken: list[Broken] = []

    @property
    def total(self) -> int:
        """All inputs."""
        return self.inputs.total()


@contextmanager
def timed() -> Iterator[None]:
    """Inside the block an input that takes more than MOST_S of processor raises Violation: call `begin_input` before each."""

    def too_long(number: int, frame: Any) -> None:
        raise Violation(f"took more than {MOST_S:g} s of processor")

    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def begin_input() -> None:
    """Start the clock of one input."""
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_S)


def tried(target: Target, data: bytes) -> tuple[str, str | None]:
    """In which way an input was taken, and what it broke."""
    begin_input()
    try:
        return target.check(data), None
    except Exception as error:  # every error that no check expects is a find
        return "broken", f"{type(error).__name__}: {error}"


def run_block(target: Target, seed: int, block: int, found: Found, size: int = BLOCK) -> None:
    """The inputs of one block: those that `seed`, the door's name and `block` draw."""
    draw = Draw(f"{seed} {target.name} {block}")
    ways = found.ways.setdefault(target.name, set())
    began = time.process_time()
    for _ in range(size):
        data = target.draw(draw)
        way, error = tried(target, data)
        ways.add(way)
        if error is not None:
            found.broken.append(Broken(target.name, data, error))
    found.inputs[target.name] += size
    found.seconds[target.name] += time.process_time() - began  # type: ignore[assignment]


def blocks(targets: Sequence[Target], weights: Sequence[int]) -> Iterator[tuple[Target, int]]:
    """Doors in turn, each as often as its weight says, with the number of its block; without end."""
    number: Counter[str] = Counter()
    while True:
        for target, weight in zip(targets, weights, strict=True):
            for _ in range(weight):
                yield target, number[target.name]
                number[target.name] += 1


def name_of(broken: Broken) -> str:
    """A file name for a broken input."""
    return f"{broken.target}-{sha256(broken.data).hexdigest()[:12]}"
