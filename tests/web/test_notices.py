"""What the engine warns of, counts as old, or was named by somebody else, as the page shows it."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from riskengine.clock import SystemClock
from riskengine.config import StoreConfig
from riskengine.store.open_store import open_store
from riskengine.store.witness import Witness
from tests.running import Server, running
from tests.web.browsing import opened
from tests.world import instruments, nodes, row, trade

DAY_US = 86_400_000_000

Engine = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with the usual nodes and instruments."""
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    return url


def serve(url: str, folder: Path, *more: str) -> AbstractContextManager[Server]:
    return running("serve", "--store", url, "--port", "0", *more, log=folder / "log")


def light(page: Any, name: str) -> tuple[str, str, str]:
    """Look, words and everything that a light knows."""
    button = page.locator(f"[data-light={name}]")
    return button.get_attribute("class").split()[-1], button.locator("b").inner_text(), button.get_attribute("title")


def wait_light(page: Any, name: str, look: str, words: str) -> None:
    page.wait_for_function(
        "([name, look, words]) => { const light = document.querySelector(`[data-light=${name}]`);"
        " return light?.classList.contains(look) && light.querySelector('b').textContent.includes(words); }",
        arg=[name, look, words],
    )


def test_names_and_warnings_of_others_are_shown_with_their_controls_made_visible(tmp_path: Path, url: str, browser: Any) -> None:
    odd = "de\x1bsk\x9b\u202eABC"
    with sqlite3.connect(tmp_path / "desk.db") as outside:
        outside.execute("INSERT INTO nodes (node, level, parent) VALUES (?, 'desk', 'ALL')", (odd,))
    outside.close()
    with serve(url, tmp_path) as server, opened(browser, f"{server.url}/#/blotter") as page:
        page.wait_for_function("() => document.querySelector('[data-grid=blotter]')?.textContent.includes('ABC')")
        text = page.evaluate("() => document.body.textContent")
        assert text.count("de\\x1bsk\\x9b\\u202eABC") >= 2, "in the tree and in the grid"
        assert not re.search("[\x1b\x9b\u202e]", text)


def test_a_warning_stays_for_as_long_as_it_holds(tmp_path: Path, url: str, browser: Any) -> None:
    store = open_store(url)
    store.acquire_writer("a test")
    store.next_epoch(above=8)
    Witness(StoreConfig(url), store, SystemClock()).note()
    store.close()
    with sqlite3.connect(tmp_path / "desk.db") as outside:
        outside.execute("UPDATE meta SET value = '3' WHERE key = 'writer_epoch'")
    outside.close()
    with serve(url, tmp_path, "--accept-mismatch", "--reason", "a drill") as server, opened(browser, server.url) as page:
        page.locator(".warnings", has_text="restored from an older state").wait_for()


def test_trades_that_are_kept_out_are_said_and_turn_the_light_of_trades_yellow(tmp_path: Path, url: str, browser: Any) -> None:
    store, now = open_store(url), SystemClock().now()
    store.append_trades([trade("ahead", ts=now + 3_600_000_000, received_ts=now), trade("plain", ts=now, received_ts=now)])
    store.close()
    with serve(url, tmp_path) as server, opened(browser, server.url) as page:
        wait_light(page, "trades", "fair", "")
        assert "1 trade is quarantined" in light(page, "trades")[2]
        page.locator(".warnings", has_text="1 trade is quarantined").wait_for()


def test_the_lights_say_how_many_marks_are_old_and_what_is_with_the_feeds(tmp_path: Path, url: str, browser: Any) -> None:
    now = SystemClock().now()
    held = [row(name, instrument=name, ts=now, desk="FX1") for name in ("EURUSD", "GBPUSD", "EURGBP")]
    with serve(url, tmp_path) as server:
        server.post("/v1/trades", held)
        ages = [("EURUSD", now), ("GBPUSD", now - 3 * DAY_US), ("EURGBP", now - 3 * DAY_US)]
        server.post("/v1/ticks", [{"instrument": name, "ts": ts, "mid": 1.1, "source": "s"} for name, ts in ages])
        with opened(browser, server.url) as page:
            wait_light(page, "prices", "bad", "2 of 3 old")
            stale = page.locator('[data-grid="ladder"] [col-id="mark"] .stale')
            assert stale.count() == 2, "each old mark at its own cell"
            server.post("/v1/ticks", [{"instrument": "GBPUSD", "ts": SystemClock().now(), "mid": 1.1, "source": "s"}])
            wait_light(page, "prices", "fair", "1 of 3 old")
            page.wait_for_function("() => document.querySelectorAll('[data-grid=ladder] [col-id=mark] .stale').length === 1")
            assert light(page, "trades")[0] == "unsure", "nobody beats"
            with connect(server.url.replace("http", "ws") + "/v1/ingest", proxy=None) as publisher:
                publisher.send(json.dumps({"heartbeat": {"source": "booking", "last_seq": 7}}))
            wait_light(page, "trades", "bad", "1 with gaps")
            assert "booking: 7 trades missing" in light(page, "trades")[2]
            wait_light(page, "trades", "bad", "1 silent")
            server.post("/v1/feeds/booking", {"action": "retire"})
            wait_light(page, "trades", "unsure", "")


def test_unknown_is_a_dash_with_its_reason_and_never_a_zero(tmp_path: Path, url: str, browser: Any) -> None:
    with serve(url, tmp_path) as server, opened(browser, server.url) as page:
        server.post("/v1/trades", [row("one", ts=SystemClock().now(), desk="FX1")])
        mark = page.locator('[data-grid="ladder"] .ag-row[row-id="=EURUSD"] [col-id="mark"]')
        mark.get_by_text("\u2014").wait_for()
        total = page.locator('[data-grid="ladder"] .ag-row[row-id="=EURUSD"] [col-id="total_pnl"]')
        assert total.inner_text() == "\u2014"
        mark.click()
        page.locator('[data-grid="ladder"] .said', has_text="unpriced: there is no quote and no close").wait_for()
        wait_light(page, "prices", "bad", "1 unpriced")
