"""The roll of a live engine: one close a trading day, whatever the calendar, kills and clocks do."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from riskengine.alerts import Warnings
from riskengine.clock import ManualClock
from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.market.clock_skew import ClockSkews
from riskengine.market.closing_book import ClosingMarks, ClosingQuoteBook
from riskengine.market.closing_prices import ClosingRules
from riskengine.market.marks import Mark
from riskengine.market.option_input_book import OptionInputBook
from riskengine.market.trading_day import EngineDays, TradingDay
from riskengine.observe import Metrics
from riskengine.process.closes import read_close, save_closes_one_by_one
from riskengine.process.process import EngineProcess
from riskengine.process.roll import KIND, SETTLE_S, ClockCheck, Roll, RollParts, RollStart
from riskengine.process.strikes import Struck
from riskengine.records.calendars import CalendarEntry
from riskengine.records.closes import CloseOutcome, ClosePrice, StruckClose
from riskengine.records.option_inputs import OptionInput, Vol
from riskengine.records.types import Close, StoredMark, Tick
from riskengine.serve.app import create_app
from riskengine.snapshot.rows import position_rows
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import ChangedDate
from tests.serve.stand_in import call
from tests.store_book import Outside
from tests.waiting import until
from tests.world import REFERENCE, SECOND, instruments, mark_settings, trade

DAY = TradingDay.of(EngineConfig())
RULES = ClosingRules(DAY)
TUESDAY, WEDNESDAY = dt.date(2026, 3, 3), dt.date(2026, 3, 4)
ENDS = DAY.close_of(WEDNESDAY)
HOUR = 3_600 * SECOND


def tick(price: float, ts: int, instrument: str = "EURUSD", source: str = "feed") -> Tick:
    return Tick(instrument, ts, price, price, None, source)


# A roll without an engine


class Ledger:
    """Stands in for the store, for what strikes closes, and for what others write meanwhile."""

    def __init__(self) -> None:
        self.struck: dict[str, Mapping[str, ClosePrice]] = {}
        self.inputs: dict[str, tuple[OptionInput, ...]] = {}
        self.official: list[Close] = []
        self.saved: list[ClosingMarks] = []
        self.begun = 0
        self.fails = 0

    def struck_close_dates(self) -> dict[str, int]:
        return dict.fromkeys(sorted(self.struck), 1)

    def closes(self, date: str) -> list[Close]:
        return [close for close in self.official if close.date == date]

    def closes_changed(self) -> list[ChangedDate]:
        return []

    async def strike(self, date: dt.date, prices: Mapping[str, ClosePrice], inputs: Iterable[OptionInput]) -> Struck:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("the store is away")
        assert date.isoformat() not in self.struck, "a close is struck once"
        self.struck[date.isoformat()] = prices
        self.inputs[date.isoformat()] = tuple(inputs)
        return Struck(len(prices), 0)

    async def save(self, close: StruckClose) -> None:
        raise AssertionError("nothing is superseded here")

    async def begin_stored(self) -> None:
        self.begun += 1


class Place:
    """A roll with a clock that a test moves, and a book that it quotes."""

    def __init__(self, day: dt.date, now: int) -> None:
        self.clock, self.ledger, self.skews, self.metrics = ManualClock(now), Ledger(), ClockSkews(), Metrics()
        self.quotes = ClosingQuoteBook(REFERENCE, mark_settings(), 60.0)
        self.warnings = Warnings(self.clock)
        self.rules = RULES
        self.book = OptionInputBook(RULES.trading_day.date_of)
        parts = RollParts(
            self.ledger,  # type: ignore[arg-type]
            Config(),
            self.clock,
            self.quotes,
            self.skews,
            self.warnings,
            self.metrics,
            self.on_store,
            self.ledger,
            self.ledger.saved.append,
            lambda: self.rules,
            self.book,
        )
        self.roll = Roll(parts, RollStart(day, {}))
        self.set_us = 0
        """By how much the clock was set, not passed."""
        self.roll._clock_check = ClockCheck(self.skews, self.clock, lambda: (self.clock.ts - self.set_us) / SECOND)

    async def on_store(self, action: Callable[[Any], Any]) -> Any:
        return action(self.ledger)

    def look(self, now: int) -> list[str]:
        """The dates that are struck once the roll has looked at a time."""
        self.clock.ts = now
        asyncio.run(self.roll.look())
        return list(self.ledger.struck)

    def quote(self, *ticks: Tick) -> None:
        """Ticks come now."""
        self.skews.note(ticks, max(each.ts for each in ticks), False, self.clock.ts)
        self.quotes.offer(ticks, self.clock.ts)


def test_a_close_is_struck_once_when_the_tolerance_window_has_passed():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR))
    assert place.look(ENDS - 1) == place.look(ENDS) == place.look(ENDS + 5 * SECOND - 1) == []
    place.quote(tick(1.2, ENDS), tick(1.15, ENDS - 1))
    assert place.look(ENDS + 5 * SECOND) == place.look(ENDS + 6 * SECOND) == place.look(ENDS + 10 * HOUR) == ["2026-03-04"]
    assert place.ledger.struck["2026-03-04"] == {"EURUSD": ClosePrice(1.15, ENDS - 1, "feed")}
    assert place.quotes.closing_date == "2026-03-05" and place.metrics.closes_struck._value.get() == 1


def test_a_close_is_struck_with_the_vols_of_before_the_boundary_whatever_has_come_since():
    place = Place(WEDNESDAY, ENDS - HOUR)
    before, late, after = Vol("C1", ENDS - HOUR, 0.1), Vol("C1", ENDS - 1, 0.11), Vol("C1", ENDS, 0.2)
    place.book.offer([before, Vol("C2", ENDS - HOUR, 0.3)], ENDS - HOUR)
    assert place.book.offer([after, late, Vol("C3", ENDS, 0.4)], ENDS + SECOND) == []
    assert place.look(ENDS + 5 * SECOND) == ["2026-03-04"]
    assert sorted(place.ledger.inputs["2026-03-04"], key=lambda row: row.ts) == [Vol("C2", ENDS - HOUR, 0.3), late]
    place.look(DAY.close_of(dt.date(2026, 3, 5)) + 5 * SECOND)
    assert set(place.ledger.inputs["2026-03-05"]) == {after, Vol("C2", ENDS - HOUR, 0.3), Vol("C3", ENDS, 0.4)}


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("2026-03-05", ["2026-03-05 22:00", "2026-03-06 22:00", "2026-03-09 21:00"]),  # to summer time on Sunday the 8th
        ("2026-10-29", ["2026-10-29 21:00", "2026-10-30 21:00", "2026-11-02 22:00"]),  # and back on 1 November
        ("2026-12-23", ["2026-12-23 22:00", "2026-12-24 22:00", "2026-12-28 22:00"]),  # Christmas is a Friday
        ("2026-12-31", ["2026-12-31 22:00", "2027-01-04 22:00"]),
    ],
)
def test_there_is_a_roll_at_the_boundary_of_each_business_day_and_none_on_others(first, expected):
    place = Place(dt.date.fromisoformat(first), DAY.close_of(dt.date.fromisoformat(first)) - HOUR)
    times: dict[str, int] = {}
    end = place.clock.ts + 6 * 24 * HOUR
    for now in range(place.clock.ts, end, HOUR // 2):
        for moment in (now, now + 5 * SECOND):
            for date in place.look(moment):
                times.setdefault(date, moment)
    found = [dt.datetime.fromtimestamp(times[date] / SECOND - 5, dt.UTC) for date in sorted(times)]
    assert [f"{each:%Y-%m-%d %H:%M}" for each in found][: len(expected)] == expected
    assert [f"{each:%Y-%m-%d}" for each in found] == sorted(times), "each close is of the day on which it is struck"


def test_closing_marks_are_stored_when_their_cutoff_comes():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR))
    place.look(ENDS - 1)
    assert place.ledger.saved == []
    place.look(ENDS)
    place.look(ENDS + 1)
    assert place.ledger.saved == [ClosingMarks("2026-03-04", {"EURUSD": Mark(1.1, ENDS - HOUR, "feed", "quote")})]


def test_an_official_close_of_the_date_is_the_mark_of_a_close():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR), tick(20.0, ENDS - HOUR, "ACME"))
    place.ledger.official = [
        Close("2026-03-04", "ACME", 21.0),
        Close("2026-03-04", "EURUSD", 9.0),
        Close("2026-03-04", "GBPUSD", 1.3),
    ]
    place.look(ENDS + 5 * SECOND)
    prices = place.ledger.struck["2026-03-04"]
    assert {symbol: (price.price, price.official) for symbol, price in prices.items()} == {
        "ACME": (21.0, True),
        "EURUSD": (1.1, False),
        "GBPUSD": (1.3, True),
    }


def test_a_close_that_is_there_is_not_struck_again():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.ledger.struck["2026-03-04"] = {}
    place.look(ENDS + 5 * SECOND)
    assert place.ledger.begun == 1 and place.quotes.closing_date == "2026-03-05"


def test_a_close_that_could_not_be_stored_is_tried_again_with_the_same_prices():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR))
    place.ledger.fails = 1
    with pytest.raises(StoreUnavailable):
        place.look(ENDS + 5 * SECOND)
    place.quote(tick(1.3, ENDS - 1))
    assert place.look(ENDS + 7 * SECOND) == ["2026-03-04"]
    assert place.ledger.struck["2026-03-04"]["EURUSD"].price == 1.1


def test_two_days_that_a_sleeping_machine_passed_are_struck_one_after_the_other():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR))
    later = DAY.close_of(dt.date(2026, 3, 5)) + HOUR
    place.look(later)
    assert place.look(later + 1) == ["2026-03-04", "2026-03-05"]
    assert place.ledger.struck["2026-03-05"]["EURUSD"] == ClosePrice(1.1, ENDS - HOUR, "feed")


def test_a_calendar_that_is_loaded_today_takes_the_roll_of_today_away():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.quote(tick(1.1, ENDS - HOUR))
    place.look(ENDS - HOUR)
    place.rules = ClosingRules(TradingDay.of(EngineConfig(), EngineDays(holidays=frozenset([WEDNESDAY]))))
    assert place.look(ENDS + 5 * SECOND) == [] and place.quotes.closing_date == "2026-03-05"
    place.rules = RULES
    assert place.look(ENDS + 6 * SECOND) == ["2026-03-04"]
    assert place.ledger.struck["2026-03-04"]["EURUSD"].price == 1.1


# A clock that is wrong


def test_a_clock_that_most_sources_contradict_makes_the_roll_wait_and_the_close_is_the_same_once_it_is_right():
    place = Place(WEDNESDAY, ENDS - HOUR)
    for source in ("a", "b"):
        place.quote(tick(1.1, ENDS - HOUR, source=source))
    place.clock.ts = ENDS + 10 * SECOND  # somebody set the clock an hour ahead
    place.quote(tick(1.1, ENDS - HOUR + 10 * SECOND, source="a"), tick(1.1, ENDS - HOUR + 10 * SECOND, source="b"))
    assert place.look(ENDS + 11 * SECOND) == []
    assert "2 of 2 sources of prices (a, b)" in place.warnings[KIND] and place.metrics.roll_waiting._value.get() == 1
    place.quote(tick(1.12, ENDS - HOUR + 20 * SECOND, source="a"))
    assert place.look(ENDS - HOUR + 30 * SECOND) == [] and KIND not in place.warnings
    assert place.metrics.roll_waiting._value.get() == 0
    assert place.look(ENDS) == []
    assert [closing.marks["EURUSD"].price for closing in place.ledger.saved] == [1.1, 1.12], "stored again when it is time"
    place.quote(tick(1.15, ENDS - SECOND, source="a"), tick(1.2, ENDS + SECOND, source="a"))
    assert place.look(ENDS + 5 * SECOND) == ["2026-03-04"]
    assert place.ledger.struck["2026-03-04"]["EURUSD"] == ClosePrice(1.15, ENDS - SECOND, "a")


def test_one_slow_source_among_others_and_one_that_fell_silent_do_not_hold_the_roll_up():
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.clock.ts = ENDS
    place.quote(tick(1.1, ENDS - HOUR, source="slow"))
    place.quote(tick(1.1, ENDS - SECOND, source="a"))
    assert place.look(ENDS + 5 * SECOND) == ["2026-03-04"]
    place = Place(WEDNESDAY, ENDS - HOUR)
    place.clock.ts = ENDS - 30 * SECOND
    place.quote(tick(1.1, ENDS - HOUR, source="slow"))
    assert place.look(ENDS + 5 * SECOND) == []
    assert place.look(ENDS + 31 * SECOND) == ["2026-03-04"]


def test_a_clock_that_was_just_set_waits_for_the_sources_to_say_what_time_it_is():
    place = Place(WEDNESDAY, ENDS - 2 * HOUR)
    place.quote(tick(1.1, ENDS - 2 * HOUR))
    place.look(ENDS - 2 * HOUR)
    place.set_us = 2 * HOUR
    assert place.look(ENDS + 10 * SECOND) == [] and "clock was set" in place.warnings[KIND]
    place.quote(tick(1.1, ENDS - 2 * HOUR + SECOND))
    assert place.look(ENDS + 11 * SECOND) == [] and "1 of 1 sources" in place.warnings[KIND]
    place = Place(WEDNESDAY, ENDS - 2 * HOUR)
    place.quote(tick(1.1, ENDS - 2 * HOUR))
    place.set_us = 2 * HOUR
    assert place.look(ENDS + 10 * SECOND) == []
    assert place.look(ENDS + 10 * SECOND + int(SETTLE_S * SECOND)) == ["2026-03-04"], "no source speaks"


# A live engine


class Desk:
    """A live engine whose clock and roll a test moves."""

    def __init__(self, process: EngineProcess, clock: ManualClock) -> None:
        self.process, self.clock = process, clock
        assert process.live is not None
        self.live = process.live
        self.live.roll.stop()

    async def quote(self, *ticks: Tick) -> None:
        """Ticks come, and go to the writer."""
        assert not self.process.offer_ticks(ticks).refused
        await until(self.live.beats.hand_over_prices)

    async def look(self, now: int) -> None:
        """The roll looks at a time."""
        self.clock.ts = now
        await self.live.roll.look()

    async def deal(self, name: str, **columns: Any) -> None:
        """A trade of now, unless its columns say otherwise."""
        await self.process.submit([trade(name, **{"ts": self.clock.ts, "received_ts": self.clock.ts, **columns})])

    def row(self, node: str = "FX1") -> dict[str, Any]:
        [found] = position_rows(self.live.newest(), node=node)
        return found


def live(url: str, now: int, test: Callable[[Desk], Awaitable[Any]], *, kill: bool = False) -> Any:
    """What `test` returns of an engine that starts at `now`; with `kill` nothing of it is stored any more after that."""

    async def life() -> Any:
        clock = ManualClock(now)
        process = EngineProcess(Config(store=StoreConfig(url), marks=mark_settings(store_every_s=0.0)), clock)
        process.open()
        try:
            await process.start()
            found = await asyncio.wait_for(test(Desk(process, clock)), 30)
            if kill:
                await process.on_store(lambda store: store.close())  # on its own thread: SQLite allows no other meanwhile
            return found
        finally:
            await process.stop()

    return asyncio.run(life())


def closes_in(url: str) -> list[StruckClose]:
    store = open_store(url, read_only=True)
    versions = [(date, version) for date, newest in store.struck_close_dates().items() for version in range(1, newest + 1)]
    found = [store.struck_close(date, version) for date, version in versions]
    store.close()
    return [each for each in found if each is not None]


async def nothing(desk: Desk) -> None:
    """A start alone."""


def test_a_live_engine_rolls_and_the_day_begins_with_the_close(url: str):
    async def over_the_boundary(desk: Desk) -> None:
        await desk.quote(tick(1.1, ENDS - 2))
        await desk.deal("t1", price="1.0")
        await desk.look(ENDS)
        await desk.quote(tick(1.3, ENDS + 2))
        await desk.deal("t2", price="1.25", ts=ENDS + SECOND, received_ts=ENDS + SECOND)
        await desk.look(ENDS + 5 * SECOND)
        row = desk.row()
        assert row["day_start_ts"] == ENDS
        assert row["day_position_pnl"] == pytest.approx(20.0) and row["day_trading_pnl"] == pytest.approx(5.0)

    live(url, ENDS - SECOND, over_the_boundary)
    first, second = closes_in(url)
    assert (first.date, second.date, second.version, second.ts) == ("2026-03-03", "2026-03-04", 1, ENDS)
    assert second.prices == {"EURUSD": ClosePrice(1.1, ENDS - 2, "feed")} and second.rates == {"USD": 1.0, "EUR": 1.1}
    assert [(each.owner, each.quantity) for each in second.nodes] == [("FX1", 100 * 10**10)]
    [total] = [second.node_totals.amounts[0, at] for at, owner in enumerate(second.node_totals.owners) if owner == "ALL"]
    assert total == pytest.approx(10.0)


def test_a_holiday_that_is_loaded_after_its_close_was_published_changes_no_day_live_or_after_a_restart(url: str):
    async def over_the_boundary(desk: Desk) -> None:
        await desk.quote(tick(1.1, ENDS - 2))
        await desk.look(ENDS + 5 * SECOND)
        await desk.deal("t1", price="1.0", ts=ENDS - SECOND)

    async def day(desk: Desk) -> None:
        assert (desk.row()["day_start_ts"], desk.row()["correction_pnl"]) == (ENDS, pytest.approx(10.0))

    live(url, ENDS - SECOND, over_the_boundary)
    store = open_store(url)
    store.save_calendars([CalendarEntry(calendar="ENGINE", kind="holiday", date="2026-03-04")])
    store.close()
    live(url, ENDS + 60 * SECOND, day)


@pytest.mark.parametrize("started", [ENDS - SECOND, ENDS, ENDS + 5 * SECOND])
def test_a_start_at_any_time_around_the_boundary_gives_the_same_close(house_url: str, started: int):
    async def before(desk: Desk) -> None:
        await desk.deal("t1", price="1.0")
        await desk.quote(tick(1.1, ENDS - HOUR - 2))

    live(house_url, ENDS - HOUR, before)

    async def after(desk: Desk) -> None:
        await desk.look(max(started, ENDS + 5 * SECOND))
        await desk.look(max(started, ENDS + 5 * SECOND) + 1)

    live(house_url, started, after)
    close = closes_in(house_url)[-1]
    assert (close.date, close.version, len(closes_in(house_url))) == ("2026-03-04", 1, 2)
    assert close.prices == {"EURUSD": ClosePrice(1.1, ENDS - HOUR - 2, "feed")}


@pytest.mark.parametrize(
    ("killed", "back"),
    [
        ("at the boundary", ENDS + 3 * SECOND),
        ("after the next tick", ENDS + 3 * SECOND),
        ("after the next tick", ENDS + HOUR),
        ("after a late tick", ENDS + HOUR),
        ("not", ENDS + HOUR),
    ],
)
def test_a_kill_between_boundary_and_strike_gives_the_same_close(url: str, killed: str, back: int):
    """The mark of before the boundary is stored before the first one after it, which then replaces it in `marks`."""

    async def until_killed(desk: Desk) -> None:
        await desk.deal("t1", price="1.0")
        await desk.quote(tick(1.1, ENDS - 9), tick(1.2, ENDS - 3, "GBPUSD"))
        await desk.look(ENDS)
        if killed == "at the boundary":
            await stored(desk, "closing_marks", 2)
            return
        await desk.quote(tick(1.3, ENDS + 2))
        await stored(desk, "marks", ENDS + 2)
        if killed == "after the next tick":
            return
        await desk.quote(tick(1.1, ENDS - 9), tick(1.4, ENDS + 3))
        await stored(desk, "marks", ENDS + 3)
        if killed == "not":
            await desk.look(ENDS + 5 * SECOND)

    async def stored(desk: Desk, what: str, value: int) -> None:
        store = desk.process._store
        assert store is not None
        if what == "marks":
            await until(lambda: any(mark.ts == value for mark in store.marks()))
        else:
            await until(lambda: len(store.closing_marks("2026-03-04")) == value)

    live(url, ENDS - SECOND, until_killed, kill=killed != "not")

    async def strikes(desk: Desk) -> None:
        await desk.look(max(back, ENDS + 5 * SECOND))

    live(url, back, strikes)
    close = closes_in(url)[-1]
    assert (close.date, close.version) == ("2026-03-04", 1)
    assert {symbol: (price.price, price.ts) for symbol, price in close.prices.items()} == {
        "EURUSD": (1.1, ENDS - 9),
        "GBPUSD": (1.2, ENDS - 3),
    }


def test_days_that_passed_without_an_engine_are_made_up_from_stored_prices_and_the_start_says_so(house_url: str):
    async def before(desk: Desk) -> None:
        await desk.deal("t1", price="1.0")
        await desk.quote(tick(1.1, ENDS - HOUR - 2), tick(20.0, ENDS - HOUR, "ACME"))

    live(house_url, ENDS - HOUR, before)
    store = open_store(house_url)
    store.save_closes([Close("2026-03-05", "EURUSD", 1.2), Close("2026-03-05", "ACME", 21.0), Close("2026-03-06", "ACME", 22.0)])
    store.close()

    async def monday(desk: Desk) -> None:
        await until(lambda: desk.process.morning.complete.is_set())
        account = desk.process.morning.account()
        assert (account["closed"], account["made_up"]) == ("2026-03-06", ["2026-03-04", "2026-03-05", "2026-03-06"])
        assert desk.row()["day_start_ts"] == DAY.close_of(dt.date(2026, 3, 6))

    live(house_url, DAY.close_of(dt.date(2026, 3, 6)) + 30 * HOUR, monday)
    marks = {close.date: {symbol: price.price for symbol, price in close.prices.items()} for close in closes_in(house_url)}
    assert marks == {
        "2026-03-03": {},
        "2026-03-04": {"EURUSD": 1.1, "ACME": 20.0},
        "2026-03-05": {"EURUSD": 1.2, "ACME": 21.0},
        "2026-03-06": {"EURUSD": 1.2, "ACME": 22.0},
    }


def test_the_first_start_goes_back_to_the_first_official_close(house_url: str):
    store = open_store(house_url)
    store.save_closes([Close("2024-12-31", "ACME", 1.0), Close("2026-02-28", "ACME", 19.0), Close("2026-03-03", "ACME", 20.0)])
    store.save_marks([StoredMark("EURUSD", ENDS - 48 * HOUR, 1.1)])
    store.close()
    live(house_url, ENDS - HOUR, nothing)
    found = closes_in(house_url)
    assert [close.date for close in found] == ["2026-03-02", "2026-03-03"]
    assert [close.prices["ACME"].price for close in found] == [19.0, 20.0], "a close of Saturday counts for Monday"


# Official closes that come late


async def struck_on_wednesday(desk: Desk) -> None:
    await desk.deal("t1", instrument="ACME", desk="EQ1", quantity="10", price="20")
    await desk.quote(tick(25.0, ENDS - 9, "ACME"), tick(1.1, ENDS - 9))
    await desk.look(ENDS + 5 * SECOND)


def total_of(close: StruckClose, owner: str) -> Sequence[float]:
    at = close.node_totals.owners.index(owner)
    return [close.node_totals.amounts.item(measure, at) for measure in (0, 1, 4)]


@pytest.mark.parametrize("how", ["load", "SQL", "POST"])
def test_an_official_close_that_comes_late_supersedes_the_close_and_moves_the_day(url: str, how: str):
    async def official(desk: Desk) -> None:
        await struck_on_wednesday(desk)
        desk.live.roll.start()
        assert desk.row("EQ1")["day_pnl"] == pytest.approx(0.0)
        if how == "load":
            beside = open_store(url)
            beside.save_closes([Close("2026-03-04", "ACME", 27.0), Close("2026-03-04", "EURUSD", 5.0)])
            beside.close()
        elif how == "POST":
            sent = {"date": "2026-03-04", "instrument": "ACME", "price": "27"}
            told = await call(create_app(desk.process), "POST", "/v1/closes", body=sent)
            assert told.json()["results"] == [{"date": "2026-03-04", "instrument": "ACME", "status": "applied", "reason": ""}]
        else:
            outside = Outside(url)
            outside.execute("INSERT INTO closes (date, instrument, price) VALUES ('2026-03-04', 'ACME', 27.0)")
            outside.connection.close()
        await until(lambda: len(closes_in(url)) == 3)
        # Valued at the official close from now on, against what was published: no day of its own.
        await until(lambda: desk.row("EQ1")["correction_pnl"] == pytest.approx(20.0))
        [found] = (await call(create_app(desk.process), "GET", "/v1/closes", {"node": "EQ1"})).json()["rows"]
        assert (found["version"], found["price"], found["official"], found["total_pnl"]) == (2, 27.0, True, pytest.approx(70.0))

    live(url, ENDS - SECOND, official)
    _, first, second = closes_in(url)
    assert (second.date, second.version) == ("2026-03-04", 2)
    assert second.prices == {**first.prices, "ACME": ClosePrice(27.0, ENDS, "close", True)}
    assert (second.rates, second.ts) == (first.rates, first.ts)
    assert [each[:6] for each in second.nodes] == [each[:6] for each in first.nodes]
    assert total_of(first, "ALL") == pytest.approx([50.0, 50.0, 250.0])
    assert total_of(second, "ALL") == pytest.approx([70.0, 70.0, 270.0]) == total_of(second, "EQ1")


def test_posted_closes_are_told_as_new_as_duplicates_and_as_new_versions(store: Store):
    store.save_instruments(instruments())
    sent = [Close("2026-03-03", "ACME", 1.0), Close("2026-03-03", "ACME", 1.0), Close("2026-03-03", "ACME", 2.5)]
    assert save_closes_one_by_one(store, [*sent, Close("2026-03-03", "GONE", 1.0)]) == [
        CloseOutcome("applied"),
        CloseOutcome("duplicate"),
        CloseOutcome("applied", "a new version: 1.0 -> 2.5"),
        CloseOutcome("rejected", "instrument: unknown instrument 'GONE'"),
    ]
    assert save_closes_one_by_one(store, sent[2:]) == [CloseOutcome("duplicate")]
    assert read_close(store, None, "node", None) is None and read_close(store, "2026-03-03", "node", None) is None


def test_a_close_that_was_loaded_while_no_engine_ran_supersedes_an_older_day_at_the_start(house_url: str):
    live(house_url, ENDS - SECOND, struck_on_wednesday)

    async def thursday(desk: Desk) -> None:
        await desk.look(DAY.close_of(dt.date(2026, 3, 5)) + 5 * SECOND)

    live(house_url, ENDS + HOUR, thursday)
    store = open_store(house_url)
    store.save_closes([Close("2026-03-04", "ACME", 27.0), Close("2026-01-05", "ACME", 1.0)])
    store.close()

    async def looks(desk: Desk) -> None:
        await desk.look(desk.clock.ts)
        await desk.look(desk.clock.ts)

    live(house_url, DAY.close_of(dt.date(2026, 3, 5)) + HOUR, looks)
    found = [(close.date, close.version, close.prices.get("ACME", ClosePrice(0.0, 0)).price) for close in closes_in(house_url)]
    assert found == [("2026-03-03", 1, 0.0), ("2026-03-04", 1, 25.0), ("2026-03-04", 2, 27.0), ("2026-03-05", 1, 25.0)]
    store = open_store(house_url)
    assert store.closes_changed() == []
    store.close()
