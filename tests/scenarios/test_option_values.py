"""Options in scenarios: full revaluation, as the engine values them once their spot is there."""

import numpy as np
import pytest

from riskengine.scenarios.close_history import Shifts
from riskengine.scenarios.option_values import ONLY_QUOTED
from riskengine.scenarios.revaluation import StartingPoint, UnitVectors, unit_vectors
from tests.optioned import SPOTS, OptionHouse, option, share_option
from tests.world import NOON

AMERICAN = share_option("ACME A95", "95", option_type="put", exercise="american")
EUROPEAN = share_option("ACME E85", "85", exercise="european")
IN_BASE = option("EURUSD B", "EUR", "USD", "1.12", premium_currency="EUR", premium_style="pct_base")
CROSS = option("GBPJPY C190", "GBP", "JPY", "190")
YEN = option("USDJPY C150", "USD", "JPY", "150")


def moved_by(house: OptionHouse, **shifts: float) -> Shifts:
    """Two scenarios: these shifts, and nothing."""
    row = np.zeros((2, len(house.where.symbols)))
    for symbol, shift in shifts.items():
        row[0, house.where.instrument_index[symbol]] = shift
    nothing = np.zeros(len(house.where.symbols), dtype=np.int64)
    return Shifts(("moved", "still"), "before", row, nothing.astype(np.bool_), nothing)


def units_of(house: OptionHouse, shifts: Shifts) -> UnitVectors:
    every = np.ones(len(house.where.symbols), dtype=np.bool_)
    return unit_vectors(StartingPoint.of(house.engine.snapshot), shifts, every)


@pytest.mark.parametrize(
    ("row", "spot", "shift", "closeness"),
    [
        (EUROPEAN, "ACME", -0.25, 1e-12),
        (EUROPEAN, "ACME", 0.4, 1e-12),
        (AMERICAN, "ACME", -0.3, 1e-3),
        (AMERICAN, "ACME", 0.1, 1e-3),
        (IN_BASE, "EURUSD", 0.05, 1e-12),
        (YEN, "USDJPY", -0.1, 1e-12),
        (CROSS, "USDJPY", 0.08, 1e-12),
        (CROSS, "GBPUSD", -0.08, 1e-12),
    ],
    ids=lambda value: value["instrument"] if isinstance(value, dict) else str(value),
)
def test_an_option_gains_what_the_engine_shows_once_its_spot_is_there(
    row: dict, spot: str, shift: float, closeness: float
) -> None:
    house = OptionHouse((row,))
    house.vols(0.2)
    house.spots()
    number = house.where.instrument_index[row["instrument"]]
    before = house.engine.snapshot.units.value.item(number)
    units = units_of(house, moved_by(house, **{spot: shift}))
    house.now += 1
    house.spots(**{spot: SPOTS[spot] * (1.0 + shift)})
    after = house.engine.snapshot.units.value.item(number)
    assert units.known[number]
    assert units.value[number, 1] == pytest.approx(0.0, abs=1e-9)
    assert units.value[number, 0] == pytest.approx(after - before, rel=closeness, abs=closeness * max(before, after))


def test_an_option_with_greeks_from_outside_moves_by_delta_and_gamma() -> None:
    house = OptionHouse((option("PUSHED", "EUR", "USD", "1.1", greeks="pushed"),))
    house.spots()
    house.push("PUSHED", spot=1.1, vol=0.1, value=0.03, delta=0.5, gamma=4.0, vega=0.002, theta=-0.0001)
    house.beat()
    number = house.where.instrument_index["PUSHED"]
    units = units_of(house, moved_by(house, EURUSD=0.01))
    moved = 0.011
    assert units.value[number, 0] == pytest.approx(0.5 * moved + 0.5 * 4.0 * moved * moved, rel=1e-9)


def test_an_option_with_nothing_but_its_quote_has_no_vector_and_says_so() -> None:
    house = OptionHouse((option("ODD", "EUR", "USD", "1.1"),), rated={})
    house.spots()
    house.quote("ODD", 0.02)
    house.beat()
    number = house.where.instrument_index["ODD"]
    assert house.engine.snapshot.units.priced[number]
    units = units_of(house, moved_by(house, EURUSD=0.01))
    assert not units.known[number]
    assert units.reasons[number] == ONLY_QUOTED


def test_an_option_whose_underlying_falls_to_zero_has_no_vector() -> None:
    house = OptionHouse((EUROPEAN,))
    house.vols(0.2)
    house.spots()
    units = units_of(house, moved_by(house, ACME=-1.0))
    number = house.where.instrument_index["ACME E85"]
    assert not units.known[number]
    assert units.reasons[number] == "its underlying is at 0 or below in 1 of 2 scenarios"


def test_after_the_cut_an_option_that_is_not_booked_moves_with_its_spot_if_it_is_in_the_money() -> None:
    house = OptionHouse((option("DONE", "EUR", "USD", "1.05", expiry="2026-03-05"),))
    house.vols(0.1)
    house.spots()
    house.now = NOON + 2 * 86_400 * 1_000_000
    house.spots()
    house.now += 60_000_000
    house.beat()
    number = house.where.instrument_index["DONE"]
    assert house.values("DONE")["state"] == 1
    units = units_of(house, moved_by(house, EURUSD=0.01))
    assert units.value[number, 0] == pytest.approx(0.011, rel=1e-9)
