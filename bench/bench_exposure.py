"""Measures the exposure of the total of 300,000 positions in 1,000 instruments: nothing for a beat that nobody looks at.

Targets: a beat at most 1 ms slower with a board beside it; one breakdown 10 ms, for all who look together, once a snapshot; with
10,000 options beside them, by currency during load, 15 ms at p99.
"""

import threading
import time
from functools import partial

import pytest

from bench.bench_beat import ROUNDS, beat, new_prices
from bench.bench_option_beat import house
from bench.book import INSTRUMENTS, NOW
from riskengine.config import ServerConfig
from riskengine.snapshot.exposure import BY, exposure
from riskengine.snapshot.risk import risk
from riskengine.snapshot.rows import ladder_rows
from riskengine.views.board import JSON, Board
from riskengine.views.subscription import Subscriptions


@pytest.mark.benchmark(group="exposure of the total")
@pytest.mark.parametrize("by", BY)
def test_one_breakdown(benchmark, engine, by):
    assert benchmark(exposure, engine.snapshot, by).rows


def beat_and_look(engine, marks, board, screens) -> None:
    beat(engine, marks)
    board.take(engine.snapshot)
    for screen in screens:
        screen.update()


@pytest.mark.benchmark(group="beat, all prices new, a board beside it")
@pytest.mark.parametrize("looking", [0, 1, 100])
def test_a_beat_while_screens_look(benchmark, engine, maker, looking):
    """`looking` screens of the net open position of the total, each brought to every snapshot; in truth at most `max_hz`."""
    board = Board(engine.snapshot, lambda snapshot, grants: {})
    screens = [Subscriptions(board, JSON, ServerConfig()) for _ in range(looking)]
    for screen in screens:
        screen.handle('{"op":"subscribe","id":"a","view":"exposure"}')

    def setup():
        (_, marks), _ = new_prices(maker, engine, partial(range, INSTRUMENTS))
        return (engine, marks, board, screens), {}

    benchmark.pedantic(beat_and_look, setup=setup, rounds=ROUNDS)


PRICES_EVERY_S, TRADES_A_BEAT = 0.1, 20
QUESTIONS, PAUSE_S = 300, 0.02


@pytest.mark.benchmark(group="rows of the total with 10,000 options")
@pytest.mark.parametrize("rows", [risk, ladder_rows], ids=["risk", "ladder"])
def test_rows_of_all_options(benchmark, rows):
    assert benchmark.pedantic(rows, args=(house(whole=False)[1].snapshot,), rounds=10)


@pytest.mark.benchmark(group="exposure of the total with 10,000 options")
def test_by_currency_during_load(benchmark):
    """Every price new and 20 trades ten times a second, in a thread beside; `extra_info` has the p99 of the questions in ms."""
    maker, engine = house(whole=True)
    trades = iter(maker.trades([maker.held[-1 - number * 7 % len(maker.held)] for number in range(20_000)]))
    ended = threading.Event()

    def load() -> None:
        while not ended.wait(PRICES_EVERY_S):
            engine.apply([next(trades) for _ in range(TRADES_A_BEAT)], NOW)
            engine.beat(maker.spots(), NOW)
            engine.publish(NOW)

    writer = threading.Thread(target=load)
    writer.start()
    took = []

    def ask() -> None:
        began = time.perf_counter()
        assert exposure(engine.snapshot, "currency").rows
        took.append(time.perf_counter() - began)

    try:
        benchmark.pedantic(ask, setup=partial(time.sleep, PAUSE_S), rounds=QUESTIONS)
    finally:
        ended.set()
        writer.join()
    benchmark.extra_info["p99_ms"] = sorted(took)[int(len(took) * 0.99)] * 1000
