"""What people load of calendars, and the spot dates by which value dates were judged.

A `CalendarEntry` says one thing of one calendar: of a date that it is a holiday, a business day or closes early, or which hours
the regular session has from a date on. It adds to the published calendar, or overrules it. A `SpotFact` is the spot date of a
pair and a trade date as it was worked out when the first such trade came; it judges every trade received from `since_ts` on,
until a later fact of the same pair and date, whatever calendars say afterwards.
"""

import datetime as dt
import re
import zoneinfo
from typing import NamedTuple

import msgspec

from riskengine.records.fields import Rejected, date, excerpt, name

ENGINE_CALENDAR = "ENGINE"
"""The calendar of the engine's own roll: `holiday` and `business` alone."""

HOLIDAY, BUSINESS, EARLY_CLOSE, SESSION = "holiday", "business", "early_close", "session"
ENTRY_KINDS = (HOLIDAY, BUSINESS, EARLY_CLOSE, SESSION)

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class CalendarEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a loaded calendar.

    `date` is that of a day, or of a session the first date of its hours (empty: all dates). `open` and `close` are HH:MM by the
    clock of `zone`; a session whose `open` is not before its `close` begins on the day before.
    """

    calendar: str
    kind: str
    date: str = ""
    open: str = ""
    close: str = ""
    zone: str = ""
    comment: str = ""

    @property
    def key(self) -> tuple[str, bool, str]:
        """What another entry of the same key replaces: the calendar, whether it is about sessions, the date."""
        return self.calendar, self.kind == SESSION, self.date


class CalendarInput(msgspec.Struct, kw_only=True):
    """A row of a calendars file."""

    calendar: str
    date: str = ""
    kind: str
    open: str = ""
    close: str = ""
    zone: str = ""
    comment: str = ""


class SpotFact(msgspec.Struct, frozen=True):
    """The spot date of a pair dealt on `traded`, which judges trades received from `since_ts` (microseconds; 0: always) on."""

    base: str
    quote: str
    traded: str
    since_ts: int
    spot: str


class CalendarState(NamedTuple):
    """Everything by which a store has value dates judged.

    entries        loaded calendar entries
    facts          stored spot dates, by pair, date and time
    exact_since    the `received_ts` from which on spot dates are exact; 0: always
    compared_with  names the calendars with which the facts were compared last
    """

    entries: tuple[CalendarEntry, ...] = ()
    facts: tuple[SpotFact, ...] = ()
    exact_since: int = 0
    compared_with: str = ""


def check_calendar(sent: CalendarInput) -> CalendarEntry:
    """An entry whose columns fit its kind. Raises Rejected."""
    if sent.kind not in ENTRY_KINDS:
        raise Rejected("kind", f"must be one of {', '.join(ENTRY_KINDS)}: {excerpt(sent.kind)}")
    calendar = name(sent.calendar, "calendar")
    if calendar == ENGINE_CALENDAR and sent.kind in (EARLY_CLOSE, SESSION):
        raise Rejected("kind", f"of calendar {ENGINE_CALENDAR} is {HOLIDAY} or {BUSINESS}: the boundary is a setting")
    is_session = sent.kind == SESSION
    if not sent.date and not is_session:
        raise Rejected("date", "is missing")
    for field in ("open", "zone"):
        if getattr(sent, field) and not is_session:
            raise Rejected(field, f"is for a {SESSION} alone")
    if sent.close and sent.kind in (HOLIDAY, BUSINESS):
        raise Rejected("close", f"is for {EARLY_CLOSE} and {SESSION} alone")
    return CalendarEntry(
        calendar=calendar,
        kind=sent.kind,
        date=date(sent.date, "date"),
        open=_clock(sent.open, "open") if is_session else "",
        close=_clock(sent.close, "close") if sent.kind in (EARLY_CLOSE, SESSION) else "",
        zone=_zone(sent.zone) if is_session else "",
        comment=name(sent.comment, "comment", required=False),
    )


def _clock(value: str, field: str) -> str:
    if not value:
        raise Rejected(field, "is missing")
    if not _CLOCK.fullmatch(value):
        raise Rejected(field, f"is not HH:MM: {excerpt(value)}")
    return value


def _zone(value: str) -> str:
    if not value:
        raise Rejected("zone", "is missing")
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Rejected("zone", f"is no zone of the tz database: {excerpt(value)}") from None
    return value


def days_of(entries: "list[CalendarEntry]", calendar: str, kind: str) -> frozenset[dt.date]:
    """The dates of the entries of one calendar and kind. O(entries)."""
    return frozenset(dt.date.fromisoformat(each.date) for each in entries if each.calendar == calendar and each.kind == kind)
