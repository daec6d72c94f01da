"""What stands beside the rows of a risk: sums by underlying and expiry, expiries, rows left out."""

import datetime as dt
import math
from typing import Any

import pytest

from riskengine.market.rate_curves import day_of
from riskengine.records.option_inputs import RateRow
from riskengine.snapshot.risk import risk
from riskengine.snapshot.risk_sums import BUCKETS, SUMMED, bucket_of, expiry_day
from riskengine.valuation.options.netting import NOT
from tests.optioned import OptionHouse, option
from tests.risky import CALL, LATER, PUT, SHARE, WEEK, YEN, RiskyHouse
from tests.world import NOON, SECOND

HOURS = 3600 * SECOND


@pytest.fixture
def house() -> RiskyHouse:
    made = RiskyHouse(CALL, YEN, SHARE, WEEK, LATER)
    made.buy("EURUSD", "400000", price="1.1", side="sell")
    made.buy("6EM6", "2", price="1.1")
    made.beat()
    return made


# -- sums --------------------------------------------------------------------------------------------------------


def test_both_breakdowns_add_up_to_the_rows(house):
    rows = house.rows().values()
    for name in SUMMED:
        every = sum(row[name] for row in rows if row[name] is not None)
        for breakdown in ("by_underlying", "by_expiry"):
            assert sum(one[name] for one in house.by(breakdown).values()) == pytest.approx(every, rel=1e-12)


def test_the_greeks_of_all_underlyings_are_those_of_the_node(house):
    node = house.node("ALL")
    for name in ("gamma_cash", "vega", "theta"):
        assert sum(one[name] for one in house.by("by_underlying").values()) == pytest.approx(node[name], rel=1e-9)


def test_hedges_count_beside_the_options_of_their_underlying(house):
    euro = house.by("by_underlying")["EURUSD"]
    rows = house.rows()
    assert (euro["option_count"], euro["hedge_count"], euro["spot"]) == (3, 2, 1.1)
    assert euro["hedge_delta_cash"] == rows["EURUSD"]["delta_cash"] + rows["6EM6"]["delta_cash"]
    assert euro["delta_base"] == pytest.approx(sum(row["delta_base"] for row in rows.values() if row["underlying"] == "EURUSD"))


def test_a_forward_of_the_pair_hedges_in_the_bucket_of_its_date(house):
    house.buy("EURUSD", "300000", price="1.1", value_date="2026-06-08")
    house.beat()
    row = house.rows()["EURUSD@2026-06-08"]
    assert (row["kind"], row["underlying"], row["expiry"], row["delta_base"]) == ("fx_forward", "EURUSD", "2026-06-08", 3e5)
    assert row["delta_cash"] == pytest.approx(300_000 * 1.1 * math.exp(-0.025 * 94 / 365))
    assert (row["source"], row["rho_quote"]) == ("rates", None)
    assert (house.by("by_underlying")["EURUSD"]["hedge_count"], house.by("by_expiry")["6M"]["hedge_count"]) == (3, 2)


def test_a_pair_the_other_way_round_counts_against_the_options():
    house = RiskyHouse(CALL)
    house.buy("USDEUR", "550000", price=f"{1 / 1.1:.6f}", side="buy")
    house.spots(USDEUR=1 / 1.1)
    row, sums = house.rows()["USDEUR"], house.by("by_underlying")["EURUSD"]
    assert (row["underlying"], row["delta_cash"]) == ("EURUSD", pytest.approx(550_000))
    assert sums["hedge_delta_cash"] == pytest.approx(-550_000)
    assert sums["delta_base"] == pytest.approx(house.rows()[CALL]["delta_base"] - 500_000)


def test_rows_lie_in_the_bucket_of_their_expiry(house):
    counts = {name: (one["option_count"], one["hedge_count"]) for name, one in house.by("by_expiry").items()}
    assert counts == {
        "1W": (1, 1),
        "1M": (0, 0),
        "3M": (1, 0),
        "6M": (2, 1),
        "1Y": (0, 0),
        "2Y": (1, 0),
        "later": (0, 0),
    }
    assert house.by("by_expiry")["1M"]["delta_cash"] == 0.0


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (-3, "1W"),
        (7, "1W"),
        (8, "1M"),
        (31, "1M"),
        (32, "3M"),
        (92, "3M"),
        (93, "6M"),
        (184, "6M"),
        (185, "1Y"),
        (366, "1Y"),
        (367, "2Y"),
        (731, "2Y"),
        (732, "later"),
    ],
)
def test_a_bucket_takes_so_many_days(days, bucket):
    today = day_of(NOON)
    assert BUCKETS[bucket_of(today + days, today)] == bucket


