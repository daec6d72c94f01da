"""The entries that a store writes into its audit trail, and in which transaction."""

import json
from typing import Any

import pytest

from riskengine.errors import LeaseHeld, StoreError
from riskengine.records.types import Close, Node, Opening, Trade, Verdict
from riskengine.store.audit_chain import AuditEntry, AuditEvent, AuditFilter, rows_detail
from riskengine.store.audit_trail import MAX_ROWS, command_line_actor, stored_rows
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.trade_rows import row_values
from tests.store_book import INSTRUMENTS, NODES, TS, Outside, cancel, trade

EVERYTHING = AuditFilter()


def entries(store: Store, kind: str | None = None, **wanted: Any) -> list[AuditEntry]:
    return store.audit_entries(AuditFilter(kind=kind, **wanted), 1_000)


def covered(store: Store) -> list[list[int]]:
    """The rows of each entry about trades."""
    return [rows_detail(entry.detail).store_seqs for entry in entries(store, "trades")]


def clean(store: Store) -> None:
    report = store.verify_audit()
    assert (report.findings, report.unrecorded) == ([], 0)


# -- trades --------------------------------------------------------------------------------------------------------


def test_a_batch_of_trades_is_one_entry(store: Store) -> None:
    store.append_trades([trade("A"), trade("B")])
    store.append_trades([trade("C")])
    assert covered(store) == [[1, 2], [3]]
    clean(store)


def test_what_was_stored_already_is_not_recorded_again(store: Store) -> None:
    [first] = store.append_trades([trade("A")])
    _, new = store.append_trades([trade("A"), trade("B")])
    store.append_trades([trade("A"), trade("B")])
    assert covered(store) == [[first.store_seq], [new.store_seq]]
    clean(store)


def test_a_trade_that_is_kept_apart_is_not_recorded_as_accepted(store: Store) -> None:
    store.append_trades([trade("A")])
    store.append_trades([trade("A", price="2")])
    assert len(covered(store)) == 1
    clean(store)


def test_an_entry_names_who_stored_the_trades(store_url: str, store: Store) -> None:
    store.append_trades([trade("A")])
    store.close()
    engine = open_store(store_url)
    engine.acquire_writer("test")
    engine.append_trades([trade("B")])
    assert [entry.actor for entry in entries(engine, "trades")] == [command_line_actor(), "engine"]
    engine.close()


def test_a_batch_that_fails_leaves_no_entry(store: Store, outside: Outside) -> None:
    before = entries(store)
    with pytest.raises(StoreError):
        store.append_trades([trade("A"), spoiled()])
    assert entries(store) == before
    clean(store)


def spoiled() -> Trade:
    """A trade that every database refuses: its number is too large."""
    good = trade("B")
    values = {field: getattr(good, field) for field in good.__struct_fields__}
    return Trade(**(values | {"leg": -1}))


TRICKY = [
    trade("plain"),
    cancel("gone"),
    trade("fine", price="0.0000000001", quantity="0.01"),
    trade("zero", price="0"),
    trade("big", quantity="999999999999999"),
    trade("contra", contra_amount="1084200.5"),
    trade("fees", fees="-12.5"),
    trade('q"uo\\te,{}', dealer="Zoë 你好 🙂"),
    trade("numbered", legs=2, source_seq=9, fees_currency="EUR"),
    trade("dates", value_date="2026-11-25", trade_date="2026-11-21"),
    trade("late", booked_ts=TS + 7, version=3, leg=4, action="amend", side="sell"),
    trade("attributed", counterparty="Zoë & Co", comment='two\nlines, "quoted" \\ {x}', order_id="9"),
]


def test_a_row_reads_back_as_it_was_hashed_when_it_was_written(store: Store) -> None:
    """The store makes the hash from the trade, without reading the row back: both must agree."""
    stored = store.append_trades(TRICKY)
    rows = store._read(stored_rows, [one.store_seq for one in stored])  # type: ignore[attr-defined]
    assert [rows[one.store_seq] for one in stored] == [row_values(each) for each in TRICKY]
    clean(store)


def test_a_long_batch_is_several_entries(store: Store) -> None:
    store.append_trades([trade(f"T{number}") for number in range(MAX_ROWS + 1)])
    assert [len(rows) for rows in covered(store)] == [MAX_ROWS, 1]
    clean(store)


