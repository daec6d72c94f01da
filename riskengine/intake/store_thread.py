"""The store thread: the only one that writes to the store while the engine runs.

Trades wait in one queue; whatever waits goes into one transaction (group commit), and only what is committed goes on to the
writer. Rows that others wrote are found by the same thread: those before its own batches at once, the rest a few times a second.

The bookmark is what has been handed to the writer. It moves only with what is handed over, so whatever fails in between, the
rows behind it are read again: identity makes that harmless. The watermark is the highest store_seq of it; where transactions
overtake each other (PostgreSQL) a lower one may follow.

What was checked by other reference data than is in force in its turn (`renewed`) is judged again: what does not fit is refused.

A failed commit answers everybody in it with the error. Whether it went through all the same is then looked up, never guessed:
the next thing that succeeds is reading what the store holds beyond the bookmark.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from riskengine.engine.inbox import DurableTrades, Inbox, Receipt
from riskengine.errors import LeaseHeld, StoreError, StoreUnavailable
from riskengine.intake.audit_recorder import Recorder
from riskengine.intake.follow import Alarm, quarantine_rows
from riskengine.intake.recall import Recall, Unseen, nothing
from riskengine.intake.submissions import ReceiptAnswer, Submission, judged
from riskengine.observe import Metrics, get_logger
from riskengine.positions.freezing import Recalled
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Key, StoredMark, Trade
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, Stored
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

POLL_S = 0.25
"""How often the store is asked for rows that others wrote, whatever else happens."""

BELL_S = 0.5
"""How long the doorbell is listened to at a stretch: how late its thread notices that the end has come."""

RINGS_APART_S = 0.01
"""How often it may ring: a busy neighbour is looked at a hundred times a second, not at each of its commits."""

CROWDED_S, LINGER_S = 0.002, 0.001
"""While several senders come at once the next are waited for: fewer, larger transactions. A sender alone never waits."""

RETRY_S = 0.5
"""How long to wait after the store failed."""

SILENT_S = 10.0
"""A store that has not answered for this long is away, whatever becomes of the question: longer than others may hold a lock."""

CATCH_UP_ROWS = 5_000
"""Rows of others read at a stretch, so that a load beside us cannot hold our own trades back."""

MAX_HAND_OVERS = 64
"""Batches of others' rows that may wait for the writer: a bulk load must not fill the memory."""

log = get_logger("riskengine.store")


class Write(NamedTuple):
    """Something else to write, in its turn. `answer` gets what `action` returned, or the exception that it raised."""

    action: Callable[[Store], Any]
    answer: Callable[[Any, StoreError | None], None]


