"""Puts the closes in force whose day has come while the engine runs. On the event loop; the store is read on the pool.

A close dated today or later waits in the store. When its trading day ends, it values the instruments that have no newer price,
as it would after a start at that moment.
"""

import asyncio
from collections.abc import Callable

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import StoreError
from riskengine.loop import Failed, start_task
from riskengine.market.closing_prices import CloseTimes
from riskengine.market.quote_book import QuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.rebuild.rebuild import known_marks
from riskengine.store.protocol import Store

LOOK_EVERY_S = 1.0

log = get_logger("riskengine.marks")


class DayMarks:
    """Watches for the end of a trading day, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        config: Config,
        clock: Clock,
        quotes: QuoteBook,
        times: Callable[[], CloseTimes],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`times` dates closes; `ended` is called when the closes of a day are in force: they wait no more."""
        self._store = store
        self._times = times
        self._ended = ended
        self._config = config
        self._clock = clock
        self._quotes = quotes
        self._trading_day = TradingDay.of(config.engine)
        self._closed = self._trading_day.last_boundary(clock.now())
        self._task: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin, once the engine is live. `failed` is called if an error ends it."""
        self._task = start_task(self._run(), log, "day_marks_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self.take_closes()
            await asyncio.sleep(LOOK_EVERY_S)

    async def take_closes(self) -> None:
        """Put closes in force if a day has ended since the last call. O(1) otherwise. A store that is away is asked again."""
        now = self._clock.now()
        closed = self._trading_day.last_boundary(now)
        if closed <= self._closed:
            return
        try:
            marks = await asyncio.to_thread(known_marks, self._store, self._config, self._times(), now)
        except StoreError:
            return  # the store thread reports it
        self._closed = closed
        taken = self._quotes.take_stored(marks, now)
        self._ended()
        log.info("closes_in_force", date=closed.isoformat(), instruments=len(taken))
