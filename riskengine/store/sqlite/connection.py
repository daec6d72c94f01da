"""Opens a SQLite file for the store, checks and migrates it, runs named queries, and translates SQLite's errors."""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from riskengine.clock import SystemClock
from riskengine.errors import StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from riskengine.records.numbers import Range
from riskengine.store.audit_chain import HEAD_KEY, AuditEntry
from riskengine.store.queries import Values, complete, load_migrations, load_queries

BUSY_TIMEOUT_MS = 5_000
WRITER_CACHE_KIB = 65_536
"""Holds the index of identities of 1 million trades: looking up an old one must not wait for the disk."""
READER_CACHE_KIB = 4_096
ROOM_BYTES = 65_536
"""A disk with less room than this is full: the shared-memory file grows by half of it."""
CHECKPOINT_PAGES = 4_000
"""16 MB of log before it is copied into the file: fewer, larger copies; a start reads at most about this much log."""

_QUERIES = load_queries("sqlite")
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_PROTOCOL: "is locked by another program",
    sqlite3.SQLITE_IOERR: "cannot be read or written (I/O error)",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: is its directory there and writable?",
    sqlite3.SQLITE_READONLY: "cannot be written: it or its directory is read-only",
    sqlite3.SQLITE_PERM: "cannot be opened: no permission",
    sqlite3.SQLITE_NOMEM: "cannot be used: out of memory",
}
_CORRUPT = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
}

Mode = Literal["ro", "rw", "rwc"]


def store_error(path: str, error: sqlite3.Error) -> StoreError:
    """The StoreError for an error of SQLite: one line that names the file and says who must act."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _CORRUPT:
        return StoreCorrupt(f"store {path} {_CORRUPT[primary]}")
    if primary == sqlite3.SQLITE_IOERR and is_full(path):  # SQLite's error if the shared-memory file finds no room
        primary = sqlite3.SQLITE_FULL
    if primary in _UNAVAILABLE:
        return StoreUnavailable(f"store {path} {_UNAVAILABLE[primary]}")
    if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
        return StoreUnavailable(f"store {path} is closed")
    return StoreError(f"store {path}: {error}")


@contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Run a block; raise SQLite's errors as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def connect(path: str, mode: Mode) -> sqlite3.Connection:
    """A connection without implicit transactions, with every setting that durability needs. Raises sqlite3.Error.

    The store itself keeps each connection to one thread. SQLite's own check is off: `close` closes all of them.
    """
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1_000,
    )
    try:
        if mode != "ro":
            _enable_wal(connection, path)
        for pragma in _pragmas(mode):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _pragmas(mode: Mode) -> list[str]:
    cache_kib = READER_CACHE_KIB if mode == "ro" else WRITER_CACHE_KIB
    settings = ["synchronous = FULL", "foreign_keys = ON", f"cache_size = -{cache_kib}"]
    settings.append(f"wal_autocheckpoint = {CHECKPOINT_PAGES}")
    if sys.platform == "darwin":  # there fsync alone does not reach the disk
        settings += ["fullfsync = ON", "checkpoint_fullfsync = ON"]
    if mode == "ro":
        settings.append("query_only = ON")
    return settings


def _enable_wal(connection: sqlite3.Connection, path: str) -> None:
    """Turn on write-ahead logging, a property of the file: readers and the writer then do not wait for each other.

    Of two programs that create the same file at once SQLite refuses one immediately, whatever its busy timeout, to avoid a
    deadlock. This function retries until BUSY_TIMEOUT_MS is over.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StoreUnavailable(f"store {path} is on a file system that cannot keep a write-ahead log (mode {mode})")


# -- queries -----------------------------------------------------------------------------------------------------


