"""A small house for tests: desks, instruments, and trades that are decoded and checked like real input.

A row is a dictionary of what a sender writes; `trade` makes a Trade of one.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from riskengine.config import Config, EngineConfig, MarksConfig
from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import TradeCheck, TradeInput, convert
from riskengine.records.reference import Reference
from riskengine.records.reference_input import (
    InstrumentInput,
    NodeInput,
    OpeningInput,
    check_instrument,
    check_node,
    check_opening,
)
from riskengine.records.types import Instrument, Node, Opening, Tick, Trade
from riskengine.snapshot.rows import dealer_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot

SECOND = 1_000_000
NOON = int(dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC).timestamp()) * SECOND
"""A Wednesday at noon, UTC."""

PARENTS = {"ALL": "", "FX": "ALL", "G10": "FX", "FX1": "G10", "FX2": "G10", "EM1": "FX", "CASH": "ALL", "EQ1": "CASH"}
DESKS = ("FX1", "FX2", "EM1", "EQ1")

INSTRUMENTS: tuple[dict[str, Any], ...] = (
    {"instrument": "EURUSD", "kind": "fx", "base_currency": "EUR", "quote_currency": "USD"},
    {"instrument": "GBPUSD", "kind": "fx", "base_currency": "GBP", "quote_currency": "USD"},
    {"instrument": "USDJPY", "kind": "fx", "base_currency": "USD", "quote_currency": "JPY"},
    {"instrument": "EURGBP", "kind": "fx", "base_currency": "EUR", "quote_currency": "GBP"},
    {"instrument": "USDCAD", "kind": "fx", "base_currency": "USD", "quote_currency": "CAD"},
    {"instrument": "ACME", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 0},
    {"instrument": "GHOST", "kind": "equity", "quote_currency": "USD"},
    {"instrument": "MAREL", "kind": "equity", "quote_currency": "ISK"},
    {"instrument": "ESZ6", "kind": "future", "quote_currency": "USD", "multiplier": "50", "expiry": "2026-12-18"},
    {"instrument": "BTCEUR", "kind": "crypto", "base_currency": "BTC", "quote_currency": "EUR", "quantity_decimals": 10},
)
"""GHOST never gets a mark in these tests; there is no rate from ISK, MAREL's currency, to the reporting currency."""


def instruments(rows: Iterable[Mapping[str, Any]] = INSTRUMENTS) -> list[Instrument]:
    return [check_instrument(convert(row, InstrumentInput)) for row in rows]


def nodes(parents: Mapping[str, str] = PARENTS) -> list[Node]:
    return [check_node(NodeInput(node=node, parent=parent)) for node, parent in parents.items()]


def reference(
    parents: Mapping[str, str] = PARENTS,
    rows: Iterable[Mapping[str, Any]] = INSTRUMENTS,
    reporting_currency: str = "USD",
) -> Reference:
    return Reference(nodes(parents), instruments(rows), reporting_currency)


REFERENCE = reference()


def row(trade_id: str = "t1", **columns: Any) -> dict[str, Any]:
    """What a sender writes for a trade; `columns` replace the defaults."""
    if columns.get("action") == "cancel":
        return {"source": "test", "trade_id": trade_id, "version": 2} | columns
    plain: dict[str, Any] = {
        "source": "test",
        "trade_id": trade_id,
        "ts": NOON,
        "instrument": "EURUSD",
        "desk": "FX1",
        "dealer": "ann",
        "side": "buy",
        "quantity": "100",
        "price": "1.1",
    }
    return plain | columns


def check_row(sent: Mapping[str, Any], received_ts: int, where: Reference = REFERENCE) -> Trade:
    """Decode and check a row like real input. Raises Rejected."""
    check = TradeCheck(where.by_symbol, where.hierarchy.leaves, where.hierarchy.index)
    return check(convert(sent, TradeInput), received_ts, "test")


def trade(trade_id: str = "t1", *, where: Reference = REFERENCE, received_ts: int = NOON, **columns: Any) -> Trade:
    return check_row(row(trade_id, **columns), received_ts, where)


def cancel(trade_id: str = "t1", version: int = 2, **columns: Any) -> Trade:
    return trade(trade_id, action="cancel", version=version, **columns)


def opening(where: Reference = REFERENCE, **columns: Any) -> Opening:
    plain = {"desk": "FX1", "dealer": "ann", "instrument": "EURUSD", "ts": NOON, "quantity": "0"}
    return check_opening(convert(plain | columns, OpeningInput), where.by_symbol)


WIDE = 10.0
"""The limit on moves of a mark in these worlds, whose prices are chosen for the sums that they give."""


def mark_settings(**marks: Any) -> MarksConfig:
    """[marks] with the limit of these worlds, unless a test sets its own."""
    return MarksConfig(**({"max_move": WIDE} | marks))


def config(*, engine: Mapping[str, Any] | None = None, marks: Mapping[str, Any] | None = None) -> Config:
    return Config(engine=EngineConfig(**(engine or {})), marks=mark_settings(**(marks or {})))


def book(where: Reference = REFERENCE, **marks: Any) -> QuoteBook:
    return QuoteBook(where, mark_settings(**marks), 60.0)


def quote(instrument: str, bid: float | None, ask: float | None, ts: int = NOON, mid: float | None = None) -> Tick:
    return Tick(instrument, ts, bid, ask, mid, "feed")


class House:
    """An engine with its book of quotes and a clock that a test moves."""

    def __init__(self, where: Reference = REFERENCE, settings: Config | None = None, now: int = NOON) -> None:
        self.where = where
        self.now = now
        settings = settings or config()
        self.engine = Engine(where, settings, now=now)
        self.quotes = QuoteBook(where, settings.marks, settings.engine.future_limit_s)

    def deal(self, *trades: Trade) -> list[str]:
        """Apply trades and publish. Returns the status of each."""
        outcomes = self.engine.apply(trades, self.now)
        self.engine.publish(self.now)
        return [outcome.status for outcome in outcomes]

    def marks(self, **prices: float) -> Snapshot:
        """Put two-sided quotes at these mids in force and publish."""
        ticks = [quote(symbol, price, price, self.now) for symbol, price in prices.items()]
        assert self.quotes.offer(ticks, self.now) == []
        self.engine.beat(self.quotes.take(), self.now)
        return self.engine.publish(self.now)

    def beat(self) -> Snapshot:
        self.engine.beat(self.quotes.take(), self.now)
        return self.engine.publish(self.now)

    def position(self, instrument: str = "EURUSD", **owner: Any) -> dict[str, Any]:
        """The public row of one position, of a `node=` or `dealer=` (default: node FX1)."""
        [found] = position_rows(self.engine.snapshot, instrument=instrument, **(owner or {"node": "FX1"}))
        return found

    def node(self, name: str = "ALL") -> dict[str, Any]:
        [found] = [one for one in node_rows(self.engine.snapshot) if one["node"] == name]
        return found

    def dealer(self, name: str) -> dict[str, Any]:
        [found] = [one for one in dealer_rows(self.engine.snapshot) if one["dealer"] == name]
        return found


def as_restored(marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """Marks as a store gives them back: price, time, source and kind, no more."""
    return {symbol: Mark(mark.price, mark.ts, mark.source, mark.kind) for symbol, mark in marks.items()}
