"""`/v1/var` and `/v1/var/nodes` as a client sees them."""

import csv
import io
import math
from decimal import Decimal
from typing import Any

import pytest
from starlette.types import ASGIApp

from riskengine.errors import TooBusy
from riskengine.serve.app import create_app
from tests.scenarios_data import stored, walks
from tests.serve.guarded import Guarded
from tests.serve.stand_in import MIDS, StandIn, ask, post, problem
from tests.world import NOON, row

DEALS = (
    row("1", quantity="1000000", price="1.19"),
    row("2", desk="FX2", dealer="bob", instrument="GBPUSD", quantity="500000", price="1.51", side="sell"),
    row("3", desk="EQ1", instrument="ACME", quantity="2000", price="41"),
    row("4", desk="EQ1", instrument="GHOST", quantity="7", price="3"),
)


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    house = StandIn()
    app = create_app(house)
    assert post(app, "/v1/trades", list(DEALS)).json()["counts"]["applied"] == len(DEALS)
    ticks = [{"instrument": name, "ts": NOON, "mid": mid, "source": "feed"} for name, mid in MIDS.items()]
    assert post(app, "/v1/ticks", ticks).json()["accepted"] == len(MIDS)
    house.workbench.take_closes(stored(walks(MIDS, 300)))
    return house


@pytest.fixture(scope="module")
def app(gateway: StandIn) -> ASGIApp:
    return create_app(gateway)


def test_the_answer_says_by_which_rule_it_was_made_and_what_is_not_in_it(app: ASGIApp) -> None:
    told = ask(app, "/v1/var").json()
    rule = {name: told[name] for name in ("method", "confidence", "es_convention", "scenarios", "fewest", "by", "node", "dealer")}
    assert rule == {
        "method": "historical",
        "confidence": "0.99",
        "es_convention": "fractional_tail_mean",
        "scenarios": 299,
        "fewest": 250,
        "by": "node",
        "node": "ALL",
        "dealer": None,
    }
    assert told["unknown"] == [{"instrument": "GHOST", "reason": "it has no price"}]
    assert (told["begins"], told["ends"]) < ("2026-03-03", "2026-03-04")
    assert told["policies"]["reporting_currency"] == "USD"


@pytest.mark.parametrize("by", ["node", "instrument"])
def test_contributions_sum_to_the_figures(app: ASGIApp, by: str) -> None:
    told = ask(app, "/v1/var", {"by": by}).json()
    for name in ("var", "es"):
        parts = math.fsum(row[f"{name}_contribution"] or 0.0 for row in told["rows"])
        assert parts == pytest.approx(told[name], rel=1e-12)


def test_a_dealer_and_a_leaf_are_told_by_instrument(app: ASGIApp) -> None:
    dealer = ask(app, "/v1/var", {"dealer": "bob"}).json()
    leaf = ask(app, "/v1/var", {"node": "FX2"}).json()
    assert (dealer["by"], leaf["by"]) == ("instrument", "instrument")
    assert dealer["rows"] == leaf["rows"]
    assert [row["instrument"] for row in leaf["rows"]] == ["GBPUSD"]


def test_scenarios_are_listed_with_the_weight_of_each_in_the_tail(app: ASGIApp) -> None:
    told = ask(app, "/v1/var", {"node": "FX", "by": "scenario"}).json()
    assert told["total"] == 299
    assert math.fsum(row["tail_weight"] for row in told["rows"]) == pytest.approx(1.0)


def test_every_node_with_children_has_a_row_with_the_same_figures(app: ASGIApp) -> None:
    rows = ask(app, "/v1/var/nodes").json()["rows"]
    assert [(row["node"], row["parent"]) for row in rows] == [("ALL", None), ("CASH", "ALL"), ("FX", "ALL"), ("G10", "FX")]
    for each in rows:
        assert each["var"] == pytest.approx(ask(app, "/v1/var", {"node": each["node"]}).json()["var"], rel=1e-12)


def test_exact_figures_are_decimal_texts_and_csv_has_the_rows(app: ASGIApp) -> None:
    plain, exact = (ask(app, "/v1/var", query).json() for query in ({}, {"exact": "true"}))
    assert float(Decimal(exact["var"])) == plain["var"]
    lines = list(csv.DictReader(io.StringIO(ask(app, "/v1/var", {"format": "csv"}).body.decode())))
    assert [line["node"] for line in lines] == [row["node"] for row in plain["rows"]]


def test_intraday_figures_without_minutes_are_unknown(app: ASGIApp) -> None:
    told = ask(app, "/v1/var", {"method": "intraday"}).json()
    assert (told["var"], told["es"], told["scenarios"], told["fewest"], told["begins"]) == (None, None, 0, 60, None)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"node": "NOBODY"}, 404),
        ({"dealer": "nobody"}, 404),
        ({"node": "FX", "dealer": "bob"}, 400),
        ({"node": "FX1", "by": "node"}, 400),
        ({"by": "sector"}, 400),
        ({"method": "guess"}, 400),
    ],
)
def test_a_question_that_has_no_answer_says_why(app: ASGIApp, query: dict[str, str], status: int) -> None:
    assert problem(ask(app, "/v1/var", query), status)["detail"]


def test_too_many_questions_at_once_are_told_to_come_back() -> None:
    house: Any = StandIn()
    house.broken = TooBusy("17 questions about scenarios wait already: ask again later")
    answer = ask(create_app(house), "/v1/var")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")


def test_a_token_sees_the_figures_of_its_own_desks_alone(tmp_path: Any) -> None:
    house = Guarded(tmp_path).with_trades()
    assert house.ask("dealer", "/v1/var", {"node": "OURDESK"}).json()["var"] > 0.0
    assert [house.ask("dealer", "/v1/var", {"node": node}).status for node in ("ALL", "ZETADESK", "nobody")] == [403] * 3
    assert [row["node"] for row in house.ask("only node", "/v1/var/nodes").json()["rows"]] == ["OURBOOK"]
    assert house.ask("only node", "/v1/var/nodes").json()["rows"][0]["parent"] is None
