"""What happens at the door before there is a trail is told once there is one."""

from riskengine.intake.audit_recorder import MAX_KEPT, EarlyEvents
from riskengine.store.audit_chain import AuditEvent

START = AuditEvent("start", "7", {}, "engine")


def test_notes_wait_for_the_trail_and_then_go_straight_there() -> None:
    early_events = EarlyEvents()
    trail: list[AuditEvent] = []
    early_events.note("refused", "/v1/nodes", {"count": 1}, "ann")
    early_events.hand_to(trail.extend, START)
    early_events.note("login", "", {}, "ann")
    assert trail == [START, AuditEvent("refused", "/v1/nodes", {"count": 1}, "ann"), AuditEvent("login", "", {}, "ann")]


def test_a_long_start_keeps_so_many_and_no_more() -> None:
    early_events = EarlyEvents()
    trail: list[AuditEvent] = []
    for number in range(3 * MAX_KEPT):
        early_events.note("refused", str(number), {}, "ann")
    early_events.hand_to(trail.extend, START)
    assert [event.subject for event in trail] == ["7", *map(str, range(2 * MAX_KEPT, 3 * MAX_KEPT))]
