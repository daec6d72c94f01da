"""Options that take their vol from a surface: at the money, along the smile, and the reasons where there is none."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from riskengine.config import OptionsConfig
from riskengine.records.option_inputs import RateRow, SurfaceRow
from tests.optioned import OptionHouse, option, share_option
from tests.world import NOON, SECOND, config

ATM, OTM, LATE = "EURUSD ATM", "EURUSD OTM", "EURUSD LATE"
FORWARD = 1.1 * math.exp(0.015 * 186 / 365)
"""Of EURUSD from the spot date of NOON to the delivery of 2026-09-04."""


def quoted(vol: float = 0.1, ts: int = NOON, **wings: Any) -> list[SurfaceRow]:
    dates = ("2026-04-06", "2026-09-04", "2026-12-04")
    return [SurfaceRow("EURUSD", date, ts, vol + 0.01 * at, **wings) for at, date in enumerate(dates)]


STRADDLE = FORWARD * math.exp(0.5 * 0.11**2 * (184 + 2 / 24) / 365)
"""The strike at which a straddle has no delta."""

BOOK = (
    option(ATM, "EUR", "USD", f"{STRADDLE:.10f}"),
    option(OTM, "EUR", "USD", "1.2"),
    option(LATE, "EUR", "USD", "1.2", expiry="2027-06-04"),
    option("USDJPY C", "USD", "JPY", "150"),
    share_option("ACME C95", "95", exercise="european"),
)


@pytest.fixture
def house() -> OptionHouse:
    made = OptionHouse(BOOK)
    made.take(quoted(rr25=0.01, bf25=0.003))
    made.spots()
    return made


def test_an_option_at_the_money_has_the_vol_that_is_quoted_there(house):
    assert house.values(ATM)["vol"] == pytest.approx(0.11, abs=1e-7)


def test_a_call_wing_that_is_dearer_has_a_higher_vol(house):
    assert house.values(OTM)["vol"] > 0.112


def test_an_option_past_the_surface_has_no_vol_and_says_so(house):
    values = house.values(LATE)
    assert (bool(values["priced"]), values["reason"]) == (False, "past the last expiry of the vol surface of EURUSD")


@pytest.mark.parametrize(("symbol", "subject"), [("USDJPY C", "USDJPY"), ("ACME C95", "ACME")])
def test_an_option_without_a_surface_says_which_is_missing(house, symbol, subject):
    assert house.values(symbol)["reason"] == f"no vol: neither its own nor a surface of {subject}"


def test_an_own_vol_wins_over_the_surface(house):
    house.vols(0.2, OTM)
    house.beat()
    assert (house.values(OTM)["vol"], house.values(ATM)["vol"]) == (0.2, pytest.approx(0.11, abs=1e-7))


def test_the_vol_moves_along_the_smile_with_spot(house):
    before = house.values(OTM)["vol"]
    house.marks(EURUSD=1.2)
    assert house.values(OTM)["vol"] != before


def test_new_quotes_are_in_the_next_beat_and_old_ones_stale(house):
    house.now += 901 * SECOND
    house.spots()
    assert house.values(ATM)["stale"]
    house.take(quoted(0.12, house.now))
    values = house.values(ATM)
    assert (values["vol"], bool(values["stale"])) == (pytest.approx(0.13, abs=1e-3), False)


def test_a_share_has_a_surface_too(house):
    rows = [SurfaceRow("ACME", date, NOON, 0.3) for date in ("2026-06-19", "2026-12-18")]
    house.take([*quoted(), *rows])
    house.beat()
    assert house.values("ACME C95")["vol"] == pytest.approx(0.3, abs=1e-12)


def test_a_base_without_rates_takes_the_carry_of_the_points_for_its_surface_too():
    house = OptionHouse(BOOK, rated={"USD": 0.04})
    house.take([*quoted(rr25=0.01, bf25=0.003), RateRow("EURUSD", "points", "2026-09-08", NOON, FORWARD - 1.1)])
    house.spots()
    values = house.values(ATM)
    assert values["rate_base"] == pytest.approx(0.025, abs=1e-9)
    assert values["vol"] == pytest.approx(0.11, abs=1e-6)


def test_an_engine_that_starts_now_has_the_same_bits(house):
    house.now += 1_234 * SECOND
    house.spots(EURUSD=1.12)
    house.beat()
    fresh = OptionHouse(BOOK, now=house.now)
    fresh.take(quoted(rr25=0.01, bf25=0.003))
    fresh.engine.beat({n: mark for n, mark in enumerate(house.engine.marks.marks) if mark is not None}, house.now)
    kept, anew = house.engine.options.values, fresh.engine.options.values
    assert kept is not None and anew is not None
    assert np.array_equal(kept.vol, anew.vol, equal_nan=True) and np.array_equal(kept.value, anew.value)


def test_a_row_past_the_newer_ones_stays_and_makes_its_options_stale_whatever_the_limit():
    house = OptionHouse(BOOK, settings=structs.replace(config(), options=OptionsConfig(vol_stale_after_s=1e6)))
    house.take([*quoted(ts=NOON - 13 * 3600 * SECOND)[1:], *quoted()[:1]])
    house.take([RateRow(code, "rate", "2027-12-31", NOON, 0.03) for code in ("USD", "EUR")])
    house.spots()
    assert {symbol: bool(house.values(symbol)["stale"]) for symbol in (ATM, OTM)} == {ATM: True, OTM: True}
    house.take(quoted()[1:])
    house.spots()
    assert not house.values(ATM)["stale"]


def test_a_row_that_newer_ones_have_overtaken_bends_nothing():
    straight, bent = OptionHouse(BOOK), OptionHouse(BOOK)
    old = SurfaceRow("EURUSD", "2026-09-01", NOON - 13 * 3600 * SECOND, 0.5)
    for house in (straight, bent):
        house.take([*quoted(), *([old] if house is bent else [])])
        house.spots()
    assert bent.values(ATM)["vol"] == straight.values(ATM)["vol"]


def test_a_rate_past_the_newer_ones_makes_its_options_stale():
    house = OptionHouse(BOOK)
    house.take([*quoted(), RateRow("USD", "rate", "2026-06-04", NOON + 13 * 3600 * SECOND, 0.04)])
    house.now += 13 * 3600 * SECOND
    house.take(quoted(ts=house.now))
    house.spots()
    assert house.values(ATM)["stale"]
