"""Who is connected by websocket: how many at most, and not for longer than their tokens allow.

Event loop only. A task looks over the sessions while there are any; it asks once for each credential, not for each session.
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
"""Of everybody together."""

SESSION = "riskengine.session"
"""Where the scope of a websocket has its session."""

log = get_logger("riskengine.serve.sessions")


class Closable(Protocol):
    """A websocket that can be ended."""

    def write_frame(self, frame: bytes) -> None:
        """Send one framed message."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End it in order; who does not take that is dropped."""
        ...


class WebsocketSession:
    """One websocket, from before its handshake to its end."""

    __slots__ = ("encoding", "is_told", "line", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.line: Closable | None = None
        self.encoding: Encoding | None = None
        self.is_told = False
        """Whether its end was said; the rest is the closing handshake's."""

    def end(self, title: str, detail: str) -> None:
        """Say why and close, where the handshake is over; before it nothing was sent, and `attach` will not be reached."""
        if self.line is not None and self.encoding is not None:
            self.is_told = True
            self.line.write_frame(self.encoding.message(error(None, title, detail)))
            self.line.close(POLICY_VIOLATION, title)


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
        """Whether there is no room for another session of somebody. O(1)."""
        return self._count[principal.name] >= self._max_connections or self._total >= MAX_SESSIONS

    @contextmanager
    def session(self, scope: Scope, principal: Principal, credential: Credential | None) -> Iterator[None]:
        """While a websocket is handled; its scope has the session."""
        session = scope[SESSION] = WebsocketSession(scope["path"])
        own = self._sessions.setdefault((principal, credential), set())
        own.add(session)
        self._count[principal.name] += 1
        self._total += 1
        if self._task is None and self._authenticator.asks:
            self._task = asyncio.create_task(self._look_over())
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

    async def _look_over(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self._authenticator.refresh()
                self._end_what_must()
            except Exception as problem:  # a mistake of ours must not leave sessions open that have ended
                log.critical("sessions_failed", exc_info=problem)
                for session in self._all():
                    session.end("token revoked", "the engine cannot tell who is connected: connect again")

    def _end_what_must(self) -> None:
        for (principal, credential), sessions in tuple(self._sessions.items()):
            ended = self._authenticator.end_reason(principal, credential)
            if ended is not None:
                for session in [session for session in sessions if not session.is_told]:
                    self._audit.record_ended_session(principal.name, ended[0], session.path)
                    session.end(*ended)

    def _all(self) -> list[WebsocketSession]:
        return [session for sessions in self._sessions.values() for session in sessions]


def attach(scope: Scope, line: Closable, encoding: Encoding) -> None:
    """The handshake of a websocket is over: this is how it is ended. A scope without a session is nobody's to end."""
    session: WebsocketSession | None = scope.get(SESSION)
    if session is not None:
        session.line, session.encoding = line, encoding
