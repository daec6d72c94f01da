"""Measures the formulas of options: European ones beside a bare pass and QuantLib's own loop, American ones, implied vols.

Targets: 10,000 European options with all measures in at most 1.5 times a bare SciPy/NumPy pass over the same formulas.
"""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from scipy.special import ndtr

from riskengine.pricing.american import ExerciseBoundary, american_measures
from riskengine.pricing.black_scholes import Inputs, measure
from riskengine.pricing.implied_vol import implied_vols

OPTIONS = 10_000
UNDERLYINGS = 100
AMERICAN = 1_000


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


def shares() -> Inputs:
    """American options on shares: puts, and calls that give up a yield."""
    inputs = book(AMERICAN)
    rates = {"rate_quote": np.abs(inputs.rate_quote) + 0.005, "rate_base": np.abs(inputs.rate_base) + 0.001}
    return inputs._replace(years_settle=inputs.years, **rates)


@pytest.mark.benchmark(group="1,000 American options, every measure")
@pytest.mark.parametrize("how", ["boundary made", "spot alone moved", "as time passes"])
def test_american(benchmark, how):
    inputs = shares()
    boundary = ExerciseBoundary.of(inputs)
    if how == "boundary made":
        benchmark.pedantic(american_measures, args=(inputs,), rounds=3)
    elif how == "spot alone moved":
        benchmark.pedantic(american_measures, args=(inputs._replace(spot=inputs.spot * 1.01), boundary), rounds=20)
    else:
        benchmark.pedantic(boundary.shorten, args=(inputs.years * 0.99,), rounds=20)


def quantlib_american(inputs: Inputs) -> list[float]:
    """QuantLib's fastest engine of the same kind, value alone, option by option."""
    today = ql.Date(1, 12, 2026)
    ql.Settings.instance().evaluationDate = today
    count, found = ql.Actual365Fixed(), []
    for sign, spot, strike, years, _, vol, rate_quote, rate_base in zip(*(c.tolist() for c in inputs), strict=True):
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(spot)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate_base, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate_quote, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
        )
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
        option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + max(1, round(years * 365))))
        option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme()))
        found.append(option.NPV())
    return found


@pytest.mark.benchmark(group="1,000 American options, every measure")
def test_quantlibs_american_values_alone(benchmark):
    assert len(benchmark.pedantic(quantlib_american, args=(shares(),), rounds=3)) == AMERICAN


@pytest.mark.benchmark(group="implied vols")
@pytest.mark.parametrize("is_american", [False, True], ids=["10,000 European", "1,000 American"])
def test_implied(benchmark, is_american):
    inputs = shares() if is_american else book()
    price = american_measures(inputs)[0].value if is_american else measure(inputs).value
    american = np.full(len(price), is_american)
    benchmark.pedantic(implied_vols, args=(price, inputs, american), rounds=2 if is_american else 10)
