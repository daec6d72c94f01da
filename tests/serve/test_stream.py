"""The stream through a real server and real sockets."""

import asyncio
import itertools
import json
import socket
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from riskengine.serve.stream import sender
from riskengine.snapshot.rows import ladder_rows, node_rows
from tests.serve.stand_in import Client
from tests.serve.wired import Talk, Wired, run, talk, wired
from tests.world import trade

# The protocol


def test_hello_snapshot_update():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            hello = await client.hear()
            assert hello == {
                "type": "hello",
                "protocol": 1,
                "epoch": 7,
                "seq": engine.history.newest.seq,
                "reporting_currency": "USD",
                "heartbeat_ms": 1000,
                "max_hz": 5.0,
            }
            snapshot = await client.ask(op="subscribe", id="a", view="ladder", node="FX1")
            assert (snapshot["key"], snapshot["rows"]) == (["instrument"], [])
            newest = engine.deal(trade("t1"))
            update = await client.hear("update")
            assert (update["prev_seq"], update["seq"], update["epoch"]) == (snapshot["seq"], newest.seq, 7)
            assert update["views"]["a"] == {"rows": ladder_rows(newest, node="FX1"), "removed": []}

    run(scenario())


def test_two_subscriptions_add_up_at_one_seq():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            await client.ask(op="subscribe", id="tree", view="nodes")
            await client.ask(op="subscribe", id="ladder", view="ladder", node="ALL")
            tree: dict[str, Any] = {}
            ladder: dict[str, Any] = {}
            for number in range(5):
                engine.deal(trade(f"t{number}", quantity=str(number + 1)), trade(f"g{number}", instrument="GBPUSD", price="1.2"))
                views = (await client.hear("update"))["views"]
                for row in views["tree"]["rows"]:
                    tree.setdefault(row["node"], {}).update(row)
                for row in views["ladder"]["rows"]:
                    ladder.setdefault(row["instrument"], {}).update(row)
                assert tree["ALL"]["total_pnl"] == pytest.approx(sum(row["total_pnl"] for row in ladder.values()))

    run(scenario())


def test_msgpack_both_ways():
    async def scenario():
        async with wired() as engine, talk(engine, "/v1/stream?encoding=msgpack") as client:
            assert (await client.hear())["type"] == "hello"
            assert (await client.ask(op="subscribe", id="a", view="nodes"))["rows"] == node_rows(engine.history.newest)
            await client.say(op="ping", id="p")
            assert await client.hear("pong") == {"type": "pong", "id": "p"}
            engine.deal(trade("t1"))
            assert (await client.hear("update"))["views"]["a"]["rows"]

    run(scenario())


def test_an_unknown_encoding_is_refused_before_the_handshake():
    async def scenario():
        async with wired() as engine:
            with pytest.raises(InvalidStatus) as refused:
                async with talk(engine, "/v1/stream?encoding=xml"):
                    pass
            assert refused.value.response.status_code == 400
            assert "json or msgpack" in refused.value.response.body.decode()

    run(scenario())


def test_mistakes_are_answered_and_the_connection_stays_open():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            await client.connection.send("{not json")
            assert (await client.hear("error"))["id"] is None
            await client.say(op="subscribe", id="a", view="greeks")
            error = await client.hear("error")
            assert error["id"] == "a"
            assert "ladder" in error["detail"]
            await client.connection.send("x" * 70_000)
            assert (await client.hear("error"))["title"] == "message too large"
            await client.say(op="ping", id=1)
            assert (await client.hear("pong"))["id"] == 1

    run(scenario())


def test_a_message_beyond_all_measure_ends_its_connection_only():
    async def scenario():
        async with wired(max_body_bytes=100_000) as engine, talk(engine) as client, talk(engine) as other:
            await client.connection.send("x" * 200_000)
            assert await client.closed() == 1009
            await other.hear("hello")
            await other.ask(op="subscribe", id="a", view="nodes")

    run(scenario())


