import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.pricing.smile import SmileQuotes, Smiles, solve_smiles
from tests.smile_oracle import TRADED, Quoting, misses, ore_expiries, premium

NAMES = ("atm", "rr25", "bf25", "rr10", "bf10")
HALF_A_YEAR = Quoting(0.5)
WIDE = {"atm": 0.1, "rr25": -0.012, "bf25": 0.003, "rr10": -0.022, "bf10": 0.011}


def solve(quotes: list[dict[str, float]], how: list[Quoting], *, is_market: bool) -> Smiles:
    columns = {name: np.array([each.get(name, math.nan) for each in quotes]) for name in NAMES}
    kept = {name: np.array([getattr(each, name) for each in how]) for name in Quoting._fields}
    return solve_smiles(SmileQuotes(**columns, **kept, is_market=np.full(len(how), is_market)))


def alone(quotes: dict[str, float], how: Quoting = HALF_A_YEAR, *, is_market: bool = True) -> Smiles:
    return solve([quotes], [how], is_market=is_market)


def vol_of(smiles: Smiles, row: int = 0):
    return lambda moneyness: smiles.vols(np.full(len(moneyness), row), np.asarray(moneyness))


def reason(quotes: dict[str, float], how: Quoting = HALF_A_YEAR, *, is_market: bool = True) -> str:
    return alone(quotes, how, is_market=is_market).reasons[0]


def worst(smiles: Smiles, row: int, quotes: dict[str, float], how: Quoting, *, is_market: bool) -> float:
    return max(map(abs, misses(vol_of(smiles, row), quotes, how, is_market=is_market).values()))


# -- recorded surfaces -----------------------------------------------------------------------------------------------


def recorded(shared_data):
    expiries = ore_expiries(shared_data)
    years = [(expiry.date - TRADED).days / 365 for expiry in expiries]
    how = [
        Quoting(t, math.exp(-0.03 * t) if t < 1.02 else 1.0, e.pair[3:] != "USD") for e, t in zip(expiries, years, strict=True)
    ]
    return expiries, how


@pytest.mark.parametrize("is_market", [True, False])
def test_recorded_smiles_reprice_their_quotes(shared_data, is_market):
    expiries, how = recorded(shared_data)
    smiles = solve([expiry.quotes for expiry in expiries], how, is_market=is_market)
    assert Counter(smiles.reasons) == {"": len(expiries)}
    for row, expiry in enumerate(expiries):
        assert worst(smiles, row, expiry.quotes, how[row], is_market=is_market) < 1e-8, expiry
    assert len(expiries) > 150


def test_the_market_s_butterfly_is_not_the_smile_s():
    market, smile = alone(WIDE), alone(WIDE, is_market=False)
    far = np.array([0.8])
    assert abs(vol_of(market)(far) - vol_of(smile)(far))[0] > 1e-4


# -- which wings are quoted ------------------------------------------------------------------------------------------


def test_without_wings_a_smile_is_flat():
    smiles = alone({"atm": 0.1})
    assert vol_of(smiles)(np.geomspace(0.01, 100, 50)) == pytest.approx(np.full(50, 0.1), abs=1e-15)


@pytest.mark.parametrize("wing", ["25", "10"])
@pytest.mark.parametrize("is_market", [True, False])
def test_one_pair_of_wings_is_repriced_alone(wing, is_market):
    quotes = {name: vol for name, vol in WIDE.items() if name == "atm" or name.endswith(wing)}
    assert worst(alone(quotes, is_market=is_market), 0, quotes, Quoting(0.5), is_market=is_market) < 1e-8


def test_at_the_money_forward_is_where_the_pair_says_so():
    how = Quoting(2.0, is_atm_forward=True)
    assert vol_of(alone(WIDE, how))(np.ones(1))[0] == pytest.approx(0.1, abs=1e-14)


def test_smiles_of_all_kinds_together_are_those_of_each_alone():
    every = [WIDE, {"atm": 0.2}, {"atm": 0.1, "rr25": 0.01, "bf25": 0.002}, {"atm": -1.0}, WIDE]
    how = [Quoting(1.0), Quoting(2.0), Quoting(0.01, 0.99, True), Quoting(1.0), Quoting(3.0, 1.0, True, True)]
    together = solve(every, how, is_market=True)
    for row, (quotes, own) in enumerate(zip(every, how, strict=True)):
        single = alone(quotes, own)
        assert together.reasons[row] == single.reasons[0]
        assert together.coefficients[row] == pytest.approx(single.coefficients[0], abs=1e-9)


def test_no_smile_is_no_trouble():
    assert solve([], [], is_market=True).reasons == ()


# -- far out, and arbitrage ------------------------------------------------------------------------------------------


