"""P&L explained in a real browser: what `/v1/explain` says, as a waterfall and by instrument."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Server
from tests.web.browsing import amount, cells_of, opened, serious_problems, wait_live
from tests.web.option_desk import BARE
from tests.web.risk_desk import risk_desk

LINES = (
    "price",
    "delta",
    "gamma",
    "vega",
    "theta",
    "trades",
    "carry",
    "translation",
    "corrections",
    "unpriced",
    "unexplained",
    "fees",
)
TOLERANCE: dict[str, Any] = {"rel": 1e-3, "abs": 100.0}
"""The page asked a few seconds earlier: options have lost that much of their time."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with risk_desk(tmp_path_factory.mktemp("explain"), days=2) as server:
        yield server


@pytest.fixture(scope="module")
def tab(desk: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.url, expected=("status of 404",)) as shown:
        wait_live(shown)
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, at what explains the day of the top."""
    tab.evaluate("() => { location.hash = '#/explain?node=ALL'; }")
    tab.wait_for_selector(".waterfall tbody tr")
    tab.wait_for_selector('[data-grid="explain"] .line-row')
    return tab


def read(text: str) -> float | None:
    return None if text == "\u2014" else float(text.replace(",", "").replace("\u2212", "-"))


def steps_of(page: Any) -> dict[str, str]:
    """The amounts of the waterfall by their lines."""
    taken = (
        "() => [...document.querySelectorAll('.waterfall tbody tr')].map((row) => [row.dataset.step, row.cells[1].textContent])"
    )
    return dict(page.evaluate(taken))


def test_a_key_leads_here(page: Any) -> None:
    page.keyboard.press("1")
    page.wait_for_selector('[data-grid="ladder"]')
    page.keyboard.press("7")
    page.wait_for_selector(".waterfall tbody tr")


def test_the_waterfall_goes_from_the_last_close_over_each_line_until_now(desk: Server, page: Any) -> None:
    told = desk.get("/v1/explain?node=ALL")
    shown = steps_of(page)
    assert list(shown) == ["from", *LINES, "to"]
    assert shown["from"] == amount(told["from"]["net_pnl"])
    assert read(shown["to"]) == pytest.approx(told["to"]["net_pnl"], **TOLERANCE)
    for name in LINES:
        value = told["lines"][name]
        assert read(shown[name]) == (None if value is None else pytest.approx(value, **TOLERANCE)), name
    known = [read(shown[name]) or 0.0 for name in LINES]
    assert (read(shown["from"]) or 0.0) + sum(known) == pytest.approx(read(shown["to"]), abs=len(LINES))
    assert page.locator(".waterfall tbody th").first.text_content() == f"Close of {told['from']['close']}"


def test_a_bar_begins_where_the_one_before_it_ended(page: Any) -> None:
    taken = """() => [...document.querySelectorAll('.waterfall tbody tr')].map((row) => {
        const bar = row.querySelector('.step');
        const [left, width] = ['--left', '--width'].map((name) => parseFloat(bar?.style.getPropertyValue(name)));
        return [row.querySelector('td.right').textContent, left, left + width];
    })"""
    rows = [(read(text), left, right) for text, left, right in page.evaluate(taken) if text != "\u2014"]
    reached = rows[0][1]
    for value, left, right in rows[1:-1]:
        begins, ends = (right, left) if value is not None and value < 0 else (left, right)
        assert begins == pytest.approx(reached, abs=0.05)
        reached = ends
    assert rows[-1][1] == pytest.approx(reached, abs=0.1)


def test_instruments_add_up_to_the_engines_sums_and_say_what_is_unknown(desk: Server, page: Any) -> None:
    told = desk.get("/v1/explain?node=ALL&limit=1000")
    shown = cells_of(page, "explain")
    rows = {f"={row['instrument']}": row for row in told["rows"]}
    assert set(shown) == {"total", *rows}
    for key, row in rows.items():
        for field in ("price", "trades", "unexplained"):
            assert read(shown[key][field]) == (None if row[field] is None else pytest.approx(row[field], **TOLERANCE)), (
                key,
                field,
            )
        assert shown[key]["reason"] == (row["reason"] or "")
        is_known = row["price"] is not None or row["net_pnl"]
        assert read(shown[key]["net_pnl"]) == (pytest.approx(row["net_pnl"], **TOLERANCE) if is_known else None), key
    assert shown[f"={BARE}"]["net_pnl"] == "\u2014", "unknown is never 0"
    parts = [read(shown[key]["net_pnl"]) or 0.0 for key in rows]
    assert sum(parts) == pytest.approx(read(shown["total"]["net_pnl"]), abs=len(parts))


def test_a_span_of_two_closes_is_typed_and_stands_in_the_address(desk: Server, page: Any) -> None:
    close = desk.get("/v1/explain?node=ALL")["from"]["close"]
    page.get_by_label("to", exact=True).fill(close)
    page.get_by_label("to", exact=True).press("Enter")
    page.wait_for_function(
        "(close) => document.querySelector('.waterfall tr[data-step=to] th')?.textContent === `Close of ${close}`", arg=close
    )
    assert f"to={close}" in page.url
    told = desk.get(f"/v1/explain?node=ALL&to={close}")
    assert steps_of(page)["to"] == amount(told["to"]["net_pnl"])
    page.get_by_role("button", name="Today").click()
    page.wait_for_function("() => !document.querySelector('.waterfall tr[data-step=to] th')?.textContent.startsWith('Close')")


def test_what_is_no_instant_is_refused_and_a_close_that_is_none_says_so(page: Any) -> None:
    box = page.get_by_label("from", exact=True)
    box.fill("soon")
    box.press("Enter")
    page.get_by_text("write a date (its close), or a time").wait_for()
    box.fill("2001-01-01")
    box.press("Enter")
    page.get_by_text("not read:").first.wait_for()
    assert page.locator(".waterfall").count() == 0


def test_each_line_leads_to_its_paragraph(page: Any) -> None:
    hrefs = page.evaluate(
        "() => [...document.querySelectorAll('.waterfall tbody th a')].map((link) => link.getAttribute('href'))"
    )
    assert hrefs == [f"manual/explain#lines.{name}" for name in LINES]


def test_axe_finds_nothing_serious_in_either_theme(page: Any) -> None:
    page.set_viewport_size({"width": 1_600, "height": 1_000})
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert serious_problems(page) == []
