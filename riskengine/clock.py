"""Clocks for the edges of the engine; the core reads none and takes the time as an argument.

All times are integers, microseconds since the Unix epoch, UTC.
"""

import datetime as dt
import time
from collections.abc import Callable
from typing import Protocol

MICROS_PER_SECOND = 1_000_000


def utc_text(ts: int) -> str:
    """Microseconds since the epoch as text, such as `2026-11-30 17:00:00 UTC`."""
    return dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class Clock(Protocol):
    """The source of the time at the edges. Waits and periods are of real time, unless they are of `speed`."""

    @property
    def speed(self) -> float:
        """How many of its seconds pass in a second of real time."""
        ...

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's wall clock."""

    speed = 1.0

    def now(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves only when its owner moves it; for tests and replays."""

    speed = 1.0

    def __init__(self, ts: int = 0) -> None:
        self.ts = ts

    def now(self) -> int:
        return self.ts

    def advance(self, micros: int) -> None:
        """Move the clock by `micros`; a negative number steps it back, as real clocks do."""
        self.ts += micros


class FastClock:
    """A clock that runs `speed` times as fast as real time, from `start_ts` on. Any thread. It never goes back.

    It counts a monotonic clock, so that a machine whose wall clock is set does not move it.
    """

    def __init__(self, speed: float, start_ts: int, real_ns: Callable[[], int] = time.monotonic_ns) -> None:
        assert speed > 0
        self.speed = speed
        self._start_ts = start_ts
        self._real_ns = real_ns
        self._began_ns = real_ns()

    def now(self) -> int:
        return self._start_ts + int((self._real_ns() - self._began_ns) * self.speed) // 1_000
