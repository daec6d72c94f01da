"""The views in a real browser over a live demo: cell by cell what the HTTP API says, by keyboard alone, open to everybody."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.running import Server, running
from tests.waiting import wait_until
from tests.web.browsing import amount, at_that_seq, cells_of, number, opened, quantity, serious_problems, wait_live

POSITION_AMOUNTS = (
    "unrealised_pnl", "realised_pnl", "day_pnl", "day_position_pnl", "day_trading_pnl", "day_translation_pnl", "day_carry_pnl",
    "correction_pnl", "net_day_pnl", "total_pnl", "delta_cash", "market_value",
)  # fmt: skip
NODE_AMOUNTS = ("unrealised_pnl", "realised_pnl", "day_pnl", "day_position_pnl", "total_pnl", "net_exposure", "nav")
GREEKS = ("delta_cash", "gamma_cash", "vega", "theta", "total_pnl")
NODE_SIZES = ("gross_exposure", "fees", "unpriced_count", "stale_count", "trade_count")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("demo", "--port", "0", log=tmp_path_factory.mktemp("demo") / "log") as server:
        wait_until(lambda: server.get("/v1/nodes")["rows"][0]["trade_count"] > 3, 30)
        yield server


@pytest.fixture(scope="module")
def tab(demo: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, demo.url) as shown:
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, at the ladder of the top."""
    tab.evaluate("() => { location.hash = '#/ladder?node=ALL'; }")
    tab.wait_for_function("() => document.querySelector('.panel h2')?.textContent === 'ALL'")
    tab.wait_for_selector('[data-grid="ladder"] .line-row')
    return tab


def key_of(row: dict[str, Any], field: str) -> str:
    return f"={row[field]}"


@pytest.mark.parametrize("place", ["node=ALL", "node=FX1", "dealer=Anna"])
def test_the_ladder_shows_what_the_api_says_at_the_same_seq(demo: Server, page: Any, place: str) -> None:
    page.evaluate("(place) => { location.hash = `#/ladder?${place}`; }", place)
    page.wait_for_function("(name) => document.querySelector('.panel h2')?.textContent === name", arg=place.partition("=")[2])
    decimals = {row["instrument"]: row["price_decimals"] for row in demo.get("/v1/instruments")["rows"]}
    page.wait_for_function("() => document.querySelectorAll('[data-grid=ladder] .line-row').length > 0")
    for _ in range(3):
        cells, rows = at_that_seq(demo, page, "ladder", f"/v1/ladder?{place}")
        open_rows = {key_of(row, "instrument"): row for row in rows if row["quantity"]}
        assert open_rows, "the demo deals here"
        assert {key for key in cells if key.startswith("=")} == set(open_rows)
        for key, row in open_rows.items():
            shown = cells[key]
            assert shown["quantity"] == quantity(row["quantity"])
            places = decimals[row["instrument"]]
            for field in ("average_price", "breakeven_price", "bid", "ask", "mark"):
                assert shown[field] == number(row[field], places), (key, field)
            for way in ("bought", "sold"):
                dealt = row[f"{way}_quantity"]
                assert shown[f"{way}_quantity"] == quantity(dealt).lstrip("+"), (key, way)
                assert shown[f"{way}_price"] == (number(row[f"{way}_price"], places) if dealt else ""), (key, way)
            assert {field: shown[field] for field in POSITION_AMOUNTS} == {
                field: amount(row[field]) for field in POSITION_AMOUNTS
            }


def test_the_totals_of_a_ladder_are_those_of_its_node_and_add_up(demo: Server, page: Any) -> None:
    cells, rows = at_that_seq(demo, page, "ladder", "/v1/ladder?node=ALL")
    flat = [row for row in rows if not row["quantity"]]
    for field in ("total_pnl", "day_pnl", "realised_pnl", "unrealised_pnl"):
        assert cells["total"][field] == amount(sum(row[field] for row in rows))
        if flat:
            assert cells["flat"][field] == amount(sum(row[field] for row in flat))
    shown = at_that_seq(demo, page, "ladder", "/v1/nodes")
    assert shown[0]["total"]["total_pnl"] == amount(shown[1][0]["total_pnl"])


