"""A disk of a few hundred kilobytes, for tests that fill it: a file system in memory, which needs root."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted disk. `fill` leaves no byte free, `make_room` frees all again, `forbid_writing` acts like a broken disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with contextlib.suppress(OSError):  # ends with "no space left"
            while True:
                os.write(handle, bytes(4_096))
        os.close(handle)

    def make_room(self) -> None:
        self._ballast.unlink()

    def forbid_writing(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A disk of that size at `folder`; skips the test if this user may not mount one."""
    folder.mkdir()
    made = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )
    if not made:
        pytest.skip("a full or read-only disk is NOT tested: only root may mount one")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
