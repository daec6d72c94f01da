"""Takes over what other programs write beside the engine, but for trades and reference data: in force within a second.

`riskengine load`, `riskengine decide` or SQL may write conflicts, closes, marks, verdicts, cash, carry, corporate
actions, limits and margin rules. The
store thread notices which of these tables have changed (`look`), and a task on the event loop brings what is new where it
belongs, by the rules of a start:

- conflicts are listed and counted, once the rows that they conflict with have gone to the writer;
- closes and marks go through the quote book, where the newest event time wins; closes of days that have not ended are listed
  as `waiting`. The store tells the marks that the engine saves
  itself from those of others; one that is in force already is not stored again;
- vols, rates and Greeks go to the writer with the next beat, the newest of each subject;
- calendars are in force for what comes next; if a spot date that has judged trades changes, a renewal lists those trades;
- verdicts are followed, and judge the record that the store holds;
- cash and carry go to `CashDesk`, limits and margin rules to `LimitDesk`.

What they delete is gone here too, conflicts and verdicts at least. A price that was deleted or set back stays in force, because
nothing newer takes its place; a start would not know it, so a warning says so for as long as that is so.

What is read again and known already changes nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from riskengine.alerts import Warnings
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.engine.worklist import MAX_NOTICES, conflict_id
from riskengine.errors import EngineNotLive, RiskEngineError, StoreCorrupt, StoreError
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import start_task
from riskengine.market.calendars import Calendars
from riskengine.market.closing_prices import CloseTimes
from riskengine.market.marks import CLOSE, Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.market.settled_spot_dates import settle
from riskengine.market.spot_dates import SpotDates
from riskengine.observe import get_logger
from riskengine.positions.processed import unescape_name
from riskengine.process.cash_desk import CashDesk
from riskengine.process.option_feed import OptionFeed
from riskengine.process.sampling import OnStore
from riskengine.rebuild.rebuild import known_marks, waiting_closes
from riskengine.records.types import Trade, Verdict
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.store.protocol import Store
from riskengine.store.results import Changes, Conflict
from riskengine.store.trade_rows import RefusedRow, trade_from_row
from riskengine.valuation.forward_values import FORWARD_MARK

T = TypeVar("T")

LOOK_S = 0.25
"""How often the store thread asks what others have changed."""

LOOK_AGAIN_S = 1.0
"""How often prices are compared again while the store lacks some."""

SET_BACK = "set_back"
"""The kind of the warning of prices in force that the store does not hold."""

NOT_FOLLOWED = "not_followed"
"""The kind of the warning that what other programs change is not taken over any more."""

MAX_NAMED = 3
"""Instruments that the warning names; it counts all."""

RETRY_S = 0.1
"""Pause before asking again what the store did not answer, or while rows wait to be handed over."""

log = get_logger("riskengine.neighbours")


class NeighbourParts(NamedTuple):
    """What a live engine's neighbours are brought to. `closes_changed` is called when somebody has written closes."""

    store: Store
    config: Config
    clock: Clock
    inbox: Inbox
    store_thread: StoreThread
    quotes: QuoteBook
    close_times: Callable[[], CloseTimes]
    newest: Callable[[], Snapshot]
    on_store: OnStore
    warnings: Warnings
    spot_dates: SpotDates
    renew: Callable[[str], Awaitable[None]]
    cash: CashDesk
    take_actions: Callable[[], Awaitable[None]]
    option_feed: OptionFeed
    follow_limits: Callable[[], Awaitable[None]]
    closes_changed: Callable[[], None] = lambda: None
    scenarios_changed: Callable[[], None] = lambda: None


