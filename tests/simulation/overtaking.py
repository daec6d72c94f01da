"""A store whose transactions overtake each other, as PostgreSQL's do: a row that took its number early may be committed late.

SQLite has one writer at a time, so its bookmark is a number. Here the bookmark counts rows in the order in which they became
visible, behind the same protocol; everything else is the real store.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from riskengine.store.results import Bookmark
from riskengine.store.sqlite.store import SqliteStore
from riskengine.store.tables import trades as trades_of
from riskengine.store.trade_rows import TradeRow


class Visible:
    """In which order rows became visible; kept outside the store, as a server keeps its transactions."""

    def __init__(self) -> None:
        self._place: dict[int, int] = {}

    def forget(self) -> None:
        """The store is another one: its numbers are given out anew."""
        self._place.clear()

    def rows(self, store: SqliteStore) -> list[tuple[int, TradeRow]]:
        """All rows that are visible now, with their places."""
        rows = store._read(trades_of.rows_after, 0, -1)
        for row in rows:
            self._place.setdefault(row.store_seq, len(self._place) + 1)
        return [(self._place[row.store_seq], row) for row in rows]

    def bookmark(self, store: SqliteStore) -> Bookmark:
        return Bookmark(max((place for place, _ in self.rows(store)), default=0))

    def beyond(self, store: SqliteStore, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        def is_passed(store_seq: int) -> bool:
            return any(first <= store_seq <= last for first, last in bookmark.passed)

        behind = sorted(found for found in self.rows(store) if found[0] > bookmark.store_seq)
        new = [found for found in behind if not is_passed(found[1].store_seq)][:limit]
        at = new[-1][0] if len(new) == limit else max((place for place, _ in behind), default=bookmark.store_seq)
        passed = tuple(part for part in bookmark.passed if any(place > at and row.store_seq >= part[0] for place, row in behind))
        return [row for _, row in new], Bookmark(at, passed=passed)


@contextmanager
def overtaking(visible: Visible) -> Iterator[None]:
    """Inside the block stores follow rows in the order in which they became visible."""

    def bookmark(self: Any) -> Bookmark:
        return visible.bookmark(self)

    def beyond(self: Any, at: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        return visible.beyond(self, at, limit)

    with mock.patch.object(SqliteStore, "bookmark", bookmark), mock.patch.object(SqliteStore, "trades_beyond", beyond):
        yield
