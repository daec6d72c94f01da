"""When the writer runs the self-audit, and what it does with a fault.

A pass over everything takes one period (`self_audit_s`), in slices of at most half a millisecond with pauses between them, so a
trade never waits for more than one slice. While trades keep coming, the writer runs one slice a beat. A key at fault is set aside
and listed; the engine goes on with everything else. What a pass checks: `self_audit`. Writer thread only.
"""

import math
import time

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import Fault, SelfAudit
from riskengine.observe import Metrics, get_logger

SLICE_S = 0.000_4
"""A slice ends with the first step (50 us) that ends after this."""

GAP_S = 0.002
"""Shortest pause after a slice, in which readers and sockets get the interpreter."""

PASS_SHARE = 0.9
"""The part of the period that a pass is planned to take, so that it is complete within the period."""

log = get_logger("riskengine.self_audit")


class AuditSchedule:
    """Runs one pass after another, each in `period_s` seconds; 0 switches passes off. Times are those of `time.perf_counter`."""

    def __init__(self, period_s: float, beat_s: float, metrics: Metrics) -> None:
        self._span_s = PASS_SHARE * period_s
        self._beat_s = beat_s
        self._metrics = metrics
        self._audit: SelfAudit | None = None
        self._pass_started_at = time.perf_counter()
        self._slice_ended_at = -math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next slice is due; 0 or less if one is due now, infinite if passes are off."""
        if not self._span_s:
            return math.inf
        progress = self._audit.progress if self._audit is not None else 0.0
        return max(self._pass_started_at + progress * self._span_s, self._slice_ended_at + GAP_S) - now

    def is_overdue(self, now: float) -> bool:
        """Whether a due slice has waited for a beat. It then goes before trades, so passes go on on a busy day."""
        return self.wait_s(now) <= 0.0 and now - self._slice_ended_at >= self._beat_s

    def forget(self) -> None:
        """Drop the engine audited so far; the next slice begins a new pass. For when another engine takes over."""
        if self._audit is not None:
            self._audit.release()
        self._audit = None
        self._pass_started_at = time.perf_counter()

    def run_slice(self, engine: Engine, ts: int) -> bool:
        """Run one slice, at `ts` of the engine's clock. Returns whether it set a key aside, which the caller must publish."""
        if self._audit is None or self._audit.engine is not engine:
            self.forget()
            self._audit = SelfAudit(engine)
        started = time.perf_counter()
        set_aside = self._step_until(started + SLICE_S, self._audit, ts)
        self._slice_ended_at = time.perf_counter()
        self._metrics.self_audit_seconds.inc(self._slice_ended_at - started)
        return set_aside

    def _step_until(self, until: float, audit: SelfAudit, ts: int) -> bool:
        """Step until a time, the end of the pass or the first fault. Returns whether a key was set aside."""
        passes = audit.passes
        try:
            while time.perf_counter() < until and audit.passes == passes:
                fault = audit.step()
                if fault is not None:
                    return self._set_aside(audit.engine, fault, ts)
        except Exception as error:  # memory too broken to be audited must not stop the engine
            log.exception("self_audit_failed", error=repr(error))
            self._metrics.self_audit_faults.inc()
            audit.start_again()
        if audit.passes != passes:
            self._metrics.self_audit_passes.inc()
            self._pass_started_at = max(self._pass_started_at + self._span_s, time.perf_counter())
        return False

    def _set_aside(self, engine: Engine, fault: Fault, ts: int) -> bool:
        """Set the key at fault aside, log and count it. Returns False if the fault names no key."""
        self._metrics.self_audit_faults.inc()
        if fault.key is None:
            log.error("invariant_broken", key=None, reason=fault.reason)
            return False
        if engine.set_aside_key(fault.key, fault.reason, ts, fault.missing):
            log.error("invariant_broken", key=fault.key, reason=fault.reason)
        return True
