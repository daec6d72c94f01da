"""Attributes of trades (counterparty, account, order, ..) through the public interface, on both databases."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from riskengine.clock import SystemClock
from riskengine.store.open_store import open_store
from riskengine.store.trade_rows import ATTRIBUTES
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.store_book import Outside
from tests.waiting import wait_until
from tests.world import instruments, nodes

ASKED = {
    "counterparty": "Bank A",
    "account": "AC-17",
    "broker": "Zoë & Söhne",
    "order_id": "O:1/7",
    "strategy": "carry",
    "comment": 'two lines,\n"quoted" = fine',
}
EMPTY = dict.fromkeys(ATTRIBUTES, "")


@pytest.fixture
def url(store_url: str) -> str:
    with_house = open_store(store_url)
    with_house.save_nodes(nodes())
    with_house.save_instruments(instruments())
    with_house.close()
    return store_url


def deal(trade_id: str, **columns: Any) -> dict[str, Any]:
    usual = {"source": "booking", "ts": SystemClock().now() - 1_000_000, "instrument": "EURUSD", "desk": "FX1"}
    return usual | {"trade_id": trade_id, "side": "buy", "quantity": "100", "price": "1.1"} | columns


def found(server: Server, **asked: str) -> list[str]:
    """The ids of the trades that a search finds, sorted."""
    answer = server.get(f"/v1/trades?{urlencode(asked)}")
    assert answer["total"] == len(answer["rows"])
    return sorted(row["trade_id"] for row in answer["rows"])


def attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ATTRIBUTES}


def of(server: Server, trade_id: str) -> dict[str, Any]:
    [row] = [row for row in server.get("/v1/trades?limit=1000")["rows"] if row["trade_id"] == trade_id]
    return attributes(row)


def search(server: Server) -> None:
    """Each attribute finds its trades; a cancel is found by those of its trade."""
    for name in ATTRIBUTES[:-1]:
        assert found(server, **{name: ASKED[name]}) == ["full", "gone"], name
    assert found(server, broker="", dealer="") == ["bare"]
    assert found(server, counterparty="Bank A", account="AC-18") == []
    problem = server.get("/v1/trades?comment=x", status=400)
    assert "comment: is not a parameter of this route" in problem["detail"]


def test_attributes_are_kept_found_and_sent_on_and_change_no_number(url: str, tmp_path: Path) -> None:
    with running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server:
        first = [deal("full", **ASKED), deal("bare"), deal("gone", **ASKED)]
        assert server.post("/v1/trades", first)["counts"]["applied"] == 3
        cancel = {"source": "booking", "trade_id": "gone", "version": 2, "action": "cancel"}
        assert server.post("/v1/trades", cancel)["counts"]["applied"] == 1
        before = server.get("/v1/digest")["digest"]
        assert of(server, "full") == ASKED and of(server, "bare") == EMPTY
        search(server)
        other = {"account": "AC-99", "comment": ""}
        [again] = server.post("/v1/trades", first[0] | other)["results"]
        assert again["status"] == "duplicate"
        assert again["reason"] == "came before with other account, comment: what was stored first stays; an amend changes it"
        assert server.post("/v1/trades", first[0])["results"][0]["reason"] == ""
        assert of(server, "full") == ASKED and server.get("/v1/digest")["digest"] == before
        table = server.get("/v1/trades?format=csv&versions=all", raw=True).decode()
        assert attributes(next(row for row in csv.DictReader(io.StringIO(table)) if row["trade_id"] == "full")) == ASKED
        refused = server.post("/v1/trades", [deal("x", account=" a"), deal("y", comment="x" * 1_001), deal("z", order_id=7)])
        assert [each["reason"].partition(":")[0] for each in refused["results"]] == ["account", "comment", "order_id"]
        server.stop()
    (tmp_path / "all.csv").write_text(table, newline="")
    done = riskengine("load", "trades", tmp_path / "all.csv", "--store", url, "--json")
    counts = json.loads(done.stdout)
    assert (counts["duplicate"], counts["inserted"], counts.get("other_attributes", 0)) == (4, 0, 0), done.stderr
    played = json.loads(riskengine("replay", "--trades", tmp_path / "all.csv", "--store", url, "--json").stdout)["replayed"]
    assert (played["trades"]["read"], played["trades"]["applied"]) == (4, 2), (
        "newest first: the cancel parks, its trade is superseded"
    )
    bare = tmp_path / "bare.csv"
    bare.write_text(table.replace("carry", "value"), newline="")
    counts = json.loads(riskengine("load", "trades", bare, "--store", url, "--json").stdout)
    assert (counts["duplicate"], counts["other_attributes"]) == (4, 2)
    assert riskengine("audit", "verify", "--store", url).exit_code == 0
    with running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server:
        search(server)
        assert server.get("/v1/digest")["digest"] == before
        assert server.post("/v1/reconcile", {})["clean"]


def test_amends_accepted_conflicts_and_rows_of_other_programs_bring_their_own(url: str, tmp_path: Path) -> None:
    program = Outside(url)
    with running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server:
        sent = deal("a", **ASKED)
        server.post("/v1/trades", sent)
        amend = sent | {"version": 2, "action": "amend", "counterparty": "Bank B", "comment": ""}
        assert server.post("/v1/trades", amend)["counts"]["applied"] == 1
        assert (found(server, counterparty="Bank A"), found(server, counterparty="Bank B")) == ([], ["a"])
        assert found(server, counterparty="Bank A", versions="all") == ["a"]
        assert server.post("/v1/trades", amend | {"price": "1.2", "counterparty": "Bank C"})["counts"]["conflict"] == 1
        [item] = server.get("/v1/exceptions?kind=conflict")["rows"]
        server.post(f"/v1/exceptions/{item['id']}", {"action": "accept"})
        assert (found(server, counterparty="Bank C"), found(server, counterparty="Bank B")) == (["a"], [])
        program.book(trade_id="odd", account=" spaced ", comment="\t")
        program.book(trade_id="null", account=None)
        wait_until(lambda: server.get("/v1/status")["counts"]["applied"] == 4)
        assert found(server, account=" spaced ") == ["odd"] and found(server, account="") == ["null"]
        assert server.post("/v1/reconcile", {})["clean"]
    program.close()


def test_an_attribute_that_is_edited_in_place_shows_in_the_audit_trail(url: str) -> None:
    (program := Outside(url)).execute("SELECT 1")
    store = open_store(url)
    store.acquire_writer("test")
    store.next_epoch()
    program.book(trade_id="plain")
    store.record_followed([1])
    assert store.verify_audit().findings == []
    program.execute("UPDATE trades SET counterparty = 'somebody' WHERE store_seq = 1")
    [finding] = store.verify_audit().findings
    assert "recorded trade row 1, which was edited since" in finding.what
    store.close()
    program.close()