class StoreThread:
    """Owns the write side of a store between `start` and `stop`. `submit` and `save_marks` may be called by any thread.

    `looked` is called on the store thread after each look at what others wrote; what it raises counts as the store's. `recall`
    reads what the engine behind the writer has frozen; without it nothing is.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        check: TradeCheck,
        metrics: Metrics,
        *,
        batch_trades: int,
        watermark: int,
        bookmark: Bookmark,
        failed: Callable[[BaseException], None],
        looked: Callable[[Store], None] = lambda store: None,
        recall: Recall | None = None,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._check = check
        self._metrics = metrics
        self._batch_trades = batch_trades
        self._watermark = watermark
        self._bookmark = bookmark
        self._failed = failed
        self._looked = looked
        self._recall = recall
        self.alarm = Alarm()
        self.trail = Recorder()
        """Brings what others wrote, and what it is told to record, into the audit trail."""
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._writes: SimpleQueue[Write] = SimpleQueue()
        self._waiting: Submission | None = None
        self._marks: dict[str, StoredMark] = {}
        self._marks_lock = threading.Lock()
        self._stopping = False
        self._ask_at = 0.0
        self._crowded_until = 0.0
        self._hand_overs = threading.Semaphore(MAX_HAND_OVERS)
        self.error: str | None = None
        """What the store said when it failed last; None once it can be written again."""
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="riskengine-store", daemon=True)
        self._doorman = threading.Thread(target=self._listen, name="riskengine-doorbell", daemon=True)

    def start(self) -> None:
        """Begin. Once; whoever wrote to the store before must have stopped."""
        self._store.hand_over()
        self._thread.start()
        if self._store.rings:
            self._doorman.start()

    @property
    def trouble(self) -> str | None:
        """Why the store cannot be written now: that it says nothing, or what it said. None while it can. Any thread."""
        return self._silence() or self.error

    def _silence(self) -> str | None:
        asked_at = self._asked_at
        if asked_at is None or (silent_s := time.monotonic() - asked_at) <= SILENT_S:
            return None
        return f"store {self._store.name} has not answered for {silent_s:.0f} s"

    def submit(self, trades: Sequence[Trade], answer: ReceiptAnswer, check: TradeCheck | None = None) -> None:
        """Store trades, then apply them; `answer` is called on another thread. `check` is what let them in, None: as they are.

        Raises InboxFull, and StoreUnavailable where the store has fallen silent; then nothing is stored.
        """
        if (silence := self._silence()) is not None:
            raise StoreUnavailable(silence)
        self._inbox.reserve(len(trades))
        self._queue.put(Submission(trades, answer, check, time.perf_counter()))

    def write(self, action: Callable[[Store], Any], answer: Callable[[Any, StoreError | None], None]) -> None:
        """Have `action` write to the store between two batches, once, on the store thread; `answer` is called there too."""
        self._writes.put(Write(action, answer))
        self._queue.put(None)

    def save_marks(self, marks: Iterable[StoredMark]) -> None:
        """Store marks soon; the newest of each instrument is kept until it is stored."""
        with self._marks_lock:
            self._marks.update((mark.instrument, mark) for mark in marks)
        self._queue.put(None)

    def renewed(self, check: TradeCheck, bookmark: Bookmark, watermark: int, recall: Recall | None = None) -> None:
        """Judge by `check` from now on, and follow from `bookmark`: what is before it is in the engine that takes over.

        On the store thread, in a `write`, which puts that engine before the writer too.
        """
        assert threading.current_thread() is self._thread, "the store thread alone knows what it has handed over"
        self._check, self._bookmark, self._watermark = check, bookmark, max(self._watermark, watermark)
        self._recall = recall
        self.trail.sweep()  # the other engine read rows that were not handed over here

    def drain(self, answering: Callable[[], bool] = lambda: True, timeout_s: float = 10.0) -> None:
        """Wait until all submissions so far are applied and published, or answered with an error, while anybody can answer."""
        done = threading.Event()
        self._queue.put(Submission((), lambda _: done.set()))
        deadline = time.monotonic() + timeout_s
        while not done.wait(0.05) and self._thread.is_alive() and answering() and time.monotonic() < deadline:
            pass

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, marks included, and end."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not (self._stopping and self._queue.empty() and self._waiting is None and self._writes.empty()):
                self._step()
            self._store_last_marks()
            if self.error is None:
                self.trail.finish(self._store)
        except BaseException as error:
            log.critical("store_thread_failed", error=repr(error), exc_info=True)
            self._failed(error)

    def _listen(self) -> None:
        """Look at once when the store says that others wrote. Only the timer is relied on."""
        while not self._stopping:
            try:
                if self._store.wait_for_news(BELL_S):
                    self._ask_at = 0.0
                    self._queue.put(None)
                    time.sleep(RINGS_APART_S)
            except StoreError:
                time.sleep(RETRY_S)

    def _step(self) -> None:
        batch = self._take()
        self._asked_at = time.monotonic()
        try:
            if self.error is not None or time.monotonic() >= self._ask_at:
                self.hand_over_all()
            if batch:
                self._commit(batch)
            self._do_writes()
            if self.error is not None and not self._store.is_writable():
                return  # that it can be read is not enough to call it back
            self._store_marks()
            self._recovered()
            self.trail.work(self._store, busy=not self._queue.empty())
        except StoreError as error:
            self._fail(batch, error)
            while not self._writes.empty():  # what is answered so is not done later
                self._writes.get().answer(None, error)
            if isinstance(error, LeaseHeld):
                raise  # another engine has taken over: this one must not go on as if it were the writer
        finally:
            self._asked_at = None

    def _take(self) -> list[Submission]:
        """Whatever waits, up to the size of a batch; one submission is never divided."""
        batch: list[Submission] = []
        count = 0
        timeout = RETRY_S if self.error is not None else max(0.0, min(self._ask_at - time.monotonic(), self.trail.due_s()))
        if self._waiting is not None:
            batch.append(self._waiting)
            count, self._waiting = len(self._waiting.trades), None
        try:
            while count < self._batch_trades:
                item = self._queue.get(timeout=timeout) if not batch else self._queue.get_nowait()
                if not batch and time.monotonic() < self._crowded_until:
                    time.sleep(LINGER_S)
                if item is None:
                    if not batch:
                        return batch
                    continue
                if batch and count + len(item.trades) > self._batch_trades:
                    self._waiting = item
                    break
                batch.append(item)
                count += len(item.trades)
        except Empty:
            pass
        return batch

    def _commit(self, batch: list[Submission]) -> None:
        """Store a batch and hand it to the writer, after the rows of others that stand before it or that it repeats."""
        batch[:] = map(self._judged, batch)
        trades = [trade for submission in batch for trade in submission.trades]
        self.recall(trades)  # before they are stored: what is read then is what the engine has seen
        stored = self._append(trades)
        ours = {one.store_seq for one in stored if one.outcome == "inserted"}
        reach = max((one.store_seq for one in stored), default=0)
        bookmark = self._bookmark
        later: list[TradeRow] = []
        if reach - self._watermark > len(ours) or len(ours) < len(stored):
            bookmark, later = self._follow_up_to(reach, ours)
        first = 0
        for submission in batch:
            own = stored[first : first + len(submission.trades)]
            first += len(own)
            # Each with its own watermark: a snapshot between two of them must not claim the second.
            self._watermark = max(self._watermark, max((one.store_seq for one in own if one.outcome == "inserted"), default=0))
            apart = frozenset(index for index, one in enumerate(own) if one.outcome == "conflict")
            self._inbox.put_trades(DurableTrades(submission.trades, self._watermark, submission.answer, apart, submission.at))
        self._crowded_until = time.monotonic() + CROWDED_S if len(batch) > 1 else 0.0
        batch.clear()
        self._follow(later, ())
        self._bookmark = bookmark.passing(ours)

    def _judged(self, submission: Submission) -> Submission:
        fitting = judged(submission, self._check, self._metrics)
        self._inbox.release(len(submission.trades) - len(fitting.trades))
        return fitting

    def recall(self, trades: Sequence[Trade], unseen: Unseen = nothing) -> None:
        """Have the writer take back what it has frozen and these trades are about to touch. Store thread. Raises StoreError."""
        self._take_back(self._recall.before(trades, unseen) if self._recall is not None else None)

    def recall_keys(self, keys: Collection[Key]) -> None:
        """Have the writer take back all trades of these positions. Store thread. Raises StoreError."""
        self._take_back(self._recall.under(keys) if self._recall is not None else None)

    def recall_rows(self, trades: Iterable[Trade]) -> None:
        """Have the writer take back these identities, which a repair judges anew. Store thread. Raises StoreError."""
        self._take_back(self._recall.of_rows(trades) if self._recall is not None else None)

    def _take_back(self, recalled: Recalled | None) -> None:
        if recalled is not None:
            self._inbox.put_call(lambda engine: engine.thaw(recalled))

    def _do_writes(self) -> None:
        """What waits beside the trades. An error is its answer, and for the store's state as any other."""
        while not self._writes.empty():
            write = self._writes.get()
            try:
                result = write.action(self._store)
            except StoreError as error:
                write.answer(None, error)
                if type(error) is not StoreError:  # it is about the store, and not about what was asked of it
                    raise
            else:
                write.answer(result, None)

    def _append(self, trades: Sequence[Trade]) -> list[Stored]:
        if not trades:
            return []
        started = time.perf_counter()
        stored = self._store.append_trades(trades)
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        return stored

    def hand_over_all(self) -> bool:
        """What lies beyond the bookmark: others wrote it, or our commit's answer was lost. Whether that was all. Store thread."""
        self._ask_at = time.monotonic() + POLL_S
        rows, bookmark = self._store.trades_beyond(self._bookmark, CATCH_UP_ROWS)
        self._follow(rows, ())
        self._bookmark = bookmark
        if len(rows) == CATCH_UP_ROWS:
            self._ask_at = 0.0
        self._looked(self._store)
        return self._ask_at > 0.0

    def _follow_up_to(self, reach: int, ours: Collection[int]) -> tuple[Bookmark, list[TradeRow]]:
        """Hand over what others wrote, up to number `reach`. The bookmark behind it, and what it covers that is to follow."""
        bookmark = self._bookmark
        later: list[TradeRow] = []
        while True:
            rows, bookmark = self._store.trades_beyond(bookmark, CATCH_UP_ROWS)
            self._follow([row for row in rows if row.store_seq <= reach], ours)
            later += [row for row in rows if row.store_seq > reach]
            if len(rows) < CATCH_UP_ROWS or rows[0].store_seq > reach:
                return bookmark, later

    def _follow(self, rows: Iterable[TradeRow], ours: Collection[int]) -> None:
        """Hand rows that are not `ours` to the writer, in store order. `ours` are handed over by the caller, after."""
        safe = min(ours) - 1 if ours else None
        part: list[TradeRow] = []
        for row in rows:
            if row.store_seq in ours:
                continue
            part.append(row)
            if len(part) == self._batch_trades:
                self._hand_over(part, safe)
                part = []
        if part:
            self._hand_over(part, safe)

    def _hand_over(self, rows: Sequence[TradeRow], safe: int | None) -> None:
        """Others' rows to the writer and the trail. `safe` bounds the watermark where rows of ours in between are yet to come."""
        trades: list[Trade] = []
        refused: list[RefusedRow] = []
        for row in rows:
            trade = trade_from_row(row, self._check)
            if isinstance(trade, RefusedRow):
                refused.append(trade)
            else:
                trades.append(trade)
        while not self._hand_overs.acquire(timeout=0.1) and not self._stopping:
            pass
        self._asked_at = time.monotonic()  # that was the writer's time, not the store's
        if refused:
            self._inbox.put_call(partial(quarantine_rows, rows=refused))
            self.alarm.tell((row.store_seq, row.field_and_reason) for row in refused)
        self._inbox.reserve_stored(len(trades))
        self.recall(trades, {row.store_seq for row in rows}.__contains__)
        reached = rows[-1].store_seq if safe is None else min(rows[-1].store_seq, safe)
        self._watermark = max(self._watermark, reached)
        self._inbox.put_trades(DurableTrades(trades, self._watermark, lambda _: self._hand_overs.release()))
        self.trail.followed([row.store_seq for row in rows])

    def _store_marks(self) -> None:
        with self._marks_lock:
            marks, self._marks = self._marks, {}
        if not marks:
            return
        try:
            self._store.save_marks(list(marks.values()))
        except StoreError:
            with self._marks_lock:
                self._marks = marks | self._marks
            raise

    def _store_last_marks(self) -> None:
        try:
            self._store_marks()
        except StoreError as error:
            log.error("marks_not_stored", error=str(error), marks=len(self._marks))

    def _fail(self, batch: list[Submission], error: StoreError) -> None:
        if self.error is None:
            log.error("store_away", error=str(error))
        self.error = str(error)
        for submission in batch:
            self._inbox.release(len(submission.trades))
            submission.answer(Receipt((), 0, error))

    def _recovered(self) -> None:
        if self.error is not None:
            self.error = None
            log.info("store_back")
