"""A stored trade comes back as the same record, and a damaged row as a refusal with its reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.decode import TradeInput, convert
from riskengine.records.fields import Rejected
from riskengine.records.types import Trade
from riskengine.store.trade_rows import COLUMNS, DEFAULT_SOURCE, RefusedRow, TradeRow, _plain_trade, trade_from_row
from riskengine.store.trade_rows import row_of as numbered_row
from tests.store.any_trades import TRADES
from tests.store_book import CHECK, TS, cancel, sent, trade


def row_of(stored: Trade, **columns: Any) -> TradeRow:
    return numbered_row(stored, 7)._replace(**columns)


@given(TRADES)
def test_every_trade_comes_back_equal_to_the_last_digit(stored: Trade) -> None:
    assert trade_from_row(row_of(stored), CHECK) == stored


ODD = ["", None, " x", "-1", "1.0", "1e3", "+1", "1_0", "\u0661", "NaN", "0", "x" * 200, -1, 2**60, 1.5, b"x"]


@given(TRADES, st.sampled_from(COLUMNS), st.sampled_from(ODD))
def test_the_quick_way_and_the_check_agree_whatever_a_column_holds(stored: Trade, column: str, value: object) -> None:
    row = row_of(stored, **{column: value})
    quick = _plain_trade(row, CHECK)
    try:
        checked: Trade | None = CHECK(convert(row._asdict(), TradeInput), row.received_ts, DEFAULT_SOURCE)
    except Rejected:
        checked = None
    assert quick is None or quick == checked
    found = trade_from_row(row, CHECK)
    assert found == checked if checked is not None else isinstance(found, RefusedRow)


def test_ordinary_trades_go_the_quick_way() -> None:
    for stored in (trade(), trade(dealer="ann", fees="0.5", fees_currency="USD"), trade(instrument="BTCUSD", price="3.14159")):
        assert _plain_trade(row_of(stored), CHECK) == stored


def test_a_cancel_comes_back_equal_with_and_without_its_own_time() -> None:
    timed = CHECK(sent(action="cancel", version=2), TS, "api")
    for stored in (cancel(), timed):
        assert trade_from_row(row_of(stored), CHECK) == stored
    assert row_of(cancel()).ts is None and row_of(cancel()).side == ""


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("instrument", "XAUUSD", "unknown instrument 'XAUUSD'"),
        ("desk", "Total", "'Total' has nodes below it; trades attach to leaf nodes"),
        ("quantity", "-5", "must be above 0"),
        ("quantity", "0.001", "has more than 2 decimals"),
        ("price", "cheap", None),
        ("price", "-0.5", "must not be negative"),
        ("ts", 1_790_000_000, "is out of range: it looks like seconds; microseconds are expected"),
        ("trade_id", "T\udcff1", "has a character that a name cannot have: 'T\\udcff1'"),
        ("fees", b"\xff", None),
    ],
)
def test_a_row_that_is_not_a_trade_says_which_field_and_why(column: str, value: object, reason: str | None) -> None:
    refused = trade_from_row(row_of(trade(), **{column: value}), CHECK)
    assert isinstance(refused, RefusedRow)
    assert (refused.store_seq, refused.field) == (7, column)
    assert reason is None or refused.reason == reason
    str(refused.row).encode()  # can be shown and sent


def test_a_million_trades_share_their_names() -> None:
    first, second = (trade_from_row(row_of(trade(name, dealer="ann")), CHECK) for name in ("T1", "T2"))
    assert isinstance(first, Trade) and isinstance(second, Trade)
    for column in ("source", "desk", "dealer", "instrument", "side", "action", "fees_currency"):
        assert getattr(first, column) is getattr(second, column)
