"""A writer tells a store that went back under it from rows that were deleted or corrected in place: on both databases."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from riskengine.errors import LeaseHeld, StoreUnavailable, StoreWentBack
from riskengine.store.protocol import Store
from tests.store_book import Outside, new_store, trade


@pytest.fixture
def writer(store: Store) -> Store:
    """A store whose writer has acknowledged three trades."""
    store.acquire_writer("a test")
    store.next_epoch()
    store.append_trades([trade(name) for name in ("1", "2", "3")])
    store.check_standing(3)
    return store


def test_before_it_has_an_epoch_a_writer_compares_nothing(store: Store) -> None:
    assert store.acknowledged is None
    store.check_standing(1_000)


def test_a_writer_acknowledges_what_it_stored_and_what_it_saw(writer: Store, store_url: str) -> None:
    first = writer.acknowledged
    assert first is not None and (first.epoch, first.watermark) == (1, 3)
    other = new_store(store_url)
    other.append_trades([trade("4")])
    head = other.state()
    other.close()
    writer.check_standing(4)
    seen = writer.acknowledged
    assert seen is not None and (seen.watermark, seen.head) == (4, (head.audit_seq, head.audit_hash))


def test_a_commit_that_failed_is_not_acknowledged(writer: Store, outside: Outside) -> None:
    before = writer.acknowledged
    outside.execute("UPDATE meta SET value = '7' WHERE key = 'writer_epoch'")
    with pytest.raises(Exception, match="newer writer"):
        writer.append_trades([trade("4")])
    assert writer.acknowledged == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trades WHERE store_seq > 1",
        "DELETE FROM trades",
        "UPDATE trades SET price = '7', ts = 5 WHERE store_seq = 3",
        "DELETE FROM meta WHERE key = 'audit_head'",
        "UPDATE meta SET value = '1 ffff' WHERE key = 'audit_head'",
    ],
)
def test_what_is_deleted_or_corrected_in_place_is_no_step_back(writer: Store, outside: Outside, statement: str) -> None:
    outside.execute(statement)
    writer.check_standing(3)
    writer.append_trades([trade("4")])
    writer.check_standing(4)


@pytest.mark.parametrize(
    ("statements", "lack"),
    [
        (["UPDATE meta SET value = '0' WHERE key = 'writer_epoch'"], "it is at epoch 0 and was at 1"),
        (["UPDATE meta SET value = 'other' WHERE key = 'store_id'"], "it is another store"),
        (
            ["DELETE FROM audit WHERE audit_seq > 1", "UPDATE meta SET value = '1 ffff' WHERE key = 'audit_head'"],
            "entry .* of its audit trail is missing",
        ),
    ],
)
def test_each_of_the_three_that_goes_back_is_told(writer: Store, outside: Outside, statements: list[str], lack: str) -> None:
    for statement in statements:
        outside.execute(statement)
    with pytest.raises(StoreWentBack, match=f"restored from an older state while this engine wrote it: {lack}.*--reason TEXT"):
        writer.check_standing(3)


def test_a_writer_that_has_nothing_to_write_is_told_that_another_one_has_taken_over(writer: Store, outside: Outside) -> None:
    outside.execute("UPDATE meta SET value = '2' WHERE key = 'writer_epoch'")
    with pytest.raises(LeaseHeld, match="has a newer writer: epoch 2, ours is 1"):
        writer.check_standing(3)


def test_numbers_that_are_given_out_again_are_told(writer: Store, outside: Outside) -> None:
    """Rows of others that no entry of the trail covers yet: only the numbers show that they were lost."""
    if outside.is_postgres:
        outside.execute("SELECT setval(pg_get_serial_sequence('trades', 'store_seq'), 3)")
    with pytest.raises(StoreWentBack, match="numbered its trades up to 3 and had come to 5"):
        writer.check_standing(5)


def test_a_commit_compares_the_trail_before_anything_is_stored(writer: Store, outside: Outside) -> None:
    outside.execute("DELETE FROM audit WHERE audit_seq > 1")
    outside.execute("UPDATE meta SET value = '1 ffff' WHERE key = 'audit_head'")
    with pytest.raises(StoreWentBack, match="is missing"):
        writer.append_trades([trade("4")])
    assert writer.watermark() == 3


def test_a_server_that_does_not_tell_its_numbers_is_believed_about_them(writer: Store, outside: Outside) -> None:
    if not outside.is_postgres:
        pytest.skip("SQLite always tells")
    outside.execute("ALTER TABLE trades ALTER COLUMN store_seq DROP IDENTITY")
    writer.check_standing(1_000)


# -- files -------------------------------------------------------------------------------------------------------


def writing(path: Path) -> Store:
    store = new_store(path)
    store.acquire_writer("a test")
    store.next_epoch()
    store.append_trades([trade("1")])
    return store


def test_another_file_in_its_place_is_told_before_the_next_commit(tmp_path: Path) -> None:
    path, kept = tmp_path / "engine.db", tmp_path / "kept.db"
    store = writing(path)
    path.rename(kept)
    with pytest.raises(StoreUnavailable, match="is gone") as gone:
        store.check_standing(1)
    assert not isinstance(gone.value, StoreWentBack), "it may come back"
    shutil.copyfile(kept, path)
    for use in (lambda: store.check_standing(1), lambda: store.append_trades([trade("2")]), store.ping):
        with pytest.raises(StoreWentBack, match="was replaced by another file while in use"):
            use()
    store.close()


def test_a_copy_over_the_open_file_is_told_and_keeps_what_was_copied(tmp_path: Path) -> None:
    """Its log is removed with it, as a person does who restores a backup by hand: our log must not go into that file."""
    path, kept = tmp_path / "engine.db", tmp_path / "kept.db"
    store = writing(path)
    store.close()
    shutil.copyfile(path, kept)
    store = new_store(path)
    store.acquire_writer("a test")
    store.next_epoch()
    store.append_trades([trade(str(number)) for number in range(2, 500)])
    store.check_standing(499)
    shutil.copyfile(kept, path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    with pytest.raises(StoreWentBack, match="lost its write-ahead log, as if a copy had been put in its place"):
        store.append_trades([trade("500")])
    store.close()
    assert path.read_bytes() == kept.read_bytes()


def test_an_older_copy_that_is_written_over_a_file_that_has_grown_is_a_step_back(tmp_path: Path) -> None:
    path, copy = tmp_path / "engine.db", tmp_path / "copy.db"
    store = new_store(path)
    store.acquire_writer("a test")
    store.next_epoch()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(path, copy)
        store.append_trades([trade(f"{number:05}") for number in range(2_000)])
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        store.check_standing(2_000)
    path.write_bytes(copy.read_bytes())
    with pytest.raises(StoreWentBack, match="shrank"):
        store.append_trades([trade("one more")])
    with pytest.raises(StoreWentBack, match="shrank"):
        store.check_standing(2_000)
    store.close()
