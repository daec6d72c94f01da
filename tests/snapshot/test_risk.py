"""The risk of an owner: options with inputs and Greeks, the hedges beside them, and what the amounts mean."""

import datetime as dt
from collections.abc import Callable

import pytest

from riskengine.records.option_inputs import RateRow, Vol
from riskengine.snapshot.risk import FIELDS, risk, risk_of
from riskengine.snapshot.rows import ladder_rows
from riskengine.snapshot.snapshot import UnknownName
from tests.optioned import OptionHouse, option, rates
from tests.risky import CALL, LATER, PUT, SHARE, YEN, RiskyHouse
from tests.world import NOON, SECOND

LADDER = ("quantity", "delta_base", "delta_cash", "gamma_cash", "vega", "theta", "total_pnl", "stale")


@pytest.fixture
def house() -> RiskyHouse:
    """Long three options, short the spot of one of them, and a future on it."""
    made = RiskyHouse(CALL, YEN, SHARE)
    made.buy("EURUSD", "400000", price="1.1", side="sell")
    made.buy("6EM6", "2", price="1.1")
    made.beat()
    return made


# -- which rows --------------------------------------------------------------------------------------------------


def test_options_stand_before_the_hedges_in_their_underlying(house):
    assert [(row["underlying"], row["instrument"]) for row in risk(house.engine.snapshot).rows] == [
        ("ACME", SHARE),
        ("EURUSD", CALL),
        ("EURUSD", "6EM6"),
        ("EURUSD", "EURUSD"),
        ("USDJPY", YEN),
    ]


def test_a_position_in_nothing_that_an_option_is_on_is_no_hedge(house):
    house.buy("GBPUSD", "100", price="1.28")
    house.buy("ACME", "3", price="90", desk="EQ1")
    assert {"GBPUSD", "ACME"} & house.rows().keys() == {"ACME"}
    assert "ACME" not in house.rows(node="FX1")


def test_an_owner_without_options_has_no_hedges_either(house):
    house.buy("EURUSD", "100", price="1.1", desk="FX2")
    assert (house.rows(node="FX2"), house.by("by_underlying", node="FX2")) == ({}, {})


def test_what_is_flat_is_left_out_and_what_desks_net_to_nothing_is_not(house):
    house.buy(CALL, "1000000", side="sell", desk="FX2")
    house.buy("EURUSD", "400000", price="1.1")
    assert "EURUSD" not in house.rows()
    assert (house.rows()[CALL]["quantity"], house.rows()[CALL]["delta_cash"]) == (0.0, 0.0)


def test_the_risk_of_a_dealer_is_of_what_the_dealer_holds(house):
    house.buy(PUT, "5", dealer="bob")
    assert house.rows(dealer="bob").keys() == {PUT}
    with pytest.raises(UnknownName):
        house.rows(dealer="nobody")


def test_a_house_that_knows_no_option_has_no_risk():
    house = OptionHouse(())
    house.spots()
    assert risk(house.engine.snapshot).rows == []


# -- what a row says ---------------------------------------------------------------------------------------------


def test_a_row_has_the_amounts_of_the_ladder(house):
    for node, dealer in ((None, None), ("FX1", None), (None, "ann")):
        ladder = {row["instrument"]: row for row in ladder_rows(house.engine.snapshot, node=node, dealer=dealer)}
        found = house.rows(node=node, dealer=dealer)
        assert found
        for symbol, row in found.items():
            assert tuple(row) == FIELDS
            assert {name: row[name] for name in LADDER} == {name: ladder[symbol][name] for name in LADDER}


