"""The page of the demo in a real browser: what a new user sees after `make demo`."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.clock import SystemClock
from riskengine.config import StoreConfig
from riskengine.serve.app import create_app
from riskengine.store.open_store import open_store
from riskengine.store.witness import Witness
from riskengine.views.checksum import view_checksum
from tests.browser import Browser
from tests.running import Server, running
from tests.serve.stand_in import StandIn, serving
from tests.world import instruments, nodes

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


def test_a_page_without_warnings_has_no_banner(page: Browser) -> None:
    assert page.ask("document.querySelector('#warnings').hidden")


def test_the_page_has_nothing_to_complain_about(page: Browser) -> None:
    page.wait_for("document.querySelector('#ladder').innerText.length > 100")
    assert page.complaints == []


def test_a_page_whose_engine_loads_says_how_far_it_is_and_shows_no_numbers(tmp_path: Path) -> None:
    gateway = StandIn()
    gateway.state, gateway.progress = "loading", 0.734
    with serving(create_app(gateway)) as url, Browser(tmp_path) as browser:
        browser.open(url)
        browser.wait_for("document.querySelector('#loading')?.innerText === 'loading 73 %'")
        assert browser.ask("document.querySelectorAll('main td').length") == 0, "never zeros"


def test_a_warning_is_a_red_banner_for_as_long_as_it_holds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.acquire_writer("a test")
    store.next_epoch(above=8)
    Witness(StoreConfig(url), store, SystemClock()).note()
    store.close()
    with sqlite3.connect(tmp_path / "desk.db") as outside:
        outside.execute("UPDATE meta SET value = '3' WHERE key = 'writer_epoch'")
    outside.close()
    words = ("serve", "--accept-mismatch", "--store", url, "--port", "0")
    with running(*words, log=tmp_path / "log") as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        banner = "document.querySelector('#warnings')"
        browser.wait_for(f"{banner} && !{banner}.hidden && {banner}.innerText.includes('restored from an older state')")
        assert browser.ask(f"getComputedStyle({banner}).backgroundColor") == "rgb(179, 38, 30)"
        assert browser.complaints == []


def test_the_page_comes_to_the_checksums_of_the_engine(demo: Server, page: Browser) -> None:
    odd = {"a": -0.0, "b": "\u00e9\U0001f600", "c": None, "d": True, "e": [1], "f": 2**53}
    rows = [*demo.get("/v1/ladder?node=ALL")["rows"], odd]
    asked = f"import('/checksum.js').then((module) => module.checksum({json.dumps(rows)}))"
    assert page.ask(asked) == view_checksum(rows)


def test_a_view_of_the_page_that_has_drifted_is_asked_for_anew(demo: Server, page: Browser) -> None:
    said = page.ask("""import('/stream.js').then(({ Stream }) => {
        const said = [];
        const stream = new Stream({ onChange() {} });
        stream.send = (message) => said.push(message);
        const { id, view } = stream.subscribe({ view: "nodes" });
        stream.snapshot({ id, epoch: 1, seq: 1, as_of: 1, key: ["node"], rows: [{ node: "ALL", fees: 1 }] });
        const update = { epoch: 1, prev_seq: 1, seq: 2, as_of: 2, views: {}, checksums: { [id]: 12345 } };
        stream.update(update);
        return [said, view.synced];
    })""")
    assert said == [[{"op": "resync", "id": "nodes-0"}], False]


def test_a_page_whose_engine_is_gone_says_so(tmp_path: Path) -> None:
    with running("demo", "--port", "0", log=tmp_path / "log") as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        browser.wait_for(f"{TREE}.includes('ALL')")
        server.kill()
        browser.wait_for("document.querySelector('#nodes').classList.contains('unsynced')")
