"""A close that gets its first price of a position with a later version: month and year are those of one that had it at once."""

import datetime as dt

import pytest

from riskengine.records.closes import StruckClose
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from tests import rolling
from tests.world import SECOND, House, trade

MONDAY = {"EURUSD": 1.1, "ESZ6": 5_000.0}
TUESDAY = {"EURUSD": 1.11, "ESZ6": 5_010.0}
RELOADED = {"EURUSD": 1.11, "ESZ6": 5_012.0, "ACME": 22.0}


def at(day: int) -> int:
    """Noon of a day of March 2026 (2 is a Monday), UTC."""
    return int(dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC).timestamp()) * SECOND


def house_on_tuesday() -> House:
    """Shares of ACME are bought that nobody has a price of, beside a future of the same desk."""
    house = House(now=at(2))
    house.deal(
        trade("t1", ts=at(2), price="1.09"),
        trade("t2", ts=at(2) + 1, instrument="ESZ6", desk="EQ1", price="4990", quantity="2"),
    )
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-02", MONDAY))
    house.now = at(3)
    house.deal(
        trade("t3", ts=at(3), instrument="ACME", desk="EQ1", dealer="bob", price="21", quantity="5"),
        trade("t4", ts=at(3) + 1, instrument="ACME", desk="EM1", price="20", quantity="7"),
    )
    return house


def on_wednesday(house: House, close: StruckClose, *published: StruckClose) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    rolling.begin(house.engine, close, published)
    house.now = at(4)
    snapshot = house.marks(EURUSD=1.12, ESZ6=5_020.0, ACME=23.0)
    found = {("node", row["node"]): row for row in node_rows(snapshot)}
    found |= {("dealer", row["dealer"]): row for row in dealer_rows(snapshot)}
    found |= {(node, row["instrument"]): row for node in ("ALL", "EQ1", "EM1") for row in ladder_rows(snapshot, node=node)}
    return {key: (row["month_pnl"], row["year_pnl"]) for key, row in found.items()}


def test_a_first_price_that_comes_late_is_in_month_and_year():
    at_once = house_on_tuesday()
    expected = on_wednesday(at_once, rolling.strike(at_once.engine, "2026-03-03", RELOADED))
    house = house_on_tuesday()
    first = rolling.strike(house.engine, "2026-03-03", TUESDAY)
    second = rolling.strike(house.engine, "2026-03-03", {**TUESDAY, "ACME": 22.0}, version=2)
    third = rolling.strike(house.engine, "2026-03-03", RELOADED, version=3)
    found = on_wednesday(house, third, first, second)
    assert found["ALL", "ACME"] == pytest.approx((5 * 2.0 + 7 * 3.0,) * 2)
    assert found == {key: pytest.approx(amounts) for key, amounts in expected.items()}


def test_without_that_price_month_and_year_stay_unknown():
    house = house_on_tuesday()
    found = on_wednesday(house, rolling.strike(house.engine, "2026-03-03", TUESDAY))
    assert found["EQ1", "ACME"] == found["node", "EM1"] == (None, None)