# -- reference data, actions, starts ---------------------------------------------------------------------------------


def records(entry: AuditEntry) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(entry.detail)["records"]
    return found


def test_reference_data_is_recorded_with_its_records(store: Store) -> None:
    assert [records(entry) for entry in entries(store, "nodes")] == [[[n.node, n.level, n.parent] for n in NODES]]
    [instruments] = entries(store, "instruments")
    assert [record[0] for record in records(instruments)] == [each.instrument for each in INSTRUMENTS]
    opening = Opening(
        desk="FX1", dealer="", instrument="EURUSD", ts=TS, quantity=15 * 10**9, average_price=10**10, realised=0, fees=0
    )
    store.save_openings([opening])
    [entry] = entries(store, "openings")
    assert records(entry) == [["FX1", "", "EURUSD", TS, "1.5", "1", "0", "0"]]
    store.save_closes([Close("2026-11-20", "EURUSD", 1.0842)])
    [entry] = entries(store, "closes")
    assert records(entry) == [["2026-11-20", "EURUSD", 1.0842]]
    clean(store)


def test_only_what_changes_is_recorded(store: Store) -> None:
    store.save_nodes([*NODES, Node("FX3", "desk", "Total")])
    store.save_nodes([Node("FX3", "branch", "Total")])
    store.save_nodes([Node("FX3", "branch", "Total")])
    assert [records(entry) for entry in entries(store, "nodes")][1:] == [[["FX3", "desk", "Total"]], [["FX3", "branch", "Total"]]]
    clean(store)


def test_many_records_are_several_entries(store: Store) -> None:
    store.save_nodes([Node(f"N{number}", "desk", "Total") for number in range(1_001)])
    assert [len(records(entry)) for entry in entries(store, "nodes")][1:] == [500, 500, 1]
    clean(store)


def test_actions_are_recorded_in_order(store: Store) -> None:
    store.record([AuditEvent("repair", "FX1", {"keys": 2}, "ann"), AuditEvent("comment", "break 7", {}, "bob")])
    said = [(entry.kind, entry.subject, entry.detail, entry.actor) for entry in entries(store)[-2:]]
    assert said == [("repair", "FX1", '{"keys":2}', "ann"), ("comment", "break 7", "{}", "bob")]
    clean(store)


def test_every_epoch_has_its_entry(store: Store) -> None:
    store.acquire_writer("test")
    store.next_epoch()
    store.next_epoch(above=7)
    said = [json.loads(entry.detail) for entry in entries(store, "epoch")]
    assert said == [{"epoch": 1, "after": 0}, {"epoch": 8, "after": 1}]
    clean(store)


def test_a_writer_whose_time_is_over_records_nothing(store_url: str, store: Store) -> None:
    store.acquire_writer("test")
    store.next_epoch()
    other = Outside(store_url)
    other.book(trade_id="B1")
    other.execute("UPDATE meta SET value = '9' WHERE key = 'writer_epoch'")
    other.close()
    before = entries(store)
    for write in (
        lambda: store.append_trades([trade("A")]),
        lambda: store.record([AuditEvent("x", "", {}, "ann")]),
        lambda: store.record_followed([1]),
        lambda: store.record_corrections([1], "ann", "why"),
    ):
        with pytest.raises(LeaseHeld):
            write()
    assert entries(store) == before


def test_an_accepted_conflict_is_recorded_with_what_it_replaced(store: Store) -> None:
    store.append_trades([trade("A")])
    store.append_trades([trade("A", price="2")])
    store.save_verdict(Verdict("conflict:1", "accept", "they rang", "ann", TS), trade("A", price="2"))
    correction, verdict = entries(store)[-2:]
    assert (correction.kind, correction.actor, correction.first_store_seq) == ("correction", "ann", 1)
    said = json.loads(verdict.detail)
    assert (verdict.subject, said["verdict"], said["comment"], said["replaced"]["price"]) == (
        "conflict:1",
        "accept",
        "they rang",
        "1.0842",
    )
    clean(store)


# -- rows of others ------------------------------------------------------------------------------------------------


