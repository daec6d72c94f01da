"""Clients that read nothing, read slowly, break off, or send nonsense: none of them harms another or the engine."""

import asyncio
import contextlib
import itertools
import json
import os
import time
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from riskengine.serve.stream import heads, stream
from riskengine.snapshot.rows import node_rows
from riskengine.views.subscription import MAX_SUBSCRIPTIONS
from tests.serve.raw_client import clients, healthy, masked, raw
from tests.serve.wired import Wired, run, talk, wired
from tests.world import trade

LONG_NAME = "a" * 128
"""The longest id of a subscription: a message that deflate makes shorter."""

# Those that do not read


def test_a_client_that_never_reads_is_gone_within_ten_seconds():
    async def scenario():
        async with wired() as engine, raw(engine) as stuck:
            stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
            stuck.say(op="subscribe", id="a", view="nodes")
            await asyncio.sleep(0.1)
            assert clients(engine) == 1
            started, step = time.monotonic(), 0
            while clients(engine) and time.monotonic() - started < 15.0:
                step += 1
                engine.marks(EURUSD=round(1.1 + step / 10_000, 4))
                await asyncio.sleep(0.05)
            assert time.monotonic() - started < 10.0
            await healthy(engine)

    run(scenario())


def test_a_client_that_reads_slowly_gets_newer_updates_and_is_told_how_many_it_missed():
    async def scenario():
        async with wired() as engine:
            engine.deal(trade("t1"), trade("t2", instrument="GBPUSD", price="1.3"))
            url = f"ws://127.0.0.1:{engine.port}/v1/stream"
            async with connect(url, proxy=None, compression=None, max_queue=1) as slow:
                await slow.send(json.dumps({"op": "configure", "max_hz": 10}))
                for number in range(20):
                    await slow.send(json.dumps({"op": "subscribe", "id": str(number), "view": "nodes"}))
                moving = asyncio.create_task(move(engine))
                updates, oldest_s, snapshots = [], 0.0, 0
                ends = time.monotonic() + 12.0
                while time.monotonic() < ends:
                    message = json.loads(await slow.recv())
                    snapshots += message["type"] == "snapshot"
                    if message["type"] == "update":
                        updates.append(message)
                        if len(updates) > 12:  # now the server knows how slow it is
                            oldest_s = max(oldest_s, time.time() - engine.made[message["seq"]])  # type: ignore[attr-defined]
                    if snapshots == 20:
                        await asyncio.sleep(len(json.dumps(message)) / 40_000)  # 40 KB a second
                moving.cancel()
                slow.transport.abort()
            assert len(updates) > 13
            assert any(update["conflated"] > 3 for update in updates)
            for before, after in itertools.pairwise(updates):
                assert after["prev_seq"] == before["seq"]
            assert oldest_s < 3.0

    run(scenario())


async def move(engine: Wired) -> None:
    """New prices twenty times a second; remembers when each snapshot was made."""
    engine.made = {}  # type: ignore[attr-defined]
    for step in range(10_000):
        snapshot = engine.marks(EURUSD=round(1.1 + step / 100_000, 5), GBPUSD=round(1.3 + step / 100_000, 5))
        engine.made[snapshot.seq] = time.time()  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)


# Those that break off, dawdle, or vanish


def test_a_client_that_breaks_off_in_the_middle_of_a_frame_is_forgotten():
    async def scenario():
        async with wired() as engine:
            for _ in range(20):
                async with raw(engine) as broken:
                    broken.say(op="subscribe", id="a", view="nodes")
                    broken.writer.write(masked(b'{"op":"ping","id":"never whole"}')[:9])
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert clients(engine) == 0
            await healthy(engine)

    run(scenario())


def test_a_request_that_does_not_come_to_its_point_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(heads, "REQUEST_HEAD_S", 0.3)

    async def scenario():
        async with wired() as engine:
            slow = [await asyncio.open_connection("127.0.0.1", engine.port) for _ in range(21)]
            first = b"GET /v1/stream HTTP/1.1\r\n"
            beginnings = itertools.cycle((b"", first, first + b"Host: 127.0.0.1\r\nUpgra"))
            for (_, writer), beginning in zip(slow, beginnings, strict=False):
                writer.write(beginning)
            await healthy(engine)
            for reader, writer in slow:
                async with asyncio.timeout(2.0):
                    assert await reader.read() == b""
                writer.close()
            await healthy(engine)

    run(scenario())


def test_a_half_open_connection_is_dropped():
    """The peer's machine is gone: nothing comes back, not even a close."""

    async def scenario():
        async with wired() as engine, raw(engine) as gone:
            gone.say(op="subscribe", id="a", view="nodes")
            gone.writer.write_eof()
            await asyncio.sleep(0.1)
            started = time.monotonic()
            while clients(engine) and time.monotonic() - started < 12.0:
                engine.marks(EURUSD=1.2)
                await asyncio.sleep(0.1)
            assert clients(engine) == 0

    run(scenario())


# Those that send nonsense

BOMB = b"\x81\xa2op" + b"\x91" * 60_000 + b"\x90"
"""msgpack: nested lists, as deep as the message is long."""
LARGE = b"\xdd\xff\xff\xff\xff"
"""msgpack: a list that claims four billion items."""


