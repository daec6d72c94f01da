"""The wall clock of a running server, stepped from outside: what `time.time` says there, not what time it is."""

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT

STEPPED = """
import mmap, os, struct, time

with open(os.environ["STEPPED_CLOCK"], "r+b") as file:
    offset_ns = mmap.mmap(file.fileno(), 8)
real_time, real_time_ns = time.time, time.time_ns
time.time_ns = lambda: real_time_ns() + struct.unpack("q", offset_ns)[0]
time.time = lambda: real_time() + struct.unpack("q", offset_ns)[0] / 1e9
"""


class SteppedClock:
    """Steps the clock of every program that is started with `environment`, also while it runs."""

    def __init__(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(STEPPED)
        path = folder / "clock"
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._offset_ns = mmap.mmap(file.fileno(), 8)
        self.environment: Mapping[str, str] = {"PYTHONPATH": f"{folder}:{ROOT}", "STEPPED_CLOCK": str(path)}

    def set(self, seconds: int) -> None:
        """From now on the clock is so far ahead of the right time, or behind it (< 0)."""
        self._offset_ns[:] = struct.pack("q", seconds * 10**9)

    def close(self) -> None:
        self._offset_ns.close()
