"""What needs a person, of every kind, over HTTP, as CSV and by the command; and internal deals with both sides under one id."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.store.open_store import open_store
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.waiting import wait_until
from tests.world import instruments, nodes, reference

SECOND = 1_000_000
KINDS = {
    "conflict",
    "parked",
    "unmatched",
    "quarantined",
    "late",
    "off_market",
    "possible_duplicate",
    "unpriced",
    "suspect",
    "waiting",
    "expired",
}


def now() -> int:
    return SystemClock().now()


def deal(trade_id: str, **columns: Any) -> dict[str, Any]:
    usual = {"source": "booking", "ts": now() - SECOND, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 100}
    return usual | {"trade_id": trade_id, "price": 1.1} | columns


@pytest.fixture
def url(store_url: str) -> str:
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    over = {"instrument": "OLD", "kind": "future", "quote_currency": "USD", "expiry": "2026-01-05"}
    opened.save_instruments([*instruments(), *reference(rows=[over]).instruments])
    opened.close()
    return store_url


def quantity(server: Server, node: str) -> float | None:
    rows = server.get(f"/v1/ladder?node={node}&instrument=EURUSD")["rows"]
    return rows[0]["quantity"] if rows else None


def assert_internal_deal(server: Server) -> None:
    """Both sides of one id cancel at their common parent and show on both desks; a missing leg is listed until it comes."""
    sides = [deal("i", leg=1, legs=2), deal("i", leg=2, legs=2, side="sell", desk="FX2")]
    assert server.post("/v1/trades", sides[0])["results"][0]["status"] == "applied"
    [missing] = server.get("/v1/exceptions?kind=unmatched")["rows"]
    assert (missing["id"], missing["reason"]) == ("unmatched:booking:i", "1 of 2 legs have come")
    assert abs(missing["age_s"] - (now() - missing["ts"]) / SECOND) < 5
    assert (quantity(server, "FX1"), quantity(server, "FX2"), quantity(server, "G10")) == (100, None, 100)
    assert server.post("/v1/trades", sides[1])["results"][0]["status"] == "applied"
    assert server.get("/v1/exceptions?kind=unmatched")["rows"] == []
    assert (quantity(server, "FX1"), quantity(server, "FX2"), quantity(server, "G10")) == (100, -100, 0)
    rows = {row["node"]: row for row in server.get("/v1/nodes")["rows"]}
    assert (rows["G10"]["net_exposure"], rows["G10"]["total_pnl"], rows["G10"]["trade_count"]) == (0, 0, 2)
    assert rows["FX1"]["total_pnl"] == -rows["FX2"]["total_pnl"] != 0


def make_exceptions(server: Server) -> None:
    """One of every kind that a desk can cause."""
    at = now() - 2 * SECOND
    sent = [
        deal("plain"),
        deal("plain", quantity=7),
        {"source": "booking", "trade_id": "gone", "version": 2, "action": "cancel"},
        deal("half", leg=1, legs=2),
        deal("ahead", ts=now() + 3_600 * SECOND),
        deal("late", ts=now() - 3_600 * SECOND),
        deal("far", price=1.3),
        deal("equal", source="other", ts=at),
        deal("equal", ts=at),
        deal("ghost", instrument="GHOST", desk="EQ1", price=5),
        deal("over", instrument="OLD", desk="EQ1", price=5),
        deal("tomorrow", trade_date="2199-01-01"),
    ]
    server.post("/v1/trades", sent)
    server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": now(), "mid": 2.5, "source": "wild"}])
    wait_until(lambda: server.get("/v1/exceptions?kind=suspect")["rows"])


def test_every_kind_is_listed_with_since_when_and_who_said_what(url: str, tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--store", url, log=tmp_path / "log") as server:
        server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": now(), "mid": 1.11, "source": "feed"}])
        wait_until(lambda: server.get("/v1/marks?instrument=EURUSD")["rows"][0]["price"] == 1.11)
        assert_internal_deal(server)
        make_exceptions(server)
        rows = server.get("/v1/exceptions?limit=1000")["rows"]
        assert {row["kind"] for row in rows} == KINDS
        assert {row["kind"] for row in rows if row["age_s"] is None} == {"unpriced"}
        [late] = [row["id"] for row in rows if row["kind"] == "late" and row["trade"]["trade_id"] == "late"]
        server.post(f"/v1/exceptions/{late}", {"action": "comment", "comment": "booked by phone"})
        server.post(f"/v1/exceptions/{late}", {"action": "accept", "comment": "seen"})
        wait_until(lambda: said(server, late)[:2] == ("accept", "seen"))
        told = said(server, late)
        table = server.get("/v1/exceptions?format=csv&limit=1000", raw=True).decode()
        listed = {row["id"]: row for row in csv.DictReader(io.StringIO(table))}
        assert (listed[late]["verdict"], listed[late]["comment"], listed[late]["verdict_by"]) == told
        assert float(listed[late]["age_s"]) >= 0 and json.loads(listed[late]["trade"])["trade_id"] == "late"
        command = json.loads(riskengine("exceptions", "--engine", server.url, "--json").stdout)["rows"]
        assert {row["id"] for row in command} == listed.keys()
        assert f"{late}  " in riskengine("exceptions", "--engine", server.url, "--kind", "late").stdout
        server.stop()
    with running("serve", "--port", "0", "--store", url, log=tmp_path / "log") as server:
        assert said(server, late) == told, "replayed"
    shown = riskengine("audit", "show", "--kind", "verdict", "--store", url, "--json").stdout
    assert [entry["subject"] for entry in json.loads(shown)["entries"]] == [late, late]


def said(server: Server, item: str) -> tuple[Any, Any, Any]:
    [row] = [row for row in server.get("/v1/exceptions?limit=1000")["rows"] if row["id"] == item]
    return row["verdict"], row["comment"], row["verdict_by"]
