"""Where a client finds the engine and as whom: URL, token, TLS."""

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
"""A bearer token; or what gives one, asked at every connection of the stream and when an answer says that the last is over."""

REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Session:
    """The address of an engine. `ssl_context` replaces the machine's own trust, for `https`."""

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
        """Without a slash at its end."""
        return self.url.rstrip("/")

    @property
    def is_secure(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.url.startswith("https:")

    def websocket_url(self, path: str, *, options: bool = True) -> str:
        """The address of a websocket there; `options`: with the encoding and compression of this session."""
        asked = {"encoding": self.encoding} if self.encoding != "json" else {}
        if self.compression:
            asked["compression"] = "deflate"
        query = f"?{urlencode(asked)}" if asked and options else ""
        return f"ws{self.base_url.removeprefix('http')}{path}{query}"

    @property
    def renews_token(self) -> bool:
        """Whether another token can be had."""
        return callable(self.token)

    async def give_token(self) -> str | None:
        """The token to send, asked for now where it is given by a function."""
        token = self.token
        if not callable(token):
            return token
        given = token()
        return await given if inspect.isawaitable(given) else given


def bearer(token: str | None) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def http_options(session: Session, timeout_s: float) -> dict[str, Any]:
    """How httpx talks to the engine: straight, without a proxy, and without following anybody elsewhere."""
    trust: ssl.SSLContext | bool = session.is_secure if session.ssl_context is None else session.ssl_context
    return {"base_url": session.base_url, "timeout": timeout_s, "trust_env": False, "follow_redirects": False, "verify": trust}


def request_of(call: Call, token: str | None) -> dict[str, Any]:
    """A call as httpx takes it."""
    headers = bearer(token) | ({"Content-Type": "application/json"} if call.body is not None else {})
    return {"method": call.method, "url": call.path, "params": call.query or None, "content": call.body, "headers": headers}


def said(failed: Exception) -> str:
    """What an error of the network says, or what it is where it says nothing."""
    return str(failed) or type(failed).__name__
