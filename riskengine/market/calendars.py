"""Which days are good for a currency, and when the market of an instrument is open: published calendars and loaded entries.

`Calendars` is immutable but for its memory of what it has worked out; a newly loaded calendar makes a new one. A currency or an
exchange without a published calendar has the days that entries give it, and weekends; `gaps` names those that are in use, so that
nobody takes them for complete. Any thread.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import structs

from riskengine.config import EngineConfig
from riskengine.market.exchanges import EXCHANGES, ExchangeHours, calendar_code
from riskengine.market.published import CURRENCIES, SOURCES, Published
from riskengine.market.trading_day import BY_RULE, EngineDays, TradingDay
from riskengine.records.calendars import (
    BUSINESS,
    EARLY_CLOSE,
    ENGINE_CALENDAR,
    HOLIDAY,
    SESSION,
    CalendarEntry,
    CalendarInput,
    check_calendar,
    days_of,
)
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.fields import Rejected
from riskengine.records.types import Instrument, Kind

PUBLISHED = Published()
"""What the installed library publishes: the same for every engine of a process."""

ALWAYS = "24/7"
"""The calendar of what is never shut: crypto's, and of any instrument that names it."""

_SATURDAY = 5
_DAY = dt.timedelta(days=1)
AHEAD_DAYS = 45
"""A year whose holidays are not published counts as a gap this long before it begins: spot dates and sessions reach into it."""


class CalendarGap(NamedTuple):
    """A calendar that is used without being complete: its name, and why it is not."""

    calendar: str
    reason: str


