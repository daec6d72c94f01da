"""What a page does when its engine is silent, gone, another one, or not yet there: grey in time, right afterwards."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskengine.clock import SystemClock
from riskengine.serve.app import create_app
from riskengine.store.open_store import open_store
from tests.running import Server, running
from tests.serve.stand_in import StandIn, serving
from tests.web.browsing import amount, at_that_seq, opened, wait_live
from tests.world import instruments, nodes, row

GREY_WITHIN_S = 3.0

REFUSED = (
    "ERR_CONNECTION_REFUSED",
    "WebSocket connection to",
    "ERR_INTERNET_DISCONNECTED",
    "ERR_EMPTY_RESPONSE",
    "ERR_CONNECTION_RESET",
    "503",
)
"""What a browser writes into its console of an engine that is not there."""

LINK = "() => document.body.dataset.link"
TOTAL = "() => document.querySelector('[data-grid=ladder] .ag-row[row-id=total] [col-id=total_pnl]')?.textContent"
IS_GREY = "() => Number(getComputedStyle(document.querySelector('[data-grid=ladder] .ag-root')).opacity) < 1"


@contextmanager
def engine(folder: Path, port: str = "0") -> Iterator[Server]:
    """An engine with one position and its price."""
    url = f"sqlite:///{folder}/desk.db"
    if not (folder / "desk.db").exists():
        store = open_store(url)
        store.save_nodes(nodes())
        store.save_instruments(instruments())
        store.close()
    with running("serve", "--store", url, "--port", port, log=folder / "log") as server:
        yield server


def deal(server: Server, name: str, quantity: str) -> None:
    server.post("/v1/trades", [row(name, ts=SystemClock().now(), desk="FX1", quantity=quantity)])
    server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": SystemClock().now(), "mid": 1.2345, "source": "s"}])


def wait_shown(page: Any, server: Server) -> None:
    """The page shows what the engine says at the same seq."""
    page.wait_for_function("() => document.querySelector('[data-grid=ladder] .line-row')")
    cells, rows = at_that_seq(server, page, "ladder", "/v1/ladder?node=ALL")
    [position] = rows
    assert cells["=EURUSD"]["total_pnl"] == amount(position["total_pnl"])
    assert not page.evaluate(IS_GREY)


RECORD = """() => {
    window.seen = [];
    const grid = () => document.querySelector('[data-grid=ladder] .ag-root');
    const look = () => {
        const now = `${document.body.dataset.cut} ${Number(getComputedStyle(grid()).opacity) < 1 ? 'grey' : 'clear'}`;
        if (window.seen.at(-1) !== now) window.seen.push(now);
        requestAnimationFrame(look);
    };
    look();
}"""
"""From here on the page notes, frame by frame, of which snapshot its ladder is and whether it is grey."""


def expect_only_new_numbers(page: Any, since: tuple[int, int]) -> None:
    """After it was grey the page was clear only with snapshots newer than `since`, an epoch and a seq."""
    seen = [entry.split(" ") for entry in page.evaluate("() => window.seen")]
    first_grey = [shade for _, shade in seen].index("grey")
    for cut, shade in seen[first_grey:]:
        epoch, seq = map(int, cut.split("."))
        assert shade == "grey" or (epoch, seq) > since, seen


def cut_of(page: Any) -> tuple[int, int]:
    epoch, seq = page.evaluate("() => document.body.dataset.cut").split(".")
    return int(epoch), int(seq)


def wait_grey(page: Any, within_s: float) -> None:
    began = time.monotonic()
    page.wait_for_function(IS_GREY, timeout=within_s * 1_000 + 2_000)
    assert time.monotonic() - began <= within_s + 0.5, "half a second for the test itself"


def test_an_engine_that_falls_silent_is_grey_in_three_seconds_and_another_epoch_is_right_afterwards(
    tmp_path: Path, browser: Any
) -> None:
    with engine(tmp_path) as server, opened(browser, server.url, expected=REFUSED) as page:
        deal(server, "one", "100")
        wait_shown(page, server)
        shown = page.evaluate(TOTAL)
        server.process.send_signal(signal.SIGSTOP)  # not a word more, and the sockets stay open
        try:
            wait_grey(page, GREY_WITHIN_S)
            assert page.evaluate(LINK) == "silent"
            assert page.evaluate(TOTAL) == shown, "old numbers stay, grey"
            assert page.title().startswith("\u26a0")
            assert "silent" in page.locator(".banner").inner_text()
            assert {page.get_attribute(f"[data-light={name}]", "class") for name in ("trades", "prices")} == {"light off"}
        finally:
            server.process.send_signal(signal.SIGCONT)
        wait_live(page)
        wait_shown(page, server)

        epoch, port = server.get("/v1/status")["epoch"], server.url.rpartition(":")[2]
        page.evaluate(RECORD)
        page.evaluate("() => { document.body.dataset.loads = '1'; }")
        server.kill()
        wait_grey(page, GREY_WITHIN_S)
        before = cut_of(page)
        assert re.match("down|connecting", page.evaluate(LINK))
        with engine(tmp_path, port) as again:
            deal(again, "two", "50")
            wait_live(page)
            assert again.get("/v1/status")["epoch"] > epoch
            wait_shown(page, again)
            assert not page.title().startswith("\u26a0")
            expect_only_new_numbers(page, before)
            assert page.evaluate("() => document.body.dataset.loads") == "1", "no reload was needed"


def test_a_network_that_is_cut_is_grey_in_time_and_right_once_it_is_back(tmp_path: Path, browser: Any) -> None:
    with engine(tmp_path) as server, opened(browser, server.url, expected=REFUSED) as page:
        deal(server, "one", "100")
        wait_shown(page, server)
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        page.evaluate("() => { document.body.dataset.loads = '1'; }")
        cut = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        network.send("Network.emulateNetworkConditions", cut)
        network.send("Network.setBlockedURLs", {"urls": ["*"]})
        server.process.send_signal(signal.SIGSTOP)  # Chromium cuts requests, not open websockets
        wait_grey(page, GREY_WITHIN_S)
        server.process.send_signal(signal.SIGCONT)
        network.send("Network.setBlockedURLs", {"urls": []})
        network.send(
            "Network.emulateNetworkConditions", cut | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        )
        deal(server, "two", "50")
        wait_live(page)
        wait_shown(page, server)
        assert page.evaluate("() => document.body.dataset.loads") == "1", "no reload was needed"


def test_a_computer_that_slept_makes_a_new_connection_before_it_shows_a_number(tmp_path: Path, browser: Any) -> None:
    """Its clock on the wall has run on by an hour, and the sockets do not know it yet."""
    with engine(tmp_path) as server, opened(browser, "about:blank", expected=REFUSED) as page:
        page.add_init_script("const wall = Date.now; window.slept = 0; Date.now = () => wall() + window.slept;")
        sockets: list[Any] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        page.goto(server.url)
        deal(server, "one", "100")
        wait_shown(page, server)
        page.evaluate(RECORD)
        stood = cut_of(page)
        server.process.send_signal(signal.SIGSTOP)  # so that what the page does next is what it does of itself
        try:
            page.evaluate("() => { window.slept = 3_600_000; document.body.dataset.loads = '1'; }")
            wait_grey(page, 1.0)
        finally:
            server.process.send_signal(signal.SIGCONT)
        deal(server, "two", "50")
        wait_live(page)
        wait_shown(page, server)
        expect_only_new_numbers(page, stood)
        assert len(sockets) > 1, "what the old connection brings may be from before"
        assert page.evaluate("() => document.body.dataset.loads") == "1", "no reload was needed"


def test_a_tab_that_was_in_the_background_is_grey_at_once_and_right_afterwards(tmp_path: Path, browser: Any) -> None:
    with engine(tmp_path) as server, opened(browser, server.url, expected=REFUSED) as page:
        deal(server, "one", "100")
        wait_shown(page, server)
        page.evaluate(RECORD)
        stood = cut_of(page)
        tab = page.context.new_cdp_session(page)
        tab.send("Page.setWebLifecycleState", {"state": "frozen"})
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(GREY_WITHIN_S)
        tab.send("Page.setWebLifecycleState", {"state": "active"})
        wait_grey(page, 0.5)
        tab.send("Page.setWebLifecycleState", {"state": "frozen"})
        server.process.send_signal(signal.SIGCONT)
        deal(server, "two", "50")
        tab.send("Page.setWebLifecycleState", {"state": "active"})
        wait_live(page)
        wait_shown(page, server)
        expect_only_new_numbers(page, stood)


def test_a_page_whose_engine_loads_says_how_far_it_is_and_shows_no_numbers(browser: Any) -> None:
    gateway = StandIn()
    gateway.state, gateway.progress = "loading", 0.734
    with serving(create_app(gateway)) as url, opened(browser, url, expected=REFUSED) as page:
        page.wait_for_function("() => document.querySelector('#progress')?.textContent === '73 %'")
        assert page.locator(".ag-cell").count() == 0, "never zeros"
        assert "73 %" in page.title()
