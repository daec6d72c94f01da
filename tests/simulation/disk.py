"""The disk under a store: real SQLite on a file in memory, with faults in front of every statement.

A connection belongs to the host whose fiber opened it. Before each statement the disk may let time pass, fail, or have the host
die; around a commit also after it, or in the middle of it: then the write-ahead log ends somewhere inside the transaction, or
ends in other bytes. What was committed and acknowledged is never lost by that, as with `synchronous = FULL`; a disk that loses it
all the same is the fault `goes_back`.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from greenlet import GreenletExit

from riskengine.store.sqlite.lease import WriterLease
from tests.simulation.fibers import MICROS, Fiber, Host, in_force

BUSY_US = 5 * MICROS
"""How long a statement waits for the lock of another program: as `BUSY_TIMEOUT_MS` of the store."""

ERRORS = {
    "io": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "busy": (sqlite3.SQLITE_BUSY, "database is locked"),
    "cannot_open": (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
}

Note = Callable[[str], None]


def error_of(kind: str) -> sqlite3.OperationalError:
    code, text = ERRORS[kind]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = text
    return error


class DiskHost(Host):
    """A host that opens connections. `plan` is what its statements meet."""

    def __init__(self) -> None:
        self.fibers: list[Fiber] = []
        self.connections: list[SimConnection] = []
        self.leases: list[WriterLease] = []
        self.plan = DiskPlan()

    def die(self, how: str) -> None:
        """End at once, with no clean-up. Raises GreenletExit if called on one of its own fibers."""
        raise NotImplementedError


class DiskPlan:
    """What the statements of one host meet. Counters count down; None: never.

    crash_in     statements until the host dies before one
    commits_in   commits until the host dies around one, as `commit_crash` says: before, torn, after
    lost_in      commits until one goes through and its answer is lost
    refused_in   commits until one fails with `error`, and nothing is stored
    away_until   time until which every statement fails with `error`; `hangs`: it waits instead
    slow_every   statements between two that take `slow_us`
    """

    def __init__(self) -> None:
        self.crash_in: int | None = None
        self.commits_in: int | None = None
        self.commit_crash = "before"
        self.lost_in: int | None = None
        self.refused_in: int | None = None
        self.error = "io"
        self.away_until = 0
        self.hangs = False
        self.slow_every = 0
        self.slow_us = 0
        self.writes_until_slow = 0


class SimConnection(sqlite3.Connection):
    """A connection of a host: each statement passes the disk first."""

    host: DiskHost | None = None
    note: Note = staticmethod(lambda _: None)
    random: Random
    disk: "Disk"

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        host = self.host
        if host is None:
            return super().execute(sql, *values)
        if host.dead:
            raise GreenletExit
        head = sql[:6]
        if head == "COMMIT":
            return self._commit(host)
        self._pass(host)
        if head == "BEGIN " and sql.startswith("BEGIN IMM"):
            return self._wait_for_lock(host, sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, values: Any) -> sqlite3.Cursor:
        host = self.host
        if host is not None:
            if host.dead:
                raise GreenletExit
            self._pass(host)
        return super().executemany(sql, values)

    def _pass(self, host: DiskHost) -> None:
        """What a statement meets before it is done."""
        plan = host.plan
        self.disk.statements += 1
        if plan.crash_in is not None:
            plan.crash_in -= 1
            if plan.crash_in < 0:
                host.die("crash_at_statement")
        scheduler = in_force()
        if plan.away_until > scheduler.now:
            if not plan.hangs or scheduler.current is None:
                self.note("store_away")
                raise error_of(plan.error)
            self.note("store_hangs")
            scheduler.sleep(plan.away_until - scheduler.now)
        if plan.slow_every and scheduler.current is not None:
            plan.writes_until_slow -= 1
            if plan.writes_until_slow < 0:
                plan.writes_until_slow = plan.slow_every
                self.note("store_slow")
                scheduler.sleep(plan.slow_us)

    def _wait_for_lock(self, host: DiskHost, sql: str) -> sqlite3.Cursor:
        """Begin to write, once no other program does."""
        scheduler = in_force()
        deadline = scheduler.now + BUSY_US
        while True:
            try:
                return super().execute(sql)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or scheduler.now >= deadline:
                    raise
            self.note("store_busy")
            scheduler.sleep(20_000)
            if host.dead:
                raise GreenletExit

    def _commit(self, host: DiskHost) -> sqlite3.Cursor:
        self._pass(host)
        plan = host.plan
        if plan.commits_in is not None:
            plan.commits_in -= 1
            if plan.commits_in < 0:
                self._die_around_commit(host, plan.commit_crash)
        if plan.refused_in is not None:
            plan.refused_in -= 1
            if plan.refused_in < 0:
                plan.refused_in = None
                self.note("commit_refused")
                raise error_of(plan.error)
        done = super().execute("COMMIT")
        if plan.lost_in is not None:
            plan.lost_in -= 1
            if plan.lost_in < 0:
                plan.lost_in = None
                self.note("commit_answer_lost")
                raise error_of("io")
        return done

    def _die_around_commit(self, host: DiskHost, how: str) -> None:
        host.plan.commits_in = None
        if how != "before":
            path = Path(self.sim_path)
            wal = Path(self.sim_path + "-wal")
            before = wal.stat().st_size if wal.exists() else 0
            image = path.read_bytes()
            super().execute("COMMIT")
            if how == "torn" and wal.exists() and wal.stat().st_size > before and path.read_bytes() == image:
                host.torn_wal = self._tear(wal.read_bytes(), before)  # type: ignore[attr-defined]
        host.die(f"crash_{how}_commit")

    def _tear(self, log: bytes, durable: int) -> bytes:
        """A log whose end did not reach the disk whole."""
        at = self.random.randrange(durable, len(log))
        if self.random.random() < 0.5:
            return log[:at]
        return log[:at] + bytes(self.random.randrange(256) for _ in range(min(64, len(log) - at)))

    sim_path = ""

    def close(self) -> None:
        if self.host is not None and self in self.host.connections:
            self.host.connections.remove(self)
        super().close()


_take_lease = WriterLease.__init__


def noted_lease(self: WriterLease, *args: Any, **named: Any) -> None:
    """`WriterLease.__init__`, whose lock ends with its host."""
    self._fd = -1
    host = in_force().current.host  # type: ignore[union-attr]
    if isinstance(host, DiskHost):
        host.leases.append(self)
    _take_lease(self, *args, **named)


class Disk:
    """Opens connections, and holds what the hosts have stored at one path."""

    def __init__(self, random: Random, note: Note) -> None:
        self._random = random
        self._note = note
        self.statements = 0
        """Statements of all hosts: each is a place where a crash may come."""

    def connect(self, database: str, **options: Any) -> sqlite3.Connection:
        """`sqlite3.connect` for a host; nothing waits for a lock in real time."""
        scheduler = in_force()
        host = scheduler.current.host if scheduler.current is not None else None
        if database == ":memory:" or not isinstance(host, DiskHost):
            options["timeout"] = 0.0
            return sqlite3.connect(database, **options)
        if host.dead:
            raise GreenletExit
        if host.plan.away_until > scheduler.now and not host.plan.hangs:
            raise error_of("cannot_open")
        options["timeout"] = 0.0
        connection = sqlite3.connect(database, factory=SimConnection, **options)
        connection.host = host
        connection.note = self._note
        connection.random = self._random
        connection.disk = self
        connection.sim_path = database.removeprefix("file:").partition("?")[0]
        host.connections.append(connection)
        return connection


def freeze_files(path: str) -> dict[str, bytes]:
    """The bytes of a store as a machine that stops now leaves them on its disk."""
    found = {}
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            found[suffix] = Path(path + suffix).read_bytes()
    return found


def put_files(path: str, content: dict[str, bytes]) -> None:
    """Put a store back as `freeze_files` found it, in place. No connection is open."""
    for suffix in ("", "-wal"):
        if suffix in content:
            with open(path + suffix, "r+b" if os.path.exists(path + suffix) else "wb") as file:
                file.write(content[suffix])
                file.truncate()
        else:
            with suppress(FileNotFoundError):
                os.unlink(path + suffix)
    with suppress(FileNotFoundError):
        os.unlink(path + "-shm")


def close_all(host: DiskHost) -> None:
    """Close a dead host's connections; what was not committed is gone."""
    for connection in list(host.connections):
        with suppress(sqlite3.Error):
            sqlite3.Connection.close(connection)
    host.connections.clear()
