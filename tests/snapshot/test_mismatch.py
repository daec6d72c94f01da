"""Reasons not to go live: a snapshot that contradicts itself, an engine that contradicts its store."""

import msgspec
import pytest

from riskengine.snapshot.compare import HIERARCHY, KINDS, QUANTITY, Break
from riskengine.snapshot.mismatch import Mismatch, disagreements, first_few, mismatches_of
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from tests.world import House, reference, trade

# -- a snapshot that contradicts itself --------------------------------------------------------------------------


@pytest.fixture
def snapshot() -> Snapshot:
    house = House()
    house.deal(
        trade("1"),
        trade("2", desk="FX2", dealer="bob"),
        trade("3", desk="EQ1", instrument="ACME", quantity="7", dealer=""),
        trade("4", side="sell"),
    )
    return house.engine.snapshot


def altered(table: Table, owner: int, state: OwnerState) -> Table:
    states = [[*page] for page in table.states]
    states[0][owner] = state
    return Table(table.size, tuple(map(tuple, states)), table.numbers)


def test_a_sound_snapshot_is_in_agreement_with_itself(snapshot: Snapshot) -> None:
    assert disagreements(snapshot) == []
    assert disagreements(House(reference({})).engine.snapshot) == []


def test_a_parent_that_counts_other_than_its_children_is_named(snapshot: Snapshot) -> None:
    number = snapshot.reference.hierarchy.index["G10"]
    before = snapshot.nodes.state(number)
    snapshot.nodes = altered(snapshot.nodes, number, OwnerState(before.pages, before.position_count, before.trade_count + 1))
    [found] = disagreements(snapshot)
    assert found == Mismatch("integrity", "nodes whose counts are not the sums of their children's: FX, G10")


@pytest.mark.parametrize("field", ["quantity", "cash", "trade_count", "identities"])
def test_roll_ups_that_hold_different_amounts_are_named_by_instrument(snapshot: Snapshot, field: str) -> None:
    bob = snapshot.dealer_names.index("bob")
    [row] = snapshot.dealers.state(bob).positions()
    wrong = msgspec.structs.replace(row, **{field: getattr(row, field) + 1})
    snapshot.dealers = altered(snapshot.dealers, bob, OwnerState(((wrong,),), 1, 1))
    assert disagreements(snapshot) == [Mismatch("integrity", "organisation and dealers hold different amounts of EURUSD")]


def test_of_many_names_the_first_are_listed() -> None:
    assert first_few(["a", "b"]) == "a, b"
    assert first_few([str(n) for n in range(1_007)]) == "0, 1, 2, 3, 4 and 1,002 more"


# -- an engine that contradicts its store --------------------------------------------------------------------------


def test_there_is_a_line_for_each_kind_with_the_first_keys() -> None:
    breaks = [Break(QUANTITY, ("node", f"D{n}", "EURUSD"), None, None) for n in range(7)]
    breaks.append(Break(HIERARCHY, ("node", "FX", "EURUSD"), None, None))
    breaks.append(Break(QUANTITY, ("dealer", "", "EURUSD"), None, None))
    quantity, hierarchy = mismatches_of(breaks)
    assert quantity == Mismatch(
        QUANTITY,
        (
            "8 positions with different quantities in engine and store: node D0 EURUSD, node D1 EURUSD, node D2 EURUSD, "
            "node D3 EURUSD, node D4 EURUSD and 3 more"
        ),
    )
    assert hierarchy == Mismatch(HIERARCHY, "1 positions of nodes that are not the sums of their children: node FX EURUSD")
    assert mismatches_of([]) == []


def test_every_kind_of_break_has_a_text() -> None:
    found = mismatches_of(Break(kind, ("dealer", "", "EURUSD"), None, None) for kind in KINDS)
    assert [each.kind for each in found] == list(KINDS)
    assert all("dealer '' EURUSD" in each.text for each in found)
