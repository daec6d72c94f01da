"""`/v1/history` as a client sees it."""

import csv
import datetime as dt
import io

import pytest

from riskengine.clock import ManualClock
from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import MEASURES
from riskengine.serve.access import identity
from riskengine.serve.answers.shapes import POINT, names
from riskengine.serve.app import create_app
from riskengine.snapshot.curves import sample
from riskengine.snapshot.rows import dealer_rows, node_rows
from riskengine.views.grants import Grants, Principal
from tests.serve.stand_in import StandIn, ask, newest, problem, traded
from tests.world import NOON, SECOND, quote, reference

MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    """Ten minutes of a falling and rising EURUSD."""
    clock = ManualClock(NOON)
    gateway = traded(clock=clock)
    for minute in range(10):
        gateway.curves.add(sample(newest(gateway), 1_000))
        clock.advance(MINUTE)
        price = 1.2 + (minute - 5) ** 2 / 100
        gateway.quotes.offer([quote("EURUSD", price, price, clock.now())], clock.now())
        gateway.engine.beat(gateway.quotes.take(), clock.now())
        gateway.publish()
    return gateway


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_curve_ends_with_the_snapshot_s_own_number(gateway, app, measure):
    told = ask(app, "/v1/history", {"node": "FX1", "measure": measure}).json()
    [row] = [row for row in node_rows(newest(gateway)) if row["node"] == "FX1"]
    assert [told["node"], told["measure"], told["seq"], told["total"]] == ["FX1", measure, newest(gateway).seq, 11]
    amount = row.get(measure)
    assert told["rows"][-1] == {"ts": told["as_of"], "value": amount, "min": amount, "max": amount, "samples": 1}
    assert [point["ts"] for point in told["rows"]] == [NOON + minute * MINUTE for minute in range(11)]
    assert told["reporting_currency"] == "USD"


def test_without_words_it_is_the_total_of_the_root(gateway, app):
    told = ask(app, "/v1/history").json()
    assert [told["node"], told["measure"], told["bucket_s"]] == ["ALL", "total_pnl", None]
    assert told["rows"][-1]["value"] == node_rows(newest(gateway))[0]["total_pnl"]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_dealer_has_a_curve_that_ends_with_the_dealers_row(gateway, app, measure):
    told = ask(app, "/v1/history", {"dealer": "ann", "measure": measure}).json()
    [row] = [row for row in dealer_rows(newest(gateway)) if row["dealer"] == "ann"]
    assert (told["node"], told["dealer"], told["total"]) == (None, "ann", 11)
    values = [point["value"] for point in told["rows"]]
    assert values[-1] == row.get(measure)
    assert len(set(values)) > 5 or measure not in ("total_pnl", "unrealised_pnl"), "the price moves every minute"
    assert ask(app, "/v1/history").json()["dealer"] is None


def test_a_dealer_who_is_unknown_or_hidden_has_none(app, monkeypatch):
    problem(ask(app, "/v1/history", {"dealer": "nobody"}), 404)
    problem(ask(app, "/v1/history", {"dealer": "ann", "node": "FX1"}), 400, "dealer")
    monkeypatch.setattr(identity, "LOCAL", Principal("x", frozenset({"viewer"}), Grants(dealers=frozenset({"ann"}))))
    assert ask(app, "/v1/history", {"dealer": "ann"}).json()["total"] == 11
    for dealer in ("bob", "nobody", ""):
        problem(ask(app, "/v1/history", {"dealer": dealer}), 403)


def test_the_days_of_a_dealer_are_the_dealers_closes(gateway, app, monkeypatch):
    monkeypatch.setattr(gateway, "closes", {"ann": [(DAYS[-1], 1, {"total_pnl": 1.0})]})
    monkeypatch.setattr(gateway, "closes_of_dealers", {"ann": [(DAYS[-1], 1, {"total_pnl": 2.0})]})
    told = ask(app, "/v1/history", {"dealer": "ann", "days": 7}).json()
    assert (told["closes"], told["rows"][0]["value"]) == (1, 2.0)


def test_buckets_and_a_beginning(app):
    every = {point["ts"]: point["value"] for point in ask(app, "/v1/history", {"node": "FX1"}).json()["rows"]}
    told = ask(app, "/v1/history", {"node": "FX1", "bucket": "5m", "since": NOON + MINUTE}).json()
    assert told["bucket_s"] == 300
    assert [(point["ts"] - NOON, point["samples"]) for point in told["rows"]] == [(0, 4), (5 * MINUTE, 5), (10 * MINUTE, 1)]
    inside = [value for ts, value in every.items() if NOON + MINUTE <= ts < NOON + 5 * MINUTE]
    assert told["rows"][0] == {"ts": NOON, "value": inside[-1], "min": min(inside), "max": max(inside), "samples": 4}
    assert ask(app, "/v1/history", {"node": "FX1", "bucket": "300s", "since": NOON + MINUTE}).json()["rows"] == told["rows"]
    assert len(ask(app, "/v1/history", {"bucket": "1h"}).json()["rows"]) == 1


def test_as_csv_and_exact(app):
    text = ask(app, "/v1/history", {"node": "FX1", "format": "csv"}).body.decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == list(names(POINT))
    assert len(lines) == 11
    exact = ask(app, "/v1/history", {"node": "FX1", "exact": "true"}).json()["rows"]
    assert [float(point["value"]) for point in exact] == [float(line[1]) for line in lines]


