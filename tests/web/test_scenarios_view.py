"""Stress, VaR and its backtest in a real browser: what `/v1/whatif`, `/v1/var` and `/v1/var/backtest` say."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Server
from tests.web.browsing import amount, cells_of, number, opened, serious_problems, wait_live
from tests.web.option_desk import BARE
from tests.web.risk_desk import risk_desk

SPOT = [-0.1, -0.075, -0.05, -0.025, 0, 0.025, 0.05, 0.075, 0.1]
VOL = [0.05, 0.0333333333333, 0.0166666666667, 0, -0.0166666666667, -0.0333333333333, -0.05]

TOLERANCE: dict[str, Any] = {"rel": 1e-3, "abs": 50.0}
"""The page asked a few seconds earlier: options have lost that much of their time."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with risk_desk(tmp_path_factory.mktemp("scenarios")) as server:
        yield server


@pytest.fixture(scope="module")
def tab(desk: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.url) as shown:
        wait_live(shown)
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, at the scenarios of the top."""
    tab.evaluate("() => { location.hash = '#/scenarios?node=ALL'; }")
    tab.wait_for_selector('[data-grid="var"] .line-row')
    tab.wait_for_selector(".heat td")
    return tab


def read(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


def test_a_key_leads_here(page: Any) -> None:
    page.keyboard.press("1")
    page.wait_for_selector('[data-grid="ladder"]')
    page.keyboard.press("6")
    page.wait_for_selector(".heat td")


def test_the_heat_map_is_the_grid_of_the_whatif(desk: Server, page: Any) -> None:
    told = desk.post("/v1/whatif", {"nodes": ["ALL"], "grid": {"spot": SPOT, "vol": VOL, "all": True}})
    by_move = {(row["spot"], row["vol"]): row["change"] for row in told["grid"]}
    rows = page.evaluate(
        "() => [...document.querySelectorAll('.heat tbody tr')].map((row) => [...row.cells].map((c) => c.textContent))"
    )
    assert [len(row) for row in rows] == [1 + len(SPOT)] * len(VOL)
    for vol, row in zip(VOL, rows, strict=True):
        assert [read(text) for text in row[1:]] == pytest.approx([by_move[spot, vol] for spot in SPOT], **TOLERANCE)
    strongest = "(cell) => [cell.style.getPropertyValue('--heat'), getComputedStyle(cell).backgroundColor]"
    heats = [cell.evaluate(strongest) for cell in page.locator(".heat td").all()]
    assert max(heats, key=lambda heat: int(heat[0].rstrip("%")))[0] == "100%"
    assert len({colour for _, colour in heats}) > len(SPOT), "colours say how much"


def test_arrows_walk_through_the_heat_map_and_say_the_exact_number(page: Any) -> None:
    page.locator('.heat td[tabindex="0"]').focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "() => document.querySelector('[data-said]').textContent.startsWith('spot \u22122.50 %, vol +1.67 pts: -')"
    )
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.activeElement?.tagName === 'TD'")


def test_what_moves_can_be_one_currency_and_a_word_that_means_nothing_is_refused(desk: Server, page: Any) -> None:
    box = page.locator('input[name="move"]')
    box.press_sequentially("EUR")
    box.press("Tab")
    page.get_by_text("no vol to move: a currency has none").wait_for()
    page.wait_for_function("() => document.querySelectorAll('.heat tbody tr').length === 1")
    told = desk.post("/v1/whatif", {"nodes": ["ALL"], "grid": {"spot": SPOT, "vol": [0], "currency": "EUR"}})
    shown = [read(text) for text in page.locator(".heat tbody td").all_text_contents()]
    assert shown == pytest.approx([row["change"] for row in told["grid"]], **TOLERANCE)
    box.press_sequentially(" nonsense")
    box.press("Tab")
    page.get_by_text("is neither all, an instrument").wait_for()
    assert page.locator(".heat").count() == 0


def test_contributions_are_those_of_the_api_and_sum_to_the_figure_on_top(desk: Server, page: Any) -> None:
    page.get_by_role("button", name="Instruments", exact=True).click()
    page.wait_for_selector('[data-grid="var"] .ag-row[row-id="=EURUSD"]')
    told = desk.get("/v1/var?node=ALL&by=instrument")
    shown = cells_of(page, "var")
    assert set(shown) == {"total", *(f"={row['instrument']}" for row in told["rows"])}
    for row in told["rows"]:
        cells = shown[f"={row['instrument']}"]
        for field in ("var_contribution", "es_contribution", "var"):
            if row[field] is None:
                assert (cells[field], cells["lacks"]) == ("\u2014", row["reason"])
            else:
                assert read(cells[field]) == pytest.approx(row[field], **TOLERANCE)
    parts = [read(cells["var_contribution"]) for key, cells in shown.items() if key != "total" and cells["share"] != "\u2014"]
    assert sum(parts) == pytest.approx(read(shown["total"]["var_contribution"]), abs=len(parts))
    assert read(shown["total"]["var_contribution"]) == pytest.approx(told["var"], **TOLERANCE)
    page.get_by_text(f"{BARE} (no vol").first.wait_for()


def test_too_few_scenarios_are_unknown_and_say_so(page: Any) -> None:
    page.get_by_role("button", name="Intraday").click()
    page.get_by_text("and 60 are needed: it takes an hour from the start").first.wait_for()
    assert page.locator(".figures dd").first.text_content() == "\u2014"
    page.get_by_role("button", name="Daily").click()


def test_scenarios_are_listed_with_the_worst_first(desk: Server, page: Any) -> None:
    page.get_by_role("button", name="Scenarios", exact=True).last.click()
    page.wait_for_selector('[data-grid="var-scenarios"] .line-row [col-id="scenario"]')
    told = sorted(desk.get("/v1/var?node=ALL&by=scenario&limit=1000")["rows"], key=lambda row: row["pnl"])
    names = page.locator('[data-grid="var-scenarios"] .line-row [col-id="scenario"]').all_text_contents()
    assert names[0] == told[0]["scenario"]
    weights = [cells["tail_weight"] for cells in cells_of(page, "var-scenarios").values()]
    assert sum(text != "" for text in weights) == sum(row["tail_weight"] > 0 for row in told)


def test_the_backtest_is_that_of_the_api_with_its_light(desk: Server, page: Any) -> None:
    page.wait_for_selector('[data-grid="backtest"] .line-row')
    told = desk.get("/v1/var/backtest?node=ALL&limit=1000")
    shown = cells_of(page, "backtest")
    known = [row for row in told["rows"] if row["var"] is not None]
    assert known and told["light"] is not None
    for row in known[-20:]:
        cells = shown[f"={row['date']}"]
        assert (cells["var"], cells["pnl"]) == (amount(row["var"], plus=""), amount(row["pnl"]))
        assert cells["said"] == ("\u2716 yes" if row["exception"] else "no")
    assert page.locator(".traffic").text_content() == told["light"]
    page.get_by_text(f"exceptions in {told['days']} days, {number(told['expected'], 1)} expected").wait_for()


def test_a_dealer_has_var_and_is_told_that_the_rest_is_of_nodes(page: Any) -> None:
    page.evaluate("() => { location.hash = '#/scenarios?dealer=bob'; }")
    page.get_by_text("Stress grid: worked out of nodes, not of dealers").wait_for()
    page.wait_for_selector('[data-grid="var"] .ag-row[row-id="=EURUSD"]')


def test_axe_finds_nothing_serious_in_either_theme(page: Any) -> None:
    page.set_viewport_size({"width": 1_600, "height": 1_000})
    page.wait_for_selector('[data-grid="backtest"] .line-row')
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert serious_problems(page) == []