def test_the_status_is_a_view():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            snapshot = await client.ask(op="subscribe", id="s", view="status")
            [row] = snapshot["rows"]
            assert (snapshot["key"], row["state"], row["seq"], row["clients"]) == ([], "live", snapshot["seq"], 1)
            engine.marks(EURUSD=1.2)
            [row] = (await client.hear("update"))["views"]["s"]["rows"]
            assert row["seq"] == engine.history.newest.seq
            assert "policies" not in row

    run(scenario())


def test_a_foreign_page_is_refused_before_the_handshake():
    async def scenario():
        async with wired() as engine:
            with pytest.raises(InvalidStatus) as refused:
                async with talk(engine, additional_headers={"Origin": "https://evil.example"}):
                    pass
            assert refused.value.response.status_code == 403

    run(scenario())


# Time


def test_a_heartbeat_says_the_newest_seq_and_the_time():
    async def scenario():
        async with wired(heartbeat_ms=100) as engine, talk(engine) as client:
            await client.hear("hello")
            assert await client.hear() == {
                "type": "heartbeat",
                "epoch": 7,
                "seq": engine.history.newest.seq,
                "ts": engine.clock.now(),
                "publish_age_ms": engine.publish_age_ms,
            }
            assert (await client.hear())["type"] == "heartbeat"

    run(scenario())


async def count_updates(engine: Wired, client: Talk, seconds: float, change: Any) -> list[dict[str, Any]]:
    """The updates that arrive while `change(step)` runs every 10 ms."""
    ends, heard = time.monotonic() + seconds, []

    async def listen() -> None:
        while True:
            message = json.loads(await client.connection.recv())
            if message["type"] == "update":
                heard.append(message)

    listening = asyncio.create_task(listen())
    step = 0
    while time.monotonic() < ends:
        change(step)
        step += 1
        await asyncio.sleep(0.01)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return heard


def test_price_updates_keep_to_the_rate_that_was_configured():
    async def scenario():
        async with wired() as engine, talk(engine) as client:
            await client.hear("hello")
            await client.say(op="configure", max_hz=10)
            engine.deal(trade("t1"))
            await client.ask(op="subscribe", id="a", view="ladder", node="FX1")
            heard = await count_updates(engine, client, 1.0, lambda step: engine.marks(EURUSD=1.1 + step / 1_000))
            assert 4 <= len(heard) <= 11
            for before, after in itertools.pairwise(heard):
                assert after["prev_seq"] == before["seq"]
                assert after["conflated"] == after["seq"] - before["seq"] - 1 > 0

    run(scenario())


def test_a_trade_goes_out_at_once_but_not_more_often_than_configured():
    async def scenario():
        async with wired(trade_push_ms=100, max_hz=0.2) as engine, talk(engine) as client:
            await client.hear("hello")
            await client.ask(op="subscribe", id="a", view="ladder", node="FX1")
            started = time.monotonic()
            engine.deal(trade("first"))
            await client.hear("update")
            assert time.monotonic() - started < 1.0  # prices alone would wait 5 s
            heard = await count_updates(engine, client, 1.0, lambda step: engine.deal(trade(f"t{step}")))
            assert 4 <= len(heard) <= 11

    run(scenario())


def test_a_trade_elsewhere_does_not_speed_up_prices():
    async def scenario():
        async with wired(max_hz=1) as engine, talk(engine) as client:
            await client.hear("hello")
            engine.deal(trade("t1"))
            await client.ask(op="subscribe", id="a", view="ladder", node="FX1")

            def change(step: int) -> None:
                engine.marks(EURUSD=1.1 + step / 1_000)
                engine.deal(trade(f"e{step}", desk="EQ1", instrument="ACME", quantity="1"))

            assert len(await count_updates(engine, client, 0.8, change)) <= 2

    run(scenario())


# Clients that fail


