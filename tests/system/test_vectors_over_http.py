"""Every average-cost, FX and net-open-position vector through HTTP, against a running server.

Without RISKENGINE_URL a server is started here. With it, the engine there must have been loaded with NODES and INSTRUMENTS,
hold nothing yet, and report in USD. Net open positions are reported in CHF, so they always have a server of their own.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.config import Config, EngineConfig
from riskengine.serve.app import create_app
from tests.serve.stand_in import Client, StandIn, serving
from tests.world import reference

AVERAGE_COST = ("AC-1b", "AC-2", "AC-3", "AC-4", "AC-9", "FL-1", "OO-1")
FX = ("FXC-1", "FXC-2", "FXC-4")
NODES = {"VECTORS": ""} | dict.fromkeys((*AVERAGE_COST, *FX), "VECTORS")
INSTRUMENTS: tuple[dict[str, Any], ...] = (
    *({"instrument": f"I-{name}", "kind": "equity", "quote_currency": "USD"} for name in AVERAGE_COST),
    *(
        {"instrument": pair, "kind": "fx", "base_currency": pair[:3], "quote_currency": pair[3:]}
        for pair in ("EURUSD", "GBPUSD", "EURGBP", "EURCHF")
    ),
    {"instrument": "BTCEUR", "kind": "crypto", "quote_currency": "EUR"},
)
CENT = 0.005


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    url = os.environ.get("RISKENGINE_URL")
    if url:
        yield Client(url)
        return
    with serving(create_app(StandIn(reference(NODES, INSTRUMENTS), clock=SystemClock()))) as own:
        yield Client(own)


@pytest.fixture(scope="module")
def vectors(shared_vectors: Path) -> dict[str, Any]:
    groups = json.loads(shared_vectors.read_text())
    assert [vector["id"] for vector in groups["average_cost"]] == list(AVERAGE_COST)
    assert [vector["id"] for vector in groups["fx"]] == list(FX)
    return {vector["id"]: vector for group in ("average_cost", "fx") for vector in groups[group]}


def now() -> int:
    return time.time_ns() // 1_000


def trade(client: Client, desk: str, instrument: str, quantity: float, price: float, number: int = 0) -> int:
    """Deal, and the seq of the snapshot that holds it."""
    sent = {
        "trade_id": f"{desk}-{number}",
        "ts": now(),
        "source_seq": number,
        "instrument": instrument,
        "desk": desk,
        "side": "buy" if quantity > 0 else "sell",
        "quantity": str(abs(quantity)),
        "price": str(price),
    }
    answer = client.post("/v1/trades", sent)
    assert [result["status"] for result in answer["results"]] == ["applied"], answer
    return int(answer["seq"])


def quote(client: Client, **mids: float) -> None:
    """Prices, and wait until they are marks."""
    ticks = [{"instrument": instrument.replace("_", "-"), "ts": now(), "mid": mid} for instrument, mid in mids.items()]
    assert client.post("/v1/ticks", ticks) == {"accepted": len(ticks), "refused": 0, "errors": []}
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        marks = {row["instrument"]: row["price"] for row in client.get("/v1/marks", limit=1_000)["rows"]}
        if all(marks[tick["instrument"]] == tick["mid"] for tick in ticks):
            return
        time.sleep(0.02)
    raise AssertionError(f"not marked: {mids}")


def position(client: Client, desk: str, instrument: str) -> dict[str, Any]:
    answer = client.get("/v1/positions", node=desk, instrument=instrument)
    assert answer["total"] == 1
    [row] = answer["rows"]
    return dict(row)


def total(client: Client, desk: str) -> float:
    return float(client.get(f"/v1/nodes/{desk}")["rows"][0]["total_pnl"])


@pytest.mark.parametrize("name", AVERAGE_COST)
def test_average_cost(client, vectors, name):
    vector, instrument = vectors[name], f"I-{name}"
    for number, ((quantity, price), step) in enumerate(zip(vector["trades"], vector["steps"], strict=True)):
        seq = trade(client, name, instrument, quantity, price, number)
        row = position(client, name, instrument)
        assert client.get("/v1/status")["seq"] >= seq
        assert row["quantity"] == step["q"]
        assert row["net_cash"] == step["net_cash"]
        assert row["average_price"] == (None if step["avg"] is None else pytest.approx(step["avg"], rel=1e-14))
        assert row["realised_pnl"] == pytest.approx(step["realised"], abs=1e-6)
        assert row["trade_count"] == number + 1
    if "mark" in vector:
        quote(client, **{instrument.replace("-", "_"): vector["mark"]})
        row = position(client, name, instrument)
        assert row["unrealised_pnl"] == pytest.approx(vector["unrealised"], abs=1e-6)
        assert row["total_pnl"] == pytest.approx(vector["total"], abs=1e-6)
        assert total(client, name) == pytest.approx(vector["total"], abs=1e-6)
        [held] = client.get("/v1/ladder", node=name)["rows"]
        assert held["total_pnl"] == row["total_pnl"]


def test_a_cross_is_financed_in_its_quote_currency(client, vectors):
    trade(client, "FXC-1", "EURGBP", 10_000_000, 0.85, 1)
    trade(client, "FXC-1", "EURGBP", -4_000_000, 0.855, 2)
    quote(client, EURGBP=0.852, GBPUSD=1.24, EURUSD=1.0565)
    row = position(client, "FXC-1", "EURGBP")
    assert row["currency"] == "GBP"
    assert row["realised_pnl_local"] == pytest.approx(20_000, abs=CENT)
    assert row["unrealised_pnl_local"] == pytest.approx(12_000, abs=CENT)
    assert row["total_pnl"] == pytest.approx(vectors["FXC-1"]["retain_usd"], abs=CENT)
    assert total(client, "FXC-1") == pytest.approx(vectors["FXC-1"]["retain_usd"], abs=CENT)


def test_balances_by_currency_give_the_total(client, vectors):
    vector = vectors["FXC-2"]
    trade(client, "FXC-2", "EURUSD", -12_500_000, 1.08432)
    quote(client, EURUSD=vector["mid"])
    row = position(client, "FXC-2", "EURUSD")
    assert row["net_cash"] == 13_554_000
    assert row["total_pnl"] == pytest.approx(vector["total_usd"], abs=CENT)
    assert total(client, "FXC-2") == pytest.approx(vector["total_usd"], abs=CENT)


def test_rates_and_their_cross(client, vectors):
    vector = vectors["FXC-4"]
    trade(client, "FXC-4", "EURCHF", 1_000_000, 1.1)
    quote(client, **vector["rates"])
    rates = {row["currency"]: row["rate"] for row in client.get("/v1/marks", limit=1_000)["rows"]}
    assert rates["EUR"] / rates["GBP"] == pytest.approx(vector["EURGBP"], rel=1e-14)
    through_euro = vector["rates"]["EURUSD"] / vector["rates"]["EURCHF"]
    assert rates["CHF"] == pytest.approx(through_euro, rel=1e-14)
    assert total(client, "FXC-4") == pytest.approx(100_000 * through_euro, abs=CENT)


def test_net_open_positions_have_their_shorthand_figures(shared_vectors):
    for vector in json.loads(shared_vectors.read_text())["nop"]:
        book = vector["ccy"] | {"XAU": vector["gold"]}
        rows = [
            {
                "instrument": f"{code}CHF",
                "kind": "metal" if code == "XAU" else "fx",
                "base_currency": code,
                "quote_currency": "CHF",
            }
            for code in book
        ]
        where = reference({"ALL": "", "NOP": "ALL"}, rows, "CHF")
        own = StandIn(where, config=Config(engine=EngineConfig(reporting_currency="CHF")), clock=SystemClock())
        with serving(create_app(own)) as url:
            client = Client(url)
            for number, (code, amount) in enumerate(book.items()):
                trade(client, "NOP", f"{code}CHF", amount, 1, number)
            quote(client, **{f"{code}CHF": 1.0 for code in book})
            answer = client.get("/v1/exposure", by="currency", node="NOP")
        assert {row["currency"]: row["net"] for row in answer["rows"] if row["currency"] != "CHF"} == book
        assert [answer[name] for name in ("reporting_currency", "shorthand")] == ["CHF", vector["shorthand"]]
