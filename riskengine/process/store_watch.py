"""What is looked after beside the engine's work: that the store has not gone back, and what readers must know of the numbers.

At the opening the witness is asked whether the store went back, before an epoch is taken: a refused start changes nothing. While
the engine is live the witness is brought up to date every few seconds, and rows and balances that the positions lack are named.
Runs on the event loop; the store and the witness are asked on the pool.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from riskengine.alerts import Warnings
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import StartRefused, StoreError
from riskengine.loop import start_task
from riskengine.observe import get_logger
from riskengine.rebuild.rebuild import has_a_place
from riskengine.records.reference import Reference
from riskengine.snapshot.mismatch import Mismatch
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.store.protocol import Store
from riskengine.store.witness import Witness

NOTE_EVERY_S = 10.0
LOOK_EVERY_S = 1.0
LAST_NOTE_S = 5.0

log = get_logger("riskengine.watch")


class StoreWatch:
    """Looks after one open store and what is said of it."""

    def __init__(self, config: Config, store: Store, clock: Clock, warnings: Warnings) -> None:
        self.witness = Witness(config.store, store, clock)
        self._store = store
        self._warnings = warnings
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._listed: Mapping[str, Sequence[ExceptionItem]] | None = None
        self._reference: Reference | None = None

    def take_epoch(self, accept_mismatch: bool) -> tuple[int, list[Mismatch]]:
        """The epoch of this writer, and what the witness had against the store. Raises StartRefused, StoreError.

        A store that went back and is accepted goes on above every epoch seen before, so that no old writer passes for this one.
        """
        back = self.witness.check()
        if back is None:
            if self.witness.gone:
                self._warnings["gone"] = (
                    f"trades that the store held when it was last seen from here, and that are gone: {self.witness.gone:,}; "
                    "`riskengine audit verify` names their rows"
                )
            return self._store.next_epoch(), []
        found = Mismatch("restored", back)
        if not accept_mismatch:
            raise StartRefused([found])
        epoch = self._store.next_epoch(above=self.witness.epoch)
        self.witness.adopt()
        return epoch, [found]

    def start(self, newest: Callable[[], Snapshot], openings_left_out: int) -> None:
        """Begin, once the engine is live."""
        self._stopping = asyncio.Event()
        self._reference = newest().reference
        self._say_openings(openings_left_out)
        self._task = start_task(self._run(newest, self._stopping), log, "watch_failed")

    async def stop(self) -> None:
        """Note for the last time where the store stands, and end. The store must still be open."""
        if self._task is not None and self._stopping is not None:
            self._stopping.set()
            await asyncio.wait([self._task], timeout=LAST_NOTE_S)
            self._task.cancel()

    async def _run(self, newest: Callable[[], Snapshot], stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        await self._note(count=True)
        while True:
            last = stopping.is_set()
            if last or loop.time() >= due:
                await self._note()
                due = loop.time() + NOTE_EVERY_S
            if last:
                return
            await self._look(newest())
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_EVERY_S)

    async def _note(self, *, count: bool = False) -> None:
        try:
            back = await asyncio.to_thread(partial(self.witness.note, count=count))
        except StoreError:
            return  # the store thread says so
        if back is not None:
            self._warnings["restored"] = back
        else:
            self._warnings.pop("restored", None)

    async def _look(self, snapshot: Snapshot) -> None:
        """Say what the positions lack: rows that are no trades, balances without a place. O(1) where nothing has changed."""
        if len(snapshot.reference.hierarchy):
            self._warnings.pop("empty", None)
        else:
            self._warnings["empty"] = f"store {self._store.name} has no nodes: nothing was loaded yet, or another store is meant"
        if snapshot.exceptions is not self._listed:
            self._listed = snapshot.exceptions
            self._say_unreadable([item for item in snapshot.exceptions.get("quarantined", ()) if item.trade is None])
        if snapshot.reference is not self._reference:
            with suppress(StoreError):
                openings = await asyncio.to_thread(self._store.openings)
                self._reference = snapshot.reference
                self._say_openings(sum(not has_a_place(opening, snapshot.reference) for opening in openings))

    def _say_unreadable(self, items: Sequence[ExceptionItem]) -> None:
        if items:
            first = f"the first is row {items[0].detail.get('store_seq')}: {items[0].reason}"
            self._warnings["unreadable"] = f"rows that cannot be read as trades and are quarantined: {len(items):,}, {first}"
        else:
            self._warnings.pop("unreadable", None)

    def _say_openings(self, left_out: int) -> None:
        if left_out:
            self._warnings["openings"] = f"opening balances left out because their desk or instrument is unknown: {left_out:,}"
        else:
            self._warnings.pop("openings", None)
