"""The lines of the day, the month and a later version of a close, of forwards and swaps, over a merge into spot."""

from collections.abc import Mapping
from math import exp
from typing import Any

import pytest

from riskengine.config import EngineConfig
from riskengine.market.closing_prices import ClosingRules
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.restrike import restrike
from riskengine.records.closes import CLOSE_MEASURES, ClosePrice, StruckClose
from riskengine.records.option_inputs import DatedInput
from riskengine.store.protocol import Store
from tests import rolling
from tests.forwarding import PRICES, RATES, noon_of
from tests.world import House, config, trade

JUNE, MARCH = "EURUSD@2026-06-08", "EURUSD@2026-03-09"
"""The second one is merged into spot at the roll into Thursday 5 March."""


@pytest.fixture
def house() -> House:
    """Wednesday 4 March 2026: an outright and a swap, which sells spot and buys back in June."""
    made = House()
    made.engine.beat({}, made.now, RATES)
    made.marks(**PRICES)
    made.deal(
        trade("near", quantity="1000", price="1.07", value_date="2026-03-09"),
        trade("swap", quantity="2000", price="1.08", side="sell", value_date="2026-03-06", legs=2),
        trade("swap", leg=1, quantity="2000", price="1.0852", value_date="2026-06-08", legs=2),
    )
    return made


def close_of(made: House, date: str, **moved: float) -> StruckClose:
    return rolling.strike(made.engine, date, PRICES | moved)


def next_day(made: House, date: str, **moved: float) -> None:
    made.now = noon_of(date)
    made.engine.beat({}, made.now)
    made.marks(**(PRICES | moved))


def total(close: StruckClose, measure: str = "total_pnl", owner: str = "ALL") -> float:
    at = close.node_totals.owners.index(owner)
    return float(close.node_totals.amounts[CLOSE_MEASURES.index(measure), at])


def lines(row: Mapping[str, Any]) -> list[float]:
    names = ("position", "carry", "trading", "translation")
    return [row[f"day_{name}_pnl"] for name in names] + [row["correction_pnl"]]


def test_the_first_day_of_a_swap_is_all_trading(house: House) -> None:
    rows = [house.position(), house.position(JUNE), house.position(MARCH), house.node()]
    for row in rows:
        assert row["day_pnl"] is None or row["day_pnl"] == pytest.approx(row["total_pnl"], abs=1e-9)
    assert house.node()["total_pnl"] == pytest.approx(sum(row["total_pnl"] for row in rows[:3]), abs=1e-9)


def test_a_forward_that_is_carried_over_has_its_change_as_position_line(house: House) -> None:
    close = close_of(house, "2026-03-04")
    rolling.begin(house.engine, close)
    next_day(house, "2026-03-05", EURUSD=1.09)
    row = house.position(JUNE)
    struck = close.prices[JUNE]
    assert struck.price == pytest.approx(1.08 + 0.005)
    worth = 2000 * (row["mark"] - struck.price) * house.engine.forwards.market.discount.item(_place(house, JUNE))
    position, carry, trading, translation, correction = lines(row)
    assert (carry, trading, correction) == (0.0, 0.0, 0.0)
    assert position == pytest.approx(worth, abs=1e-6)
    assert position + translation == pytest.approx(row["day_pnl"], abs=1e-9)
    house.deal(trade("more", ts=house.now, received_ts=house.now, quantity="500", price="1.09", value_date="2026-06-08"))
    again = house.position(JUNE)
    assert lines(again)[2] == pytest.approx(500 * (again["mark"] - 1.09), rel=0.01)
    assert lines(again)[0] == position


def test_the_day_of_a_merge_makes_no_line_of_its_own(house: House) -> None:
    close = close_of(house, "2026-03-04")
    rolling.begin(house.engine, close)
    next_day(house, "2026-03-05", EURUSD=1.09)
    spot, forward, node = house.position(), house.position(MARCH), house.node()
    assert (forward["quantity"], spot["quantity"]) == (0.0, -1000.0)
    assert lines(spot)[2] + lines(forward)[2] == pytest.approx(0.0, abs=1e-9)
    assert node["day_trading_pnl"] == pytest.approx(0.0, abs=1e-9)
    assert node["day_pnl"] == pytest.approx(node["total_pnl"] - total(close), abs=1e-9)
    house.engine.check()


def test_the_month_is_the_sum_of_its_days_over_a_merge(house: House) -> None:
    first = close_of(house, "2026-03-04")
    rolling.begin(house.engine, first)
    next_day(house, "2026-03-05", EURUSD=1.09)
    second = close_of(house, "2026-03-05", EURUSD=1.085)
    rolling.begin(house.engine, second)
    next_day(house, "2026-03-06", EURUSD=1.07)
    node = house.node()
    assert node["day_pnl"] == pytest.approx(node["total_pnl"] - total(second), abs=1e-9)
    assert total(second, "day_pnl") == pytest.approx(total(second) - total(first), abs=1e-9)
    assert node["month_pnl"] == pytest.approx(total(first, "month_pnl") + total(second, "day_pnl") + node["day_pnl"], abs=1e-9)


def test_a_later_version_of_a_close_moves_a_forward_by_what_its_pair_has_moved(house: House, store: Store) -> None:
    close = close_of(house, "2026-03-04")
    store.save_struck_close(close)
    store.save_option_inputs([DatedInput("2026-03-04", row) for row in RATES])
    official = {**close.prices, "EURUSD": ClosePrice(1.0811, close.ts, "close", True)}
    again = restrike(store, config(), ClosingRules(TradingDay.of(EngineConfig())), house.where, close, official)
    for symbol in (JUNE, MARCH):
        assert again.prices[symbol].price - close.prices[symbol].price == pytest.approx(0.0011, abs=1e-12)
    discounts = [exp(-0.04 * days / 365) for days in (0, 3, 94)]  # from spot, 6 March
    by_hand = 0.0011 * (-2000 * discounts[0] + 1000 * discounts[1] + 2000 * discounts[2])
    assert total(again) - total(close) == pytest.approx(by_hand, abs=1e-9)
    same = restrike(store, config(), ClosingRules(TradingDay.of(EngineConfig())), house.where, close, close.prices)
    assert total(same) == total(close)


def _place(made: House, symbol: str) -> int:
    place = made.engine.forwards.market.place(made.engine.reference.instrument_index[symbol])
    assert place is not None
    return place
