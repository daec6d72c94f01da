"""Appends trades to a SQLite store, and follows what other programs append, inside the caller's transaction."""

import sqlite3
from collections.abc import Sequence

from riskengine.records.cash import CARRY, CASH, CarryRow, CashRow
from riskengine.records.types import Trade
from riskengine.store.audit_trail import Trail, numbers_of
from riskengine.store.queries import Transaction
from riskengine.store.results import Bookmark, CashRows, Changes, Stored
from riskengine.store.sqlite.connection import SqliteTransaction
from riskengine.store.tables.cash import GONE, cash_rows
from riskengine.store.tables.trades import IDENTITY, rows_between, store_repeat
from riskengine.store.trade_rows import TradeRow, row_values

_FAR = 2**63 - 1
"""Above every store_seq."""


def append(transaction: SqliteTransaction, trades: Sequence[Trade], trail: Trail) -> list[Stored]:
    """Insert trades in order, record them in the trail and note the numbers of their sources.

    One call inserts a run of new trades; it stops at a stored version. Cost 14 us a new trade, 30 us a stored one. Raises
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
        results += _inserted(transaction, connection.total_changes - before)
        if error is not None:
            at = len(results)
            found = transaction.rows("trade_by_version", rows[at][IDENTITY])
            if not found:  # refused for another reason
                raise error
            results.append(store_repeat(transaction, trades[at], rows[at], TradeRow._make(found[0])))
    new = [(one.store_seq, row) for one, row in zip(results, rows, strict=True) if one.outcome == "inserted"]
    trail.trades(new, numbers_of(rows))
    return results


def _inserted(transaction: SqliteTransaction, inserted: int) -> list[Stored]:
    """The outcomes of the last `inserted` rows. Their numbers have no gap: one program writes at a time, with AUTOINCREMENT."""
    if not inserted:
        return []
    last = transaction.rows("last_store_seq")[0][0]
    return [Stored(store_seq, "inserted") for store_seq in range(last - inserted + 1, last + 1)]


def beyond(transaction: Transaction, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
    """Rows that `bookmark` does not cover, at most `limit` of them, in store order, and the bookmark behind them.

    One program writes at a time: rows become visible in the order of their numbers, and a number is all that a bookmark needs.
    """
    at = bookmark.store_seq
    rows: list[TradeRow] = []
    for first, last in [*bookmark.passed, (_FAR, _FAR)]:
        if first > at + 1:
            rows += rows_between(transaction, at, first, limit - len(rows))
        if len(rows) == limit:
            at = rows[-1].store_seq
            return rows, Bookmark(at, passed=tuple(each for each in bookmark.passed if each[1] > at))
        if last < _FAR:
            at = max(at, last)
    return rows, Bookmark(max(at, rows[-1].store_seq) if rows else at)


def cash_beyond(transaction: Transaction, seen: Changes | None) -> CashRows:
    """Rows of `cash` and `carry` beyond `seen`: a row notes how many changes of its table there were when it was written."""
    now = Changes(counts=tuple(transaction.rows("change_counts")))
    before, counts = dict(() if seen is None else seen.counts), dict(now.counts)
    if seen is None or any(before.get(kind) != counts[kind] for kind in GONE):
        return CashRows(cash_rows(transaction), now, is_all=True)
    cash = map(CashRow._make, transaction.rows("cash_beyond", (before[CASH],)))
    carry = map(CarryRow._make, transaction.rows("carry_beyond", (before[CARRY],)))
    return CashRows([*cash, *carry], now, is_all=False)
