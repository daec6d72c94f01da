"""The lines of the day of a live engine, against a naive model that shares no code with it."""

import datetime as dt
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from riskengine.engine import day_state
from riskengine.positions.freezing import freeze
from riskengine.positions.ledger import MASK, SHIFT, Rollup
from riskengine.records.closes import ClosePrice
from riskengine.records.types import Trade
from riskengine.serve.routes.exceptions import exception_items
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from tests import rolling
from tests.cash_records import carry
from tests.world import DESKS, PARENTS, House, cancel, opening, trade

SECOND = 1_000_000
HOUR = 3_600 * SECOND
LINES = ("day_position_pnl", "day_trading_pnl", "day_translation_pnl", "day_carry_pnl", "correction_pnl")


def at(day: int, hour: int = 12) -> int:
    """A moment of a business week in March 2026 (2 is a Monday), UTC."""
    return int(dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC).timestamp()) * SECOND


def house_on(day: int, **prices: float) -> House:
    house = House(now=at(day))
    house.marks(**prices)
    return house


def test_example_2_of_the_accounting_rules():
    """Brought forward T 20,000 GBP at GBPUSD 1.26; now 32,000 GBP at 1.24: 14,880 of the day and -400 of translation."""
    house = house_on(3, EURGBP=0.8550, GBPUSD=1.26)
    house.deal(
        trade("t1", instrument="EURGBP", quantity="10000000", price="0.8500", ts=at(3)),
        trade("t2", instrument="EURGBP", side="sell", quantity="4000000", price="0.8550", ts=at(3)),
    )
    # C = -8,500,000 + 3,420,000; T = C + 6,000,000 m = 20,000 at m = 0.85
    close = rolling.strike(house.engine, "2026-03-03", {"EURGBP": 0.85, "GBPUSD": 1.26})
    rolling.begin(house.engine, close)
    house.now = at(4)
    house.marks(EURGBP=0.8520, GBPUSD=1.24)
    row = house.position("EURGBP")
    assert row["total_pnl"] == pytest.approx(39_680, abs=1e-6)
    assert row["day_pnl"] == pytest.approx(14_480, abs=1e-6)
    assert row["day_translation_pnl"] == pytest.approx(-400, abs=1e-6)
    assert row["day_position_pnl"] == pytest.approx(6_000_000 * 0.002 * 1.24, abs=1e-6)
    assert (row["day_trading_pnl"], row["correction_pnl"]) == (0.0, 0.0)
    node = house.node("ALL")
    assert {line: node[line] for line in LINES} == pytest.approx({line: row[line] for line in LINES}, abs=1e-6)


def test_an_engine_without_a_close_knows_no_day():
    house = house_on(3, EURUSD=1.1)
    house.deal(trade(ts=at(3)))
    assert house.position()["day_pnl"] is None and house.node()["day_pnl"] is None
    assert house.position()["day_start_ts"] is None


def test_the_first_close_begins_a_day_whose_new_trades_are_its_p_and_l():
    house = house_on(3, EURUSD=1.1)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-02", {"EURUSD": 1.1}))
    house.deal(trade(ts=at(3), price="1.05"))
    row = house.position()
    assert row["day_trading_pnl"] == pytest.approx(5.0) and row["day_pnl"] == pytest.approx(5.0)
    assert row["month_pnl"] == pytest.approx(5.0)
    assert row["day_start_ts"] == at(2, 22)


def test_a_position_carried_over_without_a_close_has_null_lines_and_is_counted():
    house = house_on(3, EURUSD=1.1)
    house.deal(trade("t1", ts=at(3)), trade("t2", ts=at(3), instrument="ACME", desk="EQ1", quantity="1"))
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.1}))
    house.now = at(4)
    house.marks(EURUSD=1.2, ACME=10.0)
    assert house.position("ACME", node="EQ1")["day_pnl"] is None
    assert house.position("ACME", node="EQ1")["total_pnl"] is not None
    top, desk = house.node(), house.node("EQ1")
    assert (desk["day_pnl"], desk["day_unknown_count"]) == (None, 1)
    assert (top["day_pnl"], top["day_unknown_count"]) == (pytest.approx(10.0), 1)


