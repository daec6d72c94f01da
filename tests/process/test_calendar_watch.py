"""Calendars in a live engine: in force within a second, verdicts as they were, and warnings of what is missing."""

import asyncio
import datetime as dt
import time
from typing import Any

from riskengine.alerts import Warnings
from riskengine.clock import ManualClock
from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.process.calendar_watch import GAPS, NOT_EXACT, OUTDATED, CalendarWatch
from riskengine.process.process import EngineProcess
from riskengine.records.calendars import CalendarEntry
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import mark_rows
from riskengine.store.open_store import open_store
from tests.live_process import Test, run_live, sent
from tests.store_book import Outside
from tests.waiting import until
from tests.world import House, instruments, reference

MANY_YEARS_AGO = "2026-03-04"


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url)), test)


def holiday(calendar: str, date: str) -> CalendarEntry:
    return CalendarEntry(calendar=calendar, kind="holiday", date=date)


def listed(process: EngineProcess, kind: str) -> list[str]:
    items = process.history.newest.exceptions[kind]
    return sorted(item.trade.trade_id for item in items if item.trade is not None)


def dated(name: str, process: EngineProcess, value_date: str) -> Any:
    return sent(name, process, trade_date=MANY_YEARS_AGO, value_date=value_date)


def test_a_calendar_loaded_beside_judges_what_comes_then_and_lists_what_it_would_change(url: str) -> None:
    async def test(process: EngineProcess) -> Any:
        await process.submit([dated("spot", process, "2026-03-06"), dated("forward", process, "2026-03-09")])
        assert listed(process, "quarantined") == []
        before = digest(process.history.newest)
        loader = open_store(url)
        loader.save_calendars([holiday("EUR", "2026-03-06")])
        loader.close()
        await until(lambda: listed(process, "older_rule") == ["forward", "spot"])
        assert digest(process.history.newest) == before
        receipt = await process.submit([dated("new", process, "2026-03-09"), dated("old", process, "2026-03-06")])
        assert [outcome.status for outcome in receipt.outcomes] == ["applied", "quarantined"]
        await until(lambda: OUTDATED in process.warnings)
        assert "2 trades would be judged otherwise" in process.warnings[OUTDATED]
        report = await process.reconcile(repair=False, actor="test")
        assert report["clean"], report["breaks"]
        return await seen(process)

    async def seen(process: EngineProcess) -> Any:
        return digest(process.history.newest), listed(process, "quarantined"), listed(process, "older_rule")

    assert live(url, test) == live(url, seen)
    assert live(url, seen)[1:] == (["old"], ["forward", "spot"])


def test_a_spot_date_is_stored_before_the_first_trade_is_judged_whoever_wrote_it(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([dated("ours", process, "2026-03-06")])
        program, now = Outside(url), process.clock.now()
        columns = {"source": "booking", "ts": now, "desk": "FX1", "quantity": "5", "price": "1.3", "trade_date": MANY_YEARS_AGO}
        program.book(trade_id="theirs", instrument="GBPUSD", value_date="2026-03-06", **columns)
        await until(lambda: process.history.newest.counts.applied == 2)
        store = open_store(url)
        dealt = (fact for fact in store.calendar_state().facts if fact.traded == MANY_YEARS_AGO)
        facts = {(fact.base, fact.spot, fact.since_ts) for fact in dealt}
        store.close()
        program.close()
        assert facts == {("EUR", "2026-03-06", 0), ("GBP", "2026-03-06", 0)}

    live(url, test)


def test_a_market_that_a_loaded_calendar_shuts_is_closed_within_a_second(url: str) -> None:
    today = dt.datetime.now(dt.UTC).date()
    near = [(today + dt.timedelta(days=ahead)).isoformat() for ahead in range(-2, 3)]
    store = open_store(url)
    store.save_instruments(instruments([{"instrument": "ACME", "kind": "equity", "quote_currency": "USD", "calendar": "XABC"}]))
    store.save_calendars([CalendarEntry(calendar="XABC", kind="session", open="00:00", close="00:00", zone="UTC")])
    store.save_calendars([CalendarEntry(calendar="XABC", kind="business", date=date) for date in near])
    store.close()

    def is_closed(process: EngineProcess) -> Any:
        return {row["instrument"]: row["closed"] for row in mark_rows(process.history.newest)}["ACME"]

    async def test(process: EngineProcess) -> None:
        assert is_closed(process) is False
        loader = open_store(url)
        loader.save_calendars([holiday("XABC", date) for date in near])
        loader.close()
        began = time.monotonic()
        await until(lambda: is_closed(process) is True)
        assert time.monotonic() - began < 2.0

    live(url, test)


def test_what_is_missing_is_said_and_no_more_once_it_is_loaded() -> None:
    house = House()
    clock, dates = ManualClock(house.now), SpotDates(Calendars(), EngineConfig())
    warnings = Warnings(clock)
    watch = CalendarWatch(lambda: house.engine.snapshot, dates, warnings, clock)

    def said() -> str | None:
        asyncio.run(watch.look())
        return warnings.get(GAPS)

    assert said() is None, "MAREL's crown is in no spot pair"
    dates.calendars = Calendars([holiday("XYZ", "2026-03-06")])
    assert said() is None
    rows = [{"instrument": "USDISK", "kind": "fx", "base_currency": "USD", "quote_currency": "ISK"}]
    other = House(reference(rows=rows))
    watch = CalendarWatch(lambda: other.engine.snapshot, dates, warnings, clock)
    text = said()
    assert text is not None
    assert "1 calendars in use are not complete: ISK has no calendar here" in text
    assert "riskengine load calendars" in text
    dates.calendars = Calendars([holiday("ISK", "2026-04-02")])
    assert said() is None
    clock.advance(305 * 86_400 * 1_000_000)
    assert "ISK is not published for 2027" in (said() or "")


def test_a_store_whose_oldest_rows_come_from_the_future_says_that_it_is_not_exact_yet() -> None:
    house = House()
    clock, warnings = ManualClock(house.now), Warnings(ManualClock(house.now))
    dates = SpotDates(Calendars(), EngineConfig(), exact_since=house.now + 1)
    watch = CalendarWatch(lambda: house.engine.snapshot, dates, warnings, clock)
    asyncio.run(watch.look())
    assert "until 2026-03-04" in warnings[NOT_EXACT]
    clock.advance(1)
    asyncio.run(watch.look())
    assert NOT_EXACT not in warnings
