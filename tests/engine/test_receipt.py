"""A receipt is enough to work out its cell without the engine, to the last digit and bit."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from riskengine.serve.app import create_app
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from tests.cash_records import carry
from tests.serve.stand_in import StandIn, ask, newest, problem, traded
from tests.world import opening, trade


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    stand_in = traded(count=250)
    stand_in.engine.open_with([opening(desk="FX2", dealer="cat", quantity="-500", average_price="1.25", realised="7")])
    stand_in.engine.apply([trade("late", ts=1_700_000_000_000_000, desk="FX2", fees="3", quantity="500")], stand_in.clock.now())
    entries = [
        carry("K1", "-12.25", instrument="EURUSD", desk="FX2", dealer="cat"),
        carry("K2", "3", instrument="EURUSD", desk="FX2", dealer="cat", currency="GBP", ts=1_700_000_000_000_000),
        carry("K3", "-400", instrument="EURUSD", desk="FX2", dealer="cat", currency="JPY"),
    ]
    stand_in.engine.take_cash(entries, stand_in.clock.now())
    stand_in.publish()
    return stand_in


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


def average_of(quantity: Fraction, average: float | None, signed: Fraction, price: float) -> float | None:
    """The table of ACCOUNTING section 1, in doubles."""
    after = quantity + signed
    if quantity == 0:
        return price
    if (quantity > 0) == (signed > 0):
        held, added = float(abs(quantity)), float(abs(signed))
        return (held * average + added * price) / (held + added)  # type: ignore[operator]
    return None if after == 0 else average if (after > 0) == (quantity > 0) else price


def recompute(answer: Mapping[str, Any]) -> dict[str, float | None]:
    """The cell's amounts, from nothing but the receipt."""
    multiplier = Fraction(answer["multiplier"])
    quantity = cash = cost = Fraction(0)
    is_open = False
    for position in answer["positions"]:
        held, paid, average = Fraction(0), Fraction(0), None
        for step in position["steps"]:
            signed = Fraction(step["signed_quantity"])
            if signed:
                average = average_of(held, average, signed, float(step["price"]))
            held, paid = held + signed, paid + Fraction(step["cash"])
            assert (held, paid) == (Fraction(step["quantity_after"]), Fraction(step["net_cash_after"]))
            assert average == (None if step["average_after"] is None else float(step["average_after"]))
        quantity, cash, cost = quantity + held, cash + paid, cost + Fraction(position["open_cost"])
        is_open = is_open or held != 0
        if average is not None:
            assert float(Fraction(position["open_cost"])) == pytest.approx(float(held * multiplier) * average, rel=1e-14)
    rate = None if answer["rate"]["value"] is None else 1.0
    for hop in answer["rate"]["path"] or ():
        rate *= 1.0 / float(hop["mid"]) if hop["inverse"] else float(hop["mid"])  # type: ignore[operator]
    price = answer["mark"]["price"]
    value = float(quantity * multiplier) * float(price) if price is not None else None if is_open else 0.0
    total = None if value is None else float(cash) + value
    unrealised = None if value is None else value - float(cost)
    kept: dict[str, Fraction] = {}
    for position in answer["positions"]:
        steps = [step["beside"] for step in position["steps"] if step.get("beside")]
        for code in position["beside"]:
            assert sum(Fraction(step.get(code, "0")) for step in steps) == Fraction(position["beside"][code])
            kept[code] = kept.get(code, Fraction(0)) + Fraction(position["beside"][code])
    beside: float = 0.0
    for code, amount in sorted(kept.items()):
        beside += float(amount) * float(answer["beside_rates"][code])
    return {
        "quantity": float(quantity),
        "net_cash": float(cash),
        "total_pnl_local": total,
        "unrealised_pnl_local": unrealised,
        "realised_pnl_local": float(cash + cost),
        "total_pnl": None if total is None or rate is None else total * rate + beside,
        "realised_pnl": None if rate is None else float(cash + cost) * rate + beside,
        "unrealised_pnl": None if unrealised is None or rate is None else unrealised * rate,
    }


def test_every_cell_of_every_node_and_dealer_comes_out_of_its_receipt(gateway, app):
    snapshot = newest(gateway)
    owners = [{"node": row["node"]} for row in node_rows(snapshot)] + [{"dealer": row["dealer"]} for row in dealer_rows(snapshot)]
    cells = 0
    for owner in owners:
        for row in ladder_rows(snapshot, **owner):
            answer = ask(app, "/v1/receipt", owner | {"instrument": row["instrument"]}).json()
            found = recompute(answer)
            assert {field: row[field] for field in found} == found
            assert answer["row"]["total_pnl"] == (None if found["total_pnl"] is None else answer["row"]["total_pnl"])
            cells += 1
    assert cells > 40


def test_the_arithmetic_names_each_amount_of_the_row(gateway, app):
    answer = ask(app, "/v1/receipt", {"node": "FX", "instrument": "EURUSD"}).json()
    steps = {step["name"]: step["result"] for step in answer["arithmetic"]}
    row = answer["row"]
    for field in ("total_pnl", "realised_pnl", "unrealised_pnl", "total_pnl_local", "realised_pnl_local", "unrealised_pnl_local"):
        assert float(steps[field]) == float(row[field])


def test_a_forward_has_a_receipt_with_its_steps():
    stand_in = StandIn()
    now = stand_in.clock.now()
    forward = trade("f", ts=now, received_ts=now, desk="FX2", quantity="100", value_date="2030-06-17")
    stand_in.engine.apply([forward], now)
    stand_in.publish()
    answer = ask(create_app(stand_in), "/v1/receipt", {"node": "FX2", "instrument": "EURUSD@2030-06-17"})
    [position] = answer.json()["positions"]
    assert [float(step["quantity_after"]) for step in position["steps"]] == [100.0]


def test_a_receipt_says_which_trades_which_mark_and_which_rate(app):
    answer = ask(app, "/v1/receipt", {"dealer": "", "instrument": "USDJPY"}).json()
    [hop] = answer["rate"]["path"]
    assert (answer["rate"]["from"], answer["rate"]["to"]) == ("JPY", "USD")
    assert (hop["instrument"], hop["mid"], hop["inverse"], hop["to"], hop["source"]) == ("USDJPY", "150.0", True, "USD", "feed")
    assert (answer["mark"]["price"], answer["mark"]["source"]) == ("150.0", "feed")
    step = answer["positions"][0]["steps"][0]
    assert {"source", "trade_id", "leg", "version", "ts", "desk", "dealer"} <= step["trade"].keys()


def test_an_instrument_that_was_never_traded_has_a_receipt_without_positions(app):
    answer = ask(app, "/v1/receipt", {"node": "EM1", "instrument": "ESZ6"}).json()
    assert (answer["row"], answer["positions"], answer["arithmetic"]) == (None, [], [])


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({}, 400, "instrument: is missing"),
        ({"node": "FX", "dealer": "ann", "instrument": "EURUSD"}, 400, "cannot be combined with node"),
        ({"node": "NOWHERE", "instrument": "EURUSD"}, 404, "unknown node 'NOWHERE'"),
        ({"dealer": "nobody", "instrument": "EURUSD"}, 404, "unknown dealer 'nobody'"),
        ({"instrument": "NOTHING"}, 404, "unknown instrument 'NOTHING'"),
    ],
)
def test_a_question_without_an_answer_is_refused_with_the_reason(app, query, status, message):
    assert message in problem(ask(app, "/v1/receipt", query), status)["detail"]
