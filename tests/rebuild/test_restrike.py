"""A close struck anew: with the same prices it is the same close, with others its positions stay and the totals follow."""

import datetime as dt

import numpy as np
import pytest

from riskengine.config import EngineConfig
from riskengine.market.closing_prices import ClosingRules
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.restrike import restrike
from riskengine.records.closes import CLOSE_MEASURES, ClosePrice, StruckClose
from riskengine.records.option_inputs import DatedInput, Vol
from riskengine.store.protocol import Store
from tests import rolling
from tests.acted import ACTED, YESTERDAY, action, dealt
from tests.optioned import SPOTS, OptionHouse, option, share_option
from tests.struck import same_close
from tests.world import SECOND, House, cancel, config, nodes, opening, trade

RULES = ClosingRules(TradingDay.of(EngineConfig()))
PRICES = ({"EURUSD": 1.1, "EURGBP": 0.85, "ESZ6": 5_000.0, "ACME": 20.0}, {"EURUSD": 1.12, "EURGBP": 0.86, "ESZ6": 5_050.0})


def at(day: int) -> int:
    """Noon of a day of March 2026, UTC."""
    return int(dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC).timestamp()) * SECOND


def two_days(store: Store) -> tuple[StruckClose, StruckClose]:
    """Tuesday and Wednesday of a house: carried over, corrected, opened, without a price, with fees."""
    house = House(now=at(3))
    house.engine.open_with([opening(instrument="ACME", desk="EQ1", dealer="bob", quantity="3", average_price="19", ts=at(2))])
    house.deal(
        trade("t1", ts=at(3), price="1.05", fees="2.5"),
        trade("t2", ts=at(3) + 1, instrument="EURGBP", desk="FX2", dealer="bob", side="sell", price="0.84", quantity="70"),
        trade("t3", ts=at(3) + 2, instrument="ESZ6", desk="EQ1", price="4990", quantity="2", fees="1", fees_currency="EUR"),
        trade("t4", ts=at(3) + 3, instrument="ACME", desk="EQ1", dealer="bob", price="21", quantity="5"),
    )
    first = rolling.strike(house.engine, "2026-03-03", PRICES[0])
    rolling.begin(house.engine, first)
    house.now = at(4)
    house.deal(
        cancel("t2"),
        trade("t5", ts=at(3) + 9, price="1.0", quantity="10", received_ts=at(4)),
        trade("t6", ts=at(4), side="sell", price="1.13", quantity="30", received_ts=at(4)),
        trade("t7", ts=at(5), price="1.2", quantity="11", received_ts=at(4)),
        trade("t8", ts=at(4), instrument="GHOST", desk="EQ1", price="3", quantity="4", received_ts=at(4)),
    )
    second = rolling.strike(house.engine, "2026-03-04", PRICES[1])
    for close in (first, second):
        store.save_struck_close(close)
    return first, second


def amounts(close: StruckClose, owner: str) -> dict[str, float]:
    at = close.node_totals.owners.index(owner)
    return dict(zip(CLOSE_MEASURES, close.node_totals.amounts[:, at].tolist(), strict=True))


def test_with_its_own_prices_a_close_is_what_it_was_to_the_last_bit(store: Store):
    reference = House().where
    for close in two_days(store):
        assert same_close(restrike(store, config(), RULES, reference, close, close.prices), close)


def test_with_another_price_the_positions_stay_and_every_total_above_them_follows(store: Store):
    _, close = two_days(store)
    prices = {**close.prices, "ESZ6": ClosePrice(5_060.0, close.ts, "close", True)}
    again = restrike(store, config(), RULES, House().where, close, prices)
    assert again.rates == close.rates and [each[:6] for each in again.nodes] == [each[:6] for each in close.nodes]
    moved = 2 * 50 * 10.0
    for owner in ("EQ1", "CASH", "ALL"):
        before, after = amounts(close, owner), amounts(again, owner)
        for measure in ("total_pnl", "day_pnl", "net_day_pnl", "month_pnl", "year_pnl", "net_exposure"):
            assert after[measure] - before[measure] == pytest.approx(moved), (owner, measure)
    assert np.array_equal([*amounts(again, "FX").values()], [*amounts(close, "FX").values()], equal_nan=True)
    before_it, after_it = (np.nansum(each.dealer_totals.amounts[0]) for each in (close, again))
    assert after_it - before_it == pytest.approx(moved)


