"""The receipt of an option is enough to work out its value and its Greeks by hand."""

import math
from typing import Any

import pytest

from riskengine.engine.option_receipt import AFTER_CUT, AMERICAN, EUROPEAN, ITS_QUOTE, OUTSIDE
from riskengine.engine.receipt import cell_of, receipt
from riskengine.records.option_inputs import RateRow, SurfaceRow, Vol
from riskengine.snapshot.risk import risk
from tests.optioned import RATES, OptionHouse, option, rates, share_option
from tests.world import NOON, SECOND

CALL, PUT = "EURUSD C1.10", "EURUSD P1.08"
YEN = "USDJPY C150"


def of(house: OptionHouse, symbol: str, **owner: Any) -> dict[str, Any]:
    cell = cell_of(house.engine, node=owner.get("node"), dealer=owner.get("dealer"), instrument=symbol)
    found: dict[str, Any] = receipt(cell)
    return found


def results(steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {step["name"]: None if step["result"] is None else float(step["result"]) for step in steps}


def held(*rows: dict[str, Any], **more: Any) -> OptionHouse:
    """A house that is long a million of each of these options, all with a vol of 10 %."""
    house = OptionHouse(rows, **more)
    house.vols()
    house.spots()
    for row in rows:
        house.buy(row["instrument"], "1000000")
    return house


def normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


@pytest.mark.parametrize(
    "terms",
    [
        option(CALL, "EUR", "USD", "1.1"),
        option(PUT, "EUR", "USD", "1.08", option_type="put"),
        option(YEN, "USD", "JPY", "152", delta_type="forward_pa"),
        option(CALL, "EUR", "USD", "1.2", premium_style="pips", delta_type="spot_pa"),
        option(CALL, "EUR", "USD", "1.2", premium_style="pct_base", delta_type="forward"),
        share_option("ACME C95", "95", exercise="european"),
    ],
    ids=lambda terms: terms["instrument"] + terms.get("premium_style", "") + terms.get("delta_type", ""),
)
def test_its_inputs_and_the_formulas_as_written_give_value_and_greeks(terms):
    """The formulas of the receipt, worked out with the normal distribution of the C library."""
    told = of(held(terms), terms["instrument"])["option"]
    given = {name: float(told["inputs"][name]) for name in ("phi", "spot", "strike", "vol", "years", "years_settle")}
    phi, s, k, vol, years, settle = given.values()
    rd, rf = float(told["inputs"]["rate_quote"]), float(told["inputs"]["rate_base"])
    d_quote, d_base = math.exp(-rd * settle), math.exp(-rf * settle)
    forward = s * d_base / d_quote
    deviation = vol * math.sqrt(years)
    d1 = math.log(forward / k) / deviation + deviation / 2
    d2 = d1 - deviation
    n1, n2, density = normal(phi * d1), normal(phi * d2), math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    value = phi * (s * d_base * n1 - k * d_quote * n2)
    vega = s * d_base * math.sqrt(years) * density
    spot_delta = phi * d_base * n1
    delta = {
        "spot": spot_delta,
        "forward": phi * n1,
        "spot_pa": spot_delta - value / s,
        "forward_pa": (spot_delta - value / s) / d_base,
    }[told["inputs"]["delta_type"]]
    unit = float(told["inputs"]["price_unit"]) * (s if told["inputs"]["price_unit_is_in_base"] else 1)
    theta = phi * (rf * s * d_base * n1 - rd * k * d_quote * n2) - s * d_base * density * vol / (2 * math.sqrt(years))
    expected = {
        "D_quote": d_quote,
        "D_base": d_base,
        "F": forward,
        "deviation": deviation,
        "d1": d1,
        "d2": d2,
        "N(phi d1)": n1,
        "N(phi d2)": n2,
        "n(d1)": density,
        "value": value,
        "spot_delta": spot_delta,
        "gamma": d_base * density / (s * deviation),
        "vega": vega,
        "theta": theta,
        "rho_quote": phi * k * settle * d_quote * n2,
        "rho_base": -phi * s * settle * d_base * n1,
        "vanna": -d_base * density * d2 / vol,
        "volga": vega * d1 * d2 / vol,
        "delta": delta,
        "price": value / unit,
    }
    found = results(told["terms"])
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-10, abs=1e-12 * s)
    assert told["model"] == EUROPEAN


