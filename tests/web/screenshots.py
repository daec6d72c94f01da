"""Pictures of every view of a running demo, light and dark, from narrow to wide: `python -m tests.web.screenshots FOLDER`.

A view that is added is one line in SHOWN. The two of README.md, small, are among them: copy them to `pictures/`.
"""

import base64
import datetime as dt
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.running import Server, running
from tests.waiting import wait_until
from tests.web.browsing import chromium, opened, wait_live

SIZES = {420: 900, 1_280: 800, 1_600: 1_000, 2_560: 1_440}
THEMES = ("light", "dark")

SHOWN = {
    "ladder": "#/ladder",
    "ladder-grouped": "#/ladder?node=FX&group=currency",
    "ladder-counterparty": "#/ladder?node=FX&group=counterparty",
    "ladder-dealer": "#/ladder?dealer=Anna&group=strategy",
    "ladders": "#/ladder?node=FX1&beside=node%3AFX2",
    "blotter": "#/blotter",
    "dealers": "#/blotter?node=FX&by=dealer",
    "risk": "#/risk",
    "risk-expiry": "#/risk?by=expiry",
    "operations": "#/operations",
    "operations-marks": "#/operations?part=marks&kind=late",
    "operations-audit": "#/operations?part=audit&cases=all",
    "operations-engine": "#/operations?part=engine",
    "limits": "#/limits",
    "scenarios": "#/scenarios",
    "explain": "#/explain",
    "whatif": "#/ladder?node=FX&whatif=open",
}
"""Names of pictures and what of the page they show."""

SETTLED_MS = 700


def take(browser: Any, server: Server, folder: Path, width: int, theme: str) -> None:
    """All pictures of one size and theme."""
    shape = {"viewport": {"width": width, "height": SIZES[width]}, "color_scheme": theme}
    with opened(browser, server.url, **shape) as page:
        for name, where in SHOWN.items():
            page.evaluate("(where) => { location.hash = where; }", where)
            page.wait_for_selector(".ag-row, [data-counts]")  # a demo has no limits
            wait_live(page)
            page.wait_for_timeout(SETTLED_MS)
            page.screenshot(path=folder / f"{name}-{width}-{theme}.png")
        page.evaluate("() => { location.hash = '#/ladder?node=FX1'; }")
        page.wait_for_function("() => document.querySelector('.panel h2')?.textContent === 'FX1'")
        page.locator('[data-grid="ladder"] .ag-row[row-id="=EURUSD"] [col-id="instrument"]').click()
        page.keyboard.press("Enter")
        page.wait_for_timeout(2 * SETTLED_MS)
        page.screenshot(path=folder / f"behind-{width}-{theme}.png")


IN_README = {"ladder": ("#/ladder?node=FX", "light"), "blotter": ("#/blotter", "dark")}
"""Small pictures, as WebP: what of the page they show, and the theme."""


def take_small(browser: Any, server: Server, folder: Path) -> None:
    """The pictures of README.md."""
    for name, (where, theme) in IN_README.items():
        shape = {"viewport": {"width": 1_440, "height": 810}, "color_scheme": theme}
        with opened(browser, f"{server.url}/{where}", **shape) as page:
            page.wait_for_selector(".ag-row")
            wait_live(page)
            page.wait_for_timeout(SETTLED_MS)
            taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": 75})
            (folder / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))


def take_manual(browser: Any, server: Server, folder: Path, width: int, theme: str) -> None:
    """The manual: its index, a row of a table, a search."""
    shown = {"index": "", "row": "/operations#warnings.feed_gap", "search": "?search=stale+mark"}
    shape = {"viewport": {"width": width, "height": SIZES[width]}, "color_scheme": theme}
    with opened(browser, f"{server.url}/manual", **shape) as page:
        for name, where in shown.items():
            page.goto(f"{server.url}/manual{where}")
            page.screenshot(path=folder / f"manual-{name}-{width}-{theme}.png")


def take_past(browser: Any, server: Server, folder: Path, width: int, theme: str) -> None:
    """The page as of a moment that is some seconds old."""
    shape = {"viewport": {"width": width, "height": SIZES[width]}, "color_scheme": theme}
    then = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
    with opened(browser, f"{server.url}/#/ladder?as_of={then:%Y-%m-%dT%H:%M:%SZ}", **shape) as page:
        page.wait_for_selector(".line-row")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=folder / f"past-{width}-{theme}.png")


def take_lost(browser: Any, server: Server, folder: Path) -> None:
    """The page without its engine."""
    with opened(browser, server.url, viewport={"width": 1_600, "height": 1_000}, expected=("",)) as page:
        page.wait_for_selector(".ag-row")
        wait_live(page)
        server.kill()
        page.wait_for_function("() => document.body.dataset.link === 'down'")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=folder / "lost-1600-light.png")


def main(folder: Path) -> None:
    """Take every picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as kept, running("demo", "--port", "0", log=Path(kept) / "log") as server, chromium() as browser:
        wait_until(lambda: server.get("/v1/nodes")["rows"][0]["trade_count"] > 3, 60)
        for width in SIZES:
            for theme in THEMES:
                take(browser, server, folder, width, theme)
                take_manual(browser, server, folder, width, theme)
                take_past(browser, server, folder, width, theme)
        take_small(browser, server, folder)
        take_lost(browser, server, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots"))
