"""New."""

import datetime as dt
from zoneinfo import ZoneInfo

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.records.fields import micros


def close_ts(date: str, config: Config) -> int:
    """The moment of a close: the day boundary of its date, in its zone."""
    hour, minute = config.engine.day_boundary.split(":")
    moment = dt.datetime.combine(dt.date.fromisoformat(date), dt.time(int(hour), int(minute)))
    return micros(moment.replace(tzinfo=ZoneInfo(config.engine.day_zone)))


def is_trading(now: int, config: Config) -> bool:
    """Whether the market is open: not from Friday's day boundary to Sunday's, by the clock of the day's zone."""
    local = dt.datetime.fromtimestamp(now / MICROS_PER_SECOND, ZoneInfo(config.engine.day_zone))
    boundary = dt.time.fromisoformat(config.engine.day_boundary)
    day, past = local.isoweekday(), local.time() >= boundary
    return not (day == 6 or (day == 5 and past) or (day == 7 and not past))


NEXT_DAY_PAIRS = frozenset({("USD", "CAD"), ("USD", "TRY"), ("USD", "PHP"), ("USD", "RUB")})
"""Pairs that settle one business day after the trade; all others settle after two."""


def spot_date(traded: dt.date, base: str, quote: str) -> dt.date:
    """The spot date by weekdays alone (holiday calendars are not known here)."""
    left = 1 if (base, quote) in NEXT_DAY_PAIRS else 2
    day = traded
    while left:
        day += dt.timedelta(days=1)
        left -= day.weekday() < 5
    return day
