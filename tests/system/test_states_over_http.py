import asyncio
import time

import pytest

from riskengine.clock import ManualClock
from riskengine.config import Config, MarksConfig, ServerConfig
from riskengine.serve.answers.shapes import EXCEPTION, STATUS, names
from riskengine.serve.app import ROUTES, create_app
from tests.serve.stand_in import Answer, StandIn, ask, call, newest, post, problem, traded
from tests.world import NOON, SECOND, reference, row


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded(count=250)


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


# States


@pytest.mark.parametrize("state", ["starting", "loading", "stopping", "failed"])
def test_an_engine_that_is_not_live_says_so(state):
    gateway = StandIn()
    gateway.state, gateway.progress = state, 0.73
    app = create_app(gateway)
    routes = [route for route in ROUTES if route.path.startswith("/v1/") and "GET" in (route.methods or ())]
    reads = [route.path.replace("{node:path}", "ALL") for route in routes]
    for path in reads:
        if path in ("/v1/status", "/v1/ticks", "/v1/session"):  # what they say does not hang on a snapshot
            continue
        answer = ask(app, path)
        told = problem(answer, 503)
        assert (told["state"], told["progress"], told["phase"], told["trades_loaded"]) == (state, 0.73, "replay", 73)
        assert int(answer.headers["retry-after"]) >= 1
    for path in ("/v1/trades", "/v1/ticks", "/v1/exceptions/x"):
        problem(post(app, path, [row()]), 503)
    ready = ask(app, "/readyz")
    assert problem(ready, 503)["state"] == state
    assert ready.headers["retry-after"]
    assert ask(app, "/healthz").status == 200
    status = ask(app, "/v1/status").json()
    assert (status["state"], status["progress"], status["seq"]) == (state, 0.73, None)
    assert tuple(status)[: len(STATUS)] == names(STATUS)
    assert gateway.stored == []


def test_a_live_engine_is_ready(app):
    assert ask(app, "/readyz").json() == {"state": "live", "progress": 1.0, "warnings": []}


def test_a_warning_is_told_wherever_readers_look_until_it_is_cleared():
    gateway = StandIn()
    app = create_app(gateway)
    gateway.warnings["breaks"] = "2 breaks"
    told = [{"kind": "breaks", "text": "2 breaks", "since": NOON}]
    assert ask(app, "/readyz").json()["warnings"] == told
    assert ask(app, "/v1/status").json()["warnings"] == told
    del gateway.warnings["breaks"]
    assert ask(app, "/v1/status").json()["warnings"] == []


def test_the_status_counts(gateway, app):
    status = ask(app, "/v1/status").json()
    assert tuple(status)[: len(STATUS)] == names(STATUS)
    assert status["policies"]["day_boundary"] == "17:00"
    assert status["counts"]["applied"] == 258
    assert status["node_count"] == 8
    assert status["position_count"] == ask(app, "/v1/positions").json()["total"]
    assert status["dealer_count"] == 253
    assert status["feeds"] == [{"source": "test", "age_ms": 5}]
    assert status["last_trade_age_ms"] == 0
    assert status["last_reconciliation"] is None


