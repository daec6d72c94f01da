"""Sends ticks and trades over one websocket (manual/stream.md, "Publishing"): faster than requests, and no trade is lost.

When a connection ends, the publisher sends unanswered trades again on the next one; the engine recognises repeats by their
identity. At most MAX_FRAMES_IN_FLIGHT frames of trades are kept: a caller that sends more waits.
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
from riskengine.client.exchange import bodies, checked_answer, items_of, join_answers
from riskengine.client.feed import CONNECTING, DISCONNECTED, LIVE
from riskengine.client.link import Link
from riskengine.client.session import Session
from riskengine.errors import InputError

MAX_FRAMES_IN_FLIGHT = 4
"""Most frames of trades without an answer; the engine reads no further ahead either."""

BEAT_S = 1.0

LARGEST_JSON_INTEGER = 2**53 - 1
"""A larger number goes as a text, because JSON numbers lose digits there."""


class Frame:
    """One frame of trades, and the future of its answer."""

    def __init__(self, payload: str) -> None:
        self.payload = payload
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class Publisher:
    """Sends ticks, trades, vols, rates and Greeks.

    With a `source`, it reports every second that it is alive, and the highest `source_seq` sent. `refused` counts ticks, vols,
    rates and Greeks that the engine refused, `reasons` holds the latest reasons. `AsyncClient.publisher` makes it. Use it on one
    event loop, in an `async with` block, or call `close`.
    """

    def __init__(self, session: Session, source: str | None) -> None:
        self.status, self.reason = CONNECTING, ""
        self.refused = 0
        self.reasons: list[dict[str, Any]] = []
        self._source = source
        self._last_seq: int | None = None
        self._link = Link(session, "/v1/ingest", self._follow, self._lost, options=False)
        self._waiting: deque[Frame] = deque()
        """Frames without an answer, in the order of sending, which is the order of answers."""
        self._again: deque[Frame] = deque()
        """Frames that the engine had no room for, until they are sent again."""
        self._room = asyncio.Semaphore(MAX_FRAMES_IN_FLIGHT)
        self._connected = asyncio.Event()
        self._failure: Exception | None = None
        self._tasks = [asyncio.get_running_loop().create_task(each) for each in (self._run(), self._beat())]

    async def send_ticks(self, ticks: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Send prices; the engine does not answer them. Waits for a connection. Ticks lost with a connection are not repeated."""
        await self._send_list("ticks", ticks)

    async def send_vols(self, vols: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Send vols of options or surfaces, as `send_ticks`."""
        await self._send_list("vols", vols)

    async def send_rates(self, rates: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Send rates, discount factors, yields or points, as `send_ticks`."""
        await self._send_list("rates", rates)

    async def send_greeks(self, rows: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Send value and Greeks of options that an outside model values, as `send_ticks`."""
        await self._send_list("greeks", rows)

    async def post_trades(
        self, trades: Iterable[Mapping[str, Any]] | Mapping[str, Any], *, raise_on_rejected: bool = True
    ) -> dict[str, Any]:
        """Send trades; returns the answer once they are durable, applied and published, like `post_trades` of a client.

        Several calls may wait at once. Raises TradesRejected as there, Closed, and Problem if the engine refuses the connection
        for good.
        """
        sent = list(items_of(trades))
        frames = [await self._put(body) for body in [body for body, _ in bodies(sent)] or [b"[]"]]
        numbers = [str(each.get("source_seq", "")) for each in sent if each.get("source") == self._source]
        self._last_seq = max([self._last_seq or 0, *(int(text) for text in numbers if text.isdecimal())]) or None
        answer = join_answers(await asyncio.gather(*(frame.answer for frame in frames)))
        return checked_answer(answer) if raise_on_rejected else answer

    async def close(self) -> None:
        """End the connection; calls that wait for an answer raise Closed. Calling it again does nothing."""
        self._fail(Closed("the publisher was closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- how ---------------------------------------------------------------------------------------------------

    async def _send_list(self, name: str, items: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        for body, _ in bodies(items_of(items)):
            await self._send_when_connected(f'{{"{name}":{body.decode()}}}')

    async def _put(self, body: bytes) -> Frame:
        await self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        frame = Frame(f'{{"trades":{body.decode()}}}')
        self._waiting.append(frame)
        await self._send(frame.payload)
        return frame

    async def _send_when_connected(self, payload: str) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            await self._connected.wait()
            if await self._send(payload):
                return

    async def _send(self, payload: str) -> bool:
        """Send over the connection; False if there is none. Trades then go with the next one."""
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
        except Exception as failure:  # refused for good, or an error of the token function: the sending calls raise it
            self._fail(failure)

    async def _beat(self) -> None:
        while self._source is not None:
            number = self._last_seq
            last_seq = str(number) if number is not None and number > LARGEST_JSON_INTEGER else number
            beat = {"heartbeat": {"source": self._source, "last_seq": last_seq}}
            await self._send(msgspec.json.encode(beat).decode())
            await asyncio.sleep(BEAT_S)

    async def _follow(self, connection: ClientConnection) -> None:
        """Send unanswered frames again, then read until the connection ends."""
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
                self._link.reset_backoff()
                frame = self._next_answered()
                if not frame.answer.done():
                    frame.answer.set_result(message)
            case "refused":
                self.refused += message["count"]
                self.reasons = list(message["errors"])
            case "bye":
                self._link.reconnect_after_s = message["reconnect_after_ms"] / 1_000
            case "error" if "retry_after_ms" in message:
                # Nothing of the oldest frame was stored: send it again, behind the frames in flight.
                self._again.append(self._next_waiting())
                await asyncio.sleep(message["retry_after_ms"] / 1_000)
                self._waiting.append(self._again.popleft())
                await connection.send(self._waiting[-1].payload)
            case "error":
                self._link.close_reason = f"{message['title']}: {message['detail']}"

    def _next_waiting(self) -> Frame:
        """Take the frame that an answer belongs to: the oldest."""
        if not self._waiting:
            raise InputError("the server answered trades that this client did not send")
        return self._waiting.popleft()

    def _next_answered(self) -> Frame:
        """Take the oldest frame and make room for another."""
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
        self._connected.set()  # wakes the calls that wait for a connection; they raise the failure
        frames = [*self._waiting, *self._again]
        self._waiting.clear()
        self._again.clear()
        for frame in frames:
            self._room.release()
            if not frame.answer.done():
                frame.answer.set_exception(self._failure)
