"""`/v1/cash`, `/v1/carry` and `/v1/cashladder` as a client sees them."""

import csv
import io

import pytest

from riskengine.serve.answers.shapes import AWAITING_FIXING, CASH_FLOW, names
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, problem
from tests.world import NOON, reference, row

MOVEMENT = {"cash_id": "C1", "node": "FX", "currency": "EUR", "ts": NOON, "amount": "12.5"}
CARRY = {"carry_id": "K1", "desk": "FX1", "instrument": "EURUSD", "ts": NOON, "amount": -3, "type": "funding"}


@pytest.fixture
def gateway() -> StandIn:
    return StandIn()


@pytest.fixture
def app(gateway):
    return create_app(gateway)


def test_records_are_answered_one_by_one_and_a_bad_one_does_not_harm_the_others(app):
    bad = [
        MOVEMENT | {"cash_id": "C2", "node": "NOWHERE"},
        MOVEMENT | {"cash_id": "C3", "currency": "XYZ"},
        MOVEMENT | {"cash_id": "C4", "amout": 1},
        MOVEMENT | {"cash_id": "C5", "amount": "1e16"},
    ]
    told = post(app, "/v1/cash", [MOVEMENT, *bad]).json()
    assert told["results"][0] == {"cash_id": "C1", "version": 1, "status": "applied", "reason": ""}
    assert [result["reason"] for result in told["results"][1:]] == [
        "node: unknown node 'NOWHERE'",
        "currency: no instrument has the currency 'XYZ', so it never gets a rate",
        "amout: is not a field of a movement: did you mean amount?",
        "amount: is larger than 1e15",
    ]
    assert (told["counts"]["applied"], told["counts"]["rejected"]) == (1, 4)
    assert [error["index"] for error in told["errors"]] == [1, 2, 3, 4]
    nodes = {each["node"]: each["nav"] for each in ask(app, "/v1/nodes", {"seq": told["seq"]}).json()["rows"]}
    assert (nodes["FX"], nodes["FX1"]) == (None, 0.0)  # no rate of the euro yet


def test_carry_is_taken_alike_and_read_in_the_row_of_its_position(app):
    told = post(app, "/v1/carry", CARRY).json()
    assert told["results"] == [{"carry_id": "K1", "version": 1, "status": "applied", "reason": ""}]
    [found] = ask(app, "/v1/ladder", {"node": "FX1"}).json()["rows"]
    assert (found["net_cash"], found["realised_pnl"], found["trade_count"]) == (-3.0, -3.0, 0)
    kept_out = post(app, "/v1/carry", CARRY | {"carry_id": "K2", "ts": NOON + 120_000_000}).json()
    assert kept_out["results"][0]["status"] == "quarantined"
    listed = ask(app, "/v1/exceptions", {"kind": "quarantined"}).json()["rows"]
    assert [(each["id"], each["detail"]["record"]) for each in listed] == [("quarantined:carry:K2:1", "carry")]


@pytest.mark.parametrize("body", [b"", b"[1", b'"x"', b"[[1]]"])
def test_a_body_that_holds_no_records_is_refused(app, body):
    answer = post(app, "/v1/carry", body)
    if answer.status == 200:
        assert answer.json()["counts"]["rejected"] == 1
    else:
        problem(answer, 400)


def test_the_ladder_is_a_list_like_any_other(app):
    post(app, "/v1/trades", [row("1"), row("2", instrument="ACME", desk="EQ1", price="10", quantity="2")])
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.25}])
    told = ask(app, "/v1/cashladder").json()
    assert [tuple(each) for each in told["rows"]] == [names(CASH_FLOW)] * 3
    flows = {(each["currency"], each["bucket"]): (each["amount"], each["amount_reporting"]) for each in told["rows"]}
    assert flows == {("EUR", "spot"): (100.0, 125.0), ("USD", "spot"): (-110.0, -110.0), ("USD", "tom"): (-20.0, -20.0)}
    assert (told["node"], told["today"], told["total"], told["reporting_currency"]) == ("ALL", "2026-03-04", 3, "USD")
    exact = ask(app, "/v1/cashladder", {"exact": "true", "currency": "EUR", "node": "FX"}).json()
    assert [(each["amount"], each["amount_reporting"]) for each in exact["rows"]] == [("100", "125.0")]
    header, *lines = csv.reader(io.StringIO(ask(app, "/v1/cashladder", {"format": "csv"}).body.decode(), newline=""))
    assert (header, len(lines)) == (list(names(CASH_FLOW)), 3)
    assert ask(app, "/v1/cashladder", {"node": "NOWHERE"}).status == 404


def test_what_waits_for_its_fixing_is_told_beside_the_rows():
    pair = {"instrument": "USDKRW", "kind": "fx", "base_currency": "USD", "quote_currency": "KRW"}
    terms = {"kind": "fx_forward", "expiry": "2026-03-18", "fixing_date": "2026-03-16", "settlement_currency": "USD"}
    app = create_app(StandIn(reference(rows=[pair, pair | terms | {"instrument": "NDF1"}])))
    post(app, "/v1/trades", row("1", instrument="NDF1", price="1350"))
    told = ask(app, "/v1/cashladder").json()
    assert told["rows"] == []
    [waiting] = told["awaiting_fixing"]
    assert tuple(waiting) == names(AWAITING_FIXING)
    assert (waiting["instrument"], waiting["quantity"], waiting["amount_expected"]) == ("NDF1", 100.0, None)
    assert ask(app, "/v1/cashladder", {"exact": "true"}).json()["awaiting_fixing"][0]["quantity"] == "100.0"


def test_a_ladder_of_an_older_snapshot_is_had_until_the_next_trade(app, gateway):
    post(app, "/v1/trades", row("1"))
    seq = gateway.recent.newest.seq
    gateway.publish()
    assert ask(app, "/v1/cashladder", {"seq": seq}).json()["seq"] == seq
    post(app, "/v1/trades", row("2"))
    assert ask(app, "/v1/cashladder", {"seq": seq}).status == 410


def test_a_ladder_of_more_positions_than_one_step_is_the_same(app, monkeypatch):
    post(
        app,
        "/v1/trades",
        [row(str(number), desk=desk, quantity=str(number)) for number, desk in enumerate(("FX1", "FX2", "EM1"), 1)],
    )
    whole = ask(app, "/v1/cashladder").json()["rows"]
    monkeypatch.setattr("riskengine.engine.cash_ladder.AT_ONCE", 1)
    assert ask(app, "/v1/cashladder").json()["rows"] == whole


@pytest.mark.parametrize(("path", "record"), [("/v1/cash", MOVEMENT), ("/v1/carry", CARRY)])
def test_a_version_that_json_cannot_carry_is_refused_and_its_batch_is_answered(app, path, record):
    results = post(app, path, [record, record | {"version": 2**64}]).json()["results"]
    assert [(each["version"], each["status"]) for each in results] == [(1, "applied"), (None, "rejected")]
    assert results[1]["reason"].startswith("version: must be 1 to ")
