"""Trades kept out, misspelt names and changed terms, by the commands and over HTTP, on both databases.

Cases B1, B9, B10, C4 and C5.
"""

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.serve.routes.exceptions import KINDS
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.waiting import wait_until

NODES = "node,level,parent\nALL,total,\nFX,book,ALL\nFX1,desk,FX\nFX2,desk,FX\nEQ,book,ALL\nEQ1,desk,EQ\n"
INSTRUMENTS = """instrument,kind,base_currency,quote_currency,multiplier,expiry
EURUSD,fx,EUR,USD,,
VOD,equity,,GBP,,
ESZ9,future,,USD,50,2029-12-21
"""
TRADES = "trade_id,ts,instrument,desk,side,quantity,price\n"
HOUR = 3_600 * 1_000_000


class Desk:
    """A folder with a loaded store."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.now = SystemClock().now()
        self.load("nodes", NODES)
        self.load("instruments", INSTRUMENTS)

    def load(self, kind: str, text: str, *options: str, status: int = 0) -> Any:
        """The counts of a load, and what it said; `said` is under a key of its own."""
        path = self.folder / f"{kind}.csv"
        path.write_text(text)
        done = riskengine("load", kind, path, "--store", self.url, "--json", *options)
        assert done.exit_code == status, done.stderr
        return json.loads(done.stdout) | {"said": done.stderr}

    def kept_out(self) -> str:
        """An opening balance of now, a trade from before it and one of 2029."""
        self.load("positions", f"desk,instrument,ts,quantity,average_price\nFX1,EURUSD,{self.now - HOUR},100,1.1\n")
        future = 1_870_000_000_000_000
        return (
            f"{TRADES}ahead,{future},EURUSD,FX1,buy,5,1.1\nbefore,{self.now - 2 * HOUR},EURUSD,FX1,buy,7,1.1\n"
            f"plain,{self.now},EURUSD,FX1,buy,1,1.1\n"
        )

    def serving(self) -> Any:
        return running("serve", "--store", self.url, "--port", "0", log=self.folder / "serve.log")


@pytest.fixture
def desk(tmp_path: Path, store_url: str) -> Desk:
    return Desk(tmp_path, store_url)


def warning(server: Server, kind: str) -> dict[str, Any] | None:
    return next((row for row in server.get("/v1/status")["warnings"] if row["kind"] == kind), None)


def test_a_load_says_what_the_engine_will_keep_out_and_the_engine_keeps_out_just_that(desk: Desk) -> None:
    text = desk.kept_out()
    dry = desk.load("trades", text, "--dry-run")
    counts = desk.load("trades", text, "--refused", str(desk.folder / "refused.csv"))
    assert {name: counts[name] for name in ("lines", "inserted", "quarantined", "refused")} == {
        "lines": 3,
        "inserted": 1,
        "quarantined": 2,
        "refused": 0,
    }
    assert {**dry, "dry_run": False} == counts
    assert "trades.csv:2: quarantined: ts is more than 60 s after it was received" in counts["said"]
    assert "trades.csv:3: quarantined: ts is before the opening balance of its position" in counts["said"]
    with (desk.folder / "refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trade_id"], row["quantity"], row["line"]) for row in rows] == [("ahead", "5", "2"), ("before", "7", "3")]
    assert all(row["reason"].startswith("quarantined: ") for row in rows)
    with desk.serving() as server:
        wait_until(lambda: warning(server, "quarantined"), 5)
        said = warning(server, "quarantined")
        assert said is not None and said["text"].startswith("2 trades are quarantined, since ")
        assert desk.now <= said["since"] <= SystemClock().now()
        assert server.get("/readyz")["warnings"] == server.get("/v1/status")["warnings"]


def test_what_a_load_keeps_out_beside_a_running_engine_is_a_warning_within_two_seconds(desk: Desk) -> None:
    with desk.serving() as server:
        assert server.get("/v1/status")["warnings"] == []
        header = "trade_id,version,action,ts,instrument,desk,side,quantity,price\n"
        counts = desk.load("trades", f"{header}gone,2,cancel,,,,,,\n")
        assert counts["parked"] == 1
        wait_until(lambda: warning(server, "parked"), 5)


def test_exceptions_are_listed_and_decided_from_the_store_and_from_the_engine(desk: Desk) -> None:
    desk.load("trades", desk.kept_out())
    listed = json.loads(riskengine("exceptions", "--store", desk.url, "--kind", "quarantined", "--json").stdout)
    ids = {row["trade"]["trade_id"]: row["id"] for row in listed["rows"]}
    assert listed["total"] == 2 and ids.keys() == {"ahead", "before"}
    done = riskengine("decide", ids["before"], "accept", "--comment", "it was not in the balance", "--store", desk.url)
    assert done.exit_code == 0 and "[accept by " in done.stdout
    with desk.serving() as server:
        assert server.get("/v1/ladder?node=FX1&exact=true")["rows"][0]["quantity"] == "108"
        told = riskengine("exceptions", "--engine", server.url)
        assert ids["ahead"] in told.stdout and ids["before"] not in told.stdout
        beside = riskengine("decide", ids["ahead"], "reject", "--store", desk.url)
        assert beside.exit_code == 1 and "--engine URL" in beside.stderr
        done = riskengine("decide", ids["ahead"], "reject", "--comment", "typo", "--engine", server.url)
        assert done.exit_code == 0, done.stderr
        wait_until(lambda: warning(server, "quarantined") is None, 5)
        unknown = riskengine("decide", "quarantined:file:NONE:0:1", "reject", "--engine", server.url)
        assert unknown.exit_code == 1 and "unknown exception" in unknown.stderr
    nobody = riskengine("decide", "quarantined:file:NONE:0:1", "reject", "--store", desk.url)
    assert nobody.exit_code == 1 and "unknown exception" in nobody.stderr
    assert "unpriced" in KINDS and riskengine("exceptions", "--store", desk.url).exit_code == 0


def test_an_expired_option_is_booked_from_the_store_as_by_a_running_engine(desk: Desk) -> None:
    cut = desk.now - HOUR // 2
    expiry = dt.datetime.fromtimestamp(cut / 1_000_000, dt.UTC).isoformat()
    header = "instrument,kind,base_currency,quote_currency,option_type,strike,expiry"
    desk.load("instruments", f"{header}\nC1,fx_option,EUR,USD,call,1.1,{expiry}\nP1,fx_option,EUR,USD,put,1.1,{expiry}\n")
    dealt = f"{cut - HOUR},%s,FX1,buy,1000,0.01\n"
    desk.load("trades", f"{TRADES}c,{dealt % 'C1'}p,{dealt % 'P1'}")
    desk.load("marks", f"instrument,ts,price\nEURUSD,{cut - 60_000_000},1.12\n")
    listed = json.loads(riskengine("exceptions", "--store", desk.url, "--kind", "expired", "--json").stdout)["rows"]
    assert {row["id"]: row["detail"]["suggested"] for row in listed} == {"expired:C1": "exercise", "expired:P1": "abandon"}
    for exception_id in ("expired:C1", "expired:C1", "expired:P1"):  # sent again, it changes nothing
        done = riskengine("decide", exception_id, "accept", "--store", desk.url)
        assert done.exit_code == 0, done.stderr
    assert json.loads(riskengine("exceptions", "--store", desk.url, "--kind", "expired", "--json").stdout)["rows"] == []
    with desk.serving() as server:
        held = {
            row["instrument"]: (row["quantity"], row["net_cash"]) for row in server.get("/v1/ladder?node=FX1&exact=true")["rows"]
        }
        assert held == {"C1": ("0", "-10"), "P1": ("0", "-10"), "EURUSD": ("1000", "-1100")}
        booked = server.get("/v1/trades?source=exercise")["rows"]
        assert sorted((row["instrument"], row["side"], row["ts"]) for row in booked) == [
            ("C1", "sell", cut),
            ("EURUSD", "buy", cut),
            ("P1", "sell", cut),
        ]


def test_an_accepted_conflict_replaces_the_stored_trade(desk: Desk) -> None:
    desk.load("trades", f"{TRADES}a,{desk.now},EURUSD,FX1,buy,5,1.1\n")
    counts = desk.load("trades", f"{TRADES}a,{desk.now},EURUSD,FX1,buy,6,1.1\n", status=1)
    assert counts["conflict"] == 1 and "trades.csv:2: conflict: another trade" in counts["said"]
    [row] = json.loads(riskengine("exceptions", "--store", desk.url, "--kind", "conflict", "--json").stdout)["rows"]
    assert riskengine("decide", row["id"], "accept", "--store", desk.url).exit_code == 0
    with desk.serving() as server:
        assert server.get("/v1/ladder?node=FX1&exact=true")["rows"][0]["quantity"] == "6"
        assert warning(server, "conflict") is None


def test_misspelt_names_are_refused_at_every_door(desk: Desk) -> None:
    said = desk.load("trades", f"{TRADES[:-1]},fee\na,{desk.now},EURUSD,FX1,buy,5,1.1,9\n", status=1)["said"]
    assert "'fee' is not a column of a trade: did you mean fees?" in said
    said = desk.load("instruments", "instrument,kind,quote_currency,Multiplyer\nX,equity,USD,5\n", status=1)["said"]
    assert "'Multiplyer' is not a column of a instrument: did you mean multiplier?" in said.replace(
        "an instrument", "a instrument"
    )
    trade = {"trade_id": "a", "ts": desk.now, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 5, "price": 1.1}
    with desk.serving() as server:
        answer = server.post("/v1/trades", [trade | {"fee": 9}, trade | {"trade_id": "b", "currency": "EUR"}, trade])
        assert [each["status"] for each in answer["results"]] == ["rejected", "rejected", "applied"]
        assert answer["results"][0]["reason"] == "fee: is not a field of a trade: did you mean fees?"
        assert "EURUSD is dealt in USD" in answer["results"][1]["reason"]
        answer = server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": desk.now, "bid": 1.1, "aks": 1.2}])
        assert answer["errors"][0]["reason"] == "is not a field of a tick: did you mean ask?"
        problem = server.get("/v1/positions?nodes=FX", status=400)
        assert "nodes: is not a parameter of this route: did you mean node?" in problem["detail"]
        problem = server.post("/v1/reconcile", {"repare": True}, status=400)
        assert "repare: is not a field of a record: did you mean repair?" in problem["detail"]
        pence = {"trade_id": "p", "instrument": "VOD", "desk": "EQ1", "price": "71.5", "currency": "GBX"}
        assert server.post("/v1/trades", trade | pence)["counts"]["applied"] == 1
        assert server.get("/v1/ladder?node=EQ1&exact=true")["rows"][0]["net_cash"] == "-3.575"
        blotter = server.get("/v1/trades?exact=true")["rows"]
        again = server.post("/v1/trades", blotter)
        assert again["counts"]["duplicate"] == len(blotter) == 2, again


def test_a_changed_multiplier_is_refused_unless_it_is_meant(desk: Desk) -> None:
    desk.load("trades", f"{TRADES}a,{desk.now},ESZ9,FX1,buy,5,6000\n")
    changed = INSTRUMENTS.replace(",50,", ",500,")
    counts = desk.load("instruments", changed, status=1)
    assert counts["refused"] == 1 and "multiplier 50 -> 500; --accept-changes takes it" in counts["said"]
    counts = desk.load("instruments", changed, "--accept-changes")
    assert counts["updated"] == 1 and "instruments.csv:4: ESZ9: multiplier 50 -> 500" in counts["said"]


def test_an_amend_without_a_version_is_refused_and_long_fees_are_rounded(desk: Desk) -> None:
    header = "trade_id,action,ts,instrument,desk,side,quantity,price,fees\n"
    fill = f"{desk.now},EURUSD,FX1,buy,5"
    text = f"{header}a,new,{fill},1.1,0.2808559209946952\na,amend,{fill},1.2,0\n"
    counts = desk.load("trades", text, status=1)
    assert (counts["inserted"], counts["rounded"], counts["refused"], counts["conflict"]) == (1, 1, 1, 0)
    assert "trades.csv:3: version: is missing: an amend names its version" in counts["said"]
    with desk.serving() as server:
        [row] = server.get("/v1/trades?exact=true")["rows"]
        assert row["fees"] == "0.280855921"
        answer = server.post(
            "/v1/trades", [{"trade_id": "a", "source": "file", "action": "cancel"}, row | {"fees": "1e-11", "trade_id": "n"}]
        )
        assert answer["results"][0]["reason"] == "version: is missing: a cancel names its version"
        assert answer["counts"]["rounded"] == answer["counts"]["applied"] == 1


def test_what_nothing_refers_to_can_be_removed(desk: Desk) -> None:
    desk.load("trades", f"{TRADES}a,{desk.now},ESZ9,FX1,buy,5,6000\n")
    done = riskengine("remove", "nodes", "FX1", "FX2", "--store", desk.url)
    assert done.exit_code == 1 and "FX1: not removed: has trades" in done.stderr and done.stdout == "removed 1 of 2 nodes\n"
    done = riskengine("remove", "instruments", "VOD", "--store", desk.url)
    assert (done.exit_code, done.stdout) == (0, "removed 1 of 1 instruments\n")
    assert riskengine("audit", "verify", "--store", desk.url).exit_code == 0
