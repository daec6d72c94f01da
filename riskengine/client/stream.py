"""Subscriptions of an asyncio program: one websocket, made again whenever it is lost, read all the while.

One task reads, so that a slow reader of states holds nobody up: it finds a newer state, never a queue of old ones. What is kept
is one copy of the rows, and the one that was shown last.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from riskengine.client.errors import Closed
from riskengine.client.feed import DISCONNECTED, GIVE_UP_HEARTBEATS, SILENT_HEARTBEATS, Feed, Held, State
from riskengine.client.link import Link
from riskengine.client.messages import decode, encode
from riskengine.client.session import Session
from riskengine.errors import InputError


class Stream:
    """All subscriptions of one program on one connection. Use it on one event loop; close it there."""

    def __init__(self, session: Session, max_hz: float | None = None) -> None:
        self._session = session
        self._feed = Feed(max_hz)
        self._link = Link(session, "/v1/stream", self._follow, self._lost)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._closed = False
        self._sending: set[asyncio.Task[None]] = set()

    def subscribe(self, view: str, *, node: str | None = None, dealer: str | None = None) -> "Subscription":
        """One more subscription; with the first, the connection is made. Raises Closed."""
        if self._closed:
            raise Closed("the client was closed")
        held = self._feed.subscribe(view, node, dealer)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._nudge()
        return Subscription(self, held)

    async def together(self, *subscriptions: "Subscription") -> AsyncGenerator[tuple[State, ...], None]:
        """States of several subscriptions, all of one snapshot: what is in one tuple adds up. Raises as a subscription does."""
        seen = -1
        while True:
            seen = await self.newer(seen, all_fresh=True)
            yield tuple(subscription.state() for subscription in subscriptions)

    async def close(self) -> None:
        """End everything; again is nothing."""
        self._closed = True
        tasks = [*self._sending, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._wake()

    async def newer(self, seen: int, *, all_fresh: bool = False, held: Held | None = None) -> int:
        """Wait until there is something to show beyond version `seen`; the version then. Raises Closed, or why it ended.

        `all_fresh`: while the connection stands, only moments at which all subscriptions are at one snapshot.
        """
        while True:
            if self._failure is not None:
                raise self._failure
            if self._closed or (held is not None and not self._feed.holds(held)):
                raise Closed("the subscription was closed")
            if self._feed.version > seen and (not all_fresh or self._feed.all_fresh or not self._feed.connected):
                return self._feed.version
            await self._changed.wait()

    def state(self, held: Held) -> State:
        """What a subscription shows now."""
        return self._feed.state(held)

    def end(self, held: Held) -> None:
        """End one subscription."""
        self._feed.unsubscribe(held)
        self._nudge()
        self._wake()

    # -- the connection ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Follow the engine until cancelled, or refused for good."""
        try:
            await self._link.run()
        except Exception as failure:  # refused for good, or a mistake in the token's function: the readers raise it
            self._failure = failure
            self._lost(DISCONNECTED, str(failure))

    def _lost(self, status: str, reason: str) -> None:
        self._feed.lost(status, reason)
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
                    raise InputError(f"nothing has come for {silent_s:.0f} s") from None
                feed.silent(silent_s)
                self._wake()
                continue
            heard_at = time.monotonic()
            message = decode(frame)
            if message is None:
                continue
            feed.hear(message)
            self._link.reconnect_after_s, self._link.farewell = feed.reconnect_after_s, feed.farewell
            for _ in feed.verify():
                await asyncio.sleep(0)
            await self._send_requests(connection)
            if feed.seq is not None and feed.all_fresh:
                self._link.worked()
            self._wake()

    async def _send_requests(self, connection: ClientConnection) -> None:
        for request in self._feed.take_requests():
            await connection.send(encode(request, self._session.encoding))

    def _nudge(self) -> None:
        """Have what was asked for now sent, where there is a connection; otherwise it goes with the next hello."""
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
    """One subscription: iterate it for its states, for ever; each is the newest there is, whatever was skipped.

    An iteration raises SubscriptionRefused, Closed, Problem (the connection is not allowed) and EngineUnreachable (another
    protocol); a connection that is lost is no error but a state.
    """

    def __init__(self, stream: Stream, held: Held) -> None:
        self._stream = stream
        self._held = held
        self._seen = -1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> State:
        self._seen = await self._stream.newer(self._seen, held=self._held)
        return self.state()

    def state(self) -> State:
        """What it shows now, without waiting; `changed` is against the last state that was given out."""
        return self._stream.state(self._held)

    def close(self) -> None:
        """End it; the others go on."""
        self._stream.end(self._held)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
