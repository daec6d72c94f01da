"""Trades of every kind for hypothesis, as the door lets them in."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from riskengine.records.types import Trade
from tests.store_book import TS, trade

MICROS = st.integers(TS - 10**15, TS + 10**15)


NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


def decimals(places: int, low: str = "0", high: str = "1e15") -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


def fitting(name: str, **columns: Any) -> Trade:
    """A trade whose exact cash, if it has one, does not contradict its price: both are 0, or neither."""
    if columns["contra_amount"] is not None and bool(columns["contra_amount"]) != bool(columns["price"]):
        columns["contra_amount"] = None
    return trade(name, **columns)


TRADES = st.builds(
    fitting,
    NAMES,
    source=NAMES,
    leg=st.integers(0, 2**53 - 1),
    version=st.integers(1, 2**53 - 1),
    action=st.sampled_from(["new", "amend"]),
    ts=MICROS,
    source_seq=st.integers(0, 2**53 - 1),
    instrument=st.sampled_from(["BTCUSD", "ESZ6"]),
    dealer=st.one_of(st.just(""), NAMES),
    side=st.sampled_from(["buy", "sell"]),
    quantity=decimals(2, "0.01"),
    price=decimals(10),
    fees=st.one_of(st.none(), decimals(10, "-1e15")),
    fees_currency=st.sampled_from(["", "USD", "EUR"]),
    value_date=st.sampled_from(["", "2026-11-23"]),
    trade_date=st.sampled_from(["", "2026-11-20"]),
    booked_ts=st.one_of(st.none(), MICROS),
    contra_amount=st.one_of(st.none(), decimals(10)),
    legs=st.one_of(st.none(), st.integers(1, 1_000)),
)
