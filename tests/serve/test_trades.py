import asyncio
import json

import pytest

from riskengine.config import Config, ServerConfig
from riskengine.errors import InboxFull, LeaseHeld, StoreCorrupt, StoreUnavailable
from riskengine.serve.app import create_app
from riskengine.serve.routes import trades as trades_route
from tests.serve.stand_in import Client, StandIn, ask, call, post, problem, serving
from tests.world import NOON, row


@pytest.fixture
def gateway() -> StandIn:
    return StandIn()


@pytest.fixture
def app(gateway):
    return create_app(gateway)


def refused(gateway: StandIn) -> float:
    return gateway.metrics.registry.get_sample_value("riskengine_ticks_refused_total") or 0.0


def test_one_trade(gateway, app):
    answer = post(app, "/v1/trades", row("t1")).json()
    assert answer["results"] == [
        {"source": "test", "trade_id": "t1", "leg": 0, "version": 1, "status": "applied", "late": False, "reason": ""}
    ]
    assert answer["counts"]["applied"] == 1
    assert sum(answer["counts"].values()) == 1
    assert answer["errors"] == []
    assert (answer["epoch"], answer["seq"]) == (7, gateway.recent.newest.seq)
    assert ask(app, "/v1/positions").json()["rows"][0]["quantity"] == 100.0


def test_a_read_at_the_answers_seq_sees_the_trade(app):
    seq = post(app, "/v1/trades", row("t1")).json()["seq"]
    assert ask(app, "/v1/nodes", {"seq": seq}).json()["rows"][0]["trade_count"] == 1
    assert ask(app, "/v1/nodes", {"seq": seq - 1}).json()["rows"][0]["trade_count"] == 0


def test_the_source_over_http_is_api(app):
    sent = {key: value for key, value in row("t1").items() if key != "source"}
    assert post(app, "/v1/trades", sent).json()["results"][0]["source"] == "api"


def test_bad_items_do_not_harm_the_others_and_are_named_in_their_places(gateway, app):
    answer = post(
        app,
        "/v1/trades",
        [
            row("t1"),
            row("t2", quantity="1.005"),
            row("t3", quantity="many"),
            5,
            {"quantity": 1},
            row("t4", instrument="NONE"),
            row("t5", desk="FX"),
            row("t6", leg=1, version=0),
            row("t1"),
            row("t7", side="hold"),
            row("t8", quantity=float("1e300")),
        ],
    ).json()
    applied_or_not = ["applied", *["rejected"] * 7, "duplicate", "rejected", "rejected"]
    assert [result["status"] for result in answer["results"]] == applied_or_not
    names = [result["trade_id"] for result in answer["results"]]
    assert names == ["t1", "t2", "t3", None, None, "t4", "t5", "t6", "t1", "t7", "t8"]
    assert answer["results"][1]["reason"] == "quantity: has more than 2 decimals"
    assert answer["counts"] == {
        "applied": 1,
        "duplicate": 1,
        "conflict": 0,
        "superseded": 0,
        "parked": 0,
        "quarantined": 0,
        "rejected": 9,
        "rounded": 0,
    }
    assert [(error["index"], error["field"]) for error in answer["errors"]] == [
        (1, "quantity"),
        (2, "quantity"),
        (3, ""),
        (4, "trade_id"),
        (5, "instrument"),
        (6, "desk"),
        (7, "version"),
        (9, "side"),
        (10, "quantity"),
    ]
    assert all(error["reason"] for error in answer["errors"])
    assert len(gateway.stored) == 2


def test_a_broken_item_is_named_as_far_as_it_names_itself(app):
    [named] = post(app, "/v1/trades", [{"trade_id": "t1", "leg": 3, "version": "one"}]).json()["results"]
    assert (named["source"], named["trade_id"], named["leg"], named["version"]) == ("api", "t1", 3, 1)


def test_only_bad_items_store_nothing_and_answer_200(gateway, app):
    seq = gateway.recent.newest.seq
    answer = post(app, "/v1/trades", [row("t1", price="-1")])
    assert (answer.status, answer.json()["seq"]) == (200, seq)
    assert gateway.stored == []


