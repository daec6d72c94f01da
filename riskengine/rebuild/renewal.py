"""Reference data that arrives while the engine runs: a second engine is built beside the live one and takes its place.

Memory can be rebuilt from the store at any time; a renewal does it live. The store thread looks whether nodes, instruments or
opening balances have changed, whoever changed them, and once they have rested for a moment

1. a helper thread builds an engine from the store, through the code of the morning, resting often so that trades keep flowing;
2. it applies what was stored meanwhile, until little is left;
3. the store thread, which nobody's commit can pass, reads the rest, judges by the new reference data from then on, and has the
   writer change over: `succession.succeed`, the rest of the rows, one snapshot;
4. the event loop goes on with the new instruments for ticks and the new door for trades.

What is on its way then goes by name: marks by their symbols, trades are judged again before they are stored. Where the new
reference data does not hold together (two roots, say) the live engine stays, and a warning says why until that is mended.

Renewals come one at a time; whoever asks for one while another runs gets the next, together with everybody else who asked.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from riskengine.background import Helper, Rests, giving_way, uncollected
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.engine.writer import Writer
from riskengine.errors import EngineNotLive, RiskEngineError, StoreError, StoreUnavailable
from riskengine.intake.follow import quarantine_rows
from riskengine.intake.recall import Recall, Unseen, nothing
from riskengine.intake.store_thread import CATCH_UP_ROWS, StoreThread
from riskengine.loop import Answer, pending_answer
from riskengine.market.marks import Mark, QuoteBook
from riskengine.observe import Metrics, get_logger
from riskengine.rebuild.edited_rows import EDITED, changed_in_place, warning_text
from riskengine.rebuild.handover import GradualRelease, hand_over
from riskengine.rebuild.rebuild import ReadTrades, rebuild
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.trade_rows import RefusedRow, TradeRow, check_again, trade_from_row

T = TypeVar("T")

LOOK_S = 0.25
"""How often the store is asked whether reference data has changed."""

SETTLE_S = 0.2
"""For how long it must not have changed any more: a load of several files is one change."""

LATEST_S = 1.0
"""How long it is waited for that at most."""

FEW_ROWS = 500
"""Rows left to read from which on the engines change."""

RETRY_S, MAX_PAUSE_S = 0.5, 60.0
"""How long to wait before the store is asked again: twice as long each time."""

LINGER_S = 1.0
"""How much longer than the history of snapshots the engine before is kept, for readers that have just begun."""

KIND = "reference"
"""The kind of the warning."""

log = get_logger("riskengine.renewal")


class RenewalParts(NamedTuple):
    """What a renewal works on."""

    store: Store
    config: Config
    clock: Clock
    epoch: int
    inbox: Inbox
    writer: Writer
    committer: StoreThread
    quotes: QuoteBook
    warnings: MutableMapping[str, str]
    metrics: Metrics


class Built:
    """An engine that is being built, and how far it has come. One thread at a time."""

    def __init__(self, store: Store, engine: Engine, bookmark: Bookmark, revision: int) -> None:
        self.engine = engine
        self.revision = revision
        self.check = trade_check(engine.reference)
        self.recall = Recall(store, self.check, engine)
        self.since = engine.snapshot.as_of - MICROS_PER_SECOND
        self.bookmark = bookmark
        self.watermark = engine.snapshot.watermark

    def take(self, rows: Iterable[TradeRow], bookmark: Bookmark, now: int) -> None:
        """Apply stored rows up to `bookmark`; those that it holds already change nothing."""
        read = [(row.store_seq, trade_from_row(row, self.check)) for row in rows]
        trades = [trade for _, trade in read if not isinstance(trade, RefusedRow)]
        quarantine_rows(self.engine, (row for _, row in read if isinstance(row, RefusedRow)))
        self.watermark = max(self.watermark, *(store_seq for store_seq, _ in read), 0)
        self.take_back(trades, {store_seq for store_seq, _ in read}.__contains__)
        self.engine.apply(trades, now, self.watermark)
        self.bookmark = bookmark

    def take_back(self, trades: Sequence[Trade], unseen: Unseen = nothing, *, moving: bool = False) -> None:
        """Have the engine take back what it has frozen and these trades touch. Raises StoreError."""
        recalled = self.recall.before(trades, unseen, moving=moving)
        if recalled is not None:
            self.engine.thaw(recalled)


class Settling:
    """Whether reference data has changed and rests again. Told the store's revision and the time, asked nothing else."""

    def __init__(self, revision: int) -> None:
        self.followed: int | None = revision
        """What the engine was made from; None: another is wanted in any case."""
        self._newest = revision
        self._changed_at = self._noticed_at = 0.0

    def due(self, revision: int, now: float) -> bool:
        """Whether to follow now."""
        if revision == self.followed:
            self._newest, self._noticed_at = revision, 0.0
            return False
        if revision != self._newest or not self._noticed_at:
            self._newest, self._changed_at = revision, now
            self._noticed_at = self._noticed_at or now
        return now - self._changed_at >= SETTLE_S or now - self._noticed_at >= LATEST_S


