"""Publishers that send too much, send garbage, or do not read: through a real server and real sockets."""

import asyncio
import contextlib
import json
import socket
import time
from typing import Any

import msgspec
import pytest

from riskengine.config import IngestConfig
from riskengine.records.decode import SMALL_LIST
from riskengine.records.types import Refusal
from riskengine.serve.answers.problems import POLICY_VIOLATION
from riskengine.serve.answers.turns import decode_items
from riskengine.serve.stream import ingest
from riskengine.serve.stream.outlet import WRITE_BUFFER_BYTES, Outlet
from tests.serve.stand_in import Client
from tests.serve.wired import Wired, run, talk, wired
from tests.world import NOON, row

INGEST = "/v1/ingest"
PACKED = "/v1/ingest?encoding=msgpack"
PATHS = pytest.mark.parametrize("path", [INGEST, PACKED])


def tick(price: float, ts: int = NOON + 200_000, source: str = "venue") -> dict[str, object]:
    return {"instrument": "EURUSD", "ts": ts, "bid": price, "ask": price, "source": source}


def mark(engine: Wired) -> float:
    snapshot = engine.history.newest
    found = snapshot.units.marks[snapshot.reference.instrument_index["EURUSD"]]
    assert found is not None
    return found.price


# A source beyond its limit


@PATHS
def test_ticks_beyond_the_limit_are_coalesced_and_their_number_is_reported(path, monkeypatch):
    monkeypatch.setattr(ingest, "REPORT_AFTER_S", 0.1)

    async def scenario():
        async with wired(ingest=IngestConfig(ticks_per_s=10, burst_ticks=3)) as engine, talk(engine, path) as client:
            await client.say(ticks=[tick(round(1.0 + n / 100, 2), NOON + 100_000 + n) for n in range(50)])
            report = await client.hear()
            assert report == {"type": "refused", "count": 0, "coalesced": 47, "errors": []}
            assert mark(engine) == pytest.approx(1.49), "the newest counts"
            await client.say(ticks=[tick(-1.0), tick(2.0)])
            report = await client.hear()
            assert (report["count"], report["coalesced"], report["errors"][0]["index"]) == (1, 1, 0)
            assert mark(engine) == pytest.approx(2.0)

    run(scenario())


def test_the_limit_of_one_source_holds_for_all_its_connections_and_for_no_other_source(monkeypatch):
    monkeypatch.setattr(ingest, "REPORT_AFTER_S", 0.05)

    limits = IngestConfig(ticks_per_s=1, burst_ticks=5)

    async def scenario():
        async with wired(ingest=limits) as engine, talk(engine, INGEST) as first, talk(engine, INGEST) as second:
            await first.say(ticks=[tick(1.0)] * 4, trades=[row("t0")])
            assert (await first.hear())["type"] == "trades"
            await second.say(ticks=[tick(1.0)] * 4)
            assert (await second.hear())["coalesced"] == 3
            await second.say(ticks=[tick(1.5, source="another")] * 5)
            await second.say(trades=[row("t1")])
            assert (await second.hear())["type"] == "trades", "nothing to report"

    run(scenario())


# Garbage


