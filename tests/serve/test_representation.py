"""The forms of an answer: gzip for clients that take it, an ETag for each form, and one computation for equal questions."""

import asyncio
import gzip
import json
import re

import pytest

from riskengine.serve.access import identity
from riskengine.serve.answers.answers import Question
from riskengine.serve.answers.coding import MIN_GZIP_BYTES, prefers_gzip
from riskengine.serve.answers.representation import VARY
from riskengine.serve.app import create_app
from riskengine.serve.operations import OPERATIONS
from riskengine.views.grants import LOCAL, Grants, Principal
from tests.serve.stand_in import Client, StandIn, ask, call, newest, post, problem, serving, traded
from tests.world import NOON

KEPT = [operation.path for operation in OPERATIONS if operation.cacheable]


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded(count=250)


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip;q=0.001", True),
        ("br, deflate", False),
        ("br, gzip, deflate", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("identity, gzip", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.6", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("identity;q=0", False),
        ("gzip ; q = 0", False),
        (",,", False),
    ],
)
def test_gzip_is_sent_to_clients_that_prefer_it_by_q_value(header, expected):
    assert prefers_gzip(header) is expected


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nodes",
        "/v1/positions",
        "/v1/ladder",
        "/v1/dealers?limit=1000",
        "/v1/trades",
        "/metrics",
        "/openapi.json",
        "/v1/holdings",
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_every_answer_unpacks_to_the_bytes_that_others_get(app, path, accept):
    path, _, query = path.partition("?")
    plain = ask(app, path, query, headers={"accept": accept})
    packed = ask(app, path, query, headers={"accept": accept, "accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    unpacked = gzip.decompress(packed.body)
    assert unpacked == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert "Accept-Encoding" in packed.headers["vary"]
    assert "Accept-Encoding" in plain.headers["vary"]
    assert packed.headers.get("content-length", str(len(packed.body))) == str(len(packed.body))


def test_a_small_answer_is_not_encoded(app):
    answer = ask(app, "/v1/digest", headers={"accept-encoding": "gzip"})
    assert len(answer.body) < MIN_GZIP_BYTES
    assert "content-encoding" not in answer.headers
    assert "content-encoding" not in ask(app, "/healthz", headers={"accept-encoding": "gzip"}).headers


def test_a_real_client_reads_encoded_slices_over_a_socket(app, monkeypatch):
    monkeypatch.setattr("riskengine.serve.answers.answers.MAX_WHOLE_ROWS", 100)
    with serving(app) as url:
        client = Client(url)
        plain = client.request("GET", "/v1/dealers?limit=1000&sort=dealer")
        assert plain.headers["transfer-encoding"] == "chunked"
        packed = client.request("GET", "/v1/dealers?limit=1000&sort=dealer", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["transfer-encoding"] == "chunked"
        head = client.request("HEAD", "/v1/dealers?limit=1000&sort=dealer", headers={"Accept-Encoding": "gzip"})
        assert head.body == b""
        assert head.headers["etag"] == packed.headers["etag"]


@pytest.mark.parametrize("path", KEPT)
def test_an_answer_of_a_snapshot_has_a_strong_etag_for_each_form(app, path):
    path = path.replace("{node:path}", "FX")
    forms = [{}, {"accept": "text/csv"}, {"accept-encoding": "gzip"}, {"accept": "text/csv", "accept-encoding": "gzip"}]
    answers = [ask(app, path, headers=form) for form in forms]
    tags = [answer.headers["etag"] for answer in answers]
    assert all(re.fullmatch(r'"[\w-]+"', tag) for tag in tags)
    by_tag: dict[str, bytes] = {}
    for answer in answers:
        assert by_tag.setdefault(answer.headers["etag"], answer.body) == answer.body
        assert answer.headers["vary"] == VARY
        assert answer.headers["cache-control"] == "private, no-cache"
    assert len(set(tags)) >= len({answer.body for answer in answers})


@pytest.mark.parametrize("path", KEPT)
def test_who_has_the_newest_is_told_so_without_a_body(app, path):
    path = path.replace("{node:path}", "FX")
    for headers in ({}, {"accept-encoding": "gzip"}):
        known = ask(app, path, headers=headers).headers["etag"]
        for sent in (known, f'"other", {known}', f"W/{known}", "*"):
            again = ask(app, path, headers={**headers, "if-none-match": sent})
            assert again.status == 304
            assert again.body == b""
            assert again.headers["etag"] == known
            assert again.headers["vary"] == VARY
    assert ask(app, path, headers={"if-none-match": '"other"'}).status == 200
    assert ask(app, path, headers={"if-none-match": known.strip('"')}).status == 200


def test_a_new_snapshot_is_news():
    gateway = traded()
    app = create_app(gateway)
    known = ask(app, "/v1/nodes").headers["etag"]
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    answer = ask(app, "/v1/nodes", headers={"if-none-match": known})
    assert answer.status == 200
    assert answer.headers["etag"] != known


def test_the_etag_of_one_question_is_no_answer_to_another(app):
    known = ask(app, "/v1/nodes").headers["etag"]
    assert ask(app, "/v1/dealers", headers={"if-none-match": known}).status == 200
    assert ask(app, "/v1/nodes", {"sort": "node"}, headers={"if-none-match": known}).status == 200
    for sent in (known, "*"):
        problem(ask(app, "/v1/ladder", {"node": "NOWHERE"}, headers={"if-none-match": sent}), 404)
        problem(ask(app, "/v1/nodes", {"sort": "colour"}, headers={"if-none-match": sent}), 400)


def test_an_older_snapshot_has_the_etag_that_it_had_and_the_answer_too():
    gateway = traded()
    app = create_app(gateway)
    seq = newest(gateway).seq
    before = ask(app, "/v1/nodes", {"seq": seq})
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    after = ask(app, "/v1/nodes", {"seq": seq})
    assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])
    assert ask(app, "/v1/nodes", {"seq": seq}, headers={"if-none-match": before.headers["etag"]}).status == 304


def test_access_classes_do_not_share_etags_or_kept_answers_and_the_etag_does_not_name_them(app, monkeypatch):
    seen = {}
    for name in ("FX", "CASH"):
        who = Principal("x", frozenset({"viewer"}), Grants(nodes=frozenset({name})))
        monkeypatch.setattr(identity, "LOCAL", who)
        seen[name] = ask(app, "/v1/marks").headers["etag"]
        assert name not in seen[name]
    monkeypatch.setattr(identity, "LOCAL", LOCAL)
    assert len({*seen.values(), ask(app, "/v1/marks").headers["etag"]}) == 3
    monkeypatch.setattr(identity, "LOCAL", Principal("y", frozenset({"viewer"}), Grants(nodes=frozenset({"FX"}))))
    assert ask(app, "/v1/marks").headers["etag"] == seen["FX"]


def test_another_process_has_other_etags(gateway, monkeypatch):
    known = ask(create_app(gateway), "/v1/nodes").headers["etag"]
    assert ask(create_app(gateway), "/v1/nodes").headers["etag"] == known
    monkeypatch.setattr("riskengine.serve.answers.representation._KEY", b"another")
    assert ask(create_app(gateway), "/v1/nodes").headers["etag"] != known


@pytest.mark.parametrize("query", ["limit=1000", "limit=1000&format=csv", "limit=1000&exact=true"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_middling_answer_is_made_whole_to_the_same_bytes_as_in_slices(gateway, monkeypatch, query, encoding):
    whole = ask(create_app(gateway), "/v1/dealers", query, headers={"accept-encoding": encoding})
    assert whole.headers["content-length"] == str(len(whole.body))
    monkeypatch.setattr("riskengine.serve.answers.answers.MAX_WHOLE_ROWS", 100)
    sliced = ask(create_app(gateway), "/v1/dealers", query, headers={"accept-encoding": encoding})
    assert "content-length" not in sliced.headers
    unpack = gzip.decompress if encoding else bytes
    assert unpack(whole.body) == unpack(sliced.body)
    assert whole.headers["etag"] == sliced.headers["etag"]


def test_what_is_kept_is_bounded_in_bytes(monkeypatch):
    gateway = traded(count=250)
    app = create_app(gateway)
    monkeypatch.setattr("riskengine.serve.answers.representation.MAX_CACHE_BYTES", 500_000)
    for limit in range(200, 230):
        ask(app, "/v1/dealers", {"limit": limit})
    kept = app.state.answer_cache._answers.values()
    assert 0 < sum(len(answer.body) for answer in kept) <= 500_000
    monkeypatch.setattr("riskengine.serve.answers.representation.MAX_CACHED_BYTES", 10_000)
    gateway.publish()
    ask(app, "/v1/dealers", {"limit": 200})
    ask(app, "/v1/dealers", {"limit": 1})
    assert [len(answer.body) <= 10_000 for answer in app.state.answer_cache._answers.values()] == [True]


def test_what_many_ask_at_once_is_worked_out_once(monkeypatch):
    gateway = traded(count=250)
    app = create_app(gateway)
    made = 0
    before = Question.valued_header

    def counted(question):
        nonlocal made
        made += 1
        return before(question)

    monkeypatch.setattr(Question, "valued_header", counted)

    async def crowd():
        headers = [{}, {"accept-encoding": "gzip"}] * 20
        return await asyncio.gather(*(call(app, "GET", "/v1/dealers", "limit=1000", headers=each) for each in headers))

    answers = asyncio.run(crowd())
    assert made == 1
    whole = {gzip.decompress(answer.body) if "content-encoding" in answer.headers else answer.body for answer in answers}
    assert len(whole) == 1
    assert len(json.loads(whole.pop())["rows"]) == 253


def test_who_goes_away_takes_the_answer_from_nobody_else():
    app = create_app(traded(count=250))

    async def scenario():
        first = asyncio.create_task(call(app, "GET", "/v1/positions", "sort=-quantity&limit=1000"))
        second = asyncio.create_task(call(app, "GET", "/v1/positions", "sort=-quantity&limit=1000"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(scenario()).status == 200


def test_what_is_wrong_is_told_to_all_who_asked_and_not_kept(app):
    async def crowd():
        return await asyncio.gather(*(call(app, "GET", "/v1/ladder", "node=NOWHERE") for _ in range(5)))

    for answer in asyncio.run(crowd()):
        problem(answer, 404)
