"""Clocks that run a number of hours ahead of a zone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from riskengine.errors import InputError
from riskengine.files.server_clock import ServerClock, split_clock
from riskengine.files.times import zone

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("America/New_York+7h", ("America/New_York", 7)), ("UTC-3h", ("UTC", -3)), ("Etc/GMT+5", None), ("Europe/Berlin", None)],
)
def test_a_name_says_the_zone_and_the_hours(name: str, parts: tuple[str, int] | None) -> None:
    assert split_clock(name) == parts


@pytest.mark.parametrize("month", range(1, 13))
def test_the_server_is_ahead_of_its_zone_all_year(month: int) -> None:
    moment = dt.datetime(2026, month, 15, 20, tzinfo=dt.UTC)
    server = moment.astimezone(ServerClock(NEW_YORK, 7))
    assert server.replace(tzinfo=None) - moment.astimezone(NEW_YORK).replace(tzinfo=None) == dt.timedelta(hours=7)
    assert server.astimezone(dt.UTC) == moment


def test_its_repeated_hour_is_that_of_the_zone_seven_hours_later() -> None:
    clock = ServerClock(NEW_YORK, 7)
    both = [dt.datetime(2026, 11, 1, 8, 30, fold=fold, tzinfo=clock).astimezone(dt.UTC) for fold in (0, 1)]
    assert both[1] - both[0] == dt.timedelta(hours=1)
    assert [moment.astimezone(clock).fold for moment in both] == [0, 1]


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="unknown time zone 'America/Nowhere'"):
        zone("America/Nowhere+7h")


@pytest.mark.parametrize("name", ["UTC+9h", "UTC+99h", "Asia/Manila-9h", "UTC+8h+8h+8h"])
def test_a_clock_a_day_ahead_is_no_clock(name: str) -> None:
    with pytest.raises(InputError, match="at most 8 hours ahead"):
        zone(name)


@pytest.mark.parametrize("name", ["Pacific/Kiritimati+8h", "Asia/Manila-8h"])
def test_every_clock_that_is_one_tells_every_time(name: str) -> None:
    for year in (1840, 1980, 2199):
        assert dt.datetime(year, 1, 1, tzinfo=zone(name)).utcoffset() is not None
