"""Hours of exchanges: by their own clock over both changes of it, with pauses and early ends."""

import datetime as dt

import pytest

from riskengine.market.exchanges import EXCHANGES, ExchangeHours, calendar_code
from riskengine.market.published import EXCHANGE_SOURCES
from tests.world import SECOND


def moment(utc: str) -> int:
    return int(dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC).timestamp()) * SECOND


def sessions(exchange: str, date: str, early: str | None = None) -> list[tuple[int, int]]:
    return EXCHANGES[exchange].sessions(dt.date.fromisoformat(date), early)


@pytest.mark.parametrize(
    ("exchange", "date", "expected"),
    [
        ("XNYS", "2026-03-06", [("2026-03-06T14:30", "2026-03-06T21:00")]),
        ("XNYS", "2026-03-09", [("2026-03-09T13:30", "2026-03-09T20:00")]),  # summer time began on the 8th
        ("XNYS", "2026-11-02", [("2026-11-02T14:30", "2026-11-02T21:00")]),  # and ended on the 1st
        ("XLON", "2026-03-27", [("2026-03-27T08:00", "2026-03-27T16:30")]),
        ("XLON", "2026-03-30", [("2026-03-30T07:00", "2026-03-30T15:30")]),
        ("XJPX", "2026-03-06", [("2026-03-06T00:00", "2026-03-06T02:30"), ("2026-03-06T03:30", "2026-03-06T06:30")]),
        ("XCME", "2026-03-09", [("2026-03-08T22:00", "2026-03-09T21:00")]),  # begins on Sunday evening
    ],
)
def test_a_session_has_the_hours_of_its_own_clock(exchange: str, date: str, expected: list[tuple[str, str]]) -> None:
    assert sessions(exchange, date) == [(moment(begins), moment(ends)) for begins, ends in expected]


def test_an_early_end_cuts_what_comes_after_it() -> None:
    assert sessions("XNYS", "2026-11-27", "13:00") == [(moment("2026-11-27T14:30"), moment("2026-11-27T18:00"))]
    assert sessions("XHKG", "2026-12-24", "12:00") == [(moment("2026-12-24T01:30"), moment("2026-12-24T04:00"))]
    assert ExchangeHours("UTC", "09:00", "17:00").sessions(dt.date(2026, 3, 4), "08:00") == []


def test_exchanges_with_hours_have_holidays_and_the_other_way_round() -> None:
    assert EXCHANGES.keys() == EXCHANGE_SOURCES.keys()


def test_an_exchange_may_have_other_names() -> None:
    assert (calendar_code("NYSE"), calendar_code("XTKS"), calendar_code("XLON")) == ("XNYS", "XJPX", "XLON")
