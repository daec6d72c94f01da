"""The trading day: which day a moment belongs to, when that day closes, when the market is open; and spot dates.

The boundary is a time on the clock of a zone, so the moments follow both changes to and from summer time. Weekends are known,
holidays are not. Moments are microseconds since the epoch, UTC.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.records.fields import micros

NEXT_DAY_PAIRS = frozenset({("USD", "CAD"), ("USD", "TRY"), ("USD", "PHP"), ("USD", "RUB")})
"""Pairs that settle one business day after the trade; all others settle after two."""

_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6
_DAY = dt.timedelta(days=1)


class TradingDay:
    """The rule that cuts time into trading days: at `boundary` (HH:MM) by the clock of `zone` (tz database)."""

    def __init__(self, boundary: str, zone: str) -> None:
        self._boundary = dt.time.fromisoformat(boundary)
        self._zone = ZoneInfo(zone)

    @classmethod
    def of(cls, config: EngineConfig) -> "TradingDay":
        """The rule that the configuration sets."""
        return cls(config.day_boundary, config.day_zone)

    def local_time(self, ts: int) -> dt.datetime:
        """The moment on the clock of the zone, to the microsecond."""
        seconds, rest = divmod(ts, MICROS_PER_SECOND)
        return dt.datetime.fromtimestamp(seconds, self._zone).replace(microsecond=rest)

    def date_of(self, ts: int) -> dt.date:
        """The trading day that a moment belongs to: a weekday. From the boundary on it is the next weekday's. 1 us."""
        local = dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, self._zone)
        day = local.date() + _DAY if local.time() >= self._boundary else local.date()
        while day.weekday() >= _SATURDAY:
            day += _DAY
        return day

    def close_of(self, date: dt.date) -> int:
        """The moment at which the trading day `date` ends: the first that no longer belongs to it."""
        return micros(dt.datetime.combine(date, self._boundary, self._zone))

    def last_closed(self, ts: int) -> dt.date:
        """The newest calendar date whose close, at the boundary, has been struck by `ts`."""
        local = self.local_time(ts)
        return local.date() if local.time() >= self._boundary else local.date() - _DAY

    def shut_since(self, ts: int) -> int | None:
        """The moment since which the market has been shut without a break until `ts`; None while it is open."""
        if self.is_open(ts):
            return None
        date = self.local_time(ts).date()
        return self.close_of(date - _DAY * ((date.weekday() - _FRIDAY) % 7))

    def is_open(self, ts: int) -> bool:
        """Whether the market is open: always but from Friday's boundary to Sunday's."""
        local = self.local_time(ts)
        day = local.weekday()
        if day == _FRIDAY:
            return local.time() < self._boundary
        if day == _SUNDAY:
            return local.time() >= self._boundary
        return day != _SATURDAY


class DayClock:
    """Tells by the clock when the current trading day has ended: at its boundary and a tolerance for trades that come late.

    Owned by the writer thread. Without a day (a time of 0 at the beginning) none ever ends.
    """

    def __init__(self, trading_day: TradingDay, tolerance_s: float) -> None:
        self._trading_day = trading_day
        self._tolerance = int(tolerance_s * MICROS_PER_SECOND)
        self._ends_at = NEVER

    def begin(self, now: int, date: str | None = None) -> str:
        """The current day, YYYY-MM-DD: `date`, or else that of `now`; "" where that is 0."""
        day = date if date is not None else self.date_of(now) if now else ""
        if day:
            self.note(day)
        return day

    def date_of(self, now: int) -> str:
        """The trading day that is running at a moment: until the tolerance is over, the one whose boundary has just passed."""
        return self._trading_day.date_of(now - self._tolerance).isoformat()

    def note(self, date: str) -> None:
        """A trading day has begun."""
        self._ends_at = self._trading_day.close_of(dt.date.fromisoformat(date)) + self._tolerance

    def has_ended(self, now: int) -> bool:
        """Whether the current day is over. O(1)."""
        return now >= self._ends_at


NEVER = 2**63 - 1


def current_day(config: EngineConfig, now: int) -> str:
    """The trading day that is running at a moment by the clock, YYYY-MM-DD, as an engine that starts then has it."""
    return DayClock(TradingDay.of(config), config.tolerance_s).date_of(now)


def spot_date(traded: dt.date, base: str, quote: str) -> dt.date:
    """The spot date of a pair dealt on `traded`, by weekdays alone."""
    left = 1 if (base, quote) in NEXT_DAY_PAIRS else 2
    day = traded
    while left:
        day += _DAY
        left -= day.weekday() < _SATURDAY
    return day
