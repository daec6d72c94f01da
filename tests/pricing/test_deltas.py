import csv
import json
import random

import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st

from riskengine.pricing.deltas import DELTA_TYPES, DeltaTerms, at_the_money, deltas, is_adjusted, is_spot, strikes

QUANTLIB = {
    "spot": QuantLib.DeltaVolQuote.Spot,
    "forward": QuantLib.DeltaVolQuote.Fwd,
    "spot_pa": QuantLib.DeltaVolQuote.PaSpot,
    "forward_pa": QuantLib.DeltaVolQuote.PaFwd,
}
WORDS = {"Spot": "spot", "Fwd": "forward", "PaSpot": "spot_pa", "PaFwd": "forward_pa"}
VECTOR_WORDS = {"spot": "spot", "fwd": "forward", "pa_spot": "spot_pa", "pa_fwd": "forward_pa"}


def terms(kind: str, deviation: float, discount: float) -> DeltaTerms:
    """Of one option; `discount` is the base's."""
    return DeltaTerms(*(np.array([x]) for x in (deviation, discount if is_spot(kind) else 1.0, is_adjusted(kind))))


def delta_of(kind: str, sign: float, moneyness: float, deviation: float, discount: float) -> float:
    return float(deltas(np.array([sign]), np.array([moneyness]), terms(kind, deviation, discount))[0])


def strike_of(kind: str, sign: float, delta: float, deviation: float, discount: float) -> float | None:
    found, is_solved = strikes(np.array([sign]), np.array([delta]), terms(kind, deviation, discount))
    assert np.isfinite(found).all()
    return float(found[0]) if is_solved[0] else None


# -- against others --------------------------------------------------------------------------------------------------


def published(shared_data):
    with open(shared_data / "published-greeks" / "fx_delta_conventions.csv") as file:
        return list(csv.DictReader(file))


def test_the_deltas_of_published_strikes_are_the_published_ones(shared_data):
    for row in published(shared_data):
        forward, sign, numbers = _published_terms(row)
        found = delta_of(WORDS[row["delta_type"]], sign, float(row["strike"]) / forward, *numbers)
        assert found == pytest.approx(float(row["delta"]), abs=_tolerance(row))


def test_the_strikes_of_published_deltas_are_the_published_ones(shared_data):
    for row in published(shared_data):
        forward, sign, numbers = _published_terms(row)
        found = strike_of(WORDS[row["delta_type"]], sign, float(row["delta"]), *numbers)
        assert found is not None
        assert found * forward == pytest.approx(float(row["strike"]), rel=_tolerance(row))


def _published_terms(row):
    domestic, foreign = float(row["domestic_df"]), float(row["foreign_df"])
    sign = 1.0 if row["type"] == "Call" else -1.0
    return float(row["spot"]) * foreign / domestic, sign, (float(row["std_dev"]), foreign)


def _tolerance(row):
    """What the published strike is rounded to; that of two premium-adjusted ones is off by 4e-5, from QuantLib's solution too."""
    if not row["source"].startswith("Values"):
        return 3e-4
    return 4e-5 if row["delta_type"] == "PaSpot" else 2e-6


def test_every_vector_of_delta_strikes(shared_vectors):
    vectors = json.loads(shared_vectors.read_text())["delta_strikes"]
    for vector in vectors:
        sign = 1.0 if vector["type"] == "call" else -1.0
        forward = vector["spot"] * vector["fDf"] / vector["dDf"]
        kind, numbers = VECTOR_WORDS[vector["kind"]], (vector["stdev"], vector["fDf"])
        strike = strike_of(kind, sign, vector["delta"], *numbers)
        assert strike is not None
        assert strike * forward == pytest.approx(vector["strike"], abs=vector["tol_strike"])
        assert delta_of(kind, sign, vector["strike"] / forward, *numbers) == pytest.approx(
            vector["delta"], abs=vector["tol_delta"]
        )
    assert len(vectors) >= 5


def random_cases(count: int):
    seeded = random.Random(11)
    for _ in range(count):
        yield (
            seeded.choice(DELTA_TYPES),
            seeded.choice((1.0, -1.0)),
            seeded.uniform(0.01, 0.5),
            10 ** seeded.uniform(-2, 0.2),
            seeded.uniform(0.5, 1.05),
        )


def calculator(kind: str, sign: float, deviation: float, discount: float) -> QuantLib.BlackDeltaCalculator:
    option = QuantLib.Option.Call if sign > 0 else QuantLib.Option.Put
    return QuantLib.BlackDeltaCalculator(option, QUANTLIB[kind], 1.0, discount, discount, deviation)


