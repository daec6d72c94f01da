"""Keeps the warnings about feeds true: gaps, numbers anew, silent sources, clocks that run ahead. On the event loop."""

import asyncio

from riskengine.alerts import Warnings, tells_end
from riskengine.clock import Clock
from riskengine.intake.sources import Sources, name_few
from riskengine.loop import start_task
from riskengine.market.clock_skew import ClockSkews
from riskengine.observe import get_logger

PERIOD_S = 0.5
"""How often the warnings are made anew: a source falls silent without a word."""

SOON_S = 0.05
"""How soon after a heartbeat or a tick that changes them."""

KINDS = ("feed_gap", "feed_anew", "feed_silent", "clock_ahead")

log = get_logger("riskengine.feeds")


class FeedWatch:
    """Sets and clears the warnings of KINDS, from `start` to `stop`."""

    def __init__(self, sources: Sources, skews: ClockSkews, warnings: Warnings, clock: Clock) -> None:
        self._sources = sources
        self._skews = skews
        self._warnings = warnings
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, once the engine is live."""
        failed = tells_end(self._warnings, "nobody looks whether feeds are silent")
        self._task = start_task(self._run(), log, "feed_watch_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
        if self._soon is not None:
            self._soon.cancel()

    def look_soon(self) -> None:
        """Something may have changed. O(1)."""
        if self._soon is None and self._task is not None:
            self._soon = asyncio.get_running_loop().call_later(SOON_S, self.look)

    def look(self) -> None:
        """Set and clear the warnings. O(sources)."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        now = self._clock.now()
        found = self._sources.warnings(now)
        ahead = self._skews.ahead(now)
        if ahead:
            named = [f"{source or '(no name)'} by {skew / 1_000:.0f} s" for source, skew in ahead.items()]
            found["clock_ahead"] = (
                f"the clock of a source of prices runs ahead: {name_few(named)}. Its ticks hide those of other sources until"
                " their time has come: set that clock right (or this machine's, if every source is named)"
            )
        for kind in KINDS:
            if kind not in found:
                self._warnings.pop(kind, None)
        if "feed_gap" in found:
            self._warnings["feed_gap"] = found["feed_gap"]
        if "feed_anew" in found:
            self._warnings["feed_anew"] = found["feed_anew"]
        if "feed_silent" in found:
            self._warnings["feed_silent"] = found["feed_silent"]
        if "clock_ahead" in found:
            self._warnings["clock_ahead"] = found["clock_ahead"]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            self._sources.retry()
            self.look()
