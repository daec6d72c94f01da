"""Who may talk to the server (INTERFACE section 9, without tokens): this machine, and no page of another site.

A browser lets any page send requests to 127.0.0.1. Two headers that a page cannot forge hold it off: `Origin` says which page a
websocket or a POST comes from, `Host` under which name the server was addressed (a foreign name that was pointed here
is a foreign page). A program sends no `Origin` and is let in.
"""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskengine.config import Config
from riskengine.errors import ConfigError
from riskengine.grants import LOCAL, Principal
from riskengine.serve.problems import Problem

SECURITY_HEADERS = (
    ("content-security-policy",
     "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)  # fmt: skip
"""On every answer."""

PRINCIPAL = "riskengine.principal"
"""Where the scope of a request that was let in says who it comes from."""

_RAW_SECURITY_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS]
_NOT_CACHED = (b"cache-control", b"no-store")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_binding(config: Config) -> None:
    """Refuse an address that others could reach. Raises ConfigError."""
    host = config.server.host
    if host.lower() == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(f"server.host: {host} can be reached by others; without access tokens it must be 127.0.0.1")


def principal_of(scope: Scope) -> Principal:
    """Who a request comes from. The middleware has let it in."""
    principal: Principal = scope[PRINCIPAL]
    return principal


class _Names(NamedTuple):
    """What `Host` and `Origin` may say to a server on one port; lower case."""

    hosts: frozenset[str]
    origins: frozenset[str]


class Access:
    """The rules, for one configuration. The port is the one really bound, as each request tells."""

    def __init__(self, config: Config) -> None:
        bound = config.server.host.lower().strip("[]")
        self._bound = f"[{bound}]" if ":" in bound else bound
        self._configured = frozenset(origin.lower() for origin in config.server.origins)
        self._names: dict[int | None, _Names] = {}

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused, or None. Under a microsecond once a port is known."""
        port = (scope.get("server") or (None, None))[1]
        names = self._names.get(port)
        if names is None:
            names = self._names[port] = self._names_on(port)
        hosts = _values(scope, b"host")
        if len(hosts) != 1:
            return "one Host header is required"
        if hosts[0] not in names.hosts:
            return "Host is not a name of this server"
        if scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS:
            for origin in _values(scope, b"origin"):
                if origin not in names.origins:
                    return "Origin is not allowed here"
        return None

    def _names_on(self, port: int | None) -> _Names:
        own = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", self._bound)}
        hosts = own | {f"[::1]:{port}"}
        if port == _DEFAULT_PORTS["http"]:  # a browser leaves it out
            own |= {name.rpartition(":")[0] for name in own}
            hosts |= {name.rpartition(":")[0] for name in hosts}
        for origin in self._configured:
            parts = urlsplit(origin)
            hosts |= {parts.netloc, f"{parts.hostname}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"}
        return _Names(frozenset(hosts), frozenset(f"http://{name}" for name in own) | self._configured)


def _values(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1").strip().lower() for key, value in headers if key == name]


class AccessMiddleware:
    """Refuses with 403, websockets before their handshake, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = [*message.get("headers", ()), *_RAW_SECURITY_HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NOT_CACHED)
                message = {**message, "headers": headers}
            await send(message)

        reason = self._access.refusal(scope)
        if reason is None:
            scope[PRINCIPAL] = LOCAL
            await self._app(scope, receive, send_secured)
        else:
            await _refuse(scope, receive, send_secured, reason)


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})  # which servers answer with 403
            return
    await Problem(403, reason).response()(scope, receive, send)
