"""The store as it was at a moment."""

import datetime as dt
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.as_of import PastDay
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.option_inputs import DatedInput, Vol
from riskengine.records.types import CASH_ONE, ONE, Close, Opening, StoredMark, Trade, Verdict
from riskengine.snapshot.compare import DEALER, NODE, side_of
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import node_rows
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests import rolling
from tests.model import Model, Spec
from tests.store_book import TS, Outside, trade
from tests.world import NOON, PARENTS, SECOND, House, check_row, config, instruments, nodes, row

HOUR = 3_600 * SECOND


@pytest.fixture
def house_store(store_url: str) -> Iterator[Store]:
    """A store with the house of `tests.world`."""
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    yield opened
    opened.close()


def sent(trade_id: str, seconds: int, **columns: Any) -> dict[str, Any]:
    """What a sender writes, received so many seconds after noon."""
    return row(trade_id, **columns) | {"received_ts": NOON + seconds * SECOND}


def received(one: Trade, ts: int) -> Trade:
    return msgspec.structs.replace(one, received_ts=ts)


def engine_at(store: Store, ts: int) -> Engine:
    past = PastDay(store, config(), ts)
    return rebuild(past, past.read_trades, config(), epoch=0, now=ts, read_conflicts=past.read_conflicts)


def marked(engine: Engine, symbol: str = "EURUSD") -> tuple[float, str] | None:
    mark = engine.marks.marks[engine.reference.instrument_index[symbol]]
    return None if mark is None else (mark.price, mark.kind)


DAY: list[dict[str, Any]] = [
    sent("a", 1),
    sent("b", 2, side="sell", price="1.09", dealer="bob"),
    sent("a", 3, version=2, action="amend", quantity="7"),
    sent("c", 4, price="1.07", desk="FX2", ts=NOON - 60 * SECOND),
    sent("b", 5, action="cancel"),
    sent("d", 5, instrument="ACME", desk="EQ1", price="20"),
]


@pytest.mark.parametrize("seconds", range(7))
def test_it_is_what_the_model_makes_of_the_trades_received_by_then(house_store: Store, seconds: int) -> None:
    house_store.append_trades([check_row(each, each["received_ts"]) for each in DAY])
    at = NOON + seconds * SECOND
    snapshot = engine_at(house_store, at).snapshot
    model = Model(PARENTS, {"EURUSD": Spec("fx", "EUR", "USD"), "ACME": Spec("equity", "", "USD")}, "USD")
    for each in DAY:
        if each["received_ts"] <= at:
            model.take(each)
    for by, rollup, word in (("desk", NODE, "node"), ("dealer", DEALER, "dealer")):
        expected = {
            (rollup, owner, symbol): (held.quantity, held.cash, held.trades)
            for (owner, symbol), held in model.positions(by).items()
        }
        got = {
            key: (Fraction(held.quantity, ONE), Fraction(held.cash, CASH_ONE), held.trades)
            for key, held in side_of(snapshot).items()
            if key[0] == rollup
        }
        assert got == expected, word


def test_the_end_of_the_day_is_the_state_of_now(house_store: Store) -> None:
    house_store.append_trades([check_row(each, each["received_ts"]) for each in DAY])
    now = rebuild(
        house_store,
        read_trades(house_store),
        config(),
        epoch=0,
        now=NOON + HOUR,
        read_conflicts=read_conflicts(house_store, MAX_NOTICES),
    )
    assert digest(engine_at(house_store, NOON + HOUR).snapshot) == digest(now.snapshot)
    assert engine_at(house_store, NOON).snapshot.nodes.state(0).trade_count == 0


def test_a_balance_is_there_from_its_own_time(store: Store) -> None:
    store.save_openings([Opening(desk="FX1", instrument="EURUSD", ts=TS, quantity=5 * ONE, average_price=ONE)])
    assert engine_at(store, TS - 1).snapshot.nodes.state(0).position_count == 0
    assert engine_at(store, TS).snapshot.nodes.state(0).position_count == 1


