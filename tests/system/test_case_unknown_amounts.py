"""What is unknown is null and counted, and what several positions agree on is shown; over HTTP, on both databases."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Server, command, running

NODES = "node,level,parent\nALL,total,\nFX,book,ALL\nFX1,desk,FX\nFX2,desk,FX\nEQ,book,ALL\nEQ1,desk,EQ\nEQ2,desk,EQ\n"
INSTRUMENTS = """instrument,kind,base_currency,quote_currency,underlying,option_type,strike,expiry
ACME,equity,,USD,,,,
AAPL,equity,,USD,,,,
EURUSD,fx,EUR,USD,,,,
BTCUSD,crypto,BTC,USD,,,,
XAUUSD,metal,XAU,USD,,,,
EURUSD-C110,fx_option,EUR,USD,EURUSD,call,1.1,2027-06-18
"""


@pytest.fixture
def server(store_url: str, tmp_path: Path) -> Iterator[Server]:
    for kind, text in (("nodes", NODES), ("instruments", INSTRUMENTS)):
        file = tmp_path / f"{kind}.csv"
        file.write_text(text)
        assert command("load", kind, file, "--store", store_url).returncode == 0
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as found:
        yield found


def now() -> int:
    return time.time_ns() // 1_000


def deal(server: Server, *trades: dict[str, Any]) -> list[str]:
    plain = {"source": "booking", "ts": now() - 1_000_000, "desk": "EQ1", "side": "buy", "quantity": 100, "price": 100}
    sent = [plain | {"trade_id": f"t{number}-{now()}"} | trade for number, trade in enumerate(trades)]
    return [result["status"] for result in server.post("/v1/trades", sent)["results"]]


def quote(server: Server, **mids: float) -> None:
    server.post("/v1/ticks", [{"instrument": symbol.replace("_", "-"), "ts": now(), "mid": mid} for symbol, mid in mids.items()])
    for symbol, mid in mids.items():
        name, deadline = symbol.replace("_", "-"), time.monotonic() + 10
        while not any(row["instrument"] == name and row["price"] == mid for row in server.get("/v1/marks?limit=100")["rows"]):
            assert time.monotonic() < deadline, f"{name} never had its mark"
            time.sleep(0.02)


def node(server: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/v1/nodes/{name}")["rows"][0]
    return found


def line(server: Server, of: str, instrument: str) -> dict[str, Any]:
    [found] = [row for row in server.get(f"/v1/ladder?node={of}")["rows"] if row["instrument"] == instrument]
    return dict(found)


def test_a4_fees_without_a_rate_are_unknown_and_counted_until_there_is_one(server: Server) -> None:
    acme = {"instrument": "ACME"}
    assert (
        deal(server, acme | {"fees": 1000, "fees_currency": "EUR"}, acme | {"fees": 1, "fees_currency": "USD"}) == ["applied"] * 2
    )
    quote(server, ACME=100.0)
    for name in ("EQ1", "EQ", "ALL"):
        row = node(server, name)
        assert (row["fees"], row["unpriced_count"], row["total_pnl"]) == (None, 1, 0.0), name
        assert line(server, name, "ACME")["fees"] is None
    [listed] = server.get("/v1/exceptions?kind=unpriced")["rows"]
    assert (listed["id"], listed["reason"]) == ("unpriced:ACME", "fees in EUR have no rate")
    quote(server, EURUSD=1.1)
    for name in ("EQ1", "EQ", "ALL"):
        row = node(server, name)
        assert (row["fees"], row["unpriced_count"]) == (pytest.approx(1101), 0), name
        assert line(server, name, "ACME")["fees"] == pytest.approx(1101)


def test_a4_fees_in_a_metal_are_refused_with_what_is_possible_and_those_in_a_coin_have_its_mark(server: Server) -> None:
    sent = {"source": "booking", "trade_id": "gold", "ts": now(), "instrument": "XAUUSD", "desk": "FX1", "side": "buy"}
    sent |= {"quantity": 1, "price": 2600, "fees": 3, "fees_currency": "XAU"}
    [result] = server.post("/v1/trades", [sent])["results"]
    assert (result["status"], result["reason"]) == (
        "rejected",
        "fees_currency: 'XAU' is a metal, and fees in it never get a rate; possible: BTC, EUR, USD",
    )
    coin = {"instrument": "BTCUSD", "desk": "FX1", "quantity": 1, "price": 61000, "fees": 0.01, "fees_currency": "BTC"}
    assert deal(server, coin) == ["applied"]
    assert (node(server, "FX1")["fees"], node(server, "FX1")["unpriced_count"]) == (None, 1)
    quote(server, BTCUSD=61000.0)
    assert (node(server, "FX1")["fees"], node(server, "FX1")["unpriced_count"]) == (610.0, 0)
    quote(server, BTCUSD=61100.0)
    assert node(server, "ALL")["fees"] == 611.0
    assert line(server, "FX1", "BTCUSD")["fees"] == 611.0


def test_a8_an_option_without_greeks_has_no_exposure(server: Server) -> None:
    deal(server, {"instrument": "EURUSD-C110", "desk": "FX2", "quantity": 100_000_000, "price": 0.0132})
    quote(server, EURUSD_C110=0.0132)
    for name in ("FX2", "FX", "ALL"):
        row = node(server, name)
        assert [row[f"{side}_exposure"] for side in ("net", "gross", "long", "short")] == [None] * 4, name
        assert (row["unpriced_count"], row["total_pnl"], row["delta_cash"]) == (1, 0.0, None), name
    assert line(server, "FX2", "EURUSD-C110")["delta_cash"] is None
    deal(server, {"instrument": "EURUSD", "desk": "FX1", "quantity": 1_000_000, "price": 1.1})
    quote(server, EURUSD=1.1)
    both = node(server, "FX")
    assert (both["net_exposure"], both["gross_exposure"], both["unpriced_count"]) == (
        pytest.approx(1.1e6),
        pytest.approx(1.1e6),
        1,
    )


def test_a12_a_row_over_positions_on_one_side_has_an_average_price(server: Server) -> None:
    short = {"instrument": "AAPL", "side": "sell"}
    deal(
        server,
        short | {"desk": "EQ1", "quantity": 3500, "price": 105.66},
        short | {"desk": "EQ2", "quantity": 7200, "price": 105.33},
    )
    right = pytest.approx((3500 * 105.66 + 7200 * 105.33) / 10700, rel=1e-14)
    assert line(server, "EQ", "AAPL")["average_price"] == right
    assert float(server.get("/v1/receipt?node=EQ&instrument=AAPL")["row"]["average_price"]) == right
    lines = server.get("/v1/ladder?node=EQ&format=csv", raw=True).decode()
    [row] = [row for row in csv.DictReader(io.StringIO(lines)) if row["instrument"] == "AAPL"]
    assert float(row["average_price"]) == right
    deal(server, {"instrument": "AAPL", "desk": "FX1", "quantity": 1, "price": 105})
    assert line(server, "ALL", "AAPL")["average_price"] is None, "one of them is long"
    assert line(server, "EQ", "AAPL")["average_price"] == right
