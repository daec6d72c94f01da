"""Calendars: published days, what people load over them, and what is missing."""

import datetime as dt
from typing import Any

import pytest

from riskengine.market.calendars import Calendars
from riskengine.records.calendars import CalendarEntry, CalendarInput, check_calendar
from tests.world import instruments


def entry(calendar: str, kind: str, date: str = "", **columns: Any) -> CalendarEntry:
    return check_calendar(CalendarInput(calendar=calendar, kind=kind, date=date, **columns))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_a_loaded_holiday_adds_and_a_business_day_overrules() -> None:
    loaded = Calendars([entry("EUR", "holiday", "2026-07-14"), entry("EUR", "business", "2026-05-01")])
    published = Calendars()
    for date, before, after in (("2026-07-14", True, False), ("2026-05-01", False, True), ("2026-04-06", False, False)):
        assert published.is_business_day("EUR", day(date)) is before
        assert loaded.is_business_day("EUR", day(date)) is after


def test_a_business_day_may_lie_on_a_weekend() -> None:
    assert Calendars([entry("CNY", "business", "2026-02-14")]).is_business_day("CNY", day("2026-02-14"))


def test_a_currency_without_a_calendar_has_weekdays_and_what_is_loaded() -> None:
    calendars = Calendars([entry("XYZ", "holiday", "2026-03-05")])
    assert [calendars.is_business_day("XYZ", day(f"2026-03-0{n}")) for n in (4, 5, 6, 7)] == [True, False, True, False]
    assert calendars.knows("XYZ") and calendars.covers("XYZ", 2026) and not calendars.covers("XYZ", 2027)
    assert not Calendars().knows("XYZ")


def test_a_minor_unit_has_the_days_of_its_currency() -> None:
    assert not Calendars().is_business_day("GBX", day("2026-08-31"))


@pytest.mark.parametrize(
    ("exchange", "date", "closes"),
    [
        ("XNYS", "2026-11-27", "13:00"),
        ("NYSE", "2026-11-27", "13:00"),
        ("XNYS", "2026-11-30", None),
        ("XLON", "2026-12-24", "12:30"),
        ("XHKG", "2026-12-31", "12:00"),
        ("XPAR", "2026-12-24", "14:05"),
        ("XTSE", "2026-12-24", "13:00"),
    ],
)
def test_an_exchange_closes_early_on_some_days(exchange: str, date: str, closes: str | None) -> None:
    assert Calendars().early_close(exchange, day(date)) == closes


def test_an_early_close_may_be_loaded_and_taken_back() -> None:
    calendars = Calendars([entry("XETR", "early_close", "2026-12-30", close="14:00"), entry("XNYS", "business", "2026-11-27")])
    assert calendars.early_close("XETR", day("2026-12-30")) == "14:00"
    assert calendars.early_close("XNYS", day("2026-11-27")) is None
    [(_, ends)] = calendars.sessions("XETR", day("2026-12-30"))
    assert dt.datetime.fromtimestamp(ends / 1e6, dt.UTC) == dt.datetime(2026, 12, 30, 13, tzinfo=dt.UTC)


def test_hours_may_be_loaded_from_a_date_on() -> None:
    calendars = Calendars(
        [
            entry("XSTO", "session", open="09:00", close="17:30", zone="Europe/Stockholm"),
            entry("XSTO", "session", "2026-07-01", open="08:00", close="22:00", zone="Europe/Stockholm"),
        ]
    )
    hours = [calendars.hours("XSTO", day(date)) for date in ("2026-06-30", "2026-07-01")]
    assert [(one.opens, one.closes) for one in hours if one] == [("09:00", "17:30"), ("08:00", "22:00")]
    assert calendars.has_sessions("XSTO") and not Calendars().has_sessions("XSTO")
    assert calendars.sessions("XSTO", day("2026-07-04")) == []


def test_gaps_name_what_is_used_and_not_complete() -> None:
    rows = [
        {"instrument": "USDCNY", "kind": "fx", "base_currency": "USD", "quote_currency": "CNY"},
        {"instrument": "USDXYZ", "kind": "fx", "base_currency": "USD", "quote_currency": "XYZ"},
        {"instrument": "USDHUF", "kind": "fx", "base_currency": "USD", "quote_currency": "HUF"},
        {"instrument": "ACME", "kind": "equity", "quote_currency": "USD", "calendar": "XABC"},
        {"instrument": "IBM", "kind": "equity", "quote_currency": "USD", "calendar": "XNYS"},
    ]
    used = instruments(rows)
    found = {gap.calendar: gap.reason for gap in Calendars().gaps(used, day("2026-12-01"))}
    assert found.keys() == {"CNY", "XYZ", "HUF", "XABC"}
    assert found["CNY"] == "is not published for 2027: some holidays are missing"
    assert found["XYZ"] == "has no calendar here: weekdays alone count as good"
    assert "nobody knows" in found["XABC"]
    assert "CNY" not in {gap.calendar for gap in Calendars().gaps(used, day("2026-06-01"))}
    loaded = [entry("CNY", "holiday", "2027-02-11"), entry("XYZ", "holiday", "2026-01-01"), entry("XYZ", "holiday", "2027-01-01")]
    assert {gap.calendar for gap in Calendars(loaded).gaps(used, day("2026-12-01"))} == {"HUF", "XABC"}


def test_rows_of_other_programs_that_make_no_sense_are_left_out_and_named() -> None:
    garbage = [
        CalendarEntry(calendar="USD", kind="holiday", date="zzzz"),
        CalendarEntry(calendar="ENGINE", kind="holiday", date="2026-13-01"),
        CalendarEntry(calendar="XNYS", kind="early_close", date="2026-12-02", close="99:99"),
        CalendarEntry(calendar="XPAR", kind="session", zone="Europe/Nowhere", open="09:00", close="17:00"),
    ]
    calendars = Calendars([entry("USD", "holiday", "2026-12-01"), *garbage])
    assert not calendars.is_business_day("USD", day("2026-12-01"))
    assert calendars.early_close("XNYS", day("2026-12-02")) is None
    reasons = {gap.calendar: gap.reason for gap in calendars.gaps([], day("2026-12-01"))}
    assert reasons.keys() == {"USD", "ENGINE", "XNYS", "XPAR"}
    assert reasons["USD"] == "has a row that is left out (date: is not a date: 'zzzz')"


def test_the_calendar_of_the_engine_is_loaded_alone() -> None:
    days = Calendars([entry("ENGINE", "holiday", "2026-12-31"), entry("ENGINE", "business", "2026-12-25")]).engine_days
    assert (days.holidays, days.business) == (frozenset({day("2026-12-31")}), frozenset({day("2026-12-25")}))
    assert not Calendars().engine_days.holidays
