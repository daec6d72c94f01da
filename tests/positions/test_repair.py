"""Repair: under some keys the engine becomes what the store says, as if it had started from it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from riskengine.engine.engine import Engine
from riskengine.positions.ledger import Row
from riskengine.records.types import ONE, Identity, Key, Trade
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_rows, node_rows
from riskengine.snapshot.snapshot import Snapshot
from tests import world
from tests.histories import MARKS, columns, histories, owners
from tests.world import DESKS, NOON, REFERENCE, SECOND, House, cancel, trade

FX1 = ("node", "FX1", "EURUSD")
FX2 = ("node", "FX2", "EURUSD")
ANN = ("dealer", "ann", "EURUSD")
BOB = ("dealer", "bob", "EURUSD")

OPENING: dict[str, Any] = {
    "desk": "FX1",
    "dealer": "ann",
    "ts": NOON - SECOND,
    "quantity": "10",
    "average_price": "1.2",
    "realised": "3",
}


class Stored:
    """The versions in a store, in store order, to edit as an administrator would."""

    def __init__(self, *trades: Trade) -> None:
        self.rows = list(trades)

    def edit(self, trade_id: str, version: int = 1, **changes: Any) -> None:
        """Change one row in place."""
        place = self.place(trade_id, version)
        row = self.rows[place]
        sent: dict[str, Any] = {
            "desk": row.desk,
            "dealer": row.dealer,
            "instrument": row.instrument,
            "side": row.side,
            "ts": row.ts,
            "quantity": str(row.quantity // ONE),
            "price": "1.1",
            "action": row.action,
            "version": version,
        }
        self.rows[place] = trade(trade_id, **sent | changes)

    def place(self, trade_id: str, version: int = 1) -> int:
        [place] = [n for n, row in enumerate(self.rows) if (row.trade_id, row.version) == (trade_id, version)]
        return place

    def delete(self, trade_id: str, version: int = 1) -> None:
        del self.rows[self.place(trade_id, version)]

    def build(self) -> Engine:
        """An engine started from it."""
        house = House()
        house.engine.open_with([world.opening(**OPENING)])
        house.marks(**MARKS)
        house.engine.apply(self.rows, NOON)
        house.engine.publish(NOON)
        return house.engine

    def under(self, keys: Iterable[Key]) -> set[Identity]:
        """Identities of which a version stands under one of the keys."""
        asked = set(keys)
        return {
            row.identity
            for row in self.rows
            if asked & {("node", row.desk, row.instrument), ("dealer", row.dealer, row.instrument)}
        }

    def repair(self, engine: Engine, *keys: Key) -> Any:
        """What reconciliation does: the versions of every identity of either side, then one publication."""
        asked = self.under(keys) | {one.identity for one in engine.trades_of(keys)}
        repaired = engine.repair(keys, [row for row in self.rows if row.identity in asked], NOON)
        engine.publish(NOON)
        return repaired


def differing_keys(engine: Engine, other: Engine) -> list[Key]:
    """Keys of leaves and dealers whose rows are not those of another engine: a naive comparison."""

    def rows(snapshot: Snapshot) -> dict[Key, Row]:
        found = {}
        for rollup, table, names in (
            ("node", snapshot.nodes, REFERENCE.hierarchy.names),
            ("dealer", snapshot.dealers, snapshot.dealer_names),
        ):
            for owner, name in enumerate(names):
                if rollup == "dealer" or name in DESKS:
                    for row in table.state(owner).positions():
                        found[rollup, name, REFERENCE.symbols[row.instrument]] = row
        return found

    here, there = rows(engine.snapshot), rows(other.snapshot)
    return [key for key in {**here, **there} if here.get(key) != there.get(key)]


def assert_as_built(engine: Engine, stored: Stored) -> None:
    """Every number is that of an engine which starts from the store, to the bit."""
    one, other = engine.snapshot, stored.build().snapshot
    engine.check()
    for mine, theirs in zip(one.nodes.numbers, other.nodes.numbers, strict=True):
        assert np.array_equal(mine, theirs)
    names = REFERENCE.hierarchy.names
    assert owners(one.nodes, names) == owners(other.nodes, names)
    assert owners(one.dealers, one.dealer_names) == owners(other.dealers, other.dealer_names)
    assert node_rows(one) == node_rows(other)
    assert dealer_rows(one) == dealer_rows(other)
    assert digest(one) == digest(other)


def memory(engine: Engine, identities: Iterable[Identity]) -> dict[str, Any]:
    """What the engine remembers of some identities, apart from positions."""
    processed = engine.processed
    asked = set(identities)
    deals = {(one.source, one.trade_id) for one in asked}
    return {
        "versions": {one: processed.versions(one) for one in asked},
        "parked": {one: other for one, other in processed.parked.items() if one in asked},
        "quarantined": {key: why for key, why in processed.quarantined.items() if key[0] in asked},
        "unmatched": {deal: legs for deal, legs in processed.unmatched.items() if deal in deals},
        "inert": processed.inert & asked,
        "count": len(processed) - len(processed.inert),
    }


@pytest.fixture
def stored() -> Stored:
    """Two trades of ann's at FX1 and FX2, one of bob's at FX1."""
    return Stored(
        trade("t1", quantity="100", price="1.1"),
        trade("t2", desk="FX2", side="sell", quantity="50", price="1.3", ts=NOON + 1),
        trade("t3", dealer="bob", quantity="30", price="1.2", ts=NOON + 2, fees="1.5"),
    )


# What an administrator may have done


def test_economics_changed_in_place_are_taken_over(stored: Stored) -> None:
    engine = stored.build()
    stored.edit("t1", quantity="120", price="1.7")
    repaired = stored.repair(engine, FX1, ANN)
    assert_as_built(engine, stored)
    assert repaired.changed == [("test", "t1", 0)]
    assert repaired.forgotten == []
    assert repaired.keys == [ANN, FX1]


def test_an_unnamed_key_is_folded_again_if_a_trade_of_a_named_one_stands_in_it(stored: Stored) -> None:
    engine = stored.build()
    stored.edit("t1", quantity="120")
    assert stored.repair(engine, FX1).keys == [ANN, FX1]
    assert_as_built(engine, stored)


def test_a_row_that_was_deleted_is_forgotten_and_would_be_new_again(stored: Stored) -> None:
    engine = stored.build()
    gone = stored.rows[0]
    stored.delete("t1")
    assert stored.repair(engine, FX1).forgotten == [gone.identity]
    assert_as_built(engine, stored)
    assert [outcome.status for outcome in engine.apply([gone], NOON)] == ["applied"]


def test_the_last_trade_of_a_position_deleted_leaves_no_position(stored: Stored) -> None:
    engine = stored.build()
    stored.delete("t2")
    stored.repair(engine, FX2)
    assert_as_built(engine, stored)
    assert "FX2" not in owners(engine.snapshot.nodes, REFERENCE.hierarchy.names)


def test_a_row_that_was_never_followed_is_applied_and_a_duplicate_when_it_is(stored: Stored) -> None:
    engine = stored.build()
    missed = trade("t9", desk="EM1", dealer="cat", ts=NOON - SECOND)
    stored.rows.append(missed)
    stored.repair(engine, ("node", "EM1", "EURUSD"), ("dealer", "cat", "EURUSD"))
    assert_as_built(engine, stored)
    assert [outcome.status for outcome in engine.apply([missed], NOON)] == ["duplicate"]


@pytest.mark.parametrize("named", [[FX1], [("node", "EQ1", "ACME")], [ANN], [("dealer", "cat", "ACME")]])
def test_a_trade_that_was_moved_moves_though_only_its_old_or_new_key_is_named(stored: Stored, named: list[Key]) -> None:
    engine = stored.build()
    stored.edit("t1", desk="EQ1", dealer="cat", instrument="ACME")
    stored.repair(engine, *named)
    assert_as_built(engine, stored)


def test_a_version_deleted_lets_the_one_before_it_stand_again(stored: Stored) -> None:
    stored.rows.append(trade("t1", version=2, action="amend", desk="EM1", quantity="7"))
    engine = stored.build()
    stored.delete("t1", 2)
    stored.repair(engine, ("node", "EM1", "EURUSD"))
    assert_as_built(engine, stored)
    assert memory(engine, [Identity("test", "t1", 0)]) == memory(stored.build(), [Identity("test", "t1", 0)])


def test_a_cancel_inserted_takes_its_trade_out(stored: Stored) -> None:
    engine = stored.build()
    stored.rows.append(cancel("t2"))
    stored.repair(engine, FX2)
    assert_as_built(engine, stored)


def test_a_trade_whose_new_columns_are_to_be_quarantined_is_quarantined(stored: Stored) -> None:
    engine = stored.build()
    stored.edit("t1", ts=NOON + 3_600 * SECOND)
    stored.repair(engine, FX1)
    assert_as_built(engine, stored)
    assert engine.snapshot.counts.quarantined == 1
    [item] = engine.snapshot.exceptions["quarantined"]
    assert item.trade is stored.rows[0]


def test_legs_are_counted_again(stored: Stored) -> None:
    stored.rows += [trade("d", leg=0, legs=2), trade("d", leg=1, legs=2, side="sell")]
    engine = stored.build()
    assert engine.snapshot.counts.unmatched == 0
    del stored.rows[-1]
    stored.repair(engine, FX1)
    assert engine.snapshot.counts.unmatched == 1
    stored.rows[-1] = trade("d", leg=0)
    stored.repair(engine, FX1)
    assert engine.snapshot.counts.unmatched == 0
    assert_as_built(engine, stored)


def test_a_conflict_that_the_store_now_agrees_with_is_gone(stored: Stored) -> None:
    engine = stored.build()
    engine.apply([trade("t1", quantity="5", price="1.1"), trade("t1", quantity="6", price="1.1")], NOON)
    stored.edit("t1", quantity="5")
    stored.repair(engine, FX1)
    [left] = engine.snapshot.exceptions["conflict"]
    assert left.trade is not None and left.trade.quantity == 6 * ONE
    assert left.detail == {"stands": stored.rows[0]}


def test_rows_that_cannot_be_read_are_listed_and_those_that_can_again_are_not(stored: Stored) -> None:
    engine = stored.build()
    broken = stored.rows.pop(0)
    engine.repair([FX1], stored.rows[1:], NOON, unreadable=[(1, NOON, "side: must be buy or sell")])
    assert [item.id for item in engine.publish(NOON).exceptions["quarantined"]] == ["quarantined:row:1"]
    assert_as_built(engine, stored)
    stored.rows.insert(0, broken)
    engine.repair([FX1], [stored.rows[0], stored.rows[2]], NOON, store_seqs=[1, 3])
    assert engine.publish(NOON).exceptions["quarantined"] == ()
    assert_as_built(engine, stored)


# How a repair works


def test_everything_shows_in_one_publication(stored: Stored) -> None:
    engine = stored.build()
    before = digest(engine.snapshot)
    stored.edit("t1", desk="EQ1", instrument="ACME")
    asked = stored.under([FX1]) | {one.identity for one in engine.trades_of([FX1])}
    engine.repair([FX1], [row for row in stored.rows if row.identity in asked], NOON)
    assert digest(engine.snapshot) == before
    engine.publish(NOON)
    assert_as_built(engine, stored)


def test_a_repair_without_a_difference_changes_no_number_and_no_identity(stored: Stored) -> None:
    engine = stored.build()
    before = node_rows(engine.snapshot)
    repaired = stored.repair(engine, FX1, FX2, ANN, BOB)
    assert (repaired.changed, repaired.forgotten) == ([], [])
    assert node_rows(engine.snapshot) == before
    assert_as_built(engine, stored)


def test_a_repair_joins_with_trades_that_have_not_been_published(stored: Stored) -> None:
    engine = stored.build()
    more = [trade("t5", ts=NOON + 5), trade("t6", desk="FX2", dealer="bob", ts=NOON + 6)]
    engine.apply(more, NOON)
    stored.rows += more
    stored.edit("t2", quantity="1")
    stored.repair(engine, FX2)
    assert_as_built(engine, stored)


def test_balances_brought_forward_stay_under_the_trades(stored: Stored) -> None:
    engine = stored.build()
    stored.delete("t1")
    stored.delete("t3")
    stored.repair(engine, FX1)
    assert_as_built(engine, stored)
    assert engine.ledger.organisation.books[REFERENCE.hierarchy.index["FX1"]].count == 1


def test_unknown_keys_are_left_alone(stored: Stored) -> None:
    engine = stored.build()
    repaired = stored.repair(engine, ("node", "XX", "EURUSD"), ("dealer", "zoe", "EURUSD"), ("node", "FX1", "XX"))
    assert repaired == ([], [], [], [])
    assert_as_built(engine, stored)


def test_trades_of_a_key_are_all_versions_of_the_trades_that_stand_there(stored: Stored) -> None:
    stored.rows.append(trade("t1", version=2, action="amend", quantity="7"))
    engine = stored.build()
    assert engine.trades_of([FX1]) == [stored.rows[0], stored.rows[3], stored.rows[2]]
    assert engine.trades_of([BOB]) == [stored.rows[2]]
    assert engine.trades_of([("node", "FX1", "ACME"), ("node", "ALL", "EURUSD"), ("dealer", "zoe", "EURUSD")]) == []


@given(histories(), st.data())
def test_after_any_edit_of_the_store_a_repair_of_the_differing_keys_equals_a_start(history, data) -> None:
    stored = Stored(*dict.fromkeys(history))
    engine = stored.build()
    for step in range(data.draw(st.integers(1, 4))):
        done = data.draw(st.sampled_from(["edit", "edit", "delete", "insert"])) if stored.rows else "insert"
        place = data.draw(st.integers(0, max(len(stored.rows) - 1, 0)))
        if done == "insert":
            stored.rows.append(trade(f"x{step}", **data.draw(columns)))
        elif done == "delete":
            del stored.rows[place]
        elif stored.rows[place].action != "cancel":
            row = stored.rows[place]
            kept = {"version": row.version, "action": row.action}
            stored.rows[place] = trade(row.trade_id, **kept, **data.draw(columns))
    keys = differing_keys(engine, stored.build())
    asked = stored.under(keys) | {one.identity for one in engine.trades_of(keys)}
    stored.repair(engine, *keys)
    assert_as_built(engine, stored)
    built = stored.build()
    assert memory(engine, asked) | {"count": 0} == memory(built, asked) | {"count": 0}
    assert differing_keys(engine, built) == []
    again = engine.repair(keys, [row for row in stored.rows if row.identity in asked], NOON)
    assert (again.changed, again.forgotten) == ([], [])


def test_an_edit_of_a_column_that_is_no_economics_is_taken_over_too(stored: Stored) -> None:
    engine = stored.build()
    stored.rows[0] = structs.replace(stored.rows[0], booked_ts=NOON + 7)
    assert stored.repair(engine, FX1).changed == [("test", "t1", 0)]
    assert engine.processed.versions(("test", "t1", 0)) == [stored.rows[0]]