def test_rows_of_others_wait_until_they_are_recorded(store: Store, outside: Outside) -> None:
    store.append_trades([trade("A")])
    outside.book(trade_id="B1")
    assert store.unrecorded(0, 9, 100) == ([2], 9)
    assert (store.verify_audit().unrecorded, store.verify_audit().findings) == (1, [])
    assert store.record_followed([1, 2, 3]) == 1
    assert [entry.actor for entry in entries(store, "trades")] == [command_line_actor(), "followed"]
    assert store.unrecorded(0, 9, 100) == ([], 9)
    clean(store)


def test_a_row_is_recorded_once(store: Store, outside: Outside) -> None:
    outside.book(trade_id="B1")
    assert [store.record_followed([1]), store.record_followed([1])] == [1, 0]
    assert covered(store) == [[1]]


def test_what_is_not_recorded_is_found_page_by_page(store: Store, outside: Outside) -> None:
    for number in range(3):
        outside.book(trade_id=f"B{number}")
        store.append_trades([trade(f"A{number}")])
    pages, after = [], 0
    while after < 6:
        found, after = store.unrecorded(after, 6, 4)
        pages.append((found, after))
    assert pages == [([1, 3], 4), ([5], 6)]


def test_rows_in_between_are_told_apart_from_those_of_an_entry(store: Store, outside: Outside) -> None:
    """The rows of an entry may have gaps: on PostgreSQL a trade that is stored already uses up a number."""
    for number in range(5):
        outside.book(trade_id=f"B{number}")
    store.record_followed([1, 3, 5])
    assert store.unrecorded(0, 5, 100)[0] == [2, 4]
    store.record_followed([1, 2, 3, 4, 5])
    assert covered(store) == [[1, 3, 5], [2, 4]]
    clean(store)


def test_reference_data_that_others_changed_is_recorded_when_the_trail_catches_up(store: Store, outside: Outside) -> None:
    outside.execute("UPDATE instruments SET sector = 'G10' WHERE instrument = 'EURUSD'")
    outside.execute("INSERT INTO nodes (node, level, parent) VALUES ('FX9', 'desk', 'Total')")
    outside.execute("DELETE FROM nodes WHERE node = 'FX2'")
    report = store.verify_audit()
    assert sorted(finding.what for finding in report.findings) == [
        "recorded instruments 'EURUSD', which was edited since",
        "recorded nodes 'FX2', which is gone",
    ]
    assert report.unrecorded == 1
    store.record_caught_up(*store.audit_horizon())
    followed = [(entry.kind, json.loads(entry.detail)) for entry in entries(store) if entry.actor == "followed"]
    assert [(kind, [record[0] for record in said["records"]], said.get("gone")) for kind, said in followed] == [
        ("nodes", ["FX9"], None),
        ("nodes", [], [["FX2"]]),
        ("instruments", ["EURUSD"], None),
    ]
    clean(store)


def test_catching_up_again_records_no_reference_data_twice(store: Store) -> None:
    store.record_caught_up(*store.audit_horizon())
    before = len(entries(store))
    store.record_caught_up(*store.audit_horizon())
    assert len(entries(store)) == before + 1


# -- corrections ---------------------------------------------------------------------------------------------------


def test_a_row_that_somebody_answers_for_is_as_recorded(store: Store, outside: Outside) -> None:
    store.append_trades([trade("A"), trade("B"), trade("C")])
    outside.execute("UPDATE trades SET price = '2' WHERE store_seq = 2")
    outside.execute("DELETE FROM trades WHERE store_seq = 3")
    assert len(store.verify_audit().findings) == 2
    store.record_corrections([2, 3], "ann", "the booking system was right")
    [entry] = entries(store, "correction")
    assert (entry.actor, json.loads(entry.detail)["reason"]) == ("ann", "the booking system was right")
    clean(store)


def test_after_a_correction_another_edit_is_found_again(store: Store, outside: Outside) -> None:
    store.append_trades([trade("A"), trade("B")])
    outside.execute("UPDATE trades SET price = '2' WHERE store_seq = 1")
    outside.execute("DELETE FROM trades WHERE store_seq = 2")
    store.record_corrections([1, 2], "ann", "")
    outside.execute("UPDATE trades SET price = '3' WHERE store_seq = 1")
    assert [finding.store_seq for finding in store.verify_audit().findings] == [1]


