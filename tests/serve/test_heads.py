"""Request heads are bounded before they are parsed: 431, and no memory for strangers."""

import asyncio
import contextlib
import json
import os
import socket
import threading

import pytest

from riskengine.serve.stream.heads import LINGER_BYTES, MAX_HEAD_BYTES
from tests.running import running
from tests.serve.raw_client import healthy
from tests.serve.wired import run, wired

END = b"\r\n\r\n"


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def head(port: int, *more: bytes, line: bytes = b"GET /v1/status HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: 127.0.0.1:%d" % port, *more])


async def said(port: int, sent: bytes) -> bytes:
    """Everything that the server answers, until it closes or 2 s have passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(sent)
            async with asyncio.timeout(2.0):
                while part := await reader.read(65_536):
                    found += part
    finally:
        writer.transport.abort()
    return found


def of_size(port: int, size: int, *, lines: int = 1, **more: bytes) -> bytes:
    """A head whose names, values and target come to about `size` bytes."""
    each = size // lines
    return head(port, *(b"x-%04d: " % number + b"y" * (each - 10) for number in range(lines)), **more) + END


@pytest.mark.parametrize("lines", [1, 20, 500])
def test_a_head_up_to_the_bound_is_read_and_a_longer_one_refused(lines):
    async def scenario():
        async with wired() as engine:
            assert b" 200 " in (await said(engine.port, of_size(engine.port, MAX_HEAD_BYTES - 1_000, lines=lines)))[:20]
            refused = await said(engine.port, of_size(engine.port, MAX_HEAD_BYTES + 2_000, lines=lines))
            status, body = refused.split(END)
            assert status.startswith(b"HTTP/1.1 431 ")
            assert b"application/problem+json" in status
            assert json.loads(body)["status"] == 431
            await healthy(engine)

    run(scenario())


def test_the_bound_holds_for_a_target_a_handshake_and_a_head_that_never_ends():
    async def scenario():
        async with wired() as engine:
            port, much = engine.port, b"y" * (2 * MAX_HEAD_BYTES)
            handshake = (
                head(port, b"Upgrade: websocket", b"Connection: Upgrade", b"x: " + much, line=b"GET /v1/stream HTTP/1.1") + END
            )
            for sent in (
                head(port, line=b"GET /" + much + b" HTTP/1.1") + END,
                handshake,
                head(port, b"x: " + much),
                head(port, much),
                much,
            ):
                found = await said(port, sent)
                assert found.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), sent[:40]
                assert found.count(b"HTTP/1.1") == 1
            await healthy(engine)

    run(scenario())


def test_trailers_behind_a_body_are_bounded_too():
    async def scenario():
        async with wired() as engine:
            start = head(engine.port, b"Transfer-Encoding: chunked", line=b"POST /v1/ticks HTTP/1.1") + END + b"2\r\n[]\r\n0\r\n"
            assert b" 200 " in (await said(engine.port, start + b"x: y" + END))[:20]
            found = await said(engine.port, start + b"x: " + b"y" * (40 * MAX_HEAD_BYTES))
            assert b" 200 " not in found
            await healthy(engine)

    run(scenario())


def test_a_long_body_is_no_long_head_and_the_next_request_is_counted_anew():
    async def scenario():
        async with wired() as engine:
            port = engine.port
            body = b"[" + b" " * 500_000 + b"]"
            post = head(port, b"Content-Length: %d" % len(body), line=b"POST /v1/ticks HTTP/1.1") + END + body
            found = await said(port, post + post + of_size(port, 60_000) + of_size(port, 60_000))
            assert found.count(b"HTTP/1.1 200 ") == 4

    run(scenario())


def test_strangers_with_heads_without_end_cost_no_memory(tmp_path):
    """Case D2: six connections, 200 MB of headers each."""
    from tests.cli.commands import riskengine

    store = f"sqlite:///{tmp_path / 'new.db'}"
    (tmp_path / "nodes.csv").write_text("node,level,parent\nALL,total,\nFX1,desk,ALL\n")
    assert riskengine("load", "nodes", tmp_path / "nodes.csv", "--store", store).exit_code == 0
    with running("serve", "--store", store, "--port", "0", log=tmp_path / "log") as server:
        port = int(server.url.rpartition(":")[2])
        server.get("/v1/status")
        before = resident_bytes(server.process.pid)
        answers: list[bytes] = []
        highest = [before]

        def stranger() -> None:
            line = b"x-header: " + b"y" * 8_000 + b"\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                with contextlib.suppress(OSError):
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
                    for _ in range(200_000_000 // len(line)):
                        connection.sendall(line)
                with contextlib.suppress(OSError):
                    answers.append(connection.recv(20))
            highest.append(resident_bytes(server.process.pid))

        threads = [threading.Thread(target=stranger) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        server.get("/healthz")
        assert max(highest) - before < 20_000_000
        assert answers == [b"HTTP/1.1 431 Request"] * 6
    assert LINGER_BYTES < 20_000_000
