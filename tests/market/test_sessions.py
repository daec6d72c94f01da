"""When markets are open: the FX week, exchanges with their holidays and early ends, and what is never shut."""

import datetime as dt
from typing import Any

import pytest

from riskengine.config import EngineConfig, MarksConfig
from riskengine.market.calendars import ALWAYS, Calendars
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.market.sessions import OPEN, WEEK, MarketHours, market_of, state_at
from riskengine.market.trading_day import TradingDay
from riskengine.records.calendars import CalendarEntry
from tests.world import SECOND, instruments, reference

CALENDARS = Calendars()
DAY = TradingDay.of(EngineConfig())


def at(utc: str) -> int:
    return int(dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC).timestamp()) * SECOND


def shut_since(market: str, utc: str, calendars: Calendars = CALENDARS) -> int | None:
    state = state_at(market, calendars, DAY, at(utc))
    assert state.begins <= at(utc) < state.ends
    return state.shut_since


@pytest.mark.parametrize(
    ("market", "utc", "since"),
    [
        # The FX week, over both changes of New York's clock.
        (WEEK, "2026-03-06T21:59:59", None),
        (WEEK, "2026-03-06T22:00", "2026-03-06T22:00"),
        (WEEK, "2026-03-08T20:59:59", "2026-03-06T22:00"),
        (WEEK, "2026-03-08T21:00", None),
        (WEEK, "2026-10-31T12:00", "2026-10-30T21:00"),
        (WEEK, "2026-11-01T22:00", None),
        (WEEK, "2026-12-25T12:00", "2026-12-24T22:00"),
        (WEEK, "2026-12-27T12:00", "2026-12-24T22:00"),
        (WEEK, "2027-01-01T12:00", "2026-12-31T22:00"),
        (ALWAYS, "2026-03-07T12:00", None),
        # An exchange: evenings, weekends, holidays, early ends.
        ("XNYS", "2026-03-04T15:00", None),
        ("XNYS", "2026-03-04T14:29:59", "2026-03-03T21:00"),
        ("XNYS", "2026-03-04T21:00", "2026-03-04T21:00"),
        ("XNYS", "2026-03-08T12:00", "2026-03-06T21:00"),
        ("XNYS", "2026-11-26T16:00", "2026-11-25T21:00"),
        ("XNYS", "2026-11-27T17:59:59", None),
        ("XNYS", "2026-11-27T18:00", "2026-11-27T18:00"),
        ("XJPX", "2026-03-04T03:00", "2026-03-04T02:30"),
        ("XJPX", "2026-05-05T03:00", "2026-05-01T06:30"),
        ("XCME", "2026-03-08T21:30", "2026-03-06T22:00"),
        ("XCME", "2026-03-08T22:30", None),
        # A currency as a calendar: the FX week on its business days.
        ("JPY", "2026-05-05T12:00", "2026-05-01T21:00"),
        ("JPY", "2026-05-07T12:00", None),
    ],
)
def test_a_market_is_open_or_shut_since(market: str, utc: str, since: str | None) -> None:
    assert shut_since(market, utc) == (None if since is None else at(since))


def test_a_market_without_any_session_is_shut() -> None:
    first, days = dt.date(2026, 1, 1), range(180)
    shut = [CalendarEntry(calendar="XNYS", kind="holiday", date=str(first + dt.timedelta(ahead))) for ahead in days]
    assert shut_since("XNYS", "2026-03-15T12:00", Calendars(shut)) is not None


def test_an_instrument_follows_its_calendar_or_the_rule_of_its_kind() -> None:
    plain: dict[str, Any] = {"instrument": "A", "quote_currency": "USD"}
    rows = [
        {**plain, "kind": "equity"},
        {**plain, "kind": "equity", "calendar": "XNYS"},
        {**plain, "kind": "equity", "calendar": "nobody's"},
        {**plain, "kind": "crypto"},
        {**plain, "kind": "crypto", "calendar": "USD"},
        {**plain, "kind": "metal", "base_currency": "XAU"},
        {**plain, "kind": "metal", "base_currency": "XAU", "calendar": "24/7"},
        {**plain, "kind": "fx", "base_currency": "EUR"},
        {**plain, "kind": "future", "expiry": "2030-12-19"},
    ]
    markets = [market_of(one, CALENDARS) for one in instruments(rows)]
    assert markets == [WEEK, "XNYS", WEEK, ALWAYS, "USD", WEEK, ALWAYS, WEEK, WEEK]


ROWS = (
    {"instrument": "ACME", "kind": "equity", "quote_currency": "USD", "calendar": "XNYS"},
    {"instrument": "BTCUSD", "kind": "crypto", "base_currency": "BTC", "quote_currency": "USD"},
    {"instrument": "EURUSD", "kind": "fx", "base_currency": "EUR", "quote_currency": "USD"},
)


def table() -> MarkTable:
    where = reference(rows=ROWS)
    return MarkTable(where, MarksConfig(), 60.0, MarketHours(where.instruments, CALENDARS, DAY))


def test_a_mark_that_was_fresh_when_its_market_shut_is_closed_and_not_stale() -> None:
    marks, early = table(), at("2026-11-27T18:00")
    marks.take(
        {0: Mark(90.0, early - 30 * SECOND, "x", "quote"), 1: Mark(1.0, early, "x", "quote"), 2: Mark(1.1, early, "x", "quote")}
    )
    for utc, fresh, shut in (
        ("2026-11-27T18:00:10", [True, True, True], [True, False, False]),
        ("2026-11-27T18:02", [True, False, False], [True, False, False]),
        ("2026-11-28T12:00", [True, False, False], [True, False, True]),
        ("2026-11-30T14:30", [False, False, False], [False, False, False]),
    ):
        assert marks.fresh(at(utc)).tolist() == fresh, utc
        assert marks.shut(at(utc)).tolist() == shut, utc


def test_a_mark_that_was_old_when_its_market_shut_is_stale() -> None:
    marks, friday = table(), at("2026-03-06T22:00")
    marks.take({2: Mark(1.1, friday - 61 * SECOND, "x", "quote")})
    assert not marks.fresh(friday + SECOND)[2]
    marks.take({2: Mark(1.1, friday - 60 * SECOND, "x", "quote")})
    assert marks.fresh(friday + 86_400 * SECOND)[2]


def test_hours_are_looked_up_only_when_a_market_opens_or_shuts(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = MarketHours(instruments(ROWS), CALENDARS, DAY)
    looked = 0
    look = MarketHours._look

    def counting(self: MarketHours, now: int) -> None:
        nonlocal looked
        looked += 1
        look(self, now)

    monkeypatch.setattr(MarketHours, "_look", counting)
    start = at("2026-03-04T15:00")
    for second in range(3_600):
        assert hours.shut_since(start + second * SECOND)[0] == OPEN
    assert looked == 1
    assert hours.shut_since(at("2026-03-04T21:00"))[0] == at("2026-03-04T21:00")
    assert hours.shut(start).tolist() == [False, False, False], "a clock that was set back"
