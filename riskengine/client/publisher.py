"""Sending ticks and trades over one websocket (manual/stream.md, "Publishing"): faster than requests, and no trade is lost.

Trades that were not answered when a connection ends are sent again on the next; the engine knows them by their identity. What
is kept is a few frames of trades: whoever sends more waits.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from riskengine.client.errors import Closed
from riskengine.client.exchange import bodies, joined_answers
from riskengine.client.feed import CONNECTING, DISCONNECTED, LIVE
from riskengine.client.link import Link
from riskengine.client.session import Session
from riskengine.errors import InputError

MAX_FRAMES_IN_FLIGHT = 4
"""Frames of trades that are not answered yet; the engine reads no further either."""

BEAT_S = 1.0


class Frame:
    """Trades on their way."""

    def __init__(self, payload: str) -> None:
        self.payload = payload
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class Publisher:
    """One publisher. Where it has a `source`, it says every second that this is alive and the highest `source_seq` it sent.

    `refused` counts the ticks that the engine refused, `reasons` are the last ones told. Made by `AsyncClient.publisher`; use it
    on one event loop, with `async with` or `close`.
    """

    def __init__(self, session: Session, source: str | None) -> None:
        self.status, self.reason = CONNECTING, ""
        self.refused = 0
        self.reasons: list[dict[str, Any]] = []
        self._source = source
        self._last_seq: int | None = None
        self._link = Link(session, "/v1/ingest", self._follow, self._lost, options=False)
        self._waiting: deque[Frame] = deque()
        """In the order in which they were sent, and so will be answered."""
        self._again: deque[Frame] = deque()
        """Those of which nothing was stored, until they are sent again."""
        self._room = asyncio.Semaphore(MAX_FRAMES_IN_FLIGHT)
        self._connected = asyncio.Event()
        self._failure: Exception | None = None
        self._tasks = [asyncio.get_running_loop().create_task(each) for each in (self._run(), self._beat())]

    async def send_ticks(self, ticks: Iterable[Mapping[str, Any]]) -> None:
        """Send prices; they are not answered. Waits while there is no connection; what is lost with one is followed by newer."""
        for body, _ in bodies(ticks):
            await self._say(f'{{"ticks":{body.decode()}}}')

    async def post_trades(self, trades: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Send trades; answered when they are durable, applied and published, like `post_trades` of a client.

        May be called again before that. Raises Closed, and what refuses the connection for good.
        """
        sent = list(trades)
        frames = [await self._put(body) for body in [body for body, _ in bodies(sent)] or [b"[]"]]
        numbers = [each.get("source_seq") for each in sent if each.get("source") == self._source]
        self._last_seq = max([self._last_seq or 0, *(number for number in numbers if isinstance(number, int))]) or None
        return joined_answers(await asyncio.gather(*(frame.answer for frame in frames)))

    async def close(self) -> None:
        """End the connection; what waits for an answer raises Closed. Again is nothing."""
        self._fail(Closed("the publisher was closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- how ---------------------------------------------------------------------------------------------------

    async def _put(self, body: bytes) -> Frame:
        await self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        frame = Frame(f'{{"trades":{body.decode()}}}')
        self._waiting.append(frame)
        await self._send(frame.payload)
        return frame

    async def _say(self, payload: str) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            await self._connected.wait()
            if await self._send(payload):
                return

    async def _send(self, payload: str) -> bool:
        """Whether there was a connection to send it to; trades go with the next one otherwise."""
        connection = self._link.connection
        if connection is None or not self._connected.is_set():
            return False
        with contextlib.suppress(ConnectionClosed):
            await connection.send(payload)
            return True
        return False

    async def _run(self) -> None:
        try:
            await self._link.run()
        except Exception as failure:  # refused for good, or a mistake in the token's function: whoever sends raises it
            self._fail(failure)

    async def _beat(self) -> None:
        while self._source is not None:
            beat = {"heartbeat": {"source": self._source, "last_seq": self._last_seq}}
            await self._send(msgspec.json.encode(beat).decode())
            await asyncio.sleep(BEAT_S)

    async def _follow(self, connection: ClientConnection) -> None:
        """Send again what was not answered, then read until the connection ends."""
        self._waiting.extend(self._again)
        self._again.clear()
        sent = 0
        while sent < len(self._waiting):
            await connection.send(self._waiting[sent].payload)
            sent += 1
        self.status, self.reason = LIVE, ""
        self._connected.set()
        while True:
            text = await connection.recv()
            try:
                await self._hear(connection, msgspec.json.decode(text))
            except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError, AttributeError) as mistake:
                raise InputError(f"the server sent a message that is not of this protocol: {mistake}") from None

    async def _hear(self, connection: ClientConnection, message: dict[str, Any]) -> None:
        match message["type"]:
            case "trades":
                self._link.worked()
                frame = self._next_answered()
                if not frame.answer.done():
                    frame.answer.set_result(message)
            case "refused":
                self.refused += message["count"]
                self.reasons = list(message["errors"])
            case "bye":
                self._link.reconnect_after_s = message["reconnect_after_ms"] / 1_000
            case "error" if "retry_after_ms" in message:
                # Nothing of the oldest frame was stored: the same again, behind what is under way.
                self._again.append(self._next_waiting())
                await asyncio.sleep(message["retry_after_ms"] / 1_000)
                self._waiting.append(self._again.popleft())
                await connection.send(self._waiting[-1].payload)
            case "error":
                self._link.farewell = f"{message['title']}: {message['detail']}"

    def _next_waiting(self) -> Frame:
        """The frame that an answer is about: the oldest."""
        if not self._waiting:
            raise InputError("the server answered trades that were not sent")
        return self._waiting.popleft()

    def _next_answered(self) -> Frame:
        """The same, and there is room for another one."""
        frame = self._next_waiting()
        self._room.release()
        return frame

    def _lost(self, status: str, reason: str) -> None:
        self._connected.clear()
        self.status, self.reason = status, reason

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
            self.status, self.reason = DISCONNECTED, str(failure)
        self._connected.set()  # whoever waits for a connection finds the failure
        frames = [*self._waiting, *self._again]
        self._waiting.clear()
        self._again.clear()
        for frame in frames:
            self._room.release()
            if not frame.answer.done():
                frame.answer.set_exception(self._failure)