NONSENSE = {"deep": BOMB, "large": LARGE, "never": b"\xc1", "empty": b"\x80", "none": b"", "noise": b"\xc1" + os.urandom(5_000)}


@pytest.mark.parametrize("payload", NONSENSE.values(), ids=NONSENSE)
def test_msgpack_that_is_no_sense_is_answered_and_the_connection_stays(payload):
    async def scenario():
        async with wired() as engine, talk(engine, "/v1/stream?encoding=msgpack") as client:
            await client.hear("hello")
            await client.connection.send(payload)
            assert (await client.hear("error"))["id"] is None
            await client.say(op="ping", id=1)
            assert (await client.hear("pong"))["id"] == 1

    run(scenario())


def test_text_that_is_no_utf8_ends_its_connection_only(caplog):
    async def scenario():
        async with wired() as engine, raw(engine) as client:
            client.writer.write(masked(b"\xff\xfe{}"))
            assert await client.closed(5.0)
            await healthy(engine)

    run(scenario())
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 200, b"\xff" * 200, b"GET / HTTP/1.1\r\n\r\n", masked(b"x", 0x85), b"\x81\x05hello"]
)
def test_bytes_that_are_no_frames_end_their_connection_only(garbage):
    async def scenario():
        async with wired() as engine, raw(engine) as client:
            client.writer.write(garbage)
            assert await client.closed(12.0)
            await healthy(engine)

    run(scenario())


def test_a_compressed_bomb_is_not_unpacked():
    async def scenario():
        async with wired(max_body_bytes=1_048_576) as engine:
            url = f"ws://127.0.0.1:{engine.port}/v1/stream?compression=deflate"
            async with connect(url, proxy=None, compression="deflate", ping_interval=None) as client:
                with contextlib.suppress(ConnectionClosed):
                    await client.send(" " * 50_000_000)
                    while True:
                        await client.recv()
            assert client.close_code == 1009
            await healthy(engine)

    run(scenario())


def test_ten_thousand_subscriptions_are_refused_beyond_the_limit_and_the_client_is_slowed_down():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            for number in range(MAX_SUBSCRIPTIONS):
                await client.ask(op="subscribe", id=str(number), view="ladder", node="FX1")
            started = time.monotonic()
            for number in range(MAX_SUBSCRIPTIONS, 400):
                await client.say(op="subscribe", id=str(number), view="ladder", node="FX1")
            with contextlib.suppress(ConnectionClosed):
                while True:
                    assert (await client.hear("error"))["title"] == "too many subscriptions"
            assert time.monotonic() - started > 0.5
            await healthy(engine)

    run(scenario())


def test_a_client_that_asks_too_much_is_answered_more_slowly(monkeypatch):
    monkeypatch.setattr(stream, "BURST_MESSAGES", 20.0)

    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            started = time.monotonic()
            for number in range(70):
                await client.say(op="ping", id=number)
            for number in range(70):
                assert (await client.hear("pong"))["id"] == number
            assert 0.4 < time.monotonic() - started < 3.0

    run(scenario())


# Compression


def test_compression_is_only_for_those_who_ask_for_it_by_the_url():
    async def scenario():
        async with wired() as engine:
            by_url = "?compression=deflate"
            for asked, offered, deflated in (("", "deflate", False), (by_url, "deflate", True), (by_url, None, False)):
                url = f"ws://127.0.0.1:{engine.port}/v1/stream{asked}"
                async with connect(url, proxy=None, compression=offered) as client:
                    assert bool(client.protocol.extensions) is deflated
                    assert json.loads(await client.recv())["type"] == "hello"

    run(scenario())


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_deflated_stream_says_the_same_and_both_ways(encoding):
    async def scenario():
        async with wired() as engine:
            url = f"ws://127.0.0.1:{engine.port}/v1/stream?compression=deflate&encoding={encoding}"
            async with connect(url, proxy=None, compression="deflate") as client:
                read: Any = json.loads if encoding == "json" else msgspec.msgpack.decode
                write = (lambda m: json.dumps(m)) if encoding == "json" else msgspec.msgpack.encode
                assert read(await client.recv())["type"] == "hello"
                await client.send(write({"op": "subscribe", "id": LONG_NAME, "view": "nodes"}))
                assert read(await client.recv())["rows"] == node_rows(engine.history.newest)
                engine.deal(trade("t1"))
                rows = read(await client.recv())["views"][LONG_NAME]["rows"]
                assert {row["node"] for row in rows} >= {"ALL", "FX1"}

    run(scenario())


def test_a_client_with_a_narrow_window_is_sent_what_it_can_unpack():
    async def scenario():
        async with wired() as engine:
            url = f"ws://127.0.0.1:{engine.port}/v1/stream?compression=deflate"
            narrow = ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)
            async with connect(url, proxy=None, compression=None, extensions=[narrow]) as client:
                await client.send(json.dumps({"op": "subscribe", "id": "a", "view": "nodes"}))
                assert json.loads(await client.recv())["type"] == "hello"
                assert json.loads(await client.recv())["rows"] == node_rows(engine.history.newest)

    run(scenario())
