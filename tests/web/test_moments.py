"""The slider over the day in a real browser: every number is that of `as_of=`, and nothing of it can be taken for now."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from riskengine.clock import SystemClock
from tests.running import Server
from tests.waiting import wait_until
from tests.web.browsing import amount, cells_of, opened, quantity, serious_problems, wait_live
from tests.web.risk_desk import risk_desk
from tests.world import SECOND, row

LATER = "777"


class Desk:
    """A running engine, and a moment of it after which a trade came and a price moved."""

    def __init__(self, server: Server) -> None:
        self.server = server
        wait_until(lambda: self.as_of(now_text()) is not None)
        self.moment = recorded(server)
        later = row("later", ts=SystemClock().now() - SECOND, instrument="ACME", desk="EQ1", quantity=LATER, price="90")
        assert server.post("/v1/trades", later)["counts"]["applied"] == 1
        ticks = [{"instrument": "EURUSD", "ts": SystemClock().now(), "mid": 1.1009, "source": "feed"}]
        assert server.post("/v1/ticks", ticks)["accepted"] == 1

    def as_of(self, text: str) -> int | None:
        moment: dict[str, int | None] = self.server.get(f"/v1/nodes?as_of={quote(text)}")["moment"]
        return moment["exact_at"]

    def held(self, instrument: str) -> float:
        """How much of it the top held then."""
        [line] = [line for line in self.then("/v1/ladder?node=ALL") if line["instrument"] == instrument]
        return float(line["quantity"])

    def then(self, path: str) -> list[dict[str, Any]]:
        joint = "&" if "?" in path else "?"
        rows: list[dict[str, Any]] = self.server.get(f"{path}{joint}as_of={quote(self.moment)}&limit=1000")["rows"]
        return rows


def now_text() -> str:
    return datetime.fromtimestamp(SystemClock().now() / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recorded(server: Server) -> str:
    """A whole second of which an instant with the present book is recorded."""
    time.sleep(2.1)
    text = now_text()
    told = server.get(f"/v1/nodes?as_of={quote(text)}")
    assert told["moment"]["exact_at"] is not None
    assert told["rows"][0]["trade_count"] == server.get("/v1/nodes")["rows"][0]["trade_count"]
    return text


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with risk_desk(tmp_path_factory.mktemp("moments"), days=2) as server:
        yield Desk(server)


@pytest.fixture(scope="module")
def tab(desk: Desk, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.server.url, expected=("status of 404",)) as shown:
        wait_live(shown)
        yield shown


@pytest.fixture
def page(tab: Any, desk: Desk) -> Any:
    """The one tab of these tests, at the ladder of the moment."""
    tab.evaluate("(when) => { location.hash = `#/ladder?node=ALL&as_of=${when}`; }", quote(desk.moment))
    settled(tab)
    return tab


def settled(page: Any) -> None:
    page.wait_for_function("() => document.body.dataset.moment !== '' && document.body.dataset.inStep === 'true'")
    page.get_by_text("the recorded instant of").wait_for()


def test_positions_are_those_of_the_moment_and_live_ones_come_back(desk: Desk, page: Any) -> None:
    held = {line["instrument"]: line for line in desk.then("/v1/ladder?node=ALL")}
    shown = cells_of(page, "ladder")
    for instrument, line in held.items():
        if line["quantity"]:
            cells = shown[f"={instrument}"]
            assert (cells["quantity"], cells["total_pnl"]) == (quantity(line["quantity"]), amount(line["total_pnl"]))
    [total] = [line for line in desk.then("/v1/nodes") if line["node"] == "ALL"]
    assert shown["total"]["total_pnl"] == amount(total["total_pnl"])
    then = quantity(held["ACME"]["quantity"])
    page.get_by_role("button", name="Live", exact=True).click()
    wait_live(page)
    now = quantity(held["ACME"]["quantity"] + int(LATER))
    acme = page.locator('[data-grid="ladder"] .ag-row[row-id="=ACME"] [col-id="quantity"]')
    acme.filter(has_text=now).wait_for()
    page.go_back()
    settled(page)
    acme.filter(has_text=then).wait_for()


def test_risk_and_exposure_are_those_of_the_moment(desk: Desk, page: Any) -> None:
    page.keyboard.press("3")
    page.wait_for_selector('[data-grid="risk"] .line-row')
    settled(page)
    shown = cells_of(page, "risk")
    for line in desk.then("/v1/risk?node=ALL"):
        assert shown[f"={line['instrument']}"]["delta_cash"] == amount(line["delta_cash"]), line["instrument"]
    nets = {line["currency"]: line["net"] for line in desk.then("/v1/exposure?by=currency&node=ALL")}
    page.wait_for_selector('[data-grid="currencies"] .line-row')
    assert {key[1:]: cells["net"] for key, cells in cells_of(page, "currencies").items() if key != "total"} == {
        currency: amount(net) for currency, net in nets.items()
    }


def test_the_page_says_everywhere_that_it_is_not_live(desk: Desk, page: Any) -> None:
    at = desk.moment[11:19]
    page.get_by_text("not live", exact=False).first.wait_for()
    assert page.evaluate("() => document.body.dataset.moment").startswith("as of ")
    assert page.evaluate("() => document.title").startswith("\u23f1 as of ")
    words = page.locator(".moment b").text_content()
    assert words == f"as of {at}, not live"
    assert page.locator(".cut").text_content().count("not live") == 1
    for light in ("trades", "prices"):
        assert page.locator(f"[data-light={light}] b").text_content().startswith("as of ")
    heading = "() => getComputedStyle(document.querySelector('.panel h2'), '::after').content"
    assert "not live" in page.evaluate(heading)
    grey = "() => getComputedStyle(document.querySelector('[data-grid=ladder] .ag-root')).filter"
    assert page.evaluate(grey) == "grayscale(1)"


def test_what_no_moment_has_is_not_shown_in_its_place(page: Any) -> None:
    for key, label in (("4", "Operations"), ("5", "Limits"), ("6", "Scenarios")):
        page.keyboard.press(key)
        page.get_by_text(f"{label} is of now alone").wait_for()
        assert page.locator("[data-grid]").count() == 0
    page.keyboard.press("2")
    page.get_by_text("Trades are listed as they are now").wait_for()
    assert page.locator(".ticket, [data-grid=trades]").count() == 0


def test_a_receipt_is_of_the_moment(desk: Desk, page: Any) -> None:
    page.locator('[data-grid="ladder"] .ag-row[row-id="=ACME"] [col-id="instrument"]').click()
    page.keyboard.press("Enter")
    behind = page.get_by_role("region", name="Behind ACME")
    receipt = desk.server.get(f"/v1/receipt?node=ALL&instrument=ACME&as_of={quote(desk.moment)}")
    assert float(receipt["row"]["quantity"]) == desk.held("ACME")
    behind.get_by_text(receipt["row"]["quantity"]).first.wait_for()
    behind.get_by_text("stored by now, not then").wait_for()
    page.keyboard.press("Escape")
    behind.wait_for(state="detached")


def test_the_slider_goes_by_keyboard_and_its_end_is_live(page: Any) -> None:
    page.keyboard.press("m")
    wait_live(page)
    page.keyboard.press("m")
    page.wait_for_function("() => document.activeElement?.id === 'moment-slider'")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("() => document.body.dataset.moment.startsWith('as of')")
    page.keyboard.press("End")
    page.wait_for_function("() => document.body.dataset.moment === ''")
    wait_live(page)


def test_a_time_that_cannot_be_read_is_refused_and_one_before_the_store_says_what_lacks(page: Any) -> None:
    box = page.get_by_label("Go to a time")
    box.fill("noonish")
    box.press("Enter")
    page.get_by_text("write a time such as").wait_for()
    box.fill("2020-01-02 12:00")
    box.press("Enter")
    page.wait_for_function("() => /as of 01.02.2020 12:00:00/.test(document.querySelector('.moment b').textContent)")
    page.get_by_text("is before everything that the store holds").first.wait_for()
    page.wait_for_function("() => document.querySelectorAll('[data-grid=ladder] .line-row').length === 0")


def test_an_address_with_a_moment_that_is_none_shows_nothing_and_says_so(desk: Desk, browser: Any) -> None:
    with opened(browser, f"{desk.server.url}/#/ladder?as_of=nonsense", expected=("status of 400",)) as page:
        page.get_by_text("is not a time").first.wait_for()
        assert page.locator(".moment b").text_content() == "as of a moment that cannot be read, not live"
        assert page.locator(".line-row").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, theme: str) -> None:
    page.set_viewport_size({"width": 1_600, "height": 1_000})
    page.emulate_media(color_scheme=theme)
    assert serious_problems(page) == []
