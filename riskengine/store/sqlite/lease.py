"""The lease of a SQLite store, held by the one engine that writes it: an operating-system lock on a file beside the store.

The lock ends with its process, however that ends: a dead holder delays nobody. The file stays, and names the current or the last
holder.
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
    """The content of the lock file: the holder of the lease. `since_ts` in microseconds since the epoch."""

    holder: str
    pid: int
    host: str
    since_ts: int


class WriterLease:
    """A held lease, until `release` or the end of the process."""

    def __init__(self, path: str, holder: str, clock: Clock | None = None) -> None:
        """Take the lease of the store at `path`. Raises LeaseHeld, at once, and StoreUnavailable."""
        self.path = os.path.realpath(path) + SUFFIX
        self._fd = _open(self.path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now = (clock or SystemClock()).now()
            _write(self._fd, msgspec.json.encode(FileHolder(holder, os.getpid(), socket.gethostname(), now)))
        except BlockingIOError:
            message = f"store {path} has a writer already: {_holder_text(self._fd)}: end it first, or name another store"
            self.release()
            raise LeaseHeld(message) from None
        except OSError as error:
            self.release()
            raise _lock_error(self.path, error) from None
        _close_in_forked_child(self)

    def release(self) -> None:
        """Give up the lease. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _lock_error(path, error) from None


def _lock_error(path: str, error: OSError) -> StoreUnavailable:
    full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
    return StoreUnavailable(f"store {path.removesuffix(SUFFIX)} cannot be locked for writing ({path}): {full}")


def _write(fd: int, text: bytes) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, text, 0)


def _holder_text(fd: int) -> str:
    """The holder that the lock file names, for a message; a new holder may not have written its name yet."""
    try:
        found = msgspec.json.decode(os.pread(fd, 4_096, 0), type=FileHolder)
    except (msgspec.MsgspecError, OSError):
        return "another process"
    since = dt.datetime.fromtimestamp(found.since_ts // MICROS_PER_SECOND, dt.UTC).isoformat()
    return f"{found.holder} (pid {found.pid} on {found.host}, since {since})"


def _close_in_forked_child(lease: WriterLease) -> None:
    """A forked child shares the lock and would keep it after its parent's death: close its copy at the fork."""
    reference = weakref.ref(lease)

    def close_copy() -> None:
        lease = reference()
        if lease is not None:
            with contextlib.suppress(OSError):
                lease.release()

    os.register_at_fork(after_in_child=close_copy)
