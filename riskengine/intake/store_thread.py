"""The store thread: the only one that writes to the store while the engine runs.

Trades wait in one queue; whatever waits goes into one transaction (group commit, `submissions`), and the writer gets only what is
committed (`delivery`). The same thread finds rows that other programs wrote: those before its own batches at once, the rest a few
times a second. Between two batches it does other writes and stores marks (`side_writes`), then a slice of the audit trail.

Trades that were checked by older reference data than is in force (`take_over`) are checked again when their turn comes; those
that no longer fit are refused.

When a commit fails, everybody in it gets the error. Whether it went through all the same is looked up, never guessed: before
anything else succeeds, the thread reads what the store holds beyond the bookmark.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox, Receipt
from riskengine.errors import Frozen, LeaseHeld, RiskEngineError, StoreError, StoreUnavailable, StoreWentBack
from riskengine.intake.audit_recorder import Recorder
from riskengine.intake.delivery import Delivery
from riskengine.intake.recall import Recall
from riskengine.intake.side_writes import PendingMarks, PendingNotices, PendingOptionInputs, SideWrites, Write, WriteAnswer
from riskengine.intake.submissions import ReceiptAnswer, Submission, SubmissionQueue, recheck
from riskengine.loop import Answer
from riskengine.market.spot_dates import SpotDates
from riskengine.observe import Metrics, get_logger
from riskengine.records.decode import TradeCheck
from riskengine.records.option_inputs import DatedInput
from riskengine.records.types import Notice, StoredMark, Trade
from riskengine.snapshot.snapshot import UnknownName
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, Stored

POLL_S = 0.25
"""How often the thread asks the store for rows that others wrote, whatever else happens."""

COMPARE_S = 0.2
"""Shortest time between two comparisons of the store with what was acknowledged."""

BELL_S = 0.5
"""How long one wait for the doorbell lasts: the longest time until its thread notices the end."""

RINGS_APART_S = 0.01
"""Shortest time between two rings: a busy neighbour is read a hundred times a second, not at each of its commits."""

RETRY_S = 0.5
"""How long to wait after the store failed."""

SILENT_S = 10.0
"""A store that has not answered for this long counts as away: longer than other programs may hold a lock."""

log = get_logger("riskengine.store")


class StoreThread:
    """Owns the write side of a store between `start` and `stop`. Any thread may call `submit`, `write` and `save_marks`.

    `after_read` is called on the store thread after each read of what others wrote; what it raises counts as the store's.
    `recall` reads what the engine behind the writer has frozen; None: it freezes nothing. `went_back` is called once, on the
    store thread, with the error if the store is behind what was acknowledged: nothing is written or read any more. `spot_dates`
    judge value dates in the engine behind the writer.
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
        after_read: Callable[[Store], None] = lambda store: None,
        recall: Recall | None = None,
        went_back: Callable[[StoreWentBack], None] = lambda error: None,
        spot_dates: SpotDates | None = None,
    ) -> None:
        self._store = store
        self._say_went_back = went_back
        self._went_back: StoreWentBack | None = None
        self._compare_at = 0.0
        self._inbox = inbox
        self._metrics = metrics
        self._failed = failed
        self._after_read = after_read
        self.trail = Recorder()
        """Brings into the audit trail what others wrote and what it is asked to record."""
        self.delivery = Delivery(
            store,
            inbox,
            check,
            recall,
            self.trail,
            batch_trades=batch_trades,
            watermark=watermark,
            bookmark=bookmark,
            waited=self._restart_silence,
            spot_dates=spot_dates,
        )
        """What goes to the writer. Store thread."""
        self._submissions = SubmissionQueue(batch_trades)
        self._side_writes = SideWrites()
        self.marks = PendingMarks()
        """The marks to store, and how far they are stored."""
        self._option_inputs = PendingOptionInputs()
        self._notices = PendingNotices()
        self._stopping = False
        self._ask_at = 0.0
        self.error: str | None = None
        """What the store said when it failed last; None once it can be written again."""
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="riskengine-store", daemon=True)
        self._doorbell = threading.Thread(target=self._listen, name="riskengine-doorbell", daemon=True)

    # -- for other threads -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin. Once; the thread that wrote to the store before must have stopped."""
        self._store.hand_over()
        self._thread.start()
        if self._store.rings:
            self._doorbell.start()

    @property
    def trouble(self) -> str | None:
        """Why the store cannot be written now: that it does not answer, or its error. None while it can. Any thread."""
        return self._silence() or self.error

    def _silence(self) -> str | None:
        asked_at = self._asked_at
        if asked_at is None or (silent_s := time.monotonic() - asked_at) <= SILENT_S:
            return None
        return f"store {self._store.name} has not answered for {silent_s:.0f} s"

    def submit(self, trades: Sequence[Trade], answer: ReceiptAnswer, check: TradeCheck | None = None) -> None:
        """Store trades, then apply them; `answer` is called on another thread. They passed `check`; None: never check again.

        Raises InboxFull, and StoreUnavailable if the store does not answer; then nothing is stored.
        """
        if self._went_back is not None:
            raise StoreWentBack(str(self._went_back))
        if (silence := self._silence()) is not None:
            raise StoreUnavailable(silence)
        self._inbox.reserve(len(trades))
        self._submissions.put(Submission(trades, answer, check, time.perf_counter()))

    def write(self, action: Callable[[Store], Any], answer: WriteAnswer) -> None:
        """Have `action` write to the store between two batches, once, on the store thread; `answer` is called there too."""
        self._side_writes.put(Write(action, answer))
        self._submissions.wake()

    def save_marks(self, marks: Iterable[StoredMark]) -> None:
        """Store marks soon; the newest of each instrument is kept until it is stored."""
        self.marks.put(marks)
        self._submissions.wake()

    def save_option_inputs(self, rows: Iterable[DatedInput]) -> None:
        """Store vols, rates and Greeks soon; the newest of each subject is kept until it is stored."""
        self._option_inputs.put(rows)
        self._submissions.wake()

    def save_closing_marks(self, date: str, marks: Iterable[StoredMark]) -> None:
        """Store closing marks of a trading day soon, before every mark that comes to `save_marks` after this call."""
        self.marks.closing.put(date, marks)
        self._submissions.wake()

    def save_notices(self, notices: Iterable[Notice], up_to: int) -> None:
        """Store what was noticed of trades, soon; kept until it is stored. It is all there is about rows up to `up_to`."""
        if self._notices.put(notices, up_to):
            self._submissions.wake()

    def ask_writer(self, action: Callable[[Engine], Any], answer: Answer, *, again: bool = True) -> None:
        """Have `action` done on the writer thread; `answer` gets its result or error once a snapshot shows what it did.

        If it raises Frozen, the store thread has the writer take back those positions, and `action` is called once more.
        """

        def recalled(_: Any, error: StoreError | None) -> None:
            if error is None:
                self.ask_writer(action, answer, again=False)
            else:
                answer(None, error)

        def act(engine: Engine) -> Callable[[], None] | None:
            result: Any = None
            error: Exception | None = None
            try:
                result = action(engine)
            except (RiskEngineError, UnknownName) as failure:
                error = failure
            if isinstance(error, Frozen) and again:
                keys = error.keys
                self.write(lambda store: self.delivery.recall_keys(keys), recalled)
                return None
            return lambda: answer(result, error)

        self._inbox.put_call(act)

    def drain(self, answering: Callable[[], bool] = lambda: True, timeout_s: float = 10.0) -> None:
        """Wait until all submissions so far are applied and published, or answered with an error.

        Gives up after `timeout_s`, and once nobody can answer any more: this thread has ended, or `answering` says so.
        """
        done = threading.Event()
        self._submissions.put(Submission((), lambda _: done.set()))
        deadline = time.monotonic() + timeout_s
        while not done.wait(0.05) and self._thread.is_alive() and answering() and time.monotonic() < deadline:
            pass

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, marks included, and end."""
        self._stopping = True
        self.delivery.wait_no_more()
        self._submissions.wake()
        self._thread.join(timeout_s)

    # -- on the store thread -----------------------------------------------------------------------------------

    def take_over(self, check: TradeCheck, bookmark: Bookmark, watermark: int, recall: Recall | None = None) -> None:
        """From now on check by `check` and follow from `bookmark`: the next engine has read what is before it.

        Called in a `write` that puts that engine before the writer too.
        """
        assert threading.current_thread() is self._thread, "the store thread alone knows what it has handed over"
        self.delivery.go_on_from(check, bookmark, watermark, recall)
        self.trail.sweep()  # the other engine read rows that were not handed over here

    def hand_over_all(self) -> bool:
        """Hand over what the store holds beyond the bookmark. Whether that was all. Raises StoreError."""
        self._ask_at = time.monotonic() + POLL_S
        self._compare_standing()
        if self.delivery.follow():
            self._ask_at = 0.0
        self._after_read(self._store)
        return self._ask_at > 0.0

    def _compare_standing(self) -> None:
        """Compare the store with what was acknowledged, at every poll; a ring in between costs nothing. Raises StoreError."""
        now = time.monotonic()
        if now >= self._compare_at:
            self._compare_at = now + COMPARE_S
            self._store.check_standing(self.delivery.watermark)

    def _run(self) -> None:
        try:
            while not (self._stopping and self._submissions.is_empty and self._side_writes.is_empty):
                self._step()
            if self._went_back is None:
                self._notices.save_last(self._store)
                self.marks.save_last(self._store)
                self._option_inputs.save_last(self._store)
            if self.error is None:
                self.trail.finish(self._store)
        except BaseException as error:
            log.critical("store_thread_failed", error=repr(error), exc_info=True)
            self._failed(error)

    def _step(self) -> None:
        batch = self._submissions.take(self._idle_s())
        self._asked_at = time.monotonic()
        try:
            if self._went_back is not None:
                raise self._went_back
            if self.error is not None or time.monotonic() >= self._ask_at:
                self.hand_over_all()
            if batch:
                self._commit(batch)
            self._side_writes.run(self._store)
            if self.error is not None and not self._store.is_writable():
                return  # that it can be read is not enough to call it back
            self._notices.save(self._store)
            self.marks.save(self._store)
            self._option_inputs.save(self._store)
            self._note_recovery()
            self.trail.work(self._store, busy=not self._submissions.is_empty)
        except StoreError as error:
            self._note_went_back(error)
            self._fail(batch, error)
            self._side_writes.refuse(error)
            if isinstance(error, LeaseHeld):
                raise  # another engine has taken over: this one must not go on as if it were the writer
        finally:
            self._asked_at = None

    def _idle_s(self) -> float:
        """How long to wait for submissions before there is something else to do."""
        if self.error is not None:
            return RETRY_S
        return max(0.0, min(self._ask_at - time.monotonic(), self.trail.due_s()))

    def _restart_silence(self) -> None:
        """The time so far was the writer's, not the store's."""
        self._asked_at = time.monotonic()

    def _commit(self, batch: list[Submission]) -> None:
        """Store a batch and hand it to the writer. Leaves in `batch` what has no answer yet if it raises StoreError."""
        senders = len(batch)
        batch[:] = map(self._recheck, batch)
        trades = [trade for submission in batch for trade in submission.trades]
        self.delivery.store_spot_dates(trades)
        self.delivery.recall(trades)  # before they are stored: what is read then is what the engine has seen
        self.delivery.deliver(batch, self._append(trades))
        self._submissions.note_senders(senders)

    def _recheck(self, submission: Submission) -> Submission:
        fitting = recheck(submission, self.delivery.check, self._metrics)
        self._inbox.release(len(submission.trades) - len(fitting.trades))
        return fitting

    def _append(self, trades: Sequence[Trade]) -> list[Stored]:
        if not trades:
            return []
        started = time.perf_counter()
        stored = self._store.append_trades(trades)
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        return stored

    def _note_went_back(self, error: StoreError) -> None:
        if isinstance(error, StoreWentBack) and self._went_back is None:
            self._went_back = error
            self._say_went_back(error)

    def _fail(self, batch: list[Submission], error: StoreError) -> None:
        if self.error is None:
            log.error("store_away", error=str(error))
        self.error = str(error)
        for submission in batch:
            self._inbox.release(len(submission.trades))
            submission.answer(Receipt((), 0, error))

    def _note_recovery(self) -> None:
        if self.error is not None:
            self.error = None
            log.info("store_back")

    # -- on the doorbell's thread ------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wake the store thread at once when the store says that others wrote. A convenience: the timer does not need it."""
        while not self._stopping:
            try:
                if self._store.wait_for_news(BELL_S):
                    self._ask_at = 0.0
                    self._submissions.wake()
                    time.sleep(RINGS_APART_S)
            except StoreError:
                time.sleep(RETRY_S)
