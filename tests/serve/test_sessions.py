"""Websockets with tokens, over sockets: who may open them, how many, and that none outlives its token."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import BadStatusLine, HTTPSConnection
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.certificates import make_certificate
from tests.serve.guarded import FORGED_ORIGINS
from tests.serve.keys import EXPIRES, Keys
from tests.serve.stand_in import Answer, Client
from tests.serve.wired import Talk, Wired, run, talk, wired
from tests.world import NOON, SECOND, row

STREAM, INGEST = "/v1/stream", "/v1/ingest"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


async def refused(engine: Wired, path: str, status: int, **options: Any) -> None:
    """The handshake is answered with this status, before there is a websocket."""
    with pytest.raises(InvalidStatus) as caught:
        async with talk(engine, path, **options):
            raise AssertionError("let in")
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["content-type"] == "application/problem+json"


async def ended(client: Talk, title: str, within_s: float = 1.0) -> None:
    """The session is told the reason, and closed with 1008."""
    started = perf_counter()
    while (message := await client.hear())["type"] != "error":
        assert message["type"] in ("hello", "pong", "heartbeat", "update", "snapshot")
    assert (message["id"], message["title"]) == (None, title)
    assert message["detail"]
    assert await client.closed() == 1008
    assert perf_counter() - started < within_s


@asynccontextmanager
async def socket_that_never_reads(engine: Wired, token: str) -> AsyncIterator[None]:
    """A client of the stream that sends requests and reads nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", engine.port, limit=1)
    lines = (
        f"GET {STREAM} HTTP/1.1",
        f"Host: 127.0.0.1:{engine.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Bearer {token}",
        "",
        "",
    )
    writer.write("\r\n".join(lines).encode())
    try:
        yield
    finally:
        writer.close()


async def browser_login(engine: Wired, token: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{engine.port}"
    form = {"Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    answer: Answer = await asyncio.to_thread(Client(url).request, "POST", "/login", f"token={token}", form)
    assert answer.status == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0], "Origin": url}


