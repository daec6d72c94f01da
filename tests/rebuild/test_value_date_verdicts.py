"""The verdict on a value date as it is stored: whatever calendars say later, start and the store's sums judge alike."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.clock import ManualClock
from riskengine.engine.engine import Engine
from riskengine.market.calendars import Calendars
from riskengine.market.settled_spot_dates import settle
from riskengine.market.spot_dates import SpotDates
from riskengine.rebuild.load import compare_here, load
from riskengine.rebuild.phases import PHASES, Morning
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.calendars import CalendarEntry, SpotFact
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_trades
from tests.store_book import Outside
from tests.world import NOON, SECOND, config, instruments, nodes, trade

HOLIDAY = CalendarEntry(calendar="EUR", kind="holiday", date="2026-03-06")
"""A holiday on what was the spot date of NOON's trades on EURUSD: Friday; then it is Monday the 9th."""


@pytest.fixture
def house(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    yield store
    store.close()


@pytest.fixture
def program(store_url: str, house: Store) -> Iterator[Outside]:
    opened = Outside(store_url)
    yield opened
    opened.close()


def dealt(name: str, value_date: str, received_ts: int = NOON, **columns: Any) -> Trade:
    return trade(name, value_date=value_date, received_ts=received_ts, **columns)


def built(store: Store, now: int = NOON) -> Engine:
    return rebuild(store, read_trades(store), config(), epoch=1, now=now)


def started(store: Store, now: int = NOON) -> Engine:
    """The engine of a start, which stores what it was the first to judge."""

    async def start() -> Engine:
        morning = Morning(ManualClock(now))
        for phase in PHASES[:2]:
            morning.enter(phase)
        loaded = await load(store, config(), morning, epoch=1, now=now)
        assert loaded.mismatches == ()
        return loaded.engine

    return asyncio.run(start())


def kept_out(engine: Engine) -> list[str]:
    return sorted(trade.trade_id for trade, _ in engine.processed.quarantined.values())


def forwards(engine: Engine) -> list[str]:
    """The trades that count as forwards, by id."""
    held = engine.processed.standing_trades()
    return sorted(each.trade_id for each in held if "@" in each.instrument)


def spot_facts(store: Store) -> list[SpotFact]:
    """The stored facts on spot dates, of the day of these tests."""
    return [fact for fact in store.calendar_state().facts if fact.traded == "2026-03-04"]


def older(engine: Engine) -> dict[str, str]:
    items = engine.snapshot.exceptions["older_rule"]
    return {item.trade.trade_id: item.reason for item in items if item.trade is not None}


def test_a_start_stores_the_spot_dates_that_it_was_the_first_to_need(house: Store) -> None:
    house.append_trades([dealt("spot", "2026-03-06"), dealt("forward", "2026-03-09"), dealt("plain", "")])
    assert forwards(started(house)) == ["forward"]
    assert spot_facts(house) == [SpotFact("EUR", "USD", "2026-03-04", 0, "2026-03-06")]
    assert SpotFact("EUR", "USD", "pays 2026-03-09", 0, "") in house.calendar_state().facts
    assert forwards(started(house)) == ["forward"]


def test_a_holiday_that_is_loaded_later_keeps_out_what_is_received_afterwards_alone(house: Store) -> None:
    house.append_trades([dealt("forward", "2026-03-11")])
    started(house)
    house.save_calendars([CalendarEntry(calendar="EUR", kind="holiday", date="2026-03-11")])
    started(house, NOON + 10 * SECOND)
    house.append_trades([dealt("later", "2026-03-11", NOON + 20 * SECOND)])
    engine = started(house, NOON + 20 * SECOND)
    assert (forwards(engine), kept_out(engine)) == (["forward"], ["later"])
    assert compare_here(house, config(), engine.snapshot).breaks == []


def test_a_loaded_calendar_changes_no_verdict_and_judges_what_is_received_afterwards(house: Store) -> None:
    house.append_trades([dealt("spot", "2026-03-06"), dealt("forward", "2026-03-09")])
    before = started(house)
    house.save_calendars([HOLIDAY])
    after = started(house, NOON + 10 * SECOND)
    assert digest(after.snapshot) == digest(before.snapshot)
    assert older(after) == {
        "spot": "value_date: 2026-03-06 was spot by the calendars of its time, and counts; by those of today spot is 2026-03-09",
        "forward": "value_date: 2026-03-09 was not spot (2026-03-06) by the calendars of its time, and is a forward; by those of"
        " today it is spot",
    }

    later = NOON + 20 * SECOND
    house.append_trades([dealt("late spot", "2026-03-09", later), dealt("late forward", "2026-03-06", later)])
    engine = started(house, later)
    assert (forwards(engine), kept_out(engine)) == (["forward"], ["late forward"])  # 2026-03-06 is a holiday by then
    assert compare_here(house, config(), engine.snapshot).breaks == []
    assert digest(built(house, later).snapshot) == digest(engine.snapshot)
    assert len(spot_facts(house)) == 2


def test_rows_that_other_programs_wrote_are_judged_by_the_stored_verdict(house: Store, program: Outside) -> None:
    house.append_trades([dealt("first", "2026-03-06")])
    started(house)
    house.save_calendars([HOLIDAY])
    started(house, NOON + 10 * SECOND)
    columns = {"source": "booking", "ts": NOON, "instrument": "EURUSD", "desk": "FX1", "quantity": "5", "price": "1.1"}
    for name, value_date, received in (("a", "2026-03-06", NOON + 1), ("b", "2026-03-06", NOON + 11 * SECOND)):
        program.book(trade_id=name, value_date=value_date, received_ts=received, **columns)
    engine = started(house, NOON + 20 * SECOND)
    assert kept_out(engine) == ["b"]
    assert compare_here(house, config(), engine.snapshot).breaks == []


def test_a_person_s_verdict_goes_before_any_calendar(house: Store) -> None:
    house.append_trades([dealt("forward", "2026-06-04")])
    house.save_verdict(Verdict("quarantined:test:forward:0:1", "accept", "", "ann", NOON))
    engine = started(house)
    assert kept_out(engine) == []
    house.save_calendars([HOLIDAY])
    engine = started(house, NOON + SECOND)
    assert (kept_out(engine), compare_here(house, config(), engine.snapshot).breaks) == ([], [])


def test_another_version_of_the_library_lists_what_it_would_change(house: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    house.append_trades([dealt("spot", "2026-03-06")])
    started(house)
    monkeypatch.setattr("riskengine.market.settled_spot_dates.version", lambda name: "9.99")
    monkeypatch.setattr(Calendars, "_work_out", lambda self, calendar, date: date.weekday() < 5 and date != dt.date(2026, 3, 6))
    engine = started(house, NOON + SECOND)
    assert kept_out(engine) == [] and older(engine).keys() == {"spot"}
    assert [fact.spot for fact in spot_facts(house)] == ["2026-03-06", "2026-03-09"]


def test_trades_from_before_the_rule_keep_the_four_days_of_grace_and_are_listed(house: Store, program: Outside) -> None:
    house.append_trades([dealt("graced", "2026-03-09"), dealt("spot", "2026-03-06"), dealt("forward", "2026-03-11")])
    program.execute(f"INSERT INTO meta (key, value) VALUES ('exact_spot_since', '{NOON + 1}')")
    house.append_trades([dealt("exact", "2026-03-09", NOON + 1)])
    engine = started(house, NOON + SECOND)
    assert (forwards(engine), kept_out(engine)) == (["exact", "forward"], [])
    assert older(engine).keys() == {"graced"}
    assert compare_here(house, config(), engine.snapshot).breaks == []


Row = tuple[int, str, int]
VALUE_DATES = ("2026-03-05", "2026-03-06", "2026-03-09")


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["2026-03-05", "2026-03-06", "2026-03-09"]), st.integers(0, 5)), max_size=12
    ),
    st.permutations([0, 1, 2]),
)
def test_whenever_calendars_change_the_verdict_follows_from_what_is_stored_alone(rows: list[Row], order: Sequence[int]) -> None:
    """Naive: of the facts in the order in which they were made, the newest from before a trade's receipt judges it."""
    calendars = [Calendars(), Calendars([HOLIDAY]), Calendars([CalendarEntry(calendar="EUR", kind="holiday", date="2026-03-05")])]
    eurusd = next(one for one in instruments() if one.instrument == "EURUSD")
    kept: list[SpotFact] = []

    class Kept:
        def newest_with_value_date(self) -> int:
            return max((one.received_ts for one, _ in judged), default=0)

        def save_spot_facts(self, facts: list[SpotFact], compared_with: str = "") -> list[SpotFact]:
            kept.extend(facts)
            return list(kept)

    judged: list[tuple[Trade, bool]] = []
    dates = SpotDates(calendars[order[0]], config().engine)
    for step, (turn, value_date, delay) in enumerate(rows):
        if turn < 3:
            dates.calendars = calendars[order[turn]]
            settle(Kept(), dates, "", NOON + step)
        one = dealt(f"t{step}", value_date, NOON + step + delay)
        if new := dates.prepare([one], {"EURUSD": eurusd}):
            dates.adopt(Kept().save_spot_facts(new))
        judged.append((one, dates.verdict(one, eurusd).is_spot))
    again = SpotDates(Calendars(), config().engine, kept)
    for one, was_spot in judged:
        assert again.verdict(one, eurusd).is_spot == was_spot
        newest = [fact for fact in kept if fact.since_ts <= one.received_ts and not fact.traded.startswith("pays")][-1]
        assert was_spot == (newest.spot == one.value_date)
