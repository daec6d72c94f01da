"""Trades appended on a SQLite connection, inside the caller's transaction."""

import sqlite3
from collections.abc import Sequence

from riskengine.records.types import Trade
from riskengine.store.audit_trail import Trail, cursors_of
from riskengine.store.results import Stored
from riskengine.store.sqlite.connection import SqliteTransaction
from riskengine.store.tables.trades import IDENTITY, repeated
from riskengine.store.trade_rows import TradeRow, row_values


def append(transaction: SqliteTransaction, trades: Sequence[Trade], trail: Trail) -> list[Stored]:
    """Insert in order, in the open transaction, with the entry in the trail and the cursors of their sources.

    Runs of new trades go in as one call, which stops at a known version. Cost 14 us a new trade, 30 us a known one. Raises
    sqlite3.Error, LeaseHeld.
    """
    rows = [row_values(trade) for trade in trades]
    connection, waiting = transaction.connection, iter(rows)
    results: list[Stored] = []
    while len(results) < len(rows):
        before = connection.total_changes
        error: sqlite3.IntegrityError | None = None
        try:
            transaction.run("trade_insert", waiting)
        except sqlite3.IntegrityError as refused:
            error = refused
        results += _numbered(transaction, connection.total_changes - before)
        if error is not None:
            at = len(results)
            found = transaction.rows("trade_by_version", rows[at][IDENTITY])
            if not found:  # refused for another reason
                raise error
            results.append(repeated(transaction, trades[at], rows[at], TradeRow._make(found[0])))
    new = [(one.store_seq, row) for one, row in zip(results, rows, strict=True) if one.outcome == "inserted"]
    trail.trades(new, cursors_of(rows))
    return results


def _numbered(transaction: SqliteTransaction, inserted: int) -> list[Stored]:
    """The store_seq of the last `inserted` rows: one writer at a time and AUTOINCREMENT leave no gap between them."""
    if not inserted:
        return []
    last = transaction.rows("last_store_seq")[0][0]
    return [Stored(store_seq, "inserted") for store_seq in range(last - inserted + 1, last + 1)]