def test_an_option_says_what_it_is_and_with_what_it_was_valued(house):
    row = house.rows()[YEN]
    told = {name: row[name] for name in ("kind", "option_type", "strike", "expiry", "quantity", "spot", "vol", "delta_type")}
    assert told == {
        "kind": "fx_option",
        "option_type": "call",
        "strike": 150.0,
        "expiry": "2026-05-29",
        "quantity": 1e6,
        "spot": 150.0,
        "vol": 0.1,
        "delta_type": "spot_pa",
    }
    assert (row["rate_quote"], row["rate_base"]) == (0.01, 0.04)
    cut = int(dt.datetime(2026, 5, 29, 14, tzinfo=dt.UTC).timestamp()) * SECOND
    assert (row["expiry_ts"], row["years"]) == (cut, pytest.approx((cut - NOON) / SECOND / 86400 / 365, abs=1e-12))
    assert row["years_settle"] == pytest.approx(88 / 365, abs=1e-12)
    assert (row["source"], row["ts"], row["stale"], row["state"], row["reason"]) == ("model", NOON, False, "live", None)


def test_a_hedge_has_a_delta_of_one_and_no_terms_of_an_option(house):
    row = house.rows()["EURUSD"]
    assert (row["delta"], row["delta_base"], row["delta_cash"]) == (1.0, -400_000.0, pytest.approx(-440_000))
    assert {row[name] for name in ("option_type", "strike", "vol", "years", "delta_type", "expiry_ts")} == {None}
    assert (row["value"], row["spot"], row["source"], row["vega"], row["rho_quote"]) == (1.1, 1.1, "feed", 0.0, 0.0)


def test_the_rho_of_a_hedge_that_rates_move_is_not_worked_out(house):
    assert (house.rows()["6EM6"]["rho_quote"], house.rows()["6EM6"]["vega"]) == (None, 0.0)


@pytest.mark.parametrize(("style", "price"), [("quote", 0.0), ("pips", 1e4), ("pct_quote", 1 / 1.1)])
def test_the_price_is_in_the_unit_of_its_style_and_the_value_in_the_quote_currency(style, price):
    house = OptionHouse([option("X", "EUR", "USD", "1.1", premium_style=style)])
    house.vols()
    house.spots()
    house.buy("X", "1000")
    row = risk(house.engine.snapshot).rows[0]
    assert row["price"] == pytest.approx(row["value"] * (price or 1.0), rel=1e-12)


def test_numbers_are_exact_texts_where_that_is_asked(house):
    house.buy(CALL, "900719925474099.97")
    plain, exact = (risk(house.engine.snapshot, exact=flag) for flag in (False, True))
    row = {row["instrument"]: row for row in exact.rows}[CALL]
    assert row["quantity"] == "900719926474099.97"
    assert [float(each["delta_cash"]) for each in exact.rows] == [each["delta_cash"] for each in plain.rows]
    assert isinstance(exact.summary["by_underlying"][0]["vega"], str)


# -- what the Greeks mean ----------------------------------------------------------------------------------------


Change = Callable[[RiskyHouse], object]


def moved(house: RiskyHouse, symbol: str, name: str, up: Change, down: Change) -> float:
    """The difference of an amount between two states of the market, halved."""
    ends = []
    for change in (up, down):
        change(house)
        ends.append(house.rows()[symbol][name])
    return (ends[0] - ends[1]) / 2


def with_vol(vol: float):
    return lambda house: (house.vols(vol), house.beat())


def with_rate(code: str, rate: float):
    return lambda house: (house.take([RateRow(code, "rate", "2027-12-31", house.now, rate)]), house.beat())


def test_vega_and_volga_are_per_vol_point():
    house = RiskyHouse(PUT)
    row = house.rows()[PUT]
    assert row["vega"] == pytest.approx(moved(house, PUT, "total_pnl", with_vol(0.1001), with_vol(0.0999)) * 100, rel=1e-5)
    assert row["volga"] == pytest.approx(moved(house, PUT, "vega", with_vol(0.1001), with_vol(0.0999)) * 100, rel=1e-5)


def test_vanna_is_the_change_of_delta_cash_for_a_vol_point():
    house = RiskyHouse(PUT)
    change = moved(house, PUT, "delta_cash", with_vol(0.1001), with_vol(0.0999)) * 100
    assert house.rows()[PUT]["vanna"] == pytest.approx(change, rel=1e-2)


