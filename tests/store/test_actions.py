"""The table of corporate actions on both databases, and what the audit trail says of it."""

from riskengine.records.actions import Action
from riskengine.records.types import Close
from riskengine.store.open_store import open_store
from tests.acted import ACTED, action
from tests.world import nodes


def test_versions_are_stored_once_in_the_trail_and_read_back(store_url: str) -> None:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(ACTED.instruments)
    first, second = action("s"), action("s", version=2, ratio="2:1")
    assert store.save_actions([second, first, second]) == ["inserted", "superseded", "existing"]
    assert store.save_actions([action("s", ratio="9:1"), action("d", kind="dividend", amount="1.5")]) == ["conflict", "inserted"]
    store.save_closes([Close("2026-03-02", "AAA", 399.0), Close("2026-03-03", "AAA", 400.0), Close("2026-03-04", "AAA", 101.0)])
    rows = store.action_rows()
    assert rows.actions == (action("d", kind="dividend", amount="1.5"), first, second)
    assert [tuple(close) for close in rows.closes.values()] == [("2026-03-03", 400.0)]
    assert store.action_rows(as_of=first.received_ts - 1).actions == ()
    assert not store.verify_audit().findings
    assert {refusal.reason for refusal in store.remove_instruments(["AAA"]).refused} == {"is the underlying of AAA-C400"}
    assert {refusal.reason for refusal in store.remove_instruments(["AAA-C400", "AAA"]).refused} == {
        "a corporate action names it"
    }
    store.close()
    again = open_store(store_url)
    assert again.action_rows() == rows
    assert [each.action_id for each in again.action_rows().actions if isinstance(each, Action)] == ["d", "s", "s"]
    again.close()
