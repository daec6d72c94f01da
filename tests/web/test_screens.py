"""The views in a real browser over a live demo: cell by cell what the HTTP API says, by keyboard alone, open to everybody."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.running import Server, running
from tests.waiting import wait_until
from tests.web.browsing import READ_CELLS, amount, at_that_seq, cells_of, opened, quantity, serious_problems, wait_live
from tests.web.shown import (
    blotter_cells,
    decimals_of,
    differences,
    key_of,
    ladder_cells,
    painted_snapshots,
    risk_cells,
)

SECONDS = 30.0 if os.environ.get("RISKENGINE_DRILLS") == "1" else 1.0
"""How long each view is compared with the API, snapshot by snapshot."""


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


CELLS = {"blotter": blotter_cells, "risk": risk_cells}


def is_row(key: str) -> bool:
    """Whether a line stands for a row of the API, and not for a sum."""
    return key.startswith("=")


@pytest.mark.parametrize("place", ["node=ALL", "node=FX1", "dealer=Anna"])
def test_the_ladder_shows_what_the_api_says_at_the_same_seq(demo: Server, page: Any, place: str) -> None:
    page.evaluate("(place) => { location.hash = `#/ladder?${place}`; }", place)
    page.wait_for_function("(name) => document.querySelector('.panel h2')?.textContent === name", arg=place.partition("=")[2])
    page.wait_for_function("() => document.querySelectorAll('[data-grid=ladder] .line-row').length > 0")
    cells, rows = at_that_seq(demo, page, "ladder", f"/v1/ladder?{place}")
    assert any(row["quantity"] for row in rows), "the demo deals here"
    assert [*differences(cells, ladder_cells(rows, decimals_of(demo)), is_row)] == []


@pytest.mark.parametrize("view", ["ladder", "blotter", "risk"])
def test_every_snapshot_that_is_painted_is_what_the_api_says_cell_by_cell(demo: Server, page: Any, view: str) -> None:
    page.evaluate("(view) => { location.hash = `#/${view}?node=ALL`; }", view)
    page.wait_for_selector(f'[data-grid="{view}"] .line-row')
    wait_live(page)
    decimals = decimals_of(demo)
    path = {"ladder": "/v1/ladder?node=ALL", "blotter": "/v1/nodes", "risk": "/v1/risk?node=ALL"}[view]
    painted = painted_snapshots(page, view, path, SECONDS)
    assert len(painted) >= 2 * SECONDS, "the page paints five snapshots a second"
    for seq, cells, rows in painted:
        wanted = (
            ladder_cells(rows, decimals) if view == "ladder" else blotter_cells(rows) if view == "blotter" else risk_cells(rows)
        )
        found = differences(cells, wanted, (lambda _: True) if view == "blotter" else is_row)
        assert [*found] == [], f"snapshot {seq}"


@pytest.mark.parametrize("by", ["counterparty", "strategy"])
def test_a_ladder_by_an_attribute_of_trades_adds_up_to_its_total_and_shows_what_the_api_says(page: Any, by: str) -> None:
    page.evaluate("(by) => { location.hash = `#/ladder?node=FX&group=${by}`; }", by)
    page.wait_for_selector('[data-grid="parts"] .line-group')
    answer, cells = page.evaluate(READ_PARTS, by)
    groups = {row["group"] for row in answer["rows"] if row["kind"] == "trades"}
    assert len(groups) > 1, "clients deal here"
    assert cells["total"]["total_pnl"] == amount(answer["whole"]["total_pnl"])
    assert sum(row["total_pnl"] for row in answer["rows"]) == pytest.approx(answer["whole"]["total_pnl"], abs=1e-3)
    shown = [name for name in groups if f"group:{name}" in cells]
    assert shown, "the first of them are in sight"
    for name in shown:
        mine = [row for row in answer["rows"] if row["kind"] == "trades" and row["group"] == name]
        assert cells[f"group:{name}"]["total_pnl"] == amount(sum(row["total_pnl"] for row in mine))
        for row in mine:
            line = cells.get(f"group:{name}\u001f{row['instrument']}")
            if line is not None:
                assert (line["quantity"], line["total_pnl"]) == (quantity(row["quantity"]), amount(row["total_pnl"]))
                assert line["realised_pnl"] == amount(row["realised_pnl"])


READ_PARTS = f"""async (by) => {{
    for (let tried = 0; tried < 50; tried += 1) {{
        await new Promise((done) => setTimeout(done, 100));
        const told = document.querySelector('[data-grid="parts"] .tools')?.textContent ?? "";
        const [, seq] = /of snapshot (\\d+)/.exec(told) ?? [];
        if (seq === undefined) continue;
        const cells = ({READ_CELLS})("parts");
        const answer = await fetch(`/v1/groups?node=FX&by=${{by}}&seq=${{seq}}`);
        if (answer.ok) return [await answer.json(), cells];
    }}
    return [{{ rows: [] }}, {{}}];
}}"""


def test_a_part_opens_to_its_own_trades(demo: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/ladder?dealer=Anna&group=strategy'; }")
    page.wait_for_selector('[data-grid="parts"] .line-row[row-id^="group:flow"]')
    line = page.locator('[data-grid="parts"] .line-row[row-id^="group:flow"]').first.get_attribute("row-id") or ""
    instrument = line.partition("\u001f")[2]
    page.locator(f'[data-grid="parts"] .ag-row[row-id="{line}"] [col-id="instrument"]').dblclick()
    page.wait_for_selector(f'[aria-label="Behind {instrument}"] tbody tr')
    total = demo.get(f"/v1/trades?dealer=Anna&strategy=flow&instrument={quote(instrument, safe='')}")["total"]
    assert total < demo.get(f"/v1/trades?dealer=Anna&instrument={quote(instrument, safe='')}")["total"] or total > 0
    page.wait_for_function(
        "(name) => / stored$/.test(document.querySelector(`[aria-label='Behind ${name}'] h3`)?.textContent ?? '')", arg=instrument
    )
    page.keyboard.press("Escape")


def test_a_layout_comes_back_by_its_name_from_the_settings_and_from_the_finder(page: Any) -> None:
    page.evaluate("() => { location.hash = '#/blotter?by=dealer&dealers=ann'; }")
    page.wait_for_function("() => document.querySelectorAll('[data-grid=blotter] .line-row').length > 0")
    lines = set(cells_of(page, "blotter"))
    assert lines and all("ann" in line.lower() for line in lines), "the filter leaves those whose names have it"
    page.keyboard.press("?")
    page.get_by_label("Name of the present layout").fill("my people")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="my people", exact=True).wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.wait_for_selector('[data-grid="ladder"] .line-row')
    page.locator("body").press("/")
    page.keyboard.type("my peo")
    page.get_by_role("option", name="my people layout").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-grid="blotter"] .line-row')
    assert "dealers=ann" in page.url
    assert set(cells_of(page, "blotter")) == lines
    page.keyboard.press("?")
    page.get_by_label("Forget the layout my people").click()
    assert page.get_by_role("button", name="my people", exact=True).count() == 0
    page.keyboard.press("Escape")


def test_a_dealer_has_a_curve(demo: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/ladder?dealer=Anna'; }")
    page.wait_for_function("() => /^now /.test(document.querySelector('.curve .tools .quiet')?.textContent ?? '')")
    assert page.locator(".curve canvas").count() == 2
    assert demo.get("/v1/history?dealer=Anna&days=7")["rows"]


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
    assert [*differences(cells, blotter_cells(rows), lambda _: True)] == []
    page.get_by_role("button", name="Dealers", exact=True).click()
    page.wait_for_function("() => document.querySelector('[data-grid=blotter] .ag-row[row-id^=\"=A\"]')")
    cells, dealers = at_that_seq(demo, page, "blotter", "/v1/dealers")
    assert {key: line["total_pnl"] for key, line in cells.items()} == {
        key_of(row, "dealer"): amount(row["total_pnl"]) for row in dealers
    }


def test_the_risk_shows_what_the_api_says_at_the_same_seq(demo: Server, page: Any) -> None:
    page.keyboard.press("3")
    page.wait_for_selector('[data-grid="risk"] .line-row')
    cells, rows = at_that_seq(demo, page, "risk", "/v1/risk?node=ALL")
    assert [*differences(cells, risk_cells(rows), is_row)] == []


def test_the_trades_below_are_those_of_where_the_user_is_with_what_is_kept_out(demo: Server, page: Any) -> None:
    page.evaluate("() => { location.hash = '#/blotter?node=FX1'; }")
    page.wait_for_function("() => [...document.querySelectorAll('[data-grid=trades] [col-id=status]')].length > 5")
    lines = cells_of(page, "trades").values()
    assert {line["desk"] for line in lines} <= {"FX1", ""}, "a cancel names no desk"
    assert "in force" in {line["status"] for line in lines}
    page.evaluate("() => { location.hash = '#/blotter?node=FX1&t-status=kept+out'; }")  # however long ago that was
    page.locator('[data-grid="trades"] .ag-cell[col-id="status"]', has_text="quarantined").first.wait_for()


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
