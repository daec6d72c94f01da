"""Authentication: who a request comes from, by a token in its header or by the cookie of a login.

Event loop only, except for the tokens file, which a thread reads.
"""

import asyncio
import secrets
from collections import OrderedDict
from time import monotonic
from typing import NamedTuple

from starlette.requests import cookie_parser
from starlette.types import Scope

from riskengine.serve.access.backoff import LoginBackoff
from riskengine.serve.access.origins import SAFE_METHODS, address_of, header_values
from riskengine.serve.access.tokens import MAX_TOKEN_CHARS, Tokens, hash_of
from riskengine.serve.gateway import Gateway
from riskengine.views.grants import LOCAL, Principal

COOKIE = "riskengine_session"
CHECK_INTERVAL_S = 0.25
"""Shortest time between two checks of the tokens file."""

MAX_LOGINS = 10_000
MAX_LOGINS_PER_TOKEN = 20
"""Of one token; the oldest makes room."""
MAX_LOGIN_AGE_S = 86_400.0
"""How long a cookie is valid, unless its token ends earlier."""

EXPIRED, REVOKED = "token expired", "token revoked"


class Credential(NamedTuple):
    """How somebody authenticated: with a token (its hash), directly or through the cookie of a login."""

    sha256: str
    cookie: str = ""


class Authentication(NamedTuple):
    """The outcome of authenticating a request. Without a `principal` it comes from a stranger.

    failed        there was a token, and it is not valid
    wait_s        the token was not checked: its address must wait so long
    needs_origin  the request has a cookie and changes something, but no Origin header
    """

    principal: Principal | None = None
    credential: Credential | None = None
    failed: bool = False
    wait_s: float = 0.0
    needs_origin: bool = False


UNAUTHENTICATED = Authentication()


class Login(NamedTuple):
    """A login in force. `until` is of the monotonic clock."""

    sha256: str
    until: float


class Logins:
    """Cookies and the tokens behind them. Bounded; forgotten when the process ends."""

    def __init__(self) -> None:
        self._logins: OrderedDict[str, Login] = OrderedDict()
        self._by_token: dict[str, OrderedDict[str, None]] = {}

    def begin(self, sha256: str) -> str:
        """A new cookie for a token. O(1)."""
        cookie = secrets.token_urlsafe(32)
        own = self._by_token.setdefault(sha256, OrderedDict())
        own[cookie] = None
        self._logins[cookie] = Login(sha256, monotonic() + MAX_LOGIN_AGE_S)
        if len(own) > MAX_LOGINS_PER_TOKEN:
            self.end(next(iter(own)))
        if len(self._logins) > MAX_LOGINS:
            self.end(next(iter(self._logins)))
        return cookie

    def end(self, cookie: str) -> None:
        """Make a cookie invalid. O(1)."""
        login = self._logins.pop(cookie, None)
        if login is not None:
            own = self._by_token[login.sha256]
            del own[cookie]
            if not own:
                del self._by_token[login.sha256]

    def token_of(self, cookie: str) -> str | None:
        """The hash of the token behind a cookie. O(1)."""
        login = self._logins.get(cookie)
        if login is None or login.until < monotonic():
            return None
        return login.sha256


class Authenticator:
    """Authenticates requests. Without a tokens file everybody is LOCAL. Raises ConfigError if the file cannot be read."""

    def __init__(self, gateway: Gateway) -> None:
        path = gateway.config.access.tokens_file
        self._gateway = gateway
        self._tokens = Tokens(path) if path else None
        self._check_at = 0.0
        self._is_reading = False
        self.logins = Logins()
        self.backoff = LoginBackoff()

    @property
    def requires_tokens(self) -> bool:
        """Whether requests need tokens at all."""
        return self._tokens is not None

    async def refresh(self) -> None:
        """Read the tokens file again if it has changed. At most one system call every CHECK_INTERVAL_S."""
        tokens, now = self._tokens, monotonic()
        if tokens is None or self._is_reading or now < self._check_at:
            return
        self._check_at = now + CHECK_INTERVAL_S
        if not tokens.has_changed():
            return
        self._is_reading = True
        before = tokens.names
        try:
            await asyncio.to_thread(tokens.read)
        finally:
            self._is_reading = False
        warnings, known = self._gateway.warnings, tokens.names
        if tokens.problem:
            warnings["tokens"] = tokens.problem
        elif "tokens" in warnings:
            del warnings["tokens"]
        if known != before:
            detail = {"added": sorted(known - before), "ended": sorted(before - known)}
            self._gateway.note("tokens", "", detail, "engine")

    def authenticate(self, scope: Scope) -> Authentication:
        """Authenticate a request by its token or its cookie. A token takes precedence. Microseconds."""
        if self._tokens is None:
            return Authentication(LOCAL)
        sent = header_values(scope, b"authorization")
        if sent:
            return self._by_header(sent, address_of(scope))
        cookie = session_cookie(scope)
        sha256 = self.logins.token_of(cookie) if cookie else None
        if sha256 is None:
            return UNAUTHENTICATED
        credential = Credential(sha256, cookie)
        principal = self._valid_principal(sha256)
        if principal is None:
            self.logins.end(cookie)
            return UNAUTHENTICATED
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        # Browsers send Origin with such requests; without it the origin cannot be checked.
        return Authentication(principal, credential, needs_origin=unsafe and not header_values(scope, b"origin"))

    def _by_header(self, sent: list[str], address: str) -> Authentication:
        scheme, _, token = sent[0].partition(" ")
        is_token = len(sent) == 1 and scheme.lower() == "bearer"
        return self.authenticate_token(token.strip() if is_token else "", address)

    def authenticate_token(self, token: str, address: str) -> Authentication:
        """Authenticate a token. A failure slows its address down, whatever is wrong with the token."""
        sha256 = hash_of(token[: MAX_TOKEN_CHARS + 1])
        wait_s = self.backoff.wait_s(address, sha256)
        if wait_s:
            return Authentication(failed=True, wait_s=wait_s)
        principal = self._valid_principal(sha256)
        if principal is None:
            self.backoff.note_failure(address)
            return Authentication(failed=True)
        self.backoff.note_success(address, sha256)
        return Authentication(principal, Credential(sha256))

    def _valid_principal(self, sha256: str) -> Principal | None:
        assert self._tokens is not None, "there are no tokens"
        principal = self._tokens.principal(sha256)
        return None if principal is None or self._has_expired(principal) else principal

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._gateway.clock.now()

    def end_reason(self, principal: Principal, credential: Credential | None) -> tuple[str, str] | None:
        """Why a session must end: title and detail; None while it may go on. O(1)."""
        if credential is None or self._tokens is None:
            return None
        known = self._tokens.principal(credential.sha256)
        if known is None:
            return REVOKED, "log in again, or ask for another token"
        if self._has_expired(known):
            return EXPIRED, "ask for another token"
        if known != principal:
            return REVOKED, "what the token is for has changed: connect again"
        if credential.cookie and self.logins.token_of(credential.cookie) is None:
            return REVOKED, "logged out: log in again"
        return None


def session_cookie(scope: Scope) -> str:
    """The login cookie of a request; empty if there is none."""
    for header in header_values(scope, b"cookie"):
        found = cookie_parser(header).get(COOKIE)
        if found:
            return found
    return ""
