"""Groups of trades beside a live engine: of the snapshot asked about, as trades come, and read again when judged anew."""

import asyncio
import time
from fractions import Fraction
from typing import Any

import pytest

from riskengine.background import Rests
from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.errors import TooBusy
from riskengine.process import group_desk
from riskengine.process.process import EngineProcess
from riskengine.records.types import Verdict
from riskengine.snapshot.groups import Parts, unproven
from riskengine.snapshot.snapshot import Snapshot, UnknownName
from tests.live_process import run_live, sent
from tests.store_book import Outside


def live(url: str, test: Any) -> None:
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url)), test)


async def groups(process: EngineProcess, snapshot: Snapshot | None = None, **owner: str) -> Parts:
    asked = process.history.newest if snapshot is None else snapshot
    parts = await process.trade_groups(asked, "strategy", node=owner.get("node"), dealer=owner.get("dealer"))
    assert unproven(asked, parts, owner.get("node"), owner.get("dealer")) == []
    return parts


def quantity(parts: Parts, strategy: str) -> Any:
    return Fraction(parts["EURUSD"][strategy].quantity, 10**10) if strategy in parts.get("EURUSD", {}) else Fraction()


def test_groups_follow_trades_amends_and_cancels_and_are_of_the_snapshot_asked_about(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        assert await groups(process) == {}
        first = await process.submit([sent("1", process, strategy="carry"), sent("2", process, desk="FX2", dealer="bob")])
        before = process.history.at(first.seq)
        assert (quantity(await groups(process), "carry"), quantity(await groups(process), "")) == (100, 100)
        assert quantity(await groups(process, dealer="bob"), "carry") == quantity(await groups(process, node="FX2"), "carry") == 0
        amend = sent("1", process, version=2, action="amend", quantity="7.5", strategy="momentum", desk="FX2")
        await process.submit([amend, sent("2", process, version=2, action="cancel")])
        now = await groups(process, node="FX2")
        assert (quantity(now, "momentum"), quantity(now, "carry"), quantity(now, "")) == (Fraction(15, 2), 0, 0)
        assert quantity(await groups(process, before), "carry") == 100

    live(url, test)


def test_a_verdict_and_rows_of_another_program_are_followed(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("ahead", process, ts=process.clock.now() + 3_600_000_000, strategy="carry")])
        assert quantity(await groups(process), "carry") == 0
        [item] = process.history.newest.exceptions["quarantined"]
        await process.decide(item, Verdict(item.id, "accept", "", "ann", process.clock.now()))
        assert quantity(await groups(process), "carry") == 100
        outside = Outside(url)
        outside.book(trade_id="B1", ts=process.clock.now() - 1_000_000, quantity="3", strategy="carry", dealer="bob")
        outside.close()
        for _ in range(100):
            if quantity(await groups(process), "carry") == 103:
                break
            await asyncio.sleep(0.05)
        assert quantity(await groups(process), "carry") == 103

    live(url, test)


def test_what_was_edited_in_place_is_read_again_by_itself(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_desk, "AGAIN_S", 0.0)

    async def test(process: EngineProcess) -> None:
        await process.submit([sent("1", process, strategy="carry")])
        assert quantity(await groups(process), "carry") == 100
        outside = Outside(url)
        outside.execute("UPDATE trades SET quantity = '40' WHERE trade_id = '1'")
        outside.close()
        await process.reconcile(repair=True, actor="ann")
        parts = await process.trade_groups(process.history.newest, "strategy", node=None, dealer=None)
        assert unproven(process.history.newest, parts, None, None) == ["EURUSD"], "known to be wrong, and told"
        for _ in range(100):
            parts = await process.trade_groups(process.history.newest, "strategy", node=None, dealer=None)
            if not unproven(process.history.newest, parts, None, None):
                break
            await asyncio.sleep(0.02)
        assert quantity(parts, "carry") == 40

    live(url, test)


def test_whoever_asks_while_a_long_store_is_read_is_told_to_ask_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_desk, "WAIT_S", 0.05)
    monkeypatch.setattr(Rests, "rest_if_due", lambda _: time.sleep(0.02))

    async def test(process: EngineProcess) -> None:
        await process.submit([sent(f"{number}", process, strategy="carry") for number in range(20)])
        with pytest.raises(TooBusy, match="being read"):
            await groups(process)
        for _ in range(100):
            try:
                found = await groups(process)
                break
            except TooBusy:
                await asyncio.sleep(0.05)
        assert quantity(found, "carry") == 2_000

    live(url, test)


def test_only_so_many_questions_wait_and_an_unknown_name_is_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_desk, "MAX_WAITING", 0)

    async def test(process: EngineProcess) -> None:
        with pytest.raises(TooBusy, match="wait already"):
            await groups(process)
        monkeypatch.setattr(group_desk, "MAX_WAITING", 1)
        with pytest.raises(UnknownName):
            await process.trade_groups(process.history.newest, "strategy", node="nowhere", dealer=None)

    live(url, test)


def test_after_a_restart_the_trades_of_before_are_in_their_groups(url: str) -> None:
    async def deals(process: EngineProcess) -> None:
        await process.submit([sent("1", process, strategy="carry"), sent("2", process, strategy="momentum", quantity="30")])

    async def test(process: EngineProcess) -> None:
        assert quantity(await groups(process), "carry") == 100

    live(url, deals)
    live(url, test)
