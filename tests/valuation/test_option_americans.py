"""American options in the book: near their exact value at every tick, and never a European price for an American right."""

import numpy as np
import pytest

from riskengine.pricing.american import american_measures
from riskengine.pricing.black_scholes import Inputs, measure
from riskengine.records.option_inputs import RateRow
from riskengine.valuation.option_americans import MOST_AT_ONCE
from tests.optioned import OptionHouse, share_option
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
