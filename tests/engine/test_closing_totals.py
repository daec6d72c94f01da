"""Totals of a close: what is known of an owner, and what is not. `test_closed_positions` compares them with rows, bit by bit."""

import numpy as np
import pytest

from riskengine.records.closes import CLOSE_MEASURES, StruckClose
from tests import rolling
from tests.cash_records import cash
from tests.world import House, opening, trade

NAV, TOTAL, DAY, MONTH = (CLOSE_MEASURES.index(field) for field in ("nav", "total_pnl", "day_pnl", "month_pnl"))


def of(close: StruckClose, node: str) -> list[float]:
    found: list[float] = close.node_totals.amounts[:, close.node_totals.owners.index(node)].tolist()
    return found


def house_with(**prices: float) -> House:
    house = House()
    house.marks(**prices)
    house.deal(trade("t1", quantity="100", price="1.1"))
    return house


def test_the_first_close_begins_what_is_to_date_and_knows_no_day():
    close = rolling.strike(house_with(EURUSD=1.1).engine, "2026-03-04", {"EURUSD": 1.2})
    for node in ("FX1", "ALL"):
        amounts = of(close, node)
        assert amounts[TOTAL] == pytest.approx(10.0)
        assert amounts[MONTH] == 0.0
        assert np.isnan(amounts[DAY])


def test_the_next_close_has_the_day_and_adds_it():
    house = house_with(EURUSD=1.1)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-04", {"EURUSD": 1.2}))
    house.now += 86_400_000_000
    house.marks(EURUSD=1.2)
    amounts = of(rolling.strike(house.engine, "2026-03-05", {"EURUSD": 1.25}), "ALL")
    assert [amounts[DAY], amounts[MONTH]] == pytest.approx([5.0, 5.0])


def test_a_node_of_which_nothing_has_a_price_has_no_total_but_one_above_has():
    house = house_with(EURUSD=1.1)
    house.deal(trade("t2", instrument="GHOST", desk="FX2"))
    close = rolling.strike(house.engine, "2026-03-04", {"EURUSD": 1.2})
    assert np.isnan(of(close, "FX2")[TOTAL])
    assert of(close, "ALL")[TOTAL] == pytest.approx(10.0)


def test_a_node_with_cash_without_a_rate_has_no_nav():
    house = house_with(EURUSD=1.1)
    house.engine.take_cash([cash(currency="ISK"), cash("C2", node="FX2")], house.now)
    close = rolling.strike(house.engine, "2026-03-04", {"EURUSD": 1.2})
    assert np.isnan(of(close, "FX1")[NAV])
    assert of(close, "FX2")[NAV] == 1_000.0


def test_a_house_without_a_trade_closes_with_zeros():
    house = House()
    house.engine.publish(house.now)
    close = rolling.strike(house.engine, "2026-03-04", {})
    assert close.nodes == close.dealers == ()
    assert of(close, "ALL")[TOTAL] == 0.0
    assert close.dealer_totals.amounts.shape == (len(CLOSE_MEASURES), 0)


def test_a_dealer_who_came_after_the_last_close_has_a_day():
    house = house_with(EURUSD=1.1)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-04", {"EURUSD": 1.2}))
    house.now += 86_400_000_000
    house.marks(EURUSD=1.2)
    house.deal(trade("t3", ts=house.now, received_ts=house.now, dealer="eve", price="1.2"))
    close = rolling.strike(house.engine, "2026-03-05", {"EURUSD": 1.25})
    at = close.dealer_totals.owners.index("eve")
    assert close.dealer_totals.amounts[DAY, at] == pytest.approx(5.0)


def test_a_balance_brought_forward_counts():
    house = House()
    house.marks(EURUSD=1.1)
    house.engine.open_with([opening(quantity="10", average_price="1")])
    house.engine.publish(house.now)
    close = rolling.strike(house.engine, "2026-03-04", {"EURUSD": 1.5})
    assert of(close, "FX1")[TOTAL] == pytest.approx(5.0)
