"""Measures trades through identity, order, ledger and both roll-ups.

Targets: at least 150,000/s; one trade applied and published in at most 150 us. Spread over all 300,000 positions, every trade
meets a cold cache; over 300 positions, a busy desk's book, a warm one.
"""

from functools import partial

import pytest

from bench.book import NOW, POSITIONS, Maker, batches
from riskengine.engine.engine import Engine

TRADES = 50_000


def apply_and_settle(engine: Engine, trades) -> None:
    """Apply batches as the writer does, without publishing."""
    for batch in batches(trades):
        engine.apply(batch, NOW)
        engine.ledger.organisation.settle()
        engine.ledger.dealers.settle()


def count_in_a_dict(trades) -> None:
    """The minimum for any program: one sum by desk and instrument."""
    held: dict[tuple[str, str], int] = {}
    for trade in trades:
        key = (trade.desk, trade.instrument)
        held[key] = held.get(key, 0) + trade.signed_quantity


def new_trades(maker: Maker, positions: int, *before):
    pool = maker.held[:positions]
    return (*before, maker.trades(maker.seeded.choices(pool, k=TRADES))), {}


@pytest.fixture(scope="module")
def fresh(maker):
    """An engine with its own book, whose settled rows are never published."""
    engine = Engine(maker.reference, now=NOW)
    apply_and_settle(engine, maker.trades(maker.held))
    return engine


@pytest.mark.parametrize("positions", [300, POSITIONS])
@pytest.mark.benchmark(group="50,000 trades")
def test_apply_and_settle(benchmark, fresh, maker, positions):
    benchmark.extra_info["trades"] = TRADES
    benchmark.pedantic(apply_and_settle, setup=partial(new_trades, maker, positions, fresh), rounds=3)


@pytest.mark.parametrize("positions", [300, POSITIONS])
@pytest.mark.benchmark(group="50,000 trades")
def test_yardstick_dict(benchmark, maker, positions):
    benchmark.pedantic(count_in_a_dict, setup=partial(new_trades, maker, positions), rounds=3)


def load(maker: Maker, trades) -> None:
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(trades):
        engine.apply(batch, NOW)
    engine.publish(NOW)


@pytest.mark.benchmark(group="the morning: 300,000 trades of as many positions, then one snapshot")
def test_load(benchmark, maker):
    benchmark.pedantic(load, args=(maker, maker.trades(maker.held)), rounds=2)


def one_trade(engine: Engine, trade) -> None:
    engine.apply([trade], NOW)
    engine.publish(NOW)


@pytest.mark.parametrize("positions", [300, POSITIONS])
@pytest.mark.benchmark(group="one trade applied and published")
def test_one_trade(benchmark, engine, maker, positions):
    pool = maker.held[:positions]

    def setup():
        return (engine, *maker.trades([maker.seeded.choice(pool)])), {}

    benchmark.pedantic(one_trade, setup=setup, rounds=1_000)
