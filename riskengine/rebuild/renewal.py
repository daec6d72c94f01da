"""Reference data that changes while the engine runs: a second engine is built beside the live one and takes its place.

Memory can be rebuilt from the store at any time; a renewal does it live. The store thread notices when nodes, instruments or
opening balances have changed, by this program or another. Once they have not changed for a moment

1. a helper thread builds an engine from the store, through the code of the morning, and rests often so that trades keep flowing;
2. it applies what was stored meanwhile, until little is left;
3. the store thread, which no commit can overtake, reads the rest, checks by the new reference data from then on, and has the
   writer change over: `hand_over`, the rest of the rows, one snapshot;
4. the event loop uses the new instruments for ticks and the new check for trades.

What is on its way then goes by name: marks by their symbols; trades are checked again before they are stored. If the new
reference data does not hold together (two roots, say), the live engine stays, and a warning says why until that is repaired.

Renewals run one at a time; requests that arrive during one share the next.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from riskengine.background import BackgroundThread, Rests, pause_collection, short_switch_interval
from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.engine.writer import Writer
from riskengine.errors import EngineNotLive, RiskEngineError, StoreError, StoreUnavailable, StoreWentBack
from riskengine.intake.follow import CATCH_UP_ROWS, StoreFollower
from riskengine.intake.recall import Recall
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import Answer, pending_answer
from riskengine.market.marks import Mark
from riskengine.market.quote_book import QuoteBook
from riskengine.market.spot_dates import SpotDates
from riskengine.observe import Metrics, get_logger
from riskengine.rebuild.edited_rows import EDITED, changed_in_place, warning_text
from riskengine.rebuild.handover import GradualRelease, hand_over
from riskengine.rebuild.rebuild import ReadTrades, rebuild
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.trade_rows import RefusedRow, check_again

T = TypeVar("T")

LOOK_S = 0.25
"""How often the store thread asks whether reference data has changed."""

SETTLE_S = 0.2
"""How long it must have stayed unchanged: a load of several files is one change."""

LATEST_S = 1.0
"""Longest wait for reference data to settle."""

FEW_ROWS = 500
"""The engines change over once fewer rows than this are left to read."""

RETRY_S, MAX_PAUSE_S = 0.5, 60.0
"""How long to wait before the store is asked again; doubles each time up to the maximum."""

LINGER_S = 1.0
"""How much longer than the history of snapshots the replaced engine is kept, for readers that have just begun."""

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
    store_thread: StoreThread
    quotes: QuoteBook
    warnings: MutableMapping[str, str]
    metrics: Metrics
    newest: Callable[[], Snapshot]
    spot_dates: SpotDates | None = None
    """Those of the live engine: they judge value dates in every engine of this process alike."""


class Settling:
    """Decides when changed reference data has settled, from the store's revision and the time alone."""

    def __init__(self, revision: int) -> None:
        self.followed: int | None = revision
        """The revision that the engine was made from; None: renew in any case."""
        self._newest = revision
        self._changed_at = self._noticed_at = 0.0

    def due(self, revision: int, now: float) -> bool:
        """Whether to renew now."""
        if revision == self.followed:
            self._newest, self._noticed_at = revision, 0.0
            return False
        if revision != self._newest or not self._noticed_at:
            self._newest, self._changed_at = revision, now
            self._noticed_at = self._noticed_at or now
        return now - self._changed_at >= SETTLE_S or now - self._noticed_at >= LATEST_S


