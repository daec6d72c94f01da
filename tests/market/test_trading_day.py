"""The trading day: five in the afternoon in New York, over weekends and both changes of the clock."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.market.trading_day import EngineDays, TradingDay
from tests.world import SECOND

NEW_YORK = TradingDay("17:00", "America/New_York")


def at(utc: str) -> int:
    return int(dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC).timestamp()) * SECOND


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


# The day that a moment belongs to


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-03-03T12:00:00", "2026-03-03"),
        ("2026-03-03T21:59:59", "2026-03-03"),
        ("2026-03-03T22:00:00", "2026-03-04"),
        ("2026-03-04T03:00:00", "2026-03-04"),
        # Summer time began on Sunday 2026-03-08: five o'clock moves from 22:00 to 21:00 UTC.
        ("2026-03-06T21:59:59", "2026-03-06"),
        ("2026-03-06T22:00:00", "2026-03-09"),
        ("2026-03-07T12:00:00", "2026-03-09"),
        ("2026-03-08T07:00:00", "2026-03-09"),
        ("2026-03-08T21:00:00", "2026-03-09"),
        ("2026-03-09T20:59:59", "2026-03-09"),
        ("2026-03-09T21:00:00", "2026-03-10"),
        # It ends on Sunday 2026-11-01: back to 22:00.
        ("2026-10-30T20:59:59", "2026-10-30"),
        ("2026-10-30T21:00:00", "2026-11-02"),
        ("2026-11-01T06:30:00", "2026-11-02"),
        ("2026-11-02T21:00:00", "2026-11-02"),
        ("2026-11-02T21:59:59", "2026-11-02"),
        ("2026-11-02T22:00:00", "2026-11-03"),
        # Christmas 2026 is a Friday, New Year's day 2027 too; Christmas 2025 a Thursday.
        ("2026-12-24T21:59:59", "2026-12-24"),
        ("2026-12-24T22:00:00", "2026-12-28"),
        ("2026-12-31T22:00:00", "2027-01-04"),
        ("2025-12-24T22:00:00", "2025-12-26"),
        ("2025-12-25T22:00:00", "2025-12-26"),
    ],
)
def test_the_day_turns_at_the_boundary_and_skips_weekends(utc: str, day: str) -> None:
    assert NEW_YORK.date_of(at(utc)) == date(day)


def test_the_last_microsecond_before_the_boundary_is_still_the_old_day() -> None:
    boundary = at("2026-03-03T22:00:00")
    assert NEW_YORK.date_of(boundary - 1) == date("2026-03-03")
    assert NEW_YORK.date_of(boundary) == date("2026-03-04")


def test_boundary_and_zone_are_settings() -> None:
    london = TradingDay.of(EngineConfig(day_boundary="00:00", day_zone="Europe/London"))
    assert london.date_of(at("2026-03-02T18:59:00")) == date("2026-03-03")
    assert london.date_of(at("2026-03-03T00:00:00")) == date("2026-03-04")
    assert TradingDay.of(EngineConfig()).date_of(at("2026-03-03T22:00:00")) == date("2026-03-04")


# The close of a day


@pytest.mark.parametrize(
    ("day", "utc"),
    [
        ("2026-03-04", "2026-03-04T22:00:00"),
        ("2026-03-06", "2026-03-06T22:00:00"),
        ("2026-03-09", "2026-03-09T21:00:00"),
        ("2026-07-01", "2026-07-01T21:00:00"),
        ("2026-10-30", "2026-10-30T21:00:00"),
        ("2026-11-02", "2026-11-02T22:00:00"),
    ],
)
def test_a_day_closes_at_its_boundary_by_the_clock_of_the_zone(day: str, utc: str) -> None:
    assert NEW_YORK.close_of(date(day)) == at(utc)


@given(
    st.dates(date("1990-01-01"), date("2150-12-31")).filter(NEW_YORK.is_business_day),
    st.sampled_from([NEW_YORK, TradingDay("00:00", "UTC"), TradingDay("23:59", "Europe/London")]),
)
def test_the_close_is_the_first_moment_of_the_next_day(day: dt.date, trading_day: TradingDay) -> None:
    close = trading_day.close_of(day)
    following = next(after for ahead in range(1, 9) if is_trading_day(after := day + dt.timedelta(days=ahead)))
    assert trading_day.date_of(close - 1) == day
    assert trading_day.date_of(close) == following
    assert trading_day.next(day) == following
    assert trading_day.previous(following) == day
    assert trading_day.window(following) == (close, trading_day.close_of(following))
    assert trading_day.last_closed(close) == day
    assert trading_day.last_closed(trading_day.close_of(following) - 1) == day


def is_trading_day(day: dt.date) -> bool:
    return day.weekday() < 5 and (day.month, day.day) not in {(12, 25), (1, 1)}


def test_the_window_of_monday_begins_on_friday_and_a_weekend_has_none() -> None:
    assert NEW_YORK.window(date("2026-03-09")) == (at("2026-03-06T22:00:00"), at("2026-03-09T21:00:00"))
    with pytest.raises(ValueError, match="no trading day"):
        NEW_YORK.window(date("2026-03-07"))


def test_a_loaded_calendar_adds_holidays_and_takes_them_away() -> None:
    days = EngineDays(holidays=frozenset({date("2026-12-31")}), business=frozenset({date("2026-12-25"), date("2026-12-26")}))
    loaded = TradingDay("17:00", "America/New_York", days)
    assert loaded.next(date("2026-12-24")) == date("2026-12-25")
    assert loaded.next(date("2026-12-25")) == date("2026-12-26")
    assert loaded.next(date("2026-12-30")) == date("2027-01-04")
    assert loaded.is_open(at("2026-12-25T12:00:00"))
    assert not loaded.is_open(at("2026-12-31T12:00:00"))


def test_on_a_saturday_evening_its_boundary_has_passed_and_friday_is_the_last_day_that_closed() -> None:
    saturday = at("2026-03-07T23:00:00")
    assert (NEW_YORK.last_boundary(saturday), NEW_YORK.last_closed(saturday)) == (date("2026-03-07"), date("2026-03-06"))


# The clock of the zone


@given(st.integers(0, 7_000_000_000 * SECOND))
def test_the_local_time_is_the_same_moment_to_the_microsecond(ts: int) -> None:
    since = NEW_YORK.local_time(ts) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert since // dt.timedelta(microseconds=1) == ts


# Open and shut


@pytest.mark.parametrize(
    ("utc", "is_open"),
    [
        ("2026-03-04T12:00:00", True),
        ("2026-03-04T22:00:00", True),
        # The weekend on which summer time begins: shut from 22:00 UTC on Friday to 21:00 UTC on Sunday.
        ("2026-03-06T21:59:59", True),
        ("2026-03-06T22:00:00", False),
        ("2026-03-07T12:00:00", False),
        ("2026-03-08T20:59:59", False),
        ("2026-03-08T21:00:00", True),
        # The one on which it ends: from 21:00 UTC to 22:00 UTC.
        ("2026-10-30T20:59:59", True),
        ("2026-10-30T21:00:00", False),
        ("2026-11-01T21:59:59", False),
        ("2026-11-01T22:00:00", True),
        ("2025-12-25T12:00:00", False),
        ("2025-12-25T22:00:00", True),
    ],
)
def test_the_market_is_shut_from_fridays_boundary_to_sundays(utc: str, is_open: bool) -> None:
    assert NEW_YORK.is_open(at(utc)) == is_open


def test_the_market_shuts_and_opens_at_the_boundary_to_the_microsecond() -> None:
    friday, sunday = at("2026-03-06T22:00:00"), at("2026-03-08T21:00:00")
    assert [NEW_YORK.is_open(ts) for ts in (friday - 1, friday, sunday - 1, sunday)] == [True, False, False, True]
