"""What a person decides about an exception: stored, taken into effect, and settled if the store's answer was lost.

A commit whose answer was lost may have gone through. The person hears that the store is away; once it is back, the store itself
says whether the verdict is there, and then the verdict takes effect, as it would after a start. On the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from msgspec import structs

from riskengine.engine.engine import Engine
from riskengine.engine.exercise import ExerciseDecision
from riskengine.errors import EngineNotLive, StoreError, StoreUnavailable
from riskengine.intake.delivery import Delivery
from riskengine.loop import start_task
from riskengine.market.tick_limits import LimitedQuoteBook
from riskengine.observe import get_logger
from riskengine.process.sampling import OnStore
from riskengine.rebuild.renewal import refit_item
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.expired_options import is_booked
from riskengine.snapshot.snapshot import ExceptionItem
from riskengine.store.protocol import Store

RETRY_S = 0.5

log = get_logger("riskengine.decisions")


class OnWriter(Protocol):
    """Has something done on the writer thread (`EngineProcess.on_writer`). Raises EngineNotLive."""

    def __call__(self, action: Callable[[Engine], Any]) -> Awaitable[Any]: ...


class Verdicts:
    """Carries out verdicts on the exceptions of one live engine."""

    def __init__(
        self,
        on_store: OnStore,
        on_writer: OnWriter,
        delivery: Delivery,
        quotes: LimitedQuoteBook,
        hand_over_prices: Callable[[], bool],
    ) -> None:
        """`hand_over_prices` is that of the beats."""
        self._on_store = on_store
        self._on_writer = on_writer
        self._delivery = delivery
        self._quotes = quotes
        self._hand_over_prices = hand_over_prices

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Store a verdict on `item`, then let it take effect. Raises EngineNotLive, StoreError, InputError."""
        if verdict.verdict and is_booked(item):
            await self._book(item, verdict)
            return
        accepted = [item.trade] if item.trade is not None and verdict.verdict == "accept" else []
        conflict = accepted[0] if accepted and item.kind == "conflict" else None

        def save(store: Store) -> int | None:
            self._delivery.recall(accepted)  # before the store has it in the place of what stands
            return store.save_verdict(verdict, conflict)

        try:
            replaced = await self._on_store(save)
        except StoreUnavailable:
            start_task(self.settle(item, verdict), log)
            raise
        await self._take_effect(item, verdict, replaced)

    async def _book(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Store a decision about an expired option with the trades that carry it out, and apply them in one snapshot."""
        symbol = str(item.detail["instrument"])
        decision = ExerciseDecision(verdict.verdict == "accept", verdict.actor, verdict.ts)
        trades: list[Trade] = await self._on_writer(lambda engine: engine.exercise_trades(symbol, decision))
        try:
            await self._on_store(lambda store: self._delivery.book(verdict, trades))
        except StoreUnavailable:
            start_task(self.settle(item, verdict), log)  # the trades are followed like all that the store holds
            raise
        await self._take_effect(item, verdict, None)
        log.info("expired_option_booked", option=symbol, verdict=verdict.verdict, trades=len(trades))

    async def settle(self, item: ExceptionItem, verdict: Verdict) -> None:
        """Ask until the store answers whether it has the verdict; if so, let it take effect.

        The question waits behind whatever was under way on the store thread.
        """
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                found = await self._on_store(partial(_find_stored, item=item, verdict=verdict))
                if found is not None:
                    await self._take_effect(item, *found)
                    log.info("verdict_was_stored", id=verdict.id, verdict=verdict.verdict)
                return
            except EngineNotLive:
                return  # the next start reads it
            except StoreError:
                continue

    async def _take_effect(self, item: ExceptionItem, verdict: Verdict, replaced: int | None) -> None:
        """`replaced` is the store_seq of the row that an accepted conflict replaced, None where there is none."""
        if replaced is not None:
            item = structs.replace(item, detail={**item.detail, "store_seq": replaced})
        if item.kind == "suspect" and verdict.verdict:
            instrument, source = str(item.detail["instrument"]), str(item.detail["source"])
            self._quotes.decide(instrument, source, release=verdict.verdict == "accept")
            if not self._hand_over_prices():  # before the call below, whose snapshot the answer waits for
                await self._on_writer(_nothing)  # now the last batch is taken; a beat since then has handed over this price
                self._hand_over_prices()
        await self._on_writer(lambda engine: engine.decide(refit_item(item, engine.reference), verdict))


def _nothing(_: Engine) -> None:
    """Done once the writer has done all that was put before."""


def _find_stored(store: Store, item: ExceptionItem, verdict: Verdict) -> tuple[Verdict, int | None] | None:
    """The verdict as the store has it, and the number of the row that it replaced; None if the store does not have it."""
    same = (one for one in store.verdicts() if (one.id, one.ts, one.actor) == (verdict.id, verdict.ts, verdict.actor))
    stored = next(same, None)
    trade = item.trade
    if stored is None or trade is None or item.kind != "conflict" or stored.verdict != "accept":
        return None if stored is None else (stored, None)
    versions = store.trades_of_deals([(trade.source, trade.trade_id)])
    return stored, next((row.store_seq for row in versions if (row.leg, row.version) == (trade.leg, trade.version)), None)
