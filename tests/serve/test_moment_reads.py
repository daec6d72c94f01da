"""Reads with `as_of=`: which take it, what they say of the moment, what they refuse."""

import csv
import io

import pytest

from riskengine.serve.app import create_app
from riskengine.serve.operations import OPERATIONS
from tests.serve.stand_in import DAY, StandIn, ask, post, problem, traded
from tests.world import NOON, row

OF_A_MOMENT = [
    ("/v1/nodes", {}),
    ("/v1/nodes/FX", {}),
    ("/v1/positions", {}),
    ("/v1/ladder", {"node": "FX"}),
    ("/v1/dealers", {}),
    ("/v1/exposure", {"by": "sector"}),
    ("/v1/risk", {}),
    ("/v1/receipt", {"instrument": "EURUSD"}),
]


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded()


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


def test_these_take_it():
    takers = {each.path for each in OPERATIONS if {"as_of", "known"} & {parameter.name for parameter in each.parameters}}
    assert takers == {path.replace("/FX", "/{node:path}") for path, _ in OF_A_MOMENT} | SINCE_THEN


SINCE_THEN: set[str] = set()
"""Later routes about the past, with tests of their own."""


@pytest.mark.parametrize(("path", "query"), OF_A_MOMENT)
@pytest.mark.parametrize("known", [None, "then", "now"])
def test_an_answer_says_which_instant_it_is_and_what_is_unknown(gateway, app, path, query, known):
    asked = query | {"as_of": NOON - 5} | ({"known": known} if known else {})
    told = ask(app, path, asked).json()
    expected = {"asked": NOON - 5, "exact_at": gateway.engine.snapshot.as_of, "known": known or "then", "unknown": ["a sentence"]}
    assert told.pop("moment") == expected
    assert told == ask(app, path, query).json(), "the rest is the answer of that snapshot"


def test_a_time_may_be_written_out(app):
    assert ask(app, "/v1/nodes", {"as_of": "2026-03-04T12:00:00Z"}).json()["moment"]["asked"] == NOON


def test_an_answer_as_csv_says_it_in_its_header(app):
    answer = ask(app, "/v1/ladder", {"as_of": NOON - 5, "format": "csv"})
    assert list(csv.DictReader(io.StringIO(answer.body.decode())))
    headers = {name: value for name, value in answer.headers.items() if name.startswith("riskengine-")}
    assert headers == headers | {
        "riskengine-asked": str(NOON - 5),
        "riskengine-exact-at": str(NOON),
        "riskengine-known": "then",
        "riskengine-unknown": "a sentence",
    }


def test_an_answer_about_the_past_is_never_taken_for_one_of_now(gateway, app):
    first = ask(app, "/v1/nodes", {"as_of": NOON})
    assert "etag" not in first.headers, "what is known now of then may change"
    assert "moment" not in ask(app, "/v1/nodes").json()


@pytest.mark.parametrize(("path", "query"), OF_A_MOMENT)
@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"as_of": "yesterday"}, 400, "as_of"),
        ({"as_of": "2026-03-04T12:00:00"}, 400, "as_of"),
        ({"as_of": ""}, 400, "as_of"),
        ({"as_of": NOON + 1}, 400, "as_of"),
        ({"as_of": NOON, "seq": 1}, 400, "seq"),
        ({"known": "now"}, 400, "known"),
        ({"as_of": NOON, "known": "later"}, 400, "known"),
        ({"as_of": NOON - 2 * DAY}, 404, None),
    ],
)
def test_what_is_no_moment_is_refused_and_named(app, path, query, wrong, status, field):
    told = problem(ask(app, path, query | wrong), status, field)
    if status == 404:
        assert told["type"] == "urn:riskengine:before-the-store"


def test_before_the_engine_is_live_nobody_knows_the_past():
    gateway = StandIn()
    gateway.state = "loading"
    problem(ask(create_app(gateway), "/v1/nodes", {"as_of": NOON}), 503)


def test_a_receipt_of_a_moment_needs_no_writer_and_survives_later_trades(gateway):
    app = create_app(gateway)
    query = {"instrument": "EURUSD", "node": "FX1", "as_of": NOON}
    assert ask(app, "/v1/receipt", query).json()["positions"]
    assert post(app, "/v1/trades", row("after-that")).status == 200
    assert ask(app, "/v1/receipt", query).status == 200
    problem(ask(app, "/v1/receipt", query | {"node": "NOWHERE"}), 404)