def test_instruments_without_a_close_are_listed():
    house = house_on(3, EURUSD=1.1)
    house.deal(trade("t1", ts=at(3)), trade("t2", ts=at(3), instrument="ACME", desk="EQ1", quantity="1"))
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.1}))
    [item] = exception_items(house.engine.snapshot, ["no_close"], rolling.TRADING_DAY)
    assert item.reason == "the close of 2026-03-03 has no price: the day of 1 positions is unknown; load the close"
    assert item.detail == {"instrument": "ACME", "date": "2026-03-03", "positions": 1}


def test_an_amend_to_another_desk_leaves_its_correction_on_the_desk_that_it_left():
    house = house_on(3, EURUSD=1.2)
    house.deal(trade("t1", ts=at(3), price="1.1"))
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.2}))
    house.now = at(4)
    house.marks(EURUSD=1.2)
    house.deal(trade("t1", ts=at(3), price="1.1", desk="EQ1", version=2, action="amend"))
    left = house.position("EURUSD", node="FX1")
    assert (left["quantity"], left["trade_count"]) == (0.0, 0)
    assert left["correction_pnl"] == left["day_pnl"] == pytest.approx(-10.0)
    assert house.position("EURUSD", node="EQ1")["correction_pnl"] == pytest.approx(10.0)
    assert house.node()["day_pnl"] == pytest.approx(0.0, abs=1e-12)
    assert house.node("FX1")["correction_pnl"] == pytest.approx(-10.0)
    [row] = ladder_rows(house.engine.snapshot, node="FX")
    assert row["day_pnl"] == pytest.approx(-10.0)


def two_positions_brought_forward() -> House:
    house = house_on(3, EURUSD=1.2)
    house.deal(trade("t1", ts=at(3), price="1.1"), trade("t2", ts=at(3), price="1.1", desk="FX2", dealer="bob"))
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.2}))
    house.now = at(4)
    house.marks(EURUSD=1.3)
    return house


def test_a_position_that_is_set_aside_has_no_day_and_its_sums_are_without_it():
    house = two_positions_brought_forward()
    house.engine.set_aside_key(("node", "FX1", "EURUSD"), "broken", house.now)
    house.engine.publish(house.now)
    assert house.position()["day_pnl"] is None
    assert house.node()["day_pnl"] == pytest.approx(10.0)
    assert house.node()["day_unknown_count"] == 1
    assert ladder_rows(house.engine.snapshot, node="G10")[0]["day_pnl"] is None
    house.engine.repair([("node", "FX1", "EURUSD")], [trade("t1", ts=at(3), price="1.1")], house.now)
    house.engine.publish(house.now)
    assert (house.position()["day_pnl"], house.position()["correction_pnl"]) == (pytest.approx(10.0), 0.0)
    assert house.node()["day_pnl"] == pytest.approx(20.0)
    assert ladder_rows(house.engine.snapshot, node="G10")[0]["day_pnl"] == pytest.approx(20.0)


def test_a_snapshot_keeps_the_start_that_it_was_published_with():
    house = two_positions_brought_forward()
    before = house.engine.snapshot
    rows = ladder_rows(before, node="FX1")
    house.deal(cancel("t1"))
    assert ladder_rows(before, node="FX1") == rows
    assert house.position()["correction_pnl"] == pytest.approx(-10.0)


