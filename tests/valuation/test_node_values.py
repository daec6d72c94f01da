"""The linear form: a partial revaluation gives the bits of a full one; unknown values are counted."""

import numpy as np
import pytest

from riskengine.engine.engine import Engine
from riskengine.records.types import CASH_ONE
from riskengine.valuation.number_pages import DELTA, FEES, GROSS, NET, NO_RATE, PAGE, REALISED, STALE, TOTAL, UNPRICED, UNREALISED
from tests import world
from tests.wide_world import LEAVES, WIDE, flow, marks
from tests.world import NOON, SECOND, House, trade


@pytest.fixture
def engine() -> Engine:
    """A book with trades on every page, all of it priced."""
    engine = Engine(WIDE, now=NOON)
    engine.apply(list(flow(1_500, 1)), NOON)
    engine.beat(marks(1), NOON)
    engine.publish(NOON)
    return engine


def pages(engine: Engine) -> list[bytes]:
    return [page.tobytes() for table in (engine.snapshot.nodes, engine.snapshot.dealers) for page in table.numbers]


def revalue_fully(engine: Engine) -> list[bytes]:
    """The numbers after a revaluation of everything."""
    for published in (engine._organisation, engine._dealers):
        published.valuation.reprice(engine._factors)
    engine.publish(engine.snapshot.as_of)
    return pages(engine)


def test_after_a_few_trades_the_numbers_are_those_of_a_full_revaluation(engine):
    for one in flow(20, 2):
        engine.apply([one], NOON)
        engine.publish(NOON)
    assert pages(engine) == revalue_fully(engine)


@pytest.mark.parametrize("count", [4, None], ids=["few", "all"])
def test_after_prices_of_stocks_the_numbers_are_those_of_a_full_revaluation(engine, count):
    stocks = [n for n, i in enumerate(WIDE.instruments) if i.kind == "equity"]
    engine.beat(marks(3, stocks[:count]), NOON)
    engine.publish(NOON)
    assert pages(engine) == revalue_fully(engine)


def test_after_trades_between_beats_the_numbers_are_those_of_a_full_revaluation(engine):
    stocks = [n for n, i in enumerate(WIDE.instruments) if i.kind == "equity"]
    for round_, one in enumerate(flow(20, 4)):
        engine.apply([one], NOON)
        engine.beat(marks(round_, stocks[round_ : round_ + 3]), NOON)
        engine.publish(NOON)
    assert pages(engine) == revalue_fully(engine)


@pytest.mark.parametrize("count", [1, 200])
def test_numbers_taken_again_from_the_rows_are_right_whatever_they_were(engine, count):
    expected = pages(engine)
    published, hierarchy = engine._organisation, WIDE.hierarchy
    valuation, leaves = published.valuation, [hierarchy.index[leaf] for leaf in LEAVES[:count]]
    owners = {*leaves, *(above for leaf in leaves for above in hierarchy.ancestors[leaf])}
    for owner in owners:
        for amounts in (valuation._cash, valuation._legs, valuation._fees, valuation._cost):
            amounts.add(owner, 0, 12_345 * CASH_ONE)
        valuation._products.set(owner, 3, (9.0,) * 6)
        valuation._numbers[:, owner] = 77.0
    valuation._block_sums[:] = 5.0
    valuation.retake(owners, published.rollup.books, engine._factors)
    engine.publish(NOON)
    assert pages(engine) == expected
    engine.check()


def test_a_rate_that_moves_revalues_everything_in_its_currency(engine):
    before = engine.snapshot.nodes.measures(0)[REALISED]
    engine.beat(marks(9, [WIDE.instrument_index["EURUSD"]]), NOON)
    engine.publish(NOON)
    assert engine.snapshot.nodes.measures(0)[REALISED] != before
    engine.check()


def test_a_parent_over_several_pages_is_the_sum_of_its_children(engine):
    hierarchy, nodes = WIDE.hierarchy, engine.snapshot.nodes
    big = hierarchy.index["BIG"]
    children = np.array([nodes.measures(child) for child in range(*hierarchy.children[big])])
    assert nodes.measures(big)[:GROSS] == pytest.approx(children.sum(axis=0)[:GROSS], rel=1e-12, abs=1e-6)


