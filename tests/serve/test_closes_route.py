"""`/v1/closes` as a client sees it: positions as a day closed them, and official prices in."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from riskengine.errors import StoreUnavailable
from riskengine.records.closes import ClosedPosition, ClosePrice
from riskengine.records.types import CASH_ONE, ONE, Close
from riskengine.serve.answers.shapes import OF_CLOSED_DEALER, OF_CLOSED_NODE, names
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, problem, traded
from tests.struck import TS, a_close, a_totals

PRICES = {"EURUSD": ClosePrice(1.15, TS - 1, "ebs"), "ESZ6": ClosePrice(6_800.25, TS, "close", True)}
NODES = (
    ClosedPosition("EQ1", "ESZ6", 2 * ONE, -500_000 * CASH_ONE, 5_000.0, {}),
    ClosedPosition("EQ1", "GHOST", 7 * ONE, -21 * CASH_ONE, 3.0, {}),
    ClosedPosition("EQ1", "MAREL", 0, 5 * CASH_ONE, None, {}),
    ClosedPosition("FX1", "EURUSD", 3 * 10**20 + 1, -11 * 10**29 - 3, 1.1, {}),
    ClosedPosition("FX2", "GONE", ONE, -CASH_ONE, 1.0, {}),
    ClosedPosition("FX2", "USDJPY", 0, -7 * CASH_ONE, None, {}),
)
DEALERS = (ClosedPosition("ann", "EURUSD", ONE, -CASH_ONE, 1.0, {}), ClosedPosition("bob", "EURUSD", -ONE, CASH_ONE, 1.0, {}))


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    gateway = traded()
    common: dict[str, Any] = {"dealers": DEALERS, "dealer_totals": a_totals(), "node_totals": a_totals(), "openings": ()}
    rates = {"USD": 1.0, "EUR": 1.15, "JPY": 0.01}
    gateway.struck["2026-11-30"] = a_close("2026-11-30", nodes=NODES[:1], prices={}, rates=rates, **common)
    gateway.struck["2026-12-01"] = a_close("2026-12-01", 2, nodes=NODES, prices=PRICES, rates=rates, **common)
    return gateway


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


def rows(app: Any, **query: str) -> list[dict[str, Any]]:
    return list(ask(app, "/v1/closes", query).json()["rows"])


def test_without_a_word_it_is_the_newest_close_of_all_leaves(app):
    told = ask(app, "/v1/closes").json()
    assert (told["date"], told["version"], told["ts"], told["node"], told["dealer"]) == ("2026-12-01", 2, TS, "ALL", None)
    assert told["total"] == len(NODES) and [(row["node"], row["instrument"]) for row in told["rows"]] == [
        each[:2] for each in NODES
    ]
    assert {tuple(row) for row in told["rows"]} == {names(OF_CLOSED_NODE)}


def test_a_row_is_the_position_valued_at_the_close(app):
    found = {row["instrument"]: row for row in rows(app)}
    assert found["ESZ6"] == {
        "date": "2026-12-01",
        "version": 2,
        "node": "EQ1",
        "instrument": "ESZ6",
        "quantity": 2.0,
        "net_cash": -500_000.0,
        "average_price": 5_000.0,
        "price": 6_800.25,
        "rate": 1.0,
        "total_pnl": -500_000.0 + 2 * 50 * 6_800.25,
        "official": True,
    }
    assert found["EURUSD"]["official"] is False and found["EURUSD"]["price"] == 1.15


def test_what_the_close_does_not_know_is_null_and_a_flat_position_needs_a_rate_alone(app):
    found = {row["instrument"]: row for row in rows(app)}
    assert [found["GHOST"][name] for name in ("price", "rate", "total_pnl", "official")] == [None, 1.0, None, None]
    assert [found["MAREL"][name] for name in ("price", "rate", "total_pnl", "average_price")] == [None, None, None, None]
    assert [found["USDJPY"][name] for name in ("price", "rate", "total_pnl")] == [None, 0.01, -0.07]
    assert found["GONE"]["total_pnl"] is None and found["GONE"]["quantity"] == 1.0, "of an instrument that was removed"


def test_a_date_and_an_owner_choose(app):
    assert [row["instrument"] for row in rows(app, date="2026-11-30")] == ["ESZ6"]
    assert [row["node"] for row in rows(app, node="FX")] == ["FX1", "FX2", "FX2"]
    assert rows(app, node="EM1") == []
    [row] = rows(app, dealer="bob")
    assert (row["dealer"], row["quantity"], tuple(row)) == ("bob", -1.0, names(OF_CLOSED_DEALER))


def test_a_page_of_it_and_all_of_it(app):
    told = ask(app, "/v1/closes", {"limit": "2", "offset": "1"}).json()
    assert told["total"] == len(NODES) and [row["instrument"] for row in told["rows"]] == ["GHOST", "MAREL"]


def test_exact_numbers_lose_nothing(app):
    [row] = rows(app, node="FX1", exact="true")
    assert Decimal(row["quantity"]) == Decimal(3 * 10**20 + 1) / 10**10
    assert row["net_cash"] == "-110." + "0" * 27 + "3" and row["price"] == "1.15" and row["official"] is False


def test_as_csv(app):
    told = ask(app, "/v1/closes", {"format": "csv", "node": "EQ1"})
    header, *lines = csv.reader(io.StringIO(told.body.decode(), newline=""))
    assert header == list(names(OF_CLOSED_NODE)) and told.headers["riskengine-total"] == "3"
    assert [dict(zip(header, line, strict=True))["official"] for line in lines] == ["true", "", ""]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"date": "2026-12-02"}, 404, None),
        ({"date": "yesterday"}, 400, "date"),
        ({"date": ""}, 400, "date"),
        ({"node": "FX", "dealer": "bob"}, 400, "dealer"),
        ({"node": "NOWHERE"}, 404, None),
        ({"dealer": "nobody"}, 404, None),
        ({"sort": "price"}, 400, "sort"),
    ],
    ids=str,
)
def test_a_wrong_question_is_refused_by_name(app, query, status, field):
    problem(ask(app, "/v1/closes", query), status, field)


def test_before_the_first_close_there_is_none():
    assert "no close is struck yet" in problem(ask(create_app(StandIn()), "/v1/closes"), 404)["detail"]


# Official closes in


def test_posted_closes_are_answered_one_by_one():
    gateway = StandIn()
    sent = [
        {"date": "2026-12-01", "instrument": "EURUSD", "price": "1.15"},
        {"date": "2026-12-01", "instrument": "NONE", "price": 1},
        {"date": "2026-12-41", "instrument": "EURUSD", "price": 1},
        {"date": "2026-12-01", "instrument": "EURUSD"},
        {"date": "2026-12-01", "instrument": "EURUSD", "price": 1, "prise": 2},
        {"date": "2026-12-01", "instrument": "EURUSD", "price": -1},
        5,
        {"date": "2026-12-01", "instrument": "ESZ6", "price": -0.5},
    ]
    told = post(create_app(gateway), "/v1/closes", sent).json()
    assert [result["status"] for result in told["results"]] == ["applied", *["rejected"] * 6, "applied"]
    assert told["counts"] == {"applied": 2, "duplicate": 0, "rejected": 6}
    assert [error["index"] for error in told["errors"]] == [1, 2, 3, 4, 5, 6]
    assert "price" in told["results"][4]["reason"] and told["results"][6]["instrument"] is None
    assert gateway.official == [Close("2026-12-01", "EURUSD", 1.15), Close("2026-12-01", "ESZ6", -0.5)]


def test_one_close_needs_no_list_and_a_store_that_is_away_takes_none():
    gateway = StandIn()
    sent = {"date": "2026-12-01", "instrument": "EURUSD", "price": 1.15}
    assert post(create_app(gateway), "/v1/closes", sent).json()["counts"]["applied"] == 1
    gateway.broken = StoreUnavailable("away")
    problem(post(create_app(gateway), "/v1/closes", sent), 503)
    gateway.state = "loading"
    problem(post(create_app(gateway), "/v1/closes", sent), 503)
    gateway.state = "live"
    problem(post(create_app(gateway), "/v1/closes", b"{"), 400)
