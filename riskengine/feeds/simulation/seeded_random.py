"""Repeatable randomness: the same seed gives the same stream on every machine and Python version.

Python promises this for `Random.random()` only, so everything here uses that alone, and no logarithm or cosine of the C library,
whose last bits differ between machines.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from riskengine.clock import MICROS_PER_SECOND

_Item = TypeVar("_Item")

STEP_US = 10_000
"""The step of simulated time, microseconds, however the caller cuts time into intervals, at the speed of real time."""
MAX_INTERVAL_S = 5.0
"""Longest interval that is simulated: a laptop that slept for an hour does not wake to an hour of messages."""


class SeededRandom:
    """One independent stream of random numbers; `stream` separates the users of one seed."""

    __slots__ = ("random",)

    def __init__(self, seed: int, stream: str) -> None:
        self.random = random.Random(f"{stream}:{seed}").random

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def below(self, end: int) -> int:
        """A whole number from 0 to `end` - 1."""
        return int(self.random() * end)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def pick(self, items: Sequence[_Item]) -> _Item:
        return items[int(self.random() * len(items))]

    def count(self, mean: float) -> int:
        """A whole number, `mean` on average and less than 1 away from it."""
        return int(mean + self.random())

    def normal(self) -> float:
        """Close to a standard normal, bounded by 3.5: the sum of four uniforms, scaled to variance 1."""
        roll = self.random
        return (roll() + roll() + roll() + roll() - 2.0) * 1.7320508075688772


class _Regime(NamedTuple):
    """A state of the market: its share of draws, messages and volatility relative to normal, and its duration."""

    share: float
    rate: float
    volatility: float
    shortest_s: float
    longest_s: float


_REGIMES = (
    _Regime(share=0.50, rate=1.0, volatility=1.0, shortest_s=5.0, longest_s=20.0),
    _Regime(share=0.25, rate=0.3, volatility=0.5, shortest_s=2.0, longest_s=10.0),
    _Regime(share=0.25, rate=3.4, volatility=2.2, shortest_s=0.5, longest_s=3.0),
)
"""Normal trading, quiet spells and bursts; the rates average to 1 over time."""


class Activity:
    """The current regime: normal, quiet or a burst, each for a random time."""

    __slots__ = ("_left_us", "_rng", "rate", "volatility")

    def __init__(self, rng: SeededRandom) -> None:
        self._rng = rng
        self._left_us = 0
        self.rate = 1.0
        self.volatility = 1.0

    def step(self) -> None:
        """Move on by STEP_US."""
        self._left_us -= STEP_US
        if self._left_us > 0:
            return
        roll = self._rng.random()
        for regime in _REGIMES:
            roll -= regime.share
            if roll < 0:
                break
        self.rate, self.volatility = regime.rate, regime.volatility
        self._left_us = int(self._rng.between(regime.shortest_s, regime.longest_s) * MICROS_PER_SECOND)


class Stepper:
    """Cuts intervals into whole steps and carries the remainder, so that the cuts do not change the steps.

    With a clock that runs `speed` times as fast as real time a step is so much longer: there are as many in a real second.
    """

    __slots__ = ("_carry_us", "_longest_s", "step_us")

    def __init__(self, speed: float = 1.0) -> None:
        self.step_us = round(STEP_US * speed)
        self._longest_s = MAX_INTERVAL_S * speed
        self._carry_us = 0

    def steps(self, now_ts: int, elapsed_s: float) -> range:
        """The end times of the steps that the interval of `elapsed_s` up to `now_ts` completes, oldest first."""
        interval_us = round(min(max(elapsed_s, 0.0), self._longest_s) * MICROS_PER_SECOND)
        count, self._carry_us = divmod(self._carry_us + interval_us, self.step_us)
        last = now_ts - self._carry_us
        return range(last - (count - 1) * self.step_us, last + 1, self.step_us)