def test_deltas_are_quantlib_s():
    for kind, sign, _, deviation, discount in random_cases(500):
        moneyness = np.exp(deviation * random.Random(deviation).uniform(-3, 3))
        expected = calculator(kind, sign, deviation, discount).deltaFromStrike(moneyness)
        assert delta_of(kind, sign, moneyness, deviation, discount) == pytest.approx(expected, abs=1e-12)


def test_strikes_are_quantlib_s():
    compared = 0
    for kind, sign, share, deviation, discount in random_cases(500):
        delta = sign * share * (discount if is_spot(kind) else 1.0)
        found = strike_of(kind, sign, delta, deviation, discount)
        if found is not None:
            expected = calculator(kind, sign, deviation, discount).strikeFromDelta(delta)
            assert found == pytest.approx(expected, rel=1e-7)
            compared += 1
    assert compared > 450


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_the_delta_neutral_strike_is_quantlib_s(kind):
    expected = calculator(kind, 1.0, 0.3, 0.97).atmStrike(QuantLib.DeltaVolQuote.AtmDeltaNeutral)
    assert at_the_money(terms(kind, 0.3, 0.97), np.array([False]))[0] == pytest.approx(expected, rel=1e-14)


# -- properties ------------------------------------------------------------------------------------------------------

KINDS = st.sampled_from(DELTA_TYPES)
SIGNS = st.sampled_from((1.0, -1.0))
DEVIATIONS = st.floats(1e-4, 6.0)
DISCOUNTS = st.floats(0.2, 1.1)


@given(KINDS, SIGNS, st.floats(1e-6, 0.999), DEVIATIONS, DISCOUNTS)
def test_the_strike_of_a_delta_has_that_delta(kind, sign, share, deviation, discount):
    delta = sign * share * (discount if is_spot(kind) else 1.0)
    found = strike_of(kind, sign, delta, deviation, discount)
    if found is None:
        assert is_adjusted(kind) and sign > 0, "only a premium-adjusted call has a greatest delta"
        grid = np.exp(np.linspace(-8, 8, 4001) * deviation)
        every = DeltaTerms(*(np.full(4001, x[0]) for x in terms(kind, deviation, discount)))
        assert deltas(np.ones(4001), grid, every).max() < delta * (1 + 1e-9)
    else:
        assert delta_of(kind, sign, found, deviation, discount) == pytest.approx(delta, rel=1e-9)


@given(st.floats(1e-4, 0.9), st.floats(1e-3, 3.0))
def test_of_a_premium_adjusted_call_s_two_strikes_the_higher_is_taken(share, deviation):
    found = strike_of("forward_pa", 1.0, share, deviation, 1.0)
    if found is not None:
        here = delta_of("forward_pa", 1.0, found, deviation, 1.0)
        assert delta_of("forward_pa", 1.0, found * 1.001, deviation, 1.0) < here


@given(KINDS, DEVIATIONS, DISCOUNTS)
def test_a_straddle_at_the_money_has_no_delta(kind, deviation, discount):
    strike = at_the_money(terms(kind, deviation, discount), np.array([False]))[0]
    call, put = (delta_of(kind, sign, strike, deviation, discount) for sign in (1.0, -1.0))
    assert call + put == pytest.approx(0.0, abs=1e-12)


def test_at_the_money_forward_is_the_forward():
    assert at_the_money(terms("spot_pa", 0.4, 0.9), np.array([True]))[0] == 1.0


@pytest.mark.parametrize("kind", ["spot", "forward"])
@pytest.mark.parametrize("delta", [1.2, 0.0, -0.3])
def test_no_call_has_an_impossible_delta(kind, delta):
    assert strike_of(kind, 1.0, delta, 0.2, 1.0) is None


def test_many_options_have_the_strikes_that_each_has_alone():
    cases = list(random_cases(200))
    together = DeltaTerms(
        np.array([deviation for *_, deviation, _ in cases]),
        np.array([discount if is_spot(kind) else 1.0 for kind, *_, discount in cases]),
        np.array([is_adjusted(kind) for kind, *_ in cases]),
    )
    sign, share = (np.array([case[n] for case in cases]) for n in (1, 2))
    found, is_solved = strikes(sign, sign * share * together.discount, together)
    for n, (kind, own_sign, own_share, deviation, discount) in enumerate(cases):
        own = own_sign * own_share * (discount if is_spot(kind) else 1.0)
        alone = strike_of(kind, own_sign, own, deviation, discount)
        assert (alone is not None) == is_solved[n]
        assert alone is None or alone == pytest.approx(found[n], rel=1e-12)
