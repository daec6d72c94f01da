"""The stream of the client over sockets: against a server that misbehaves, and against the real one."""

import asyncio
import ssl
import time
from typing import Any

import pytest

from riskengine.client import (
    DISCONNECTED,
    LIVE,
    LOADING,
    STALE,
    AsyncClient,
    Client,
    EngineUnreachable,
    NotSignedIn,
    State,
)
from riskengine.client.backoff import FIRST_S, LONGEST_S, Backoff
from riskengine.errors import ConfigError
from tests.certificates import make_certificate
from tests.client.states import state_where
from tests.client.wrong_engine import PATIENCE_S, Visit, checksum_of, stay, wrong_engine
from tests.serve.wired import run

EUR = {"instrument": "EURUSD", "quantity": 1.0}


async def subscribed(visit: Visit, **hello: Any) -> str:
    await visit.hello(**hello)
    request = await visit.hear()
    assert request["op"] == "subscribe"
    return str(request["id"])


# -- a server that misbehaves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["prev_seq", "checksum"])
def test_a_wrong_prev_seq_or_checksum_leads_to_a_resync_and_the_right_rows(fault):
    async def script(visit: Visit) -> None:
        name = await subscribed(visit)
        await visit.snapshot(name, EUR)
        if fault == "prev_seq":
            await visit.update({name: [EUR | {"quantity": 99.0}]}, prev_seq=5)
        else:
            await visit.update({name: [EUR | {"quantity": 99.0}]}, checksums={name: checksum_of(EUR | {"quantity": 2.0})})
        assert await visit.hear() == {"op": "resync", "id": name}
        await visit.snapshot(name, EUR | {"quantity": 2.0})
        await visit.update(checksums={name: checksum_of(EUR | {"quantity": 2.0})})
        await stay(visit)

    async def scenario():
        async with wrong_engine(script) as engine, AsyncClient(engine.url) as client:
            ladder = client.subscribe("ladder", node="FX1")
            seen = []
            async with asyncio.timeout(PATIENCE_S):
                async for state in ladder:
                    seen.append(state)
                    if state.status == LIVE and state.rows["EURUSD"]["quantity"] == 2.0:
                        break
            assert all(
                state.rows.get("EURUSD", EUR)["quantity"] != 99.0
                for state in seen
                if state.status == LIVE and fault == "prev_seq"
            )

    run(scenario())


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_lost_connection_is_made_again_subscribed_again_and_says_so_meanwhile(encoding):
    async def first(visit: Visit) -> None:
        name = await subscribed(visit)
        await visit.snapshot(name, EUR)
        await visit.connection.recv()  # the second subscription
        visit.connection.transport.abort()

    async def second(visit: Visit) -> None:
        await visit.hello(epoch=2, seq=1)
        requests = [await visit.hear(), await visit.hear()]
        assert [request["view"] for request in requests] == ["ladder", "nodes"]
        for request in requests:
            row = EUR | {"quantity": 3.0} if request["view"] == "ladder" else {"node": "ALL"}
            await visit.snapshot(request["id"], row, key=("instrument" if request["view"] == "ladder" else "node",))
        await stay(visit)

    async def scenario():
        async with wrong_engine(first, second) as engine, AsyncClient(engine.url, encoding=encoding) as client:
            ladder = client.subscribe("ladder")
            before = await state_where(ladder, lambda state: state.status == LIVE)
            client.subscribe("nodes")
            lost = await state_where(ladder, lambda state: state.status == DISCONNECTED)
            assert (before.epoch, dict(lost.rows), lost.reason) == (1, dict(before.rows), "the connection was lost")
            back = await state_where(ladder, lambda state: state.status == LIVE)
            assert (back.epoch, back.rows["EURUSD"]["quantity"], set(back.changed)) == (2, 3.0, {"EURUSD"})

    run(scenario())


def test_after_a_bye_the_client_comes_back_when_it_was_asked_to():
    left = []

    async def first(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await visit.say(type="bye", reconnect_after_ms=600)
        await visit.connection.close(1012)
        left.append(time.monotonic())

    async def second(visit: Visit) -> None:
        left.append(time.monotonic())
        await visit.snapshot(await subscribed(visit, epoch=2), EUR)
        await stay(visit)

    async def scenario():
        async with wrong_engine(first, second) as engine, AsyncClient(engine.url) as client:
            await state_where(client.subscribe("ladder"), lambda state: state.status == LIVE and state.epoch == 2)
            assert 0.55 < left[1] - left[0] < 1.5

    run(scenario())


def test_an_engine_that_is_not_live_yet_is_loading_by_bye_and_by_503():
    async def not_live(visit: Visit) -> None:
        await visit.say(type="bye", reconnect_after_ms=50)
        await visit.connection.close(1013)

    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await stay(visit)

    async def scenario():
        refusal = (503, {"Retry-After": "0"}, b'{"title":"Engine not live","status":503,"detail":"the engine is loading"}')
        async with wrong_engine(not_live, live, answers=(refusal,)) as engine, AsyncClient(engine.url) as client:
            ladder = client.subscribe("ladder")
            reasons: list[Any] = []

            def live_at_last(state: State) -> bool:
                reasons.append((state.status, state.reason))
                return state.is_live

            await state_where(ladder, live_at_last)
            assert (LOADING, "the engine is loading") in reasons

    run(scenario())


def test_silence_is_stale_and_then_another_connection():
    async def silent(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit, heartbeat_ms=50), EUR)
        await stay(visit)

    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit, epoch=2), EUR)
        await stay(visit)

    async def scenario():
        async with wrong_engine(silent, live) as engine, AsyncClient(engine.url) as client:
            ladder = client.subscribe("ladder")
            stale = await state_where(ladder, lambda state: state.status == STALE)
            assert stale.rows == {"EURUSD": EUR}
            assert (await state_where(ladder, lambda state: state.status == LIVE)).epoch == 2

    run(scenario())


