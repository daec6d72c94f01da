"""Cash and carry reach a live engine however they are written, and a restart says the same."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.cash import CARRY, CASH, CarryInput, CashInput, EntryCheck
from riskengine.records.types import Tick
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import node_row
from riskengine.store.open_store import open_store
from tests.live_process import Test, run_live, sent
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url)), test)


def movement(process: EngineProcess, cash_id: str = "C1", amount: str = "1000", **columns: Any) -> Any:
    usual: dict[str, Any] = {"node": "FX1", "currency": "USD", "ts": process.clock.now() - SECOND} | columns
    return EntryCheck(process.check).cash(CashInput(cash_id=cash_id, amount=Decimal(amount), **usual), 0)


def carry(process: EngineProcess, carry_id: str = "K1", amount: str = "-10", **columns: Any) -> Any:
    usual: dict[str, Any] = {"desk": "FX1", "instrument": "EURUSD", "ts": process.clock.now() - SECOND, "type": "funding"}
    return EntryCheck(process.check).carry(CarryInput(carry_id=carry_id, amount=Decimal(amount), **(usual | columns)), 0)


def nav(process: EngineProcess, node: str = "ALL") -> Any:
    newest = process.history.newest
    return node_row(newest, newest.reference.hierarchy.index[node])["nav"]


async def seen(process: EngineProcess) -> Any:
    process.offer_ticks([Tick("EURUSD", process.clock.now(), 1.25, 1.25), Tick("USDJPY", process.clock.now(), 100.0, 100.0)])
    await until(lambda: nav(process) is not None and node_row(process.history.newest, 0)["unpriced_count"] == 0)
    await asyncio.sleep(0.2)
    newest = process.history.newest
    return digest(newest), [node_row(newest, number)["nav"] for number in range(len(newest.reference.hierarchy))]


def test_what_is_posted_is_in_force_at_once_and_after_a_restart(url: str) -> None:
    async def test(process: EngineProcess) -> Any:
        await process.submit([sent("t1", process)])
        first = movement(process)
        told = await process.take_cash(CASH, [first, first, movement(process, "C1", "7"), movement(process, "C2", "5")], "ann")
        assert [outcome.status for outcome in told] == ["applied", "duplicate", "conflict", "applied"]
        told = await process.take_cash(CARRY, [carry(process), carry(process, version=2, amount="-12"), carry(process)], "ann")
        assert [outcome.status for outcome in told][:2] == ["applied", "applied"]
        yen, changed = carry(process, "K2", "300", currency="JPY"), carry(process, amount="9")
        told = await process.take_cash(CARRY, [yen, changed], "ann")
        assert [outcome.status for outcome in told] == ["applied", "conflict"]
        ahead = movement(process, "C3", "1", ts=process.clock.now() + 3_600 * SECOND)
        assert [tuple(outcome) for outcome in await process.take_cash(CASH, [ahead], "ann")] == [
            ("applied", "waits for its time")
        ]
        report = await process.reconcile(repair=False, actor="a test")
        assert report["clean"], report
        return await seen(process)

    before = live(url, test)
    assert live(url, seen) == before


def test_what_another_program_writes_edits_and_deletes_is_followed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.process.neighbours.LOOK_S", 0.02)
    outside = Outside(url)

    async def test(process: EngineProcess) -> Any:
        now = process.clock.now()
        insert = "INSERT INTO cash (cash_id, version, node, currency, ts, amount) VALUES (?, ?, ?, 'USD', ?, ?)"
        outside.execute(insert, ["C1", 1, "FX1", now - SECOND, "100"])
        outside.execute(insert, ["C2", 1, "NOWHERE", now, "5"])
        outside.execute(
            "INSERT INTO carry (carry_id, desk, instrument, ts, amount, type) VALUES ('K1', 'FX1', 'EURUSD', ?, ?, ?)",
            [now - SECOND, "-4", "funding"],
        )
        await until(lambda: nav(process) == 96.0 and "cash" in process.warnings)
        assert "cash C2, node: unknown node 'NOWHERE'" in process.warnings["cash"]
        outside.execute(insert, ["C1", 2, "FX2", now - SECOND, "80.5"])
        await until(lambda: (nav(process), nav(process, "FX1"), nav(process, "FX2")) == (76.5, -4.0, 80.5))
        outside.execute("UPDATE cash SET amount = '90' WHERE version = 2")
        await until(lambda: nav(process) == 86.0)
        outside.execute("DELETE FROM cash WHERE version = 2")
        await until(lambda: (nav(process), nav(process, "FX1")) == (96.0, 96.0))
        report = await process.reconcile(repair=False, actor="a test")
        assert report["clean"], report
        await process.renew("a test")
        assert nav(process) == 96.0
        return await seen(process)

    before = live(url, test)
    outside.close()
    store = open_store(url, create=False, read_only=True)
    assert [finding.what for finding in store.verify_audit().findings] == []
    store.close()
    assert live(url, seen) == before


def test_a_renewal_keeps_what_came_while_it_was_built(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        renewed = asyncio.ensure_future(process.renew("a test"))
        for number in range(12):
            await process.take_cash(CASH, [movement(process, f"C{number}", "10")], "ann")
        await renewed
        assert nav(process) == 120.0
        await process.take_cash(CASH, [movement(process, "C12", "10")], "ann")
        assert nav(process) == 130.0

    live(url, test)
