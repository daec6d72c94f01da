"""The client's stream against the real server in the same event loop: what it follows, and what it may see."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from riskengine.client import (
    DISCONNECTED,
    LIVE,
    AsyncClient,
    Client,
    Closed,
    NotAllowed,
    NotSignedIn,
    SubscriptionRefused,
)
from riskengine.snapshot.rows import ladder_rows, node_rows
from tests.client.states import state_where
from tests.client.wrong_engine import PATIENCE_S
from tests.serve.keys import EXPIRES, Keys
from tests.serve.wired import run, wired
from tests.world import trade


@pytest.mark.parametrize("options", [{}, {"encoding": "msgpack"}, {"compression": True, "max_hz": 10}], ids=str)
def test_several_subscriptions_follow_the_engine_and_add_up_at_one_seq(options):
    async def scenario():
        async with wired() as engine, AsyncClient(f"http://127.0.0.1:{engine.port}", **options) as client:
            tree, ladder = client.subscribe("nodes"), client.subscribe("ladder", node="FX1")
            states = client.together(tree, ladder)
            async with asyncio.timeout(PATIENCE_S):
                async for nodes, _ in states:
                    if nodes.status == LIVE:
                        break
                for number in range(5):
                    newest = engine.deal(trade(f"t{number}"), trade(f"g{number}", instrument="GBPUSD", price="1.2"))
                    async for nodes, rows in states:
                        assert nodes.seq == rows.seq
                        total = sum(row["total_pnl"] for row in rows.rows.values())
                        assert nodes.rows["FX1"]["total_pnl"] == pytest.approx(total)
                        if nodes.seq == newest.seq:
                            break
                    assert list(nodes.rows.values()) == node_rows(newest)
                    assert list(rows.rows.values()) == ladder_rows(newest, node="FX1")
            await states.aclose()

    run(scenario())


def test_an_exposure_that_is_followed_is_the_one_that_is_read_at_the_same_seq():
    async def scenario():
        async with wired() as engine, AsyncClient(f"http://127.0.0.1:{engine.port}") as client:
            followed = client.subscribe("exposure", node="FX1")
            for number in range(5):
                newest = engine.deal(trade(f"x{number}", instrument="EURGBP", price="0.85", quantity=str(1_000 + number)))
                state = await state_where(followed, lambda state, seq=newest.seq: state.is_live and state.seq == seq)
                read = await client.exposure("currency", node="FX1", seq=newest.seq)
                assert state.rows == read.by("currency")
                assert state.summary
                assert {name: read.header[name] for name in state.summary} == state.summary

    run(scenario())


def test_compression_is_negotiated_only_if_the_client_asks_for_it():
    async def scenario():
        async with wired() as engine:
            for compression in (True, False):
                async with AsyncClient(f"http://127.0.0.1:{engine.port}", compression=compression) as client:
                    tree = client.subscribe("nodes")
                    state = await state_where(tree, lambda state: state.is_live)
                    assert list(state.rows.values()) == node_rows(engine.history.newest)
                    connection = client._stream._link.connection
                    assert connection is not None
                    assert bool(connection.protocol.extensions) is compression

    run(scenario())


def test_a_slow_reader_finds_the_newest_state_and_is_never_dropped():
    async def scenario():
        async with wired(heartbeat_ms=100) as engine, AsyncClient(f"http://127.0.0.1:{engine.port}") as client:
            ladder = client.subscribe("ladder", node="FX1")
            await state_where(ladder, lambda state: state.status == LIVE)
            for number in range(40):
                newest = engine.deal(trade(f"t{number}"))
                await asyncio.sleep(0.025)
            await asyncio.sleep(0.3)
            state = await state_where(ladder, lambda state: True)
            assert (state.status, state.seq, state.rows["EURUSD"]["trade_count"]) == (LIVE, newest.seq, 40)

    run(scenario())


def test_an_unknown_name_ends_only_its_subscription():
    async def scenario():
        async with wired() as engine, AsyncClient(f"http://127.0.0.1:{engine.port}") as client:
            good, bad = client.subscribe("ladder", node="FX1"), client.subscribe("ladder", node="NOWHERE")
            with pytest.raises(SubscriptionRefused, match="NOWHERE"):
                await state_where(bad, lambda state: state.status == "never")
            await state_where(good, lambda state: state.status == LIVE)
            bad.close()
            with pytest.raises(Closed):
                await anext(bad)

    run(scenario())


def test_after_a_bye_the_client_is_disconnected_and_closes_cleanly():
    async def scenario():
        client = AsyncClient("http://127.0.0.1:1")
        async with wired() as engine:
            client = AsyncClient(f"http://127.0.0.1:{engine.port}")
            ladder = client.subscribe("ladder")
            await state_where(ladder, lambda state: state.status == LIVE)
        await state_where(ladder, lambda state: state.status == DISCONNECTED)
        await client.close()
        await client.close()
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(Closed):
            client.subscribe("nodes")

    run(scenario())


def test_the_client_without_asyncio_does_the_same_and_leaves_no_thread():
    before = threading.active_count()

    async def scenario():
        async with wired() as engine:
            url = f"http://127.0.0.1:{engine.port}"
            await asyncio.to_thread(with_a_thread, url, asyncio.get_running_loop(), engine)

    def with_a_thread(url: str, loop: asyncio.AbstractEventLoop, engine: Any) -> None:
        with Client(url) as client:
            tree, ladder = client.subscribe("nodes"), client.subscribe("ladder", node="FX1")
            for state in ladder:
                if state.is_live:
                    break
            loop.call_soon_threadsafe(engine.deal, trade("t1"))
            for nodes, rows in client.together(tree, ladder):
                assert nodes.seq == rows.seq
                if rows.rows:
                    break
            assert rows.rows["EURUSD"]["quantity"] == nodes.rows["FX1"]["trade_count"] * 100.0
            while rows.seq != ladder.next().seq:
                pass
            with pytest.raises(TimeoutError):
                ladder.next(timeout_s=0.05)
            assert ladder.state().rows.keys() == {"EURUSD"}
            waiting = threading.Thread(target=lambda: closed.append(_ended(tree)))
            closed: list[bool] = []
            waiting.start()
            time.sleep(0.1)
        waiting.join(5)
        assert closed == [True]
        with pytest.raises(Closed):
            ladder.next()

    run(scenario())
    assert threading.active_count() <= before


def _ended(subscription: Any) -> bool:
    try:
        for _ in subscription:
            pass
    except Closed:
        return True
    return False


# -- tokens --------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_requested_again_and_shows_what_it_grants(tmp_path: Path):
    keys = Keys(tmp_path)
    shown = ["ann"]

    async def scenario():
        async with wired(access=keys.access()) as engine:
            engine.deal(trade("t1"), trade("e1", desk="EM1"))
            async with AsyncClient(f"http://127.0.0.1:{engine.port}", token=lambda: keys.texts[shown[0]]) as client:
                tree, own = client.subscribe("nodes"), client.subscribe("ladder", node="FX1")
                state = await state_where(tree, lambda state: state.is_live)
                assert set(state.rows) == {"FX1"} and state.rows["FX1"]["parent"] is None
                with pytest.raises(SubscriptionRefused, match="not allowed"):
                    await state_where(client.subscribe("ladder", node="EM1"), lambda state: state.is_live)
                with pytest.raises(NotAllowed):
                    await client.ladder(node="EM1")
                assert (await state_where(own, lambda state: state.is_live)).rows["EURUSD"]["quantity"] == 100.0
                keys.put("joe", "dealer", nodes=("FX",), expires=EXPIRES)
                shown[0] = "joe"
                keys.revoke("ann")
                ended = await state_where(tree, lambda state: state.status == DISCONNECTED)
                assert ended.reason.startswith("token revoked")
                state = await state_where(tree, lambda state: state.is_live)
                assert {"FX", "FX1", "EM1"} <= set(state.rows) and "FX" in state.changed
                assert (await client.ladder(node="EM1")).total == 1  # over HTTP too, with the current token

    run(scenario())


def test_a_client_without_permission_gets_an_error_from_the_iteration_and_the_request(tmp_path: Path):
    keys = Keys(tmp_path)

    async def scenario():
        async with wired(access=keys.access()) as engine:
            url = f"http://127.0.0.1:{engine.port}"
            async with AsyncClient(url, token="re_nonsense") as client:
                with pytest.raises(NotSignedIn):
                    await state_where(client.subscribe("status"), lambda state: state.is_live)
                with pytest.raises(NotSignedIn):
                    await client.nodes()
            async with AsyncClient(url, token=keys.texts["prices"]) as client:
                assert (await state_where(client.subscribe("nodes"), lambda state: state.is_live)).rows == {}
                with pytest.raises(NotAllowed):
                    await client.reconcile()

    run(scenario())
