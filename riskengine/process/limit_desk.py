"""Limits of a live engine: judged on every snapshot, breaches stored, rules taken over when somebody enters some.

On the event loop; the writer knows nothing of it. Snapshots are judged as they are published, each of them once and in order, and
what a reader asks for before that is judged for him. Breaches and highs of the day are stored at most once a second; what the
store does not take waits for the next time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from riskengine.alerts import Warnings
from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.errors import EngineNotLive, RiskEngineError, StoreError
from riskengine.limits.figures import LASTS_US, Figures
from riskengine.limits.judge import Judge, Judgement
from riskengine.limits.lines import LimitLine
from riskengine.loop import Failed, start_task
from riskengine.observe import Metrics, get_logger
from riskengine.process.sampling import OnStore
from riskengine.records.breaches import Breach, High
from riskengine.records.limits import HARD, SEVERITIES, Limit
from riskengine.records.margin_rules import MarginRule
from riskengine.snapshot.snapshot import SeqGone, Snapshot, SnapshotHistory
from riskengine.store.protocol import Store
from riskengine.store.results import RiskRules

SAVE_EVERY_S = 1.0
LAST_SAVE_S = 2.0
"""Longest wait at the end for breaches to be stored."""

PAST_BREACHES = 10_000
"""Most breaches that have ended and are listed."""

BREACHED = "limits_breached"
UNKNOWN = "limits_unknown"
UNREADABLE = "limits_unreadable"
FAILED = "limits_failed"
"""The kinds of warnings."""

log = get_logger("riskengine.limits")


class StoredLimits(NamedTuple):
    """What the store has of limits and margin rules at a start."""

    rules: RiskRules
    breaches: Sequence[Breach]
    highs: Sequence[High]

    @classmethod
    def of(cls, store: Store) -> "StoredLimits":
        """Read them. Raises StoreError. Any thread."""
        return cls(store.risk_rules(), store.breaches_of_limits(0), store.limit_highs())


class LimitDeskParts(NamedTuple):
    """What the limits of a live engine work with."""

    store: Store
    history: SnapshotHistory
    on_store: OnStore
    clock: Clock
    warnings: Warnings
    metrics: Metrics


class LimitDesk:
    """The limits of one live engine, from `start` to `stop`. A judgement can be asked for again for `keep_s`."""

    def __init__(self, parts: LimitDeskParts, stored: StoredLimits, keep_s: float) -> None:
        self._store = parts.store
        self._history = parts.history
        self._on_store = parts.on_store
        self._clock = parts.clock
        self._warnings = parts.warnings
        self._metrics = parts.metrics
        self._keep_us = int(keep_s * MICROS_PER_SECOND)
        for severity in SEVERITIES:
            self._metrics.limit_breaches.labels(severity)  # counts are offered from 0 on
        self._judge = Judge(stored.breaches, stored.highs, int(LASTS_US * parts.clock.speed))
        self._counted: dict[str, int] = {}
        self._kept: deque[Judgement] = deque()
        self._next_seq = parts.history.newest.seq
        self._task: asyncio.Task[None] | None = None
        self._silence: Callable[[], None] | None = None
        self._rules = RiskRules()
        self._take(stored.rules)

    def start(self, listen: Callable[[Callable[[], None]], Callable[[], None]], failed: Failed | None = None) -> None:
        """Begin to judge what is published. `listen` has a function called after publications; `failed`: see `start_task`."""
        self._silence = listen(self._judge_new)
        self._judge_new()
        self._task = start_task(self._run(), log, "limits_failed", failed)

    async def stop(self) -> None:
        """Store what is not stored yet, while the engine is still live, and end."""
        if self._silence is not None:
            self._silence()
            self._silence = None
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        last = asyncio.create_task(self._save())
        await asyncio.wait([last], timeout=LAST_SAVE_S)
        last.cancel()

    # -- judging -----------------------------------------------------------------------------------------------

    def judgement(self, snapshot: Snapshot) -> Judgement:
        """How all limits stand at a snapshot of the last seconds; judged now if nobody has asked before. Raises SeqGone."""
        if snapshot.seq >= self._next_seq:
            self._judge_up_to(snapshot)
        for found in reversed(self._kept):
            if found.seq == snapshot.seq:
                return found
        raise SeqGone(f"seq {snapshot.seq} is no longer kept")

    def _judge_new(self) -> None:
        """Judge what has been published. An error is told, and leaves the others that listen alone."""
        try:
            self._judge_up_to(self._history.newest)
        except Exception as error:
            log.critical("limits_failed", error=repr(error), exc_info=error)
            self._warnings[FAILED] = f"limits are not judged: {error!r}; every other number is as it should be"
            self._next_seq = self._history.newest.seq + 1
        else:
            if FAILED in self._warnings:
                del self._warnings[FAILED]

    def _judge_up_to(self, newest: Snapshot) -> None:
        for seq in range(self._next_seq, newest.seq):
            try:
                self._keep(self._judge.judge(self._history.at(seq)))
            except SeqGone:
                self._metrics.limit_snapshots_skipped.inc()
        self._keep(self._judge.judge(newest))
        self._next_seq = newest.seq + 1

    def _keep(self, found: Judgement) -> None:
        kept = self._kept
        kept.append(found)
        while len(kept) > 1 and not found.as_of - self._keep_us < kept[1].as_of <= found.as_of:
            kept.popleft()

    # -- figures -----------------------------------------------------------------------------------------------

    @property
    def figure_lines(self) -> Sequence[LimitLine]:
        """The lines in force that bound figures which no snapshot has."""
        return self._judge.figure_lines

    def take_figures(self, figures: Figures) -> None:
        """Judge by these figures from the next snapshot on: at most a second later."""
        self._judge.take_figures(figures)

    # -- rules -------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> Sequence[Limit]:
        """Every stored version of every limit."""
        return self._rules.limits

    @property
    def margin_rules(self) -> Sequence[MarginRule]:
        """Every stored version of every margin rule."""
        return self._rules.margin

    async def follow(self) -> None:
        """Take over what the store has. Raises StoreError."""
        self._take(await asyncio.to_thread(self._store.risk_rules))

    async def save(self, kind: str, rules: Sequence[Limit | MarginRule], actor: str) -> list[str]:
        """Store rules of one kind and put them in force; one outcome for each. Raises EngineNotLive, StoreError."""
        outcomes: list[str] = await self._on_store(lambda store: store.save_risk_rules(kind, rules, actor))
        await self.follow()
        return outcomes

    def _take(self, rules: RiskRules) -> None:
        if rules.limits != self._rules.limits:
            self._judge.set_limits(rules.limits)
            log.info("limits_in_force", versions=len(rules.limits))
            newest = self._history.newest
            if self._next_seq > newest.seq:  # this snapshot has been judged by the limits of before: it is judged again
                self._next_seq = newest.seq
                if self._kept and self._kept[-1].seq == newest.seq:
                    self._kept.pop()
        self._rules = rules
        if rules.refused:
            first = rules.refused[0]
            self._warnings[UNREADABLE] = (
                f"{len(rules.refused):,} rows of risk_rules are no limit or margin rule and bound nothing"
                f" (first: {first.kind} {first.rule_id}, {first.reason})"
            )
        elif UNREADABLE in self._warnings:
            del self._warnings[UNREADABLE]

    # -- breaches ----------------------------------------------------------------------------------------------

    def open_breaches(self) -> list[tuple[Breach, str]]:
        """The breaches that last, each with what is limited. O(breaches + limits)."""
        lasting = self._judge.open_breaches
        measures = {limit.limit_id: limit.measure for limit in self._rules.limits} if lasting else {}
        return [(breach, measures.get(breach.limit_id, "")) for breach in lasting]

    async def breaches(self, *, past: bool) -> list[Breach]:
        """The breaches that last, and with `past` those that have ended, newest first. Raises StoreError."""
        lasting = self._judge.open_breaches
        if not past:
            return sorted(lasting, key=lambda breach: (-breach.first_seen_ts, breach.breach_id))
        await self._save()
        stored = await asyncio.to_thread(self._store.breaches_of_limits, PAST_BREACHES)
        found = {breach.breach_id: breach for breach in stored} | {breach.breach_id: breach for breach in lasting}
        return sorted(found.values(), key=lambda breach: (-breach.first_seen_ts, breach.breach_id))

    async def acknowledge(self, breach: Breach, actor: str, reason: str) -> Breach:
        """Store that a person knows of a breach, and why it may stand. Raises EngineNotLive, StoreError."""
        now = self._clock.now()
        stored: Breach = await self._on_store(lambda store: store.acknowledge_breach(breach, actor, reason, now))
        self._judge.acknowledge(stored)
        if self._kept and self._judge.newest is not None and self._kept[-1].seq == self._judge.newest.seq:
            self._kept[-1] = self._judge.newest
        return stored

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self._save()
            self._warn()

    async def _save(self) -> None:
        breaches, highs = self._judge.take_changes()
        if not breaches and not highs:
            return
        try:
            await self._on_store(lambda store: store.save_breaches(breaches, highs))
        except (StoreError, EngineNotLive) as error:
            self._judge.give_back(breaches, highs)
            log.warning("breaches_not_stored", breaches=len(breaches), reason=str(error))
        except (RiskEngineError, asyncio.CancelledError):
            self._judge.give_back(breaches, highs)
            raise

    def _warn(self) -> None:
        """Set gauges and warnings. Texts name no limit: everybody reads them."""
        newest = self._judge.newest
        counts = {} if newest is None else newest.counts()
        for state, count in counts.items():
            self._metrics.limits.labels(state).set(count)
        for severity, began in self._judge.began.items():
            self._metrics.limit_breaches.labels(severity).inc(began - self._counted.get(severity, 0))
        self._counted = dict(self._judge.began)
        unseen = [breach for breach in self._judge.open_breaches if not breach.acknowledged_by]
        if unseen:
            hard = sum(breach.severity == HARD for breach in unseen)
            are = "limit is" if len(unseen) == 1 else "limits are"
            self._warnings[BREACHED] = (
                f"{len(unseen):,} {are} breached and nobody has acknowledged it, {hard:,} of them hard (GET /v1/breaches)"
            )
        else:
            self._warnings.pop(BREACHED, None)
        unknown = counts.get("unknown", 0)
        if unknown:
            where = "(GET /v1/limits?state=unknown)"
            bound = "limit bounds a number that is" if unknown == 1 else "limits bound numbers that are"
            self._warnings[UNKNOWN] = f"{unknown:,} {bound} unknown or incomplete {where}"
        else:
            self._warnings.pop(UNKNOWN, None)
