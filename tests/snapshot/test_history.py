"""History over days: minutes and closes as one series, the greatest fall in it against a naive search, unknown passed over."""

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay
from riskengine.snapshot.curves import Series
from riskengine.snapshot.history import DAY_US, Drawdown, dated_closes, drawdown, first_moment, joined, points
from tests.world import NOON, SECOND

NAN = math.nan
DAY = TradingDay.of(EngineConfig())
MINUTE = 60 * SECOND


def close_of(date: str) -> int:
    return DAY.close_of(dt.date.fromisoformat(date))


def falls(values: list[float]) -> Drawdown:
    return drawdown(Series(list(range(len(values))), values))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Drawdown(None, None, None)),
        ([NAN, NAN], Drawdown(None, None, None)),
        ([5.0], Drawdown(0.0, None, None)),
        ([1.0, 2.0, 2.0, 9.0], Drawdown(0.0, None, None)),
        ([10.0, 4.0, 8.0, 1.0, 20.0, 12.0], Drawdown(9.0, 0, 3)),
        ([10.0, 1.0, 20.0, 8.0], Drawdown(12.0, 2, 3)),
        ([10.0, NAN, 7.0, NAN], Drawdown(3.0, 0, 2)),
        ([-1.0, -4.0, -2.0, -5.0], Drawdown(4.0, 0, 3)),
        ([5.0, 3.0, 5.0, 3.0], Drawdown(2.0, 0, 1)),
    ],
)
def test_the_greatest_fall_is_from_the_highest_value_before_it(values: list[float], found: Drawdown) -> None:
    assert falls(values) == found


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(NAN)), max_size=40))
def test_no_pair_of_a_peak_and_a_later_value_falls_further(values: list[float]) -> None:
    known = [(ts, value) for ts, value in enumerate(values) if not math.isnan(value)]
    worst = max((peak - later for at, (_, peak) in enumerate(known) for _, later in known[at:]), default=None)
    found = falls(values)
    assert found.amount == worst
    if worst:
        assert found.peak_ts is not None and found.trough_ts is not None and found.peak_ts < found.trough_ts
        assert values[found.peak_ts] - values[found.trough_ts] == worst


def test_a_close_stands_at_its_boundary_by_its_newest_version() -> None:
    found = [
        ("2026-03-03", 2, {"total_pnl": 22.0}),
        ("2026-03-02", 1, {"total_pnl": 10.0}),
        ("2026-03-03", 1, {"total_pnl": 20.0}),
        ("2026-03-04", 1, {"total_pnl": 30.0}),
    ]
    closes = dated_closes(found, "total_pnl", DAY, before=NOON)
    assert closes == Series([close_of("2026-03-02"), close_of("2026-03-03")], [10.0, 22.0]), "that of the 4th is to come"
    assert dated_closes(found, "realised_pnl", DAY, before=NOON) == Series([], []), "closes do not keep it"
    [value] = dated_closes([("2026-03-03", 1, {"nav": None})], "nav", DAY, NOON).values
    assert math.isnan(value)


def test_both_changes_of_summer_time_move_the_boundary() -> None:
    days = ("2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02")
    closes = dated_closes([(day, 1, {"nav": 1.0}) for day in days], "nav", DAY, before=2**62)
    assert [ts // (3_600 * SECOND) % 24 for ts in closes.times] == [22, 21, 21, 22]


def test_the_minutes_of_today_follow_the_last_close() -> None:
    closes = Series([close_of("2026-03-02"), close_of("2026-03-03")], [10.0, 20.0])
    samples = Series([close_of("2026-03-03"), NOON - MINUTE, NOON], [19.5, 21.0, NAN])
    found = joined(samples, closes, 0)
    assert found.times == [*closes.times, NOON - MINUTE, NOON]
    assert found.values[:3] == [10.0, 20.0, 21.0], "at its boundary the close counts, not the sample"
    assert joined(samples, closes, closes.times[1]).times == found.times[1:]


def test_a_day_reaches_back_to_the_last_close_over_a_weekend() -> None:
    friday, monday = close_of("2026-02-27"), close_of("2026-03-02") - 3_600 * SECOND
    assert first_moment(1, monday, Series([friday], [1.0])) == friday
    assert first_moment(7, monday, Series([friday], [1.0])) == monday - 7 * DAY_US
    assert first_moment(7, monday, Series([], [])) == monday - 7 * DAY_US


def test_closes_and_minutes_share_buckets() -> None:
    found = points(joined(Series([NOON, NOON + 1], [4.0, NAN]), Series([NOON - SECOND], [9.0]), 0), DAY_US)
    assert [tuple(point) for point in found] == [(NOON - NOON % DAY_US, None, 4.0, 9.0, 3)]