def test_an_official_price_of_what_had_none_makes_its_total_known(store: Store):
    _, close = two_days(store)
    assert "ACME" not in close.prices
    again = restrike(
        store, config(), RULES, House().where, close, {**close.prices, "ACME": ClosePrice(22.0, close.ts, "close", True)}
    )
    # 3 at 19 and 5 at 21, worth 8 x 22; they closed the day before at 8 x 20.
    assert amounts(again, "ALL")["total_pnl"] - amounts(close, "ALL")["total_pnl"] == pytest.approx(8 * 22 - 3 * 19 - 5 * 21)
    assert amounts(again, "ALL")["day_pnl"] - amounts(close, "ALL")["day_pnl"] == pytest.approx(8 * 2.0)


def test_the_close_of_an_ex_date_is_valued_against_the_divided_close_before_it(store: Store):
    store.save_nodes(nodes())
    store.save_instruments(ACTED.instruments)
    store.save_actions([action("s")])
    house = House(where=ACTED, now=YESTERDAY)
    house.engine.take_actions(store.action_rows(), YESTERDAY)
    house.deal(dealt("1", quantity="25", price="390.5", received_ts=YESTERDAY))
    first = rolling.strike(house.engine, "2026-03-03", {"AAA": 400.0})
    rolling.begin(house.engine, first)
    second = rolling.strike(house.engine, "2026-03-04", {"AAA": 101.0})
    for close in (first, second):
        store.save_struck_close(close)
        assert same_close(restrike(store, config(), RULES, ACTED, close, close.prices), close)
    assert [each.quantity // 10**10 for each in second.nodes] == [100]
    assert amounts(second, "ALL")["day_pnl"] == pytest.approx(100.0)


def with_options(now: int) -> OptionHouse:
    rows = (option("EUR C", "EUR", "USD", "1.1"), option("JPY C", "USD", "JPY", "150"), share_option("ACME C", "88"))
    made = OptionHouse(rows, now=now)
    made.vols()
    return made


def test_an_official_close_that_comes_late_values_the_options_on_it_and_no_others(store: Store):
    made = with_options(at(4))
    made.spots()
    for symbol in made.symbols:
        made.buy(symbol, "10", "0.01", "EQ1")
    close = rolling.strike(made.engine, "2026-03-04", SPOTS)
    store.save_struck_close(close)
    store.save_option_inputs([DatedInput("2026-03-04", row) for row in made.engine.option_market])
    store.save_option_inputs([DatedInput("2026-03-05", Vol("ACME C", close.ts, 0.9))])  # of after the boundary
    prices = {**close.prices, "ACME": ClosePrice(95.0, close.ts, "close", True)}
    again = restrike(store, config(), RULES, made.where, close, prices)
    fresh = with_options(close.ts)
    fresh.spots(ACME=95.0)
    assert again.prices["ACME C"].price == pytest.approx(fresh.values("ACME C")["price"], rel=1e-9)
    assert [again.prices[name] for name in ("EUR C", "JPY C")] == [close.prices[name] for name in ("EUR C", "JPY C")]
    moved = 10 * 100 * (again.prices["ACME C"].price - close.prices["ACME C"].price)
    assert amounts(again, "ALL")["total_pnl"] - amounts(close, "ALL")["total_pnl"] == pytest.approx(moved)


def test_options_whose_vols_the_store_has_no_more_keep_the_price_that_was_published(store: Store):
    made = with_options(at(4))
    made.spots()
    made.buy("ACME C", "10", "0.01", "EQ1")
    close = rolling.strike(made.engine, "2026-03-04", SPOTS)
    store.save_struck_close(close)
    prices = {**close.prices, "ACME": ClosePrice(95.0, close.ts, "close", True)}
    assert restrike(store, config(), RULES, made.where, close, prices).prices["ACME C"] == close.prices["ACME C"]
