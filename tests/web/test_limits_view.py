"""The limits in a real browser: cell by cell what `/v1/limits` says at the same seq, ticks on bars, and breaches."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Server
from tests.waiting import wait_until
from tests.web.browsing import amount, answer_at_that_seq, number, opened, serious_problems, wait_live
from tests.web.risk_desk import BREACHED, FINE, PER_TRADE, UNKNOWN_LIMIT, WARNED, limit_lines, risk_desk

CELL = '[data-grid="{}"] .ag-row[row-id="={}"] [col-id="{}"]'
STATES = {
    BREACHED: "\u2716 breach",
    UNKNOWN_LIMIT: "? unknown",
    WARNED: "! warning",
    FINE: "\u2713 ok",
    PER_TRADE: "\u00b7 per trade",
}
SAID = {name: text[2:].replace(" ", "_") for name, text in STATES.items()}
WHOLE_PERCENT = 125.0
"""Of a limit, that a bar shows."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with risk_desk(tmp_path_factory.mktemp("limits"), days=2) as server:
        wait_until(lambda: {name: limit_lines(server)[name]["state"] for name in STATES} == SAID)
        yield server


@pytest.fixture(scope="module")
def tab(desk: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.url) as shown:
        wait_live(shown)
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, at the limits of every place."""
    tab.evaluate("() => { location.hash = '#/limits?node=ALL'; }")
    tab.wait_for_selector('[data-grid="limits"] .line-row')
    return tab


def texts(page: Any, column: str) -> list[str]:
    """The cells of a column of the limits, from top to bottom."""
    found: list[str] = page.locator(f'[data-grid="limits"] .line-row [col-id="{column}"]').all_text_contents()
    return found


def bounded(value: float | None) -> str:
    return amount(value, plus="")


def test_every_limit_is_that_of_the_api_at_the_same_seq(desk: Server, page: Any) -> None:
    cells, answer = answer_at_that_seq(desk, page, "limits", "/v1/limits")
    rows = {f"={row['line']}": row for row in answer["rows"]}
    assert set(cells) == set(rows)
    for key, row in rows.items():
        shown = cells[key]
        assert shown["limit_id"] == row["limit_id"]
        assert shown["place"] == (row["node"] or f"dealer {row['dealer']}")
        assert shown["state"][2:] == row["state"].replace("_", " ")
        if row["measure"] == "trade_quantity":
            assert (shown["value"], shown["headroom"], shown["limit"]) == ("\u2014", "\u2014", "3,000,000")
            continue
        told = (amount(row["value"]), bounded(row["headroom"]), bounded(row["limit"]))
        assert (shown["value"], shown["headroom"], shown["limit"]) == told
        assert shown["use_percent"] == f"{number(row['use_percent'], 1)} %"
    assert {rows[key]["limit_id"]: cells[key]["state"] for key in rows if rows[key]["limit_id"] in STATES} == STATES


def test_a_key_leads_here(page: Any) -> None:
    page.keyboard.press("1")
    page.wait_for_selector('[data-grid="ladder"]')
    page.keyboard.press("5")
    page.wait_for_selector('[data-grid="limits"]')


def test_what_wants_somebody_comes_first_and_the_rest_can_be_left_out(page: Any) -> None:
    seen = [text.strip()[0] for text in texts(page, "state")]
    assert seen == sorted(seen, key="\u2716?!\u2713\u00b7".index)
    page.get_by_role("button", name="Not well").click()
    wanted = sum(state in "\u2716?!" for state in seen)
    page.wait_for_function("(wanted) => document.querySelectorAll('[data-grid=limits] .line-row').length === wanted", arg=wanted)
    assert {text.strip()[0] for text in texts(page, "state")} == {"\u2716", "?", "!"}
    page.get_by_role("button", name="Not well").click()


def test_limits_of_a_place_are_its_own_and_those_below(desk: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/limits?node=CASH&of=here'; }")
    page.wait_for_function("() => document.querySelectorAll('[data-grid=limits] .line-row').length === 3")
    assert set(texts(page, "limit_id")) == {row["limit_id"] for row in limit_lines(desk).values() if row["node"] == "EQ1"}


def test_the_bar_of_a_use_has_its_limit_and_its_warning_as_ticks(desk: Server, page: Any) -> None:
    row = limit_lines(desk)[WARNED]
    cell = page.locator(CELL.format("limits", row["line"], "bar")).locator(".cell")
    read = "(cell) => ['--bar', '--limit-0', '--warn-0', '--warn-1'].map((name) => cell.style.getPropertyValue(name))"
    bar, limit, warn, other = cell.evaluate(read)
    assert (limit, warn, other) == ("80.0%", f"{80 * row['warn_at'] / row['limit']:.1f}%", "-20%")
    assert int(bar.rstrip("%")) == pytest.approx(row["use_percent"] / WHOLE_PERCENT * 100, abs=1)


def test_a_number_in_part_unknown_says_so_and_a_limit_on_trades_has_none(desk: Server, page: Any) -> None:
    said = "(text) => document.querySelector('[data-grid=limits] .said').textContent.includes(text)"
    page.locator(CELL.format("limits", limit_lines(desk)[UNKNOWN_LIMIT]["line"], "value")).click()
    page.wait_for_function(said, arg="parts of it have no price or no rate")
    page.locator(CELL.format("limits", limit_lines(desk)[PER_TRADE]["line"], "value")).click()
    page.wait_for_function(said, arg="bounds intended trades")


def test_limits_stand_as_ticks_on_the_bars_of_net_open_positions(desk: Server, page: Any) -> None:
    page.keyboard.press("3")
    page.wait_for_selector('[data-grid="currencies"] .line-row')
    exposure = {row["currency"]: row["net"] for row in desk.get("/v1/exposure?by=currency&node=ALL")["rows"]}
    line = limit_lines(desk)["nop-eur"]
    largest = max(abs(net) for net in exposure.values())
    bounds = [abs(limit_lines(desk)[name]["limit"]) for name in ("nop-eur", "nop-jpy")]
    scale = max(largest, *(bound for bound in bounds if bound <= 3 * largest))
    cell = page.locator(CELL.format("currencies", "EUR", "bar")).locator(".cell.with-ticks")
    places = cell.evaluate("(cell) => ['--limit-0', '--limit-1'].map((name) => parseFloat(cell.style.getPropertyValue(name)))")
    assert places == pytest.approx([50 - 50 * line["limit"] / scale, 50 + 50 * line["limit"] / scale], abs=0.1)
    cell.click()
    said = page.locator("[data-grid=currencies] .said")
    said.filter(has_text="limit 6000000 absolute (nop-eur)").wait_for()
    assert page.locator(CELL.format("currencies", "GBP", "bar")).locator(".with-ticks").count() == 0


def test_a_breach_is_acknowledged_by_keyboard_with_a_reason(desk: Server, page: Any) -> None:
    line = limit_lines(desk)[BREACHED]
    page.locator(CELL.format("limits", line["line"], "limit_id")).click()
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="Breach", exact=True)
    panel.get_by_text(f"EQ1: total pnl is beyond {bounded(line['limit'])}").wait_for()
    page.wait_for_function("() => document.activeElement?.name === 'reason'")
    page.keyboard.press("Enter")
    assert limit_lines(desk)[BREACHED]["acknowledged_by"] is None, "a reason is needed"
    page.keyboard.type("hedged <b>tonight</b>")
    page.keyboard.press("Enter")
    panel.get_by_text("acknowledged by local, stored").wait_for()
    assert limit_lines(desk)[BREACHED]["reason"] == "hedged <b>tonight</b>"
    known_to = page.locator(CELL.format("limits", line["line"], "acknowledged_by"))
    known_to.filter(has_text="local").wait_for()
    panel.get_by_text("hedged <b>tonight</b>").wait_for()
    page.keyboard.press("Escape")
    panel.wait_for(state="detached")
    row = f'[data-grid="breaches"] .ag-row[row-id="{line["breach_id"]}"]'
    page.wait_for_function("(row) => document.querySelector(`${row} [col-id=reason]`)?.textContent.startsWith('hedged')", arg=row)
    [breach] = desk.get("/v1/breaches")["rows"]
    assert page.locator(f'{row} [col-id="worst"]').text_content() == amount(breach["worst"])


def test_axe_finds_nothing_serious_in_either_theme(page: Any) -> None:
    page.set_viewport_size({"width": 1_600, "height": 1_000})
    page.locator('[data-grid="breaches"] .line-row').first.click()
    page.get_by_role("region", name="Breach", exact=True).wait_for()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert serious_problems(page) == []