def test_metrics_are_prometheus_text(app):
    answer = ask(app, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"riskengine_trades_total" in answer.body


def test_the_digest_is_worked_out_once_between_two_trades():
    gateway = traded()
    app = create_app(gateway)
    first = ask(app, "/v1/digest").json()
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    second = ask(app, "/v1/digest").json()
    assert first["digest"] == second["digest"]
    assert first["seq"] < second["seq"] == newest(gateway).seq
    assert gateway.digests_made == 1
    post(app, "/v1/trades", row("another"))
    assert ask(app, "/v1/digest").json()["digest"] != first["digest"]


def test_the_same_poll_of_the_same_snapshot_is_answered_once():
    gateway = traded()
    app = create_app(gateway)
    first = ask(app, "/v1/nodes")
    kept = app.state.answer_cache._answers
    assert len(kept) == 1
    assert ask(app, "/v1/nodes") == first
    ask(app, "/v1/nodes", headers={"accept": "text/csv"})
    ask(app, "/v1/nodes", {"exact": "true"})
    ask(app, "/v1/nodes", {"seq": newest(gateway).seq})
    assert len(kept) == 3
    gateway.publish()
    assert ask(app, "/v1/nodes").json()["seq"] == newest(gateway).seq
    assert len(app.state.answer_cache._answers) == 1
    for number in range(200):
        ask(app, "/v1/nodes/FX", f"limit={number + 1}")
    assert len(app.state.answer_cache._answers) == 64


# Exceptions


def test_exceptions_of_every_kind():
    config = Config(marks=MarksConfig(max_move=0.1))
    clock = ManualClock(NOON)
    gateway = traded(config=config, clock=clock)
    app = create_app(gateway)
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON + 1, "mid": 9.0}])
    answer = post(
        app,
        "/v1/trades",
        [
            row("t1", price="1.2"),
            row("t3", version=2, action="cancel"),
            row("x", action="cancel"),
            row("y", legs=2),
            row("z", ts=NOON + 3_600 * SECOND),
            row("late", ts=NOON - 60 * SECOND),
            row("fut", instrument="ESZ6", desk="EQ1"),
        ],
    ).json()
    assert [result["status"] for result in answer["results"]] == [
        "conflict",
        "applied",
        "parked",
        "applied",
        "quarantined",
        "applied",
        "applied",
    ]
    assert answer["results"][5]["late"] is True
    clock.advance(400 * 86_400 * SECOND)
    gateway.publish()
    every = ask(app, "/v1/exceptions", {"limit": 1_000}).json()
    kinds = ["conflict", "parked", "unmatched", "quarantined", "late", "unpriced", "unpriced", "suspect", "expired"]
    assert [row["kind"] for row in every["rows"]] == kinds
    assert every["total"] == len(kinds)
    assert {tuple(row) for row in every["rows"]} == {names(EXCEPTION)}
    for kind in dict.fromkeys(kinds):
        told = ask(app, "/v1/exceptions", {"kind": kind}).json()
        assert told["rows"] == [row for row in every["rows"] if row["kind"] == kind]
        assert told["total"] == kinds.count(kind)
    of = {row["kind"]: row for row in every["rows"]}
    assert of["conflict"]["trade"]["price"] == 1.2
    assert of["conflict"]["detail"]["stands"]["price"] == 1.1
    assert of["unmatched"]["detail"] == {"source": "test", "trade_id": "y"}
    assert of["suspect"]["detail"] == {
        "instrument": "EURUSD",
        "source": "",
        "suspect": 9.0,
        "mark": 1.2,
        "mark_ts": NOON,
    }
    assert of["late"]["detail"]["after"].keys() == {"average_price", "realised_pnl", "unrealised_pnl"}
    assert of["expired"]["instrument"] == "ESZ6"


def test_unpriced_positions_add_up_to_what_the_root_counts(app):
    listed = ask(app, "/v1/exceptions", {"kind": "unpriced"}).json()["rows"]
    root = ask(app, "/v1/nodes").json()["rows"][0]
    assert [row["instrument"] for row in listed] == ["GHOST", "MAREL"]
    assert sum(row["detail"]["positions"] for row in listed) == root["unpriced_count"]


def test_exceptions_sort_and_page(app):
    told = ask(app, "/v1/exceptions", {"sort": "-instrument", "limit": 1, "exact": "true"}).json()
    assert [row["instrument"] for row in told["rows"]] == ["MAREL"]
    assert told["total"] == 2


# Many rows


def test_a_long_answer_leaves_the_loop_to_others():
    """While a list of thousands of rows is made, another question is answered at once."""
    gateway = StandIn(reference({"ALL": ""} | {f"desk{n:04}": "ALL" for n in range(3_000)}))
    deals = [row(f"{n}", desk=f"desk{n:04}", price=f"{1 + n / 10_000:.4f}") for n in range(3_000)]
    gateway.config = Config(server=ServerConfig(max_body_bytes=10_000_000))
    app = create_app(gateway)
    assert post(app, "/v1/trades", deals).status == 200
    longest = 0.0

    async def both() -> Answer:
        nonlocal longest
        slow = asyncio.create_task(call(app, "GET", "/v1/positions", {"limit": 3_000, "sort": "-breakeven_price"}))
        await asyncio.sleep(0)
        while not slow.done():
            started = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - started)
        return await slow

    answer = asyncio.run(both())
    assert answer.json()["rows"][0]["node"] == "desk2999"
    assert len(answer.json()["rows"]) == 3_000
    assert longest < 0.1, "of work that takes longer in all"
