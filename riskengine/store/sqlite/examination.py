"""A SQLite file looked through for damage beside what else is done: `PRAGMA quick_check` on a thread and a connection of its own.

It takes 1.6 s for 1 million trades, nearly all of it without the interpreter lock. Whoever goes live waits for what it finds.
"""

import os
import sqlite3
import sys
import threading

from riskengine.errors import StoreError
from riskengine.store.sqlite.connection import connect, is_current, look_for_damage, our_errors

SMALL_BYTES = 16 * 2**20
"""A file up to this size is examined at once, before anything is written to it: that takes a tenth of a second."""

NICE = 10
"""How far behind the rest of the start this stands when both want the processor."""


class Examination:
    """One look at one file. `begin` and `finish` by one thread each, `close` by any, at any time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._failed: BaseException | None = None
        self._closed = False

    def begin(self, connection: sqlite3.Connection, path: str) -> bool:
        """Start to look through a file that is open already.

        False, and nothing is done, where it is to be examined before anything else is: a file that is to be migrated, and a small
        one. Raises StoreCorrupt, StoreError, sqlite3.Error.
        """
        if not is_current(connection, path) or os.path.getsize(path) <= SMALL_BYTES:
            return False
        self._thread = threading.Thread(target=self._look, args=(path,), name="riskengine-examine", daemon=True)
        self._thread.start()
        return True

    def finish(self) -> None:
        """Wait for the end; at once where nothing was begun. Raises StoreCorrupt, StoreError."""
        if self._thread is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """End it, however far it is. Idempotent."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.interrupt()
        if self._thread is not None:
            self._thread.join()

    def _look(self, path: str) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own: the start goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            with our_errors(path):
                connection = connect(path, "ro")
                try:
                    with self._lock:
                        if self._closed:
                            return
                        self._connection = connection
                    look_for_damage(connection, path)
                finally:
                    with self._lock:
                        self._connection = None
                    connection.close()
        except StoreError as error:
            if not self._closed:
                self._failed = error
