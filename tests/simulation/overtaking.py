"""A store whose transactions overtake each other, as PostgreSQL's do: a row that took its number early may be committed late.

SQLite has one writer at a time, so its bookmark is a number. Here the bookmark counts rows in the order in which they became
visible, behind the same protocol; everything else is the real store.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from riskengine.store.results import Bookmark
from riskengine.store.sqlite.store import SqliteStore
from riskengine.store.tables import trades as trades_of
from riskengine.store.trade_rows import TradeRow

NEWEST = 2**62
"""Above every store_seq."""


class Visible:
    """In which order rows became visible; kept outside the store, as a server keeps its transactions."""

    def __init__(self) -> None:
        self._order: list[int] = []
        self._place: dict[int, int] = {}

    def forget(self) -> None:
        """The store is another one: its numbers are given out anew."""
        self._order.clear()
        self._place.clear()

    def look(self, connection: sqlite3.Connection) -> None:
        """What is committed now became visible before whatever comes later."""
        ask = partial(sqlite3.Connection.execute, connection)  # no statement of the engine: no fault comes in front of it
        if ask("SELECT count(*) FROM trades").fetchall()[0][0] != len(self._order):
            for (store_seq,) in ask("SELECT store_seq FROM trades ORDER BY store_seq").fetchall():
                if store_seq not in self._place:
                    self._order.append(store_seq)
                    self._place[store_seq] = len(self._order)

    def bookmark(self, store: SqliteStore) -> Bookmark:
        """Behind all that is visible now."""

        def ask(transaction: Any) -> Bookmark:
            self.look(transaction.connection)
            trades_of.rows_after(transaction, NEWEST, 1)  # a statement, as any bookmark costs
            return Bookmark(len(self._order))

        return store._read(ask)

    def beyond(self, store: SqliteStore, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        """Rows behind a bookmark, in the order in which they became visible, and the bookmark behind them."""
        return store._read(self._beyond, bookmark, limit)

    def _beyond(self, transaction: Any, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        self.look(transaction.connection)
        behind, passed = self._order[bookmark.store_seq :], bookmark.passed
        new = [one for one in behind if not any(first <= one <= last for first, last in passed)][:limit]
        rows = {row.store_seq: row for row in trades_of.rows_after(transaction, min(new, default=NEWEST) - 1, -1)}
        at = self._place[new[-1]] if len(new) == limit else bookmark.store_seq + len(behind)
        left = tuple(part for part in passed if any(self._place[one] > at and one >= part[0] for one in behind))
        return [rows[store_seq] for store_seq in new], Bookmark(at, passed=left)


@contextmanager
def overtaking(visible: Visible) -> Iterator[None]:
    """Inside the block stores follow rows in the order in which they became visible."""

    def bookmark(self: Any) -> Bookmark:
        return visible.bookmark(self)

    def beyond(self: Any, at: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        return visible.beyond(self, at, limit)

    with mock.patch.object(SqliteStore, "bookmark", bookmark), mock.patch.object(SqliteStore, "trades_beyond", beyond):
        yield
