"""What the day and the next ones bring, from one engine in memory."""

from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.records.actions import ActionRows
from riskengine.records.calendars import CalendarEntry
from riskengine.serve.routes.agenda import held_positions
from riskengine.snapshot.agenda import AGENDA_KINDS, AgendaItem, agenda
from riskengine.views.grants import EVERYTHING, Grants
from tests.acted import action
from tests.rolling import begin, strike
from tests.world import INSTRUMENTS, NOON, SECOND, book, config, quote, reference, trade

TODAY = "2026-03-04"
SHARE = {"instrument": "AAA", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 0, "calendar": "XNYS"}
ROWS = (
    *INSTRUMENTS,
    SHARE,
    {"instrument": "6EH6", "kind": "future", "quote_currency": "USD", "multiplier": "125000", "expiry": "2026-03-06"},
    {"instrument": "USDKRW", "kind": "fx", "base_currency": "USD", "quote_currency": "KRW"},
    {
        "instrument": "USDKRW 9 MAR",
        "kind": "fx_forward",
        "base_currency": "USD",
        "quote_currency": "KRW",
        "expiry": "2026-03-09",
        "fixing_date": "2026-03-05",
        "fixing_source": "KFTC18",
        "settlement_currency": "USD",
    },
)
HOUSE = reference(rows=ROWS)


class Day:
    """An engine on the Wednesday after a close, with what judges its value dates."""

    def __init__(self, *entries: CalendarEntry) -> None:
        settings = config()
        self.engine = engine = Engine(HOUSE, settings, epoch=7, now=NOON)
        self.quotes = book(HOUSE)
        self.spot_dates = SpotDates(Calendars(entries), settings.engine)
        deals = [("EURUSD", "FX1"), ("GBPUSD", "FX2"), ("ACME", "EQ1"), ("6EH6", "EQ1"), ("USDKRW 9 MAR", "FX1"), ("AAA", "EQ1")]
        before = NOON - 24 * 3_600 * SECOND
        dealt = [
            trade(f"t{n}", where=HOUSE, ts=before, received_ts=before, instrument=symbol, desk=desk, quantity="100")
            for n, (symbol, desk) in enumerate(deals)
        ]
        engine.apply(dealt, before, len(dealt))
        closes = {"EURUSD": 1.1, "GBPUSD": 1.3, "ACME": 90.0, "AAA": 400.0}
        begin(engine, strike(engine, "2026-03-03", closes))
        self.mark(EURUSD=1.1, GBPUSD=1.31, ACME=90.0, AAA=400.0)

    def mark(self, **prices: float) -> None:
        self.quotes.offer([quote(symbol, price, price, NOON) for symbol, price in prices.items()], NOON)
        self.engine.beat(self.quotes.take(), NOON)
        self.engine.publish(NOON)

    def items(self, kind: str | None = None, days: int = 5, grants: Grants = EVERYTHING) -> dict[str, AgendaItem]:
        """By name."""
        snapshot = self.engine.snapshot
        found = agenda(snapshot, self.spot_dates, held_positions(snapshot, grants), days)
        return {item.name: item for item in found if kind in (None, item.kind)}


@pytest.fixture(scope="module")
def day() -> Day:
    return Day()


def test_every_spot_pair_has_its_value_date(day: Day) -> None:
    dues = {name: item.due for name, item in day.items("value_date").items()}
    assert dues == {
        "EURUSD": "2026-03-06",
        "GBPUSD": "2026-03-06",
        "USDJPY": "2026-03-06",
        "EURGBP": "2026-03-06",
        "USDCAD": "2026-03-05",
        "USDKRW": "2026-03-06",
    }


def test_a_holiday_that_moves_a_value_date_is_named() -> None:
    moved = Day(CalendarEntry(calendar="EUR", kind="holiday", date="2026-03-06")).items("value_date")
    assert (moved["EURUSD"].due, moved["EURUSD"].what) == ("2026-03-09", "later than usual: holiday of EUR 2026-03-06")
    assert (moved["GBPUSD"].due, moved["GBPUSD"].what) == ("2026-03-06", "")


