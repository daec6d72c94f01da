"""The past of a demo: equal for equal seeds and times, taken by the ordinary doors, and continued by the market that made it."""

import datetime as dt
from collections import Counter
from typing import NamedTuple

import pytest

from riskengine.config import Config, EngineConfig
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.morning import CLOSED_DAYS, LONGEST_US, MINUTE_US, Day, Minute, MorningSimulator, times_of
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.market.marks import CLOSE, Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.records.decode import TradeInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.reference_input import OpeningInput, check_close, check_opening

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = TradingDay.of(EngineConfig())
INSTRUMENTS = {instrument.instrument: instrument for instrument in sample_instruments()}
REFERENCE = Reference(sample_nodes(), sample_instruments(), "USD")


def moment(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * SECOND)


NOON = moment("2026-03-04T12:00:00-05:00")


class Past(NamedTuple):
    market: MarketSimulator
    morning: MorningSimulator
    openings: list[OpeningInput]
    days: list[Day]
    minutes: list[Minute]


def past(now: int, seed: int = 7) -> Past:
    market = MarketSimulator(seed, sample_instruments())
    morning = MorningSimulator(seed, sample_nodes(), sample_instruments(), market)
    times = times_of(now, DAY)
    return Past(market, morning, morning.openings(times, DAY), list(morning.days(times, DAY)), list(morning.minutes(times)))


@pytest.fixture(scope="module")
def made() -> Past:
    return past(NOON)


def sent(parts: list[Day] | list[Minute]) -> list[tuple[int, TradeInput]]:
    return [each for part in parts for each in part.trades]


def test_the_desk_at_noon_has_dealt_since_seven_and_in_a_young_day_since_it_began() -> None:
    began = moment("2026-03-03T17:00:00-05:00")
    assert times_of(NOON, DAY)[1:] == (began, NOON - LONGEST_US, NOON)
    assert times_of(began + HOUR, DAY)[1:] == (began, began, began + HOUR)
    assert times_of(began, DAY)[1:] == (began, began, began)
    saturday = times_of(moment("2026-03-07T12:00:00-05:00"), DAY)
    assert saturday.day_start == moment("2026-03-06T17:00:00-05:00")
    assert (saturday.dates[0].isoformat(), saturday.dates[-1].isoformat()) == ("2026-02-05", "2026-03-06")
    assert len(saturday.dates) == CLOSED_DAYS and all(map(DAY.is_business_day, saturday.dates))


def test_the_same_seed_and_time_give_the_same_past(made: Past) -> None:
    assert past(NOON)[2:] == made[2:]
    assert past(NOON, seed=8)[2:] != made[2:]
    assert past(NOON + HOUR)[2:4] == made[2:4], "the days before do not depend on when somebody looks"


def test_every_instrument_has_a_close_on_each_trading_day_of_a_month(made: Past) -> None:
    assert [day.date for day in made.days] == list(times_of(NOON, DAY).dates)
    for day in made.days:
        closes = [check_close(row, INSTRUMENTS) for row in day.closes]
        assert day.end_ts == DAY.close_of(day.date) and {close.date for close in closes} == {day.date.isoformat()}
        assert [close.instrument for close in closes] == list(INSTRUMENTS)
    assert len({row.price for day in made.days for row in day.closes if row.instrument == "EURUSD"}) > CLOSED_DAYS / 2


def test_positions_are_brought_forward_from_before_the_month(made: Past) -> None:
    openings = [check_opening(row, INSTRUMENTS) for row in made.openings]
    assert {opening.ts for opening in openings} == {DAY.window(made.days[0].date)[0]}
    assert len({(each.desk, each.dealer, each.instrument) for each in openings}) == len(openings) > 40
    assert {each.desk for each in openings} == set(REFERENCE.hierarchy.leaves)
    assert min(each.quantity for each in openings) < 0 < max(each.quantity for each in openings)


def test_the_desks_deal_on_most_days_of_the_month(made: Past) -> None:
    check = trade_check(REFERENCE)
    assert sum(bool(day.trades) for day in made.days) > CLOSED_DAYS / 2, "some are quiet"
    for day in made.days:
        begins, ends = DAY.window(day.date)
        trades = [check(trade, received, "demo") for received, trade in day.trades]
        assert all(begins <= trade.received_ts < ends and trade.ts <= trade.received_ts for trade in trades)


