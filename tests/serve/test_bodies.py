"""Bodies in codings, and requests for a websocket by plain HTTP."""

import gzip
import json

import pytest

from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, problem
from tests.world import NOON

TICK = [{"instrument": "EURUSD", "ts": NOON, "bid": 1.19, "ask": 1.21}]
BODY = json.dumps(TICK).encode()


@pytest.fixture
def app():
    return create_app(StandIn())


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_a_gzip_body_is_read(app, coding):
    half = len(BODY) // 2
    for packed in (gzip.compress(BODY), gzip.compress(BODY[:half]) + gzip.compress(BODY[half:])):
        answer = post(app, "/v1/ticks", packed, headers={"content-encoding": coding})
        assert answer.json() == {"accepted": 1, "refused": 0, "errors": []}


def test_a_plain_body_in_the_coding_identity_is_read(app):
    assert post(app, "/v1/ticks", BODY, headers={"content-encoding": "identity"}).json()["accepted"] == 1


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br"])
def test_every_other_coding_is_refused_and_the_answer_says_what_is_read(app, coding):
    answer = post(app, "/v1/ticks", BODY, headers={"content-encoding": coding})
    assert "gzip" in problem(answer, 415)["detail"]
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("broken", [b"no gzip", gzip.compress(BODY, mtime=0)[:-9], gzip.compress(BODY, mtime=0) + b"rubbish"])
def test_a_broken_gzip_body_is_a_bad_request(app, broken):
    assert "gzip" in problem(post(app, "/v1/ticks", broken, headers={"content-encoding": "gzip"}), 400)["detail"]


def test_a_bomb_is_not_unpacked(app):
    bomb = gzip.compress(b" " * 200_000_000)
    assert len(bomb) < 1_048_576
    problem(post(app, "/v1/ticks", bomb, headers={"content-encoding": "gzip"}), 413)
    just = gzip.compress(b"[" + b" " * (1_048_576 - 2) + b"]")
    assert post(app, "/v1/ticks", just, headers={"content-encoding": "gzip"}).status == 200


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/ingest"])
def test_a_websocket_asked_for_by_plain_http_says_that_it_is_one(app, path):
    answer = ask(app, path)
    assert "ws://" in problem(answer, 426)["detail"]
    assert answer.headers["upgrade"] == "websocket"
    problem(ask(app, path, method="POST"), 405)
