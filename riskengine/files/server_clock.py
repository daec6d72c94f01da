"""Clocks of trading servers that run a fixed number of hours ahead of a zone, changes of its clocks included.

MetaTrader servers run on New York + 7 h: the day begins at 17:00 of New York, in summer and in winter.
"""

import datetime as dt
import re

MOST_AHEAD_H = 8
"""With the 15 h 56 min of the zone that was ever furthest from UTC (Manila until 1844) an offset stays below a day."""

_AHEAD = re.compile(r"(?P<zone>[A-Za-z][\w/+-]*)(?P<hours>[+-]\d{1,2})h", re.ASCII)


def split_clock(name: str) -> tuple[str, int] | None:
    """The zone and the hours ahead of it in `America/New_York+7h`; None for another name."""
    match = _AHEAD.fullmatch(name)
    return None if match is None else (match["zone"], int(match["hours"]))


class ServerClock(dt.tzinfo):
    """A clock so many hours ahead of a zone."""

    def __init__(self, zone: dt.tzinfo, hours: int) -> None:
        self._zone = zone
        self._ahead = dt.timedelta(hours=hours)

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """How far the clock is ahead of UTC at a moment of its own."""
        if moment is None:
            return None
        offset = self._zone.utcoffset((moment - self._ahead).replace(tzinfo=self._zone, fold=moment.fold))
        return None if offset is None else offset + self._ahead

    def dst(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Unknown."""
        return None

    def tzname(self, moment: dt.datetime | None) -> str:
        """The zone and the hours."""
        return f"{self._zone}{self._ahead.total_seconds() / 3600:+g}h"

    def fromutc(self, moment: dt.datetime) -> dt.datetime:
        """The clock's time at a moment of UTC, which second of two equal ones included."""
        local = moment.replace(tzinfo=dt.UTC).astimezone(self._zone)
        return (local.replace(tzinfo=None) + self._ahead).replace(tzinfo=self, fold=local.fold)
