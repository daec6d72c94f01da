"""The trading day: which day a moment belongs to, when that day closes, when the market is open.

The boundary is a time on the clock of a zone, so the moments follow both changes to and from summer time. The engine rolls on
every day but Saturday, Sunday, 25 December and 1 January; a loaded calendar `ENGINE` adds holidays to those or takes them away.
Whatever happens on a day without a roll belongs to the next trading day: crypto's weekend falls into Monday. Moments are
microseconds since the epoch, UTC.
"""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.records.fields import micros

_SATURDAY = 5
_DAY = dt.timedelta(days=1)
_FIXED_HOLIDAYS = frozenset({(12, 25), (1, 1)})


class EngineDays(NamedTuple):
    """Which dates are trading days of the engine: the rule, and the dates on which a loaded calendar `ENGINE` says otherwise."""

    holidays: frozenset[dt.date] = frozenset()
    business: frozenset[dt.date] = frozenset()

    def is_business_day(self, date: dt.date) -> bool:
        """Whether the engine rolls on a date. 0.2 us."""
        if date in self.business:
            return True
        if date.weekday() >= _SATURDAY or (date.month, date.day) in _FIXED_HOLIDAYS:
            return False
        return date not in self.holidays


BY_RULE = EngineDays()
"""No calendar `ENGINE` is loaded."""


class TradingDay:
    """The rule that cuts time into trading days: at `boundary` (HH:MM) by the clock of `zone` (tz database)."""

    def __init__(self, boundary: str, zone: str, days: EngineDays = BY_RULE) -> None:
        self._boundary = dt.time.fromisoformat(boundary)
        self._zone = ZoneInfo(zone)
        self.days = days

    @classmethod
    def of(cls, config: EngineConfig, days: EngineDays = BY_RULE) -> "TradingDay":
        """The rule that the configuration sets, with the days of a loaded calendar `ENGINE`."""
        return cls(config.day_boundary, config.day_zone, days)

    # -- dates -------------------------------------------------------------------------------------------------

    def is_business_day(self, date: dt.date) -> bool:
        """Whether the engine has a trading day of this date, and so a roll at its end."""
        return self.days.is_business_day(date)

    def previous(self, date: dt.date) -> dt.date:
        """The newest trading day before a date."""
        day = date - _DAY
        while not self.days.is_business_day(day):
            day -= _DAY
        return day

    def next(self, date: dt.date) -> dt.date:
        """The first trading day after a date."""
        return self._from(date + _DAY)

    def _from(self, date: dt.date) -> dt.date:
        """The first trading day from a date on, that date included."""
        while not self.days.is_business_day(date):
            date += _DAY
        return date

    # -- moments and dates -------------------------------------------------------------------------------------

    def local_time(self, ts: int) -> dt.datetime:
        """The moment on the clock of the zone, to the microsecond."""
        seconds, rest = divmod(ts, MICROS_PER_SECOND)
        return dt.datetime.fromtimestamp(seconds, self._zone).replace(microsecond=rest)

    def _slot(self, ts: int) -> dt.date:
        """The date at whose boundary the 24 hours end that hold the moment, trading day or not."""
        local = dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, self._zone)
        return local.date() + _DAY if local.time() >= self._boundary else local.date()

    def date_of(self, ts: int) -> dt.date:
        """The trading day that a moment belongs to. From the boundary of a trading day on it is the next one. 1 us."""
        return self._from(self._slot(ts))

    def close_of(self, date: dt.date) -> int:
        """The boundary of a date: if that is a trading day, the first moment that no longer belongs to it."""
        return micros(dt.datetime.combine(date, self._boundary, self._zone))

    def window(self, date: dt.date) -> tuple[int, int]:
        """The moments of a trading day: from the first on, up to and without the second, which is its close.

        Monday's begins at Friday's boundary. Raises ValueError for a date that is no trading day.
        """
        if not self.days.is_business_day(date):
            raise ValueError(f"{date} is no trading day of the engine")
        return self.close_of(self.previous(date)), self.close_of(date)

    def last_closed(self, ts: int) -> dt.date:
        """The newest trading day that has ended by `ts`."""
        return self.previous(self._slot(ts))

    def last_boundary(self, ts: int) -> dt.date:
        """The newest calendar date whose boundary has passed by `ts`: a close that is dated so is in force.

        On a Saturday evening that is Saturday, although the newest trading day that has ended is Friday.
        """
        return self._slot(ts) - _DAY

    # -- the market of the engine ------------------------------------------------------------------------------

    def shut_since(self, ts: int) -> int | None:
        """The moment since which the market has been shut without a break until `ts`; None while it is open."""
        slot = self._slot(ts)
        return None if self.days.is_business_day(slot) else self.close_of(self.previous(slot))

    def is_open(self, ts: int) -> bool:
        """Whether the market is open: always but from the last boundary before days that are none to the last of those days.

        So from Friday's boundary to Sunday's, and from that of 24 December to that of the 25th.
        """
        return self.days.is_business_day(self._slot(ts))


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

    def follow(self, trading_day: TradingDay) -> None:
        """Other days are business days from now on; the current day goes on, to its own boundary."""
        self._trading_day = trading_day

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


def current_day(trading_day: TradingDay, tolerance_s: float, now: int) -> str:
    """The trading day that is running at a moment by the clock, YYYY-MM-DD, as an engine that starts then has it."""
    return DayClock(trading_day, tolerance_s).date_of(now)
