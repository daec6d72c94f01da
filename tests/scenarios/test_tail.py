"""VaR and expected shortfall by ACCOUNTING section 7, to the digit of published examples."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.scenarios.tail import LossTail, contributions, var_and_es, worst_of

HULL = (1082.969, 715.512, 687.72, 661.221, 602.968, 546.54, 492.764, 470.092, 458.177)
"""The worst losses of the published example of 500 scenarios."""


def vector(worst: tuple[float, ...], scenarios: int) -> np.ndarray:
    """A P&L vector whose worst losses are these, in no order."""
    pnl = np.linspace(-400.0, 900.0, scenarios) if scenarios > 300 else np.linspace(-4.0, 9.0, scenarios)
    places = np.random.default_rng(7).permutation(scenarios)[: len(worst)]
    keep = np.sort(pnl)[len(worst) :]
    pnl = np.empty(scenarios)
    rest = np.setdiff1d(np.arange(scenarios), places)
    pnl[places], pnl[rest] = -np.array(worst), keep
    return pnl


def test_the_published_example_of_500_scenarios_is_met_to_the_digit() -> None:
    worst = worst_of(vector(HULL, 500), LossTail.of(500, Decimal("0.99")))
    assert worst.var == 602.968
    assert round(worst.es, 9) == 750.078


def test_a_tail_that_is_no_whole_number_counts_the_last_loss_with_the_fraction_left() -> None:
    worst = worst_of(vector((10, 9, 8, 7, 6, 5), 252), LossTail.of(252, Decimal("0.98")))
    assert worst.var == 5.0
    assert worst.es == pytest.approx(7.9761904762, abs=5e-11)


def test_the_place_of_var_is_the_ceiling_of_the_exact_tail_not_of_its_double() -> None:
    assert 500 * (1 - 0.99) > 5.0  # what a double would make of it
    assert LossTail.of(500, Decimal("0.99")).place == 5
    assert LossTail.of(252, Decimal("0.98")).place == 6
    assert LossTail.of(60, Decimal("0.95")).place == 3


@pytest.mark.parametrize(("scenarios", "level"), [(0, "0.99"), (10, "1"), (10, "0")])
def test_a_tail_needs_scenarios_and_a_level_between_0_and_1(scenarios: int, level: str) -> None:
    with pytest.raises(ValueError, match="a level between 0 and 1"):
        LossTail.of(scenarios, Decimal(level))


@given(
    st.lists(st.lists(st.integers(-1_000, 1_000), min_size=30, max_size=30), min_size=1, max_size=6),
    st.sampled_from(["0.9", "0.95", "0.99", "0.975"]),
)
def test_many_vectors_at_once_give_what_one_by_one_gives_and_contributions_sum(parts: list[list[int]], level: str) -> None:
    pnl, tail = np.array(parts, dtype=np.float64), LossTail.of(30, Decimal(level))
    var, es = var_and_es(pnl, tail)
    one_by_one = [worst_of(each, tail) for each in pnl]
    assert var.tolist() == [each.var for each in one_by_one]
    assert es.tolist() == pytest.approx([each.es for each in one_by_one], rel=1e-12, abs=1e-9)
    whole = worst_of(pnl.sum(axis=0), tail)
    by_var, by_es = contributions(pnl, whole, tail)
    assert by_var.sum() == pytest.approx(whole.var, rel=1e-12, abs=1e-9)
    assert by_es.sum() == pytest.approx(whole.es, rel=1e-12, abs=1e-9)
    assert whole.es >= whole.var
