"""Cases B4 to B8 through the public interface: holes in numbers, names without bound, fast clocks, replays that do nothing."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from riskengine.records.types import Close
from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.store_book import TS, Outside, new_store


@pytest.fixture
def server(store_url: str, tmp_path: Path) -> Iterator[Server]:
    store = new_store(store_url)
    store.save_closes([Close("2026-09-20", "EURUSD", 1.1)])
    store.close()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        yield server


@pytest.fixture
def publisher(server: Server) -> Iterator[ClientConnection]:
    with connect(server.url.replace("http", "ws") + "/v1/ingest", proxy=None, max_size=None) as socket:
        yield socket


def send(publisher: ClientConnection, **frame: Any) -> None:
    publisher.send(json.dumps(frame))


def deal(publisher: ClientConnection, *numbers: int, source: str = "bk", **columns: Any) -> None:
    now = int(time.time() * 1e6)
    usual = {"source": source, "ts": now, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 1, "price": 1}
    send(publisher, trades=[usual | {"trade_id": f"T{number}", "source_seq": number} | columns for number in numbers])
    assert json.loads(publisher.recv(timeout=10))["type"] == "trades"


def beat(publisher: ClientConnection, last_seq: int, source: str = "bk") -> None:
    send(publisher, heartbeat={"source": source, "last_seq": last_seq})


def feed(server: Server, source: str = "bk") -> dict[str, Any]:
    found = {row["source"]: row for row in server.get("/v1/status")["feeds"]}
    row: dict[str, Any] = found.get(source, {})
    return row


def warned(server: Server) -> dict[str, str]:
    return {warning["kind"]: warning["text"] for warning in server.get("/v1/status")["warnings"]}


def until(server: Server, holds: Callable[[], Any], within_s: float = 3.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, (server.get("/v1/status")["feeds"], warned(server))
        time.sleep(0.02)


def test_b4_a_hole_alarms_until_it_is_filled(server: Server, publisher: ClientConnection) -> None:
    deal(publisher, 1)
    beat(publisher, 3)
    until(server, lambda: feed(server).get("gap"))
    deal(publisher, 4)
    beat(publisher, 4)
    until(server, lambda: feed(server)["last_seq"] == 4)
    assert feed(server)["missing"] == [[2, 3]]
    until(server, lambda: "bk 2-3" in warned(server).get("feed_gap", ""))
    assert b'riskengine_feed_missing_trades{source="bk"} 2.0' in server.get("/metrics", raw=True)
    deal(publisher, 3)
    assert feed(server)["missing"] == [[2, 2]]
    deal(publisher, 2)
    assert not feed(server)["gap"]
    until(server, lambda: "feed_gap" not in warned(server))


def test_b5_first_numbers_that_are_lost_and_numbers_anew(server: Server, publisher: ClientConnection) -> None:
    beat(publisher, 7, "lost")
    until(server, lambda: feed(server, "lost").get("missing") == [[1, 7]])
    deal(publisher, 900)
    beat(publisher, 900)
    deal(publisher, *range(1, 39))
    beat(publisher, 40)
    until(server, lambda: feed(server).get("anew") and "bk (says 40" in warned(server).get("feed_anew", ""))
    assert b"riskengine_feeds_anew 1.0" in server.get("/metrics", raw=True)
    row = server.post("/v1/feeds/bk", {"action": "restart"})
    assert (row["anew"], row["missing"]) == (False, [[39, 40]])
    until(server, lambda: "feed_anew" not in warned(server))
    deal(publisher, 39, 40)
    beat(publisher, 41)
    until(server, lambda: feed(server)["missing"] == [[41, 41]])


def test_b5_a_redelivery_is_not_numbers_anew(server: Server, publisher: ClientConnection) -> None:
    deal(publisher, *range(1, 11), ts=TS)
    beat(publisher, 10)
    deal(publisher, 4, 5, 6, ts=TS)
    beat(publisher, 6)
    until(server, lambda: feed(server).get("last_seq") == 6)
    assert not feed(server)["anew"] and not feed(server)["gap"]


def test_b6_sources_are_bounded_and_a_retired_one_alarms_no_more(server: Server, publisher: ClientConnection) -> None:
    for number in range(3_000):
        beat(publisher, 1, f"s{number:05}")
    beat(publisher, 1, "x" * 129)
    until(server, lambda: b"riskengine_heartbeats_refused_total 2000.0" in server.get("/metrics", raw=True), 20)
    status = server.get("/v1/status", raw=True)
    assert len(status) < 500_000 and len(json.loads(status)["feeds"]) == 1_000
    refused = 0
    while refused < 2_000:
        told = json.loads(publisher.recv(timeout=5))
        if told["type"] == "refused":
            refused += told["heartbeats"]
            assert "retire one" in told["errors"][0]["reason"] or told["errors"][0]["field"] == "heartbeat.source"
    assert server.post("/v1/feeds/s00000", {"action": "retire"})["retired"]
    assert feed(server, "s00000") == {}
    assert "s00000" not in " ".join(warned(server).values())
    beat(publisher, 1, "room again")
    until(server, lambda: feed(server, "room again"))


def test_b7_a_clock_that_runs_ahead_is_named_at_once(server: Server, publisher: ClientConnection) -> None:
    now = int(time.time() * 1e6)
    send(publisher, ticks=[{"instrument": "EURUSD", "ts": now + 55_000_000, "mid": 1.2, "source": "fast"}])
    send(publisher, ticks=[{"instrument": "EURUSD", "ts": now, "mid": 1.1, "source": "good"}])
    until(server, lambda: "fast by 5" in warned(server).get("clock_ahead", ""), 1.0)
    assert "good" not in warned(server)["clock_ahead"]
    assert 54_000 <= feed(server, "fast")["clock_skew_ms"] <= 55_000
    assert -2_000 < feed(server, "good")["clock_skew_ms"] <= 0
    assert b'riskengine_clock_skew_seconds{source="fast"} 5' in server.get("/metrics", raw=True)


# -- B8 ------------------------------------------------------------------------------------------------------------


def replay(server: Server, path: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    done = command("replay", "--to", server.url, "--ticks", path, "--json", *words)
    return done.returncode, json.loads(done.stdout), done.stderr


def ticks(path: Path, *rows: str) -> Path:
    path.write_text("instrument,ts,bid,ask\n" + "".join(row + "\n" for row in rows))
    return path


def test_b8_a_replay_says_what_took_effect(server: Server, tmp_path: Path) -> None:
    of_2016 = [f"EURUSD,{1_451_900_000_000_000 + number},1.0995,1.1005" for number in range(300)]
    old = ticks(tmp_path / "2016.csv", *of_2016)
    code, said, stderr = replay(server, old)
    assert (code, said["ticks"]["taken"], said["ticks"]["in_force"], said["ticks"]["old"]) == (1, 300, 0, 300)
    assert "--shift-to-now" in stderr
    metrics = server.get("/metrics", raw=True)
    assert b"riskengine_ticks_accepted_total 300.0" in metrics and b"riskengine_ticks_in_force_total 0.0" in metrics

    code, said, stderr = replay(server, ticks(tmp_path / "named.csv", f"EUR/USD,{TS},1,1"))
    assert (code, said["ticks"]["refused"], said["ticks"]["unknown"]) == (1, 1, 1)
    assert "unknown instrument 'EUR/USD'" in stderr

    code, said, stderr = replay(server, ticks(tmp_path / "bad.csv", "EURUSD,never,1,1", "EURUSD,x,1,1"))
    assert (code, said["lines_refused"], said["took_effect"]) == (1, 2, False)
    assert "bad.csv:2: ts:" in stderr

    code, said, _ = replay(server, old, "--shift-to-now")
    assert (code, said["ticks"]["in_force"], said["took_effect"]) == (0, 300, True)
    assert server.get("/v1/marks?instrument=EURUSD")["rows"][0]["ts"] > 1_600_000_000_000_000
    plain = command("replay", "--to", server.url, "--ticks", old, "--shift-to-now").stdout
    assert plain.startswith("ticks: 300 read, 300 taken, 300 in force, 0 too old")


def test_ages_are_those_of_events(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    with running("serve", "--port", "0", "--store", store_url, log=tmp_path / "log") as server:
        server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": int(time.time() * 1e6) - 3_600_000_000, "mid": 1.1}])
        assert server.get("/v1/status")["last_tick_age_ms"] >= 3_600_000


def test_a_store_of_before_starts_at_its_cursors(store_url: str, tmp_path: Path) -> None:
    store = new_store(store_url)
    assert store.feeds() == {}
    store.close()
    outside = Outside(store_url)
    outside.execute("INSERT INTO feeds (source, cursor, ts) VALUES ('bk', 41, 1)")
    outside.close()
    opened = open_store(store_url)
    assert opened.feeds()["bk"].came.missing == []
    opened.close()
