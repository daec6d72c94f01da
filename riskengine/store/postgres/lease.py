"""The right to be the one engine that writes a PostgreSQL store: a lock that belongs to the session of its write connection.

The lock goes with the session, and that with the connection, however its process ends. Every write goes through that same
session, so whoever lost the lock has lost the way to write as well: a writer that was paused, and whose session was ended
meanwhile, has to take the lease again first. The store checks the epoch besides.

A session can outlive its process: a forked child keeps the connection open, or the network ate its end. Where the holder is
known to be dead (same machine, same boot, same process namespace, no such process) or is an earlier session of the very store
object that asks, its session is ended here. A holder on another machine that vanished from the network is noticed by the server's
keepalives within about 15 s. The lock needs a direct connection: a pooler that shares sessions between clients breaks it.
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
_UNKNOWN_HOLDER_S = 0.5
"""How long to look for the name of a holder that took the lock a moment ago, or is gone since."""
_KEY = "SELECT hashtextextended('riskengine writer', 0) # current_schema()::regnamespace::oid::bigint"


class SessionHolder(NamedTuple):
    """Who holds the lease, as its row says."""

    holder: str
    pid: int
    host: str
    place: str
    since_ts: int
    backend: int
    token: str


class SessionLease:
    """A lease that its store takes with `take` on every connection that it writes through."""

    def __init__(self, name: str, holder: str) -> None:
        self._name = name
        self._holder = holder
        self._token = secrets.token_hex(8)
        self._since_ts = SystemClock().now()

    def take(self, connection: Connection) -> None:
        """Lock and sign. Raises LeaseHeld naming the holder, at once unless that is dead; psycopg.Error."""
        transaction = PostgresTransaction(connection)
        key = _one(connection, _KEY)
        began = time.monotonic()
        while not _one(connection, "SELECT pg_try_advisory_lock(%s)", key):
            waited = time.monotonic() - began
            holder = _holder(transaction, key)
            if holder is not None and self._is_gone(holder) and waited < END_SESSION_S:
                _one(connection, "SELECT pg_terminate_backend(%s)", holder.backend)
            elif holder is not None or waited > _UNKNOWN_HOLDER_S:
                held_by = f"{_described(holder)}: end it first, or name another store"
                raise LeaseHeld(f"store {self._name} has a writer already: {held_by}")
            time.sleep(0.02)
        self.sign(connection)

    def sign(self, connection: Connection) -> None:
        """Leave our name for those who come later, where there is a table for it: a new store has none until it is migrated."""
        if _one(connection, "SELECT to_regclass('writer_lease') IS NULL"):
            return
        values = (self._holder, os.getpid(), socket.gethostname(), place(), self._since_ts, self._token)
        PostgresTransaction(connection).run("holder_save", [values])

    def _is_gone(self, holder: SessionHolder) -> bool:
        """Whether the session that holds the lock serves nobody any more."""
        if holder.token == self._token:  # ours, from a connection that we have given up
            return True
        return holder.place == place() and not _is_alive(holder.pid)


def place() -> str:
    """Where a process number means something: the machine, its boot and its process namespace."""
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
    except OSError:  # there, and another user's
        return True
    return True


def _holder(transaction: PostgresTransaction, key: object) -> SessionHolder | None:
    if _one(transaction.connection, "SELECT to_regclass('writer_lease') IS NULL"):
        return None
    found = transaction.rows("holder", (key,))
    return SessionHolder._make(found[0]) if found else None


def _described(found: SessionHolder | None) -> str:
    if found is None:
        return "another process"
    since = dt.datetime.fromtimestamp(found.since_ts // MICROS_PER_SECOND, dt.UTC).isoformat()
    return f"{found.holder} (pid {found.pid} on {found.host}, since {since})"


def _one(connection: Connection, query: str, *values: object) -> object:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


class KeptFromChildren:
    """The write connection of a store, which a forked child must not keep open beyond its parent's death."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        held = weakref.ref(self)

        def let_go() -> None:
            kept = held()
            if kept is not None and kept.connection is not None and not kept.connection.closed:
                # Not closed: that would say goodbye to the server in the parent's name.
                with contextlib.suppress(OSError):
                    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                    os.dup2(null, kept.connection.fileno(), inheritable=False)
                    os.close(null)

        os.register_at_fork(after_in_child=let_go)
