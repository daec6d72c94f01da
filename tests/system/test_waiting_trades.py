"""A trade dated after the current day, through a running engine: kept out, listed, and in when its day begins."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay
from riskengine.store.open_store import open_store
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.stepped_clock import SteppedClock
from tests.waiting import wait_until
from tests.world import instruments, nodes

SECOND = 1_000_000
DAYS = TradingDay.of(EngineConfig())


def next_days() -> tuple[dt.date, dt.date]:
    """The trading day after the current one, and the one after that."""
    today = DAYS.date_of(SystemClock().now())
    tomorrow = DAYS.date_of(DAYS.close_of(today))
    return tomorrow, DAYS.date_of(DAYS.close_of(tomorrow))


def deal(trade_id: str, **columns: Any) -> dict[str, Any]:
    usual = {"source": "booking", "ts": SystemClock().now() - SECOND, "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
    return usual | {"trade_id": trade_id, "quantity": "100", "price": "1.1"} | columns


def quantity(server: Server) -> str | None:
    rows = server.get("/v1/positions?node=FX1&exact=true")["rows"]
    return rows[0]["quantity"] if rows else None


def waiting(server: Server) -> list[str]:
    rows = server.get("/v1/exceptions?kind=waiting")["rows"]
    assert server.get("/v1/status")["counts"]["waiting"] == len(rows)
    return [row["id"] for row in rows]


def assert_agrees(server: Server) -> str:
    assert server.post("/v1/reconcile", {})["clean"]
    assert server.get("/v1/status")["counts"]["quarantined"] == 0
    digest: str = server.get("/v1/digest")["digest"]
    return digest


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_a_trade_of_a_later_day_waits_for_it_and_enters_without_a_restart(store_url: str, tmp_path: Path) -> None:
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    clock = SteppedClock(tmp_path)
    tomorrow, later = next_days()
    serving = ("serve", "--port", "0", "--store", store_url)
    with running(*serving, log=tmp_path / "log", environment=clock.environment) as server:
        sent = [deal("now"), deal("tomorrow", trade_date=tomorrow.isoformat()), deal("later", trade_date=later.isoformat())]
        answer = server.post("/v1/trades", sent)
        assert [each["status"] for each in answer["results"]] == ["applied", "quarantined", "quarantined"]
        assert answer["results"][1]["reason"] == f"waits for its trade_date {tomorrow.isoformat()}"
        assert (quantity(server), sorted(waiting(server))) == (
            "100",
            ["waiting:booking:later:0:1", "waiting:booking:tomorrow:0:1"],
        )
        before = assert_agrees(server)
        assert json.loads(riskengine("rebuild", "--store", store_url, "--json").stdout)["digest"] == before
        assert riskengine("reconcile", "--engine", server.url, "--store", store_url).exit_code == 0
        listed = json.loads(riskengine("exceptions", "--store", store_url, "--kind", "waiting", "--json").stdout)["rows"]
        assert [row["detail"]["trade_date"] for row in listed] == [tomorrow.isoformat(), later.isoformat()]
        begins = DAYS.close_of(DAYS.date_of(SystemClock().now())) + 6 * SECOND
        clock.set((begins - SystemClock().now()) // SECOND + 1)
        wait_until(lambda: quantity(server) == "200")
        assert waiting(server) == ["waiting:booking:later:0:1"]
        after = assert_agrees(server)
        assert after != before
    with running(*serving, log=tmp_path / "log", environment=clock.environment) as server:
        assert (quantity(server), assert_agrees(server)) == ("200", after)
    clock.close()


def test_a_load_says_which_lines_wait(house_url: str, tmp_path: Path) -> None:
    tomorrow, _ = next_days()
    path = tmp_path / "trades.csv"
    row = deal("a", trade_date=tomorrow.isoformat())
    path.write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
    done = riskengine("load", "trades", path, "--store", house_url, "--json")
    assert json.loads(done.stdout)["quarantined"] == 1
    assert f"quarantined: waits for its trade_date {tomorrow.isoformat()}" in done.stderr
