"""The past of a demo: equal for equal seeds and times, taken by the ordinary doors, and continued by the market that made it."""

import datetime as dt
from collections import Counter
from decimal import Decimal

import pytest

from riskengine.config import Config, EngineConfig
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.morning import CLOSED_DAYS, LONGEST_US, MINUTE_US, Minute, MorningSimulator, Times, times_of
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.market.marks import QuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.records.decode import TradeInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.reference_input import CloseInput, OpeningInput, check_close, check_opening

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = TradingDay.of(EngineConfig())
INSTRUMENTS = {instrument.instrument: instrument for instrument in sample_instruments()}
REFERENCE = Reference(sample_nodes(), sample_instruments(), "USD")


def moment(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * SECOND)


NOON = moment("2026-03-04T12:00:00-05:00")


def past(now: int, seed: int = 7) -> tuple[MarketSimulator, MorningSimulator, list[CloseInput], list[OpeningInput], list[Minute]]:
    market = MarketSimulator(seed, sample_instruments())
    morning = MorningSimulator(seed, sample_nodes(), sample_instruments(), market)
    times = times_of(now, DAY)
    return market, morning, morning.closes(times, DAY), morning.openings(times), list(morning.minutes(times))


@pytest.fixture(scope="module")
def made() -> tuple[MarketSimulator, MorningSimulator, list[CloseInput], list[OpeningInput], list[Minute]]:
    return past(NOON)


def sent(minutes: list[Minute]) -> list[tuple[int, TradeInput]]:
    return [each for minute in minutes for each in minute.trades]


def test_the_desk_at_noon_has_dealt_since_seven_and_in_a_young_day_since_it_began() -> None:
    began = moment("2026-03-03T17:00:00-05:00")
    assert times_of(NOON, DAY) == Times(began, NOON - LONGEST_US, NOON)
    assert times_of(began + HOUR, DAY) == Times(began, began, began + HOUR)
    assert times_of(began, DAY) == Times(began, began, began)
    saturday = moment("2026-03-07T12:00:00-05:00")
    assert times_of(saturday, DAY).day_start == moment("2026-03-06T17:00:00-05:00")


def test_the_same_seed_and_time_give_the_same_past(made: tuple[object, ...]) -> None:
    assert past(NOON)[2:] == made[2:]
    assert past(NOON, seed=8)[2:] != made[2:]
    assert past(NOON + HOUR)[2] == made[2], "the closes of a day do not depend on when somebody looks"


def test_every_instrument_has_a_close_on_each_trading_day_of_a_month(made) -> None:
    closes = [check_close(row, INSTRUMENTS) for row in made[2]]
    dates = sorted({close.date for close in closes})
    assert len(dates) == CLOSED_DAYS and dates[-1] == "2026-03-03"
    assert all(DAY.is_business_day(dt.date.fromisoformat(date)) for date in dates)
    assert Counter(close.date for close in closes) == dict.fromkeys(dates, len(INSTRUMENTS))
    assert len({close.price for close in closes if close.instrument == "EURUSD"}) > CLOSED_DAYS / 2


def test_positions_are_brought_forward_from_the_last_close(made) -> None:
    openings = [check_opening(row, INSTRUMENTS) for row in made[3]]
    assert {opening.ts for opening in openings} == {moment("2026-03-03T17:00:00-05:00")}
    assert len({(each.desk, each.dealer, each.instrument) for each in openings}) == len(openings) > 40
    assert {each.desk for each in openings} == set(REFERENCE.hierarchy.leaves)
    assert min(each.quantity for each in openings) < 0 < max(each.quantity for each in openings)


def test_trades_come_in_order_in_their_minute_at_the_prices_of_it(made) -> None:
    minutes: list[Minute] = made[4]
    check = trade_check(REFERENCE)
    assert [minute.ts for minute in minutes] == list(range(NOON - LONGEST_US + MINUTE_US, NOON + 1, MINUTE_US))
    for minute in minutes:
        assert {tick.instrument for tick in minute.ticks} == set(INSTRUMENTS)
        arrivals = [received for received, _ in minute.trades]
        assert arrivals == sorted(arrivals) and all(minute.ts - MINUTE_US < each <= minute.ts for each in arrivals)
    trades = [check(trade, received, "demo") for received, trade in sent(minutes)]
    assert 1_000 < len(trades) < 3_000
    assert {trade.desk for trade in trades} >= set(REFERENCE.hierarchy.leaves)
    assert all(NOON - LONGEST_US <= trade.ts <= trade.received_ts for trade in trades)


def test_the_last_minute_has_what_needs_a_person(made) -> None:
    trades = [trade for _, trade in sent(made[4]) if trade.source == "booking"]
    versions = Counter((trade.trade_id, trade.version) for trade in trades)
    assert [key for key, count in versions.items() if count == 2] == [("am-1", 1)], "a conflict"
    assert [trade.trade_id for trade in trades if trade.action == "cancel"] == ["am-2"], "of a trade that never came"
    assert [trade.trade_id for trade in trades if trade.value_date] == ["am-3"]
    assert [trade.trade_id for trade in trades if trade.legs] == ["am-4"]
    assert [trade.trade_id for trade in trades if isinstance(trade.ts, int) and trade.ts < NOON - 20 * MINUTE_US] == ["am-5"]


@pytest.mark.parametrize(
    "now", ["2026-03-03T17:00:00-05:00", "2026-03-03T17:00:07-05:00", "2026-03-03T18:00:00-05:00", "2026-03-09T16:59:00-04:00"]
)
def test_a_morning_of_any_length_holds_back_no_price(now: str) -> None:
    _, _, closes, _, minutes = past(moment(now))
    quotes = QuoteBook(REFERENCE, Config().marks, 60.0)
    for symbol in INSTRUMENTS:
        [last] = [close.price for close in closes if close.instrument == symbol and close.date == closes[-1].date]
        assert Decimal(last) > 0
    for minute in minutes:
        assert quotes.offer(minute.ticks, minute.ts) == []
        quotes.take(minute.ts)
        assert not quotes.suspects
    assert bool(minutes) == (now != "2026-03-03T17:00:00-05:00")


def test_the_market_and_the_desks_go_on_where_the_morning_ends(made) -> None:
    market, morning = made[0], made[1]
    last = {tick.instrument: (tick.bid + tick.ask) / 2 for tick in made[4][-1].ticks}
    assert all(market.mids()[symbol] == pytest.approx(mid, rel=2e-3) for symbol, mid in last.items())
    assert {desk for desk, _ in morning.lots} == set(REFERENCE.hierarchy.leaves)


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
