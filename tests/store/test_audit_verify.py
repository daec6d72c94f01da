"""`audit verify`: the finding for each kind of change, what no check inside the store can find, and several writers."""

import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from riskengine.records.types import NO_ATTRIBUTES
from riskengine.store.audit_chain import AuditEntry, Head, link
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store.recorded_day import AUDIT, Day
from tests.store_book import TS, Outside, new_store, trade


def test_an_untouched_day_is_clean(day: Day) -> None:
    report = day.verify()
    assert (report.findings, report.unrecorded, report.head) == ([], 0, day.head)
    assert (report.entries, report.trades) == (day.head.audit_seq, 24)


def test_an_edited_entry_is_named(day: Day) -> None:
    assert day.found(lambda: day.execute("UPDATE audit SET actor = 'nobody' WHERE audit_seq = 6")) == [
        "entry 6 was edited: its content does not match its hash"
    ]


def test_an_entry_that_was_edited_with_its_hash_is_named_by_the_next(day: Day) -> None:
    def spoil() -> None:
        entry = AuditEntry._make(day.execute(f"SELECT {', '.join(AUDIT)} FROM audit WHERE audit_seq = 6")[0])
        forged = link(entry._replace(actor="nobody"), Head(5, entry.previous_hash))
        day.execute("UPDATE audit SET actor = ?, hash = ? WHERE audit_seq = 6", forged.actor, forged.hash)

    assert day.found(spoil) == ["entry 7 does not follow entry 6: entries were removed, inserted, moved or rewritten here"]


def test_removed_entries_are_named(day: Day) -> None:
    """Their rows are then in no entry, although the trail states that all are."""
    assert day.found(lambda: day.execute("DELETE FROM audit WHERE audit_seq IN (7, 8)")) == [
        "entry 7 is missing, and so are all up to entry 8",
        f"entry {day.head.audit_seq - 1} says that all rows were recorded, but trade rows 6 to 7 are in no entry",
        f"entry {day.head.audit_seq - 1} says that all rows were recorded, but trade rows 9 to 15 are in no entry",
    ]


def test_a_tail_that_was_cut_off_is_found_by_the_stores_own_note(day: Day) -> None:
    last = day.head.audit_seq
    assert day.found(lambda: day.execute("DELETE FROM audit WHERE audit_seq = ?", last)) == [
        f"entry {last - 1} is the last one, but the store notes entry {last} as its newest: the end was cut or changed"
    ]


def cut(day: Day, keep: int) -> None:
    """Keep so many entries, and set back the note of the end in `meta`."""
    day.execute("DELETE FROM audit WHERE audit_seq > ?", keep)
    [(number, digest)] = day.execute("SELECT audit_seq, hash FROM audit ORDER BY audit_seq DESC LIMIT 1") or [(0, "")]
    day.execute("UPDATE meta SET value = ? WHERE key = 'audit_head'", f"{number} {digest}".removesuffix(" "))


def test_a_cut_that_takes_an_epoch_with_it_is_found_by_the_epoch(day: Day) -> None:
    said = "but no entry begins epoch '1': the trail is at epoch '0'"
    assert f"entry 2 is the last one, {said}" in day.found(lambda: cut(day, 2))
    assert f"the trail is empty, {said}" in day.found(lambda: cut(day, 0))


def test_a_cut_that_nothing_in_the_store_remembers_is_found_by_a_noted_head(day: Day) -> None:
    last = day.head.audit_seq
    assert day.found(lambda: cut(day, last - 1)) == [], "who can write everything can forget the last thing that was said"
    [said] = day.found(lambda: cut(day, last - 1), day.head.hash)
    assert said.startswith("no entry has the hash") and said.endswith("the trail was cut or rewritten since it was noted")


def test_a_noted_head_may_be_any_entry(day: Day) -> None:
    for number in (1, 5, day.head.audit_seq):
        [(digest,)] = day.execute("SELECT hash FROM audit WHERE audit_seq = ?", number)
        assert day.verify(digest).findings == []


@pytest.mark.parametrize("key", ["audit_head", "writer_epoch", "audit_from_epoch", "store_id"])
def test_what_the_store_notes_cannot_be_changed_unseen(day: Day, key: str) -> None:
    for value in ("5", "", "x 7", "12345 " + "ab" * 32):
        assert day.found(partial(day.execute, "UPDATE meta SET value = ? WHERE key = ?", value, key))
    assert day.found(lambda: day.execute("DELETE FROM meta WHERE key = ?", key))


def test_a_chain_of_another_store_is_found(day: Day) -> None:
    assert day.found(lambda: day.execute("UPDATE meta SET value = 'another' WHERE key = 'store_id'")) == [
        "entry 1 does not follow the beginning of this store: entries were removed, inserted, moved or rewritten here"
    ]


def test_an_edited_row_is_named_with_its_entry(day: Day) -> None:
    [said] = day.found(lambda: day.execute("UPDATE trades SET quantity = '5' WHERE store_seq = 7"))
    assert said == "entry 7 recorded trade row 7, which was edited since: 'api:T1-1:0 version 1'"


def test_removed_rows_are_named_as_ranges(day: Day) -> None:
    assert day.found(lambda: day.execute("DELETE FROM trades WHERE store_seq IN (11, 12, 13, 15)")) == [
        "entry 8 recorded trade rows 11 to 13, which are gone",
        "entry 8 recorded trade row 15, which is gone",
    ]


