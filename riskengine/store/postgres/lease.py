"""The lease of a PostgreSQL store, held by the one engine that writes it: an advisory lock of its write session.

The lock ends with the session, and the session with the connection, however the process ends. Every write uses that session: a
writer that lost the lock has also lost its connection. A paused writer whose session the server ended must take the lease again
before it writes. The store checks the epoch as well.

A session can outlive its process: a forked child keeps the connection open, or the network lost its end. This lease ends the
session of a holder that is dead (same machine, same boot, same process namespace, no such process), and an earlier session of the
same store object. The server's keepalives notice within about 15 s that a holder on another machine vanished from the network.
The lock needs a session of its own: a pooler that shares sessions is refused (`pooler`).
"""

import contextlib
import datetime as dt
import os
import secrets
import socket
import time
import weakref
from pathlib import Path
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND, SystemClock
from riskengine.errors import LeaseHeld
from riskengine.store.postgres.connection import Connection, PostgresTransaction

END_SESSION_S = 5.0
"""Longest wait for the server to end the session of a dead holder."""
_UNKNOWN_HOLDER_S = 0.5
"""Longest wait for the name of a holder that took the lock, or released it, a moment ago."""
_KEY = "SELECT hashtextextended('riskengine writer', 0) # quote_ident(current_schema())::regnamespace::oid::bigint"


class SessionHolder(NamedTuple):
    """The row of `writer_lease`: the holder of the lease, its process and where that runs, and its session.

    `since_ts` in microseconds since the epoch; `backend` is the server's process of the session; `token` tells one store object
    of a process from another.
    """

    holder: str
    pid: int
    host: str
    place: str
    since_ts: int
    backend: int
    token: str


class SessionLease:
    """A lease that its store takes, with `take`, on each new write connection."""

    def __init__(self, name: str, holder: str) -> None:
        self._name = name
        self._holder = holder
        self._token = secrets.token_hex(8)
        self._since_ts = SystemClock().now()

    def take(self, connection: Connection) -> None:
        """Take the lock and write our row. Raises LeaseHeld naming the holder, at once unless that is dead; psycopg.Error."""
        transaction = PostgresTransaction(connection)
        key = _one(connection, _KEY)
        began = time.monotonic()
        while not _one(connection, "SELECT pg_try_advisory_lock(%s)", key):
            waited = time.monotonic() - began
            holder = _holder(transaction, key)
            if holder is not None and self._is_gone(holder) and waited < END_SESSION_S:
                _one(connection, "SELECT pg_terminate_backend(%s)", holder.backend)
            elif holder is not None or waited > _UNKNOWN_HOLDER_S:
                held_by = f"{_holder_text(holder)}: end it first, or name another store"
                raise LeaseHeld(f"store {self._name} has a writer already: {held_by}")
            time.sleep(0.02)
        self.sign(connection)

    def sign(self, connection: Connection) -> None:
        """Write our row, for other programs to read. A new store has no table for it until it is migrated."""
        if _one(connection, "SELECT to_regclass('writer_lease') IS NULL"):
            return
        values = (self._holder, os.getpid(), socket.gethostname(), process_place(), self._since_ts, self._token)
        PostgresTransaction(connection).run("holder_save", [values])

    def _is_gone(self, holder: SessionHolder) -> bool:
        """Whether the process of the session that holds the lock is dead, or has given that session up."""
        if holder.token == self._token:  # an earlier connection of this store object
            return True
        return holder.place == process_place() and not _is_alive(holder.pid)


def process_place() -> str:
    """The scope of process numbers: the machine, its boot and its process namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it exists and belongs to another user
        return True
    return True


def _holder(transaction: PostgresTransaction, key: object) -> SessionHolder | None:
    if _one(transaction.connection, "SELECT to_regclass('writer_lease') IS NULL"):
        return None
    found = transaction.rows("holder", (key,))
    return SessionHolder._make(found[0]) if found else None


def _holder_text(found: SessionHolder | None) -> str:
    if found is None:
        return "another process"
    since = dt.datetime.fromtimestamp(found.since_ts // MICROS_PER_SECOND, dt.UTC).isoformat()
    return f"{found.holder} (pid {found.pid} on {found.host}, since {since})"


def _one(connection: Connection, query: str, *values: object) -> object:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


class UnsharedConnection:
    """Holds the write connection of a store. A forked child drops its copy: the session must end with the parent."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        reference = weakref.ref(self)

        def drop_copy() -> None:
            holder = reference()
            if holder is not None and holder.connection is not None and not holder.connection.closed:
                # Do not close it: that would end the parent's session at the server.
                with contextlib.suppress(OSError):
                    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                    os.dup2(null, holder.connection.fileno(), inheritable=False)
                    os.close(null)

        os.register_at_fork(after_in_child=drop_copy)