def test_an_empty_list_is_no_trades(gateway, app):
    answer = post(app, "/v1/trades", [])
    assert answer.status == 200
    assert answer.json()["results"] == answer.json()["errors"] == []


def test_legs_that_come_together_are_in_one_snapshot(gateway, app):
    before = gateway.recent.newest.seq
    legs = [row("swap", leg=0, legs=2), row("swap", leg=1, legs=2, side="sell", price="1.11")]
    assert post(app, "/v1/trades", legs).json()["seq"] == before + 1
    assert gateway.recent.newest.counts.unmatched == 0


@pytest.mark.parametrize("path", ["/v1/trades", "/v1/ticks"])
@pytest.mark.parametrize(
    "body", [b"", b"  \n", b"{", b"[{]", b"5", b'"text"', b"null", b"\xff\xfe[\x00]\x00", b"trade_id,ts\n", b"[1,2", b"{}{}"]
)
def test_what_is_no_list_of_objects_is_refused_whole(gateway, app, path, body):
    problem(post(app, path, body), 400)
    assert gateway.stored == []


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_deep_body_is_refused(app, depth):
    answer = post(app, "/v1/trades", b"[" * depth + b"]" * depth)
    assert answer.status in (200, 400)


def test_a_byte_order_mark_and_any_content_type_are_taken(app):
    body = b"\xef\xbb\xbf" + json.dumps(row("t1")).encode()
    assert post(app, "/v1/trades", body, headers={"content-type": "text/plain"}).json()["counts"]["applied"] == 1


def test_the_reasons_of_a_batch_survive_half_a_surrogate(app):
    body = b'[{"trade_id":"a\\ud800"},' + json.dumps(row("t1")).encode() + b"]"
    answer = post(app, "/v1/trades", body)
    assert [result["status"] for result in answer.json()["results"]] == ["rejected", "applied"]


def test_an_id_of_ten_kilobytes_is_refused_and_told_back(app):
    [result] = post(app, "/v1/trades", row("x" * 10_240)).json()["results"]
    assert (result["status"], len(result["trade_id"])) == ("rejected", 10_240)
    assert result["reason"].startswith("trade_id: is longer")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InboxFull("5 trades are waiting"), "inbox-full"),
        (StoreUnavailable("no disk"), "store-unavailable"),
        (LeaseHeld("another engine writes"), "store-unavailable"),
    ],
)
def test_no_room_or_no_store_is_told_and_nothing_is_stored(gateway, app, error, kind):
    gateway.broken = error
    answer = post(app, "/v1/trades", row("t1"))
    told = problem(answer, 503)
    assert told["type"] == f"urn:riskengine:{kind}"
    assert told["detail"] == str(error)
    assert int(answer.headers["retry-after"]) >= 1
    assert gateway.stored == []
    gateway.broken = None
    assert post(app, "/v1/trades", row("t1")).json()["counts"]["applied"] == 1


def test_another_error_of_the_store_is_ours(gateway, app):
    gateway.broken = StoreCorrupt("the file is damaged")
    assert problem(post(app, "/v1/trades", row("t1")), 500)["detail"] == "the file is damaged"


# Ticks


def test_ticks_are_counted_and_refusals_named(gateway, app):
    ticks = [
        {"instrument": "EURUSD", "ts": NOON, "bid": "1.1", "ask": 1.2},
        {"instrument": "NONE", "ts": NOON, "mid": 1},
        {"instrument": "GBPUSD"},
        7,
        {"instrument": "GBPUSD", "ts": NOON * 1_000, "mid": 1.5},
        {"instrument": "USDJPY", "ts": NOON, "mid": 150},
    ]
    answer = post(app, "/v1/ticks", ticks).json()
    assert (answer["accepted"], answer["refused"]) == (2, 4)
    assert [(error["index"], error["field"]) for error in answer["errors"]] == [
        (1, "instrument"),
        (2, "ts"),
        (3, ""),
        (4, "ts"),
    ]
    assert refused(gateway) == 2  # the two that did not decode; the gateway counts those that it refuses
    marks = {row["instrument"]: row["price"] for row in ask(app, "/v1/marks").json()["rows"]}
    assert (marks["EURUSD"], marks["GBPUSD"], marks["USDJPY"]) == (pytest.approx(1.15), None, 150.0)


