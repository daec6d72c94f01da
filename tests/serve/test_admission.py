"""Admission: which requests are let in, and what the others are answered."""

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import AccessConfig, Config
from riskengine.errors import ConfigError
from riskengine.serve.access.audit import MAX_DISTINCT_ENTRIES
from riskengine.serve.access.backoff import FREE_FAILURES, MAX_ADDRESSES, MAX_WAIT_S, LoginBackoff
from riskengine.serve.access.identity import MAX_LOGINS_PER_TOKEN, Logins
from riskengine.serve.access.origins import STRANGER, address_of
from riskengine.serve.access.tokens import new_token
from riskengine.serve.app import create_app
from tests.serve.guarded import FORGED_ORIGINS, FORM, ORIGIN, Guarded, bearer, cookie_of
from tests.serve.stand_in import StandIn, ask, post, problem
from tests.world import SECOND, row

SOON = dt.datetime(2026, 3, 4, 12, 0, 10, tzinfo=dt.UTC)
"""Ten seconds after NOON."""


@pytest.fixture
def house(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def refusals(house: Guarded, reason: str) -> float:
    return house.gateway.metrics.registry.get_sample_value("riskengine_refusals_total", {"reason": reason}) or 0.0


# -- tokens of programs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/nodes", "/v1/status", "/metrics", "/openapi.json", "/app.js", "/nothing", "/v1/holdings", "/login.html"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
def test_strangers_are_told_nothing_not_even_what_there_is(house: Guarded, method: str, path: str) -> None:
    answer = ask(house.app, path, method=method)
    assert problem(answer, 401)["detail"] == "a valid token is needed"
    assert answer.headers["www-authenticate"] == 'Bearer realm="riskengine"'


def test_strangers_may_ask_whether_the_engine_lives(house: Guarded) -> None:
    house.gateway.warnings["breaks"] = "ZETADESK differs"
    assert ask(house.app, "/healthz").status == 200
    assert ask(house.app, "/readyz").json() == {"state": "live", "progress": 1.0, "warnings": []}
    house.gateway.state = "loading"
    told = problem(ask(house.app, "/readyz"), 503)
    assert told["state"] == "loading"
    assert "trades_total" not in told


def garbled(token: str) -> list[str]:
    return [
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Basic {token}",
        token,
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        "Bearer " + "x" * 100_000,
        f"Bearer {token.swapcase()}",
        "Bearer \xff\xfe",
        "Bearer *",
        "Bearer ' OR 1=1",
        f"Bearer {new_token()}",
    ]


def test_a_token_that_is_none_is_answered_alike_whatever_is_wrong_with_it(house: Guarded, tmp_path: Path) -> None:
    old = house.create("old", role="viewer", nodes=["OURDESK"], expires=SOON)
    gone = house.create("gone", role="viewer", nodes=["OURDESK"])
    house.revoke("gone")
    house.clock.advance(11 * SECOND)
    sent = [*garbled(house.tokens["dealer"]), f"Bearer {old}", f"Bearer {gone}"]
    answers = set()
    for each in sent:
        app = create_app(house.gateway)  # with nothing against this address yet
        answer = ask(app, "/v1/nodes", headers={"authorization": each})
        answers.add((answer.status, answer.body, answer.headers["www-authenticate"]))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


def test_a_token_is_good_until_the_moment_it_expires(house: Guarded) -> None:
    house.create("brief", role="viewer", nodes=["OURDESK"], expires=SOON)
    app = create_app(house.gateway)
    house.clock.advance(10 * SECOND - 1)
    assert ask(app, "/v1/nodes", headers=bearer(house.tokens["brief"])).status == 200
    house.clock.advance(1)
    assert ask(app, "/v1/nodes", headers=bearer(house.tokens["brief"])).status == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_written_as_anybody_likes(house: Guarded, scheme: str) -> None:
    sent = f"{scheme} {house.tokens['dealer']}"
    assert ask(house.app, "/v1/nodes", headers={"authorization": sent}).status == 200


def test_two_authorizations_are_none(house: Guarded) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/nodes",
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Bearer {house.tokens['boss']}".encode())] * 2,
    }
    assert house.app.state.authenticator.authenticate(scope).failed


def test_a_viewer_cannot_post_trades(house: Guarded) -> None:
    for name in ("viewer", "dealer", "boss"):
        told = problem(house.post(name, "/v1/trades", [row(desk="OURDESK")]), 403)
        assert told["title"] == "Not allowed"
    assert house.gateway.stored == []
    assert refusals(house, "role") == 3