def test_a_conflict_and_a_verdict_are_known_from_when_they_came(store: Store) -> None:
    store.append_trades([received(trade("a"), TS), received(trade("a", quantity="9"), TS + 5 * SECOND)])
    assert engine_at(store, TS + 4 * SECOND).snapshot.counts.conflicts == 0
    [item] = engine_at(store, TS + 5 * SECOND).snapshot.exceptions["conflict"]
    store.save_verdict(Verdict(id=item.id, verdict="", comment="asked", actor="me", ts=TS + 8 * SECOND))
    assert engine_at(store, TS + 7 * SECOND).snapshot.verdicts == {}
    assert engine_at(store, TS + 8 * SECOND).snapshot.verdicts[item.id].comment == "asked"


def test_before_a_conflict_was_accepted_what_it_replaced_stood(store: Store) -> None:
    first, other = received(trade("a"), TS), received(trade("a", quantity="9"), TS + 5 * SECOND)
    store.append_trades([first, other])
    [item] = engine_at(store, TS + 5 * SECOND).snapshot.exceptions["conflict"]
    store.save_verdict(Verdict(id=item.id, verdict="accept", actor="me", ts=TS + 8 * SECOND), other)
    held = [row.quantity for row in engine_at(store, TS + 4 * SECOND).snapshot.nodes.state(0).positions()]
    assert held == [first.quantity]
    long_after = engine_at(store, 2 * TS).snapshot
    assert [row.quantity for row in long_after.nodes.state(0).positions()] == [other.quantity]
    assert PastDay(store, config(), TS + 4 * SECOND).side() == side_of(engine_at(store, TS + 4 * SECOND).snapshot)


def test_a_row_that_is_no_trade_is_quarantined_from_when_it_came(store: Store, outside: Outside) -> None:
    outside.book(desk="nowhere", received_ts=TS + SECOND)
    assert engine_at(store, TS).snapshot.counts.quarantined == 0
    assert engine_at(store, TS + SECOND).snapshot.counts.quarantined == 1


# -- prices ------------------------------------------------------------------------------------------------------


@pytest.fixture
def priced(store: Store) -> Callable[..., Any]:
    """What EURUSD is valued with at a moment, after saving marks and closes."""

    def look(at: int, marks: tuple[StoredMark, ...] = (), closes: tuple[Close, ...] = ()) -> Any:
        store.save_marks(marks)
        store.save_closes(closes)
        return marked(engine_at(store, at))

    return look


def test_a_mark_that_is_old_enough_values(priced: Callable[..., Any]) -> None:
    assert priced(TS, marks=(StoredMark("EURUSD", TS, 1.2, "feed"),)) == (1.2, "quote")


def test_a_newer_mark_cannot_be_used_and_nothing_is_put_in_its_place(priced: Callable[..., Any]) -> None:
    assert priced(TS - 1, marks=(StoredMark("EURUSD", TS, 1.2, "feed"),)) is None


def test_the_last_close_before_the_moment_stands_in(priced: Callable[..., Any]) -> None:
    prices = {"2026-09-17": 1.1, "2026-09-18": 1.15, "2026-09-21": 1.3}
    closes = tuple(Close(date, "EURUSD", price) for date, price in prices.items())
    friday = TradingDay.of(config().engine).close_of(dt.date(2026, 9, 18))
    assert priced(friday + HOUR, marks=(StoredMark("EURUSD", friday + 2 * HOUR, 1.2, "feed"),), closes=closes) == (1.15, "close")
    assert priced(friday - 1) == (1.1, "close")
    assert priced(friday + 3 * HOUR) == (1.2, "quote"), "the mark is newer than that close and old enough"


def test_a_close_that_was_still_to_come_does_not_count(priced: Callable[..., Any]) -> None:
    struck = TradingDay.of(config().engine).close_of(dt.date(2026, 9, 21))
    assert priced(struck - 1, closes=(Close("2026-09-21", "EURUSD", 1.3),)) is None
    assert priced(struck) == (1.3, "close")


