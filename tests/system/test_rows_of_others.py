"""Rows that another program writes into the store of a running engine: in its positions within a second, whatever goes wrong."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import postgres_schema
from tests.posting import trade_count
from tests.running import Server, running
from tests.store_book import Outside, new_store

ROWS = 6
WITHIN_S = 1.0


class Beside(NamedTuple):
    """A running engine, its store's URL, and a booking system at that store."""

    engine: Server
    url: str
    booking: Outside


@contextmanager
def beside(url: str, folder: Path) -> Iterator[Beside]:
    new_store(url).close()
    with running("serve", "--port", "0", "--store", url, log=folder / "log") as engine:
        booking = Outside(url)
        yield Beside(engine, url, booking)
        booking.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("others")
    with beside(f"sqlite:///{folder}/engine.db", folder) as found:
        yield found


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with postgres_schema() as url, beside(url, tmp_path_factory.mktemp("others")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def others(request: pytest.FixtureRequest) -> Beside:
    found: Beside = request.getfixturevalue(f"on_{request.param}")
    return found


def slowest(others: Beside) -> float:
    """How long the slowest of some rows took from its commit into the positions."""
    engine, _, booking = others
    worst = 0.0
    before = trade_count(engine)
    for number in range(1, ROWS + 1):
        booking.book(trade_id=f"row-{number}-{time.monotonic_ns()}")
        began = time.monotonic()
        while trade_count(engine) != before + number:
            assert time.monotonic() - began < 10 * WITHIN_S, "never came"
            time.sleep(0.01)
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.05)
    return worst


def ports_of(pid: int) -> list[int]:
    """The local ports of a process's connections."""
    sockets = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(handle))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(line[1].rpartition(":")[2], 16) for line in lines if f"socket:[{line[9]}]" in sockets]


@contextmanager
def doorbell_cut(url: str, pid: int) -> Iterator[None]:
    """End the session with which a process listens, again and again."""
    ended, cuts = threading.Event(), 0
    program = Outside(url)

    def cut() -> None:
        nonlocal cuts
        while not ended.wait(0.02):
            ports = ",".join(map(str, ports_of(pid)))
            cuts += len(
                program.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE starts_with(query, 'LISTEN') AND client_port = ANY(?::int[])",
                    ("{" + ports + "}",),
                )
            )

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        program.close()
    assert cuts > 0, "the doorbell was cut"


def test_a_row_is_applied_within_a_second(others: Beside) -> None:
    assert slowest(others) < WITHIN_S


def test_a_long_transaction_elsewhere_holds_no_row_back(others: Beside) -> None:
    """One that has written where the database lets others write beside it, one that has read where it does not."""
    elsewhere = Outside(others.url)
    elsewhere.execute("BEGIN")
    elsewhere.execute("UPDATE schema_version SET name = name" if elsewhere.is_postgres else "SELECT count(*) FROM trades")
    assert slowest(others) < WITHIN_S
    elsewhere.execute("ROLLBACK")
    elsewhere.close()


def test_a_row_whose_bell_was_never_rung_is_found_by_looking(on_postgres: Beside) -> None:
    on_postgres.booking.execute("ALTER TABLE trades DISABLE TRIGGER trades_ring")
    assert slowest(on_postgres) < WITHIN_S
    on_postgres.booking.execute("ALTER TABLE trades ENABLE TRIGGER trades_ring")


def test_a_row_is_found_while_the_doorbell_s_connection_is_cut_again_and_again(on_postgres: Beside) -> None:
    with doorbell_cut(on_postgres.url, on_postgres.engine.process.pid):
        assert slowest(on_postgres) < WITHIN_S
    assert slowest(on_postgres) < WITHIN_S
