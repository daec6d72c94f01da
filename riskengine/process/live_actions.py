"""Puts corporate actions in force while the engine runs: when one is stored, by us or by others. The roll does it for a new day.

The writer takes what the store knows, by the rules of a start, in one snapshot: positions folded by the new ratio and marks
divided by it. Only then the quotes do the same with what comes in. On the event loop; the store is read on the pool.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from riskengine.clock import Clock
from riskengine.errors import EngineNotLive, StoreError
from riskengine.loop import Failed, start_task
from riskengine.market.quote_book import QuoteBook
from riskengine.observe import get_logger
from riskengine.positions.adjustments import Adjustments
from riskengine.process.sampling import OnStore
from riskengine.process.verdicts import OnWriter
from riskengine.records.actions import Action
from riskengine.records.reference import Reference
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store
from riskengine.store.results import ActionStoredAs

LOOK_EVERY_S = 0.1
"""How often it is compared what the newest snapshot has in force."""

log = get_logger("riskengine.actions")


class LiveActions:
    """The corporate actions of one live engine, from `start` to `stop`.

    `begin_again` begins the current day again, by the close as the actions of the day make it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        quotes: QuoteBook,
        newest: Callable[[], Snapshot],
        on_store: OnStore,
        on_writer: OnWriter,
        begin_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._quotes = quotes
        self._newest = newest
        self._on_store = on_store
        self._on_writer = on_writer
        self._begin_again = begin_again
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._reference: Reference = newest().reference
        self._known: Adjustments | None = newest().adjustments

    def start(self, failed: Failed | None = None) -> None:
        """Begin, once the engine is live. `failed` is called if an error ends it."""
        self._task = start_task(self._run(), log, "actions_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def save(self, actions: Sequence[Action]) -> list[ActionStoredAs]:
        """Store actions; when this returns, a published snapshot shows what is in force. Raises StoreError, EngineNotLive."""
        outcomes: list[ActionStoredAs] = await self._on_store(lambda store: store.save_actions(actions))
        await self.take()
        return outcomes

    async def take(self) -> None:
        """Put in force what the store knows and whose ex-date has begun. Raises StoreError, EngineNotLive."""
        async with self._one_at_a_time:
            newest = self._newest()
            before = newest.adjustments
            rows = await asyncio.to_thread(self._store.action_rows)
            if rows.actions or before is not None:
                await self._on_writer(lambda engine: engine.take_actions(rows, self._clock.now()))
            self._reference = newest.reference
            changed = self._follow()
            closed = "" if newest.day is None else newest.day.window.closed
            if newest.day is not None and any(action.ex_date > closed for action in changed):
                await self._begin_again()

    def _follow(self) -> set[Action]:
        """Have the quotes follow what the newest snapshot has in force. Returns the actions that are new or gone."""
        before, now = self._known, self._newest().adjustments
        if now is before or now is None:
            return set()
        self._known = now
        self._quotes.take_splits(now.prices())
        known = set(before.in_force) if before is not None else set()
        for action in now.in_force:
            if action not in known:
                log.info("action_in_force", action_id=action.action_id, version=action.version, ex_date=action.ex_date)
        return known ^ set(now.in_force)

    async def _run(self) -> None:
        while True:
            self._follow()
            if not self._newest().reference.is_kin(self._reference):  # another engine, built from what was read earlier
                try:
                    await self.take()
                except EngineNotLive:
                    return
                except StoreError:
                    pass  # the store thread reports it
            await asyncio.sleep(LOOK_EVERY_S)
