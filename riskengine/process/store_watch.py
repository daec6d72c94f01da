"""Watches that the store has not gone back, and warns about what the positions lack.

At the opening it asks the witness whether the store went back, before it takes an epoch: a refused start changes nothing. While
the engine is live it brings the witness up to date every few seconds, and names rows and balances that the positions lack. Runs
on the event loop; the store and the witness are asked on the pool.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from riskengine.alerts import Warnings, tells_end
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.worklist import OFF_MARKET, POSSIBLE_DUPLICATE
from riskengine.errors import StartRefused, StoreError
from riskengine.loop import start_task
from riskengine.observe import get_logger
from riskengine.process.kept_out import KeptOut
from riskengine.rebuild.rebuild import has_a_place
from riskengine.records.reference import Reference
from riskengine.records.types import Verdict
from riskengine.snapshot.mismatch import Mismatch
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.store.protocol import Store
from riskengine.store.standing import RESUME, Acknowledged
from riskengine.store.witness import Witness

NOTE_EVERY_S = 10.0
LOOK_EVERY_S = 1.0
LAST_NOTE_S = 5.0

UNJUDGED = "unjudged"
"""The kind of the warning about trades of which nobody knows whether they lie far from the mark of their time."""

log = get_logger("riskengine.watch")


class StoreWatch:
    """Watches one open store and sets the warnings about it."""

    def __init__(self, config: Config, store: Store, clock: Clock, warnings: Warnings) -> None:
        self.witness = Witness(config.store, store, clock)
        self._store = store
        self._warnings = warnings
        self._kept_out = KeptOut(warnings)
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._listed: Mapping[str, Sequence[ExceptionItem]] | None = None
        self._decided: Mapping[str, Verdict] | None = None
        self._reference: Reference | None = None
        self._acknowledged: Acknowledged | None = None
        self._wake = asyncio.Event()

    def take_epoch(self, accept_mismatch: bool, reason: str = "") -> tuple[int, list[Mismatch]]:
        """The epoch of this writer, and what the witness found wrong with the store. Raises StartRefused, StoreError.

        A store that went back is accepted with a reason only. It continues above every epoch seen before, so that no old writer
        passes for this one.
        """
        back = self.witness.check()
        if back is None:
            if self.witness.gone:
                self._warnings["gone"] = (
                    f"{self.witness.gone:,} trades are missing that the store held when this machine last saw it; "
                    "`riskengine audit verify` lists their rows"
                )
            return self._store.next_epoch(), []
        if not (accept_mismatch and reason):
            said = "--accept-mismatch needs a --reason here: " if accept_mismatch else ""
            raise StartRefused([Mismatch("restored", f"{back}; {said}{RESUME}")])
        found = Mismatch("restored", back)
        epoch = self._store.next_epoch(above=self.witness.epoch)
        self.witness.adopt()
        return epoch, [found]

    def note_gone_back(self, text: str, acknowledged: Acknowledged) -> None:
        """The store has gone back under the engine: say so, for good, and have the witness keep what was acknowledged."""
        self._warnings["restored"] = text
        self._acknowledged = acknowledged
        self._wake.set()

    def start(self, newest: Callable[[], Snapshot], openings_left_out: int, unjudged: int = 0) -> None:
        """Begin, once the engine is live. `unjudged` trades came while none was, and no mark of their time is known."""
        self._stopping = asyncio.Event()
        self._reference = newest().reference
        self._warn_openings(openings_left_out)
        if unjudged:
            self._warnings[UNJUDGED] = (
                f"{unjudged:,} trades count that came while no engine was live, or just before it ended, and are not compared"
                " with a mark of their time: none is known; look at their prices (GET /v1/trades); the next start says nothing"
            )
        failed = tells_end(self._warnings, "the file beside the engine that remembers the store is not brought up to date")
        self._task = start_task(self._run(newest, self._stopping), log, "watch_failed", failed)

    async def stop(self) -> None:
        """Bring the witness up to date for the last time, and end. The store must still be open."""
        if self._task is not None and self._stopping is not None:
            self._stopping.set()
            self._wake.set()
            await asyncio.wait([self._task], timeout=LAST_NOTE_S)
            self._task.cancel()

    async def _run(self, newest: Callable[[], Snapshot], stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        await self._update_witness(count=True)
        while True:
            last = stopping.is_set()
            if last or self._wake.is_set() or loop.time() >= due:
                self._wake.clear()
                await self._update_witness()
                due = loop.time() + NOTE_EVERY_S
            if last:
                return
            await self._warn_about(newest())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)

    async def _update_witness(self, *, count: bool = False) -> None:
        if (acknowledged := self._acknowledged) is not None:
            await asyncio.to_thread(self.witness.keep, acknowledged)
            return
        try:
            back = await asyncio.to_thread(partial(self.witness.note, count=count))
        except StoreError:
            return  # the store thread reports it
        if self._acknowledged is not None:  # it went back meanwhile
            self._wake.set()
            return
        if back is not None:
            self._warnings["restored"] = back
        else:
            self._warnings.pop("restored", None)
        if self.witness.cut is not None:
            self._warnings["gone"] = self.witness.cut

    async def _warn_about(self, snapshot: Snapshot) -> None:
        """Warn of what the positions lack: trades kept out, rows that are no trades, balances without a place.

        O(1) if nothing has changed.
        """
        await self._kept_out.warn_about(snapshot)
        if len(snapshot.reference.hierarchy):
            self._warnings.pop("empty", None)
        else:
            self._warnings["empty"] = (
                f"store {self._store.name} has no nodes: nothing has been loaded yet, or it is the wrong store"
            )
        if snapshot.exceptions is not self._listed or snapshot.verdicts is not self._decided:
            self._listed, self._decided = snapshot.exceptions, snapshot.verdicts
            self._warn_noticed(snapshot)
            self._warn_unreadable(
                [item for item in snapshot.exceptions.get("quarantined", ()) if item.trade is None and "store_seq" in item.detail]
            )
            self._warn_cash([item for item in snapshot.exceptions.get("quarantined", ()) if "record" in item.detail])
        if self._reference is None or not snapshot.reference.is_kin(self._reference):
            with suppress(StoreError):
                openings = await asyncio.to_thread(self._store.openings)
                self._reference = snapshot.reference
                self._warn_openings(sum(not has_a_place(opening, snapshot.reference) for opening in openings))

    def _warn_noticed(self, snapshot: Snapshot) -> None:
        """Warn of trades that were noticed as they came, until a person has seen each."""
        far, equal = (_unseen(snapshot, kind) for kind in (OFF_MARKET, POSSIBLE_DUPLICATE))
        if far:
            text = f"{len(far):,} trades count that lie far from the mark of their time (exceptions of kind off_market; first: "
            self._warnings[OFF_MARKET] = f"{text}{far[0].reason})"
        else:
            self._warnings.pop(OFF_MARKET, None)
        if equal:
            text = f"{len(equal):,} trades count that equal one of another source (exceptions of kind possible_duplicate; first: "
            self._warnings[POSSIBLE_DUPLICATE] = f"{text}{equal[0].reason})"
        else:
            self._warnings.pop(POSSIBLE_DUPLICATE, None)

    def _warn_unreadable(self, items: Sequence[ExceptionItem]) -> None:
        if items:
            first = f"first: row {items[0].detail.get('store_seq')}, {items[0].reason}"
            self._warnings["unreadable"] = f"{len(items):,} rows cannot be read as trades and are quarantined ({first})"
        else:
            self._warnings.pop("unreadable", None)

    def _warn_cash(self, items: Sequence[ExceptionItem]) -> None:
        if items:
            first = f"first: {items[0].detail.get('record')} {items[0].detail.get('id')}, {items[0].reason}"
            self._warnings["cash"] = (
                f"{len(items):,} records of cash and carry take no part ({first}): load what they name, or a later version"
                " (riskengine exceptions --kind quarantined)"
            )
        else:
            self._warnings.pop("cash", None)

    def _warn_openings(self, left_out: int) -> None:
        if left_out:
            self._warnings["openings"] = f"{left_out:,} opening balances are left out: their desk or instrument is unknown"
        else:
            self._warnings.pop("openings", None)


def _unseen(snapshot: Snapshot, kind: str) -> list[ExceptionItem]:
    """The exceptions of a kind that no person has accepted as seen."""
    seen = {verdict.id for verdict in snapshot.verdicts.values() if verdict.verdict == "accept"}
    return [item for item in snapshot.exceptions.get(kind, ()) if item.id not in seen]
