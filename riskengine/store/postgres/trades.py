"""Appends trades to a PostgreSQL store, and follows what other programs append, inside the caller's transaction."""

from collections.abc import Sequence
from operator import attrgetter

from riskengine.records.cash import CarryRow, CashRow
from riskengine.records.types import Trade
from riskengine.store.audit_trail import Trail, numbers_of
from riskengine.store.postgres.connection import PostgresTransaction
from riskengine.store.results import CHANGED_KINDS, Bookmark, CashRows, Changes, Stored
from riskengine.store.tables import trades as trades_of
from riskengine.store.tables.cash import GONE, cash_rows
from riskengine.store.tables.trades import IDENTITY, store_repeat
from riskengine.store.trade_rows import COLUMNS, RowValues, TradeRow, row_values


def append(transaction: PostgresTransaction, trades: Sequence[Trade], trail: Trail) -> list[Stored]:
    """Insert trades in order, record them in the trail and note the numbers of their sources.

    One statement inserts all of them and skips stored versions. Cost 30 us a trade, most of it the server's. Raises
    psycopg.Error, LeaseHeld.
    """
    rows = [row_values(trade) for trade in trades]
    numbers = {tuple(identity): store_seq for *identity, store_seq in transaction.rows("trades_insert", columns_of(rows))}
    results: list[Stored | None] = []
    known: list[int] = []
    for place, row in enumerate(rows):
        number = numbers.pop(row[IDENTITY], None)
        if number is None:
            known.append(place)
        results.append(None if number is None else Stored(number, "inserted"))
    if known:
        stored = _stored_versions(transaction, [rows[place][IDENTITY] for place in known])
        for place in known:
            results[place] = store_repeat(transaction, trades[place], rows[place], stored[rows[place][IDENTITY]])
    new = [(one.store_seq, row) for one, row in zip(results, rows, strict=True) if one is not None and one.outcome == "inserted"]
    trail.trades(sorted(new), numbers_of(rows))
    return [result for result in results if result is not None]


def _stored_versions(transaction: PostgresTransaction, identities: Sequence[RowValues]) -> dict[RowValues, TradeRow]:
    found = transaction.rows("trades_by_version", columns_of(identities))
    return {row[IDENTITY]: TradeRow._make(row) for row in found}


def columns_of(rows: Sequence[RowValues]) -> list[str]:
    """One array literal for each column of the rows: ten times faster than arrays written by the driver."""
    return [array_literal(column) for column in zip(*rows, strict=True)]


def array_literal(values: Sequence[str | int | None]) -> str:
    """PostgreSQL's text for an array. Example: `{"FX1","A B",NULL}`. Numbers may be in quotes too."""
    try:
        joined = '","'.join(values)  # type: ignore[arg-type]
    except TypeError:  # there are numbers or None
        return "{" + ",".join("NULL" if value is None else _quoted(str(value)) for value in values) + "}"
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        return "{" + ",".join(map(_quoted, map(str, values))) + "}"
    return f'{{"{joined}"}}'


def _quoted(text: str) -> str:
    if text.isdecimal() and text.isascii():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


NOTHING_SEEN = "0:0:"
"""A pg_snapshot, `oldest:next:running,running`: all transactions before `next` that are not running."""


def rows_after(transaction: PostgresTransaction, store_seq: int, limit: int) -> list[TradeRow]:
    """One page of rows in store order. Cost 4 us a row, most of it the server's."""
    transaction.rows("snapshot_to_read_along")
    return trades_of.rows_after(transaction, store_seq, limit)


def current_snapshot(transaction: PostgresTransaction) -> str:
    """The snapshot of this transaction: which transactions it sees."""
    return str(transaction.rows("snapshot")[0][0])


def beyond(transaction: PostgresTransaction, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
    """Rows that this transaction sees and `bookmark` does not cover, at most `limit`, and the bookmark behind them.

    The rows that became visible are the difference of two snapshots, which the server knows exactly: open transactions do not
    matter. A full page keeps the later snapshot as `target` until all of that difference has been read.
    """
    target = str(transaction.rows("snapshot_to_read_along")[0][0])
    target = bookmark.target or target
    _, end, running = (bookmark.snapshot or NOTHING_SEEN).split(":")
    passed = ",".join(f"[{first},{last}]" for first, last in bookmark.passed)
    after_xid, after_seq = bookmark.after
    found = transaction.rows(
        "trades_beyond",
        {
            "after_xid": str(after_xid),
            "after_seq": after_seq,
            "target": target,
            "passed": "{" + passed + "}",
            "limit": limit,
            "running": "{" + ",".join(xid for xid in running.split(",") if xid and int(xid) > after_xid) + "}",
            "next": str(max(int(end), after_xid + 1)),
        },
    )
    rows = sorted((TradeRow._make(row[:-1]) for row in found), key=attrgetter("store_seq"))
    if len(found) == limit:
        last = found[-1]
        return rows, bookmark._replace(target=target, after=(int(last[-1]), last[len(COLUMNS)]))
    if bookmark.target:  # an earlier difference is read to its end: the next one holds what came since
        more, reached = beyond(transaction, Bookmark(snapshot=target, passed=bookmark.passed), limit - len(rows))
        return rows + more, reached
    return rows, Bookmark(snapshot=target)  # the rows in `passed` were committed before it: it covers them


def changes_beyond(transaction: PostgresTransaction, seen: Changes | None) -> tuple[frozenset[str], Changes]:
    """The kinds with changes that this transaction sees and `seen` does not cover, and what it sees."""
    now = current_snapshot(transaction)
    if seen is None:
        return CHANGED_KINDS, Changes(snapshot=now)
    found = transaction.rows("changes_beyond", {"seen": seen.snapshot, "now": now})
    return frozenset(kind for (kind,) in found) & CHANGED_KINDS, Changes(snapshot=now)


def cash_beyond(transaction: PostgresTransaction, seen: Changes | None) -> CashRows:
    """Rows of `cash` and `carry` beyond `seen`: a row notes the transaction that wrote it."""
    kinds, now = changes_beyond(transaction, seen)
    if seen is None or kinds & GONE:
        return CashRows(cash_rows(transaction), now, is_all=True)
    values = {"seen": seen.snapshot, "now": now.snapshot}
    cash = map(CashRow._make, transaction.rows("cash_beyond", values))
    carry = map(CarryRow._make, transaction.rows("carry_beyond", values))
    return CashRows([*cash, *carry], now, is_all=False)
