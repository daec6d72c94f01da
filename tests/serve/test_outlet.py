"""Ends that come together, floods of control frames, and a sender that fails."""

import asyncio
import contextlib
import gc
import json
import random
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.sender import Sender
from riskengine.views.board import Layout, Standing
from tests.serve.raw_client import HANDSHAKE, clients, healthy, masked, raw
from tests.serve.wired import Wired, run, talk, wired
from tests.waiting import until

CLOSE = masked(b"\x03\xe8", 0x88)


def outlets(engine: Wired) -> list[Outlet]:
    return [connection for connection in engine.server.server_state.connections if isinstance(connection, Outlet)]


def test_a_shutdown_tells_everybody_though_one_has_closed_and_takes_nothing():
    """A client that has said farewell but reads nothing: its connection is closing, not closed, when the server stops."""
    raised = []

    async def scenario():
        async with wired() as engine, raw(engine, receive_bytes=4_096) as stuck:
            stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: outlets(engine))
            [outlet] = outlets(engine)
            outlet.write_frame(b"\x82\x7f" + (4_000_000).to_bytes(8, "big") + bytes(4_000_000))
            stuck.writer.write(CLOSE)
            await until(lambda: outlet.transport.is_closing())
            async with talk(engine) as client:
                await client.hear("hello")
                try:
                    for connection in list(engine.server.server_state.connections):
                        connection.shutdown()
                except Exception as problem:
                    raised.append(problem)
                assert (await client.hear("bye"))["type"] == "bye"

    run(scenario())
    assert raised == []


def test_an_engine_that_fails_lets_its_clients_go_though_one_takes_nothing(caplog):
    async def scenario():
        async with wired(heartbeat_ms=100) as engine, raw(engine, receive_bytes=4_096) as stuck, talk(engine) as client:
            await client.hear("hello")
            stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: len(outlets(engine)) == 2)
            for outlet in outlets(engine):
                if outlet.transport.get_extra_info("peername") == stuck.writer.transport.get_extra_info("sockname"):
                    outlet.write_frame(b"\x82\x7f" + (4_000_000).to_bytes(8, "big") + bytes(4_000_000))
            engine.state = "failed"
            await client.hear("bye")
            assert await client.closed() == 1012
            await until(lambda: not clients(engine))

    run(scenario())
    assert "stream_failed" not in caplog.text
    assert "Traceback" not in caplog.text


def test_when_sending_fails_clients_are_let_go_and_who_comes_again_is_served(monkeypatch, caplog):
    def fail(sender: Sender) -> bool:
        raise RuntimeError("a mistake of ours")

    async def scenario():
        async with wired() as engine:
            async with talk(engine) as client, talk(engine) as other:
                for one in (client, other):
                    await one.hear("hello")
                    await one.ask(op="subscribe", id="a", view="nodes")
                with monkeypatch.context() as patched:
                    patched.setattr(Sender, "run_turn", fail)
                    engine.marks(EURUSD=1.5)
                    for one in (client, other):
                        await one.closed()
                    await asyncio.sleep(0.05)
            assert clients(engine) == 0
            await healthy(engine)

    run(scenario())
    assert "Exception in ASGI application" not in caplog.text


def test_a_client_that_pings_and_reads_no_pong_does_not_fill_the_memory():
    flood = masked(bytes(125), 0x89) * 500

    async def scenario():
        async with wired() as engine, raw(engine, receive_bytes=4_096) as hostile:
            hostile.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: outlets(engine))
            [outlet] = outlets(engine)
            most, started = 0, time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - started < 3.0 and not outlet.transport.is_closing():
                    hostile.writer.write(flood)
                    await hostile.writer.drain()
                    await asyncio.sleep(0)
                    most = max(most, outlet.unsent_bytes)
            assert most < 1_000_000

    run(scenario())


def test_a_message_in_a_million_empty_parts_ends_its_connection():
    async def scenario():
        async with wired() as engine, raw(engine) as hostile:
            await until(lambda: outlets(engine))
            [outlet] = outlets(engine)
            hostile.writer.write(masked(b"{", 0x01))
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    hostile.writer.write(masked(b"", 0x00) * 1_000)
                    await hostile.writer.drain()
                    await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            assert len(outlet.frames) < 10_000

    run(scenario())


