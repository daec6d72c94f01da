"""What the trading day and the next ones bring: value dates, fixings, expiries, ex-dates, holidays, prices that have not moved.

Pure functions of a snapshot and of what judges value dates; any thread. The first question about a year of a calendar reads the
library: 0.1 s once, 5 ms each; then 1 ms for a hundred pairs and calendars, and O(instruments).
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from riskengine.market.calendars import calendars_in_use
from riskengine.market.spot_dates import SpotDates, weekday_spot_date
from riskengine.records.actions import Action, ActionKind
from riskengine.records.fields import to_text
from riskengine.records.types import OPTION_KINDS, Instrument, Kind
from riskengine.snapshot.shown_marks import valued_option
from riskengine.snapshot.snapshot import Snapshot

AGENDA_KINDS = ("value_date", "fixing", "expiry", "ex_date", "holiday", "early_close", "unchanged")
"""In the order in which a day lists them."""

_DAY = dt.timedelta(days=1)
_SATURDAY = 5
_DOLLAR = "USD"


class AgendaItem(NamedTuple):
    """One thing that a date brings.

    date       the day, YYYY-MM-DD
    name       a pair, an instrument or a calendar
    due        of `value_date`: when a pair settles that is dealt spot on `date`
    ts         the moment, microseconds: of a cut, an early close, or the mark that has not moved
    positions  open positions in it, as far as they are shown; None where the item is about no position
    """

    date: str
    kind: str
    name: str
    what: str
    due: str | None = None
    ts: int | None = None
    positions: int | None = None


Held = Mapping[int, int]
"""Open positions by instrument number; instruments without any are absent."""


def agenda(snapshot: Snapshot, spot_dates: SpotDates, held: Held, days: int) -> list[AgendaItem]:
    """What the current day and the `days` after it bring, by date, kind and name; empty while no day is known."""
    if not snapshot.current_day:
        return []
    today = dt.date.fromisoformat(snapshot.current_day)
    last = (today + days * _DAY).isoformat()
    items = [
        *_value_dates(snapshot, spot_dates),
        *_fixings(snapshot, held, last),
        *_expiries(snapshot, held, last),
        *_ex_dates(snapshot, held, last),
        *_shut_days(snapshot, spot_dates, [today + ahead * _DAY for ahead in range(days + 1)]),
        *_unchanged(snapshot, held),
    ]
    return sorted(items, key=lambda item: (item.date, AGENDA_KINDS.index(item.kind), item.name))


def _value_dates(snapshot: Snapshot, spot_dates: SpotDates) -> Iterator[AgendaItem]:
    """Of every spot pair when it settles if it is dealt now, and which holiday makes that another day than usual."""
    for pair in snapshot.reference.instruments:
        if pair.kind is Kind.FX:
            traded, spot = spot_dates.spot_at(pair, snapshot.as_of)
            yield AgendaItem(traded, "value_date", pair.instrument, _delays(pair, traded, spot, spot_dates), due=spot)


def _delays(pair: Instrument, traded: str, spot: str, spot_dates: SpotDates) -> str:
    day, end = dt.date.fromisoformat(traded), dt.date.fromisoformat(spot)
    if end <= weekday_spot_date(day, pair.base_currency, pair.quote_currency):
        return ""
    found = []
    while (day := day + _DAY) <= end:
        if day.weekday() < _SATURDAY:
            currencies = dict.fromkeys((pair.base_currency, pair.quote_currency, _DOLLAR))
            found += [f"{code} {day}" for code in currencies if not spot_dates.calendars.is_business_day(code, day)]
    return f"later than usual: holiday of {', '.join(found)}" if found else "later than usual"


def _fixings(snapshot: Snapshot, held: Held, last: str) -> Iterator[AgendaItem]:
    forwards = snapshot.forwards
    for number, count in held.items():
        instrument = snapshot.reference.instruments[number]
        place = None if forwards is None or not instrument.fixing_date else forwards.place(number)
        if forwards is None or place is None or instrument.fixing_date > last:
            continue
        is_fixed = forwards.fixed.item(place)
        if not is_fixed or instrument.fixing_date >= snapshot.current_day:
            said = "is known" if is_fixed else "is not known yet"
            source = f" of {instrument.fixing_source}" if instrument.fixing_source else ""
            what = f"the fixing{source} {said}"
            yield AgendaItem(instrument.fixing_date, "fixing", instrument.instrument, what, positions=count)


def _expiries(snapshot: Snapshot, held: Held, last: str) -> Iterator[AgendaItem]:
    """Options, futures and forwards that are held; what is over stands among the exceptions."""
    for number, count in held.items():
        instrument = snapshot.reference.instruments[number]
        date = instrument.expiry[:10]
        if not snapshot.current_day <= date <= last:
            continue
        option = valued_option(snapshot, number)
        ts = None if option is None else option[0].terms.expiry_ts.item(option[1])
        what = "value date of the forward" if instrument.kind is Kind.FX_FORWARD else f"expiry of the {instrument.kind.value}"
        yield AgendaItem(date, "expiry", instrument.instrument, what.replace("_", " "), ts=ts, positions=count)


def _ex_dates(snapshot: Snapshot, held: Held, last: str) -> Iterator[AgendaItem]:
    if snapshot.adjustments is None:
        return
    begun = [action for action in snapshot.adjustments.in_force if action.ex_date == snapshot.current_day]
    for action in (*begun, *snapshot.adjustments.waiting):
        if action.ex_date <= last:
            number = snapshot.reference.instrument_index.get(action.instrument)
            count = 0 if number is None else held.get(number, 0)
            yield AgendaItem(action.ex_date, "ex_date", action.instrument, _words_of(action), positions=count)


def _words_of(action: Action) -> str:
    if action.kind is ActionKind.DIVIDEND:
        return f"dividend of {to_text(action.amount)} {action.currency}".rstrip()
    kind = action.kind.value.replace("_", " ")
    ratio = f" {action.ratio.new}:{action.ratio.old}" if action.kind in (ActionKind.SPLIT, ActionKind.SPIN_OFF) else ""
    return kind + ratio + (f" into {action.into}" if action.into else "")


def _shut_days(snapshot: Snapshot, spot_dates: SpotDates, dates: list[dt.date]) -> Iterator[AgendaItem]:
    """Weekdays without business, of currencies of spot pairs and of calendars of instruments; days that end early."""
    calendars = spot_dates.calendars
    names = dict(sorted(calendars_in_use(snapshot.reference.instruments)))
    for name, is_currency in names.items():
        for date in dates:
            if date.weekday() >= _SATURDAY:
                continue
            if not calendars.is_business_day(name, date):
                what = "no value date in this currency" if is_currency else "shut"
                yield AgendaItem(date.isoformat(), "holiday", name, what)
            elif not is_currency and (early := calendars.early_close(name, date)) is not None:
                sessions = calendars.sessions(name, date)
                ts = sessions[-1][1] if sessions else None
                yield AgendaItem(date.isoformat(), "early_close", name, f"closes at {early} by its own clock", ts=ts)


def _unchanged(snapshot: Snapshot, held: Held) -> Iterator[AgendaItem]:
    """Positions whose price is that of the last close while their market is open. What is priced off others is left out."""
    day, units = snapshot.day, snapshot.units
    if day is None:
        return
    for number, count in held.items():
        instrument, mark = snapshot.reference.instruments[number], units.marks[number]
        close = day.prices.price.item(number)
        if mark is None or math.isnan(close) or mark.price != close or units.closed.item(number):
            continue
        if instrument.kind in OPTION_KINDS or instrument.kind is Kind.FX_FORWARD:
            continue
        is_older = mark.ts < day.window.start_ts
        what = "no price since the close" if is_older else "quoted since, at the price of the close"
        yield AgendaItem(snapshot.current_day, "unchanged", instrument.instrument, what, ts=mark.ts or None, positions=count)
