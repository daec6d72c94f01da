"""The whole engine without its sockets: from opening the store to closing it, and what happens when something breaks."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, InboxConfig, StoreConfig
from riskengine.errors import EngineNotLive, InboxFull, LeaseHeld, StoreUnavailable
from riskengine.process.process import EngineProcess
from riskengine.records.types import ONE, StoredMark
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import mark_rows, node_rows
from riskengine.store.open_store import open_store
from tests.live_process import Test, run_live, sent
from tests.waiting import until
from tests.world import SECOND, instruments, mark_settings, nodes, quote, row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(f"sqlite:///{tmp_path}/engine.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    return tmp_path / "engine.db"


def settings(path: Path, max_trades: int = 1_000) -> Config:
    return Config(
        engine=EngineConfig(beat_ms=20),
        store=StoreConfig(f"sqlite:///{path}"),
        inbox=InboxConfig(max_trades),
        marks=mark_settings(store_every_s=0.1),
    )


def live(path: Path, test: Test, **more: Any) -> Any:
    """Run a test against a live process."""
    return run_live(settings(path, **more), test)


# -- life --------------------------------------------------------------------------------------------------------


def test_before_it_is_live_it_says_so_and_takes_nothing(path: Path) -> None:
    process = EngineProcess(settings(path))
    assert (process.state, process.is_live, process.progress) == ("starting", False, 0.0)
    for ask in (lambda: process.history, lambda: process.check, lambda: process.submit([]), lambda: process.offer_ticks([])):
        with pytest.raises(EngineNotLive, match="starting"):
            ask()
    assert process.health()["trades_waiting"] == 0


def test_a_store_has_one_engine_and_its_place_is_free_when_it_stops(path: Path) -> None:
    async def test(process: EngineProcess) -> int:
        other = EngineProcess(settings(path))
        with pytest.raises(LeaseHeld):
            other.open()
        return process.history.newest.epoch

    assert [live(path, test), live(path, test)] == [1, 2]


def test_a_posted_trade_is_durable_applied_and_published_when_it_is_answered(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        receipt = await process.submit([sent("1", process), sent("2", process, desk="FX2")])
        assert [outcome.status for outcome in receipt.outcomes] == ["applied", "applied"]
        snapshot = process.history.at(receipt.seq)
        assert snapshot.nodes.state(0).trade_count == 2
        rows, total = await process.select_trades(
            node="FX1", instrument=None, dealer=None, since=None, versions="latest", limit=10, snapshot=snapshot
        )
        assert (total, rows[0]["trade_id"], rows[0]["quantity"]) == (1, "1", "100")
        assert await process.digest(snapshot) == digest(snapshot)

    live(path, test)


def test_a_preview_says_what_the_trade_then_becomes_and_stores_nothing(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        first = sent("1", process)
        await process.submit([first])
        day_later = process.clock.now() + 86_400_000_000
        trades = [
            first,
            sent("1", process, quantity="7"),
            sent("1", process, version=2, action="amend", quantity="7"),
            sent("2", process, ts=day_later),
            sent("2", process, ts=day_later, version=2, action="cancel"),
            *(sent(f"many-{number}", process) for number in range(250)),
        ]
        before = await process.digest(process.history.newest)
        told = await process.preview(trades, process.check)
        assert [one.status for one in told[:4]] == ["duplicate", "conflict", "applied", "quarantined"]
        assert {one.status for one in told[5:]} == {"applied"}
        assert await process.digest(process.history.newest) == before
        assert await process.stored_deals([("test", "2"), ("test", "many-1")]) == []
        receipt = await process.submit(trades, process.check)
        assert [(one.status, one.reason) for one in receipt.outcomes] == [(one.status, one.reason) for one in told]

    live(path, test)


def test_trades_that_are_kept_out_are_listed_alone_or_left_out(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        late = process.clock.now() + 86_400_000_000
        receipt = await process.submit(
            [sent("in", process), sent("out", process, ts=late), sent("gone", process, action="cancel")]
        )
        assert [one.status for one in receipt.outcomes] == ["applied", "quarantined", "parked"]

        async def listed(kept_out: bool | None) -> set[str]:
            rows, total = await process.select_trades(
                node=None,
                instrument=None,
                dealer=None,
                since=None,
                versions="latest",
                limit=10,
                snapshot=process.history.at(receipt.seq),
                kept_out=kept_out,
            )
            assert total == len(rows)
            return {row["trade_id"] for row in rows}

        assert await listed(True) == {"out", "gone"}
        assert await listed(False) == {"in"}
        assert await listed(None) == {"in", "out", "gone"}

    live(path, test)


def test_a_restart_shows_the_same_digest_the_same_profit_and_the_same_marks(path: Path) -> None:
    async def trading(process: EngineProcess) -> Any:
        now = process.clock.now()
        await process.submit([sent("1", process), sent("2", process, instrument="GBPUSD", desk="EM1", price="1.3", fees="2")])
        process.offer_ticks([quote("EURUSD", 1.15, 1.17, now), quote("GBPUSD", 1.31, 1.33, now)])
        # And the last tick of all right before the end.
        await until(lambda: process.history.newest.units.priced.sum() == 2)
        process.offer_ticks([quote("EURUSD", 1.19, 1.21, now + 1)])
        return process

    def shown(process: EngineProcess) -> Any:
        newest = process.history.newest
        marks = [{key: row[key] for key in ("instrument", "price", "ts", "source", "rate")} for row in mark_rows(newest)]
        return digest(newest), node_rows(newest), marks

    before = shown(live(path, trading))

    async def look(process: EngineProcess) -> Any:
        return shown(process)

    assert live(path, look) == before
    assert before[1][0]["total_pnl"] == pytest.approx(100 * (1.2 - 1.1) + 100 * (1.32 - 1.3))


def test_conflicts_are_kept_apart_listed_and_outlive_a_restart(path: Path) -> None:
    async def trading(process: EngineProcess) -> Any:
        first, other = sent("1", process), sent("1", process, quantity="7")
        receipt = await process.submit([first, other, other])
        assert [outcome.status for outcome in receipt.outcomes] == ["applied", "conflict", "conflict"]
        await process.submit([other, sent("1", process, quantity="8")])
        return await listed(process)

    async def listed(process: EngineProcess) -> Any:
        newest = process.history.newest
        items = [(item.id[:20], item.trade and item.trade.signed_quantity) for item in newest.exceptions["conflict"]]
        assert len({item.id for item in newest.exceptions["conflict"]}) == len(items)
        return digest(newest), items

    before = live(path, trading)
    assert before[1] == [("conflict:test:1:0:1:", 7 * ONE), ("conflict:test:1:0:1:", 8 * ONE)]
    assert live(path, listed) == before


def test_marks_are_stored_while_it_runs_and_closes_are_not_turned_into_marks(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        process.offer_ticks([quote("EURUSD", 1.15, 1.17, process.clock.now())])
        store = process._store
        assert store is not None
        await until(lambda: [mark.price for mark in store.marks()] == [1.16])
        process.live._save_marks([(0, process.history.newest.units.marks[0])])  # type: ignore[union-attr, list-item]

    from_close = sqlite3.connect(path)
    from_close.execute("INSERT INTO closes (date, instrument, price) VALUES ('2026-01-05', 'ACME', 20)")
    from_close.commit()
    from_close.close()
    live(path, test)
    store = open_store(f"sqlite:///{path}")
    assert [mark.instrument for mark in store.marks()] == ["EURUSD"]
    store.close()


def test_stopping_twice_is_stopping_once(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("1", process)])
        await process.stop()
        assert not process.is_live
        await process.stop()

    live(path, test)


def test_a_start_can_be_abandoned(path: Path) -> None:
    async def life() -> None:
        process = EngineProcess(settings(path))
        process.open()
        process.abandon_start()
        with pytest.raises(EngineNotLive):
            await process.start()
        await process.stop()

    asyncio.run(life())


# -- prices and publications ---------------------------------------------------------------------------------------


def test_a_tick_is_in_a_snapshot_after_the_next_beat_and_wakes_the_listeners(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        woken: list[int] = []
        end = process.listen(lambda: woken.append(process.history.newest.seq))
        seq = process.history.newest.seq
        assert process.offer_ticks([quote("EURUSD", 1.15, 1.17, process.clock.now()), quote("XYZ", 1, 2)]).refused[0].index == 1
        number = process.history.newest.reference.instrument_index["EURUSD"]
        # The close that every start strikes is published too, and may come first.
        await until(lambda: woken and process.history.newest.units.price[number] == 1.16)
        assert woken[-1] > seq
        end()
        count = len(woken)
        await process.submit([sent("1", process)])
        await asyncio.sleep(0.05)
        assert len(woken) == count

    live(path, test)


def test_a_listener_that_ends_itself_does_not_rob_the_next_of_its_wake(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        woken: list[str] = []
        ends: list[Callable[[], None]] = []

        def once() -> None:
            woken.append("once")
            ends[0]()

        ends.append(process.listen(once))
        process.listen(lambda: woken.append("always"))
        await process.submit([sent("1", process)])
        await until(lambda: woken)
        assert woken[:2] == ["once", "always"]

    live(path, test)


def test_a_beat_that_breaks_fails_the_engine_and_not_in_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(process: EngineProcess) -> None:
        assert process.live is not None
        monkeypatch.setattr(process.live.quotes, "take", lambda now: 1 / 0)
        await asyncio.wait_for(process.ended.wait(), 5)
        assert isinstance(process.failure, ZeroDivisionError)
        assert process.state == "failed" and not process.is_live
        monkeypatch.undo()

    live(path, test)


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_no_room_is_an_error_at_once_and_nothing_is_stored(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        with pytest.raises(InboxFull):
            await process.submit([sent(str(number), process) for number in range(4)])
        assert process._store is not None and process._store.watermark() == 0
        assert process.health()["trades_waiting"] == 0
        await process.submit([sent("1", process)])

    live(path, test, max_trades=3)


def test_a_store_that_is_away_degrades_the_engine_and_comes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(process: EngineProcess) -> None:
        def away(trades: object) -> None:
            raise StoreUnavailable("store is locked by another program")

        with monkeypatch.context() as patch:
            patch.setattr(process._store, "append_trades", away)
            patch.setattr(process._store, "is_writable", lambda: False)
            with pytest.raises(StoreUnavailable):
                await process.submit([sent("1", process)])
            assert process.state == "degraded" and process.is_live
            assert "locked" in process.health()["store_error"]
        await until(lambda: process.state == "live")
        assert process.health()["store_error"] is None
        receipt = await process.submit([sent("1", process)])
        assert receipt.outcomes[0].status == "applied"

    live(path, test)


def test_when_the_engine_fails_whoever_waits_is_told_and_the_next_start_has_the_trade(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(process: EngineProcess) -> float:
        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(process.live.writer._engine, "apply", broken)  # type: ignore[union-attr]
        waiting = [process.submit([sent("1", process)]), process.submit([sent("2", process)])]
        for answer in waiting:
            with pytest.raises(EngineNotLive, match="failed before it could answer"):
                await answer
        assert process.state == "failed" and process.ended.is_set()
        assert isinstance(process.failure, RuntimeError)
        with pytest.raises(EngineNotLive):
            process.submit([])
        return time.monotonic()

    ended = live(path, test)
    assert time.monotonic() - ended < 5, "stopping does not wait for the dead"

    async def look(process: EngineProcess) -> int:
        assert process.health()["trades_loaded"] == 2
        return process.history.newest.nodes.state(0).trade_count

    assert live(path, look) == 2


def test_who_went_away_does_not_matter(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        gone = asyncio.ensure_future(process.submit([sent("1", process)]))
        gone.cancel()
        await process.submit([sent("2", process)])
        assert process.history.newest.nodes.state(0).trade_count == 2
        await until(lambda: len(process._pending) == 0)

    live(path, test)


def test_what_waits_at_the_end_is_finished(path: Path) -> None:
    async def life() -> list[str]:
        process = EngineProcess(settings(path))
        process.open()
        await process.start()
        answers = [process.submit([sent(str(number), process)]) for number in range(200)]
        await process.stop()
        assert process.state == "stopping"
        return [(await answer).outcomes[0].status for answer in answers]

    assert asyncio.run(life()) == ["applied"] * 200


def test_a_row_of_another_program_comes_in_within_a_second(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        outside = sqlite3.connect(path, isolation_level=None)
        values = row("B1", ts=process.clock.now() - SECOND)
        outside.execute(
            f"INSERT INTO trades ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
        )
        outside.close()
        await until(lambda: process.history.newest.nodes.state(0).trade_count == 1, 1.0)

    live(path, test)


# -- feeds -------------------------------------------------------------------------------------------------------


def test_a_source_that_beats_is_alive_and_one_that_sent_more_than_came_has_a_gap(path: Path) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent(f"0{number}", process, source="desk", source_seq=number) for number in range(1, 6)])
        process.feed_heartbeat("desk", 5)
        [feed] = process.health()["feeds"]
        assert (feed["source"], feed["last_seq"], feed["gap"], feed["alive"]) == ("desk", 5, False, True)
        process.feed_heartbeat("desk", 6)
        assert process.health()["feeds"][0]["gap"]
        with pytest.raises(InboxFull):
            process.submit([sent(str(number), process, source="desk", source_seq=6) for number in range(2_000)])
        process.feed_heartbeat("desk", None)
        process.feed_heartbeat("desk", 6)
        assert process.health()["feeds"][0]["gap"], "what was not taken has not come"
        await process.submit([sent("2", process, source="desk", source_seq=6)])
        process.feed_heartbeat("desk", 6)
        assert not process.health()["feeds"][0]["gap"]

    live(path, test)


def test_stored_marks_of_unknown_instruments_harm_nobody(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    store.save_marks([StoredMark("UNHEARD", 1_790_000_000_000_000, 1.0)])
    store.close()

    async def test(process: EngineProcess) -> bool:
        return process.is_live

    assert live(path, test)
