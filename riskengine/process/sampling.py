"""Fills the curves: samples the newest snapshot periodically, stores each sample at once, reads stored ones back at the start.

A snapshot is immutable, so the writer feels nothing: samples are made on the pool. A store that is away loses nothing: samples
that it has not taken wait, as many as the ring holds, and go with the next one. After a `kill -9` the newest stored sample is
less than one period old, and the time until the next start is a hole.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import CurvesConfig
from riskengine.errors import RiskEngineError
from riskengine.loop import Failed, start_task
from riskengine.observe import get_logger
from riskengine.records.types import Sample
from riskengine.snapshot.curves import Curves, sample
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store

MICROS_PER_DAY = 86_400 * MICROS_PER_SECOND

SHORTEST_S = 0.05
"""Shortest real time between two samples, however fast the clock runs: the writer has hardly published anything new before."""

LAST_SAMPLE_S = 2.0
"""Longest wait at the end for the last sample to be stored."""

log = get_logger("riskengine.sampling")

OnStore = Callable[[Callable[[Store], Any]], Awaitable[Any]]
"""Has something done on the store thread (`EngineProcess.on_store`). Raises EngineNotLive, StoreError."""


class Sampling:
    """Fills `curves` from `start` to `stop`. `on_store` has something done on the store thread (`EngineProcess.on_store`).

    `speed` is that of the engine's clock: a sample is due every `[curves] sample_s` seconds of it.
    """

    def __init__(
        self,
        curves: Curves,
        config: CurvesConfig,
        store: Store,
        newest: Callable[[], Snapshot],
        on_store: OnStore,
        speed: float = 1.0,
    ) -> None:
        self._curves = curves
        self._config = config
        self._period_s = max(config.sample_s / speed, SHORTEST_S)
        self._store = store
        self._newest = newest
        self._on_store = on_store
        self._waiting: deque[Sample] = deque(maxlen=config.samples)
        self._is_restored = False
        self._task: asyncio.Task[None] | None = None
        self._storing: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin, once the engine is live. `failed` is called if an error ends it."""
        self._task = start_task(self._run(), log, "sampling_failed", failed)

    async def stop(self) -> None:
        """Store one last sample while the engine is still live, and end."""
        if self._task is None:
            return
        self._task.cancel()
        last = asyncio.create_task(self._finish())
        await asyncio.wait([self._task, last], timeout=LAST_SAMPLE_S, return_when=asyncio.ALL_COMPLETED)
        for task in (last, self._storing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _finish(self) -> None:
        if self._storing is not None:
            await asyncio.wait([self._storing])
        await self._sample()
        await self._store_waiting()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._sample()
            # In a task of its own: a slow store must not make a hole in the samples.
            if self._storing is None or self._storing.done():
                self._storing = start_task(self._store_waiting(), log, "sampling_failed")
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _sample(self) -> None:
        new = await asyncio.to_thread(sample, self._newest(), self._config.max_nodes)
        self._curves.add(new)
        while self._waiting and self._waiting[-1].ts >= new.ts:
            self._waiting.pop()
        self._waiting.append(new)

    async def _store_waiting(self) -> None:
        """Read stored samples back if that is still to be done, then store waiting ones. The next call retries what fails."""
        samples = tuple(self._waiting)
        keep_from = samples[-1].ts - int(self._config.keep_days * MICROS_PER_DAY)
        try:
            if not self._is_restored:
                await self._restore(samples[0].ts)
            await self._on_store(lambda store: store.save_curve_samples(samples, keep_from))
        except RiskEngineError as error:
            log.warning("curves_not_stored", waiting=len(self._waiting), reason=str(error))
            return
        stored = {id(each) for each in samples}
        self._waiting = deque((each for each in self._waiting if id(each) not in stored), self._waiting.maxlen)

    async def _restore(self, before: int) -> None:
        """Read back what an earlier engine has stored, as far as the ring reaches."""
        reach = int(self._config.samples * self._config.sample_s * MICROS_PER_SECOND)
        stored = await asyncio.to_thread(self._store.curve_samples, before - reach, before - 1)
        self._curves.restore(stored)
        self._is_restored = True
        if stored:
            log.info("curves_read", samples=len(stored), since=stored[0].ts)
