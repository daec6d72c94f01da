"""Once a beat, hands changed prices to the writer and checks that it still publishes.

Runs on the event loop. Delays do not add up: a beat is due one period after the last was due. If that has passed, it comes at
once, and the beats missed are left out.
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
"""The writer publishes at least once a second; one that has published nothing for this long hangs."""

STALLED = (
    f"the writer hangs: it has published nothing for more than {STALLED_AFTER_S:.0f} s; newer trades and prices are not shown"
)

log = get_logger("riskengine.beats")


class Beats:
    """Runs from `start` to `stop`. `failed` gets the error of ours that ended it, if any."""

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
        """Start the beats. Once, on the loop."""
        self._task = start_task(self._run(), log, "beat_failed", self._failed)

    def stop(self) -> None:
        """End the beats."""
        if self._task is not None:
            self._task.cancel()

    def hand_over_prices(self) -> None:
        """Give the writer the marks that changed, unless it has not yet taken the last batch."""
        if self._inbox.takes_prices and (marks := self._quotes.take()):
            self._inbox.put_prices(marks, self._quotes.reference)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())
            self.hand_over_prices()
            self._check_writer()

    def _check_writer(self) -> None:
        """Raise the warning `stalled` while the writer hangs. O(1)."""
        if self._writer.publish_age_s > STALLED_AFTER_S:
            self._warnings["stalled"] = STALLED
        else:
            self._warnings.pop("stalled", None)
