"""A small book for the tests of the store: three instruments, two desks, and trades as they come through the door."""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from msgspec import structs

from riskengine.market.calendars import ALWAYS
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.types import Instrument, Kind, Node, Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store

TS = 1_790_000_000_000_000
NODES = [Node("Total", "total"), Node("FX1", "desk", "Total"), Node("FX2", "desk", "Total")]
INSTRUMENTS = [
    Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD"),
    Instrument(instrument="BTCUSD", kind=Kind.CRYPTO, quote_currency="USD", quantity_decimals=10),
    Instrument(
        instrument="ESZ6",
        kind=Kind.FUTURE,
        quote_currency="USD",
        multiplier=5_000_000_000,
        expiry="2026-12-18",
        underlying="SPX",
    ),
]
CHECK = TradeCheck({each.instrument: each for each in INSTRUMENTS}, {"FX1", "FX2"}, {each.node for each in NODES})


def sent(trade_id: str = "T1", **columns: Any) -> TradeInput:
    """A trade as a sender sends it; `columns` replaces what is usual."""
    usual: dict[str, Any] = {
        "source": "api",
        "ts": TS,
        "instrument": "EURUSD",
        "desk": "FX1",
        "side": "buy",
        "quantity": Decimal("1000000"),
        "price": Decimal("1.0842"),
    }
    return TradeInput(trade_id=trade_id, **(usual | columns))


def trade(trade_id: str = "T1", **columns: Any) -> Trade:
    """A trade as the door lets it in."""
    return CHECK(sent(trade_id, **columns), TS + 5, "api")


def cancel(trade_id: str = "T1", version: int = 2) -> Trade:
    """A cancel that says no more than it must."""
    return CHECK(TradeInput(trade_id=trade_id, source="api", version=version, action="cancel"), TS + 9, "api")


def never_shut(store: Store) -> None:
    """Have every market open day and night, for a test by the clock of today: it must hold at a weekend too."""
    store.save_instruments([structs.replace(instrument, calendar=ALWAYS) for instrument in store.instruments()])


def new_store(place: Path | str) -> Store:
    """A store with the book's nodes and instruments, at a URL or in a SQLite file."""
    store = open_store(place if isinstance(place, str) else f"sqlite:///{place}")
    store.save_nodes(NODES)
    store.save_instruments(INSTRUMENTS)
    return store


class Outside:
    """Another program at the same database. Statements are written with `?`; each commits by itself unless told `BEGIN`."""

    def __init__(self, url: str) -> None:
        self.is_postgres = url.startswith("postgresql:")
        self.refused: type[Exception] = psycopg.Error if self.is_postgres else sqlite3.IntegrityError
        self.connection: Any = (
            psycopg.connect(url, autocommit=True)
            if self.is_postgres
            else sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        )

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, none where it has none."""
        if self.is_postgres:  # as text, whose type the server finds out
            values = [None if value is None else str(value) for value in values]
            cursor = self.connection.execute(statement.replace("?", "%s"), values or None)
            return cursor.fetchall() if cursor.description else []
        return self.connection.execute(statement, values).fetchall()

    def book(self, **columns: Any) -> None:
        """Insert a trade as a booking system would: only what it knows."""
        usual = {"trade_id": "B1", "ts": TS, "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
        values = usual | {"quantity": "1", "price": "2"} | columns
        marks = ", ".join("?" * len(values))
        self.execute(f"INSERT INTO trades ({', '.join(values)}) VALUES ({marks})", list(values.values()))

    def close(self) -> None:
        self.connection.close()
