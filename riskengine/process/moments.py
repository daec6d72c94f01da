"""Answers questions about the past beside the live engine: one thread, one question at a time, so many may wait.

Each moment is an engine of its own, made from the store; the last ones are kept, because a screen that goes over the day asks for
many things of each. The thread hands the interpreter over often, so that neither the writer nor the loop waits for it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial

from riskengine.background import BackgroundThread, Rests, short_switch_interval
from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.moment import NOW, Known, Moment
from riskengine.errors import EngineNotLive, TooBusy
from riskengine.rebuild.moment import MomentParts, check_reach, moment_of, recorded_of
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store


class MomentDesk:
    """One live engine's questions about the past. On the event loop; the work is on a thread of its own."""

    def __init__(self, store: Store, config: Config, newest: Callable[[], Snapshot]) -> None:
        self._store = store
        self._config = config
        self._newest = newest
        self._thread = BackgroundThread("moments")
        self._rests = Rests()
        self._kept: OrderedDict[Hashable, Moment] = OrderedDict()
        self._waiting = 0
        self._stopping = False

    def stop(self) -> None:
        """Take no more questions; a moment that is being made is given up."""
        self._stopping = True

    async def at(self, ts: int, known: Known, *, whole: bool = False) -> Moment:
        """The moment `ts`, not in the future. Raises BeforeTheStore, TooBusy where too many wait, StoreError, EngineNotLive.

        Some milliseconds for one that is kept, else 9 us a trade since the last close before it. `whole`: with every trade in
        memory, for receipts; 9 us a stored trade.
        """
        if self._waiting > self._config.journal.max_waiting:
            raise TooBusy(f"{self._waiting} questions about the past wait already: ask again later")
        self._waiting += 1
        try:
            return await self._thread.run(partial(self._find, ts, known, whole=whole))
        finally:
            self._waiting -= 1

    def _find(self, ts: int, known: Known, *, whole: bool) -> Moment:
        """Own thread."""
        self._rest()
        with short_switch_interval():
            check_reach(self._store, ts)
            live, chain = self._newest(), self._store.instants_at(ts)
            what = (known, live.watermark, live.trade_seq) if known == NOW else (known,)
            key = (chain[-1].epoch, chain[-1].seq, *what) if chain else (ts, *what)
            found = self._kept.pop(key, None)
            if found is None or (whole and found.engine.processed.frozen_count):
                parts = MomentParts(self._store, self._config, self._rest)
                recorded, reason = recorded_of(chain, self._rest)
                key = key if recorded is not None else (ts, *what)
                found = moment_of(parts, ts, recorded, reason, known, whole=whole)
            self._kept[key] = found
            while len(self._kept) > self._config.journal.moments:
                self._kept.popitem(last=False)
        return self._asked(found, ts)

    def _asked(self, found: Moment, ts: int) -> Moment:
        """The moment as the answer to a question about `ts`."""
        at = found.exact_at
        if at is None or ts - at <= 2 * (self._config.journal.whole_s + self._config.journal.every_s) * MICROS_PER_SECOND:
            return found._replace(asked=ts)
        gap = f"nothing was recorded in the {(ts - at) // MICROS_PER_SECOND} s before the moment: it is as it was at {at}"
        return found._replace(asked=ts, unknown=(gap, *found.unknown))

    def _rest(self) -> None:
        """Own thread. Raises EngineNotLive once the engine stops: the store is about to be closed."""
        if self._stopping:
            raise EngineNotLive("the engine is stopping")
        self._rests.rest_if_due()
