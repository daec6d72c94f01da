"""The operations page in a real browser: it says what the HTTP API says, and does what a person decides, by keyboard."""

import datetime as dt
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from riskengine.clock import SystemClock
from riskengine.serve.routes.exceptions import ACTIONS
from tests.running import ROOT
from tests.waiting import wait_until
from tests.web.browsing import amount, cells_of, number, opened, serious_problems, wait_live
from tests.web.morning_desk import CONFLICT, GAPPED, KEPT_OUT, PARKED, MorningDesk, morning_desk
from tests.world import row as deal_of

PATIENCE_S = 10.0
SCREEN = {"width": 1_600, "height": 1_000}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MorningDesk]:
    with morning_desk(tmp_path_factory.mktemp("morning")) as running:
        yield running


@contextmanager
def logged_in(browser: Any, desk: MorningDesk, name: str, **more: Any) -> Iterator[Any]:
    """The operations page as the person of a token sees it."""
    with opened(browser, desk.url, **({"viewport": SCREEN} | more)) as page:
        page.wait_for_url("**/login")
        page.fill("#token", desk.tokens[name])
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector(".tree-items .name")
        page.keyboard.press("4")
        page.wait_for_selector('[data-grid="cases"]')
        wait_live(page)
        yield page


@pytest.fixture(scope="module")
def tab(desk: MorningDesk, browser: Any) -> Iterator[Any]:
    with logged_in(browser, desk, "boss") as page:
        yield page


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of the operator, as the view begins."""
    show(tab, "#/operations")
    return tab


def show(page: Any, where: str) -> None:
    page.evaluate("(where) => { location.hash = where; }", where)
    page.wait_for_selector('[data-grid="cases"] .line-row')
    if page.get_by_role("button", name="Morning").count():
        page.get_by_role("button", name="Morning").click()


def read(page: Any, label: str) -> list[list[str]]:
    """The lines of a card on top, each its words from left to right."""
    script = "(list) => [...list.children].map((line) => [...line.children].map((part) => part.textContent))"
    found: list[list[str]] = page.get_by_role("group", name=label, exact=True).locator("ul").evaluate(script)
    return found


def case_row(page: Any, key: str) -> Any:
    return page.locator(f'[data-grid="cases"] .ag-row[row-id="{key}"] [col-id="kind"]')


def expect_cells(page: Any, grid: str, columns: tuple[str, ...], told: Mapping[str, tuple[str, ...]]) -> None:
    """These columns of a grid are what was told, once it has drawn them: the first column is drawn apart from the others."""

    def shown() -> dict[str, tuple[str | None, ...]]:
        return {key: tuple(cells.get(column) for column in columns) for key, cells in cells_of(page, grid).items()}

    deadline = time.monotonic() + PATIENCE_S
    while shown() != told and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert shown() == told


def open_case(page: Any, key: str) -> None:
    """By keyboard from the line on: Enter opens a case and leads into its comment."""
    case_row(page, key).click()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement?.name === 'comment'")


def answer(page: Any, words: str) -> None:
    """The answer stands where it was clicked."""
    page.locator(".side .answer", has_text=words).wait_for()


# -- what it shows ------------------------------------------------------------------------------------------------------


def test_the_work_list_is_what_the_api_lists(desk: MorningDesk, page: Any) -> None:
    listed = {row["id"]: row for row in desk.ask("/v1/exceptions?limit=1000")["rows"]}
    assert {row["kind"] for row in listed.values()} >= {"conflict", "parked", "quarantined", "unmatched", "unpriced"}
    fields = ("kind", "what", "instrument")
    told = {key: (row["kind"].replace("_", " "), row["reason"], row["instrument"] or "") for key, row in listed.items()}
    expect_cells(page, "cases", fields, told)


def test_the_list_is_whole_whichever_way_one_comes_to_it(desk: MorningDesk, page: Any) -> None:
    listed = {row["id"] for row in desk.ask("/v1/exceptions?limit=1000")["rows"]}
    for where in ("?cases=all", "?part=engine", "?cases=all&part=audit", ""):
        page.evaluate("(where) => { location.hash = `#/operations${where}`; }", where)
        wait_until(lambda: cells_of(page, "cases").keys() == listed, 10)


def test_open_cases_are_counted_by_kind_and_a_click_lists_one_kind(desk: MorningDesk, page: Any) -> None:
    counts: dict[str, int] = {}
    for row in desk.ask("/v1/exceptions?limit=1000")["rows"]:
        counts[row["kind"]] = counts.get(row["kind"], 0) + (row["verdict"] is None)
    assert read(page, "Needs a person") == [[kind.replace("_", " "), str(count)] for kind, count in counts.items() if count]
    page.get_by_role("group", name="Needs a person").get_by_role("button", name="conflict").click()
    wait_until(lambda: set(cells_of(page, "cases")) == {desk.exception(CONFLICT)["id"]}, 10)
    assert "kind=conflict" in page.url


def test_today_is_what_the_api_says_of_the_day(desk: MorningDesk, page: Any) -> None:
    today, close = desk.ask("/v1/today"), desk.ask("/v1/closes?limit=1")
    told = dict(read(page, "Day"))
    assert told["day"] == today["day"]
    assert told["closed"] == today["closed"] == close["date"]
    assert told["struck"].endswith(f"v{close['version']}")
    dues: dict[str, list[str]] = {}
    for row in today["rows"]:
        if row["kind"] == "value_date":
            dues.setdefault(row["due"], []).append(row["name"])
    shown = read(page, "Spot dates")
    assert len(shown) == len(dues)
    for (date, words), (due, pairs) in zip(shown, sorted(dues.items()), strict=True):
        assert date == dt.date.fromisoformat(due).strftime("%b %-d")
        assert words.startswith((" ".join(pairs), f"{len(pairs)} pair"))
    unmoved = [[row["name"]] for row in today["rows"] if row["kind"] == "unchanged"]
    assert [line[:1] for line in read(page, "Unmoved prices")] == (unmoved or [[]])


def test_the_cash_ladder_on_top_and_below_is_that_of_the_chosen_node(desk: MorningDesk, page: Any) -> None:
    ladder = desk.ask("/v1/cashladder?node=ALL")
    totals = [amount(row["amount_reporting"]) + "*" * bool(row["unpriced_count"]) for row in ladder["totals"]]
    page.wait_for_function("() => document.querySelector('[aria-label=\"Cash of ALL\"] ul')?.children.length > 1")
    assert [value for _, value in read(page, "Cash of ALL")] == totals
    page.get_by_role("button", name="Cash ladder").click()
    page.wait_for_selector('[data-grid="cash"] .line-row')
    flows = {f"{row['currency']} {row['bucket']}": (amount(row["amount"]),) for row in ladder["rows"]}
    expect_cells(page, "cash", ("amount",), flows)


def test_sources_show_their_gaps_and_a_known_gap_alarms_no_more(desk: MorningDesk, page: Any) -> None:
    def source() -> dict[str, Any]:
        return next(dict(feed) for feed in desk.ask("/v1/status")["feeds"] if feed["source"] == GAPPED)

    assert source()["missing"] == [[3, 7]]
    page.wait_for_function("() => document.querySelector('[data-grid=feeds]')?.textContent.includes('3 to 7')")
    wait_until(lambda: cells_of(page, "feeds").get(GAPPED, {}).get("received_seq") == "2", 10)
    assert cells_of(page, "feeds")[GAPPED]["missing_count"] == "5"
    page.locator(f'[data-grid="feeds"] .ag-row[row-id="{GAPPED}"] [col-id="source"]').click()
    page.get_by_role("button", name="acknowledge").click()
    page.locator('[data-grid="feeds"] .answer', has_text="the gap is known").wait_for()
    assert source()["acknowledged_count"] == 5
    page.wait_for_function("() => !document.querySelector('[data-grid=feeds]').textContent.includes('3 to 7')")


def test_the_morning_says_of_each_step_when_it_was_and_what_is_not_known(desk: MorningDesk, page: Any) -> None:
    start = desk.ask("/v1/status")["start"]
    names = page.locator(".checks li a").all_text_contents()
    assert [phase["phase"] for phase in start["phases"]] == names[-len(start["phases"]) :]
    store = page.locator(".checks li", has_text="compared").first
    assert f"{start['compared']} positions compared" in store.inner_text()
    page.get_by_role("button", name="Compare now").click()
    answer(page, "agree with the store")
    page.locator(".checks li.well", has_text="reconciliation").wait_for()
    assert desk.ask("/v1/status")["last_reconciliation"]["clean"]


def dollars_of(desk: MorningDesk) -> Decimal:
    """All dollars that FX1 has or will have."""
    return sum((Decimal(row["amount"]) for row in desk.ask("/v1/cashladder?node=FX1&currency=USD&exact=true")["rows"]), Decimal())


def test_cash_and_carry_are_entered_and_what_is_refused_says_why(desk: MorningDesk, page: Any) -> None:
    show(page, "#/operations?part=cash&node=FX1")
    form = page.get_by_role("form", name="Enter cash, carry or an action")
    before = dollars_of(desk)
    for field, text in (("currency", "USD"), ("amount", "1,5")):
        form.locator(f"[name={field}]").fill(text)
    page.keyboard.press("Enter")
    form.locator("output.alarm").wait_for()
    assert "amount" in form.locator("output").inner_text()
    form.locator("[name=amount]").fill("1000000.25")
    page.keyboard.press("Enter")
    form.locator("output.good").wait_for()
    assert dollars_of(desk) - before == Decimal("1000000.25"), "to the last digit"
    stored = [entry for entry in desk.ask("/v1/audit?kind=cash&limit=5")["rows"] if "page-" in str(entry)]
    assert len(stored) == 1, "once, and under the name of the boss"


def test_the_audit_trail_is_searched_and_closes_and_calendars_are_listed(desk: MorningDesk, page: Any) -> None:
    page.get_by_role("button", name="Audit trail").click()
    page.get_by_label("Kind of entry").select_option("close_struck")
    entries = desk.ask("/v1/audit?kind=close_struck")["rows"]
    wanted = {str(entry["audit_seq"]) for entry in entries}
    wait_until(lambda: cells_of(page, "audit").keys() == wanted, 10)
    page.get_by_role("button", name="Closes").click()
    page.wait_for_selector('[data-grid="closes"] .line-row')
    expect_cells(page, "closes", ("subject",), {str(entry["audit_seq"]): (entry["subject"],) for entry in entries})
    page.get_by_role("button", name="Calendars").click()
    rows = [row for row in desk.ask("/v1/today?ahead=45")["rows"] if row["kind"] in ("holiday", "early_close")]
    page.wait_for_selector(f'[data-grid="calendars"] .ag-row[row-id="{rows[0]["date"]} {rows[0]["name"]}"]')


def test_the_engine_s_own_figures_are_those_of_the_status(desk: MorningDesk, page: Any) -> None:
    page.get_by_role("button", name="Engine", exact=True).click()
    status = desk.ask("/v1/status")
    script = "(lines) => lines.map(({ children }) => [...children].map((part) => part.textContent))"
    facts = dict(page.locator(".engine dl > div").evaluate_all(script))
    assert facts["version"] == status["version"]
    assert facts["store id"] == status["store_id"]
    assert facts["position count"] == number(status["position_count"], 0)


# -- what it does -------------------------------------------------------------------------------------------------------


def test_a_conflict_is_accepted_by_keyboard_with_a_comment_and_the_answer_stands_there(desk: MorningDesk, page: Any) -> None:
    item = desk.exception(CONFLICT)
    open_case(page, item["id"])
    differing = page.locator(".facts .differs")
    assert differing.all_inner_texts() == ["price\t1.2\t1.1"]
    page.keyboard.type("the desk says 1.2")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answer(page, "accepted by boss, stored and in force")
    assert desk.ask("/v1/exceptions?kind=conflict")["total"] == 0
    assert desk.ask("/v1/trades?source=booking&trade_id=twice")["rows"][0]["price"] == 1.2
    [entry] = desk.ask("/v1/audit?kind=verdict")["rows"]
    assert (entry["actor"], entry["detail"]["comment"]) == ("boss", "the desk says 1.2")
    page.locator(".case", has_text="it has left the list").wait_for()
    assert page.get_by_role("button", name="Accept").is_disabled()
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement?.closest('[data-grid=cases]') !== null")


def test_what_is_kept_out_is_rejected_by_keyboard_and_listed_among_all_with_who_and_why(desk: MorningDesk, page: Any) -> None:
    item = desk.exception(KEPT_OUT)
    open_case(page, item["id"])
    page.keyboard.type("dealt in error")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answer(page, "rejected by boss")
    decided = desk.exception(KEPT_OUT)
    assert (decided["verdict"], decided["comment"], decided["verdict_by"]) == ("reject", "dealt in error", "boss")
    page.get_by_role("button", name="Morning").click()
    case_row(page, item["id"]).wait_for(state="detached")
    page.get_by_role("button", name="All", exact=True).click()
    case_row(page, item["id"]).wait_for()
    wait_until(lambda: cells_of(page, "cases").get(item["id"], {}).get("said") == "reject by boss", 10)


def test_enter_in_the_comment_comments_and_decides_nothing(desk: MorningDesk, page: Any) -> None:
    item = desk.exception(PARKED)
    open_case(page, item["id"])
    assert page.get_by_role("button", name="Reject").count() == 0, "it ends with its cause"
    assert page.get_by_role("button", name="Comment").is_disabled(), "there is nothing to say yet"
    page.keyboard.type("asked booking")
    page.keyboard.press("Enter")
    answer(page, "comment by boss")
    said = desk.exception(PARKED)
    assert (said["verdict"], said["comment"]) == (None, "asked booking")
    page.locator(".case blockquote", has_text="asked booking").wait_for()


def test_a_mark_is_set_by_hand_refusals_are_said_and_the_mark_is_ended(desk: MorningDesk, page: Any) -> None:
    page.get_by_role("button", name="Marks by hand").click()
    panel = page.locator('[data-grid="hand-marks"]')
    panel.get_by_label("Instrument", exact=True).fill("NOWHERE")
    page.keyboard.press("Tab")
    page.keyboard.type("11.5")
    page.keyboard.press("Tab")
    page.keyboard.type("the feed is wrong")
    page.keyboard.press("Enter")
    panel.locator(".answer.alarm", has_text="rejected: ").wait_for()
    panel.get_by_label("Instrument", exact=True).fill("GHOST")
    panel.get_by_label("Holds").select_option("60")
    panel.get_by_label("Reason").press("Enter")
    panel.locator(".answer.good", has_text="GHOST is marked at 11.5 until").wait_for()
    [mark] = [row for row in desk.ask("/v1/marks?limit=1000")["rows"] if row["author"] is not None]
    assert (mark["instrument"], mark["price"], mark["author"], mark["reason"]) == ("GHOST", 11.5, "boss", "the feed is wrong")
    assert mark["expires_ts"] - mark["ts"] == 3_600_000_000
    line = panel.locator('.ag-row[row-id="GHOST"] [col-id="instrument"]')
    line.click()
    panel.get_by_role("button", name="End GHOST").click()
    panel.locator(".answer.good", has_text="has ended").wait_for()
    line.wait_for(state="detached")


def test_what_comes_new_is_listed_by_itself(desk: MorningDesk, page: Any) -> None:
    deal = deal_of("half a swap", source=GAPPED, ts=SystemClock().now(), legs=2, desk="FX2")
    assert desk.ask("/v1/trades", [deal], name="prices")["counts"]["applied"] == 1
    case_row(page, f"unmatched:{GAPPED}:half a swap").wait_for()


def test_every_action_that_the_page_offers_is_one_that_the_engine_takes() -> None:
    text = (ROOT / "riskengine/web/src/operations/cases.ts").read_text()
    body = text[text.index("export const EFFECTS") : text.index("};", text.index("export const EFFECTS"))]
    offered = {
        line.strip().partition(":")[0]: ("accept", "reject") if "reject:" in line else ("accept",)
        for line in body.splitlines()
        if "accept:" in line and line.startswith("  ")
    }
    assert {kind: actions for kind, actions in offered.items() if kind in ACTIONS} == dict(ACTIONS)


# -- who may, and for whom ----------------------------------------------------------------------------------------------


def person(browser: Any, desk: MorningDesk, name: str) -> AbstractContextManager[Any]:
    return logged_in(browser, desk, name)


def test_a_viewer_sees_what_he_is_shown_and_is_offered_nothing_to_do(desk: MorningDesk, browser: Any) -> None:
    item = desk.exception(PARKED)
    with person(browser, desk, "wall") as page:
        page.wait_for_selector('[data-grid="cases"] .line-row')
        case_row(page, item["id"]).click()
        page.locator(".case", has_text="accepting and rejecting need the role ops").wait_for()
        for name in ("Accept", "Reject", "Comment", "Compare now", "acknowledge", "Set"):
            assert page.get_by_role("button", name=name, exact=True).count() == 0
        assert page.get_by_role("button", name="Audit trail").count() == 0
        page.get_by_role("button", name="Marks by hand").click()
        page.wait_for_selector('[data-grid="hand-marks"]')
        assert page.locator('[data-grid="hand-marks"] input').count() == 0
    for path, body in (
        (f"/v1/exceptions/{item['id'].replace(' ', '%20')}", {"action": "accept"}),
        ("/v1/marks", []),
        ("/v1/reconcile", {}),
        ("/v1/audit", None),
    ):
        assert desk.ask(path, body, name="wall", status=403)["type"] == "urn:riskengine:not-allowed"


def test_a_dealer_comments_on_what_he_is_shown_and_decides_nothing(desk: MorningDesk, browser: Any) -> None:
    with person(browser, desk, "ann") as page:
        page.wait_for_selector('[data-grid="cases"] .line-row')
        listed = {row["id"] for row in desk.ask("/v1/exceptions?limit=1000", name="ann")["rows"] if row["verdict"] is None}
        wait_until(lambda: set(cells_of(page, "cases")) == listed, 10)
        [key] = sorted(listed)[:1]
        open_case(page, key)
        assert page.get_by_role("button", name="Accept").count() == 0
        page.keyboard.type("I know of it")
        page.keyboard.press("Enter")
        answer(page, "comment by ann")
        page.locator(".side .tools", has_text="Morning").get_by_role("button").click()
        page.get_by_text("of the whole house: not shown to this token").wait_for()


@pytest.mark.parametrize(
    ("part", "theme"),
    [
        ("sources", "light"),
        ("sources", "dark"),
        ("cash", "dark"),
        ("marks", "light"),
        ("closes", "dark"),
        ("calendars", "light"),
        ("audit", "dark"),
        ("engine", "light"),
    ],
)
def test_nothing_is_out_of_reach_for_people_who_see_or_point_little(tab: Any, part: str, theme: str) -> None:
    tab.emulate_media(color_scheme=theme)
    show(tab, f"#/operations?part={part}&cases=all")
    if part == "sources":
        tab.locator('[data-grid="cases"] .line-row [col-id="kind"]').first.click()
        tab.wait_for_selector(".case")
    assert serious_problems(tab) == []


@pytest.mark.parametrize("width", [420, 1_280, 1_600, 2_560])
def test_the_page_is_never_wider_than_its_window(desk: MorningDesk, tab: Any, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    show(tab, "#/operations?cases=all")
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= width
    tab.set_viewport_size(SCREEN)


def test_a_break_is_listed_with_both_sides_commented_on_and_repaired_from_the_page(tmp_path: Path, browser: Any) -> None:
    with morning_desk(tmp_path) as broken, logged_in(browser, broken, "boss") as page:
        assert page.get_by_role("button", name="Compare and repair").is_disabled(), "nothing is known to differ"
        with closing(sqlite3.connect(tmp_path / "desk.db")) as outside, outside:
            outside.execute("UPDATE trades SET quantity = '150' WHERE trade_id = 'plain'")
        page.get_by_role("button", name="Compare now").click()
        answer(page, "2 breaks in")
        found = {row["node"] or row["dealer"]: row for row in broken.ask("/v1/breaks")["rows"]}
        open_case(page, f"break:{found['FX1']['break_id']}")
        assert page.locator(".facts .differs").first.inner_text() == "quantity\t400\t450"
        page.keyboard.type("edited by booking")
        page.keyboard.press("Enter")
        answer(page, "comment by boss")
        assert {row["comment"] for row in broken.ask("/v1/breaks")["rows"]} == {"edited by booking", ""}
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Compare and repair").click()
        answer(page, "the store's values taken")
        assert broken.ask("/v1/breaks")["total"] == 0
        assert broken.ask("/v1/ladder?node=FX1&instrument=EURUSD")["rows"][0]["quantity"] == 450
        page.locator('[data-grid="cases"] .ag-row[row-id^="break:"]').first.wait_for(state="detached")


def test_without_the_engine_everything_greys_and_nothing_can_be_sent(tmp_path: Path, browser: Any) -> None:
    expected = ("WebSocket connection to", "Failed to load resource", "ERR_")
    with morning_desk(tmp_path) as lost, logged_in(browser, lost, "boss", expected=expected) as page:
        page.wait_for_selector('[data-grid="cases"] .line-row')
        open_case(page, lost.exception(CONFLICT)["id"])
        lost.server.kill()
        page.wait_for_function("() => document.body.dataset.link !== 'live'")
        page.wait_for_selector("button.act")
        page.wait_for_selector("button.act[aria-disabled=false]", state="detached")
        for part in (".cards", ".facts", '[data-grid="cases"] .ag-root'):
            assert page.locator(part).first.evaluate("(part) => getComputedStyle(part).opacity") == "0.5"