def test_asking_for_a_value_date_makes_no_fact_that_would_be_stored(day: Day) -> None:
    day.items("value_date")
    assert day.spot_dates.unsaved() == []


def test_what_is_held_and_ends_within_the_days_is_listed(day: Day) -> None:
    found = day.items("expiry")
    assert {name: (item.date, item.positions) for name, item in found.items()} == {
        "6EH6": ("2026-03-06", 1),
        "USDKRW 9 MAR": ("2026-03-09", 1),
    }
    assert day.items("expiry", days=1) == {}, "ESZ6 is not held, and ends later"


def test_a_fixing_says_whether_it_is_known(day: Day) -> None:
    [item] = day.items("fixing").values()
    assert (item.date, item.what) == ("2026-03-05", "the fixing of KFTC18 is not known yet")


def test_holidays_and_early_closes_are_those_of_the_calendars_in_use() -> None:
    entries = (
        CalendarEntry(calendar="XNYS", kind="holiday", date="2026-03-05"),
        CalendarEntry(calendar="XNYS", kind="early_close", date="2026-03-06", close="13:00"),
        CalendarEntry(calendar="XLON", kind="holiday", date="2026-03-05"),
        CalendarEntry(calendar="CAD", kind="holiday", date="2026-03-07"),
    )
    day = Day(*entries)
    snapshot = day.engine.snapshot
    found = [
        (item.date, item.kind, item.name)
        for item in agenda(snapshot, day.spot_dates, {}, 5)
        if item.kind in ("holiday", "early_close")
    ]
    assert found == [("2026-03-05", "holiday", "XNYS"), ("2026-03-06", "early_close", "XNYS")], "a Saturday is no news"


def test_prices_that_are_those_of_the_close_are_listed_with_when_they_came(day: Day) -> None:
    found = day.items("unchanged")
    assert set(found) == {"EURUSD", "ACME"}, "GBPUSD has moved, and the market of AAA has not opened at noon UTC"
    assert (found["EURUSD"].what, found["EURUSD"].ts) == ("quoted since, at the price of the close", NOON)


def test_a_price_that_has_moved_leaves_the_list() -> None:
    day = Day()
    day.mark(EURUSD=1.100001)
    assert "EURUSD" not in day.items("unchanged")


def test_ex_dates_of_the_day_and_of_those_to_come_are_listed_in_words() -> None:
    day = Day()
    actions = (
        action("now", instrument="ACME", ratio="2:1"),
        action("soon", instrument="ACME", kind="dividend", ex_date="2026-03-06", amount="0.25", currency="USD"),
        action("late", instrument="ACME", ratio="2:1", ex_date="2026-04-06"),
    )
    day.engine.take_actions(ActionRows(actions, {}), NOON)
    day.engine.publish(NOON)
    snapshot = day.engine.snapshot
    found = [item for item in agenda(snapshot, day.spot_dates, held_positions(snapshot, EVERYTHING), 5) if item.kind == "ex_date"]
    assert [(item.date, item.what, item.positions) for item in found] == [
        (TODAY, "split 2:1", 1),
        ("2026-03-06", "dividend of 0.25 USD", 1),
    ]


def test_positions_that_are_not_shown_are_not_listed(day: Day) -> None:
    ours = Grants(nodes=frozenset({"FX2"}))
    assert set(day.items("expiry", grants=ours)) == set(day.items("unchanged", grants=ours)) == set(), "FX2 holds GBPUSD alone"
    assert len(day.items("value_date", grants=ours)) == 6


def test_the_order_is_by_date_kind_and_name(day: Day) -> None:
    snapshot = day.engine.snapshot
    found = agenda(snapshot, day.spot_dates, held_positions(snapshot, EVERYTHING), 45)
    places: list[Any] = [(item.date, AGENDA_KINDS.index(item.kind), item.name) for item in found]
    assert places == sorted(places)


def test_before_any_day_is_known_there_is_nothing_to_say() -> None:
    engine = Engine(HOUSE, config(), epoch=7)
    assert engine.snapshot.current_day == ""
    assert agenda(engine.snapshot, SpotDates(Calendars(), config().engine), {}, 5) == []
