"""Curves of a running engine: through a restart, a kill, a store that is away, and a renewal."""

import asyncio
import sqlite3
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, CurvesConfig, EngineConfig, StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.market.trading_day import TradingDay
from riskengine.process.process import EngineProcess
from riskengine.snapshot.history import dated_closes, points
from riskengine.store.open_store import open_store
from tests.live_process import run_live, sent
from tests.running import Server, running
from tests.struck import a_close, a_totals
from tests.waiting import until
from tests.world import instruments, nodes, quote

FAST = "[curves]\nsample_s = 0.2\n"


@pytest.fixture
def house(store_url: str) -> str:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    return store_url


def live(url: str, test: Any, sample_s: float = 0.05) -> None:
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), curves=CurvesConfig(sample_s=sample_s)), test)


async def moving(process: EngineProcess, holds: Any) -> None:
    """Until that holds, prices move, so that there are snapshots to sample."""

    def look() -> Any:
        process.offer_ticks([quote("GBPUSD", 1.3, 1.3, process.clock.now())])
        return holds()

    await until(look)


def values(process: EngineProcess, node: str = "ALL") -> list[float | None]:
    newest = process.history.newest.as_of, 0.0
    return [point.value for point in points(process.curves.series(node, "total_pnl", 0, newest))][:-1]


def test_a_curve_goes_on_after_a_restart(house: str) -> None:
    before: list[float | None] = []

    async def first(process: EngineProcess) -> None:
        await process.submit([sent("t1", process, quantity="100", price="1.1")])
        await until(lambda: len(process.curves) >= 3)
        process.offer_ticks([quote("EURUSD", 1.2, 1.2, process.clock.now())])
        await until(lambda: (values(process)[-1] or 0) > 0)
        before.extend(values(process))

    async def second(process: EngineProcess) -> None:
        await until(lambda: len(process.curves) > len(before))
        assert values(process)[: len(before)] == before

    live(house, first)
    assert None in before, "before the first price the total was unknown"
    assert before[-1] == pytest.approx(10.0)
    live(house, second, sample_s=3_600.0)


def test_the_last_sample_is_of_the_end(house: str) -> None:
    async def first(process: EngineProcess) -> None:
        await until(lambda: len(process.curves) == 1)
        process.offer_ticks([quote("EURUSD", 1.2, 1.2, process.clock.now())])
        await process.submit([sent("t1", process, quantity="100", price="1.1")])
        await until(lambda: process.history.newest.units.priced.any())

    async def second(process: EngineProcess) -> None:
        await until(lambda: len(process.curves) >= 2)
        assert values(process)[:2] == [0.0, pytest.approx(10.0)]

    live(house, first, sample_s=3_600.0)
    live(house, second, sample_s=3_600.0)


