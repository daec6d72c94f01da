"""When the self-audit runs, and what becomes of what it finds.

A pass over everything takes one period, in slices of at most half a millisecond with pauses between them: a trade never waits for
more than one slice. While trades keep coming there is one slice a beat. A key that is found broken is set aside and listed; the
engine goes on for everything else. Writer thread only.
"""

import math
import time

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import Fault, SelfAudit
from riskengine.observe import Metrics, get_logger

SLICE_S = 0.000_4
"""A slice ends with the first step that ends after this."""

GAP_S = 0.002
"""The least pause after a slice: readers and sockets get the interpreter."""

SHARE = 0.9
"""The part of the period in which a pass is to be done, so that it is whole within the period."""

log = get_logger("riskengine.self_audit")


class AuditSchedule:
    """Runs passes of `period_s` seconds each; none where it is 0. Times are those of `time.perf_counter`."""

    def __init__(self, period_s: float, beat_s: float, metrics: Metrics) -> None:
        self._span_s = SHARE * period_s
        self._beat_s = beat_s
        self._metrics = metrics
        self._audit: SelfAudit | None = None
        self._pass_from = time.perf_counter()
        self._last = -math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next slice is due, 0 or less where one is; infinite where passes are off."""
        if not self._span_s:
            return math.inf
        progress = self._audit.progress if self._audit is not None else 0.0
        return max(self._pass_from + progress * self._span_s, self._last + GAP_S) - now

    def is_overdue(self, now: float) -> bool:
        """Whether a slice is due that has waited for a beat: it goes before trades, so that a busy day is looked over too."""
        return self.wait_s(now) <= 0.0 and now - self._last >= self._beat_s

    def forget(self) -> None:
        """Let go of the engine that was looked over, and begin anew: another has taken over."""
        if self._audit is not None:
            self._audit.end()
        self._audit = None
        self._pass_from = time.perf_counter()

    def run(self, engine: Engine, ts: int) -> bool:
        """One slice, at `ts` of the engine's clock. Returns whether a key was set aside, which is to be published."""
        if self._audit is None or self._audit.engine is not engine:
            self.forget()
            self._audit = SelfAudit(engine)
        started = time.perf_counter()
        found = self._slice(self._audit, ts, started + SLICE_S)
        self._last = time.perf_counter()
        self._metrics.self_audit_seconds.inc(self._last - started)
        return found

    def _slice(self, audit: SelfAudit, ts: int, until: float) -> bool:
        passes = audit.passes
        try:
            while time.perf_counter() < until and audit.passes == passes:
                fault = audit.step()
                if fault is not None:
                    return self._set_aside(audit.engine, fault, ts)
        except Exception as error:  # memory so broken that it cannot be looked at must not take the engine with it
            log.exception("self_audit_failed", error=repr(error))
            self._metrics.self_audit_faults.inc()
            audit.start_again()
        if audit.passes != passes:
            self._metrics.self_audit_passes.inc()
            self._pass_from = max(self._pass_from + self._span_s, time.perf_counter())
        return False

    def _set_aside(self, engine: Engine, fault: Fault, ts: int) -> bool:
        self._metrics.self_audit_faults.inc()
        if fault.key is None:
            log.error("invariant_broken", key=None, reason=fault.reason)
            return False
        if engine.set_aside_key(fault.key, fault.reason, ts, fault.missing):
            log.error("invariant_broken", key=fault.key, reason=fault.reason)
        return True