def test_the_blotter_shows_what_the_api_says_at_the_same_seq(demo: Server, page: Any) -> None:
    page.keyboard.press("2")
    page.wait_for_selector('[data-grid="blotter"] .line-row')
    cells, rows = at_that_seq(demo, page, "blotter", "/v1/nodes")
    root, *others = rows
    shown = {"total": root} | {key_of(row, "node"): row for row in others}
    assert set(cells) == set(shown)
    for key, row in shown.items():
        expected = {field: amount(row[field]) for field in NODE_AMOUNTS} | {field: amount(row[field], "") for field in NODE_SIZES}
        assert {field: cells[key][field] for field in expected} == expected, key
    page.get_by_role("button", name="Dealers", exact=True).click()
    page.wait_for_function("() => document.querySelector('[data-grid=blotter] .ag-row[row-id^=\"=A\"]')")
    cells, dealers = at_that_seq(demo, page, "blotter", "/v1/dealers")
    assert {key: line["total_pnl"] for key, line in cells.items()} == {
        key_of(row, "dealer"): amount(row["total_pnl"]) for row in dealers
    }


def test_the_risk_shows_what_the_api_says_at_the_same_seq(demo: Server, page: Any) -> None:
    page.keyboard.press("3")
    page.wait_for_selector('[data-grid="risk"] .line-row')
    for _ in range(3):
        cells, rows = at_that_seq(demo, page, "risk", "/v1/risk?node=ALL")
        known = {key_of(row, "instrument"): row for row in rows}
        assert {key for key in cells if key.startswith("=")} == set(known)
        for key, row in known.items():
            expected = {field: amount(row[field]) for field in GREEKS} | {"quantity": quantity(row["quantity"])}
            assert {field: cells[key][field] for field in expected} == expected, key


def test_the_trades_below_are_those_of_where_the_user_is_with_what_is_kept_out(demo: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/blotter?node=FX1'; }")
    page.wait_for_function("() => [...document.querySelectorAll('[data-grid=trades] [col-id=status]')].length > 5")
    lines = cells_of(page, "trades").values()
    assert {line["desk"] for line in lines} <= {"FX1", ""}, "a cancel names no desk"
    assert {"quarantined", "in force"} <= {line["status"] for line in lines}


def test_sorting_at_every_level_keeps_children_with_their_parents(page: Any) -> None:
    page.evaluate("() => { location.hash = '#/blotter'; }")
    page.wait_for_selector('[data-grid="blotter"] .line-row')
    page.locator('[data-grid="blotter"] .ag-header-cell[col-id="name"]').click()
    cells = "document.querySelectorAll('[data-grid=blotter] [col-id=name].ag-cell')"
    order = f"() => [...{cells}].map((cell) => cell.textContent.slice(-3))"
    page.wait_for_function(f"() => ({order})()[1].endsWith('EQ')")
    page.locator('[data-grid="blotter"] .ag-header-cell[col-id="name"]').click()
    page.wait_for_function(f"() => ({order})()[1].endsWith('FX')")
    names = [text.strip("\u25b8\u25be") for text in page.evaluate(order)]
    assert names == ["ALL", "FX", "ALS", "FXO", "FX3", "FX2", "FX1", "EQ", "EQO", "EQ3", "EQ2", "EQ1"]


def test_the_tree_shows_the_day_of_every_node(demo: Server, page: Any) -> None:
    nodes = {row["node"] for row in demo.get("/v1/nodes")["rows"]}
    assert set(page.locator(".tree-items .name").all_text_contents()) == {*nodes, "Dealers"}


def test_a_line_opens_to_its_trades_and_receipt_and_escape_closes_it(demo: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/ladder?node=FX1'; }")
    page.wait_for_function("() => document.querySelector('[data-grid=ladder]').ariaLabel === 'Ladder of FX1'")
    wait_live(page)
    first = page.locator('[data-grid="ladder"] .ag-row[row-id="=EURUSD"] [col-id="instrument"]')
    first.click()
    page.keyboard.press("Enter")
    behind = page.get_by_role("region", name="Behind EURUSD")
    behind.get_by_text("C + K").wait_for()
    held = demo.get("/v1/receipt?node=FX1&instrument=EURUSD")["row"]["quantity"]
    behind.get_by_text(held).first.wait_for()
    stored = "/v1/trades?node=FX1&instrument=EURUSD"
    wait_until(lambda: f"{demo.get(stored)['total']:,} stored" in behind.inner_text(), 10)
    page.keyboard.press("Escape")
    behind.wait_for(state="detached")


def test_everything_is_done_by_keyboard_alone(page: Any) -> None:
    place = "() => document.querySelector('.path b')?.textContent"
    page.keyboard.press("/")
    page.keyboard.type("fx2")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({place})() === 'FX2'")
    page.keyboard.press("[")
    page.wait_for_function(f"() => ({place})() === 'ALL'")
    page.keyboard.press("2")
    page.wait_for_selector('[data-grid="blotter"] .line-row')
    stops = tab_stops(page)
    assert sum("ag-" in stop for stop in stops) <= 4, "a grid is one stop for its header and one for its cells"
    page.evaluate("() => document.querySelector('[role=tree] [tabindex=\"0\"]').focus()")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.activeElement.getAttribute('aria-expanded') === 'false'")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({place})() === 'EQ'")
    page.keyboard.press("k")
    page.wait_for_function(
        "() => /[MK]$/.test(document.querySelector('[data-grid=blotter] [col-id=gross_exposure].ag-cell').textContent)"
    )
    page.keyboard.press("k")
    page.keyboard.press("?")
    page.get_by_role("region", name="Settings").wait_for()
    page.keyboard.press("?")


def tab_stops(page: Any) -> list[str]:
    """The classes of what Tab comes to, once round the page."""
    page.evaluate("() => document.activeElement.blur()")
    found: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            "() => { const at = document.activeElement; return `${at.tagName} ${at.className} ${at.textContent.slice(0, 20)}`; }"
        )
        if stop.startswith("BODY") or (found and stop == found[0]):
            break
        found.append(stop)
    return found


