"""The risk summary in a real browser: cell by cell what `/v1/risk` and `/v1/exposure` say at the same seq."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Server
from tests.web.browsing import (
    amount,
    answer_at_that_seq,
    number,
    opened,
    quantity,
    serious_problems,
    wait_live,
)
from tests.web.option_desk import BARE, DECIMALS, STALE, option_desk

AMOUNTS = ("delta_cash", "gamma_cash", "vega", "theta", "total_pnl")
UNLISTED_DECIMALS = 3
"""Of a pair that is quoted nowhere, here GBPJPY."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with option_desk(tmp_path_factory.mktemp("options")) as server:
        yield server


@pytest.fixture(scope="module")
def tab(desk: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.url) as shown:
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, at the risk of the top."""
    tab.evaluate("() => { location.hash = '#/ladder?node=ALL'; }")
    tab.wait_for_selector('[data-grid="ladder"] .line-row')
    tab.keyboard.press("3")
    tab.wait_for_selector('[data-grid="risk"] .line-row')
    return tab


def amounts(row: dict[str, Any]) -> dict[str, str]:
    return {field: amount(row[field]) for field in AMOUNTS}


def places(underlying: str) -> int:
    return UNLISTED_DECIMALS if underlying == "GBPJPY" else DECIMALS.get(underlying, 5)


@pytest.mark.parametrize("place", ["node=ALL", "node=FX1", "dealer=ann"])
def test_options_and_hedges_are_those_of_the_api_at_the_same_seq(desk: Server, page: Any, place: str) -> None:
    page.evaluate("(place) => { location.hash = `#/risk?${place}`; }", place)
    page.wait_for_function("(name) => document.querySelector('.panel h2')?.textContent === name", arg=place.partition("=")[2])
    page.wait_for_function("() => document.querySelectorAll('[data-grid=risk] .line-row').length > 0")
    cells, answer = answer_at_that_seq(desk, page, "risk", f"/v1/risk?{place}")
    rows = {f"={row['instrument']}": row for row in answer["rows"]}
    assert {key for key in cells if key.startswith("=")} == set(rows)
    for key, row in rows.items():
        shown, decimals = cells[key], places(row["underlying"])
        assert {field: shown[field] for field in AMOUNTS} == amounts(row), key
        assert shown["quantity"] == quantity(row["quantity"])
        assert shown["spot"] == number(row["spot"], decimals)
        assert shown["delta"] == number(row["delta"], 3)
        if row["option_type"] is not None:
            assert shown["vol"] == number(None if row["vol"] is None else row["vol"] * 100, 2)
            assert shown["strike"] == f"{number(row['strike'], decimals)} {row['option_type'][0].upper()}"
            assert shown["expiry"] == row["expiry"][:10]
    for row in answer["by_underlying"]:
        shown = cells[f"group:{row['underlying']}"]
        assert {field: shown[field] for field in AMOUNTS} == amounts(row), row["underlying"]
        assert shown["hedge_delta_cash"] == amount(row["hedge_delta_cash"])


def test_the_totals_are_those_of_the_node_and_of_what_is_listed(desk: Server, page: Any) -> None:
    cells, answer = answer_at_that_seq(desk, page, "risk", "/v1/nodes")
    assert {field: cells["total"][field] for field in AMOUNTS} == amounts(answer["rows"][0])
    cells, answer = answer_at_that_seq(desk, page, "risk", "/v1/risk?node=ALL")
    for field in AMOUNTS:
        known = [row[field] for row in answer["by_underlying"] if row[field] is not None]
        assert cells["listed"][field] == amount(sum(known))


def test_by_expiry_the_lines_are_the_buckets_of_the_api(desk: Server, page: Any) -> None:
    page.get_by_role("button", name="Expiry", exact=True).click()
    page.wait_for_selector('[data-grid="risk"] .ag-row[row-id="group:1W"]')
    cells, answer = answer_at_that_seq(desk, page, "risk", "/v1/risk?node=ALL")
    held = [row for row in answer["by_expiry"] if row["option_count"] + row["hedge_count"]]
    assert {key.partition(":")[2] for key in cells if key.startswith("group:")} == {row["bucket"] for row in held}
    for row in held:
        shown = cells[f"group:{row['bucket']}"]
        assert {field: shown[field] for field in AMOUNTS} == amounts(row), row["bucket"]


def test_what_is_old_is_marked_and_what_is_unknown_has_its_reason(page: Any) -> None:
    cell = '[data-grid="risk"] .ag-row[row-id="={}"] [col-id="{}"]'
    classes = page.locator(cell.format(STALE, "vega")).locator(".cell").get_attribute("class")
    assert "stale" in classes.split()
    page.locator(cell.format(BARE, "vega")).click()
    page.wait_for_function("() => document.querySelector('[data-grid=risk] .said').textContent.includes('vol')")
    assert page.locator(cell.format(BARE, "vega")).text_content() == "\u2014"
    page.locator(cell.format("EURUSD C1.10", "vega")).click()
    page.wait_for_function("() => /^Vega: [\\d.]+$/.test(document.querySelector('[data-grid=risk] .said').textContent)")


def test_expiries_and_exposures_are_those_of_the_api(desk: Server, page: Any) -> None:
    page.wait_for_selector('[data-grid="expiries"] .line-row')
    cells, answer = answer_at_that_seq(desk, page, "expiries", "/v1/risk?node=ALL")
    expiries = {f"={row['instrument']}": row for row in answer["expiries"]}
    assert set(cells) == set(expiries)
    assert expiries, "one of them is near"
    for key, row in expiries.items():
        shown = cells[key]
        pin = "pin " if row["in_pin_band"] else ""
        assert shown["distance_percent"] == pin + number(row["distance_percent"], 2, "+")
        assert (shown["size"], shown["cut"]) == (quantity(row["size"]), row["cut"])
    for by, grid, total in (("currency", "currencies", "shorthand"), ("sector", "sectors", None)):
        cells, answer = answer_at_that_seq(desk, page, grid, f"/v1/exposure?by={by}&node=ALL")
        rows = {f"={row[by]}": row for row in answer["rows"]}
        assert set(cells) == {*rows, "total"}
        assert {key: cells[key]["net"] for key in rows} == {key: amount(row["net"]) for key, row in rows.items()}
        if total is not None:
            assert cells["total"]["net"] == amount(answer[total])


def test_a_line_closes_and_opens_by_keyboard(page: Any) -> None:
    row = '[data-grid="risk"] .ag-row[row-id="=EURUSD C1.10"]'
    page.wait_for_selector(row)
    page.locator('[data-grid="risk"] .ag-row[row-id="group:EURUSD"] [col-id="instrument"]').click()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(row, state="detached")
    page.keyboard.press("Enter")
    page.wait_for_selector(row)


def test_a_line_opens_to_its_trades_and_receipt(desk: Server, page: Any) -> None:
    page.locator('[data-grid="risk"] .ag-row[row-id="=EURUSD W1.101"] [col-id="instrument"]').click()
    page.keyboard.press("Enter")
    behind = page.get_by_role("region", name="Behind EURUSD W1.101")
    behind.get_by_text("1 stored").wait_for()
    behind.get_by_text("5000000").first.wait_for()
    behind.get_by_text("Option").first.wait_for()
    option = desk.get("/v1/receipt?node=ALL&instrument=EURUSD%20W1.101")["option"]
    shown = behind.inner_text()
    assert option["model"] in shown
    for term in (*option["terms"], *option["position"]):
        assert f"{term['name'].replace('_', ' ')}\n" in shown and term["formula"] in shown, term
    page.keyboard.press("Escape")
    behind.wait_for(state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(desk: Server, browser: Any, theme: str) -> None:
    shape = {"color_scheme": theme, "viewport": {"width": 1_600, "height": 1_000}}
    with opened(browser, f"{desk.url}/#/risk", **shape) as shown:
        shown.wait_for_selector('[data-grid="risk"] .line-row')
        shown.wait_for_selector('[data-grid="currencies"] .line-row')
        wait_live(shown)
        assert serious_problems(shown) == []
