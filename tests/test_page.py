"""The page of the demo in a real browser: what a new user sees after `make demo`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.running import Server, running

TREE = "document.querySelector('#nodes').innerText"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("demo", "--port", "0", log=tmp_path_factory.mktemp("demo") / "log") as server:
        yield server


@pytest.fixture
def page(demo: Server, tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as browser:
        browser.open(demo.url)
        browser.wait_for(f"{TREE}.includes('ALL')")
        yield browser


def test_the_tree_shows_every_node(demo: Server, page: Browser) -> None:
    shown = page.ask(TREE)
    assert all(row["node"] in shown for row in demo.get("/v1/nodes")["rows"])


def test_the_numbers_move(page: Browser) -> None:
    before = page.ask(TREE)
    page.wait_for(f"{TREE} !== {before!r}")


def test_a_chosen_node_shows_its_ladder(demo: Server, page: Browser) -> None:
    page.wait_for(f"{TREE}.includes('FX1')")
    page.open(f"{demo.url}/#node=FX1")
    page.wait_for("document.querySelector('#path').innerText.includes('FX1')")
    row = demo.get("/v1/ladder?node=FX1")["rows"][0]
    page.wait_for(f"document.querySelector('#ladder').innerText.includes({row['instrument']!r})")


def test_the_page_has_nothing_to_complain_about(page: Browser) -> None:
    page.wait_for("document.querySelector('#ladder').innerText.length > 100")
    assert page.complaints == []


def test_a_page_whose_engine_is_gone_says_so(tmp_path: Path) -> None:
    with running("demo", "--port", "0", log=tmp_path / "log") as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        browser.wait_for(f"{TREE}.includes('ALL')")
        server.kill()
        browser.wait_for("document.querySelector('#nodes').classList.contains('unsynced')")
