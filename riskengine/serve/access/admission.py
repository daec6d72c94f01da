"""Admission: every request and websocket passes here and continues with its principal in the scope, or is refused.

Paths are closed by default: one without an entry in `needs` requires a token.
"""

import math
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskengine.serve.access.audit import AccessAudit
from riskengine.serve.access.identity import UNAUTHENTICATED, Authentication, Authenticator
from riskengine.serve.access.origins import SECURITY_HEADERS, STRANGER, OriginPolicy, header_values
from riskengine.serve.access.permissions import Need, check
from riskengine.serve.access.sessions import Sessions
from riskengine.serve.answers.problems import Forbidden, HttpProblem
from riskengine.serve.gateway import PRINCIPAL
from riskengine.views.grants import LOCAL

PAGES = ("/", "/manual")
"""Where people begin in a browser: they are sent to the login. So are the pages below the second."""
LOGIN = "login"
CHALLENGE = 'Bearer realm="riskengine"'

_DEFAULT_HEADERS = [(name.encode(), value.encode()) for name, value in (*SECURITY_HEADERS, ("cache-control", "no-store"))]
"""Headers of every answer that does not set them itself."""


class Admission:
    """ASGI middleware. `needs` has the needs of websocket paths, and the open paths; HTTP routes check their own needs."""

    def __init__(
        self,
        app: ASGIApp,
        origins: OriginPolicy,
        authenticator: Authenticator,
        sessions: Sessions,
        audit: AccessAudit,
        needs: Mapping[str, Need],
    ) -> None:
        self._app = app
        self._origins = origins
        self._authenticator = authenticator
        self._sessions = sessions
        self._audit = audit
        self._needs = needs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = list(message.get("headers", ()))
                named = {name for name, _ in headers}
                headers += [header for header in _DEFAULT_HEADERS if header[0] not in named]
                message = {**message, "headers": headers}
            await send(message)

        reason = self._origins.refusal(scope)
        if reason is not None:
            self._audit.record_refusal("origin" if reason.startswith("Origin") else "host", scope)
            await _refuse(scope, receive, send_secured, HttpProblem(403, reason).response())
            return
        await self._authenticator.refresh()
        authentication = self._authenticator.authenticate(scope)
        if authentication.principal is LOCAL and self._origins.is_foreign(scope):
            authentication = UNAUTHENTICATED  # it may be a page of somebody else
        refusal = self._refusal(scope, authentication)
        if refusal is not None:
            await _refuse(scope, receive, send_secured, refusal)
        elif scope["type"] == "http":
            await self._app(scope, receive, send_secured)
        else:
            with self._sessions.session(scope, scope[PRINCIPAL], authentication.credential):
                await self._app(scope, receive, send_secured)

    def _refusal(self, scope: Scope, authentication: Authentication) -> Response | None:
        """Put the principal into the scope, or return the refusal."""
        need = self._needs.get(scope["path"])
        scope[PRINCIPAL] = authentication.principal or STRANGER
        if authentication.principal is None:
            return None if need is not None and need.is_open else self._refuse_stranger(scope, authentication)
        if authentication.needs_origin:
            self._audit.record_refusal("origin", scope)
            return HttpProblem(403, "Origin is required with a login cookie").response()
        if scope["type"] == "websocket":
            return self._refuse_session(scope, need or Need())
        return None

    def _refuse_stranger(self, scope: Scope, authentication: Authentication) -> Response:
        if authentication.wait_s:
            self._audit.record_refusal("rate", scope)
            return too_many_failures(authentication.wait_s)
        if not authentication.failed and _is_browser(scope):
            return Response(status_code=303, headers={"location": "../" * (scope["path"].count("/") - 1) + LOGIN})
        self._audit.record_refusal("token", scope)
        challenge = CHALLENGE + (', error="invalid_token"' if authentication.failed else "")
        problem = HttpProblem(401, "a valid token is needed", kind="token-needed", title="Token needed")
        return problem.response({"www-authenticate": challenge})

    def _refuse_session(self, scope: Scope, need: Need) -> Response | None:
        try:
            check(need, scope[PRINCIPAL])
        except Forbidden as refused:
            self._audit.record_refusal(refused.reason, scope)
            return refused.response()
        if self._sessions.is_full(scope[PRINCIPAL]):
            self._audit.record_refusal("connections", scope)
            problem = HttpProblem(
                429, "too many connections at a time", kind="too-many-connections", title="Too many connections"
            )
            return problem.response({"retry-after": "5"})
        return None


def too_many_failures(wait_s: float) -> Response:
    """429: tokens from this address failed too often."""
    problem = HttpProblem(429, "tokens from this address failed too often", kind="too-often", title="Too often")
    return problem.response({"retry-after": str(math.ceil(wait_s))})


def _is_browser(scope: Scope) -> bool:
    """Whether a person opens the page or the manual in a browser."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    if scope["path"] not in PAGES and not scope["path"].startswith(f"{PAGES[1]}/"):
        return False
    return any("text/html" in value for value in header_values(scope, b"accept"))


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: Response) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})  # which servers answer with 403
            return
    await answer(scope, receive, send)
