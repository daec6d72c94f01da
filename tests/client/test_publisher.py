"""Publishing over `/v1/ingest`: in order, answered, repeated after a lost connection, nothing counted twice."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from riskengine.client import LIVE, AsyncClient, Client, Closed, NotAllowed, TradesRejected
from riskengine.client import exchange as exchange_module
from riskengine.snapshot.rows import mark_rows
from riskengine.store.open_store import open_store
from tests.client.wrong_engine import Visit, stay, wrong_engine
from tests.running import running
from tests.serve.keys import Keys
from tests.serve.wired import run, wired
from tests.world import NOON, instruments, nodes, row

PATIENCE_S = 10.0


def answer(frame: dict[str, Any]) -> dict[str, Any]:
    results = [{"trade_id": trade["trade_id"], "status": "applied"} for trade in frame["trades"]]
    return {"type": "trades", "epoch": 1, "seq": 5, "results": results, "counts": {"applied": len(results)}, "errors": []}


def test_vols_rates_and_greeks_reach_the_engine():
    async def scenario():
        async with (
            wired() as engine,
            AsyncClient(f"http://127.0.0.1:{engine.port}") as client,
            client.publisher() as publisher,
        ):
            await publisher.send_vols({"pair": "EURUSD", "expiry": "2099-06-18", "ts": NOON, "atm": 0.08})
            await publisher.send_rates([{"currency": "USD", "date": "2099-06-18", "ts": NOON, "rate": 0.04}])
            await publisher.send_greeks([{"instrument": "EURUSD", "ts": NOON}])
            async with asyncio.timeout(PATIENCE_S):
                while not publisher.refused:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
            assert publisher.reasons[0]["field"] == "greeks.instrument"
            market = engine.engine.option_market
            assert (market.surface_rows("EURUSD")[0].atm, market.rate_rows()[0].value) == (0.08, 0.04)

    run(scenario())


def test_ticks_trades_and_heartbeats_reach_the_engine(monkeypatch):
    monkeypatch.setattr(exchange_module, "MAX_BODY_BYTES", 2_000)
    monkeypatch.setattr("riskengine.client.publisher.BEAT_S", 0.05)

    async def scenario():
        async with (
            wired() as engine,
            AsyncClient(f"http://127.0.0.1:{engine.port}") as client,
            client.publisher("test") as publisher,
        ):
            await publisher.send_ticks(
                [
                    {"instrument": "EURUSD", "ts": NOON + 200_000, "mid": 1.5, "source": "feed"},
                    {"instrument": "NONE", "ts": NOON, "mid": 1},
                ]
            )
            sent = [row(f"p{number}", source_seq=number) for number in range(1, 41)]
            sent[7] = row("p8", desk="NOWHERE", source_seq=8)
            done = await publisher.post_trades(sent, raise_on_rejected=False)
            with pytest.raises(TradesRejected):
                await publisher.post_trades(sent[7])
            assert [each["trade_id"] for each in done["results"]] == [each["trade_id"] for each in sent]
            assert done["counts"]["applied"] == 39 and [error["index"] for error in done["errors"]] == [7]
            both = await asyncio.gather(publisher.post_trades([row("x")]), publisher.post_trades([row("y")]))
            assert [each["results"][0]["trade_id"] for each in both] == ["x", "y"]
            assert (await publisher.post_trades([]))["results"] == []
            async with asyncio.timeout(PATIENCE_S):
                while not publisher.refused or ("test", 40) not in engine.beats:  # noqa: ASYNC110 - neither has an event
                    await asyncio.sleep(0.01)
            assert (publisher.status, publisher.refused) == (LIVE, 1) and "NONE" in publisher.reasons[0]["reason"]
            [euro] = [each for each in mark_rows(engine.history.newest) if each["instrument"] == "EURUSD"]
            assert euro["price"] == 1.5

    run(scenario())


def test_frames_without_an_answer_are_sent_again_in_order_after_a_lost_connection():
    heard: list[list[str]] = [[], []]

    async def first(visit: Visit) -> None:
        for _ in range(2):
            heard[0] += [trade["trade_id"] for trade in (await visit.hear())["trades"]]
        visit.connection.transport.abort()

    async def second(visit: Visit) -> None:
        for _ in range(3):
            frame = await visit.hear()
            heard[1] += [trade["trade_id"] for trade in frame["trades"]]
            await visit.say(**answer(frame))
        await stay(visit)

    async def scenario():
        async with wrong_engine(first, second) as engine, AsyncClient(engine.url) as client, client.publisher() as publisher:
            async with asyncio.timeout(PATIENCE_S):
                done = await asyncio.gather(*(publisher.post_trades([{"trade_id": name}]) for name in "abc"))
            assert [each["results"][0]["trade_id"] for each in done] == ["a", "b", "c"]
        assert heard == [["a", "b"], ["a", "b", "c"]]

    run(scenario())


def test_trades_that_the_engine_had_no_room_for_are_sent_again_after_its_retry_time():
    async def script(visit: Visit) -> None:
        frames = [await visit.hear(), await visit.hear()]
        await visit.say(type="error", id=None, title="no room for more trades", detail="full", retry_after_ms=100)
        asked = time.monotonic()
        await visit.say(**answer(frames[1]))
        again = await visit.hear()
        assert again == frames[0] and time.monotonic() - asked >= 0.09
        await visit.say(**answer(again))
        await stay(visit)

    async def scenario():
        async with wrong_engine(script) as engine, AsyncClient(engine.url) as client, client.publisher() as publisher:
            async with asyncio.timeout(PATIENCE_S):
                done = await asyncio.gather(*(publisher.post_trades([{"trade_id": name}]) for name in "ab"))
            assert [each["results"][0]["trade_id"] for each in done] == ["a", "b"]

    run(scenario())


def test_few_frames_are_in_flight_and_closing_wakes_the_waiting_calls():
    heard = []

    async def never_answers(visit: Visit) -> None:
        while True:
            try:
                heard.append(await visit.connection.recv())
            except Exception:
                return

    async def scenario():
        async with wrong_engine(never_answers) as engine, AsyncClient(engine.url) as client:
            publisher = client.publisher()
            waiting = [asyncio.create_task(publisher.post_trades([{"trade_id": str(number)}])) for number in range(9)]
            await asyncio.sleep(0.5)
            assert len(heard) == 4
            await publisher.close()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(result) for result in results} == {Closed}
            with pytest.raises(Closed):
                await publisher.send_ticks([{}])

    run(scenario())


def test_a_client_that_may_not_publish_gets_an_error(tmp_path: Path):
    keys = Keys(tmp_path)

    async def scenario():
        async with wired(access=keys.access()) as engine:
            url = f"http://127.0.0.1:{engine.port}"
            async with AsyncClient(url, token=keys.texts["ann"]) as client, client.publisher() as publisher:
                with pytest.raises(NotAllowed):
                    await publisher.post_trades([row("a")])
            async with AsyncClient(url, token=keys.texts["prices"]) as client, client.publisher() as publisher:
                assert (await publisher.post_trades([row("a")]))["counts"]["applied"] == 1

    run(scenario())


def test_a_publisher_continues_after_a_kill_and_nothing_is_lost_or_counted_twice(tmp_path: Path):
    store, log = f"sqlite:///{tmp_path}/engine.db", tmp_path / "log"
    opened = open_store(store)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.close()
    done: list[dict[str, Any]] = []

    def publish(publisher: Any) -> None:
        for number in range(120):
            sent = row(f"k{number}", quantity=1, source_seq=number + 1, ts=time.time_ns() // 1_000)
            publisher.send_ticks([{"instrument": "EURUSD", "ts": time.time_ns() // 1_000, "mid": 1.1}])
            done.append(publisher.post_trades([sent], timeout_s=30))

    with (
        running("serve", "--port", "0", "--store", store, log=log) as server,
        Client(server.url) as client,
        client.publisher("test") as publisher,
    ):
        port = server.url.rpartition(":")[2]
        posting = threading.Thread(target=publish, args=(publisher,))
        posting.start()
        while len(done) < 40:
            time.sleep(0.01)
        server.kill()
        with running("serve", "--port", port, "--store", store, log=log):
            posting.join(60)
            statuses = [each["results"][0]["status"] for each in done]
            assert len(done) == 120 and set(statuses) <= {"applied", "duplicate"} and statuses.count("duplicate") <= 1
            assert client.ladder(node="FX1").by("instrument")["EURUSD"]["quantity"] == 120.0
    assert not any(thread.name == "riskengine-client" for thread in threading.enumerate())