def test_an_opening_balance_counts_as_brought_forward_whatever_its_time():
    house = house_on(3, EURUSD=1.2)
    close = rolling.strike(house.engine, "2026-03-02", {"EURUSD": 1.2})
    balance = opening(quantity="100", average_price="1.1", ts=at(3))
    house.engine.open_with([balance])
    rolling.begin(house.engine, close, openings=(balance,))
    house.marks(EURUSD=1.25)
    row = house.position()
    assert (row["day_position_pnl"], row["correction_pnl"]) == (pytest.approx(5.0), 0.0)
    assert row["day_pnl"] == pytest.approx(5.0) and row["total_pnl"] == pytest.approx(15.0)


def test_a_later_version_of_a_close_is_a_correction():
    house = house_on(3, ACME=10.0)
    house.deal(trade("t1", ts=at(3), instrument="ACME", desk="EQ1", quantity="100", price="10"))
    first = rolling.strike(house.engine, "2026-03-03", {"ACME": 11.0})
    second = rolling.strike(house.engine, "2026-03-03", {"ACME": 11.5}, version=2)
    rolling.begin(house.engine, second, (first,))
    house.now = at(4)
    house.marks(ACME=12.0)
    row = house.position("ACME", node="EQ1")
    assert (row["correction_pnl"], row["day_position_pnl"], row["day_pnl"]) == (50.0, 50.0, 100.0)


def test_days_add_up_over_a_version_of_a_close_with_another_rate():
    house = house_on(3, EURGBP=0.85, GBPUSD=1.25)
    house.deal(trade("t1", ts=at(3), instrument="EURGBP", quantity="100", price="0.80"))
    first = rolling.strike(house.engine, "2026-03-03", {"EURGBP": 0.85, "GBPUSD": 1.25})
    second = rolling.strike(house.engine, "2026-03-03", {"EURGBP": 0.86, "GBPUSD": 1.30}, version=2)
    rolling.begin(house.engine, second, (first,))
    house.now = at(4)
    house.marks(EURGBP=0.87, GBPUSD=1.40)
    row = house.position("EURGBP")
    published = first.node_totals.amounts[0, 0]
    assert row["day_pnl"] == pytest.approx(row["total_pnl"] - published)
    assert row["correction_pnl"] == pytest.approx(100 * 0.01 * 1.25)


def test_trades_for_the_next_day_are_not_in_the_close():
    house = house_on(3, EURUSD=1.1)
    rolling.begin(house.engine, rolling.strike(house.engine, "2026-03-02", {"EURUSD": 1.1}))
    house.deal(trade("t1", ts=at(3)), trade("t2", ts=at(3, 22), received_ts=at(3, 22), quantity="7"))
    close = rolling.strike(house.engine, "2026-03-03", {"EURUSD": 1.1})
    assert [(each.owner, each.quantity) for each in close.nodes] == [("FX1", 100 * 10**10)]
    rolling.begin(house.engine, close)
    house.marks(EURUSD=1.2)
    row = house.position()
    assert row["day_position_pnl"] == pytest.approx(10.0) and row["day_trading_pnl"] == pytest.approx(0.7)


# -- the naive model -----------------------------------------------------------------------------------------------

SYMBOLS = {"EURUSD": "USD", "EURGBP": "GBP", "ACME": "USD", "ESZ6": "USD"}
MULTIPLIER = {"ESZ6": 50}


