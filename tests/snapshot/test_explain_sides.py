"""What an owner had at an instant: as the rows of the snapshot say it, unknown where they do."""

from decimal import Decimal

import pytest

from riskengine.positions.adjustments import NO_CHANGES
from riskengine.snapshot.explain import HeldSide, HeldThen, SpanBegin, SpanEnd, explain
from riskengine.snapshot.explain_sides import SnapshotOptions, SnapshotPrices, carry_of_the_day, option_points, side_now
from riskengine.snapshot.snapshot import Snapshot
from tests.world import House, trade


def house() -> House:
    house = House()
    house.deal(
        trade("t1", quantity="100", price="1.1", fees="2.5"),
        trade("t2", desk="FX2", side="sell", quantity="40", price="1.15"),
        trade("t3", instrument="GHOST", desk="EQ1", quantity="7", price="3"),
        trade("t4", instrument="MAREL", desk="EQ1", quantity="8", price="500"),
    )
    house.marks(EURUSD=1.2)
    return house


def side(snapshot: Snapshot, node: str) -> HeldSide:
    return side_now(snapshot, snapshot.nodes, snapshot.reference.hierarchy.index[node], {"EURUSD": 7})


def test_an_inner_node_has_the_sum_of_its_leaves_with_its_carry_and_fees() -> None:
    held = side(house().engine.snapshot, "FX").held["EURUSD"]
    assert (held.quantity, held.positions, held.unknown, held.carry) == (60 * 10**10, 2, 0, 7)
    assert held.cash == (-110 + 46) * 10**28
    assert {code: Decimal(units).scaleb(-10) for code, units in held.fees.items()} == {"USD": Decimal("2.5")}


@pytest.mark.parametrize("symbol", ["GHOST", "MAREL"])
def test_what_has_no_price_or_no_rate_is_unknown_and_its_amounts_are_left_out(symbol: str) -> None:
    held = side(house().engine.snapshot, "EQ1").held[symbol]
    assert held == HeldThen(positions=1, unknown=1, fees=held.fees)


def test_a_flat_position_beside_an_open_one_without_a_price_keeps_its_cash() -> None:
    place = house()
    place.deal(
        trade("t5", instrument="GHOST", desk="FX1", quantity="2", price="3"),
        trade("t6", instrument="GHOST", desk="FX1", side="sell", quantity="2", price="4"),
    )
    held = side(place.engine.snapshot, "ALL").held["GHOST"]
    assert (held.quantity, held.cash, held.positions, held.unknown) == (0, 2 * 10**28, 2, 1)


def test_the_worth_of_a_side_is_the_total_of_its_node() -> None:
    place = house()
    snapshot = place.engine.snapshot
    for node in ("ALL", "FX", "FX1", "FX2"):
        nothing = HeldSide({}, SnapshotPrices(snapshot))
        end = SpanEnd(side(snapshot, node), SnapshotOptions(snapshot), NO_CHANGES)
        found = explain(SpanBegin(nothing, nothing, {}), end, snapshot.reference.by_symbol)
        row = place.node(node)
        assert float(found.end.total or 0) == pytest.approx(row["total_pnl"], abs=1e-9)
        assert float(found.end.fees or 0) == pytest.approx(row["fees"], abs=1e-9)
        assert (found.end.positions, found.end.unknown) == (row["position_count"], row["unpriced_count"])


def test_markets_know_nothing_of_names_that_nobody_has() -> None:
    snapshot = house().engine.snapshot
    prices = SnapshotPrices(snapshot)
    assert (prices.price("EURUSD"), prices.rate("EURUSD"), prices.currency("USD")) == (1.2, 1.0, 1.0)
    assert [prices.price("GHOST"), prices.rate("MAREL"), prices.currency("ISK")] == [None, None, None]
    assert [prices.price("NONE"), prices.rate("NONE"), prices.currency("NON")] == [None, None, None]
    assert option_points(snapshot, ["EURUSD", "NONE"], 0) == {}
    assert carry_of_the_day(snapshot, snapshot.nodes, 0) == {}