@pytest.mark.parametrize("path", ["//[", "/v1/stream?compression=%ff", "http://[/v1/stream", "/v1/stream\xff"])
def test_a_path_that_is_no_path_ends_its_connection_without_a_traceback(path, caplog):
    async def scenario():
        async with wired() as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            head = (
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            writer.write(head.encode("latin-1"))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await reader.read(1_000)
            writer.close()
            await healthy(engine)
            await until(lambda: not outlets(engine))

    run(scenario())
    assert "Traceback" not in caplog.text


def is_of_an_empty_board(each: object) -> bool:
    """What a board leaves once for all of its connections: the layout without subscriptions, and where that stands."""
    return (isinstance(each, Layout) and not each.items) or (isinstance(each, Standing) and not each.versions)


@contextlib.contextmanager
def uncollected() -> Iterator[list[str]]:
    """Fills in, at the end of the block, the kinds of objects of ours and of the server's that only the collector found."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        kinds = {type(each) for each in gc.garbage if not is_of_an_empty_board(each)}
        found += [
            kind.__name__ for kind in kinds if kind.__module__.startswith(("riskengine", "uvicorn", "websockets", "httptools"))
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/ingest", "/v1/stream?compression=deflate"])
@pytest.mark.parametrize("said", [b"", CLOSE, b"\xff" * 20, masked(b'{"op":"subscribe","id":"a","view":"nodes"}')])
def test_a_websocket_that_has_ended_leaves_nothing_for_the_garbage_collector(path, said):
    """The collector of an engine is rare: 10 kB of each waited for it, 80 MB in an hour of 100 clients that come and go."""
    prices = random.Random(1)

    async def one(engine: Wired) -> None:
        async with raw(engine, path) as client:
            if said:
                client.writer.write(said)
                await client.reader.read(1)
                engine.marks(EURUSD=1.1 + prices.random() / 100)
                await asyncio.sleep(0.02)
        await until(lambda: not outlets(engine) and not engine.server.server_state.tasks)

    async def scenario():
        async with wired() as engine:
            async with raw(engine, path):  # a sender that stays
                pass
            await until(lambda: not outlets(engine))
            with uncollected() as found:
                for _ in range(3):
                    await one(engine)
                await asyncio.sleep(0)
            assert found == []

    run(scenario())


def test_a_refused_websocket_and_a_plain_request_leave_nothing_for_the_garbage_collector():
    async def one(engine: Wired, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(HANDSHAKE.format(path=path, port=engine.port).encode())
        await reader.read()
        writer.close()
        await healthy(engine)

    async def scenario():
        async with wired() as engine:
            await one(engine, "/nowhere")
            with uncollected() as found:
                for path in ("/nowhere", "/v1/stream?encoding=x", "//["):
                    await one(engine, path)
            assert found == []

    run(scenario())


def test_a_refused_handshake_says_why_and_is_no_mistake_of_ours(caplog):
    async def scenario():
        async with wired() as engine:
            for path, status in (("/v1/stream?encoding=x", 400), ("/nowhere", 404), ("/v1/stream/", 404)):
                with pytest.raises(InvalidStatus) as refused:
                    async with talk(engine, path):
                        pass
                assert refused.value.response.status_code == status
                assert json.loads(refused.value.response.body)["detail"]
            await until(lambda: not outlets(engine))

    run(scenario())
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize("sent", [b"\xff" * 20, masked(b"\xff\xfe{}")])
def test_frames_that_are_none_before_the_handshake_is_answered_end_their_connection_only(caplog, monkeypatch, sent):
    async def slow(self):
        await asyncio.sleep(0.2)
        await answered(self)

    answered = Outlet.run_asgi
    monkeypatch.setattr(Outlet, "run_asgi", slow)

    async def scenario():
        async with wired() as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(HANDSHAKE.format(path="/v1/stream", port=engine.port).encode())
            await asyncio.sleep(0.1)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read(1_000) == b""
            writer.close()
            await healthy(engine)
            await until(lambda: not outlets(engine))
            await asyncio.sleep(0.2)

    run(scenario())
    assert "Traceback" not in caplog.text
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize("ended_by", ["client", "server"])
def test_who_says_goodbye_but_takes_nothing_is_gone_all_the_same(ended_by):
    async def scenario():
        async with wired() as engine, raw(engine, receive_bytes=4_096) as stuck:
            stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: outlets(engine))
            [outlet] = outlets(engine)
            outlet.write_frame(b"\x82\x7f" + (4_000_000).to_bytes(8, "big") + bytes(4_000_000))
            if ended_by == "server":
                outlet.close(1008, "token revoked")
            stuck.writer.write(CLOSE)
            await until(lambda: not outlets(engine), 15.0)

    run(scenario())


def test_a_flood_of_tiny_frames_holds_nobody_up():
    async def scenario():
        async with wired() as engine, raw(engine) as hostile:
            await until(lambda: outlets(engine))
            # Processor time: a machine that is busy with other things holds the loop too.
            longest, before, ends = 0.0, time.thread_time(), time.monotonic() + 1.0
            hostile.writer.write(masked(b"", 0x8A) * 40_000)
            while time.monotonic() < ends:
                await asyncio.sleep(0)
                now = time.thread_time()
                longest, before = max(longest, now - before), now
            assert not outlets(engine)
            assert longest < 0.06

    run(scenario())
