"""Limits over HTTP, behind an engine in this process: rows, filters, what is refused by which field, acknowledgements."""

from typing import Any

import pytest

from riskengine.serve.answers.shapes import BREACH, LIMIT_LINE, MARGIN, names
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, problem, traded


@pytest.fixture
def gateway() -> StandIn:
    return traded(count=5)


def sent(limit_id: str = "L1", **fields: Any) -> dict[str, Any]:
    return {"limit_id": limit_id, "measure": "gross_exposure", "node": "FX1", "limit": 1.0} | fields


def enter(app: Any, *limits: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = post(app, "/v1/limits", list(limits)).json()
    return found


def rows(app: Any, **query: Any) -> list[dict[str, Any]]:
    answer = ask(app, "/v1/limits", query)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def test_a_limit_is_in_force_with_the_answer(gateway: StandIn) -> None:
    app = create_app(gateway)
    answer = enter(app, sent(), sent("L2", limit=1e12), sent("L3", measure="vegas"))
    assert [(each["limit_id"], each["status"]) for each in answer["results"]] == [
        ("L1", "applied"),
        ("L2", "applied"),
        ("L3", "rejected"),
    ]
    assert answer["counts"] == {"applied": 2, "duplicate": 0, "superseded": 0, "conflict": 0, "rejected": 1}
    assert [(each["index"], each["field"]) for each in answer["errors"]] == [(2, "measure")]
    [first, second] = rows(app)
    assert tuple(first) == names(LIMIT_LINE)
    assert (first["line"], first["state"], second["state"]) == ("L1:FX1", "breach", "ok")
    assert second["headroom"] == pytest.approx(1e12 - second["value"])
    assert gateway.rules["limit"][0].author == "local"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"measure": "vra"}, "measure"),
        ({"counterparty": "BIGBANK"}, "counterparty"),
        ({"measure": "price_band", "limit": 0}, "limit"),
        ({"warning": 120}, "warning"),
        ({"from": "2026-05-01", "to": "2026-04-30"}, "from"),
        ({"node": "FX9"}, "node"),
        ({"nod": "FX1"}, "nod"),
    ],
)
def test_bad_input_is_refused_by_field(gateway: StandIn, fields: dict[str, Any], field: str) -> None:
    answer = enter(create_app(gateway), sent(**fields))
    assert [each["field"] for each in answer["errors"]] == [field]
    assert answer["results"][0]["status"] == "rejected"
    assert gateway.rules["limit"] == []


def test_lines_are_filtered_sorted_and_exact(gateway: StandIn) -> None:
    app = create_app(gateway)
    enter(app, sent(), sent("L2", limit=1e12), sent("L3", node="FX2", measure="net_exposure", limit=1e12))
    assert [row["line"] for row in rows(app, node="FX2")] == ["L3:FX2"]
    assert [row["limit_id"] for row in rows(app, state="breach")] == ["L1"]
    assert [row["limit_id"] for row in rows(app, sort="headroom", limit=1)] == ["L1"]
    assert rows(app, exact="true", state="breach")[0]["limit"] == "1.0"
    problem(ask(app, "/v1/limits", {"node": "FX9"}), 404)
    problem(ask(app, "/v1/limits", {"state": "fine"}), 400)


def test_a_breach_is_acknowledged_with_its_reason(gateway: StandIn) -> None:
    app = create_app(gateway)
    enter(app, sent())
    [breach] = ask(app, "/v1/breaches").json()["rows"]
    assert tuple(breach) == names(BREACH)
    assert (breach["limit_id"], breach["measure"], breach["ended_ts"]) == ("L1", "gross_exposure", None)
    path = f"/v1/breaches/{breach['breach_id']}"
    problem(post(app, path, {"action": "acknowledge", "comment": " "}), 400)
    problem(post(app, path, {"action": "accept", "comment": "x"}), 400)
    problem(post(app, path, {"action": "acknowledge"}), 400)
    problem(post(app, "/v1/breaches/none", {"action": "acknowledge", "comment": "x"}), 404)
    answer = post(app, path, {"action": "acknowledge", "comment": "hedge is on its way"})
    assert answer.status == 200
    assert (answer.json()["acknowledged_by"], answer.json()["reason"]) == ("local", "hedge is on its way")
    assert rows(app)[0]["reason"] == "hedge is on its way"


def test_margin_rules_are_taken_and_refused_by_field(gateway: StandIn) -> None:
    good = {"rule_id": "M1", "kind": "reg_t", "node": "EQ1"}
    answer = post(create_app(gateway), "/v1/margin", [good, good | {"rule_id": "M2", "initial": 0}]).json()
    assert [each["status"] for each in answer["results"]] == ["applied", "rejected"]
    assert answer["errors"][0]["field"] == "initial"
    assert [rule.rule_id for rule in gateway.rules["margin"]] == ["M1"]


def test_margin_is_worked_out_for_the_accounts_that_are_asked(gateway: StandIn) -> None:
    app = create_app(gateway)
    rules = [{"rule_id": "M1", "kind": "reg_t", "node": "EQ1"}, {"rule_id": "M2", "kind": "scenario", "node": "FX1"}]
    rules[1]["price_shifts"] = "-10 10"
    assert post(app, "/v1/margin", rules).json()["counts"]["applied"] == 2
    found = ask(app, "/v1/margin").json()["rows"]
    assert [(each["rule_id"], each["kind"]) for each in found] == [("M1", "reg_t"), ("M2", "scenario")]
    assert tuple(found[0]) == names(MARGIN)
    assert [each["rule_id"] for each in ask(app, "/v1/margin", {"node": "FX1"}).json()["rows"]] == ["M2"]
    problem(ask(app, "/v1/margin", {"node": "FX9"}), 404)


def test_a_version_that_json_cannot_carry_is_refused_and_its_batch_is_answered(gateway: StandIn) -> None:
    results = enter(create_app(gateway), sent(), sent("L2", version=2**64))["results"]
    assert [(each["limit_id"], each["version"], each["status"]) for each in results] == [
        ("L1", 1, "applied"),
        ("L2", None, "rejected"),
    ]
