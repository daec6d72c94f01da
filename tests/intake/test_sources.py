"""Publishers: alive or silent, and whether what they sent has come."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from riskengine.errors import StoreUnavailable
from riskengine.intake.sources import SILENT_AFTER_US, Sources
from riskengine.records.types import Trade
from tests.running import Server, running
from tests.store_book import new_store

NOW = 1_790_000_000_000_000


def sent(source_seq: int, source: str = "booking") -> Trade:
    return Trade(source=source, trade_id=f"T{source_seq}", source_seq=source_seq)


def test_a_source_that_sent_more_than_has_come_has_a_gap() -> None:
    sources = Sources()
    sources.note_sent([sent(3), sent(2)])
    sources.heartbeat("booking", 4, NOW)
    assert [(row["gap"], row["received_seq"]) for row in sources.rows(NOW)] == [(True, 3)]


def test_the_gap_closes_when_it_comes() -> None:
    sources = Sources()
    sources.note_sent([sent(3)])
    sources.heartbeat("booking", 4, NOW)
    sources.note_sent([sent(4)])
    sources.heartbeat("booking", 4, NOW)
    assert not sources.rows(NOW)[0]["gap"]


def test_what_came_before_the_start_counts() -> None:
    sources = Sources()
    sources.restore({"booking": 7})
    sources.heartbeat("booking", 7, NOW)
    sources.heartbeat("other", 1, NOW)
    assert [(row["source"], row["gap"]) for row in sources.rows(NOW)] == [("booking", False), ("other", False)]


def test_a_source_that_stops_beating_is_not_alive() -> None:
    sources = Sources()
    sources.heartbeat("booking", None, NOW)
    assert sources.rows(NOW + SILENT_AFTER_US)[0]["alive"]
    assert not sources.rows(NOW + SILENT_AFTER_US + 1)[0]["alive"]


def rows(sources: Sources) -> list[tuple[bool, int | None]]:
    return [(row["gap"], row["received_seq"]) for row in sources.rows(NOW)]


def test_a_beat_without_a_number_does_not_fill_a_gap() -> None:
    sources = Sources()
    sources.note_sent([sent(3)])
    sources.heartbeat("booking", 4, NOW)
    sources.heartbeat("booking", None, NOW)
    assert rows(sources) == [(True, 3)]


def test_what_is_on_its_way_to_the_store_has_come_unless_it_does_not_get_there() -> None:
    async def test() -> None:
        sources, loop = Sources(), asyncio.get_running_loop()
        sources.note_sent([sent(3)])
        lost, stored = loop.create_future(), loop.create_future()
        sources.note_sent([sent(4), sent(5)], lost)
        sources.note_sent([sent(4)], stored)
        sources.heartbeat("booking", 5, NOW)
        assert rows(sources) == [(False, 5)]
        lost.set_exception(StoreUnavailable("store is away"))
        stored.set_result(None)
        await asyncio.sleep(0)
        sources.heartbeat("booking", 5, NOW)
        assert rows(sources) == [(True, 4)]

    asyncio.run(test())


def test_a_gap_that_was_filled_in_the_store_is_looked_up() -> None:
    """An operator loads what is missing from a file: the alarm ends without a restart."""
    stored = {"booking": 3}

    async def test() -> None:
        sources = Sources()
        await sources.follow(lambda: stored)
        sources.heartbeat("booking", 5, NOW)
        assert rows(sources) == [(True, 3)]
        stored["booking"] = 5
        sources.heartbeat("booking", 5, NOW)
        await asyncio.sleep(0.05)
        sources.heartbeat("booking", 5, NOW)
        assert rows(sources) == [(False, 5)]

    asyncio.run(test())


def test_a_store_that_is_away_leaves_the_gap() -> None:
    async def test() -> None:
        sources = Sources()
        sources.restore({"booking": 3})

        def away() -> dict[str, int]:
            raise StoreUnavailable("store is away")

        sources._read = away
        sources.heartbeat("booking", 5, NOW)
        await asyncio.sleep(0.05)
        sources.heartbeat("booking", 5, NOW)
        await asyncio.sleep(0.05)
        assert rows(sources) == [(True, 3)]

    asyncio.run(test())


# -- over a restart ------------------------------------------------------------------------------------------------


def feed(server: Server, last_seq: int) -> dict[str, Any]:
    """What `/v1/status` says of the source once it has said how far it is."""
    with connect(server.url.replace("http", "ws") + "/v1/ingest") as stream:
        stream.send(json.dumps({"heartbeat": {"source": "booking", "last_seq": last_seq}}))
        deadline = time.monotonic() + 10
        while not (feeds := server.get("/v1/status")["feeds"]) or feeds[0]["last_seq"] != last_seq:
            assert time.monotonic() < deadline, "no heartbeat arrived"
            time.sleep(0.01)
    found: dict[str, Any] = feeds[0]
    return found


def test_a_source_that_went_on_while_the_engine_was_dead_has_a_gap(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    words = ("serve", "--port", "0", "--store", store_url)
    now = int(time.time() * 1_000_000)
    trade = {"source": "booking", "trade_id": "T1", "ts": now, "instrument": "EURUSD", "desk": "FX1", "side": "buy"}
    with running(*words, log=tmp_path / "log") as server:
        server.post("/v1/trades", {**trade, "quantity": "1", "price": "1", "source_seq": 41})
        server.kill()
    with running(*words, log=tmp_path / "log") as server:
        assert server.get("/v1/status")["feeds"] == [], "it has not been heard of since the start"
        before = feed(server, 41)
        assert (before["received_seq"], before["gap"]) == (41, False)
        after = feed(server, 43)
        assert (after["received_seq"], after["gap"]) == (41, True)
    assert "feed_gap" in (tmp_path / "log").read_text()
