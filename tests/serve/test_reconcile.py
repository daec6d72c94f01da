"""Reconciliation over HTTP: valid requests, and the answers to wrong ones."""

import pytest

from riskengine.serve.app import create_app
from riskengine.serve.routes.exceptions import MAX_COMMENT_CHARS
from tests.serve.stand_in import StandIn, ask, post, problem


@pytest.fixture
def gateway() -> StandIn:
    return StandIn()


@pytest.mark.parametrize(("sent", "repair"), [({}, False), ({"repair": False}, False), ({"repair": True}, True)])
def test_a_repair_is_made_where_it_is_asked_for(gateway: StandIn, sent: dict[str, bool], repair: bool):
    answer = post(create_app(gateway), "/v1/reconcile", sent)
    assert (answer.status, answer.json()["repair"]) == (200, repair)


@pytest.mark.parametrize("sent", [[], {"repair": "yes"}, {"repare": True}, "repair"])
def test_anything_else_is_no_question(gateway: StandIn, sent: object):
    assert problem(post(create_app(gateway), "/v1/reconcile", sent), 400)["detail"].startswith("the body is not")


def test_breaks_are_those_that_are_open_unless_all_are_asked_for(gateway: StandIn):
    app = create_app(gateway)
    assert [row["status"] for row in ask(app, "/v1/breaks").json()["rows"]] == ["open"]
    assert [row["status"] for row in ask(app, "/v1/breaks", {"status": "all"}).json()["rows"]] == ["gone"]


def test_a_comment_goes_to_the_break_that_is_named(gateway: StandIn):
    answer = post(create_app(gateway), "/v1/breaks/1", {"comment": "the broker confirms"})
    assert answer.json() == {"break_id": 1, "comment": "the broker confirms", "actor": "local"}


@pytest.mark.parametrize("named", ["2", "0", "x", "\u0663", "1" * 40])
def test_a_break_that_never_was_is_unknown(gateway: StandIn, named: str):
    assert "unknown break" in problem(post(create_app(gateway), f"/v1/breaks/{named}", {"comment": "?"}), 404)["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"comment": 1},
        {"comment": "x" * (MAX_COMMENT_CHARS + 1)},
        {"comment": "x", "status": "gone"},
        {"comment": " "},
        {"comment": "\0"},
    ],
)
def test_a_comment_is_a_text_of_some_length_and_nothing_else(gateway: StandIn, sent: object):
    problem(post(create_app(gateway), "/v1/breaks/1", sent), 400)
