"""A store keeps records and answers queries, the same on both databases."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.errors import StoreError, StoreUnavailable
from riskengine.records.types import Close, Instrument, Kind, Node, Notice, Opening, Refusal, StoredMark
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.results import Bookmark, Saved, Stored, TradeFilter
from riskengine.store.sqlite import trades as sqlite_trades
from riskengine.store.sqlite.connection import connect
from riskengine.store.trade_rows import RefusedRow, replay
from tests.store_book import CHECK, INSTRUMENTS, NODES, TS, Outside, cancel, new_store, trade


def ids(store: Store, limit: int = 100, **wanted: Any) -> list[str]:
    rows, _ = store.select_trades(TradeFilter(**wanted), limit)
    return [f"{row.trade_id}/{row.version}" for row in rows]


# -- appending ---------------------------------------------------------------------------------------------------


def test_what_was_appended_is_replayed_equal_and_in_order_after_a_restart(store: Store, store_url: str) -> None:
    batch = [
        trade("T1", fees=Decimal("12.5"), fees_currency="EUR", dealer="ann", value_date="2026-11-23"),
        trade("T2", instrument="BTCUSD", quantity=Decimal("0.0000000001"), price=Decimal("60000.0123456789")),
        trade("T3", instrument="ESZ6", side="sell", quantity=Decimal(3), price=Decimal(-1), contra_amount=Decimal(-7)),
        cancel("T1"),
    ]
    assert store.append_trades(batch) == [Stored(seq, "inserted") for seq in (1, 2, 3, 4)]
    store.close()
    again = open_store(store_url)
    assert list(replay(again.trades_after(0), CHECK)) == list(enumerate(batch, 1))
    assert again.watermark() == 4 and again.counts().trades == 4
    again.close()


def test_a_batch_says_of_each_trade_whether_it_was_new_known_or_in_conflict(store: Store) -> None:
    first = store.append_trades([trade("T1"), trade("T2")])
    results = store.append_trades([trade("T3"), trade("T1"), trade("T2", price=Decimal(9)), trade("T4"), trade("T4")])
    assert first == [Stored(1, "inserted"), Stored(2, "inserted")]
    assert [result.outcome for result in results] == ["inserted", "existing", "conflict", "inserted", "existing"]
    assert [result.store_seq for result in results[1:3]] == [1, 2]
    assert results[3].store_seq == results[4].store_seq
    seqs = {row.trade_id: row.store_seq for row in store.trades_after(0)}
    assert seqs == {"T1": 1, "T2": 2, "T3": results[0].store_seq, "T4": results[3].store_seq}


def test_a_conflict_leaves_the_first_version_and_is_kept_once(store: Store) -> None:
    other = trade("T1", price=Decimal(2))
    store.append_trades([trade("T1"), other])
    for _ in range(3):
        assert store.append_trades([other]) == [Stored(1, "conflict")]
    store.append_trades([trade("T1", price=Decimal(3)), cancel("T1", version=1)])
    found = store.conflicts()
    assert [(each.row.price, each.row.action, each.row.store_seq) for each in found] == [
        (None, "cancel", 1),
        ("3", "new", 1),
        ("2", "new", 1),
    ]
    assert [row.price for row in store.trades_after(0)] == ["1.0842"]
    assert store.append_trades([trade("T1")]) == [Stored(1, "existing")]


def test_only_booked_ts_may_differ_in_a_repeat_and_numbers_compare_by_value(store: Store, outside: Outside) -> None:
    store.append_trades([trade("T1", booked_ts=TS)])
    assert store.append_trades([trade("T1", booked_ts=TS + 1)])[0].outcome == "existing"
    outside.book(trade_id="B1", source="api", quantity="1.00", price="2.50", fees=None)
    same = {"quantity": Decimal(1), "price": Decimal("2.5")}
    assert store.append_trades([trade("B1", **same)])[0].outcome == "existing"
    assert store.append_trades([trade("B1", **same, fees_currency="EUR")])[0].outcome == "conflict"
    assert store.append_trades([trade("B1", **same, legs=2)])[0].outcome == "conflict"


def test_a_batch_that_fails_leaves_nothing_behind(store: Store) -> None:
    broken = msgspec.structs.replace(trade("T2"), side="hold")
    with pytest.raises(StoreError, match="side_is_known"):
        store.append_trades([trade("T1"), broken])
    assert store.counts().trades == 0
    assert store.append_trades([trade("T1")])[0].outcome == "inserted"


class WithoutRollback:
    """A connection to SQLite that cannot roll back, as where the disk fails at that moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, *values)


