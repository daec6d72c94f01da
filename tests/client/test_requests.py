"""The client's requests to the real application; and its errors, retries and tokens against a server that refuses."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from riskengine.client import (
    AsyncClient,
    BadRequest,
    Client,
    EngineUnreachable,
    NotAllowed,
    NotFound,
    NotNow,
    NotSignedIn,
    Problem,
    SnapshotGone,
    TradesRejected,
)
from riskengine.client import exchange as exchange_module
from riskengine.client.exchange import _join, parts_exchange
from riskengine.errors import StoreUnavailable
from riskengine.serve.app import create_app
from riskengine.snapshot.rows import dealer_rows, ladder_rows, mark_rows, node_rows
from tests.serve.stand_in import StandIn, newest, serving, traded
from tests.world import row


@pytest.fixture
def engine() -> StandIn:
    return traded()


@pytest.fixture
def client(engine: StandIn) -> Iterator[Client]:
    with serving(create_app(engine)) as url, Client(url) as client:
        yield client


# -- reads ---------------------------------------------------------------------------------------------------------


def test_every_read_answers_rows_of_one_snapshot(engine, client):
    snapshot = newest(engine)
    nodes = client.nodes()
    assert (nodes.epoch, nodes.seq, nodes.as_of) == (snapshot.epoch, snapshot.seq, snapshot.as_of)
    assert nodes.rows == node_rows(snapshot) and nodes.total == len(nodes.rows) == len(nodes.by("node"))
    assert nodes.header["reporting_currency"] == "USD"
    assert [each["node"] for each in client.nodes("FX").rows] == ["FX", "EM1", "G10"]
    assert client.ladder(node="FX1").rows == ladder_rows(snapshot, node="FX1")
    assert client.ladder(dealer="ann", flat=False, sort="-quantity").rows[0]["quantity"] == 100.0
    assert client.dealers().rows == dealer_rows(snapshot)
    assert client.marks(sort="instrument").rows == mark_rows(snapshot)
    assert client.positions(node="FX", sort="-quantity", limit=1, offset=1).total == 4
    assert [each["trade_id"] for each in client.trades(node="EQ1", limit=2).rows] == ["t8", "t7"]
    assert client.exceptions(kind="unpriced").total == 2
    assert client.status()["state"] == "live" and len(client.digest()["digest"]) == 64
    assert client.breaks()["rows"]
    assert client.receipt("EURUSD", node="FX1")["node"] == "FX1"


def test_reads_of_the_past_say_which_moment_they_are_of(engine, client):
    at = newest(engine).as_of
    for answer in (client.nodes(as_of=at), client.ladder(as_of=at), client.positions(as_of=at), client.dealers(as_of=at)):
        assert answer.header["moment"]["exact_at"] == at
    assert client.exposure(as_of=at, known="now").header["moment"]["known"] == "now"
    assert client.risk(as_of=at).header["moment"]["asked"] == at
    assert client.receipt("EURUSD", node="FX1", as_of=at)["moment"]["unknown"] == ["a sentence"]
    found = client.diff(at, node="FX", of="positions")
    assert (found.rows, found.header["from"]["asked"], found.header["to"]["asked"]) == ([], at, None)


def test_operations_and_groups_are_read_with_what_stands_beside_them(engine, client):
    groups = client.groups("strategy", node="FX1", exact=True)
    assert {row["group"] for row in groups.rows} == {""} and groups.header["whole"]["node"] == "FX1"
    assert [row["instrument"] for row in client.groups(node="FX1", instrument="EURUSD").rows] == ["EURUSD"]
    assert client.history(dealer="ann", measure="fees").header["dealer"] == "ann"
    today = client.today("value_date", ahead=2)
    assert {row["kind"] for row in today.rows} <= {"value_date"} and "day_start_ts" in today.header
    engine.note("verdict", "", {"x": 1}, "ann")
    trail = client.audit(kind="verdict", trade="test:t1", since="2020-01-01T00:00:00Z", limit=5)
    assert trail.rows[0]["actor"] == "ann"
    assert engine.audit_asked["kind"] == "verdict" and engine.audit_asked["trade"] == "test:t1"


def test_a_read_of_a_past_seq_returns_that_snapshot_or_says_that_it_is_gone(engine, client):
    before = client.ladder(node="FX1")
    client.post_trades([row("more", quantity="5")])
    assert client.ladder(node="FX1", seq=before.seq).rows == before.rows != client.ladder(node="FX1").rows
    engine.clock.advance(60_000_000)
    engine.publish()
    with pytest.raises(SnapshotGone):
        client.nodes(seq=before.seq)
    with pytest.raises(NotFound, match="not"):
        client.nodes(seq=10**9)


def test_exact_numbers_come_as_decimal_texts(client):
    [euro] = [each for each in client.ladder(node="FX2", exact=True).rows if each["instrument"] == "EURUSD"]
    assert Decimal(euro["quantity"]) == Decimal("-40.5")


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (lambda client: client.ladder(node="NOWHERE"), NotFound, "NOWHERE"),
        (lambda client: client.positions(limit=0), BadRequest, "limit"),
        (lambda client: client.nodes("no/../such"), NotFound, "no/../such"),
    ],
)
def test_an_error_carries_the_fields_of_the_problem(client, ask, kind, said):
    with pytest.raises(kind, match=said) as caught:
        ask(client)
    problem = caught.value
    assert problem.title and said in problem.detail and problem.told["status"] == problem.status
    assert isinstance(problem, Problem)
    if kind is BadRequest:
        assert problem.errors[0]["field"] == "limit"


def test_the_client_for_asyncio_returns_the_same(engine):
    async def scenario(url: str) -> None:
        async with AsyncClient(url) as client:
            tree, ladder = await asyncio.gather(client.nodes(), client.ladder(node="FX1"))
            assert tree.rows == node_rows(newest(engine)) and ladder.total == 2
            answer = await client.post_trades([row("async")])
            assert answer["counts"]["applied"] == 1
            with pytest.raises(NotFound):
                await client.ladder(node="NOWHERE")

    with serving(create_app(engine)) as url:
        asyncio.run(scenario(url))


# -- posts ---------------------------------------------------------------------------------------------------------


def test_posted_trades_are_answered_in_order_and_a_read_that_follows_sees_them(client):
    sent = [row("a", quantity=Decimal("0.1")), row("b", desk="NOWHERE"), row("a", quantity=Decimal("0.10"))]
    answer = client.post_trades(sent, raise_on_rejected=False)
    assert [each["status"] for each in answer["results"]] == ["applied", "rejected", "duplicate"]
    assert client.ladder(node="FX1").seq >= answer["seq"]
    assert client.trades(node="FX1", exact=True, limit=1_000).by("trade_id")["a"]["quantity"] == "0.1"


def test_a_list_larger_than_one_request_is_split_and_answered_as_one(client, monkeypatch):
    monkeypatch.setattr(exchange_module, "MAX_BODY_BYTES", 2_000)
    sent = [row(f"m{number}") for number in range(50)]
    sent[33] = row("m33", desk="NOWHERE")
    answer = client.post_trades(iter(sent), raise_on_rejected=False)
    assert [each["trade_id"] for each in answer["results"]] == [each["trade_id"] for each in sent]
    assert answer["counts"]["applied"] == 49 and [error["index"] for error in answer["errors"]] == [33]
    ticks = [{"instrument": "EURUSD", "ts": 1, "mid": 1.0 + number} for number in range(99)] + [{"instrument": "X"}]
    answer = client.post_ticks(ticks)
    assert (answer["accepted"] + answer["refused"], answer["errors"][-1]["index"]) == (100, 99)


def test_a_rejected_trade_raises_and_the_others_are_stored(client):
    with pytest.raises(
        TradesRejected, match=r"1 of 2 trades were rejected, the first bad: desk: unknown desk 'NOWHERE'"
    ) as raised:
        client.post_trades([row("good"), row("bad", desk="NOWHERE")])
    assert [each["trade_id"] for each in raised.value.rejected] == ["bad"]
    assert [each["status"] for each in raised.value.answer["results"]] == ["applied", "rejected"]
    assert client.trades(node="FX1", limit=1_000).by("trade_id").keys() >= {"good"}


def test_a_dictionary_is_one_trade_or_tick_and_not_its_keys(client):
    assert client.post_trades(row("single"))["counts"]["applied"] == 1
    assert client.post_ticks({"instrument": "EURUSD", "ts": row("x")["ts"], "mid": 1.1})["accepted"] == 1


def test_vols_rates_and_greeks_are_posted_in_parts_and_counted_as_one(client, monkeypatch):
    monkeypatch.setattr(exchange_module, "MAX_BODY_BYTES", 2_000)
    ts = row("x")["ts"]
    surface = {"pair": "EURUSD", "expiry": "2099-06-18", "atm": 0.08}
    answer = client.post_vols([surface | {"ts": ts - number} for number in range(50)] + [surface | {"ts": ts, "atm": 8}])
    assert (answer["accepted"], answer["older"], answer["refused"], answer["errors"][0]["index"]) == (1, 49, 1, 50)
    rate = {"currency": "USD", "date": "2099-06-18", "ts": ts, "rate": 0.04}
    assert client.post_rates(rate)["accepted"] == 1
    assert (
        client.post_greeks([{"instrument": "EURUSD", "ts": ts}])["errors"][0]["reason"] == "'EURUSD' is of kind fx, not an option"
    )


def test_a_rejection_over_asyncio_raises_too(engine):
    async def scenario(url):
        async with AsyncClient(url) as client:
            with pytest.raises(TradesRejected):
                await client.post_trades(row("bad", fee=1))

    with serving(create_app(engine)) as url:
        asyncio.run(scenario(url))


def test_an_empty_list_is_answered(client):
    assert client.post_trades([])["results"] == []


def test_trades_that_the_engine_cannot_take_now_are_posted_again_and_stored_once(engine, client):
    engine.broken = StoreUnavailable("the store is away")
    threading.Timer(0.5, lambda: setattr(engine, "broken", None)).start()
    answer = client.post_trades([row("patient")], retry_s=20)
    assert answer["counts"]["applied"] == 1
    assert [trade.trade_id for trade in engine.stored].count("patient") == 1
    engine.broken = StoreUnavailable("the store is away")
    with pytest.raises(NotNow, match="away") as caught:
        client.post_trades([row("impatient")], retry_s=0)
    assert caught.value.retry_after_s == 1.0


def test_decisions_and_comments_are_posted(client):
    assert client.reconcile()["clean"]
    assert client.comment_break(1, "known")["comment"] == "known"
    unpriced = client.exceptions(kind="unpriced").rows[0]
    assert client.decide(unpriced["id"], "comment", "waiting for a price")


# -- a server that refuses -----------------------------------------------------------------------------------------


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers from a list of (status, headers, body) and keeps the requests. None closes the connection without an answer."""

    answers: ClassVar[list[Any]] = []
    asked: ClassVar[list[tuple[str, str, str | None, bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
        answer = self.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the base's name

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def refusing(*answers: Any) -> Iterator[tuple[str, list[Any]]]:
    handler: Any = type("Handler", (Refusing,), {"answers": list(answers), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem_answer(status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, headers, json.dumps({"title": "T", "status": status, "detail": "D", "errors": []}).encode()


FINE: Any = (200, {}, b'{"results":[],"counts":{}}')


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, NotSignedIn),
        (403, NotAllowed),
        (404, NotFound),
        (410, SnapshotGone),
        (413, BadRequest),
        (429, NotNow),
        (500, Problem),
        (503, NotNow),
    ],
)
def test_each_status_has_its_error(status, kind):
    with (
        refusing(problem_answer(status)) as (url, _),
        Client(url) as client,
        pytest.raises(Problem, match=f"{status} T: D") as caught,
    ):
        client.status()
    assert type(caught.value) is kind


def test_a_post_whose_answer_was_lost_is_sent_again_and_retry_after_is_kept():
    with refusing(None, problem_answer(503, **{"Retry-After": "0.2"}), FINE) as (url, asked), Client(url) as client:
        client.post_trades([row("x")])
    assert [(method, path) for method, path, _, _ in asked] == [("POST", "/v1/trades")] * 3
    assert len({body for *_, body in asked}) == 1


def test_reads_are_retried_only_on_request():
    with refusing(problem_answer(503, **{"Retry-After": "0"}), (200, {}, b"{}")) as (url, asked):
        with Client(url) as client, pytest.raises(NotNow):
            client.status()
        with Client(url, read_retry_s=5) as client:
            assert client.status() == {}
    assert len(asked) == 2


def test_a_token_function_is_called_again_once_when_its_token_has_expired():
    given = iter(["old", "new", "newer"])
    with (
        refusing((200, {}, b"{}"), problem_answer(401), (200, {}, b"{}"), problem_answer(401), problem_answer(401)) as (
            url,
            asked,
        ),
        Client(url, token=lambda: next(given)) as client,
    ):
        client.status()
        client.status()
        with pytest.raises(NotSignedIn):
            client.status()
    assert [token for _, _, token, _ in asked] == [f"Bearer {each}" for each in ("old", "old", "new", "new", "newer")]


def test_no_answer_or_one_that_is_not_from_an_engine_is_unreachable():
    with Client("http://127.0.0.1:1") as client, pytest.raises(EngineUnreachable, match=r"127\.0\.0\.1:1"):
        client.status()
    with refusing((200, {}, b"<html>"), (200, {}, b"[]")) as (url, _), Client(url) as client:
        with pytest.raises(EngineUnreachable, match="not an engine"):
            client.status()
        with pytest.raises(EngineUnreachable, match="not an engine"):
            client.nodes()


def test_a_name_in_a_path_is_quoted():
    with refusing(problem_answer(404)) as (url, asked), Client(url) as client, pytest.raises(NotFound):
        client.nodes("FX/1?a=b#c %")
    assert asked[0][1] == "/v1/nodes/FX%2F1%3Fa%3Db%23c%20%25"


def test_an_error_after_several_requests_says_how_many_items_were_posted(monkeypatch):
    monkeypatch.setattr(exchange_module, "MAX_BODY_BYTES", 10)
    with refusing(FINE, problem_answer(403)) as (url, _), Client(url) as client, pytest.raises(NotAllowed) as caught:
        client.post_trades([{"n": "aaaaaaaa"}, {"n": "bbbbbbbb"}])
    assert caught.value.__notes__ == ["1 items were posted before this error"]


def test_answers_to_parts_are_joined_into_one():
    first = {"seq": 1, "results": [1], "counts": {"applied": 1}, "errors": [{"index": 0}], "accepted": 2, "refused": 1}
    second = {"seq": 2, "results": [2], "counts": {"applied": 2, "late": 1}, "errors": [{"index": 1}], "accepted": 3}
    assert _join(first, second | {"refused": 0}, 10) == {
        "seq": 2,
        "results": [1, 2],
        "counts": {"applied": 3, "late": 1},
        "errors": [{"index": 0}, {"index": 11}],
        "accepted": 5,
        "refused": 1,
    }
    assert next(parts_exchange("/v1/trades", [], 0, False))


def test_why_p_and_l_moved_is_read_with_both_ends_and_the_sums(engine, client):
    found = client.explain(newest(engine).as_of, node="FX1", exact=True)
    assert {row["instrument"] for row in found.rows} >= {"EURUSD"}
    assert found.header["node"] == "FX1" and found.header["to"]["net_pnl"] is not None
    assert found.header["lines"]["unexplained"] == "0"
