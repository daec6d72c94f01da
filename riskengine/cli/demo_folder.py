"""The folder of a demo: gone when the demo ends, and at the next demo after one that was killed."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "riskengine-demo-"
LOCK = "running"
EMPTY_S = 60.0
"""After this time a folder without a lock was left by a demo that was killed while it began."""


@contextmanager
def demo_folder() -> Iterator[str]:
    """A new folder for the length of a block. Removes the folders of dead demos of this user first."""
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        lock = os.open(os.path.join(folder, LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
            yield folder
        finally:
            os.close(lock)


def remove_abandoned(place: Path) -> None:
    """Remove each demo's folder in `place` that is ours and that no living process holds."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            if _is_abandoned(folder, time.time() - found.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, age_s: float) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return age_s > EMPTY_S and not any(folder.iterdir())
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
