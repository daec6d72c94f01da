"""Assembly and lifetime: store, engine, writer, prices and sockets put together, started, watched and stopped. No rules.

A life reads: open the store and become its writer; serve (answering "loading"); rebuild the engine beside the loop; go live;
until told to stop, hand prices over once a beat; then stop taking, finish what waits, close.

Threads: the event loop owns sockets, decoding and the quote book; the writer thread owns the engine; the store thread owns the
store's write side; a pool answers reads of the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from riskengine.alerts import Warnings
from riskengine.clock import MICROS_PER_SECOND, Clock, SystemClock
from riskengine.config import Config
from riskengine.engine.beats import Beats
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox, Receipt
from riskengine.engine.writer import Writer
from riskengine.errors import EngineNotLive, RiskEngineError, StartRefused, StoreUnavailable
from riskengine.intake.ask_writer import ask_writer
from riskengine.intake.audit_recorder import EarlyEvents, started
from riskengine.intake.recall import Recall
from riskengine.intake.sources import Sources
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import PendingAnswers, PublishWakeup, pending_answer, start_task
from riskengine.market.marks import AnyTick, Mark
from riskengine.market.tick_limits import LimitedQuoteBook, TicksTaken
from riskengine.observe import Metrics, get_logger
from riskengine.process.health import Health
from riskengine.process.sampling import Sampling
from riskengine.process.store_watch import StoreWatch
from riskengine.process.verdicts import settle
from riskengine.rebuild.load import acceptance, load
from riskengine.rebuild.phases import Morning, summarise
from riskengine.rebuild.renewal import RenewalParts, Renewals, fitted
from riskengine.reconciliation.confirm import ReconcilerParts, compare_beside, standing_under
from riskengine.reconciliation.reconciler import Reconciler
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import trade_check
from riskengine.records.types import Key, StoredMark, Trade, Verdict
from riskengine.snapshot.curves import Curves
from riskengine.snapshot.digest import digest
from riskengine.snapshot.mismatch import Mismatch, accepted
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory, node_number
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, TradeFilter
from riskengine.store.sqlite.examination import Examination
from riskengine.views.grants import EVERYTHING, Grants

T = TypeVar("T")

log = get_logger("riskengine.process")


class EngineProcess:
    """One engine on one store; what `serve` sees as its `Gateway`. Methods are called on the event loop.

    `accept_mismatch`: go live although engine and store contradict each other, and have every screen say so.
    """

    def __init__(self, config: Config, clock: Clock | None = None, *, accept_mismatch: bool = False) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.metrics.refresh = lambda: self._health().measure(self.metrics)
        self.warnings = Warnings(self.clock)
        """What every screen says as long as it holds, by kind: set and cleared on the loop."""
        self.curves = Curves(config.curves.samples)
        self.morning = Morning(self.clock)
        self._state = "starting"
        self._accept_mismatch = accept_mismatch
        self._mismatches: list[Mismatch] = []
        self._store: Store | None = None
        self._beside = Examination()
        self._watch: StoreWatch | None = None
        self._epoch = 0
        self._history: SnapshotHistory | None = None
        self._quotes: LimitedQuoteBook | None = None
        self._inbox = Inbox(config.inbox.max_trades)
        self._writer: Writer | None = None
        self._committer: StoreThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beats: Beats | None = None
        self._sampling: Sampling | None = None
        self._summary: asyncio.Task[None] | None = None
        self._promises = PendingAnswers()
        self._wakes = PublishWakeup()
        self._renewals: Renewals | None = None
        self._reconciler: Reconciler | None = None
        self._stopped = False
        self._publishers = Sources()
        self._notes = EarlyEvents()
        self._last_tick_at = 0
        self.ended = asyncio.Event()
        """Set when the engine cannot go on; `failure` says why."""
        self.failure: BaseException | None = None

    # -- life --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store and become its one writer. Raises StoreError, StartRefused."""
        store = open_store(self.config.store.url, writer="riskengine serve", entering=self.morning.enter, beside=self._beside)
        try:
            self._watch = StoreWatch(self.config, store, self.clock, self.warnings)
            self._epoch, self._mismatches = self._watch.take_epoch(self._accept_mismatch)
        except RiskEngineError:
            store.close()
            raise
        self._store = store

    async def start(self) -> None:
        """The morning, then live. Raises StoreError, ReferenceDataError, EngineNotLive (abandoned), StartRefused."""
        assert self._store is not None and self._watch is not None, "open comes before start"
        self._loop = asyncio.get_running_loop()
        self._wakes.on(self._loop)
        self._state = "loading"
        loaded = await load(self._store, self.config, self.morning, epoch=self._epoch, now=self.clock.now())
        await asyncio.to_thread(self._beside.finish)
        self.morning.go_on()
        self._mismatches += loaded.mismatches
        if self._mismatches:
            if not self._accept_mismatch:
                raise StartRefused(self._mismatches)
            self._store.record([acceptance(self._mismatches)])
            self.warnings["mismatch"] = accepted(self._mismatches)
        await self._publishers.follow(self._store.cursors)
        self._go_live(loaded.engine, loaded.bookmark, loaded.revision)
        self.morning.enter("live")
        self._watch.start(lambda: self.history.newest, self.morning.facts["openings_left_out"])
        self._summary = self._loop.create_task(summarise(self.morning, loaded.engine.snapshot, self.config, self._mismatches))

    def abandon_start(self) -> None:
        """Let a morning that is under way end with EngineNotLive at its next step."""
        self.morning.abandon()

    def _go_live(self, engine: Engine, bookmark: Bookmark, revision: int) -> None:
        assert self._store is not None
        config, reference = self.config, engine.reference
        self._renewals = renewals = Renewals(trade_check(reference), revision)
        self._quotes = LimitedQuoteBook(reference, config.marks, config.engine.future_limit_s, config.ingest)
        self._quotes.restore(
            {reference.symbols[number]: mark for number, mark in enumerate(engine.marks.marks) if mark is not None}
        )
        self._history = SnapshotHistory(engine.snapshot, int(config.server.snapshot_history_s * MICROS_PER_SECOND))
        self._committer = StoreThread(
            self._store,
            self._inbox,
            renewals.check,
            self.metrics,
            batch_trades=config.store.batch_trades,
            watermark=engine.snapshot.watermark,
            bookmark=bookmark,
            failed=self._fail_from_thread,
            looked=renewals.look,
            recall=Recall(self._store, renewals.check, engine),
        )
        self._writer = Writer(
            engine,
            self._inbox,
            self._history,
            self.clock,
            self.metrics,
            beat_us=config.engine.beat_ms * 1_000,
            store_marks_us=int(config.marks.store_every_s * MICROS_PER_SECOND),
            published=self._wakes.ring,
            save_marks=self._save_marks,
            failed=self._fail_from_thread,
            self_audit_s=config.engine.self_audit_s,
        )
        renewals.work_on(
            RenewalParts(
                self._store,
                config,
                self.clock,
                self._epoch,
                self._inbox,
                self._writer,
                self._committer,
                self._quotes,
                self.warnings,
                self.metrics,
            )
        )
        went_live = started(config, epoch=self._epoch, watermark=engine.snapshot.watermark, revision=revision)
        self._notes.hand_to(self._committer.trail.record, went_live)
        self._reconciler = Reconciler(
            ReconcilerParts(
                self._store,
                config,
                self.clock,
                self.metrics,
                self._inbox,
                self._committer,
                self.warnings,
                lambda: self.history.newest,
                self._standing,
                lambda: renewals.revision,
                self.renew,
                renewals.alone,
                compare_beside(config),
            )
        )
        self._committer.start()
        self._writer.start()
        self._reconciler.start()
        self._beats = Beats(config.engine.beat_ms / 1_000, self._inbox, self._quotes, self._writer, self.warnings, self._fail)
        self._beats.start()
        self._state = "live"
        self._sampling = Sampling(self.curves, config.curves, self._store, lambda: self.history.newest, self.on_store)
        self._sampling.start()

    async def stop(self) -> None:
        """Finish what waits, store the marks, give up the lease. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._sampling is not None:
            await self._sampling.stop()
        self._state = "stopping" if self.failure is None else "failed"
        for jobs in (self._beats, self._renewals, self._reconciler):
            if jobs is not None:
                jobs.stop()
        if self._committer is not None and self._writer is not None:
            committer, writer = self._committer, self._writer
            await asyncio.to_thread(committer.drain, lambda: self.failure is None and writer.alive)
            # After the drain the writer has taken the last batch of prices, and there is room for what came since.
            if self._beats is not None:
                self._beats.hand_over()
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(committer.stop)
            await asyncio.sleep(0)  # the last answers were handed to the loop by now
        if self._summary is not None:
            self._summary.cancel()
        if self._watch is not None:
            await self._watch.stop()
        self._promises.give_up(EngineNotLive("the engine has stopped"))
        if self._store is not None:
            self._store.close()
            self._store = None

    def renew(self, reason: str) -> "asyncio.Future[None]":
        """Rebuild everything from the store beside the engine and go on with that (`renewal`); done when a snapshot shows it.

        `reason` is for the log. Raises EngineNotLive, and StoreError or ReferenceDataError where the engine stays as it was.
        """
        return self._promises.keep(self._when_live(self._renewals).renew(reason))

    async def reconcile(self, *, repair: bool, actor: str) -> dict[str, Any]:
        """See `Gateway`."""
        return await self._when_live(self._reconciler).run(repair=repair, actor=actor)

    async def breaks(self, *, status: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """See `Gateway`."""
        return await self._when_live(self._reconciler).breaks(status)

    async def comment_break(self, break_id: int, comment: str, actor: str) -> dict[str, Any] | None:
        """See `Gateway`."""
        return await self._when_live(self._reconciler).comment(break_id, comment, actor)

    def _standing(self, keys: Collection[Key]) -> "asyncio.Future[Any]":
        return self.on_writer(lambda engine: standing_under(engine, keys))

    def _fail_from_thread(self, error: BaseException) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        """The engine cannot go on: whoever waits is told so. What is stored is applied by the next start."""
        self.failure = self.failure or error
        self._state = "failed"
        self._promises.give_up(EngineNotLive("the engine failed before it could answer: send the trades again once it is live"))
        self.ended.set()

    # -- prices ------------------------------------------------------------------------------------------------

    def _save_marks(self, marks: Sequence[tuple[int, Mark]]) -> None:
        assert self._committer is not None and self._history is not None
        symbols = self._history.newest.reference.symbols
        self._committer.save_marks(
            StoredMark(symbols[number], mark.ts, mark.price, mark.source, mark.kind)
            for number, mark in marks
            if mark.kind != "close"
        )

    # -- questions ---------------------------------------------------------------------------------------------

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """See `Gateway`."""
        self._notes.note(kind, subject, detail, actor)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Gateway`."""
        return self._wakes.listen(wake)

    @property
    def state(self) -> str:
        """See `Gateway`."""
        if self._state == "live" and self._committer is not None and self._committer.trouble is not None:
            return "degraded"
        return self._state

    @property
    def progress(self) -> float:
        """See `Gateway`."""
        return 1.0 if self._state == "live" else self.morning.progress

    @property
    def is_live(self) -> bool:
        """See `Gateway`."""
        return self._state == "live"

    def _when_live(self, part: T | None) -> T:
        if part is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        return part

    @property
    def history(self) -> SnapshotHistory:
        """See `Gateway`."""
        if self._history is None:
            raise EngineNotLive(f"the engine is {self._state}")
        return self._history

    @property
    def check(self) -> TradeCheck:
        """See `Gateway`."""
        return self._when_live(self._renewals).check

    def submit(self, trades: Sequence[Trade], check: TradeCheck | None = None) -> Awaitable[Receipt]:
        """See `Gateway`."""
        if self._committer is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        done, answer = pending_answer()
        self._committer.submit(trades, lambda receipt: answer(receipt, receipt.error), check or self.check)
        self._publishers.sent(trades, done)
        return self._promises.keep(done)

    def on_writer(self, action: Callable[[Engine], T]) -> "asyncio.Future[T]":
        """See `Gateway`."""
        committer, (done, answer) = self._when_live(self._committer), pending_answer()
        ask_writer(action, answer, self._inbox, committer)
        return self._promises.keep(done)

    def on_store(self, action: Callable[[Store], T]) -> "asyncio.Future[T]":
        """What `action` returns, run on the store thread between two commits. Raises EngineNotLive, StoreError."""
        committer, (done, answer) = self._when_live(self._committer), pending_answer()
        committer.write(action, answer)
        return self._promises.keep(done)

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> TicksTaken:
        """See `Gateway`."""
        quotes, now = self._when_live(self._quotes), self.clock.now()
        taken = quotes.offer_counted(ticks, now)
        self.metrics.took_ticks(len(ticks), len(taken.refused), taken.coalesced)
        if len(taken.refused) < len(ticks):
            self._last_tick_at = now
        return taken

    def feed_heartbeat(self, source: str, last_seq: int | None) -> None:
        """See `Gateway`."""
        self._publishers.heartbeat(source, last_seq, self.clock.now())

    async def decide(self, item: ExceptionItem, verdict: Verdict) -> None:
        """See `Gateway`."""
        accepted = [item.trade] if item.trade is not None and verdict.verdict == "accept" else []
        committer, conflict = self._when_live(self._committer), accepted[0] if accepted and item.kind == "conflict" else None

        def save(store: Store) -> None:
            committer.recall(accepted)  # before the store has it in the place of what stands
            store.save_verdict(verdict, conflict)

        try:
            await self.on_store(save)
        except StoreUnavailable:
            start_task(settle(verdict, self.on_store, lambda: self._take_effect(item, verdict)), log)
            raise
        await self._take_effect(item, verdict)

    async def _take_effect(self, item: ExceptionItem, verdict: Verdict) -> None:
        if item.kind == "suspect" and verdict.verdict and self._quotes is not None:
            self._quotes.decide(str(item.detail["instrument"]), release=verdict.verdict == "accept")
        await self.on_writer(lambda engine: engine.decide(fitted(item, engine.reference), verdict))

    async def select_trades(
        self,
        *,
        node: str | None,
        instrument: str | None,
        dealer: str | None,
        since: int | None,
        versions: str,
        limit: int,
        snapshot: Snapshot,
        grants: Grants = EVERYTHING,
    ) -> tuple[list[dict[str, Any]], int]:
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        desks = None if node is None else snapshot.reference.hierarchy.leaves_below(node_number(snapshot, node))
        wanted = TradeFilter(
            desks,
            instrument,
            dealer,
            since,
            "all" if versions == "all" else "latest",
            snapshot.watermark,
            grants.trades_shown(snapshot.reference.hierarchy, snapshot.dealer_names),
        )
        rows, total = await asyncio.to_thread(self._store.select_trades, wanted, limit)
        return [row._asdict() for row in rows], total

    async def digest(self, snapshot: Snapshot) -> str:
        """See `Gateway`."""
        return await asyncio.to_thread(digest, snapshot)

    def starting(self) -> Mapping[str, Any]:
        """See `Gateway`."""
        return self.morning.view()

    @property
    def publish_age_ms(self) -> int | None:
        """See `Gateway`."""
        return None if self._writer is None else int(self._writer.publish_age_s * 1_000)

    def health(self) -> Mapping[str, Any]:
        """See `Gateway`."""
        return self._health().told()

    def _health(self) -> Health:
        return Health(
            self.config,
            self._watch.witness.store_id if self._watch is not None else None,
            self._committer.trouble if self._committer is not None else None,
            self.morning.loaded,
            self._inbox.reserved,
            self._writer,
            self.clock.now() - self._last_tick_at if self._last_tick_at else None,
            self._quotes,
            self._publishers.rows(self.clock.now()),
            self._reconciler.last if self._reconciler is not None else None,
            self.morning.account(),
        )
