"""The page of the demo in a real browser: what a new user sees after `make demo`."""

import json
import re
import sqlite3
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from websockets.sync.client import connect

from riskengine.clock import SystemClock
from riskengine.config import StoreConfig
from riskengine.serve.app import create_app
from riskengine.store.open_store import open_store
from riskengine.store.witness import Witness
from riskengine.views.checksum import view_checksum
from tests.browser import Browser
from tests.running import Server, running
from tests.serve.stand_in import StandIn, serving
from tests.waiting import wait_until
from tests.world import instruments, nodes, row, trade

TREE = "document.querySelector('#nodes').innerText"
CUT = "document.querySelector('#cut').innerText"


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


def test_a_question_to_a_page_that_gives_way_to_another_is_asked_again(tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / f"{name}.html").write_text(f"<title>{name}</title>")
    go_on = "document.title === 'after' ? 'there' : (location.href = 'after.html', new Promise(() => 0))"
    with Browser(tmp_path / "profile") as browser:
        browser.open((tmp_path / "before.html").as_uri())
        browser.wait_for("document.title === 'before'")
        assert browser.wait_for(go_on) == "there"


def lines_of(table: str) -> str:
    """An expression: the texts of a table's cells, line by line."""
    rows = f"document.querySelectorAll('#{table} tbody tr')"
    return f"[...{rows}].map((line) => [...line.cells].map((cell) => cell.textContent))"


def cut_of(text: str) -> tuple[int, int]:
    """Epoch and seq in the header of the page."""
    found = re.search(r"snapshot (\d+)\.(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def read_page(page: Browser, table: str) -> tuple[int, int, list[list[str]]]:
    """Epoch, seq and the lines of a table, of one moment. An update has moved all tables to that seq."""
    page.wait_for(f"{CUT} && !document.querySelector('.unsynced')")
    before = page.ask(CUT)
    page.wait_for(f"{CUT} !== {json.dumps(before)}")
    header, lines = page.ask(f"[{CUT}, {lines_of(table)}]")
    return *cut_of(header), lines


def at_that_seq(demo: Server, page: Browser, table: str, path: str) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """The lines of a table on the page, and the rows of the API at the seq that the page shows."""
    for _ in range(10):
        epoch, seq, lines = read_page(page, table)
        request = Request(f"{demo.url}{path}{'&' if '?' in path else '?'}seq={seq}")
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=10) as answered:
                answer = json.load(answered)
        except HTTPError as error:
            if error.code != HTTPStatus.GONE:  # on a busy machine the snapshot may be older than two seconds
                raise
            continue
        assert (answer["epoch"], answer["seq"]) == (epoch, seq)
        return lines, answer["rows"]
    raise AssertionError("the snapshot on the page was always gone")


def whole(value: float | None, plus: str = "") -> str:
    """A number as the page writes it: whole, with a minus sign or `plus`; a dash for unknown."""
    if value is None:
        return "\u2014"
    size = f"{Decimal(abs(value)).quantize(Decimal(1), ROUND_HALF_UP):,}"
    return size if size == "0" else ("\u2212" if value < 0 else plus) + size


def quantity(value: float) -> str:
    """A position as the page writes it: signed, with all its decimals."""
    return f"{Decimal(str(value)).normalize():+,f}".replace("-", "\u2212")


def test_the_tree_shows_every_node(demo: Server, page: Browser) -> None:
    nodes = {row["node"] for row in demo.get("/v1/nodes")["rows"]}
    page.wait_for(f"{lines_of('nodes')}.length === {len(nodes)}")
    assert {line[0] for line in page.ask(lines_of("nodes"))} == nodes


def test_the_tree_shows_the_numbers_of_the_api_at_the_same_seq(demo: Server, page: Browser) -> None:
    wait_until(lambda: demo.get("/v1/nodes")["rows"][0]["trade_count"] > 3, 30)
    lines, rows = at_that_seq(demo, page, "nodes", "/v1/nodes")
    amounts = ("total_pnl", "realised_pnl", "unrealised_pnl", "net_exposure")
    sizes = ("gross_exposure", "trade_count", "unpriced_count", "stale_count")
    expected = {
        row["node"]: [*(whole(row[name], "+") for name in amounts), *(whole(row[name]) for name in sizes)] for row in rows
    }
    assert {name: numbers for name, *numbers in lines} == expected
    assert any(row["total_pnl"] and row["trade_count"] for row in rows), "the demo deals"