@PATHS
def test_garbage_without_end_ends_the_connection(path, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_MALFORMED", 20)

    async def scenario():
        async with wired() as engine, talk(engine, path) as client, talk(engine, path) as other:
            for number in range(60):
                with contextlib.suppress(Exception):  # the server has closed by then
                    await client.connection.send(b"\xc1" if number % 2 else '{"ticks":[1,2]}')
            assert await client.closed() == POLICY_VIOLATION
            await other.say(trades=[row("t1")])
            assert (await other.hear())["type"] == "trades"

    run(scenario())


def test_it_is_told_why(monkeypatch):
    monkeypatch.setattr(ingest, "MAX_MALFORMED", 3)

    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            for _ in range(3):
                await client.connection.send("{")
            titles = [(await client.hear())["title"] for _ in range(4)]
            assert titles == ["malformed frame"] * 3 + ["too much garbage"]
            assert await client.closed() == POLICY_VIOLATION

    run(scenario())


def test_one_good_frame_shows_that_it_is_a_publisher_after_all(monkeypatch):
    monkeypatch.setattr(ingest, "MAX_MALFORMED", 3)

    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            for number in range(10):
                await client.connection.send("{")
                await client.connection.send('{"ticks":[5]}')
                await client.say(trades=[row(f"t{number}")])
            kinds = [(await client.hear())["type"] for _ in range(20)]
            assert sorted(kinds) == ["error"] * 10 + ["trades"] * 10

    run(scenario())


@PATHS
def test_half_a_million_numbers_in_a_frame_hold_nobody_up(path):
    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            numbers = [5] * 400_000
            packed, text = msgspec.msgpack.encode({"ticks": numbers}), msgspec.json.encode({"ticks": numbers}).decode()
            longest = asyncio.create_task(longest_pause(1.5))
            await client.connection.send(packed if path == PACKED else text)
            answer = await client.hear()
            assert (answer["type"], answer["title"]) == ("error", "malformed frame")
            assert "400000 items" in answer["detail"]
            assert await longest < 0.3, "one by one they would take two seconds"

    run(scenario())


@pytest.mark.parametrize("path", ["/v1/ticks", "/v1/trades"])
def test_nor_do_they_over_http(path):
    async def scenario():
        async with wired() as engine:
            longest = asyncio.create_task(longest_pause(1.5))
            body = b"[" + b"5," * 400_000 + b"5]"
            answer = await asyncio.to_thread(Client(f"http://127.0.0.1:{engine.port}").request, "POST", path, body)
            assert answer.status == 400
            assert await longest < 0.3

    run(scenario())


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("kind", ["ticks", "trades"])
def test_a_long_list_of_refusals_is_made_in_turns(kind, is_text):
    bad = [{"instrument": None, "ts": "never"}] * 20 * SMALL_LIST
    message = msgspec.json.encode({kind: bad}).decode() if is_text else msgspec.msgpack.encode({kind: bad})
    frame = ingest.decode_frame(message)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def scenario():
        waiting = asyncio.create_task(others())
        opened: Any = ingest.ticks_of(frame, is_text) if kind == "ticks" else ingest.trades_of(frame, is_text)
        items: list[Any] = await decode_items(opened)
        waiting.cancel()
        assert len(items) == len(bad) and all(isinstance(item, Refusal) for item in items)
        assert turns > 10, "a millisecond at a time"

    run(scenario())


async def longest_pause(seconds: float) -> float:
    """The longest time that this loop, also the server's, was blocked: processor time, as a busy machine must not count."""
    longest, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.thread_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - before)
    return longest


# Publishers that do not read, or are slow


HANDSHAKE = (
    "GET /v1/ingest HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(text: str) -> bytes:
    """A client's frame, masked with zeros."""
    payload = text.encode()
    assert 126 <= len(payload) < 65_536
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


@contextlib.asynccontextmanager
async def deaf(engine: Wired):
    """A publisher that never reads."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", engine.port))
        await loop.sock_sendall(raw, HANDSHAKE.format(port=engine.port).encode())
        yield raw


@pytest.mark.parametrize("kind", ["trades", "errors"])
def test_a_publisher_that_never_reads_its_answers_is_not_read_from_and_holds_up_nobody(kind):
    async def scenario():
        async with wired() as engine, deaf(engine) as raw, talk(engine, INGEST) as other:
            sent = 0

            async def flood() -> None:
                nonlocal sent
                loop = asyncio.get_running_loop()
                while True:
                    trades = [row(f"d{sent}-{number}") for number in range(50)]
                    frame = json.dumps({"trades": trades}) if kind == "trades" else '{"nothing":"' + "x" * 500 + '"}'
                    if kind == "errors" and sent % 50 == 49:  # not only garbage
                        frame = json.dumps({"trades": trades})
                    await loop.sock_sendall(raw, masked(frame))
                    sent += 1

            flooding = asyncio.create_task(flood())
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.3)
            unsent = [
                connection.unsent_bytes for connection in engine.server.server_state.connections if isinstance(connection, Outlet)
            ]
            assert max(unsent) < WRITE_BUFFER_BYTES + 64_000, "what it has not read stays bounded"
            assert len(engine.stored) < 50 * sent, "nor is what it sends taken any more"
            began = time.perf_counter()
            await other.say(trades=[row("other")])
            assert (await other.hear())["counts"]["applied"] == 1
            assert time.perf_counter() - began < 1.0
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)

    run(scenario())


def test_a_publisher_whose_trades_wait_for_the_store_holds_up_no_other_s_ticks():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as slow, talk(engine, INGEST) as quick:
            engine.store_open.clear()
            for number in range(3 * ingest.MAX_FRAMES_IN_FLIGHT):
                await slow.say(trades=[row(f"t{number}")])
            await quick.say(ticks=[tick(1.75)])
            async with asyncio.timeout(1):
                while mark(engine) != 1.75:  # noqa: ASYNC110 - nobody there could set an event
                    await asyncio.sleep(0.005)
            assert engine.waiting <= ingest.MAX_FRAMES_IN_FLIGHT + 2
            engine.store_open.set()
            for _ in range(3 * ingest.MAX_FRAMES_IN_FLIGHT):
                await slow.hear("trades")

    run(scenario())


def test_a_frame_larger_than_a_request_may_be_ends_its_connection_and_no_other():
    async def scenario():
        async with wired(max_body_bytes=4_096) as engine, talk(engine, INGEST) as client, talk(engine, INGEST) as other:
            await client.connection.send("x" * 5_000)
            assert await client.closed() == 1009
            await other.say(trades=[row("t1")])
            assert (await other.hear())["type"] == "trades"

    run(scenario())
