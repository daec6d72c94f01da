"""The exercise boundary against its known ends, the equation that defines it, and itself solved another way."""

import numpy as np
import pytest

from riskengine.pricing import exercise_boundary
from riskengine.pricing.exercise_boundary import NODES, BoundaryTerms, log_at_expiry, node_roots, roots_at, shorten, solve
from tests.pricing.oracle import random_options


def terms(*rows: tuple[float, ...]) -> BoundaryTerms:
    return BoundaryTerms(*np.array(rows, np.float64).T.copy())


def random_terms(seed: int, count: int) -> BoundaryTerms:
    inputs = random_options(seed, count)
    found = BoundaryTerms(inputs.years, inputs.vol, inputs.rate_quote, inputs.rate_base)
    return found.take(found.reward > 0)


def test_every_random_boundary_is_solved():
    found, is_solved = solve(random_terms(1, 2000))
    assert is_solved.all()
    assert np.isfinite(found).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("reward", [1e-8, 1e-5, 1e-3, 0.15])
@pytest.mark.parametrize("years", [1 / 8760, 1.0, 10.0])
@pytest.mark.parametrize("cost", [-0.02, 0.0, 0.03])
def test_small_and_large_rates_are_solved(reward, years, cost):
    assert solve(terms((years, 0.01, reward, cost), (years, 0.2, reward, cost), (years, 2.0, reward, cost)))[1].all()


def test_a_reward_of_nothing_against_a_negative_cost_is_solved():
    found, is_solved = solve(terms((1.0, 0.2, 0.0, -0.02)))
    assert is_solved.all()
    assert (np.diff(found[0]) < 0).all()


def test_with_no_time_left_a_put_is_exercised_below_the_strike_where_holding_on_pays():
    left = log_at_expiry(np.array([0.05, 0.05, 0.05]), np.array([0.02, 0.05, 0.10]))
    assert left == pytest.approx([0.0, 0.0, np.log(0.5)])


def test_with_all_time_left_the_boundary_is_that_of_a_perpetual_put():
    found, _ = solve(terms((400.0, 0.3, 0.08, 0.0)))
    slope = -2 * 0.08 / 0.3**2
    assert np.exp(-found[0, 0]) == pytest.approx(slope / (slope - 1), rel=3e-4)


def test_newtons_method_finds_what_sweeps_alone_find(monkeypatch):
    chosen = random_terms(2, 400)
    quick, _ = solve(chosen)
    monkeypatch.setattr(exercise_boundary, "_newton", lambda equation, roots: (roots, np.zeros(len(roots), np.bool_)))
    slow, is_solved = solve(chosen)
    deviation = chosen.vol * np.sqrt(chosen.years)
    apart = np.abs(quick - slow).max(axis=1)[is_solved] / deviation[is_solved]
    assert np.quantile(apart, 0.95) < 1e-6
    # The shortest times have neighbouring roots that move a value by less than its error.
    assert apart.max() < 2e-2


def test_sweeps_that_run_out_are_told(monkeypatch):
    monkeypatch.setattr(exercise_boundary, "_newton", lambda equation, roots: (roots, np.zeros(len(roots), np.bool_)))
    monkeypatch.setattr(exercise_boundary, "SWEEPS", exercise_boundary.SWEEPS_A_CHECK)
    assert not solve(random_terms(3, 100))[1].all()


def test_a_boundary_for_less_time_is_a_stretch_of_the_longer_one():
    whole = solve(terms((2.0, 0.25, 0.05, 0.02)))[0]
    part = shorten(whole, np.array([0.3]))
    there = roots_at(whole, tuple((np.sqrt(0.3) * node_roots()[:NODES]).tolist()))
    assert part == pytest.approx(there, abs=1e-13)
    again = solve(terms((0.6, 0.25, 0.05, 0.02)))[0]
    assert part == pytest.approx(again, abs=4e-4)


def test_roots_at_the_nodes_are_the_roots():
    found = solve(terms((1.0, 0.2, 0.05, 0.0)))[0]
    assert roots_at(found, tuple(node_roots()[:NODES].tolist())) == pytest.approx(found, rel=1e-12)