def test_the_greeks_of_the_position_are_those_of_its_row():
    house = held(option(YEN, "USD", "JPY", "152"))
    row = risk(house.engine.snapshot).rows[0]
    found = results(of(house, YEN)["option"]["position"])
    assert {name: found[name] for name in ("delta_base", "delta_cash", "gamma_cash", "vega", "theta")} == {
        name: pytest.approx(row[name], rel=1e-14) for name in ("delta_base", "delta_cash", "gamma_cash", "vega", "theta")
    }
    unit = results(of(house, YEN)["option"]["terms"])
    assert found["X"] == pytest.approx(1 / 150)
    assert row["gamma_cash"] == pytest.approx(1e6 * unit["gamma"] * 150**2 * found["X"] / 100)
    assert row["delta_cash"] == pytest.approx(1e6 * unit["hedge_delta"] * 150 * found["X"])


def test_the_sums_of_nodes_have_the_greeks_of_all_their_positions():
    house = held(option(CALL, "EUR", "USD", "1.1"))
    house.buy(CALL, "500000", desk="FX2")
    found = [results(of(house, CALL, node=node)["option"]["position"]) for node in ("FX1", "FX2", "ALL")]
    assert [one["q"] for one in found] == [1e6, 5e5, 1.5e6]
    assert found[2]["vega"] == pytest.approx(found[0]["vega"] + found[1]["vega"])


# -- where inputs come from --------------------------------------------------------------------------------------


def test_an_own_vol_says_who_sent_it_and_when():
    house = held(option(CALL, "EUR", "USD", "1.1"))
    house.take([Vol(CALL, NOON + 5, 0.12, "desk")])
    house.beat()
    told = of(house, CALL)["option"]
    assert told["rows"]["vol"] == {"vol": "0.12", "ts": NOON + 5, "source": "desk"}
    assert (told["rows"]["surface"], told["inputs"]["vol"], told["inputs"]["vol_is"]) == (None, "0.12", "given")
    assert (told["inputs"]["spot_instrument"], told["inputs"]["spot_source"]) == ("EURUSD", "feed")


def test_a_vol_of_a_surface_says_between_which_quotes_it_lies():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1")])
    dates = ("2026-05-04", "2026-08-04", "2026-10-05", "2026-12-04")
    house.take(SurfaceRow("EURUSD", date, NOON - 60 * SECOND, 0.1, rr25=0.01, bf25=0.002, source="broker") for date in dates)
    house.spots()
    house.buy(CALL, "100")
    surface = of(house, CALL)["option"]["rows"]["surface"]
    assert [quote["expiry"] for quote in surface["quotes"]] == list(dates[1:3])
    assert (surface["quotes"][0]["source"], surface["quotes"][0]["rr25"], surface["quotes"][0]["rr10"]) == (
        "broker",
        "0.01",
        None,
    )
    assert surface["as_of"] <= house.now


def test_rates_say_between_which_points_of_which_curves_they_lie():
    house = held(option(CALL, "EUR", "USD", "1.1"))
    house.take(RateRow("USD", "rate", date, NOON, 0.03, "fixing") for date in ("2026-08-01", "2026-10-01", "2026-03-05"))
    house.beat()
    rows = of(house, CALL)["option"]["rows"]
    assert [(row["date"], row["source"]) for row in rows["rate_quote"]] == [
        ("2026-03-05", "fixing"),
        ("2026-08-01", "fixing"),
        ("2026-10-01", "fixing"),
    ]
    assert (rows["rates_from"], rows["rates_to"]) == ("2026-03-06", "2026-09-08")
    assert [row["value"] for row in rows["rate_base"]] == [repr(RATES["EUR"])]


def test_a_base_rate_that_points_imply_has_their_rows():
    house = held(option(CALL, "EUR", "USD", "1.1"), rated={"USD": 0.04})
    house.take([RateRow("EURUSD", "points", "2026-10-01", NOON, 0.0105, "swaps")])
    house.spots()
    told = of(house, CALL)["option"]
    assert ([row["source"] for row in told["rows"]["points"]], told["rows"]["rate_base"]) == (["swaps"], [])
    assert float(told["inputs"]["rate_base"]) < 0.04


