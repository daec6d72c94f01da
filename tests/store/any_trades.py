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


SMALLEST = "1e-10"
PRICES = st.one_of(
    st.tuples(decimals(10), st.none()),
    st.tuples(decimals(10, SMALLEST), decimals(10, SMALLEST)),
    st.just((Decimal(0), Decimal(0))),
)
"""Price and exact cash, which have one sign."""


def _priced(trade_id: str, priced: tuple[Decimal, Decimal | None], **columns: Any) -> Trade:
    return trade(trade_id, price=priced[0], contra_amount=priced[1], **columns)


TRADES = st.builds(
    _priced,
    NAMES,
    PRICES,
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
    fees=st.one_of(st.none(), decimals(10, "-1e15")),
    fees_currency=st.sampled_from(["", "USD", "EUR"]),
    value_date=st.sampled_from(["", "2026-11-23"]),
    trade_date=st.sampled_from(["", "2026-11-20"]),
    booked_ts=st.one_of(st.none(), MICROS),
    legs=st.one_of(st.none(), st.integers(1, 1_000)),
)
