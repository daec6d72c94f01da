"""Opening a store: what it creates and checks, and the errors for a path that cannot work."""

import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from riskengine.errors import LeaseHeld, StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import TradeFilter
from riskengine.store.sqlite import connection as sqlite_connection
from tests.store_book import Outside, new_store, trade


def refused(path: Path | str, error: type[StoreError], reason: str, **options: Any) -> None:
    """Opening raises exactly `error`, in one line that names the path."""
    with pytest.raises(error, match=reason) as caught:
        open_store(f"sqlite:///{path}", **options)
    assert type(caught.value) is error
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "engine.db",
        "sqlite://engine.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "mysql://bob:secret@host/risk",
    ],
)
def test_a_url_that_names_no_file_is_refused_with_what_is_supported(url: str) -> None:
    with pytest.raises(StoreError, match=r"store .*(sqlite:///path/to/file.db|SQLite stores do not take)") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_relative_path_is_taken_from_the_current_directory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///odd name %20é.db")
    monkeypatch.chdir("/")
    assert store.watermark() == 0 and store.name == str(tmp_path / "odd name %20é.db")
    assert Path(store.name).exists()
    store.close()


def test_paths_that_cannot_hold_a_store_are_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(tmp_path, StoreUnavailable, "is a directory")
    refused(tmp_path / "nowhere" / "a.db", StoreUnavailable, "nowhere does not exist")
    refused(tmp_path / "file" / "a.db", StoreUnavailable, "file is not a directory")
    refused(tmp_path / ("x" * 300), StoreUnavailable, "cannot be")
    refused(tmp_path / "absent.db", StoreUnavailable, "does not exist", create=False)
    refused(tmp_path / "absent.db", StoreUnavailable, "does not exist", read_only=True)
    assert [file.name for file in tmp_path.iterdir()] == ["file"], "a refusal leaves nothing behind"


def test_a_file_that_is_no_store_is_corrupt(tmp_path: Path) -> None:
    text, foreign, empty = tmp_path / "text.db", tmp_path / "foreign.db", tmp_path / "empty.db"
    text.write_text("trade_id,ts\n" * 1_000)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE customers (name)")
    connection.close()
    empty.touch()
    refused(text, StoreCorrupt, "is not a SQLite database")
    refused(foreign, StoreCorrupt, "database of something else")
    refused(empty, StoreCorrupt, "is empty", create=False)


