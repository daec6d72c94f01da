"""What options are valued with and what they come to: sources, reasons, staleness, and one answer whatever the order."""

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from riskengine.records.actions import ActionInput, ActionRows, check_action
from riskengine.records.decode import convert
from riskengine.records.option_inputs import RateRow
from riskengine.snapshot.rows import mark_rows
from tests.optioned import OPTIONS, RATES, SPOTS, OptionHouse, option, share_option
from tests.world import NOON, SECOND

CALL = "EURUSD C1.10"
HOUR = 3_600 * SECOND


@pytest.fixture
def house() -> OptionHouse:
    made = OptionHouse()
    made.vols()
    made.spots()
    return made


def textbook(values: dict[str, Any], sign: int, strike: float) -> float:
    """Garman-Kohlhagen from the inputs that an option says it was valued with."""
    spot, vol, years, settle = (float(values[name]) for name in ("spot", "vol", "years", "years_settle"))
    grown, discount = math.exp(-values["rate_base"] * settle), math.exp(-values["rate_quote"] * settle)
    forward, deviation = spot * grown / discount, vol * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    return float(sign * (spot * grown * norm.cdf(sign * d1) - strike * discount * norm.cdf(sign * (d1 - deviation))))


@pytest.mark.parametrize(
    ("symbol", "sign", "strike"),
    [(CALL, 1, 1.1), ("EURUSD P1.08", -1, 1.08), ("USDJPY C150", 1, 150), ("EURGBP C0.86", 1, 0.86), ("GBPJPY C190", 1, 190)],
)
def test_a_value_is_that_of_the_formula_with_the_inputs_it_names(house, symbol, sign, strike):
    values = house.values(symbol)
    assert values["value"] == pytest.approx(textbook(values, sign, strike), rel=1e-12)


def test_the_time_runs_to_the_cut_in_new_york_and_the_exponents_from_spot_date_to_delivery(house):
    values = house.values(CALL)
    assert values["years"] * 365 * 24 == pytest.approx(184 * 24 + 2)  # 2026-03-04 12:00 to 2026-09-04 14:00, UTC
    assert values["years_settle"] * 365 == pytest.approx(186)  # from 2026-03-06 to 2026-09-08, behind Labor Day


def test_a_pair_that_is_quoted_nowhere_has_the_cross_of_its_rates_as_spot(house):
    assert house.values("GBPJPY C190")["spot"] == pytest.approx(1.28 * 150)


def test_a_pair_that_is_quoted_upside_down_gives_its_inverse():
    house = OptionHouse([option("JPYUSD C", "JPY", "USD", "0.0067")])
    house.vols()
    house.spots()
    assert house.values("JPYUSD C")["spot"] == 1 / 150.0


def test_only_options_of_a_spot_that_moved_are_valued_again(house):
    before = house.engine.options.values
    house.marks(ACME=91.0)
    assert house.engine.options.values is before
    house.marks(EURUSD=1.11)
    after = house.engine.options.values
    moved = {symbol for symbol, place in house.engine.options.terms.place.items() if before.value[place] != after.value[place]}
    assert moved == {CALL, "EURUSD P1.08"}


def test_time_passes_in_steps_and_decays_the_value(house):
    before = house.values(CALL)["value"]
    house.now += 4 * SECOND
    assert not house.engine.beat({}, house.now)
    house.now += 6 * SECOND
    assert house.engine.beat({}, house.now)
    assert house.values(CALL)["value"] < before


@pytest.mark.parametrize("style", ["quote", "pips", "pct_base", "pct_quote"])
def test_a_price_in_any_style_is_worth_what_the_model_says(style):
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", premium_style=style)])
    house.vols()
    house.spots()
    house.buy(CALL, "1000000", "0.01")
    row, values = house.position(CALL), house.values(CALL)
    unit = {"quote": 1.0, "pips": 1e-4, "pct_base": 1.1, "pct_quote": 1.1}[style]
    assert row["mark"] == pytest.approx(values["value"] / unit, rel=1e-12)
    assert row["market_value"] == pytest.approx(1e6 * values["value"], rel=1e-12)


# -- which source ------------------------------------------------------------------------------------------------


def test_a_model_value_is_the_mark_and_the_own_quote_stays_beside_it(house):
    house.quote(CALL, 0.05)
    snapshot = house.beat()
    house.buy(CALL, "100")
    row = house.position(CALL)
    assert (row["mark_source"], row["mark"]) == ("model", house.values(CALL)["price"])
    shown = next(each for each in mark_rows(snapshot) if each["instrument"] == CALL)
    assert (shown["kind"], shown["quoted_price"], shown["unvalued"]) == ("model", 0.05, None)


def test_without_rates_the_own_quote_is_the_mark_and_the_delta_is_unknown_with_a_reason():
    house = OptionHouse(rated={})
    house.vols()
    house.quote(CALL, 0.0132)
    house.spots()
    house.buy(CALL, "100000000", "0.0132")
    row, node = house.position(CALL), house.node()
    assert (row["mark"], row["total_pnl"], row["delta_cash"]) == (0.0132, 0.0, None)
    assert (node["net_exposure"], node["gross_exposure"], node["unpriced_count"]) == (None, None, 1)
    assert house.values(CALL)["reason"] == "no rates for USD"


