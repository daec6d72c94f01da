"""Clocks: integers of microseconds, and a manual one."""

import time

from riskengine.clock import MICROS_PER_SECOND, Clock, ManualClock, SystemClock


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


def test_both_clocks_are_clocks():
    # The annotations are the test: the type checker reads them.
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    assert all(isinstance(clock.now(), int) for clock in clocks)
