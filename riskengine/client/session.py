"""How a client reaches the engine and signs in: URL, token, TLS."""

import inspect
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from riskengine.client.exchange import Call
from riskengine.client.messages import ENCODINGS
from riskengine.errors import ConfigError

Token = str | Callable[[], str] | Callable[[], Awaitable[str]] | None
"""A bearer token, or a function that returns one: called at each connection of the stream and when the last token expired."""

REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Session:
    """The address of an engine. For `https`, `ssl_context` replaces the machine's trusted certificates."""

    url: str
    token: Token = None
    ssl_context: ssl.SSLContext | None = None
    encoding: str = "json"
    compression: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigError(f"url: must be http://host:port or https://host:port: {self.url[:100]!r}")
        if self.encoding not in ENCODINGS:
            raise ConfigError(f"encoding: must be {' or '.join(ENCODINGS)}: {self.encoding[:100]!r}")

    @property
    def base_url(self) -> str:
        """The URL without a trailing slash."""
        return self.url.rstrip("/")

    @property
    def is_secure(self) -> bool:
        """Whether the connection uses TLS."""
        return self.url.startswith("https:")

    def websocket_url(self, path: str, *, options: bool = True) -> str:
        """The address of a websocket. `options`: with the encoding and compression of this session."""
        asked = {"encoding": self.encoding} if self.encoding != "json" else {}
        if self.compression:
            asked["compression"] = "deflate"
        query = f"?{urlencode(asked)}" if asked and options else ""
        return f"ws{self.base_url.removeprefix('http')}{path}{query}"

    @property
    def renews_token(self) -> bool:
        """Whether a function can give another token."""
        return callable(self.token)

    async def give_token(self) -> str | None:
        """The token to send; calls the token function if there is one."""
        token = self.token
        if not callable(token):
            return token
        given = token()
        return await given if inspect.isawaitable(given) else given


def bearer(token: str | None) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def http_options(session: Session, timeout_s: float) -> dict[str, Any]:
    """Options for httpx: no proxy, no redirects, the TLS trust of this session."""
    trust: ssl.SSLContext | bool = session.is_secure if session.ssl_context is None else session.ssl_context
    return {"base_url": session.base_url, "timeout": timeout_s, "trust_env": False, "follow_redirects": False, "verify": trust}


def request_of(call: Call, token: str | None) -> dict[str, Any]:
    """The arguments of httpx for a call."""
    headers = bearer(token) | ({"Content-Type": "application/json"} if call.body is not None else {})
    return {"method": call.method, "url": call.path, "params": call.query or None, "content": call.body, "headers": headers}


def error_text(failed: Exception) -> str:
    """The text of a network error, or its type if it has none."""
    return str(failed) or type(failed).__name__
