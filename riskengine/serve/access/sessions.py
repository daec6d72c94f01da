"""Sessions: the open websockets, limited in number, and closed when their token ends.

Event loop only. While there are sessions, one task checks them, once for each credential, not for each session.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from starlette.types import Scope

from riskengine.observe import get_logger
from riskengine.serve.access.audit import AccessAudit
from riskengine.serve.access.identity import Authenticator, Credential
from riskengine.serve.answers.problems import POLICY_VIOLATION
from riskengine.views.board import Encoding
from riskengine.views.grants import Principal
from riskengine.views.subscription import error

CHECK_INTERVAL_S = 0.25
MAX_SESSIONS = 10_000
"""Of all principals together."""

SESSION = "riskengine.session"
"""Key in the scope of a websocket: its session."""

log = get_logger("riskengine.serve.sessions")


class Closable(Protocol):
    """A websocket that can be closed."""

    def write_frame(self, frame: bytes) -> None:
        """Send one framed message."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close in order; a client that does not respond is dropped."""
        ...


class WebsocketSession:
    """One websocket, from before its handshake to its end."""

    __slots__ = ("connection", "encoding", "is_ending", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.connection: Closable | None = None
        self.encoding: Encoding | None = None
        self.is_ending = False
        """Whether the client has been sent the reason; only the closing handshake is left."""

    def end(self, title: str, detail: str) -> None:
        """Send the reason and close. Before the handshake is over there is nothing to close: `attach` will not be reached."""
        if self.connection is not None and self.encoding is not None:
            self.is_ending = True
            self.connection.write_frame(self.encoding.message(error(None, title, detail)))
            self.connection.close(POLICY_VIOLATION, title)


class Sessions:
    """All websockets."""

    def __init__(self, authenticator: Authenticator, audit: AccessAudit, max_connections: int) -> None:
        self._authenticator = authenticator
        self._audit = audit
        self._max_connections = max_connections if authenticator.requires_tokens else MAX_SESSIONS
        self._sessions: dict[tuple[Principal, Credential | None], set[WebsocketSession]] = {}
        self._count: Counter[str] = Counter()
        self._total = 0
        self._task: asyncio.Task[None] | None = None

    def is_full(self, principal: Principal) -> bool:
        """Whether a principal may not open another session. O(1)."""
        return self._count[principal.name] >= self._max_connections or self._total >= MAX_SESSIONS

    @contextmanager
    def session(self, scope: Scope, principal: Principal, credential: Credential | None) -> Iterator[None]:
        """A session for as long as a websocket is handled; its scope has it."""
        session = scope[SESSION] = WebsocketSession(scope["path"])
        own = self._sessions.setdefault((principal, credential), set())
        own.add(session)
        self._count[principal.name] += 1
        self._total += 1
        if self._task is None and self._authenticator.requires_tokens:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            own.discard(session)
            if not own:
                self._sessions.pop((principal, credential), None)
            self._total -= 1
            self._count[principal.name] -= 1
            if not self._count[principal.name]:
                del self._count[principal.name]
            if self._task is not None and not self._sessions:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self._authenticator.refresh()
                self._end_invalid()
            except Exception as problem:  # a bug of ours must not leave open what must end
                log.critical("sessions_failed", exc_info=problem)
                for session in self._all():
                    session.end("token revoked", "the engine cannot tell who is connected: connect again")

    def _end_invalid(self) -> None:
        for (principal, credential), sessions in tuple(self._sessions.items()):
            ending = self._authenticator.end_reason(principal, credential)
            if ending is not None:
                for session in [session for session in sessions if not session.is_ending]:
                    self._audit.record_ended_session(principal.name, ending[0], session.path)
                    session.end(*ending)

    def _all(self) -> list[WebsocketSession]:
        return [session for sessions in self._sessions.values() for session in sessions]


def attach(scope: Scope, connection: Closable, encoding: Encoding) -> None:
    """After the handshake of a websocket: gives its session the connection to close. A scope without a session is left alone."""
    session: WebsocketSession | None = scope.get(SESSION)
    if session is not None:
        session.connection, session.encoding = connection, encoding
