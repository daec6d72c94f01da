"""Corporate actions beside a live engine: in force within a second and when their day begins, the same after a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from riskengine.clock import ManualClock
from riskengine.config import Config, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.types import Close, StoredMark, Tick
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import position_rows
from riskengine.store.open_store import open_store
from tests.acted import ACTED, EX_DATE, action, dealt
from tests.store_book import Outside
from tests.waiting import until
from tests.world import NOON, SECOND, nodes

HOUR = 3_600 * SECOND
BEFORE = NOON - 15 * HOUR
"""21:00 UTC, 16:00 in New York: an hour before the ex-date begins."""
BEGINS = BEFORE + HOUR
"""When the ex-date begins; the roll comes after the tolerance."""
ROLLS = BEGINS + 6 * SECOND


@pytest.fixture
def place(store_url: str) -> str:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(ACTED.instruments)
    store.close()
    return store_url


def live(url: str, clock: ManualClock, test: Callable[[EngineProcess], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        process = EngineProcess(Config(store=StoreConfig(url)), clock)
        process.open()
        try:
            await process.start()
            return await asyncio.wait_for(test(process), 30)
        finally:
            await process.stop()

    return asyncio.run(life())


def held(process: EngineProcess, symbol: str = "AAA", **owner: Any) -> dict[str, Any]:
    newest = process.history.newest
    return next(iter(position_rows(newest, instrument=symbol, **(owner or {"node": "FX1"}))), {})


def shown(process: EngineProcess, symbol: str = "AAA") -> tuple[Any, ...]:
    row = held(process, symbol)
    return tuple(row.get(field) for field in ("quantity", "average_price", "mark", "total_pnl"))


async def state(process: EngineProcess) -> Any:
    return digest(process.history.newest), shown(process), [item.id for item in process.history.newest.exceptions["waiting"]]


async def reconciled(process: EngineProcess) -> Any:
    report = await process.reconcile(repair=False, actor="a test")
    assert report["clean"], report
    return await state(process)


def test_a_split_waits_for_its_day_then_changes_no_value_and_a_restart_is_the_same(place: str) -> None:
    clock = ManualClock(BEFORE)
    loader = open_store(place)
    loader.save_marks([StoredMark("AAA", BEFORE - 1, 401.0, "feed")])  # a tick, and the roll would ask for the right time first
    loader.close()

    async def test(process: EngineProcess) -> Any:
        await process.submit([dealt("1", ts=BEFORE - 9, received_ts=BEFORE, quantity="25", price="390.5")])
        assert await process.save_actions([action("s", BEFORE)]) == ["inserted"]
        before = shown(process)
        assert before == (25.0, 390.5, 401.0, 262.5)
        [item] = process.history.newest.exceptions["waiting"]
        assert "takes effect when the trading day 2026-03-04 begins" in item.reason
        clock.ts = ROLLS
        await until(lambda: shown(process) != before)
        assert shown(process) == (100.0, 97.625, 100.25, 262.5)
        process.offer_ticks([Tick("AAA", BEGINS - 1, 402.0, 402.0)])  # late, and still of yesterday
        await until(lambda: held(process)["mark"] == 100.5)
        process.offer_ticks([Tick("AAA", BEGINS + 1, 100.75, 100.75)])
        await until(lambda: held(process)["mark"] == 100.75)
        late = dealt("2", ts=BEFORE - 5, received_ts=BEGINS, quantity="5", price="391")
        await process.submit([late, dealt("3", ts=BEGINS + 2, received_ts=BEGINS + 2, quantity="7", price="100", side="sell")])
        assert held(process)["quantity"] == 113.0
        return await reconciled(process)

    told = live(place, clock, test)
    clock.ts += 3 * SECOND
    assert live(place, clock, state) == told


def test_what_others_write_is_in_force_within_a_second_amended_and_cancelled(place: str) -> None:
    clock = ManualClock(NOON)

    async def test(process: EngineProcess) -> Any:
        outside = Outside(place)
        await process.submit([dealt("1", quantity="30", received_ts=NOON)])
        columns = 'action_id, version, instrument, kind, ex_date, ratio, "into", received_ts'
        outside.execute(f"INSERT INTO actions ({columns}) VALUES ('s', 1, 'AAA', 'split', '{EX_DATE}', '2:1', '', 1)")
        await until(lambda: held(process)["quantity"] == 60.0)
        outside.execute(f"INSERT INTO actions ({columns}) VALUES ('s', 2, 'AAA', 'split', '{EX_DATE}', '3:1', '', 1)")
        await until(lambda: held(process)["quantity"] == 90.0)
        outside.execute(f"INSERT INTO actions ({columns}) VALUES ('s', 3, 'AAA', 'split', '{EX_DATE}', 'three', '', 1)")
        await until(lambda: process.history.newest.exceptions["waiting"] != ())
        assert held(process)["quantity"] == 90.0, "a row that is no action takes no part"
        outside.execute("INSERT INTO actions (action_id, version, kind) VALUES ('s', 4, 'cancel')")
        await until(lambda: held(process)["quantity"] == 30.0)
        outside.execute(f"INSERT INTO actions ({columns}) VALUES ('c', 1, 'AAA', 'symbol_change', '{EX_DATE}', '', 'BBB', 1)")
        await until(lambda: held(process, "BBB").get("quantity") == 30.0)
        outside.close()
        assert held(process) == {}
        return await reconciled(process)

    told = live(place, clock, test)
    assert live(place, clock, state) == told


def test_a_fraction_waits_for_a_close_and_is_paid_when_one_comes(place: str) -> None:
    clock = ManualClock(NOON)

    async def test(process: EngineProcess) -> Any:
        await process.submit([dealt("1", quantity="25", received_ts=NOON)])
        await process.save_actions([action("r", ratio="1:10")])
        assert held(process)["quantity"] == 2.5
        [item] = process.history.newest.exceptions["waiting"]
        assert "the fraction 0.5 of AAA at FX1, dealer ann, is not paid in cash" in item.reason
        loader = open_store(place)
        loader.save_closes([Close("2026-03-03", "AAA", 400.0)])
        loader.close()
        await until(lambda: held(process)["quantity"] == 2.0)
        assert held(process)["net_cash"] == -10_000.0 + 0.5 * 4_000.0
        return await reconciled(process)

    told = live(place, clock, test)
    assert told[2] == []
    assert live(place, clock, state) == told


def test_frozen_trades_come_back_before_an_action_acts_on_them(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = NOON - 40 * 24 * HOUR
    loader = open_store(place)
    loader.append_trades([dealt(f"t{n}", ts=old + n, received_ts=old + n, quantity="1") for n in range(30)])
    loader.close()
    clock = ManualClock(NOON)

    async def test(process: EngineProcess) -> Any:
        assert process.live is not None
        frozen = await process.on_writer(lambda engine: engine.processed.frozen_count)
        assert frozen == 30
        await process.save_actions([action("s")])
        assert held(process)["quantity"] == 120.0
        return await reconciled(process)

    told = live(place, clock, test)
    assert live(place, clock, state) == told


def test_a_renewal_keeps_what_is_in_force_and_its_marks(place: str) -> None:
    clock = ManualClock(NOON)
    loader = open_store(place)
    loader.save_marks([StoredMark("AAA", NOON - 20 * HOUR, 400.0, "feed")])
    loader.save_actions([action("s")])

    async def test(process: EngineProcess) -> Any:
        await process.submit([dealt("1", quantity="25", received_ts=NOON)])
        assert shown(process) == (100.0, 100.0, 100.0, 0.0)
        await process.renew("a test")
        assert shown(process) == (100.0, 100.0, 100.0, 0.0)
        loader.save_actions([action("s", version=2, ratio="2:1")])
        await until(lambda: shown(process) == (50.0, 200.0, 200.0, 0.0))
        await asyncio.sleep(0.3)
        assert shown(process) == (50.0, 200.0, 200.0, 0.0)
        assert process.warnings.get("edited") is None
        return await reconciled(process)

    told = live(place, clock, test)
    assert next(mark for mark in loader.marks() if mark.instrument == "AAA").price == 400.0, "the store keeps it as it was quoted"
    loader.close()
    assert live(place, clock, state) == told
