"""Publishers through a real server and real sockets."""

import asyncio
import json
import time

import msgspec
import pytest

from riskengine.errors import InboxFull, InputError, StoreUnavailable
from riskengine.records.decode import TradeInput
from riskengine.records.types import Refusal
from riskengine.serve.stream import ingest
from riskengine.serve.stream.ingest import decode_frame, ticks_of, trades_of
from tests.serve.stand_in import Client
from tests.serve.wired import Wired, run, talk, wired
from tests.waiting import until
from tests.world import NOON, row

INGEST = "/v1/ingest"
PACKED = "/v1/ingest?encoding=msgpack"


def tick(instrument: object = "EURUSD", bid: object = 1.2, ask: object = 1.4, ts: int = NOON + 200_000) -> dict[str, object]:
    return {"instrument": instrument, "ts": ts, "bid": bid, "ask": ask, "source": "venue"}


def mark(engine: Wired, symbol: str = "EURUSD") -> float:
    snapshot = engine.history.newest
    found = snapshot.units.marks[snapshot.reference.instrument_index[symbol]]
    assert found is not None
    return found.price


# Trades


@pytest.mark.parametrize("path", [INGEST, PACKED])
def test_trades_are_answered_as_over_http_with_a_type(path):
    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            good, bad = row("t1"), row("t2", desk="NOWHERE")
            await client.say(trades=[good, bad])
            answer = await client.hear()
            over_http = await asyncio.to_thread(Client(f"http://127.0.0.1:{engine.port}").post, "/v1/trades", [good, bad])
            assert answer.keys() == over_http.keys() | {"type"}
            assert answer["type"] == "trades"
            assert answer["results"][0] == {
                "source": "test",
                "trade_id": "t1",
                "leg": 0,
                "version": 1,
                "status": "applied",
                "late": False,
                "reason": "",
            }
            assert answer["results"][1]["status"] == "rejected"
            assert answer["results"][1]["reason"].startswith("desk: unknown desk 'NOWHERE'")
            assert answer["errors"] == [{"index": 1, "field": "desk", "reason": "unknown desk 'NOWHERE'"}]
            assert (answer["counts"]["applied"], answer["counts"]["rejected"]) == (1, 1)
            assert answer["seq"] <= engine.history.newest.seq
            assert over_http["counts"]["duplicate"] == 1
            assert over_http["results"][1] == answer["results"][1]

    run(scenario())


def test_a_frame_of_which_every_trade_is_bad_is_answered_too():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            await client.say(trades=[{"trade_id": 5}, 7, row(quantity="NaN")])
            answer = await client.hear()
            assert [result["status"] for result in answer["results"]] == ["rejected"] * 3
            assert [error["field"] for error in answer["errors"]] == ["trade_id", "", "quantity"]
            assert answer["results"][1]["trade_id"] is None
            assert answer["seq"] == engine.history.newest.seq

    run(scenario())


def test_money_in_msgpack_is_exact():
    frame = decode_frame(msgspec.msgpack.encode({"trades": [row(quantity="0.1", price=1.1)]}))
    [trade] = trades_of(frame, False)
    assert isinstance(trade, TradeInput)
    assert (str(trade.quantity), str(trade.price)) == ("0.1", "1.1")


def test_null_is_absent_in_msgpack_too():
    frame = decode_frame(msgspec.msgpack.encode({"trades": [row(dealer=None, leg=None), 5, row(dealer=None, leg="x")]}))
    [trade, number, wrong] = trades_of(frame, False)
    assert isinstance(trade, TradeInput) and (trade.dealer, trade.leg) == ("", 0)
    assert isinstance(number, Refusal) and isinstance(wrong, Refusal) and wrong.field == "leg"


