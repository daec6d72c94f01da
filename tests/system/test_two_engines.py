"""Two engines on one store, as real processes: one lives; one that was paused and wakes up cannot write."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replay import engine_races
from riskengine.store.open_store import open_store
from tests.conftest import SERVER
from tests.posting import deal, post, trade_count
from tests.running import Server, command, start
from tests.store_book import Outside, new_store


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_of_two_engines_started_at_once_one_lives_and_a_killed_holder_delays_nobody(store: str) -> None:
    if store == "postgres" and not os.environ.get(SERVER):
        pytest.skip(f"PostgreSQL is NOT tested: set {SERVER}")
    summary = engine_races.campaign(store, 1)
    assert summary["wrong"] == 0 and summary["races"] == 1


@contextmanager
def paused(url: str, folder: Path) -> Iterator[Server]:
    """An engine that stored a trade and was then paused; a caller that waits for it gets no answer."""
    new_store(url).close()
    server = start("serve", "--port", "0", "--store", url, log=folder / "paused.log")
    try:
        assert post(server, deal("first"))[0] == 200
        server.process.send_signal(signal.SIGSTOP)
        yield server
    finally:
        server.process.kill()
        server.process.wait(30)
        assert server.process.stdout is not None
        server.process.stdout.close()


@contextmanager
def successor(url: str, folder: Path) -> Iterator[Server]:
    server = start("serve", "--port", "0", "--store", url, log=folder / "successor.log")
    try:
        assert trade_count(server) == 1
        yield server
    finally:
        assert server.stop() == 0
        assert server.process.stdout is not None
        server.process.stdout.close()


def assert_fenced(awake: Server, after: Server, url: str, folder: Path) -> None:
    """The engine that wakes up stores nothing and ends by itself; the new one goes on."""
    awake.process.send_signal(signal.SIGCONT)
    try:
        status, _, answer = post(awake, deal("late"))
    except OSError:  # it had ended before we asked
        status, answer = 503, {}
    assert status != 200, answer
    assert awake.process.wait(30) == 1, "an engine whose place was taken does not go on"
    assert re.search("has a newer writer|has a writer already", (folder / "paused.log").read_text())
    assert post(after, deal("second"))[0] == 200
    assert trade_count(after) == 2
    store = open_store(url, read_only=True)
    assert [row.trade_id for row in store.trades_after(0)] == ["first-0", "second-0"]
    store.close()


def test_a_paused_holder_keeps_its_place(store_url: str, tmp_path: Path) -> None:
    with paused(store_url, tmp_path) as holder:
        refused = command("serve", "--port", "0", "--store", store_url)
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1
        assert f"has a writer already: riskengine serve (pid {holder.process.pid} on " in refused.stderr
        holder.process.send_signal(signal.SIGCONT)
        assert post(holder, deal("second"))[0] == 200
        assert trade_count(holder) == 2


def test_a_paused_holder_whose_session_the_administrator_ended_wakes_up_and_cannot_write(
    postgres_url: str, tmp_path: Path
) -> None:
    with paused(postgres_url, tmp_path) as holder:
        administrator = Outside(postgres_url)
        administrator.execute("SELECT pg_terminate_backend(backend, 5000) FROM writer_lease")
        administrator.close()
        with successor(postgres_url, tmp_path) as after:
            assert_fenced(holder, after, postgres_url, tmp_path)


def test_a_paused_holder_whose_lock_file_was_removed_wakes_up_and_cannot_write(tmp_path: Path) -> None:
    """A mistake that an operator can make."""
    url = f"sqlite:///{tmp_path}/engine.db"
    with paused(url, tmp_path) as holder:
        (tmp_path / "engine.db.lock").unlink()
        with successor(url, tmp_path) as after:
            assert_fenced(holder, after, url, tmp_path)