class Model:
    """Every trade that counts, and of each close what it published; all in fractions."""

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}
        self.prices: dict[str, float] = {}
        self.day = 2
        self.published: dict[tuple[str, str], Fraction] = {}
        self.closing: dict[str, float] = {}

    def rate(self, symbol: str, prices: dict[str, float]) -> Fraction:
        return Fraction(prices["GBPUSD"]) if SYMBOLS[symbol] == "GBP" else Fraction(1)

    def held(self, key: tuple[str, str], before: int | None = None) -> tuple[Fraction, Fraction]:
        quantity = cash = Fraction(0)
        for each in self.trades.values():
            is_here = key[0] in (each.desk, f"dealer {each.dealer}") and each.instrument == key[1]
            if is_here and (before is None or each.ts < before):
                quantity += Fraction(each.signed_quantity, 10**10)
                cash += Fraction(each.cash, 10**28)
        return quantity, cash

    def total(self, key: tuple[str, str], prices: dict[str, float], before: int | None = None) -> Fraction:
        quantity, cash = self.held(key, before)
        return cash + quantity * MULTIPLIER.get(key[1], 1) * Fraction(prices[key[1]])

    def keys(self) -> set[tuple[str, str]]:
        owners = [*DESKS, "dealer ann", "dealer bob"]
        return {(owner, symbol) for owner in owners for symbol in SYMBOLS}

    def roll(self) -> None:
        """The close of yesterday becomes that of today, at the prices of now."""
        self.closing = dict(self.prices)
        end = at(self.day, 22)
        self.published = {key: self.total(key, self.closing, end) for key in self.keys()}
        self.day += 1

    def lines(self, key: tuple[str, str]) -> dict[str, Fraction]:
        start = at(self.day - 1, 22)
        (q0, c0), (q1, c1) = self.held(key, start), self.held(key)
        scale, m0, m1 = MULTIPLIER.get(key[1], 1), Fraction(self.closing[key[1]]), Fraction(self.prices[key[1]])
        x0, x1 = self.rate(key[1], self.closing), self.rate(key[1], self.prices)
        t0, p0 = c0 + scale * q0 * m0, self.published[key]
        found = {
            "day_position_pnl": scale * q0 * (m1 - m0) * x1,
            "day_trading_pnl": (c1 - c0 + scale * (q1 - q0) * m1) * x1,
            "day_translation_pnl": t0 * (x1 - x0),
            "correction_pnl": (t0 - p0) * x0,
        }
        found["day_pnl"] = sum(found.values(), Fraction(0))
        assert found["day_pnl"] == (c1 + scale * q1 * m1) * x1 - p0 * x0
        return found


class Pair:
    """The engine and the model, led through the same days."""

    def __init__(self) -> None:
        self.model = Model()
        self.house = House(now=at(2))
        self.closes: list[Any] = []
        self.stored: list[Trade] = []
        self.quote({"EURUSD": 1.1, "GBPUSD": 1.3, "EURGBP": 0.85, "ACME": 90.0, "ESZ6": 5000.0})
        self.roll(first=True)

    def quote(self, prices: dict[str, float]) -> None:
        self.model.prices |= prices
        self.house.marks(**prices)

    def roll(self, *, first: bool = False) -> None:
        self.model.day = 1 if first else self.model.day
        date = "2026-02-27" if first else dt.date(2026, 3, self.model.day).isoformat()
        self.model.roll()
        close = rolling.strike(self.house.engine, date, self.model.closing)
        rolling.begin(self.house.engine, close)
        self.closes.append(close)
        self.house.now = at(self.model.day)

    def deal(self, one: Trade) -> None:
        self.stored.append(one)
        self.house.deal(one)
        known = self.model.trades.get(one.trade_id)
        if known is None or known.version < one.version:
            self.model.trades[one.trade_id] = one

    def restart(self) -> None:
        before = digest(self.house.engine.snapshot)
        self.house = House(now=self.house.now)
        self.house.marks(**self.model.prices)
        self.house.deal(*self.stored)
        rolling.begin(self.house.engine, self.closes[-1])
        assert digest(self.house.engine.snapshot) == before

    def check(self) -> None:
        snapshot = self.house.engine.snapshot
        leaves: dict[str, dict[str, Fraction]] = {}
        for owner, symbol in sorted(self.model.keys()):
            name = owner.removeprefix("dealer ")
            of: dict[str, Any] = {"dealer": name} if owner != name else {"node": name}
            if owner != name and name not in snapshot.dealer_names:
                continue
            rows = {row["instrument"]: row for row in ladder_rows(snapshot, **of)}
            expected = self.model.lines((owner, symbol))
            if symbol not in rows:
                assert not expected["day_pnl"], (owner, symbol)
                continue
            for line, amount in expected.items():
                assert rows[symbol][line] == pytest.approx(float(amount), abs=1e-5), (owner, symbol, line)
                total = leaves.setdefault(owner, {})
                total[line] = total.get(line, Fraction(0)) + amount
        for row in (*node_rows(snapshot), *dealer_rows(snapshot)):
            name = row.get("node") or f"dealer {row['dealer']}"
            below = [name] if name in leaves else [leaf for leaf in DESKS if is_below(leaf, name)] if "node" in row else []
            for line in (*LINES, "day_pnl"):
                amount = sum((leaves.get(leaf, {}).get(line, Fraction(0)) for leaf in below), Fraction(0))
                assert row[line] == pytest.approx(float(amount), abs=1e-5), (name, line)


