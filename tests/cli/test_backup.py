"""`riskengine backup`: a copy is checked before it has its name, nothing is replaced unasked, PostgreSQL gets a line to run."""

import json
import os
import shlex
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from riskengine.cli import backup
from riskengine.cli.backup import pg_dump_line
from riskengine.store.open_store import open_store
from riskengine.store.sqlite.backup import copy_store
from tests.cli.commands import fails, riskengine
from tests.running import command
from tests.store.old_stores import load_old_store, make_old_store
from tests.world import NOON, instruments, nodes, trade


@pytest.fixture(autouse=True)
def not_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests keeps its priority."""
    monkeypatch.setattr(os, "nice", lambda by: 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with two trades."""
    found = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(found)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.append_trades([trade("a", received_ts=NOON), trade("b", received_ts=NOON)])
    store.close()
    return found


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "desk.db"


def backed_up(url: str, target: Path, *words: str) -> dict[str, Any]:
    done = riskengine("backup", target, "--store", url, "--json", *words)
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def digest_of(url: str) -> str:
    return str(json.loads(riskengine("rebuild", "--store", url, "--json").stdout)["digest"])


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- the copy ----------------------------------------------------------------------------------------------------


def test_the_copy_is_the_store_and_nothing_else_lies_beside_it(url: str, target: Path) -> None:
    told = backed_up(url, target)
    assert (told["trades"], told["watermark"], told["copy"], told["bytes"]) == (2, 2, str(target), target.stat().st_size)
    assert told["digest"] == digest_of(url) == digest_of(f"sqlite:///{target}")
    assert left(target.parent) == ["desk.db"] or left(target.parent) == ["desk.db", "desk.db-shm", "desk.db-wal"]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as here, closing(sqlite3.connect(target)) as there:
        assert list(here.iterdump()) == list(there.iterdump())


def test_a_person_reads_what_the_copy_holds(url: str, target: Path) -> None:
    done = riskengine("backup", target, "--store", url)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"copied {url} as it was at 20") and str(target) in lines[0]
    assert lines[1] == "trades 2, the last is number 2; epoch 0"
    assert lines[2] == f"digest {digest_of(url)}"
    assert lines[-1].startswith("every check passed")
    assert left(target.parent) == ["desk.db"]