def test_a_trade_replaces_only_the_pages_it_touches(engine):
    before = engine.snapshot.nodes.numbers
    [one] = flow(1, 6)
    engine.apply([one], NOON)
    after = engine.publish(NOON).nodes.numbers
    touched = {WIDE.hierarchy.index[one.desk] // PAGE, 0}
    assert {page for page in range(len(after)) if not after.shares(page, before)} == touched


def test_new_prices_replace_only_what_prices_move(engine):
    before = engine.snapshot.nodes.numbers
    stocks = [n for n, i in enumerate(WIDE.instruments) if i.kind == "equity"]
    engine.beat(marks(3, stocks), NOON)
    after = engine.publish(NOON).nodes.numbers
    assert after.others is before.others
    assert after.greeks is before.greeks
    assert not any(mine is theirs for mine, theirs in zip(after.prices, before.prices, strict=True))


def test_more_dealers_than_a_page_holds_keep_their_numbers(engine):
    names = engine.snapshot.dealer_names
    assert len(names) > PAGE
    total = sum(engine.snapshot.dealers.measures(number)[TOTAL] for number in range(len(names)))
    assert total == pytest.approx(engine.snapshot.nodes.measures(0)[TOTAL], rel=1e-9)


def test_numbers_are_read_only(engine):
    with pytest.raises(ValueError, match="read-only"):
        engine.snapshot.nodes.numbers[0][TOTAL, 0] = 1.0


# What the numbers are


def numbers(house: House, node: str = "ALL") -> np.ndarray:
    return house.engine.snapshot.nodes.measures(world.REFERENCE.hierarchy.index[node])


def test_total_is_value_and_cash_at_the_current_rate():
    house = House()
    house.deal(trade(instrument="BTCEUR", desk="EQ1", quantity="2", price="100"))
    house.marks(BTCEUR=110.0, EURUSD=1.5)
    assert numbers(house)[[TOTAL, UNREALISED, REALISED, DELTA]].tolist() == [30.0, 30.0, 0.0, 330.0]


def test_realised_pnl_is_revalued_at_the_current_rate():
    house = House()
    house.deal(
        trade("t1", instrument="BTCEUR", quantity="2", price="100"),
        trade("t2", instrument="BTCEUR", side="sell", quantity="2", price="110", ts=NOON + 1),
    )
    house.marks(EURUSD=1.5)
    assert numbers(house)[REALISED] == 30.0
    house.marks(EURUSD=1.25)
    assert numbers(house)[REALISED] == 25.0


def test_a_multiplier_scales_value_and_cash():
    house = House()
    house.deal(trade(instrument="ESZ6", quantity="2", price="5000"))
    house.marks(ESZ6=5010.0)
    assert numbers(house)[TOTAL] == 2 * 50 * 10.0


def test_fees_stand_apart_and_are_valued_by_their_own_currency():
    house = House()
    house.deal(trade(instrument="ACME", quantity="1", price="10", fees="300", fees_currency="JPY"))
    house.marks(ACME=10.0, USDJPY=150.0)
    assert numbers(house)[[TOTAL, FEES]].tolist() == [0.0, 2.0]


def test_a_pair_is_exposed_by_its_two_currency_legs():
    house = House()
    house.deal(trade(instrument="EURGBP", quantity="100", price="0.5"))
    house.marks(EURGBP=0.5, EURUSD=1.25, GBPUSD=2.5)
    assert numbers(house)[[NET, GROSS]].tolist() == [125.0 - 125.0, 250.0]


def test_the_reporting_currency_is_no_exposure():
    house = House()
    house.deal(trade(instrument="EURUSD", quantity="100", price="1.5"))
    house.marks(EURUSD=1.25)
    assert numbers(house)[[NET, GROSS]].tolist() == [125.0, 125.0]


def test_gross_is_netted_inside_each_node():
    house = House()
    house.deal(trade("t1", desk="FX1", instrument="ACME"), trade("t2", desk="FX2", instrument="ACME", side="sell"))
    house.marks(ACME=2.0)
    assert [numbers(house, node)[GROSS] for node in ("FX1", "FX2", "G10", "ALL")] == [200.0, 200.0, 0.0, 0.0]


# Unknown values


def test_an_open_position_without_a_mark_counts_neither_its_cash_nor_its_cost():
    house = House()
    house.deal(trade("t1", instrument="GHOST"), trade("t2", instrument="ACME", quantity="1", price="10"))
    house.marks(ACME=12.0)
    assert numbers(house)[[TOTAL, UNREALISED, UNPRICED, NO_RATE]].tolist() == [2.0, 2.0, 1.0, 0.0]


def test_a_flat_position_needs_no_mark():
    house = House()
    house.deal(
        trade("t1", instrument="GHOST", quantity="10", price="2"),
        trade("t2", instrument="GHOST", side="sell", quantity="10", price="3", ts=NOON + 1),
    )
    assert numbers(house)[[TOTAL, REALISED, UNREALISED, UNPRICED]].tolist() == [10.0, 10.0, 0.0, 0.0]


def test_realised_pnl_needs_a_rate_but_no_mark():
    house = House()
    house.deal(
        trade("t1", instrument="GHOST", quantity="10", price="2"),
        trade("t2", instrument="GHOST", side="sell", quantity="5", price="3", ts=NOON + 1),
    )
    assert numbers(house)[[REALISED, UNPRICED]].tolist() == [5.0, 1.0]


def test_a_currency_without_a_path_is_unpriced_flat_or_not():
    house = House()
    house.deal(
        trade("t1", instrument="MAREL", desk="FX1"),
        trade("t2", instrument="MAREL", desk="FX1", side="sell", ts=NOON + 1),
        trade("t3", instrument="MAREL", desk="FX2"),
    )
    house.marks(MAREL=400.0)
    assert numbers(house)[[TOTAL, REALISED, UNPRICED, NO_RATE]].tolist() == [0.0, 0.0, 2.0, 2.0]


def test_a_first_mark_prices_what_was_unpriced():
    house = House()
    house.deal(trade(instrument="ACME", quantity="1", price="10"))
    assert numbers(house)[UNPRICED] == 1.0
    house.marks(ACME=12.0)
    assert numbers(house)[[TOTAL, UNPRICED]].tolist() == [2.0, 0.0]


def test_a_stale_mark_still_values_and_is_counted():
    house = House()
    house.deal(trade(instrument="ACME", quantity="1", price="10"))
    house.marks(ACME=12.0)
    house.now += 61 * SECOND
    house.beat()
    assert numbers(house)[[TOTAL, STALE]].tolist() == [2.0, 1.0]


def test_a_position_on_a_stale_rate_is_counted_once_however_stale_its_mark():
    house = House()
    house.deal(trade(instrument="BTCEUR"))
    house.marks(BTCEUR=110.0, EURUSD=1.5)
    house.now += 61 * SECOND
    house.beat()
    assert numbers(house)[STALE] == 1.0


def test_a_fresh_tick_ends_staleness():
    house = House()
    house.deal(trade(instrument="ACME"))
    house.marks(ACME=12.0)
    house.now += 61 * SECOND
    house.beat()
    house.marks(ACME=12.0)
    assert numbers(house)[STALE] == 0.0
