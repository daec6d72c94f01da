"""A websocket to the engine that reconnects whenever it is lost: when the server asked for it, or with back-off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from riskengine.client.backoff import Backoff
from riskengine.client.errors import NotNow, NotSignedIn, Problem, problem
from riskengine.client.feed import DISCONNECTED, LOADING
from riskengine.client.session import Session, bearer, error_text
from riskengine.errors import InputError

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
TRY_AGAIN_LATER = 1013
NOT_LIVE = 503
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
FRAMES_AHEAD = 4
"""Frames read ahead. Beyond these the engine finds the connection full, waits, and later sends newer updates."""


class Link:
    """Connects, calls `follow` until the connection ends, reports that with `lost(status, reason)`, waits, and starts again.

    `follow` sets `reconnect_after_s` and `close_reason` from what the server sent, and calls `reset_backoff` once data flows. It
    raises InputError if the server breaks the protocol: the link reconnects then too. One event loop uses a link.
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
        self.close_reason = ""
        self._session = session
        self._url = session.websocket_url(path, options=options)
        self._compressed = session.compression and options
        self._follow = follow
        self._lost = lost
        self._backoff = Backoff()

    def reset_backoff(self) -> None:
        """Start the next pause short again: this connection delivers data."""
        self._backoff.reset()

    async def run(self) -> None:
        """Run until cancelled. Raises Problem if a retry cannot help, EngineUnreachable, and exceptions of the token function."""
        while True:
            self.reconnect_after_s, self.close_reason = None, ""
            pause_s = await self._connect_once()
            await asyncio.sleep(pause_s)

    async def _connect_once(self) -> float:
        """Make one connection and follow it to its end; return the seconds to wait before the next."""
        try:
            async with await self._connect() as connection:
                self.connection = connection
                try:
                    await self._follow(connection)
                finally:
                    self.connection = None
        except InvalidStatus as refused:
            return self._handle_refusal(refused)
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else closed.rcvd.code
            if code == TRY_AGAIN_LATER:
                self._lost(LOADING, "the engine is not live yet")
            else:
                self._lost(DISCONNECTED, self.close_reason or "the connection was lost")
        except InputError as mistake:
            self._lost(DISCONNECTED, str(mistake))
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as failed:
            self._lost(DISCONNECTED, f"no connection to {self._session.base_url}: {error_text(failed)}")
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

    def _handle_refusal(self, refused: InvalidStatus) -> float:
        """Handle an error answer to the handshake; return the seconds to wait. Raises Problem if a retry cannot help."""
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
        answer = msgspec.json.decode(response.body or b"")
    except (msgspec.MsgspecError, UnicodeError):
        answer = None
    return problem(response.status_code, answer, retry_after(response.headers.get("Retry-After")))


def retry_after(text: str | None) -> float | None:
    """The seconds of a Retry-After header, 0 to 3,600; None if it is absent or a date."""
    try:
        return None if text is None else min(max(float(text), 0.0), 3_600.0)
    except ValueError:
        return None
