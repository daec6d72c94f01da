"""Options at a close: valued at the boundary, and the lines of the next day exact against that value."""

import datetime as dt

import pytest

from riskengine.engine.closing import ClosingDay, ClosingRows, make_close
from riskengine.positions.day_window import DayWindow
from riskengine.records.closes import CLOSE_MEASURES, ClosePrice, StruckClose
from riskengine.snapshot.rows import ladder_rows
from tests.optioned import SPOTS, OptionHouse, option
from tests.rolling import TRADING_DAY, begin, strike
from tests.world import SECOND, config

CALL = "EURUSD C1.10"
TODAY = "2026-03-04"
DATE = dt.date.fromisoformat(TODAY)
BOUNDARY = TRADING_DAY.close_of(DATE)


@pytest.fixture
def house() -> OptionHouse:
    made = OptionHouse([option(CALL, "EUR", "USD", "1.1")])
    made.vols()
    made.spots()
    made.buy(CALL, "1000000", "0.03")
    made.buy("EURUSD", "200000", "1.1", side="sell")
    return made


def value_at(spot: float, now: int) -> float:
    """What a house that knows nothing but this moment makes of the option."""
    fresh = OptionHouse([option(CALL, "EUR", "USD", "1.1")], now=now)
    fresh.vols()
    fresh.spots(EURUSD=spot)
    return float(fresh.values(CALL)["price"])


def strike_rows(house: OptionHouse) -> ClosingRows:
    before, after = DayWindow.after(TRADING_DAY.previous(DATE), TRADING_DAY), DayWindow.after(DATE, TRADING_DAY)
    return house.engine.close_rows(before, after)


def price_of(close: StruckClose) -> ClosePrice:
    return close.prices[CALL]


def test_the_close_of_an_option_is_its_value_at_the_boundary_with_the_spot_of_the_close(house):
    close = strike(house.engine, TODAY, SPOTS | {"EURUSD": 1.12, CALL: 0.5})
    assert price_of(close).price == pytest.approx(value_at(1.12, BOUNDARY), rel=1e-12)
    assert price_of(close).source == "model"


def test_the_totals_of_a_close_count_options_by_value_and_delta(house):
    close = strike(house.engine, TODAY, SPOTS | {"EURUSD": 1.12})
    at = close.node_totals.owners.index("ALL")
    totals = dict(zip(CLOSE_MEASURES, close.node_totals.amounts[:, at].tolist(), strict=True))
    value = 1e6 * (price_of(close).price - 0.03) - 200_000 * 0.02
    assert totals["total_pnl"] == pytest.approx(value)
    assert 200_000 < totals["net_exposure"] < 600_000


def test_the_lines_of_the_next_day_compare_with_the_value_of_the_close(house):
    close = strike(house.engine, TODAY, SPOTS | {"EURUSD": 1.12})
    begin(house.engine, close)
    house.now = BOUNDARY + 600 * SECOND
    house.vols()
    house.spots(EURUSD=1.13)
    [row] = [row for row in ladder_rows(house.engine.snapshot, node="FX1") if row["instrument"] == CALL]
    moved = 1e6 * (row["mark"] - price_of(close).price)
    assert row["day_position_pnl"] == pytest.approx(moved, rel=1e-12)
    assert row["day_pnl"] == pytest.approx(moved, rel=1e-12)
    node = house.node("ALL")
    assert node["day_pnl"] == pytest.approx(moved - 200_000 * 0.01)
    assert node["day_unknown_count"] == 0
    house.engine.check()


def test_an_official_close_of_an_option_stands_against_its_value(house):
    house.engine.publish(BOUNDARY)
    rows = strike_rows(house)
    prices = {symbol: ClosePrice(price, BOUNDARY - 1) for symbol, price in SPOTS.items()}
    official = ClosePrice(0.041, BOUNDARY, "close", True)
    close = make_close(rows, prices | {CALL: official}, ClosingDay(TODAY, BOUNDARY, BOUNDARY), config())
    assert price_of(close) == official
    again = make_close(rows, close.prices, ClosingDay(TODAY, BOUNDARY, BOUNDARY, 2), config())
    assert again.prices == close.prices


def test_a_close_that_is_made_once_more_keeps_the_values_that_were_published(house):
    first = strike(house.engine, TODAY, SPOTS | {"EURUSD": 1.12})
    moved = {**first.prices, "EURUSD": ClosePrice(1.2, BOUNDARY, "close", True)}
    again = make_close(strike_rows(house), moved, ClosingDay(TODAY, BOUNDARY, BOUNDARY, 2), config())
    assert price_of(again) == price_of(first)
