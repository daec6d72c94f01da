"""The error of `serve` and `load` for a store that cannot be used: one line that names the store and what to do."""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from replay.own_postgres import Cluster, missing
from tests.running import commands
from tests.store.small_disk import small_disk
from tests.store_book import new_store, trade

SECRET = "hunter2"
SUPER = "opensesame"


def assert_refused(refused: Mapping[str, tuple[str, str]], folder: Path) -> None:
    """`refused` has a URL and the expected message for each mistake. A third is tried by `load` too."""
    nodes = folder / "nodes.csv"
    nodes.write_text("node,level,parent\nTotal,,\nFX1,,Total\n")
    lines: list[tuple[str, ...]] = []
    expected = [*refused.items(), *[*refused.items()][::3]]
    for place, (_, (url, _)) in enumerate(expected):
        lines.append(
            ("serve", "--port", "0", "--store", url) if place < len(refused) else ("load", "nodes", str(nodes), "--store", url)
        )
    for done, (mistake, (_, reason)) in zip(commands(*lines), expected, strict=True):
        said = f"{mistake}: {done.args[0]} said {done.stderr!r}"
        assert done.returncode == 1 and done.stdout == "", said
        assert done.stderr.startswith("riskengine: store ") and done.stderr.count("\n") == 1, said
        assert reason in done.stderr, said
        assert SECRET not in done.stderr and SUPER not in done.stderr, said


def test_sqlite_files_that_cannot_be_used(tmp_path: Path) -> None:
    text, foreign, newer, lame, torn = (tmp_path / f"{name}.db" for name in ("text", "foreign", "newer", "lame", "torn"))
    text.write_text("trade_id,ts\n" * 1_000)
    for path, change in (
        (newer, "INSERT INTO schema_version VALUES (99, '0099_future.sql', 0)"),
        (lame, "ALTER TABLE marks DROP COLUMN source"),
        (foreign, "CREATE TABLE customers (name)"),
    ):
        if path != foreign:
            new_store(path).close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(change)
        connection.close()
    store = new_store(torn)
    store.append_trades([trade(f"T{number}") for number in range(500)])
    store.close()
    raw = torn.read_bytes()
    torn.write_bytes(raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2))
    assert_refused(
        {
            "folder missing": (f"sqlite:///{tmp_path}/nowhere/a.db", f"cannot be created: {tmp_path}/nowhere does not exist"),
            "a folder": (f"sqlite:///{tmp_path}", "is a directory, not a file"),
            "in a file": (f"sqlite:///{text}/a.db", "is not a directory"),
            "no database": (f"sqlite:///{text}", "is not a SQLite database"),
            "of something else": (f"sqlite:///{foreign}", "is a SQLite database of something else"),
            "newer": (f"sqlite:///{newer}", "was written by a newer version of riskengine (schema 99, this one knows"),
            "column missing": (f"sqlite:///{lame}", "table marks has no column source: somebody changed it; put the column back"),
            "damaged": (f"sqlite:///{torn}", "is damaged: restore it from a backup"),
        },
        tmp_path,
    )


def test_a_disk_that_is_full_or_forbids_writing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        for name in ("a.db", "b.db"):
            new_store(disk.folder / name).close()
        full = {name: (f"sqlite:///{disk.folder}/{name}", "the disk is full") for name in ("a.db", "absent.db")}
        disk.fill()
        assert_refused(full, tmp_path)
        disk.make_room()
        disk.forbid_writing()
        only_read = {
            "read-only": (f"sqlite:///{disk.folder}/b.db", f"{disk.folder}/b.db cannot be "),
            "read-only, new": (f"sqlite:///{disk.folder}/new.db", f"{disk.folder}/new.db cannot be "),
        }
        assert_refused(only_read, tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that asks for passwords, with databases and users of every kind that is refused."""
    if missing():
        pytest.skip(f"what PostgreSQL refuses is NOT tested: {missing()}")
    server = Cluster(auth="scram-sha-256", password=SUPER)
    server.start()
    server.execute(
        f"CREATE ROLE bob LOGIN PASSWORD '{SECRET}'",
        f"CREATE ROLE busy LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0",
        *(f"CREATE DATABASE {name}" for name in ("risk", "lame", "newer", "foreigner", "closed", "unready")),
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0",
        "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
    )
    for name in ("risk", "lame", "newer"):
        new_store(server.url(name)).close()
    server.execute("ALTER TABLE marks DROP COLUMN source", database="lame")
    server.execute("INSERT INTO schema_version VALUES (99, '0099_future.sql', 0)", database="newer")
    server.execute("CREATE TABLE trades (name text)", database="foreigner")
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO bob", database="risk")
    server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database="unready")
    yield server
    server.close()


def test_postgresql_databases_that_cannot_be_used(cluster: Cluster, tmp_path: Path) -> None:
    risk = cluster.url("risk")
    assert_refused(
        {
            "not running": (f"postgresql://bob:{SECRET}@127.0.0.1:1/risk", "cannot be reached: is the server running"),
            "no such host": (f"postgresql://bob:{SECRET}@no-such-host.invalid/risk", "cannot be reached: there is no such host"),
            "no such database": (cluster.url("absent"), "does not exist on its server: create it"),
            "wrong password": (cluster.url("risk", password=SECRET), "refuses the user or the password: check both"),
            "no such user": (cluster.url("risk", "eve", SECRET), "refuses the user or the password: check both"),
            "no connection left": (cluster.url("risk", "busy", SECRET), "the server has no connection left"),
            "may not connect": (cluster.url("closed", "bob", SECRET), "no permission until the owner of the database grants"),
            "may only read": (cluster.url("risk", "bob", SECRET), "no permission until the owner of its tables grants it"),
            "may not create": (cluster.url("unready", "bob", SECRET), "no permission until the owner of its tables grants it"),
            "column missing": (cluster.url("lame"), "table marks has no column source: somebody changed it; put the column back"),
            "newer": (cluster.url("newer"), "was written by a newer version of riskengine (schema 99, this one knows"),
            "of something else": (cluster.url("foreigner"), "has a table trades of something else"),
            "encoding": (cluster.url("ascii"), "is a database in SQL_ASCII: UTF8 is needed"),
            "schema missing": (f"{risk}?options=-csearch_path%3Dgone", "has no schema to work in"),
            "unknown option": (f"{risk}?nonsense=1", "is not a URL that PostgreSQL understands"),
        },
        tmp_path,
    )
