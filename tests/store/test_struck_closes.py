"""Struck closes on both databases: exact, never rewritten, read in parts; and the prices that the roll needs until then."""

import pytest

from riskengine.errors import LeaseHeld, StoreCorrupt, StoreError
from riskengine.records.closes import ClosePrice
from riskengine.records.types import Close, StoredMark
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import Saved
from riskengine.store.tables.closed_columns import CHUNK_ROWS
from riskengine.store.tables.struck_closes import pack_close
from tests.store_book import Outside
from tests.struck import a_close, a_large_close, same_close


def test_a_close_comes_back_exactly_with_each_of_its_versions(store: Store):
    first = a_close()
    second = a_close(version=2, prices={**first.prices, "ESZ6": ClosePrice(6_801.0, first.ts, "close", True)})
    store.save_struck_close(first)
    assert store.struck_close_dates() == {"2026-12-01": 1}
    store.save_struck_close(pack_close(second))
    store.save_struck_close(a_close("2026-11-30"))
    assert list(store.struck_close_dates().items()) == [("2026-11-30", 1), ("2026-12-01", 2)]
    assert same_close(store.struck_close("2026-12-01", 1), first) and same_close(store.struck_close("2026-12-01"), second)
    header = store.struck_close_header("2026-12-01")
    assert header is not None and header.prices == second.prices and (header.version, header.ts) == (2, first.ts)
    assert store.struck_close("2026-12-02") is None and store.struck_close_header("2026-12-01", 3) is None


def test_a_version_that_is_stored_is_never_rewritten(store: Store):
    store.save_struck_close(a_close())
    with pytest.raises(StoreError, match="never rewritten"):
        store.save_struck_close(a_close(rates={"USD": 1.0}))
    assert same_close(store.struck_close("2026-12-01"), a_close())
    with pytest.raises(ValueError, match="not sorted"):
        store.save_struck_close(a_close("2026-12-02", nodes=a_close().nodes[::-1]))


def test_a_version_with_the_same_positions_takes_no_room_for_them(store: Store, outside: Outside):
    store.save_struck_close(a_close())
    store.save_struck_close(a_close(version=2, prices={}))
    assert outside.execute("SELECT count(*) FROM close_chunks") == [(2,)]
    assert store.closed_positions("2026-12-01", 2, "node") == list(a_close().nodes)


def test_the_positions_of_some_owners_are_read_without_the_rest(store: Store, outside: Outside):
    close = a_large_close("2026-12-01", 3 * CHUNK_ROWS, 100)
    packed = pack_close(close)
    store.save_close_chunks(packed.chunks[:2])
    store.save_struck_close(packed)
    assert same_close(store.struck_close("2026-12-01"), close)
    wanted = ["ACC00001", "ACC00099", "nobody"]
    expected = [each for each in close.nodes if each.owner in wanted]
    assert store.closed_positions("2026-12-01", 1, "node", wanted) == expected
    assert store.closed_positions("2026-12-01", 1, "dealer", ["dealer 0003"]) == [
        each for each in close.dealers if each.owner == "dealer 0003"
    ]
    assert store.closed_positions("2026-12-01", 1, "node", []) == store.closed_positions("2026-12-02", 1, "node") == []
    outside.execute(f"UPDATE closed_positions SET hash = '{packed.chunks[0].hash}' WHERE chunk = 1")
    assert store.closed_positions("2026-12-01", 1, "node", ["ACC00099"]) == [
        each for each in expected if each.owner == "ACC00099"
    ]


def test_a_year_of_one_owner_has_the_first_and_the_newest_version_of_each_date(store: Store):
    for version in (1, 2, 3):
        store.save_struck_close(a_close(version=version))
    store.save_struck_close(a_close("2026-11-30"))
    store.save_struck_close(a_close("2026-12-02", nodes=(), node_totals=a_close().dealer_totals))
    found = store.close_totals("node", "FX1", "2026-12-01")
    assert [(each.date, each.version) for each in found] == [("2026-12-01", 1), ("2026-12-01", 3)]
    totals = a_close().node_totals
    assert found[0].amounts["total_pnl"] == totals.amounts[0, 1] and found[0].amounts["year_pnl"] == totals.amounts[8, 1]
    assert store.close_totals("node", "Total", "2026-01-01")[0].amounts["day_pnl"] is None
    assert [each.date for each in store.close_totals("dealer", "ann ü", "2026-01-01")][:1] == ["2026-11-30"]