class Renewals:
    """All renewals of one process from its first moment live. On the loop, except `check_reference`: on the store thread."""

    def __init__(self, check: TradeCheck, revision: int) -> None:
        self.check = check
        """The check for trades that is in force, for the loop."""
        self._parts: RenewalParts
        self._loop = asyncio.get_running_loop()
        self.revision = revision
        """Of the reference data that the engine was made from: calls put to the writer from now on reach that engine."""
        self.alone = asyncio.Lock()
        """Held while an engine is built and takes over; any other holder keeps renewals waiting."""
        self._settling = Settling(revision)
        self._check_at = 0.0
        self._requested = False
        self._stopping = False
        self._reasons: list[str] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._helper = BackgroundThread("riskengine-renewal")
        self._release: GradualRelease | None = None
        self._pause_s = RETRY_S

    def work_on(self, parts: RenewalParts) -> None:
        """Set what to work on. Once, before the threads begin."""
        self._parts = parts

    def check_reference(self, store: Store) -> None:
        """Check whether reference data has changed, every LOOK_S however often it is called. Store thread. Raises StoreError."""
        now = time.monotonic()
        if now < self._check_at or self._requested:
            return
        self._check_at = now + LOOK_S
        if self._settling.due(store.reference_revision(), now):
            self._requested = True
            self._loop.call_soon_threadsafe(self._request, "reference data changed")

    def renew(self, reason: str) -> "asyncio.Future[None]":
        """Rebuild everything from the store and go on with that; done when a snapshot shows it. `reason` is for the log.

        Raises StoreError or ReferenceDataError if that cannot be done: the engine stays as it was.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        self._request(reason)
        return done

    def stop(self) -> None:
        """Begin no more renewals, give up the one under way."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
        self._settle(self._waiting, EngineNotLive("the engine has stopped"))

    # -- one at a time -----------------------------------------------------------------------------------------

    def _request(self, reason: str) -> None:
        self._requested = True
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
                self._note_refusal(reason, error)
                self._settle(waiting, error)
            else:
                self._parts.metrics.renewals["done"].inc()
                self._pause_s = RETRY_S
                self._parts.warnings.pop(KIND, None)
                self._settle(waiting, None)
        self._task = None
        self._requested = False

    def _settle(self, waiting: "list[asyncio.Future[None]]", error: Exception | None) -> None:
        for done in waiting:
            if not done.done():
                done.set_result(None) if error is None else done.set_exception(error)

    def _note_refusal(self, reason: str, error: Exception) -> None:
        """The engine stays as it was. Try again what the store refused; wait for a change of data that does not hold together."""
        ours = not isinstance(error, RiskEngineError)
        if isinstance(error, StoreError):
            self._settling.followed = None
            self._check_at = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        if isinstance(error, StoreUnavailable):
            return  # the store thread reports it
        log.error("renewal_refused", reason=reason, error=repr(error) if ours else str(error), exc_info=error if ours else None)
        self._parts.warnings[KIND] = f"the reference data in the store cannot be used, the previous data stays in force: {error}"

    async def _renew(self, reason: str) -> None:
        started = time.perf_counter()
        log.info("renewal_begins", reason=reason)
        follower = await self._helper.run(self._build)
        while True:
            try:
                change = await self._change_over(follower)
                break
            except StoreWentBack:
                raise
            except (StoreUnavailable, TooManyRowsLeft):
                await asyncio.sleep(RETRY_S)
                await self._helper.run(partial(self._catch_up, follower))
        if (adjustments := follower.engine.snapshot.adjustments) is not None:
            self._parts.quotes.take_splits(adjustments.prices())
        self._parts.quotes.renew(follower.engine.reference, change.marks)
        self.check = follower.check
        before, now = change.before.snapshot, follower.engine.snapshot
        self._parts.store_thread.delivery.quarantine_log.warn(_newly_quarantined(before, now))
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
        if found := await self._helper.run(partial(changed_in_place, change.before, follower.engine, change.first)):
            log.error("trades_changed_in_place", keys=len(found), first=found[0])
            self._parts.warnings[EDITED] = warning_text(found)
        self._release = GradualRelease(change.before, self._parts.config.server.snapshot_history_s + LINGER_S)

    # -- the next engine, on the helper thread -----------------------------------------------------------------

    def _build(self) -> StoreFollower:
        """An engine that holds all that the store does except the last few rows. Raises StoreError, ReferenceDataError."""
        parts, store = self._parts, self._parts.store
        if self._release is not None:
            self._release.finish()  # two engines at a time are enough
            self._release = None
        with short_switch_interval(), pause_collection():
            revision = self._settling.followed = store.reference_revision()  # before all that it is about
            bookmark = store.bookmark()
            known = parts.newest().watermark  # what the live engine noticed up to there is handed over
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
                noticed_up_to=known,
                spot_dates=parts.spot_dates,
                current_day=parts.newest().current_day,
            )
            follower = StoreFollower(store, engine, bookmark, revision)
            self._catch_up(follower)
        return follower

    def _with_rests(self, read: ReadTrades) -> ReadTrades:
        def read_and_rest(check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
            rests = Rests()
            for count, trade in enumerate(read(check)):
                if not count % 64:
                    self._raise_if_stopping()
                    rests.rest_if_due()
                yield trade

        return read_and_rest

    def _raise_if_stopping(self) -> None:
        if self._stopping:
            raise EngineNotLive("stopped during a renewal")

    def _catch_up(self, follower: StoreFollower) -> None:
        """Apply what was stored meanwhile, until few rows are left, and publish, so that the last step finds little to do."""
        follower.catch_up(self._parts.clock.now, few_rows=FEW_ROWS, go_on=self._raise_if_stopping)

    # -- the change --------------------------------------------------------------------------------------------

    async def _change_over(self, follower: StoreFollower) -> "Change":
        """Put the follower's engine before the writer. Raises StoreError or TooManyRowsLeft, and then nothing has changed."""
        changed, answer_change = pending_answer()
        caught_up, answer = pending_answer()

        def read_the_rest(store: Store) -> bool:
            """On the store thread: nothing of ours can be stored before the call to the writer."""
            rows, bookmark = store.trades_beyond(follower.bookmark, CATCH_UP_ROWS)
            if len(rows) == CATCH_UP_ROWS:
                return False
            follower.apply_rows(rows, bookmark, self._parts.clock.now())
            follower.thaw_questioned()
            self._parts.store_thread.take_over(follower.check, bookmark, follower.watermark, follower.recall)
            self.revision = follower.revision
            self._parts.inbox.put_call(partial(self._change, follower, answer_change))
            return True

        self._parts.store_thread.write(read_the_rest, answer)
        if not await caught_up:
            raise TooManyRowsLeft
        change: Change = await changed
        return change

    def _change(self, follower: StoreFollower, answer: Answer, before: Engine) -> None:
        """On the writer thread, between two batches."""
        engine = follower.engine
        hand_over(engine, before, partial(refit_trade, check=follower.check), self._parts.clock.now())
        self._parts.writer.take_over(engine)
        symbols = engine.reference.symbols
        marks = {symbol: mark for symbol, mark in zip(symbols, engine.marks.marks, strict=True) if mark is not None}
        answer(Change(before, marks, engine.snapshot), None)


class Change(NamedTuple):
    """What the loop learns of a change: the replaced engine, and marks by symbol and first snapshot of the new one."""

    before: Engine
    marks: Mapping[str, Mark]
    first: Snapshot


class TooManyRowsLeft(Exception):
    """More rows have arrived than the store thread should read while everybody waits."""


def refit_trade(trade: Trade, check: TradeCheck) -> Trade | None:
    """The trade by the reference data of `check`; None if it does not fit that."""
    checked = check_again(trade, check)
    return None if isinstance(checked, RefusedRow) else checked


def refit_item(item: ExceptionItem, reference: Reference) -> ExceptionItem:
    """The exception with its trade by other reference data, without a trade if that does not fit."""
    return item if item.trade is None else replace(item, trade=refit_trade(item.trade, trade_check(reference)))


def _newly_quarantined(before: Snapshot, now: Snapshot) -> Iterator[tuple[int, str]]:
    """Stored rows, by number and reason, that are quarantined now and were not before."""
    known = {item.id for item in before.exceptions.get("quarantined", ())}
    for item in now.exceptions.get("quarantined", ()):
        store_seq = item.detail.get("store_seq")
        if isinstance(store_seq, int) and item.id not in known:
            yield store_seq, item.reason
