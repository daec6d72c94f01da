"""The right to be the one engine that writes a store kept in a file: an operating-system lock on a file beside it.

The lock goes with its process, however that ends, so that a dead holder delays nobody. The file stays and says who
holds, or last held, the lease.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import os
import socket
import weakref

import msgspec

from riskengine.clock import MICROS_PER_SECOND, Clock, SystemClock
from riskengine.errors import LeaseHeld, StoreUnavailable

SUFFIX = ".lock"


class FileHolder(msgspec.Struct, frozen=True):
    """Who holds a lease. `since_ts` in microseconds since the epoch."""

    holder: str
    pid: int
    host: str
    since_ts: int


class WriterLease:
    """A held lease; released by `release` or by the end of the process."""

    def __init__(self, path: str, holder: str, clock: Clock | None = None) -> None:
        """Take the lease of the store at `path`. Raises LeaseHeld (at once, no waiting) and StoreUnavailable."""
        self.path = os.path.realpath(path) + SUFFIX
        self._fd = _open(self.path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now = (clock or SystemClock()).now()
            _write(self._fd, msgspec.json.encode(FileHolder(holder, os.getpid(), socket.gethostname(), now)))
        except BlockingIOError:
            message = f"store {path} has a writer already: {_described(self._fd)}: end it first, or name another store"
            self.release()
            raise LeaseHeld(message) from None
        except OSError as error:
            self.release()
            raise _not_lockable(self.path, error) from None
        _in_child_too(self)

    def release(self) -> None:
        """Give the lease up. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _not_lockable(path, error) from None


def _not_lockable(path: str, error: OSError) -> StoreUnavailable:
    full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
    return StoreUnavailable(f"store {path.removesuffix(SUFFIX)} cannot be locked for writing ({path}): {full}")


def _write(fd: int, text: bytes) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, text, 0)


def _described(fd: int) -> str:
    """The holder in the lock file, for a message; it may be a moment old while a new one writes its name."""
    try:
        found = msgspec.json.decode(os.pread(fd, 4_096, 0), type=FileHolder)
    except (msgspec.MsgspecError, OSError):
        return "another process"
    since = dt.datetime.fromtimestamp(found.since_ts // MICROS_PER_SECOND, dt.UTC).isoformat()
    return f"{found.holder} (pid {found.pid} on {found.host}, since {since})"


def _in_child_too(lease: WriterLease) -> None:
    """A forked child would share the lock and keep it beyond its parent's death: it closes its copy at birth."""
    held = weakref.ref(lease)

    def close_copy() -> None:
        lease = held()
        if lease is not None:
            with contextlib.suppress(OSError):
                lease.release()

    os.register_at_fork(after_in_child=close_copy)
