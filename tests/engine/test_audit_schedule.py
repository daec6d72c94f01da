"""The audit schedule: slices with pauses, one pass a period, one slice a beat on a busy day, and what happens to a fault."""

import math
import time

import pytest

from riskengine.engine.audit_schedule import GAP_S, PASS_SHARE, AuditSchedule
from riskengine.engine.engine import Engine
from riskengine.observe import Metrics
from tests import faults
from tests.faults import FX1, sound_engine
from tests.world import NOON

BEAT_S = 0.1


def new_schedule(period_s: float = 60.0) -> AuditSchedule:
    return AuditSchedule(period_s, BEAT_S, Metrics())


def metric(schedule: AuditSchedule, name: str) -> float:
    value = schedule._metrics.registry.get_sample_value(f"riskengine_self_audit_{name}_total")
    assert value is not None
    return value


def run_through(schedule: AuditSchedule, engine: Engine) -> bool:
    """Run slices until a pass is complete or a key was set aside. Returns whether one was."""
    while not metric(schedule, "passes"):
        if schedule.run_slice(engine, NOON):
            return True
    return False


def test_switched_off_it_is_never_due() -> None:
    schedule = new_schedule(0.0)
    assert schedule.wait_s(time.perf_counter()) == math.inf
    assert not schedule.is_overdue(time.perf_counter() + 1e6)


def test_the_first_slice_is_due_at_once() -> None:
    assert new_schedule().wait_s(time.perf_counter()) <= 0.0


def test_a_slice_ends_soon_and_is_followed_by_a_pause() -> None:
    engine, schedule = sound_engine(), new_schedule(1e-6)
    started = time.perf_counter()
    schedule.run_slice(engine, NOON)
    ended = time.perf_counter()
    assert 0.5 * GAP_S < schedule.wait_s(ended) <= GAP_S
    assert metric(schedule, "seconds") <= ended - started


def test_a_pass_is_spread_over_its_period() -> None:
    engine, schedule = sound_engine(), new_schedule(1_000.0)
    schedule.run_slice(engine, NOON)
    assert schedule._audit is not None
    progress = schedule._audit.progress
    assert 0.0 < progress < 1.0
    assert schedule.wait_s(time.perf_counter()) == pytest.approx(progress * PASS_SHARE * 1_000.0, abs=1.0)


def test_the_next_pass_waits_for_its_period() -> None:
    engine, schedule = sound_engine(), new_schedule(1_000.0)
    assert not run_through(schedule, engine)
    assert schedule.wait_s(time.perf_counter()) == pytest.approx(PASS_SHARE * 1_000.0, abs=2.0)


def test_a_pass_that_took_longer_than_its_period_is_followed_by_the_next_at_once() -> None:
    engine, schedule = sound_engine(), new_schedule(1e-6)
    run_through(schedule, engine)
    assert schedule.wait_s(time.perf_counter()) <= GAP_S


def test_a_slice_that_is_due_for_a_beat_is_overdue() -> None:
    engine, schedule = sound_engine(), new_schedule(1e-6)
    schedule.run_slice(engine, NOON)
    now = time.perf_counter()
    assert not schedule.is_overdue(now + BEAT_S / 2)
    assert schedule.is_overdue(now + BEAT_S)


def test_a_broken_key_is_set_aside_listed_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    engine, schedule = sound_engine(), new_schedule()
    faults.FAULTS["quantity of a node"].plant(engine)
    assert run_through(schedule, engine)
    engine.publish(NOON)
    assert engine.snapshot.keys_set_aside() == [FX1]
    assert metric(schedule, "faults") == 1
    [record] = [record for record in caplog.records if "invariant_broken" in record.getMessage()]
    assert record.levelname == "ERROR"
    assert not run_through(schedule, engine), "once"


def test_a_fault_that_no_key_is_to_blame_for_is_logged_and_nothing_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    engine, schedule = sound_engine(), new_schedule()
    engine.processed.inert.add(("test", "never seen", 0))  # type: ignore[arg-type]
    assert not run_through(schedule, engine)
    assert metric(schedule, "faults") == 1
    assert "more or fewer trades" in caplog.text
    assert engine.publish(NOON).counts.quarantined == 0


def test_memory_that_cannot_be_audited_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    engine, schedule = sound_engine(), new_schedule()
    kept = faults.position(engine, FX1).trades
    faults.position(engine, FX1).trades = None
    assert not schedule.run_slice(engine, NOON)
    assert "self_audit_failed" in caplog.text
    assert metric(schedule, "faults") == 1
    faults.position(engine, FX1).trades = kept
    assert not run_through(schedule, engine)


def test_when_another_engine_has_taken_over_its_pass_begins() -> None:
    schedule = new_schedule()
    first, second = sound_engine(), sound_engine()
    schedule.run_slice(first, NOON)
    faults.FAULTS["quantity of a node"].plant(second)
    assert run_through(schedule, second)
    assert schedule._audit is not None and schedule._audit.engine is second
