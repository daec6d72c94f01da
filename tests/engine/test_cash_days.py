"""Carry, amounts beside net cash and external cash over days: the lines of the day, and what NAV has moved by."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.records.closes import CLOSE_MEASURES
from riskengine.records.types import Trade
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from tests import rolling
from tests.cash_records import carry, cash
from tests.world import House, trade

SECOND = 1_000_000
LINES = ("day_position_pnl", "day_carry_pnl", "day_trading_pnl", "day_translation_pnl", "correction_pnl")
PRICES = {"EURUSD": 1.25, "GBPUSD": 1.5, "EURGBP": 0.8, "USDJPY": 100.0, "ACME": 12.0}


def at(day: int, hour: int = 12) -> int:
    return int(dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC).timestamp()) * SECOND


def house_on(day: int) -> House:
    house = House(now=at(day))
    house.marks(**PRICES)
    return house


def take(house: House, *rows: Any) -> None:
    house.engine.take_cash(rows, house.now)
    house.engine.publish(house.now)
    house.engine.check()


def roll(house: House, day: int, **prices: float) -> Any:
    close = rolling.strike(house.engine, dt.date(2026, 3, day).isoformat(), PRICES | prices)
    rolling.begin(house.engine, close)
    house.now = at(day + 1)
    house.marks(**(PRICES | prices))
    return close


def test_carry_of_the_day_is_its_line_and_no_trading():
    house = house_on(3)
    house.deal(trade("1", ts=at(3)))
    roll(house, 3)
    take(house, carry(amount="-10", ts=at(4, 10)), carry("K2", amount="-300", currency="JPY", ts=at(4, 10)))
    row = house.position()
    assert row["day_carry_pnl"] == pytest.approx(-13.0)
    assert (row["day_trading_pnl"], row["day_pnl"]) == (0.0, pytest.approx(-13.0))
    assert house.node()["day_carry_pnl"] == pytest.approx(-13.0)
    assert house.dealer("ann")["day_carry_pnl"] == pytest.approx(-13.0)


def test_carry_of_an_earlier_day_that_comes_late_is_a_correction():
    house = house_on(3)
    house.deal(trade("1", ts=at(3)))
    roll(house, 3)
    take(house, carry(amount="-10", ts=at(3, 10)), carry("K2", amount="-300", currency="JPY", ts=at(3, 10)))
    row, node = house.position(), house.node()
    assert (row["correction_pnl"], row["day_carry_pnl"]) == (pytest.approx(-13.0), 0.0)
    assert (node["correction_pnl"], node["day_carry_pnl"]) == (pytest.approx(-13.0), 0.0)


def test_amounts_beside_net_cash_are_translated_at_their_own_rates():
    house = house_on(3)
    house.deal(trade("1", ts=at(3)))
    take(house, carry("K2", amount="-300", currency="JPY", ts=at(3, 10)))
    close = roll(house, 3)
    assert dict(close.nodes[0].beside) == {"JPY": -300 * 10**28}
    house.marks(USDJPY=150.0)
    row = house.position()
    assert (row["day_translation_pnl"], row["day_carry_pnl"]) == (pytest.approx(1.0), 0.0)
    assert house.node()["day_translation_pnl"] == pytest.approx(1.0)


def test_carry_after_the_boundary_is_not_in_the_close():
    house = house_on(3)
    house.deal(trade("1", ts=at(3)))
    take(house, carry(amount="-10", ts=at(3, 10)), carry("K2", amount="-7", ts=at(3, 12) + 5))
    house.now = at(3, 23)
    take(house, carry("K3", amount="-5", ts=at(3, 22) + 1))
    close = rolling.strike(house.engine, "2026-03-03", PRICES)
    assert close.nodes[0].cash == -127 * 10**28
    rolling.begin(house.engine, close)
    assert house.position()["day_carry_pnl"] == pytest.approx(-5.0)


def test_nav_is_kept_at_the_close_with_the_movements_up_to_the_boundary():
    house = house_on(3)
    house.now = at(3, 23)
    take(house, cash(amount="1000", ts=at(3, 10)), cash("C2", amount="500", ts=at(3, 22) + 1))
    close = rolling.strike(house.engine, "2026-03-03", PRICES)
    assert close.node_totals.amounts[CLOSE_MEASURES.index("nav"), 0] == pytest.approx(1000.0)


# -- identities over random days -----------------------------------------------------------------------------------------

deals = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(["EURUSD", "EURGBP", "ACME"]),
        "desk": st.sampled_from(["FX1", "EQ1"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.integers(1, 4).map(str),
        "price": st.sampled_from(["1.1", "13.5"]),
        "fees": st.sampled_from(["0", "0.5"]),
    }
)
currencies = st.sampled_from(["USD", "GBP", "JPY", "EUR"])
events = st.one_of(
    st.tuples(st.just("deal"), st.integers(0, 1), deals),
    st.tuples(st.just("carry"), st.integers(0, 3), st.integers(0, 1), currencies, st.sampled_from(["-3", "5", "0"])),
    st.tuples(st.just("cash"), st.integers(0, 3), st.integers(0, 1), currencies, st.sampled_from(["-30", "500", "0"])),
    st.tuples(st.just("quote"), st.sampled_from(sorted(PRICES)), st.sampled_from([0.8, 1.25])),
    st.tuples(st.just("roll")),
)


class Days:
    """A house led through random days, and what was published at its last close."""

    def __init__(self) -> None:
        self.house, self.day, self.prices = house_on(3), 3, dict(PRICES)
        self.versions: dict[str, int] = {}
        self.published: dict[tuple[str, str, str], float] = {}
        self.moved: dict[str, tuple[str, float]] = {}
        self.nav = 0.0
        self.deals = 0

    def strike(self) -> None:
        close = rolling.strike(self.house.engine, dt.date(2026, 3, self.day).isoformat(), self.prices)
        rolling.begin(self.house.engine, close)
        self.published = {key_of(row): row["total_pnl"] for row in self.rows()}
        self.nav = node_rows(self.house.engine.snapshot)[0]["nav"]
        self.moved = {}
        self.day += 1
        self.house.now = at(self.day)
        self.house.marks(**self.prices)

    def rows(self) -> list[dict[str, Any]]:
        snapshot = self.house.engine.snapshot
        ladders = [ladder_rows(snapshot, node=node) for node in ("FX1", "EQ1", "ALL")]
        return [*node_rows(snapshot), *dealer_rows(snapshot), *(row for ladder in ladders for row in ladder)]

    def play(self, event: Any) -> None:
        if event[0] == "deal":
            self.deals += 1
            self.house.deal(made(self.deals, self.day - event[1], self.house.now, event[2]))
        elif event[0] == "quote":
            self.prices[event[1]] *= event[2]
            self.house.marks(**{event[1]: self.prices[event[1]]})
        elif event[0] == "roll":
            if self.day < 6:
                self.strike()
        else:
            self.take_record(*event)

    def take_record(self, kind: str, number: int, age: int, currency: str, amount: str) -> None:
        name, ts = f"{kind}{number}", at(max(self.day - age, 3), 10)
        version = self.versions.get(name, 0) + 1
        if kind == "carry":
            take(self.house, carry(name, version=version, currency=currency, amount=amount, ts=ts))
        elif ts < at(self.day - 1, 22) or (version > 1 and name not in self.moved):
            return  # it would change what was there at the close: not the subject here
        else:
            take(self.house, cash(name, version=version, currency=currency, amount=amount, ts=ts))
            self.moved[name] = (currency, float(amount))
        self.versions[name] = version

    def check(self) -> None:
        prices = self.prices
        rates = {"USD": 1.0, "GBP": prices["GBPUSD"], "EUR": prices["EURUSD"], "JPY": 1 / prices["USDJPY"]}
        for row in self.rows():
            assert sum(row[line] for line in LINES) == pytest.approx(row["day_pnl"], abs=1e-9)
            before = self.published.get(key_of(row), 0.0)
            assert row["day_pnl"] == pytest.approx(row["total_pnl"] - before, abs=1e-7), key_of(row)
        root = node_rows(self.house.engine.snapshot)[0]
        came = sum(amount * rates[currency] for currency, amount in self.moved.values())
        change = root["net_day_pnl"] + came + root["cash_translation_pnl"]
        assert root["nav"] - self.nav == pytest.approx(change, abs=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.lists(events, min_size=3, max_size=14))
def test_the_lines_sum_to_the_change_of_value_and_nav_moves_by_its_day(history):
    """For every row: the lines sum to total less the total as published. NAV: its day, the day's movements, translation."""
    days = Days()
    days.strike()
    for event in history:
        days.play(event)
        days.check()


def key_of(row: dict[str, Any]) -> tuple[str, str, str]:
    return (str(row.get("node", "")), str(row.get("dealer", "")), str(row.get("instrument", "")))


def made(number: int, day: int, now: int, columns: dict[str, Any]) -> Trade:
    return trade(f"t{number}", ts=at(max(day, 3)) + number, received_ts=now, **columns)
