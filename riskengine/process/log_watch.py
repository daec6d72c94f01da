"""Warns on every screen while lines of the log are lost: the log itself cannot say so then. Runs on the event loop."""

import asyncio

from riskengine.alerts import Warnings, tells_end
from riskengine.loop import start_task
from riskengine.observe import get_logger, lost_log_lines

LOOK_EVERY_S = 0.5
KIND = "log"

log = get_logger("riskengine.log_watch")


class LogWatch:
    """Sets and clears the warning `log`."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        self._task: asyncio.Task[None] | None = None
        self._said = 0

    def start(self) -> None:
        """Begin to look, in the running loop."""
        failed = tells_end(self._warnings, "nobody looks whether lines of the log are lost")
        self._task = start_task(self._run(), log, "log_watch_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Set the warning anew whenever the number has doubled (each setting is a line of the log too), or clear it."""
        lost, is_losing = lost_log_lines()
        if not is_losing:
            self._said = 0
            self._warnings.pop(KIND, None)
        elif not self._said or lost >= 2 * self._said:
            self._said = lost
            self._warnings[KIND] = (
                f"at least {lost:,} lines of the log are lost: what reads the engine's stderr has stopped, or its disk is full; "
                "let it read again, or make room"
            )
