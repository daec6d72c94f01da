"""`POST /v1/marks` on a running engine, on both databases: in force at once, held against feeds, kept over a restart, audited."""

import json
from pathlib import Path
from typing import Any

from riskengine.clock import SystemClock
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.waiting import wait_until

SECOND = 1_000_000
HOUR = 3_600 * SECOND
OTHER = "GBPUSD"


def now() -> int:
    return SystemClock().now()


def mark(server: Server, instrument: str = "EURUSD") -> dict[str, Any]:
    [row] = server.get(f"/v1/marks?instrument={instrument}")["rows"]
    return row


def tick(server: Server, price: float, instrument: str = "EURUSD") -> None:
    assert server.post("/v1/ticks", [{"instrument": instrument, "ts": now(), "mid": price, "source": "feed"}])["accepted"] == 1


def set_mark(server: Server, **columns: Any) -> dict[str, Any]:
    """What became of a mark that is set by hand; what it says is in force in the snapshot that the answer names, and later."""
    sent = {"instrument": "EURUSD", "ts": now(), "reason": "feed is wrong"} | columns
    answer = server.post("/v1/marks", sent)
    assert server.get("/v1/status")["seq"] >= answer["seq"]
    [result] = answer["results"]
    assert answer["counts"][result["status"]] == 1
    found: dict[str, Any] = result
    return found


def warned(server: Server) -> list[str]:
    return [row["text"] for row in server.get("/v1/status")["warnings"] if row["kind"] == "held_by_hand"]


def assert_one_of_its_own_kind(server: Server) -> None:
    """A cleared mark ends at once; one without an expiry is a mark like any other."""

    def setting(**columns: Any) -> Any:
        return set_mark(server, instrument=OTHER, **columns)["status"]

    assert (setting(price=1.5, expires_ts=now() + HOUR), setting(action="clear")) == ("applied", "applied")
    assert (mark(server, OTHER)["price"], setting(action="clear")) == (None, "duplicate")
    assert (setting(price=1.6), mark(server, OTHER)["author"]) == ("applied", "local")
    assert setting(price=1.7, ts=now() - HOUR) == "superseded"
    tick(server, 1.605, OTHER)
    wait_until(lambda: mark(server, OTHER)["price"] == 1.605)
    assert (mark(server, OTHER)["source"], setting(price=1.61, author="ann")) == ("feed", "applied")


def assert_held(server: Server) -> dict[str, Any]:
    """A mark that holds is in force at once, and no feed moves it. Returns its row."""
    deal = {"trade_id": "a", "ts": now() - SECOND, "instrument": "EURUSD", "desk": "FX1"}
    server.post("/v1/trades", deal | {"side": "buy", "quantity": 100, "price": 1.1})
    tick(server, 1.1)
    wait_until(lambda: mark(server)["price"] == 1.1)
    until = now() + HOUR
    assert set_mark(server, price=1.101, author="ann", expires_ts=until)["status"] == "applied"
    held = mark(server)
    told = [held[field] for field in ("price", "source", "author", "reason", "expires_ts", "stale")]
    assert told == [1.101, "manual", "ann", "feed is wrong", until, False]
    [row] = server.get("/v1/ladder?node=FX1")["rows"]
    assert (row["mark"], row["mark_source"], round(row["total_pnl"], 9)) == (1.101, "manual", 0.1)
    tick(server, 1.102)
    wait_until(lambda: warned(server) != [])
    assert "1 price is set by hand and held against the feeds (EURUSD by ann until " in warned(server)[0]
    assert set_mark(server, price=1.101, author="ann", expires_ts=until, ts=held["ts"])["status"] == "duplicate"
    older = set_mark(server, price=1.2, expires_ts=until, ts=held["ts"] - 1)
    assert (older["status"], older["reason"]) == ("superseded", "a newer mark is in force")
    assert mark(server) | {"age_ms": 0} == held | {"age_ms": 0}
    return held


def test_a_mark_of_a_person_holds_until_it_expires_and_over_a_restart(url: str, tmp_path: Path) -> None:
    serving = ("serve", "--port", "0", "--store", url)
    with running(*serving, log=tmp_path / "log") as server:
        held = assert_held(server)
        refused = server.post("/v1/marks", [{"instrument": "NONE", "ts": now(), "price": 1}, {"instrument": "EURUSD"}])
        assert [each["status"] for each in refused["results"]] == ["rejected", "rejected"]
        assert refused["errors"][0] == {"index": 0, "field": "instrument", "reason": "unknown instrument 'NONE'"}
        assert_one_of_its_own_kind(server)
        server.stop()
    with running(*serving, log=tmp_path / "log") as server:
        assert [mark(server, OTHER)[field] for field in ("price", "source", "author")] == [1.61, "manual", "ann"]
        assert mark(server) | {"age_ms": 0} == held | {"age_ms": 0}
        wait_until(lambda: warned(server) != [])
        assert set_mark(server, price=1.103, author="bob", expires_ts=now() + 2 * SECOND)["status"] == "applied"
        assert (mark(server)["price"], mark(server)["author"]) == (1.103, "bob")
        wait_until(lambda: mark(server)["price"] == 1.102)
        assert (mark(server)["source"], mark(server)["author"]) == ("feed", None)
        wait_until(lambda: not warned(server))
    entries = json.loads(riskengine("audit", "show", "--kind", "manual_mark", "--store", url, "--json").stdout)
    assert [entry["subject"] for entry in entries["entries"]] == ["EURUSD", *[OTHER] * 4, "EURUSD"]
    assert riskengine("audit", "verify", "--store", url).exit_code == 0
