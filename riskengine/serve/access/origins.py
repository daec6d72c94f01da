"""The names under which clients may address the server, and the pages that may use it (INTERFACE section 9).

A browser lets any page send requests to 127.0.0.1. Two headers that a page cannot forge keep it out: `Origin` names the page that
opens a websocket or posts, `Host` the name under which the server was addressed (a foreign name that points here belongs to a
foreign page; only the probes answer there, and as to a stranger). Programs send no `Origin` and are let in. The rules hold with
tokens and without.
"""

import ipaddress
import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import Scope

from riskengine.config import Config
from riskengine.errors import ConfigError
from riskengine.views.grants import Grants, Principal

SECURITY_HEADERS = (
    (
        "content-security-policy",
        "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""On every answer that does not set them itself."""


STRANGER = Principal("", frozenset(), Grants())
"""The principal of a request without a token, on paths that are open."""

PROBES = frozenset({"/healthz", "/readyz"})
"""Paths on which `Host` is not checked: load balancers and orchestrators address an engine by whatever address it has."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_binding(config: Config) -> None:
    """Refuse an address that others can reach, unless access tokens are configured. Raises ConfigError."""
    if not (_is_loopback(config.server.host) or config.access.tokens_file):
        raise ConfigError(
            f"server.host: {config.server.host} can be reached by others; without access tokens it must be 127.0.0.1"
        )


def warning_of(config: Config) -> str | None:
    """A warning about an address that others can reach without TLS, or None."""
    if _is_loopback(config.server.host) or config.server.tls_certificate:
        return None
    return (
        f"server.host: {config.server.host} can be reached by others, and without server.tls_certificate "
        "anybody on the network path can read tokens and numbers"
    )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_tls(config: Config) -> None:
    """Refuse a certificate or key that cannot be used. Raises ConfigError."""
    server = config.server
    if not server.tls_certificate:
        return
    for setting, path in (("tls_certificate", server.tls_certificate), ("tls_key", server.tls_key)):
        try:
            open(path, "rb").close()
        except OSError as error:
            raise ConfigError(f"server.{setting}: {path}: cannot be read: {error.strerror}") from None
    try:
        # For a key with a passphrase OpenSSL would prompt at the terminal: nobody sits there.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_certificate, server.tls_key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        reason = (error.reason or "no PEM") if isinstance(error, ssl.SSLError) else str(error)
        raise ConfigError(f"server.tls_certificate: {server.tls_certificate} and {server.tls_key}: {reason}") from None


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase: it must not")


def address_of(scope: Scope) -> str:
    """The address of a client; empty if it has none. For IPv6 the network: one host has as many addresses as it likes."""
    return _network(str((scope.get("client") or ("",))[0]))


@lru_cache(maxsize=4_096)
def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None and not parsed.is_loopback:
        return f"{ipaddress.ip_network((parsed, 64), strict=False).network_address}/64"
    return address


class _Names(NamedTuple):
    """The allowed values of `Host` and `Origin` on one port; lower case."""

    hosts: frozenset[str]
    origins: frozenset[str]


class OriginPolicy:
    """The rules of one configuration. The port is the one really bound, which each request's scope names."""

    def __init__(self, config: Config) -> None:
        bound = config.server.host.lower().strip("[]")
        self._bound = f"[{bound}]" if ":" in bound else bound
        self._scheme = "https" if config.server.tls_certificate else "http"
        self._configured = frozenset(origin.lower() for origin in config.server.origins)
        self._allowed_hosts = frozenset(host.lower() for host in config.server.allowed_hosts)
        self._names: dict[int | None, _Names] = {}

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused, or None. Under a microsecond once a port is known."""
        names = self._names_of(scope)
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in names.hosts:
            if scope["type"] == "http" and scope.get("path") in PROBES and scope["method"] in SAFE_METHODS:
                return None
            return "one Host header is required" if len(hosts) != 1 else "Host is not a name of this server"
        if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
            for origin in _values(scope, b"origin"):
                if origin not in names.origins:
                    return "Origin is not allowed here"
        return None

    def is_foreign(self, scope: Scope) -> bool:
        """Whether a request does not address the server under a name of its own: only probes get so far."""
        hosts = _values(scope, b"host")
        return len(hosts) != 1 or hosts[0] not in self._names_of(scope).hosts

    def _names_of(self, scope: Scope) -> _Names:
        port = (scope.get("server") or (None, None))[1]
        names = self._names.get(port)
        if names is None:
            names = self._names[port] = self._names_on(port)
        return names

    def _names_on(self, port: int | None) -> _Names:
        own = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", self._bound)}
        hosts = own | {f"[::1]:{port}"}
        if port == _DEFAULT_PORTS[self._scheme]:  # browsers omit the default port
            own |= {name.rpartition(":")[0] for name in own}
            hosts |= {name.rpartition(":")[0] for name in hosts}
        # A name without a port is one on our port, and as a proxy on the usual port sends it.
        hosts |= self._allowed_hosts | {f"{host}:{port}" for host in self._allowed_hosts}
        for origin in self._configured:
            parts = urlsplit(origin)
            hosts |= {parts.netloc, f"{parts.hostname}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"}
        return _Names(frozenset(hosts), frozenset(f"{self._scheme}://{name}" for name in own) | self._configured)


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Every value of a header, in the order sent."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1").strip() for key, value in headers if key == name]


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.lower() for value in header_values(scope, name)]
