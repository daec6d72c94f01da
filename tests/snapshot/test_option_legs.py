"""Options in the exposure: legs sum to what they are worth, a hedge is flat in every book, the rows sum to the NAV."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.snapshot.exposure import BY, exposure
from riskengine.snapshot.rows import node_rows
from tests.optioned import OPTIONS, RATES, SPOTS, OptionHouse, option, rates, share_option
from tests.world import DESKS, trade

BOOK = (
    *OPTIONS,
    share_option("ACME C95", "95", exercise="european"),
    option("EURUSD PCT", "EUR", "USD", "1.12", premium_style="pct_base"),
    option("EURGBP PIPS", "EUR", "GBP", "0.87", premium_style="pips"),
)


def house_of_all(reporting: str = "USD", **moved: float) -> OptionHouse:
    made = OptionHouse(BOOK, reporting)
    made.vols()
    made.spots(**({"EURGBP": 1.1 / 1.28} | moved))
    return made


@pytest.mark.parametrize("reporting", ["USD", "JPY", "EUR"])
@pytest.mark.parametrize("symbol", [row["instrument"] for row in BOOK if row["kind"] == "fx_option"])
def test_the_legs_of_an_option_and_its_cash_sum_to_its_total(symbol, reporting):
    house = house_of_all(reporting)
    house.buy(symbol, "1000000", "0.0125")
    rows = exposure(house.engine.snapshot, "currency").rows
    total = house.position(symbol)["total_pnl"]
    assert sum(row["net"] for row in rows) == pytest.approx(total, rel=1e-9, abs=1e-3)
    assert abs(exposure(house.engine.snapshot, "currency").summary["quoted_apart"]) < 1e-6 * 1e6


@pytest.mark.parametrize("reporting", ["USD", "JPY", "EUR"])
def test_a_usdjpy_call_beside_its_spot_hedge_is_flat_in_every_book(reporting):
    """Bought at its value, and hedged by its spot delta: what is left is the value against what was paid."""
    house = house_of_all(reporting)
    values = house.values("USDJPY C150")
    hedge = f"{values['spot_delta'] * 10_000_000:.2f}"
    house.buy("USDJPY C150", "10000000", f"{values['value']:.10f}")
    alone = house.node()
    house.buy("USDJPY", hedge, "150", side="sell")
    node = house.node()
    assert abs(alone["gross_exposure"]) > 1e6 * (0.006 if reporting == "EUR" else 0.003)
    assert node["net_exposure"] == pytest.approx(0.0, abs=2 * (150 if reporting == "JPY" else 1))
    assert node["gross_exposure"] == pytest.approx(0.0, abs=2 * (150 if reporting == "JPY" else 1))


def deal_random(house: OptionHouse, dice: random.Random, count: int) -> None:
    for number in range(count):
        symbol = dice.choice([*house.symbols, "EURUSD", "USDJPY", "GBPUSD", "ACME"])
        whole = house.where.by_symbol[symbol].quantity_decimals == 0
        quantity = str(dice.randrange(1, 50) if whole else dice.randrange(1, 1_000) * 1_000)
        price = f"{house.engine.snapshot.units.price[house.where.instrument_index[symbol]] * dice.uniform(0.9, 1.1):.8f}"
        side = dice.choice(["buy", "sell"])
        columns: dict[str, Any] = {"desk": dice.choice(DESKS), "side": side, "price": price, "quantity": quantity}
        assert house.deal(trade(f"r{number}", where=house.where, instrument=symbol, **columns)) == ["applied"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_rows_by_currency_sum_to_the_nav_and_those_of_groups_to_the_net_exposure_of_every_node(seed):
    dice = random.Random(seed)
    house = house_of_all(dice.choice(["USD", "EUR", "JPY"]), EURGBP=dice.uniform(0.84, 0.88))
    deal_random(house, dice, 12)
    snapshot = house.engine.snapshot
    for node in node_rows(snapshot):
        scale = abs(node["gross_exposure"]) + 1.0
        for by in BY:
            found = exposure(snapshot, by, node=node["node"])
            expected = node["nav"] if by == "currency" else node["net_exposure"]
            assert sum(row["net"] for row in found.rows) == pytest.approx(expected, abs=1e-9 * scale + 1e-6), (by, node["node"])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_moving_a_currency_by_a_small_part_moves_the_nav_by_that_part_of_its_row(seed):
    """With one price for each currency against the dollar, and the cross at their ratio."""
    dice = random.Random(seed)
    house = house_of_all()
    deal_random(house, dice, 12)
    nav, gamma = house.node()["nav"], abs(house.node()["gamma_cash"]) + house.node()["gross_exposure"]
    nets = {row["currency"]: row["net"] for row in exposure(house.engine.snapshot, "currency").rows}
    part = 1e-6
    for code, moved in {
        "EUR": {"EURUSD": 1.1 * (1 + part), "EURGBP": 1.1 * (1 + part) / 1.28},
        "GBP": {"GBPUSD": 1.28 * (1 + part), "EURGBP": 1.1 / (1.28 * (1 + part))},
        "JPY": {"USDJPY": 150.0 / (1 + part)},
    }.items():
        house.spots(**({"EURGBP": 1.1 / 1.28} | moved))
        assert house.node()["nav"] - nav == pytest.approx(part * nets.get(code, 0.0), abs=1e4 * part * part * gamma + 1e-5), code


# -- portfolio Greeks against revaluation ------------------------------------------------------------------------


@pytest.fixture
def portfolio() -> OptionHouse:
    made = OptionHouse((*OPTIONS[:2], option("EURUSD C1.15", "EUR", "USD", "1.15", premium_style="pct_base")))
    made.vols()
    made.spots()
    for symbol, quantity, side in (("EURUSD C1.10", 5, "buy"), ("EURUSD P1.08", 3, "sell"), ("EURUSD C1.15", 7, "sell")):
        made.buy(symbol, f"{quantity}000000", "0.02", side=side)
    made.buy("EURUSD", "1234567", "1.1")
    return made


def total_of(house: OptionHouse, **moved: float) -> float:
    house.spots(**moved)
    return float(house.node()["total_pnl"])


def test_delta_and_gamma_of_a_node_are_those_of_its_total_revalued(portfolio):
    node = portfolio.node()
    middle = total_of(portfolio)
    up, down = total_of(portfolio, EURUSD=1.1 * 1.01), total_of(portfolio, EURUSD=1.1 * 0.99)
    delta = (total_of(portfolio, EURUSD=1.1 * (1 + 1e-5)) - total_of(portfolio, EURUSD=1.1 * (1 - 1e-5))) / 2e-5
    premium = portfolio.node()["net_exposure"]
    assert premium == pytest.approx(node["net_exposure"], rel=1e-3)
    assert node["net_exposure"] == pytest.approx(delta, rel=1e-6)
    third = 0.01**3 * 5e7
    assert up - 2 * middle + down == pytest.approx(node["gamma_cash"] * 0.01, abs=third)


def test_one_per_cent_of_spot_moves_a_total_by_delta_and_gamma_to_the_third_order(portfolio):
    """The premium of one is paid in euros: that cash moves too, so the exposure is the first-order term."""
    node, middle = portfolio.node(), total_of(portfolio)

    def error(move: float) -> float:
        expected = node["net_exposure"] * move + 0.5 * node["gamma_cash"] * 100 * move**2
        return abs(total_of(portfolio, EURUSD=1.1 * (1 + move)) - middle - expected)

    for move in (0.01, -0.01):
        assert error(move) < 1e8 * abs(move) ** 3
        assert error(move / 2) == pytest.approx(error(move) / 8, rel=0.1)


def test_vega_of_a_node_is_that_of_its_total_revalued(portfolio):
    vega = portfolio.node()["vega"]
    totals = []
    for vol in (0.0999, 0.1001):
        portfolio.vols(vol)
        portfolio.beat()
        totals.append(portfolio.node()["total_pnl"])
    assert (totals[1] - totals[0]) / 0.02 == pytest.approx(vega, rel=1e-5)


def test_theta_of_a_node_is_what_a_day_takes_from_its_total(portfolio):
    """From a Monday to a Tuesday: the spot date moves by a day too."""
    portfolio.now += 5 * 86_400_000_000
    portfolio.vols()
    portfolio.spots()
    node = portfolio.node()
    portfolio.now += 86_400_000_000
    portfolio.take(rates(RATES, portfolio.now))
    portfolio.vols()
    after = total_of(portfolio)
    assert after - node["total_pnl"] == pytest.approx(node["theta"], rel=0.02)


def test_the_greeks_of_positions_add_up_to_their_node_and_the_receipt_of_the_public_units_holds(portfolio):
    node = portfolio.node()
    rows = [portfolio.position(symbol) for symbol in (*portfolio.symbols, "EURUSD")]
    for field in ("delta_cash", "gamma_cash", "vega", "theta"):
        assert sum(row[field] for row in rows) == pytest.approx(node[field], rel=1e-12)
    values, row = portfolio.values("EURUSD C1.10"), portfolio.position("EURUSD C1.10")
    size, spot = 5e6, SPOTS["EURUSD"]
    assert row["delta_base"] == pytest.approx(size * values["delta"])
    assert row["delta_cash"] == pytest.approx(size * values["delta"] * spot)
    assert row["gamma_cash"] == pytest.approx(size * values["gamma"] * spot**2 / 100)
    assert (row["vega"], row["theta"]) == (
        pytest.approx(size * values["vega"] / 100),
        pytest.approx(size * values["theta"] / 365),
    )
