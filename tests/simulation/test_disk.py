"""The disk: what a crash leaves is what was committed, whole or not at all."""

import sqlite3
from pathlib import Path
from random import Random

import pytest
from greenlet import GreenletExit

from tests.simulation import fibers
from tests.simulation.disk import Disk, DiskHost, close_all, freeze_files, put_files
from tests.simulation.fibers import Scheduler


class Dying(DiskHost):
    """A host whose death is that of its disk."""

    torn_wal: bytes | None = None

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def die(self, how: str) -> None:
        self.dead = True
        files = freeze_files(self.path)
        close_all(self)
        if self.torn_wal is not None:
            files["-wal"] = self.torn_wal
        put_files(self.path, files)
        raise GreenletExit


def rows_after(tmp_path: Path, how: str, seed: int) -> int:
    """Rows that are there after a host dies around its second commit."""
    path = str(tmp_path / f"{how}{seed}.db")
    scheduler = Scheduler(str(seed))
    fibers.push(scheduler)
    try:
        host, disk = Dying(path), Disk(Random(seed), lambda _: None)

        def work() -> None:
            connection = disk.connect(path, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE rows (n INTEGER)")
            for number in range(2):
                host.plan.commits_in = 0 if number else None
                host.plan.commit_crash = how
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO rows VALUES (?)", [(n,) for n in range(100)])
                connection.execute("COMMIT")

        scheduler.spawn(host, work, "writer")
        scheduler.run(10**9)
    finally:
        fibers.pop()
    connection = sqlite3.connect(path)
    count = connection.execute("SELECT count(*) FROM rows").fetchone()[0]
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    return int(count)


def test_a_commit_before_which_the_host_dies_leaves_nothing(tmp_path: Path):
    assert rows_after(tmp_path, "before", 1) == 100


def test_a_commit_after_which_the_host_dies_is_there(tmp_path: Path):
    assert rows_after(tmp_path, "after", 1) == 200


@pytest.mark.parametrize("seed", range(8))
def test_a_torn_commit_is_there_whole_or_not_at_all(tmp_path: Path, seed: int):
    assert rows_after(tmp_path, "torn", seed) in (100, 200)


class Engine(Dying):
    """A host with an engine of an epoch."""

    held: int | None = None

    @property
    def epoch(self) -> int | None:
        return self.held


def lease_failures(tmp_path: Path, epochs: list[int]) -> list[str]:
    """What is said when engines of these epochs, of which the store knows the last, commit a trade one after another."""
    path = str(tmp_path / "desk.db")
    plain = sqlite3.connect(path)
    plain.executescript(
        "CREATE TABLE meta (key TEXT, value TEXT); CREATE TABLE trades (store_seq INTEGER PRIMARY KEY);"
        f" INSERT INTO meta VALUES ('writer_epoch', '{epochs[-1]}')"
    )
    plain.close()
    said: list[str] = []
    scheduler = Scheduler("1")
    fibers.push(scheduler)
    try:
        disk = Disk(Random(1), lambda _: None, lambda check, text: said.append(text))
        disk.watches_epochs = True
        for epoch in epochs:
            host = Engine(path)
            host.held = epoch

            def work() -> None:
                connection = disk.connect(path, isolation_level=None)
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO trades SELECT coalesce(max(store_seq), 0) + 1 FROM trades")
                connection.execute("COMMIT")
                connection.close()

            scheduler.spawn(host, work, "writer")
            scheduler.run(scheduler.now + 10**6)
    finally:
        fibers.pop()
    return said


def test_a_trade_that_an_older_engine_commits_is_found(tmp_path: Path):
    assert lease_failures(tmp_path, [2]) == []
    (tmp_path / "desk.db").unlink()
    assert lease_failures(tmp_path, [1, 2]) == ["an engine of epoch 1 commits trades, and the store is at 2"]
