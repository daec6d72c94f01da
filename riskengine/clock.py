"""Time, passed in: the core never asks what time it is.

All times are integers, microseconds since the Unix epoch, UTC.
"""

import time
from typing import Protocol

MICROS_PER_SECOND = 1_000_000


class Clock(Protocol):
    """Where the edges get the time from."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that stands still until it is told to move; for tests and replays."""

    def __init__(self, ts: int = 0) -> None:
        self.ts = ts

    def now(self) -> int:
        return self.ts

    def advance(self, micros: int) -> None:
        """Move the clock by `micros` (may be negative: clocks do step back)."""
        self.ts += micros
