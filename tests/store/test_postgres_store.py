"""What only PostgreSQL can do to a store: sessions that end, commits that overtake each other, a server that is away."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors

from riskengine.engine.inbox import DurableTrades, Inbox
from riskengine.errors import LeaseHeld, StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from riskengine.intake.store_thread import StoreThread
from riskengine.observe import Metrics
from riskengine.store.open_store import open_store
from riskengine.store.postgres import schema as postgres_schema
from riskengine.store.postgres.connection import connect, store_error
from riskengine.store.postgres.trades import array_literal
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.trade_rows import TradeRow, replay
from tests.store.cutting_proxy import CuttingProxy
from tests.store_book import CHECK, Outside, new_store, trade


@pytest.fixture
def store_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def second(store_url: str, store: Store) -> Iterator[Outside]:
    """Another program at the same database."""
    program = Outside(store_url)
    yield program
    program.close()


def end_session(outside: Outside, store: Store) -> None:
    """End the session of the store's write connection, as a cut cable or a restart does."""
    backend = store._write.connection.info.backend_pid  # type: ignore[attr-defined]
    outside.execute("SELECT pg_terminate_backend(?, 5000)", (backend,))


def following(store: Store, bookmark: Bookmark) -> tuple[list[str], Bookmark]:
    rows, bookmark = store.trades_beyond(bookmark, 1_000)
    return [row.trade_id for row in rows], bookmark


# -- exact numbers -----------------------------------------------------------------------------------------------

LARGEST = 10**15
exact = st.decimals(0, LARGEST, allow_nan=False, allow_infinity=False, places=10)


def test_every_number_comes_back_to_the_last_digit(store: Store) -> None:
    number = iter(range(10**9))

    @given(st.lists(st.tuples(exact, exact, exact, exact), min_size=1, max_size=20))
    def check(numbers: list[tuple[Decimal, Decimal, Decimal, Decimal]]) -> None:
        before = store.watermark()
        sent = [
            trade(
                f"T{next(number)}",
                instrument="BTCUSD",
                quantity=quantity or Decimal(1),
                price=price,
                fees=fees,
                contra_amount=contra if bool(contra) == bool(price) else None,
            )
            for quantity, price, fees, contra in numbers
        ]
        store.append_trades(sent)
        assert [found for _, found in replay(store.trades_after(before), CHECK)] == sent

    check()
    limit = trade("L", instrument="BTCUSD", quantity=Decimal(LARGEST) - Decimal("1E-10"), price=Decimal(LARGEST))
    assert store.append_trades([limit])[0].outcome == "inserted"
    assert next(store.trades_after(store.watermark() - 1)).quantity == "999999999999999.9999999999"


def test_an_array_is_written_as_the_server_reads_it(store: Store, outside: Outside) -> None:
    @given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), max_size=9))
    def check(texts: list[str | None]) -> None:
        assert outside.connection.execute("SELECT %s::text[]", (array_literal(texts),)).fetchone() == (texts,)

    check()
    numbers = [1, None, -(2**62)]
    assert outside.connection.execute("SELECT %s::bigint[]", (array_literal(numbers),)).fetchone() == (numbers,)


# -- following what others write ---------------------------------------------------------------------------------


def test_a_row_that_took_its_number_early_and_committed_late_is_not_missed(
    store: Store, outside: Outside, second: Outside
) -> None:
    bookmark = store.bookmark()
    outside.execute("BEGIN")
    outside.book(trade_id="early")
    second.book(trade_id="quick")
    found, bookmark = following(store, bookmark)
    assert found == ["quick"]
    assert following(store, bookmark)[0] == [], "nothing is given twice"
    outside.execute("COMMIT")
    found, bookmark = following(store, bookmark)
    assert found == ["early"]
    assert [row.trade_id for row in store.trades_after(0)] == ["early", "quick"], "its number is the lower one"
    assert following(store, bookmark)[0] == []


def test_a_long_transaction_elsewhere_holds_nothing_back_and_nothing_is_given_twice(
    store: Store, outside: Outside, second: Outside
) -> None:
    bookmark = store.bookmark()
    outside.execute("BEGIN")
    outside.execute("INSERT INTO nodes VALUES ('X', 'desk', 'Total')")
    for number in range(20):
        second.book(trade_id=f"B{number}")
        found, bookmark = following(store, bookmark)
        assert found == [f"B{number}"]
    outside.book(trade_id="long")
    outside.execute("COMMIT")
    assert following(store, bookmark)[0] == ["long"]


