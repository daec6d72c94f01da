"""Connects to a PostgreSQL server for the store, runs named queries, and translates the server's errors."""

import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import clear_frames
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from riskengine.errors import StoreCorrupt, StoreError, StoreUnavailable
from riskengine.records.numbers import Range
from riskengine.store.audit_chain import AuditEntry
from riskengine.store.postgres.pooler import SharedSession, refuse_shared_session
from riskengine.store.queries import Values, complete, load_queries

Connection = psycopg.Connection[tuple[Any, ...]]

MIN_VERSION = 140_000
"""PostgreSQL 14: transaction numbers of 64 bits (xid8) and sets of ranges (int8multirange)."""
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TIMEOUT_MS = 30_000
"""A writer that is paused in the middle of a transaction loses it, and its session, after this time."""

_QUERIES = load_queries("postgres")
# The store reports the errors of psycopg: without this its own log lines would appear too, if no logging is configured.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
_CONNECTING = {
    "connect_timeout": "5",
    "application_name": "riskengine",
    # The machine of the server may vanish without a word: notice within about 15 s instead of two hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "5",
    "tcp_user_timeout": "15000",
}
_SETTINGS = {
    "client_encoding": "UTF8",
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_MS}ms",
    # The other direction: a client whose machine vanished must not keep its lease and its locks.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "5",
}
_UNAVAILABLE: dict[str, str] = {
    "53100": "cannot be written: the disk is full",
    "53200": "cannot be used: the server is out of memory",
    "53300": "cannot be reached: the server has no connection left",
    "55P03": "is locked by another program",
    "40P01": "is locked by another program (deadlock)",
    "40001": "is written by another program at the same time",
    "57014": f"did not answer within {STATEMENT_TIMEOUT_MS // 1_000} s",
    "25006": "cannot be written: the server is read-only (a standby?)",
    "25P03": "ended our transaction, which was idle for too long",
    "28000": "refused the user",
    "28P01": "refused the user or password",
    "3D000": "does not exist on its server",
    "42501": "refuses: no permission until the owner of its tables grants it",
}
"""Errors that may pass, or that an administrator can fix while the engine waits, by SQLSTATE."""
_NOT_CONNECTED = (
    ("password authentication failed|no password supplied", "refuses the user or the password: check both"),
    ('database ".*" does not exist', "does not exist on its server: create it, or check its name"),
    ('role ".*" does not exist', "refuses the user: there is none of that name"),
    ("permission denied for database", "refuses: no permission until the owner of the database grants CONNECT"),
    ("no pg_hba.conf entry", "refuses this user from this machine: its administrator must allow it"),
    ("too many (?:connections|clients)|connection slots", "cannot be reached: the server has no connection left"),
    ("Connection refused", "cannot be reached: is the server running, and at this port?"),
    ("resolve host", "cannot be reached: there is no such host"),
)
"""A connection that fails has no SQLSTATE, only the message of the driver or of an English server."""
_QUOTED, _SPACE = re.compile('"[^"]*"'), re.compile(r"(?<!\\) ")
"""A space in quotes in `options`, as in `-csearch_path="Risk Desk"`: the server wants a backslash before it."""
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
"""Classes of SQLSTATE: connection lost; out of resources; the server stops or starts; I/O error."""
_CORRUPT = {
    "XX001": "is damaged: restore it from a backup",
    "XX002": "is damaged: restore it from a backup",
    "42P01": "lacks a table",
    "42703": "lacks a column",
}


# -- errors ------------------------------------------------------------------------------------------------------


def store_error(name: str, error: psycopg.Error) -> StoreError:
    """The StoreError for an error of the server or the driver: one line that names the store and says who must act."""
    state = error.sqlstate or ""
    message = _first_line(error)
    if isinstance(error, SharedSession):
        return StoreUnavailable(f"store {name} is behind {error}")
    if state in _CORRUPT:
        return StoreCorrupt(f"store {name} {_CORRUPT[state]} ({message})")
    if state in _UNAVAILABLE:
        return StoreUnavailable(f"store {name} {_UNAVAILABLE[state]} ({message})")
    if state.startswith(_UNAVAILABLE_CLASSES):
        return StoreUnavailable(f"store {name} is not available: {message}")
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        words = next((words for pattern, words in _NOT_CONNECTED if re.search(pattern, message)), "")
        return StoreUnavailable(f"store {name} {words} ({message})" if words else f"store {name} cannot be reached: {message}")
    return StoreError(f"store {name}: {message}")


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Run a block; raise the driver's errors as StoreError."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(name, error) from error


