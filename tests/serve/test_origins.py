import asyncio
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from riskengine.config import Config, ServerConfig
from riskengine.errors import ConfigError
from riskengine.serve.access.admission import Admission
from riskengine.serve.access.audit import AccessAudit
from riskengine.serve.access.identity import Authenticator
from riskengine.serve.access.origins import SECURITY_HEADERS, OriginPolicy, check_binding
from riskengine.serve.access.sessions import Sessions
from riskengine.serve.app import create_app
from tests.serve.stand_in import PORT, Client, StandIn, ask, post, problem, serving
from tests.world import row


def config(**server) -> Config:
    return Config(server=ServerConfig(**server))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]", "127.0.0.9"])
def test_loopback_may_be_bound(host):
    check_binding(config(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "localhost.example.com", "::ffff:1.2.3.4"])
def test_anything_else_is_refused_and_named(host):
    with pytest.raises(ConfigError, match=r"server\.host"):
        check_binding(config(host=host))


def admission(app) -> Admission:
    gateway = StandIn()
    identity = Authenticator(gateway)
    account = AccessAudit(gateway)
    return Admission(app, OriginPolicy(gateway.config), identity, Sessions(identity, account, 50), account, {})


@pytest.fixture(scope="module")
def app():
    return create_app(StandIn())


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}", f"LocalHost:{PORT}"])
def test_the_servers_own_names_are_hosts(app, host):
    assert ask(app, "/v1/status", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "localhost",
        "localhost:80",
        "localhost:83210",
        f"evil.example:{PORT}",
        f"127.0.0.1:{PORT}.evil",
        f"127.0.0.1:{PORT}@evil",
        f"::1:{PORT}",
        f"localhost.:{PORT}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/nodes", "/nothing"])
def test_another_host_is_refused_everywhere(app, host, path):
    answer = ask(app, path, headers={"host": host})
    problem(answer, 403)
    assert dict(SECURITY_HEADERS).items() <= answer.headers.items()


@pytest.mark.parametrize("origin", ["", f"http://127.0.0.1:{PORT}", f"http://localhost:{PORT}"])
def test_the_own_page_and_programs_may_post(app, origin):
    assert post(app, "/v1/ticks", [], headers={"origin": origin}).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        f"https://127.0.0.1:{PORT}",
        f"http://127.0.0.1:{PORT}.evil",
        f"http://evil@127.0.0.1:{PORT}",
        f"http://[::1]:{PORT}",
    ],
)
def test_another_page_may_not_post_anything(origin):
    gateway = StandIn()
    app = create_app(gateway)
    for path in ("/v1/trades", "/v1/ticks", "/nothing"):
        problem(post(app, path, [row()], headers={"origin": origin}), 403)
    assert gateway.stored == []
    assert ask(app, "/v1/nodes", headers={"origin": origin}).status == 200  # no page can read it


def test_configured_origins_are_names_of_the_server_too():
    app = create_app(StandIn(config=config(origins=("https://risk.example.com", "http://desk.example:8080"))))
    for host in ("risk.example.com", "risk.example.com:443", "desk.example:8080"):
        assert ask(app, "/v1/status", headers={"host": host}).status == 200
    for host in ("risk.example.com:80", "desk.example", "desk.example:443"):
        problem(ask(app, "/v1/status", headers={"host": host}), 403)
    assert post(app, "/v1/ticks", [], headers={"origin": "https://risk.example.com"}).status == 200
    problem(post(app, "/v1/ticks", [], headers={"origin": "http://risk.example.com"}), 403)


def test_allowed_hosts_are_names_of_the_server_and_of_no_page():
    app = create_app(StandIn(config=config(allowed_hosts=("risk.example.com", "10.1.2.3:9000"))))
    for host in ("risk.example.com", f"RISK.example.com:{PORT}", "10.1.2.3:9000"):
        assert ask(app, "/v1/nodes", headers={"host": host}).status == 200
    for host in ("risk.example.com:80", "10.1.2.3", "other.example.com"):
        problem(ask(app, "/v1/nodes", headers={"host": host}), 403)
    problem(post(app, "/v1/ticks", [], headers={"origin": "http://risk.example.com"}), 403)