def is_below(leaf: str, node: str) -> bool:
    while leaf and leaf != node:
        leaf = PARENTS[leaf]
    return leaf == node


deals = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(sorted(SYMBOLS)),
        "desk": st.sampled_from(DESKS),
        "dealer": st.sampled_from(["ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.integers(1, 4).map(str),
        "price": st.sampled_from(["1.1", "1.37", "90.5"]),
    }
)
events = st.one_of(
    st.tuples(st.just("deal"), st.integers(0, 5), st.integers(0, 2), deals),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("quote"), st.sampled_from([*SYMBOLS, "GBPUSD"]), st.sampled_from([0.9, 1.0, 1.25])),
    st.tuples(st.just("roll")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=3, max_size=14))
def test_the_lines_of_random_days_are_those_of_a_naive_model(history):
    """Trades of today and of earlier days, amends to other desks and instruments, cancels, prices, rolls, restarts."""
    pair = Pair()
    versions: dict[int, int] = {}
    for event in history:
        kind = event[0]
        if kind == "deal":
            _, number, age, columns = event
            versions[number] = version = versions.get(number, 0) + 1
            ts = at(max(pair.model.day - age, 2)) + number * SECOND
            action = "amend" if version > 1 else "new"
            pair.deal(trade(f"t{number}", version=version, action=action, ts=ts, received_ts=pair.house.now, **columns))
        elif kind == "cancel" and event[1] in versions and pair.model.trades[f"t{event[1]}"].action != "cancel":
            versions[event[1]] += 1
            pair.deal(cancel(f"t{event[1]}", versions[event[1]]))
        elif kind == "quote":
            pair.quote({event[1]: pair.model.prices[event[1]] * event[2]})
        elif kind == "roll" and pair.model.day < 6:
            pair.roll()
        elif kind == "restart":
            pair.restart()
        pair.check()


# -- another version of the close, while its day runs ----------------------------------------------------------------

SYMBOLS_AT_ONE = {"EURUSD": 1.1, "GBPUSD": 1.25, "EURGBP": 0.88, "USDJPY": 100.0, "ACME": 90.0}
NEW_PRICES = {symbol: ClosePrice(price * 1.01, at(3, 21)) for symbol, price in SYMBOLS_AT_ONE.items()}
amends = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), deals), max_size=6)


