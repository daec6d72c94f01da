"""The store thread: the only one that writes to the store while the engine runs.

Trades wait in one queue; whatever waits goes into one transaction (group commit, no timer), and only what is committed goes on
to the writer. Rows that others wrote into `trades` are found by the same thread: beside its own batches, and by asking
twice a second. Marks are stored in between.

A failed commit answers everybody in it with the error. Whether it went through all the same is then looked up, never guessed:
the next thing that succeeds is reading what the store holds after the watermark.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from riskengine.adapters.store_protocol import Store
from riskengine.adapters.trade_rows import RefusedRow, trade_from_row
from riskengine.decode import TradeCheck
from riskengine.engine import Engine
from riskengine.errors import StoreError
from riskengine.inbox import DurableTrades, Inbox, Receipt
from riskengine.messages import StoredMark, Trade
from riskengine.observe import Metrics, get_logger

POLL_S = 0.5
"""How often the store is asked for rows that others wrote, while nothing else happens."""

RETRY_S = 0.5
"""How long to wait after the store failed."""

log = get_logger("riskengine.store")

Answer = Callable[[Receipt], None]


class Submission(NamedTuple):
    """Trades that were checked and have room reserved."""

    trades: Sequence[Trade]
    answer: Answer


class Committer:
    """Owns the write side of a store between `start` and `stop`. `submit` and `save_marks` may be called by any thread."""

    def __init__(
        self, store: Store, inbox: Inbox, check: TradeCheck, metrics: Metrics, *, batch_trades: int, watermark: int,
        failed: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._inbox = inbox
        self._check = check
        self._metrics = metrics
        self._batch_trades = batch_trades
        self._watermark = watermark
        self._failed = failed
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._waiting: Submission | None = None
        self._marks: dict[str, StoredMark] = {}
        self._marks_lock = threading.Lock()
        self._stopping = False
        self._asked_at = 0.0
        self.error: str | None = None
        """Why the store cannot be written now; None while it can."""
        self._thread = threading.Thread(target=self._run, name="riskengine-store", daemon=True)

    def start(self) -> None:
        """Begin. Once; whoever wrote to the store before must have stopped."""
        self._store.hand_over()
        self._thread.start()

    def submit(self, trades: Sequence[Trade], answer: Answer) -> None:
        """Store trades, then apply them; `answer` is called on another thread. Raises InboxFull, and then nothing is stored."""
        self._inbox.reserve(len(trades))
        self._queue.put(Submission(trades, answer))

    def save_marks(self, marks: Iterable[StoredMark]) -> None:
        """Store marks soon; the newest of each instrument is kept until it is stored."""
        with self._marks_lock:
            self._marks.update((mark.instrument, mark) for mark in marks)
        self._queue.put(None)

    def drain(self, timeout_s: float = 10.0) -> None:
        """Wait until every submission so far is committed, or answered with the store's error."""
        done = threading.Event()
        self._queue.put(Submission((), lambda _: done.set()))
        done.wait(timeout_s)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, marks included, and end."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not (self._stopping and self._queue.empty() and self._waiting is None):
                self._step()
            self._store_marks()
        except BaseException as error:
            log.critical("store_thread_failed", error=repr(error), exc_info=True)
            self._failed(error)

    def _step(self) -> None:
        batch = self._take()
        try:
            if self.error is not None:
                self._catch_up()
            if batch:
                self._commit(batch)
            elif time.monotonic() - self._asked_at >= POLL_S:
                self._catch_up()
            self._store_marks()
            self._recovered()
        except StoreError as error:
            self._fail(batch, error)

    def _take(self) -> list[Submission]:
        """Whatever waits, up to the size of a batch; one submission is never divided."""
        batch: list[Submission] = []
        count = 0
        timeout: float | None = RETRY_S if self.error is not None else POLL_S
        if self._waiting is not None:
            batch.append(self._waiting)
            count, self._waiting = len(self._waiting.trades), None
        try:
            while count < self._batch_trades:
                item = self._queue.get(timeout=timeout) if not batch else self._queue.get_nowait()
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
        trades = [trade for submission in batch for trade in submission.trades]
        started = time.perf_counter()
        stored = self._store.append_trades(trades) if trades else []
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        ours = {one.store_seq for one in stored if one.outcome == "inserted"}
        highest = max(ours, default=self._watermark)
        if highest - self._watermark != len(ours):
            self._apply_others(ours)
        self._watermark = max(highest, self._watermark)
        for submission in batch:
            self._inbox.put_trades(DurableTrades(submission.trades, self._watermark, submission.answer))
        batch.clear()

    def _catch_up(self) -> None:
        """Rows beyond the watermark: others wrote them, or a commit of ours whose answer was lost."""
        self._asked_at = time.monotonic()
        if self._store.watermark() > self._watermark:
            self._apply_others(frozenset())

    def _apply_others(self, ours: set[int] | frozenset[int]) -> None:
        """Hand every row after the watermark that is not ours to the writer, in store order."""
        trades: list[Trade] = []
        refused: list[RefusedRow] = []
        for row in self._store.trades_after(self._watermark):
            self._watermark = row.store_seq
            if row.store_seq not in ours:
                trade = trade_from_row(row, self._check)
                if isinstance(trade, RefusedRow):
                    refused.append(trade)
                else:
                    trades.append(trade)
            if len(trades) >= self._batch_trades:
                self._hand_over(trades)
                trades = []
        if trades:
            self._hand_over(trades)
        if refused:
            self._inbox.put_call(lambda engine: quarantine_rows(engine, refused))

    def _hand_over(self, trades: list[Trade]) -> None:
        self._inbox.reserve_stored(len(trades))
        self._inbox.put_trades(DurableTrades(trades, self._watermark, lambda _: None))

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


def quarantine_rows(engine: Engine, rows: Iterable[RefusedRow]) -> None:
    """List stored rows that are no trades (yet) as quarantined. On the writer thread, or before it runs."""
    for refused in rows:
        engine.quarantine_row(refused.store_seq, refused.row.received_ts, f"{refused.field}: {refused.reason}")
