"""What `bench/beside.py` compares comes to the same answers, and a contender that does not ends the run."""

import numpy as np
import pytest

from bench.beside import check, contenders, prices_of, run_beats, run_trades, shape_of
from bench.beside_arrays import Answer
from bench.book import INSTRUMENTS, Maker


@pytest.fixture(scope="module")
def maker():
    return Maker(shape_of(200))


@pytest.fixture(scope="module")
def present(maker):
    found = contenders(maker)
    for one in found:
        one.rounds = min(one.rounds, 3)
    return found


@pytest.mark.parametrize("new", [INSTRUMENTS, 10])
def test_all_contenders_have_the_totals_and_gross_of_the_loop(maker, present, new):
    times = run_beats(maker, present, new)
    assert {"a loop in Python", "this engine"} < times.keys()
    assert {len(rounds) for rounds in times.values()} == {3}


@pytest.mark.parametrize("what", Answer._fields)
def test_a_cent_more_at_one_account_ends_the_run(maker, present, what):
    loop = present[0]
    loop.full(prices_of(maker, np.zeros(INSTRUMENTS), range(INSTRUMENTS)))
    wrong = getattr(loop.answer, what).copy()
    wrong[-1] += 0.01
    with pytest.raises(SystemExit, match=f"polars computes another {what}"):
        check("polars", loop.answer._replace(**{what: wrong}), loop.answer)


def test_all_that_take_trades_hold_the_same_positions(maker, capsys, monkeypatch):
    monkeypatch.setattr("bench.beside.TRADES", 1_000)
    run_trades(Maker(shape_of(200)), 300)
    assert "| this engine |" in capsys.readouterr().out
