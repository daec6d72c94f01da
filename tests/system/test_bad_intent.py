"""What a day of bad intent found, through the public doors: each test was a wrong number, a silence or a lost connection."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import connect

from tests.running import Server, command, running
from tests.store_book import Outside, new_store

DAY_US = 86_400_000_000


def now() -> int:
    return int(time.time() * 1e6)


@pytest.fixture
def server(store_url: str, tmp_path: Path) -> Iterator[Server]:
    new_store(store_url).close()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        yield server


def deal(server: Server, **columns: Any) -> None:
    usual = {
        "trade_id": "T1",
        "ts": now() - 1,
        "instrument": "EURUSD",
        "desk": "FX1",
        "side": "buy",
        "quantity": "100",
        "price": "1.1",
    }
    answer = server.post("/v1/trades", [usual | columns])
    assert answer["results"][0]["status"] == "applied", answer


def row(server: Server, instrument: str = "EURUSD") -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in server.get("/v1/ladder")["rows"] if row["instrument"] == instrument)
    return found


def until(holds: Callable[[], Any], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def warned(server: Server) -> dict[str, str]:
    return {warning["kind"]: warning["text"] for warning in server.get("/v1/status")["warnings"]}


def load(kind: str, path: Path, text: str, store_url: str) -> tuple[int, str]:
    path.write_text(text)
    done = command("load", kind, path, "--store", store_url)
    return done.returncode, done.stderr


def test_a_mark_from_ahead_of_the_clock_is_refused_at_the_door(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    status, said = load("marks", tmp_path / "m.csv", f"instrument,ts,price\nEURUSD,{now() + 400 * DAY_US},9.2\n", store_url)
    assert (status, "ts: is more than 60 s ahead of the clock" in said) == (1, True), said


def test_a_stored_mark_from_ahead_of_the_clock_is_not_in_force_again_after_a_restart(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    outside = Outside(store_url)
    outside.execute("INSERT INTO marks (instrument, ts, price) VALUES ('EURUSD', ?, ?)", (now() + 400 * DAY_US, 9.2))
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        deal(server)
        for _ in range(3):  # so far from the mark that it takes three to be believed
            server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": now(), "mid": "1.12", "source": "venue"}])
        until(lambda: row(server)["mark"] == 1.12)
        until(lambda: outside.execute("SELECT price FROM marks")[0][0] == 1.12)
        server.kill()
    outside.close()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        assert row(server)["mark"] == 1.12


@pytest.mark.parametrize("multiplier", ["0", "-5"])
def test_a_multiplier_that_is_none_leaves_the_earlier_reference_data_in_force(
    server: Server, store_url: str, multiplier: str
) -> None:
    deal(server, instrument="ESZ6", quantity="2", price="5000")
    server.post("/v1/ticks", [{"instrument": "ESZ6", "ts": now(), "mid": "5001"}])
    until(lambda: row(server, "ESZ6")["total_pnl"] == 100.0)
    outside = Outside(store_url)
    outside.execute("UPDATE instruments SET multiplier = ? WHERE instrument = 'ESZ6'", (multiplier,))
    until(lambda: "multiplier: must be above 0" in warned(server).get("reference", ""))
    assert row(server, "ESZ6")["total_pnl"] == 100.0
    outside.close()


def test_fewer_decimals_of_quantity_need_a_word_once_there_are_trades(server: Server, store_url: str, tmp_path: Path) -> None:
    deal(server, instrument="BTCUSD", quantity="0.1234567891", price="60000")
    fewer = "instrument,kind,quote_currency,quantity_decimals\nBTCUSD,crypto,USD,2\n"
    status, said = load("instruments", tmp_path / "i.csv", fewer, store_url)
    assert (status, "quantity_decimals 10 -> 2; --accept-changes takes it" in said) == (1, True), said


def test_a_source_that_numbers_above_2_to_the_53_can_promise_its_numbers(server: Server) -> None:
    first, last = 2**53 + 1, 2**53 + 3
    with connect(server.url.replace("http", "ws") + "/v1/ingest", proxy=None) as socket:
        deal(server, source="wide", source_seq=str(first))
        socket.send(json.dumps({"heartbeat": {"source": "wide", "last_seq": str(last)}}))
        until(lambda: any(feed["source"] == "wide" for feed in server.get("/v1/status")["feeds"]))
    feed = next(feed for feed in server.get("/v1/status")["feeds"] if feed["source"] == "wide")
    assert (feed["last_seq"], feed["received_seq"]) == (str(last), str(first))
    assert feed["missing"] == [[1, str(first - 1)], [str(last - 1), str(last)]]


def listed(server: Server, kind: str) -> list[tuple[str, str | None]]:
    return [(item["id"], item["verdict"]) for item in server.get(f"/v1/exceptions?kind={kind}")["rows"]]


def say(server: Server, item_id: str, action: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.post("/v1/exceptions/" + quote(item_id, safe=""), {"action": action, "comment": "why"})
    return answer


def conflict_of_earlier_days(server: Server) -> str:
    """A conflict that was accepted, gave way to another one, and has come again. Its id; the record of 1 stands."""
    ts = now() - 1_000_000

    def send(quantity: str) -> None:
        trade = {
            "trade_id": "K",
            "ts": ts,
            "instrument": "EURUSD",
            "desk": "FX1",
            "side": "buy",
            "quantity": quantity,
            "price": "1.1",
        }
        server.post("/v1/trades", [trade])

    send("1")
    send("2")
    second = listed(server, "conflict")[0][0]
    assert say(server, second, "accept")["verdict"] == "accept"
    send("1")
    say(server, listed(server, "conflict")[0][0], "accept")
    send("2")
    assert row(server)["quantity"] == 1.0
    return second


def test_a_comment_never_carries_out_what_was_decided_about_an_earlier_conflict(server: Server) -> None:
    again = conflict_of_earlier_days(server)
    say(server, again, "comment")
    assert row(server)["quantity"] == 1.0
    assert again in dict(listed(server, "conflict"))


def test_a_conflict_that_comes_again_after_it_was_accepted_waits_for_a_person(server: Server) -> None:
    again = conflict_of_earlier_days(server)
    assert listed(server, "conflict") == [(again, None)]
    until(lambda: "conflict" in warned(server))
    assert b'riskengine_exceptions{kind="conflict"} 1.0' in server.get("/metrics", raw=True)
    say(server, again, "accept")
    assert row(server)["quantity"] == 2.0


def test_a_comment_never_releases_a_price_because_an_earlier_one_was_accepted(server: Server) -> None:
    deal(server)

    def tick(mid: str) -> None:
        server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": now(), "mid": mid, "source": "venue"}])

    tick("1.1")
    until(lambda: row(server)["mark"] == 1.1)
    tick("1.2")
    until(lambda: listed(server, "suspect"))
    item_id = listed(server, "suspect")[0][0]
    say(server, item_id, "accept")
    until(lambda: row(server)["mark"] == 1.2)
    tick("1.4")
    until(lambda: listed(server, "suspect") == [(item_id, None)], 1.5)
    say(server, item_id, "comment")
    time.sleep(0.3)  # several beats, and less than suspect_release_s
    assert row(server)["mark"] == 1.2


def test_a_trade_that_comes_again_and_again_with_other_numbers_holds_up_nobody(server: Server) -> None:
    ts = now() - 1_000_000
    usual = {"trade_id": "C", "ts": ts, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "price": "1.1"}

    def send(quantities: range) -> dict[str, int]:
        answer: dict[str, int] = server.post("/v1/trades", [usual | {"quantity": str(quantity)} for quantity in quantities])[
            "counts"
        ]
        return answer

    send(range(1, 2))
    send(range(2, 1502))
    began = time.monotonic()
    assert send(range(1502, 1702))["conflict"] == 200
    assert time.monotonic() - began < 4.0, "the cost of a conflict must not be that of reading all others of its version"
    assert send(range(1602, 1603))["conflict"] == 1
    assert server.get("/v1/exceptions?kind=conflict&limit=1")["total"] == 1700