def test_a_store_that_is_away_loses_nothing_and_catches_up(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(process: EngineProcess) -> None:
        assert process.live is not None
        store, sampling = process._store, process.live.sampling
        assert store is not None
        save = store.save_curve_samples
        refused = 0

        def refuse(samples: Any, keep_from: int) -> None:
            nonlocal refused
            refused += 1
            raise StoreUnavailable("away")

        await moving(process, lambda: len(process.curves) >= 2)
        monkeypatch.setattr(store, "save_curve_samples", refuse)
        await moving(process, lambda: refused >= 3 and len(sampling._waiting) >= 3)
        there = len(store.curve_samples(0, 2**53))
        assert there < len(process.curves)
        monkeypatch.setattr(store, "save_curve_samples", save)
        await until(lambda: not sampling._waiting)
        stored = [each.ts for each in store.curve_samples(0, 2**53)]
        assert len(stored) >= there + 3
        assert set(stored) >= {each.ts for each in tuple(process.curves._samples)[: there + 3]}

    live(house, away)


def test_a_store_that_keeps_its_answer_to_itself_makes_no_hole(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(process: EngineProcess) -> None:
        store, go_on = process._store, threading.Event()
        assert store is not None
        save = store.save_curve_samples

        def slow(samples: Any, keep_from: int) -> None:
            go_on.wait(10)
            save(samples, keep_from)

        await moving(process, lambda: len(process.curves) >= 2)
        monkeypatch.setattr(store, "save_curve_samples", slow)
        count = len(process.curves)
        await moving(process, lambda: len(process.curves) >= count + 5)
        go_on.set()

    live(house, silent)


def test_a_renewal_keeps_curves_by_name(house: str) -> None:
    async def renew(process: EngineProcess) -> None:
        await process.submit([sent("t1", process, desk="FX1", quantity="100", price="1.1")])
        process.offer_ticks([quote("EURUSD", 1.2, 1.2, process.clock.now())])
        await until(lambda: values(process, "FX1") and values(process, "FX1")[-1])
        count = len(values(process, "FX1"))
        store = open_store(house)
        store.save_nodes(nodes({"ALL": "", "AAA": "ALL"}))
        store.close()
        await until(lambda: "AAA" in process.history.newest.reference.hierarchy.index)
        await until(lambda: len(values(process, "AAA")) >= 2)
        assert len(values(process, "FX1")) > count
        assert values(process, "FX1")[count:] == pytest.approx([10.0] * len(values(process, "FX1")[count:]))
        assert set(values(process, "AAA")) == {0.0}

    live(house, renew)


def rows(server: Server, query: str = "") -> list[dict[str, Any]]:
    return list(server.get(f"/v1/history{query}")["rows"])


def test_a_curve_survives_kill_minus_9_with_a_hole_that_is_a_hole(house: str, tmp_path: Path) -> None:
    settings = tmp_path / "engine.toml"
    settings.write_text(FAST)
    words = ("serve", "--port", "0", "--config", settings, "--store", house)
    with running(*words, log=tmp_path / "log") as server:
        deadline = time.monotonic() + 20
        while len(before := rows(server)) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.kill()
    killed = time.time()
    time.sleep(1.0)
    with running(*words, log=tmp_path / "log") as server:
        deadline = time.monotonic() + 20
        while len(after := rows(server)) < len(before) + 2:
            assert time.monotonic() < deadline, after
            time.sleep(0.05)
    times = [row["ts"] for row in after]
    kept = [row["ts"] for row in before[:-1]]  # the last was the snapshot's own, not a sample
    assert len(set(kept) - set(times)) <= 1
    assert times == sorted(set(times))
    hole = max(later - earlier for earlier, later in pairwise(times))
    assert hole > 1_000_000
    assert not [ts for ts in times if killed * 1e6 < ts < (killed + 1) * 1e6]


def test_old_samples_leave_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()

    async def life(process: EngineProcess) -> None:
        await moving(process, lambda: len(process.curves) >= 8)

    async def run() -> None:
        curves = CurvesConfig(sample_s=0.05, keep_days=0.15 / 86_400)
        process = EngineProcess(Config(store=StoreConfig(url), curves=curves))
        process.open()
        try:
            await process.start()
            await asyncio.wait_for(life(process), 20)
        finally:
            await process.stop()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "engine.db") as connection:
        [[count]] = connection.execute("SELECT count(*) FROM curve_samples")
    connection.close()
    assert 1 <= count <= 6


def test_the_struck_closes_of_a_node_stand_before_its_minutes(house: str) -> None:
    store = open_store(house)
    totals = a_totals("ALL", "FX1", "FX2")
    for date, version in (("2026-11-26", 1), ("2026-11-27", 1), ("2026-11-27", 2)):
        store.save_struck_close(a_close(date, version, node_totals=totals))
    store.close()

    async def ask_for_days(process: EngineProcess) -> None:
        found = list(await process.close_totals("node", "FX1", "2026-11-27"))
        versions = [(date, version) for date, version, _ in found]  # of later days the start makes closes up
        assert versions[:2] == [("2026-11-27", 1), ("2026-11-27", 2)] and max(versions[2:], default=("", 0))[1] <= 1
        closes = dated_closes(found, "total_pnl", TradingDay.of(process.config.engine), 2**62)
        assert closes.values[0] == float(totals.amounts[0, 1])
        assert list(await process.close_totals("dealer", "FX1", "2026-11-27")) == [], "a node is no dealer of that name"
        assert [date for date, _, _ in await process.close_totals("node", "EQ1", "2026-11-26")] == [
            date for date, _ in versions[2:]
        ]

    live(house, ask_for_days)
