"""What is noticed of trades is listed alike live, after a restart, a renewal and a kill, on both databases."""

import asyncio
from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.types import Tick, Verdict
from riskengine.store.open_store import open_store
from tests.live_process import Test, run_live, sent
from tests.waiting import until
from tests.world import SECOND, trade

KINDS = ("late", "off_market", "possible_duplicate")


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url)), test)


async def noticed(process: EngineProcess) -> Any:
    """The notices by kind, and how many late trades are counted."""
    newest = process.history.newest
    return {kind: [item.id for item in newest.exceptions[kind]] for kind in KINDS}, newest.counts.late


async def accept_one_from_the_future(process: EngineProcess) -> None:
    """Two trades come in order beside a quarantined one of a later ts, which a person then accepts: nothing came late."""
    now = process.clock.now()
    await process.submit([trade("future", ts=now + 90 * SECOND, received_ts=now)])
    await process.submit([sent("a", process)])
    await process.submit([sent("b", process)])
    [item] = process.history.newest.exceptions["quarantined"]
    await process.decide(item, Verdict(item.id, "accept", "", "ann", process.clock.now()))
    await process.submit([sent("late", process, ts=now - 100 * SECOND)])


def test_a_restart_lists_no_more_late_trades_than_were_listed_live(url: str) -> None:
    async def day(process: EngineProcess) -> Any:
        await accept_one_from_the_future(process)
        return await noticed(process)

    before = live(url, day)
    assert before == ({"late": ["late:test:late:0:1"], "off_market": [], "possible_duplicate": []}, 1)
    assert live(url, noticed) == before
    assert live(url, noticed) == before


def test_a_renewal_lists_no_more_late_trades_than_were_listed_live(url: str) -> None:
    async def day(process: EngineProcess) -> Any:
        await accept_one_from_the_future(process)
        before = await noticed(process)
        await process.renew("test")
        return before, await noticed(process)

    before, after = live(url, day)
    assert before == after


def test_what_was_late_in_rows_of_before_the_first_start_stays_listed_as_it_was(url: str) -> None:
    """The replay of a first start finds them; an accepted verdict then changes nothing about them."""

    async def day(process: EngineProcess) -> Any:
        before = await noticed(process)
        [item] = process.history.newest.exceptions["quarantined"]
        await process.decide(item, Verdict(item.id, "accept", "", "ann", process.clock.now()))
        return before, await noticed(process)

    async def now(process: EngineProcess) -> int:
        return process.clock.now()

    start = live(url, now)
    opened = open_store(url)
    ts = {"future": start + 900 * SECOND, "first": start - 5 * SECOND, "late": start - 90 * SECOND, "other": start}
    opened.append_trades([trade(name, ts=each, received_ts=start) for name, each in ts.items()])
    opened.close()
    before, decided = live(url, day)
    assert before == ({"late": ["late:test:late:0:1"], "off_market": [], "possible_duplicate": []}, 1)
    assert decided == before
    assert live(url, noticed) == before


async def kill(process: EngineProcess) -> None:
    """The engine ends as by `kill -9`: whatever waits to be stored beside the trades is lost."""
    live = process.live
    assert live is not None
    live.store_thread._notices.put = lambda notices, up_to: False  # type: ignore[method-assign]


@pytest.mark.parametrize("renewed", [False, True])
def test_what_a_kill_kept_from_being_stored_is_worked_out_again_by_the_next_start(url: str, renewed: bool) -> None:
    """Late trades and equal ones of two sources from the rows alone, those off the market by the mark that was stored."""

    async def day(process: EngineProcess) -> Any:
        now = process.clock.now()
        process.offer_ticks([Tick("EURUSD", now, 1.1, 1.1)])
        await until(lambda: process.history.newest.units.marks[process.history.newest.reference.instrument_index["EURUSD"]])
        await process.submit([sent("before", process, price="1.1")])
        await asyncio.sleep(1.5)
        await kill(process)
        if renewed:
            await process.submit([sent("last", process, price="1.1")])
            await process.renew("test")
        await process.submit([sent("x", process, price="1.1", ts=now)])
        await process.submit([sent("y", process, price="1.1", ts=now, source="other")])
        await process.submit([sent("late", process, price="1.1", ts=now - 20 * SECOND)])
        await process.submit([sent("far", process, price="1.2", ts=now + 1)])
        return await noticed(process), dict(process.warnings)

    (before, count), _ = live(url, day)
    assert before == {
        "late": ["late:test:late:0:1"],
        "off_market": ["off_market:test:far:0:1"],
        "possible_duplicate": ["possible_duplicate:other:y:0:1"],
    }
    for _ in range(2):
        assert live(url, noticed) == (before, count)


def test_trades_that_came_without_an_engine_and_have_no_mark_of_their_time_are_told(url: str) -> None:
    async def now(process: EngineProcess) -> int:
        return process.clock.now()

    async def warnings(process: EngineProcess) -> Any:
        await until(lambda: process.live and process.live.store_thread._notices._saved_up_to >= 3)
        return process.warnings.get("unjudged", ""), process.morning.facts["unjudged"]

    start = live(url, now)
    opened = open_store(url)
    trades = [trade("a", ts=start, received_ts=start + SECOND), trade("b", ts=start + 5, received_ts=start + SECOND)]
    opened.append_trades([*trades, trade("history", ts=start - 900 * SECOND, received_ts=start)])
    opened.close()
    told, count = live(url, warnings)
    assert told.startswith("2 trades count that came while no engine was live") and count == 2
    assert live(url, warnings) == ("", 0)
