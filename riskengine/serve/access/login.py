"""The login page: a browser sends a token once and gets a cookie for it. The cookie is random and reveals nothing of the token.

The cookie is for this site's own pages alone (SameSite=Strict), and no script can read it. Redirects lead to fixed places:
nothing in a request decides them.
"""

import asyncio
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from riskengine.serve.access.admission import too_many_failures
from riskengine.serve.access.audit import AccessAudit
from riskengine.serve.access.identity import COOKIE, Authenticator, session_cookie
from riskengine.serve.access.origins import SECURITY_HEADERS, STRANGER, address_of, header_values
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.gateway import principal_of
from riskengine.views.grants import Principal

MAX_FORM_BYTES = 4_096
READ_TIMEOUT_S = 10.0

FORM_HEADERS = {name: value.replace("form-action 'none'", "form-action 'self'") for name, value in SECURITY_HEADERS} | {
    "referrer-policy": "same-origin"
}
"""Of the page with the forms: they may be sent here, with a referrer. Without a referrer browsers send `Origin: null`."""

_PLACE = "<!-- message -->"
"""Where the page shows its message."""


class LoginPage:
    """`GET /login`, `POST /login`, `POST /logout`."""

    def __init__(self, page: str, authenticator: Authenticator, audit: AccessAudit) -> None:
        """`page` has a place for the message."""
        self._page = page
        self._authenticator = authenticator
        self._audit = audit

    async def show(self, request: Request) -> Response:
        """The page; without access tokens a redirect to the live page."""
        if not self._authenticator.requires_tokens:
            return _redirect("./")
        principal = principal_of(request.scope)
        return self._page_with("" if principal is STRANGER else f"Logged in as {principal.name}.")

    async def log_in(self, request: Request) -> Response:
        """Take a token and give a cookie. Every invalid token gets the same answer."""
        if not self._authenticator.requires_tokens:
            return _redirect("./")
        scope = request.scope
        token = await _sent_token(request)
        authentication = self._authenticator.authenticate_token(token, address_of(scope))
        if authentication.wait_s:
            self._audit.record_refusal("rate", scope)
            return too_many_failures(authentication.wait_s)
        if authentication.principal is None or authentication.credential is None:
            self._audit.record_refusal("token", scope)
            return self._page_with("This token is not valid.", 401)
        self._authenticator.logins.end(session_cookie(scope))  # an earlier login of this browser
        cookie = self._authenticator.logins.begin(authentication.credential.sha256)
        self._audit.record_login("login", authentication.principal.name, scope)
        answer = _redirect("./")
        answer.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="strict", secure=_is_secure(request))
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the login: its cookie is no longer valid, and its websockets are closed."""
        principal: Principal = principal_of(request.scope)
        cookie = session_cookie(request.scope)
        if cookie and principal is not STRANGER:
            self._authenticator.logins.end(cookie)
            self._audit.record_login("logout", principal.name, request.scope)
        answer = _redirect("login")
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_secure(request))
        return answer

    def _page_with(self, message: str, status: int = 200) -> Response:
        text = message.replace("&", "&amp;").replace("<", "&lt;")
        return Response(self._page.replace(_PLACE, text), status, FORM_HEADERS, media_type="text/html; charset=utf-8")


def _redirect(where: str) -> Response:
    """A relative redirect: a proxy may serve all of this below a path of its own."""
    return Response(status_code=303, headers={"location": where})


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, with this server or with a proxy in front whose origin is configured."""
    if request.scope["scheme"] == "https":
        return True
    return any(origin.lower().startswith("https://") for origin in header_values(request.scope, b"origin"))


async def _sent_token(request: Request) -> str:
    """The token in the form. Raises HttpProblem."""
    body = b""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > MAX_FORM_BYTES:
                    raise HttpProblem(413, f"the form is larger than {MAX_FORM_BYTES} bytes")
    except TimeoutError:
        raise HttpProblem(408, f"the form did not come within {READ_TIMEOUT_S:.0f} s") from None
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=10).get("token", [""])
    except ValueError:
        return ""
    return found[0].strip() if len(found) == 1 else ""
