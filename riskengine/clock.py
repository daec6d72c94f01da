"""Clocks for the edges of the engine; the core reads none and takes the time as an argument.

All times are integers, microseconds since the Unix epoch, UTC.
"""

import datetime as dt
import time
from typing import Protocol

MICROS_PER_SECOND = 1_000_000


def utc_text(ts: int) -> str:
    """Microseconds since the epoch as text, such as `2026-11-30 17:00:00 UTC`."""
    return dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class Clock(Protocol):
    """The source of the time at the edges."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves only when its owner moves it; for tests and replays."""

    def __init__(self, ts: int = 0) -> None:
        self.ts = ts

    def now(self) -> int:
        return self.ts

    def advance(self, micros: int) -> None:
        """Move the clock by `micros`; a negative number steps it back, as real clocks do."""
        self.ts += micros