def test_a_close_is_in_the_audit_trail_and_the_trail_stays_sound(store: Store):
    store.save_struck_close(a_close())
    [entry] = store.audit_entries(AuditFilter(kind="close_struck"))
    assert entry.subject == "2026-12-01" and '"positions":5' in entry.detail and pack_close(a_close()).hash in entry.detail
    assert store.verify_audit().findings == []


def test_a_close_that_somebody_damaged_is_not_read_as_another(store: Store, outside: Outside):
    store.save_struck_close(a_close())
    outside.execute("UPDATE close_totals SET content = ?", (b"nonsense",))
    with pytest.raises(StoreCorrupt, match="restore a backup"):
        store.close_totals("node", "FX1", "2026-01-01")
    with pytest.raises(StoreCorrupt, match="version 1 of the close of 2026-12-01"):
        store.struck_close("2026-12-01")


@pytest.mark.parametrize("table", ["closed_positions", "close_totals"])
def test_a_close_of_which_somebody_deleted_a_part_is_not_read_as_a_smaller_one(store: Store, outside: Outside, table: str):
    store.save_struck_close(a_close())
    outside.execute(f"DELETE FROM {table} WHERE rollup = 'dealer'")
    with pytest.raises(StoreCorrupt, match="of it are gone"):
        store.struck_close("2026-12-01")


def test_a_close_whose_row_somebody_deleted_is_struck_again(store: Store, outside: Outside):
    store.save_struck_close(a_close())
    outside.execute("DELETE FROM struck_closes")
    again = a_close(nodes=a_close().nodes[:1])
    store.save_struck_close(again)
    assert same_close(store.struck_close("2026-12-01"), again)


def test_closing_marks_are_kept_until_their_day_is_struck(store: Store):
    marks = [StoredMark("BTCUSD", 5, 1.5, "a", "close"), StoredMark("EURUSD", 6, 1.1, "b", "one_sided")]
    store.save_closing_marks("2026-12-01", marks)
    store.save_closing_marks("2026-12-01", [StoredMark("EURUSD", 7, 1.2)])
    store.save_closing_marks("2026-12-02", marks)
    assert store.closing_marks("2026-12-01") == [marks[0], StoredMark("EURUSD", 7, 1.2)]
    store.save_struck_close(a_close("2026-12-01"))
    assert store.closing_marks("2026-12-01") == [] and store.closing_marks("2026-12-02") == marks


def test_a_writer_that_was_succeeded_strikes_nothing(store_url: str):
    first = open_store(store_url, writer="first")
    first.next_epoch()
    other = open_store(store_url)
    other._lease = object()  # type: ignore[attr-defined]
    other.next_epoch()
    for write in (
        lambda: first.save_struck_close(a_close()),
        lambda: first.save_close_chunks(pack_close(a_close()).chunks),
        lambda: first.save_closing_marks("2026-12-01", []),
        lambda: first.forget_closes_changed([]),
    ):
        with pytest.raises(LeaseHeld):
            write()
    assert other.struck_close_dates() == {}
    other._lease = None  # type: ignore[attr-defined]
    other.close()
    first.close()


def test_official_closes_that_anybody_writes_are_told_until_they_are_dealt_with(store: Store, outside: Outside):
    assert store.closes_changed() == [] and store.first_close_date("2026-01-01") is None
    close = Close("2026-11-20", "EURUSD", 1.1)
    assert store.save_closes([close]) == Saved(inserted=1)
    assert store.save_closes([Close("2026-11-20", "EURUSD", 1.2)]) == Saved(updated=1)
    assert store.save_closes([Close("2026-11-20", "EURUSD", 1.2)]) == Saved(duplicate=1)
    assert outside.execute("SELECT price, version FROM closes") == [(1.2, 2)]
    seen = store.closes_changed()
    assert {each.date for each in seen} == {"2026-11-20"}
    outside.execute("UPDATE closes SET price = 1.3")
    store.forget_closes_changed(seen)
    assert {each.date for each in store.closes_changed()} == {"2026-11-20"}
    store.forget_closes_changed(store.closes_changed())
    assert store.closes_changed() == []
    outside.execute("INSERT INTO closes (date, instrument, price) VALUES ('2026-11-19', 'BTCUSD', 5)")
    assert [each.date for each in store.closes_changed()] == ["2026-11-19"]
    assert store.first_close_date("2026-01-01") == "2026-11-19" and store.first_close_date("2026-11-20") == "2026-11-20"
