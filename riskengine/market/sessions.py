"""When the market of each instrument is open or shut, and since when: exchanges, the FX week, and what is never shut.

`MarketHours` keeps one state for each kind of market in use, not for each instrument, and works a state out again only when it
ends; asking at every beat costs a comparison for each market. Writer thread.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.calendars import ALWAYS, Calendars
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import BoolArray, Instrument, IntArray, Kind

WEEK = ""
"""The market that is open from Sunday to Friday by the engine's boundary."""

OPEN = np.iinfo(np.int64).max
"""In an array of times since which markets are shut: this one is open."""

_DAY = dt.timedelta(days=1)
_DAY_US = 86_400 * MICROS_PER_SECOND
SEARCH_DAYS = 30
"""How far to look for the session before and the one after a moment."""


class MarketState(NamedTuple):
    """The state of a market from `begins` (included) to `ends` (not included); `shut_since` is None while it is open."""

    begins: int
    ends: int
    shut_since: int | None


StateAt = Callable[[int], MarketState]


def market_of(instrument: Instrument, calendars: Calendars) -> str:
    """The market that an instrument follows: by its calendar, else by its kind.

    A currency as calendar: the FX week on the business days of that currency. A name that nobody knows: the FX week, and
    `Calendars.gaps` says so.
    """
    if instrument.calendar == ALWAYS:
        return ALWAYS
    if instrument.calendar and (calendars.has_sessions(instrument.calendar) or calendars.knows(instrument.calendar)):
        return instrument.calendar
    return ALWAYS if instrument.kind is Kind.CRYPTO else WEEK


def state_at(market: str, calendars: Calendars, trading_day: TradingDay, ts: int) -> MarketState:
    """The state of a market at a moment. 20 us to 1 ms."""
    if market == ALWAYS:
        return MarketState(0, OPEN, None)
    if market == WEEK:
        return _day_state(trading_day, trading_day.is_business_day, ts)
    hours = calendars.hours(market, dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, dt.UTC).date())
    if hours is not None:
        return _session_state(market, hours.zone, calendars, ts)
    return _day_state(trading_day, lambda date: trading_day.is_business_day(date) and calendars.is_business_day(market, date), ts)


def _day_state(trading_day: TradingDay, is_good: Callable[[dt.date], bool], ts: int) -> MarketState:
    """A market that is open around the clock on good days, each from boundary to boundary."""
    slot = trading_day.last_boundary(ts) + _DAY
    begins, ends = trading_day.close_of(slot - _DAY), trading_day.close_of(slot)
    if is_good(slot):
        return MarketState(begins, ends, None)
    before = slot - _DAY
    while not is_good(before) and slot - before < SEARCH_DAYS * _DAY:
        before -= _DAY
    return MarketState(begins, ends, trading_day.close_of(before))


def _session_state(exchange: str, zone: str, calendars: Calendars, ts: int) -> MarketState:
    """A market with sessions. Without any around the moment it is shut since the beginning of the search."""
    today = dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, ZoneInfo(zone)).date()
    shut_since = None
    for back in range(-1, SEARCH_DAYS):
        for begins, ends in reversed(calendars.sessions(exchange, today - back * _DAY)):
            if begins <= ts < ends:
                return MarketState(begins, ends, None)
            if ends <= ts and shut_since is None:
                shut_since = ends
        if shut_since is not None:
            break
    opens = None
    for ahead in range(-1, SEARCH_DAYS):
        opens = next((begins for begins, _ in calendars.sessions(exchange, today + ahead * _DAY) if begins > ts), None)
        if opens is not None:
            break
    if shut_since is None:
        shut_since = ts - SEARCH_DAYS * _DAY_US
    return MarketState(shut_since, ts + _DAY_US if opens is None else opens, shut_since)


def session_end(instrument: Instrument, date: dt.date, calendars: Calendars) -> int | None:
    """When the last session of an instrument's exchange ends on a date of the exchange's zone, microseconds.

    None where its market is no exchange, or has no session on the date. 20 us.
    """
    market = market_of(instrument, calendars)
    sessions = calendars.sessions(market, date) if calendars.has_sessions(market) else []
    return max((ends for _, ends in sessions), default=None)


class MarketHours:
    """The markets of all instruments by number, and since when each is shut."""

    def __init__(self, instruments: Sequence[Instrument], calendars: Calendars, trading_day: TradingDay) -> None:
        self._calendars = calendars
        self._trading_day = trading_day
        names = [market_of(instrument, calendars) for instrument in instruments]
        self._markets = sorted(set(names))
        place = {name: at for at, name in enumerate(self._markets)}
        self._market: IntArray = np.array([place[name] for name in names], dtype=np.int64)
        self._states: list[MarketState | None] = [None] * len(self._markets)
        self._from, self._until = 0, 0
        self._shut_since = np.full(len(names), OPEN, dtype=np.int64)
        self._shut = np.zeros(len(names), dtype=np.bool_)
        self._any_shut = False

    def grow(self, instruments: Sequence[Instrument]) -> None:
        """Know more instruments, behind those that are known. O(new ones), and the next look at the markets."""
        place = {name: at for at, name in enumerate(self._markets)}
        for name in (market_of(each, self._calendars) for each in instruments[len(self._market) :]):
            if name not in place:
                place[name] = len(self._markets)
                self._markets.append(name)
                self._states.append(None)
            self._market = np.append(self._market, place[name])
        self._shut_since = np.full(len(instruments), OPEN, dtype=np.int64)
        self._shut = np.zeros(len(instruments), dtype=np.bool_)
        self._from, self._until = 0, 0

    def shut_since(self, now: int) -> IntArray:
        """Since when the market of each instrument is shut, microseconds; OPEN where it is open. Do not write to it.

        O(1) while no market opens or shuts, else O(instruments).
        """
        if not self._from <= now < self._until:
            self._look(now)
        return self._shut_since

    def shut(self, now: int) -> BoolArray:
        """Whether the market of each instrument is shut. Do not write to it. Cost as `shut_since`."""
        self.shut_since(now)
        return self._shut

    def any_shut(self, now: int) -> bool:
        """Whether any market is shut. Cost as `shut_since`."""
        self.shut_since(now)
        return self._any_shut

    def _look(self, now: int) -> None:
        for at, name in enumerate(self._markets):
            state = self._states[at]
            if state is None or not state.begins <= now < state.ends:
                self._states[at] = state_at(name, self._calendars, self._trading_day, now)
        states = [state for state in self._states if state is not None]
        self._from = max((state.begins for state in states), default=0)
        self._until = min((state.ends for state in states), default=OPEN)
        since = np.array([OPEN if state.shut_since is None else state.shut_since for state in states], dtype=np.int64)
        if len(since):
            self._shut_since = since[self._market]
            self._shut = self._shut_since != OPEN
            self._any_shut = bool(self._shut.any())
        self._shut.flags.writeable = False
