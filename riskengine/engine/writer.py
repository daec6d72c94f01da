"""The writer: the only thread that changes the engine. It applies trades at once and prices once a beat, and publishes snapshots.

It works through the inbox in order, except that the trades of a batch come before its prices. It answers trades after it has
published the snapshot that has them.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.engine.audit_schedule import AuditSchedule
from riskengine.engine.engine import Engine, Outcome
from riskengine.engine.inbox import DurableTrades, Inbox, Message, Prices, Receipt, Stop, WriterCall
from riskengine.market.marks import Mark
from riskengine.observe import Metrics, get_logger
from riskengine.positions.processed import CONFLICT
from riskengine.records.option_inputs import CutSpot
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory

IDLE_PUBLISH_US = MICROS_PER_SECOND
"""The writer publishes at least this often, so that `as_of` shows that the engine is alive when nothing trades or ticks."""

MAX_BATCH_TRADES = 1_024
"""Most trades applied before a publication, so that the first trades of a burst do not wait for the last."""

KEPT_APART = Outcome(CONFLICT, False, "the store holds a row of the same identity and version that cannot be read as a trade")

log = get_logger("riskengine.writer")


class Writer:
    """Runs the engine on a thread of its own, from `start` to `stop`.

    It calls `published` after each publication, on the writer thread; `published` must return at once. `save_marks` gets the
    changed marks every `store_marks_us`, `save_notices` at once what was noticed of trades, `save_cut_spots` what underlyings
    were worth at the cut of an option. `failed` gets the exception that ended the thread: an error of ours, after which a new
    start rebuilds the engine from the store. A self-audit pass over memory takes `self_audit_s` seconds (0: no self-audit).
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        history: SnapshotHistory,
        clock: Clock,
        metrics: Metrics,
        *,
        beat_us: int,
        store_marks_us: int,
        published: Callable[[Snapshot], None],
        save_marks: Callable[[Sequence[tuple[int, Mark]]], None],
        save_notices: Callable[[Sequence[ExceptionItem], int], None],
        failed: Callable[[BaseException], None],
        save_cut_spots: Callable[[Sequence[CutSpot]], None] = lambda cut_spots: None,
        self_audit_s: float = 0.0,
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._history = history
        self._clock = clock
        self._metrics = metrics
        self._beat_s = beat_us / MICROS_PER_SECOND
        self._store_marks_us = store_marks_us
        self._published = published
        self._save_marks = save_marks
        self._save_notices = save_notices
        self._save_cut_spots = save_cut_spots
        self._failed = failed
        self._audit_schedule = AuditSchedule(self_audit_s, self._beat_s, metrics)
        self._marks_saved_at = clock.now()
        self._thread = threading.Thread(target=self._run, name="riskengine-writer", daemon=True)
        self._owner: int | None = None
        self._quarantined = engine.snapshot.counts.quarantined
        metrics.quarantined.set(self._quarantined)
        self._batch_seconds = 0.0
        self._batch_started: float | None = None
        self._published_at = time.perf_counter()
        self.beat_seconds: float | None = None
        """Duration of the last revaluation, publication included; None before the first."""

    def start(self) -> None:
        """Start the thread. Once."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what waits, save the marks and end the thread. Any thread but the writer's."""
        self._inbox.put_stop()
        self._thread.join(timeout_s)

    @property
    def lag_s(self) -> float:
        """Duration of the last batch, from taking it to the last answer, or of the running batch so far if that is longer.

        Any thread. The lag of a writer that hangs grows.
        """
        started = self._batch_started
        return max(self._batch_seconds, 0.0 if started is None else time.perf_counter() - started)

    @property
    def publish_age_s(self) -> float:
        """Time since the newest publication, by a monotonic clock. At most a second and a batch in a sound engine. Any thread."""
        return time.perf_counter() - self._published_at

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        self._owner = threading.get_ident()
        try:
            while self._batch(self._take()):
                pass
        except BaseException as error:
            log.critical("writer_failed", error=repr(error), exc_info=True)
            self._failed(error)

    def _take(self) -> list[Message]:
        """Take what waits, or return nothing after a beat. Runs self-audit slices while the inbox is empty, or once overdue."""
        now = time.perf_counter()
        end = now + self._beat_s
        while True:
            wait = self._audit_schedule.wait_s(now)
            if wait <= 0.0 and (self._inbox.is_empty or self._audit_schedule.is_overdue(now)):
                ts = self._clock.now()
                if self._audit_schedule.run_slice(self._engine, ts):
                    self._publish(ts)
                wait = self._audit_schedule.wait_s(time.perf_counter())
            messages = self._inbox.take(max(0.0, min(wait, end - now)))
            now = time.perf_counter()
            if messages or now >= end:
                return messages

    def _batch(self, messages: list[Message]) -> bool:
        """Apply one batch, publish it and answer its trades. Returns False after a Stop."""
        assert threading.get_ident() == self._owner, "only the writer thread writes"
        started = self._batch_started = time.perf_counter()
        trades: list[DurableTrades] = []
        prices: list[Prices] = []
        called = stopping = False
        answers: list[Callable[[], None]] = []
        for message in messages:
            if type(message) is DurableTrades:
                trades.append(message)
            elif type(message) is Prices:
                prices.append(message)
            elif type(message) is WriterCall:
                self._apply(trades)
                trades = []
                if (answer := message.action(self._engine)) is not None:
                    answers.append(answer)
                called = True
            else:
                assert type(message) is Stop
                stopping = True
        self._apply(trades)
        now = self._clock.now()
        self._beat(prices, now, called)
        for answer in answers:
            answer()
        if cut_spots := self._engine.options.take_cut_spots():
            self._save_cut_spots(cut_spots)
        if stopping or abs(now - self._marks_saved_at) >= self._store_marks_us:
            self._marks_saved_at = now
            unsaved = self._engine.marks.take_unsaved()
            if unsaved:
                self._save_marks(unsaved)
        self._batch_seconds = time.perf_counter() - started
        self._batch_started = None
        return not stopping

    def _beat(self, prices: list[Prices], now: int, called: bool) -> None:
        """Put prices in force. Publish if they changed anything, after a call, or if the newest snapshot is old."""
        started = time.perf_counter()
        marks = self._marks_of(prices)
        inputs = [row for message in prices for row in message.inputs]
        changed = self._engine.beat(marks, now, inputs)
        # abs(): a clock that was set back must not stop the publications.
        if changed or called or abs(now - self._history.newest.as_of) >= IDLE_PUBLISH_US:
            self._publish(now)
        if marks or inputs:
            self.beat_seconds = time.perf_counter() - started
            self._metrics.beats.inc()
            self._metrics.beat_seconds.observe(self.beat_seconds)

    def _marks_of(self, prices: list[Prices]) -> Mapping[int, Mark]:
        """The marks by the engine's instrument numbers. Marks of other reference data are matched by symbol, or dropped."""
        reference, marks = self._engine.reference, dict[int, Mark]()
        for message in prices:
            if message.reference.is_kin(reference):
                marks.update(message.marks)
            else:
                named = ((message.reference.symbols[number], mark) for number, mark in message.marks.items())
                index = reference.instrument_index
                marks.update((index[symbol], mark) for symbol, mark in named if symbol in index)
        return marks

    def take_over(self, engine: Engine) -> None:
        """Continue with another engine, whose state is this one's or newer, and publish it. Only inside a `WriterCall`."""
        assert threading.get_ident() == self._owner, "only the writer thread writes"
        self._engine = engine
        self._note(*engine.take_noticed())
        self._audit_schedule.forget()
        self._publish(self._clock.now())

    def _apply(self, waiting: list[DurableTrades]) -> None:
        """Apply, publish and answer trades, up to MAX_BATCH_TRADES a snapshot. The trades of one message share a snapshot."""
        first = 0
        while first < len(waiting):
            now = self._clock.now()
            done = 0
            answers: list[tuple[DurableTrades, list[Outcome]]] = []
            for message in waiting[first:]:
                if answers and done + len(message.trades) > MAX_BATCH_TRADES:
                    break
                answers.append((message, self._take_trades(message, now)))
                done += len(message.trades)
            first += len(answers)
            self._note(*self._engine.take_noticed())
            snapshot = self._publish(now)
            for status, count in Counter(outcome.status for _, outcomes in answers for outcome in outcomes).items():
                self._metrics.trades[status].inc(count)
            published_at = self._published_at
            for message, outcomes in answers:
                if message.submitted_at is not None:
                    self._metrics.trade_to_publish_seconds.observe(published_at - message.submitted_at)
                self._inbox.release(len(message.trades))
                message.answer(Receipt(outcomes, snapshot.seq))

    def _take_trades(self, message: DurableTrades, now: int) -> list[Outcome]:
        """Apply the trades of one message. Returns an outcome for each.

        A trade that conflicts with a stored row which is no trade (another program wrote that row) is not applied: a start
        from the store would not apply it either.
        """
        engine, trades, apart = self._engine, message.trades, message.kept_apart
        known = engine.processed.versions
        # The version that stands may be in this message itself.
        standing = {(trade.identity, trade.version) for index, trade in enumerate(trades) if index not in apart} if apart else ()
        not_applied = [
            index
            for index in sorted(apart)
            if (trades[index].identity, trades[index].version) not in standing
            and all(version.version != trades[index].version for version in known(trades[index].identity))
        ]
        if not not_applied:
            return engine.apply(trades, now, message.watermark, notice=True)
        applied = [trade for index, trade in enumerate(trades) if index not in not_applied]
        outcomes = engine.apply(applied, now, message.watermark, notice=True)
        for index in not_applied:
            engine.note_kept_apart(trades[index], now)
            outcomes.insert(index, KEPT_APART)
        return outcomes

    def _note(self, noticed: Sequence[ExceptionItem], up_to: int) -> None:
        """Have what was noticed of trades stored, with the store_seq up to which that is all, and count it."""
        self._save_notices(noticed, up_to)
        for kind, count in Counter(item.kind for item in noticed).items():
            self._metrics.notices[kind].inc(count)

    def _publish(self, now: int) -> Snapshot:
        started = time.perf_counter()
        snapshot = self._engine.publish(now)
        self._history.publish(snapshot)
        self._published_at = time.perf_counter()
        self._published(snapshot)
        self._metrics.record_publish(snapshot.seq, now, time.perf_counter() - started)
        if snapshot.counts.quarantined != self._quarantined:
            self._quarantined = snapshot.counts.quarantined
            self._metrics.quarantined.set(self._quarantined)
        return snapshot
