"""The sources that send trades: whether each is alive, and whether something that it sent is missing.

A source numbers its trades (`source_seq`); its heartbeat says which number it sent last, and that is compared with what has
arrived. Used on the event loop only.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from riskengine.clock import MICROS_PER_SECOND
from riskengine.errors import RiskEngineError
from riskengine.observe import get_logger
from riskengine.records.types import Trade

Cursors = Mapping[str, int]
"""The highest source_seq that has arrived from each source."""

SILENT_AFTER_US = 5 * MICROS_PER_SECOND

log = get_logger("riskengine.publishers")


class Sources:
    """The sources that have sent a heartbeat since the start, and how far each has come: in the store, and on the way there."""

    def __init__(self) -> None:
        self._feeds: dict[str, dict[str, Any]] = {}
        self._cursors: dict[str, int] = {}
        self._under_way: dict[str, list[int]] = {}
        self._read: Callable[[], Cursors] | None = None
        self._looking_up: asyncio.Task[None] | None = None

    async def follow(self, read: Callable[[], Cursors]) -> None:
        """Ask the store how far each source has come: now, and whenever a gap shows. `read` is called on the pool."""
        self.restore(await asyncio.to_thread(read))
        self._read = read

    def restore(self, cursors: Cursors) -> None:
        """Take over how far each source has come in the store. What fills a gap ends the alarm."""
        for source, cursor in cursors.items():
            self._cursors[source] = max(cursor, self._cursors.get(source, 0))
        for source, feed in self._feeds.items():
            if feed["gap"] and feed["last_seq"] <= self._received_seq(source):
                feed["gap"] = False
                log.info("feed_gap_filled", source=source, received=self._received_seq(source))

    def note_sent(self, trades: Iterable[Trade], stored: "asyncio.Future[Any] | None" = None) -> None:
        """Note that these have arrived. If `stored` fails, they may not be in the store, and count as missing. O(trades)."""
        highest: dict[str, int] = {}
        for trade in trades:
            if trade.source_seq > highest.get(trade.source, 0):
                highest[trade.source] = trade.source_seq
        if stored is None:
            self.restore(highest)
        elif highest:
            for source, source_seq in highest.items():
                self._under_way.setdefault(source, []).append(source_seq)
            stored.add_done_callback(lambda done: self._note_stored(highest, not done.cancelled() and done.exception() is None))

    def _note_stored(self, highest: Cursors, stored: bool) -> None:
        for source, source_seq in highest.items():
            self._under_way[source].remove(source_seq)
        if stored:
            self.restore(highest)

    def _received_seq(self, source: str) -> int:
        return max(self._cursors.get(source, 0), *self._under_way.get(source, ()), 0)

    def heartbeat(self, source: str, last_seq: int | None, now: int) -> None:
        """Note that a source is alive and which number it sent last. If less has arrived, it has a gap."""
        feed = self._feeds.setdefault(source, {"gap": False, "last_seq": None})
        received, last = self._received_seq(source), feed["last_seq"] if last_seq is None else last_seq
        gap = last is not None and 0 < received < last
        if gap and not feed["gap"]:
            log.warning("feed_gap", source=source, sent=last, received=received)
        feed.update(gap=gap, heard_at=now, last_seq=last)
        if gap and self._read is not None and self._looking_up is None:
            self._looking_up = asyncio.get_running_loop().create_task(self._look_up(self._read))

    async def _look_up(self, read: Callable[[], Cursors]) -> None:
        """Missing trades may be in the store already: from a file, or from another program."""
        try:
            self.restore(await asyncio.to_thread(read))
        except RiskEngineError:
            return  # the store is away, which the store thread reports; the gap stays
        finally:
            self._looking_up = None

    def rows(self, now: int) -> list[dict[str, Any]]:
        """One row for each source that has sent a heartbeat, by name."""
        return [
            {
                "source": source,
                "age_ms": (now - feed["heard_at"]) // 1_000,
                "last_seq": feed["last_seq"],
                "received_seq": self._received_seq(source) or None,
                "gap": feed["gap"],
                "alive": now - feed["heard_at"] <= SILENT_AFTER_US,
            }
            for source, feed in sorted(self._feeds.items())
        ]