BAD = {
    "no spot": "its underlying has no price",
    "no rates of the base": "no rates for EUR and no points of EURUSD",
    "no vol": "no vol: neither its own nor a surface of EURUSD",
}


@pytest.mark.parametrize("case", BAD)
def test_what_lacks_an_input_is_unpriced_with_the_reason_and_the_rest_of_the_book_keeps_its_numbers(case):
    house = OptionHouse(rated={"USD": 0.04, "JPY": 0.01} if case == "no rates of the base" else RATES)
    if case != "no vol":
        house.vols()
    house.marks(**({"ACME": 90.0, "USDJPY": 150.0} if case == "no spot" else SPOTS))
    house.buy(CALL, "1000000")
    house.buy("ACME", "100", "80", desk="EQ1")
    values = house.values(CALL)
    assert (bool(values["priced"]), bool(values["has_delta"]), values["reason"]) == (False, False, BAD[case])
    row, node = house.position(CALL), house.node()
    assert [row[field] for field in ("mark", "total_pnl", "delta_base", "gamma_cash", "vega", "theta")] == [None] * 6
    assert (node["total_pnl"], node["delta_cash"], node["unpriced_count"]) == (1_000.0, 9_000.0, 1)
    house.engine.check()


def test_no_entry_is_ever_nan_but_for_inputs_that_are_unknown():
    house = OptionHouse()
    house.beat()
    values = house.engine.options.values
    for name in ("price", "value", "delta", "spot_delta", "hedge_delta", "gamma", "vega", "theta"):
        assert np.isfinite(getattr(values, name)).all(), name


# -- Greeks from outside -----------------------------------------------------------------------------------------

SENT = {"spot": 1.1, "vol": 0.1, "value": 0.03, "delta": 0.5, "gamma": 4.0, "vega": 0.003, "theta": -0.0001}


@pytest.fixture
def pushed() -> OptionHouse:
    made = OptionHouse([option(CALL, "EUR", "USD", "1.1", greeks="pushed")])
    made.vols(0.3)
    made.spots()
    return made


def test_pushed_greeks_are_used_as_they_were_sent(pushed):
    pushed.push(CALL, **SENT)
    pushed.beat()
    values = pushed.values(CALL)
    assert [values[name] for name in ("value", "spot_delta", "gamma")] == [0.03, 0.5, 4.0]
    assert (values["vega"], values["theta"]) == (pytest.approx(0.3), pytest.approx(-0.0365))
    assert values["source"] == 4


def test_a_spot_that_moves_takes_a_second_order_step_that_says_so(pushed):
    pushed.push(CALL, **SENT)
    pushed.marks(EURUSD=1.105)
    pushed.buy(CALL, "1000000", "0.03")
    values, row = pushed.values(CALL), pushed.position(CALL)
    assert values["value"] == pytest.approx(0.03 + 0.5 * 0.005 + 0.5 * 4.0 * 0.005**2, rel=1e-12)
    assert values["spot_delta"] == pytest.approx(0.52)
    assert (row["mark_source"], row["stale"]) == ("taylor", False)


def test_a_day_that_passes_and_an_own_vol_that_moves_are_in_the_step(pushed):
    pushed.push(CALL, **SENT)
    pushed.now += 24 * HOUR
    pushed.vols(0.12, CALL)
    pushed.marks(EURUSD=1.1)
    assert pushed.values(CALL)["value"] == pytest.approx(0.03 - 0.0001 + 2 * 0.003, rel=1e-9)


@pytest.mark.parametrize(("moved", "later_s"), [(1.112, 0), (1.1, 301)])
def test_pushed_greeks_are_stale_once_spot_has_moved_too_far_or_they_are_too_old(pushed, moved, later_s):
    pushed.push(CALL, **SENT)
    pushed.now += later_s * SECOND
    pushed.marks(EURUSD=moved)
    assert pushed.values(CALL)["stale"]


def test_an_option_whose_pushed_greeks_have_not_come_says_so(pushed):
    assert pushed.values(CALL)["reason"] == "its Greeks come from outside, and none have come"


# -- staleness ---------------------------------------------------------------------------------------------------


def test_a_vol_feed_that_stops_makes_greeks_stale_and_nothing_else(house):
    house.buy(CALL, "1000000")
    house.buy("EURUSD", "1000000", "1.1")
    assert house.node()["stale_count"] == 0
    for _ in range(16):
        house.now += 60 * SECOND
        house.spots()
    node, row = house.node(), house.position(CALL)
    assert (row["stale"], house.position("EURUSD")["stale"], node["stale_count"], node["unpriced_count"]) == (True, False, 1, 0)
    assert row["mark_ts"] == NOON
    assert row["delta_cash"] is not None


def test_an_option_is_stale_with_its_spot(house):
    house.now += 61 * SECOND
    house.vols()
    house.beat()
    assert house.values(CALL)["stale"]
    house.spots()
    assert not house.values(CALL)["stale"]