def test_a_copy_may_be_read_by_those_who_may_read_the_store(url: str, target: Path) -> None:
    os.chmod(url.removeprefix("sqlite:///"), 0o640)
    backed_up(url, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_commits_that_come_during_the_copy_neither_wait_nor_start_it_again(url: str, tmp_path: Path) -> None:
    """The copy is of the moment at which it began, after one pass, however often others commit."""
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE ballast (text)")
        connection.executemany("INSERT INTO ballast VALUES (?)", [("x" * 4_000,) for _ in range(4_000)])
    copy = tmp_path / "copy.db"
    copy.touch()
    shares: list[float] = []
    booked: list[int] = []
    store = open_store(url)

    def book(share: float) -> None:
        shares.append(share)
        store.append_trades([trade(f"during-{len(shares)}", received_ts=NOON)])
        booked.append(len(shares))

    copy_store(path, str(copy), book)
    store.close()
    assert len(booked) >= 15 and shares == sorted(shares) and shares[-1] == 1.0
    with closing(sqlite3.connect(copy)) as there:
        assert there.execute("SELECT count(*) FROM trades").fetchone() == (2,)
        assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_of_an_older_schema_is_checked_and_copied_as_it_is(tmp_path: Path, target: Path) -> None:
    """The copy that a person makes before an upgrade."""
    url = f"sqlite:///{tmp_path}/old.db"
    make_old_store(url)
    told = backed_up(url, target)
    assert told["digest"] == load_old_store()["says"]["digest"]
    with closing(sqlite3.connect(tmp_path / "old.db")) as here, closing(sqlite3.connect(target)) as there:
        assert list(here.iterdump()) == list(there.iterdump())
    assert left(target.parent)[0] == "desk.db" and not [name for name in left(target.parent) if "partial" in name]


# -- refusals ----------------------------------------------------------------------------------------------------


def test_nothing_is_replaced_without_being_told(url: str, target: Path) -> None:
    target.write_text("the copy of yesterday")
    fails(riskengine("backup", target, "--store", url), "exists", "--force")
    assert target.read_text() == "the copy of yesterday"
    assert backed_up(url, target, "--force")["digest"] == digest_of(f"sqlite:///{target}")


def test_a_place_where_a_log_lies_is_refused_even_by_force(url: str, target: Path) -> None:
    """SQLite would play the log of the other store into the copy."""
    (target.parent / "desk.db-wal").write_bytes(b"x")
    fails(riskengine("backup", target, "--store", url, "--force"), "desk.db-wal exists", "in use")
    assert left(target.parent) == ["desk.db-wal"]


@pytest.mark.parametrize("name", ["desk.db", "desk.db-wal", "desk.db.witness", "link.db", "hard.db"])
def test_the_store_itself_is_no_place_for_its_copy(url: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "desk.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "desk.db")
    before = digest_of(url)
    fails(riskengine("backup", tmp_path / name, "--store", url, "--force"), "belongs to the store itself")
    assert digest_of(url) == before


def test_a_folder_a_missing_folder_and_a_missing_store_are_one_line_each(url: str, tmp_path: Path) -> None:
    fails(riskengine("backup", tmp_path, "--store", url), "is a folder")
    fails(riskengine("backup", tmp_path / "none" / "desk.db", "--store", url), "there is no folder")
    fails(riskengine("backup", tmp_path / "copy.db", "--store", f"sqlite:///{tmp_path}/gone.db"), "gone.db does not exist")
    (tmp_path / "text.db").write_text("no database at all, but long enough to look at")
    fails(riskengine("backup", tmp_path / "copy.db", "--store", f"sqlite:///{tmp_path}/text.db"), "text.db")
    assert not [name for name in left(tmp_path) if "partial" in name or name == "copy.db"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE audit SET detail = '{}' WHERE audit_seq = 1", "audit"),
        ("DELETE FROM trades WHERE trade_id = 'a'", "audit"),
        ("UPDATE nodes SET parent = '' WHERE node = 'FX1'", "unreadable"),
    ],
)
def test_a_copy_that_fails_a_check_does_not_get_its_name(url: str, target: Path, damage: str, said: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(damage)
    done = riskengine("backup", target, "--store", url)
    first, last = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (1, "")
    assert first.startswith(f"riskengine: {said}: ") and ".partial" not in first
    assert "is no backup" in last and f"{target}.unverified" in last
    assert left(target.parent) == ["desk.db.unverified"]


def test_an_interrupted_copy_leaves_nothing(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: str, made: str, advance: Any) -> None:
        Path(made + "-wal").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "copy_store", interrupt)
    assert riskengine("backup", target, "--store", url).exit_code == 1
    assert left(target.parent) == []


def test_a_copy_that_comes_up_meanwhile_is_kept(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: str, made: str, advance: Any) -> None:
        copy_store(path, made, advance)
        target.write_text("of somebody else")

    monkeypatch.setattr(backup, "copy_store", slow)
    fails(riskengine("backup", target, "--store", url), "exists")
    assert target.read_text() == "of somebody else" and left(target.parent) == ["desk.db"]


# -- PostgreSQL --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://u:secret@h:5433/db", "pg_dump --format=custom --file=copy.dump postgresql://u@h:5433/db"),
        (
            "postgresql:///db?host=/run/pg&password=secret",
            "pg_dump --format=custom --file=copy.dump 'postgresql:///db?host=/run/pg'",
        ),
        (
            "postgresql://h/db?options=-csearch_path%3Ddesk1&sslmode=require",
            "pg_dump --format=custom --schema=desk1 --file=copy.dump 'postgresql://h/db?sslmode=require'",
        ),
        (
            "postgresql://h/db?options=-c%20search_path%3DDesk1,public",
            "pg_dump --format=custom --schema=Desk1 --file=copy.dump postgresql://h/db",
        ),
    ],
)
def test_the_line_for_postgresql_names_the_schema_and_no_password(url: str, line: str) -> None:
    assert pg_dump_line(url, "copy.dump") == line


@pytest.fixture
def postgres_house(postgres_url: str) -> str:
    store = open_store(postgres_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.append_trades([trade("a", received_ts=NOON)])
    store.close()
    return postgres_url


def test_for_postgresql_it_prints_a_line_that_works_and_does_not_pass_for_done(postgres_house: str, tmp_path: Path) -> None:
    done = riskengine("backup", tmp_path / "copy.dump", "--store", postgres_house)
    assert done.exit_code == 1 and "nothing is copied yet" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "copy.dump").exists()
    try:
        subprocess.run(shlex.split(done.stdout), check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("the line for PostgreSQL is NOT run: there is no pg_dump here")
    except subprocess.CalledProcessError as error:
        if b"server version" not in error.stderr:
            raise
        pytest.skip("the line for PostgreSQL is NOT run: pg_dump here is older than the server")
    listed = subprocess.run(["pg_restore", "--list", tmp_path / "copy.dump"], check=True, capture_output=True, timeout=60)
    assert b"TABLE DATA" in listed.stdout and b" trades " in listed.stdout and b" audit " in listed.stdout


# -- the real program --------------------------------------------------------------------------------------------


def test_two_copies_to_one_place_at_once_end_as_one_whole_copy(url: str, target: Path) -> None:
    ends: list[int] = []

    def run() -> None:
        ends.append(command("backup", target, "--store", url, "--force").returncode)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in ends
    assert digest_of(f"sqlite:///{target}") == digest_of(url)
    assert not [name for name in left(target.parent) if "partial" in name]
