"""Access to the store's tables over a plain connection, as another program has it."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from replay.dealing import INSTRUMENTS, PARENTS, Message
from riskengine.records.types import MULTIPLIER_DECIMALS, Instrument, Kind, Node
from riskengine.store.open_store import open_store

READ = (
    "source",
    "trade_id",
    "leg",
    "version",
    "action",
    "ts",
    "source_seq",
    "instrument",
    "desk",
    "dealer",
    "side",
    "quantity",
    "price",
    "contra_amount",
    "legs",
)
AWAY = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError)
REPEATED = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)


def connect(url: str) -> Any:
    """A connection in autocommit mode: each statement commits by itself outside BEGIN."""
    if url.startswith("postgresql:"):
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=5, check_same_thread=False)


@contextmanager
def connection_to(url: str) -> Iterator[Any]:
    """A connection for the length of a block."""
    connection = connect(url)
    try:
        yield connection
    finally:
        connection.close()


def trade_rows(url: str) -> tuple[list[dict[str, Any]], int]:
    """All rows of `trades` by column name, and the highest store_seq, read in one transaction."""
    with connection_to(url) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if url.startswith("postgresql:") else "BEGIN")
        found = connection.execute(f"SELECT {', '.join(READ)} FROM trades").fetchall()
        [(newest,)] = connection.execute("SELECT coalesce(max(store_seq), 0) FROM trades").fetchall()
        connection.execute("ROLLBACK")
    return [dict(zip(READ, row, strict=True)) for row in found], int(newest)


def insert(connection: Any, messages: Sequence[Message]) -> None:
    """Insert trades with all their columns, as a booking system does, in the open transaction or each by itself."""
    mark = "%s" if isinstance(connection, psycopg.Connection) else "?"
    for message in messages:
        columns = list(message)
        connection.execute(
            f"INSERT INTO trades ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})",
            [message[column] for column in columns],
        )


def make_store(url: str) -> None:
    """Make a store with the drill's nodes and instruments, with the engine's own code: drills do not check this data."""
    expiry = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * 86_400))
    store = open_store(url)
    store.save_nodes([Node(node, "", parent) for node, parent in PARENTS.items()])
    store.save_instruments(
        [
            Instrument(
                instrument=symbol,
                kind=Kind(kind),
                base_currency=base,
                quote_currency=quote,
                quantity_decimals=decimals,
                multiplier=int(multiplier) * 10**MULTIPLIER_DECIMALS,
                underlying="SPX" if kind == "future" else "",
                expiry=expiry if kind == "future" else "",
            )
            for symbol, (kind, base, quote, decimals, multiplier, _) in INSTRUMENTS.items()
        ]
    )
    store.close()
