"""Which rows of a curve or a surface newer ones have overtaken.

Pillars are often sent as dates that move on with the day: yesterday's one-month row stays behind between today's, and bends what
lies around it. So a row that is far older than the newest of its subject takes no part where newer ones lie around its date.
Outside of those it is all that is known there: it stays, and counts as stale. Pure.
"""

from collections.abc import Sequence

from riskengine.clock import MICROS_PER_SECOND

LEFT_BEHIND_US = 12 * 3600 * MICROS_PER_SECOND
"""A row that is older than the newest of its subject by more than this is left behind."""


def overtaken(dates: Sequence[str], times: Sequence[int]) -> list[bool]:
    """Whether each row of one subject is left out, from its date (YYYY-MM-DD) and its `ts`. O(rows)."""
    if not times:
        return []
    oldest = max(times) - LEFT_BEHIND_US
    new = [date for date, ts in zip(dates, times, strict=True) if ts >= oldest]
    first, last = min(new), max(new)
    return [ts < oldest and first <= date <= last for date, ts in zip(dates, times, strict=True)]
