"""Subscriptions of an asyncio program, on one websocket that reconnects whenever it is lost.

One task reads all the time. A slow reader of states therefore blocks nothing: it finds a newer state, never a queue of old ones.
The stream keeps one copy of the rows, and the rows of the last state returned.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from riskengine.client.errors import Closed
from riskengine.client.feed import DISCONNECTED, GIVE_UP_HEARTBEATS, SILENT_HEARTBEATS, Feed, State, ViewCopy
from riskengine.client.link import Link
from riskengine.client.messages import decode, encode
from riskengine.client.session import Session
from riskengine.errors import InputError


class Stream:
    """All subscriptions of one program on one connection. Use and close it on one event loop."""

    def __init__(self, session: Session, max_hz: float | None = None) -> None:
        self._session = session
        self._feed = Feed(max_hz)
        self._link = Link(session, "/v1/stream", self._follow, self._lost)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._closed = False
        self._sending: set[asyncio.Task[None]] = set()

    def subscribe(
        self, view: str, *, node: str | None = None, dealer: str | None = None, by: str | None = None
    ) -> "Subscription":
        """Add a subscription; the first one connects. Raises Closed."""
        if self._closed:
            raise Closed("the client was closed")
        copy = self._feed.subscribe(view, node, dealer, by)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._nudge()
        return Subscription(self, copy)

    async def together(self, *subscriptions: "Subscription") -> AsyncGenerator[tuple[State, ...], None]:
        """States of several subscriptions, all of one snapshot: a tuple adds up. Raises as a subscription does."""
        seen = -1
        while True:
            seen = await self.newer(seen, all_fresh=True)
            yield tuple(subscription.state() for subscription in subscriptions)

    async def close(self) -> None:
        """End all subscriptions and the connection. Calling it again does nothing."""
        self._closed = True
        tasks = [*self._sending, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._wake()

    async def newer(self, seen: int, *, all_fresh: bool = False, copy: ViewCopy | None = None) -> int:
        """Wait for a version above `seen` and return it. Raises Closed, or the error that ended the stream.

        `all_fresh`: while connected, waits until all subscriptions are at one snapshot.
        """
        while True:
            if self._failure is not None:
                raise self._failure
            if self._closed or (copy is not None and not self._feed.is_open(copy)):
                raise Closed("the subscription was closed")
            if self._feed.version > seen and (not all_fresh or self._feed.all_fresh or not self._feed.connected):
                return self._feed.version
            await self._changed.wait()

    def state(self, copy: ViewCopy) -> State:
        """The state of a subscription now."""
        return self._feed.state(copy)

    def end(self, copy: ViewCopy) -> None:
        """End one subscription."""
        self._feed.unsubscribe(copy)
        self._nudge()
        self._wake()

    # -- the connection ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Follow the engine until cancelled, or until it refuses for good."""
        try:
            await self._link.run()
        except Exception as failure:  # refused for good, or an error of the token function: the readers raise it
            self._failure = failure
            self._lost(DISCONNECTED, str(failure))

    def _lost(self, status: str, reason: str) -> None:
        self._feed.note_lost(status, reason)
        self._wake()

    async def _follow(self, connection: ClientConnection) -> None:
        """Read until the connection ends."""
        feed, heard_at = self._feed, time.monotonic()
        while True:
            try:
                async with asyncio.timeout(SILENT_HEARTBEATS * feed.heartbeat_s):
                    frame = await connection.recv()
            except TimeoutError:
                silent_s = time.monotonic() - heard_at
                if silent_s > GIVE_UP_HEARTBEATS * feed.heartbeat_s:
                    raise InputError(f"no message for {silent_s:.0f} s") from None
                feed.note_silence(silent_s)
                self._wake()
                continue
            heard_at = time.monotonic()
            message = decode(frame)
            if message is None:
                continue
            feed.hear(message)
            self._link.reconnect_after_s, self._link.close_reason = feed.reconnect_after_s, feed.close_reason
            for _ in feed.verify():
                await asyncio.sleep(0)
            await self._send_requests(connection)
            if feed.seq is not None and feed.all_fresh:
                self._link.reset_backoff()
            self._wake()

    async def _send_requests(self, connection: ClientConnection) -> None:
        for request in self._feed.take_requests():
            await connection.send(encode(request, self._session.encoding))

    def _nudge(self) -> None:
        """Send new requests now if there is a connection; otherwise they go out after the next hello."""
        connection = self._link.connection
        if connection is not None:
            sending = asyncio.get_running_loop().create_task(self._send_quietly(connection))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send_quietly(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._send_requests(connection)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Subscription:
    """One subscription. Iterating never ends; each step returns the newest state and skips those in between.

    Iterating raises SubscriptionRefused, Closed, Problem (the engine refuses the connection) and EngineUnreachable (another
    protocol). A lost connection is a state, not an error.
    """

    def __init__(self, stream: Stream, copy: ViewCopy) -> None:
        self._stream = stream
        self._copy = copy
        self._seen = -1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> State:
        self._seen = await self._stream.newer(self._seen, copy=self._copy)
        return self.state()

    def state(self) -> State:
        """The state now, without waiting. `changed` and `removed` compare it with the last state returned."""
        return self._stream.state(self._copy)

    def close(self) -> None:
        """End this subscription; the others continue."""
        self._stream.end(self._copy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