def test_on_port_80_browsers_leave_it_out():
    access = OriginPolicy(Config())
    scope = {"type": "http", "method": "POST", "server": ("127.0.0.1", 80)}
    assert access.refusal(scope | {"headers": [(b"host", b"localhost"), (b"origin", b"http://localhost")]}) is None
    assert access.refusal(scope | {"headers": [(b"host", b"localhost:80"), (b"origin", b"http://localhost:80")]}) is None


def test_two_hosts_are_one_too_many():
    scope = {"type": "http", "method": "GET", "server": ("127.0.0.1", PORT), "headers": [(b"host", b"localhost:8321")] * 2}
    assert OriginPolicy(Config()).refusal(scope) is not None


def test_a_bound_address_of_its_own_counts_as_a_name():
    access = OriginPolicy(config(host="::1"))
    headers = [(b"host", b"[::1]:8321"), (b"origin", b"http://[::1]:8321")]
    assert access.refusal({"type": "websocket", "server": ("::1", 8321, 0, 0), "headers": headers}) is None


@pytest.mark.parametrize("path", ["/v1/nodes", "/nothing", "/openapi.json", "/metrics"])
def test_every_answer_carries_the_security_headers(app, path):
    headers = ask(app, path).headers
    assert dict(SECURITY_HEADERS).items() <= headers.items()
    assert headers["cache-control"] == {"/": "no-cache", "/v1/nodes": "private, no-cache"}.get(path, "no-store")


# Over sockets: the port is the one really bound


def speak(url: str, *lines: str) -> bytes:
    """Send these lines and a blank one; returns the answer."""
    place = urlsplit(url)
    with closing(socket.create_connection((place.hostname, place.port), timeout=5)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def websocket(url: str, host: str, *more: str) -> bytes:
    return speak(
        url,
        "GET /v1/echo HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *more,
        "Connection: Upgrade",
    )


@pytest.fixture(scope="module")
def url():
    with serving(create_app(StandIn())) as own:
        yield own


def test_a_bound_port_is_the_one_that_counts(url):
    assert Client(url).get("/v1/status")["state"] == "live"
    assert Client(url).request("GET", "/v1/status", headers={"Host": f"localhost:{PORT}"}).status == 403
    assert Client(url).request("POST", "/v1/ticks", b"[]", {"Origin": url}).status == 200
    assert Client(url).request("POST", "/v1/ticks", b"[]", {"Origin": f"http://127.0.0.1:{PORT}"}).status == 403


def test_a_request_without_a_host_is_refused(url):
    assert b" 403 " in speak(url, "GET /v1/status HTTP/1.0", "Connection: close").split(b"\r\n")[0]


def test_a_websocket_is_refused_before_its_handshake():
    reached = []

    async def echo(websocket):
        reached.append(websocket)
        await websocket.accept()
        await websocket.close()

    app = admission(Starlette(routes=[WebSocketRoute("/v1/echo", echo)]))
    with serving(app) as own:
        netloc = urlsplit(own).netloc
        for host, origin in ((netloc, "https://evil.example"), (netloc, "null"), ("evil.example", own)):
            answer = websocket(own, host, f"Origin: {origin}")
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"application/problem+json" in answer
        assert reached == []
        assert websocket(own, netloc, f"Origin: {own}").startswith(b"HTTP/1.1 101 ")
        assert websocket(own, netloc).startswith(b"HTTP/1.1 101 ")
        assert len(reached) == 2


def test_a_server_that_cannot_deny_with_an_answer_closes():
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    async def never(scope, receive, send):
        raise AssertionError("let through")

    scope = {"type": "websocket", "path": "/v1/echo", "server": ("127.0.0.1", PORT), "headers": []}
    asyncio.run(admission(never)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