class Calendars:
    """Business days of currencies and sessions of exchanges, with the entries that people loaded."""

    def __init__(self, entries: Iterable[CalendarEntry] = (), published: Published = PUBLISHED) -> None:
        self.entries: tuple[CalendarEntry, ...] = tuple(entries)
        self._published = published
        self._days: dict[str, dict[dt.date, CalendarEntry]] = {}
        self._hours: dict[str, list[tuple[str, ExchangeHours]]] = {}
        self.unreadable: dict[str, str] = {}
        """Calendars of which another program wrote a row that makes no sense and is left out: what is wrong, by name."""
        readable = [entry for entry in self.entries if self._is_readable(entry)]
        for entry in sorted(readable, key=lambda each: each.date):
            code = calendar_code(entry.calendar)
            if entry.kind == SESSION:
                early = EXCHANGES[code].early if code in EXCHANGES else None
                hours = ExchangeHours(entry.zone, entry.open, entry.close, early)
                self._hours.setdefault(code, []).append((entry.date, hours))
            else:
                self._days.setdefault(code, {})[dt.date.fromisoformat(entry.date)] = entry
        engine = [entry for entry in readable if entry.calendar == ENGINE_CALENDAR]
        holidays, business = (days_of(engine, ENGINE_CALENDAR, kind) for kind in (HOLIDAY, BUSINESS))
        self.engine_days = EngineDays(holidays, business) if engine else BY_RULE
        """The days of the loaded calendar ENGINE."""
        self._good: dict[tuple[str, dt.date], bool] = {}

    def _is_readable(self, entry: CalendarEntry) -> bool:
        try:
            check_calendar(CalendarInput(**structs.asdict(entry)))
        except Rejected as error:
            self.unreadable.setdefault(entry.calendar, f"{error.field}: {error.reason}")
            return False
        return True

    def trading_day(self, config: EngineConfig) -> TradingDay:
        """The engine's day by the configuration and the loaded calendar ENGINE."""
        return TradingDay.of(config, self.engine_days)

    # -- days --------------------------------------------------------------------------------------------------

    def is_business_day(self, calendar: str, date: dt.date) -> bool:
        """Whether a date is good in a currency, or a day with a session of an exchange. 0.2 us once it is known."""
        key = (calendar, date)
        good = self._good.get(key)
        if good is None:
            good = self._good[key] = self._work_out(calendar_code(MINOR_UNITS.get(calendar, calendar)), date)
        return good

    def _work_out(self, calendar: str, date: dt.date) -> bool:
        entry = self._days.get(calendar, {}).get(date)
        if entry is not None:
            return entry.kind != HOLIDAY
        return date.weekday() < _SATURDAY and date not in self._published.year(calendar, date.year).holidays

    def early_close(self, exchange: str, date: dt.date) -> str | None:
        """When an exchange closes on a date that ends early (HH:MM by its clock); None on a whole day."""
        code = calendar_code(exchange)
        entry = self._days.get(code, {}).get(date)
        if entry is not None:
            return entry.close if entry.kind == EARLY_CLOSE else None
        hours = EXCHANGES.get(code)
        if hours is None or hours.early is None or date not in self._published.year(code, date.year).half_days:
            return None
        return hours.early

    # -- sessions ----------------------------------------------------------------------------------------------

    def hours(self, exchange: str, date: dt.date) -> ExchangeHours | None:
        """The regular hours of an exchange on a date; None where nobody has said them."""
        code = calendar_code(exchange)
        found = EXCHANGES.get(code)
        for since, hours in self._hours.get(code, ()):
            if since <= date.isoformat():
                found = hours
        return found

    def has_sessions(self, calendar: str) -> bool:
        """Whether hours are known under this name, for some date at least."""
        code = calendar_code(calendar)
        return code in EXCHANGES or code in self._hours

    def sessions(self, exchange: str, date: dt.date) -> list[tuple[int, int]]:
        """When trading of an exchange begins and ends on a date, microseconds; empty on a day without."""
        hours = self.hours(exchange, date)
        if hours is None or not self.is_business_day(exchange, date):
            return []
        return hours.sessions(date, self.early_close(exchange, date))

    # -- what is missing ---------------------------------------------------------------------------------------

    def knows(self, calendar: str) -> bool:
        """Whether there is a published calendar of this name, or a loaded one."""
        code = calendar_code(MINOR_UNITS.get(calendar, calendar))
        return code in SOURCES or code in self._days or code in self._hours

    def covers(self, calendar: str, year: int) -> bool:
        """Whether the holidays of a year are published, or loaded: an entry of that year vouches for all of it."""
        code = calendar_code(MINOR_UNITS.get(calendar, calendar))
        return self._published.covers(code, year) or any(day.year == year for day in self._days.get(code, ()))

    def gaps(self, instruments: Iterable[Instrument], today: dt.date) -> list[CalendarGap]:
        """The calendars that these instruments use and that are not complete around today, by name.

        Reads the library: 0.1 s for the first time, then 1 ms a calendar.
        """
        years = sorted({today.year, (today + AHEAD_DAYS * _DAY).year})
        found: dict[str, str] = {}
        for calendar, is_currency in sorted(calendars_in_use(instruments)):
            code = calendar_code(MINOR_UNITS.get(calendar, calendar))
            if is_currency and not self.knows(calendar):
                found[calendar] = "has no calendar here: weekdays alone count as good"
            elif not is_currency and not self.has_sessions(calendar) and not self.knows(calendar):
                found[calendar] = "is a calendar that nobody knows: the FX week stands in"
            elif missing := [str(year) for year in years if not self.covers(calendar, year)]:
                found[calendar] = f"is not published for {' and '.join(missing)}: some holidays are missing"
            elif is_currency and CURRENCIES.get(code) is not None and CURRENCIES[code].is_rough and code not in self._days:
                found[calendar] = "differs from the market's in a day or two a year"
        found |= {calendar: f"has a row that is left out ({reason})" for calendar, reason in self.unreadable.items()}
        return [CalendarGap(calendar, reason) for calendar, reason in found.items()]

    def unused(self, instruments: Iterable[Instrument]) -> list[str]:
        """The loaded calendars without sessions that are not published and that no instrument uses: perhaps misspelt. By name."""
        used = (
            {calendar_code(name) for name, _ in calendars_in_use(instruments)}
            | SOURCES.keys()
            | self._hours.keys()
            | {ENGINE_CALENDAR}
        )
        return sorted(name for name in {entry.calendar for entry in self.entries} if calendar_code(name) not in used)


def calendars_in_use(instruments: Iterable[Instrument]) -> set[tuple[str, bool]]:
    """The calendars that instruments name, and the currencies of spot pairs; the second says which are currencies."""
    used: set[tuple[str, bool]] = set()
    for instrument in instruments:
        if instrument.kind is Kind.FX:
            used |= {(instrument.base_currency, True), (instrument.quote_currency, True)}
        if instrument.calendar not in ("", ALWAYS):
            used.add((instrument.calendar, instrument.calendar in CURRENCIES))
    return used
