"""`POST /v1/check`: every rule that applies to intended trades, what a token is shown of them, and what is refused."""

from typing import Any

import pytest

from riskengine.serve.answers.shapes import RULE, names
from riskengine.serve.app import create_app
from tests.serve.guarded import Guarded
from tests.serve.stand_in import StandIn, ask, post, problem, traded
from tests.world import row


@pytest.fixture
def gateway() -> StandIn:
    return traded(count=5)


def limits(app: Any, *sent: dict[str, Any]) -> None:
    assert post(app, "/v1/limits", list(sent)).json()["counts"]["applied"] == len(sent)


SIZE = {"limit_id": "SIZE", "measure": "trade_quantity", "instrument": "EURUSD", "node": "FX", "limit": 500}


def test_every_rule_that_applies_is_told_with_its_headroom(gateway: StandIn) -> None:
    app = create_app(gateway)
    limits(app, SIZE, {"limit_id": "NET", "measure": "net_exposure", "node": "FX1", "limit": 1e9})
    before = ask(app, "/v1/nodes/FX1").json()
    answer = post(app, "/v1/check", [row("x", quantity="400"), row("y", quantity="501")]).json()
    assert answer["outcome"] == "refuse"
    assert [each["outcome"] for each in answer["results"]] == ["pass", "refuse"]
    rules = {(each["rule"], each["trade"]): each for each in answer["rules"]}
    assert {rule for rule, _ in rules} == {"instrument", "market", "trade_quantity", "net_exposure"}
    assert all(tuple(each) == names(RULE) for each in answer["rules"])
    assert (rules["trade_quantity", 1]["headroom"], rules["trade_quantity", 1]["line"]) == (-1.0, "SIZE:FX")
    assert rules["net_exposure", None]["outcome"] == "pass"
    assert ask(app, "/v1/nodes/FX1").json()["rows"] == before["rows"], "nothing was booked"
    assert len(gateway.stored) == len(traded(count=5).stored)


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"instrument": "XYZ"}, "instrument"),
        ({"desk": "FX"}, "desk"),
        ({"quantity": "-1"}, "quantity"),
        ({"action": "amend", "version": 2}, "action"),
        ({"value_date": "2026-06-27"}, "value_date"),
        ({"value_date": "2026-03-03"}, "value_date"),
    ],
)
def test_a_trade_that_could_not_be_booked_is_refused_by_field(gateway: StandIn, columns: dict[str, Any], field: str) -> None:
    answer = post(create_app(gateway), "/v1/check", [row("x", **columns), row("y")]).json()
    assert (answer["outcome"], [each["outcome"] for each in answer["results"]]) == ("refuse", ["refuse", "pass"])
    assert [(each["index"], each["field"]) for each in answer["errors"]] == [(0, field)]


def test_too_many_trades_are_no_check(gateway: StandIn) -> None:
    problem(post(create_app(gateway), "/v1/check", [row(f"x{number}") for number in range(201)]), 400)


def test_a_token_checks_its_own_desks_against_limits_that_it_sees(tmp_path: Any) -> None:
    house = Guarded(tmp_path).with_trades()
    ours = house.post("viewer", "/v1/check", [row("x", desk="OURDESK", dealer="ann", quantity="5")]).json()
    assert {each["limit_id"] for each in ours["rules"]} > {"our-limit", "our-trade_amount", "our-dealer-gross_exposure"}
    mixed = house.post("viewer", "/v1/check", [row("x", desk="OURDESK", dealer="zoltan"), row("y", desk="ZETADESK")]).json()
    assert [each["limit_id"] for each in mixed["rules"] if "zeta" in str(each["limit_id"])] == []
    assert (mixed["errors"][0]["index"], mixed["errors"][0]["reason"]) == (1, "unknown desk 'ZETADESK'")
