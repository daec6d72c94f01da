"""`riskengine reconcile` as a person or a program runs it, against a running engine: what it says and how it ends."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.world import instruments, nodes, row


class Desk:
    """A running engine on a store of its own."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.path = path
        self.store = f"sqlite:///{path}"

    def reconcile(self, *words: str | Path, status: int) -> Any:
        """What it prints, as JSON where there is any."""
        done = command("reconcile", "--engine", self.server.url, "--json", *words)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        if not done.stdout:
            assert len(done.stderr.strip().splitlines()) >= 1
            return done.stderr
        return json.loads(done.stdout)

    def by_hand(self, statement: str) -> None:
        connection = sqlite3.connect(self.path, timeout=10)
        with connection:
            connection.execute(statement)
        connection.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("reconcile")
    store = open_store(f"sqlite:///{folder}/desk.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with running("serve", "--port", "0", "--store", f"sqlite:///{folder}/desk.db", log=folder / "log") as server:
        other = row("3", desk="FX2", dealer="bob", price="1.2")
        server.post("/v1/trades", [row("1"), row("2", side="sell", quantity="40"), other])
        yield Desk(server, folder / "desk.db")


def test_engine_and_store_agree(desk: Desk) -> None:
    told = desk.reconcile("--store", desk.store, status=0)
    assert (told["clean"], told["compared"], told["watermark"], told["breaks"]) == (True, 4, 3, [])


def test_a_row_that_was_changed_by_hand_is_a_break_until_it_is_repaired(desk: Desk) -> None:
    desk.by_hand("UPDATE trades SET quantity = '41' WHERE trade_id = '2'")
    told = desk.reconcile("--store", desk.store, status=1)
    assert not told["clean"]
    [dealer, node] = sorted(told["breaks"], key=lambda each: each["rollup"])
    assert (node["kind"], node["node"], node["instrument"]) == ("quantity", "FX1", "EURUSD")
    assert (node["here"]["quantity"], node["there"]["quantity"], node["difference"]["quantity"]) == ("60", "59", "-1")
    assert (dealer["kind"], dealer["dealer"]) == ("quantity", "ann")
    told = desk.reconcile("--store", desk.store, "--repair", status=0)
    assert (told["clean"], told["repaired"], [each["repaired"] for each in told["breaks"]]) == (False, True, [True, True])
    assert desk.reconcile("--store", desk.store, status=0)["clean"]
    [position] = desk.server.get("/v1/positions?node=FX1&instrument=EURUSD")["rows"]
    assert position["quantity"] == 59.0
    assert desk.server.get("/v1/breaks")["total"] == 0
    remembered = desk.server.get("/v1/breaks?status=all")["rows"]
    assert {(each["status"], each["kind"]) for each in remembered} == {("repaired", "quantity")}
    desk.server.post(f"/v1/breaks/{remembered[0]['break_id']}", {"comment": "a typing error"})
    assert desk.server.get("/v1/breaks?status=all")["rows"][0]["comment"] == "a typing error"


def test_people_get_lines(desk: Desk) -> None:
    done = command("reconcile", "--engine", desk.server.url, "--store", desk.store)
    assert (done.returncode, done.stdout) == (0, "no breaks, 4 positions compared against store, watermark 3\n")


def test_a_statement_that_agrees_or_differs(desk: Desk, tmp_path: Path) -> None:
    statement = tmp_path / "broker.csv"
    statement.write_text("Account,Symbol,Units,Cash\nFX2,EURUSD,100,-120\nFX1,EURUSD,59.005,\n")
    mapping = ("--columns", "node=Account,instrument=Symbol,quantity=Units,net_cash=Cash")
    told = desk.reconcile("--against", statement, *mapping, "--tolerance", "quantity=0.01", status=0)
    assert (told["clean"], told["compared"]) == (True, 2)
    told = desk.reconcile("--against", statement, *mapping, status=1)
    [found] = told["breaks"]
    assert (found["kind"], found["node"], found["difference"]["quantity"]) == ("quantity", "FX1", "0.005")


def test_names_that_the_engine_does_not_know_are_told_apart_and_averages_as_such(desk: Desk, tmp_path: Path) -> None:
    statement = tmp_path / "broker.csv"
    statement.write_text(
        "node,dealer,instrument,quantity,average_price\n"
        "FX2,,EURUSD,100,1.25\nFX2,,EUR/SEK,5,\nFX-2,,EURUSD,1,\n,Bob,EURUSD,1,\nNOPE,,EUR/USD,5,\nFX2,,GBPUSD,7,\n"
    )
    told = command("reconcile", "--engine", desk.server.url, "--against", statement)
    assert told.returncode == 1
    assert told.stdout.splitlines() == [
        "unknown_name  dealer Bob  EURUSD  there 1  unknown dealer 'Bob': did you mean 'bob'?",
        "unknown_name  node FX-2  EURUSD  there 1  unknown node 'FX-2': did you mean 'FX2'?",
        "unknown_name  node FX2  EUR/SEK  there 5  unknown instrument 'EUR/SEK'",
        "average       node FX2  EURUSD  here average 1.2 of 100  there average 1.25 of 100",
        "missing_here  node FX2  GBPUSD  here nothing  there 7",
        "unknown_name  node NOPE  EUR/USD  there 5  unknown node 'NOPE'  unknown instrument 'EUR/USD': did you mean 'EURUSD'?",
        "unknown_name: the engine does not know the name; load it, or give their name ours by --alias FILE (theirs,ours)",
        "6 breaks, 6 positions compared against " + str(statement) + ", watermark 3",
    ]
    found = desk.reconcile("--against", statement, status=1)["breaks"]
    assert found[0]["unknown"] == [{"field": "dealer", "name": "Bob", "near": "bob"}]
    assert (found[3]["here"]["average_price"], found[3]["there"]["average_price"]) == ("1.2", "1.25")


def test_an_alias_file_gives_the_names_of_a_statement_ours(desk: Desk, tmp_path: Path) -> None:
    statement, names = tmp_path / "broker.csv", tmp_path / "names.csv"
    statement.write_text("node,dealer,instrument,quantity\nZurich,,EUR/USD,100\n,Bob,EUR/USD,100\n")
    names.write_text("Zurich,FX2\nBob,bob\nEUR/USD,EURUSD\n")
    assert desk.reconcile("--against", statement, "--alias", names, status=0)["clean"]


def test_where_it_cannot_compare_stdout_is_empty_and_the_status_2(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    open_store(f"sqlite:///{other}").close()
    assert "serves another store" in desk.reconcile("--store", f"sqlite:///{other}", status=2)
    assert "does not exist" in desk.reconcile("--store", f"sqlite:///{tmp_path}/none.db", status=2)
    assert "could not compare" in desk.reconcile("--against", tmp_path / "none.csv", status=2)
    bad = tmp_path / "bad.csv"
    bad.write_text("instrument,quantity\nEURUSD,many\n")
    assert "bad.csv:2: quantity" in desk.reconcile("--against", bad, status=2)
    done = command("reconcile", "--engine", "http://127.0.0.1:9", "--store", desk.store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "127.0.0.1:9" in done.stderr


def test_what_was_asked_for_by_a_program_is_refused_where_it_makes_no_sense(desk: Desk) -> None:
    desk.server.post("/v1/reconcile", {"mend": True}, status=400)
    desk.server.post("/v1/reconcile", b"[", status=400)
    assert desk.server.post("/v1/reconcile", {})["clean"]
    assert desk.server.get("/v1/status")["last_reconciliation"]["found"] == 0