# -- other models ------------------------------------------------------------------------------------------------


def test_an_american_option_follows_from_its_point():
    house = OptionHouse([share_option("ACME P110", "110", option_type="put", exercise="american")])
    house.vols(0.3)
    house.spots()
    house.buy("ACME P110", "5", price="20", desk="EQ1")
    house.spots(ACME=90.02)
    told = of(house, "ACME P110")["option"]
    assert told["model"] == AMERICAN
    found = results(told["terms"])
    given = {name: float(told["inputs"][name]) for name in ("spot", "vol", "years", "rate_quote", "rate_base")}
    ds, dv = given["spot"] - found["point spot"], given["vol"] - found["point vol"]
    dt = found["point years"] - given["years"]
    rates_moved = [given[name] - found[f"point {name}"] for name in ("rate_quote", "rate_base")]
    at = {name: found[f"{name} at the point"] for name in ("value", "delta", "gamma", "vega", "theta", "volga", "vanna")}
    value = at["value"] + at["delta"] * ds + at["gamma"] * ds**2 / 2 + at["vega"] * dv + at["volga"] * dv**2 / 2
    value += at["vanna"] * ds * dv + at["theta"] * dt
    value += found["rho_quote at the point"] * rates_moved[0] + found["rho_base at the point"] * rates_moved[1]
    assert ds != 0.0
    assert found["value"] == pytest.approx(value, rel=1e-14)
    assert found["spot_delta"] == pytest.approx(at["delta"] + at["gamma"] * ds + at["vanna"] * dv, rel=1e-14)


def test_an_american_call_that_is_never_exercised_early_is_european():
    house = OptionHouse([share_option("ACME C95", "95", exercise="american")])
    house.vols()
    house.spots()
    assert of(house, "ACME C95")["option"]["model"] == EUROPEAN


def test_a_vol_that_the_quote_implies_says_so():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1")])
    house.spots()
    house.quote(CALL, 0.04)
    house.beat()
    told = of(house, CALL)["option"]
    assert (told["source"], told["inputs"]["vol_is"]) == ("implied", "implied by its own quote")
    value = next(step for step in told["terms"] if step["name"] == "value")
    assert (float(value["result"]), "its quote" in value["formula"]) == (0.04, True)


def test_a_quote_without_greeks_leaves_them_unknown():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1")], rated={})
    house.spots()
    house.quote(CALL, 0.04)
    house.beat()
    told = of(house, CALL)["option"]
    assert (told["model"], told["source"], told["reason"]) == (ITS_QUOTE, "quote", "no rates for USD")
    assert (results(told["terms"])["vega"], results(told["terms"])["price"]) == (None, 0.04)


def test_greeks_from_outside_are_told_as_they_were_sent():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1", greeks="pushed")])
    house.push(CALL, spot=1.1, vol=0.1, value=0.03, delta=0.5, gamma=4.0, vega=0.003, theta=-0.0001, source="vendor")
    house.spots(EURUSD=1.102)
    told = of(house, CALL)["option"]
    sent, found = told["rows"]["greeks"], results(told["terms"])
    assert (told["model"], told["source"], sent["source"], sent["delta"]) == (OUTSIDE, "taylor", "vendor", "0.5")
    assert found["value"] == pytest.approx(0.03 + 0.5 * 0.002 + 4.0 * 0.002**2 / 2)
    assert (found["vanna"], found["rho_quote"]) == (None, None)


def test_after_its_cut_an_option_is_worth_what_exercise_gives():
    house = held(option(CALL, "EUR", "USD", "1.1", expiry="2026-03-04", cut="13:00 Europe/London"))
    house.spots(EURUSD=1.12)
    house.now += 2 * 3600 * SECOND
    house.take(rates(ts=house.now))
    house.spots(EURUSD=1.13)
    told = of(house, CALL)["option"]
    assert told["inputs"]["spot_at_cut"] == "1.12"
    assert (told["model"], told["state"], results(told["terms"])["value"]) == (AFTER_CUT, "expired", pytest.approx(0.03))


def test_what_is_no_option_has_none():
    assert of(held(option(CALL, "EUR", "USD", "1.1")), "EURUSD")["option"] is None
