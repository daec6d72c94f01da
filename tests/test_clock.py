"""Clocks: integers of microseconds, and a manual one."""

import time

from riskengine.clock import MICROS_PER_SECOND, Clock, FastClock, ManualClock, SystemClock


def test_the_system_clock_gives_whole_microseconds_since_the_epoch():
    before = time.time_ns() // 1_000
    now = SystemClock().now()
    after = time.time_ns() // 1_000
    assert type(now) is int
    assert before <= now <= after


def test_a_manual_clock_stands_still_until_it_is_moved():
    clock = ManualClock(7)
    assert [clock.now(), clock.now()] == [7, 7]
    clock.advance(MICROS_PER_SECOND)
    assert clock.now() == 1_000_007


def test_a_manual_clock_steps_back_as_real_ones_do():
    clock = ManualClock(MICROS_PER_SECOND)
    clock.advance(-1)
    assert clock.now() == 999_999


def test_a_fast_clock_runs_as_much_faster_as_it_says():
    real = [5_000_000_000]
    clock = FastClock(60.0, 1_000, lambda: real[0])
    assert (clock.speed, clock.now()) == (60.0, 1_000)
    real[0] += 1_500_000_000
    assert clock.now() == 1_000 + 90 * MICROS_PER_SECOND
    real[0] += 1_000
    assert clock.now() == 1_000 + 90 * MICROS_PER_SECOND + 60


def test_a_fast_clock_counts_the_time_that_passes():
    before = time.monotonic_ns()
    clock = FastClock(3_600.0, 0)
    time.sleep(0.01)
    seen = clock.now()
    assert 36 * MICROS_PER_SECOND <= seen <= (time.monotonic_ns() - before) * 3.6


def test_all_clocks_are_clocks():
    # The annotations are the test: the type checker reads them.
    clocks: list[Clock] = [SystemClock(), ManualClock(), FastClock(2.0, 0)]
    assert all(isinstance(clock.now(), int) for clock in clocks)
    assert [clock.speed for clock in clocks] == [1.0, 1.0, 2.0]