def test_pages_cover_what_came_while_they_were_read_and_leave_out_what_was_passed(store: Store, outside: Outside) -> None:
    bookmark = store.bookmark()
    for number in range(7):
        outside.book(trade_id=f"B{number}")
    seen: list[TradeRow] = []
    mine = 0
    while True:
        rows, bookmark = store.trades_beyond(bookmark, 3)
        seen += rows
        if len(rows) < 3 and mine >= 4:
            break
        mine += 1
        stored = store.append_trades([trade(f"M{mine}")])
        bookmark = bookmark.passing(one.store_seq for one in stored)
        outside.book(trade_id=f"C{mine}")
    found = [row.trade_id for row in seen]
    assert sorted(found) == [*(f"B{n}" for n in range(7)), *(f"C{n}" for n in range(1, mine + 1))]
    assert following(store, bookmark)[0] == []


def test_the_beginning_is_a_position_and_a_rolled_back_row_is_none(store: Store, outside: Outside) -> None:
    store.append_trades([trade("T1")])
    outside.execute("BEGIN")
    outside.book(trade_id="never")
    found, bookmark = following(store, Bookmark())
    assert found == ["T1"]
    outside.execute("ROLLBACK")
    assert following(store, bookmark)[0] == []


def test_the_bell_rings_for_others_only_and_at_once(store: Store, outside: Outside) -> None:
    assert store.wait_for_news(5), "what came before nobody heard"
    store.append_trades([trade("T1")])
    assert not store.wait_for_news(0.2)
    ringing = threading.Timer(0.1, outside.book)
    ringing.start()
    began = time.monotonic()
    assert store.wait_for_news(10)
    assert time.monotonic() - began < 5
    ringing.join()
    outside.execute("SELECT pg_terminate_backend(?, 5000)", (store._listener.info.backend_pid,))  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable):
        store.wait_for_news(5)
    assert store.wait_for_news(5)


def test_the_bell_of_another_schema_is_not_ours(store: Store, outside: Outside) -> None:
    assert store.wait_for_news(5), "what came before nobody heard"
    outside.execute("SELECT pg_notify('riskengine_trades', 'another')")
    assert not store.wait_for_news(0.3)


@pytest.mark.parametrize("bell", [True, False])
def test_the_store_thread_finds_a_late_row_within_a_second_with_the_bell_and_without(
    store: Store, outside: Outside, second: Outside, bell: bool
) -> None:
    if not bell:
        outside.execute("ALTER TABLE trades DISABLE TRIGGER trades_ring")
    failures: list[BaseException] = []
    inbox = Inbox(1_000)
    store_thread = StoreThread(
        store, inbox, CHECK, Metrics(), batch_trades=256, watermark=0, bookmark=store.bookmark(), failed=failures.append
    )
    store_thread.start()

    def came() -> list[str]:
        messages = [message for message in inbox.take(1.0) if isinstance(message, DurableTrades)]
        return [found.trade_id for message in messages for found in message.trades]

    outside.execute("BEGIN")
    outside.book(trade_id="early")
    second.book(trade_id="quick")
    assert came() == ["quick"]
    store_thread.submit([trade("ours")], lambda receipt: None)
    assert came() == ["ours"]
    outside.execute("COMMIT")
    assert came() == ["early"]
    store_thread.stop()
    assert failures == [] and inbox.take(0) == []


# -- sessions that end -------------------------------------------------------------------------------------------


def test_a_connection_that_was_cut_while_idle_is_replaced_without_an_error(store: Store, outside: Outside) -> None:
    store.acquire_writer("engine")
    assert store.next_epoch() == 1 and store.watermark() == 0
    for number in range(3):
        end_session(outside, store)
        outside.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'riskengine' AND query LIKE 'ROLLBACK%' AND pid <> pg_backend_pid()"
        )
        assert store.append_trades([trade(f"T{number}")])[0].outcome == "inserted"
        assert store.counts().trades == number + 1
        assert store.is_writable()
        store.ping()


