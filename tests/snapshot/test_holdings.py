"""Holdings as lines: reading them gives what the snapshot holds, and the nodes that are not the sums of their children."""

import pytest

from riskengine.positions.ledger import Row
from riskengine.snapshot.compare import hierarchy_breaks, side_of
from riskengine.snapshot.holdings import holding_lines, read_holdings
from tests.world import House, opening, trade


@pytest.fixture
def house() -> House:
    house = House()
    house.engine.open_with([opening(desk="FX2", dealer="bob", quantity="-50", average_price="1.25", realised="3")])
    house.deal(
        trade("1"),
        trade("2", desk="FX2", dealer="bob", side="sell", price="1.123456789", quantity="33.07"),
        trade("3", desk="EQ1", dealer="", instrument="ESZ6"),
        trade("4", desk="EM1", instrument="USDJPY", side="sell"),
    )
    return house


def test_what_is_read_back_is_what_the_snapshot_holds(house: House) -> None:
    snapshot = house.engine.snapshot
    found = read_holdings(holding_lines(snapshot, {"store_id": "x"}))
    assert found.side() == side_of(snapshot)
    assert found.header["watermark"] == snapshot.watermark
    assert (found.header["epoch"], found.header["seq"], found.header["store_id"]) == (snapshot.epoch, snapshot.seq, "x")
    assert found.parents == {node.node: node.parent for node in snapshot.reference.hierarchy.nodes}


def test_every_node_is_in_it_and_adds_up(house: House) -> None:
    found = read_holdings(holding_lines(house.engine.snapshot, {}))
    assert {"ALL", "FX", "G10", "FX1", "FX2"} <= found.nodes.keys()
    assert found.hierarchy_breaks() == []


def test_a_node_that_is_not_the_sum_of_its_children_is_seen(house: House) -> None:
    book = house.engine.ledger.organisation.books[house.where.hierarchy.index["FX"]]
    [at] = [at for at, row in enumerate(book.rows) if row is not None and house.where.symbols[row.instrument] == "EURUSD"]
    row = book.rows[at]
    assert row is not None
    book.rows[at] = Row(
        *(getattr(row, field) + (field == "quantity") for field in Row.__struct_fields__[:9]),
        *(getattr(row, field) for field in Row.__struct_fields__[9:]),
    )
    house.deal(trade("5", instrument="GBPUSD"), trade("6"))
    snapshot = house.engine.snapshot
    found = read_holdings(holding_lines(snapshot, {})).hierarchy_breaks()
    assert {each.key for each in found} >= {("node", "FX", "EURUSD")}
    assert found == hierarchy_breaks(snapshot)


def test_holdings_that_are_cut_short_are_refused(house: House) -> None:
    lines = list(holding_lines(house.engine.snapshot, {}))
    for broken in ([], [b"{}"], lines[:-1], [*lines[:-2], lines[-2][:-5], lines[-1]]):
        with pytest.raises(ValueError, match=r"."):
            read_holdings(broken)
