"""Corporate actions over HTTP are answered like trades, each in its place."""

from typing import Any

import pytest

from riskengine.serve.app import create_app
from tests.acted import ACTED, EX_DATE, dealt
from tests.serve.stand_in import StandIn, ask, post
from tests.world import NOON

SPLIT = {"action_id": "s", "instrument": "AAA", "kind": "split", "ex_date": EX_DATE, "ratio": "4:1"}


@pytest.fixture
def gateway() -> StandIn:
    return StandIn(ACTED)


@pytest.fixture
def app(gateway: StandIn) -> Any:
    return create_app(gateway)


def test_an_action_is_in_force_when_it_is_answered(gateway: StandIn, app: Any) -> None:
    gateway.engine.apply([dealt("1", quantity="25")], NOON)
    answer = post(app, "/v1/actions", SPLIT).json()
    assert answer["results"] == [{"action_id": "s", "version": 1, "status": "applied", "reason": ""}]
    assert answer["counts"]["applied"] == sum(answer["counts"].values()) == 1
    assert ask(app, "/v1/positions", {"seq": answer["seq"], "node": "FX1"}).json()["rows"][0]["quantity"] == 100.0
    assert post(app, "/v1/actions", [SPLIT]).json()["results"][0]["status"] == "duplicate"


def test_bad_items_are_rejected_in_their_places_and_what_waits_says_for_which_day(app: Any) -> None:
    later = SPLIT | {"action_id": "later", "ex_date": "2026-03-09"}
    sent = [SPLIT | {"ratio": "4"}, later, SPLIT | {"colour": "red"}, 7, {"action_id": "x", "kind": "cancel"}]
    answer = post(app, "/v1/actions", sent).json()
    assert [(each["action_id"], each["version"], each["status"]) for each in answer["results"]] == [
        ("s", 1, "rejected"),
        ("later", 1, "applied"),
        (None, None, "rejected"),
        (None, None, "rejected"),
        ("x", None, "rejected"),
    ]
    assert answer["results"][1]["reason"] == "takes effect when the trading day 2026-03-09 begins"
    assert [(error["index"], error["field"]) for error in answer["errors"]] == [
        (0, "ratio"),
        (2, "colour"),
        (3, ""),
        (4, "version"),
    ]
    [item] = ask(app, "/v1/exceptions", {"kind": "waiting"}).json()["rows"]
    assert (item["id"], item["instrument"]) == ("waiting:action:later:1", "AAA")


def test_what_is_no_json_is_a_bad_request_and_an_engine_that_is_not_live_says_so(gateway: StandIn, app: Any) -> None:
    assert post(app, "/v1/actions", None).status == 400
    gateway.state = "loading"
    assert post(app, "/v1/actions", SPLIT).status == 503


def test_a_version_that_json_cannot_carry_is_refused_and_its_batch_is_answered(app: Any) -> None:
    results = post(app, "/v1/actions", [SPLIT, SPLIT | {"action_id": "x", "version": 2**64}]).json()["results"]
    assert [(each["action_id"], each["version"], each["status"]) for each in results] == [
        ("s", 1, "applied"),
        ("x", None, "rejected"),
    ]