def test_far_out_a_smile_is_level():
    smile = vol_of(alone(WIDE))
    assert smile(np.array([1e-6, 1e6])) == pytest.approx(smile(np.array([1e-9, 1e9])), abs=1e-12)


def densities(smile, atm: float, years: float) -> np.ndarray:
    """Second differences of call premiums by strike, over a wide range."""
    strikes = np.linspace(max(0.02, 1 - 6 * atm * math.sqrt(years)), 1 + 8 * atm * math.sqrt(years), 400)
    calls = [premium(1, k, v, years) for k, v in zip(strikes.tolist(), smile(strikes).tolist(), strict=True)]
    return np.diff(calls, 2)


def test_no_butterfly_on_a_recorded_smile_costs_less_than_nothing(shared_data):
    expiries, how = recorded(shared_data)
    smiles = solve([expiry.quotes for expiry in expiries], how, is_market=True)
    for row, expiry in enumerate(expiries):
        found = densities(vol_of(smiles, row), expiry.quotes["atm"], how[row].years)
        assert found.min() > -1e-13, expiry


@pytest.mark.parametrize("is_market", [True, False])
def test_butterflies_with_negative_density_are_refused(is_market):
    steep = {"atm": 0.1, "rr25": 0.0, "bf25": -0.03, "rr10": 0.0, "bf10": 0.05}
    assert reason(steep, is_market=is_market) == "the butterflies give negative density"


# -- what is no quote ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"atm": -0.1}, "atm must be above 0 and at most 5 (0.0825 is 8.25 %): -0.1"),
        ({"atm": 0.0}, "atm must be above 0 and at most 5 (0.0825 is 8.25 %): 0"),
        ({"atm": 8.25}, "atm must be above 0 and at most 5 (0.0825 is 8.25 %): 8.25"),
        ({"atm": math.nan}, "atm must be above 0 and at most 5 (0.0825 is 8.25 %): nan"),
        ({"atm": math.inf}, "atm must be above 0 and at most 5 (0.0825 is 8.25 %): inf"),
        ({"bf25": math.nan}, "rr25 without bf25"),
        ({"rr10": math.nan}, "bf10 without rr10"),
        ({"rr25": math.inf}, "rr25 and bf25 must be finite"),
        ({"rr10": 0.4}, "the 10-delta wings' vols must be above 0: atm 0.1, bf10 0.011, rr10 0.4"),
        ({"bf25": -0.2}, "the 25-delta wings' vols must be above 0: atm 0.1, bf25 -0.2, rr25 -0.012"),
        ({"bf10": 6.0}, "the 10-delta wings' vols must be at most 5 (0.0825 is 8.25 %)"),
    ],
)
def test_bad_quotes_have_a_reason(change, expected):
    assert reason(WIDE | change) == expected


# -- any quotes ------------------------------------------------------------------------------------------------------

SHARES = st.floats(-0.3, 0.3)
"""Of most such quotes there is a smile."""
ANY_QUOTES = st.builds(
    lambda atm, rr, bf, rr_more, bf_more: {
        "atm": atm,
        "rr25": atm * rr,
        "bf25": atm * bf,
        "rr10": atm * rr * rr_more,
        "bf10": atm * bf * bf_more,
    },
    st.floats(0.01, 2.0),
    SHARES,
    st.floats(-0.01, 0.07),
    st.floats(1.5, 2.2),
    st.floats(1.5, 5.0),
)
ANY_HOW = st.builds(Quoting, st.floats(0.003, 10.0), st.floats(0.7, 1.02), st.booleans(), st.booleans())


@settings(max_examples=60, deadline=None)
@given(ANY_QUOTES, ANY_HOW, st.booleans())
def test_any_quotes_are_repriced_or_refused(quotes, how, is_market):
    smiles = alone(quotes, how, is_market=is_market)
    assert np.isfinite(vol_of(smiles)(np.geomspace(1e-9, 1e9, 100))).all()
    if not smiles.reasons[0]:
        assert worst(smiles, 0, quotes, how, is_market=is_market) < 1e-8
        assert densities(vol_of(smiles), quotes["atm"], how.years).min() > -1e-12


@settings(max_examples=200, deadline=None)
@given(*[st.none() | st.floats() for _ in NAMES], st.booleans())
def test_no_quotes_break_the_solver(atm, rr25, bf25, rr10, bf10, is_market):
    quoted = {name: vol for name, vol in zip(NAMES, (atm, rr25, bf25, rr10, bf10), strict=True) if vol is not None}
    smiles = alone(quoted, is_market=is_market)
    assert np.isfinite(smiles.coefficients).all()
    assert smiles.reasons[0] or 0 < quoted["atm"] <= 5