def test_a_paused_writer_whose_place_was_taken_cannot_write(store: Store, store_url: str, outside: Outside) -> None:
    store.acquire_writer("riskengine serve paused")
    store.next_epoch()
    store.append_trades([trade("T1")])
    end_session(outside, store)
    other = open_store(store_url)
    other.acquire_writer("riskengine serve successor")
    assert other.next_epoch() == 2
    for use in (lambda: store.append_trades([trade("T2")]), store.is_writable, lambda: store.save_marks([])):
        with pytest.raises(LeaseHeld, match=rf"successor \(pid {os.getpid()} on .+, since 20\d\d-"):
            use()
    other.append_trades([trade("T3")])
    other.close()
    with pytest.raises(LeaseHeld, match="has a newer writer: epoch 2, ours is 1"):
        store.append_trades([trade("T2")])
    assert [row.trade_id for row in store.trades_after(0)] == ["T1", "T3"]


def test_a_newer_epoch_fences_even_a_writer_that_still_holds_its_session(store: Store, outside: Outside) -> None:
    store.acquire_writer("engine")
    store.next_epoch()
    outside.execute("UPDATE meta SET value = '7' WHERE key = 'writer_epoch'")
    with pytest.raises(LeaseHeld, match="epoch 7, ours is 1"):
        store.append_trades([trade()])
    assert store.counts().trades == 0


def test_a_lock_left_by_our_own_lost_connection_is_taken_back(store: Store) -> None:
    """The server has not noticed yet that the connection is gone: the store gave it up, the session lives."""
    store.acquire_writer("engine")
    store.next_epoch()
    lost = store._write.connection  # type: ignore[attr-defined]
    store._write.connection = None  # type: ignore[attr-defined]
    assert store.append_trades([trade()])[0].outcome == "inserted"
    with pytest.raises(psycopg.OperationalError):
        lost.execute("SELECT 1")
    lost.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_that_is_cut_is_unavailable_and_found_out_by_looking(store_url: str, moment: str) -> None:
    new_store(store_url).close()
    proxy = CuttingProxy(store_url)
    store = open_store(proxy.url)
    store.acquire_writer("engine")
    store.next_epoch()
    bookmark = store.bookmark()
    batch = [trade("T1"), trade("T2")]
    proxy.cut_at_commit = moment  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        store.append_trades(batch)
    again = [one.outcome for one in store.append_trades(batch)]
    assert again == (["inserted"] * 2 if moment == "before" else ["existing"] * 2)
    assert following(store, bookmark)[0] == ["T1", "T2"]
    assert store.counts().trades == 2
    store.close()
    proxy.close()


def test_a_server_that_is_away_is_unavailable_and_comes_back_by_itself(store_url: str) -> None:
    new_store(store_url).close()
    proxy = CuttingProxy(store_url)
    store = open_store(proxy.url)
    assert store.watermark() == 0
    proxy.close()
    for use in (store.watermark, lambda: store.append_trades([trade()])):
        with pytest.raises(StoreUnavailable, match=r"^store postgresql://.*(cannot be reached|not available): .*") as caught:
            use()
        assert "\n" not in str(caught.value)
    store.close()


# -- opening -----------------------------------------------------------------------------------------------------


def refused(url: str, error: type[StoreError], reason: str, **options: Any) -> None:
    with pytest.raises(error, match=reason) as caught:
        open_store(url, **options)
    assert type(caught.value) is error and "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_or_database_that_is_not_there_is_said_without_the_password(postgres_url: str) -> None:
    refused("postgresql://bob:secret@127.0.0.1:1/risk", StoreUnavailable, r"bob:\*\*\*@127.0.0.1:1/risk cannot be reached")
    server, _, _ = postgres_url.rpartition("/")
    refused(f"{server}/no_such_database", StoreUnavailable, 'database "no_such_database" does not exist')
    refused(postgres_url + "_gone", StoreUnavailable, "has no schema to work in")
    refused("postgresql://bob:secret@127.0.0.1/risk?nonsense=1", StoreError, "expected postgresql://user@host:5432/database")


