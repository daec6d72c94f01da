"""Rows that stay behind when pillars move on with the day take no part between newer ones."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.overtaken import LEFT_BEHIND_US, overtaken

NOW = 1_772_625_600_000_000
OLD = NOW - LEFT_BEHIND_US - 1
DATES = [(dt.date(2026, 3, 4) + dt.timedelta(days=day)).isoformat() for day in range(12)]


def left_out(*rows: tuple[int, int]) -> list[int]:
    """The days of those that are left out, of rows (day, time)."""
    found = overtaken([DATES[day] for day, _ in rows], [ts for _, ts in rows])
    return [day for (day, _), is_out in zip(rows, found, strict=True) if is_out]


def test_yesterdays_tenor_between_todays_is_left_out():
    assert left_out((1, NOW), (4, OLD), (5, NOW)) == [4]


@pytest.mark.parametrize("day", [0, 9])
def test_an_old_row_outside_of_the_newer_ones_stays(day):
    assert left_out((1, NOW), (day, OLD), (5, NOW)) == []


def test_an_old_row_at_the_date_of_a_newer_one_is_left_out():
    assert left_out((1, OLD), (1, NOW)) == [1]


def test_a_row_that_is_not_older_by_so_much_stays():
    assert left_out((1, NOW), (4, OLD + 1), (5, NOW)) == []


def test_rows_of_one_day_all_stay_however_old():
    assert left_out((1, OLD), (4, OLD), (5, OLD)) == []
    assert overtaken([], []) == []


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(NOW - 4 * LEFT_BEHIND_US, NOW)), min_size=1))
def test_what_is_left_out_is_old_and_lies_between_rows_that_are_not(rows):
    newest = max(ts for _, ts in rows)
    young = [day for day, ts in rows if newest - ts <= LEFT_BEHIND_US]
    expected = [
        day
        for day, ts in rows
        if newest - ts > LEFT_BEHIND_US and any(other <= day for other in young) and any(other >= day for other in young)
    ]
    assert left_out(*rows) == expected
