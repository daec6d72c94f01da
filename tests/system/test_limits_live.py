"""Limits of a running engine: entered, judged, streamed, stored; breaches and their acknowledgement survive a kill."""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from riskengine.clock import SystemClock
from riskengine.store.open_store import open_store
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.waiting import wait_until
from tests.world import instruments, nodes


def furnished(url: str) -> None:
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()


def tick(server: Server, price: float) -> None:
    ticks = [{"instrument": "ACME", "ts": SystemClock().now(), "mid": price, "source": "feed"}]
    assert server.post("/v1/ticks", ticks)["accepted"] == 1


def buy(server: Server, trade_id: str, quantity: int) -> None:
    trade = {"trade_id": trade_id, "ts": SystemClock().now() - 1_000_000, "instrument": "ACME", "desk": "EQ1", "side": "buy"}
    [result] = server.post("/v1/trades", trade | {"quantity": quantity, "price": "100", "dealer": "ann"})["results"]
    assert result["status"] == "applied"


def limits(server: Server) -> dict[str, dict[str, Any]]:
    return {row["limit_id"]: row for row in server.get("/v1/limits")["rows"]}


def warned(server: Server) -> set[str]:
    return {row["kind"] for row in server.get("/v1/status")["warnings"]}


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_a_breach_and_who_knows_of_it_survive_a_kill(store_url: str, tmp_path: Path) -> None:
    furnished(store_url)
    file = tmp_path / "limits.csv"
    file.write_text("limit_id,measure,node,limit\nLOSS,total_pnl,EQ1,-500\n")
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        tick(server, 100.0)
        buy(server, "t1", 100)
        size = {"limit_id": "SIZE", "measure": "quantity", "instrument": "ACME", "dealer": "ann", "limit": 150}
        assert server.post("/v1/limits", size)["counts"]["applied"] == 1
        assert limits(server)["SIZE"]["state"] == "ok"
        done = riskengine("load", "limits", file, "--store", store_url)
        assert done.exit_code == 0, done.stderr
        wait_until(lambda: "LOSS" in limits(server))
        tick(server, 94.0)
        wait_until(lambda: limits(server)["LOSS"]["state"] == "breach")
        tick(server, 93.0)
        wait_until(lambda: limits(server)["LOSS"]["worst"] == -700.0)
        before = limits(server)["LOSS"]
        wait_until(lambda: "limits_breached" in warned(server))
        said = {"action": "acknowledge", "comment": "hedged"}
        assert server.post(f"/v1/breaches/{before['breach_id']}", said)["acknowledged_by"] == "local"
        wait_until(lambda: "limits_breached" not in warned(server))
        buy(server, "t2", 51)
        assert limits(server)["SIZE"]["state"] == "breach"
        wait_until(lambda: "limits_breached" in warned(server))
        server.kill()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        after = limits(server)["LOSS"]
        fields = ("state", "breach_id", "first_seen_ts", "acknowledged_by", "reason")
        assert {name: after[name] for name in fields} == {name: before[name] for name in fields} | {
            "acknowledged_by": "local",
            "reason": "hedged",
        }
        assert after["worst"] == -1057.0
        tick(server, 110.0)
        wait_until(lambda: limits(server)["LOSS"]["state"] == "ok")
        ended = {row["limit_id"]: row for row in server.get("/v1/breaches?status=all")["rows"]}["LOSS"]
        assert (ended["breach_id"], ended["ended_ts"] is not None) == (before["breach_id"], True)
    shown = json.loads(riskengine("audit", "show", "--kind", "limit_breach", "--store", store_url, "--json").stdout)
    entries = shown if isinstance(shown, list) else shown["entries"]
    assert [entry["actor"] for entry in entries] == ["local"]


def test_the_stream_shows_how_limits_stand(house_url: str, tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server:
        tick(server, 100.0)
        buy(server, "t1", 100)
        loss = {"limit_id": "LOSS", "measure": "total_pnl", "node": "EQ1", "limit": -500}
        assert server.post("/v1/limits", loss)["counts"]["applied"] == 1
        wait_until(lambda: limits(server)["LOSS"]["state"] == "ok")
        with connect(f"ws{server.url.removeprefix('http')}/v1/stream", proxy=None) as stream:
            stream.send(json.dumps({"op": "subscribe", "id": "a", "view": "limits"}))
            states = [row["state"] for row in heard(stream, "snapshot")["rows"]]
            assert states == ["ok"]
            tick(server, 90.0)
            [changed] = heard(stream, "update")["views"]["a"]["rows"]
            assert (changed["line"], changed["state"], changed["value"]) == ("LOSS:EQ1", "breach", -1000.0)


def heard(stream: ClientConnection, kind: str) -> Any:
    """The next message of a kind that says something of the view."""
    while True:
        message = json.loads(stream.recv(timeout=20))
        if message["type"] == kind and (kind == "snapshot" or message["views"]):
            return message
