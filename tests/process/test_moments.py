"""Questions about the past of a live engine: what was then known, what is known now of then."""

import asyncio
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, JournalConfig, StoreConfig
from riskengine.engine.moment import NOW, THEN, Known, Moment
from riskengine.errors import BeforeTheStore, StoreUnavailable, TooBusy
from riskengine.process.process import EngineProcess
from riskengine.records.cash import CashMovement
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import Vol
from riskengine.records.types import ONE
from riskengine.snapshot.rows import RowDict, dealer_rows, ladder_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.open_store import open_store
from tests.live_process import run_live, sent
from tests.world import SECOND, instruments, mark_settings, nodes, quote


def furnished(url: str) -> None:
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()


def live(url: str, test: Any, **journal: Any) -> None:
    settings = JournalConfig(**({"every_s": 3_600.0} | journal))
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), marks=mark_settings(), journal=settings), test)


def seen(snapshot: Snapshot) -> list[RowDict]:
    return [*node_rows(snapshot), *dealer_rows(snapshot), *position_rows(snapshot), *ladder_rows(snapshot, exact=True)]


async def recorded(process: EngineProcess) -> Snapshot:
    """The snapshot of an instant that is recorded now."""
    assert process.live is not None
    await process.live.journal.record()
    snapshot = process.live.journal.newest
    assert snapshot is not None
    return snapshot


async def at(process: EngineProcess, snapshot: Snapshot, known: Known = THEN) -> Moment:
    return await process.moment(snapshot.as_of, known)


async def price(process: EngineProcess, symbol: str, mid: float) -> None:
    process.offer_ticks([quote(symbol, mid - 0.0001, mid + 0.0001, process.clock.now())])
    number = process.history.newest.reference.instrument_index[symbol]
    async with asyncio.timeout(10):
        while abs(process.history.newest.units.price[number] - mid) > 1e-9:  # noqa: ASYNC110 - the beat tells nobody
            await asyncio.sleep(0.01)


def by_hand(author: str, price: float, now: int, expires_ts: int | None) -> ManualMark:
    return ManualMark(instrument="ACME", ts=now, price=price, author=author, reason="call", expires_ts=expires_ts, entered_ts=now)


