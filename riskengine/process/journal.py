"""Keeps the journal: once a second what every screen says, for questions about the past. On the event loop.

The writer gives the snapshot that it has just published, and the vols, rates and Greeks that have come since; everything else is
done on the pool and the store thread. A store that is away loses nothing for MAX_WAITING instants; then there is a hole, and
the next instant says everything.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import JournalConfig
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.errors import RiskEngineError
from riskengine.loop import Failed, pending_answer, start_task
from riskengine.observe import get_logger
from riskengine.process.sampling import MICROS_PER_DAY, SHORTEST_S, OnStore
from riskengine.records.journal import Instant
from riskengine.records.option_inputs import OptionInput
from riskengine.snapshot.mark_journal import MarkJournal
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store

MAX_WAITING = 600

log = get_logger("riskengine.journal")


class Journal:
    """The journal of one live engine, from `start` to `stop`.

    `revision` is that of the reference data in force, `speed` that of the engine's clock.
    """

    def __init__(
        self, config: JournalConfig, inbox: Inbox, on_store: OnStore, revision: Callable[[], int], speed: float = 1.0
    ) -> None:
        self._config = config
        self._inbox = inbox
        self._on_store = on_store
        self._revision = revision
        self._period_s = max(config.every_s / speed, SHORTEST_S)
        self._marks = MarkJournal()
        self.newest: Snapshot | None = None
        """The snapshot of the last instant; None before the first, and after a hole."""
        self._whole_at = 0
        self._span: tuple[int, int] | None = None
        self._waiting: deque[Instant] = deque()
        self._is_due = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin, once the engine is live. `failed` is called if an error ends it."""
        if self._config.every_s:
            self._task = start_task(self._run(), log, "journal_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    def span(self) -> dict[str, Any] | None:
        """The times of the oldest and the newest stored instant, as `/v1/status` shows them; None while there is none. O(1)."""
        if self._span is None:
            return None
        first, last = self._span
        return {"first_ts": first, "last_ts": last, "every_s": self._config.every_s}

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.record()
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def record(self) -> None:
        """Note the state of now and store it. Where the store is away it goes with a later one.

        0.1 ms of the writer at most, which publishes once for it; the rest beside it.
        """
        async with self._is_due:
            snapshot, inputs = await self._published()
            is_whole = self._must_be_whole(snapshot)
            if not is_whole and not inputs and _says_the_same(self.newest, snapshot):
                return
            made = await asyncio.to_thread(partial(self._marks.pack, snapshot, inputs, self._revision(), whole=is_whole))
            self.newest = snapshot
            if made.is_whole:
                self._whole_at = made.ts
            self._waiting.append(made)
            await self._store_waiting()

    def _must_be_whole(self, snapshot: Snapshot) -> bool:
        since = abs(snapshot.as_of - self._whole_at)  # a clock may be set back
        return self.newest is None or since >= self._config.whole_s * MICROS_PER_SECOND

    async def _published(self) -> tuple[Snapshot, list[OptionInput]]:
        """A snapshot that has just been published, and what has come into force since the last one that was asked for."""
        done, answer = pending_answer()

        def after_publication(engine: Engine) -> Callable[[], None]:
            return lambda: answer((engine.snapshot, engine.option_market.take_unrecorded()), None)

        self._inbox.put_call(after_publication)
        found: tuple[Snapshot, list[OptionInput]] = await done
        return found

    async def _store_waiting(self) -> None:
        instants = tuple(self._waiting)
        keep_from = instants[-1].ts - int(self._config.keep_days * MICROS_PER_DAY)
        try:
            self._span = await self._on_store(partial(_save, instants, keep_from))
        except RiskEngineError as error:
            if len(instants) >= MAX_WAITING:
                self._waiting.clear()
                self.newest = None  # the next one cannot stand on these
                log.warning("journal_has_a_hole", instants=len(instants), reason=str(error))
            return
        self._waiting.clear()


def _save(instants: Sequence[Instant], keep_from: int, store: Store) -> tuple[int, int] | None:
    """On the store thread; what the journal reaches from then on."""
    store.save_instants(instants, keep_from)
    return store.journal_span()


def _says_the_same(before: Snapshot | None, now: Snapshot) -> bool:
    """Whether two snapshots differ in nothing but the time."""
    return (
        before is not None
        and before.units.marks is now.units.marks
        and before.trade_seq == now.trade_seq
        and before.watermark == now.watermark
        and before.reference is now.reference
        and before.adjustments is now.adjustments
        and before.day is now.day
        and before.current_day == now.current_day
    )
