"""Limits, margin rules and breaches in the store: versions, conflicts, what other programs write, who acknowledged what."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from riskengine.records.breaches import Breach, High
from riskengine.records.limits import LIMIT, Limit
from riskengine.records.margin_rules import MARGIN, MarginRule
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.queries import load_migrations
from tests.store_book import NODES, TS, Outside

BEFORE = 19
"""The last migration that the version before limits knew."""


def limit(limit_id: str = "L1", **fields: Any) -> Limit:
    usual: dict[str, Any] = {"version": 1, "measure": "vega", "node": "FX1", "side": "above", "limit": 5.0}
    return Limit(limit_id=limit_id, **(usual | fields))


def margin(**fields: Any) -> MarginRule:
    usual: dict[str, Any] = {"rule_id": "M1", "version": 1, "kind": "reg_t", "node": "FX2", "initial": 50.0, "maintenance": 25.0}
    return MarginRule(**(usual | fields))


def breach(**fields: Any) -> Breach:
    usual: dict[str, Any] = {
        "breach_id": "L1:FX1:5",
        "limit_id": "L1",
        "version": 1,
        "node": "FX1",
        "dealer": "",
        "severity": "hard",
        "limit": 5.0,
        "first_seen_ts": TS,
        "last_seen_ts": TS,
        "worst": 6.0,
        "worst_ts": TS,
    }
    return Breach(**(usual | fields))


def test_versions_are_kept_and_what_is_stored_is_never_rewritten(store: Store) -> None:
    sent = [limit(), limit(author="eve", entered_ts=9), limit("L2"), limit(limit=6.0)]
    assert store.save_risk_rules(LIMIT, sent) == ["inserted", "existing", "inserted", "conflict"]
    assert store.save_risk_rules(LIMIT, [limit(version=3), limit(version=2, limit=7.0)]) == ["inserted", "superseded"]
    assert store.save_risk_rules(MARGIN, [margin()]) == ["inserted"]
    found = store.risk_rules()
    assert found.limits == (limit(), limit(version=2, limit=7.0), limit(version=3), limit("L2"))
    assert found.margin == (margin(),)
    assert found.refused == ()


def test_the_trail_says_who_entered_what(store: Store) -> None:
    store.save_risk_rules(LIMIT, [limit(owner="bob")], "ann")
    store.save_risk_rules(MARGIN, [margin()], "ann")
    found = [entry for entry in store.audit_entries(AuditFilter(), 100) if entry.kind in ("limits", "margin")]
    assert {(entry.kind, entry.subject, entry.actor) for entry in found} == {("limits", "L1", "ann"), ("margin", "M1", "ann")}
    assert json.loads(next(entry.detail for entry in found if entry.kind == "limits"))["owner"] == "bob"


def test_rows_of_other_programs_count_or_are_named_with_the_reason(store: Store, outside: Outside) -> None:
    terms = '{"limit_id": "X1", "version": 2, "measure": "vega", "node": "FX1", "limit": 5}'
    insert = "INSERT INTO risk_rules (kind, rule_id, version, terms) VALUES (?, ?, ?, ?)"
    outside.execute(insert, ["limit", "X1", 2, terms])
    outside.execute(insert, ["limit", "X2", 1, terms])
    outside.execute(insert, ["margin", "X3", 1, '{"rule_id": "X3"}'])
    found = store.risk_rules()
    assert [(each.limit_id, each.side, each.warning) for each in found.limits] == [("X1", "above", 90.0)]
    assert [(each.kind, each.rule_id) for each in found.refused] == [("limit", "X2"), ("margin", "X3")]
    assert store.save_risk_rules(LIMIT, [limit("X2")]) == ["conflict"]
    with pytest.raises(outside.refused):
        outside.execute(insert, ["limit", "X4", 1, "no JSON"])


def test_breaches_and_highs_stay_and_an_acknowledgement_is_not_lost_with_the_next_save(store: Store) -> None:
    store.save_breaches(
        [breach(), breach(breach_id="old", first_seen_ts=TS - 9, ended_ts=TS)], [High("FX1", "", "2026-01-02", 3.0, TS)]
    )
    found = store.acknowledge_breach(breach(worst=8.0), "ann", "hedge is on its way", TS + 1)
    assert (found.worst, found.acknowledged_by, found.acknowledged_ts, found.reason) == (
        8.0,
        "ann",
        TS + 1,
        "hedge is on its way",
    )
    store.save_breaches([breach(worst=9.0, last_seen_ts=TS + 2)], [High("FX1", "", "2026-01-03", 1.0, TS)])
    [newest, old] = store.breaches_of_limits(5)
    assert (newest.worst, newest.acknowledged_by, newest.is_open, old.breach_id, old.is_open) == (9.0, "ann", True, "old", False)
    assert [each.breach_id for each in store.breaches_of_limits(0)] == ["L1:FX1:5"]
    assert store.limit_highs() == [High("FX1", "", "2026-01-03", 1.0, TS)]
    [entry] = [each for each in store.audit_entries(AuditFilter(), 100) if each.kind == "limit_breach"]
    assert (entry.actor, json.loads(entry.detail)["reason"]) == ("ann", "hedge is on its way")


def test_what_a_rule_names_is_not_removed_before_it(store: Store) -> None:
    store.save_risk_rules(LIMIT, [limit(), limit("L2", measure="quantity", node="Total", instrument="BTCUSD")])
    store.save_risk_rules(MARGIN, [margin()])
    reasons = {refusal.field: refusal.reason for refusal in store.remove_nodes(["FX1", "FX2"]).refused}
    assert reasons == {"FX1": "the limit or margin rule L1 names it", "FX2": "the limit or margin rule M1 names it"}
    assert store.remove_instruments(["BTCUSD"]).refused[0].reason == "the limit L2 names it"
    store.save_risk_rules(LIMIT, [limit(version=2, node="Total")])
    assert store.remove_nodes(["FX1"]).removed == ("FX1",)


def test_a_store_of_the_version_before_opens_and_takes_limits(store_url: str, tmp_path: Path) -> None:
    is_sqlite = store_url.startswith("sqlite")
    url = f"sqlite:///{tmp_path / 'old.db'}" if is_sqlite else store_url
    older = [each for each in load_migrations("sqlite" if is_sqlite else "postgres").items() if each[0] <= BEFORE]
    if is_sqlite:
        connection = sqlite3.connect(tmp_path / "old.db")
        for number, (name, text) in older:
            connection.executescript(text)
            connection.execute("INSERT OR IGNORE INTO schema_version VALUES (?, ?, 0)", (number, name))
        connection.commit()
        connection.close()
    else:
        with psycopg.connect(url) as there:
            for number, (name, text) in older:
                there.execute(text.encode())
                there.execute("INSERT INTO schema_version VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", (number, name))
    opened = open_store(url)
    opened.save_nodes(NODES)
    assert opened.risk_rules().limits == ()
    assert opened.save_risk_rules(LIMIT, [limit()]) == ["inserted"]
    opened.close()
