"""Spot dates by the market's rule, and the verdict on a value date that stays as it was first given."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.settled_spot_dates import fingerprint, settle
from riskengine.market.spot_dates import SpotDates, TradeDates, spot_date
from riskengine.records.calendars import CalendarEntry, SpotFact
from riskengine.records.types import Instrument, Kind, Trade
from tests.world import NOON, SECOND

CALENDARS = Calendars()
DAY = dt.timedelta(days=1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


# The rule


@pytest.mark.parametrize(
    ("traded", "pair", "spot"),
    [
        ("2019-04-25", "USDJPY", "2019-05-07"),
        ("2019-04-26", "EURJPY", "2019-05-08"),
        ("2026-02-12", "USDCNY", "2026-02-24"),
        ("2026-09-29", "USDCNY", "2026-10-08"),
        ("2025-10-01", "USDKRW", "2025-10-10"),
        ("2026-07-01", "EURUSD", "2026-07-03"),
        ("2026-09-04", "EURUSD", "2026-09-08"),
        ("2026-03-04", "EURUSD", "2026-03-06"),
        ("2026-03-06", "EURUSD", "2026-03-10"),
        # Thanksgiving: on the first day it does not count, but for the peso.
        ("2026-11-25", "EURUSD", "2026-11-27"),
        ("2026-11-25", "USDMXN", "2026-11-30"),
        ("2026-11-24", "EURUSD", "2026-11-27"),
        # One day: the value date itself must be good in both.
        ("2026-03-05", "USDCAD", "2026-03-06"),
        ("2026-03-05", "CADUSD", "2026-03-06"),
        ("2026-11-25", "USDCAD", "2026-11-27"),
        ("2026-03-06", "USDTRY", "2026-03-09"),
        # A cross: the later of its dollar legs; the value date must be good in the dollar too.
        ("2026-03-05", "EURCAD", "2026-03-09"),
        ("2026-11-24", "EURGBP", "2026-11-27"),
        ("2026-09-03", "EURGBP", "2026-09-08"),
        # Christmas and New Year.
        ("2026-12-23", "EURUSD", "2026-12-28"),
        ("2026-12-23", "GBPUSD", "2026-12-29"),
        ("2026-12-30", "EURUSD", "2027-01-04"),
        ("2026-12-30", "USDJPY", "2027-01-05"),
    ],
)
def test_the_spot_date_of_a_pair(traded: str, pair: str, spot: str) -> None:
    assert spot_date(day(traded), pair[:3], pair[3:], CALENDARS) == day(spot)


CURRENCIES = ("USD", "EUR", "JPY", "GBP", "CAD", "CHF", "MXN", "NZD", "CNY", "SEK")


@given(
    st.dates(day("2015-01-01"), day("2026-12-31")),
    st.lists(st.sampled_from(CURRENCIES), min_size=2, max_size=2, unique=True),
)
def test_spot_is_a_good_day_after_the_trade_and_never_goes_back(traded: dt.date, pair: list[str]) -> None:
    base, quote = pair
    spot, after = (spot_date(date, base, quote, CALENDARS) for date in (traded, traded + DAY))
    assert all(CALENDARS.is_business_day(currency, spot) for currency in (*pair, "USD"))
    assert traded < spot <= after
    assert spot == spot_date(traded, quote, base, CALENDARS)
    # Counted naively: enough days good in each currency but the dollar lie between the trade and its spot date.
    days = [traded + DAY * ahead for ahead in range(1, (spot - traded).days + 1)]
    for currency in {*pair} - {"USD"}:
        assert sum(CALENDARS.is_business_day(currency, date) for date in days) >= (1 if currency == "CAD" else 2)


# Trade dates


def moment(utc: str) -> int:
    return int(dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("utc", "euro", "kiwi"),
    [
        # 07:00 in Auckland is 18:00 UTC in its summer and 19:00 in its winter; New York's boundary comes later.
        ("2026-03-04T17:59", "2026-03-04", "2026-03-04"),
        ("2026-03-04T18:00", "2026-03-04", "2026-03-05"),
        ("2026-03-04T22:00", "2026-03-05", "2026-03-05"),
        ("2026-07-01T18:59", "2026-07-01", "2026-07-01"),
        ("2026-07-01T19:00", "2026-07-01", "2026-07-02"),
        ("2026-03-06T18:00", "2026-03-06", "2026-03-09"),
        ("2026-03-07T12:00", "2026-03-09", "2026-03-09"),
        # Both changes of New York's clock.
        ("2026-03-06T21:59", "2026-03-06", "2026-03-09"),
        ("2026-03-09T21:00", "2026-03-10", "2026-03-10"),
        ("2026-11-02T21:59", "2026-11-02", "2026-11-03"),
        ("2026-12-24T22:00", "2026-12-28", "2026-12-28"),
    ],
)
def test_a_trade_date_turns_at_the_boundary_and_for_the_kiwi_in_auckland(utc: str, euro: str, kiwi: str) -> None:
    dates = TradeDates(EngineConfig())
    assert dates.of(moment(utc), "EUR", "USD") == euro
    assert dates.of(moment(utc), "NZD", "USD") == kiwi


# Verdicts


EURUSD = Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")
HOLIDAY = CalendarEntry(calendar="EUR", kind="holiday", date="2026-03-06")


def trade(value_date: str, ts: int = NOON, received_ts: int = NOON) -> Trade:
    return Trade("s", "t", instrument="EURUSD", ts=ts, received_ts=received_ts, value_date=value_date)


class Stored:
    """A store of spot dates: the first word stands."""

    def __init__(self) -> None:
        self.facts: list[SpotFact] = []
        self.mark = ""

    def newest_with_value_date(self) -> int:
        return NOON

    def save_spot_facts(self, facts: list[SpotFact], compared_with: str = "") -> list[SpotFact]:
        known = {(one.base, one.quote, one.traded, one.since_ts) for one in self.facts}
        self.facts += [one for one in facts if (one.base, one.quote, one.traded, one.since_ts) not in known]
        self.mark = compared_with or self.mark
        return list(self.facts)


def test_the_first_verdict_is_kept_to_be_stored_and_a_later_calendar_judges_later_trades_alone() -> None:
    store, dates = Stored(), SpotDates(CALENDARS, EngineConfig())
    assert dates.verdict(trade("2026-03-06"), EURUSD) == (True, "2026-03-06", False)
    assert dates.verdict(trade("2026-03-09"), EURUSD) == (False, "2026-03-06", False), "three days past spot"
    assert dates.unsaved() == [SpotFact("EUR", "USD", "2026-03-04", 0, "2026-03-06")]
    dates.adopt(store.save_spot_facts(dates.unsaved()))
    assert dates.unsaved() == []
    assert not dates.may_differ

    dates.calendars = Calendars([HOLIDAY])
    assert dates.verdict(trade("2026-03-06"), EURUSD).is_spot
    later = NOON + SECOND
    assert settle(store, dates, store.mark, later) == [SpotFact("EUR", "USD", "2026-03-04", later, "2026-03-09")]
    assert dates.verdict(trade("2026-03-06"), EURUSD).is_spot, "as it was judged"
    assert dates.verdict(trade("2026-03-09", received_ts=later), EURUSD) == (True, "2026-03-09", False)
    assert not dates.verdict(trade("2026-03-06", received_ts=later), EURUSD).is_spot
    assert dates.newest_spot(trade("2026-03-06"), EURUSD) == "2026-03-09"
    assert settle(store, dates, store.mark, later + 1) == [], "compared with the same calendars before"

    again = SpotDates(Calendars([HOLIDAY]), EngineConfig(), store.facts)
    for received in (NOON, later):
        for value in ("2026-03-06", "2026-03-09"):
            one = trade(value, received_ts=received)
            assert again.verdict(one, EURUSD) == dates.verdict(one, EURUSD)
    assert again.every_verdict(EURUSD, NOON, "2026-03-06", "") == {True, False}


def test_what_is_judged_by_a_calendar_is_in_force_after_all_that_was_received_before() -> None:
    store, dates = Stored(), SpotDates(CALENDARS, EngineConfig())
    dates.verdict(trade("2026-03-06"), EURUSD)
    dates.calendars = Calendars([HOLIDAY])
    [changed] = settle(store, dates, "", NOON - 3600 * SECOND)
    assert changed.since_ts == NOON + 1, "a clock that was set back moves no verdict"


def test_the_stored_word_counts_whatever_was_worked_out_here() -> None:
    dates = SpotDates(CALENDARS, EngineConfig())
    assert dates.verdict(trade("2026-03-06"), EURUSD).is_spot
    assert dates.adopt([SpotFact("EUR", "USD", "2026-03-04", 0, "2026-03-09")])
    assert not dates.verdict(trade("2026-03-06"), EURUSD).is_spot


def test_trades_from_before_the_rule_count_as_they_did() -> None:
    dates = SpotDates(CALENDARS, EngineConfig(), exact_since=NOON + 1)
    assert dates.verdict(trade("2026-03-10"), EURUSD) == (True, "2026-03-06", True), "four days of grace"
    assert not dates.verdict(trade("2026-03-11"), EURUSD).is_spot
    assert not dates.verdict(trade("2026-03-10", received_ts=NOON + 1), EURUSD).is_spot
    assert dates.every_verdict(EURUSD, NOON, "2026-03-10", "") == {True, False}
    christmas = trade("2026-12-29", ts=moment("2026-12-25T12:00"))
    assert dates.verdict(christmas, EURUSD) == (True, "2026-12-29", True), "Christmas was a day like others"


def test_the_fingerprint_names_library_and_entries() -> None:
    assert fingerprint(CALENDARS) == fingerprint(Calendars()) != fingerprint(Calendars([HOLIDAY]))
    assert fingerprint(CALENDARS).startswith("holidays ")
