"""`/manual`: pages, search, who reads it, and what its policy lets in."""

import re

import pytest
from starlette.applications import Starlette

from riskengine.serve.app import create_app
from riskengine.serve.manual_pages import Manual
from tests.serve.guarded import GRANTED, Guarded
from tests.serve.stand_in import StandIn, ask, problem

TEXT_HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def app() -> Starlette:
    return create_app(StandIn())


def test_the_index_and_every_page_are_served_and_lead_to_each_other(app: Starlette) -> None:
    index = ask(app, "/manual")
    assert index.status == 200
    listed = set(re.findall(rb'href="manual/(\w+)"', index.body))
    assert {name.decode() for name in listed} == set(Manual().names) - {"index"}
    for name in listed:
        page = ask(app, f"/manual/{name.decode()}")
        assert page.status == 200
        assert b'href="../manual"' in page.body
        assert f'href="{name.decode()}" aria-current="page"'.encode() in page.body or b'href="#" aria-current' in page.body


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs_or_styles_by_itself(app: Starlette) -> None:
    for path in ("/manual", "/manual/operations", "/manual?search=mark"):
        answer = ask(app, *path.split("?"))
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        text = answer.body.decode()
        assert not re.search(r'(?:src|<link[^>]*href)="(?:https?:)?//', text)
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)


def test_a_search_lists_passages_with_their_words_marked_and_links_to_them(app: Starlette) -> None:
    text = ask(app, "/manual", {"search": "feed_gap numbers"}).body.decode()
    assert 'href="manual/operations#warnings.feed_gap"' in text
    assert "<mark>feed_gap</mark>" in text
    assert 'value="feed_gap numbers"' in text


def test_what_is_searched_for_is_shown_and_not_obeyed(app: Starlette) -> None:
    text = ask(app, "/manual", {"search": '"><script>alert(1)</script>'}).body.decode()
    assert "<script>alert" not in text
    assert "nothing in the manual holds all of these words" in text


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/manual/nowhere", {}, 404),
        ("/manual/index", {}, 404),
        ("/manual/../operations", {}, 404),
        ("/manual", {"search": "x" * 201}, 400),
        ("/manual", {"serach": "x"}, 400),
        ("/manual/screens", {"search": "x"}, 400),
    ],
)
def test_what_is_not_there_or_not_understood_is_said(app: Starlette, path: str, query: dict[str, str], status: int) -> None:
    problem(ask(app, path, query), status)


def test_spaces_alone_are_no_search(app: Starlette) -> None:
    assert ask(app, "/manual", {"search": "  "}).body == ask(app, "/manual").body


@pytest.mark.parametrize("state", ["starting", "loading", "stopping", "failed"])
def test_it_is_read_in_every_state_of_the_engine(state: str) -> None:
    gateway = StandIn()
    gateway.state = state
    assert ask(create_app(gateway), "/manual/operations").status == 200


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    return Guarded(tmp_path_factory.mktemp("tokens"))


@pytest.mark.parametrize("name", GRANTED)
def test_every_token_reads_it_whatever_it_shows(house: Guarded, name: str) -> None:
    assert house.ask(name, "/manual").status == house.ask(name, "/manual/access").status == 200


@pytest.mark.parametrize(("path", "login"), [("/manual", "login"), ("/manual/access", "../login")])
def test_strangers_do_not_read_it_and_their_browsers_are_sent_to_the_login(house: Guarded, path: str, login: str) -> None:
    problem(ask(house.app, path), 401)
    answer = ask(house.app, path, headers=TEXT_HTML)
    assert (answer.status, answer.headers["location"]) == (303, login)
