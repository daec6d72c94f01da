"""Reading trades by column gives the same as reading them row by row, whatever another program wrote into them."""

import random
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade
from riskengine.store.protocol import Store
from riskengine.store.tables import bulk_trades
from riskengine.store.tables.bulk_trades import stored_trades
from riskengine.store.trade_rows import replay
from tests.store.any_trades import TRADES
from tests.store_book import CHECK, TS, Outside, cancel, new_store, trade


def both_ways(store: Store, check: TradeCheck = CHECK) -> list[tuple[int, Any]]:
    """The stored trades; checks that both ways give the same."""
    found = list(stored_trades(store, check))
    assert found == list(replay(store.trades_after(0), check))
    return found


@pytest.fixture(autouse=True)
def pages_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_trades, "PAGE_ROWS", 7)


def test_an_empty_store_has_none(store: Store) -> None:
    assert both_ways(store) == []


def test_trades_of_every_kind_come_out_in_store_order(store: Store) -> None:
    plain = [trade(f"T{number}", quantity=number + 1, fees=number % 2, dealer=f"d{number % 3}") for number in range(30)]
    other = [
        trade("A", action="amend", version=2),
        cancel("T1"),
        trade("L", leg=1, legs=2),
        trade("C", contra_amount=5),
        trade("D", value_date="2026-11-23", trade_date="2026-11-20"),
        trade("B", booked_ts=TS + 1),
        trade("E", instrument="BTCUSD", quantity="0.0000000001", price="999999999999999.9999999999"),
        trade("F", instrument="ESZ6", price="-1.25"),
        trade("G", fees="-0.5", fees_currency="EUR"),
        trade("H H", source="x y"),
        trade("I", quantity=10**15),
        trade("\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ]
    mixed = plain + other
    random.Random(1).shuffle(mixed)
    store.append_trades(mixed)
    found = both_ways(store)
    assert [stored for _, stored in found] == mixed
    assert [number for number, _ in found] == list(range(1, len(mixed) + 1))


@given(st.lists(TRADES, max_size=20, unique_by=lambda trade: trade.identity))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_trades_come_out_as_they_went_in(store: Store, trades: list[Trade]) -> None:
    first = store.watermark()
    store.append_trades(trades)
    found = [(number, stored) for number, stored in stored_trades(store, CHECK) if number > first]
    assert found == list(replay(store.trades_after(first), CHECK))


OF_OTHERS: list[dict[str, Any]] = [
    {"quantity": "1.50"},
    {"quantity": "1.500000000000"},
    {"quantity": "1.005"},
    {"quantity": "0"},
    {"quantity": "-1"},
    {"quantity": "000123"},
    {"quantity": "1234567890123456789"},
    {"price": "0.00000000001"},
    {"price": "0"},
    {"fees": "0.00"},
    {"fees": "12345678901234567890"},
    {"desk": "Total"},
    {"desk": "nowhere"},
    {"instrument": "nothing"},
    {"dealer": " ann"},
    {"dealer": "a\nb"},
    {"trade_id": "a\nb"},
    {"trade_id": "a b"},
    {"trade_id": "a\tb"},
    {"source": "a\x7f"},
    {"value_date": "soon"},
    {"trade_date": "2026-02-30"},
    {"fees_currency": "XYZ"},
    {"fees_currency": ""},
    {"ts": 17},
    {"booked_ts": 17},
    {"source_seq": -1},
    {"leg": 2**60},
    {"version": 2**60},
    {"legs": 0},
    {"side": "sell"},
    {"contra_amount": "3"},
    {"received_ts": -5},
    {"version": 2},
    {"action": "cancel", "version": 3, "side": ""},
]
"""Values that another program may write into an otherwise plain row."""

UNTYPED = ["1.5", "1e3", "x", "1 2", "", b"12", b"\xff"]
"""Values that SQLite accepts in columns of text."""


@pytest.mark.parametrize("page_rows", [1, 1_000])
def test_rows_of_other_programs_are_judged_the_same(
    store: Store, outside: Outside, page_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_trades, "PAGE_ROWS", page_rows)
    outside.execute("BEGIN")
    for number, columns in enumerate(OF_OTHERS):
        outside.book(trade_id=f"plain{number}")
        outside.book(**{"trade_id": f"odd{number}"} | columns)
    outside.execute("COMMIT")
    assert len(both_ways(store)) == 2 * len(OF_OTHERS)


def test_what_sqlite_lets_anybody_write_is_judged_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "engine.db")
    outside = Outside(f"sqlite:///{tmp_path / 'engine.db'}")
    written = 0
    outside.execute("BEGIN")
    for column in ("quantity", "price", "fees", "dealer", "desk", "instrument", "value_date", "fees_currency"):
        for value in UNTYPED:
            outside.book(trade_id=f"plain {written}")
            with suppress(sqlite3.IntegrityError):  # no row like this can be
                outside.book(**{"trade_id": f"odd {column} {value!r}", column: value})
            written += 1
    outside.execute("COMMIT")
    outside.close()
    for page_rows in (1, 2, 1_000):
        monkeypatch.setattr(bulk_trades, "PAGE_ROWS", page_rows)
        assert len(both_ways(store)) > written
    store.close()


def test_numbers_far_apart_are_read_without_a_walk_between_them(store: Store, outside: Outside) -> None:
    store.append_trades([trade("near")])
    overriding = "OVERRIDING SYSTEM VALUE " if outside.is_postgres else ""
    outside.execute(
        f"INSERT INTO trades (store_seq, trade_id, ts, instrument, desk, side, quantity, price) {overriding}"
        "VALUES (?, 'far', ?, 'EURUSD', 'FX1', 'buy', '1', '1')",
        (10**15, TS),
    )
    assert [number for number, _ in both_ways(store)] == [1, 10**15]


def test_nothing_fits_where_there_is_no_instrument(store: Store) -> None:
    store.append_trades([trade("T1")])
    found = both_ways(store, TradeCheck({}, {"FX1"}, {"FX1"}))
    assert [refused.field for _, refused in found] == ["instrument"]


def test_rows_committed_meanwhile_are_read_too(store: Store) -> None:
    store.append_trades([trade(f"T{number}") for number in range(10)])
    reading = stored_trades(store, CHECK)
    next(reading)
    store.append_trades([trade(f"U{number}") for number in range(10)])
    assert [stored.trade_id for _, stored in reading if isinstance(stored, Trade)][-1] == "U9"


def test_a_million_trades_share_their_names(store: Store) -> None:
    store.append_trades([trade(name, dealer="ann", fees_currency="EUR") for name in ("T1", "T2")])
    (_, first), (_, second) = stored_trades(store, CHECK)
    for column in ("source", "desk", "dealer", "instrument", "side", "action", "fees_currency"):
        assert getattr(first, column) is getattr(second, column)
