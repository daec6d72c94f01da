"""Implied vols: round trips, prices at and beyond the bounds, and QuantLib's own."""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize.elementwise import find_root

from riskengine.pricing import implied_vol
from riskengine.pricing.american import american_measures, american_values, exercise_never_pays
from riskengine.pricing.black_scholes import Inputs, measure
from riskengine.pricing.implied_vol import (
    ABOVE_BOUND,
    BELOW_INTRINSIC,
    EXPIRED,
    NO_METHOD,
    NO_TIME_VALUE,
    NOT_A_PRICE,
    REASONS,
    SOLVED,
    UNSOLVED,
    implied_vols,
)
from tests.pricing.oracle import TODAY, each, options, process_of, random_options, whole_days


def blind(inputs: Inputs) -> Inputs:
    """The same options without their vols, which the solver must not see."""
    return inputs._replace(vol=np.full(len(inputs.vol), np.nan))


def every_american(inputs: Inputs) -> np.ndarray:
    return np.ones(len(inputs.spot), np.bool_)


def time_value(inputs: Inputs, price: np.ndarray) -> np.ndarray:
    base = inputs.spot * np.exp(-inputs.rate_base * inputs.years_settle)
    quote = inputs.strike * np.exp(-inputs.rate_quote * inputs.years_settle)
    return price - np.maximum(inputs.sign * (base - quote), 0.0)


# round trips


@pytest.mark.parametrize("seed", range(5))
def test_the_vol_of_a_value_is_its_vol_or_there_is_no_time_value_to_tell_it(seed):
    inputs = random_options(seed, 2000, is_settled_later=True)
    priced = measure(inputs)
    vols, reasons = implied_vols(priced.value, blind(inputs))
    assert np.isin(reasons, [SOLVED, NO_TIME_VALUE, BELOW_INTRINSIC]).all()
    found = reasons == SOLVED
    assert found.mean() > 0.5
    assert np.abs(vols / inputs.vol - 1)[found].max() < 1e-4
    # Refused only where a price of this size could not have told the vol to a ten-thousandth or so.
    told = priced.vega * inputs.vol * 1e-4 > 1e-13 * (inputs.spot + inputs.strike)
    assert not (told & ~found).any()
    assert (vols[~found] == 0.0).all()


@given(
    st.sampled_from([1.0, -1.0]),
    st.floats(0.5, 2.0),
    st.floats(1 / 8760, 10.0),
    st.floats(0.01, 2.0),
    st.floats(-0.02, 0.15),
    st.floats(-0.02, 0.15),
)
def test_a_vol_that_comes_back_reprices(sign, moneyness, years, vol, rate_quote, rate_base):
    inputs = options((sign, 100.0, 100.0 / moneyness, years, vol, rate_quote, rate_base))
    price = measure(inputs).value
    vols, reasons = implied_vols(price, blind(inputs))
    if reasons[0] == SOLVED:
        again = measure(inputs._replace(vol=vols)).value
        assert again == pytest.approx(price, rel=1e-10, abs=1e-13 * 300)
    else:
        assert reasons[0] in (NO_TIME_VALUE, BELOW_INTRINSIC)
        assert abs(time_value(inputs, price)[0]) < 1e-9 * 300


@given(st.floats(1e-12, 150.0), st.sampled_from([1.0, -1.0]), st.floats(0.5, 2.0), st.floats(1 / 8760, 10.0))
def test_any_price_has_a_vol_that_reprices_it_or_a_reason(price, sign, moneyness, years):
    inputs = options((sign, 100.0, 100.0 / moneyness, years, 0.0, 0.03, 0.01))
    vols, reasons = implied_vols(np.array([price]), blind(inputs))
    assert np.isfinite(vols[0])
    if reasons[0] == SOLVED:
        assert measure(inputs._replace(vol=vols)).value[0] == pytest.approx(price, rel=1e-9, abs=1e-11)
    else:
        assert vols[0] == 0.0
        assert REASONS[reasons[0]]


