"""The arithmetic of the soak."""

import math
import random

import pytest

from tests.soak.measures import Counts, Latency, Limits, Sample, broken_limits, growth_percent, percentile, slope_of, thirds

QUIET = Counts(reconciled=1)


def samples(growth: float, *, noise: float = 0.0, level: float = 100_000.0, minutes: int = 30) -> list[Sample]:
    """A sample every ten seconds, growing by `growth` per cent an hour."""
    dice = random.Random(1)
    rise = level * growth / 100 / 3_600
    return [Sample(at, round(level + rise * at + dice.gauss(0, noise)), 50, 20, 30, 500) for at in range(0, minutes * 60, 10)]


def steady(ms: float = 10.0, last: float | None = None) -> list[Latency]:
    return [Latency(at, ms if at < 600 or last is None else last) for at in range(900)]


def broken(
    found: list[Sample], latencies: list[Latency] | None = None, after: Sample | None = None, counts: Counts = QUIET
) -> list[str]:
    before = found[0]
    return broken_limits(found, latencies or steady(), before, after or before, counts)


def test_a_slope_is_the_rise_in_an_hour_and_knows_its_error() -> None:
    assert slope_of([(at, 5.0 + 2.0 * at) for at in range(100)]) == pytest.approx((7_200.0, 0.0), abs=1e-6)
    noisy = growth_percent(samples(3.0, noise=300.0))
    assert noisy.error > 0.05
    assert abs(noisy.an_hour - 3.0) < 3 * noisy.error


def test_of_too_few_points_nothing_is_known() -> None:
    assert math.isinf(slope_of([(0.0, 1.0), (1.0, 2.0)]).error)
    assert math.isinf(slope_of([(1.0, 1.0)] * 5).error)


def test_growth_above_the_limit_is_broken_and_noise_is_not() -> None:
    assert broken(samples(0.5)) == []
    assert broken(samples(-5.0)) == []
    assert "grows by 1.99 % an hour" in broken(samples(2.0))[0]
    assert broken(samples(1.5, noise=2_000.0, minutes=2)) == []


def test_what_clients_leave_behind_is_broken() -> None:
    found = samples(0.0)
    assert broken(found, after=found[0]._replace(descriptors=54, threads=22, tasks=34)) == []
    told = broken(found, after=found[0]._replace(descriptors=55, threads=23, tasks=35))
    assert [sentence.split(" are ")[0] for sentence in told] == ["5 descriptors", "3 threads", "5 tasks"]


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([7.0], 99) == 7.0
    assert math.isnan(percentile([], 99))


def test_a_p99_that_rises_by_more_than_the_limit_is_broken() -> None:
    assert [len(third) for third in thirds(steady(), 0.0, 899.0)] == [300, 300]
    assert broken(samples(0.0), steady(10.0, 10.9)) == []
    assert "from 10.0 to 11.1 ms" in broken(samples(0.0), steady(10.0, 11.1))[0]
    assert broken_limits(samples(0.0), [], samples(0.0)[0], samples(0.0)[0], QUIET) == ["no trade came to a screen"]
    assert broken(samples(0.0), [Latency(at, 5.0) for at in (0.0, 1.0)]) == []


@pytest.mark.parametrize("what", ["breaks", "lost", "errors"])
def test_one_break_one_lost_trade_or_one_error_is_broken(what: str) -> None:
    assert broken(samples(0.0), counts=QUIET._replace(**{what: 1})) == [f"1 {what}"]


def test_a_run_without_a_reconciliation_shows_nothing() -> None:
    assert broken(samples(0.0), counts=Counts()) == ["never reconciled"]


def test_limits_are_those_of_the_manual() -> None:
    assert Limits() == Limits(growth_percent=1.0, p99_percent=10.0)
