"""Loaded scenarios, the same on both databases."""

from msgspec import structs

from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.protocol import Store
from tests.store_book import Outside

FIRST = ScenarioShift(scenario="s", factor="spot", instrument="EURUSD", relative=-0.1)
SECOND = ScenarioShift(scenario="s", factor="vol", everything=True, absolute=0.02, comment="all")


def test_shifts_come_back_in_the_order_in_which_they_first_came(store: Store) -> None:
    assert store.save_scenario_shifts([SECOND, FIRST])[:3] == (2, 0, 0)
    larger = structs.replace(SECOND, absolute=0.05)
    assert store.save_scenario_shifts([larger, FIRST])[:3] == (0, 1, 1)
    assert store.scenario_shifts() == [larger, FIRST]


def test_every_change_is_in_the_audit_trail_and_an_edit_past_it_is_found(store: Store, outside: Outside) -> None:
    store.save_scenario_shifts([SECOND, FIRST])
    [entry] = store.audit_entries(AuditFilter(kind="scenario_shifts"))
    assert "EURUSD" in entry.detail
    assert store.verify_audit(None).findings == []
    outside.execute("UPDATE scenario_shifts SET relative = -0.2 WHERE instrument = 'EURUSD'")
    [finding] = store.verify_audit(None).findings
    assert "scenario_shifts" in str(finding) and "was edited since" in str(finding)