def test_rows_of_an_edited_entry_are_not_held_against_it(day: Day) -> None:
    """One finding for one change, not one for each row of the entry."""
    assert len(day.found(lambda: day.execute("UPDATE audit SET detail = '{}' WHERE audit_seq = 6"))) == 1


def stored_row(store_seq: int) -> list[Any]:
    """A row in no entry, with any number."""
    economics = ["new", TS, 0, "EURUSD", "FX1", "", "buy", "1", "2", "0", "", "", "", None, None, None, TS]
    return [store_seq, "api", "new", 0, 1, *economics, *NO_ATTRIBUTES]


def test_a_row_that_was_to_be_gone_and_is_there_is_named(day: Day) -> None:
    [said] = day.found(lambda: day.insert("trades", stored_row(8)))
    assert said.endswith("recorded trade row 8, as deleted, but it exists: 'api:new:0 version 1'")


def test_a_row_of_others_is_unrecorded_while_no_engine_has_said_that_it_had_seen_to_all(day: Day) -> None:
    row = stored_row(99)
    report = day.after(lambda: day.insert("trades", row))
    assert (report.unrecorded, report.findings) == (1, [])


def test_a_row_with_a_number_that_was_seen_to_is_a_finding_where_numbers_come_in_order(sqlite_day: Day) -> None:
    row = stored_row(0)
    [said] = sqlite_day.found(lambda: sqlite_day.insert("trades", row))
    assert said.endswith("says that all rows were recorded, but trade row 0 is in no entry")


def test_a_row_with_such_a_number_may_have_committed_late_where_numbers_come_before_the_commit(postgres_day: Day) -> None:
    report = postgres_day.after(lambda: postgres_day.insert("trades", stored_row(0)))
    assert (report.unrecorded, report.findings) == (1, [])


def test_a_row_that_is_recorded_again_beside_the_chain_of_corrections_is_named(day: Day) -> None:
    """Otherwise a second entry could hide an edit."""

    def spoil() -> None:
        [(detail,)] = day.execute("SELECT detail FROM audit WHERE audit_seq = 7")
        again = link(AuditEntry(0, TS, "engine", "trades", "", 6, 10, 5, "", "", detail), day.head)
        day.insert("audit", again)
        day.execute("UPDATE meta SET value = ? WHERE key = 'audit_head'", f"{again.audit_seq} {again.hash}")

    assert day.found(spoil)[0] == f"entry {day.head.audit_seq + 1} records trade row 6 again, after entry 7"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE instruments SET multiplier = '2' WHERE instrument = 'ESZ6'", "instruments 'ESZ6', which was edited since"),
        ("UPDATE nodes SET level = 'x' WHERE node = 'FX1'", "nodes 'FX1', which was edited since"),
        ("DELETE FROM nodes WHERE node = 'FX1'", "nodes 'FX1', which is gone"),
        ("UPDATE openings SET realised = '1'", "openings 'FX1', '', 'EURUSD', which was edited since"),
        ("UPDATE closes SET price = 1.0843", "closes '2026-11-20', 'EURUSD', which was edited since"),
    ],
)
def test_reference_data_that_was_changed_beside_the_trail_is_named(day: Day, statement: str, said: str) -> None:
    found = day.found(lambda: day.execute(statement))
    assert [line.split(" recorded ")[1] for line in found] == [said]


# -- several writers -------------------------------------------------------------------------------------------------

WRITE = """
import sys
from riskengine.store.open_store import open_store
from tests.store_book import trade
store = open_store(sys.argv[1])
for batch in range(25):
    store.append_trades([trade(f"{sys.argv[2]}-{batch}-{number}") for number in range(4)])
store.close()
"""


def test_programs_that_write_at_once_extend_one_chain(store_url: str) -> None:
    new_store(store_url).close()
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, store_url, name]) for name in ("A", "B")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = open_store(store_url)
    report = store.verify_audit()
    assert (report.findings, report.unrecorded, report.entries, report.trades) == ([], 0, 52, 200)
    store.close()


def trail(store: Store) -> list[str]:
    return [str(finding) for finding in store.verify_audit().findings]


def test_who_writes_on_after_the_end_was_cut_leaves_the_gap_to_be_seen(store: Store) -> None:
    store.append_trades([trade("A")])
    store._write_connection().execute("DELETE FROM audit WHERE audit_seq = 3")  # type: ignore[attr-defined]
    store.append_trades([trade("B")])
    assert trail(store) == ["entry 3 is missing"]


@pytest.mark.parametrize("value", [None, "", "nonsense", "1 " + "ab" * 32])
def test_a_note_of_the_head_that_is_lost_spoiled_or_set_back_stops_nobody(
    store: Store, outside: Outside, value: str | None
) -> None:
    """The chain goes on from the table: the store must not refuse trades for it."""
    store.append_trades([trade("A")])
    if value is None:
        outside.execute("DELETE FROM meta WHERE key = 'audit_head'")
    else:
        outside.execute("UPDATE meta SET value = ? WHERE key = 'audit_head'", [value])
    store.append_trades([trade("B")])
    assert trail(store) == []
