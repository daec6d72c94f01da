"""Trades appended to PostgreSQL and followed there, inside the caller's transaction."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from riskengine.adapters.postgres_connection import PostgresSession
from riskengine.adapters.store_protocol import Position, Stored
from riskengine.adapters.store_trades import IDENTITY, repeated
from riskengine.adapters.trade_rows import RowValues, TradeRow, row_values
from riskengine.messages import Trade


def append(session: PostgresSession, trades: Sequence[Trade]) -> tuple[list[Stored], int | None]:
    """Insert in order, in the open transaction, and the transaction's number (None: nothing was inserted).

    All in one statement, which passes over what is stored already. Cost 30 us a trade, most of it the server's.
    """
    rows = [row_values(trade) for trade in trades]
    numbers: dict[RowValues, int] = {}
    xid: int | None = None
    for *identity, store_seq, written_xid in session.rows("trades_insert", columns_of(rows)):
        numbers[tuple(identity)], xid = store_seq, int(written_xid)
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
    return [result for result in results if result is not None], xid


def _standing(session: PostgresSession, identities: Sequence[RowValues]) -> dict[RowValues, TradeRow]:
    found = session.rows("trades_by_version", columns_of(identities))
    return {row[IDENTITY]: TradeRow._make(row) for row in found}


def columns_of(rows: Sequence[RowValues]) -> list[list[str | int | None]]:
    """Rows turned into one array for each column."""
    return list(map(list, zip(*rows, strict=True)))


NOTHING_SEEN = "0:0:"


class Snapshot(NamedTuple):
    """What somebody sees who looks now: every transaction before `next` that is not `running`."""

    next: int
    running: frozenset[int]

    def sees(self, xid: int) -> bool:
        """Whether what the transaction wrote was committed, or at least ended, by then."""
        return xid < self.next and xid not in self.running


def parsed(snapshot: str) -> Snapshot:
    """A pg_snapshot's text, `oldest:next:running,running`."""
    _, end, running = snapshot.split(":")
    return Snapshot(int(end), frozenset(map(int, running.split(","))) if running else frozenset())


def current_snapshot(session: PostgresSession) -> str:
    """What this transaction sees."""
    return str(session.rows("snapshot")[0][0])


def beyond(
    session: PostgresSession, position: Position, limit: int, ours: Collection[int]
) -> tuple[list[TradeRow], Position]:
    """Rows that `position` does not cover and this transaction sees, without those of transactions `ours`.

    What became visible is the difference of two snapshots, which the server states exactly, so nothing that is still under way
    matters. A page that is full fixes the later snapshot until all of the difference has been read.
    """
    target = position.target or current_snapshot(session)
    before = parsed(position.snapshot or NOTHING_SEEN)
    found = session.rows("trades_beyond", {
        "running": "{" + ",".join(map(str, before.running)) + "}", "next": str(before.next), "target": target,
        "after_xid": str(position.after[0]), "after_seq": position.after[1],
        "ours": "{" + ",".join(map(str, ours)) + "}", "limit": limit,
    })  # fmt: skip
    rows = [TradeRow._make(row[:-1]) for row in found]
    if len(found) < limit:
        return rows, Position(snapshot=target)
    last = (int(found[-1][-1]), rows[-1].store_seq)
    return rows, Position(snapshot=position.snapshot, target=target, after=last)