class Neighbours:
    """What other programs change beside one live engine. On the loop, except `look`: on the store thread."""

    def __init__(self, parts: NeighbourParts) -> None:
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._look_at = 0.0
        self._seen: Changes | None = None
        self._changed: set[str] = set()
        self._conflicts: dict[int, str] = {}
        self._look_again_at = 0.0
        self._marks: dict[str, Mark] = {}
        self._task: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._stopping = False

    def look(self, store: Store) -> None:
        """Ask what has changed, every LOOK_S however often it is called. Store thread. Raises StoreError."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        kinds, self._seen = store.changes_beyond(self._seen)
        if now >= self._look_again_at > 0.0:
            kinds, self._look_again_at = kinds | {"marks"}, 0.0
        if kinds:
            self._loop.call_soon_threadsafe(self._request, kinds)

    def read_closes(self) -> None:
        """Read closes again: a day has ended."""
        self._request(("closes",))

    def stop(self) -> None:
        """Take over nothing more."""
        self._stopping = True
        for task in (self._task, self._renewal):
            if task is not None:
                task.cancel()

    def _request(self, kinds: Iterable[str]) -> None:
        self._changed.update(kinds)
        if self._task is None and not self._stopping:
            self._task = start_task(self._run(), log, "neighbours_failed", self._warn_of_failure)

    def _warn_of_failure(self, error: BaseException) -> None:
        self._parts.warnings[NOT_FOLLOWED] = (
            "closes, marks, vols, rates, calendars, cash, carry, limits, conflicts and verdicts that other programs write are not"
            f" taken over until the next start: {error!r}"
        )

    async def _run(self) -> None:
        while self._changed:
            kinds, self._changed = self._changed, set()
            try:
                if not kinds.isdisjoint(("actions", "closes")):  # a fraction is paid at the close before the ex-date
                    await self._parts.take_actions()
                if not kinds.isdisjoint(("closes", "marks")):
                    await self._take_prices()
                if "closes" in kinds:
                    self._parts.closes_changed()
                    await self._list_waiting()
                    await self._parts.cash.follow_settlements()
                if "option_inputs" in kinds:
                    await self._take_option_inputs()
                if "calendars" in kinds:
                    await self._take_calendars()
                if not kinds.isdisjoint(("cash", "cash_gone", "carry", "carry_gone")):
                    await self._parts.cash.follow()
                if "risk_rules" in kinds:
                    await self._parts.follow_limits()
                if "scenario_shifts" in kinds:
                    self._parts.scenarios_changed()
                if "conflicts" in kinds:
                    await self._take_conflicts()
                if "verdicts" in kinds:
                    await self._take_verdicts()
            except EngineNotLive:
                break
            except StoreCorrupt as error:  # a row of another program: its correction is the next change
                self._changed |= kinds
                self._parts.warnings[NOT_FOLLOWED] = f"what other programs change waits until the store is right: {error}"
                break
            except StoreError:  # the store thread reports it
                self._changed |= kinds
                await asyncio.sleep(RETRY_S)
            else:
                self._parts.warnings.pop(NOT_FOLLOWED, None)
        self._task = None

    async def _once_rows_are_there(self, action: Callable[[Store], T | None]) -> T:
        """What `action` returns on the store thread; asked again while it returns None, because rows wait to be handed over."""
        while True:
            result: T | None = await self._parts.on_store(action)
            if result is not None:
                return result
            await asyncio.sleep(RETRY_S)

    # -- closes and marks --------------------------------------------------------------------------------------

    async def _take_prices(self) -> None:
        now = self._parts.clock.now()
        in_force, stored = self._parts.newest(), self._parts.store_thread.marks.stored()  # before the store is read: it has these
        marks, known = await asyncio.to_thread(self._read_prices, now)
        new = {symbol: mark for symbol, mark in marks.items() if self._marks.get(symbol) != mark}
        self._marks = marks
        self._parts.quotes.take_stored(new, now)
        self._parts.store_thread.marks.note_stored((symbol, mark.ts) for symbol, mark in known.items())
        self._warn_of_set_back(set_back(in_force, stored, known))

    def _read_prices(self, now: int) -> tuple[dict[str, Mark], dict[str, Mark]]:
        """Marks of others and the closes that count where nothing newer is stored; and all a start would know. Any thread."""
        store = self._parts.store
        marks = {mark.instrument: Mark(mark.price, mark.ts, mark.source, mark.kind) for mark in store.marks_of_others()}
        known = known_marks(store, self._parts.config, self._parts.close_times(), now)
        return marks | {symbol: mark for symbol, mark in known.items() if mark.kind == CLOSE}, known

    async def _take_option_inputs(self) -> None:
        rows = await asyncio.to_thread(self._parts.store.option_inputs_of_others)
        if new := self._parts.option_feed.take_stored(rows):
            log.info("option_inputs_followed", rows=new)

    async def _list_waiting(self) -> None:
        parts = self._parts
        closes = await asyncio.to_thread(waiting_closes, parts.store, parts.config, parts.clock.now())
        waiting = parts.newest().exceptions["waiting"]  # trades and corporate actions wait there too
        listed = [item.detail for item in waiting if item.trade is None and "price" in item.detail]
        if [(each.instrument, each.date, each.price) for each in closes] != [
            (detail["instrument"], detail["date"], detail["price"]) for detail in listed
        ]:
            parts.inbox.put_call(lambda engine: engine.note_waiting(closes))

    def _warn_of_set_back(self, symbols: Sequence[str]) -> None:
        self._look_again_at = time.monotonic() + LOOK_AGAIN_S if symbols else 0.0
        if not symbols:
            self._parts.warnings.pop(SET_BACK, None)
            return
        if SET_BACK not in self._parts.warnings:
            log.warning("prices_set_back", instruments=len(symbols), first=symbols[0])
        named = ", ".join(symbols[:MAX_NAMED]) + (f" and {len(symbols) - MAX_NAMED:,} more" if len(symbols) > MAX_NAMED else "")
        self._parts.warnings[SET_BACK] = (
            f"the store does not hold the price in force of {len(symbols):,} instruments any more ({named}): another program"
            " deleted the mark or close or set it back. The engine keeps the price; a start would use what is stored. Load it"
            " again, or send a newer price"
        )

    # -- calendars ---------------------------------------------------------------------------------------------

    async def _take_calendars(self) -> None:
        """Loaded calendars judge what comes from now on; a renewal lists the trades that they would judge otherwise."""
        if await self._parts.on_store(self._hand_over_calendars):
            self._renewal = start_task(self._renew(), log, "renewal_failed")

    async def _renew(self) -> None:
        with suppress(RiskEngineError):  # the renewals report it
            await self._parts.renew("calendars changed")

    def _hand_over_calendars(self, store: Store) -> bool:
        """On the store thread: the engine's next trades are judged by what is stored then. Whether spot dates have changed."""
        spot_dates, state = self._parts.spot_dates, store.calendar_state()
        calendars = Calendars(state.entries)
        is_changed = spot_dates.adopt(state.facts)
        if calendars.entries != spot_dates.calendars.entries:
            log.info("calendars_in_force", entries=len(calendars.entries))
            spot_dates.calendars = calendars
            self._parts.inbox.put_call(lambda engine: engine.take_calendars(calendars))
        return bool(settle(store, spot_dates, state.compared_with, self._parts.clock.now())) or is_changed

    # -- conflicts ---------------------------------------------------------------------------------------------

    async def _take_conflicts(self) -> None:
        store = self._parts.store
        numbers = await asyncio.to_thread(store.conflict_ids, MAX_NOTICES)
        new = [number for number in numbers if number not in self._conflicts]
        kept = {number: self._conflicts[number] for number in numbers if number in self._conflicts}
        if new:
            found = await asyncio.to_thread(store.conflicts_numbered, new)
            kept |= await self._once_rows_are_there(partial(self._hand_over_conflicts, found))
        oldest = min(numbers) if len(numbers) == MAX_NOTICES else 0  # older ones have made room, and are not gone
        listed = set(kept.values())
        gone = {item for number, item in self._conflicts.items() if number >= oldest and item not in listed}
        if gone:
            log.info("conflicts_gone", conflicts=len(gone))
            await self._parts.on_store(partial(self._forget_conflicts, gone))
        self._conflicts = kept

    def _forget_conflicts(self, gone: set[str], _: Store) -> None:
        """On the store thread, after what it has put there before."""
        self._parts.inbox.put_call(lambda engine: engine.forget_conflicts(gone))

    def _hand_over_conflicts(self, found: Sequence[Conflict], store: Store) -> dict[int, str] | None:
        """On the store thread: the rows that these conflict with go to the writer before them. None while rows wait.

        Returns the ids under which they are listed, by number.
        """
        thread = self._parts.store_thread
        if not thread.hand_over_all():
            return None
        read = ((conflict.conflict_id, trade_from_row(conflict.row, thread.delivery.check)) for conflict in found)
        numbered = {number: trade for number, trade in read if not isinstance(trade, RefusedRow)}
        trades = [*numbered.values()]
        thread.delivery.recall(trades)

        def follow(engine: Engine) -> None:
            engine.follow_conflicts(trades)

        self._parts.inbox.put_call(follow)
        return {number: conflict_id(trade) for number, trade in numbered.items()}

    # -- verdicts ----------------------------------------------------------------------------------------------

    async def _take_verdicts(self) -> None:
        before = self._parts.newest().verdicts  # the store has these, or somebody has deleted them
        stored = await asyncio.to_thread(self._parts.store.verdicts)
        there = {verdict.id for verdict in stored}
        gone = [verdict for item_id, verdict in before.items() if item_id not in there]
        if gone:
            log.warning("verdicts_gone", verdicts=len(gone), first=gone[0].id)
            await self._once_rows_are_there(partial(self._forget_verdicts, gone))
        known = self._parts.newest().verdicts
        if all(known.get(verdict.id) == verdict for verdict in stored):
            return
        for verdict in await self._once_rows_are_there(partial(self._hand_over_verdicts, known)):
            kind, *names = verdict.id.split(":")
            if kind == "suspect" and verdict.verdict and names:
                instrument, source = unescape_name(names[0]), unescape_name(names[1]) if len(names) > 1 else ""
                self._parts.quotes.decide(instrument, source, release=verdict.verdict == "accept")

    def _hand_over_verdicts(self, known: Mapping[str, Verdict], store: Store) -> list[Verdict] | None:
        """On the store thread, so that no verdict of our own comes between. The verdicts, or None while rows wait."""
        thread = self._parts.store_thread
        if not thread.hand_over_all():
            return None
        new = [verdict for verdict in store.verdicts() if known.get(verdict.id) != verdict]
        items = [self._item_of(verdict, store) for verdict in new]
        thread.delivery.recall([item.trade for item in items if item.trade is not None], moving=True)

        def follow(engine: Engine) -> None:
            for item, verdict in zip(items, new, strict=True):
                engine.follow_verdict(item, verdict)

        self._parts.inbox.put_call(follow)
        return new

    def _forget_verdicts(self, gone: Sequence[Verdict], store: Store) -> int | None:
        """On the store thread: undo verdicts that were deleted, unless somebody has decided anew. None while rows wait."""
        thread = self._parts.store_thread
        if not thread.hand_over_all():
            return None
        there = {verdict.id for verdict in store.verdicts()}
        items = [self._item_of(verdict, store) for verdict in gone if verdict.id not in there]
        thread.delivery.recall([item.trade for item in items if item.trade is not None], moving=True)

        def follow(engine: Engine) -> None:
            for item in items:
                engine.forget_verdict(item)

        self._parts.inbox.put_call(follow)
        return len(items)

    def _item_of(self, verdict: Verdict, store: Store) -> ExceptionItem:
        """What a verdict is about, with the record that the store holds now; without a trade if that is no trade."""
        kind, *words = verdict.id.split(":")
        plain = ExceptionItem(verdict.id, kind, verdict.ts, "", None, {})
        if (kind, len(words)) not in (("conflict", 5), ("quarantined", 4)):
            return plain
        source, trade_id, leg, version = words[:4]
        for row in store.trades_of_deals([(unescape_name(source), unescape_name(trade_id))]):
            if (str(row.leg), str(row.version)) == (leg, version):
                trade = trade_from_row(row, self._parts.store_thread.delivery.check)
                if isinstance(trade, Trade):
                    return ExceptionItem(verdict.id, kind, verdict.ts, "", trade, {"store_seq": row.store_seq})
        return plain


def set_back(snapshot: Snapshot, stored: Mapping[str, int], known: Mapping[str, Mark]) -> list[str]:
    """The instruments whose price in force the store held and holds no more: a start would know none, or an older one.

    `stored` is the newest event time that the store has held of each, `known` what a start would know now. O(instruments).
    """
    found = []
    for symbol, in_force in zip(snapshot.reference.symbols, snapshot.units.marks, strict=True):
        mark = None if in_force is None else in_force.lasting
        if mark is None or not mark.ts or mark.kind == FORWARD_MARK or mark.ts > stored.get(symbol, mark.ts - 1):
            continue  # there is none, it is worked out from prices and curves and never stored, or it is still to be stored
        there = known.get(symbol)
        if there is None or there.ts < mark.ts:
            found.append(symbol)
    return found