def test_no_ticks_are_fine(app):
    assert post(app, "/v1/ticks", []).json() == {"accepted": 0, "refused": 0, "errors": []}


# Size and time


def small(limit: int = 2_000) -> StandIn:
    return StandIn(config=Config(server=ServerConfig(max_body_bytes=limit)))


@pytest.mark.parametrize("path", ["/v1/trades", "/v1/ticks"])
def test_a_body_over_the_limit_is_refused_by_its_length_without_reading_it(path):
    def chunks():
        yield b"[" + pytest.fail("the body was read")

    answer = post(create_app(small()), path, chunks(), headers={"content-length": "2001"})
    assert "2000 bytes" in problem(answer, 413)["detail"]


def test_a_body_without_a_length_is_counted_while_it_comes():
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 500
            yield b" " * 500

    problem(post(create_app(small()), "/v1/trades", endless()), 413)
    assert sent == 2_500


def test_a_body_of_exactly_the_limit_is_taken():
    body = json.dumps([row("t1")]).encode().ljust(2_000)
    assert post(create_app(small()), "/v1/trades", body).json()["counts"]["applied"] == 1
    problem(post(create_app(small()), "/v1/trades", body + b" "), 413)


def test_a_body_that_does_not_come_is_given_up(monkeypatch, app):
    monkeypatch.setattr(trades_route, "READ_TIMEOUT_S", 0.01)

    async def stalled():
        started = asyncio.Event()

        async def receive():
            started.set()
            await asyncio.Event().wait()

        messages: list[dict] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/trades",
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
            "headers": [(b"host", b"localhost:8321")],
            "server": ("127.0.0.1", 8321),
            "http_version": "1.1",
        }
        await app(scope, receive, lambda message: _note(messages, message))
        return messages[0]["status"]

    assert asyncio.run(stalled()) == 408


async def _note(messages, message):
    messages.append(message)


def test_over_sockets_a_hundred_megabytes_are_refused_and_the_server_lives_on():
    gateway = small(limit=1_048_576)
    with serving(create_app(gateway)) as url:
        client = Client(url)
        body = b" " * 100_000_000
        answer = client.request("POST", "/v1/trades", body)
        problem(answer, 413)
        problem(client.request("POST", "/v1/trades", (b" " * 65_536 for _ in range(200))), 413)
        assert client.post("/v1/trades", [row("t1")])["counts"]["applied"] == 1
        assert len(gateway.stored) == 1


def test_trades_that_come_at_once_are_all_answered(gateway, app):
    async def many():
        return await asyncio.gather(
            *(call(app, "POST", "/v1/trades", body=[row(f"{n}-{k}") for k in range(150)]) for n in range(10))
        )

    answers = [answer.json() for answer in asyncio.run(many())]
    assert {answer["counts"]["applied"] for answer in answers} == {150}
    assert len({answer["seq"] for answer in answers}) == 10


def test_a_broken_item_whose_number_no_answer_can_hold_is_refused_and_not_a_mistake_of_ours():
    app = create_app(StandIn())
    [result] = post(app, "/v1/trades", {"trade_id": "t1", "version": 10**31, "quantity": []}).json()["results"]
    assert [result["status"], result["trade_id"], result["version"]] == ["rejected", "t1", 1]


@pytest.mark.parametrize("field", ["leg", "version"])
@pytest.mark.parametrize("value", [2**53, 2**64, -(2**63) - 1, 10**30])
def test_a_number_that_json_cannot_carry_is_refused_and_its_batch_is_answered(gateway, app, field, value):
    answer = post(app, "/v1/trades", [row("good"), row("bad", **{field: value})]).json()
    assert [(each["trade_id"], each["status"]) for each in answer["results"]] == [("good", "applied"), ("bad", "rejected")]
    assert answer["results"][1][field] is None
    assert [error["field"] for error in answer["errors"]] == [field]
    assert [trade.trade_id for trade in gateway.stored] == ["good"]
