"""American options in the book: near their exact value at every tick, and never a European price for an American right."""

import datetime as dt

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813

from riskengine.pricing.american import american_measures, on_both_clocks, on_one_clock
from riskengine.pricing.black_scholes import Inputs, measure
from riskengine.records.option_inputs import RateRow
from riskengine.valuation.options.americans import MOST_AT_ONCE
from tests.optioned import OptionHouse, option, share_option
from tests.world import NOON, SECOND

PUT, CALL = "ACME P100", "ACME C80"
YIELD = RateRow("ACME", "yield", "2027-12-31", NOON, 0.06)


def house_of(*options: dict) -> OptionHouse:
    made = OptionHouse(options)
    made.vols(0.25)
    made.spots()
    return made


def inputs_of(house: OptionHouse, symbol: str, sign: float, strike: float, vol: float | None = None) -> Inputs:
    values = house.values(symbol)
    given = [values[name] for name in ("years", "years_settle", "vol", "rate_quote", "rate_base")]
    if vol is not None:
        given[2] = vol
    return Inputs(*(np.array([each], dtype=np.float64) for each in (sign, values["spot"], strike, *given)))


@pytest.mark.parametrize("spot", [90.0, 90.04, 91.7, 99.99, 60.0, 130.0])
def test_an_american_put_is_worth_what_the_method_says_to_its_stated_error(spot):
    house = house_of(share_option(PUT, "100", option_type="put"))
    house.marks(ACME=spot)
    found, values = american_measures(inputs_of(house, PUT, -1.0, 100.0))[0], house.values(PUT)
    assert values["value"] == pytest.approx(found.value[0], abs=2e-6 * 100)
    assert values["delta"] == pytest.approx(found.delta[0], abs=2e-4)
    assert values["vega"] == pytest.approx(found.vega[0], abs=2e-4 * 100 + 1e-3 * abs(found.vega[0]))
    assert values["value"] >= max(100.0 - spot, 0.0)


def test_a_call_that_gives_up_no_carry_is_the_european_formula_exactly():
    house = house_of(share_option(CALL, "80"))
    assert house.values(CALL)["value"] == measure(inputs_of(house, CALL, 1.0, 80.0)).value[0]


def test_a_call_on_a_share_with_a_yield_is_worth_more_than_the_european_one():
    house = house_of(share_option(CALL, "80"))
    house.take([YIELD])
    assert house.values(CALL)["value"] > measure(inputs_of(house, CALL, 1.0, 80.0)).value[0] + 0.01


def test_the_value_follows_spot_without_a_jump_at_a_point():
    house = house_of(share_option(PUT, "100", option_type="put"))
    values = []
    for step in range(30):
        house.marks(ACME=90.0 + 0.02 * step)
        values.append(house.values(PUT)["value"])
    bends = np.abs(np.diff(values, 3))
    assert bends.max() < 1e-4


def test_many_that_leave_their_points_at_once_are_brought_up_beat_by_beat_to_the_same_values():
    options = [share_option(f"ACME P{80 + n}", str(80 + n), option_type="put") for n in range(2 * MOST_AT_ONCE)]
    house = house_of(*options)
    house.vols(0.30)
    waits = [bool(house.engine.options._americans.is_behind)]
    for _ in range(3):
        house.engine.beat({}, house.now)
        waits.append(bool(house.engine.options._americans.is_behind))
    assert (waits[0], waits[-1]) == (True, False)
    fresh = OptionHouse(options)
    fresh.vols(0.30)
    fresh.spots()
    kept, anew = house.engine.options.values, fresh.engine.options.values
    assert kept is not None and anew is not None
    assert np.array_equal(kept.value, anew.value)


# -- implied vols ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", ["european", "american"])
def test_an_option_with_a_quote_and_no_vol_is_worth_its_quote_with_the_greeks_of_the_vol_that_it_implies(exercise):
    house = OptionHouse([share_option(PUT, "100", option_type="put", exercise=exercise)])
    house.quote(PUT, 12.5)
    house.spots()
    values = house.values(PUT)
    assert (values["price"], values["source"], values["reason"]) == (12.5, 3, "")
    inputs = inputs_of(house, PUT, -1.0, 100.0)
    value = measure(inputs).value if exercise == "european" else american_measures(inputs)[0].value
    assert value[0] == pytest.approx(12.5, abs=1e-4)
    house.buy(PUT, "2", "12", desk="EQ1")
    row = house.position(PUT, node="EQ1")
    assert (row["mark"], row["mark_source"], row["mark_ts"]) == (12.5, "implied", NOON)
    assert row["delta_cash"] == pytest.approx(200 * values["delta"] * 90.0)


