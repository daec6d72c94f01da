"""Fees and times that an administrator corrects in stored trades, beside a running engine: found, said, taken over."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.store_book import Outside
from tests.waiting import wait_until
from tests.world import SECOND, instruments, nodes, row

KEYS = {("node", "FX1"), ("dealer", "ann")}


class Desk:
    """A running engine with three trades of EURUSD (A with fees of 5), and an administrator of its store."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.url = server, url
        self.administrator = Outside(url)
        self.now: int = server.get("/v1/status")["as_of"]
        deals = (("A", "buy", "1.0", "5", 30), ("B", "sell", "1.5", "0", 20), ("C", "buy", "2.0", "0", 10))
        sent = [
            row(name, side=side, price=price, fees=fees, ts=self.now - ago * SECOND) for name, side, price, fees, ago in deals
        ]
        assert server.post("/v1/trades", sent)["counts"]["applied"] == 3
        server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": self.now, "mid": "1.8"}])

    def reconcile(self, **words: bool) -> dict[str, Any]:
        report: dict[str, Any] = self.server.post("/v1/reconcile", words)
        return report

    def position(self) -> dict[str, Decimal]:
        [found] = self.server.get("/v1/positions?node=FX1&exact=true")["rows"]
        return {name: Decimal(found[name]) for name in ("quantity", "net_cash", "average_price", "realised_pnl", "fees")}


@pytest.fixture
def desk(store_url: str, tmp_path: Path) -> Iterator[Desk]:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        found = Desk(server, store_url)
        yield found
        found.administrator.close()


def kinds(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(each["kind"], each["rollup"], each.get("node") or each["dealer"]) for each in report["breaks"]}


def test_corrected_fees_and_times_are_breaks_and_a_repair_takes_them_over(desk: Desk) -> None:
    assert desk.position()["average_price"] == 2
    assert desk.reconcile()["clean"]

    desk.administrator.execute("UPDATE trades SET fees = '5000' WHERE trade_id = 'A'")
    report = desk.reconcile()
    assert kinds(report) == {("fees", *key) for key in KEYS}
    for each in report["breaks"]:
        figures = [each[side]["fees"] for side in ("here", "there", "difference")]
        assert figures == [{"USD": "5"}, {"USD": "5000"}, {"USD": "4995"}]
        assert {one["trade_id"] for one in each["trades"]} == {"A"}
    assert desk.reconcile(repair=True)["open"] == 0
    assert desk.position()["fees"] == 5000

    desk.administrator.execute(f"UPDATE trades SET ts = {desk.now - 60 * SECOND} WHERE trade_id = 'C'")
    assert kinds(desk.reconcile()) == {("order", *key) for key in KEYS}
    [warning] = [each for each in desk.server.get("/v1/status")["warnings"] if "differ from the store" in str(each)]
    assert "2 order" in str(warning)
    assert b'riskengine_breaks_open_by_kind{kind="order"} 2.0' in desk.server.get("/metrics", raw=True)
    assert {each["kind"] for each in desk.server.get("/v1/breaks")["rows"]} == {"order"}
    repaired = desk.reconcile(repair=True)
    assert (repaired["open"], [each["repaired"] for each in repaired["breaks"]]) == (0, [True, True])

    held = desk.position()
    assert held == {"quantity": 100, "net_cash": -150, "average_price": Decimal("1.5"), "realised_pnl": 0, "fees": 5000}
    assert desk.reconcile()["clean"]
    live = desk.server.get("/v1/digest")["digest"]
    fresh = command("rebuild", "--store", desk.url, "--json")
    assert fresh.returncode == 0, fresh.stderr
    assert json.loads(fresh.stdout)["digest"] == live


def test_both_at_once_are_told_apart(desk: Desk) -> None:
    desk.administrator.execute("UPDATE trades SET fees = '5000' WHERE trade_id = 'A'")
    desk.administrator.execute(f"UPDATE trades SET ts = {desk.now - 60 * SECOND} WHERE trade_id = 'C'")
    both = {(kind, *key) for kind in ("fees", "order") for key in KEYS}
    assert kinds(desk.reconcile()) == both
    found = command("reconcile", "--engine", desk.server.url, "--store", desk.url, "--json")
    assert kinds(json.loads(found.stdout)) == both
    repaired = desk.reconcile(repair=True)
    assert (kinds(repaired), repaired["open"], {each["repaired"] for each in repaired["breaks"]}) == (both, 0, {True})
    held = desk.position()
    assert [held[name] for name in ("average_price", "realised_pnl", "fees")] == [Decimal("1.5"), 0, 5000]
    assert desk.reconcile()["clean"]


def test_the_command_finds_them_by_itself_and_says_which_is_which(desk: Desk) -> None:
    desk.administrator.execute("UPDATE trades SET fees = '5000' WHERE trade_id = 'A'")
    command_line = ("reconcile", "--engine", desk.server.url, "--store", desk.url)
    found = command(*command_line)
    assert found.returncode == 1, found.stderr
    assert "fees          node FX1  EURUSD  here fees 5 USD  there fees 5000 USD" in found.stdout
    desk.administrator.execute("UPDATE trades SET fees = '5', source_seq = 7 WHERE trade_id = 'A'")
    found = command(*command_line, "--repair")
    assert found.returncode == 0, found.stderr
    assert "order         node FX1  EURUSD" in found.stdout
    assert "`riskengine audit verify` lists the rows" in found.stdout


def test_a_renewal_says_that_rows_were_edited(desk: Desk) -> None:
    """Whatever makes the engine read its rows anew, here a new node, must not take over an edit in silence."""
    desk.administrator.execute(f"UPDATE trades SET ts = {desk.now - 60 * SECOND} WHERE trade_id = 'C'")
    desk.administrator.execute("INSERT INTO nodes (node, level, parent) VALUES ('FX9', 'desk', 'G10')")

    def is_said() -> bool:
        warnings = str(desk.server.get("/v1/status")["warnings"])
        return "2 positions changed because stored trades were changed in place" in warnings

    wait_until(is_said)
    assert desk.position()["average_price"] == Decimal("1.5")
