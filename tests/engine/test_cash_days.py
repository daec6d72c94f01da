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


@settings(max_examples=50, deadline=None)
@given(st.lists(events, min_size=3, max_size=14))
def test_the_lines_sum_to_the_change_of_value_and_nav_moves_by_its_day(history):
    """For every row: the lines sum to total less the total as published. NAV: its day, the day's movements, translation."""
    house, day, prices = house_on(3), 3, dict(PRICES)
    versions: dict[str, int] = {}
    published: dict[tuple[str, str, str], float] = {}
    moved: dict[str, tuple[str, float]] = {}
    navs = {}
    deals_made = 0

    def strike() -> None:
        nonlocal day
        house.engine.publish(house.now)
        close = rolling.strike(house.engine, dt.date(2026, 3, day).isoformat(), prices)
        rolling.begin(house.engine, close)
        published.clear()
        for row in rows():
            published[key_of(row)] = row["total_pnl"]
        navs.update({row["node"]: row["nav"] for row in node_rows(house.engine.snapshot)})
        moved.clear()
        day += 1
        house.now = at(day)
        house.marks(**prices)

    def rows() -> list[dict[str, Any]]:
        snapshot = house.engine.snapshot
        ladders = [ladder_rows(snapshot, node=node) for node in ("FX1", "EQ1", "ALL")]
        return [*node_rows(snapshot), *dealer_rows(snapshot), *(row for ladder in ladders for row in ladder)]

    def check() -> None:
        rates = {"USD": 1.0, "GBP": prices["GBPUSD"], "EUR": prices["EURUSD"], "JPY": 1 / prices["USDJPY"]}
        for row in rows():
            assert sum(row[line] for line in LINES) == pytest.approx(row["day_pnl"], abs=1e-9)
            before = published.get(key_of(row), 0.0)
            assert row["day_pnl"] == pytest.approx(row["total_pnl"] - before, abs=1e-7), key_of(row)
        root = node_rows(house.engine.snapshot)[0]
        came = sum(amount * rates[currency] for currency, amount in moved.values())
        change = root["net_day_pnl"] + came + root["cash_translation_pnl"]
        assert root["nav"] - navs["ALL"] == pytest.approx(change, abs=1e-7)

    strike()
    for event in history:
        if event[0] == "deal":
            deals_made += 1
            house.deal(made(deals_made, day - event[1], house.now, event[2]))
        elif event[0] in ("carry", "cash"):
            kind, number, age, currency, amount = event
            name = f"{kind}{number}"
            versions[name] = versions.get(name, 0) + 1
            ts = at(max(day - age, 3), 10)
            if kind == "carry":
                take(house, carry(name, version=versions[name], currency=currency, amount=amount, ts=ts))
                continue
            if versions[name] > 1 and name not in moved or ts < at(day - 1, 22):
                versions[name] -= 1  # a movement of an earlier day changes what was there before: not the subject here
                continue
            take(house, cash(name, version=versions[name], currency=currency, amount=amount, ts=ts))
            moved[name] = (currency, float(amount))
        elif event[0] == "quote":
            prices[event[1]] *= event[2]
            house.marks(**{event[1]: prices[event[1]]})
        elif event[0] == "roll" and day < 6:
            strike()
        check()


def key_of(row: dict[str, Any]) -> tuple[str, str, str]:
    return (str(row.get("node", "")), str(row.get("dealer", "")), str(row.get("instrument", "")))


def made(number: int, day: int, now: int, columns: dict[str, Any]) -> Trade:
    return trade(f"t{number}", ts=at(max(day, 3)) + number, received_ts=now, **columns)
