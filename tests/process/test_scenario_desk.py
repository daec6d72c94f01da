"""Questions about scenarios beside a live engine: closes of the store, one question at a time, a bound on those that wait."""

import asyncio
import datetime as dt
import threading
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, ScenariosConfig, StoreConfig
from riskengine.errors import TooBusy
from riskengine.market.trading_day import TradingDay
from riskengine.process import scenario_desk
from riskengine.process.process import EngineProcess
from riskengine.process.scenario_desk import read_closes
from riskengine.records.closes import ClosePrice
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close
from riskengine.scenarios.shocks import library
from riskengine.scenarios.var import HISTORICAL
from riskengine.scenarios.workbench import Workbench
from riskengine.store.open_store import open_store
from tests.live_process import run_live
from tests.scenarios_data import days_before, walks
from tests.struck import a_close
from tests.waiting import until
from tests.world import instruments, nodes, quote

TODAY = TradingDay.of(EngineConfig()).date_of(int(dt.datetime.now(dt.UTC).timestamp() * 1e6)).isoformat()


@pytest.fixture
def house(store_url: str) -> str:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.save_closes(walks({"EURUSD": 1.1, "ACME": 90.0}, 30, before=TODAY))
    store.close()
    return store_url


def live(url: str, test: Any, **settings: Any) -> None:
    scenarios = ScenariosConfig(**({"days": 20, "min_days": 10} | settings))
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), scenarios=scenarios), test)


async def shifts(process: EngineProcess) -> Any:
    return await process.ask_scenarios(lambda bench: bench.shifts(process.history.newest, HISTORICAL))


def test_a_question_of_the_engines_own_waits_however_many_do(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        assert process.live is not None
        desk, gate = process.live.scenario_desk, threading.Event()
        first = [asyncio.create_task(desk.ask(lambda bench: gate.wait(20))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await desk.ask(lambda bench: None)
        own = asyncio.create_task(desk.ask(lambda bench: "ours", is_ours=True))
        await asyncio.sleep(0)
        gate.set()
        assert await own == "ours"
        await asyncio.gather(*first)

    live(house, test, max_waiting=1)


def test_scenarios_are_made_of_the_last_closes_that_the_store_has(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        found = await shifts(process)
        assert found.names == tuple(days_before(TODAY, 20))
        assert found.missing[process.history.newest.reference.instrument_index["ACME"]] == 0
        assert found.missing[process.history.newest.reference.instrument_index["ESZ6"]] == 20

    live(house, test)


def test_a_close_that_is_posted_or_loaded_beside_counts_for_the_next_question(house: str) -> None:
    last = days_before(TODAY, 1)[0]

    async def test(process: EngineProcess) -> None:
        number = process.history.newest.reference.instrument_index["ACME"]
        before = (await shifts(process)).shift[-1, number]
        await process.save_closes([Close(last, "ACME", 1_000.0)], "ann")
        posted = (await shifts(process)).shift[-1, number]
        assert posted != before
        store = open_store(house)
        store.save_closes([Close(last, "ACME", 2_000.0), Close("2008-09-30", "ACME", 7.0), Close("2008-10-27", "ACME", 5.0)])
        store.close()

        async def follows() -> bool:
            return bool((await shifts(process)).shift[-1, number] > 2 * posted)

        for _ in range(100):
            if await follows():
                break
            await asyncio.sleep(0.05)
        assert await follows()
        assert len((await shifts(process)).names) == 20, "closes of a crisis make no scenario"
        shock = library()["2008-10"]
        crisis = await process.ask_scenarios(lambda bench: bench.shock(process.history.newest, shock))
        assert crisis.shift[number] == pytest.approx(5.0 / 7.0 - 1.0)

    live(house, test)


def test_a_scenario_that_is_loaded_beside_is_there_within_a_second(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        assert await process.ask_scenarios(lambda bench: dict(bench.loaded)) == {}
        store = open_store(house)
        falls = ScenarioShift(scenario="s", factor="spot", instrument="ACME", relative=-0.1)
        gone = ScenarioShift(scenario="s", factor="vol", everything=True)
        store.save_scenario_shifts([falls, gone])
        store.close()
        for _ in range(100):
            found = await process.ask_scenarios(lambda bench: dict(bench.loaded))
            if found:
                break
            await asyncio.sleep(0.05)
        assert found == {"s": [falls]}

    live(house, test)


def test_as_many_as_may_wait_are_answered_and_a_further_one_is_refused(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        go_on = threading.Event()

        def slow(bench: Workbench) -> str:
            go_on.wait(10.0)
            return "done"

        asked = [asyncio.create_task(process.ask_scenarios(slow)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(TooBusy, match="3 questions about scenarios wait already"):
            await process.ask_scenarios(slow)
        go_on.set()
        assert await asyncio.gather(*asked) == ["done"] * 3
        assert await process.ask_scenarios(lambda bench: "again") == "again"

    live(house, test, max_waiting=2)


def test_an_error_of_the_work_comes_back_to_who_asked(house: str) -> None:
    def fails(bench: Workbench) -> None:
        raise LookupError("no such thing")

    async def test(process: EngineProcess) -> None:
        with pytest.raises(LookupError, match="no such thing"):
            await process.ask_scenarios(fails)

    live(house, test)


def test_prices_of_each_minute_are_kept(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_desk, "MINUTE_US", 50_000)

    async def test(process: EngineProcess) -> None:
        process.offer_ticks([quote("EURUSD", 1.1, 1.1, process.clock.now())])
        desk = process._when_live().scenario_desk
        await until(lambda: len(desk._bench._minutes) == 4)
        assert (await process.ask_scenarios(lambda bench: bench.scenarios(process.history.newest, "intraday"))).size == 3

    live(house, test, intraday_minutes=3)


def test_loaded_closes_count_before_struck_ones_and_old_marks_for_nothing(store_url: str) -> None:
    rule = TradingDay.of(EngineConfig())
    end = rule.close_of(dt.date(2026, 3, 2))
    hour = 3_600_000_000
    prices = {
        "ACME": ClosePrice(89.0, end - hour),
        "EURUSD": ClosePrice(1.2, end - hour),
        "ESZ6": ClosePrice(5_000.0, end - 90 * hour),
    }
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.save_closes([Close("2026-03-02", "ACME", 90.0), Close("2026-03-03", "ACME", 91.0), Close("2026-02-28", "ACME", 5.0)])
    store.save_struck_close(a_close(date="2026-03-02", prices=prices))
    found = read_closes(store, rule, "2026-03-04", 20, lambda: None)
    store.close()
    by_key = {(close.date, close.instrument): close.price for close in found.closes}
    assert list(found.ends) == ["2026-03-02", "2026-03-03"], "a Saturday is no trading day"
    assert by_key == {("2026-03-02", "ACME"): 90.0, ("2026-03-02", "EURUSD"): 1.2, ("2026-03-03", "ACME"): 91.0}


def test_closes_are_read_in_parts_without_losing_any(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_desk, "READ_AT_ONCE", 3)
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    closes = walks(dict.fromkeys(("EURUSD", "GBPUSD", "ACME", "GHOST", "MAREL"), 100.0), 12)
    store.save_closes(closes)
    found = read_closes(store, TradingDay.of(EngineConfig()), "", 500, lambda: None)
    store.close()
    assert sorted(found.closes, key=lambda c: (c.date, c.instrument)) == sorted(closes, key=lambda c: (c.date, c.instrument))
