"""Comparing two sides: one break for each key that differs, of the first kind that fits, and none for keys that agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.positions.ledger import Row
from riskengine.records.types import Key
from riskengine.snapshot.compare import (
    DEALER,
    HIERARCHY,
    KINDS,
    NODE,
    Break,
    Holding,
    compare,
    hierarchy_breaks,
    hierarchy_breaks_of,
    minus,
    plus,
    side_of,
    tree_breaks,
)
from tests.world import House, opening, trade

KEY = (NODE, "FX1", "EURUSD")
HELD = Holding(5, -7, 2, 99)

holdings = st.builds(Holding, st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2), st.integers(0, 2))
keys = st.tuples(st.sampled_from([NODE, DEALER]), st.sampled_from(["a", "b"]), st.sampled_from(["X", "Y"]))
sides = st.dictionaries(keys, holdings)


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        (None, HELD, "missing_here"),
        (HELD, None, "missing_there"),
        (HELD, Holding(6, -8, 3, 1), "quantity"),
        (HELD, HELD._replace(cash=-8, trades=3), "cash"),
        (HELD, HELD._replace(trades=3), "identity"),
        (HELD, HELD._replace(identities=98), "identity"),
    ],
)
def test_a_break_has_the_first_kind_that_fits(here: Holding | None, there: Holding | None, kind: str) -> None:
    def side(holding: Holding | None) -> dict[Key, Holding]:
        return {} if holding is None else {KEY: holding}

    assert compare(side(here), side(there)) == [Break(kind, KEY, here, there)]


@given(here=sides, there=sides)
def test_every_key_of_either_side_that_differs_is_one_break(here: dict[Key, Holding], there: dict[Key, Holding]) -> None:
    found = compare(here, there)
    assert [each.key for each in found] == sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    assert all((each.here, each.there) == (here.get(each.key), there.get(each.key)) for each in found)
    assert {each.kind for each in found} <= set(KINDS) - {HIERARCHY}


@given(here=sides, there=sides)
def test_the_differences_lead_from_one_side_to_the_other(here: dict[Key, Holding], there: dict[Key, Holding]) -> None:
    led = dict(here)
    for each in compare(here, there):
        if each.there is None:
            assert plus(led.pop(each.key), each.difference) == Holding(0, 0, 0, 0)
        else:
            led[each.key] = plus(led.get(each.key, Holding(0, 0, 0, 0)), each.difference)
    assert led == there


@given(side=sides)
def test_a_side_agrees_with_itself(side: dict[Key, Holding]) -> None:
    assert compare(side, dict(side)) == []


@given(one=holdings, other=holdings)
def test_what_is_added_can_be_taken_away(one: Holding, other: Holding) -> None:
    assert minus(plus(one, other), other) == one


@given(st.lists(st.dictionaries(st.sampled_from("XYZ"), holdings), min_size=1, max_size=4), st.data())
def test_a_node_is_held_against_the_sum_of_its_children(below: list[dict[str, Holding]], data: st.DataObject) -> None:
    total: dict[str, Holding] = {}
    for held in below:
        for instrument, holding in held.items():
            total[instrument] = plus(total.get(instrument, Holding(0, 0, 0, 0)), holding)
    rows = {str(number): held for number, held in enumerate(below)} | {"up": total}
    children = {"up": list(rows)[:-1]}
    assert hierarchy_breaks_of(children, rows.__getitem__) == []
    if total:
        spoiled = data.draw(st.sampled_from(sorted(total)))
        rows["up"] = total | {spoiled: total[spoiled]._replace(quantity=total[spoiled].quantity + 1)}
        [found] = hierarchy_breaks_of(children, rows.__getitem__)
        assert (found.kind, found.key, found.there) == (HIERARCHY, (NODE, "up", spoiled), total[spoiled])
        del rows["up"][spoiled]
        assert hierarchy_breaks_of(children, rows.__getitem__) == [Break(HIERARCHY, (NODE, "up", spoiled), None, total[spoiled])]


def test_nodes_that_stand_elsewhere_or_in_one_tree_only_are_named() -> None:
    here, there = {"ALL": "", "A": "ALL", "B": "ALL", "C": "A"}, {"ALL": "", "A": "ALL", "C": "ALL", "D": "ALL"}
    assert [each.key for each in tree_breaks(here, there)] == [(NODE, "B", ""), (NODE, "C", ""), (NODE, "D", "")]
    assert tree_breaks(here, here) == []


@pytest.fixture
def house() -> House:
    house = House()
    house.engine.open_with([opening(desk="FX2", dealer="bob", quantity="-50", average_price="1.25")])
    house.deal(trade("1"), trade("2", desk="FX2", dealer="bob", side="sell"))
    house.deal(trade("3", desk="EQ1", dealer="", instrument="ESZ6"))
    return house


def test_the_side_of_a_snapshot_is_its_positions_and_not_its_inner_nodes(house: House) -> None:
    side = side_of(house.engine.snapshot)
    assert {key: (held.quantity // 10**10, held.trades) for key, held in side.items()} == {
        (NODE, "FX1", "EURUSD"): (100, 1),
        (NODE, "FX2", "EURUSD"): (-150, 1),
        (NODE, "EQ1", "ESZ6"): (100, 1),
        (DEALER, "ann", "EURUSD"): (100, 1),
        (DEALER, "bob", "EURUSD"): (-150, 1),
        (DEALER, "", "ESZ6"): (100, 1),
    }
    assert side[NODE, "FX1", "EURUSD"].identities


def test_an_inner_row_that_is_not_the_sum_of_those_below_is_a_break_of_the_hierarchy(house: House) -> None:
    assert hierarchy_breaks(house.engine.snapshot) == []
    book = house.engine.ledger.organisation.books[house.where.hierarchy.index["FX"]]
    [at] = [at for at, row in enumerate(book.rows) if row is not None and house.where.symbols[row.instrument] == "EURUSD"]
    row = book.rows[at]
    assert isinstance(row, Row)
    book.rows[at] = Row(**{name: getattr(row, name) for name in Row.__struct_fields__} | {"cash": row.cash + 1})
    house.deal(trade("4", desk="EM1"))  # so that the page is published anew
    assert {each.key for each in hierarchy_breaks(house.engine.snapshot)} == {(NODE, "FX", "EURUSD"), (NODE, "ALL", "EURUSD")}