@pytest.mark.parametrize("origin", FORGED_ORIGINS)
def test_a_forged_origin_is_refused_before_the_token_is_looked_at(house: Guarded, origin: str) -> None:
    for path, body in (("/v1/trades", [row(desk="OURDESK")]), ("/login", b"token=x"), ("/logout", b""), ("/v1/reconcile", {})):
        problem(house.post("feed", path, body, headers={"origin": origin}), 403)
    assert house.gateway.stored == []
    assert refusals(house, "origin") == 4
    assert refusals(house, "token") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1//nodes",
        "//v1/nodes",
        "/v1/nodes/",
        "/v1/./nodes",
        "/healthz/../v1/nodes",
        "/login/../v1/nodes",
        "/login.css/../v1/nodes",
        "/healthz/",
        "/healthz;/v1/nodes",
        "/HEALTHZ",
        "/login%2f..%2fv1/nodes",
        "/%2e%2e/tokens.toml",
        "/../tokens.toml",
        "/icon.svg/../../config.py",
        "/..%2f..%2fpyproject.toml",
        "/login.css\x00/v1/nodes",
    ],
)
def test_no_way_of_writing_a_path_leads_around_the_door(house: Guarded, path: str) -> None:
    assert ask(house.app, path).status == 401
    answer = house.ask("dealer", path)
    assert answer.status in (403, 404), answer


@pytest.mark.parametrize(
    "node", ["../ZETADESK", "..%2fZETADESK", "OURDESK/../ZETADESK", "ZETADESK/", "%5AETADESK", "zetadesk", "OURDESK\x00"]
)
def test_no_way_of_writing_a_name_leads_to_another(house: Guarded, node: str) -> None:
    assert house.ask("dealer", f"/v1/nodes/{node}").status == 403


def test_head_is_asked_for_what_get_is(house: Guarded) -> None:
    assert house.ask("dealer", "/v1/nodes", method="HEAD").status == 200
    assert house.ask("dealer", "/v1/nodes/ZETADESK", method="HEAD").status == 403
    assert house.ask("dealer", "/v1/digest", method="HEAD").status == 403
    answer = house.ask("dealer", "/v1/nodes", method="OPTIONS", headers={"access-control-request-method": "GET"})
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


# -- guessing ------------------------------------------------------------------------------------------------------


def test_guessing_becomes_slow_and_a_token_that_was_good_there_goes_on(house: Guarded) -> None:
    assert house.ask("dealer", "/v1/nodes").status == 200
    statuses = [ask(house.app, "/v1/nodes", headers=bearer(new_token())).status for _ in range(FREE_FAILURES + 3)]
    assert statuses == [401] * FREE_FAILURES + [429] * 3
    answer = ask(house.app, "/v1/nodes", headers=bearer(new_token()))
    assert problem(answer, 429)["title"] == "Too often"
    assert int(answer.headers["retry-after"]) >= 1
    assert house.ask("viewer", "/v1/nodes").status == 429, "it is not looked at, so it cannot be found by guessing"
    assert house.ask("dealer", "/v1/nodes").status == 200
    assert ask(house.app, "/healthz").status == 200
    assert post(house.app, "/login", f"token={house.tokens['boss']}".encode(), headers=FORM).status == 429
    assert refusals(house, "rate") == 6


def test_waits_double_end_and_are_of_one_address() -> None:
    now = [0.0]
    slow = LoginBackoff(lambda: now[0])
    waits = []
    for _ in range(FREE_FAILURES + 8):
        slow.note_failure("a")
        waits.append(slow.wait_s("a", "hash"))
        now[0] += waits[-1]
        assert slow.wait_s("a", "hash") == 0
    assert waits == [0.0] * (FREE_FAILURES - 1) + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert max(waits) == MAX_WAIT_S
    slow.note_failure("a")
    assert slow.wait_s("a", "hash") > 0
    assert slow.wait_s("b", "hash") == 0


def test_the_memory_of_failures_is_bounded() -> None:
    slow = LoginBackoff()
    for number in range(3 * MAX_ADDRESSES):
        slow.note_failure(f"10.{number}")
        slow.note_success(f"10.{number}", "hash")
    assert len(slow._failures) == MAX_ADDRESSES
    assert len(slow._known) <= 4 * MAX_ADDRESSES


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("::1", "::1"),
        (None, ""),
        ("unix", "unix"),
    ],
)
def test_an_address_of_ipv6_is_its_network(client: str | None, address: str) -> None:
    assert address_of({"client": None if client is None else (client, 1)}) == address


# -- browsers ------------------------------------------------------------------------------------------------------


def logged_in(house: Guarded, name: str) -> dict[str, str]:
    answer = post(house.app, "/login", f"token={house.tokens[name]}".encode(), headers=FORM)
    assert (answer.status, answer.headers["location"]) == (303, "./")
    return cookie_of(answer)


