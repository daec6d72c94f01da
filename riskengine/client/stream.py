"""Subscriptions of an asyncio program: one websocket, made again whenever it is lost, read all the while.

One task reads, so that a slow reader of states holds nobody up: it finds a newer state, never a queue of old ones. What is kept
is one copy of the rows, and the one that was shown last.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from riskengine.client.backoff import Backoff
from riskengine.client.errors import Closed, NotNow, NotSignedIn, Problem, problem
from riskengine.client.feed import DISCONNECTED, GIVE_UP_HEARTBEATS, LOADING, SILENT_HEARTBEATS, Feed, Held, State
from riskengine.client.messages import decode, encode
from riskengine.client.session import Session, bearer, said
from riskengine.errors import InputError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
TRY_AGAIN_LATER = 1013
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
FRAMES_AHEAD = 4
"""Frames that are read before they are asked for; then the engine finds the connection full, and sends newer updates later."""


class Stream:
    """All subscriptions of one program on one connection. Use it on one event loop; close it there."""

    def __init__(self, session: Session, max_hz: float | None = None) -> None:
        self._session = session
        self._feed = Feed(max_hz)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._connection: ClientConnection | None = None
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
        """Connect, follow, wait, again: until cancelled, or refused for good."""
        backoff = Backoff()
        try:
            while True:
                pause_s = await self._once(backoff)
                self._wake()
                await asyncio.sleep(pause_s)
        except Exception as failure:  # refused for good, or a mistake in the token's function: the readers raise it
            self._feed.lost(DISCONNECTED, str(failure))
            self._failure = failure
            self._wake()

    async def _once(self, backoff: Backoff) -> float:
        """One connection from its beginning to its end; seconds to wait before the next. Raises what is for good."""
        feed = self._feed
        try:
            async with await self._connect() as connection:
                self._connection = connection
                try:
                    await self._follow(connection, backoff)
                finally:
                    self._connection = None
        except InvalidStatus as refused:
            return self._refused(refused, backoff)
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else closed.rcvd.code
            if code == TRY_AGAIN_LATER:
                feed.lost(LOADING, "the engine is not live yet")
            else:
                feed.lost(DISCONNECTED, feed.farewell or "the connection was lost")
        except InputError as mistake:
            feed.lost(DISCONNECTED, str(mistake))
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as failed:
            feed.lost(DISCONNECTED, f"no connection to {self._session.base_url}: {said(failed)}")
        pause_s, feed.reconnect_after_s = feed.reconnect_after_s, None
        return backoff.next_s() if pause_s is None else pause_s

    async def _connect(self) -> connect:
        session = self._session
        try:
            token = await session.give_token()
        except OSError as failed:
            raise InputError(f"no token: {failed}") from None
        more: dict[str, Any] = {"ssl": session.ssl_context} if session.ssl_context is not None and session.is_secure else {}
        return connect(
            session.websocket_url("/v1/stream"), additional_headers=bearer(token), proxy=None,
            compression="deflate" if session.compression else None, open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S, max_size=MAX_MESSAGE_BYTES, max_queue=FRAMES_AHEAD, user_agent_header=None, **more,
        )  # fmt: skip

    def _refused(self, refused: InvalidStatus, backoff: Backoff) -> float:
        """The handshake was answered with an error; seconds to wait. Raises Problem where waiting does not help."""
        found = _problem(refused)
        if isinstance(found, NotNow):
            self._feed.lost(LOADING if found.status == 503 else DISCONNECTED, found.detail or str(found))
            return max(backoff.next_s(), found.retry_after_s or 0.0)
        if isinstance(found, NotSignedIn) and self._session.renews_token:
            self._feed.lost(DISCONNECTED, str(found))
            return backoff.next_s()
        raise found

    async def _follow(self, connection: ClientConnection, backoff: Backoff) -> None:
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
            for _ in feed.verify():
                await asyncio.sleep(0)
            await self._send_requests(connection)
            if feed.seq is not None and feed.all_fresh:
                backoff.reset()
            self._wake()

    async def _send_requests(self, connection: ClientConnection) -> None:
        for request in self._feed.take_requests():
            await connection.send(encode(request, self._session.encoding))

    def _nudge(self) -> None:
        """Have what was asked for now sent, where there is a connection; otherwise it goes with the next hello."""
        connection = self._connection
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


def _problem(refused: InvalidStatus) -> Problem:
    response = refused.response
    try:
        told = msgspec.json.decode(response.body or b"")
    except (msgspec.MsgspecError, UnicodeError):
        told = None
    return problem(response.status_code, told, retry_after(response.headers.get("Retry-After")))


def retry_after(text: str | None) -> float | None:
    """The seconds of a Retry-After header; None where there is none, or a date."""
    try:
        return None if text is None else min(max(float(text), 0.0), 3_600.0)
    except ValueError:
        return None