def test_the_numbers_move(demo: Server, page: Browser) -> None:
    first_epoch, first_seq, before = read_page(page, "nodes")
    total = f"{lines_of('nodes')}[0][1]"
    page.wait_for(f"{total} !== {json.dumps(before[0][1])}")
    epoch, seq, _ = read_page(page, "nodes")
    assert epoch == first_epoch
    assert seq > first_seq


def test_a_chosen_node_shows_its_ladder(demo: Server, page: Browser) -> None:
    page.wait_for(f"{TREE}.includes('FX1')")
    page.open(f"{demo.url}/#node=FX1")
    page.wait_for("document.querySelector('#path').innerText.endsWith('FX1')")
    lines, rows = at_that_seq(demo, page, "ladder", "/v1/ladder?node=FX1")
    open_rows = {row["instrument"]: row for row in rows if row["quantity"]}
    shown = {line[0]: line[1:] for line in lines if line[0] in open_rows}
    assert open_rows, "the demo deals in FX1"
    assert {name: (cells[0], *cells[-3:]) for name, cells in shown.items()} == {
        name: (quantity(row["quantity"]), *(whole(row[field], "+") for field in ("unrealised_pnl", "realised_pnl", "total_pnl")))
        for name, row in open_rows.items()
    }


def test_the_banner_says_what_is_kept_out_and_goes_once_a_person_has_decided(demo: Server, page: Browser) -> None:
    page.wait_for("document.querySelector('#warnings')?.innerText.includes('1 trade is quarantined')")
    for kind, action in (("conflict", "reject"), ("quarantined", "reject"), ("parked", "accept"), ("unmatched", "accept")):
        for item in demo.get(f"/v1/exceptions?kind={kind}")["rows"]:
            demo.post(f"/v1/exceptions/{quote(item['id'], safe='')}", {"action": action})
    page.wait_for("document.querySelector('#warnings').hidden")


def test_the_page_has_nothing_to_complain_about(page: Browser) -> None:
    _, _, lines = read_page(page, "ladder")
    assert lines[0][0] == "all"
    assert page.complaints == []


def test_a_page_whose_engine_loads_says_how_far_it_is_and_shows_no_numbers(tmp_path: Path) -> None:
    gateway = StandIn()
    gateway.state, gateway.progress = "loading", 0.734
    with serving(create_app(gateway)) as url, Browser(tmp_path) as browser:
        browser.open(url)
        browser.wait_for("document.querySelector('#loading')?.innerText === 'loading 73 %'")
        assert browser.ask("document.querySelectorAll('main td').length") == 0, "never zeros"


def test_names_and_warnings_of_others_are_shown_with_their_controls_made_visible(tmp_path: Path) -> None:
    odd = "de\x1bsk\x9b\u202eABC"
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with sqlite3.connect(tmp_path / "desk.db") as outside:
        outside.execute("INSERT INTO nodes (node, level, parent) VALUES (?, 'desk', 'ALL')", (odd,))
    outside.close()
    with (
        running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server,
        Browser(tmp_path / "profile") as browser,
    ):
        browser.open(server.url)
        browser.wait_for("document.querySelector('#nodes').textContent.includes('ABC')")
        text = browser.ask("document.body.textContent")
        assert "de\\x1bsk\\x9b\\u202eABC" in text
        assert not re.search("[\x1b\x9b\u202e]", text)


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
    words = ("serve", "--accept-mismatch", "--reason", "a drill", "--store", url, "--port", "0")
    with running(*words, log=tmp_path / "log") as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        banner = "document.querySelector('#warnings')"
        browser.wait_for(f"{banner} && !{banner}.hidden && {banner}.innerText.includes('restored from an older state')")
        assert browser.ask(f"getComputedStyle({banner}).backgroundColor") == "rgb(179, 38, 30)"
        assert browser.complaints == []