def test_a_browser_that_asks_for_the_page_is_led_to_the_login(house: Guarded) -> None:
    answer = ask(house.app, "/", headers={"accept": "text/html,*/*"})
    assert (answer.status, answer.headers["location"]) == (303, "login")
    page = ask(house.app, "/login")
    assert page.status == 200
    assert b'<form method="post" action="login">' in page.body
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin", "or browsers post its forms with Origin: null"
    assert "form-action 'self'; frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert ask(house.app, "/").status == 401, "a program is not"
    assert ask(house.app, "/v1/nodes", headers={"accept": "text/html"}).status == 401
    assert ask(house.app, "/login.css").status == ask(house.app, "/icon.svg").status == 200


def test_a_login_gives_a_cookie_that_no_script_reads_and_no_other_site_sends(house: Guarded) -> None:
    answer = post(house.app, "/login", f"token={house.tokens['dealer']}".encode(), headers=FORM)
    sent = answer.headers["set-cookie"]
    assert re.fullmatch(r"riskengine_session=[\w-]{43}; HttpOnly; Path=/; SameSite=strict", sent)
    assert house.tokens["dealer"] not in sent
    assert sent != post(house.app, "/login", f"token={house.tokens['dealer']}".encode(), headers=FORM).headers["set-cookie"]
    cookie = cookie_of(answer)
    assert [item["node"] for item in ask(house.app, "/v1/nodes", headers=cookie).json()["rows"]] == ["OURDESK"]
    assert ask(house.app, "/", headers=cookie | {"accept": "text/html"}).status == 200
    assert b"Logged in as dealer." in ask(house.app, "/login", headers=cookie).body


def test_behind_a_proxy_that_speaks_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    house = Guarded(tmp_path, origins=("https://risk.example.com",))
    body = f"token={house.tokens['dealer']}".encode()
    answer = post(house.app, "/login", body, headers={"origin": "https://risk.example.com", "host": "risk.example.com"})
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("body", [b"", b"token=", b"token=rt_wrong", b"token=a&token=b", b"{}", b"\xff", b"&" * 50, b"x" * 4_096])
def test_what_is_no_token_is_answered_alike(house: Guarded, body: bytes) -> None:
    answer = post(house.app, "/login", body, headers=FORM)
    assert answer.status == 401
    assert b"This token is not valid." in answer.body
    assert "set-cookie" not in answer.headers


def test_a_form_is_short(house: Guarded) -> None:
    assert post(house.app, "/login", b"token=" + b"x" * 5_000, headers=FORM).status == 413


@pytest.mark.parametrize("query", ["next=https://evil.example", "next=//evil.example", "returnTo=/\\evil.example"])
def test_nothing_that_is_sent_decides_where_a_login_leads(house: Guarded, query: str) -> None:
    body = f"token={house.tokens['dealer']}&{query}".encode()
    answer = post(house.app, "/login", body, query=query, headers=FORM | {"referer": "https://evil.example/"})
    assert answer.headers["location"] == "./"
    assert ask(house.app, "/", query, headers={"accept": "text/html"}).headers["location"] == "login"


def test_with_a_cookie_what_changes_something_must_say_where_it_comes_from(house: Guarded) -> None:
    cookie = logged_in(house, "boss")
    problem(post(house.app, "/v1/reconcile", {}, headers=cookie), 403)
    assert post(house.app, "/v1/reconcile", {}, headers=cookie | {"origin": ORIGIN}).status == 200
    problem(post(house.app, "/v1/reconcile", {}, headers=cookie | {"origin": "https://evil.example"}), 403)


