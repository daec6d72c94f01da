"""The parts of a live engine: made at rest, started together, stopped with nothing left undone."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from riskengine.alerts import Warnings
from riskengine.clock import SystemClock
from riskengine.config import Config, StoreConfig
from riskengine.errors import EngineNotLive
from riskengine.loop import PublishWakeup, pending_answer
from riskengine.market.clock_skew import ClockSkews
from riskengine.market.closing_prices import closing_rules
from riskengine.observe import Metrics
from riskengine.process.limit_desk import StoredLimits
from riskengine.process.live import Calls, LiveEngine, Surroundings
from riskengine.process.roll import start_roll
from riskengine.rebuild.load import Loaded
from riskengine.rebuild.rebuild import rebuild
from riskengine.snapshot.curves import Curves
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.tables.bulk_trades import read_trades
from tests.store_book import new_store, trade
from tests.world import quote


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"riskengine-store", "riskengine-writer"}


async def refuse(action: Any) -> Any:
    raise EngineNotLive("no questions here")


def made(store: Store, failed: Callable[[BaseException], None]) -> LiveEngine:
    clock, config = SystemClock(), Config(store=StoreConfig(store.name))
    engine = rebuild(store, read_trades(store), config, epoch=1, now=clock.now())
    loaded = Loaded(engine, Bookmark(), store.reference_revision())
    surroundings = Surroundings(store, 1, config, clock, Metrics(), Warnings(clock), Curves(10), PublishWakeup(), ClockSkews())
    begin = start_roll(store, config, closing_rules(config.engine, engine.calendars), loaded, clock.now())
    store.hand_over()
    calls = Calls(failed, refuse, lambda text, acknowledged: None, refuse, refuse)
    return LiveEngine(surroundings, loaded, calls, begin, StoredLimits.of(store))


def test_nothing_runs_before_the_start_and_nothing_after_the_stop(tmp_path: Path) -> None:
    store, failures = new_store(tmp_path / "engine.db"), list[BaseException]()
    before = running()

    async def life() -> None:
        live = made(store, failures.append)
        assert running() == before
        live.start()
        assert running() == {"riskengine-store", "riskengine-writer"}
        done, answer = pending_answer()
        live.store_thread.submit([trade("a")], lambda receipt: answer(receipt, receipt.error))
        receipt = await done
        assert [outcome.status for outcome in receipt.outcomes] == ["applied"]
        assert live.newest().nodes.state(0).trade_count == 1
        live.quotes.offer([quote("EURUSD", 1.1, 1.1, live.newest().as_of)], live.newest().as_of)
        await live.sampling.stop()
        await live.stop(lambda: bool(failures))

    asyncio.run(life())
    assert running() == before and failures == []
    assert [mark.instrument for mark in store.marks()] == ["EURUSD"], "the last prices are stored"
    store.close()
