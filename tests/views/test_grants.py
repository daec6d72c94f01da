"""Grants: whose numbers a caller may see."""

import pytest

from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import Node
from riskengine.views.grants import EVERYTHING, Grants

TREE = Hierarchy(
    [
        Node("ALL", "total", ""),
        Node("FX", "book", "ALL"),
        Node("EQ", "book", "ALL"),
        Node("FX1", "desk", "FX"),
        Node("FX2", "desk", "FX"),
    ]
)


def visible(grants: Grants) -> list[str]:
    return [TREE.names[number] for number in grants.visible_nodes(TREE)]


def test_a_grant_of_a_node_is_of_everything_below_it() -> None:
    grants = Grants(nodes=frozenset({"FX"}))
    assert visible(grants) == ["FX", "FX1", "FX2"]
    assert grants.sees_below(TREE, "FX2")


def test_a_grant_of_a_desk_says_nothing_of_its_parents_total() -> None:
    assert visible(Grants(nodes=frozenset({"FX1"}))) == ["FX1"]


def test_a_total_is_granted_without_what_is_below_it() -> None:
    grants = Grants(nodes=frozenset({"FX1"}), totals=frozenset({"FX"}))
    assert visible(grants) == ["FX", "FX1"]
    assert not grants.sees_below(TREE, "FX")
    assert not grants.sees_row(TREE, "FX2")


def test_without_grants_nothing_is_visible() -> None:
    assert visible(Grants()) == []
    assert not Grants().sees_dealer("ann")
    assert not Grants().sees_trade(TREE, "FX1", "ann")


def test_everything_is_every_node_and_dealer_but_no_name_that_does_not_exist() -> None:
    assert visible(EVERYTHING) == list(TREE.names)
    assert EVERYTHING.sees_dealer("ann")
    assert not EVERYTHING.sees_below(TREE, "nowhere")
    assert EVERYTHING.sees_trade(TREE, "nowhere", "ann")


@pytest.mark.parametrize(
    ("grants", "hiding"),
    [
        (EVERYTHING, []),
        (Grants(nodes=frozenset({"FX"})), ["FX"]),
        (Grants(nodes=frozenset({"FX"}), totals=frozenset({"ALL"})), []),
        (Grants(nodes=frozenset({"FX1"}), totals=frozenset({"ALL"})), ["FX1"]),
    ],
)
def test_a_row_names_its_parent_only_if_the_parent_has_a_row_itself(grants: Grants, hiding: list[str]) -> None:
    assert [TREE.names[number] for number in grants.visible_nodes(TREE) if grants.hides_parent(TREE, number)] == hiding


@pytest.mark.parametrize(("desk", "dealer", "seen"), [("FX1", "bob", True), ("EQ", "ann", True), ("EQ", "bob", False)])
def test_a_trade_is_visible_by_its_desk_or_by_its_dealer(desk: str, dealer: str, seen: bool) -> None:
    grants = Grants(nodes=frozenset({"FX1"}), dealers=frozenset({"ann"}))
    assert grants.sees_trade(TREE, desk, dealer) is seen


def test_equal_grants_are_one_access_class() -> None:
    assert {Grants(nodes=frozenset({"FX1"})): 1}[Grants(nodes=frozenset({"FX1"}))] == 1
