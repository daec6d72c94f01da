"""A running engine whose store goes away: posts are refused and nothing is stored, reads go on, and it resumes by itself."""

import json
import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from replay.own_postgres import Cluster, missing
from tests.conftest import ROOT, postgres_schema
from tests.posting import deal, post, trade_count
from tests.running import Server, command, running
from tests.store.small_disk import small_disk
from tests.store_book import Outside, new_store
from tests.waiting import wait_until

IMPATIENT = """
from riskengine.intake import store_thread
from riskengine.store.postgres import connection as postgres_connection
from riskengine.store.sqlite import connection as sqlite_connection
store_thread.SILENT_S = 0.5
sqlite_connection.BUSY_TIMEOUT_MS = 200
postgres_connection.LOCK_TIMEOUT_MS = 200
"""
"""By default another program may hold its lock for 5 s before a post is refused."""


@contextmanager
def engine(folder: Path, url: str) -> Iterator[Server]:
    """A live engine on a new store."""
    new_store(url).close()
    (folder / "sitecustomize.py").write_text(IMPATIENT)
    environment = {"PYTHONPATH": f"{folder}:{ROOT}"}
    with running("serve", "--port", "0", "--store", url, log=folder / "log", environment=environment) as server:
        yield server


def check(
    server: Server, url: str, break_it: Callable[[], object], mend_it: Callable[[], object], reason: str, count: int = 1
) -> None:
    """Break the store: posts are refused and all else goes on. Repair it: no trade is lost or doubled."""
    assert post(server, deal("before"))[0] == 200
    before, digest = trade_count(server), server.get("/v1/digest")["digest"]
    break_it()
    try:
        status, headers, answer = post(server, deal(f"during {reason}", count))
        assert (status, headers["Content-Type"]) == (503, "application/problem+json"), answer
        assert headers["Retry-After"] == "1" and reason in answer["detail"]
        told = server.get("/v1/status")
        assert told["state"] == "degraded" and reason in told["store_error"]
        for path in ("/v1/nodes", "/v1/positions", "/v1/ladder?node=FX1", "/v1/dealers", "/v1/marks", "/readyz", "/healthz"):
            server.get(path)
        assert (trade_count(server), server.get("/v1/digest")["digest"]) == (before, digest), "nothing was taken"
    finally:
        mend_it()
    wait_until(lambda: server.get("/v1/status")["state"] == "live")
    assert trade_count(server) == before, "what was refused was not stored"
    for expected in ("applied", "duplicate"):
        status, _, answer = post(server, deal(f"during {reason}", count))
        assert status == 200 and answer["counts"][expected] == count, answer
    assert trade_count(server) == before + count
    rebuilt = command("rebuild", "--store", url, "--json")
    assert json.loads(rebuilt.stdout)["digest"] == server.get("/v1/digest")["digest"]


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    folder = tmp_path_factory.mktemp("away")
    url = f"sqlite:///{folder}/engine.db"
    with engine(folder, url) as server:
        yield server, url


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    with postgres_schema() as url, engine(tmp_path_factory.mktemp("away"), url) as server:
        yield server, url


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_lock_held_for_longer_than_we_wait(database: str, request: pytest.FixtureRequest) -> None:
    server, url = request.getfixturevalue(f"on_{database}")
    other = Outside(url)

    def lock() -> None:
        other.execute("BEGIN" if other.is_postgres else "BEGIN IMMEDIATE")
        if other.is_postgres:
            other.execute("LOCK TABLE trades IN SHARE MODE")

    check(server, url, lock, lambda: other.execute("ROLLBACK"), "is locked by another program")
    other.close()


def test_a_file_that_may_not_grow(on_sqlite: tuple[Server, str]) -> None:
    """A quota: the operating system refuses to write beyond a size."""
    server, url = on_sqlite
    log = Path(url.removeprefix("sqlite:///") + "-wal")
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    check(
        server,
        url,
        lambda: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, unlimited[1])),
        lambda: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited),
        "cannot be read or written",
        200,
    )


def test_a_file_that_is_moved_away_and_back(on_sqlite: tuple[Server, str]) -> None:
    server, url = on_sqlite
    path = Path(url.removeprefix("sqlite:///"))
    away = path.with_suffix(".away")
    check(server, url, lambda: path.rename(away), lambda: away.rename(path), "is gone")


def test_a_file_that_is_deleted_takes_nothing_more(tmp_path: Path) -> None:
    """Only a person with a backup can bring it back; until then the store acknowledges no trade into a deleted file."""
    path = tmp_path / "engine.db"
    with engine(tmp_path, f"sqlite:///{path}") as server:
        assert post(server, deal("before"))[0] == 200
        copy = path.read_bytes()
        path.unlink()
        for reason in ("is gone", "was replaced by another file"):
            status, headers, answer = post(server, deal("during"))
            assert status == 503 and headers["Retry-After"] and reason in answer["detail"]
            assert server.get("/v1/status")["state"] == "degraded"
            assert trade_count(server) == 1
            path.write_bytes(copy)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        url = f"sqlite:///{disk.folder}/engine.db"
        with engine(tmp_path, url) as server:
            check(server, url, disk.fill, disk.make_room, "the disk is full", 300)


def test_a_server_whose_disk_is_full(tmp_path: Path) -> None:
    if missing():
        pytest.skip(f"a PostgreSQL whose disk is full is NOT tested: {missing()}")
    cluster = Cluster()
    try:
        with small_disk(cluster.folder / "disk", "40m") as disk:
            owner = cluster.folder.stat()
            os.chown(disk.folder, owner.st_uid, owner.st_gid)
            cluster.start()
            cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'", "CREATE DATABASE risk TABLESPACE small")
            with engine(tmp_path, cluster.url("risk")) as server:
                check(server, cluster.url("risk"), disk.fill, disk.make_room, "the disk is full", 1_000)
            cluster.kill()
    finally:
        cluster.close()


def test_a_server_that_stands_still_and_says_nothing(tmp_path: Path) -> None:
    if missing():
        pytest.skip(f"a PostgreSQL that stands still is NOT tested: {missing()}")
    cluster = Cluster()
    try:
        cluster.start()
        with engine(tmp_path, cluster.url()) as server, ThreadPoolExecutor(1) as client:
            assert post(server, deal("before"))[0] == 200
            with cluster.pause():
                waiting = client.submit(post, server, deal("waiting"))
                wait_until(lambda: server.get("/v1/status")["state"] == "degraded")
                assert "has not answered for" in server.get("/v1/status")["store_error"]
                status, headers, answer = post(server, deal("during"))
                assert (status, headers["Retry-After"]) == (503, "1") and "has not answered for" in answer["detail"]
                assert trade_count(server) == 1
            assert waiting.result(30)[0] == 200, "what was on its way is stored once the server goes on"
            wait_until(lambda: server.get("/v1/status")["state"] == "live")
            again = [post(server, deal(name))[2]["results"][0]["status"] for name in ("waiting", "during")]
            assert again == ["duplicate", "applied"]
            assert trade_count(server) == 3
        cluster.kill()
    finally:
        cluster.close()
