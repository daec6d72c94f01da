"""Measures the formulas of options: European ones beside a bare pass and QuantLib's own loop, American ones, implied vols.

Targets: 10,000 European options with all measures in at most 1.5 times a bare SciPy/NumPy pass over the same formulas.
"""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from scipy.special import ndtr

from riskengine.pricing.black_scholes import Inputs, measure

OPTIONS = 10_000
UNDERLYINGS = 100


def book(count: int = OPTIONS) -> Inputs:
    """Options on 100 underlyings, a week to two years, out to three deviations."""
    random = np.random.default_rng(13)
    spot = random.uniform(0.5, 200.0, UNDERLYINGS)[np.arange(count) % UNDERLYINGS]
    years = random.uniform(7 / 365, 2.0, count)
    vol = random.uniform(0.05, 0.6, count)
    return Inputs(
        sign=random.choice([-1.0, 1.0], count),
        spot=spot,
        strike=spot * np.exp(random.uniform(-3.0, 3.0, count) * vol * np.sqrt(years)),
        years=years,
        years_settle=years + 2 / 365,
        vol=vol,
        rate_quote=random.uniform(-0.01, 0.08, count),
        rate_base=random.uniform(-0.01, 0.08, count),
    )


def bare_pass(inputs: Inputs) -> tuple[np.ndarray, ...]:
    """The same twelve measures as anyone would write them in NumPy: shared terms once, no edges."""
    sign, spot, strike, years, settle, vol, rate_quote, rate_base = inputs
    root = np.sqrt(years)
    deviation = vol * root
    carry, discount = np.exp(-rate_base * settle), np.exp(-rate_quote * settle)
    d1 = (np.log(spot / strike) + (rate_quote - rate_base) * settle) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    first, second = ndtr(sign * d1), ndtr(sign * d2)
    density = carry * np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    base_flow, quote_flow = sign * spot * carry * first, sign * strike * discount * second
    vega = spot * density * root
    return (
        base_flow - quote_flow,
        sign * carry * first,
        sign * first,
        quote_flow / spot,
        quote_flow / spot / carry,
        density / (spot * deviation),
        vega,
        rate_base * base_flow - rate_quote * quote_flow - 0.5 * spot * density * vol / root,
        settle * quote_flow,
        -settle * base_flow,
        -density * d2 / vol,
        vega * d1 * d2 / vol,
    )


def quantlib_loop(inputs: Inputs) -> list[tuple[float, ...]]:
    """QuantLib, option by option: nine measures (no premium-adjusted or forward delta)."""
    found: list[tuple[float, ...]] = []
    for sign, spot, strike, years, settle, vol, rate_quote, rate_base in zip(*(c.tolist() for c in inputs), strict=True):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
        forward, discount = spot * np.exp((rate_quote - rate_base) * settle), np.exp(-rate_quote * settle)
        black = ql.BlackCalculator(payoff, float(forward), vol * years**0.5, float(discount))
        greeks = (black.value(), black.delta(spot), black.gamma(spot), black.vega(years), black.theta(spot, settle))
        found.append((*greeks, black.rho(settle), black.dividendRho(settle), black.vanna(spot, years), black.volga(years)))
    return found


@pytest.mark.benchmark(group="10,000 European options, every measure")
@pytest.mark.parametrize("how", [bare_pass, measure, quantlib_loop], ids=lambda how: how.__name__)
def test_european(benchmark, how):
    rounds = 3 if how is quantlib_loop else 300
    assert len(benchmark.pedantic(how, args=(book(),), rounds=rounds, warmup_rounds=1))
