"""Answers what trades come to by counterparty and strategy, beside the live engine: one thread, from the store.

The first question has the trades of the store read; later ones read what came since. A question that comes while that takes long
is refused, to be asked again. Sums that a snapshot does not prove (rows edited in place, or rows of other programs that became
visible late) are read again, at most every AGAIN_S; until then the ladder shows the lines concerned whole.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from riskengine.background import BackgroundThread, Rests, short_switch_interval
from riskengine.config import Config
from riskengine.errors import EngineNotLive, TooBusy
from riskengine.observe import get_logger
from riskengine.reconciliation.trade_groups import TradeGroups
from riskengine.snapshot.groups import Parts, unproven
from riskengine.snapshot.snapshot import SeqGone, Snapshot, node_number
from riskengine.store.protocol import Store

WAIT_S = 5.0
"""How long a question waits for the store to be read."""

AGAIN_S = 10.0
"""How long after it began to read everything it may begin again because something is not proved."""

MAX_WAITING = 16

log = get_logger("riskengine.groups")


class GroupDesk:
    """One live engine's groups of trades. On the event loop; the work is on a thread of its own."""

    def __init__(self, store: Store, config: Config, newest: Callable[[], Snapshot]) -> None:
        self._store = store
        self._config = config
        self._newest = newest
        self._thread = BackgroundThread("groups")
        self._rests = Rests()
        self._groups: TradeGroups | None = None
        self._reading: asyncio.Task[None] | None = None
        self._began = 0.0
        self._progress = 0
        self._waiting = 0
        self._stopping = False

    def stop(self) -> None:
        """Take no more questions; a store that is being read is given up."""
        self._stopping = True

    async def parts(self, snapshot: Snapshot, by: str, *, node: str | None, dealer: str | None) -> Parts:
        """What the trades of a node (None: the root) or a dealer come to, by instrument and by the attribute `by`.

        They are the trades that the snapshot has, where it proves them (`snapshot.groups`). Raises UnknownName, SeqGone, TooBusy
        while the store is being read, EngineNotLive, StoreError. O(desks below + groups).
        """
        if self._waiting >= MAX_WAITING:
            raise TooBusy(f"{self._waiting} questions about groups of trades wait already: ask again later")
        self._waiting += 1
        try:
            groups = await self._read(snapshot)
            work = partial(self._parts, groups, snapshot, by, node, dealer)
            parts, wrong = await self._thread.run(work)
        finally:
            self._waiting -= 1
        if wrong and time.monotonic() >= self._began + AGAIN_S:
            log.info("groups_not_proved", instruments=len(wrong), first=wrong[0])
            self._begin()
        return parts

    # -- reading the store -------------------------------------------------------------------------------------

    async def _read(self, snapshot: Snapshot) -> TradeGroups:
        """The sums by what decides which trades count in a snapshot."""
        groups = self._groups
        if groups is not None and groups.is_of(snapshot):
            return groups
        reading = self._reading if self._reading is not None else self._begin()
        try:
            await asyncio.wait_for(asyncio.shield(reading), WAIT_S)
        except TimeoutError:
            share = self._progress / max(self._newest().watermark, 1)
            raise TooBusy(f"the stored trades are being read by group, {share:.0%} so far: ask again soon") from None
        groups = self._groups
        if groups is None or not groups.is_of(snapshot):
            raise TooBusy("what decides which trades count has just changed: ask again")
        return groups

    def _begin(self) -> "asyncio.Task[None]":
        """Read everything anew; the sums of before serve until that is done."""
        if self._reading is None:
            self._began = time.monotonic()
            self._reading = asyncio.get_running_loop().create_task(self._read_anew())
            self._reading.add_done_callback(self._note_read)
        return self._reading

    async def _read_anew(self) -> None:
        self._groups = await self._thread.run(self._read_all)

    def _note_read(self, task: "asyncio.Task[None]") -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) is not None:  # the questions that wait get it too
            log.warning("groups_not_read", error=str(error))

    def _read_all(self) -> TradeGroups:
        """Own thread. Raises StoreError, EngineNotLive."""
        self._progress = 0
        snapshot = self._newest()
        with short_switch_interval():
            groups = TradeGroups(self._store, self._config, snapshot)

            def rest() -> None:
                self._progress = groups.watermark
                self._rest()

            groups.read_up_to(snapshot.watermark, rest)
        return groups

    def _parts(
        self, groups: TradeGroups, snapshot: Snapshot, by: str, node: str | None, dealer: str | None
    ) -> tuple[Parts, list[str]]:
        """Own thread. Raises UnknownName, SeqGone, StoreError, EngineNotLive."""
        with short_switch_interval():
            groups.read_up_to(snapshot.watermark, self._rest)
            hierarchy = snapshot.reference.hierarchy
            number = 0 if node is None else node_number(snapshot, node)
            desks = hierarchy.leaves_below(number) if dealer is None and len(hierarchy) else []
            parts = groups.parts(by, snapshot.watermark, desks=desks, dealer=dealer)
            if parts is None:
                raise SeqGone(f"too many trades have come since seq {snapshot.seq}")
            return parts, unproven(snapshot, parts, node, dealer)

    def _rest(self) -> None:
        """Own thread. Raises EngineNotLive once the engine stops: the store is about to be closed."""
        if self._stopping:
            raise EngineNotLive("the engine is stopping")
        self._rests.rest_if_due()
