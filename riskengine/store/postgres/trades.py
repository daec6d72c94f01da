"""Trades appended to PostgreSQL and followed there, inside the caller's transaction."""

from collections.abc import Sequence
from operator import attrgetter

from riskengine.records.types import Trade
from riskengine.store.audit_trail import Trail, cursors_of
from riskengine.store.postgres.connection import PostgresTransaction
from riskengine.store.results import Bookmark, Stored
from riskengine.store.tables import trades as trades_of
from riskengine.store.tables.trades import IDENTITY, store_repeat
from riskengine.store.trade_rows import RowValues, TradeRow, row_values


def append(transaction: PostgresTransaction, trades: Sequence[Trade], trail: Trail) -> list[Stored]:
    """Insert in order, in the open transaction, with the entry in the trail and the cursors of their sources.

    All in one statement, which passes over what is stored already. Cost 30 us a trade, most of it the server's. Raises
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
        standing = _standing(transaction, [rows[place][IDENTITY] for place in known])
        for place in known:
            results[place] = store_repeat(transaction, trades[place], rows[place], standing[rows[place][IDENTITY]])
    new = [(one.store_seq, row) for one, row in zip(results, rows, strict=True) if one is not None and one.outcome == "inserted"]
    trail.trades(sorted(new), cursors_of(rows))
    return [result for result in results if result is not None]


def _standing(transaction: PostgresTransaction, identities: Sequence[RowValues]) -> dict[RowValues, TradeRow]:
    found = transaction.rows("trades_by_version", columns_of(identities))
    return {row[IDENTITY]: TradeRow._make(row) for row in found}


def columns_of(rows: Sequence[RowValues]) -> list[str]:
    """Rows turned into one array literal for each column: the driver's own way to write arrays takes ten times as long."""
    return [array_literal(column) for column in zip(*rows, strict=True)]


def array_literal(values: Sequence[str | int | None]) -> str:
    """PostgreSQL's text for an array. Example: `{"FX1","A B",NULL}`; numbers may stand in quotes too."""
    try:
        joined = '","'.join(values)  # type: ignore[arg-type]
    except TypeError:  # numbers, or one is missing
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
    """What this transaction sees."""
    return str(transaction.rows("snapshot")[0][0])


def beyond(transaction: PostgresTransaction, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
    """Rows that `bookmark` does not cover and this transaction sees.

    What became visible is the difference of two snapshots, which the server states exactly, so nothing that is still under way
    matters. A page that is full fixes the later snapshot until all of that difference has been read.
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
        return rows, bookmark._replace(target=target, after=(int(last[-1]), last[-3]))
    if bookmark.target:  # all of an earlier difference: what came while it was read is next
        more, reached = beyond(transaction, Bookmark(snapshot=target, passed=bookmark.passed), limit - len(rows))
        return rows + more, reached
    return rows, Bookmark(snapshot=target)  # what the caller has passed was committed before, and lies in it
