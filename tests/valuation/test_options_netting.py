"""Options inside nodes: what they add to Greeks, net and gross exposure, the same bits kept by differences and made anew."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.snapshot_audit import number_fault
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.number_pages import GROSS
from tests.optioned import OPTIONS, SPOTS, OptionHouse, option, share_option
from tests.world import DESKS, NOON, SECOND, cancel, trade

PUT = "ACME P88"
CALL = "ACME C95"
BOOK = (
    *OPTIONS,
    share_option(CALL, "95", exercise="european"),
    share_option(PUT, "88", exercise="european", option_type="put"),
    option("EURUSD PCT", "EUR", "USD", "1.12", premium_style="pct_base"),
    option("EURUSD OUT", "EUR", "USD", "1.12", greeks="pushed"),
)
"""The Greeks of EURUSD OUT never come: what is known of it is its quote."""

DEALT = ("EURUSD", "USDJPY", "EURGBP", "ACME", *(row["instrument"] for row in BOOK))


def house_of_all(reporting: str = "USD") -> OptionHouse:
    made = OptionHouse(BOOK, reporting)
    made.vols()
    made.quote("EURUSD OUT", 0.02)
    made.spots()
    return made


def numbers_made_anew(engine: Engine) -> list[list[list[float]]]:
    """The numbers of both roll-ups by valuations that never saw an earlier state."""
    found = []
    for rollup, hierarchy in ((engine.ledger.organisation, engine.reference.hierarchy), (engine.ledger.dealers, None)):
        valuation = Valuation(engine.reference, hierarchy)
        while valuation.size < len(rollup.books):
            valuation.add_owner()
        valuation.take_all(rollup.books, engine._factors)
        found.append([page.tolist() for page in valuation.pages])
    return found


def assert_sound(house: OptionHouse) -> None:
    """Kept by differences, made anew, and worked out from the rows: one answer."""
    engine, snapshot = house.engine, house.engine.snapshot
    engine.check()
    kept = [[page.tolist() for page in table.numbers] for table in (snapshot.nodes, snapshot.dealers)]
    assert kept == numbers_made_anew(engine)
    for table in (snapshot.nodes, snapshot.dealers):
        for owner in range(table.size):
            assert number_fault(snapshot, table, owner) == ""


def deal(house: OptionHouse, dice: random.Random, number: int) -> None:
    symbol = dice.choice(DEALT)
    whole = house.where.by_symbol[symbol].quantity_decimals == 0
    quantity = str(dice.randrange(1, 50)) if whole else str(dice.randrange(1, 1_000) * 1_000)
    columns: dict[str, Any] = {
        "desk": dice.choice(DESKS),
        "dealer": dice.choice(["ann", "bob"]),
        "side": dice.choice(["buy", "sell"]),
    }
    house.deal(trade(f"n{number}", where=house.where, instrument=symbol, quantity=quantity, price="0.5", **columns))


@pytest.mark.parametrize("reporting", ["USD", "JPY", "EUR"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_numbers_are_the_same_bits_kept_by_differences_and_made_anew_and_follow_from_the_rows(reporting, seed):
    house, dice = house_of_all(reporting), random.Random(seed)
    for number in range(12):
        what = dice.random()
        house.now += dice.randrange(4) * SECOND
        if what < 0.6:
            deal(house, dice, number)
        elif what < 0.8:
            house.marks(ACME=dice.uniform(80, 100))
        elif what < 0.9:
            symbol = dice.choice(["EURUSD", "USDJPY", "GBPUSD"])
            house.marks(**{symbol: SPOTS[symbol] * dice.uniform(0.98, 1.02)})
        else:
            house.vols(dice.uniform(0.05, 0.4), dice.choice(house.symbols))
            house.beat()
        assert_sound(house)


def test_a_share_and_an_option_on_it_net_in_a_node_although_their_desks_are_apart():
    house = house_of_all()
    house.buy(CALL, "10", "3", desk="EQ1")
    house.buy("ACME", "1000", "90", desk="FX1", side="sell")
    option_row, share = house.position(CALL, node="EQ1"), house.position("ACME", node="FX1")
    delta, short = option_row["delta_cash"], -share["market_value"]
    assert 0 < delta < short
    top = house.node("ALL")
    assert house.node("EQ1")["gross_exposure"] == pytest.approx(delta)
    assert (top["net_exposure"], top["gross_exposure"]) == (pytest.approx(delta - short), pytest.approx(short - delta))


def test_legs_of_options_and_pairs_net_by_currency_in_a_node():
    house = house_of_all()
    house.buy("EURUSD C1.10", "1000000", desk="FX1")
    house.buy("EURUSD", "1000000", "1.1", desk="EM1", side="sell")
    delta = house.values("EURUSD C1.10")["spot_delta"] * 1e6 * 1.1
    top = house.node("ALL")
    assert top["gross_exposure"] == pytest.approx(1.1e6 - delta)
    assert top["long_exposure"] == 0.0
    assert top["short_exposure"] == pytest.approx(delta - 1.1e6)


def test_an_option_without_a_delta_adds_to_no_exposure_and_no_greek():
    house = house_of_all("EUR")
    house.buy("EURUSD PCT", "1000000", "0.02")
    before = house.node()
    house.buy("EURUSD OUT", "1000000", "0.02", desk="FX2")
    after = house.node()
    fields = ("net_exposure", "gross_exposure", "delta_cash", "gamma_cash", "vega", "theta")
    assert [after[field] for field in fields] == [before[field] for field in fields]
    assert (before["unpriced_count"], after["unpriced_count"]) == (0, 1)


def test_a_flat_option_leaves_its_realised_cash_as_a_leg():
    house = house_of_all()
    house.buy("USDJPY C150", "1000000", "1.5")
    house.buy("USDJPY C150", "1000000", "1.7", side="sell")
    node = house.node()
    assert (node["net_exposure"], node["delta_cash"], node["vega"]) == (pytest.approx(200_000 / 150), 0.0, 0.0)


def test_sums_taken_again_from_the_rows_are_right_whatever_they_were():
    house = house_of_all()
    for number in range(40):
        deal(house, random.Random(number), number)
    engine, hierarchy = house.engine, house.where.hierarchy
    published = engine._organisation
    expected = [page.tolist() for page in published.valuation.pages]
    owners = {hierarchy.index["FX1"], *hierarchy.ancestors[hierarchy.index["FX1"]]}
    for owner in owners:
        for row in list(published.valuation._netting._row_of.values())[:3]:
            published.valuation._netting._cells.set(row, 0, (99.0,))
        published.valuation._numbers[:, owner] = 77.0
    published.valuation._netting._cells.clear_row(0)
    published.valuation.take_all(published.rollup.books, engine._factors)
    published.valuation.retake(owners, published.rollup.books, engine._factors)
    assert [page.tolist() for page in published.valuation.pages] == expected


def test_an_owner_that_nets_out_exactly_has_no_gross_exposure():
    house = house_of_all()
    house.now = NOON + 400 * 86_400 * SECOND  # all are past their cut
    house.spots(USDJPY=160.0)
    house.buy("USDJPY C150", "1000000", "10")
    house.buy("USDJPY", "1000000", "160", side="sell")
    snapshot = house.engine.snapshot
    assert snapshot.nodes.measures(0)[GROSS] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("symbol", ["EURUSD C1.10", "USDJPY C150", CALL])
def test_an_option_whose_only_trade_is_cancelled_leaves_no_exposure_behind(symbol: str) -> None:
    made = house_of_all()
    made.buy(symbol, "100")
    made.deal(cancel("o0"))
    assert_sound(made)
    assert (made.node()["net_exposure"], made.node()["gross_exposure"]) == (0.0, 0.0)