def test_a_far_wing_keeps_its_vol_where_its_value_is_hardly_a_number():
    inputs = options((1, 100.0, 200.0, 0.1, 0.1, 0.0, 0.0))
    price = measure(inputs).value
    assert 0.0 < price[0] < 1e-100
    vols, reasons = implied_vols(price, blind(inputs))
    assert reasons[0] == SOLVED
    assert vols[0] == pytest.approx(0.1, rel=1e-9)


# prices at and beyond the bounds


def one_reason(price: float, inputs: Inputs, is_american: bool = False) -> int:
    vols, reasons = implied_vols(np.array([price]), blind(inputs), np.array([is_american]))
    assert vols[0] == 0.0
    return int(reasons[0])


CALL = (1, 100.0, 90.0, 0.5, 0.2, 0.05, 0.02)
PUT = (-1, 100.0, 130.0, 0.5, 0.2, 0.05, 0.0)
CALL_FLOOR = 100.0 * np.exp(-0.01) - 90.0 * np.exp(-0.025)
CALL_CEILING = 100.0 * np.exp(-0.01)


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (np.nan, NOT_A_PRICE),
        (np.inf, NOT_A_PRICE),
        (-0.01, NOT_A_PRICE),
        (0.0, BELOW_INTRINSIC),
        (CALL_FLOOR - 0.01, BELOW_INTRINSIC),
        (CALL_FLOOR, NO_TIME_VALUE),
        (CALL_FLOOR + 1e-13, NO_TIME_VALUE),
        (CALL_CEILING, ABOVE_BOUND),
        (CALL_CEILING + 1.0, ABOVE_BOUND),
    ],
)
def test_prices_that_no_vol_gives(price, reason):
    assert one_reason(price, options(CALL)) == reason


def test_a_price_of_nothing_out_of_the_money_tells_no_vol():
    assert one_reason(0.0, options((1, 100.0, 130.0, 0.5, 0.2, 0.05, 0.02))) == NO_TIME_VALUE


@pytest.mark.parametrize("is_american", [False, True])
def test_at_its_expiry_no_price_tells_a_vol(is_american):
    assert one_reason(31.0, options((-1, 100.0, 130.0, 0.0, 0.2, 0.05, 0.0)), is_american) == EXPIRED


@pytest.mark.parametrize(
    ("price", "reason"),
    [(29.9, BELOW_INTRINSIC), (30.0, NO_TIME_VALUE), (130.0, ABOVE_BOUND), (129.9999999, ABOVE_BOUND), (np.nan, NOT_A_PRICE)],
)
def test_american_prices_that_no_vol_gives(price, reason):
    assert one_reason(price, options(PUT), is_american=True) == reason


def test_an_american_price_below_what_waiting_without_vol_is_worth():
    """A call with more interest than yield is worth more than its intrinsic value even without any vol."""
    inputs = options((1, 100.0, 100.0, 1.0, 0.2, 0.08, 0.01))
    assert one_reason(5.0, inputs, is_american=True) == BELOW_INTRINSIC


def test_an_american_option_without_a_method_has_that_reason():
    assert one_reason(12.0, options((1, 100.0, 90.0, 1.0, 0.2, -0.02, -0.01)), is_american=True) == NO_METHOD


def test_a_price_that_is_fine_for_a_european_put_is_none_for_an_american_one():
    price = np.array([27.10])
    inputs = options(PUT)
    vols, reasons = implied_vols(price, blind(inputs))
    assert reasons[0] == SOLVED
    assert vols[0] == pytest.approx(0.2, abs=1e-2)
    assert one_reason(27.10, inputs, is_american=True) == BELOW_INTRINSIC


def test_one_bad_price_keeps_no_other_from_its_vol():
    inputs = options(*[CALL] * 3, *[PUT] * 3)
    american = np.arange(6) >= 3
    vols, reasons = implied_vols(np.array([13.0, np.nan, 14.0, 31.0, -1.0, 35.0]), blind(inputs), american)
    assert reasons.tolist() == [SOLVED, NOT_A_PRICE, SOLVED, SOLVED, NOT_A_PRICE, SOLVED]
    assert (vols[[0, 2, 3, 5]] > 0.05).all()


