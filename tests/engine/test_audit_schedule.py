"""When the self-audit runs: a slice now and then, a pass a period, one slice a beat whatever waits; what it does with a fault."""

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


def made(period_s: float = 60.0) -> AuditSchedule:
    return AuditSchedule(period_s, BEAT_S, Metrics())


def metric(auditor: AuditSchedule, name: str) -> float:
    value = auditor._metrics.registry.get_sample_value(f"riskengine_self_audit_{name}_total")
    assert value is not None
    return value


def run_through(auditor: AuditSchedule, engine: Engine) -> bool:
    """Slices until a pass is done or something was set aside."""
    while not metric(auditor, "passes"):
        if auditor.run_slice(engine, NOON):
            return True
    return False


def test_switched_off_it_is_never_due() -> None:
    auditor = made(0.0)
    assert auditor.wait_s(time.perf_counter()) == math.inf
    assert not auditor.is_overdue(time.perf_counter() + 1e6)


def test_the_first_slice_is_due_at_once() -> None:
    assert made().wait_s(time.perf_counter()) <= 0.0


def test_a_slice_ends_soon_and_is_followed_by_a_pause() -> None:
    engine, auditor = sound_engine(), made(1e-6)
    started = time.perf_counter()
    auditor.run_slice(engine, NOON)
    ended = time.perf_counter()
    assert 0.5 * GAP_S < auditor.wait_s(ended) <= GAP_S
    assert metric(auditor, "seconds") <= ended - started


def test_a_pass_is_spread_over_its_period() -> None:
    engine, auditor = sound_engine(), made(1_000.0)
    auditor.run_slice(engine, NOON)
    assert auditor._audit is not None
    progress = auditor._audit.progress
    assert 0.0 < progress < 1.0
    assert auditor.wait_s(time.perf_counter()) == pytest.approx(progress * PASS_SHARE * 1_000.0, abs=1.0)


def test_the_next_pass_waits_for_its_period() -> None:
    engine, auditor = sound_engine(), made(1_000.0)
    assert not run_through(auditor, engine)
    assert auditor.wait_s(time.perf_counter()) == pytest.approx(PASS_SHARE * 1_000.0, abs=2.0)


def test_a_pass_that_took_longer_than_its_period_is_followed_by_the_next_at_once() -> None:
    engine, auditor = sound_engine(), made(1e-6)
    run_through(auditor, engine)
    assert auditor.wait_s(time.perf_counter()) <= GAP_S


def test_what_is_due_for_a_beat_goes_before_everything() -> None:
    engine, auditor = sound_engine(), made(1e-6)
    auditor.run_slice(engine, NOON)
    now = time.perf_counter()
    assert not auditor.is_overdue(now + BEAT_S / 2)
    assert auditor.is_overdue(now + BEAT_S)


def test_a_broken_key_is_set_aside_listed_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    engine, auditor = sound_engine(), made()
    faults.FAULTS["quantity of a node"].plant(engine)
    assert run_through(auditor, engine)
    engine.publish(NOON)
    assert engine.snapshot.keys_set_aside() == [FX1]
    assert metric(auditor, "faults") == 1
    [record] = [record for record in caplog.records if "invariant_broken" in record.getMessage()]
    assert record.levelname == "ERROR"
    assert not run_through(auditor, engine), "once"


def test_a_fault_that_no_key_is_to_blame_for_is_logged_and_nothing_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    engine, auditor = sound_engine(), made()
    engine.processed.inert.add(("test", "never seen", 0))  # type: ignore[arg-type]
    assert not run_through(auditor, engine)
    assert metric(auditor, "faults") == 1
    assert "more or fewer trades" in caplog.text
    assert engine.publish(NOON).counts.quarantined == 0


def test_memory_that_cannot_be_looked_at_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    engine, auditor = sound_engine(), made()
    kept = faults.position(engine, FX1).trades
    faults.position(engine, FX1).trades = None
    assert not auditor.run_slice(engine, NOON)
    assert "self_audit_failed" in caplog.text
    assert metric(auditor, "faults") == 1
    faults.position(engine, FX1).trades = kept
    assert not run_through(auditor, engine)


def test_when_another_engine_has_taken_over_its_pass_begins() -> None:
    auditor = made()
    first, second = sound_engine(), sound_engine()
    auditor.run_slice(first, NOON)
    faults.FAULTS["quantity of a node"].plant(second)
    assert run_through(auditor, second)
    assert auditor._audit is not None and auditor._audit.engine is second
