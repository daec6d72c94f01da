"""Measures a beat: takes new prices, recomputes all numbers that depend on them, publishes the snapshot.

Targets: all prices new, at most 2.5 ms and 1.5 x the yardstick; 10 of 1,000 prices new, at most 0.5 ms.
"""

from functools import partial

import numpy as np
import pytest

from bench.book import INSTRUMENTS, NOW, Maker
from bench.yardstick import BareBeat
from riskengine.engine.engine import Engine
from riskengine.valuation.number_pages import TOTAL

ROUNDS = 200


def beat(engine: Engine, marks) -> None:
    engine.beat(marks, NOW)
    engine.publish(NOW)


def new_prices(maker: Maker, engine: Engine, numbers):
    return (engine, maker.marks(numbers())), {}


@pytest.mark.benchmark(group="beat, all prices new")
def test_all_prices_new(benchmark, engine, maker):
    benchmark.pedantic(beat, setup=partial(new_prices, maker, engine, lambda: range(INSTRUMENTS)), rounds=ROUNDS)


@pytest.mark.benchmark(group="beat, all prices new")
def test_yardstick_bare_numpy(benchmark, engine):
    units, rates = engine.snapshot.units, engine.snapshot.rates
    bare = BareBeat(engine.snapshot)
    totals = benchmark.pedantic(bare, args=(units.value, rates.value), rounds=ROUNDS, warmup_rounds=5)[0][0]
    published = np.concatenate(engine.snapshot.nodes.numbers, axis=1)[TOTAL]
    assert np.allclose(totals, published[-len(totals) :]), "the yardstick computes other sums"


@pytest.mark.benchmark(group="beat, 10 of 1,000 prices new")
def test_ten_equities_new(benchmark, engine, maker):
    equities = np.flatnonzero(maker.reference.products).tolist()
    numbers = partial(maker.seeded.sample, equities, 10)
    benchmark.pedantic(beat, setup=partial(new_prices, maker, engine, numbers), rounds=ROUNDS)


@pytest.mark.benchmark(group="beat, 10 of 1,000 prices new")
def test_ten_of_any_kind_new(benchmark, engine, maker):
    """Sometimes a pair against the dollar is among them; it moves a rate, and with that every number."""
    numbers = partial(maker.seeded.sample, range(INSTRUMENTS), 10)
    benchmark.pedantic(beat, setup=partial(new_prices, maker, engine, numbers), rounds=ROUNDS)
