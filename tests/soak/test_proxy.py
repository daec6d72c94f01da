"""The proxy before the database: passes bytes on, refuses, and takes connections again."""

import asyncio
import contextlib

import pytest

from tests.soak.proxy import Proxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


def test_a_server_that_goes_away_is_away_and_comes_back() -> None:
    async def said(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        try:
            return await asyncio.wait_for(reader.read(100), 5)
        finally:
            writer.transport.abort()

    async def scenario() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy = Proxy(f"postgresql://postgres@127.0.0.1:{port}/test")
        await proxy.open()
        own = int(proxy.url.rpartition(":")[2].partition("/")[0])
        assert own != port
        assert await said(own) == b"hello"
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        writer.write(b"still there")
        assert await reader.read(100) == b"still there"
        await proxy.refuse()
        with contextlib.suppress(ConnectionError):
            assert await reader.read(100) == b""
        with pytest.raises(ConnectionError):
            await said(own)
        await proxy.allow()
        assert await said(own) == b"hello"
        writer.transport.abort()
        await proxy.refuse()
        server.close()
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