class Renewals:
    """All renewals of one engine from its first moment live. `look` belongs to the store thread, the rest to the loop."""

    def __init__(self, check: TradeCheck, revision: int) -> None:
        self.check = check
        """The door for trades that is in force, for the loop."""
        self._parts: RenewalParts
        self._loop = asyncio.get_running_loop()
        self.revision = revision
        """Of the reference data that the engine was made from: what is put before the writer next is applied to that engine."""
        self.alone = asyncio.Lock()
        """Held while an engine is built and takes over; whoever else holds it keeps renewals waiting."""
        self._settling = Settling(revision)
        self._look_at = 0.0
        self._asked = False
        self._stopping = False
        self._reasons: list[str] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._helper = Helper("riskengine-renewal")
        self._dismantling: GradualRelease | None = None
        self._pause_s = RETRY_S

    def work_on(self, parts: RenewalParts) -> None:
        """Say what to work on. Once, before the threads begin."""
        self._parts = parts

    def look(self, store: Store) -> None:
        """See whether reference data has changed; LOOK_S apart however often it is called. Store thread. Raises StoreError."""
        now = time.monotonic()
        if now < self._look_at or self._asked:
            return
        self._look_at = now + LOOK_S
        if self._settling.due(store.reference_revision(), now):
            self._asked = True
            self._loop.call_soon_threadsafe(self._ask, "reference data changed")

    def renew(self, reason: str) -> "asyncio.Future[None]":
        """Rebuild everything from the store and go on with that; done when a snapshot shows it. `reason` is for the log.

        Raises StoreError or ReferenceDataError where that cannot be done: the engine is as it was.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        self._ask(reason)
        return done

    def stop(self) -> None:
        """Begin no more, give up what is under way."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
        self._settle(self._waiting, EngineNotLive("the engine has stopped"))

    # -- one after the other -----------------------------------------------------------------------------------

    def _ask(self, reason: str) -> None:
        self._asked = True
        self._reasons.append(reason)
        if self._task is None and not self._stopping:
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while self._reasons:
            reason, waiting = "; ".join(dict.fromkeys(self._reasons)), self._waiting
            self._reasons, self._waiting = [], []
            try:
                async with self.alone:
                    await self._renew(reason)
            except asyncio.CancelledError:
                self._settle(waiting, EngineNotLive("the engine has stopped"))
                raise
            except Exception as error:
                self._parts.metrics.renewals["refused"].inc()
                self._refused(reason, error)
                self._settle(waiting, error)
            else:
                self._parts.metrics.renewals["done"].inc()
                self._pause_s = RETRY_S
                self._parts.warnings.pop(KIND, None)
                self._settle(waiting, None)
        self._task = None
        self._asked = False

    def _settle(self, waiting: "list[asyncio.Future[None]]", error: Exception | None) -> None:
        for done in waiting:
            if not done.done():
                done.set_result(None) if error is None else done.set_exception(error)

    def _refused(self, reason: str, error: Exception) -> None:
        """The engine is as it was. What the store refused is tried again, what does not hold together once it has changed."""
        ours = not isinstance(error, RiskEngineError)
        if isinstance(error, StoreError):
            self._settling.followed = None
            self._look_at = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        if isinstance(error, StoreUnavailable):
            return  # the store thread says so
        log.error("renewal_refused", reason=reason, error=repr(error) if ours else str(error), exc_info=error if ours else None)
        self._parts.warnings[KIND] = f"the reference data in the store cannot be used, that of before stays in force: {error}"

    async def _renew(self, reason: str) -> None:
        started = time.perf_counter()
        log.info("renewal_begins", reason=reason)
        built = await self._beside(self._build)
        while True:
            try:
                change = await self._change_over(built)
                break
            except (StoreUnavailable, MuchIsLeft):
                await asyncio.sleep(RETRY_S)
                await self._beside(partial(self._catch_up, built))
        self._parts.quotes.renew(built.engine.reference, change.marks)
        self.check = built.check
        before, now = change.before.snapshot, built.engine.snapshot
        self._parts.committer.alarm.tell(_new_rows(before, now))
        log.info(
            "renewed",
            reason=reason,
            seq=now.seq,
            seconds=round(time.perf_counter() - started, 3),
            applied=now.counts.applied,
            applied_before=before.counts.applied,
            quarantined=now.counts.quarantined,
            quarantined_before=before.counts.quarantined,
        )
        if found := await self._beside(partial(changed_in_place, change.before, built.engine, change.first)):
            log.error("trades_changed_in_place", keys=len(found), first=found[0])
            self._parts.warnings[EDITED] = warning_text(found)
        self._dismantling = GradualRelease(change.before, self._parts.config.server.snapshot_history_s + LINGER_S)

    # -- the successor, on the helper thread -------------------------------------------------------------------

    def _build(self) -> Built:
        """An engine that holds what the store does, but for the last few rows. Raises StoreError, ReferenceDataError."""
        parts, store = self._parts, self._parts.store
        if self._dismantling is not None:
            self._dismantling.finish()  # two engines at a time are enough
            self._dismantling = None
        with giving_way(), uncollected():
            revision = self._settling.followed = store.reference_revision()  # before all that it is about
            bookmark = store.bookmark()
            engine = rebuild(
                store,
                self._with_rests(read_trades(store)),
                parts.config,
                epoch=parts.epoch,
                now=parts.clock.now(),
                read_conflicts=read_conflicts(store, MAX_NOTICES),
                gentle=True,
                past=partial(Recall, store),
                rest=Rests().rest_if_due,
            )
            built = Built(store, engine, bookmark, revision)
            self._catch_up(built)
        return built

    def _with_rests(self, read: ReadTrades) -> ReadTrades:
        def reading(check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
            rests = Rests()
            for count, trade in enumerate(read(check)):
                if not count % 64:
                    self._go_on()
                    rests.rest_if_due()
                yield trade

        return reading

    def _go_on(self) -> None:
        if self._stopping:
            raise EngineNotLive("told to stop during a renewal")

    def _catch_up(self, built: Built) -> None:
        """Apply what was stored meanwhile, until few rows are left, and publish, so that the last step finds little to do."""
        rows, bookmark = self._parts.store.trades_beyond(built.bookmark, CATCH_UP_ROWS)
        while True:
            built.take(rows, bookmark, self._parts.clock.now())
            if len(rows) < FEW_ROWS:
                break
            self._go_on()
            rows, bookmark = self._parts.store.trades_beyond(built.bookmark, CATCH_UP_ROWS)
        built.engine.publish(self._parts.clock.now())

    # -- the change --------------------------------------------------------------------------------------------

    async def _change_over(self, built: Built) -> "Change":
        """Raises StoreError or MuchIsLeft, and then nothing has changed."""
        changed, tell_change = pending_answer()
        enough, answer = pending_answer()

        def read_the_rest(store: Store) -> bool:
            """On the store thread: nothing of ours can be stored before the writer is told to change."""
            rows, bookmark = store.trades_beyond(built.bookmark, CATCH_UP_ROWS)
            if len(rows) == CATCH_UP_ROWS:
                return False
            built.take(rows, bookmark, self._parts.clock.now())
            built.take_back(built.recall.in_question(built.since), moving=True)  # the writer decides about it anew
            self._parts.committer.renewed(built.check, bookmark, built.watermark, built.recall)
            self.revision = built.revision
            self._parts.inbox.put_call(partial(self._change, built, tell_change))
            return True

        self._parts.committer.write(read_the_rest, answer)
        if not await enough:
            raise MuchIsLeft
        change: Change = await changed
        return change

    def _change(self, built: Built, tell: Answer, before: Engine) -> None:
        """On the writer thread, between two batches."""
        engine = built.engine
        hand_over(engine, before, partial(fitting, check=built.check), self._parts.clock.now())
        self._parts.writer.take_over(engine)
        symbols = engine.reference.symbols
        marks = {symbol: mark for symbol, mark in zip(symbols, engine.marks.marks, strict=True) if mark is not None}
        tell(Change(before, marks, engine.snapshot), None)

    # -- threads -----------------------------------------------------------------------------------------------

    async def _beside(self, work: Callable[[], T]) -> T:
        """What `work` returns, done on the helper thread."""
        done, answer = pending_answer()

        def run() -> None:
            with suppress(RuntimeError):  # the loop has ended
                try:
                    result = work()
                except Exception as error:
                    answer(None, error)
                else:
                    answer(result, None)

        self._helper.do(run)
        result: T = await done
        return result


class Change(NamedTuple):
    """What the loop hears of a change: the engine that was in force, marks by symbol and first snapshot of the one that is."""

    before: Engine
    marks: Mapping[str, Mark]
    first: Snapshot


class MuchIsLeft(Exception):
    """More rows have come than should be read while everybody waits."""


def fitting(trade: Trade, check: TradeCheck) -> Trade | None:
    """A trade by the reference data of `check`; None where it does not fit that."""
    judged = check_again(trade, check)
    return None if isinstance(judged, RefusedRow) else judged


def fitted(item: ExceptionItem, reference: Reference) -> ExceptionItem:
    """An exception with its trade by other reference data, without it where it does not fit that."""
    return item if item.trade is None else replace(item, trade=fitting(item.trade, trade_check(reference)))


def _new_rows(before: Snapshot, now: Snapshot) -> Iterator[tuple[int, str]]:
    """Stored rows that were trades, or not there, and are quarantined."""
    known = {item.id for item in before.exceptions.get("quarantined", ())}
    for item in now.exceptions.get("quarantined", ()):
        store_seq = item.detail.get("store_seq")
        if isinstance(store_seq, int) and item.id not in known:
            yield store_seq, item.reason
