"""The mark of a close (ACCOUNTING section 8): which price an instrument closes a trading day with. Pure.

FX and metals close at the boundary, with their closing mark if they were quoted that day, else with a loaded close of the date.
All others close with the official close or settlement of the date where one is loaded, else with the last mark of their regular
session; an instrument without a session (crypto) closes at the boundary. Where neither is known the newest mark from before
counts, with its own time; where there is none at all the instrument has no close.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.marks import CLOSE, Mark
from riskengine.market.sessions import session_end
from riskengine.market.split_prices import NO_SPLITS, SplitPrices
from riskengine.market.trading_day import TradingDay
from riskengine.records.closes import ClosePrice
from riskengine.records.types import FX_KINDS, Close, Instrument, Kind

BOUNDARY_KINDS = FX_KINDS | {Kind.METAL}
"""Kinds that close at the boundary with a quote of the feeds."""

SessionEnd = Callable[[Instrument, dt.date], int | None]
"""When the regular session of an instrument's calendar ends on a date, microseconds; None: there is none on it."""


def no_sessions(instrument: Instrument, date: dt.date) -> int | None:
    """Every instrument closes at the boundary."""
    return None


class ClosingRules(NamedTuple):
    """What decides when days and sessions end; and the splits, by which a mark from before an ex-date counts on a later day."""

    trading_day: TradingDay
    session_end: SessionEnd = no_sessions
    splits: SplitPrices = NO_SPLITS


def closing_rules(config: EngineConfig, calendars: Calendars) -> ClosingRules:
    """The rules by the configuration and the calendars in force, without splits."""
    return ClosingRules(calendars.trading_day(config), partial(session_end, calendars=calendars))


class CloseTimes:
    """When the close of an instrument on a date is: at the end of its session, at most at the boundary. Remembers per market."""

    def __init__(self, instruments: Iterable[Instrument], rules: ClosingRules) -> None:
        self._instruments = {instrument.instrument: instrument for instrument in instruments}
        self._rules = rules
        self._known: dict[tuple[str, Kind, str], int] = {}

    def of(self, symbol: str, date: str) -> int:
        """Microseconds; of an instrument that nobody knows the boundary. 0.3 us, 20 us for the first of a market and date."""
        instrument = self._instruments.get(symbol)
        key = ("", Kind.FX, date) if instrument is None else (instrument.calendar, instrument.kind, date)
        ts = self._known.get(key)
        if ts is None:
            ts = self._known[key] = self._work_out(instrument, dt.date.fromisoformat(date))
        return ts

    def _work_out(self, instrument: Instrument | None, date: dt.date) -> int:
        boundary = self._rules.trading_day.close_of(date)
        if instrument is None or instrument.kind in BOUNDARY_KINDS:
            return boundary
        ends = self._rules.session_end(instrument, date)
        return boundary if ends is None else min(ends, boundary)


def cutoffs_of(instruments: Iterable[Instrument], date: dt.date, rules: ClosingRules) -> dict[str, int]:
    """The cutoff of each instrument on a trading day: the end of its session, at most the boundary. Microseconds, by symbol."""
    instruments = tuple(instruments)
    times = CloseTimes(instruments, rules)
    return {instrument.instrument: times.of(instrument.instrument, date.isoformat()) for instrument in instruments}


def closing_prices(
    instruments: Iterable[Instrument], date: dt.date, closing: Mapping[str, Mark], official: Iterable[Close], rules: ClosingRules
) -> dict[str, ClosePrice]:
    """The marks of the close of a trading day by symbol: from closing marks as quoted, and the official closes of the date."""
    begins, ends = rules.trading_day.window(date)
    splits = rules.splits.until(ends)
    loaded = {
        close.instrument: ClosePrice(close.price, ends, CLOSE, True) for close in official if close.date == date.isoformat()
    }
    found = {}
    for instrument in instruments:
        symbol = instrument.instrument
        mark, price = closing.get(symbol) or closing.get(splits.formerly.get(symbol, "")), loaded.get(symbol)
        if mark is not None:
            mark = mark._replace(price=splits.now(symbol, mark.price, mark.ts, mark.kind))
        is_quoted = mark is not None and mark.kind != CLOSE and mark.ts >= begins
        if mark is not None and (price is None or (is_quoted and instrument.kind in BOUNDARY_KINDS)):
            price = ClosePrice(mark.price, mark.ts, mark.source)
        if price is not None:
            found[symbol] = price
    return found


def superseding_prices(
    instruments: Iterable[Instrument],
    date: dt.date,
    prices: Mapping[str, ClosePrice],
    official: Iterable[Close],
    rules: ClosingRules,
) -> dict[str, ClosePrice] | None:
    """The marks of a struck close once the official closes of its date are as they are now; None if none is another.

    An official close that was deleted since leaves its price: what was published stands until another price comes.
    """
    marks = {
        symbol: Mark(price.price, price.ts, price.source, CLOSE if price.official or price.source == CLOSE else "")
        for symbol, price in prices.items()
    }
    now = closing_prices(instruments, date, marks, official, rules._replace(splits=NO_SPLITS))  # they are of that day
    changed = {symbol: price for symbol, price in now.items() if price.official and price != prices.get(symbol)}
    return {**prices, **changed} if changed else None


def newest_before(
    cutoffs: Mapping[str, int], *known: Mapping[str, Mark], closes: Iterable[Close], times: CloseTimes
) -> dict[str, Mark]:
    """The newest mark of each instrument from before its cutoff, of several sources; an earlier close where nothing is newer.

    So a quote book would have kept them. On ties the later source counts, and a mark before a close.
    """
    found: dict[str, Mark] = {}
    for marks in known:
        for symbol, mark in marks.items():
            before = found.get(symbol)
            if mark.ts < cutoffs.get(symbol, 0) and (before is None or mark.ts >= before.ts):
                found[symbol] = mark
    for close in closes:
        ts = times.of(close.instrument, close.date)
        before = found.get(close.instrument)
        if ts < cutoffs.get(close.instrument, 0) and (before is None or before.ts < ts):
            found[close.instrument] = Mark(close.price, ts, CLOSE, CLOSE)
    return found
