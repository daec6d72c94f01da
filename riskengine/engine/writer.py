"""The one thread that writes: trades at once, prices once a beat, one snapshot at the end of each batch.

Everything that changes the engine happens here, in the order of the inbox, but trades before prices. What is published is
complete: an answer to trades goes out after the snapshot that holds them.
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
from riskengine.snapshot.snapshot import Snapshot, SnapshotHistory

IDLE_PUBLISH_US = MICROS_PER_SECOND
"""A snapshot at least this often, so that `as_of` says that the engine is alive when nothing trades or ticks."""

MAX_BATCH_TRADES = 1_024
"""Trades applied before a publication, so that a burst cannot hold the first of them back."""

KEPT_APART = Outcome(CONFLICT, False, "the store holds a row of the same identity and version that cannot be read as a trade")

log = get_logger("riskengine.writer")


class Writer:
    """Runs the engine on a thread of its own, between `start` and `stop`.

    `published` is called on the writer thread after each publication and must return at once. `save_marks` gets the marks that
    changed, every `store_marks_us`. `failed` gets the exception that ended the thread: a mistake of ours, after which memory is
    rebuilt from the store by a new start. Everything in memory is looked over every `self_audit_s` seconds (0: never).
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
        failed: Callable[[BaseException], None],
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
        self._failed = failed
        self._auditor = AuditSchedule(self_audit_s, self._beat_s, metrics)
        self._marks_saved_at = clock.now()
        self._thread = threading.Thread(target=self._run, name="riskengine-writer", daemon=True)
        self._owner: int | None = None
        self._quarantined = engine.snapshot.counts.quarantined
        metrics.quarantined.set(self._quarantined)
        self._batch_seconds = 0.0
        self._batch_started: float | None = None
        self._published_at = time.perf_counter()
        self.beat_seconds: float | None = None
        """What the last revaluation took, publication included; None before the first."""

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what waits, store the marks, end. Any thread but the writer's."""
        self._inbox.put_stop()
        self._thread.join(timeout_s)

    @property
    def lag_s(self) -> float:
        """What the last batch took, from taking it to the last answer, or what the one at work has taken if that is more.

        Any thread. A writer that hangs has a lag that grows.
        """
        started = self._batch_started
        return max(self._batch_seconds, 0.0 if started is None else time.perf_counter() - started)

    @property
    def publish_age_s(self) -> float:
        """Since the newest snapshot was published, by a clock that is never set. At most a second and a batch. Any thread."""
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
        """What waits, or nothing after a beat; the self-audit runs in between, while nothing waits."""
        now = time.perf_counter()
        end = now + self._beat_s
        while True:
            wait = self._auditor.wait_s(now)
            if wait <= 0.0 and (self._inbox.is_empty or self._auditor.is_overdue(now)):
                ts = self._clock.now()
                if self._auditor.run(self._engine, ts):
                    self._publish(ts)
                wait = self._auditor.wait_s(time.perf_counter())
            messages = self._inbox.take(max(0.0, min(wait, end - now)))
            now = time.perf_counter()
            if messages or now >= end:
                return messages

    def _batch(self, messages: list[Message]) -> bool:
        """Apply one batch and publish it. Returns whether to go on."""
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
        if stopping or abs(now - self._marks_saved_at) >= self._store_marks_us:
            self._marks_saved_at = now
            unsaved = self._engine.marks.take_unsaved()
            if unsaved:
                self._save_marks(unsaved)
        self._batch_seconds = time.perf_counter() - started
        self._batch_started = None
        return not stopping

    def _beat(self, prices: list[Prices], now: int, called: bool) -> None:
        """Put prices in force; publish where they, a call or the time want it."""
        started = time.perf_counter()
        marks = self._marks_of(prices)
        changed = self._engine.beat(marks, now)
        # The distance, not the difference: a clock that was set back must not silence the engine.
        if changed or called or abs(now - self._history.newest.as_of) >= IDLE_PUBLISH_US:
            self._publish(now)
        if marks:
            self.beat_seconds = time.perf_counter() - started
            self._metrics.beats.inc()
            self._metrics.beat_seconds.observe(self.beat_seconds)

    def _marks_of(self, prices: list[Prices]) -> Mapping[int, Mark]:
        """The marks by the engine's numbers. What was numbered by other reference data goes by its symbol, or is gone with it."""
        reference, marks = self._engine.reference, dict[int, Mark]()
        for message in prices:
            if message.reference is reference:
                marks.update(message.marks)
            else:
                named = ((message.reference.symbols[number], mark) for number, mark in message.marks.items())
                index = reference.instrument_index
                marks.update((index[symbol], mark) for symbol, mark in named if symbol in index)
        return marks

    def take_over(self, engine: Engine) -> None:
        """Go on with another engine, whose state is that of this one or newer, and publish it. In a `WriterCall`, so on this thread."""
        assert threading.get_ident() == self._owner, "only the writer thread writes"
        self._engine = engine
        self._auditor.forget()
        self._publish(self._clock.now())

    def _apply(self, waiting: list[DurableTrades]) -> None:
        """Apply, publish and answer trades, up to MAX_BATCH_TRADES in one snapshot; what was sent together stays together."""
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
        """What became of each trade of one message.

        One that the store keeps apart from a row which is no trade (another program wrote it) must not be applied: a start would
        not find it.
        """
        engine, trades, apart = self._engine, message.trades, message.kept_apart
        known = engine.processed.versions
        # The version that stands may have come in this very message.
        standing = {(trade.identity, trade.version) for index, trade in enumerate(trades) if index not in apart} if apart else ()
        lost = [
            index
            for index in sorted(apart)
            if (trades[index].identity, trades[index].version) not in standing
            and all(version.version != trades[index].version for version in known(trades[index].identity))
        ]
        if not lost:
            return engine.apply(trades, now, message.watermark)
        outcomes = engine.apply([trade for index, trade in enumerate(trades) if index not in lost], now, message.watermark)
        for index in lost:
            engine.note_kept_apart(trades[index], now)
            outcomes.insert(index, KEPT_APART)
        return outcomes

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