def test_the_answers_come_in_the_order_of_the_frames():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            for number in range(20):
                await client.say(trades=[row(f"t{number}")])
            await client.connection.send("{bad")
            await client.say(trades=[row("last")])
            heard = [await client.hear() for _ in range(22)]
            assert [answer["results"][0]["trade_id"] for answer in heard[:20]] == [f"t{number}" for number in range(20)]
            assert [trade.trade_id for trade in engine.stored] == [*(f"t{number}" for number in range(20)), "last"]
            assert (heard[20]["type"], heard[21]["type"]) == ("error", "trades")

    run(scenario())


def test_a_slow_store_does_not_hold_up_ticks():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            engine.store_open.clear()
            await client.say(trades=[row("t1")])
            await client.say(ticks=[tick()])
            await until(lambda: mark(engine) == pytest.approx(1.3))
            assert engine.waiting == 1
            engine.store_open.set()
            assert (await client.hear())["counts"]["applied"] == 1

    run(scenario())


def test_a_publisher_may_have_a_few_frames_of_trades_on_their_way_and_no_more():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            engine.store_open.clear()
            for number in range(50):
                await client.say(trades=[row(f"t{number}")])
            await asyncio.sleep(0.2)
            assert 0 < engine.waiting <= ingest.MAX_FRAMES_IN_FLIGHT + 2
            engine.store_open.set()
            answers = [await client.hear() for _ in range(50)]
            assert [answer["results"][0]["trade_id"] for answer in answers] == [f"t{number}" for number in range(50)]

    run(scenario())


@pytest.mark.parametrize(
    ("problem", "title"),
    [(InboxFull("100 trades are waiting"), "no room for more trades"), (StoreUnavailable("disk full"), "store unavailable")],
)
def test_trades_that_were_not_stored_are_told_so(problem, title):
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            engine.broken = problem
            await client.say(trades=[row("t1")])
            assert await client.hear() == {
                "type": "error",
                "id": None,
                "title": title,
                "detail": str(problem),
                "retry_after_ms": 1000,
            }
            engine.broken = None
            await client.say(trades=[row("t1")])
            assert (await client.hear())["counts"]["applied"] == 1

    run(scenario())


def test_trades_of_a_publisher_that_goes_away_are_stored_all_the_same():
    async def scenario():
        async with wired() as engine:
            async with talk(engine, INGEST) as client:
                engine.store_open.clear()
                await client.say(trades=[row("t1")])
                await until(lambda: engine.waiting == 1)
            engine.store_open.set()
            await until(lambda: len(engine.stored) == 1)

    run(scenario())


# Ticks


@pytest.mark.parametrize("path", [INGEST, PACKED])
def test_ticks_are_taken_and_not_answered(path):
    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            await client.say(ticks=[tick(), tick("GBPUSD", 2, 4)])
            await client.say(trades=[row("t1")])
            assert (await client.hear())["type"] == "trades"
            assert [mark(engine), mark(engine, "GBPUSD")] == pytest.approx([1.3, 3.0])

    run(scenario())


@pytest.mark.parametrize("path", [INGEST, PACKED])
def test_refused_ticks_are_counted_and_reported_once_a_second(path, monkeypatch):
    monkeypatch.setattr(ingest, "REPORT_AFTER_S", 0.1)

    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            await client.say(ticks=[tick(), tick(instrument=5), tick("NOTHING"), 3, tick(bid=-1.0)])
            await client.say(ticks=[tick(bid="x"), tick("NOTHING"), tick("NOTHING")])
            report = await client.hear()
            assert (report["type"], report["count"]) == ("refused", 7)
            assert len(report["errors"]) == ingest.REPORTED_REFUSALS
            first = sorted((error["index"], error["field"]) for error in report["errors"][:4])
            assert first == [(1, "instrument"), (2, "instrument"), (3, ""), (4, "bid")]
            assert mark(engine) == pytest.approx(1.3)
            await client.say(ticks=[tick("NOTHING")])
            assert (await client.hear())["count"] == 1

    run(scenario())


