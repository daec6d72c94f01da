"""Measures the exposure of the total of 300,000 positions in 1,000 instruments: nothing for a beat that nobody looks at.

Targets: a beat at most 1 ms slower with a board beside it; one breakdown 10 ms, for all who look together, once a snapshot.
"""

from functools import partial

import pytest

from bench.bench_beat import ROUNDS, beat, new_prices
from bench.book import INSTRUMENTS
from riskengine.config import ServerConfig
from riskengine.snapshot.exposure import BY, exposure
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
