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

TRADES = "INSERT INTO trades"
NEWEST = "SELECT coalesce(max(store_seq), 0) FROM trades"

Note = Callable[[str], None]
Fail = Callable[[str, str], None]


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

    def expect_sole_lease(self, lease: WriterLease) -> None:
        """This host has taken a lease: no other host that lives may hold it."""

    @property
    def epoch(self) -> int | None:
        """The epoch of the engine that runs here; None while it has none."""
        return None

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
    only_trades  whether only commits of trades are counted
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
        self.only_trades = False
        self.slow_every = 0
        self.slow_us = 0
        self.writes_until_slow = 0

    def end_crashes(self) -> None:
        """No crash is due any more."""
        self.crash_in = self.commits_in = None


class SimConnection(sqlite3.Connection):
    """A connection of a host: each statement passes the disk first."""

    host: DiskHost | None = None
    note: Note = staticmethod(lambda _: None)
    random: Random
    disk: "Disk"
    _has_trades = False
    """Whether the transaction has written trades."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        host = self.host
        if host is None:
            return super().execute(sql, *values)
        if host.dead:
            raise GreenletExit
        head = sql[:6]
        if head == "COMMIT":
            return self._commit(host)
        if head == "ROLLBA":
            self._has_trades = False
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
            self._has_trades = self._has_trades or sql.startswith(TRADES)
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
        counts, self._has_trades = self._has_trades or not plan.only_trades, False
        if counts and plan.commits_in is not None:
            plan.commits_in -= 1
            if plan.commits_in < 0:
                self._die_around_commit(host, plan.commit_crash)
        if counts and plan.refused_in is not None:
            plan.refused_in -= 1
            if plan.refused_in < 0:
                plan.refused_in = None
                self.note("commit_refused")
                raise error_of(plan.error)
        if self.disk.watches_epochs:
            self._expect_newest_epoch(host)
        done = super().execute("COMMIT")
        self.disk.right_behind(self)
        if counts and plan.lost_in is not None:
            plan.lost_in -= 1
            if plan.lost_in < 0:
                plan.lost_in = None
                self.note("commit_answer_lost")
                raise error_of("io")
        return done

    def _expect_newest_epoch(self, host: DiskHost) -> None:
        """No trade is committed by an engine whose lease another one took: it must look at the epoch in each transaction."""
        if (mine := host.epoch) is None:
            return
        newest = int(super().execute("SELECT value FROM meta WHERE key = 'writer_epoch'").fetchone()[0])
        if mine >= newest:
            return
        outside = sqlite3.connect(self.sim_path, timeout=0.0, isolation_level=None)
        try:
            before = outside.execute(NEWEST).fetchone()[0]
        finally:
            outside.close()
        if super().execute(NEWEST).fetchone()[0] > before:
            self.disk.fail("lease", f"an engine of epoch {mine} commits trades, and the store is at {newest}")

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


def noted_lease(take: Callable[..., None]) -> Callable[..., None]:
    """`WriterLease.__init__`, which `take` is, with a lock that ends with its host."""

    def take_lease(self: WriterLease, *args: Any, **named: Any) -> None:
        self._fd = -1
        host = in_force().current.host  # type: ignore[union-attr]
        if isinstance(host, DiskHost):
            host.leases.append(self)
        take(self, *args, **named)
        if isinstance(host, DiskHost):
            host.expect_sole_lease(self)

    return take_lease


class Disk:
    """Opens connections, and holds what the hosts have stored at one path.

    `right_behind` is called after each commit, with its connection: what another program commits there is right behind it.
    """

    def __init__(
        self,
        random: Random,
        note: Note,
        fail: Fail = lambda check, text: None,
        right_behind: Callable[["SimConnection"], None] = lambda connection: None,
    ) -> None:
        self._random = random
        self._note = note
        self.fail = fail
        self.right_behind = right_behind
        self.watches_epochs = False
        """Whether two engines have been on the store, so that each commit is looked at."""
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