def test_trades_that_are_kept_out_are_said_and_turn_the_light_of_trades_yellow(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    now = SystemClock().now()
    store.append_trades([trade("ahead", ts=now + 3_600_000_000, received_ts=now), trade("plain", ts=now, received_ts=now)])
    store.close()
    with (
        running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server,
        Browser(tmp_path / "profile") as browser,
    ):
        browser.open(server.url)
        browser.wait_for("document.querySelector('#light-trades')?.className === 'fair'")
        assert "1 trade is quarantined" in browser.ask("document.querySelector('#light-trades').title")
        assert "1 trade is quarantined" in browser.ask("document.querySelector('#warnings').innerText")
        assert browser.complaints == []


def test_the_page_comes_to_the_checksums_of_the_engine(demo: Server, page: Browser) -> None:
    odd = {"a": -0.0, "b": "\u00e9\U0001f600", "c": None, "d": True, "e": [1], "f": 2**53}
    rows = [*demo.get("/v1/ladder?node=ALL")["rows"], odd]
    asked = f"import('/checksum.js').then((module) => module.checksum({json.dumps(rows)}))"
    assert page.ask(asked) == view_checksum(rows)


def test_a_view_of_the_page_that_has_drifted_is_asked_for_anew(demo: Server, page: Browser) -> None:
    asked, synced = page.ask("""import('/stream.js').then(({ Stream }) => {
        const asked = [];
        const stream = new Stream({ onChange() {} });
        stream.send = (message) => asked.push(message);
        const { id, view } = stream.subscribe({ view: "nodes" });
        stream.snapshot({ id, epoch: 1, seq: 1, as_of: 1, key: ["node"], rows: [{ node: "ALL", fees: 1 }] });
        const update = { epoch: 1, prev_seq: 1, seq: 2, as_of: 2, views: {}, checksums: { [id]: 12345 } };
        stream.update(update);
        return [asked, view.synced];
    })""")
    assert asked == [{"op": "resync", "id": "nodes-0"}]
    assert synced is False


def test_a_page_whose_engine_is_gone_says_so(tmp_path: Path) -> None:
    with running("demo", "--port", "0", log=tmp_path / "log") as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        browser.wait_for(f"{TREE}.includes('ALL')")
        server.kill()
        browser.wait_for("document.querySelector('#nodes').classList.contains('unsynced')")


LIGHTS = "Object.fromEntries(['prices', 'feeds'].map((name) => [name, (({className, innerText, title}) => \
    [className, innerText.replace(/\\s+/g, ' ').trim(), title])(document.querySelector(`#light-${name}`))]))"


def test_the_lights_say_how_many_marks_are_old_and_what_is_with_the_feeds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    now = SystemClock().now()
    held = [row(name, instrument=name, ts=now, desk="FX1") for name in ("EURUSD", "GBPUSD", "EURGBP")]
    with (
        running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server,
        Browser(tmp_path / "profile") as browser,
    ):
        server.post("/v1/trades", held)
        old = now - 3 * 86_400_000_000
        ages = [("EURUSD", now), ("GBPUSD", old), ("EURGBP", old)]
        server.post("/v1/ticks", [{"instrument": name, "ts": ts, "mid": 1.1, "source": "s"} for name, ts in ages])
        browser.open(server.url)
        browser.wait_for(f"{LIGHTS}.prices[1].includes('2 of 3 old')")
        assert browser.ask(LIGHTS)["prices"][0] == "bad", "more than half are three days old"
        server.post("/v1/ticks", [{"instrument": "GBPUSD", "ts": SystemClock().now(), "mid": 1.1, "source": "s"}])
        browser.wait_for(f"{LIGHTS}.prices[1].includes('1 of 3 old') && {LIGHTS}.prices[0] === 'fair'")
        assert browser.ask(LIGHTS)["feeds"][:2] == ["good", "feeds 1"]
        with connect(server.url.replace("http", "ws") + "/v1/ingest", proxy=None) as publisher:
            publisher.send(json.dumps({"heartbeat": {"source": "booking", "last_seq": 7}}))
        browser.wait_for(f"{LIGHTS}.feeds[1].includes('1 with gaps') && {LIGHTS}.feeds[0] === 'bad'")
        assert "booking: 7 trades missing" in browser.ask(LIGHTS)["feeds"][2]
        browser.wait_for(f"{LIGHTS}.feeds[1].includes('1 silent')")
        assert browser.complaints == []
