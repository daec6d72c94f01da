"""Keys that the self-audit set aside, in a live engine on a real store: told, folded anew, compared; or left to a person."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, ReconcileConfig, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.errors import StoreUnavailable
from riskengine.loop import start_task
from riskengine.observe import get_logger
from riskengine.process.process import EngineProcess
from riskengine.reconciliation.self_repair import WARNING, SelfRepair
from riskengine.records.types import Key
from riskengine.snapshot.digest import digest
from riskengine.store.audit_chain import AuditEntry, AuditFilter
from riskengine.store.open_store import open_store
from tests import faults
from tests.faults import FX1
from tests.live_process import Test, run_live, sent
from tests.waiting import until
from tests.world import House, instruments, nodes, trade

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.reconciliation.self_repair.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("riskengine.reconciliation.self_repair.RETRY_S", 0.01)


def with_a_house(url: str) -> str:
    opened = open_store(url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    return url


def live(url: str, test: Test, *, repair: bool) -> None:
    """A live engine that looks itself over every second."""

    async def booked(process: EngineProcess) -> None:
        await process.submit([sent("t1", process), sent("t2", process, desk="EQ1")])
        await test(process)

    reconcile = ReconcileConfig(every_s=0.0, repair_self_audit=repair)
    run_live(Config(engine=EngineConfig(self_audit_s=1.0), store=StoreConfig(url), reconcile=reconcile), booked)


def break_cash(engine: Engine) -> None:
    faults.position(engine, FX1).cash += 5


def repairs(process: EngineProcess) -> list[AuditEntry]:
    assert process._store is not None
    return process._store.audit_entries(AuditFilter(kind="repair"))


def test_a_key_that_broke_is_repaired_from_the_store_by_itself(store_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        sound = digest(process.history.newest)
        await process.on_writer(break_cash)
        await until(lambda: repairs(process))  # that it was set aside may be over before anybody looks
        assert [(entry.actor, json.loads(entry.detail)["keys"]) for entry in repairs(process)] == [("self-audit", [list(FX1)])]
        await until(lambda: process.health()["last_reconciliation"] and WARNING not in process.warnings, PATIENCE_S)
        assert process.history.newest.keys_set_aside() == []
        assert digest(process.history.newest) == sound
        await process.on_writer(Engine.check)
        _, report = await process.breaks(status=None)
        assert report is not None and report["clean"]

    live(with_a_house(store_url), test, repair=True)


def test_without_that_setting_it_stays_aside_told_and_remembered_until_somebody_has_it_repaired(tmp_path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        sound = digest(process.history.newest)
        await process.on_writer(break_cash)
        await until(lambda: "breaks" in process.warnings, PATIENCE_S)
        assert WARNING in process.warnings
        assert process.history.newest.keys_set_aside() == [FX1]
        rows, _ = await process.breaks(status=None)
        assert [(row["node"], row["instrument"], row["status"]) for row in rows] == [("FX1", "EURUSD", "open")]
        await process.reconcile(repair=True, actor="ann")
        assert process.history.newest.keys_set_aside() == []
        assert digest(process.history.newest) == sound
        await until(lambda: not process.warnings, PATIENCE_S)

    live(with_a_house(f"sqlite:///{tmp_path / 'desk.db'}"), test, repair=False)


# The watch itself


class Watched:
    """What a self-repair sees and does, written down."""

    def __init__(self, failures: int = 0) -> None:
        self.house = House()
        self.house.deal(trade("t1"), trade("t2", desk="EQ1"))
        self.warnings: dict[str, str] = {}
        self.done: list[Any] = []
        self.failures = failures

    async def refold(self, keys: list[Key]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the store is away")
        self.done.append(keys)
        self.house.engine.repair(keys, [trade("t1"), trade("t2", desk="EQ1")], 0)
        self.house.engine.publish(0)

    async def compare(self) -> None:
        self.done.append("compared")

    def set_aside(self, key: Key) -> None:
        self.house.engine.set_aside_key(key, "planted", 0)
        self.house.engine.publish(0)

    async def watch(self, seconds: float, *, repair: bool = True) -> None:
        self_repair = SelfRepair(lambda: self.house.engine.snapshot, self.warnings, self.refold if repair else None, self.compare)
        task = asyncio.get_running_loop().create_task(self_repair.run())
        await asyncio.sleep(seconds)
        task.cancel()


def test_while_nothing_is_set_aside_nothing_is_done() -> None:
    watched = Watched()
    asyncio.run(watched.watch(0.1))
    assert (watched.done, watched.warnings) == ([], {})


def test_what_is_set_aside_is_mended_once_and_compared_once() -> None:
    watched = Watched()
    watched.set_aside(FX1)
    asyncio.run(watched.watch(0.2))
    assert watched.done == [[FX1], "compared"]
    assert watched.warnings == {}


def test_a_key_that_stays_aside_is_compared_once_and_told_all_the_time() -> None:
    watched = Watched()
    watched.set_aside(FX1)
    asyncio.run(watched.watch(0.2, repair=False))
    assert watched.done == ["compared"]
    assert "unknown until repaired: 1" in watched.warnings[WARNING]


def test_it_tries_again_until_the_store_is_back() -> None:
    watched = Watched(failures=3)
    watched.set_aside(FX1)
    asyncio.run(watched.watch(0.4))
    assert watched.done == [[FX1], "compared"]
    assert watched.failures == 0


def test_a_key_that_breaks_again_is_mended_again() -> None:
    watched = Watched()

    async def twice() -> None:
        watched.set_aside(FX1)
        await watched.watch(0.2)
        watched.set_aside(FX1)
        await watched.watch(0.2)

    asyncio.run(twice())
    assert watched.done == [[FX1], "compared"] * 2


def test_a_watch_that_fails_does_not_end_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise LookupError("a mistake of ours")

    async def scenario() -> None:
        task = start_task(fails(), get_logger("test"))
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert "task_failed" in caplog.text
