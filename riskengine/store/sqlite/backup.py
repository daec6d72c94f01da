"""Copies a SQLite store while an engine writes it: one committed moment, page by page, with rests in between.

The copy reads inside one transaction. With a write-ahead log that keeps no writer waiting, and commits that come meanwhile are
not in the copy; SQLite's backup would begin again after each of them if it read without one. The log grows until the copy is
done.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from riskengine.store.sqlite.connection import check_path, connect, is_current, translate_errors

STEP_PAGES = 256
"""Pages in one step: 1 MiB of a store's usual pages."""

REST_S = 0.005
"""The pause after each step, in which the disk and the processor serve the engine."""

SYNC_STEPS = 4
"""The copy goes to the disk after so many steps: one large sync at the end would keep the engine's commits waiting."""

Advance = Callable[[float], None]
"""Called with the share that is copied, 0 to 1. What it raises ends the copy."""


def copy_store(path: str, target: str, advance: Advance) -> None:
    """Copy the store at `path` into the empty file `target`, durably. Any thread.

    Raises StoreUnavailable (no such file, the disk of the copy is full), StoreCorrupt (not a store), StoreError. Cost: at most
    200 MB/s by its own rests, or what the disk can do beside the engine.
    """
    check_path(path, create=False)
    file = os.open(target, os.O_RDWR)
    steps = 0

    def rest(status: int, remaining: int, total: int) -> None:
        nonlocal steps
        steps += 1
        if steps % SYNC_STEPS == 0:
            os.fsync(file)
        advance(1.0 - remaining / max(total, 1))
        time.sleep(REST_S)

    try:
        with translate_errors(path), closing(connect(path, "ro")) as source:
            is_current(source, path)  # raises StoreCorrupt if this is no store
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now the transaction stands at one moment
            with translate_errors(target), closing(sqlite3.connect(target, isolation_level=None)) as copy:
                # Nobody else reads the copy and a failed one is thrown away: it needs no journal. `file` is what syncs it.
                for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1024"):
                    copy.execute(f"PRAGMA {pragma}")
                source.backup(copy, pages=STEP_PAGES, progress=rest)
        os.fsync(file)
    finally:
        os.close(file)


def has_current_schema(path: str) -> bool:
    """Whether the store has every migration that this program knows, and no other. Raises StoreCorrupt, StoreError."""
    with translate_errors(path), closing(connect(path, "ro")) as connection:
        return is_current(connection, path)
