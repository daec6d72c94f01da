"""What a desk's prices meet (A5, A9, A10, A11, A13, trades that are noticed): through the public interface, on both databases."""

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.running import Server, command, running
from tests.waiting import wait_until

SECOND = 1_000_000
NODES = "node,level,parent\nALL,total,\nFX,book,ALL\nFX1,desk,FX\nEQ1,desk,ALL\n"
INSTRUMENTS = """instrument,kind,base_currency,quote_currency,multiplier,underlying,option_type,strike,expiry
EURUSD,fx,EUR,USD,1,,,,
USDCHF,fx,USD,CHF,1,,,,
ACME,equity,,USD,1,,,,
CL,future,,USD,1000,,,,2099-12-18
ACMEC,equity_option,,USD,100,ACME,call,50,2099-12-18
"""


def now() -> int:
    return time.time_ns() // 1_000


class Desk:
    """A store with nodes and instruments, and the program on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.load("nodes", NODES)
        self.load("instruments", INSTRUMENTS)

    def load(self, kind: str, text: str) -> str:
        path = self.folder / f"{kind}.csv"
        path.write_text(text)
        done = command("load", kind, path, "--store", self.url)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self, settings: str = "") -> Any:
        config = self.folder / "engine.toml"
        config.write_text(settings)
        words = ("serve", "--store", self.url, "--port", "0", "--config", config)
        return running(*words, log=self.folder / "serve.log")


@pytest.fixture
def desk(store_url: str, tmp_path: Path) -> Desk:
    return Desk(store_url, tmp_path)


def mark(server: Server, symbol: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in server.get("/v1/marks")["rows"] if row["instrument"] == symbol)
    return found


def total(server: Server) -> Any:
    return server.get("/v1/nodes/ALL")["rows"][0]["total_pnl"]


def is_total(server: Server, amount: float) -> bool:
    return bool(total(server) == pytest.approx(amount))


def listed(server: Server, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/v1/exceptions?kind={kind}")["rows"]
    return found


def warned(server: Server) -> set[str]:
    return {warning["kind"] for warning in server.get("/v1/status")["warnings"]}


def tick(server: Server, symbol: str, **sides: Any) -> None:
    answer = server.post("/v1/ticks", [{"instrument": symbol, "ts": now(), "source": "venue"} | sides])
    assert answer["accepted"] == 1, answer


def deal(server: Server, *trades: Mapping[str, Any]) -> list[dict[str, Any]]:
    plain = {"ts": now(), "desk": "EQ1", "dealer": "ann", "side": "buy"}
    results: list[dict[str, Any]] = server.post("/v1/trades", [plain | dict(trade) for trade in trades])["results"]
    assert [result["status"] for result in results] == ["applied"] * len(trades), results
    return results


def new_york(days: int = 0) -> str:
    """The date of the current trading day, or of another one, by its boundary at 17:00."""
    local = dt.datetime.now(ZoneInfo("America/New_York")) + dt.timedelta(hours=7)
    return (local.date() + dt.timedelta(days=days)).isoformat()


def test_a_close_is_dated_to_its_own_day_and_one_of_today_waits(desk: Desk) -> None:
    """A5."""
    desk.load("closes", f"date,instrument,price\n{new_york()},ACME,50\n2031-01-01,EURUSD,1.1\n")
    desk.load("trades", "trade_id,ts,instrument,desk,side,quantity,price\nT1,1767225600000000,ACME,EQ1,buy,10,40\n")
    fast = "[marks]\nstale_after_s = 3\n"
    with desk.serve(fast) as server:
        assert (mark(server, "ACME")["price"], mark(server, "EURUSD")["price"]) == (None, None)
        assert [row["instrument"] for row in listed(server, "unpriced")] == ["ACME"]
        desk.load("instruments", INSTRUMENTS + "NEWCO,equity,,USD,1,,,,\n")
        wait_until(lambda: any(row["instrument"] == "NEWCO" for row in server.get("/v1/marks")["rows"]))
        assert (mark(server, "ACME")["price"], mark(server, "EURUSD")["price"]) == (None, None)
    desk.load("closes", f"date,instrument,price\n{new_york(-7)},ACME,45\n")
    closed = dt.datetime.fromisoformat(f"{new_york(-7)}T17:00:00").replace(tzinfo=ZoneInfo("America/New_York"))
    for _ in range(2):
        with desk.serve(fast) as server:
            shown = mark(server, "ACME")
            assert (shown["price"], shown["kind"], shown["stale"]) == (45, "close", True)
            assert shown["ts"] == int(closed.timestamp()) * SECOND
            assert total(server) == 50


def through_replay(desk: Desk, ticks: Sequence[Mapping[str, Any]], settings: str) -> Any:
    """The total after a replay of these ticks in a process of its own."""
    config, trades, recorded = (desk.folder / name for name in ("replay.toml", "trades.csv", "ticks.csv"))
    config.write_text(settings)
    rows = [",".join(str(each.get(column, "")) for column in ("instrument", "ts", "bid", "ask", "mid")) for each in ticks]
    recorded.write_text("instrument,ts,bid,ask,mid\n" + "\n".join(rows) + "\n")
    words = ("--store", desk.url, "--config", config, "--json")
    done = command("replay", "--ticks", recorded, "--trades", trades, *words)
    assert done.returncode == 0, done.stderr
    return next(row for row in json.loads(done.stdout)["nodes"] if row["node"] == "ALL")["total_pnl"]


def test_a_future_through_zero_is_worth_the_same_by_post_and_by_replay(desk: Desk) -> None:
    """A9."""
    settings = "[marks.max_move]\nfuture = 0\n"
    trade = "trade_id,ts,instrument,desk,side,quantity,price\nT1,{},CL,EQ1,buy,5,-37.63\n"
    desk.load("trades", trade.format(now() - SECOND))
    steps: list[list[dict[str, Any]]] = [[{"mid": -5}, {"mid": 0}], [{"bid": -0.02, "ask": 0}], [{"bid": 0, "ask": 0.02}]]
    right = (188_150, 188_100, 188_200)
    with desk.serve(settings) as server:
        for sides, amount in zip(steps, right, strict=True):
            for side in sides:
                tick(server, "CL", **side)
            wait_until(partial(is_total, server, amount))
    for sides, amount in zip(steps, right, strict=True):
        played = [{"instrument": "CL", "ts": now() + n} | side for n, side in enumerate(sides)]
        assert through_replay(desk, played, settings) == pytest.approx(amount)


def test_a_kept_mid_never_lies_above_the_ask(desk: Desk) -> None:
    """A10."""
    with desk.serve() as server:
        deal(server, {"trade_id": "1", "instrument": "ACMEC", "side": "sell", "quantity": 10, "price": 1.0})
        tick(server, "ACMEC", bid=0.50, ask=0.60)
        wait_until(lambda: mark(server, "ACMEC")["price"] == 0.55)
        tick(server, "ACMEC", bid=0, ask=0.05)
        wait_until(lambda: mark(server, "ACMEC")["price"] == 0.05)
        assert total(server) == pytest.approx(950)


def test_what_can_become_worthless_is_marked_at_zero(desk: Desk) -> None:
    """A11."""
    desk.load("marks", f"instrument,ts,price\nACME,{now() - SECOND},0\n")
    desk.load("closes", f"date,instrument,price\n{new_york(-7)},ACMEC,0\n")
    with desk.serve() as server:
        assert (mark(server, "ACME")["price"], mark(server, "ACMEC")["price"]) == (0, 0)


@pytest.mark.parametrize("symbol", ["ACME", "ACMEC"])
def test_what_has_become_worthless_may_be_quoted_at_zero_by_post_and_by_replay(desk: Desk, symbol: str) -> None:
    trade = "trade_id,ts,instrument,desk,side,quantity,price\nT1,{},{},EQ1,buy,10,40\n"
    desk.load("trades", trade.format(now() - SECOND, symbol))
    with desk.serve() as server:
        tick(server, symbol, mid=0)
        wait_until(lambda: mark(server, symbol)["price"] == 0)
        posted = total(server)
    assert posted == (-40_000 if symbol == "ACMEC" else -400)
    assert through_replay(desk, [{"instrument": symbol, "ts": now(), "mid": 0}], "") == posted


@pytest.fixture
def franc(desk: Desk) -> Iterator[Server]:
    """A desk that is long a million dollars against the franc, at a price that is fresh."""
    with desk.serve() as server:
        trade = {"trade_id": "1", "desk": "FX1", "instrument": "USDCHF", "quantity": 1_000_000, "price": 1.0005}
        deal(server, trade)
        tick(server, "USDCHF", mid=1.0005)
        wait_until(lambda: total(server) == pytest.approx(0))
        yield server


def test_a_price_that_nobody_should_believe_is_held_back_listed_and_warned_of(franc: Server) -> None:
    """A13, and three quotes that agree."""
    tick(franc, "USDCHF", mid=10.005)
    wait_until(lambda: "suspect" in warned(franc), 1.0)
    shown = mark(franc, "USDCHF")
    assert (shown["price"], shown["suspect"], total(franc)) == (1.0005, 10.005, pytest.approx(0))
    [item] = listed(franc, "suspect")
    assert item["detail"]["source"] == "venue"
    assert b"riskengine_suspects 1.0" in franc.get("/metrics", raw=True)
    tick(franc, "USDCHF", mid=10.006)
    tick(franc, "USDCHF", mid=10.007)
    wait_until(lambda: mark(franc, "USDCHF")["price"] == 10.007, 1.0)
    wait_until(lambda: "suspect" not in warned(franc), 1.0)
    assert listed(franc, "suspect") == []


def test_a_true_jump_costs_a_moment(franc: Server) -> None:
    """A13, two seconds."""
    tick(franc, "USDCHF", mid=0.85)
    wait_until(lambda: mark(franc, "USDCHF")["suspect"] == 0.85, 1.0)
    assert mark(franc, "USDCHF")["price"] == 1.0005
    wait_until(lambda: mark(franc, "USDCHF")["price"] == 0.85, 4.0)


def noticed(server: Server) -> dict[str, list[dict[str, Any]]]:
    """The three lists, without the age of each item, which the clock gives it."""
    kinds = ("off_market", "possible_duplicate", "late")
    return {kind: [{name: item[name] for name in item if name != "age_s"} for item in listed(server, kind)] for kind in kinds}


def test_what_is_noticed_of_trades_is_listed_the_same_after_a_kill_and_a_start(desk: Desk) -> None:
    plain: dict[str, Any] = {"desk": "FX1", "instrument": "EURUSD", "quantity": 100, "price": 1.1, "ts": now()}
    with desk.serve() as server:
        tick(server, "EURUSD", mid=1.1)
        wait_until(lambda: mark(server, "EURUSD")["price"] == 1.1)
        deal(
            server,
            plain | {"trade_id": "near", "price": 1.103},
            plain | {"trade_id": "far", "price": 1.11},
            plain | {"trade_id": "twin", "source": "venue", "ts": plain["ts"] + 1},
            plain | {"trade_id": "T-77", "source": "bank", "ts": plain["ts"] + 1},
            plain | {"trade_id": "long ago", "price": 1.2, "ts": plain["ts"] - 3_600 * SECOND},
        )
        before = noticed(server)
        assert [row["trade"]["trade_id"] for row in before["off_market"]] == ["far"]
        assert [row["trade"]["trade_id"] for row in before["possible_duplicate"]] == ["T-77"]
        assert [row["trade"]["trade_id"] for row in before["late"]] == ["long ago"]
        assert before["possible_duplicate"][0]["detail"]["other"]["trade_id"] == "twin"
        assert server.get("/v1/nodes/ALL")["rows"][0]["trade_count"] == 5
        wait_until(lambda: {"off_market", "possible_duplicate"} <= warned(server), 3.0)
        tick(server, "EURUSD", mid=1.104)
        wait_until(lambda: mark(server, "EURUSD")["price"] == 1.104)
        time.sleep(0.5)
        server.kill()
    with desk.serve() as server:
        assert noticed(server) == before
        server.post(f"/v1/exceptions/{before['off_market'][0]['id']}", {"action": "accept"})
        deal(server, plain | {"trade_id": "T-77", "source": "bank", "version": 2, "action": "amend", "price": 1.1001})
        wait_until(lambda: not {"off_market", "possible_duplicate"} & warned(server), 3.0)
        assert noticed(server)["possible_duplicate"] == []
