"""Which versions of limits hold in a trading day, and the nodes and dealers that they bound."""

from riskengine.limits.lines import day_of, in_force, lines_of
from riskengine.records.reference import Reference
from riskengine.records.types import Node
from tests.limiting import limit
from tests.world import House, instruments, trade


def test_the_highest_version_that_has_begun_counts_until_its_last_day() -> None:
    versions = [
        limit(limit=1.0, to_date="2026-03-31"),
        limit(version=2, limit=2.0, from_date="2026-03-05"),
        limit(version=3, limit=3.0, from_date="2026-04-01", to_date="2026-04-02"),
        limit("L2", limit=9.0),
    ]

    def amounts(day: str) -> list[float]:
        return [each.limit for each in in_force(versions, day)]

    assert amounts("2026-03-04") == [1.0, 9.0]
    assert amounts("2026-03-05") == [2.0, 9.0]
    assert amounts("2026-04-01") == [3.0, 9.0]
    assert amounts("2026-04-03") == [9.0]


def test_a_limit_has_a_line_for_its_node_or_dealer_and_an_unknown_one_has_no_number() -> None:
    house = House()
    house.deal(trade(dealer="ann"))

    lines = lines_of([limit(node="G10"), limit("L2", dealer="ann"), limit("L3", dealer="zoe")], house.engine.snapshot)
    assert [(line.key, line.owner >= 0) for line in lines] == [("L1:G10", True), ("L2:ann", True), ("L3:zoe", False)]


def test_without_a_trading_day_the_date_of_the_snapshot_says_which_limits_hold() -> None:
    assert day_of(House().engine.snapshot) == "2026-03-04"


def test_a_level_bounds_each_of_its_nodes_by_itself() -> None:
    nodes = [Node("ALL", "total"), Node("FX", "book", "ALL"), Node("FX2", "desk", "FX"), Node("FX1", "desk", "FX")]
    where = Reference(nodes, instruments(), "USD")
    house = House(where)
    assert house.deal(trade(where=where, desk="FX1")) == ["applied"]
    lines = lines_of([limit(where=where, level="desk")], house.engine.snapshot)
    assert [(line.node, line.owner) for line in lines] == [(name, where.hierarchy.index[name]) for name in ("FX1", "FX2")]
