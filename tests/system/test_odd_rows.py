"""Rows that no engine would have written: whatever stands in them, the engine lives, says so, and a start agrees."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from riskengine.config import Config, StoreConfig
from riskengine.engine.worklist import UNREADABLE_STANDS
from riskengine.reconciliation.store_sums import store_side
from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.store_book import new_store
from tests.waiting import wait_until
from tests.world import row

NO_TEXT = "CAST(x'ff41' AS TEXT)"
COLUMNS = "source, source_seq, trade_id, ts, instrument, desk, dealer, side, quantity, price"
PLAIN = {
    "source": "'booking'",
    "source_seq": "7",
    "trade_id": "'odd'",
    "ts": "1772625600000000",
    "instrument": "'EURUSD'",
    "desk": "'FX1'",
    "dealer": "'ann'",
    "side": "'buy'",
    "quantity": "'1'",
    "price": "'1.1'",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("odd")
    path = folder / "desk.db"
    new_store(f"sqlite:///{path}").close()
    with running("serve", "--port", "0", "--store", f"sqlite:///{path}", log=folder / "log") as server:
        yield server, path


def book(path: Path, **odd: str) -> None:
    values = PLAIN | odd
    with sqlite3.connect(path, timeout=10) as connection:
        connection.execute(f"INSERT INTO trades ({COLUMNS}) VALUES ({', '.join(values[each] for each in COLUMNS.split(', '))})")
    connection.close()


def listed_more(server: Server, than: int) -> None:
    """Wait until more is quarantined than there was."""
    deadline = time.monotonic() + 5
    while len(quarantined(server)) <= than:
        assert time.monotonic() < deadline, "never listed"
        time.sleep(0.02)


def quarantined(server: Server) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = server.get("/v1/exceptions?kind=quarantined&limit=1000")["rows"]
    return rows


@pytest.mark.parametrize("column", ["source", "trade_id", "instrument", "desk", "dealer", "quantity", "price"])
def test_a_text_that_is_none_is_quarantined_and_ends_nothing(engine: tuple[Server, Path], column: str) -> None:
    server, path = engine
    before = len(quarantined(server))
    book(path, **{"trade_id": f"'odd-{column}'"} | {column: NO_TEXT})
    listed_more(server, before)
    assert server.post("/v1/trades", [row(f"after-{column}")])["counts"]["applied"] == 1


def test_a_start_reads_them_all_again_and_holds_the_same(engine: tuple[Server, Path]) -> None:
    server, path = engine
    rebuilt = json.loads(command("rebuild", "--store", f"sqlite:///{path}", "--json").stdout)
    assert rebuilt["digest"] == server.get("/v1/digest")["digest"]
    assert command("audit", "verify", "--store", f"sqlite:///{path}").returncode == 0


def test_a_conflict_with_a_row_that_is_no_trade_is_listed_and_counted(engine: tuple[Server, Path]) -> None:
    server, path = engine
    before = len(quarantined(server))
    book(path, trade_id="'kept-apart'", quantity="'many'")
    listed_more(server, before)
    counted = server.get("/v1/status")["counts"]["conflicts"]
    [result] = server.post("/v1/trades", [row("kept-apart", source="booking")])["results"]
    assert result["status"] == "conflict"
    assert server.get("/v1/status")["counts"]["conflicts"] == counted + 1
    found = [item for item in server.get("/v1/exceptions?kind=conflict")["rows"] if item["trade"]["trade_id"] == "kept-apart"]
    assert [item["reason"] for item in found] == [UNREADABLE_STANDS]


def test_a_blotter_shows_them_without_the_numbers_that_are_none(engine: tuple[Server, Path]) -> None:
    server, path = engine
    before = len(quarantined(server))
    book(path, trade_id="'unread'", quantity="'abc'")
    listed_more(server, before)
    found = [each for each in server.get("/v1/trades?limit=1000")["rows"] if each["trade_id"] == "unread"]
    assert [each["quantity"] for each in found] == [None]


def test_a_blotter_shows_bytes_where_a_text_should_stand(engine: tuple[Server, Path]) -> None:
    server, path = engine
    with sqlite3.connect(path, timeout=10) as connection:
        for column in ("comment", "dealer"):
            values = PLAIN | {"trade_id": f"'bytes-{column}'", column: "x'ff41'"}
            connection.execute(f"INSERT INTO trades ({', '.join(values)}) VALUES ({', '.join(values.values())})")
    connection.close()
    wait_until(lambda: "bytes-dealer" in {row["trade_id"] for row in server.get("/v1/trades?limit=1000")["rows"]}, 5)
    rows = {row["trade_id"]: row for row in server.get("/v1/trades?limit=1000")["rows"]}
    assert (rows["bytes-comment"]["comment"], rows["bytes-dealer"]["dealer"]) == ("\ufffdA", "\ufffdA")


def test_reference_data_that_is_no_text_is_recorded_and_ends_nothing(engine: tuple[Server, Path]) -> None:
    server, path = engine
    with sqlite3.connect(path, timeout=10) as connection:
        connection.execute("UPDATE instruments SET sector = x'ff00' WHERE instrument = 'EURUSD'")
    connection.close()
    time.sleep(1.5)
    assert server.post("/v1/trades", [row("after-reference")])["counts"]["applied"] == 1


def test_times_at_the_end_of_what_a_database_can_hold_do_not_end_the_comparison(postgres_url: str) -> None:
    new_store(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO trades (trade_id, ts, instrument, desk, side, quantity, price, received_ts)"
            " VALUES ('t', 1772625600000000, 'EURUSD', 'FX1', 'buy', 1, 1, -9223372036854775808)"
        )
    store = open_store(postgres_url, read_only=True)
    assert store_side(store, Config(store=StoreConfig(postgres_url)), store.watermark()).side() == {}
    store.close()