def test_a_client_that_reads_nothing_is_dropped_and_harms_nobody(monkeypatch):
    monkeypatch.setattr(sender, "STALL_TIMEOUT_S", 0.3)

    async def scenario():
        async with wired(heartbeat_ms=100, max_hz=10) as engine, talk(engine) as healthy:
            await healthy.hear("hello")
            await healthy.ask(op="subscribe", id="a", view="nodes")
            engine.deal(trade("t1"))
            stalled = await _stalled_client(engine.port)
            await asyncio.sleep(0.2)
            assert engine.metrics.registry.get_sample_value("riskengine_clients") == 2
            worst, ends = 0.0, time.monotonic() + 4.0
            while engine.metrics.registry.get_sample_value("riskengine_clients") == 2 and time.monotonic() < ends:
                for node in range(20):  # what the stalled client asks for, so that its buffers fill
                    await _push(stalled, {"op": "subscribe", "id": str(node), "view": "nodes"})
                sent = time.monotonic()
                engine.deal(trade(f"t{sent}"))
                await healthy.hear("update")
                worst = max(worst, time.monotonic() - sent)
            assert engine.metrics.registry.get_sample_value("riskengine_clients") == 1
            assert worst < 1.0
            stalled.close()

    run(scenario())


async def _stalled_client(port: int) -> socket.socket:
    """A client that completes its handshake and then reads nothing at all."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    request = (
        f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    return raw


async def _push(raw: socket.socket, message: dict[str, Any]) -> None:
    """Send a masked frame, or give up: the server may have stopped reading."""
    payload = json.dumps(message).encode()
    assert len(payload) < 126
    try:
        raw.send(bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
    except OSError:
        await asyncio.sleep(0.01)


def test_a_client_that_vanishes_is_forgotten():
    async def scenario():
        async with wired() as engine:
            async with talk(engine) as client:
                await client.hear("hello")
                await client.ask(op="subscribe", id="a", view="nodes")
                assert engine.metrics.registry.get_sample_value("riskengine_clients") == 1
                assert len(engine.listeners) == 1
                client.connection.transport.abort()
            await asyncio.sleep(0.05)
            assert engine.metrics.registry.get_sample_value("riskengine_clients") == 0
            assert engine.listeners == []
            async with talk(engine) as client:
                await client.hear("hello")
                await client.ask(op="subscribe", id="a", view="nodes")
                engine.deal(trade("t1"))
                await client.hear("update")

    run(scenario())


def test_many_clients_get_the_same_update_and_reads_stay_quick():
    async def scenario():
        async with wired(max_hz=10) as engine:
            clients = []
            for _ in range(100):
                connection = await connect(f"ws://127.0.0.1:{engine.port}/v1/stream", proxy=None, compression=None)
                clients.append(Talk(connection, False))
            for client in clients:
                await client.hear("hello")
                await client.ask(op="subscribe", id="a", view="nodes")
            engine.deal(trade("t1"))
            http = Client(f"http://127.0.0.1:{engine.port}")
            assert (await asyncio.to_thread(http.request, "GET", "/healthz")).status == 200
            updates = [await client.hear("update") for client in clients]
            assert all(update == updates[0] for update in updates)
            await asyncio.gather(*(client.connection.close() for client in clients))

    run(scenario())


# Beginning and end


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/ingest"])
def test_before_the_engine_is_live_a_client_is_told_to_come_back(path):
    async def scenario():
        async with wired() as engine:
            engine.state = "loading"
            async with talk(engine, path) as client:
                bye = await client.hear()
                assert bye["type"] == "bye"
                assert 500 <= bye["reconnect_after_ms"] < 3_000
                assert await client.closed() == 1013

    run(scenario())


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/ingest"])
def test_before_a_shutdown_a_client_is_told(path):
    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            await client.connection.ping()
            await asyncio.sleep(0.05)
            engine.server.should_exit = True
            if path == "/v1/stream":
                await client.hear("hello")
            assert 500 <= (await client.hear("bye"))["reconnect_after_ms"] < 3_000
            assert await client.closed() == 1012

    run(scenario())


def test_when_the_engine_fails_its_clients_are_let_go():
    async def scenario():
        async with wired(heartbeat_ms=100) as engine, talk(engine) as client:
            await client.hear("hello")
            engine.state = "failed"
            await client.hear("bye")
            assert await client.closed() == 1012

    run(scenario())
