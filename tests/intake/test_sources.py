"""Publishers: alive or silent, and whether what they sent has come."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from riskengine.engine.engine import Outcome
from riskengine.engine.inbox import Receipt
from riskengine.errors import StoreUnavailable
from riskengine.intake import sources as sources_module
from riskengine.intake.sources import SILENT_AFTER_US, Sources
from riskengine.records.numbers import FeedState, NumberSet
from riskengine.records.types import Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.running import Server, running
from tests.store_book import Outside, new_store

NOW = 1_790_000_000_000_000


def sent(source_seq: int, source: str = "booking") -> Trade:
    return Trade(source=source, trade_id=f"T{source_seq}", source_seq=source_seq)


def came(*numbers: int, source: str = "booking") -> Sources:
    sources = Sources()
    sources.note_sent([sent(number, source) for number in numbers])
    return sources


def missing(sources: Sources) -> list[list[int]]:
    """What alarms of the one source that beats."""
    [row] = sources.rows(NOW)
    assert row["gap"] == bool(row["missing"])
    found: list[list[int]] = row["missing"]
    return found


# -- what is missing -----------------------------------------------------------------------------------------------


def test_a_source_that_sent_more_than_has_come_has_a_gap() -> None:
    sources = came(1, 3, 2)
    sources.heartbeat("booking", 4, NOW)
    assert missing(sources) == [[4, 4]]
    assert sources.rows(NOW)[0]["received_seq"] == 3
    assert "booking 4" in sources.warnings(NOW)["feed_gap"]


def test_a_hole_below_the_newest_alarms_until_it_is_filled() -> None:
    sources = came(1)
    sources.heartbeat("booking", 3, NOW)
    sources.note_sent([sent(4)])
    sources.heartbeat("booking", 4, NOW)
    assert missing(sources) == [[2, 3]]
    sources.note_sent([sent(3)])
    assert missing(sources) == [[2, 2]]
    sources.note_sent([sent(2)])
    assert missing(sources) == [] and "feed_gap" not in sources.warnings(NOW)


def test_numbers_are_dense_from_one_and_those_before_the_first_beat_count() -> None:
    sources = came(1, 3, 4, 7)
    assert sources.rows(NOW) == [], "who sends no heartbeat promises nothing"
    sources.heartbeat("booking", 7, NOW)
    assert missing(sources) == [[2, 2], [5, 6]]


def test_first_trades_that_were_lost_are_missing() -> None:
    sources = Sources()
    sources.heartbeat("booking", 7, NOW)
    assert missing(sources) == [[1, 7]]


def test_a_beat_without_a_number_promises_nothing_and_fills_no_gap() -> None:
    sources = came(3)
    sources.heartbeat("booking", None, NOW)
    assert missing(sources) == []
    sources.heartbeat("booking", 4, NOW)
    sources.heartbeat("booking", None, NOW)
    assert missing(sources) == [[1, 2], [4, 4]]


def test_a_beat_of_nothing_promises_dense_numbers() -> None:
    sources = Sources()
    sources.heartbeat("booking", 0, NOW)
    assert missing(sources) == []
    sources.note_sent([sent(2)])
    sources.heartbeat("booking", 2, NOW)
    assert missing(sources) == [[1, 1]]


def test_refused_numbers_have_come() -> None:
    sources = came(1)
    sources.note_refused([("booking", 2), ("booking", 3)])
    sources.heartbeat("booking", 3, NOW)
    assert missing(sources) == []
    assert sources.note_refused([("booking", 2)]) is None, "nothing new to store"


def answered(*statuses: str) -> "asyncio.Future[Receipt]":
    done = asyncio.get_running_loop().create_future()
    done.set_result(Receipt([Outcome(status) for status in statuses], 1))
    return done


def test_what_is_on_its_way_to_the_store_has_come_unless_it_does_not_get_there() -> None:
    async def test() -> None:
        sources, loop = came(1, 2, 3), asyncio.get_running_loop()
        lost = loop.create_future()
        sources.note_sent([sent(4), sent(5)], lost)
        sources.note_sent([sent(4)], answered("applied"))
        sources.heartbeat("booking", 5, NOW)
        assert missing(sources) == []
        lost.set_exception(StoreUnavailable("store is away"))
        await asyncio.sleep(0)
        assert missing(sources) == [[5, 5]]

    asyncio.run(test())


# -- numbers anew --------------------------------------------------------------------------------------------------


def anew(sources: Sources) -> bool:
    found: bool = sources.rows(NOW)[0]["anew"]
    return found


def test_a_source_that_begins_again_numbers_anew() -> None:
    sources = came(*range(1, 901))
    sources.heartbeat("booking", 900, NOW)
    sources.note_sent([sent(1)])
    sources.heartbeat("booking", 40, NOW)
    assert anew(sources) and "booking (says 40 after 900)" in sources.warnings(NOW)["feed_anew"]
    sources.heartbeat("booking", 901, NOW)
    assert anew(sources), "until somebody says so"


def test_a_source_whose_first_beat_is_below_what_came_numbers_anew() -> None:
    sources = came(900)
    sources.note_sent([sent(1)])
    sources.heartbeat("booking", 40, NOW)
    assert anew(sources)


def test_a_redelivery_is_no_new_numbering() -> None:
    async def test() -> None:
        sources = came(*range(1, 11))
        sources.heartbeat("booking", 10, NOW)
        sources.note_sent([sent(4), sent(5)], answered("duplicate", "conflict"))
        await asyncio.sleep(0)
        sources.heartbeat("booking", 5, NOW)
        assert not anew(sources) and missing(sources) == []
        under_way = asyncio.get_running_loop().create_future()
        sources.note_sent([sent(6)], under_way)
        sources.heartbeat("booking", 6, NOW)
        assert not anew(sources), "what becomes of it is not known yet"
        under_way.set_result(Receipt([Outcome("applied")], 2))
        await asyncio.sleep(0)
        sources.heartbeat("booking", 6, NOW)
        assert anew(sources), "a new trade has the number of another"

    asyncio.run(test())


def test_a_source_that_says_it_has_sent_nothing_yet_does_not_number_anew() -> None:
    sources = came(1, 2)
    sources.heartbeat("booking", 2, NOW)
    sources.heartbeat("booking", 0, NOW)
    assert not anew(sources)


# -- alive, bounded ------------------------------------------------------------------------------------------------


def test_a_source_that_stops_beating_is_not_alive() -> None:
    sources = Sources()
    sources.heartbeat("booking", None, NOW)
    assert sources.rows(NOW + SILENT_AFTER_US)[0]["alive"]
    assert sources.warnings(NOW + SILENT_AFTER_US) == {}
    assert not sources.rows(NOW + SILENT_AFTER_US + 1)[0]["alive"]
    assert "booking" in sources.warnings(NOW + SILENT_AFTER_US + 1)["feed_silent"]


def test_sources_are_bounded_and_the_rest_are_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "MAX_FEEDS", 3)
    sources = Sources()
    said = [sources.heartbeat(f"s{number}", 1, NOW) for number in range(5)]
    assert said[:3] == [None] * 3
    assert all("retire" in (reason or "") for reason in said[3:]) and sources.refused == 2
    assert len(sources.rows(NOW)) == 3
    assert sources.heartbeat("s0", 2, NOW) is None


# -- the store -----------------------------------------------------------------------------------------------------


def test_what_came_before_the_start_counts_and_a_promise_is_kept() -> None:
    async def test() -> None:
        sources = Sources()
        stored = {"booking": FeedState("booking", NumberSet(7)), "gone": FeedState("gone", NumberSet(2), promised=4)}
        await sources.follow(lambda _: stored, NOW)
        assert [(row["source"], row["missing"], row["age_ms"]) for row in sources.rows(NOW)] == [("gone", [[3, 4]], None)]
        assert "gone" in sources.warnings(NOW + SILENT_AFTER_US + 1)["feed_silent"]
        sources.heartbeat("booking", 7, NOW)
        assert not sources.rows(NOW)[0]["gap"]

    asyncio.run(test())


async def looked_up(sources: Sources) -> None:
    if sources._looking_up is not None:
        await sources._looking_up


async def stored_at_once(action: Callable[[Store], Any]) -> Any:
    """A store that takes every change and shows nothing of it."""


def test_a_gap_that_was_filled_in_the_store_is_looked_up() -> None:
    """An operator loads what is missing from a file: the alarm ends without a restart and without another beat."""

    async def test() -> None:
        stored = {"booking": FeedState("booking", NumberSet(3))}
        sources = Sources()
        await sources.follow(lambda _: dict(stored), NOW)
        sources.write_by(stored_at_once)
        sources.heartbeat("booking", 5, NOW)
        assert missing(sources) == [[4, 5]]
        await looked_up(sources)
        stored["booking"] = FeedState("booking", NumberSet(5))
        sources.look_up()
        await looked_up(sources)
        assert missing(sources) == []

    asyncio.run(test())


def test_a_store_that_is_away_leaves_the_gap() -> None:
    async def test() -> None:
        sources = came(1, 2, 3)

        def away(_: Sequence[str] | None) -> dict[str, FeedState]:
            raise StoreUnavailable("store is away")

        sources._read = away
        sources.heartbeat("booking", 5, NOW)
        await looked_up(sources)
        assert missing(sources) == [[4, 5]]

    asyncio.run(test())


def test_a_change_that_the_store_did_not_take_is_stored_later(store: Store) -> None:
    async def test() -> None:
        sources, is_away = came(1), [True]

        async def on_store(action: Callable[[Store], Any]) -> Any:
            if is_away[0]:
                raise StoreUnavailable("store is away")
            return action(store)

        sources.write_by(on_store)
        waiting = sources.note_refused([("booking", 2)])
        assert waiting is not None
        await waiting
        sources.heartbeat("booking", 4, NOW)
        await sources.finish()
        assert store.feeds() == {}
        is_away[0] = False
        sources.retry()
        await sources.finish()
        assert store.feeds()["booking"].missing() == [(1, 1), (3, 4)]
        with suppress(StoreUnavailable):
            is_away[0] = True
            await sources.decide("booking", "retire", "ann", NOW)
        assert missing(sources) == [[3, 4]], "nothing has changed"

    asyncio.run(test())


# -- the real program, over a restart ------------------------------------------------------------------------------


def beat(server: Server, last_seq: int, source: str = "booking") -> dict[str, Any]:
    """What `/v1/status` says of the source once it has said how far it is."""
    with connect(server.url.replace("http", "ws") + "/v1/ingest") as stream:
        stream.send(json.dumps({"heartbeat": {"source": source, "last_seq": last_seq}}))
        deadline = time.monotonic() + 10
        while not (found := feeds(server).get(source)) or found["last_seq"] != last_seq:
            assert time.monotonic() < deadline, "no heartbeat arrived"
            time.sleep(0.01)
    return found


def feeds(server: Server) -> dict[str, dict[str, Any]]:
    return {feed["source"]: feed for feed in server.get("/v1/status")["feeds"]}


def warned(server: Server, kind: str, *, within_s: float = 2.0) -> str:
    """The text of a warning, "" where there is none."""
    deadline = time.monotonic() + within_s
    while True:
        found = {warning["kind"]: warning["text"] for warning in server.get("/v1/status")["warnings"]}
        if kind in found or time.monotonic() > deadline:
            return str(found.get(kind, ""))
        time.sleep(0.05)


def posted(number: int, **columns: Any) -> dict[str, Any]:
    usual = {"source": "booking", "trade_id": f"T{number}", "ts": int(time.time() * 1e6), "instrument": "EURUSD", "desk": "FX1"}
    return usual | {"side": "buy", "quantity": "1", "price": "1", "source_seq": number} | columns


def until_stored(store_url: str, column: str, value: int) -> None:
    """Wait until the store has what a heartbeat said: it is stored soon, and the next heartbeat says it again."""
    outside, deadline = Outside(store_url), time.monotonic() + 10
    while outside.execute(f"SELECT {column} FROM feeds WHERE source = 'booking'") != [(value,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    outside.close()


WORDS = ("serve", "--port", "0", "--store")


def test_a_source_that_went_on_while_the_engine_was_dead_has_a_gap(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        server.post("/v1/trades", [posted(1), posted(2)])
        server.kill()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        assert server.get("/v1/status")["feeds"] == [], "it has promised nothing"
        assert not beat(server, 2)["gap"]
        after = beat(server, 4)
        assert (after["received_seq"], after["missing"]) == (2, [[3, 4]])
        assert "booking 3-4" in warned(server, "feed_gap")
        until_stored(store_url, "promised", 4)
        server.kill()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        assert feeds(server)["booking"]["missing"] == [[3, 4]], "the claim is kept"
    assert "feed_gap" in (tmp_path / "log").read_text()


def test_refused_duplicate_and_conflicting_numbers_have_come_over_a_kill(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        trades = [posted(1), posted(1, source_seq=2), posted(1, source_seq=3, price="2")]
        refused = [posted(4, instrument="GHOST"), posted(5, leg="no number"), posted(6, side="up")]
        counts = server.post("/v1/trades", [*trades, *refused])["counts"]
        assert (counts["applied"], counts["conflict"], counts["rejected"]) == (1, 2, 3)
        server.post("/v1/trades", posted(7, desk="NOWHERE"))
        server.kill()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        assert beat(server, 7)["missing"] == []


def test_a_person_ends_what_alarms_and_the_store_keeps_it(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        server.post("/v1/trades", [posted(1), posted(4)])
        assert beat(server, 5)["missing"] == [[2, 3], [5, 5]]
        assert server.post("/v1/feeds/booking", {"action": "acknowledge"})["acknowledged_count"] == 3
        assert warned(server, "feed_gap", within_s=0) == ""
        server.post("/v1/trades", [posted(number, trade_id=f"N{number}") for number in (1, 3)])
        assert beat(server, 3)["anew"]
        assert "booking (says 3 after 5)" in warned(server, "feed_anew")
        until_stored(store_url, "anew_seq", 3)
        server.kill()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        assert feeds(server)["booking"]["anew"], "until somebody says so"
        row = server.post("/v1/feeds/booking", {"action": "restart"})
        assert (row["anew"], row["missing"], row["last_seq"]) == (False, [[2, 2]], 3)
        assert server.post("/v1/feeds/booking", {"action": "retire"})["retired"]
        assert feeds(server) == {}
        server.post("/v1/feeds/nobody", {"action": "retire"}, status=404)
        server.post("/v1/feeds/booking", {"action": "forget"}, status=400)
        server.kill()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        assert feeds(server) == {}
        assert warned(server, "feed_silent", within_s=0) == ""
        assert beat(server, 4)["missing"] == [[4, 4]], "it is back"
    store = open_store(store_url)
    assert not store.verify_audit().findings
    store.close()


def test_what_another_program_writes_fills_a_gap(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    with running(*WORDS, store_url, log=tmp_path / "log") as server:
        server.post("/v1/trades", posted(1))
        assert beat(server, 2)["missing"] == [[2, 2]]
        outside = Outside(store_url)
        outside.book(source="booking", source_seq=2)
        outside.close()
        deadline = time.monotonic() + 10
        while feeds(server)["booking"]["gap"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