@pytest.mark.parametrize(("name", "code", "rate"), [("rho_quote", "USD", 0.04), ("rho_base", "EUR", 0.025)])
def test_rhos_are_per_one_per_cent_of_rate(name, code, rate):
    house = RiskyHouse(PUT)
    row = house.rows()[PUT]
    change = moved(house, PUT, "total_pnl", with_rate(code, rate + 1e-5), with_rate(code, rate - 1e-5)) * 1000
    assert row[name] == pytest.approx(change, rel=1e-5)


@pytest.mark.parametrize("name", ["rho_quote", "rho_base", "vanna", "volga"])
def test_a_premium_in_base_leaves_the_greeks_of_the_position_as_they_are(name):
    styles: dict[str, dict[str, str]] = {"QUOTE": {}, "BASE": {"premium_style": "pct_base", "premium_currency": "USD"}}
    house = OptionHouse([option(symbol, "USD", "JPY", "150", **style) for symbol, style in styles.items()])
    house.vols()
    house.spots()
    for symbol in styles:
        house.buy(symbol, "1000000")
    rows = {row["instrument"]: row[name] for row in risk(house.engine.snapshot).rows}
    assert rows["BASE"] == pytest.approx(rows["QUOTE"], rel=1e-12)


# -- what is not known -------------------------------------------------------------------------------------------


def test_an_option_without_a_vol_says_so_and_has_no_amounts():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1")])
    house.spots()
    house.buy(CALL, "100")
    row = risk(house.engine.snapshot).rows[0]
    assert row["reason"] == "no vol: neither its own nor a surface of EURUSD"
    names = ("value", "price", "delta", "delta_base", "delta_cash", "vega", "rho_quote", "vanna", "total_pnl", "source", "vol")
    assert {row[name] for name in names} == {None}
    assert (row["spot"], row["quantity"]) == (1.1, 100.0)


def test_an_option_with_nothing_but_its_quote_has_a_value_and_no_greeks():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", premium_style="pips")], rated={})
    house.spots()
    house.quote(CALL, 250.0)
    house.beat()
    house.buy(CALL, "100", price="200")
    row = risk(house.engine.snapshot).rows[0]
    assert (row["source"], row["price"], row["value"], row["delta"], row["delta_cash"]) == ("quote", 250.0, 0.025, None, None)
    assert row["total_pnl"] == pytest.approx(0.5)
    assert row["reason"] == "no rates for USD"


def test_greeks_from_outside_have_no_rho_and_no_vanna():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", greeks="pushed")])
    house.spots()
    house.push(CALL, spot=1.1, vol=0.1, value=0.03, delta=0.5, gamma=4.0, vega=0.003, theta=-0.0001)
    house.buy(CALL, "1000000")
    row = risk(house.beat()).rows[0]
    assert (row["source"], row["vega"], row["rho_quote"], row["rho_base"], row["vanna"], row["volga"]) == (
        "pushed",
        pytest.approx(3000),
        None,
        None,
        None,
        None,
    )


def test_a_sum_that_was_found_wrong_has_no_amounts(house):
    held = list(house.engine.snapshot.nodes.state(0).positions())
    found = risk_of(house.engine.snapshot, held, {house.where.instrument_index[CALL]})
    row = {row["instrument"]: row for row in found.rows}[CALL]
    assert {row[name] for name in ("quantity", "delta_base", "delta_cash", "vega", "rho_base", "total_pnl")} == {None}
    assert row["spot"] == 1.1


def test_a_vol_that_is_old_makes_its_option_stale(house):
    house.now += 1000 * SECOND
    house.take([*rates(ts=house.now), Vol(YEN, house.now, 0.1)])
    house.spots(**{"6EM6": 1.105, "USDEUR": 1 / 1.1})
    rows = house.rows()
    assert {symbol for symbol, row in rows.items() if row["stale"]} == {CALL, SHARE}
    assert rows[CALL]["ts"] == NOON


def test_years_count_to_the_cut_of_a_long_option():
    house = RiskyHouse(LATER)
    assert house.rows()[LATER]["years"] == pytest.approx(2.0, abs=0.01)
    assert house.rows()[LATER]["delta_type"] == "forward"