@settings(max_examples=40, deadline=None)
@given(amends, amends, amends, st.booleans())
def test_a_day_that_begins_again_looks_at_what_differs_and_shows_what_a_start_would(before, during, after, is_carried):
    """One house looks at the keys that may differ, the other at every position, as a start does."""
    shown = []
    for looks_at_all in (False, True):
        house, versions = house_on(3, **SYMBOLS_AT_ONE), dict[int, int]()

        def deal(day: int, rows: Any, house: House = house, versions: dict[int, int] = versions) -> None:
            for number, age, columns in rows:
                versions[number] = version = versions.get(number, 0) + 1
                ts, action = at(max(day - age, 2)) + number * SECOND, "amend" if version > 1 else "new"
                house.deal(trade(f"t{number}", version=version, action=action, ts=ts, received_ts=house.now, **columns))

        deal(3, before)
        first = rolling.strike(house.engine, "2026-03-03", SYMBOLS_AT_ONE)
        rolling.begin(house.engine, first)
        house.now = at(4)
        house.marks(**SYMBOLS_AT_ONE)
        if is_carried:
            house.engine.take_cash([carry(ts=at(4, 10))], house.now)
        deal(4, during)
        if looks_at_all:
            house.engine._day.start = None
        rolling.begin(house.engine, structs.replace(first, version=2, prices=NEW_PRICES), (first,))
        deal(4, after)
        house.engine.check()
        snapshot = house.engine.publish(house.now)
        ladders = [ladder_rows(snapshot, node=node) for node in PARENTS]
        ladders += [ladder_rows(snapshot, dealer=name) for name in snapshot.dealer_names]
        shown.append((node_rows(snapshot), dealer_rows(snapshot), ladders))
    assert shown[0] == shown[1]


# -- a start looks only at positions that may differ from the close -------------------------------------------------


def every_key(rollup: Rollup, table: Any, _: Any) -> dict[int, None]:
    held = [owner << SHIFT | number for owner, number, _ in rollup.positions()]
    return dict.fromkeys([*held, *(key for key in table.keys.tolist() if rollup.books[key >> SHIFT].leaf)])


def day_of_start(trades: list[Trade], close: Any, day: int, *, is_frozen: bool) -> list[Any]:
    """What a start on these trades puts in force of the day, of both roll-ups."""
    house = House(now=at(day))
    house.marks(EURUSD=1.1, GBPUSD=1.3, EURGBP=0.85, ACME=90.0, ESZ6=5000.0)
    house.engine.open_with([opening(desk="FX1", quantity="5", average_price="1.05", ts=at(2))])
    house.deal(*trades)
    if is_frozen:
        freeze(house.engine.ledger, house.engine.processed, before=at(day), traded_before=at(day - 1, 22))
    rolling.begin(house.engine, close)
    tables = (house.engine.snapshot.nodes.day, house.engine.snapshot.dealers.day)
    return [
        (
            {key: held for key, held in table.start.restated.items() if key & MASK != MASK},
            table.start.ghosts,
            [page.tobytes() for page in table.pages],
        )
        for table in tables
        if table is not None
    ]


ages = st.lists(st.tuples(deals, st.sampled_from([0, 0, 0, 1, 1, 2, -1]), st.booleans(), st.booleans()), max_size=12)


@settings(deadline=None)
@given(ages, st.booleans())
def test_a_start_restates_the_same_as_if_it_looked_at_every_position(history, is_frozen):
    """Trades of today, of days before, of the next one, and such as are dated to a day; some came after the close."""
    day, known, stored = 4, [], []
    for number, (columns, age, is_dated, is_late) in enumerate(history):
        dated: dict[str, Any] = {"trade_date": dt.date(2026, 3, day - age).isoformat()} if is_dated else {}
        ts = at(day - age) + number * SECOND
        one = trade(f"t{number}", ts=ts, received_ts=ts, **dated, **columns)
        stored.append(one)
        if age > 0 and not is_late:
            known.append(one)
    before = House(now=at(day - 1, 22))
    before.engine.open_with([opening(desk="FX1", quantity="5", average_price="1.05", ts=at(2))])
    before.marks(EURUSD=1.1, GBPUSD=1.3, EURGBP=0.85, ACME=90.0, ESZ6=5000.0)
    before.deal(*known)
    close = rolling.strike(before.engine, dt.date(2026, 3, day - 1).isoformat(), {"EURUSD": 1.1, "ACME": 90.0})
    found = day_of_start(stored, close, day, is_frozen=is_frozen)
    with patch.object(day_state, "differing_keys", every_key):
        assert day_of_start(stored, close, day, is_frozen=is_frozen) == found