def test_a_logout_ends_the_login(house: Guarded) -> None:
    cookie, other = logged_in(house, "dealer"), logged_in(house, "dealer")
    answer = post(house.app, "/logout", b"", headers=cookie | FORM)
    assert (answer.status, answer.headers["location"]) == (303, "login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert ask(house.app, "/v1/nodes", headers=cookie).status == 401
    assert ask(house.app, "/v1/nodes", headers=other).status == 200
    assert [entry[0] for entry in house.gateway.noted if entry[3] == "dealer"] == ["login", "logout"], "the second counts"


def test_a_cookie_ends_with_its_token(house: Guarded) -> None:
    cookie = logged_in(house, "dealer")
    house.revoke("dealer")
    look_again(house)
    assert ask(house.app, "/v1/nodes", headers=cookie).status == 401


@pytest.mark.parametrize(
    "cookie", ["riskengine_session=", "riskengine_session=x", "riskengine_session", "=", "a=b; ; riskengine_session=1"]
)
def test_a_cookie_that_is_none_is_nothing(house: Guarded, cookie: str) -> None:
    for _ in range(3 * FREE_FAILURES):
        assert ask(house.app, "/v1/nodes", headers={"cookie": cookie}).status == 401, "and makes nobody wait"


def test_logins_are_bounded() -> None:
    logins = Logins()
    cookies = [logins.begin("one") for _ in range(3 * MAX_LOGINS_PER_TOKEN)]
    assert [logins.token_of(cookie) for cookie in cookies] == [None] * (2 * MAX_LOGINS_PER_TOKEN) + ["one"] * MAX_LOGINS_PER_TOKEN
    for cookie in cookies:
        logins.end(cookie)
    assert logins._by_token == {}


def test_without_tokens_nobody_logs_in() -> None:
    app = create_app(StandIn())
    assert ask(app, "/login").headers["location"] == "./"
    assert post(app, "/login", b"token=x").headers["location"] == "./"
    assert ask(app, "/", headers={"accept": "text/html"}).status == 200


# -- the file ------------------------------------------------------------------------------------------------------


def look_again(house: Guarded) -> None:
    """At the next request, however soon it comes."""
    house.app.state.authenticator._check_at = 0.0


def test_a_file_that_cannot_be_read_refuses_the_start(tmp_path: Path) -> None:
    for path, content in ((tmp_path / "missing", None), (tmp_path / "broken", "[[token]]\nname = 5\n"), (tmp_path, None)):
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError, match=r"tokens file .*: "):
            create_app(StandIn(config=Config(access=AccessConfig(tokens_file=str(path)))))


def test_a_change_of_the_file_counts_while_the_engine_runs(house: Guarded) -> None:
    look_again(house)
    late = house.create("late", role="viewer", nodes=["OURDESK"])
    assert ask(house.app, "/v1/nodes", headers=bearer(late)).status == 200
    house.revoke("late")
    look_again(house)
    assert ask(house.app, "/v1/nodes", headers=bearer(late)).status == 401
    assert [(kind, detail) for kind, _, detail, _ in house.gateway.noted if kind == "tokens"] == [
        ("tokens", {"added": ["late"], "ended": []}),
        ("tokens", {"added": [], "ended": ["late"]}),
    ]


def test_a_file_that_is_gone_lets_nobody_in_and_never_everybody(house: Guarded) -> None:
    os.unlink(house.file)
    look_again(house)
    assert house.ask("boss", "/v1/nodes").status == 401
    assert ask(house.app, "/v1/nodes").status == 401
    assert "is gone" in house.gateway.warnings["tokens"]


def test_a_file_that_is_spoiled_changes_nothing_and_says_so_until_it_is_mended(house: Guarded) -> None:
    good = house.file.read_text()
    house.file.write_text("[[token]\n")
    look_again(house)
    assert house.ask("boss", "/v1/nodes").status == 200
    assert ask(house.app, "/v1/nodes").status == 401
    assert "stay in force" in house.gateway.warnings["tokens"]
    house.file.write_text(good)
    look_again(house)
    assert house.ask("boss", "/v1/nodes").status == 200
    assert "tokens" not in house.gateway.warnings


# -- metrics and audit trail -------------------------------------------------------------------------------------


def test_refusals_are_noted_once_and_then_counted(house: Guarded) -> None:
    for _ in range(5):
        house.ask("viewer", "/v1/digest")
        ask(house.app, "/v1/nodes")
    noted = [entry for entry in house.gateway.noted if entry[0] == "refused"]
    assert noted == [
        ("refused", "/v1/digest", {"reason": "grant", "path": "/v1/digest", "count": 1}, "viewer"),
        ("refused", "/v1/nodes", {"reason": "token", "path": "/v1/nodes", "count": 1}, "stranger at 127.0.0.1"),
    ]
    house.app.state.access_audit.flush()
    assert [(entry[1], entry[2]["count"]) for entry in house.gateway.noted[-2:]] == [("/v1/digest", 4), ("/v1/nodes", 4)]
    assert (refusals(house, "grant"), refusals(house, "token")) == (5, 5)


def test_a_flood_of_refusals_does_not_fill_the_trail(house: Guarded) -> None:
    for number in range(10 * MAX_DISTINCT_ENTRIES):
        ask(house.app, f"/nothing/{number}")
    house.app.state.access_audit.flush()
    noted = [entry for entry in house.gateway.noted if entry[0] == "refused"]
    assert len(noted) <= 2 * MAX_DISTINCT_ENTRIES + 2
    assert sum(entry[2]["count"] for entry in noted) == 10 * MAX_DISTINCT_ENTRIES, "and none is lost"


def test_every_reason_is_a_series_from_the_start() -> None:
    text = StandIn().metrics.render().decode()
    for reason in ("host", "origin", "token", "role", "grant", "rate", "connections"):
        assert f'riskengine_refusals_total{{reason="{reason}"}} 0.0' in text
    assert STRANGER.roles == frozenset()
