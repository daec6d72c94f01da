"""Cases B2 and B3: conflicts, closes, marks and verdicts that others write beside the engine are in force within a second."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from riskengine.records.types import Verdict
from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.store_book import Outside

WITHIN_S = 1.0
SECOND = 1_000_000


class Beside(NamedTuple):
    """A running engine, its store's URL, and a folder for files."""

    engine: Server
    url: str
    folder: Path

    def load(self, kind: str, text: str, status: int = 0) -> None:
        """`riskengine load` of a file with these lines."""
        path = self.folder / f"{kind}.csv"
        path.write_text(text)
        done = command("load", kind, path, "--store", self.url)
        assert done.returncode == status, done.stderr

    def total(self, instrument: str) -> Any:
        return {row["instrument"]: row["total_pnl"] for row in self.engine.get("/v1/ladder?node=EQ1")["rows"]}.get(instrument)

    def conflicts(self) -> Any:
        return self.engine.get("/v1/exceptions?kind=conflict")["rows"]


def within(seconds: float, holds: Callable[[], Any]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < 10 * seconds, "did not happen"
        time.sleep(0.01)
    assert time.monotonic() - began < seconds


@pytest.fixture
def beside(store_url: str, tmp_path: Path) -> Iterator[Beside]:
    now = time.time_ns() // 1_000
    files = Beside(None, store_url, tmp_path)  # type: ignore[arg-type]
    files.load("nodes", "node,level,parent\nALL,,\nEQ1,desk,ALL\n")
    files.load(
        "instruments",
        "instrument,kind,quote_currency\n" + "".join(f"{name},equity,USD\n" for name in ("ACME", "A", "B", "C")),
    )
    trades = "".join(f"{name}1,{now - SECOND},{name},EQ1,buy,10,5\n" for name in "ABC")
    files.load("trades", "trade_id,ts,instrument,desk,side,quantity,price\n" + trades)
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as engine:
        yield files._replace(engine=engine)
        assert engine.stop() == 0


def test_a_conflict_that_load_writes_is_listed_and_counted(beside: Beside) -> None:
    now = time.time_ns() // 1_000
    lines = [f"1,{now},ACME,EQ1,buy,1,{price}\n" for price in (5, 6)]
    beside.load("trades", "trade_id,ts,instrument,desk,side,quantity,price\n" + "".join(lines), status=1)
    within(WITHIN_S, lambda: len(beside.conflicts()) == 1)
    [item] = beside.conflicts()
    assert (item["trade"]["price"], item["detail"]["stands"]["price"]) in ((6, 5), ("6", "5"), (6.0, 5.0))
    assert beside.engine.get("/v1/status")["counts"]["conflicts"] == 1
    beside.load("trades", "trade_id,ts,instrument,desk,side,quantity,price\n" + lines[1], status=1)
    time.sleep(2 * WITHIN_S)
    assert (len(beside.conflicts()), beside.engine.get("/v1/status")["counts"]["conflicts"]) == (1, 1), "once, however often"


@pytest.mark.parametrize("word", ["accept", "reject"])
def test_a_verdict_that_another_program_stores_is_followed(beside: Beside, word: str) -> None:
    now = time.time_ns() // 1_000
    deal = {
        "source": "bk",
        "trade_id": "V",
        "ts": now - SECOND,
        "instrument": "ACME",
        "desk": "EQ1",
        "side": "buy",
        "quantity": "10",
    }
    late = deal | {"trade_id": "future", "ts": now + 500 * SECOND, "price": "5"}
    answer = beside.engine.post("/v1/trades", [deal | {"price": "5"}, deal | {"price": "6"}, late])
    assert [one["status"] for one in answer["results"]] == ["applied", "conflict", "quarantined"]
    store = open_store(beside.url)
    [conflict] = store.conflicts()
    by_id = {
        item["id"]: item for item in beside.engine.get("/v1/exceptions")["rows"] if item["kind"] in ("conflict", "quarantined")
    }
    for item_id, item in by_id.items():
        trade = None
        if item["kind"] == "conflict" and word == "accept":
            from riskengine.records.reference import Reference, trade_check
            from riskengine.store.trade_rows import trade_from_row

            read = trade_from_row(conflict.row, trade_check(Reference(store.nodes(), store.instruments(), "USD")))
            trade = read
        store.save_verdict(Verdict(item_id, word, "from the store", "ann", time.time_ns() // 1_000), trade)  # type: ignore[arg-type]
    store.close()

    def cash() -> Any:
        return {row["instrument"]: row["net_cash"] for row in beside.engine.get("/v1/ladder?node=EQ1")["rows"]}["ACME"]

    within(WITHIN_S, lambda: cash() == (-110 if word == "accept" else -50) and beside.conflicts() == [])
    shown = beside.engine.get("/v1/exceptions?kind=quarantined")["rows"]
    assert [row["verdict"] for row in shown] == ([] if word == "accept" else ["reject"])
    assert beside.engine.post("/v1/reconcile", {"repair": False})["clean"]


def test_closes_and_marks_that_load_writes_are_in_force(beside: Beside) -> None:
    assert (beside.total("A"), beside.total("B")) == (None, None)
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86_400))
    beside.load("closes", f"date,instrument,price\n{yesterday},A,6\n")
    within(WITHIN_S, lambda: beside.total("A") == 10)
    beside.load("marks", f"instrument,ts,price\nB,{time.time_ns() // 1_000},7\n")
    within(WITHIN_S, lambda: beside.total("B") == 20)


def test_marks_that_sql_writes_are_in_force_and_the_newest_event_time_wins(beside: Beside) -> None:
    now = time.time_ns() // 1_000
    beside.engine.post("/v1/ticks", [{"instrument": "C", "ts": now, "bid": 9, "ask": 9}])
    outside = Outside(beside.url)
    within(3 * WITHIN_S, lambda: outside.execute("SELECT ts FROM marks WHERE instrument = 'C'") == [(now,)])
    outside.execute("INSERT INTO marks (instrument, ts, price, source, kind) VALUES ('B', ?, 8.0, 'sheet', 'quote')", [now])
    outside.execute("UPDATE marks SET ts = ?, price = 11.0, source = 'sheet' WHERE instrument = 'C'", [now + SECOND])
    within(WITHIN_S, lambda: (beside.total("B"), beside.total("C")) == (30, 60))
    outside.execute("UPDATE marks SET ts = ?, price = 1.0, source = 'sheet' WHERE instrument = 'C'", [now - SECOND])
    time.sleep(2 * WITHIN_S)
    assert beside.total("C") == 60, "an older one changes nothing"
    beside.engine.post("/v1/ticks", [{"instrument": "C", "ts": now + 2 * SECOND, "bid": 11.5, "ask": 11.5}])
    within(WITHIN_S, lambda: beside.total("C") == 65)
    outside.close()


def test_a_mark_of_another_program_is_not_stored_again(beside: Beside) -> None:
    outside = Outside(beside.url)
    now = time.time_ns() // 1_000
    outside.execute("INSERT INTO marks (instrument, ts, price, source, kind) VALUES ('B', ?, 8.0, 'sheet', 'quote')", [now])
    within(WITHIN_S, lambda: beside.total("B") == 30)
    column = "xmin::text" if outside.is_postgres else "(SELECT count FROM changes WHERE kind = 'marks')"
    first = outside.execute(f"SELECT saved, {column} FROM marks WHERE instrument = 'B'")
    time.sleep(2.5 * WITHIN_S)
    assert outside.execute(f"SELECT saved, {column} FROM marks WHERE instrument = 'B'") == first
    outside.close()
