"""Debian's Chromium, driven by Playwright, and what tests read off a page of the engine.

Playwright keeps a loop in its thread: while `chromium` is open, nothing else in that thread may run one.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest

from riskengine.serve.page import BUILT
from tests.running import ROOT, Server

try:
    from playwright.sync_api import Browser, Page, sync_playwright
except ImportError:  # the browser's driver has wheels for fewer machines than the engine
    Browser = Page = Any  # type: ignore[assignment, misc]
    sync_playwright = None  # type: ignore[assignment]

WIDE = {"width": 3_600, "height": 2_400}
"""Every column and line of the demo at once: grids draw what is in sight."""

PATIENCE_MS = 20_000

AXE = ROOT / "riskengine" / "web" / "node_modules" / "axe-core" / "axe.min.js"

Cells = dict[str, dict[str, str]]
"""Texts of a grid by line and column."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips the test, saying so, where there is none or the page is not built."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if sync_playwright is None:
        pytest.skip("no Playwright on this machine: the page is not tested in a browser")
    if program is None:
        pytest.skip("no Chromium on this machine: the page is not tested in a browser")
    if not (BUILT / "index.html").is_file():
        pytest.skip("the page is not built (make page): it is not tested in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **more: Any) -> Iterator[Page]:
    """A page in a profile of its own, which must have nothing to complain about: no error, no refusal by its policy."""
    complaints: list[str] = []
    expected: tuple[str, ...] = more.pop("expected", ())
    context = browser.new_context(
        **{"viewport": WIDE, "locale": "en-US", "timezone_id": "UTC", "reduced_motion": "reduce"} | more
    )
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(url)
        yield page
        left = [text for text in complaints if not any(words in text for words in expected)]
        assert left == []
    finally:
        context.close()


def wait_live(page: Page) -> None:
    """Wait until everything on the screen is of one snapshot of a live engine."""
    page.wait_for_function("() => document.body.dataset.link === 'live' && document.body.dataset.inStep === 'true'")


READ_CELLS = """(name) => {
    const cells = {};
    for (const cell of document.querySelectorAll(`[data-grid="${name}"] .ag-cell`)) {
        const line = cell.closest(".ag-row").getAttribute("row-id") ?? "";
        (cells[line] ??= {})[cell.getAttribute("col-id")] = cell.textContent.replace(/^[\\u25b8\\u25be]/, "");
    }
    return cells;
}"""

READ_CUT = f"""(name) => [
    document.body.dataset.cut, document.body.dataset.link, document.body.dataset.inStep, ({READ_CELLS})(name),
]"""


def cells_of(page: Page, grid: str) -> Cells:
    """The texts of a grid now."""
    found: Cells = page.evaluate(READ_CELLS, grid)
    return found


def answer_at_that_seq(server: Server, page: Page, grid: str, path: str) -> tuple[Cells, dict[str, Any]]:
    """The cells on the page, and the answer of the API, of one snapshot."""
    for _ in range(20):
        wait_live(page)
        cut, link, in_step, cells = page.evaluate(READ_CUT, grid)
        if link != "live" or in_step != "true":
            continue
        epoch, seq = map(int, cut.split("."))
        try:
            with build_opener(ProxyHandler({})).open(
                f"{server.url}{path}{'&' if '?' in path else '?'}seq={seq}", timeout=10
            ) as answered:
                answer: dict[str, Any] = json.load(answered)
        except HTTPError as error:
            if error.code != HTTPStatus.GONE:  # on a busy machine the snapshot may be older than two seconds
                raise
            continue
        assert (answer["epoch"], answer["seq"]) == (epoch, seq)
        return cells, answer
    raise AssertionError("the snapshot on the page was always gone")


def at_that_seq(server: Server, page: Page, grid: str, path: str) -> tuple[Cells, list[dict[str, Any]]]:
    """The cells on the page, and the rows of the API, of one snapshot."""
    cells, answer = answer_at_that_seq(server, page, grid, path)
    return cells, answer["rows"]


def serious_problems(page: Page) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds wrong with a page for people who see or point little; skips the test where it is not installed."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (make page): accessibility is not checked")
    page.evaluate(AXE.read_text() + ";0")
    violations = page.evaluate("() => axe.run().then(({ violations }) => violations)")
    return [
        (each["id"], each["help"], [node["html"][:160] for node in each["nodes"][:3]])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def amount(value: float | None, plus: str = "+") -> str:
    """An amount as the page writes it: whole, with its sign; a dash for unknown."""
    return number(value, 0, plus)


def number(value: float | None, decimals: int, plus: str = "") -> str:
    """A number with so many decimals, a true minus sign, and `plus` before what is above 0."""
    if value is None:
        return "\u2014"
    size = f"{Decimal(str(abs(value))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):,}"
    if not re.search("[1-9]", size):
        return size
    return ("\u2212" if value < 0 else plus) + size


def quantity(value: float) -> str:
    """A position: signed, with the decimals that it has."""
    return f"{Decimal(str(value)).normalize():+,f}".replace("-", "\u2212") if value else "0"