def test_a_position_without_a_price_of_then_is_unknown_not_nothing(store: Store) -> None:
    store.append_trades([received(trade("a"), TS)])
    store.save_marks([StoredMark("EURUSD", TS + HOUR, 1.2, "feed")])
    engine = engine_at(store, TS + SECOND)
    [root, *_] = node_rows(engine.snapshot)
    assert (root["total_pnl"], root["unpriced_count"]) == (None, 1)


def test_cash_and_carry_are_those_received_by_then_in_both_accounts(house_store: Store, store_url: str) -> None:
    house_store.append_trades([check_row(each, each["received_ts"]) for each in DAY])
    outside = Outside(store_url)
    cash = "INSERT INTO cash (cash_id, version, node, currency, ts, amount, received_ts) VALUES ('C', ?, 'FX', 'USD', ?, ?, ?)"
    for version, amount in ((1, "100"), (2, "60")):
        outside.execute(cash, [version, NOON, amount, NOON + version * HOUR])
    carry = (
        "INSERT INTO carry (carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts)"
        " VALUES ('K', ?, 'FX1', 'ann', 'EURUSD', ?, ?, ?, 'funding', ?)"
    )
    for version, currency, amount in ((1, "USD", "-5"), (2, "JPY", "-700")):
        outside.execute(carry, [version, currency, NOON, amount, NOON + version * HOUR])
    outside.close()
    held = {}
    for hours in (0, 1, 2):
        at = NOON + hours * HOUR + 10 * SECOND
        snapshot = engine_at(house_store, at).snapshot
        assert side_of(snapshot) == PastDay(house_store, config(), at).side()
        [position] = [each for key, each in side_of(snapshot).items() if key == (NODE, "FX1", "EURUSD")]
        balances = snapshot.nodes.cash.by_node.get(0, {}) if snapshot.nodes.cash is not None else {}
        held[hours] = (position.cash, dict(position.beside), dict(balances))
    before = held[0][0]
    assert held[0][1:] == ({}, {})
    assert held[1] == (before - 5 * CASH_ONE, {}, {"USD": 100 * CASH_ONE})
    assert held[2] == (before, {"JPY": -700 * CASH_ONE}, {"USD": 60 * CASH_ONE})


def test_of_vols_the_newest_of_each_day_is_known_at_a_moment(house_store: Store) -> None:
    day_before, noon, later = NOON - 24 * HOUR, NOON, NOON + HOUR
    rows = [DatedInput("2026-03-03", Vol("EC", day_before, 0.1)), DatedInput("2026-03-04", Vol("EC", later, 0.3))]
    house_store.save_option_inputs(rows)
    found = {ts: engine_at(house_store, ts).option_market.vols.get("EC") for ts in (day_before - 1, noon, later)}
    assert found == {day_before - 1: None, noon: Vol("EC", day_before, 0.1), later: Vol("EC", later, 0.3)}


def test_marks_of_the_newest_close_that_had_been_struck_stand_in_before_a_later_roll(house_store: Store) -> None:
    """The store has the newest marks alone; a moment of Wednesday is valued by Tuesday's close."""
    house = House(now=NOON - 24 * HOUR)
    for date, price in (("2026-03-03", 1.11), ("2026-03-04", 1.2)):
        close = rolling.strike(house.engine, date, {"EURUSD": price, "GBPUSD": price + 0.1})
        rolling.begin(house.engine, close)
        house_store.save_struck_close(close)
    house_store.save_closing_marks("2026-03-05", [StoredMark("GBPUSD", NOON + 24 * HOUR, 1.25)])
    house_store.save_marks([StoredMark(symbol, NOON + 30 * HOUR, 1.3) for symbol in ("EURUSD", "GBPUSD")])
    assert marked(engine_at(house_store, NOON)) == (1.11, "quote")
    assert marked(engine_at(house_store, NOON + 25 * HOUR)) == (1.2, "quote")
    assert marked(engine_at(house_store, NOON + 25 * HOUR), "GBPUSD") == (1.25, "quote")
    assert marked(engine_at(house_store, NOON - 24 * HOUR)) is None, "before the first roll nothing is known"
