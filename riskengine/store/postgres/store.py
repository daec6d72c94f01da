"""The store in a PostgreSQL database: threads, connections, transactions and the lease.

One connection writes: a commit that returned is on the server's disk. Reads share a few connections, each call in one
repeatable-read transaction. When a connection breaks, the call in progress raises StoreUnavailable and the next call connects
again. A commit in progress may have succeeded all the same: the caller can repeat `append_trades`, or read `trades_beyond`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Concatenate, ParamSpec, TypeVar

import psycopg

from riskengine.config import without_password
from riskengine.errors import StoreError, StoreUnavailable
from riskengine.records.types import Trade
from riskengine.store.audit_trail import EPOCH_KEY
from riskengine.store.postgres import trades as postgres_trades
from riskengine.store.postgres.connection import (
    Connection,
    PostgresTransaction,
    connect,
    connection_lost,
    conninfo,
    roll_back,
    store_error,
    translate_errors,
)
from riskengine.store.postgres.lease import SessionLease, UnsharedConnection
from riskengine.store.postgres.schema import check_and_migrate, check_server
from riskengine.store.queries import Transaction
from riskengine.store.results import Bookmark, CashRows, Changes, Stored
from riskengine.store.sql_store import SqlStore
from riskengine.store.tables import reference
from riskengine.store.trade_rows import TradeRow

PAGE_ROWS = 5_000
_FAR = 2**63 - 1
MAX_IDLE_READERS = 4
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class PostgresStore(SqlStore):
    """Implements `protocol.Store`; made by `PostgresStore.open`."""

    rings = True

    def __init__(self, name: str, info: str, writer: Connection | None) -> None:
        self.name = name
        self._info = info
        self._writes = writer is not None
        self._write = UnsharedConnection()
        self._write.connection = writer
        self._write_thread: int | None = None
        self._lease: SessionLease | None = None
        self._epoch: int | None = None
        self._closed = False
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._lock = threading.Lock()
        self._listener: Connection | None = None
        self._listener_lock = threading.Lock()
        self._rings_in: set[str | None] = set()  # our schema; "" is the bell of a schema whose triggers are older

    @classmethod
    def open(
        cls, url: str, *, create: bool, read_only: bool, writer: str | None = None, entering: Callable[[str], None]
    ) -> "PostgresStore":
        """Connect, check and migrate, and take the lease if `writer` names a holder. Arguments and errors: `open_store`."""
        name = without_password(url)
        info = conninfo(url, name)
        lease = None if writer is None else SessionLease(name, writer)
        entering("lease")
        with translate_errors(name):
            connection = connect(info, read_only=read_only)
            try:
                check_server(connection, name)
                if lease is not None:
                    lease.take(connection)
                entering("schema")
                check_and_migrate(connection, name, create=create, read_only=read_only)
                if lease is not None:
                    lease.sign(connection)
            except BaseException:
                connection.close()
                raise
        if read_only:
            connection.close()
        store = cls(name, info, None if read_only else connection)
        store._lease = lease
        return store

    def close(self) -> None:
        self._closed = True
        with self._lock:
            idle, self._idle = self._idle, []
            for connection in self._busy:  # the thread that uses it closes it
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=1.0)
        for connection in idle:
            connection.close()
        if self._write.connection is not None:
            with suppress(psycopg.Error):  # closing releases the lease too, but only after this returns
                self._write.connection.execute("SELECT pg_advisory_unlock_all()")
            self._write.connection.close()
            self._write.connection = None
        self._drop_listener()

    # -- the one writer --------------------------------------------------------------------------------------------

    def acquire_writer(self, holder: str) -> None:
        assert self._lease is None, "this store object holds the lease already"
        lease = SessionLease(self.name, holder)
        with translate_errors(self.name):
            lease.take(self._write_connection())
        self._lease = lease

    # -- writing ---------------------------------------------------------------------------------------------------

    def append_trades(self, trades: Sequence[Trade]) -> list[Stored]:
        if not trades:
            return []
        with self._transaction() as transaction:
            return self._append(transaction, trades)

    def _append(self, transaction: PostgresTransaction, trades: Sequence[Trade]) -> list[Stored]:
        return postgres_trades.append(transaction, trades, self._trail(transaction))

    @contextmanager
    def _transaction(self) -> Iterator[PostgresTransaction]:
        """The write connection inside a transaction: durable when the block ends; after an error it has changed nothing.

        After an error while it commits it is either.
        """
        thread = threading.get_ident()
        if self._write_thread is None:
            self._write_thread = thread
        assert thread == self._write_thread, "two threads write to one store"
        connection = self._begin()
        self._open_trail = None
        try:
            yield PostgresTransaction(connection)
            if connection.execute("COMMIT").statusmessage != "COMMIT":
                raise StoreError(f"store {self.name} rolled back a transaction instead of committing it")
            self._note_committed()
        except psycopg.Error as error:
            roll_back(connection)
            raise self._translate(error) from error
        except BaseException:
            roll_back(connection)
            raise

    def _begin(self) -> Connection:
        """The write connection, with a transaction begun. Replaces a connection that broke while it was idle."""
        reused = self._write.connection is not None
        connection = self._write_connection()
        try:
            connection.execute("BEGIN")
        except psycopg.Error as error:
            if not (reused and connection_lost(connection, error)):
                roll_back(connection)
                raise self._translate(error) from error
            connection = self._write_connection()
            with translate_errors(self.name):
                connection.execute("BEGIN")
        return connection

    def _write_connection(self) -> Connection:
        self._check_open()
        if not self._writes:
            raise StoreError(f"store {self.name} is open for reading only")
        connection = self._write.connection
        if connection is None or connection.closed:
            self._write.connection = None
            with translate_errors(self.name):
                connection = connect(self._info, read_only=False)
                try:
                    if self._lease is not None:
                        self._lease.take(connection)
                except BaseException:
                    connection.close()
                    raise
            self._write.connection = connection
        return connection

    def _check_epoch(self, transaction: Transaction) -> None:
        """A writer that was paused for long must not write once another has taken the lease.

        The row stays locked until the commit: no newer epoch can begin in between.
        """
        if self._epoch is not None:
            found = transaction.rows("meta_hold", (EPOCH_KEY,))
            self._expect_epoch(int(found[0][0]) if found else 0)

    def _translate(self, error: psycopg.Error) -> StoreError:
        return self._closed_error() if self._closed else store_error(self.name, error)

    def _closed_error(self) -> StoreUnavailable:
        return StoreUnavailable(f"store {self.name} is closed")

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    # -- following what others write -------------------------------------------------------------------------------

    def bookmark(self) -> Bookmark:
        return Bookmark(snapshot=self._read(postgres_trades.current_snapshot))

    def trades_beyond(self, bookmark: Bookmark, limit: int) -> tuple[list[TradeRow], Bookmark]:
        return self._read(postgres_trades.beyond, bookmark, limit)

    def changes_beyond(self, seen: Changes | None) -> tuple[frozenset[str], Changes]:
        return self._read(postgres_trades.changes_beyond, seen)

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        return self._read(postgres_trades.cash_beyond, seen)

    def _forget_changes(self, transaction: Transaction) -> None:
        transaction.run("changes_forget", [()])

    def wait_for_news(self, timeout_s: float) -> bool:
        self._check_open()
        try:
            with self._listener_lock:
                return self._listen(timeout_s)
        finally:
            if self._closed:
                self._drop_listener()

    def _listen(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        try:
            if self._listener is None:
                self._listener = connect(self._info, read_only=True)
                found = self._listener.execute("SELECT current_schema()").fetchone()
                self._rings_in = {"", *(found or ())}
                self._listener.execute("LISTEN riskengine_trades")  # what the server shows as this session's query
                return True  # nobody listened before: there may be rows
            while not self._closed and (left := deadline - time.monotonic()) > 0:
                for notification in self._listener.notifies(timeout=left, stop_after=1):
                    if notification.pid != self._write_backend() and notification.payload in self._rings_in:
                        return True
        except psycopg.Error as error:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            raise self._translate(error) from error
        return False

    def _write_backend(self) -> int | None:
        """The server's process of our write connection: its notifications are about our own writes."""
        connection = self._write.connection
        return None if connection is None or connection.closed else connection.info.backend_pid

    def _drop_listener(self) -> None:
        """Close the listening connection, unless a thread waits on it, which then closes it."""
        if self._listener_lock.acquire(blocking=False):
            try:
                if self._listener is not None:
                    self._listener.close()
                    self._listener = None
            finally:
                self._listener_lock.release()

    # -- reading ---------------------------------------------------------------------------------------------------

    def trades_after(self, store_seq: int, limit: int | None = None) -> Iterator[TradeRow]:
        left = _FAR if limit is None else limit
        page = self._page(store_seq, left)
        with ThreadPoolExecutor(1, "riskengine-read-ahead") as ahead:  # the server reads the next page meanwhile
            while page:
                store_seq, left = page[-1].store_seq, left - len(page)
                coming = ahead.submit(self._page, store_seq, left) if len(page) == PAGE_ROWS else None
                yield from page
                page = coming.result() if coming is not None else self._page(store_seq, left)

    def _page(self, store_seq: int, left: int) -> list[TradeRow]:
        return self._read(postgres_trades.rows_after, store_seq, min(left, PAGE_ROWS)) if left else []

    def ping(self) -> None:
        self._read(reference.get_meta, EPOCH_KEY)

    def _read(self, query: "Callable[Concatenate[PostgresTransaction, _P], _T]", *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of `query` on one committed state. Replaces a connection that broke while it was idle."""
        connection, reused = self._borrow()
        try:
            try:
                connection.execute(_READ)
            except psycopg.Error as error:
                if not (reused and connection_lost(connection, error)):
                    raise
                self._give_back(connection)
                connection, _ = self._borrow(fresh=True)
                connection.execute(_READ)
            return query(PostgresTransaction(connection), *args, **kwargs)
        except psycopg.Error as error:
            raise self._translate(error) from error
        finally:
            self._give_back(connection)

    def _borrow(self, *, fresh: bool = False) -> tuple[Connection, bool]:
        """A connection for this thread alone, and whether it was used before. `fresh`: close the idle ones and connect anew."""
        self._check_open()
        with self._lock:
            if fresh:  # the cause that broke one has broken the others
                stale, self._idle = self._idle, []
                for connection in stale:
                    connection.close()
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection, True
        with translate_errors(self.name):
            connection = connect(self._info, read_only=True)
        with self._lock:
            self._busy.add(connection)
        return connection, False

    def _give_back(self, connection: Connection) -> None:
        roll_back(connection)
        with self._lock:
            self._busy.discard(connection)
            if not self._closed and not connection.closed and len(self._idle) < MAX_IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()