@pytest.fixture
def without_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A SQLite store whose connections cannot roll back."""
    monkeypatch.setattr("riskengine.store.sqlite.store.connect", lambda *how: WithoutRollback(connect(*how)))
    store = new_store(f"sqlite:///{tmp_path / 'desk.db'}")
    yield store
    store.close()


def test_a_batch_that_fails_and_cannot_be_rolled_back_leaves_no_transaction_open(
    without_rollback: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sqlite_trades, "append", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            without_rollback.append_trades([trade("T1")])
    assert without_rollback.append_trades([trade("T2")])[0].outcome == "inserted"
    assert ids(without_rollback) == ["T2/1"]


def test_a_read_that_cannot_be_ended_leaves_no_transaction_open(without_rollback: Store) -> None:
    assert without_rollback.watermark() == 0
    without_rollback.append_trades([trade("T1")])
    assert without_rollback.watermark() == 1


def test_a_locked_store_is_unavailable_and_comes_back_by_itself(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.store.sqlite.connection.BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr("riskengine.store.postgres.connection.LOCK_TIMEOUT_MS", 50)
    store = new_store(store_url)
    other = Outside(store_url)
    other.execute("BEGIN" if other.is_postgres else "BEGIN IMMEDIATE")
    if other.is_postgres:
        other.execute("LOCK TABLE trades, meta IN SHARE MODE")
    with pytest.raises(StoreUnavailable, match="is locked by another program"):
        store.append_trades([trade()])
    assert not store.is_writable()
    assert store.watermark() == 0, "readers do not wait"
    other.execute("ROLLBACK")
    assert store.is_writable()
    assert store.append_trades([trade()])[0].outcome == "inserted"
    other.close()
    store.close()


def test_a_full_disk_is_unavailable_loses_nothing_and_comes_back(tmp_path: Path) -> None:
    store = new_store(tmp_path / "engine.db")
    store.append_trades([trade("T0")])
    writer = store._writer  # type: ignore[attr-defined]
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        store.append_trades([trade(f"T{number}") for number in range(1, 2_000)])
    assert store.counts().trades == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert len(store.append_trades([trade(f"T{number}") for number in range(1, 2_000)])) == 1_999
    store.close()


def test_only_one_thread_writes_until_it_hands_over(store: Store) -> None:
    caught: list[BaseException | None] = []

    def write() -> None:
        try:
            store.append_trades([trade()])
            caught.append(None)
        except BaseException as error:
            caught.append(error)

    for _ in range(2):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        store.hand_over()
    assert isinstance(caught[0], AssertionError) and caught[1] is None


# -- rows that others write --------------------------------------------------------------------------------------


def test_a_booking_system_writes_what_it_knows_and_the_rest_takes_its_default(store: Store, outside: Outside) -> None:
    outside.book(dealer=None, leg=None, source=None)
    (row,) = store.trades_after(0)
    assert (row.source, row.leg, row.version, row.action, row.dealer, row.fees) == ("file", 0, 1, "new", "", "0")
    assert row.received_ts > TS - 10**15
    ((seq, found),) = replay([row], CHECK)
    told = trade("B1", source="file", quantity=Decimal(1), price=Decimal(2))
    assert (seq, found) == (1, msgspec.structs.replace(told, received_ts=row.received_ts))


@pytest.mark.parametrize(
    "columns",
    [
        {"side": "hold"},
        {"action": "change"},
        {"ts": "noon"},
        {"ts": None},
        {"quantity": None},
        {"version": 0},
        {"trade_id": ""},
        {"trade_id": "x" * 129},
        {"leg": 1.5},
        {"instrument": None},
    ],
)
def test_the_schema_refuses_a_row_without_the_shape_of_a_trade(store: Store, outside: Outside, columns: dict[str, Any]) -> None:
    with pytest.raises(outside.refused):
        outside.book(**columns)


def test_a_row_that_does_not_fit_the_reference_data_is_set_aside_and_the_rest_goes_on(store: Store, outside: Outside) -> None:
    outside.book(trade_id="B1", desk="FX9")
    outside.book(trade_id="B2")
    spoiled = r"E'\x01A'" if outside.is_postgres else "CAST(x'ff41' AS TEXT)"
    outside.execute(f"UPDATE trades SET dealer = {spoiled} WHERE trade_id = 'B2'")
    store.append_trades([trade("T3")])
    found = dict(replay(store.trades_after(0), CHECK))
    assert isinstance(found[1], RefusedRow) and (found[1].field, found[1].reason) == ("desk", "unknown desk 'FX9'")
    assert isinstance(found[2], RefusedRow) and found[2].field == "dealer"
    assert found[3] == trade("T3")
    assert len(store.select_trades(TradeFilter(), 10)[0]) == 3


# -- following what others write ---------------------------------------------------------------------------------


def test_a_follower_gets_every_row_of_others_once_and_none_that_it_passed(store: Store, outside: Outside) -> None:
    outside.book(trade_id="B0")
    bookmark = store.bookmark()
    assert store.trades_beyond(bookmark, 10) == ([], bookmark) or outside.is_postgres
    seen: list[str] = []
    for number in range(1, 6):
        outside.book(trade_id=f"B{number}")
        stored = store.append_trades([trade(f"M{number}"), trade(f"N{number}"), trade("M1")])
        bookmark = bookmark.passing(one.store_seq for one in stored)
        outside.book(trade_id=f"C{number}")
        if number % 2:
            rows, bookmark = store.trades_beyond(bookmark, 2)
            seen += [row.trade_id for row in rows]
    while rows := (found := store.trades_beyond(bookmark, 2))[0]:
        bookmark = found[1]
        seen += [row.trade_id for row in rows]
    assert sorted(seen) == sorted(f"{kind}{number}" for kind in "BC" for number in range(1, 6))
    everything = store.trades_beyond(Bookmark(), 100)[0]
    assert everything == list(store.trades_after(0))


def test_what_a_failed_append_stored_all_the_same_is_found_by_looking(store: Store) -> None:
    bookmark = store.bookmark()
    store.append_trades([trade("T1")])  # and the answer is lost: nothing is passed
    stored = store.append_trades([trade("T2")])
    rows, bookmark = store.trades_beyond(bookmark.passing(one.store_seq for one in stored), 10)
    assert [row.trade_id for row in rows] == ["T1"]
    assert store.trades_beyond(bookmark, 10)[0] == []


@given(st.lists(st.lists(st.integers(1, 40), max_size=5), max_size=8))
def test_passed_numbers_are_kept_as_few_ranges(batches: list[list[int]]) -> None:
    bookmark = Bookmark()
    for batch in batches:
        bookmark = bookmark.passing(batch)
    told = {number for batch in batches for number in batch}
    assert {number for first, last in bookmark.passed for number in range(first, last + 1)} == told
    assert all(before[1] + 1 < after[0] for before, after in pairwise(bookmark.passed))


# -- searching ---------------------------------------------------------------------------------------------------


def test_trades_are_listed_newest_first_by_what_the_source_says(store: Store) -> None:
    store.append_trades([trade("T2", ts=TS + 1), trade("T3"), trade("T1", source_seq=4)])
    store.append_trades([trade("T4", leg=1), trade("T4")])
    rows, total = store.select_trades(TradeFilter(), 4)
    assert [(row.trade_id, row.leg) for row in rows] == [("T2", 0), ("T1", 0), ("T4", 1), ("T4", 0)]
    assert total == 5
    assert rows[0].price == "1.0842" and rows[0].quantity == "1000000"


def test_latest_lists_the_highest_version_and_a_cancelled_trade_as_its_cancel(store: Store) -> None:
    store.append_trades([trade("T1"), trade("T2", ts=TS + 1), trade("T2", version=2, action="amend", desk="FX2")])
    store.append_trades([cancel("T1", 2)])
    assert ids(store) == ["T2/2", "T1/2"]
    assert ids(store, versions="all") == ["T2/1", "T2/2", "T1/2", "T1/1"]
    assert ids(store, max_store_seq=3) == ["T2/2", "T1/1"]
    assert ids(store, max_store_seq=2) == ["T2/1", "T1/1"]


def test_a_cancel_without_a_place_of_its_own_is_found_where_its_trade_was(store: Store) -> None:
    store.append_trades([trade("T1", desk="FX2", dealer="ann"), trade("T2")])
    store.append_trades([cancel("T1", 3), cancel("T1", 4), cancel("T9")])
    for wanted in ({"desks": ["FX2"]}, {"dealer": "ann"}):
        assert ids(store, **wanted) == ["T1/4"]
        assert ids(store, **wanted, versions="all") == ["T1/4", "T1/3", "T1/1"]
    assert ids(store, instrument="EURUSD", since_ts=TS) == ["T2/1", "T1/4"]
    assert ids(store, since_ts=TS + 1) == []
    assert ids(store)[-1] == "T9/2", "a cancel of an unknown trade is listed last"


def test_filters_combine_and_the_total_counts_what_the_limit_cuts(store: Store) -> None:
    store.append_trades([trade(f"T{n}", ts=TS + n, desk=f"FX{1 + n % 2}", dealer="ann" if n % 3 else "") for n in range(30)])
    assert ids(store, desks=[]) == []
    assert ids(store, desks=["FX2"], since_ts=TS + 26) == ["T29/1", "T27/1"]
    assert ids(store, dealer="", since_ts=TS + 22) == ["T27/1", "T24/1"]
    for wanted in (TradeFilter(desks=["FX1", "FX2"]), TradeFilter(versions="all"), TradeFilter(instrument="EURUSD")):
        rows, total = store.select_trades(wanted, 7)
        assert (len(rows), total) == (7, 30)
    assert store.select_trades(TradeFilter(desks=["FX1"]), 15)[1] == 15
    assert [row.store_seq for row in store.trades_after(10, 3)] == [11, 12, 13]


def test_a_source_a_name_an_action_and_numbers_are_filters_of_all_that_is_stored(store: Store) -> None:
    store.append_trades([trade("A"), trade("B", ts=TS + 1, source="other"), trade("C", ts=TS + 2)])
    store.append_trades([trade("A", version=2, action="amend"), cancel("C", 2)])
    assert ids(store, source="other") == ["B/1"]
    assert ids(store, trade_id="A", versions="all") == ["A/2", "A/1"]
    assert [ids(store, action=action) for action in ("new", "amend", "cancel")] == [["B/1"], ["A/2"], ["C/2"]]
    assert ids(store, action="cancel", instrument="EURUSD") == ["C/2"], "which takes its instrument from what it cancels"
    assert (ids(store, only=[2, 4]), ids(store, only=[])) == (["B/1", "A/2"], [])
    assert (ids(store, but=[2, 5]), len(ids(store, but=[]))) == (["A/2"], 3)
    assert store.select_trades(TradeFilter(but=[2]), 1)[1] == 2


def test_what_is_shown_is_of_a_desk_or_of_a_dealer_and_counted_alone(store: Store) -> None:
    store.append_trades(
        [
            trade("A", ts=TS + 1, desk="FX1", dealer="ann"),
            trade("B", ts=TS + 2, desk="FX2", dealer="ann"),
            trade("C", ts=TS + 3, desk="FX2", dealer="bob"),
            trade("D", ts=TS + 4, desk="FX1", dealer=""),
        ]
    )
    store.append_trades([cancel("C", 2), cancel("A", 2)])
    every: dict[str, Any] = {"versions": "all"}
    assert ids(store, shown=(["FX1"], []), **every) == ["D/1", "A/2", "A/1"]
    assert ids(store, shown=([], ["ann"]), **every) == ["B/1", "A/2", "A/1"]
    assert ids(store, shown=(["FX1"], ["bob"]), **every) == ["D/1", "C/2", "C/1", "A/2", "A/1"]
    assert ids(store, shown=([], [])) == []
    assert ids(store, shown=(["FX1"], ["ann"]), desks=["FX2"]) == ["B/1"]
    assert store.select_trades(TradeFilter(shown=(["FX1"], ["bob"]), versions="all"), 1)[1] == 5


# -- reference data, balances, prices ----------------------------------------------------------------------------


def test_loading_nodes_and_instruments_again_changes_nothing_and_an_edit_is_an_update(store: Store) -> None:
    assert store.nodes() == sorted(NODES, key=lambda node: node.node)
    assert store.instruments() == sorted(INSTRUMENTS, key=lambda each: each.instrument)
    assert store.save_nodes(NODES) == Saved(duplicate=3)
    assert store.save_nodes([Node("FX2", "book", "Total"), Node("FX3", "desk", "FX2")]) == Saved(inserted=1, updated=1)
    edited = msgspec.structs.replace(INSTRUMENTS[0], sector="majors", multiplier=1)
    assert store.save_instruments([edited, *INSTRUMENTS[1:]]) == Saved(updated=1, duplicate=2)
    assert edited in store.instruments()
    option = Instrument(
        instrument="O",
        kind=Kind.FX_OPTION,
        base_currency="EUR",
        quote_currency="USD",
        strike="1.1",
        option_type="call",
        expiry="2027-01-01",
        premium_currency="EUR",
        cut="NY",
    )
    store.save_instruments([option])
    assert option in store.instruments()


def test_an_opening_balance_is_taken_once_and_a_different_one_refused(store: Store) -> None:
    opening = Opening(desk="FX1", instrument="EURUSD", ts=TS, quantity=-(10**12), average_price=10_843_200_001, fees=1)
    assert store.save_openings([opening, opening]) == Saved(inserted=1, duplicate=1)
    other = msgspec.structs.replace(opening, quantity=1)
    unknown = msgspec.structs.replace(opening, instrument="XAUUSD")
    assert store.save_openings([other, unknown]).refused == (
        Refusal(0, "quantity", "differs from the opening balance that is stored"),
        Refusal(1, "instrument", "unknown instrument 'XAUUSD'"),
    )
    assert store.openings() == [opening]


def test_a_close_that_comes_with_another_price_is_a_new_version(store: Store) -> None:
    closes = [
        Close("2026-11-19", "EURUSD", 1.08),
        Close("2026-11-20", "EURUSD", 0.1 + 0.2),
        Close("2026-11-19", "ESZ6", 5.0),
    ]
    assert store.save_closes(closes) == Saved(inserted=3)
    assert store.save_closes(closes) == Saved(duplicate=3)
    saved = store.save_closes([Close("2026-11-20", "EURUSD", 1.09), Close("2026-11-20", "XAUUSD", 1.0)])
    assert [(refusal.index, refusal.field) for refusal in saved.refused] == [(1, "instrument")] and saved.updated == 1
    assert store.closes("2026-11-20") == [Close("2026-11-20", "EURUSD", 1.09)]
    assert store.latest_closes("9999-12-31") == [closes[2], Close("2026-11-20", "EURUSD", 1.09)]
    assert len(store.closes()) == 3


def test_the_newest_mark_wins_and_the_later_arrival_on_ties(store: Store) -> None:
    mark = StoredMark("EURUSD", TS, 1.08, "sim")
    tied, older = StoredMark("EURUSD", TS, 1.09, "sim"), StoredMark("EURUSD", TS - 1, 1.0, "sim")
    assert store.save_marks([mark, mark]) == Saved(inserted=1, duplicate=1)
    assert store.save_marks([tied, older]) == Saved(updated=1, superseded=1)
    assert store.save_marks([StoredMark("XAUUSD", TS, 1.0)]).refused[0].field == "instrument"
    assert store.marks() == [tied]


def test_readers_on_other_threads_see_what_is_committed_and_close_closes_them(store: Store) -> None:
    store.append_trades([trade()])
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(store.watermark())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 4
    store.ping()
    store.close()
    store.close()
    for use in (store.watermark, store.ping, lambda: store.append_trades([trade("T2")])):
        with pytest.raises(StoreUnavailable, match="is closed"):
            use()


def test_closing_ends_the_reads_of_other_threads_with_an_error(store: Store) -> None:
    """As at a stop: a task that was cancelled leaves a thread that still reads. SQLite crashed where that went on."""
    store.append_trades([trade(f"T{number}") for number in range(500)])
    began, ended = threading.Barrier(4), []

    def read_for_ever() -> None:
        began.wait()
        try:
            while True:
                list(store.trades_after(0))
        except StoreUnavailable as error:
            ended.append(error)

    threads = [threading.Thread(target=read_for_ever, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    began.wait()
    time.sleep(0.05)
    store.close()
    for thread in threads:
        thread.join(5.0)
    assert len(ended) == 3


def test_a_read_that_outlasts_the_wait_keeps_its_connection_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riskengine.store.sqlite.store.CLOSE_WAIT_S", 0.01)
    opened = new_store(tmp_path / "desk.db")
    opened.append_trades([trade("T1")])
    reads, goes_on = threading.Event(), threading.Event()
    found: list[int] = []

    def slow(transaction: Transaction) -> int:
        reads.set()
        goes_on.wait(5.0)
        return len(transaction.rows("marks"))

    thread = threading.Thread(target=lambda: found.append(opened.read(slow)))
    thread.start()
    assert reads.wait(5.0)
    opened.close()
    goes_on.set()
    thread.join(5.0)
    assert found == [0]


def test_what_was_noticed_of_trades_comes_back_with_their_rows(store: Store) -> None:
    store.append_trades([trade("T1"), trade("T2")])
    first = [
        Notice("late:desk:T1:0:1", "late", TS + 1, "late", '{"late_by_s":9.0}', "api", "T1", 0, 1),
        Notice("off_market:desk:T2:0:1", "off_market", TS, "far", "{}", "api", "T2", 0, 1),
        Notice("off_market:desk:gone:0:1", "off_market", TS, "far", "{}", "api", "gone", 0, 1),
    ]
    assert store.noticed_up_to() is None
    store.save_notices(first, 2)
    store.save_notices([msgspec.structs.replace(first[0], reason="again")], 1)
    found = store.notices(10)
    assert [(one.notice, one.row.trade_id) for one in found] == [(first[0], "T1"), (first[1], "T2")]
    assert [one.notice for one in store.notices(1)] == [first[0]], "the newest of each kind, and the row of one is gone"
    assert (store.late_count(), store.noticed_up_to()) == (1, 2)


def test_the_newest_close_up_to_a_date_is_found(store: Store) -> None:
    store.save_closes(
        [Close("2026-11-19", "EURUSD", 1.08), Close("2026-11-20", "EURUSD", 1.09), Close("2031-01-01", "EURUSD", 9.0)]
    )
    assert store.latest_closes("2026-11-20") == [Close("2026-11-20", "EURUSD", 1.09)]
    assert store.latest_closes("2026-11-19") == [Close("2026-11-19", "EURUSD", 1.08)]
    assert store.latest_closes("2026-11-18") == []
