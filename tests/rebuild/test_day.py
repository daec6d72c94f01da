"""The trading day of an engine that was rebuilt."""

import datetime as dt

import pytest

from riskengine.rebuild.day import strike_missed
from riskengine.records.closes import ClosePrice
from riskengine.records.types import StoredMark
from riskengine.snapshot.rows import position_rows
from tests.shelf import Shelf
from tests.world import NOON, config, trade

DAY = 86_400_000_000
TUESDAY = dt.date(2026, 3, 3)


def test_a_start_begins_the_day_after_the_newest_stored_close():
    shelf = Shelf(trade("t1", ts=NOON - DAY, received_ts=NOON - DAY, price="1.1"), trade("t2", ts=NOON - 1, price="1.2"))
    first = shelf.rebuild(now=NOON)
    shelf.struck.append(strike_missed(first, TUESDAY, {"EURUSD": ClosePrice(1.15, NOON - DAY)}, config(), NOON, []))
    shelf.marks_ = [StoredMark("EURUSD", NOON, 1.25)]
    [row] = position_rows(shelf.rebuild(now=NOON).snapshot, node="FX1")
    assert row["day_position_pnl"] == pytest.approx(10.0)
    assert row["day_trading_pnl"] == pytest.approx(5.0)
    assert row["day_pnl"] == pytest.approx(15.0)


def test_two_missed_days_are_struck_one_after_the_other():
    """A position of Monday, a trade of Tuesday, a start on Wednesday."""
    monday, tuesday = NOON - 2 * DAY, NOON - DAY
    shelf = Shelf(
        trade("t1", ts=monday, received_ts=monday, price="1.1"),
        trade("t2", ts=tuesday, received_ts=tuesday, price="1.2", quantity="50"),
        trade("t3", ts=NOON - 1, price="1.2", quantity="7"),
    )
    engine = shelf.rebuild(now=NOON)
    for date, price in ((TUESDAY - dt.timedelta(days=1), 1.15), (TUESDAY, 1.3)):
        shelf.struck.append(strike_missed(engine, date, {"EURUSD": ClosePrice(price, monday)}, config(), NOON, []))
    held = [[each.quantity // 10**10 for each in close.nodes] for close in shelf.struck]
    assert held == [[100], [150]]
    days = [close.node_totals.amounts[1, 0] for close in shelf.struck]
    assert days[1] == pytest.approx(100 * 0.15 + 50 * 0.1)
