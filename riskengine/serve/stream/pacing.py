"""When something may be sent again: the rhythm of beats, the pause after a push, moments that connections have in common.

Pure arithmetic of times in seconds that never go back; no clock in here.
"""

from math import floor

BUSY, IDLE = 0.2, 0.08
"""Shares of the time that pushes after trades may take before they are stretched, and below which they are quickened again."""

MAX_PAUSE_S = 60.0
WINDOW_S = 0.25
"""Over which the share is taken."""


class Rhythm:
    """The rhythm of the beats, numbered: where a publication stands in it, whether or not every beat published something."""

    def __init__(self, beat_s: float) -> None:
        self.beat_s = beat_s
        self._anchor: float | None = None

    def number(self, now: float) -> int:
        """The number of the beat nearest to a moment; the rhythm is learned from the moments of publications."""
        if self._anchor is None:
            self._anchor = now
        place = (now - self._anchor) / self.beat_s
        nearest = int(place + 0.5)
        self._anchor += 0.1 * (place - nearest) * self.beat_s
        return nearest


class PushPause:
    """The pause between two pushes after trades of what everybody watches: longer while pushes take too much of the time."""

    def __init__(self, least_s: float) -> None:
        self.pause_s = least_s
        self.least_s = least_s
        self._busy_s = 0.0
        self._since = 0.0

    def spent(self, seconds: float, now: float) -> None:
        """So much went into pushes."""
        self._busy_s += seconds
        elapsed = now - self._since
        if elapsed < WINDOW_S:
            return
        share = self._busy_s / elapsed
        if elapsed > 4.0 * WINDOW_S:
            self.pause_s = self.least_s
        elif share > BUSY:
            self.pause_s = min(2.0 * self.pause_s, MAX_PAUSE_S)
        elif share < IDLE:
            self.pause_s = max(0.5 * self.pause_s, self.least_s)
        self._busy_s, self._since = 0.0, now


def after(moment: float, period: float, number: int) -> float:
    """The first moment after one at which a period ends for all who have this number; other numbers have other moments."""
    offset = number * 0.618034 % 1.0
    return (floor(moment / period - offset) + 1.0 + offset) * period
