"""`GET /v1/groups`: what each counterparty or strategy has of every line of a ladder."""

import csv
import io
from decimal import Decimal

import pytest

from riskengine.serve.answers.shapes import GROUP, names
from riskengine.serve.app import create_app
from riskengine.snapshot.rows import node_row
from tests.serve.stand_in import StandIn, ask, newest, post, problem
from tests.world import NOON, row


@pytest.fixture(scope="module")
def gateway():
    found = StandIn()
    app = create_app(found)
    post(
        app,
        "/v1/trades",
        [
            row("1", counterparty="ALPHA", strategy="carry", fees="0.1"),
            row("2", counterparty="BETA", side="sell", quantity="30.5", price="1.2"),
            row("3", counterparty="ALPHA", desk="FX2", dealer="bob"),
            row("4", instrument="ACME", desk="EQ1", quantity="5", price="90", counterparty="=BETA"),
        ],
    )
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.25}, {"instrument": "ACME", "ts": NOON, "mid": 91}])
    return found


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


def test_rows_are_by_line_and_group_and_add_up_to_the_ladder(gateway, app):
    told = ask(app, "/v1/groups", {"exact": "true"}).json()
    assert [(one["instrument"], one["group"], one["kind"]) for one in told["rows"]] == [
        ("ACME", "=BETA", "trades"),
        ("EURUSD", "ALPHA", "trades"),
        ("EURUSD", "BETA", "trades"),
    ]
    assert all(tuple(one) == names(GROUP) for one in told["rows"])
    assert (told["by"], told["node"], told["dealer"], told["total"]) == ("counterparty", "ALL", None, 3)
    lines = {one["instrument"]: one for one in ask(app, "/v1/ladder", {"exact": "true"}).json()["rows"]}
    euro = [one for one in told["rows"] if one["instrument"] == "EURUSD"]
    for field in ("quantity", "net_cash"):
        assert sum(Decimal(one[field]) for one in euro) == Decimal(lines["EURUSD"][field])


def test_the_row_of_the_owner_stands_beside_them_in_the_same_snapshot(gateway, app):
    told = ask(app, "/v1/groups", {"by": "strategy", "node": "FX2"}).json()
    snapshot = newest(gateway)
    assert told["whole"] == node_row(snapshot, snapshot.reference.hierarchy.index["FX2"])
    assert [(one["group"], one["quantity"]) for one in told["rows"]] == [("", 100.0)]
    bobs = ask(app, "/v1/groups", {"dealer": "bob"}).json()
    assert (bobs["whole"]["dealer"], [one["group"] for one in bobs["rows"]]) == ("bob", ["ALPHA"])


def test_as_csv_it_is_safe_to_open_and_null_is_empty(app):
    answer = ask(app, "/v1/groups", {"format": "csv", "sort": "-quantity"})
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert tuple(rows[0]) == names(GROUP)
    assert [one["group"] for one in rows] == ["ALPHA", "'=BETA", "BETA"]
    assert rows[0]["realised_pnl"] == ""


def test_one_instrument_can_be_asked_for(app):
    assert [one["group"] for one in ask(app, "/v1/groups", {"instrument": "ACME"}).json()["rows"]] == ["=BETA"]
    assert ask(app, "/v1/groups", {"instrument": "ACME", "node": "FX"}).json()["rows"] == []
    problem(ask(app, "/v1/groups", {"instrument": "NONE"}), 404)


@pytest.mark.parametrize(
    ("query", "status"),
    [({"by": "broker"}, 400), ({"node": "FX", "dealer": "ann"}, 400), ({"node": "nowhere"}, 404), ({"dealer": "nobody"}, 404)],
)
def test_a_wrong_question_is_refused(app, query, status):
    problem(ask(app, "/v1/groups", query), status)
