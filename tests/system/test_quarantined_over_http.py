"""A quarantined key as readers see it: unknown, flagged, listed, counted, and sent on the stream."""

from typing import Any

import pytest

from riskengine.records.types import Key
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask
from tests.serve.wired import run, talk, wired
from tests.world import NOON, trade

FX1: Key = ("node", "FX1", "EURUSD")
REASON = "I1: quantity or net cash is not the sum of its trades"
AMOUNTS = (
    "quantity",
    "net_cash",
    "average_price",
    "breakeven_price",
    "total_pnl",
    "realised_pnl",
    "unrealised_pnl",
    "total_pnl_local",
    "fees",
    "market_value",
    "delta_base",
    "delta_cash",
)


def deals() -> list[Any]:
    return [trade("a", quantity="100", price="1.1"), trade("b", desk="FX2", quantity="50", price="1.2"), trade("c", desk="EQ1")]


def set_aside(gateway: StandIn) -> None:
    assert gateway.engine.set_aside_key(FX1, REASON, NOON)
    gateway.publish()


def repaired(gateway: StandIn) -> None:
    gateway.engine.repair([FX1], [deals()[0]], NOON)
    gateway.publish()


@pytest.fixture
def app() -> Any:
    gateway = StandIn()
    gateway.engine.apply(deals(), NOON)
    set_aside(gateway)
    return create_app(gateway)


def test_its_row_is_unknown_and_flagged(app: Any) -> None:
    [row] = ask(app, "/v1/positions", "node=FX1").json()["rows"]
    assert row["quarantined"] is True
    assert {row[field] for field in AMOUNTS} == {None}
    assert row["trade_count"] == 1


def test_a_row_that_nets_it_is_flagged_and_leaves_it_out(app: Any) -> None:
    [row] = ask(app, "/v1/ladder", "node=G10").json()["rows"]
    assert (row["quarantined"], row["quantity"]) == (True, 50.0)


def test_rows_without_it_are_not_flagged(app: Any) -> None:
    for answer in (ask(app, "/v1/positions", "node=EQ1"), ask(app, "/v1/ladder", "dealer=ann")):
        [row] = answer.json()["rows"]
        assert row["quarantined"] is False
        assert row["quantity"] is not None


def test_exact_rows_say_null_too(app: Any) -> None:
    [row] = ask(app, "/v1/positions", "node=FX1&exact=true").json()["rows"]
    assert {row[field] for field in AMOUNTS} == {None}


def test_what_is_unknown_is_not_flat(app: Any) -> None:
    for more in ("", "&exact=true"):
        rows = ask(app, "/v1/ladder", f"node=FX1&flat=false{more}").json()["rows"]
        assert [row["instrument"] for row in rows if row["quarantined"]] == ["EURUSD"]


def test_nodes_above_count_it_and_no_other(app: Any) -> None:
    rows = {row["node"]: row for row in ask(app, "/v1/nodes").json()["rows"]}
    assert {name for name, row in rows.items() if row["quarantined_count"]} == {"FX1", "G10", "FX", "ALL"}
    assert rows["FX1"]["total_pnl"] is None


def test_it_is_listed_with_the_invariant_that_it_broke(app: Any) -> None:
    [item] = ask(app, "/v1/exceptions", "kind=quarantined").json()["rows"]
    assert (item["id"], item["reason"], item["instrument"]) == ("quarantined:node:FX1:EURUSD", REASON, "EURUSD")
    assert item["detail"] == {"rollup": "node", "owner": "FX1", "instrument": "EURUSD"}


def test_the_status_counts_it(app: Any) -> None:
    status = ask(app, "/v1/status").json()
    assert (status["counts"]["quarantined"], status["quarantined_count"]) == (1, 1)
    assert status["unpriced_count"] >= 1


def test_the_stream_tells_when_it_is_set_aside_and_when_it_is_repaired() -> None:
    async def scenario() -> None:
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            engine.deal(*deals())
            snapshot = await client.ask(op="subscribe", id="l", view="ladder", node="FX1")
            set_aside(engine)
            [row] = (await client.hear("update"))["views"]["l"]["rows"]
            assert (row["quarantined"], row["quantity"]) == (True, None)
            repaired(engine)
            [row] = (await client.hear("update"))["views"]["l"]["rows"]
            assert row["quarantined"] is False
            assert row.items() <= snapshot["rows"][0].items()

    run(scenario())


def test_a_receipt_of_it_shows_its_trades_and_claims_nothing(app: Any) -> None:
    receipt = ask(app, "/v1/receipt", "node=FX1&instrument=EURUSD").json()
    [position] = receipt["positions"]
    assert (position["quarantined"], position["quantity"], len(position["steps"])) == (True, None, 1)
    assert (receipt["row"]["quantity"], receipt["arithmetic"]) == (None, [])
