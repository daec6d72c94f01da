"""A stored row edited in any column that counts is a break of the right kind, and a repair makes the state of a fresh start."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.positions.freezing import freeze
from riskengine.positions.places import trades_under
from riskengine.rebuild.edited_rows import changed_in_place
from riskengine.reconciliation.store_sums import store_side
from riskengine.reconciliation.stored_keys import stored_keys
from riskengine.records.types import Key, Trade, economics
from riskengine.snapshot.compare import KINDS, compare, hierarchy_breaks, side_of
from riskengine.snapshot.digest import digest
from riskengine.snapshot.holdings import holding_lines
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.trade_rows import TradeRow
from tests.reconciliation.furnished import CONFIG, engine_of, furnished
from tests.store_book import Outside
from tests.world import NOON, SECOND, cancel, opening, trade

ALL = 2**62
SPOT = "2026-03-06"

BOOK = [
    trade("A", ts=NOON, quantity="100", price="1.0", fees="5"),
    trade("B", ts=NOON + 1 * SECOND, quantity="100", price="1.5", side="sell"),
    trade("C", ts=NOON + 2 * SECOND, quantity="100", price="2.0", dealer="bea", value_date=SPOT),
    trade("D", ts=NOON + 3 * SECOND, quantity="250", price="1.25", side="sell", dealer="", fees="-1", fees_currency="EUR"),
    trade("E", ts=NOON + 3 * SECOND, source_seq=2, quantity="7", price="1.3", contra_amount="9.11", trade_date="2026-03-04"),
    trade("F", ts=NOON + 3 * SECOND, source_seq=1, quantity="3", price="1.3", leg=1, legs=2, desk="FX2"),
    trade("F", ts=NOON + 3 * SECOND, quantity="3", price="1.3", leg=2, desk="FX2", instrument="GBPUSD"),
    trade("G", ts=NOON, instrument="ESZ6", desk="EQ1", quantity="2", price="4000.25", fees="1.2345678901"),
    trade("H", ts=NOON, instrument="BTCEUR", desk="EQ1", quantity="0.1234567891", price="61000", fees="0.5"),
    trade("V", ts=NOON, quantity="10", price="1.1"),
    trade("V", ts=NOON, version=2, action="amend", quantity="12", price="1.15", fees="2"),
    trade("X", ts=NOON),
    cancel("X"),
    trade("Q", ts=NOON + 61 * SECOND),
]
"""Trades of all sorts; of V the second version counts, of X none, and Q is quarantined."""

COUNTING = [each for each in BOOK if (each.trade_id, each.version) not in {("V", 1), ("X", 1), ("X", 2), ("Q", 1)}]

Edit = tuple[str, Any]


def edits(of: Trade) -> Iterable[tuple[Edit, set[str]]]:
    """Another value for each column of a trade, and the kinds of break that it makes."""
    exact = of.contra_amount is not None
    yield ("fees", "5000"), {"fees"}
    yield ("fees_currency", "GBP"), {"fees"} if of.fees else {"order"}
    for column, value in (
        ("ts", of.ts - SECOND),
        ("ts", of.ts + 1),
        ("source_seq", of.source_seq + 5),
        ("value_date", "" if of.value_date else SPOT),
        ("trade_date", "2026-03-04" if not of.trade_date else ""),
        ("legs", 2 if of.legs is None else 1),
        ("action", "amend" if of.action == "new" else "new"),
    ):
        yield (column, value), {"order"}
    yield ("price", "1.75"), {"order" if exact else "cash"}
    yield ("contra_amount", "12.5"), {"cash"}
    yield ("quantity", "5"), {"quantity", "identity"}
    yield ("side", "sell" if of.side == "buy" else "buy"), {"quantity", "identity"}
    yield ("dealer", "zoe"), {"order", "quantity", "missing_here", "missing_there"}
    yield ("desk", "EM1"), {"order", "quantity", "missing_here", "missing_there"}
    yield ("instrument", "USDJPY"), {"quantity", "missing_here", "missing_there"}
    another = {"identity"} if of.version == 1 else {"quantity"}  # then the version before it counts as well
    yield ("source", "other"), another
    yield ("trade_id", "T" + of.trade_id), another
    yield ("leg", of.leg + 7), another
    yield ("version", of.version + 7), {"identity"}


OUTSIDE: tuple[Edit, ...] = (("booked_ts", NOON + 9), ("booked_ts", None), ("received_ts", NOON + 3_600 * SECOND))
"""Columns outside the economics."""


class EditedStore:
    """A store with the book, and another program that edits one column at a time."""

    def __init__(self, url: str) -> None:
        self.store = furnished(open_store(url))
        self.store.save_openings([opening(quantity="50", average_price="1.2", realised="3", fees="2", ts=NOON - 3_600 * SECOND)])
        self.store.append_trades(BOOK)
        self.program = Outside(url)
        self.rows = {(row.trade_id, row.leg, row.version): row for row in self.store.trades_after(0, 100)}

    def close(self) -> None:
        self.program.close()
        self.store.close()

    def row_of(self, which: Trade) -> TradeRow:
        return self.rows[which.trade_id, which.leg, which.version]

    def edit(self, which: Trade, column: str, value: Any) -> None:
        number = self.row_of(which).store_seq
        if value is None:
            self.program.execute(f"UPDATE trades SET {column} = NULL WHERE store_seq = ?", (number,))
        else:
            self.program.execute(f"UPDATE trades SET {column} = ? WHERE store_seq = ?", (value, number))

    def undo(self, which: Trade, column: str) -> None:
        self.edit(which, column, getattr(self.row_of(which), column))

    def kinds(self, engine: Engine) -> dict[Key, str]:
        there = store_side(self.store, CONFIG, ALL).side()
        return {each.key: each.kind for each in compare(side_of(engine.snapshot), there)}


@pytest.fixture
def edited(store_url: str) -> Iterable[EditedStore]:
    opened = EditedStore(store_url)
    yield opened
    opened.close()


def repair(engine: Engine, store: Store, keys: Collection[Key]) -> None:
    identities = {each.identity for each in trades_under(engine.ledger, keys)}
    read = stored_keys(store, CONFIG, keys, identities)
    unreadable = [(row.store_seq, row.received_ts, row.reason) for row in read.unreadable]
    engine.repair(keys, read.versions, NOON, unreadable, [row.store_seq for row in read.rows])
    engine.publish(NOON)
    engine.check()


def state(engine: Engine) -> Any:
    """Every figure of every position and sum, to the bit, and the sums of fingerprints."""
    held = [
        {
            (owner, number): (each.quantity, each.cash, each.average, each.fees, each.identities, each.trade_count)
            for owner, number, each in rollup.positions()
        }
        for rollup in (engine.ledger.organisation, engine.ledger.dealers)
    ]
    lines = [*holding_lines(engine.snapshot, {})][1:]
    return held, sorted(lines), digest(engine.snapshot)


def test_the_book_agrees(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    assert edited.kinds(engine) == {}
    assert {each.trade_id for each in trades_under(engine.ledger, side_of(engine.snapshot))} == {
        each.trade_id for each in COUNTING
    }


def test_every_column_of_the_economics_is_edited() -> None:
    columns = {column for (column, _), _ in edits(BOOK[0])}
    assert len(economics(BOOK[0])) == len(columns - {"source", "trade_id", "leg", "version"})


def test_an_edit_of_any_column_that_counts_is_a_break_of_its_kind_and_a_repair_makes_a_fresh_start(edited: EditedStore) -> None:
    for which in COUNTING:
        for (column, value), expected in edits(which):
            what = (which.trade_id, which.leg, column, value)
            engine = engine_of(edited.store)
            edited.edit(which, column, value)
            found = edited.kinds(engine)
            assert found, what
            assert set(found.values()) <= expected, (what, found)
            fresh = engine_of(edited.store)
            assert edited.kinds(fresh) == {}, what
            if expected <= {"fees", "order", "cash"}:
                assert set(changed_in_place(engine, fresh, fresh.snapshot)) == set(found), what
            repair(engine, edited.store, list(found))
            assert edited.kinds(engine) == {}, what
            assert hierarchy_breaks(engine.snapshot) == [], what
            if column not in {"instrument", "desk", "dealer"}:  # a repair keeps numbers of new owners in another order
                assert state(engine) == state(fresh), what
            assert digest(engine.snapshot) == digest(fresh.snapshot), what
            edited.undo(which, column)


def test_columns_outside_the_economics_make_no_break(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    for which in COUNTING:
        for column, value in OUTSIDE:
            edited.edit(which, column, value)
            assert edited.kinds(engine) == {}, (which.trade_id, column)
            edited.undo(which, column)


@pytest.mark.parametrize("column", ["fees", "ts", "source_seq", "price"])
def test_versions_that_take_no_part_make_no_break(edited: EditedStore, column: str) -> None:
    engine = engine_of(edited.store)
    for which in (BOOK[9], BOOK[11]):
        edited.edit(which, column, {"fees": "9", "ts": which.ts + 1, "source_seq": 3, "price": "3"}[column])
    assert edited.kinds(engine) == {}


def test_the_same_value_written_another_way_is_no_edit(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    for which, column, value in (
        (BOOK[0], "quantity", "100.00"),
        (BOOK[0], "price", "1.000"),
        (BOOK[0], "fees", "5.00"),
        (BOOK[0], "fees_currency", ""),
        (BOOK[4], "contra_amount", "9.1100"),
    ):
        edited.edit(which, column, value)
        assert edited.kinds(engine) == {}, (column, value)


def test_two_trades_that_exchange_their_places_are_a_break_of_order(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    edited.edit(BOOK[0], "ts", BOOK[1].ts)
    edited.edit(BOOK[1], "ts", BOOK[0].ts)
    found = edited.kinds(engine)
    assert found == {("node", "FX1", "EURUSD"): "order", ("dealer", "ann", "EURUSD"): "order"}
    repair(engine, edited.store, list(found))
    assert state(engine) == state(engine_of(edited.store))


def test_fees_that_two_trades_exchange_are_a_break_of_order(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    edited.edit(BOOK[0], "fees", "0")
    edited.edit(BOOK[1], "fees", "5")
    assert set(edited.kinds(engine).values()) == {"order"}


def test_history_that_has_left_the_memory_is_compared_by_the_sums_of_its_base(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    assert freeze(engine.ledger, engine.processed, before=NOON + 1, traded_before=NOON + 2 * SECOND) > 2
    assert edited.kinds(engine) == {}
    for column, value, kind in (("fees", "5000", "fees"), ("source_seq", 9, "order")):
        edited.edit(BOOK[0], column, value)
        assert set(edited.kinds(engine).values()) == {kind}
        edited.undo(BOOK[0], column)


def test_a_fault_in_memory_alone_is_found_too(edited: EditedStore) -> None:
    engine = engine_of(edited.store)
    position = next(each for _, _, each in engine.ledger.organisation.positions() if each.fees)
    position.fees = {"USD": 1}
    engine.ledger.organisation.touched[position] = None
    engine.publish(NOON)
    assert [*edited.kinds(engine).values()] == ["fees"]


def test_kinds_come_by_precedence() -> None:
    assert KINDS.index("identity") < KINDS.index("fees") < KINDS.index("order")
