"""A large SQLite file is checked while the start goes on, and still refused if it is damaged."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.errors import StoreCorrupt
from riskengine.process.process import EngineProcess
from riskengine.store.open_store import open_store
from riskengine.store.sqlite import examination as sqlite_examination
from riskengine.store.sqlite.examination import Examination
from tests.store_book import new_store, trade


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with trades that counts as large, whatever its size."""
    monkeypatch.setattr(sqlite_examination, "SMALL_BYTES", 0)
    path = tmp_path / "engine.db"
    store = new_store(path)
    store.append_trades([trade(f"T{number}") for number in range(5_000)])
    store.close()
    return path


def damage(path: Path) -> None:
    """Damage the last pages of the tables, which opening the store does not read."""
    raw = bytearray(path.read_bytes())
    last = len(raw) // 4096 - 1
    for page in range(last - 60, last):
        raw[page * 4096 : page * 4096 + 300] = b"\xa5" * 300
    path.write_bytes(raw)


def test_what_is_sound_is_found_sound(path: Path) -> None:
    beside = Examination()
    store = open_store(f"sqlite:///{path}", beside=beside)
    beside.finish()
    store.close()


def test_damage_is_said_by_finish_and_not_before(path: Path) -> None:
    damage(path)
    beside = Examination()
    store = open_store(f"sqlite:///{path}", beside=beside)
    with pytest.raises(StoreCorrupt, match="is damaged: restore it from a backup"):
        beside.finish()
    store.close()


def test_a_small_file_and_one_to_migrate_are_examined_before_anything_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(path)
    monkeypatch.setattr(sqlite_examination, "SMALL_BYTES", 1 << 40)
    with pytest.raises(StoreCorrupt, match="is damaged"):
        open_store(f"sqlite:///{path}", beside=Examination())
    monkeypatch.setattr(sqlite_examination, "SMALL_BYTES", 0)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM schema_version WHERE version = (SELECT max(version) FROM schema_version)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="is damaged"):
        open_store(f"sqlite:///{path}", beside=Examination())


def test_closing_the_store_ends_the_examination(path: Path) -> None:
    store = open_store(f"sqlite:///{path}", beside=Examination())
    store.close()
    assert "riskengine-examine" not in {thread.name for thread in threading.enumerate()}


def test_an_engine_does_not_go_live_on_a_damaged_file(path: Path) -> None:
    with sqlite3.connect(path) as connection:  # what the start itself reads is sound
        connection.execute("CREATE TABLE others (text)")
        connection.executemany("INSERT INTO others VALUES (?)", [("x" * 3_000,) for _ in range(100)])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    damage(path)
    process = EngineProcess(Config(store=StoreConfig(url=f"sqlite:///{path}")), accept_mismatch=True)
    process.open()

    async def life() -> None:
        try:
            await process.start()
        finally:
            await process.stop()

    with pytest.raises(StoreCorrupt, match="is damaged"):
        asyncio.run(life())
    assert not process.is_live