def test_a_token_function_is_asked_at_every_connection_and_a_fixed_one_that_is_refused_ends_it():
    given = iter(["first", "second", "third"])

    async def expires(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await visit.say(type="error", id=None, title="token expired", detail="of somebody")
        await visit.connection.close(1008)

    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit, epoch=2), EUR)
        await stay(visit)

    async def token() -> str:
        return next(given)

    async def scenario():
        unknown: Any = (401, {}, b'{"title":"Unauthorized","status":401,"detail":"unknown token"}')
        async with wrong_engine(expires, live, answers=(unknown,)) as engine:
            async with AsyncClient(engine.url, token=token) as client:
                ladder = client.subscribe("ladder")
                expired = await state_where(ladder, lambda state: state.status == DISCONNECTED and state.rows)
                assert expired.reason == "token expired: of somebody"
                await state_where(ladder, lambda state: state.epoch == 2)
            sent = [request.headers["Authorization"] for request in engine.requests]
            assert sent == ["Bearer first", "Bearer second", "Bearer third"]
        async with wrong_engine(answers=(unknown,)) as engine, AsyncClient(engine.url, token="old") as client:
            with pytest.raises(NotSignedIn, match="unknown token"):
                await state_where(client.subscribe("ladder"), lambda state: state.status == LIVE)

    run(scenario())


@pytest.mark.parametrize("frame", ["nonsense", '{"type":"update","epoch":1,"seq":2,"prev_seq":1,"as_of":0}', b"\xc1"])
def test_what_is_no_message_of_the_protocol_is_another_connection_not_the_end(frame):
    async def broken(visit: Visit) -> None:
        await visit.connection.send(frame)
        await stay(visit)

    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await stay(visit)

    async def scenario():
        async with wrong_engine(broken, live) as engine, AsyncClient(engine.url) as client:
            await state_where(client.subscribe("ladder"), lambda state: state.status == LIVE and state.rows)

    run(scenario())


def test_pauses_double_up_to_a_limit_are_never_alike_and_begin_again():
    backoff = Backoff()
    pauses = [backoff.next_s() for _ in range(20)]
    for number, pause in enumerate(pauses):
        longest = min(LONGEST_S, FIRST_S * 2**number)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == 20
    backoff.reset()
    assert backoff.next_s() <= FIRST_S


def test_a_url_or_encoding_that_is_none_is_refused_at_once():
    wrongs: list[dict[str, Any]] = [{"url": "localhost:8321"}, {"url": "ws://x"}, {"url": "http://"}, {"encoding": "xml"}]
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            Client(**wrong)


def test_over_tls_only_whom_the_context_trusts_is_talked_to(tmp_path):
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    make_certificate(certificate, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await stay(visit)

    async def scenario():
        async with wrong_engine(live, tls=tls) as engine:
            async with AsyncClient(engine.url) as stranger:
                lost = await state_where(stranger.subscribe("ladder"), lambda state: state.status == DISCONNECTED)
                assert "certificate" in lost.reason
                with pytest.raises(EngineUnreachable, match=r"(?i)certificate"):
                    await stranger.status()
            trust = ssl.create_default_context(cafile=str(certificate))
            async with AsyncClient(engine.url, ssl_context=trust) as client:
                await state_where(client.subscribe("ladder"), lambda state: state.is_live)

    run(scenario())


def test_what_a_token_function_cannot_give_is_tried_again_and_its_mistakes_are_the_reader_s():
    async def live(visit: Visit) -> None:
        await visit.snapshot(await subscribed(visit), EUR)
        await stay(visit)

    asked = []

    def from_a_file() -> str:
        asked.append(True)
        if len(asked) == 1:
            raise FileNotFoundError("no token file")
        return "t"

    async def scenario():
        async with wrong_engine(live) as engine, AsyncClient(engine.url, token=from_a_file) as client:
            ladder = client.subscribe("ladder")
            lost = await state_where(ladder, lambda state: state.status == DISCONNECTED)
            assert lost.reason == "no token: no token file"
            await state_where(ladder, lambda state: state.is_live)
        async with AsyncClient("http://127.0.0.1:1", token=lambda: 1 // 0) as client:  # type: ignore[arg-type]
            with pytest.raises(ZeroDivisionError):
                await state_where(client.subscribe("ladder"), lambda state: state.is_live)

    run(scenario())