def test_a_websocket_needs_a_token_of_the_right_role(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine:
            for path in (STREAM, INGEST):
                await refused(engine, path, 401)
                await refused(engine, path, 401, additional_headers={"Authorization": "Bearer rt_none"})
            for name in ("ann", "boss"):
                await refused(engine, INGEST, 403, **keys.by(name))
            async with talk(engine, INGEST, **keys.by("prices")) as client:
                await client.say(trades=[row()])
                assert (await client.hear())["counts"]["applied"] == 1
            async with talk(engine, STREAM, **keys.by("prices")) as client:
                await client.hear("hello")

    run(scenario())


@pytest.mark.parametrize("origin", FORGED_ORIGINS)
def test_a_forged_origin_opens_no_websocket_whatever_the_token(keys: Keys, origin: str) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine:
            for path, name in ((STREAM, "boss"), (INGEST, "prices")):
                headers = keys.by(name)["additional_headers"] | {"Origin": origin}
                await refused(engine, path, 403, additional_headers=headers)

    run(scenario())


def test_a_session_ends_when_its_token_expires(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine, talk(engine, STREAM, **keys.by("ann")) as client:
            await client.hear("hello")
            engine.clock.advance(EXPIRES.timestamp() * SECOND - NOON - SECOND)  # type: ignore[attr-defined]
            await client.silence(0.6)
            engine.clock.advance(SECOND)  # type: ignore[attr-defined]
            await ended(client, "token expired")
            await refused(engine, STREAM, 401, **keys.by("ann"))

    run(scenario())


@pytest.mark.parametrize("path", [STREAM, INGEST, STREAM + "?encoding=msgpack"])
def test_a_session_ends_within_a_second_of_its_token_and_no_other_does(keys: Keys, path: str) -> None:
    async def scenario() -> None:
        name = "prices" if path == INGEST else "ann"
        keys.put("other", "feed")
        async with (
            wired(access=keys.access()) as engine,
            talk(engine, path, **keys.by(name)) as client,
            talk(engine, path, **keys.by("other")) as other,
        ):
            keys.revoke(name)
            await ended(client, "token revoked")
            await other.say(op="ping", id="b")
            assert (await other.hear())["type"] in ("hello", "pong", "error")
            await refused(engine, path.partition("?")[0], 401, **keys.by(name))

    run(scenario())


def test_a_session_ends_when_its_token_is_for_something_else_now(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine, talk(engine, STREAM, **keys.by("ann")) as client:
            await client.hear("hello")
            keys.put("ann", "dealer", nodes=("FX2",), expires=EXPIRES)
            await ended(client, "token revoked")
            async with talk(engine, STREAM, **keys.by("ann")) as again:
                await again.hear("hello")

    run(scenario())


def test_a_browser_comes_with_its_cookie_and_goes_with_its_logout(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine:
            cookie = await browser_login(engine, keys.texts["ann"])
            await refused(engine, STREAM, 403, additional_headers={"Cookie": cookie["Cookie"]})
            await refused(engine, STREAM, 403, additional_headers=cookie | {"Origin": "https://evil.example"})
            async with talk(engine, STREAM, additional_headers=cookie) as client:
                await client.hear("hello")
                url = f"http://127.0.0.1:{engine.port}"
                assert (await asyncio.to_thread(Client(url).request, "POST", "/logout", b"", cookie)).status == 303
                await ended(client, "token revoked")

    run(scenario())


def test_one_token_holds_so_many_connections_and_another_none_the_fewer(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access(max_connections=3)) as engine:
            async with AsyncExitStack() as held:
                for _ in range(3):
                    await (await held.enter_async_context(talk(engine, STREAM, **keys.by("ann")))).hear("hello")
                await refused(engine, STREAM, 429, **keys.by("ann"))
                async with talk(engine, STREAM, **keys.by("boss")) as other:
                    await other.hear("hello")
            await asyncio.sleep(0.1)
            async with talk(engine, STREAM, **keys.by("ann")) as client:
                await client.hear("hello")
        assert engine.metrics.registry.get_sample_value("riskengine_refusals_total", {"reason": "connections"}) == 1.0

    run(scenario())


def test_who_does_not_read_is_dropped_with_its_token(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine, socket_that_never_reads(engine, keys.texts["ann"]):
            await asyncio.sleep(0.2)
            assert engine.metrics.registry.get_sample_value("riskengine_clients") == 1.0
            keys.revoke("ann")
            await asyncio.sleep(2.0)
            assert engine.metrics.registry.get_sample_value("riskengine_clients") == 0.0
            refused = engine.metrics.registry.get_sample_value("riskengine_refusals_total", {"reason": "token"})
            assert refused == 1.0, "it is told once, however long the client takes to go"

    run(scenario())


def test_the_status_on_the_stream_is_cut_as_it_is_over_http(keys: Keys) -> None:
    async def scenario() -> None:
        async with wired(access=keys.access()) as engine:
            engine.warnings["breaks"] = "FX2 differs: 4711"
            for name, text in (("boss", "FX2 differs: 4711"), ("ann", "some numbers may be wrong or missing: ask operations")):
                async with talk(engine, STREAM, **keys.by(name)) as client:
                    await client.hear("hello")
                    [shown] = (await client.ask(op="subscribe", id="s", view="status"))["rows"]
                    assert [warning["text"] for warning in shown["warnings"]] == [text]
                    assert (shown["watermark"] is None) == (name == "ann")

    run(scenario())


# -- TLS -----------------------------------------------------------------------------------------------------------


def test_with_a_certificate_everything_is_tls_and_cookies_are_for_it_alone(keys: Keys, tmp_path: Path) -> None:
    paths = str(tmp_path / "server.pem"), str(tmp_path / "server.key")
    make_certificate(*paths)
    trust = ssl.create_default_context(cafile=paths[0])

    def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str]]:
        connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    async def scenario() -> None:
        async with wired(access=keys.access(), tls_certificate=paths[0], tls_key=paths[1]) as engine:
            own = f"https://127.0.0.1:{engine.port}"
            form = f"token={keys.texts['boss']}"
            status, headers = await asyncio.to_thread(ask, engine.port, "POST", "/login", form, Origin=own)
            assert status == 303
            assert headers["set-cookie"].endswith("; HttpOnly; Path=/; SameSite=strict; Secure")
            wrong = own.replace("https", "http")
            assert (await asyncio.to_thread(ask, engine.port, "POST", "/login", form, Origin=wrong))[0] == 403
            async with connect(
                f"wss://127.0.0.1:{engine.port}{STREAM}",
                proxy=None,
                ssl=trust,
                origin=own,  # type: ignore[arg-type]
                **keys.by("boss"),
            ) as plain:
                client = Talk(plain, False)
                await client.hear("hello")
                engine.marks(EURUSD=1.25)
                [shown] = (await client.ask(op="subscribe", id="s", view="status"))["rows"]
                assert shown["watermark"] is not None
                keys.revoke("boss")
                await ended(client, "token revoked")
            with pytest.raises((ConnectionError, BadStatusLine, TimeoutError)):
                await asyncio.to_thread(Client(wrong).request, "GET", "/healthz")

    run(scenario())