def test_a_damaged_page_is_found_when_the_store_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    store = new_store(path)
    store.append_trades([trade(f"T{number}") for number in range(500)])
    store.close()
    raw = bytearray(path.read_bytes())
    for page in range(20, len(raw) // 4096 - 1):
        raw[page * 4096 : page * 4096 + 300] = b"\xa5" * 300
    path.write_bytes(raw)
    refused(path, StoreCorrupt, "is damaged: restore it from a backup")


def test_a_newer_schema_and_a_missing_column_are_told_apart(tmp_path: Path) -> None:
    newer, lame = tmp_path / "newer.db", tmp_path / "lame.db"
    for path, change in (
        (newer, "INSERT INTO schema_version VALUES (99, '0099_future.sql', 0)"),
        (lame, "ALTER TABLE breaks DROP COLUMN comment"),
    ):
        new_store(path).close()
        connection = sqlite3.connect(path)
        connection.execute(change)
        connection.commit()
        connection.close()
    refused(newer, StoreNewer, "written by a newer version of riskengine")
    refused(lame, StoreCorrupt, "table breaks has no column comment")


def test_a_migration_is_applied_once_and_a_failing_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "engine.db"
    new_store(path).close()
    first = dict(sqlite_connection.migrations())
    after = max(first) + 1
    bad = first | {after: ("bad.sql", "CREATE TABLE more (a);\nCREATE TABLE nodes (b);\n")}
    monkeypatch.setattr(sqlite_connection, "migrations", lambda: bad)
    with pytest.raises(StoreError, match="table nodes already exists"):
        open_store(f"sqlite:///{path}")
    refused(path, StoreError, f"needs {after}: open it for writing once", read_only=True)
    good = first | {after: ("good.sql", "CREATE TABLE more (a);\nALTER TABLE nodes ADD COLUMN color TEXT;\n")}
    monkeypatch.setattr(sqlite_connection, "migrations", lambda: good)
    for _ in range(2):
        open_store(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    assert [row[0] for row in connection.execute("SELECT version FROM schema_version")] == [*first, after]
    connection.close()


def test_two_programs_may_create_the_same_store_at_once(store_url: str) -> None:
    failures: list[Exception] = []

    def create() -> None:
        try:
            open_store(store_url).close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_commit_that_returned_was_synced(tmp_path: Path) -> None:
    store = new_store(tmp_path / "engine.db")
    for _ in range(2):
        writer = store._writer  # type: ignore[attr-defined]
        pragma = {
            name: writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys", "busy_timeout", "fullfsync")
        }
        on_mac = int(sys.platform == "darwin")
        full = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5_000, "fullfsync": on_mac}
        assert pragma == full
        store._abandon(writer, sqlite3.OperationalError("the connection is in doubt"))  # type: ignore[attr-defined]
        store.append_trades([trade()])  # on a connection made anew
    store.close()


def test_a_read_only_store_reads_and_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    store = new_store(path)
    store.append_trades([trade()])
    for _ in range(2):  # beside a writer, and alone
        reader = open_store(f"sqlite:///{path}", read_only=True)
        assert reader.select_trades(TradeFilter(), 10)[1] == 1
        with pytest.raises(StoreError, match="reading only"):
            reader.append_trades([trade("T2")])
        with (
            reader._reader() as connection,  # type: ignore[attr-defined]
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            connection.execute("DELETE FROM trades")
        reader.close()
        store.close()


def test_a_store_whose_file_was_removed_or_replaced_acknowledges_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    store = new_store(path)
    kept = tmp_path / "kept.db"
    path.rename(kept)
    with pytest.raises(StoreUnavailable, match="is gone"):
        store.append_trades([trade()])
    path.write_bytes(kept.read_bytes())
    for use in (lambda: store.append_trades([trade()]), store.ping):
        with pytest.raises(StoreUnavailable, match="was replaced"):
            use()
    assert not store.is_writable()
    store.close()


def test_tables_that_other_programs_read_have_the_columns_that_are_promised(store: Store, outside: Outside) -> None:
    promised = {
        "source",
        "trade_id",
        "leg",
        "version",
        "action",
        "ts",
        "source_seq",
        "instrument",
        "desk",
        "dealer",
        "side",
        "quantity",
        "price",
        "fees",
        "fees_currency",
        "value_date",
        "trade_date",
        "booked_ts",
        "contra_amount",
        "legs",
        "store_seq",
        "received_ts",
    }
    outside.execute("SELECT " + ", ".join(promised) + " FROM trades")
    for table in ("nodes", "instruments", "trades", "marks", "closes", "breaks", "audit"):
        outside.execute(f"SELECT count(*) FROM {table}")


# -- as the writer -----------------------------------------------------------------------------------------------


def test_a_writer_takes_the_lease_before_it_looks_at_the_schema(store_url: str) -> None:
    entered: list[str] = []
    store = open_store(store_url, writer="riskengine serve", entering=entered.append)
    assert entered == ["lease", "schema"]
    assert store.next_epoch() == 1
    store.close()


def test_a_second_writer_is_refused_before_it_could_migrate_anything(store_url: str) -> None:
    store = open_store(store_url, writer="the first")
    entered: list[str] = []
    with pytest.raises(LeaseHeld, match=r"the first \(pid \d+ on "):
        open_store(store_url, writer="the second", entering=entered.append)
    assert entered == ["lease"]
    store.close()


def test_a_writer_that_is_refused_for_the_schema_gives_the_lease_back(store_url: str) -> None:
    open_store(store_url).close()
    outside = Outside(store_url)
    outside.execute("ALTER TABLE trades RENAME COLUMN legs TO limbs")
    with pytest.raises(StoreCorrupt, match="table trades has no column legs"):
        open_store(store_url, writer="refused")
    outside.execute("ALTER TABLE trades RENAME COLUMN limbs TO legs")
    outside.close()
    open_store(store_url, writer="next").close()
