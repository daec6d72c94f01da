"""The rhythm of prices: once a beat the writer is given what changed, and it is looked whether the writer still publishes.

Runs on the event loop. The beats keep their rhythm; one that cannot be kept is left out.
"""

import asyncio
from collections.abc import Callable

from riskengine.alerts import Warnings
from riskengine.engine.inbox import Inbox
from riskengine.engine.writer import Writer
from riskengine.loop import start_task
from riskengine.market.marks import QuoteBook
from riskengine.observe import get_logger

STALLED_AFTER_S = 2.0
"""A snapshot comes each second at least; a writer that has published none for so long hangs."""

STALLED = (
    f"the writer hangs: it has published nothing for more than {STALLED_AFTER_S:.0f} s; trades and prices since are not shown"
)

log = get_logger("riskengine.beats")


class Beats:
    """Hands prices over from `start` to `stop`. `failed` gets the mistake of ours that ended it: never in silence."""

    def __init__(
        self,
        period_s: float,
        inbox: Inbox,
        quotes: QuoteBook,
        writer: Writer,
        warnings: Warnings,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._period_s = period_s
        self._inbox = inbox
        self._quotes = quotes
        self._writer = writer
        self._warnings = warnings
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Once, on the loop."""
        self._task = start_task(self._run(), log, "beat_failed", self._failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    def hand_over(self) -> None:
        """Give the writer what changed, unless it has not taken the last yet."""
        if self._inbox.takes_prices and (marks := self._quotes.take()):
            self._inbox.put_prices(marks, self._quotes.reference)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())
            self.hand_over()
            self._look()

    def _look(self) -> None:
        """Say on every screen that the writer hangs, as long as it does. O(1)."""
        if self._writer.publish_age_s > STALLED_AFTER_S:
            self._warnings["stalled"] = STALLED
        else:
            self._warnings.pop("stalled", None)