def test_trades_come_in_order_in_their_minute_at_the_prices_of_it(made: Past) -> None:
    check = trade_check(REFERENCE)
    assert [minute.ts for minute in made.minutes] == list(range(NOON - LONGEST_US + MINUTE_US, NOON + 1, MINUTE_US))
    for minute in made.minutes:
        assert {tick.instrument for tick in minute.ticks} == set(INSTRUMENTS)
        arrivals = [received for received, _ in minute.trades]
        assert arrivals == sorted(arrivals) and all(minute.ts - MINUTE_US < each <= minute.ts for each in arrivals)
    trades = [check(trade, received, "demo") for received, trade in sent(made.minutes)]
    assert 1_000 < len(trades) < 3_000
    assert {trade.desk for trade in trades} >= set(REFERENCE.hierarchy.leaves)
    assert all(trade.ts <= trade.received_ts for trade in trades)


def test_the_last_minute_has_what_needs_a_person(made: Past) -> None:
    trades = [trade for _, trade in sent(made.minutes) if trade.source == "booking"]
    versions = Counter((trade.trade_id, trade.version) for trade in trades)
    assert [key for key, count in versions.items() if count == 2] == [("am-1", 1)], "a conflict"
    assert [trade.trade_id for trade in trades if trade.action == "cancel"] == ["am-2"], "of a trade that never came"
    assert [trade.trade_id for trade in trades if trade.value_date] == ["am-3"]
    assert [trade.trade_id for trade in trades if trade.legs] == ["am-4"]
    late = [trade.trade_id for trade in trades if isinstance(trade.ts, int) and NOON - HOUR < trade.ts < NOON - 20 * MINUTE_US]
    assert late == ["am-5"]
    corrected = [trade for trade in trades if trade.action == "amend"]
    assert [(each.trade_id, each.version) for each in corrected] == [("pm-1", 2)]
    [first] = [trade for _, trade in sent(made.days) if trade.source == "booking"]
    assert (first.trade_id, first.ts) == ("pm-1", corrected[0].ts)


@pytest.mark.parametrize(
    "now", ["2026-03-03T17:00:00-05:00", "2026-03-03T17:00:07-05:00", "2026-03-03T18:00:00-05:00", "2026-03-09T16:59:00-04:00"]
)
def test_a_morning_of_any_length_holds_back_no_price(now: str) -> None:
    found = past(moment(now))
    quotes = QuoteBook(REFERENCE, Config().marks, 60.0)
    closed = found.days[-1].end_ts
    quotes.restore({row.instrument: Mark(float(row.price), closed, CLOSE, CLOSE) for row in found.days[-1].closes})
    for minute in found.minutes:
        assert quotes.offer(minute.ticks, minute.ts) == []
        quotes.take(minute.ts)
        assert not quotes.suspects
    assert bool(found.minutes) == (now != "2026-03-03T17:00:00-05:00")


def test_the_market_and_the_desks_go_on_where_the_morning_ends(made: Past) -> None:
    last = {tick.instrument: ((tick.bid or 0.0) + (tick.ask or 0.0)) / 2 for tick in made.minutes[-1].ticks}
    assert all(made.market.mids()[symbol] == pytest.approx(mid, rel=2e-3) for symbol, mid in last.items())
    assert {desk for desk, _ in made.morning.lots} == set(REFERENCE.hierarchy.leaves)


def test_a_market_moves_in_one_step_as_far_as_in_many_and_starts_where_it_is_told() -> None:
    def spread(days: float, seeds: int = 200) -> float:
        moves = []
        for seed in range(seeds):
            market = MarketSimulator(seed, sample_instruments())
            before = market.mids()["EURUSD"]
            market.move(int(days * 86_400 * SECOND))
            moves.append(market.mids()["EURUSD"] / before - 1.0)
        return float(sum(move * move for move in moves) / seeds) ** 0.5

    assert spread(1.0) == pytest.approx(0.0045, rel=0.2)
    assert spread(0.25) == pytest.approx(0.00225, rel=0.2)
    market = MarketSimulator(1, sample_instruments())
    market.start_from({"EURUSD": 1.3, "USDJPY": 100.0, "AAPL": 50.0, "EURGBP": 9.9, "NONE": 1.0, "XAUUSD": 0.0})
    mids = market.mids()
    assert (mids["EURUSD"], mids["AAPL"]) == (1.3, 50.0) and mids["USDJPY"] == pytest.approx(100.0)
    assert mids["EURJPY"] == pytest.approx(130.0) and mids["XAUUSD"] > 3_000
    assert mids["EURGBP"] == pytest.approx(1.3 / mids["GBPUSD"]), "a cross follows its currencies"
