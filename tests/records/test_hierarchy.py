"""The tree of nodes: numbered breadth first by name, any depth, sums over slices."""

import itertools
import random

import numpy as np
import pytest

from riskengine.errors import ReferenceDataError
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import Node
from tests import world


def tree(parents: dict[str, str]) -> Hierarchy:
    return Hierarchy(Node(node=node, parent=parent) for node, parent in parents.items())


@pytest.fixture
def house() -> Hierarchy:
    return tree(world.PARENTS)


def test_nodes_are_numbered_breadth_first_and_siblings_by_name(house):
    assert house.names == ("ALL", "CASH", "FX", "EQ1", "EM1", "G10", "FX1", "FX2")


def test_the_order_in_which_nodes_are_given_does_not_matter(house):
    shuffled = list(world.PARENTS.items())
    random.Random(1).shuffle(shuffled)
    assert tree(dict(shuffled)).names == house.names


def test_siblings_stand_in_the_order_of_their_utf8_bytes():
    names = ("Z", "a", "\u00e9", "\uffee", "\U0001f600")
    assert tree({"root": "", **dict.fromkeys(reversed(names), "root")}).names[1:] == names


def test_children_are_one_range_after_their_parent(house):
    for number, (first, end) in enumerate(house.children):
        assert {house.parents[child] for child in range(first, end)} <= {number}
        assert first > number


def test_ancestors_go_from_the_nearest_to_the_root(house):
    path = house.ancestors[house.index["FX1"]]
    assert [house.names[number] for number in path] == ["G10", "FX", "ALL"]


def test_leaves_are_the_nodes_without_children(house):
    assert house.leaves == {"FX1", "FX2", "EM1", "EQ1"}


def test_leaves_below_a_node_come_in_layout_order(house):
    assert house.leaves_below(house.index["FX"]) == ["EM1", "FX1", "FX2"]


def test_a_leaf_lies_below_itself(house):
    assert house.leaves_below(house.index["EQ1"]) == ["EQ1"]


def test_a_tree_may_be_as_deep_as_it_likes():
    deep = tree({f"n{depth}": f"n{depth - 1}" if depth else "" for depth in range(3_000)})
    assert len(deep.ancestors[deep.index["n2999"]]) == 2_999


def test_a_lone_root_is_a_tree_and_a_leaf():
    assert tree({"ALL": ""}).leaves == {"ALL"}


def test_no_nodes_are_an_empty_tree():
    assert len(Hierarchy()) == 0


def test_the_same_node_given_twice_alike_is_one_node():
    assert len(Hierarchy([Node("ALL"), Node("A", "", "ALL"), Node("A", "", "ALL")])) == 2


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("ALL", ""), ("A", "B")], "'A': its parent 'B' does not exist"),
        ([("ALL", ""), ("TOO", "")], "exactly one node must have no parent; found 'ALL', 'TOO'"),
        ([("A", "B"), ("B", "A")], "exactly one node must have no parent; found none"),
        ([("ALL", ""), ("A", "B"), ("B", "A")], "in a cycle, not below the root: 'A', 'B'"),
        ([("ALL", ""), ("A", "ALL"), ("B", "ALL"), ("A", "B")], "'A' appears twice"),
    ],
)
def test_what_is_not_a_tree_is_refused_by_name(nodes, message):
    with pytest.raises(ReferenceDataError, match=message):
        Hierarchy(Node(node=node, parent=parent) for node, parent in nodes)


def test_sums_go_up_through_every_level(house):
    values = np.zeros((2, len(house)))
    for place, leaf in enumerate(sorted(house.leaves)):
        values[:, house.index[leaf]] = 10**place, 1
    house.sum_up(values)
    sums = {name: tuple(values[:, number]) for number, name in enumerate(house.names)}
    assert sums["G10"] == (1100.0, 2.0)
    assert sums["FX"] == (1101.0, 3.0)
    assert sums["ALL"] == (1111.0, 4.0)


def test_a_leaf_beside_inner_nodes_is_counted_once():
    mixed = tree({"ALL": "", "A": "ALL", "B": "ALL", "C": "ALL", "B1": "B", "B2": "B", "B11": "B1"})
    values = np.zeros((1, len(mixed)))
    values[0, [mixed.index[leaf] for leaf in mixed.leaves]] = 1.0
    mixed.sum_up(values)
    assert values[0, 0] == len(mixed.leaves) == 4


# Reference data


def test_instruments_and_currencies_are_numbered_by_name():
    backwards = world.reference(rows=reversed(world.INSTRUMENTS))
    assert backwards.symbols == world.REFERENCE.symbols == tuple(sorted(backwards.symbols))
    assert backwards.currencies == tuple(sorted(backwards.currencies))


def test_the_reporting_currency_is_numbered_even_where_nothing_trades_in_it():
    assert "CHF" in world.reference(reporting_currency="CHF").currencies


def test_every_currency_that_fees_can_be_paid_in_has_a_number():
    """A trade may carry fees in any currency that some instrument names."""
    gold = {"instrument": "XAUUSD", "kind": "metal", "base_currency": "XAU", "quote_currency": "USD"}
    assert {"XAU", "USD"} <= set(world.reference(rows=[gold]).currencies)


def test_an_instrument_s_cash_is_in_its_premium_currency_where_it_has_one():
    option = {
        "instrument": "OPT",
        "kind": "fx_option",
        "base_currency": "EUR",
        "quote_currency": "USD",
        "premium_currency": "EUR",
        "option_type": "call",
        "strike": "1.1",
        "expiry": "2026-06-04",
    }
    where = world.reference(rows=[option])
    assert where.currencies[where.cash_currency[0]] == "EUR"


def test_two_trees_of_one_house_are_laid_out_alike_whatever_order_they_were_read_in():
    rows = list({"ALL": "", "A": "ALL", "B": "ALL", "A1": "A"}.items())
    assert len({tree(dict(order)).names for order in itertools.permutations(rows)}) == 1
