"""Closes that wait for their day, in an engine that runs over the end of it."""

import asyncio
import datetime as dt
from pathlib import Path

from riskengine.clock import ManualClock
from riskengine.config import Config, StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.market.calendars import Calendars
from riskengine.market.closing_prices import CloseTimes, closing_rules
from riskengine.market.trading_day import TradingDay
from riskengine.process.day_marks import DayMarks
from riskengine.records.types import Close
from riskengine.store.protocol import Store
from tests.world import NOON, REFERENCE, SECOND, book, instruments, quote


def times() -> CloseTimes:
    return CloseTimes(REFERENCE.instruments, closing_rules(Config().engine, Calendars()))


TODAY = "2026-03-04"
ENDS = TradingDay.of(Config().engine).close_of(dt.date.fromisoformat(TODAY))
EURUSD, GBPUSD = (REFERENCE.instrument_index[symbol] for symbol in ("EURUSD", "GBPUSD"))


def test_a_close_takes_effect_when_its_day_ends_where_no_newer_price_is(store: Store, store_url: str) -> None:
    store.save_instruments(instruments())
    store.save_closes([Close(TODAY, "EURUSD", 1.2), Close(TODAY, "GBPUSD", 1.3), Close("2026-03-05", "ACME", 9.0)])
    clock, quotes = ManualClock(NOON), book()
    quotes.offer([quote("EURUSD", 1.1, 1.1)], NOON)
    quotes.take()
    ended: list[int] = []
    days = DayMarks(store, Config(store=StoreConfig(store_url)), clock, quotes, times, lambda: ended.append(clock.ts))

    def taken() -> dict[int, tuple[float, int, str]]:
        asyncio.run(days.take_closes())
        return {number: (mark.price, mark.ts, mark.kind) for number, mark in quotes.take().items()}

    clock.advance(ENDS - 1 - NOON)
    assert taken() == {}
    quotes.offer([quote("GBPUSD", 1.31, 1.31, ENDS + SECOND)], ENDS)
    quotes.take()
    clock.advance(1)
    assert taken() == {EURUSD: (1.2, ENDS, "close")}
    assert taken() == {}
    assert ended == [ENDS], "what waited is told once"


def test_a_store_that_is_away_is_asked_again(tmp_path: Path) -> None:
    class Away:
        calls = 0

        def marks(self) -> None:
            self.calls += 1
            raise StoreUnavailable("away")

    clock, away = ManualClock(NOON), Away()
    days = DayMarks(away, Config(), clock, book(), times)  # type: ignore[arg-type]
    clock.advance(ENDS - NOON)
    for _ in range(2):
        asyncio.run(days.take_closes())
    assert away.calls == 2