# -- searching -----------------------------------------------------------------------------------------------------


def kinds(store: Store, limit: int = 1_000, **wanted: Any) -> list[tuple[str, int | None]]:
    return [(entry.kind, entry.first_store_seq) for entry in store.audit_entries(AuditFilter(**wanted), limit)]


def test_entries_come_oldest_first_and_the_newest_are_kept(store: Store) -> None:
    for number in range(4):
        store.append_trades([trade(f"T{number}")])
    assert kinds(store, 2) == [("trades", 3), ("trades", 4)]


def test_entries_are_found_by_kind_and_time(store: Store) -> None:
    store.append_trades([trade("A")])
    nodes, instruments, _ = store.audit_entries(EVERYTHING, 9)
    assert kinds(store, kind="nodes") == [("nodes", None)]
    assert kinds(store, since_ts=instruments.ts) == [("instruments", None), ("trades", 1)]
    assert kinds(store, until_ts=instruments.ts) == [("nodes", None)]
    assert nodes.ts < instruments.ts


@pytest.mark.parametrize("name", ["A", "api:A", "api:A:0", "A:0"])
def test_entries_are_found_by_trade(store: Store, outside: Outside, name: str) -> None:
    store.append_trades([trade("B")])
    store.append_trades([trade("A"), trade("C")])
    store.append_trades([trade("A", version=2, action="amend")])
    outside.execute("UPDATE trades SET price = '2' WHERE store_seq = 2")
    store.record_corrections([2], "ann", "")
    store.record([AuditEvent("comment", "api:A:0", {}, "ann"), AuditEvent("comment", "api:B:0", {}, "ann")])
    expected = [("trades", 2), ("trades", 4), ("correction", 2), ("comment", None)]
    assert kinds(store, trade=name) == (expected if name != "A:0" else [])


def test_an_id_may_hold_colons_itself(store: Store) -> None:
    store.append_trades([trade("A")])
    store.append_trades([trade("x:A:0", leg=2)])
    assert kinds(store, trade="x:A:0") == [("trades", 2)]
    assert kinds(store, trade="api:x:A:0:2") == [("trades", 2)]


def test_entries_are_found_by_node(store: Store) -> None:
    store.append_trades([trade("A", desk="FX1")])
    store.append_trades([trade("B", desk="FX2")])
    store.append_trades([cancel("A")])
    store.save_nodes([Node("FX3", "desk", "Total")])
    store.record([AuditEvent("repair", "FX1", {}, "ann")])
    about = kinds(store, node="FX1", desks=["FX1"])
    assert about == [("nodes", None), ("trades", 1), ("trades", 3), ("repair", None)], "a cancel belongs where its trade was"
    assert kinds(store, node="FX3", desks=["FX3"]) == [("nodes", None)]


# -- cursors -------------------------------------------------------------------------------------------------------


def cursors(store: Store) -> dict[str, int]:
    return {source: state.came.highest for source, state in store.feeds().items()}


def test_a_cursor_is_the_highest_number_that_was_stored(store: Store) -> None:
    store.append_trades(
        [trade("A", source_seq=7), trade("B", source_seq=5), trade("C", source="other", source_seq=2), trade("D")]
    )
    assert cursors(store) == {"api": 7, "other": 2}
    store.append_trades([trade("E", source_seq=6)])
    assert cursors(store) == {"api": 7, "other": 2}


def test_a_batch_that_fails_leaves_the_cursors_where_they_were(store: Store) -> None:
    store.append_trades([trade("A", source_seq=7)])
    with pytest.raises(StoreError):
        store.append_trades([trade("C", source_seq=8), spoiled()])
    assert cursors(store) == {"api": 7}


def test_what_is_sent_again_or_kept_apart_has_come_too(store: Store) -> None:
    store.append_trades([trade("A", source_seq=7)])
    store.append_trades([trade("A", source_seq=7)])
    store.append_trades([trade("A", source_seq=9, price="2")])
    assert cursors(store) == {"api": 9}


def test_rows_of_others_move_the_cursor_when_they_are_recorded(store: Store, outside: Outside) -> None:
    outside.book(trade_id="B1", source="booking", source_seq=4)
    assert cursors(store) == {}
    store.record_followed([1])
    assert cursors(store) == {"booking": 4}
