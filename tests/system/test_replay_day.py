"""A recorded day through the real program, against a recomputation that shares no code with it (issue: Must show)."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.recompute import effective_trades, newest_mids, tree
from tests.running import Server, command, running
from tests.truefx import MAPPING, PARENTS, first_lines, shuffled, tick_files, write_reference, write_rows, write_trades

TRADES = 22_000
SEEDS = (1, 2)
SOME = 5_000
"""Trades for a start, which the digest compares with the engine before it, however many there are."""
FEW = 2_000
"""Ticks of each pair where prices do not matter: the digest is of positions alone."""
CENT = Decimal("0.005")


class Day:
    """The files of one replay day, and what its end must be."""

    def __init__(self, folder: Path, shared_data: Path) -> None:
        self.folder = folder
        self.ticks = tick_files(shared_data)
        self.few_ticks = [first_lines(path, folder / path.name.removesuffix(".gz"), FEW) for path in self.ticks]
        self.store = f"sqlite:///{folder}/reference.db"
        self.trades = folder / "trades.csv"
        sent = write_trades(self.trades, self.ticks, TRADES)
        for seed in SEEDS:
            write_rows(folder / f"shuffle{seed}.csv", shuffled(sent, seed))
        write_rows(folder / "some.csv", shuffled(sent, 1)[:SOME])
        self.load_reference(self.store)
        standing, mids = effective_trades(self.trades), newest_mids(self.ticks)
        self.expected = tree(standing, mids, PARENTS)
        self.expected_dealers = tree(standing, mids, {}, owner="dealer")

    def load_reference(self, store: str) -> None:
        nodes, instruments = write_reference(self.folder)
        for kind, path in (("nodes", nodes), ("instruments", instruments)):
            done = command("load", kind, path, "--store", store)
            assert done.returncode == 0, done.stderr

    def replay(self, trades: Path, *options: str, ticks: list[Path] | None = None) -> dict[str, object]:
        words = [word for path in ticks or self.ticks for word in ("--ticks", str(path))]
        done = command("replay", *words, "--trades", trades, "--json", *MAPPING, *options, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Day:
    return Day(tmp_path_factory.mktemp("day"), shared_data)


@pytest.fixture(scope="module")
def here(day: Day) -> dict[str, object]:
    return day.replay(day.trades, "--store", day.store)


@pytest.fixture(scope="module")
def served(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    store = f"sqlite:///{folder}/day.db"
    day.load_reference(store)
    with running("serve", "--port", "0", "--store", store, log=folder / "log") as server:
        day.replay(day.trades, "--to", server.url)
        yield server


def assert_same_tree(rows: list[dict[str, object]], key: str, expected: dict[str, dict[str, Decimal]]) -> None:
    assert {row[key] for row in rows} == set(expected)
    for row in rows:
        want = expected[str(row[key])]
        for field, measure in (("total_pnl", "total"), ("realised_pnl", "realised"), ("unrealised_pnl", "unrealised")):
            assert abs(Decimal(repr(row[field])) - want[measure]) < CENT, (row[key], field)
        assert row["trade_count"] == want["trades"]


def test_at_full_speed_the_tree_is_the_recomputation_to_the_cent(day: Day, here: dict[str, object]) -> None:
    assert_same_tree(here["nodes"], "node", day.expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_and_doubled_trades_give_the_same_digest(day: Day, here: dict[str, object], seed: int) -> None:
    shuffle = day.folder / f"shuffle{seed}.csv"
    assert day.replay(shuffle, "--store", day.store, ticks=day.few_ticks)["digest"] == here["digest"]


def test_a_running_engine_ends_at_the_same_digest(here: dict[str, object], served: Server) -> None:
    assert served.get("/v1/digest")["digest"] == here["digest"]


def test_a_running_engine_ends_at_the_same_tree(day: Day, served: Server) -> None:
    assert_same_tree(served.get("/v1/nodes")["rows"], "node", day.expected)


def test_dealers_add_up_to_the_recomputation_too(day: Day, served: Server) -> None:
    assert_same_tree(served.get("/v1/dealers")["rows"], "dealer", day.expected_dealers)


def test_stopped_and_started_again_it_shows_the_same_numbers(day: Day, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/day.db"
    day.load_reference(store)
    with running("serve", "--port", "0", "--store", store, log=tmp_path / "log") as server:
        day.replay(day.folder / "some.csv", "--to", server.url, ticks=day.few_ticks)
        before = server.get("/v1/digest")["digest"], server.get("/v1/nodes")["rows"]
        assert server.stop() == 0
    with running("serve", "--port", "0", "--store", store, log=tmp_path / "log") as server:
        after = server.get("/v1/digest")["digest"], server.get("/v1/nodes")["rows"]
    assert after == before
