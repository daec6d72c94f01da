"""The beats of a running engine: the age of its newest snapshot, the warning about a writer that hangs, and the metrics."""

import asyncio
import re
import threading
import time
from pathlib import Path
from typing import Any

from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.serve.app import create_app
from riskengine.store.open_store import open_store
from tests.live_process import run_live, sent
from tests.serve.stand_in import call
from tests.waiting import until
from tests.world import instruments, nodes, quote


def live(tmp_path: Path, test: Any) -> None:
    store = open_store(f"sqlite:///{tmp_path}/engine.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()

    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(f"sqlite:///{tmp_path}/engine.db")), test)


async def status_of(app: Any) -> dict[str, Any]:
    return dict((await call(app, "GET", "/v1/status")).json())


async def metric(app: Any, name: str) -> float:
    text = (await call(app, "GET", "/metrics")).body.decode()
    found = re.search(rf"^riskengine_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def test_a_writer_that_hangs_is_seen_within_a_second_and_named_while_it_does(tmp_path: Path) -> None:
    async def stall(process: EngineProcess) -> None:
        app = create_app(process)
        assert (await status_of(app))["publish_age_ms"] < 1_500
        go_on, hanging = threading.Event(), threading.Event()

        def hang(engine: object) -> None:
            hanging.set()
            go_on.wait(20)

        waiting = process.on_writer(hang)
        await asyncio.to_thread(hanging.wait, 5)
        began = time.monotonic()
        await asyncio.sleep(0.9)
        status = await status_of(app)
        lag = (time.monotonic() - began) * 1_000
        assert 800 <= status["publish_age_ms"] <= lag + 1_500
        assert 800 <= status["writer_lag_ms"] <= lag + 200
        assert await metric(app, "publish_age_seconds") >= 0.8
        assert await metric(app, "writer_lag_seconds") >= 0.8
        assert status["state"] == "live"
        await until(lambda: "stalled" in process.warnings)
        assert time.monotonic() - began < 2.5
        assert [warning["kind"] for warning in (await status_of(app))["warnings"]] == ["stalled"]
        assert (process.publish_age_ms or 0) > 2_000
        go_on.set()
        await waiting
        await until(lambda: "stalled" not in process.warnings)
        assert (await status_of(app))["publish_age_ms"] < 1_500

    live(tmp_path, stall)


def test_status_and_metrics_agree_about_the_same_work(tmp_path: Path) -> None:
    async def work(process: EngineProcess) -> None:
        app = create_app(process)
        assert (await status_of(app))["last_beat_ms"] is None
        await process.submit([sent("t1", process)])
        await process.submit([sent("t2", process), sent("t3", process)])
        process.offer_ticks([quote("EURUSD", 1.1, 1.1, process.clock.now())])
        process.feed_heartbeat("house", 5)
        assert process.live is not None
        writer = process.live.writer
        await until(lambda: writer.beat_seconds is not None)
        status = await status_of(app)
        assert 0 < status["last_beat_ms"] < 1_000
        assert await metric(app, "beat_duration_seconds_count") >= 1
        assert await metric(app, "trade_to_publish_seconds_count") == 2  # once for what was sent together
        assert 0 < await metric(app, "trade_to_publish_seconds_sum") < 10
        assert await metric(app, "inbox_depth") == 0
        assert await metric(app, 'feed_age_seconds{source="house"}') < 5
        assert await metric(app, "feeds_silent") == 0
        assert await metric(app, "last_tick_age_seconds") < 5
        [feed] = [feed for feed in status["feeds"] if feed["last_seq"] is not None]
        assert [feed["source"], feed["alive"]] == ["house", True]
        assert status["conflated"] == 0
        assert set(status["evictions"].values()) == {0}

    live(tmp_path, work)


def test_trades_that_others_wrote_are_not_in_the_time_from_sender_to_snapshot(tmp_path: Path) -> None:
    async def work(process: EngineProcess) -> None:
        app = create_app(process)
        other = open_store(f"sqlite:///{tmp_path}/engine.db")
        other.append_trades([sent("t9", process)])
        other.close()
        await until(lambda: process.history.newest.counts.applied == 1)
        assert await metric(app, "trade_to_publish_seconds_count") == 0

    live(tmp_path, work)