def test_a_long_frame_keeps_the_places_of_its_refusals(monkeypatch):
    monkeypatch.setattr(ingest, "REPORT_AFTER_S", 0.05)

    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            await client.say(ticks=[*(tick() for _ in range(2 * ingest.TICKS_PER_TURN)), tick("NOTHING")])
            [error] = (await client.hear())["errors"]
            assert error["index"] == 2 * ingest.TICKS_PER_TURN
            assert engine.quotes.accepted >= 2 * ingest.TICKS_PER_TURN

    run(scenario())


def test_a_hundred_thousand_ticks_a_second_starve_nobody():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            frames = [json.dumps({"ticks": [tick(bid=1.2 + n / 1e6) for n in range(100)]}) for _ in range(400)]
            started = time.perf_counter()
            sending = asyncio.create_task(send_all(client, frames))
            http, worst, asked = Client(f"http://127.0.0.1:{engine.port}"), 0.0, 0
            while not sending.done():
                before = time.perf_counter()
                answer = await asyncio.to_thread(http.request, "GET", "/healthz")
                worst, asked = max(worst, time.perf_counter() - before), asked + 1
                assert answer.status == 200
            await client.say(trades=[row("t1")])
            await client.hear()
            # Client, server, engine and a reader share one interpreter here; bench/latency.py measures the server alone.
            assert 40_000 / (time.perf_counter() - started) > 10_000
            assert asked
            assert worst < 0.5

    run(scenario())


async def send_all(client, frames):
    for frame in frames:
        await client.connection.send(frame)


# Heartbeats and mistakes


@pytest.mark.parametrize("path", [INGEST, PACKED])
def test_a_heartbeat_says_that_a_source_is_alive(path):
    async def scenario():
        async with wired() as engine, talk(engine, path) as client:
            await client.say(heartbeat={"source": "venue", "last_seq": 12})
            await client.say(heartbeat={"source": "venue"})
            await until(lambda: engine.beats == [("venue", 12), ("venue", None)])

    run(scenario())


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("{", "truncated"),
        ("[]", "object"),
        ("{}", "ticks, trades, vols, rates, greeks or a heartbeat"),
        ('{"ticks": 5}', "list"),
        ('{"trades": "x"}', "list"),
        ('{"heartbeat": 5}', "heartbeat"),
        ('{"heartbeat": {}}', "source"),
        ('{"heartbeat": {"source": ""}}', "heartbeat.source"),
        ('{"heartbeat": {"source": "v", "last_seq": -1}}', "heartbeat.last_seq"),
        ('{"heartbeat": {"source": "v", "last_sequence": 1}}', "last_sequence: is not a field of a heartbeat"),
        ('{"tick": []}', "tick: is not a field of a frame: did you mean ticks?"),
        (b"\xc1", ""),
        (b"\x81\xa5ticks\x05", "list"),
        (b"\x81\xa5ticks\x91\xc1", ""),
    ],
)
def test_a_frame_that_is_wrong_is_answered_and_the_connection_stays_open(message, named):
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            await client.connection.send(message)
            answer = await client.hear()
            assert (answer["type"], answer["title"]) == ("error", "malformed frame")
            assert named in answer["detail"]
            await client.say(trades=[row("t1")])
            assert (await client.hear())["type"] == "trades"

    run(scenario())


def test_a_frame_may_hold_everything_at_once():
    async def scenario():
        async with wired() as engine, talk(engine, INGEST) as client:
            await client.say(ticks=[tick()], trades=[row("t1")], heartbeat={"source": "venue"})
            assert (await client.hear())["counts"]["applied"] == 1
            assert engine.beats == [("venue", None)]
            assert mark(engine) == pytest.approx(1.3)

    run(scenario())


def test_lists_that_nest_without_end_are_refused():
    with pytest.raises(InputError):
        ticks_of(decode_frame('{"ticks": [' + "[" * 100_000 + "]" * 100_000 + "]}"), True)
