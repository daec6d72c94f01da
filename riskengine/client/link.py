"""A websocket to the engine that is made again whenever it is lost: as the server asked for, or after pauses that grow."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from riskengine.client.backoff import Backoff
from riskengine.client.errors import NotNow, NotSignedIn, Problem, problem
from riskengine.client.feed import DISCONNECTED, LOADING
from riskengine.client.session import Session, bearer, said
from riskengine.errors import InputError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
TRY_AGAIN_LATER = 1013
NOT_LIVE = 503
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
FRAMES_AHEAD = 4
"""Frames that are read before they are asked for; then the engine finds the connection full, and sends newer updates later."""


class Link:
    """Connects, has `follow` read until the connection ends, says so by `lost` (status, reason), waits, and begins again.

    `follow` notes what the server said of the end: `reconnect_after_s` and `farewell`, and by `worked` that all is well. It
    raises InputError where the server breaks the protocol: then too another connection is made. One event loop uses it.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        follow: Callable[[ClientConnection], Awaitable[None]],
        lost: Callable[[str, str], None],
        *,
        options: bool = True,
    ) -> None:
        self.connection: ClientConnection | None = None
        self.reconnect_after_s: float | None = None
        self.farewell = ""
        self._session = session
        self._url = session.websocket_url(path, options=options)
        self._compressed = session.compression and options
        self._follow = follow
        self._lost = lost
        self._backoff = Backoff()

    def worked(self) -> None:
        """The connection is a good one: the next pause is a short one again."""
        self._backoff.reset()

    async def run(self) -> None:
        """Until cancelled. Raises Problem where waiting does not help, EngineUnreachable, and mistakes of a token's function."""
        while True:
            self.reconnect_after_s, self.farewell = None, ""
            pause_s = await self._once()
            await asyncio.sleep(pause_s)

    async def _once(self) -> float:
        """One connection from its beginning to its end; seconds to wait before the next."""
        try:
            async with await self._connect() as connection:
                self.connection = connection
                try:
                    await self._follow(connection)
                finally:
                    self.connection = None
        except InvalidStatus as refused:
            return self._refused(refused)
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else closed.rcvd.code
            if code == TRY_AGAIN_LATER:
                self._lost(LOADING, "the engine is not live yet")
            else:
                self._lost(DISCONNECTED, self.farewell or "the connection was lost")
        except InputError as mistake:
            self._lost(DISCONNECTED, str(mistake))
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as failed:
            self._lost(DISCONNECTED, f"no connection to {self._session.base_url}: {said(failed)}")
        return self._backoff.next_s() if self.reconnect_after_s is None else self.reconnect_after_s

    async def _connect(self) -> connect:
        session = self._session
        try:
            token = await session.give_token()
        except OSError as failed:
            raise InputError(f"no token: {failed}") from None
        more: dict[str, Any] = {"ssl": session.ssl_context} if session.ssl_context is not None and session.is_secure else {}
        return connect(
            self._url,
            additional_headers=bearer(token),
            proxy=None,
            compression="deflate" if self._compressed else None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=FRAMES_AHEAD,
            user_agent_header=None,
            **more,
        )

    def _refused(self, refused: InvalidStatus) -> float:
        """The handshake was answered with an error; seconds to wait. Raises Problem where waiting does not help."""
        found = _problem(refused)
        if isinstance(found, NotNow):
            self._lost(LOADING if found.status == NOT_LIVE else DISCONNECTED, found.detail or str(found))
            return max(self._backoff.next_s(), found.retry_after_s or 0.0)
        if isinstance(found, NotSignedIn) and self._session.renews_token:
            self._lost(DISCONNECTED, str(found))
            return self._backoff.next_s()
        raise found


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
