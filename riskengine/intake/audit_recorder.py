"""Brings what others wrote into the audit trail beside the live engine, a slice at a time on the store thread.

A trade that comes through the engine is recorded in its own transaction. A row that another program wrote is recorded once the
engine has applied it: rows that arrive while it runs as they are handed to the writer; older ones in a sweep through everything
stored, once after the start and again after each rebuild of the engine. At the end of a sweep the trail says so.

Slices are small and spaced out, so that a million rows of a bulk load delay no commit by more than a few milliseconds. The next
start finds what an interruption left: the trail itself says what is recorded.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from riskengine import __version__
from riskengine.config import Config, without_password
from riskengine.errors import StoreError
from riskengine.observe import get_logger
from riskengine.store.audit_chain import ENGINE, AuditEvent
from riskengine.store.protocol import Store

LOOK_ROWS = 5_000
"""Row numbers compared with the trail in one slice: 5 ms."""

RECORD_ROWS = 500
"""Rows recorded in one transaction: 4 ms and a sync."""

APART_S = 0.01
"""Pause between two slices."""

APART_BUSY_S = 0.05
"""The same while trades wait to be stored."""

LAST_S = 1.0
"""Longest delay of the store thread's end for rows that are not recorded yet."""

MAX_WAITING = 10_000
"""Ranges of row numbers that are remembered; if more arrive, a sweep goes through everything again."""

log = get_logger("riskengine.audit")


class Recorder:
    """Used on the store thread, except `record`, which any thread may call."""

    def __init__(self) -> None:
        self._events: deque[AuditEvent] = deque()
        self._ranges: deque[tuple[int, int]] = deque()
        self._sweep: tuple[int, int, str] | None = None
        self._sweep_due = True
        self._at = 0.0

    def record(self, events: Iterable[AuditEvent]) -> None:
        """Put these into the trail soon; try until the store takes them."""
        self._events.extend(events)

    def note_followed(self, store_seqs: Sequence[int]) -> None:
        """Record these rows soon: others wrote them, and they were handed to the writer. Ascending."""
        if len(self._ranges) >= MAX_WAITING:
            self.sweep()
        else:
            self._ranges.append((store_seqs[0], store_seqs[-1]))

    def sweep(self) -> None:
        """Go through everything that is stored, from the beginning."""
        self._ranges.clear()
        self._sweep, self._sweep_due = None, True

    def due_s(self) -> float:
        """Seconds until there is something to do; infinite if there is nothing."""
        if self._events:
            return 0.0
        if self._ranges or self._sweep_due or self._sweep is not None:
            return max(0.0, self._at - time.monotonic())
        return math.inf

    def work(self, store: Store, *, busy: bool = False) -> None:
        """Record waiting events, and do a slice if one is due. Raises StoreError, and then forgets nothing."""
        while self._events:
            events = [*self._events]
            store.record(events)
            for _ in events:
                self._events.popleft()
        if self.due_s() != 0.0:
            return
        try:
            self._slice(store)
        finally:
            self._at = time.monotonic() + (APART_BUSY_S if busy else APART_S)

    def finish(self, store: Store) -> None:
        """Record as much of the rest as LAST_S allows; the next start does what is left."""
        deadline = time.monotonic() + LAST_S
        try:
            while (due := self.due_s()) < LAST_S and time.monotonic() < deadline:
                time.sleep(due)
                self.work(store)
        except StoreError as error:
            log.warning("trail_not_finished", error=str(error))

    def _slice(self, store: Store) -> None:
        if self._ranges:  # new rows come first
            first, last = self._ranges[0]
            reached = self._record(store, first - 1, last)
            if reached < last:
                self._ranges[0] = reached + 1, last
            else:
                self._ranges.popleft()
            return
        if self._sweep_due:
            horizon, up_to = store.audit_horizon()
            self._sweep, self._sweep_due = (0, up_to, horizon), False
        assert self._sweep is not None, "there is nothing to do"
        after, up_to, horizon = self._sweep
        if after < up_to:
            self._sweep = self._record(store, after, up_to), up_to, horizon
        else:
            store.record_caught_up(horizon, up_to)
            self._sweep = None

    def _record(self, store: Store, after: int, up_to: int) -> int:
        """Record the next missing rows. Returns the number up to which nothing is missing."""
        missing, reached = store.unrecorded(after, up_to, LOOK_ROWS)
        if not missing:
            return reached
        store.record_followed(missing[:RECORD_ROWS])
        return missing[RECORD_ROWS] - 1 if len(missing) > RECORD_ROWS else reached


def start_event(config: Config, *, epoch: int, watermark: int, revision: int) -> AuditEvent:
    """That an engine went live: its version, its configuration without passwords, and up to which row it had read."""
    detail = msgspec.to_builtins(config)
    detail["store"]["url"] = without_password(config.store.url)
    facts = {"version": __version__, "epoch": epoch, "watermark": watermark, "reference_revision": revision}
    return AuditEvent("start", str(epoch), {**facts, "configuration": detail}, ENGINE)


MAX_KEPT = 1_000
"""Events kept until there is a trail; new ones replace the oldest."""

Record = Callable[[Iterable[AuditEvent]], None]


class EarlyEvents:
    """Keeps audit events until there is a trail, then passes them on, in their order. Event loop."""

    def __init__(self) -> None:
        self._kept: deque[AuditEvent] = deque(maxlen=MAX_KEPT)
        self._record: Record = self._kept.extend

    def hand_to(self, record: Record, first: AuditEvent) -> None:
        """Pass on to a trail: `first`, then what was kept, then each new event."""
        record([first, *self._kept])
        self._kept.clear()
        self._record = record

    def note(self, kind: str, subject: str, detail: Mapping[str, Any], actor: str) -> None:
        """Record an event; the arguments are those of `AuditEvent`."""
        self._record([AuditEvent(kind, subject, detail, actor)])