def test_a_recorded_instant_is_told_as_it_was_shown_whatever_came_later(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await price(process, "EURUSD", 1.2)
        await process.submit([sent("t1", process), sent("t2", process, desk="FX2", instrument="GBPUSD", price="1.3")])
        first = await recorded(process)
        await price(process, "GBPUSD", 1.31)
        await process.submit([sent("t3", process, side="sell", quantity="40")])
        second = await recorded(process)
        shown = [seen(first), seen(second)]
        await process.submit(
            [sent("t1", process, version=2, action="amend", price="1.15"), sent("t2", process, version=2, action="cancel")]
        )
        await price(process, "EURUSD", 1.25)
        third = await recorded(process)
        for snapshot, rows in zip((first, second, third), (*shown, seen(third)), strict=True):
            moment = await at(process, snapshot)
            told = moment.engine.snapshot
            assert seen(told) == rows
            assert (told.epoch, told.seq, told.as_of) == (snapshot.epoch, snapshot.seq, snapshot.as_of)
            assert (moment.exact_at, moment.unknown) == (snapshot.as_of, ())
        between = await process.moment(second.as_of - 1, THEN)
        assert (between.asked, between.exact_at) == (second.as_of - 1, first.as_of)

    live(house_url, test)


def test_what_is_known_now_of_then_has_the_corrections_that_came_later(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await price(process, "EURUSD", 1.2)
        await process.submit([sent("t1", process), sent("t2", process)])
        then = await recorded(process)
        await process.submit(
            [
                sent("t1", process, version=2, action="amend", price="1.15"),
                sent("t2", process, version=2, action="cancel"),
                sent("t3", process, ts=then.as_of - 1),
                sent("t4", process, ts=then.as_of + 1),
            ]
        )
        [before] = [row for row in position_rows((await at(process, then)).engine.snapshot) if row["node"] == "FX1"]
        [now] = [row for row in position_rows((await at(process, then, NOW)).engine.snapshot) if row["node"] == "FX1"]
        assert (before["quantity"], before["net_cash"], before["trade_count"]) == (200.0, -220.0, 2)
        assert (now["quantity"], now["net_cash"], now["trade_count"]) == (200.0, -225.0, 2), "t1 corrected, t2 gone, t3 came late"
        assert now["mark"] == before["mark"]

    live(house_url, test)


def test_marks_by_hand_and_vols_of_then_are_told(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("t1", process, instrument="ACME", desk="EQ1", price="100")])
        now = process.clock.now()
        await process.set_marks([by_hand("ann", 101.0, now, now + 60 * SECOND)], "ann")
        process.offer_option_inputs([Vol("EURUSD", now, 0.1, "desk")])
        await asyncio.sleep(0.1)
        then = await recorded(process)
        await process.set_marks([by_hand("bob", 99.0, process.clock.now(), None)], "bob")
        process.offer_option_inputs([Vol("EURUSD", process.clock.now(), 0.2, "desk")])
        moment = await at(process, then)
        assert seen(moment.engine.snapshot) == seen(then)
        [mark] = [mark for mark in moment.engine.marks.marks if mark is not None]
        assert (mark.price, mark.by_hand is not None and mark.by_hand.author) == (101.0, "ann")
        assert moment.engine.option_market.vols["EURUSD"].vol == 0.1

    live(house_url, test)


def test_the_past_survives_a_restart_and_says_where_nothing_was_recorded(store_url: str) -> None:
    furnished(store_url)
    kept: list[tuple[int, list[RowDict]]] = []

    async def first(process: EngineProcess) -> None:
        with pytest.raises(BeforeTheStore, match="begins at"):
            await process.moment(process.clock.now() - 86_400 * SECOND, THEN)
        await price(process, "EURUSD", 1.2)
        await process.submit([sent("t1", process)])
        then = await recorded(process)
        kept.append((then.as_of, seen(then)))

    async def second(process: EngineProcess) -> None:
        await process.submit([sent("t2", process)])
        [(ts, rows)] = kept
        assert seen((await process.moment(ts, THEN)).engine.snapshot) == rows
        long_after = await process.moment(process.clock.now() - 1, THEN)
        assert long_after.exact_at is not None and long_after.exact_at > ts

    live(store_url, first)
    live(store_url, second)


def test_without_a_journal_the_store_alone_answers_and_says_what_it_cannot_know(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await price(process, "EURUSD", 1.2)
        await process.submit([sent("t1", process)])
        now = process.clock.now()
        await process.submit([sent("t2", process)])
        moment = await process.moment(now, THEN)
        assert moment.exact_at is None
        assert moment.unknown[0].startswith("no instant was recorded")
        assert moment.engine.snapshot.nodes.state(0).trade_count == 1

    live(house_url, test, every_s=0.0)


def test_reference_data_that_changed_since_is_told(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("t1", process)])
        then = await recorded(process)
        other = open_store(house_url)
        other.save_instruments(instruments([{"instrument": "NEW", "kind": "equity", "quote_currency": "USD"}]))
        other.close()
        assert any("have changed since" in sentence for sentence in (await at(process, then)).unknown)

    live(house_url, test)


def test_what_came_in_the_moment_before_is_told(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        await process.take_cash("cash", [CashMovement("c1", 1, "FX1", "USD", now, 5 * ONE, received_ts=now)], "ann")
        then = await recorded(process)
        moment = await at(process, then)
        assert moment.unknown == ("cash or carry received in the second before: the screens may have shown it a moment later",)
        assert seen(moment.engine.snapshot) == seen(then)

    live(house_url, test)


def test_a_store_that_is_away_makes_no_hole(house_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(process: EngineProcess) -> None:
        await recorded(process)
        assert process.live is not None
        store = process._store
        assert store is not None
        save, broken = store.save_instants, [True]

        def refuse(*arguments: Any) -> None:
            if broken[0]:
                raise StoreUnavailable("away")
            save(*arguments)

        monkeypatch.setattr(store, "save_instants", refuse)
        await price(process, "EURUSD", 1.2)
        missed = await recorded(process)
        assert (await at(process, missed)).exact_at != missed.as_of
        broken[0] = False
        await price(process, "EURUSD", 1.3)
        await recorded(process)
        assert seen((await at(process, missed)).engine.snapshot) == seen(missed)

    live(house_url, test)


def test_only_so_many_questions_wait(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        then = await recorded(process)
        asked = [asyncio.ensure_future(at(process, then)) for _ in range(4)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, TooBusy) for answer in answers) == 2
        assert all(answer.exact_at == then.as_of for answer in answers if isinstance(answer, Moment))

    live(house_url, test, max_waiting=1)


def test_what_has_not_changed_is_not_recorded_again(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        first = await recorded(process)
        reach = process.health()["journal"]
        assert reach["first_ts"] <= reach["last_ts"] == first.as_of
        assert await recorded(process) is first
        await process.submit([sent("t1", process)])
        assert await recorded(process) is not first

    live(house_url, test)