class SqliteTransaction:
    """A connection inside a transaction: implements `queries.Transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        text = complete(_QUERIES, query, where)
        try:
            return self.connection.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        # Another program wrote text that is not UTF-8: read the row all the same.
        self.connection.text_factory = _decode_leniently
        try:
            return self.connection.execute(text, values).fetchall()
        finally:
            self.connection.text_factory = str

    def raw_row(self, query: str, values: Values = ()) -> tuple[Any, ...]:
        self.connection.text_factory = bytes
        try:
            row: tuple[Any, ...] = self.connection.execute(_QUERIES[query], values).fetchone()
            return row
        finally:
            self.connection.text_factory = str

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        self.connection.executemany(_QUERIES[query], values)

    def array(self, values: Sequence[str] | Sequence[int]) -> str:
        return json.dumps(list(values))

    def save_entries(self, entries: Sequence[AuditEntry], head: str, next_runs: Mapping[str, Range], ts: int) -> Collection[str]:
        self.run("audit_insert", entries)
        self.run("meta_set", [(HEAD_KEY, head)])
        return ()  # here a second statement costs nothing


_NO_TEXT = {0xDC00 + byte: 0xF700 + byte for byte in range(0x80, 0x100)}


def _decode_leniently(raw: bytes) -> str:
    """Text with each undecodable byte as a private-use character: no valid name has one, and it can be encoded again."""
    return raw.decode("utf-8", "surrogateescape").translate(_NO_TEXT)


# -- schema ------------------------------------------------------------------------------------------------------

PUT_BACK = ": somebody changed it; put the column back or restore a backup"


@cache
def migrations() -> Mapping[int, tuple[str, str]]:
    """Number, file name and text of each migration, in order."""
    return load_migrations("sqlite")


def check_integrity(connection: sqlite3.Connection, path: str) -> None:
    """Check the whole file for damage. Cost 1.6 s for 1 million trades. Raises StoreCorrupt, sqlite3.Error."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"store {path} is damaged: restore it from a backup ({str(found).splitlines()[-1]})")


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file has every migration. Raises StoreCorrupt, sqlite3.Error."""
    return _schema_version(connection, path) == max(migrations())


def check_and_migrate(connection: sqlite3.Connection, path: str, *, create: bool, read_only: bool, examine: bool = True) -> None:
    """Refuse a damaged, foreign or newer file; apply missing migrations, each in one transaction.

    `examine` checks for damage first. Raises StoreCorrupt, StoreNewer, StoreError, sqlite3.Error.
    """
    if examine:
        check_integrity(connection, path)
    known = migrations()
    version = _schema_version(connection, path)
    if version == 0 and not create:
        raise StoreCorrupt(f"store {path} is empty: it holds no tables")
    if version > max(known):
        raise StoreNewer(
            f"store {path} was written by a newer version of riskengine (schema {version}, this one knows {max(known)}):"
            " install that version"
        )
    if version < max(known) and read_only:
        raise StoreError(f"store {path} has schema {version} and needs {max(known)}: open it for writing once")
    for number, (name, text) in known.items():
        if number > version:
            _apply(connection, path, number, name, text)
    _check_columns(connection, path)


def _schema_version(connection: sqlite3.Connection, path: str) -> int:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "schema_version" in tables:
        version = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0]
        return int(version)
    if tables:
        raise StoreCorrupt(f"store {path} is a SQLite database of something else: it has no table schema_version")
    return 0


def _apply(connection: sqlite3.Connection, path: str, number: int, name: str, text: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _schema_version(connection, path) < number:  # another process may have applied it
            for statement in _statements(text):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?, ?)", (number, name, SystemClock().now()))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(text: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` of sqlite3 commits before it starts."""
    waiting = ""
    for line in text.splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            yield waiting
            waiting = ""
    assert not waiting.strip(), f"unfinished statement: {waiting[:60]}"


def _check_columns(connection: sqlite3.Connection, path: str) -> None:
    """Compare with a newly made store: report a dropped table or column at the start, not in the middle of the day."""
    for table, columns in _columns_when_new().items():
        there = _columns(connection, table)
        if not there:
            raise StoreCorrupt(f"store {path}: table {table} is gone: restore a backup")
        if missing := columns - there:
            raise StoreCorrupt(f"store {path}: table {table} has no column {', '.join(sorted(missing))}{PUT_BACK}")


@cache
def _columns_when_new() -> Mapping[str, frozenset[str]]:
    """The columns of each table of a new store. The first call makes one in memory, 15 ms."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for _, text in migrations().values():
            for statement in _statements(text):
                fresh.execute(statement)
        tables = fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {table: frozenset(_columns(fresh, table)) for (table,) in tables}
    finally:
        fresh.close()


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


# -- files -------------------------------------------------------------------------------------------------------


def check_path(path: str, *, create: bool) -> None:
    """Report what is wrong with a path, in plainer words than SQLite's "unable to open". Raises StoreUnavailable."""
    try:
        if os.path.isdir(path):
            raise StoreUnavailable(f"store {path} is a directory, not a file")
        if os.path.exists(path):
            return
        parent = Path(path).parent
        if not create:
            raise StoreUnavailable(f"store {path} does not exist: name another one (`riskengine load` makes a new one)")
        if not parent.is_dir():
            reason = "is not a directory" if parent.exists() else "does not exist"
            raise StoreUnavailable(f"store {path} cannot be created: {parent} {reason}")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"store {path} cannot be created: no permission to write in {parent}")
    except OSError as error:
        raise StoreUnavailable(f"store {path} cannot be opened: {error.strerror}") from None


def is_full(path: str) -> bool:
    """Whether the disk of a file, existing or not, has no room left."""
    try:
        disk = os.statvfs(Path(path).parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < ROOM_BYTES


def file_identity(path: str) -> tuple[int, int]:
    """Device and inode of the file at a path. Raises StoreUnavailable if there is none. Cost 1 us."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise StoreUnavailable(f"store {path} is gone: {error.strerror}") from None
    return found.st_dev, found.st_ino


def file_size(path: str) -> int:
    """Bytes of the file at a path. Raises StoreUnavailable if there is none. Cost 1 us."""
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise StoreUnavailable(f"store {path} is gone: {error.strerror}") from None


def log_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the write-ahead log of the file at a path, None if there is none. Cost 1 us.

    While a connection is open SQLite neither removes the log nor makes another one.
    """
    try:
        found = os.stat(path + "-wal")
    except OSError:
        return None
    return found.st_dev, found.st_ino
