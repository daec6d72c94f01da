"""`GET /v1/explain`: what it says of two ends, its sums and rows, what it refuses."""

import csv
import io
from decimal import Decimal

import pytest

from riskengine.serve.answers.explain_shapes import EXPLAIN
from riskengine.serve.answers.shapes import names
from riskengine.serve.app import create_app
from riskengine.snapshot.explain import LINES, NET_LINES
from tests.serve.stand_in import DAY, StandIn, ask, newest, problem, traded
from tests.world import NOON


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded()


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


def total(amounts):
    return sum(map(Decimal, amounts), Decimal(0)) if amounts else Decimal(0)


def test_both_ends_stand_beside_the_lines_that_lead_from_one_to_the_other(gateway, app):
    told = ask(app, "/v1/explain", {"from": NOON, "exact": "true"}).json()
    assert (told["node"], told["seq"], told["reporting_currency"]) == ("ALL", newest(gateway).seq, "USD")
    assert tuple(told["lines"]) == NET_LINES
    assert told["from"]["unknown"] == ["a sentence"]
    assert Decimal(told["from"]["net_pnl"]) + total(told["lines"].values()) == Decimal(told["to"]["net_pnl"])
    assert total(told["lines"][line] for line in LINES) == Decimal(told["total_pnl"])
    assert told["total"] == len(told["rows"]) > 0


def test_the_end_is_what_the_node_shows(app):
    told, shown = ask(app, "/v1/explain", {"from": NOON, "node": "FX1"}).json(), ask(app, "/v1/nodes/FX1").json()["rows"][0]
    assert told["to"]["total_pnl"] == pytest.approx(shown["total_pnl"], abs=1e-9)
    assert told["to"]["fees"] == pytest.approx(shown["fees"], abs=1e-9)


def test_rows_sum_to_the_lines(app):
    told = ask(app, "/v1/explain", {"from": NOON, "exact": "true"}).json()
    for line in NET_LINES:
        assert total([row[line] for row in told["rows"] if row[line] is not None]) == Decimal(told["lines"][line]), line


def test_what_has_no_price_says_so_and_has_no_other_lines(app):
    rows = {row["instrument"]: row for row in ask(app, "/v1/explain", {"from": NOON}).json()["rows"]}
    ghost, euro = rows["GHOST"], rows["EURUSD"]
    assert (ghost["reason"], ghost["unpriced_count"], ghost["price"], ghost["trades"]) == (
        "positions without a price or a rate",
        1,
        None,
        None,
    )
    assert [ghost[field] for field in ("unpriced", "total_pnl", "net_pnl")] == [None] * 3, "unknown is never 0"
    assert (euro["reason"], euro["unpriced"], euro["unexplained"]) == (None, 0.0, 0.0)


def test_rows_are_sorted_and_come_as_csv(app):
    sorted_rows = ask(app, "/v1/explain", {"from": NOON, "sort": "-trades", "exact": "true"}).json()["rows"]
    known = [Decimal(row["trades"]) for row in sorted_rows if row["trades"] is not None]
    assert known == sorted(known, reverse=True)
    answer = ask(app, "/v1/explain", {"from": NOON, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert tuple(rows[0]) == names(EXPLAIN)
    assert answer.headers["riskengine-total"] == str(len(rows))


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"from": "yesterday"}, 400, "from"),
        ({"from": "2026-02-30"}, 400, "from"),
        ({"to": NOON + DAY}, 400, "to"),
        ({"from": NOON + DAY}, 400, "from"),
        ({"from": NOON, "to": NOON - 1}, 400, "from"),
        ({"from": "2026-03-03", "to": "2026-03-02"}, 400, "from"),
        ({"from": NOON - 2 * DAY}, 404, None),
        ({"from": "2026-03-02"}, 404, None),
        ({"from": NOON, "node": "nowhere"}, 404, None),
        ({"from": NOON, "node": "bob"}, 404, None),
        ({"from": NOON, "dealer": "bob"}, 400, "dealer"),
        ({"from": NOON, "sort": "colour"}, 400, "sort"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(app, query, status, field):
    problem(ask(app, "/v1/explain", query), status, field)


def test_a_dealer_is_told_apart_from_a_name_that_nobody_has(app):
    assert "it is a dealer" in problem(ask(app, "/v1/explain", {"from": NOON, "node": "bob"}), 404)["detail"]


def test_an_engine_that_is_not_live_says_so():
    gateway = StandIn()
    gateway.state = "loading"
    problem(ask(create_app(gateway), "/v1/explain", {"from": NOON}), 503)
