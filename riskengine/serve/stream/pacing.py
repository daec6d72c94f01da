"""Pacing of the sender: the rhythm of beats, the pause between pushes, moments that connections have in common.

Pure arithmetic of times in seconds that never go back; it reads no clock.
"""

from math import floor

BUSY_SHARE, IDLE_SHARE = 0.2, 0.08
"""Pushes after trades that take more than the first share of the time make the pause longer, less than the second shorter."""

MAX_PAUSE_S = 60.0
WINDOW_S = 0.25
"""Time over which the share is measured."""


class Rhythm:
    """Numbers the beats: which beat a publication belongs to, whether or not every beat published something."""

    def __init__(self, beat_s: float) -> None:
        self.beat_s = beat_s
        self._anchor: float | None = None

    def number(self, now: float) -> int:
        """The number of the beat nearest to a moment; the rhythm is learned from the moments of publications."""
        if self._anchor is None:
            self._anchor = now
        place, nearest = (now - self._anchor) / self.beat_s, self.nearest(now)
        self._anchor += 0.1 * (place - nearest) * self.beat_s
        return nearest

    def nearest(self, now: float) -> int:
        """The same of a moment without a publication, which says nothing about the rhythm. 0 before the first publication."""
        return 0 if self._anchor is None else int((now - self._anchor) / self.beat_s + 0.5)


class PushPause:
    """The pause between two pushes after trades of what everybody watches: longer while pushes take too much of the time."""

    def __init__(self, min_pause_s: float) -> None:
        self.pause_s = min_pause_s
        self.min_pause_s = min_pause_s
        self._busy_s = 0.0
        self._since = 0.0

    def add_busy(self, seconds: float, now: float) -> None:
        """Count seconds that went into pushes."""
        self._busy_s += seconds
        elapsed = now - self._since
        if elapsed < WINDOW_S:
            return
        share = self._busy_s / elapsed
        if elapsed > 4.0 * WINDOW_S:
            self.pause_s = self.min_pause_s
        elif share > BUSY_SHARE:
            self.pause_s = min(2.0 * self.pause_s, MAX_PAUSE_S)
        elif share < IDLE_SHARE:
            self.pause_s = max(0.5 * self.pause_s, self.min_pause_s)
        self._busy_s, self._since = 0.0, now


def next_moment(moment: float, period: float, number: int) -> float:
    """The first moment after `moment` at which a period ends for this `number`; other numbers have other moments."""
    offset = number * 0.618034 % 1.0
    return (floor(moment / period - offset) + 1.0 + offset) * period