def test_a_quote_that_no_vol_gives_stays_the_mark_without_greeks_and_says_why():
    house = OptionHouse([share_option(PUT, "100", option_type="put", exercise="european")])
    house.quote(PUT, 5.0)
    house.spots()
    values = house.values(PUT)
    assert (values["price"], bool(values["has_delta"])) == (5.0, False)
    assert values["reason"] == "its quote implies no vol: its price is below what it is worth without any vol"


def test_a_quote_that_stops_is_stale_with_its_greeks():
    house = OptionHouse([share_option(PUT, "100", option_type="put", exercise="european")])
    house.quote(PUT, 12.5)
    house.spots()
    house.now += 61 * SECOND
    house.spots()
    assert house.values(PUT)["stale"]


# -- on a pair, whose rates run to delivery and not to the cut -----------------------------------------------------


def pair_of(sign: int, spot: float, days: int) -> tuple[OptionHouse, float]:
    """A house with an American option on a pair that expires in so many days, and its strike."""
    expiry = dt.date(2026, 3, 4) + dt.timedelta(days=days)
    strike = 1.1
    word = "call" if sign > 0 else "put"
    house = OptionHouse([option("EA", "EUR", "USD", str(strike), option_type=word, expiry=str(expiry), exercise="american")])
    house.take(RateRow(code, "rate", "2027-12-31", NOON, rate) for code, rate in {"EUR": 0.08, "USD": 0.09}.items())
    house.vols(0.1)
    house.spots(EURUSD=spot)
    return house, strike


def quantlib(values: dict, sign: int, strike: float) -> float:
    """QuantLib's value of the right until delivery, with as much variance as there is until the cut."""
    today = ql.Date(4, 3, 2026)
    ql.Settings.instance().evaluationDate = today
    days = round(values["years_settle"] * 365)
    vol = values["vol"] * (values["years"] / values["years_settle"]) ** 0.5
    rates = (values["rate_quote"], values["rate_base"])
    quote, base = (ql.YieldTermStructureHandle(ql.FlatForward(today, rate, ql.Actual365Fixed())) for rate in rates)
    flat = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, ql.Actual365Fixed()))
    process = ql.GarmanKohlagenProcess(ql.QuoteHandle(ql.SimpleQuote(values["spot"])), base, quote, flat)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
    right = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + days))
    right.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))
    return float(right.NPV())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("spot", [0.9, 1.05, 1.1, 1.13, 1.4])
@pytest.mark.parametrize("days", [1, 7, 90, 400])
def test_an_american_option_on_a_pair_is_worth_what_quantlib_says(sign, spot, days):
    house, strike = pair_of(sign, spot, days)
    values = house.values("EA")
    assert values["years"] != values["years_settle"]
    assert values["value"] == pytest.approx(quantlib(values, sign, strike), abs=2e-6 * max(spot, strike))


def test_the_rhos_of_an_american_option_on_a_pair_are_the_slopes_of_its_value():
    house, _ = pair_of(-1, 1.097, 1)
    values = house.values("EA")
    assert values["years_settle"] > 2 * values["years"]
    for name, code, rate in (("rho_quote", "USD", 0.09), ("rho_base", "EUR", 0.08)):
        found = []
        for step in (1e-3, -1e-3):
            house.take([RateRow(code, "rate", "2027-12-31", NOON + 1, rate + step)])
            house.beat()
            found.append(house.values("EA")["value"])
        house.take([RateRow(code, "rate", "2027-12-31", NOON + 2, rate)])
        assert values[name] == pytest.approx((found[0] - found[1]) / 2e-3, rel=0.02)


def test_the_theta_of_an_american_option_on_a_pair_takes_the_same_off_both_times():
    house, strike = pair_of(-1, 1.08, 90)
    given = inputs_of(house, "EA", -1.0, strike)
    given = given._replace(years_settle=given.years * 1.5)
    one = on_one_clock(given)
    theta = on_both_clocks(american_measures(one)[0], given).theta
    later, sooner = (
        american_measures(on_one_clock(given._replace(years=given.years + step, years_settle=given.years_settle + step)))[0].value
        for step in (1e-3, -1e-3)
    )
    assert theta == pytest.approx((sooner - later) / 2e-3, rel=5e-3)


def test_an_american_option_on_a_pair_has_the_vol_that_its_quote_implies():
    house, _ = pair_of(-1, 1.08, 90)
    quote = house.values("EA")["value"]
    other = OptionHouse([option("EA", "EUR", "USD", "1.1", option_type="put", expiry="2026-06-02", exercise="american")])
    other.take(RateRow(code, "rate", "2027-12-31", NOON, rate) for code, rate in {"EUR": 0.08, "USD": 0.09}.items())
    other.spots()
    other.marks(EURUSD=1.08)
    other.quote("EA", quote)
    other.beat()
    assert other.values("EA")["vol"] == pytest.approx(0.1, rel=2e-3)
