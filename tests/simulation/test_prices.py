"""What the feed knows of the ticks that an engine took: its marks must not be older."""

from random import Random
from types import SimpleNamespace
from typing import Any

from tests.simulation.fibers import MICROS
from tests.simulation.machine import Answer
from tests.simulation.prices import Prices


def feed(on: frozenset[str] = frozenset()) -> tuple[Prices, Any]:
    knobs = SimpleNamespace(on=on, beat_ms=1_000)
    world: Any = SimpleNamespace(knobs=knobs, scheduler=SimpleNamespace(now=0), skips=0)
    return Prices(world, Random(1)), world


TOOK = Answer(200, {"accepted": 1, "refused": 0})
TICK = [{"instrument": "ACME", "ts": 500}]
MACHINE: Any = object()
OTHER: Any = object()


def test_a_mark_is_too_old_once_a_newer_tick_was_taken_and_a_beat_has_passed():
    prices, _ = feed()
    prices._answered(MACHINE, TICK, TOOK)
    assert prices.too_old(MACHINE, "ACME", 499, 10 * MICROS) == 500
    assert prices.too_old(MACHINE, "ACME", 500, 10 * MICROS) is None
    assert prices.too_old(MACHINE, "ACME", 499, MICROS) is None


def test_another_engine_and_a_machine_room_that_stood_still_are_not_judged():
    prices, world = feed()
    prices._answered(MACHINE, TICK, TOOK)
    assert prices.too_old(OTHER, "ACME", 499, 10 * MICROS) is None
    world.skips += 1
    assert prices.too_old(MACHINE, "ACME", 499, 10 * MICROS) is None


def test_a_tick_that_was_refused_or_held_back_counts_for_nothing():
    for prices, answer in ((feed()[0], Answer(200, {"refused": 1})), (feed(frozenset({"bad_prices"}))[0], TOOK)):
        prices._answered(MACHINE, TICK, answer)
        assert prices.taken == {}