def test_a_solver_that_fails_is_told_and_gives_no_vol(monkeypatch):
    monkeypatch.setattr(implied_vol, "find_root", lambda *args, **more: find_root(*args, **(more | {"maxiter": 1})))
    assert one_reason(13.0, options(CALL)) == UNSOLVED
    assert one_reason(35.0, options(PUT), is_american=True) == UNSOLVED


def test_a_vol_that_does_not_reprice_is_not_given(monkeypatch):
    monkeypatch.setattr(implied_vol, "_log_time_value", lambda distance, deviation: np.log(deviation))
    assert one_reason(13.0, options(CALL)) == UNSOLVED


def test_no_options_have_no_vols():
    vols, reasons = implied_vols(np.empty(0), random_options(1, 5).take(slice(0, 0)))
    assert len(vols) == len(reasons) == 0


# American round trips, and QuantLib


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_the_vol_of_an_american_value_reprices_it(seed):
    inputs = random_options(seed, 20)
    price, refused = american_values(inputs)
    vols, reasons = implied_vols(price, blind(inputs), every_american(inputs))
    assert np.isin(reasons, [SOLVED, NO_TIME_VALUE, NOT_A_PRICE, BELOW_INTRINSIC]).all()
    assert (reasons[refused != 0] == NOT_A_PRICE).all()
    found = reasons == SOLVED
    again, _ = american_values(inputs._replace(vol=vols))
    apart = np.abs(again - price)[found] / np.maximum(inputs.spot, inputs.strike)[found]
    assert (apart <= 1e-6).all()
    assert (np.abs(vols / inputs.vol - 1)[found] < 5e-3).all()


def test_an_american_vol_is_found_where_vega_tells_it():
    inputs = random_options(40, 300)
    inputs = inputs.take((inputs.vol > 0.05) & (inputs.years > 0.02) & ~exercise_never_pays(inputs))
    priced, refused = american_measures(inputs)
    told = (refused == 0) & (priced.vega > 1e-2 * inputs.spot)
    vols, reasons = implied_vols(priced.value, blind(inputs), every_american(inputs))
    assert told.sum() > 50
    assert (reasons[told] == SOLVED).all()
    assert vols[told] == pytest.approx(inputs.vol[told], rel=1e-4)


@pytest.mark.parametrize("is_american", [False, True])
def test_quantlibs_implied_vols(is_american):
    inputs = whole_days(random_options(41, 400))
    inputs = inputs.take((inputs.vol > 0.08) & (inputs.vol < 1) & (inputs.years > 0.05) & (inputs.years < 3))
    priced = measure(inputs)
    price = american_values(inputs)[0] if is_american else priced.value
    stable = np.isfinite(price) & (priced.vega > 2e-2 * inputs.spot) & (price > priced.value * 0.999)
    inputs, price = inputs.take(stable), price[stable]
    vols, reasons = implied_vols(price, blind(inputs), np.full(len(price), is_american))
    compared = 0
    for row, option in enumerate(each(inputs)):
        if is_american and reasons[row] == NO_TIME_VALUE:
            continue
        kind = ql.Option.Call if option.sign > 0 else ql.Option.Put
        expiry = TODAY + round(option.years * 365)
        exercise = ql.AmericanExercise(TODAY, expiry) if is_american else ql.EuropeanExercise(expiry)
        made = ql.VanillaOption(ql.PlainVanillaPayoff(kind, option.strike), exercise)
        process = process_of(option)
        if is_american:
            # Its solver for American options uses a coarse grid; its finest value at our vol must be the price instead.
            made.setPricingEngine(ql.QdFpAmericanEngine(process_of(option._replace(vol=vols[row])), scheme()))
            assert made.NPV() == pytest.approx(price[row], abs=1e-6 * max(option.spot, option.strike))
        else:
            theirs = made.impliedVolatility(price[row], process, 1e-12, 1000, 1e-4, 5.0)
            assert vols[row] == pytest.approx(theirs, abs=1e-8)
        compared += 1
    assert compared > 30


def scheme() -> ql.QdFpIterationScheme:
    return ql.QdFpAmericanEngine.highPrecisionScheme()
