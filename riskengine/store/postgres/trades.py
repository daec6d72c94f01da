"""Trades appended to PostgreSQL and followed there, inside the caller's transaction."""

from collections.abc import Sequence
from operator import attrgetter

from riskengine.records.types import Trade
from riskengine.store.audit_trail import Trail, cursors_of
from riskengine.store.postgres.connection import PostgresSession
from riskengine.store.results import Bookmark, Stored
from riskengine.store.tables import trades as trades_of
from riskengine.store.tables.trades import IDENTITY, repeated
from riskengine.store.trade_rows import RowValues, TradeRow, row_values


def append(session: PostgresSession, trades: Sequence[Trade], trail: Trail) -> list[Stored]:
    """Insert in order, in the open transaction, with the entry in the trail and the cursors of their sources.

    All in one statement, which passes over what is stored already. Cost 30 us a trade, most of it the server's. Raises
    psycopg.Error, LeaseHeld.
    """
    rows = [row_values(trade) for trade in trades]
    numbers = {tuple(identity): store_seq for *identity, store_seq in session.rows("trades_insert", columns_of(rows))}
    results: list[Stored | None] = []
    known: list[int] = []
    for place, row in enumerate(rows):
        number = numbers.pop(row[IDENTITY], None)
        if number is None:
            known.append(place)
        results.append(None if number is None else Stored(number, "inserted"))
    if known:
        standing = _standing(session, [rows[place][IDENTITY] for place in known])
        for place in known:
            results[place] = repeated(session, trades[place], rows[place], standing[rows[place][IDENTITY]])
    new = [(one.store_seq, row) for one, row in zip(results, rows, strict=True) if one is not None and one.outcome == "inserted"]
    trail.trades(sorted(new), cursors_of(rows))
    return [result for result in results if result is not None]


def _standing(session: PostgresSession, identities: Sequence[RowValues]) -> dict[RowValues, TradeRow]:
    found = session.rows("trades_by_version", columns_of(identities))
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


def rows_after(session: PostgresSession, store_seq: int, limit: int) -> list[TradeRow]:
    """One page of rows in store order. Cost 4 us a row, most of it the server's."""
    session.rows("snapshot_to_read_along")
    return trades_of.rows_after(session, store_seq, limit)


def current_snapshot(session: PostgresSession) -> str:
    """What this transaction sees."""
    return str(session.rows("snapshot")[0][0])


def beyond(session: PostgresSession, position: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
    """Rows that `position` does not cover and this transaction sees.

    What became visible is the difference of two snapshots, which the server states exactly, so nothing that is still under way
    matters. A page that is full fixes the later snapshot until all of that difference has been read.
    """
    target = str(session.rows("snapshot_to_read_along")[0][0])
    target = position.target or target
    _, end, running = (position.snapshot or NOTHING_SEEN).split(":")
    passed = ",".join(f"[{first},{last}]" for first, last in position.passed)
    after_xid, after_seq = position.after
    found = session.rows(
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
        return rows, position._replace(target=target, after=(int(last[-1]), last[-3]))
    if position.target:  # all of an earlier difference: what came while it was read is next
        more, reached = beyond(session, Bookmark(snapshot=target, passed=position.passed), limit - len(rows))
        return rows + more, reached
    return rows, Bookmark(snapshot=target)  # what the caller has passed was committed before, and lies in it
