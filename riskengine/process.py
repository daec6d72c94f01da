"""Assembly and lifetime: store, engine, writer, prices and sockets put together, started, watched and stopped. No rules.

A life reads: open the store and become its writer; serve (answering "loading"); rebuild the engine beside the loop; go live;
until told to stop, hand prices over once a beat; then stop taking, finish what waits, close.

Threads: the event loop owns sockets, decoding and the quote book; the writer thread owns the engine; the store thread owns the
store's write side; a pool answers reads of the store.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from riskengine.adapters.committer import Committer
from riskengine.adapters.store import open_store
from riskengine.adapters.store_protocol import Position, Store, TradeFilter
from riskengine.adapters.trade_rows import RefusedRow, TradeRow, trade_from_row
from riskengine.clock import MICROS_PER_SECOND, Clock, SystemClock
from riskengine.config import Config, without_password
from riskengine.decode import TradeCheck
from riskengine.digest import digest
from riskengine.engine import MAX_NOTICES, Engine
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.inbox import Inbox, Receipt
from riskengine.marks import AnyTick, Mark, QuoteBook
from riskengine.messages import Refusal, StoredMark, Trade
from riskengine.observe import Metrics, get_logger
from riskengine.snapshot import Snapshot, SnapshotHistory
from riskengine.start_of_day import Unreadable, rebuild, settle_memory, trade_check
from riskengine.views import node_number
from riskengine.writer import Writer

FEED_SILENT_AFTER_US = 5 * MICROS_PER_SECOND

log = get_logger("riskengine.process")


def read_trades(store: Store) -> Callable[[TradeCheck], Iterator[tuple[int, Trade | Unreadable]]]:
    """The stored trades in the form that the morning reads."""

    def read(check: TradeCheck) -> Iterator[tuple[int, Trade | Unreadable]]:
        for row in store.trades_after(0):
            trade = trade_from_row(row, check)
            if isinstance(trade, RefusedRow):
                yield row.store_seq, Unreadable(row.store_seq, row.received_ts, f"{trade.field}: {trade.reason}")
            else:
                yield row.store_seq, trade

    return read


def read_conflicts(store: Store) -> Callable[[TradeCheck], Iterator[Trade]]:
    """What the store kept apart, in the form that the morning reads; what no longer fits the reference data is left out."""

    def read(check: TradeCheck) -> Iterator[Trade]:
        for conflict in reversed(store.conflicts(MAX_NOTICES)):
            trade = trade_from_row(conflict.row, check)
            if not isinstance(trade, RefusedRow):
                yield trade

    return read


class EngineProcess:
    """One engine on one store; what `serve` sees as its `Gateway`. Methods are called on the event loop."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self._state = "starting"
        self._progress = 0.0
        self._loaded = 0
        self._abandoned = False
        self._store: Store | None = None
        self._epoch = 0
        self._history: SnapshotHistory | None = None
        self._check: TradeCheck | None = None
        self._quotes: QuoteBook | None = None
        self._inbox = Inbox(config.inbox.max_trades)
        self._writer: Writer | None = None
        self._committer: Committer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._wake_scheduled = False
        self._pending: set[asyncio.Future[Receipt]] = set()
        self._stopped = False
        self._feeds: dict[str, dict[str, Any]] = {}
        self._source_seqs: dict[str, int] = {}
        self._last_tick_at = 0
        self.ended = asyncio.Event()
        """Set when the engine cannot go on; `failure` says why."""
        self.failure: BaseException | None = None

    # -- life --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store and become its one writer. Raises StoreError."""
        store = open_store(self.config.store.url)
        try:
            store.acquire_writer("riskengine serve")
            self._epoch = store.next_epoch()
        except RiskEngineError:
            store.close()
            raise
        self._store = store

    async def start(self) -> None:
        """The morning: rebuild from the store beside the loop, then go live. Raises StoreError, ReferenceDataError."""
        assert self._store is not None, "open comes before start"
        self._loop = asyncio.get_running_loop()
        self._state = "loading"
        started = time.perf_counter()
        store = self._store
        position = await asyncio.to_thread(store.position)  # before the trades are read: what comes meanwhile is looked at again
        engine = await asyncio.to_thread(
            rebuild, store, read_trades(store), self.config, epoch=self._epoch, now=self.clock.now(),
            progress=self._note_progress, read_conflicts=read_conflicts(store),
        )  # fmt: skip
        settle_memory()
        self._go_live(engine, position)
        counts = engine.snapshot.counts
        log.info(
            "live", store=without_password(self.config.store.url), epoch=self._epoch, trades=self._loaded,
            applied=counts.applied, late=counts.late, parked=counts.parked, quarantined=counts.quarantined,
            conflicts=counts.conflicts, seconds=round(time.perf_counter() - started, 3),
        )  # fmt: skip

    def abandon_start(self) -> None:
        """Let a morning that is under way end with EngineNotLive at its next batch."""
        self._abandoned = True

    def _note_progress(self, share: float, loaded: int) -> None:
        self._progress, self._loaded = share, loaded
        if self._abandoned:
            raise EngineNotLive("told to stop during the start")

    def _go_live(self, engine: Engine, position: Position) -> None:
        assert self._store is not None
        config, reference = self.config, engine.reference
        self._check = trade_check(reference)
        self._quotes = QuoteBook(reference, config.marks, config.engine.future_limit_s)
        self._quotes.restore(
            {reference.symbols[number]: mark for number, mark in enumerate(engine.marks.marks) if mark is not None}
        )
        self._history = SnapshotHistory(engine.snapshot, int(config.server.snapshot_history_s * MICROS_PER_SECOND))
        self._committer = Committer(
            self._store, self._inbox, trade_check(reference), self.metrics, batch_trades=config.store.batch_trades,
            watermark=engine.snapshot.watermark, position=position, failed=self._fail_from_thread,
        )  # fmt: skip
        self._writer = Writer(
            engine, self._inbox, self._history, self.clock, self.metrics, beat_us=config.engine.beat_ms * 1_000,
            store_marks_us=int(config.marks.store_every_s * MICROS_PER_SECOND), published=self._published,
            save_marks=self._save_marks, failed=self._fail_from_thread,
        )  # fmt: skip
        self._committer.start()
        self._writer.start()
        self._beat = asyncio.get_running_loop().create_task(self._hand_over_prices())
        self._beat.add_done_callback(self._beat_ended)
        self._state = "live"

    async def stop(self) -> None:
        """Finish what waits, store the marks, give up the lease. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        self._state = "stopping" if self.failure is None else "failed"
        if self._beat is not None:
            self._beat.cancel()
        if self._committer is not None and self._writer is not None:
            committer, writer = self._committer, self._writer
            await asyncio.to_thread(committer.drain, lambda: self.failure is None and writer.alive)
            # After the drain the writer has taken the last batch of prices, and there is room for what came since.
            if self._quotes is not None and self._inbox.takes_prices:
                self._inbox.put_prices(self._quotes.take())
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(committer.stop)
            await asyncio.sleep(0)  # the last answers were handed to the loop by now
        self._give_up_pending(EngineNotLive("the engine has stopped"))
        if self._store is not None:
            self._store.close()
            self._store = None

    def _fail_from_thread(self, error: BaseException) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        """The engine cannot go on: whoever waits is told so. What is stored is applied by the next start."""
        self.failure = self.failure or error
        self._state = "failed"
        self._give_up_pending(EngineNotLive("the engine failed before it could answer: send the trades again once it is live"))
        self.ended.set()

    def _give_up_pending(self, error: EngineNotLive) -> None:
        for done in [*self._pending]:
            if not done.done():
                done.set_exception(error)

    def _beat_ended(self, beat: "asyncio.Task[None]") -> None:
        """Prices must not stop moving in silence."""
        if not beat.cancelled() and (error := beat.exception()) is not None:
            log.critical("beat_failed", error=repr(error), exc_info=error)
            self._fail(error)

    # -- prices ------------------------------------------------------------------------------------------------

    async def _hand_over_prices(self) -> None:
        """Once a beat, give the writer what changed. The beats keep their rhythm; one that cannot be kept is left out."""
        period = self.config.engine.beat_ms / 1_000
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + period, loop.time())
            await asyncio.sleep(due - loop.time())
            if self._inbox.takes_prices and self._quotes is not None:
                marks = self._quotes.take()
                if marks:
                    self._inbox.put_prices(marks)

    def _save_marks(self, marks: Sequence[tuple[int, Mark]]) -> None:
        assert self._committer is not None and self._history is not None
        symbols = self._history.newest.reference.symbols
        self._committer.save_marks(
            StoredMark(symbols[number], mark.ts, mark.price, mark.source, mark.kind)
            for number, mark in marks
            if mark.kind != "close"
        )

    # -- publications ------------------------------------------------------------------------------------------

    def _published(self, snapshot: Snapshot) -> None:
        """On the writer thread: wake the loop, once however many snapshots come before it runs."""
        if not self._wake_scheduled and self._loop is not None:
            self._wake_scheduled = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._wake_scheduled = False
        for listener in tuple(self._listeners):  # one may end itself
            listener()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Gateway`."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    # -- questions ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """See `Gateway`."""
        if self._state == "live" and self._committer is not None and self._committer.error is not None:
            return "degraded"
        return self._state

    @property
    def progress(self) -> float:
        """See `Gateway`."""
        return 1.0 if self._state == "live" else self._progress

    @property
    def is_live(self) -> bool:
        """See `Gateway`."""
        return self._state == "live"

    @property
    def history(self) -> SnapshotHistory:
        """See `Gateway`."""
        if self._history is None:
            raise EngineNotLive(f"the engine is {self._state}")
        return self._history

    @property
    def check(self) -> TradeCheck:
        """See `Gateway`."""
        if self._check is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        return self._check

    def submit(self, trades: Sequence[Trade]) -> Awaitable[Receipt]:
        """See `Gateway`."""
        if self._committer is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Receipt] = loop.create_future()

        def answer(receipt: Receipt) -> None:
            loop.call_soon_threadsafe(_resolve, done, receipt)

        self._committer.submit(trades, answer)
        self._pending.add(done)
        done.add_done_callback(self._pending.discard)
        for trade in trades:
            if trade.source_seq > self._source_seqs.get(trade.source, 0):
                self._source_seqs[trade.source] = trade.source_seq
        return done

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> list[Refusal]:
        """See `Gateway`."""
        if self._quotes is None or not self.is_live:
            raise EngineNotLive(f"the engine is {self._state}")
        now = self.clock.now()
        refusals = self._quotes.offer(ticks, now)
        self.metrics.ticks_accepted.inc(len(ticks) - len(refusals))
        self.metrics.ticks_refused.inc(len(refusals))
        if len(refusals) < len(ticks):
            self._last_tick_at = now
        return refusals

    def feed_heartbeat(self, source: str, last_seq: int | None) -> None:
        """See `Gateway`. A source that has sent more than has come (by the `source_seq` of its trades) has a gap."""
        feed = self._feeds.setdefault(source, {"gap": False, "last_seq": None})
        received = self._source_seqs.get(source)
        gap = last_seq is not None and received is not None and last_seq > received
        if gap and not feed["gap"]:
            log.warning("feed_gap", source=source, sent=last_seq, received=received)
        feed.update(gap=gap, heard_at=self.clock.now(), last_seq=feed["last_seq"] if last_seq is None else last_seq)

    async def select_trades(
        self, *, node: str | None, instrument: str | None, dealer: str | None, since: int | None, versions: str, limit: int,
        snapshot: Snapshot,
    ) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
        """See `Gateway`."""
        if self._store is None:
            raise EngineNotLive(f"the engine is {self._state}")
        hierarchy = snapshot.reference.hierarchy
        desks = None if node is None else hierarchy.leaves_below(node_number(snapshot, node))
        wanted = TradeFilter(
            desks, instrument, dealer, since, "all" if versions == "all" else "latest", max_store_seq=snapshot.watermark
        )
        rows, total = await asyncio.to_thread(self._store.select_trades, wanted, limit)
        return [dict(zip(TradeRow._fields, row, strict=True)) for row in rows], total

    async def digest(self, snapshot: Snapshot) -> str:
        """See `Gateway`."""
        return await asyncio.to_thread(digest, snapshot)

    def health(self) -> Mapping[str, Any]:
        """See `Gateway`."""
        now, quotes = self.clock.now(), self._quotes
        self.metrics.inbox_depth.set(self._inbox.reserved)
        return {
            "pid": os.getpid(),
            "store": without_password(self.config.store.url),
            "store_error": self._committer.error if self._committer is not None else None,
            "trades_loaded": self._loaded,
            "trades_waiting": self._inbox.reserved,
            "writer_lag_ms": round(self._writer.batch_seconds * 1_000, 3) if self._writer is not None else None,
            "last_tick_age_ms": (now - self._last_tick_at) // 1_000 if self._last_tick_at else None,
            "ticks": None if quotes is None else {
                "accepted": quotes.accepted, "refused": quotes.refused, "crossed": quotes.crossed, "old": quotes.old,
            },
            "feeds": [
                {
                    "source": source, "age_ms": (now - feed["heard_at"]) // 1_000, "last_seq": feed["last_seq"],
                    "gap": feed["gap"], "alive": now - feed["heard_at"] <= FEED_SILENT_AFTER_US,
                }
                for source, feed in sorted(self._feeds.items())
            ],
            "last_reconciliation": None,
        }  # fmt: skip


def _resolve(done: "asyncio.Future[Receipt]", receipt: Receipt) -> None:
    """On the loop: answer whoever waits, unless they went away or were told already."""
    if done.done():
        return
    if receipt.error is not None:
        done.set_exception(receipt.error)
    else:
        done.set_result(receipt)