@pytest.mark.parametrize(("text", "day"), [("", NOT), ("2026-06-15", 739782), ("2026-06-15T10:00:00Z", 739782)])
def test_the_day_of_an_expiry(text, day):
    assert expiry_day(text) == day
    assert day == NOT or dt.date.fromordinal(day) == dt.date(2026, 6, 15)


def test_a_sum_says_how_many_rows_it_lacks():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1"), option(PUT, "EUR", "USD", "1.08", option_type="put")])
    house.spots()
    house.vols(0.1, CALL)
    for symbol in (CALL, PUT):
        house.buy(symbol, "1000")
    rows, [sums] = risk(house.beat()).rows, risk(house.engine.snapshot).summary["by_underlying"]
    assert (sums["unpriced_count"], sums["unknown"]["vega"], set(sums["unknown"].values())) == (1, 1, {1})
    assert sums["vega"] == next(row["vega"] for row in rows if row["instrument"] == CALL)


def test_a_sum_of_which_nothing_is_known_is_null():
    house = OptionHouse([option(CALL, "EUR", "USD", "1.1")])
    house.spots()
    house.buy(CALL, "1000")
    [sums] = risk(house.engine.snapshot).summary["by_underlying"]
    assert (sums["delta_cash"], sums["total_pnl"], sums["hedge_delta_cash"], sums["unpriced_count"]) == (None, None, 0.0, 1)


# -- expiries ----------------------------------------------------------------------------------------------------


def test_an_option_that_expires_in_the_next_days_says_how_near_its_strike_is(house):
    [expiry] = house.beside()["expiries"]
    told = {name: expiry[name] for name in ("instrument", "strike", "cut", "quantity", "size", "spot", "in_pin_band")}
    assert told == {
        "instrument": WEEK,
        "strike": 1.102,
        "cut": "15:00 Asia/Tokyo",
        "quantity": 1e6,
        "size": 1e6,
        "spot": 1.1,
        "in_pin_band": True,
    }
    assert expiry["distance_percent"] == pytest.approx(100 * 0.002 / 1.1)
    assert expiry["expiry_ts"] == int(dt.datetime(2026, 3, 6, 6, tzinfo=dt.UTC).timestamp()) * SECOND
    assert house.beside()["pin_band_percent"] == pytest.approx(0.3)


def test_a_spot_that_leaves_the_pin_band_takes_the_option_out_of_it(house):
    house.spots(EURUSD=1.098)
    assert [one["in_pin_band"] for one in house.beside()["expiries"]] == [False]
    assert house.beside()["expiries"][0]["distance_percent"] > 0.3


def expiring_on(*dates: str, **columns: Any) -> list[str]:
    """The expiries that are listed on NOON's day, of options on these dates."""
    house = OptionHouse([option(f"X{date}", "EUR", "USD", "1.1", expiry=date, **columns) for date in dates])
    house.spots()
    house.vols()
    for symbol in house.symbols:
        house.buy(symbol, "10", ts=NOON - 48 * HOURS)  # before each cut: nothing is dealt after it
    return [one["expiry"] for one in risk(house.engine.snapshot).summary["expiries"]]


def test_expiries_are_of_today_and_five_days_more_the_nearest_first():
    dates = ("2026-03-10", "2026-03-09", "2026-03-04", "2026-03-03", "2026-03-06")
    assert expiring_on(*dates) == ["2026-03-04", "2026-03-06", "2026-03-09"]


def test_an_expiry_past_its_cut_is_no_longer_ahead():
    assert expiring_on("2026-03-04", cut="11:00 Europe/London") == []
    assert expiring_on("2026-03-04", cut="13:00 Europe/London") == ["2026-03-04"]


# -- rows left out -----------------------------------------------------------------------------------------------


def test_rows_that_newer_ones_have_overtaken_are_counted_and_named():
    house = RiskyHouse(CALL)
    old = [RateRow("USD", "rate", "2026-06-05", NOON - 20 * HOURS, 0.09)]
    house.take([*old, RateRow("USD", "rate", "2026-03-09", NOON, 0.04)])
    house.beat()
    assert (house.beside()["left_out_count"], house.beside()["left_out"]) == (1, ["rate USD 2026-06-05"])
