"""Which price an instrument closes a day with."""

import datetime as dt

import pytest

from riskengine.config import EngineConfig
from riskengine.market.closing_prices import (
    CloseTimes,
    ClosingRules,
    closing_prices,
    cutoffs_of,
    newest_before,
    superseding_prices,
)
from riskengine.market.marks import CLOSE, Mark
from riskengine.market.trading_day import TradingDay
from riskengine.records.closes import ClosePrice
from riskengine.records.types import Close, Instrument, Kind

DAY = TradingDay.of(EngineConfig())
DATE = dt.date(2026, 12, 1)
BEGINS, ENDS = DAY.window(DATE)
SESSION_END = ENDS - 3_600_000_000
SHARE = Instrument(instrument="ACME", kind=Kind.EQUITY, quote_currency="USD", calendar="XNYS")
COIN = Instrument(instrument="BTCUSD", kind=Kind.CRYPTO, quote_currency="USD")
PAIR = Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")
GOLD = Instrument(instrument="XAUUSD", kind=Kind.METAL, base_currency="XAU", quote_currency="USD", calendar="COMEX")
ALL = (SHARE, COIN, PAIR, GOLD)
RULES = ClosingRules(DAY, lambda instrument, date: SESSION_END if instrument.calendar else None)


def quoted(price: float, ts: int = ENDS - 5) -> Mark:
    return Mark(price, ts, "feed", "quote")


def loaded(instrument: Instrument, price: float, date: str = "2026-12-01") -> Close:
    return Close(date, instrument.instrument, price)


def closed(instrument: Instrument, mark: Mark | None, *official: Close) -> ClosePrice | None:
    closing = {} if mark is None else {instrument.instrument: mark}
    return closing_prices([instrument], DATE, closing, official, RULES).get(instrument.instrument)


def test_fx_and_metals_close_at_the_boundary_and_others_at_the_end_of_their_session():
    assert cutoffs_of(ALL, DATE, RULES) == {"ACME": SESSION_END, "BTCUSD": ENDS, "EURUSD": ENDS, "XAUUSD": ENDS}
    late = ClosingRules(DAY, lambda instrument, date: ENDS + 1)
    assert cutoffs_of(ALL, DATE, late)["ACME"] == ENDS


@pytest.mark.parametrize("instrument", [PAIR, GOLD])
def test_fx_and_metals_close_with_their_quote_of_the_day_and_else_with_the_loaded_close_of_the_date(instrument):
    official = loaded(instrument, 2.0)
    assert closed(instrument, quoted(1.5), official) == ClosePrice(1.5, ENDS - 5, "feed")
    assert closed(instrument, quoted(1.5, BEGINS), official) == ClosePrice(1.5, BEGINS, "feed")
    assert closed(instrument, quoted(1.5, BEGINS - 1), official) == ClosePrice(2.0, ENDS, CLOSE, True)
    assert closed(instrument, Mark(1.4, BEGINS, CLOSE, CLOSE), official) == ClosePrice(2.0, ENDS, CLOSE, True)


@pytest.mark.parametrize("instrument", [SHARE, COIN])
def test_others_close_with_the_official_close_of_the_date_and_else_with_their_closing_mark(instrument):
    assert closed(instrument, quoted(1.5), loaded(instrument, 2.0)) == ClosePrice(2.0, ENDS, CLOSE, True)
    assert closed(instrument, quoted(1.5)) == ClosePrice(1.5, ENDS - 5, "feed")


@pytest.mark.parametrize("instrument", ALL)
def test_without_a_price_of_the_day_the_newest_from_before_counts_with_its_own_time_and_nothing_is_invented(instrument):
    old = quoted(1.5, BEGINS - 86_400_000_000)
    assert closed(instrument, old) == ClosePrice(1.5, old.ts, "feed")
    assert closed(instrument, Mark(1.4, BEGINS, CLOSE, CLOSE)) == ClosePrice(1.4, BEGINS, CLOSE)
    assert closed(instrument, None) is None
    assert closed(instrument, None, loaded(instrument, 9.0, "2026-11-30")) is None


def test_an_official_close_that_comes_late_supersedes_the_mark_of_those_that_close_with_one():
    struck = closing_prices(ALL, DATE, {each.instrument: quoted(1.5) for each in ALL}, [], RULES)
    assert superseding_prices(ALL, DATE, struck, [], RULES) is None
    official = [loaded(each, 2.0) for each in ALL]
    second = superseding_prices(ALL, DATE, struck, official, RULES)
    assert second is not None and {symbol: price.price for symbol, price in second.items()} == {
        "ACME": 2.0,
        "BTCUSD": 2.0,
        "EURUSD": 1.5,
        "XAUUSD": 1.5,
    }
    assert superseding_prices(ALL, DATE, second, official, RULES) is None
    third = superseding_prices(ALL, DATE, second, [loaded(SHARE, 3.0)], RULES)
    assert third is not None and (third["ACME"].price, third["BTCUSD"].price) == (3.0, 2.0)
    assert superseding_prices(ALL, DATE, third, [], RULES) is None, "one that was deleted stands"


def test_fx_that_was_not_quoted_takes_a_loaded_close_that_comes_late():
    for struck in ({}, {"EURUSD": ClosePrice(1.5, BEGINS - 1, "feed")}, {"EURUSD": ClosePrice(1.5, BEGINS, CLOSE)}):
        second = superseding_prices([PAIR], DATE, struck, [loaded(PAIR, 2.0)], RULES)
        assert second == {"EURUSD": ClosePrice(2.0, ENDS, CLOSE, True)}


def test_stored_prices_give_the_newest_from_before_the_cutoff():
    cutoffs = {"ACME": 100, "EURUSD": ENDS}
    found = newest_before(
        cutoffs,
        {"ACME": quoted(1.0, 50), "EURUSD": quoted(1.1, BEGINS)},
        {"ACME": quoted(2.0, 100), "EURUSD": quoted(1.2, BEGINS), "nothing": quoted(1.0, 1)},
        closes=[loaded(PAIR, 5.0, "2026-11-30"), loaded(SHARE, 7.0)],
        times=CloseTimes(ALL, RULES),
    )
    assert found == {"ACME": quoted(1.0, 50), "EURUSD": quoted(1.2, BEGINS)}
    assert newest_before(cutoffs, {}, closes=[loaded(PAIR, 5.0, "2026-11-30")], times=CloseTimes(ALL, RULES)) == {
        "EURUSD": Mark(5.0, BEGINS, CLOSE, CLOSE)
    }


def test_a_close_is_from_the_end_of_its_session_and_at_most_from_the_boundary():
    times = CloseTimes(ALL, RULES)
    date = DATE.isoformat()
    assert [times.of(symbol, date) for symbol in ("ACME", "BTCUSD", "EURUSD", "XAUUSD", "nobody's")] == [SESSION_END, *[ENDS] * 4]
    late = CloseTimes(ALL, RULES._replace(session_end=lambda instrument, date: ENDS + 1))
    assert late.of("ACME", date) == ENDS


def test_a_quote_from_after_the_session_is_newer_than_the_official_close_of_the_date():
    cutoffs = cutoffs_of(ALL, DAY.next(DATE), RULES._replace(session_end=lambda instrument, date: None))
    after = quoted(255.0, SESSION_END + 1)
    found = newest_before(cutoffs, {"ACME": after}, closes=[loaded(SHARE, 268.5)], times=CloseTimes(ALL, RULES))
    assert found == {"ACME": after}
