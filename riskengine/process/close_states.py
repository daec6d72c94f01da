"""Keeps the state of the newest close, from which the next start goes on; and proves the one from which this start went on.

On the event loop. A state is made some seconds after its close was struck, or when the stored one cannot be used any more: by an
engine beside the live one, on a thread of its own that rests as long as it works. The store thread stores it, a chunk between two
commits. What a start took from a state is compared with the store once the engine is live: a difference is a break, as any that
reconciliation finds, and no start uses that state again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from riskengine.background import BackgroundThread, Rests, pause_collection, short_switch_interval
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.loop import Failed, start_task
from riskengine.observe import get_logger
from riskengine.process.sampling import OnStore
from riskengine.rebuild.close_state import Made, make_close_state
from riskengine.rebuild.close_terms import difference
from riskengine.rebuild.handover import GradualRelease
from riskengine.records.close_state import CloseState
from riskengine.records.reference import Reference
from riskengine.store.protocol import Store
from riskengine.store.tables.close_states import standing

LOOK_S = 20.0
"""How often to check whether the stored state is that of the newest close."""

RETRY_S = 300.0
"""How long to wait after a state could not be made."""

COMPARE_AGAIN_S = 30.0
"""How long to wait after what precedes a close could not be compared."""

FROM_TRADES = 50_000
"""Smaller stores are replayed in less time than a state would save."""

PRUNED_AT_ONCE = 8
"""Chunks of earlier states that one transaction removes: some megabytes."""

log = get_logger("riskengine.close_states")

Reconcile = Callable[..., Awaitable[dict[str, Any]]]
"""`Reconciler.run`."""


class CloseStateParts(NamedTuple):
    """What it works on."""

    store: Store
    config: Config
    clock: Clock
    epoch: int
    on_store: OnStore
    reconcile: Reconcile


class CloseStates:
    """All states that one live engine makes. `start` and `stop` once each."""

    def __init__(self, parts: CloseStateParts) -> None:
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._helper = BackgroundThread("riskengine-close-state")
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._settled: tuple[object, ...] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin to keep the state of the newest close, unless the settings say that no start uses one. `failed` as elsewhere."""
        engine = self._parts.config.engine
        if engine.start_from_close and engine.history_days:
            self._tasks.append(start_task(self._run(), log, "close_state_failed", failed))

    def stop(self) -> None:
        """Make no more; give up what is being made."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    # -- the state of this start ---------------------------------------------------------------------------------

    def compare_behind(self, date: str, note: Callable[..., None]) -> None:
        """Compare what the start took from the state of a close with the store, in the background; `note` the number compared."""
        self._tasks.append(start_task(self._compare_behind(date, note), log, "close_not_compared"))

    async def _compare_behind(self, date: str, note: Callable[..., None]) -> None:
        while True:
            try:
                report = await self._parts.reconcile(repair=False, actor="engine")
                break
            except RiskEngineError as error:
                log.warning("close_not_compared", date=date, error=str(error))
                await asyncio.sleep(COMPARE_AGAIN_S)
        note(compared=report["compared"])
        if report["clean"]:
            log.info("close_compared", date=date, compared=report["compared"])
            return
        reason = f"{report['open']:,} positions differed from the store after a start from it"
        log.error("close_differs", date=date, breaks=report["open"])
        await self._parts.on_store(lambda store: store.void_close_state(reason))

    # -- the state of the next one -------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                date = await asyncio.to_thread(self._wanted)
                if date is not None:
                    await self._keep(date)
            except EngineNotLive:
                return
            except (RiskEngineError, ValueError) as error:
                log.warning("close_state_not_kept", error=str(error))
                await asyncio.sleep(RETRY_S)

    def _wanted(self) -> str | None:
        """The date of the newest close, if the stored state is not one of it that a start can use. Raises StoreError."""
        store, config = self._parts.store, self._parts.config
        dates = store.struck_close_dates()
        if not dates or store.counts().trades < FROM_TRADES:
            return None
        date = max(dates)
        held = store.read(standing)
        looked_at = (date, held, store.reference_revision())
        if looked_at == self._settled:
            return None
        if held is not None and held[1:] == (date, ""):
            currency, units = config.engine.reporting_currency, config.price_units
            reference = Reference(store.nodes(), store.instruments(), currency, store.rule_starts(), units)
            stored = store.close_state()
            if stored is not None and not difference(stored.state, reference, store.openings(), config):
                self._settled = looked_at
                return None
        return date

    async def _keep(self, date: str) -> None:
        """Make and store the state of a struck close. Raises StoreError, ReferenceDataError, ValueError, EngineNotLive."""
        began = self._parts.clock.now()
        number = await asyncio.to_thread(self._parts.store.new_close_state)
        await self._prune()
        state = await self._helper.run(partial(self._make, date, number))
        if state is None:
            return
        await self._parts.on_store(lambda store: store.save_close_state(number, state))
        seconds = (self._parts.clock.now() - began) / 1e6
        log.info("close_state_kept", date=date, watermark=state.watermark, frozen=state.frozen, seconds=round(seconds, 3))
        await self._prune()

    async def _prune(self) -> None:
        pruned = PRUNED_AT_ONCE
        while pruned == PRUNED_AT_ONCE:
            pruned = await self._parts.on_store(lambda store: store.prune_close_states(PRUNED_AT_ONCE))

    def _make(self, date: str, number: int) -> CloseState | None:
        """On the helper thread."""
        rests = Rests()

        def rest() -> None:
            if self._stopping:
                raise EngineNotLive("stopped while the state of a close was made")
            rests.rest_if_due()

        parts = self._parts
        with short_switch_interval(), pause_collection():
            made = make_close_state(
                parts.store,
                parts.config,
                date,
                epoch=parts.epoch,
                now=parts.clock.now(),
                rest=rest,
                save=partial(self._save, number),
            )
        return None if made is None else _released(made)

    def _save(self, number: int, part: str, place: int, content: bytes) -> None:
        """Have the store thread store a chunk, and wait for it. On the helper thread."""

        async def save() -> None:
            await self._parts.on_store(lambda store: store.save_close_state_chunks(number, part, place, [content]))

        asyncio.run_coroutine_threadsafe(save(), self._loop).result()


def _released(made: Made) -> CloseState:
    """The state; its engine is freed piece by piece, because freeing it at once would stop every thread."""
    state = made.state
    GradualRelease(made.engine, 0.0)
    return state
