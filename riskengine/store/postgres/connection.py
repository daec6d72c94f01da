"""A PostgreSQL server as the store uses it: connections, named queries, and its errors said in our words."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from riskengine.errors import StoreCorrupt, StoreError, StoreUnavailable
from riskengine.store.audit_chain import AuditEntry
from riskengine.store.queries import Values, complete, load_queries

Connection = psycopg.Connection[tuple[Any, ...]]

MIN_VERSION = 140_000
"""PostgreSQL 14: transaction numbers of 64 bits (xid8) and sets of ranges (int8multirange)."""
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TIMEOUT_MS = 30_000
"""A writer that is stopped in the middle of a transaction loses it, and its session, after this long."""

_QUERIES = load_queries("postgres")
# What psycopg gives up on is said in our words; its own would be a second line where nothing else is set up to log.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
_CONNECTING = {
    "connect_timeout": "5",
    "application_name": "riskengine",
    # A server whose machine is gone says nothing: notice within about 15 s instead of two hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "5",
    "tcp_user_timeout": "15000",
}
_SETTINGS = {
    "client_encoding": "UTF8",
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_MS}ms",
    # The other direction: a client whose machine is gone must not keep its lease and its locks.
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
    "25P03": "ended our transaction, which had stood still for too long",
    "28000": "refused the user",
    "28P01": "refused the user or password",
    "3D000": "does not exist on its server",
    "42501": "refuses: no permission until the owner of its tables grants it",
}
"""What may pass or be put right while the engine waits, by SQLSTATE."""
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
"""Where no connection was made there is no SQLSTATE, only what the driver or an English server said."""
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
"""Connection lost; resources; the server stops or starts; its machine (I/O)."""
_CORRUPT = {
    "XX001": "is damaged: restore it from a backup",
    "XX002": "is damaged: restore it from a backup",
    "42P01": "lacks a table",
    "42703": "lacks a column",
}


# -- errors ------------------------------------------------------------------------------------------------------


def store_error(name: str, error: psycopg.Error) -> StoreError:
    """Our error for the server's or the driver's: one line that names the store and who must act."""
    state = error.sqlstate or ""
    said = _one_line(error)
    if state in _CORRUPT:
        return StoreCorrupt(f"store {name} {_CORRUPT[state]} ({said})")
    if state in _UNAVAILABLE:
        return StoreUnavailable(f"store {name} {_UNAVAILABLE[state]} ({said})")
    if state.startswith(_UNAVAILABLE_CLASSES):
        return StoreUnavailable(f"store {name} is not available: {said}")
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        words = next((words for pattern, words in _NOT_CONNECTED if re.search(pattern, said)), "")
        return StoreUnavailable(f"store {name} {words} ({said})" if words else f"store {name} cannot be reached: {said}")
    return StoreError(f"store {name}: {said}")


@contextmanager
def our_errors(name: str) -> Iterator[None]:
    """Runs what it encloses; the driver's errors come out as ours."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(name, error) from error


def connection_lost(connection: Connection, error: BaseException) -> bool:
    """Whether `error` is about the way to the server, not about what was asked."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and connection.closed


def _one_line(error: psycopg.Error) -> str:
    """What the server says first; of several addresses that were tried, the last one's trouble."""
    said = error.diag.message_primary
    if said is None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        said = (fatal or [line for line in lines if "failed:" in line][-1:] or lines or [type(error).__name__])[0]
    return " ".join(said.split())


# -- connections -------------------------------------------------------------------------------------------------


def conninfo(url: str, name: str) -> str:
    """What the driver connects with: the URL and, where it says nothing, our time limits. Raises StoreError."""
    try:
        given = conninfo_to_dict(url)
        return make_conninfo(**(_CONNECTING | {key: str(value) for key, value in given.items() if value is not None}))
    except psycopg.Error:  # its text may quote the password
        raise StoreError(
            f"store {name} is not a URL that PostgreSQL understands: expected postgresql://user@host:5432/database"
        ) from None


def connect(info: str, *, read_only: bool) -> Connection:
    """A connection that commits only when told to, with every setting that durability rests on. Raises psycopg.Error."""
    connection = psycopg.connect(info, autocommit=True)
    try:
        # Exact numbers as text: no float and no Decimal on the way; transaction numbers likewise.
        connection.adapters.register_loader("numeric", TextLoader)
        settings = _SETTINGS | {"lock_timeout": f"{LOCK_TIMEOUT_MS}ms"}
        settings |= {"default_transaction_read_only": "on" if read_only else "off"}
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
    """End the transaction that is open, if any; a connection that cannot is closed."""
    try:
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()


class RawLoader(Loader):
    """Text as the server sends it: its bytes."""

    def load(self, data: Buffer) -> bytes:
        """A copy of them."""
        return bytes(data)


class PostgresTransaction:
    """A connection inside a transaction, as `queries.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        # A search is planned for its own values: a plan for any desk and any time would be a poor one.
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

    def save_entries(self, entries: Sequence[AuditEntry], head: str, cursors: Mapping[str, int], ts: int) -> None:
        sources = json.dumps(cursors)
        if not entries:
            self.run("feeds_save", [(ts, sources)])
        for entry in entries:
            self.connection.execute(_QUERIES["audit_append"].encode(), (*entry, ts, sources, head))