def test_choices_and_columns_come_back_with_the_page_and_travel_in_the_address(demo: Server, browser: Any) -> None:
    with opened(browser, f"{demo.url}/#/ladder?node=FX1&group=currency&ladder-columns=instrument,mark,total_pnl") as tab:
        tab.wait_for_selector('.ag-row[row-id^="group:"]')
        headers = "document.querySelectorAll('[data-grid=ladder] .ag-header-cell')"
        columns = f"() => [...{headers}].map((each) => each.getAttribute('col-id'))"
        assert tab.evaluate(columns) == ["instrument", "mark", "total_pnl"]
        tab.keyboard.press("d")
        tab.get_by_role("button", name="Columns").click()
        tab.get_by_label("Day", exact=True).check()
        tab.wait_for_function("() => location.hash.includes('day_pnl')")
        tab.goto(f"{demo.url}/#/ladder?node=FX1")
        tab.reload()
        tab.wait_for_selector('[data-grid="ladder"] .line-row')
        assert set(tab.evaluate(columns)) == {"instrument", "mark", "total_pnl", "day_pnl"}
        tab.get_by_text("Total P&L").first.wait_for()


def test_what_is_on_the_screen_is_saved_as_csv_with_exact_numbers(demo: Server, page: Any) -> None:
    with page.expect_download() as downloading:
        page.locator('[data-grid="ladder"]').get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(downloading.value.path()).read_text())))
    total, *lines = rows
    assert total["Instrument"] == "Total"
    for column in ("Total", "Day", "Unrealised"):
        assert sum(float(line[column]) for line in lines) == pytest.approx(float(total[column]), abs=0.01)
    known = {row["instrument"]: row for row in demo.get("/v1/ladder")["rows"]}
    positions = [line for line in lines if line["Instrument"] in known]
    assert len(positions) > 20
    assert all(float(line["Mark"]) == pytest.approx(known[line["Instrument"]]["mark"], rel=0.1) for line in positions)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(demo: Server, browser: Any, theme: str) -> None:
    with opened(browser, demo.url, color_scheme=theme, viewport={"width": 1_600, "height": 1_000}) as tab:
        for view in ("ladder", "blotter"):
            tab.evaluate("(view) => { location.hash = `#/${view}?node=FX1`; }", view)
            tab.wait_for_selector(f'[data-grid="{view}"] .line-row')
            wait_live(tab)
            assert serious_problems(tab) == [], view


def test_the_page_comes_to_the_checksums_of_the_engine(page: Any) -> None:
    """Every five seconds an update carries them: a copy that differed would have been asked for again."""
    sent: list[str] = []
    seen: list[str] = []

    def listen(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(str(frame)))
        socket.on("framereceived", lambda frame: seen.append(str(frame)))

    page.on("websocket", listen)
    page.reload()
    wait_until(lambda: page.wait_for_timeout(100) is None and any('"checksums"' in frame for frame in seen), 15)
    assert any("subscribe" in frame for frame in sent)
    assert not any("resync" in frame for frame in sent)


def test_what_is_kept_out_is_said_and_goes_once_a_person_has_decided(tmp_path: Path, browser: Any) -> None:
    with running("demo", "--port", "0", log=tmp_path / "log") as server, opened(browser, server.url) as tab:
        tab.get_by_text("1 trade is quarantined").first.wait_for()
        assert tab.get_attribute("[data-light=trades]", "class") == "light fair"
        for kind, action in (("conflict", "reject"), ("quarantined", "reject"), ("parked", "accept"), ("unmatched", "accept")):
            for item in server.get(f"/v1/exceptions?kind={kind}")["rows"]:
                server.post(f"/v1/exceptions/{quote(item['id'], safe='')}", {"action": action})
        tab.wait_for_function("() => document.querySelector('.warnings').hidden")