def test_an_older_snapshot_ends_its_curve(gateway):
    app = create_app(gateway)
    seq = newest(gateway).seq
    before = ask(app, "/v1/history", {"seq": seq}).json()
    gateway.publish()
    assert ask(app, "/v1/history", {"seq": seq}).json() == before
    problem(ask(app, "/v1/history", {"seq": seq + 9}), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("measure=colour", "measure"),
        ("bucket=0s", "bucket"),
        ("bucket=5", "bucket"),
        ("bucket=25h", "bucket"),
        ("bucket=1d", "bucket"),
        ("bucket=-5m", "bucket"),
        ("since=yesterday", "since"),
        ("days=2", "days"),
        ("days=0", "days"),
        ("days=7&since=2026-03-04T00:00:00Z", "days"),
        ("offset=1", "offset"),
    ],
)
def test_a_bad_parameter_is_named(app, query, field):
    problem(ask(app, "/v1/history", query), 400, field)


def test_an_unknown_node_is_not_found_and_a_house_without_nodes_has_no_curve(app):
    problem(ask(app, "/v1/history", {"node": "NOWHERE"}), 404)
    told = ask(create_app(StandIn(reference({}, ()))), "/v1/history").json()
    assert [told["rows"], told["total"], told["node"]] == [[], 0, None]


def test_only_rows_that_are_granted_have_a_curve(app, monkeypatch):
    grants = Grants(nodes=frozenset({"FX1"}), totals=frozenset({"G10"}))
    monkeypatch.setattr(identity, "LOCAL", Principal("x", frozenset({"viewer"}), grants))
    for node in ("FX1", "G10"):
        assert ask(app, "/v1/history", {"node": node}).json()["total"] == 11
    for node in ("FX2", "FX", "ALL", "NOWHERE", "=x"):
        problem(ask(app, "/v1/history", {"node": node}), 403)
    problem(ask(app, "/v1/history"), 403)


# -- over days ---------------------------------------------------------------------------------------------------

DAYS = ("2025-06-02", "2026-02-16", "2026-02-27", "2026-03-02", "2026-03-03")
AT = [TradingDay.of(EngineConfig()).close_of(dt.date.fromisoformat(day)) for day in DAYS]


@pytest.fixture
def closed(gateway, monkeypatch):
    """Closes of five days, the last one before the samples. Without `realised_pnl`, which closes do not keep."""
    amounts = [(day, 1, {"total_pnl": 100.0 * place, "nav": None}) for place, day in enumerate(DAYS)]
    monkeypatch.setattr(gateway, "closes", {"FX1": [*amounts, (DAYS[-1], 2, {"total_pnl": 250.0, "nav": None})]})


@pytest.mark.parametrize(("days", "kept"), [(1, 1), (7, 3), (30, 4), (365, 5)])
def test_days_come_from_closes_and_today_from_the_minutes(app, closed, days, kept):
    minutes = ask(app, "/v1/history", {"node": "FX1"}).json()
    told = ask(app, "/v1/history", {"node": "FX1", "days": days}).json()
    values = [100.0 * place for place in range(4)] + [250.0]
    assert [(point["ts"], point["value"]) for point in told["rows"][:kept]] == list(zip(AT, values, strict=True))[-kept:]
    assert told["rows"][kept:] == minutes["rows"]
    assert (told["closes"], minutes["closes"]) == (kept, 0)
    assert told["rows"] == ask(app, "/v1/history", {"node": "FX1", "since": AT[-kept]}).json()["rows"]
    assert ask(app, "/v1/history", {"node": "FX2", "days": days}).json()["closes"] == 0


def test_a_measure_that_closes_do_not_keep_has_minutes_alone_and_an_unknown_close_is_null(app, closed):
    told = ask(app, "/v1/history", {"node": "FX1", "days": 30, "measure": "realised_pnl"}).json()
    assert (told["closes"], told["total"]) == (0, 11)
    told = ask(app, "/v1/history", {"node": "FX1", "days": 7, "measure": "nav"}).json()
    assert told["closes"] == 3 and [point["value"] for point in told["rows"][:3]] == [None] * 3
    assert told["rows"][3:] == ask(app, "/v1/history", {"node": "FX1", "measure": "nav"}).json()["rows"]
    told = ask(app, "/v1/history", {"node": "FX1", "measure": "day_pnl"}).json()
    assert {point["value"] for point in told["rows"]} == {None}, "no close has been struck"
    assert told["drawdown"] == {"amount": None, "peak_ts": None, "trough_ts": None}


def test_the_drawdown_is_of_every_point_before_they_are_put_together(app, closed):
    for query in ({"node": "FX1"}, {"node": "FX1", "days": "7"}):
        fine = ask(app, "/v1/history", query).json()
        known = [(point["ts"], point["value"]) for point in fine["rows"]]
        fall = max(high - low for at, (_, high) in enumerate(known) for _, low in known[at:])
        assert fall > 0 and fine["drawdown"]["amount"] == fall
        assert dict(known)[fine["drawdown"]["peak_ts"]] - dict(known)[fine["drawdown"]["trough_ts"]] == fall
        coarse = ask(app, "/v1/history", query | {"bucket": "24h"}).json()
        assert len(coarse["rows"]) < len(known) and coarse["drawdown"] == fine["drawdown"]
    exact = ask(app, "/v1/history", query | {"exact": "true"}).json()["drawdown"]
    assert isinstance(exact["amount"], str) and float(exact["amount"]) == fall


def test_days_are_granted_as_the_node_is(app, closed, monkeypatch):
    monkeypatch.setattr(identity, "LOCAL", Principal("x", frozenset({"viewer"}), Grants(nodes=frozenset({"FX2"}))))
    problem(ask(app, "/v1/history", {"node": "FX1", "days": 7}), 403)
    problem(ask(app, "/v1/history", {"node": "NOWHERE", "days": 7}), 403)
