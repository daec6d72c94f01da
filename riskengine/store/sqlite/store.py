"""The store in one SQLite file: its connections, transactions and lease.

One connection writes, with `synchronous = FULL`: a commit that returned is on the disk. Every reading thread has a connection of
its own; with the write-ahead log readers and the writer do not wait for each other. Other programs may write the same file: each
waits for the other's transaction, at most `BUSY_TIMEOUT_MS`.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Concatenate, ParamSpec, TypeVar

from riskengine.errors import StoreError, StoreUnavailable, StoreWentBack
from riskengine.records.types import Trade
from riskengine.store.audit_trail import EPOCH_KEY
from riskengine.store.queries import Transaction
from riskengine.store.results import CHANGED_KINDS, Bookmark, CashRows, Changes, Stored
from riskengine.store.sql_store import SqlStore
from riskengine.store.sqlite import trades as sqlite_trades
from riskengine.store.sqlite.connection import (
    SqliteTransaction,
    check_and_migrate,
    check_path,
    connect,
    file_identity,
    file_size,
    log_identity,
    store_error,
    translate_errors,
)
from riskengine.store.sqlite.examination import Examination
from riskengine.store.sqlite.lease import WriterLease
from riskengine.store.standing import RESUME
from riskengine.store.tables import reference
from riskengine.store.tables import trades as trades_of
from riskengine.store.trade_rows import TradeRow

PAGE_ROWS = 5_000
CLOSE_WAIT_S = 2.0
"""How long closing waits for reads on other threads, which it interrupts. What then still reads closes its connection itself."""
_KEEP_CONNECTION = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT})
"""Errors that leave the write connection usable; after any other it is opened anew."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqliteStore(SqlStore):
    """Implements `protocol.Store`; made by `SqliteStore.open`."""

    def __init__(self, path: str, writer: sqlite3.Connection | None) -> None:
        self.name = path
        self._writer = writer
        self._writes = writer is not None
        self._file = file_identity(path)
        self._size = file_size(path)
        self._log = log_identity(path) if writer is not None else None
        self._is_replaced = False
        self._write_thread: int | None = None
        self._lease: WriterLease | None = None
        self._epoch: int | None = None
        self._beside: Examination | None = None
        self._closed = False
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._reading: list[sqlite3.Connection] = []
        self._readers_changed = threading.Condition()
        """Guards both lists; notified when a read ends. SQLite crashes if a connection is closed while a thread reads on it."""

    @classmethod
    def open(
        cls,
        path: str,
        *,
        create: bool,
        read_only: bool,
        writer: str | None = None,
        entering: Callable[[str], None],
        examine: bool = True,
        beside: Examination | None = None,
    ) -> "SqliteStore":
        """Open, check and migrate the file, and take the lease if `writer` names a holder. Arguments and errors: `open_store`."""
        path = os.path.abspath(path)
        entering("lease")
        check_path(path, create=create)
        lease = None if writer is None else WriterLease(path, writer)
        try:
            entering("schema")
            store = cls._open_checked(path, create=create, read_only=read_only, examine=examine, beside=beside)
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        store._lease = lease
        return store

    @classmethod
    def _open_checked(
        cls, path: str, *, create: bool, read_only: bool, examine: bool, beside: Examination | None
    ) -> "SqliteStore":
        with translate_errors(path):
            connection = connect(path, "ro" if read_only else "rwc" if create else "rw")
            try:
                if beside is not None and beside.begin(connection, path):
                    examine = False
                check_and_migrate(connection, path, create=create, read_only=read_only, examine=examine)
                store = cls(path, None if read_only else connection)
                store._beside = beside
            except BaseException:
                if beside is not None:
                    beside.close()
                connection.close()
                raise
        if read_only:
            connection.close()
        return store

    def close(self) -> None:
        self._closed = True
        if self._beside is not None:
            self._beside.close()
        with self._readers_changed:
            for reading in self._reading:
                reading.interrupt()
            self._readers_changed.wait_for(lambda: not self._reading, CLOSE_WAIT_S)
            connections = [*(each for each in self._readers if each not in self._reading), self._writer]
            if self._is_replaced:
                # The last connection copies its log into the file. One that only reads cannot: what was put there stays as it is.
                connections.reverse()
            self._readers, self._writer = [], None
        for connection in connections:
            if connection is not None:
                with suppress(sqlite3.Error):  # committed data is safe, whatever closing raises
                    connection.close()
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    # -- the one writer --------------------------------------------------------------------------------------------

    def acquire_writer(self, holder: str) -> None:
        assert self._lease is None, "this store object holds the lease already"
        self._check_open()
        self._lease = WriterLease(self.name, holder)

    # -- writing ---------------------------------------------------------------------------------------------------

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        if not trades:
            return []
        with self._transaction() as transaction:
            return self._append(transaction, trades)

    def _append(self, transaction: SqliteTransaction, trades: Sequence[Trade]) -> list[Stored]:
        return sqlite_trades.append(transaction, trades, self._trail(transaction))

    @contextmanager
    def _transaction(self) -> Iterator[SqliteTransaction]:
        """The write connection inside a transaction: durable when the block ends; after an error it has changed nothing."""
        connection = self._write_connection()
        self._open_trail = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteTransaction(connection)
            connection.execute("COMMIT")
            self._note_committed()
        except sqlite3.Error as error:
            self._abandon(connection, error)
            raise store_error(self.name, error) from error
        except BaseException as error:
            self._abandon(connection, error)
            raise

    def _write_connection(self) -> sqlite3.Connection:
        thread = threading.get_ident()
        if self._write_thread is None:
            self._write_thread = thread
        assert thread == self._write_thread, "two threads write to one store"
        self._check_open()
        if not self._writes:
            raise StoreError(f"store {self.name} is open for reading only")
        self._check_file()
        if self._writer is None:
            with translate_errors(self.name):
                self._writer = connect(self.name, "rw")
            self._log = log_identity(self.name)
        return self._writer

    def _check_file(self) -> None:
        """Raise StoreUnavailable if the file is gone, StoreWentBack if another one or another log is in its place. Cost 4 us.

        A file that is smaller than before, though the store has as many pages as before, was copied over (a VACUUM by somebody
        else makes both smaller).

        SQLite goes on writing to a file or a log that was deleted or replaced, and those commits are lost.
        """
        if file_identity(self.name) != self._file:
            raise self._replaced("was replaced by another file")
        size = file_size(self.name)
        if size < self._size and self._store_bytes() >= self._size:
            raise self._replaced(f"shrank from {self._size:,} to {size:,} bytes, as if a copy had been written over it,")
        self._size = size
        if self._writer is not None and self._log is not None and log_identity(self.name) != self._log:
            raise self._replaced("lost its write-ahead log, as if a copy had been put in its place,")

    def _store_bytes(self) -> int:
        """How large the store is by its own count of pages, those in the log included. 0 before the first write."""
        if self._writer is None:
            return 0
        with translate_errors(self.name):
            pages, page_bytes = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * page_bytes)

    def _replaced(self, what: str) -> StoreWentBack:
        self._is_replaced = True
        return StoreWentBack(f"store {self.name} {what} while in use. Stop this engine, then {RESUME}")

    def check_standing(self, watermark: int) -> None:
        self._check_file()
        super().check_standing(watermark)

    def _abandon(self, connection: sqlite3.Connection, error: BaseException) -> None:
        """Roll back. Close the connection after an error that may have broken it, or where it stays in its transaction."""
        doubtful = isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in _KEEP_CONNECTION
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            doubtful = True
        if doubtful:
            self._writer = None
            with suppress(sqlite3.Error):
                connection.close()

    def _check_epoch(self, transaction: Transaction) -> None:
        """A writer that was paused for long must not write once another has taken the lease."""
        if self._epoch is not None:
            self._expect_epoch(int(reference.get_meta(transaction, EPOCH_KEY) or 0))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"store {self.name} is closed")

    # -- following what others write -------------------------------------------------------------------------------

    rings = False

    def wait_for_news(self, timeout_s: float) -> bool:
        self._check_open()
        time.sleep(timeout_s)
        return False

    def bookmark(self) -> Bookmark:
        return Bookmark(store_seq=self.watermark())

    def trades_beyond(self, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        return self._read(sqlite_trades.beyond, bookmark, limit)

    def changes_beyond(self, seen: Changes | None) -> tuple[frozenset[str], Changes]:
        now = Changes(counts=tuple(self._read(lambda transaction: transaction.rows("change_counts"))))
        if seen is None:
            return CHANGED_KINDS, now
        return frozenset(kind for kind, _ in set(now.counts) - set(seen.counts)) & CHANGED_KINDS, now

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        return self._read(sqlite_trades.cash_beyond, seen)

    def _forget_changes(self, transaction: Transaction) -> None:
        """Counters take no room."""

    # -- reading ---------------------------------------------------------------------------------------------------

    def trades_after(self, store_seq: int, limit: int | None = None) -> Iterator[TradeRow]:
        left = -1 if limit is None else limit
        while left:
            page = self._read(trades_of.rows_after, store_seq, PAGE_ROWS if left < 0 else min(left, PAGE_ROWS))
            if not page:
                return
            yield from page
            store_seq = page[-1].store_seq
            left = left if left < 0 else left - len(page)

    def ping(self) -> None:
        self._check_file()
        self._read(reference.get_meta, EPOCH_KEY)

    def _read(self, query: Callable[Concatenate[Transaction, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of `query` on one committed state, read on this thread's own connection."""
        with translate_errors(self.name), self._reader() as connection:
            connection.execute("BEGIN")
            try:
                return query(SqliteTransaction(connection), *args, **kwargs)
            except sqlite3.OperationalError:
                self._check_open()  # who closes the store interrupts its reads
                raise
            finally:
                self._end_read(connection)

    def _end_read(self, connection: sqlite3.Connection) -> None:
        """End a read. Where that fails the connection would read one state for good: the thread's next read opens another."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._local.connection = None
            with self._readers_changed:
                self._readers = [each for each in self._readers if each is not connection]

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """This thread's own connection, which nobody closes meanwhile. A thread reads one thing at a time."""
        self._check_open()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self.name, "ro")
            with self._readers_changed:
                if self._closed:
                    connection.close()
                self._readers.append(connection)
        with self._readers_changed:
            self._check_open()
            self._reading.append(connection)
        try:
            yield connection
        finally:
            with self._readers_changed:
                self._reading.remove(connection)
                if connection not in self._readers:  # it could not end its read, or closing no longer waited for it
                    connection.close()
                self._readers_changed.notify_all()
