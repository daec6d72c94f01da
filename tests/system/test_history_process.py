"""A process whose past is history against one that keeps every trade in memory: nobody can tell them apart, on both stores."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import MICROS_PER_SECOND, SystemClock
from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.engine.receipt import cell_of, receipt
from riskengine.engine.self_audit import SelfAudit
from riskengine.process.process import EngineProcess
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_rows, node_rows, position_rows
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts
from tests.conftest import postgres_schema
from tests.live_process import Test, run_live
from tests.rebuild.renewal.renewing import assert_as_fresh
from tests.rebuild.renewal.renewing import fresh as from_the_store
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, cancel, instruments, nodes, trade

NOW = SystemClock().now()
LONG_AGO = NOW - 40 * 86_400 * MICROS_PER_SECOND
DEALS = 300


def old(number: int, **columns: Any) -> Trade:
    """Number `number` of the trades of long ago."""
    ts = LONG_AGO + number * SECOND
    usual: dict[str, Any] = {
        "desk": ("FX1", "FX2", "EM1")[number % 3],
        "dealer": ("ann", "bob")[number % 2],
        "fees": str(number % 3),
        "side": ("buy", "sell")[number // 2 % 2],
        "quantity": str(1 + number % 7),
        "price": f"1.{number:04}",
    }
    return trade(f"o{number}", **{"ts": ts, "received_ts": ts + SECOND, **usual, **columns})


def fresh(name: str, **columns: Any) -> Trade:
    """A trade of now."""
    return trade(name, **{"ts": NOW, "received_ts": NOW, "dealer": "ann", **columns})


PAST = [
    *(old(number) for number in range(DEALS)),
    *(old(number, version=2, action="amend", price="1.5", desk="FX2") for number in range(5, DEALS, 50)),
    *(cancel(f"o{number}", received_ts=LONG_AGO + DEALS * SECOND) for number in range(7, DEALS, 50)),
    old(9, price="77"),  # a conflict
    old(DEALS, legs=2),
    old(DEALS, leg=1),
    old(DEALS + 1, legs=2),
    cancel("never", received_ts=LONG_AGO),
    old(DEALS + 2, value_date="2031-01-01"),
]

POSTED: list[list[Trade]] = [
    [fresh("n1"), fresh("n2", desk="FX2", side="sell")],
    [old(20), old(5, version=2, action="amend", price="1.5", desk="FX2")],
    [old(20, price="55")],
    [old(21, version=2, action="amend", desk="EM1", dealer="bob", price="1.9"), old(22, version=2, action="amend", ts=NOW)],
    [cancel("o23"), cancel("o23"), cancel("o5", 3)],
    [fresh("late", ts=LONG_AGO + 30 * SECOND), fresh("early", ts=LONG_AGO - SECOND, instrument="GBPUSD")],
    [old(40, leg=1, legs=2, ts=NOW, received_ts=NOW)],
    [old(7), old(7, version=3, action="amend"), cancel("o8"), old(8, version=3, action="amend", received_ts=NOW)],
    [fresh("n3"), fresh("n3"), old(41, version=3, action="amend", fees="9"), old(41, version=2, action="amend", fees="8")],
]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process settles its memory for good; the process of the tests must not. And looks often."""
    for constant in ("intake.store_thread.POLL_S", "rebuild.renewal.LOOK_S", "rebuild.renewal.SETTLE_S"):
        monkeypatch.setattr(f"riskengine.{constant}", 0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Two stores on one kind of database, each with the past."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            found = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "other")]
        else:
            found = [stack.enter_context(postgres_schema()) for _ in range(2)]
        for url in found:
            store = open_store(url)
            store.save_nodes(nodes())
            store.save_instruments(instruments())
            store.append_trades(PAST)
            store.close()
        yield found


def live(url: str, days: int, test: Test) -> Any:
    return run_live(Config(engine=EngineConfig(beat_ms=20, history_days=days), store=StoreConfig(url)), test)


def shown(process: EngineProcess) -> list[Any]:
    """Everything that a reader sees, but times of notices."""
    snapshot = process.history.newest
    listed = {
        kind: [(item.id, item.reason, item.trade, item.detail) for item in items] for kind, items in snapshot.exceptions.items()
    }
    rows = [node_rows(snapshot), dealer_rows(snapshot), list(position_rows(snapshot))]
    return [digest(snapshot), rows, snapshot.counts, listed]


async def healthy(process: EngineProcess) -> None:
    """Every invariant holds, and nothing is set aside."""
    await process.on_writer(Engine.check)
    assert await process.on_writer(lambda engine: SelfAudit(engine).finish_pass()) == []
    assert "set_aside" not in process.warnings


async def a_day(url: str, process: EngineProcess) -> list[Any]:
    """All that may touch the past; what was answered and shown after each step."""
    seen: list[Any] = [shown(process)]
    for batch in POSTED:
        answer = await process.submit(batch)
        seen += [list(answer.outcomes), shown(process)]
        await healthy(process)
    before = process.history.newest.counts.applied
    outside = Outside(url)
    columns = {"source": "test", "desk": "FX1", "quantity": "3", "price": "1.25", "received_ts": NOW}
    outside.book(**columns, trade_id="o60", version=2, action="amend", ts=LONG_AGO)
    outside.book(**columns, trade_id="theirs", ts=LONG_AGO + 90 * SECOND, dealer="bob")
    outside.close()
    await until(lambda: process.history.newest.counts.applied == before + 2)
    seen.append(shown(process))
    [conflict] = [item for item in process.history.newest.exceptions["conflict"] if item.id.startswith("conflict:test:o20:")]
    await process.decide(conflict, Verdict(conflict.id, "accept", "theirs was right", "ann", NOW))
    seen.append(shown(process))
    for node, dealer in (("ALL", None), (None, "bob")):
        cell = await process.on_writer(partial(cell_of, node=node, dealer=dealer, instrument="EURUSD"))
        seen.append(receipt(cell)["positions"])
    await healthy(process)
    return seen


def frozen(process: EngineProcess) -> Awaitable[int]:
    return process.on_writer(lambda engine: engine.processed.frozen_count)


def test_a_day_on_a_past_that_is_history_is_the_day_on_one_that_is_in_memory(urls: list[str]) -> None:
    async def test(process: EngineProcess) -> list[Any]:
        url, days = process.config.store.url, process.config.engine.history_days
        assert (await frozen(process) > DEALS * 0.9) == bool(days)
        seen = await a_day(url, process)
        assert_as_fresh(process)
        await process.renew("look again")
        assert (await frozen(process) > DEALS * 0.8) == bool(days)
        seen.append(shown(process))
        seen.append(list((await process.submit([cancel("o100"), old(101), cancel("theirs"), old(20, price="55")])).outcomes))
        seen.append(shown(process))
        await healthy(process)
        assert_as_fresh(process)
        report = await process.reconcile(repair=False, actor="ann")
        assert report["clean"]
        return seen

    in_memory, as_history = live(urls[0], 0, test), live(urls[1], 5, test)
    for step, (mine, theirs) in enumerate(zip(in_memory, as_history, strict=True)):
        assert mine == theirs, f"step {step}"

    async def look(process: EngineProcess) -> list[Any]:
        return shown(process)

    assert live(urls[0], 5, look) == live(urls[1], 0, look)


DAMAGE = (
    "UPDATE trades SET price = '9' WHERE trade_id = 'o30'",
    "DELETE FROM trades WHERE trade_id = 'o31'",
    "UPDATE trades SET desk = 'EM1' WHERE trade_id = 'o36'",
)


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_past_that_is_changed_in_the_store_is_a_break_and_is_repaired(urls: list[str], statement: str) -> None:
    async def test(process: EngineProcess) -> None:
        outside = Outside(urls[0])
        outside.execute(statement)
        outside.close()
        assert not (await process.reconcile(repair=True, actor="ann"))["clean"]
        await until(lambda: not process.history.newest.keys_set_aside() and "set_aside" not in process.warnings)
        assert (await process.reconcile(repair=False, actor="ann"))["clean"]
        await healthy(process)
        await process.submit([cancel("o30"), cancel("o31"), cancel("o36"), cancel("o33")])
        await healthy(process)
        assert digest(process.history.newest) == digest(from_the_store(process))

    live(urls[0], 5, test)


def test_a_trade_that_meets_a_changed_past_shows_no_wrong_number(urls: list[str]) -> None:
    async def test(process: EngineProcess) -> None:
        outside = Outside(urls[0])
        outside.execute(DAMAGE[0])
        outside.close()
        await process.submit([cancel("o30"), fresh("late", ts=LONG_AGO)])
        await until(lambda: not process.history.newest.keys_set_aside() and "set_aside" not in process.warnings)
        await healthy(process)
        assert digest(process.history.newest) == digest(from_the_store(process))

    live(urls[0], 5, test)


def test_what_touches_the_past_while_a_renewal_builds_is_in_the_engine_that_takes_over(
    urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def held_up(store: Store, limit: int) -> Callable[[TradeCheck], list[Trade]]:
        def reading(check: TradeCheck) -> list[Trade]:
            found = list(read_conflicts(store, limit)(check))
            reached.set()
            assert go_on.wait(20)
            return found

        return reading

    monkeypatch.setattr("riskengine.rebuild.renewal.read_conflicts", held_up)

    async def test(process: EngineProcess) -> None:
        done = process.renew("look again")
        assert await asyncio.to_thread(reached.wait, 20)
        await process.submit([cancel("o23"), old(21, version=2, action="amend", desk="EM1"), old(50, price="3"), old(24)])
        await process.submit([fresh("late", ts=LONG_AGO + 30 * SECOND), old(20, price="55")])
        conflicts = {item.id.split(":")[2]: item for item in process.history.newest.exceptions["conflict"]}
        for name in ("o20", "o9"):  # one that came meanwhile, one of long ago
            await process.decide(conflicts[name], Verdict(conflicts[name].id, "accept", "", "ann", process.clock.now()))
        quarantined = next(item for item in process.history.newest.exceptions["quarantined"])
        await process.decide(quarantined, Verdict(quarantined.id, "accept", "", "ann", process.clock.now()))
        go_on.set()
        await done
        await until(lambda: not process.history.newest.keys_set_aside() and "set_aside" not in process.warnings)
        await healthy(process)
        assert digest(process.history.newest) == digest(from_the_store(process))
        assert {item.id.split(":")[2] for item in process.history.newest.exceptions["conflict"]} == {"o50"}
        assert (await process.reconcile(repair=False, actor="ann"))["clean"]

    live(urls[0], 5, test)
