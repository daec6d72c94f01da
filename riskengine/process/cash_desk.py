"""Brings cash and carry to a live engine: records that are posted, and what other programs write into the tables.

Posted records are stored first, then handed to the writer. Rows of others are followed: `Neighbours` notices that the tables have
changed, and what is new or was edited goes to the writer within a second, by the rules of a start. What the engine knows already
changes nothing, so an answer that got lost on the way from the store does no harm. On the event loop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.cash_book import CashTaken
from riskengine.engine.engine import Engine
from riskengine.market.fixings import fixings
from riskengine.observe import get_logger
from riskengine.process.sampling import OnStore
from riskengine.process.verdicts import OnWriter
from riskengine.rebuild.rebuild import settlements
from riskengine.records.cash import CASH_CONFLICT_REASON, CashMovement, CashOutcome, CashRecord, StoredCashRow, stored_row
from riskengine.store.protocol import Store
from riskengine.store.results import CashSaved, Changes

SUPERSEDED = "a higher version is stored; that one counts"

ROWS_AT_ONCE = 500
"""Rows that the writer takes in one go: 5 ms."""

log = get_logger("riskengine.cash")


class CashDesk:
    """The way of cash and carry into one live engine."""

    def __init__(self, store: Store, config: Config, clock: Clock, on_store: OnStore, on_writer: OnWriter) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._on_store = on_store
        self._on_writer = on_writer
        self._following = asyncio.Lock()
        self._seen: Changes | None = None
        self._is_recorded = True
        self._settlements: Mapping[str, tuple[int, float]] | None = None

    def go_on(self, seen: Changes | None, settled: Mapping[str, tuple[int, float]]) -> None:
        """Say what the engine was made from: changes up to `seen`, and these settlements."""
        self._seen, self._settlements = seen, settled

    async def take(self, kind: str, records: Sequence[CashRecord], actor: str) -> list[CashOutcome]:
        """Store records of one kind; returns once a published snapshot shows them. Raises EngineNotLive, StoreError."""
        saved: list[CashSaved] = await self._on_store(lambda store: store.save_cash(kind, records, actor))
        rows = [
            stored_row(record, each.received_ts)
            for record, each in zip(records, saved, strict=True)
            if each.outcome in ("inserted", "superseded")
        ]
        taken = await self._hand_over(rows, is_all=False)
        kept_out = {(each.record_id, each.version): each.reason for part in taken for each in part.kept_out}
        now = self._clock.now()
        return [_outcome(record, each, kept_out, now) for record, each in zip(records, saved, strict=True)]

    async def follow(self) -> None:
        """Take over what the tables hold beyond what was seen. Raises EngineNotLive, StoreError."""
        async with self._following:  # what was read first is taken first
            found = await asyncio.to_thread(self._store.cash_beyond, self._seen)
            taken = await self._hand_over(found.rows, is_all=found.is_all)
            self._seen = found.seen
            changed = sum(part.changed for part in taken)
            if changed:
                log.info("cash_followed", records=changed, kept_out=sum(len(part.kept_out) for part in taken))
                self._is_recorded = False
            if not self._is_recorded:
                await self._on_store(lambda store: store.record_followed_cash())
                self._is_recorded = True

    async def follow_settlements(self) -> None:
        """Bring the closes that have come into force to the futures that they settle. Raises EngineNotLive, StoreError."""
        found = await asyncio.to_thread(settlements, self._store, self._config, self._clock.now())
        if found != self._settlements:
            await self._on_writer(lambda engine: engine.set_settlements(found))
            self._settlements = found
        await self._follow_fixings()

    async def _follow_fixings(self) -> None:
        """Bring the closes of fixing dates to the forwards that they fix."""
        instruments, trading_day = await self._on_writer(lambda engine: (engine.reference.instruments, engine.trading_day))
        fixed = await asyncio.to_thread(fixings, self._store, instruments, trading_day, self._clock.now())
        await self._on_writer(lambda engine: engine.take_fixings(fixed))

    async def _hand_over(self, rows: Sequence[StoredCashRow], *, is_all: bool) -> list[CashTaken]:
        if not rows and not is_all:
            return []
        size = len(rows) if is_all else ROWS_AT_ONCE
        parts = [rows[first : first + size] for first in range(0, len(rows), max(size, 1))] or [rows]
        return [await self._on_writer(partial(self._give, part, is_all)) for part in parts]

    def _give(self, rows: Sequence[StoredCashRow], is_all: bool, engine: Engine) -> CashTaken:
        return engine.take_cash(rows, self._clock.now(), is_all=is_all)


def _outcome(record: CashRecord, saved: CashSaved, kept_out: dict[tuple[str, int], str], now: int) -> CashOutcome:
    if saved.outcome == "existing":
        return CashOutcome("duplicate")
    if saved.outcome == "conflict":
        return CashOutcome("conflict", CASH_CONFLICT_REASON)
    reason = kept_out.get((record.record_id, record.version))
    if reason is not None:
        return CashOutcome("quarantined", reason)
    if saved.outcome == "superseded":
        return CashOutcome("superseded", SUPERSEDED)
    waits = isinstance(record, CashMovement) and record.ts > now
    return CashOutcome("applied", "waits for its time" if waits else "")
