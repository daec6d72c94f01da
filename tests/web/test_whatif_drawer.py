"""The drawer at the ladder in a real browser: what is typed, what `/v1/check` and `/v1/whatif` say of it, and nothing booked."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Server
from tests.web.browsing import amount, cells_of, opened, serious_problems, wait_live
from tests.web.risk_desk import risk_desk

TRADE = {"instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": "5000000", "price": "1.0842"}
SHIFTS = [{"currency": "EUR", "relative": -0.05}, {"factor": "vol", "all": True, "absolute": 0.02}]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with risk_desk(tmp_path_factory.mktemp("whatif"), days=2) as server:
        yield server


@pytest.fixture(scope="module")
def tab(desk: Server, browser: Any) -> Iterator[Any]:
    with opened(browser, desk.url, expected=("status of 400",)) as shown:
        wait_live(shown)
        yield shown


@pytest.fixture
def page(tab: Any) -> Any:
    """The one tab of these tests, with the drawer open at the ladder of FX1, and nothing written."""
    tab.evaluate("() => { location.hash = '#/ladder?node=FX1'; }")
    tab.get_by_role("heading", name="FX1").wait_for()
    tab.keyboard.press("w")
    tab.wait_for_function("() => document.activeElement?.name === 'trades'")
    for name in ("trades", "shifts"):
        tab.locator(f"textarea[name={name}]").fill("")
    tab.wait_for_function("() => document.querySelectorAll('[data-grid=whatif] .line-row').length === 0")
    tab.locator("textarea[name=trades]").focus()
    yield tab
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".whatif", state="detached")


def write(page: Any, name: str, text: str) -> None:
    page.locator(f"textarea[name={name}]").fill(text)


def settled(page: Any, grid: str) -> None:
    page.wait_for_function("(grid) => document.querySelectorAll(`[data-grid=${grid}] .line-row`).length > 0", arg=grid)
    page.wait_for_function("() => !document.querySelector('.whatif').textContent.includes('asking')")


def test_every_rule_is_that_of_the_check_with_the_worst_first(desk: Server, page: Any) -> None:
    page.keyboard.type("buy 5m EURUSD 1.0842")
    settled(page, "rules")
    page.get_by_text("1: buy 5,000,000 EURUSD at 1.0842, FX1").wait_for()
    told = desk.post("/v1/check", [TRADE | {"trade_id": "intended"}])
    shown = cells_of(page, "rules")
    assert len(shown) == len(told["rules"])
    outcomes = [cell["outcome"][2:] for cell in shown.values()]
    assert outcomes == sorted(outcomes, key=["refuse", "unknown", "warn", "pass"].index)
    assert sorted(outcomes) == sorted(rule["outcome"] for rule in told["rules"])
    [size] = [cell for cell in shown.values() if cell["measure"].startswith("trade quantity")]
    [rule] = [rule for rule in told["rules"] if rule["rule"] == "trade_quantity"]
    assert (size["outcome"], size["on"], size["headroom"]) == ("\u2716 refuse", "line 1", amount(rule["headroom"], plus=""))
    page.get_by_text(f"\u2716 refuse: {outcomes.count('refuse')} of {len(outcomes)} rules").wait_for()


def test_numbers_before_and_after_are_those_of_the_whatif(desk: Server, page: Any) -> None:
    write(page, "trades", "buy 5m EURUSD 1.0842")
    write(page, "shifts", "EUR -5%\nvol all +2 pts")
    settled(page, "whatif")
    nodes = ["FX1", "G10", "FX", "ALL"]
    told = desk.post("/v1/whatif", {"nodes": nodes, "trades": [TRADE], "shifts": SHIFTS})
    shown = cells_of(page, "whatif")
    assert [key for key in shown if "/" not in key] == [f"node:{node}" for node in nodes]
    for row in told["rows"][:2]:  # the others may lie below the grid's edge
        for field in ("total_pnl", "net_exposure", "long_exposure", "delta_cash"):
            cell = shown[f"node:{row['node']}/{field}"]
            said = [row[side][field] for side in ("before", "after", "change")]
            near = [parsed(cell[side]) for side in ("before", "after", "change")]
            assert near == pytest.approx(said, rel=1e-4, abs=2), (row["node"], field)  # time goes by: options lose value
    assert "var" not in told["rows"][0]["before"] and "node:FX1/var" not in shown


def parsed(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


def test_nothing_is_booked(desk: Server, page: Any) -> None:
    before = desk.get("/v1/nodes")["rows"][0]["trade_count"]
    write(page, "trades", "buy 1m EURUSD 1.1")
    settled(page, "rules")
    page.keyboard.press("Control+Enter")
    settled(page, "rules")
    assert desk.get("/v1/nodes")["rows"][0]["trade_count"] == before


def test_what_cannot_be_read_is_not_sent_and_says_why(page: Any) -> None:
    write(page, "trades", "buy 1m EURUSD 1.1\nbuy 5 NOBODY 3")
    page.get_by_text("2: not read: no instrument that is known here").wait_for()
    settled(page, "rules")
    assert {cell["on"] for cell in cells_of(page, "rules").values()} == {"line 1", "all"}


def test_a_refusal_of_the_engine_leaves_no_older_answer(page: Any) -> None:
    write(page, "shifts", "EUR -5%")
    settled(page, "whatif")
    write(page, "shifts", "EUR -200%")
    page.get_by_text("not answered: shifts").wait_for()
    page.wait_for_function("() => document.querySelectorAll('[data-grid=whatif] .line-row').length === 0")


def test_a_rejected_trade_is_a_rule_that_refuses_with_the_reason(page: Any) -> None:
    write(page, "trades", "buy 1.5 ACME 91 EQ1")
    settled(page, "rules")
    [refused] = [cell for cell in cells_of(page, "rules").values() if cell["outcome"].endswith("refuse")]
    assert refused["measure"] == "instrument" and "quantity" in refused["reason"]


def test_axe_finds_nothing_serious_in_either_theme(page: Any) -> None:
    page.set_viewport_size({"width": 1_600, "height": 1_000})
    write(page, "trades", "buy 5m EURUSD 1.0842\nbuy 1 X")
    settled(page, "rules")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert serious_problems(page) == []
