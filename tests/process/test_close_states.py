"""A live engine keeps the state of the newest close; the next one goes on from it, and proves it in the background."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from riskengine.clock import SystemClock
from riskengine.config import Config, StoreConfig
from riskengine.market.trading_day import TradingDay
from riskengine.process.process import EngineProcess
from riskengine.rebuild.day import strike_missed
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.close_state import StoredCloseState
from riskengine.records.closes import ClosePrice
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from riskengine.store.tables.bulk_trades import read_trades
from tests.live_process import run_live, sent
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, instruments, nodes, trade

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def quick(monkeypatch: Patch) -> None:
    """Small stores keep states too, at once."""
    monkeypatch.setattr("riskengine.process.close_states.FROM_TRADES", 1)
    monkeypatch.setattr("riskengine.process.close_states.LOOK_S", 0.02)
    monkeypatch.setattr("riskengine.rebuild.close_state.RECENT_TRADES", -1)
    monkeypatch.setattr("riskengine.rebuild.load.SMALL", 0)
    monkeypatch.setattr("riskengine.rebuild.load.LOOK_AGAIN_S", 0.01)


@pytest.fixture
def config(store_url: str) -> Config:
    """A store with trades of the day that was closed last, and its close."""
    made = Config(store=StoreConfig(store_url))
    store, now = open_store(store_url), SystemClock().now()
    day = TradingDay.of(made.engine)
    date = day.last_closed(now)
    ts = day.close_of(date) - 60 * SECOND
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.append_trades([trade(f"t{at}", ts=ts + at * SECOND, received_ts=ts + at * SECOND) for at in range(20)])
    engine = rebuild(store, read_trades(store), made, epoch=0, now=now)
    store.save_struck_close(strike_missed(engine, date, {"EURUSD": ClosePrice(1.1, ts)}, made, now, []))
    store.close()
    return made


def state_of(process: EngineProcess) -> StoredCloseState | None:
    assert process._store is not None
    return process._store.close_state()


def is_kept(process: EngineProcess) -> bool:
    state = state_of(process)
    return state is not None and not state.void


async def until_kept(process: EngineProcess) -> None:
    await until(lambda: is_kept(process))


def fresh_digest(config: Config) -> str:
    store = open_store(config.store.url, create=False, read_only=True)
    try:
        return digest(rebuild(store, read_trades(store), config, epoch=0, now=SystemClock().now()).snapshot)
    finally:
        store.close()


def test_the_next_start_goes_on_from_the_state_that_was_kept_and_compares_what_is_behind_it(config: Config) -> None:
    async def first(process: EngineProcess) -> None:
        assert process.morning.account()["from_close"] is None
        await until_kept(process)
        state = state_of(process)
        assert state is not None and (state.state.frozen, state.state.watermark) == (20, 20)
        await process.submit([sent("new", process)])

    async def second(process: EngineProcess) -> None:
        account = process.morning.account()
        assert account["from_close"] == TradingDay.of(config.engine).last_closed(process.clock.now()).isoformat()
        assert account["rows_behind"] == 20
        assert process.live is not None
        assert await process.on_writer(lambda engine: engine.processed.in_memory) == 1
        await until(lambda: process.morning.account()["compared"] is not None)
        assert not process.warnings
        [outcome] = (await process.submit([sent("t3", process, version=2, action="amend", price="1.5")])).outcomes
        assert outcome.status == "applied"
        assert digest(process.history.newest) == fresh_digest(config)

    run_live(config, first)
    run_live(config, second)


def test_a_row_edited_behind_the_close_is_a_break_after_the_start_and_the_state_is_made_anew(config: Config) -> None:
    run_live(config, until_kept)
    outside = Outside(config.store.url)
    outside.execute("UPDATE trades SET price = '9' WHERE trade_id = 't3'")
    outside.close()

    async def test(process: EngineProcess) -> None:
        assert process.morning.account()["from_close"] is not None
        first = state_of(process)
        assert first is not None
        await until(lambda: "breaks" in process.warnings)
        await until(lambda: (state := state_of(process)) is not None and not state.void and state.number != first.number)
        assert not (await process.reconcile(repair=True, actor="ann"))["open"]
        assert digest(process.history.newest) == fresh_digest(config)

    run_live(config, test)

    async def after(process: EngineProcess) -> None:
        await until(lambda: process.morning.account()["compared"] is not None)
        assert "breaks" not in process.warnings
        assert digest(process.history.newest) == fresh_digest(config)

    run_live(config, after)


def test_without_the_setting_every_start_replays_everything(config: Config) -> None:
    run_live(config, until_kept)
    off = replace(config, engine=replace(config.engine, start_from_close=False))

    async def test(process: EngineProcess) -> None:
        account = process.morning.account()
        assert account["from_close"] is None and account["compared"]

    run_live(off, test)


def test_an_engine_that_stops_while_it_makes_a_state_leaves_none(config: Config, monkeypatch: Patch) -> None:
    made: list[str] = []

    def slow(*args: Any, rest: Callable[[], None], **more: Any) -> None:
        made.append("begun")
        while True:
            rest()

    with monkeypatch.context() as patch:
        patch.setattr("riskengine.process.close_states.make_close_state", slow)

        async def test(process: EngineProcess) -> None:
            await until(lambda: made)
            assert state_of(process) is None

        run_live(config, test)
    run_live(config, until_kept)
