"""From the screens to the manual: every header, warning and light leads to a paragraph that is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.serve.manual_pages import Manual
from riskengine.store.open_store import open_store
from tests.running import ROOT, Server, running
from tests.web.browsing import opened, serious_problems, wait_live
from tests.web.screenshots import SHOWN
from tests.world import instruments, nodes

SOURCES = ROOT / "riskengine" / "web" / "src"

READ_LINKS = """() => {
    const found = [];
    for (const panel of document.querySelectorAll("[data-grid]")) {
        const grid = panel.dataset.grid;
        const note = (label, link) => found.push([grid, label, link?.getAttribute("href") ?? null]);
        for (const name of panel.querySelectorAll(".header-name")) note(name.firstChild.textContent, name.querySelector("a"));
        for (const line of panel.querySelectorAll(".with-about")) {
            note(line.querySelector("label").textContent, line.querySelector("a"));
        }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("links")
    store = open_store(url := f"sqlite:///{folder}/desk.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    with running("serve", "--store", url, "--port", "0", log=folder / "log") as started:
        counts = started.post("/v1/trades", [{"trade_id": "never came", "version": 2, "action": "cancel"}])["counts"]
        assert counts["parked"] == 1
        yield started


@pytest.fixture(scope="module")
def page(server: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, server.url, expected=("status of 404",)) as shown:  # nobody has dealt here: no dealer has a ladder
        wait_live(shown)
        yield shown


def expect_there(href: str) -> None:
    """The paragraph that a link of the page leads to is in the manual."""
    found = re.fullmatch(r"manual/(\w+)#([\w.-]+)", href)
    assert found, href
    assert found[2] in Manual().page(found[1]).anchors, href


@pytest.mark.parametrize("where", SHOWN.values(), ids=SHOWN)
def test_every_column_shown_or_not_leads_to_its_paragraph(page: Any, where: str) -> None:
    page.evaluate("(where) => { location.hash = where; }", where)
    page.wait_for_selector("[data-grid] .header-name")
    press_all = "() => { for (const button of document.querySelectorAll('.chooser > button')) button.click(); }"
    page.evaluate(press_all)  # all at once: an open one lies over others
    links = page.evaluate(READ_LINKS)
    page.evaluate(press_all)
    assert len(links) > 10
    assert [f"{grid}: {label}" for grid, label, href in links if href is None] == []
    for _, _, href in links:
        expect_there(href)


def test_a_click_on_the_mark_of_a_header_and_f1_open_the_manual_there_and_sort_nothing(page: Any) -> None:
    page.evaluate("() => { location.hash = '#/blotter'; }")
    header = page.locator('[data-grid="blotter"] .ag-header-cell[col-id="day_pnl"]')
    header.hover()
    with page.context.expect_page() as opening:
        header.locator("a.about").click()
    manual = opening.value
    manual.wait_for_selector("h2#the-day")
    assert manual.url.endswith("/manual/accounting#the-day")
    assert header.get_attribute("aria-sort") == "none"
    page.locator('[data-grid="blotter"] .line-row [col-id="nav"]').first.click()
    page.keyboard.press("F1")
    manual.wait_for_url("**/manual/accounting#external-cash-nav-and-available-cash")
    header.focus()
    page.keyboard.press("F1")
    manual.wait_for_url("**/manual/accounting#the-day")
    manual.close()


def test_warnings_and_lights_lead_to_their_paragraphs(server: Server, page: Any) -> None:
    page.locator(".warnings li a").first.wait_for()
    warned = [link.get_attribute("href") for link in page.locator(".warnings li a").all()]
    page.locator("[data-light=trades]").click()
    lights = page.locator(".knows a").get_attribute("href")
    page.locator("[data-light=trades]").click()
    assert warned[0] == f"manual/operations#warnings.{server.get('/v1/status')['warnings'][0]['kind']}"
    for href in (*warned, lights):
        expect_there(href)


def test_every_kind_of_warning_has_a_row_that_can_be_linked_to() -> None:
    anchors = Manual().page("operations").anchors
    rows = re.findall(r"^\| `(\w+)` \|", (Path(ROOT) / "riskengine/manual/operations.md").read_text(), re.MULTILINE)
    assert "feed_gap" in rows
    text = (SOURCES / "words" / "manual.ts").read_text()
    [written] = re.findall(r"operations#(\w+)\.\$\{kind\}", text)
    assert f"{written}.feed_gap" in anchors
    assert {href.partition("#")[2] for href in re.findall(r'"((?:screens|operations)#[\w-]+)"', text)} <= anchors | Manual().page(
        "screens"
    ).anchors


def test_the_manual_has_no_serious_problem_for_people_who_see_or_point_little(server: Server, browser: Any) -> None:
    for theme in ("light", "dark"):
        with opened(browser, f"{server.url}/manual", color_scheme=theme, bypass_csp=True) as manual:
            assert serious_problems(manual) == []
            manual.goto(f"{server.url}/manual/operations#warnings.feed_gap")
            assert serious_problems(manual) == []


def test_the_manual_has_the_theme_of_the_screens_and_its_search_a_key(server: Server, browser: Any) -> None:
    with opened(browser, server.url, color_scheme="light") as shown:
        wait_live(shown)
        shown.keyboard.press("?")
        shown.get_by_label("Theme").select_option("dark")
        shown.goto(f"{server.url}/manual")
        assert shown.evaluate("() => getComputedStyle(document.body).colorScheme") == "dark"
        shown.keyboard.press("/")
        shown.keyboard.type("feed_gap")
        shown.keyboard.press("Enter")
        shown.wait_for_url("**/manual?search=feed_gap")
        assert shown.locator(".found mark").first.inner_text() == "feed_gap"
