"""Puts corporate actions in force while the engine runs: when one is stored, by whomever, and when an ex-date begins.

The writer takes what the store knows, by the rules of a start, in one snapshot: positions folded by the new ratio and marks
divided by it. Only then the quotes do the same with what comes in. On the event loop; the store is read on the pool.
"""

import asyncio
from collections.abc import Callable, Sequence

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import EngineNotLive, StoreError
from riskengine.loop import start_task
from riskengine.market.ex_dates import start_of
from riskengine.market.marks import QuoteBook
from riskengine.market.trading_day import TradingDay
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
"""How often the clock is asked whether an ex-date has begun."""

log = get_logger("riskengine.actions")


class LiveActions:
    """The corporate actions of one live engine, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        config: Config,
        clock: Clock,
        quotes: QuoteBook,
        newest: Callable[[], Snapshot],
        on_store: OnStore,
        on_writer: OnWriter,
    ) -> None:
        self._store = store
        self._clock = clock
        self._quotes = quotes
        self._newest = newest
        self._on_store = on_store
        self._on_writer = on_writer
        self._trading_day = TradingDay.of(config.engine)
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._reference: Reference = newest().reference
        self._begins_at: int | None = None

    def start(self) -> None:
        """Begin, once the engine is live."""
        self._note(self._newest().adjustments)
        self._task = start_task(self._run(), log, "actions_failed")

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
            before, reference = self._newest().adjustments, self._newest().reference
            rows = await asyncio.to_thread(self._store.action_rows)
            if rows.actions or before is not None:
                await self._on_writer(lambda engine: engine.take_actions(rows, self._clock.now()))
            now = self._newest().adjustments
            self._reference = reference
            self._note(now)
            if now is not None and now is not before:
                self._quotes.take_splits(now.prices())
                known = before.in_force if before is not None else ()
                for action in now.in_force:
                    if action not in known:
                        log.info("action_in_force", action_id=action.action_id, version=action.version, ex_date=action.ex_date)

    def _note(self, adjustments: Adjustments | None) -> None:
        """Note when the next ex-date begins."""
        dates = {action.ex_date for action in adjustments.waiting} if adjustments is not None else set()
        self._begins_at = min((start_of(self._trading_day, date) for date in dates), default=None)

    async def _run(self) -> None:
        while True:
            begins_at = self._begins_at
            if (begins_at is not None and self._clock.now() >= begins_at) or self._newest().reference is not self._reference:
                try:
                    await self.take()
                except EngineNotLive:
                    return
                except StoreError:
                    pass  # the store thread reports it
            await asyncio.sleep(LOOK_EVERY_S)