def connection_lost(connection: Connection, error: BaseException) -> bool:
    """Whether `error` means that the connection broke, not that the statement failed."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and connection.closed


def _first_line(error: psycopg.Error) -> str:
    """The first line of the server's message; if several addresses failed, that of the last one."""
    message = error.diag.message_primary
    if message is None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        message = (fatal or [line for line in lines if "failed:" in line][-1:] or lines or [type(error).__name__])[0]
    return " ".join(message.split())


# -- connections -------------------------------------------------------------------------------------------------


def conninfo(url: str, name: str) -> str:
    """The connection string: the URL, with our time limits where it sets none. Raises StoreError."""
    try:
        given = conninfo_to_dict(url)
        if given.get("options"):
            given["options"] = _QUOTED.sub(lambda quoted: _SPACE.sub(r"\\ ", quoted[0]), str(given["options"]))
        return make_conninfo(**(_CONNECTING | {key: str(value) for key, value in given.items() if value is not None}))
    except psycopg.Error:  # its message may quote the password
        raise StoreError(
            f"store {name} is not a URL that PostgreSQL understands: expected postgresql://user@host:5432/database"
        ) from None


def connect(info: str, *, read_only: bool) -> Connection:
    """A connection without implicit transactions, with every setting that durability needs. Raises psycopg.Error.

    The settings are of the session, so a session that a pooler shares among programs is refused first (`SharedSession`). Reading
    only is a property of each transaction, never of the session.
    """
    try:
        connection = psycopg.connect(info, autocommit=True)
    except psycopg.Error as error:
        # psycopg keeps the failed attempts, with the buffers of libpq, in a frame to which they refer: a cycle for each try,
        # while a store is away, that the collector, which is rare in an engine, would find late.
        clear_frames(error.__traceback__)
        raise
    try:
        refuse_shared_session(connection, info)
        # Load exact numbers as text, never as float or Decimal.
        connection.adapters.register_loader("numeric", TextLoader)
        settings = _SETTINGS | {"lock_timeout": f"{LOCK_TIMEOUT_MS}ms"}
        if not read_only:  # whatever the role or the database sets
            settings |= {"default_transaction_read_only": "off"}
        chosen = ", ".join(f"set_config('{key}', '{value}', false)" for key, value in settings.items())
        connection.execute(f"SELECT {chosen}".encode())
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def roll_back(connection: Connection) -> None:
    """Roll back the open transaction, if any; close the connection if that fails."""
    try:
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()


class RawLoader(Loader):
    """Loads a text as the bytes that the server sent."""

    def load(self, data: Buffer) -> bytes:
        """A copy of the bytes."""
        return bytes(data)


class PostgresTransaction:
    """A connection inside a transaction: implements `queries.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        # Plan each search for its own values: one plan for every desk and time would be slow.
        prepare = False if where else None
        text = complete(_QUERIES, query, where).encode()
        return self.connection.execute(text, values or None, prepare=prepare).fetchall()

    def raw_row(self, query: str, values: Values = ()) -> tuple[Any, ...]:
        with self.connection.cursor() as cursor:
            cursor.adapters.register_loader("text", RawLoader)
            [row] = cursor.execute(_QUERIES[query].encode(), values or None).fetchall()
            return row

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(_QUERIES[query].encode(), values)

    def array(self, values: Sequence[str] | Sequence[int]) -> list[str | int]:
        return list(values)

    def save_entries(self, entries: Sequence[AuditEntry], head: str, next_runs: Mapping[str, Range], ts: int) -> Collection[str]:
        noted: set[str] = set()
        for number, entry in enumerate(entries):
            runs = (
                [{"source": source, "first": run[0], "last": run[1]} for source, run in next_runs.items()] if not number else []
            )
            found = self.connection.execute(_QUERIES["audit_append"].encode(), (*entry, ts, json.dumps(runs), head)).fetchone()
            noted.update((found and found[0]) or ())
        return noted
