"""Waits for what happens in another thread or process, and gives no event to wait for."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 10.0


async def until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return once `holds()` is true, looking every few milliseconds; the loop goes on meanwhile."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s"
        await asyncio.sleep(0.005)


def wait_until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """The same for a thread."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s"
        time.sleep(0.01)
