"""Marks that people set by hand: stored, then in force with the next snapshot, settled if the store's answer was lost.

On the event loop. A commit whose answer was lost may have gone through: the sender hears that the store is away, and once it is
back what it holds is put in force, as a start would.
"""

import asyncio
from collections.abc import Callable, Sequence

from riskengine.clock import Clock
from riskengine.engine.engine import Engine
from riskengine.errors import EngineNotLive, StoreError, StoreUnavailable
from riskengine.loop import start_task
from riskengine.market.tick_limits import LimitedQuoteBook
from riskengine.observe import get_logger
from riskengine.process.sampling import OnStore
from riskengine.process.verdicts import OnWriter
from riskengine.records.manual_marks import ManualMark, MarkStatus

RETRY_S = 0.5

log = get_logger("riskengine.marks")


class ManualMarks:
    """Puts the marks of people in force on one live engine. `hand_over_prices` is that of the beats."""

    def __init__(
        self,
        on_store: OnStore,
        on_writer: OnWriter,
        quotes: LimitedQuoteBook,
        hand_over_prices: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._on_store = on_store
        self._on_writer = on_writer
        self._quotes = quotes
        self._hand_over_prices = hand_over_prices
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def set_marks(self, marks: Sequence[ManualMark], actor: str) -> tuple[list[MarkStatus], int]:
        """Store marks and put them in force; what became of each, and the `seq` of a snapshot that shows them.

        One without an expiry that is older than the mark in force is not stored. Raises StoreError, EngineNotLive.
        """
        async with self._one_at_a_time:  # the store and the quotes take them in one order
            now = self._clock.now()
            older = [self._quotes.would_supersede(mark, now) for mark in marks]
            taken = [mark for mark, is_older in zip(marks, older, strict=True) if not is_older]
            statuses: list[MarkStatus] = []
            if taken:
                try:
                    statuses = await self._on_store(lambda store: store.save_manual_marks(taken, actor))
                except StoreUnavailable:
                    start_task(self.settle(taken), log)
                    raise
            for mark, status in zip(taken, statuses, strict=True):
                if status == "applied":
                    self._quotes.set_by_hand(mark, self._clock.now())
            seq = await self._shown()
        stored = iter(statuses)
        return ["superseded" if is_older else next(stored) for is_older in older], seq

    async def _shown(self) -> int:
        """Hand over what has changed; the `seq` of a snapshot that shows it."""
        if not self._hand_over_prices():
            await self._on_writer(_nothing)  # now the last batch is taken; a beat since then has handed over these
            self._hand_over_prices()
        await self._on_writer(_nothing)
        seq: int = await self._on_writer(lambda engine: engine.snapshot.seq)
        return seq

    async def settle(self, sent: Sequence[ManualMark]) -> None:
        """Ask until the store answers whether it has these, and put those in force that it has."""
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                async with self._one_at_a_time:
                    stored = await self._on_store(lambda store: store.manual_marks())
                    for mark in sent:
                        if mark in stored:
                            self._quotes.set_by_hand(mark, self._clock.now())
                return
            except EngineNotLive:
                return  # the next start reads them
            except StoreError:
                continue


def _nothing(_: Engine) -> None:
    """Done once the writer has done all that was put before."""