# -- after the cut -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spot", "value", "delta"), [(1.15, 0.05, 1.0), (1.05, 0.0, 0.0)])
def test_after_the_cut_an_option_is_worth_its_exercise_at_the_spot_of_now(spot, value, delta):
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", expiry="2026-03-04")], now=NOON)
    house.vols()
    house.spots()
    house.now = NOON + 4 * HOUR  # 11:00 in New York
    house.marks(EURUSD=spot)
    values = house.values(CALL)
    assert (values["value"], values["spot_delta"], values["gamma"], values["state"]) == (pytest.approx(value), delta, 0.0, 1)


def test_the_cut_itself_expires_an_option_without_any_price(house):
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", expiry="2026-03-04", cut="13:00 Europe/London")])
    house.vols()
    house.spots()
    house.now = NOON + HOUR - 1
    house.engine.beat({}, house.now)
    assert house.values(CALL)["state"] == 0
    house.now += 1
    assert house.engine.beat({}, house.now)
    assert house.values(CALL)["state"] == 1


# -- shares ------------------------------------------------------------------------------------------------------


def test_an_option_on_a_share_takes_its_yield_and_the_session_of_its_exchange():
    call = share_option("ACME C95", "95", exercise="european", calendar="XNYS")
    house = OptionHouse([call])
    house.take([RateRow("ACME", "yield", "2027-12-31", NOON, 0.02)])
    house.vols(0.3)
    house.spots()
    values = house.values("ACME C95")
    assert (values["rate_base"], values["rate_quote"]) == (0.02, 0.04)
    assert values["years"] == values["years_settle"] == pytest.approx((184 * 24 + 8) / 24 / 365)  # 16:00 in New York
    assert values["value"] == pytest.approx(textbook(values, 1, 95.0), rel=1e-12)


# -- one answer --------------------------------------------------------------------------------------------------


def test_the_bits_are_the_same_whatever_the_order_of_inputs_and_after_a_start(house):
    dice = random.Random(13)
    for _ in range(30):
        symbol = dice.choice([*SPOTS])
        house.now += dice.randrange(3) * SECOND
        house.marks(**{symbol: SPOTS[symbol] * dice.uniform(0.99, 1.01)})
        if dice.random() < 0.3:
            house.vols(dice.uniform(0.05, 0.2), dice.choice(house.symbols))
    house.beat()
    fresh = OptionHouse(now=house.now, rated={})
    marks = {number: mark for number, mark in enumerate(house.engine.marks.marks) if mark is not None}
    fresh.engine.beat(marks, house.now, [*reversed([*house.engine.option_market])])
    kept, anew = house.engine.options.values, fresh.engine.options.values
    assert kept is not None and anew is not None
    for mine, its in zip(kept, anew, strict=True):
        same = mine.tolist() == its.tolist() if mine.dtype == object else np.array_equal(mine, its, equal_nan=True)
        assert same


def test_every_option_names_all_that_it_was_valued_with(house):
    assert len(OPTIONS) == len(house.engine.options.terms.symbols)
    for symbol in house.symbols:
        values = house.values(symbol)
        assert all(np.isfinite(values[name]) for name in ("spot", "vol", "rate_quote", "rate_base", "years", "years_settle"))
        assert (values["ts"], bool(values["stale"]), values["reason"]) == (NOON, False, "")
    assert set(RATES) == {"USD", "EUR", "GBP", "JPY"}


def test_a_split_of_the_share_makes_another_strike_and_no_other_value():
    call = share_option("ACME C80", "80", exercise="european")
    house = OptionHouse([call])
    house.vols(0.3)
    house.spots()
    house.buy("ACME C80", "10", "12", desk="EQ1")
    before, value = house.position("ACME C80", node="EQ1"), house.values("ACME C80")["value"]
    columns = {"action_id": "a", "instrument": "ACME", "kind": "split", "ex_date": "2026-03-05", "ratio": "4:1"}
    split = check_action(convert(columns, ActionInput), house.where.by_symbol, NOON)
    house.engine.take_actions(ActionRows((split,), {}), house.now, "2026-03-05")
    house.marks(ACME=22.5)
    after = house.position("ACME C80", node="EQ1")
    assert house.engine.options.terms.strike.tolist() == [20.0]
    assert house.values("ACME C80")["value"] == pytest.approx(value / 4)
    assert (before["quantity"], after["quantity"]) == (10.0, 40.0)
    for field in ("total_pnl", "market_value", "delta_cash", "gamma_cash", "vega", "theta"):
        assert after[field] == pytest.approx(before[field]), field


def test_an_option_that_a_split_leaves_without_terms_says_so():
    house = OptionHouse([share_option("ACME C80", "80", exercise="european")])
    house.vols(0.3)
    columns = {"action_id": "a", "instrument": "ACME", "kind": "split", "ex_date": "2026-03-05", "ratio": "3:2"}
    split = check_action(convert(columns, ActionInput), house.where.by_symbol, NOON)
    house.engine.take_actions(ActionRows((split,), {}), house.now, "2026-03-05")
    house.spots()
    values = house.values("ACME C80")
    assert (bool(values["priced"]), "makes no whole number" in values["reason"]) == (False, True)