def test_what_the_server_refuses_is_said_by_who_must_act() -> None:
    for raised, error, reason in (
        (errors.DiskFull("could not extend file"), StoreUnavailable, "the disk is full"),
        (errors.InsufficientPrivilege("permission denied for table trades"), StoreUnavailable, "no permission .*table trades"),
        (errors.LockNotAvailable("canceling"), StoreUnavailable, "locked by another program"),
        (errors.AdminShutdown("terminating connection"), StoreUnavailable, "not available"),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), StoreUnavailable, "standby"),
        (errors.UndefinedColumn('column "fees" does not exist'), StoreCorrupt, "lacks a column .*fees"),
        (errors.DataCorrupted("invalid page in block 3"), StoreCorrupt, "restore it from a backup"),
        (
            psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "bob"'),
            StoreUnavailable,
            'refuses the user or the password: check both .*for user "bob"',
        ),
        (errors.CheckViolation("side_is_known"), StoreError, "side_is_known"),
    ):
        found = store_error("postgresql://bob@host/risk", raised)
        assert type(found) is error
        with pytest.raises(error, match=rf"^store postgresql://bob@host/risk.*{reason}"):
            raise found


def test_a_newer_schema_a_missing_column_and_tables_of_others_are_told_apart(store_url: str, postgres_url: str) -> None:
    refused(postgres_url, StoreCorrupt, "is empty: it holds no tables", create=False)
    outside = Outside(postgres_url)
    outside.execute("CREATE TABLE trades (name text)")
    refused(postgres_url, StoreCorrupt, "has a table trades of something else")
    outside.execute("DROP TABLE trades")
    new_store(postgres_url).close()
    outside.execute("ALTER TABLE breaks DROP COLUMN comment")
    refused(postgres_url, StoreCorrupt, "table breaks has no column comment")
    outside.execute("INSERT INTO schema_version VALUES (99, '0099_future.sql', 0)")
    refused(postgres_url, StoreNewer, "written by a newer version of riskengine")
    outside.close()


def test_the_columns_that_are_checked_are_those_that_are_made(store: Store, outside: Outside) -> None:
    found: dict[str, set[str]] = {}
    for table, column in outside.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    ):
        found.setdefault(table, set()).add(column)
    assert {table: set(columns) for table, columns in postgres_schema.expected_columns(postgres_schema.migrations())} == found


def test_a_migration_is_applied_once_and_a_failing_one_leaves_nothing(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new_store(store_url).close()
    first = postgres_schema.migrations()
    newest = max(first)
    bad = first | {newest + 1: ("0009_bad.sql", "CREATE TABLE more (\n    a text\n);\nCREATE TABLE nodes (\n    b text\n);\n")}
    monkeypatch.setattr(postgres_schema, "migrations", lambda: bad)
    refused(store_url, StoreError, 'relation "nodes" already exists')
    refused(store_url, StoreError, f"needs {newest + 1}: open it for writing once", read_only=True)
    good = first | {newest + 1: ("0009_good.sql", "CREATE TABLE more (a text);\nALTER TABLE nodes ADD COLUMN color text;\n")}
    monkeypatch.setattr(postgres_schema, "migrations", lambda: good)
    for _ in range(2):
        open_store(store_url).close()
    outside = Outside(store_url)
    assert [row[0] for row in outside.execute("SELECT version FROM schema_version ORDER BY version")] == [*first, newest + 1]
    outside.close()


def test_a_commit_that_returned_is_on_the_servers_disk(store: Store) -> None:
    connection = store._write_connection()  # type: ignore[attr-defined]
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_read_only_store_reads_and_never_writes(store: Store, store_url: str) -> None:
    store.append_trades([trade()])
    reader = open_store(store_url, read_only=True)
    assert reader.counts().trades == 1
    with pytest.raises(StoreError, match="reading only"):
        reader.append_trades([trade("T2")])
    reader.close()


def test_others_are_told_nothing_by_a_number_of_their_own_in_written_xid(store: Store, outside: Outside) -> None:
    bookmark = store.bookmark()
    outside.book(written_xid="3")
    assert following(store, bookmark)[0] == ["B1"]


def test_a_connection_that_is_refused_leaves_nothing_for_the_garbage_collector() -> None:
    """18 kB of each try, five a second while a store was away: the collector of an engine is rare."""

    def refused() -> None:
        with pytest.raises(psycopg.OperationalError):
            connect("postgresql://nobody@127.0.0.1:1/nothing", read_only=False)

    refused()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        refused()
        gc.collect()
        assert {type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("psycopg")} == set()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
