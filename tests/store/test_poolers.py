"""A pooler in front of the store (case D4): refused where it shares sessions, and nothing is left on the sessions of others."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from riskengine.errors import StoreUnavailable
from riskengine.store.open_store import open_store
from tests.cli.commands import fails, riskengine
from tests.store.poolers import pgbouncer

SETTINGS = (
    "default_transaction_read_only",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "synchronous_commit",
    "tcp_keepalives_idle",
)


@pytest.fixture
def server_url(postgres_url: str) -> str:
    return postgres_url.partition("?")[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def settings(connection: "psycopg.Connection[tuple[str, ...]]") -> list[str]:
    return [connection.execute(f"SHOW {name}").fetchone()[0] for name in SETTINGS]  # type: ignore[index]


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize(("size", "round_robin"), [(1, 0), (5, 0), (5, 1)])
def test_a_pooler_that_shares_sessions_is_refused_by_the_name_of_its_mode(server_url, folder, mode, size, round_robin):
    pooler = pgbouncer(server_url, folder, mode, size=size, round_robin=round_robin)
    with pooler as url, psycopg.connect(url, autocommit=True) as other:
        before = settings(other)
        for words in ({"read_only": True}, {}, {"writer": "test"}):
            with pytest.raises(StoreUnavailable, match=f"pool_mode = {mode}"):
                open_store(url, **words)
        assert settings(other) == before
        for _ in range(5):
            with psycopg.connect(url, autocommit=True) as later:
                assert settings(later) == before


def test_another_program_on_the_pool_is_unharmed_by_load_and_every_other_command(server_url, folder, tmp_path):
    (tmp_path / "nodes.csv").write_text("node,level,parent\nALL,total,\n")
    with pgbouncer(server_url, folder, "transaction") as url:
        for words in (["load", "nodes", tmp_path / "nodes.csv"], ["rebuild"], ["audit", "verify"]):
            done = riskengine(*words, "--store", url)
            assert "pool_mode = transaction" in fails(done, status=done.exit_code)
            assert done.exit_code
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("CREATE TEMPORARY TABLE of_another_program (x int)")
            other.execute("INSERT INTO of_another_program VALUES (1)")


@pytest.mark.parametrize("busy", [0, 3])
def test_a_shared_session_is_recognised_while_others_use_the_pool(server_url, folder, busy):
    with pgbouncer(server_url, folder, "transaction", size=8) as url:
        others = [psycopg.connect(url) for _ in range(busy)]
        try:
            for other in others:
                other.execute("SELECT 1")  # a transaction that stays open holds its session
            with pytest.raises(StoreUnavailable, match="transaction"):
                open_store(url, read_only=True)
        finally:
            for other in others:
                other.close()


def test_a_pooler_in_session_mode_serves(postgres_url, server_url, folder):
    """It does not pass `options` on, so the schema is that of the user."""
    with psycopg.connect(postgres_url, autocommit=True) as direct:
        schema = direct.execute("SELECT current_schema()").fetchone()[0]  # type: ignore[index]
        direct.execute(f"CREATE ROLE {schema} LOGIN SUPERUSER")
        try:
            direct.execute(f"ALTER ROLE {schema} SET search_path = {schema}")
            server = server_url.replace("postgres@", f"{schema}@", 1)
            with pgbouncer(server, folder, "session", size=10) as url, closing(open_store(url, writer="test")) as store:
                assert store.next_epoch() == 1
                with closing(open_store(url, read_only=True, create=False)) as reader:
                    assert reader.nodes() == []
        finally:
            direct.execute(f"DROP OWNED BY {schema} CASCADE")
            direct.execute(f"DROP ROLE {schema}")


def test_read_only_is_of_the_transaction_not_of_the_session(postgres_url):
    open_store(postgres_url).close()
    with closing(open_store(postgres_url, create=False, read_only=True)) as store:
        store.nodes()
        connection = store._idle[0]  # type: ignore[attr-defined]
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("off",)
        with pytest.raises(StoreUnavailable, match="read-only transaction"):
            store._read(lambda transaction: transaction.connection.execute("CREATE TABLE no (x int)"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["Risk Desk", "Zürich", 'quo"ted', "SELECT", "plain"])
def test_a_schema_of_any_name_works(server_url, tmp_path, name):
    """Case D5."""
    quoted = '"' + name.replace('"', '""') + '"'
    (tmp_path / "nodes.csv").write_text("node,level,parent\nALL,total,\nFX1,desk,ALL\n")
    with psycopg.connect(server_url, autocommit=True) as direct:
        direct.execute(f"CREATE SCHEMA {quoted}")
        try:
            url = f"{server_url}?options={quote('-csearch_path=' + quoted)}"
            done = riskengine("load", "nodes", tmp_path / "nodes.csv", "--store", url)
            assert done.exit_code == 0, done.stderr
            assert riskengine("rebuild", "--full", "--store", url).exit_code == 0
            with closing(open_store(url, writer="test")):
                held = riskengine("load", "nodes", tmp_path / "nodes.csv", "--store", url)
                assert held.exit_code == 0, held.stderr
        finally:
            direct.execute(f"DROP SCHEMA {quoted} CASCADE")
