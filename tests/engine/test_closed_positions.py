"""A close made in columns is the close made row by row, to the last bit: positions, quantities beyond 64 bits among them."""

import datetime as dt
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.config import Config
from riskengine.engine import closed_positions
from riskengine.engine.closing import ClosingDay, ClosingRows, make_close
from riskengine.records.closes import ClosePrice, StruckClose
from tests import rolling
from tests.cash_records import carry, cash
from tests.closing_by_rows import close_by_rows
from tests.struck import same_close
from tests.world import DESKS, House, trade

SECOND = 1_000_000
PRICES = {"EURUSD": 1.25, "GBPUSD": 1.5, "EURGBP": 0.8, "USDJPY": 100.0, "ACME": 12.0, "ESZ6": 5_000.0, "BTCEUR": 60_000.0}
SYMBOLS = [*PRICES, "GHOST", "MAREL"]
BEYOND_64_BITS = "3000000000"
"""Units of 1e-10: 3e19."""


def at(day: int, hour: int = 12) -> int:
    return int(dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC).timestamp()) * SECOND


def both_ways(rows: ClosingRows, prices: dict[str, ClosePrice], day: ClosingDay, config: Config) -> StruckClose:
    """The close in columns, once it has been compared with the close by rows."""
    made = make_close(rows, prices, day, config)
    by_rows = close_by_rows(rows, prices, day, config)
    assert made.nodes == by_rows.nodes
    assert made.dealers == by_rows.dealers
    for held, expected in ((made.node_totals, by_rows.node_totals), (made.dealer_totals, by_rows.dealer_totals)):
        assert held.owners == expected.owners
        assert held.amounts.tobytes() == expected.amounts.tobytes(), held.amounts - expected.amounts
    assert same_close(made, by_rows)
    return made


class Days:
    """A house led through random days; each of its closes is made both ways."""

    def __init__(self) -> None:
        self.house, self.day, self.prices = House(now=at(2)), 2, dict(PRICES)
        self.house.marks(**self.prices)
        self.made = 0
        self.closes: list[StruckClose] = []

    def deal(self, age: int, columns: dict[str, Any]) -> None:
        self.made += 1
        ts = at(max(self.day - age, 2), 23 if age < 0 else 12) + self.made * SECOND  # of the next day, where it has no age
        self.house.now = max(self.house.now, ts)
        self.house.deal(trade(f"t{self.made}", ts=ts, received_ts=self.house.now, **columns))

    def take(self, record: Any) -> None:
        self.house.engine.take_cash([record], self.house.now)
        self.house.engine.publish(self.house.now)

    def carry(self, hour: int, desk: str, currency: str, amount: str) -> None:
        self.made += 1
        ts = at(self.day, hour)
        self.take(carry(f"K{self.made}", desk=desk, instrument="EURUSD", currency=currency, amount=amount, ts=ts))

    def cash(self, node: str, currency: str, amount: str) -> None:
        self.made += 1
        self.take(cash(f"C{self.made}", node=node, currency=currency, amount=amount, ts=at(self.day, 10)))

    def roll(self, missing: frozenset[str] = frozenset()) -> StruckClose:
        prices = {symbol: price for symbol, price in self.prices.items() if symbol not in missing}
        with mock.patch("tests.rolling.make_close", both_ways):
            close = rolling.strike(self.house.engine, dt.date(2026, 3, self.day).isoformat(), prices)
        rolling.begin(self.house.engine, close)
        self.closes.append(close)
        self.day += 1
        self.house.now = max(self.house.now, at(self.day))
        self.house.marks(**self.prices)
        return close


columns = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(SYMBOLS),
        "desk": st.sampled_from(DESKS),
        "dealer": st.sampled_from(["ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.sampled_from(["1", "3", "700000", BEYOND_64_BITS]),
        "price": st.sampled_from(["1.1", "1.3701", "90.5"]),
        "fees": st.sampled_from(["0", "0.5"]),
    },
    optional={"fees_currency": st.sampled_from(["USD", "EUR", "ISK"])},
)
currencies = st.sampled_from(["USD", "JPY", "EUR", "ISK"])
events = st.one_of(
    st.tuples(st.just("deal"), st.integers(-1, 2), columns),
    st.tuples(st.just("carry"), st.sampled_from([10, 23]), st.sampled_from(DESKS), currencies, st.sampled_from(["-3", "5"])),
    st.tuples(st.just("cash"), st.sampled_from(["FX1", "FX", "ALL"]), currencies, st.sampled_from(["-30", "500"])),
    st.tuples(st.just("quote"), st.sampled_from(sorted(PRICES)), st.sampled_from([0.9, 1.0, 1.25])),
    st.tuples(st.just("roll"), st.frozensets(st.sampled_from(sorted(PRICES)), max_size=2)),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(events, min_size=4, max_size=16))
def test_closes_of_random_days_are_those_made_row_by_row(history):
    """Trades of this day, earlier ones and the next; carry, cash, fees and amounts without rates; closes without prices."""
    days = Days()
    for kind, *arguments in history:
        if kind == "quote":
            symbol, moved = arguments
            days.prices[symbol] *= moved
            days.house.marks(**{symbol: days.prices[symbol]})
        elif kind != "roll" or days.day < 6:
            getattr(days, kind)(*arguments)
    days.roll()


def test_quantities_beyond_64_bits_keep_every_unit():
    days = Days()
    deal = {"instrument": "EURUSD", "desk": "FX1", "dealer": "ann", "side": "buy", "quantity": BEYOND_64_BITS, "price": "1.1"}
    days.deal(0, deal)
    days.deal(0, {**deal, "quantity": "0.01"})
    [held] = days.roll().nodes
    assert held.quantity == 3 * 10**19 + 10**8 > 2**63


def test_a_position_that_is_set_aside_is_in_no_close():
    days = Days()
    for desk in ("FX1", "FX2"):
        days.deal(0, {"instrument": "EURUSD", "desk": desk, "dealer": desk, "side": "buy", "quantity": "5", "price": "1.1"})
    days.house.engine.set_aside_key(("node", "FX1", "EURUSD"), "broken", days.house.now)
    assert [held.owner for held in days.roll().nodes] == ["FX2"]


def test_more_positions_than_a_slice_has_are_all_there(monkeypatch):
    monkeypatch.setattr(closed_positions, "SLICE", 2)
    monkeypatch.setattr("riskengine.valuation.row_columns.SLICE", 2)
    monkeypatch.setattr("riskengine.valuation.sparse.ADDED_AT_ONCE", 2)
    days = Days()
    for symbol in ("EURUSD", "GBPUSD", "ACME", "USDJPY", "EURGBP"):
        days.deal(0, {"instrument": symbol, "desk": "FX1", "dealer": "ann", "side": "buy", "quantity": "5", "price": "1.1"})
    days.roll()
    days.deal(0, {"instrument": "EURUSD", "desk": "FX2", "dealer": "bob", "side": "buy", "quantity": "5", "price": "1.1"})
    assert len(days.roll().nodes) == 6


@pytest.mark.parametrize("missing", [frozenset(), frozenset({"EURUSD"}), frozenset(PRICES)])
def test_a_close_without_prices_knows_no_profit_to_date_of_what_is_open(missing):
    days = Days()
    deal = {"instrument": "EURUSD", "desk": "FX1", "dealer": "ann", "side": "buy", "quantity": "5", "price": "1.1"}
    days.deal(0, deal)
    days.roll()
    [held] = days.roll(missing).nodes
    assert (held.month_pnl is None) == bool(missing)
