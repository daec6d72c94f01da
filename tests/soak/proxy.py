"""A TCP proxy before the database that can refuse connections, and cut those that there are: a server that restarts."""

import asyncio
import contextlib
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to the server of a URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._given = url
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self._port = 0
        self.url = ""

    async def open(self) -> None:
        """Listen on a free port."""
        await self.allow()
        host, port = self._address
        assert f"{host}:{port}" in self._given, "the URL must name host and port"
        self.url = self._given.replace(f"{host}:{port}", f"127.0.0.1:{self._port}")

    async def allow(self) -> None:
        """Take connections, again at the same port."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection; new ones are refused, as by a server that is down."""
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._server.wait_closed()
                while self._writers:  # noqa: ASYNC110 - they end by themselves, at once
                    await asyncio.sleep(0.01)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._address)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._writers |= both
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until either side ends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
