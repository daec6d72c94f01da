"""The self-audit: a pass finds every planted fault and sets only its key aside, and a repair makes everything right again."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import Fault, SelfAudit
from riskengine.records.types import Key, Trade
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from riskengine.snapshot.snapshot import Snapshot
from tests import faults, wide_world
from tests.faults import ANN, FAULTS, FX1, LONG_ONE, Planted, sound_engine, stored_trades
from tests.histories import assert_same, engine_after, histories
from tests.world import NOON, REFERENCE, SECOND, cancel, trade

Rows = dict[tuple[str, ...], dict[str, Any]]


def audit_once(engine: Engine) -> list[Fault]:
    """Run one pass as the writer does: set each key at fault aside at once. Returns the faults."""
    audit, found = SelfAudit(engine), []
    while not audit.passes:
        fault = audit.step()
        if fault is not None:
            found.append(fault)
            if fault.key is not None:
                engine.set_aside_key(fault.key, fault.reason, NOON, fault.missing)
                engine.publish(NOON)
    return found


def repair(engine: Engine, *keys: Key) -> None:
    """Repair keys from the stored trades, as reconciliation does."""
    asked = {one.identity for one in engine.trades_of(keys)}
    asked |= {
        one.identity
        for one in stored_trades()
        if {("node", one.desk, one.instrument), ("dealer", one.dealer, one.instrument)} & set(keys)
    }
    engine.repair(keys, [one for one in stored_trades() if one.identity in asked], NOON)
    engine.publish(NOON)


def all_rows(snapshot: Snapshot) -> Rows:
    """Every row that a reader can see, by roll-up, owner and instrument."""
    rows: Rows = {("node", row["node"]): row for row in node_rows(snapshot)}
    rows |= {("dealer", row["dealer"]): row for row in dealer_rows(snapshot)}
    for name in REFERENCE.hierarchy.names:
        rows |= {("node", name, row["instrument"]): row for row in ladder_rows(snapshot, node=name)}
    for name in snapshot.dealer_names:
        rows |= {("dealer", name, row["instrument"]): row for row in ladder_rows(snapshot, dealer=name)}
    return rows


@cache
def sound() -> tuple[Snapshot, Rows]:
    """The snapshot of an engine without a fault, and its rows."""
    snapshot = sound_engine().snapshot
    return snapshot, all_rows(snapshot)


def touched_by(key: Key) -> set[tuple[str, ...]]:
    """The rows that may change while a key is set aside: its own and those above it."""
    rollup, owner, instrument = key
    hierarchy = REFERENCE.hierarchy
    above = [hierarchy.names[n] for n in hierarchy.ancestors[hierarchy.index[owner]]] if rollup == "node" else []
    rows: set[tuple[str, ...]] = {(rollup, name) for name in (owner, *above)}
    return rows if not instrument else rows | {(rollup, name, instrument) for name in (owner, *above)}


def for_each_fault() -> Any:
    return pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])


# No false alarm


def test_a_sound_engine_has_no_fault() -> None:
    assert SelfAudit(sound_engine()).finish_pass() == []


@given(histories())
def test_an_engine_has_no_fault_after_any_history(history: list[Trade]) -> None:
    assert SelfAudit(engine_after(history, publish_each=False)).finish_pass() == []


@given(histories(), st.data())
def test_trades_that_come_between_steps_are_no_faults(history: list[Trade], data: st.DataObject) -> None:
    engine = sound_engine()
    audit = SelfAudit(engine)
    for one in history:
        for _ in range(data.draw(st.integers(0, 12))):
            assert audit.step() is None
        engine.apply([one], NOON)
        assert audit.step() is None
        engine.publish(NOON)
    assert audit.finish_pass() == []


def test_a_house_of_several_pages_of_nodes_and_dealers_has_no_fault() -> None:
    engine = Engine(wide_world.WIDE, now=NOON)
    engine.apply(list(wide_world.flow(1_000, 1)), NOON)
    engine.beat(wide_world.marks(1), NOON)
    engine.publish(NOON)
    assert SelfAudit(engine).finish_pass() == []


def test_a_long_position_is_audited_while_it_changes_in_front_and_behind() -> None:
    engine = sound_engine()
    audit = SelfAudit(engine)
    plain: dict[str, Any] = {"desk": "FX2", "instrument": "USDJPY", "dealer": "cat", "price": "150.5"}
    for number in range(300):
        at = NOON + (number * 37) % (2 * faults.LONG)
        engine.apply([trade(f"w{number}", ts=at, **plain)], NOON)
        if number % 5 == 0:
            engine.apply([cancel(f"m{number % faults.LONG:03}")], NOON)
        engine.publish(NOON)
        assert audit.step() is None
    assert audit.finish_pass() + audit.finish_pass() == []


def test_a_fault_behind_the_current_step_is_found_by_the_next_pass() -> None:
    engine = sound_engine()
    audit = SelfAudit(engine)
    for _ in range(3):
        assert audit.step() is None
    held = faults.position(engine, LONG_ONE)
    del held.trades[0]
    found = [*audit.finish_pass(), *audit.finish_pass()]
    assert LONG_ONE in {fault.key for fault in found}


def test_a_step_does_nothing_while_trades_wait_to_be_published() -> None:
    engine = sound_engine()
    audit = SelfAudit(engine)
    engine.apply([trade("t50")], NOON)
    assert [audit.step() for _ in range(5_000)] == [None] * 5_000
    assert audit.passes == 0
    engine.publish(NOON)
    assert audit.finish_pass() == []


def test_progress_goes_from_nothing_to_all_and_starts_again() -> None:
    audit = SelfAudit(sound_engine())
    audit.finish_pass()
    seen = [audit.progress]
    while audit.passes == 1:
        audit.step()
        seen.append(audit.progress)
    assert seen[0] == seen[-1] == 0.0
    assert sorted(seen[:-1]) == seen[:-1]
    assert 0.9 < seen[-2] <= 1.0


# Every fault


@for_each_fault()
def test_a_fault_is_found_within_a_pass_and_names_the_key_at_fault(fault: Planted) -> None:
    engine = sound_engine()
    fault.plant(engine)
    found = audit_once(engine)
    assert {one.key for one in found} == set(fault.keys)
    assert all(fault.says in one.reason for one in found)
    assert audit_once(engine) == []


@for_each_fault()
def test_only_the_key_at_fault_is_set_aside_and_shows_it(fault: Planted) -> None:
    engine, expected = sound_engine(), sound()[1]
    fault.plant(engine)
    audit_once(engine)
    snapshot = engine.snapshot
    assert snapshot.counts.quarantined == len(fault.keys)
    assert sorted(snapshot.keys_set_aside()) == sorted(fault.keys)
    assert {item.id for item in snapshot.exceptions["quarantined"]} == {f"quarantined:{':'.join(key)}" for key in fault.keys}
    rows = all_rows(snapshot)
    for key in fault.keys:
        row = rows[key if key[2] else key[:2]]
        assert (row["total_pnl"], row["realised_pnl"], row["unrealised_pnl"], row["fees"]) == (None, None, None, None)
        assert not key[2] or (row["quarantined"] and row["quantity"] is None)
    others = rows.keys() - set().union(*map(touched_by, fault.keys))
    assert {about: rows[about] for about in others} == {about: expected[about] for about in others}
    engine.check()


@for_each_fault()
def test_a_repair_makes_everything_as_a_start_would_and_clears_the_list(fault: Planted) -> None:
    engine = sound_engine()
    fault.plant(engine)
    audit_once(engine)
    repair(engine, *fault.keys)
    assert engine.snapshot.counts.quarantined == 0
    assert engine.snapshot.keys_set_aside() == []
    assert all_rows(engine.snapshot) == sound()[1]
    assert_same(engine.snapshot, sound()[0])
    assert audit_once(engine) == []
    engine.check()


@for_each_fault()
def test_a_repair_heals_a_fault_that_nobody_has_set_aside(fault: Planted) -> None:
    engine = sound_engine()
    fault.plant(engine)
    engine.publish(NOON)
    if fault.says != "does not stand":  # of a trade that stands nowhere only the self-audit knows
        repair(engine, *fault.keys)
        assert_same(engine.snapshot, sound()[0])
        assert audit_once(engine) == []


# What a key that was set aside does


def set_aside(engine: Engine, *keys: Key) -> None:
    for key in keys:
        assert engine.set_aside_key(key, "I1: planted", NOON)
    engine.publish(NOON)


def test_parents_leave_a_key_out_and_count_it() -> None:
    engine = sound_engine()
    before = all_rows(engine.snapshot)
    set_aside(engine, FX1)
    rows = all_rows(engine.snapshot)
    for name in ("FX1", "G10", "FX", "ALL"):
        assert (rows["node", name]["quarantined_count"], rows["node", name]["unpriced_count"]) == (1, 1)
        assert rows["node", name]["position_count"] == before["node", name]["position_count"]
        assert rows["node", name]["trade_count"] == before["node", name]["trade_count"]
    assert rows["node", "FX1"]["total_pnl"] is None, "nothing below it is known"
    gone = before[FX1]["total_pnl"]
    for name in ("G10", "FX", "ALL"):
        assert rows["node", name]["total_pnl"] == pytest.approx(before["node", name]["total_pnl"] - gone, rel=1e-12)
        netted = rows["node", name, "EURUSD"]
        assert netted["quarantined"]
        assert netted["quantity"] == before["node", name, "EURUSD"]["quantity"] - before[FX1]["quantity"]
    assert rows["dealer", "ann"] == before["dealer", "ann"]
    assert rows[ANN] == before[ANN]


def test_a_trade_for_a_key_that_was_set_aside_is_applied_and_shows_no_amounts() -> None:
    engine = sound_engine()
    set_aside(engine, FX1)
    before = all_rows(engine.snapshot)
    outcomes = engine.apply([trade("t60", ts=NOON + SECOND), trade("t60", ts=NOON + SECOND), cancel("t1")], NOON)
    assert [outcome.status for outcome in outcomes] == ["applied", "duplicate", "applied"]
    engine.publish(NOON)
    rows = all_rows(engine.snapshot)
    assert rows[FX1] == before[FX1] | {"last_trade_ts": NOON + SECOND}
    assert rows["node", "ALL"]["total_pnl"] == before["node", "ALL"]["total_pnl"]
    assert rows[ANN]["trade_count"] == before[ANN]["trade_count"], "one more, one less"
    assert audit_once(engine) == []
    engine.check()


def test_all_trades_of_a_key_that_was_set_aside_may_be_cancelled() -> None:
    engine = sound_engine()
    set_aside(engine, FX1)
    engine.apply([cancel("t1"), cancel("t2"), cancel("t3")], NOON)
    engine.publish(NOON)
    row = all_rows(engine.snapshot)[FX1]
    assert (row["quarantined"], row["trade_count"], row["quantity"]) == (True, 0, None)
    assert node_rows(engine.snapshot)[0]["quarantined_count"] == 1
    engine.check()


def test_a_trade_moves_out_of_a_key_that_was_set_aside_and_back() -> None:
    engine = sound_engine()
    set_aside(engine, FX1)
    plain: dict[str, Any] = {"action": "amend", "quantity": "100", "price": "1.1"}
    engine.apply([trade("t1", version=2, desk="EQ1", **plain), trade("t1", version=3, desk="FX1", **plain)], NOON)
    engine.publish(NOON)
    assert sorted(one.trade_id for one in faults.position(engine, FX1).trades) == ["t1", "t2", "t3"]
    engine.check()


def test_a_key_is_listed_once_however_often_it_is_set_aside() -> None:
    engine = sound_engine()
    set_aside(engine, FX1)
    assert not engine.set_aside_key(FX1, "I3: again", NOON)
    engine.publish(NOON)
    [item] = engine.snapshot.exceptions["quarantined"]
    assert (item.reason, item.detail) == ("I1: planted", {"rollup": "node", "owner": "FX1", "instrument": "EURUSD"})


def test_a_repair_of_another_key_does_not_clear_one_that_was_set_aside() -> None:
    """A trade moves there: the rest of what stands there has not been compared with the store."""
    engine = sound_engine()
    set_aside(engine, FX1)
    moved = trade("t4", desk="FX1", dealer="bob", quantity="10", price="1.25", ts=NOON + 3)
    engine.repair([("node", "FX2", "EURUSD")], [moved], NOON)
    engine.publish(NOON)
    assert all_rows(engine.snapshot)[FX1]["quarantined"]
    assert engine.snapshot.keys_set_aside() == [FX1]
    assert sorted(one.trade_id for one in faults.position(engine, FX1).trades) == ["t1", "t2", "t3", "t4"]
    engine.check()


def test_what_was_set_aside_is_asked_for_as_before() -> None:
    engine = sound_engine()
    expected = engine.trades_of([FX1])
    set_aside(engine, FX1)
    assert engine.trades_of([FX1]) == expected


def test_a_position_in_a_currency_without_a_rate_counts_once() -> None:
    engine = sound_engine()
    engine.apply([trade("i1", desk="EQ1", instrument="MAREL", quantity="5", price="400")], NOON)
    engine.publish(NOON)
    key = ("node", "EQ1", "MAREL")
    set_aside(engine, key)
    row = all_rows(engine.snapshot)["node", "EQ1"]
    assert (row["unpriced_count"], row["quarantined_count"], row["position_count"]) == (1, 1, 2)
    assert row["total_pnl"] is not None
