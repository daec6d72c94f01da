"""When options expire by their own terms, and from when on a trade in one is dated too late.

What a trade is judged by follows from reference data and configuration alone: calendars change, verdicts on stored trades must
not. So a trade in an option that expires with the session of its market is too late from the end of that trading day. Pure.
"""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

from riskengine.market.trading_day import TradingDay
from riskengine.market.vol_surfaces import FX_CUT
from riskengine.records.fields import Rejected, micros, timestamp
from riskengine.records.types import OPTION_KINDS, Instrument, Kind

LAST_CUT = "16:00 America/New_York"
"""The cut of an option that names none, is on no pair, and whose market has no sessions."""

NEVER = 2**62
"""After every trade."""


class Cut(NamedTuple):
    """When an option expires: the moment, microseconds, and its date; `fault` says why that cannot be read."""

    ts: int
    date: dt.date
    fault: str = ""


def stated_cut(option: Instrument) -> Cut | None:
    """The cut of an option by its `expiry` and `cut`, on a pair else 10:00 New York; None: it goes by a market. 10 us."""
    text = option.expiry
    try:
        date = dt.date.fromisoformat(text[:10])
        if len(text) > len("2026-11-21"):
            return Cut(timestamp(text, "expiry"), date)
    except (ValueError, Rejected):
        return Cut(0, dt.date(1970, 1, 1), f"its expiry {text!r} is no date")
    if option.cut:
        return cut_at(date, option.cut)
    return cut_at(date, FX_CUT) if option.kind is Kind.FX_OPTION else None


def cut_at(date: dt.date, cut: str) -> Cut:
    """The cut on a date at `HH:MM ZONE`."""
    time, _, zone = cut.partition(" ")
    return Cut(micros(dt.datetime.combine(date, dt.time.fromisoformat(time), ZoneInfo(zone))), date)


def last_dealt(instrument: Instrument, trading_day: TradingDay) -> int:
    """The last moment, microseconds, of which a trade in an instrument can be; NEVER for what does not expire. 10 us.

    Of an option that goes by its market: the end of the trading day of its expiry, or of the New York session if that is later.
    """
    if instrument.kind not in OPTION_KINDS:
        return NEVER
    cut = stated_cut(instrument)
    if cut is not None:
        return NEVER if cut.fault else cut.ts
    date = dt.date.fromisoformat(instrument.expiry[:10])
    return max(trading_day.close_of(date), cut_at(date, LAST_CUT).ts)
