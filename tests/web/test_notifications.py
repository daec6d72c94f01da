"""Notifications in a real browser over an engine with tokens: what the user opted into is told, in a hidden tab too, and no more.

The browser's own notifications are a stand-in that notes them: a browser without a desktop shows none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from riskengine.clock import SystemClock
from tests.web.booking_desk import Desk, booking_desk
from tests.web.browsing import opened, serious_problems, wait_live
from tests.world import row

STAND_IN = """(() => {
    window.told = [];
    window.tones = 0;
    window.asked = 0;
    window.Notification = class extends EventTarget {
        static permission = "PERMISSION";
        static async requestPermission() {
            window.asked += 1;
            return (this.permission = "granted");
        }
        constructor(title, { body, tag }) {
            super();
            window.told.push({ title, body, tag });
        }
        close() {}
    };
    const make = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () {
        window.tones += 1;
        return make.call(this);
    };
})()"""
OFFLINE = ("ERR_INTERNET_DISCONNECTED", "WebSocket connection to", "Failed to load resource")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with booking_desk(tmp_path_factory.mktemp("desk")) as running:
        yield running


@contextmanager
def watching(desk: Desk, browser: Any, *wanted: str, permission: str = "granted") -> Iterator[Any]:
    """The ladder of FX1 of a dealer who wants to be told of these, with the settings open."""
    with opened(browser, f"{desk.url}/login", viewport={"width": 1_600, "height": 1_000}, expected=OFFLINE) as page:
        page.add_init_script(STAND_IN.replace("PERMISSION", permission))
        desk.log_in(page, "ann")
        page.evaluate("() => { location.hash = '#/ladder?node=FX1'; }")
        page.wait_for_function("() => document.querySelector('.path b')?.textContent === 'FX1'")
        wait_live(page)
        page.get_by_role("button", name="ann", exact=True).click()
        for label in wanted:
            page.get_by_label(label, exact=True).check()
        yield page


def hide(page: Any) -> None:
    """As a browser treats a tab that is not shown: it paints no frame."""
    page.evaluate("() => { window.requestAnimationFrame = () => 0; }")


def wait_told(page: Any, tag: str) -> dict[str, str]:
    page.wait_for_function("(tag) => window.told.some((each) => each.tag === tag)", arg=f"riskengine {tag}")
    told: dict[str, str] = page.evaluate("(tag) => window.told.find((each) => each.tag === tag)", f"riskengine {tag}")
    return told


def deal(desk: Desk, name: str, who: str, dealer: str) -> None:
    source = {"source": "manual"} if who == "ann" else {"source": "booking"}
    desk.ask(who, "/v1/trades", [row(name, ts=SystemClock().now(), desk="FX1", dealer=dealer, quantity="1000000") | source])


def wait_read(page: Any, readings: list[str], count: int) -> None:
    """Wait until the page has read the trades so often."""
    for _ in range(200):
        if len(readings) >= count:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{len(readings)} readings")


def test_somebody_elses_trade_in_the_watched_book_is_told_and_the_own_one_is_not(desk: Desk, browser: Any) -> None:
    with watching(desk, browser) as page:
        readings: list[str] = []
        page.on("response", lambda answer: readings.append(answer.url) if "versions=all" in answer.url else None)
        page.get_by_label("A trade of somebody else: notification", exact=True).check()
        page.get_by_label("A trade of somebody else: sound", exact=True).check()
        wait_read(page, readings, 1)  # what is stored by the first reading is where counting begins
        hide(page)
        deal(desk, "own-1", "ann", "ann")
        wait_read(page, readings, 2)
        deal(desk, "other-1", "feed", "bob")
        told = wait_told(page, "trade")
        assert told["title"] == "FX1: a trade of somebody else"
        assert told["body"] == "bob buy 1,000,000 EURUSD at 1.1"
        page.wait_for_function("() => window.tones === 2")


def test_a_step_of_pnl_is_told_of_the_watched_node(desk: Desk, browser: Any) -> None:
    deal(desk, "step-1", "feed", "bob")
    desk.price(1.1)
    with watching(desk, browser, "A step of P&L: notification") as page:
        page.get_by_text("no step is told before it is set").wait_for()
        page.get_by_label("A step is, in USD").fill("1k")
        hide(page)
        for swing in range(40):  # the first look says where counting begins
            desk.price(1.1035 if swing % 2 else 1.1)
            page.wait_for_timeout(500)
            if page.evaluate("() => window.told.length"):
                break
        told = wait_told(page, "step")
        assert "FX1 " in told["title"]
        assert "today" in told["title"]
        assert told["body"].startswith(("up ", "down ", "2 times; the last: "))
        assert told["body"].endswith("of 1,000")
        assert page.evaluate("() => window.tones") == 0, "a sound is opted into by itself"


def test_a_light_that_turns_red_is_told(desk: Desk, browser: Any) -> None:
    with watching(desk, browser, "A light turns red: notification") as page:
        desk.price()
        page.wait_for_timeout(1_500)
        hide(page)
        page.context.set_offline(True)
        told = wait_told(page, "red")
        assert told["title"] == "A light of riskengine turned red"
        assert told["body"].startswith(("link: ", "prices: ", "2 times; the last: "))
        page.context.set_offline(False)


def test_nothing_is_told_that_nobody_opted_into(desk: Desk, browser: Any) -> None:
    with watching(desk, browser, "A light turns red: sound") as page:
        deal(desk, "other-2", "feed", "bob")
        page.wait_for_timeout(1_500)
        assert page.evaluate("() => [window.told.length, window.tones, window.asked]") == [0, 0, 0]


def test_a_browser_that_forbids_notifications_is_said(desk: Desk, browser: Any) -> None:
    with watching(desk, browser, "A light turns red: notification", permission="denied") as page:
        page.get_by_text("this browser forbids notifications of this page").wait_for()


def test_a_browser_is_asked_once_it_is_wanted_and_the_choice_is_kept(desk: Desk, browser: Any) -> None:
    with watching(desk, browser, permission="default") as page:
        assert page.evaluate("() => window.asked") == 0
        page.get_by_label("A trade of somebody else: notification", exact=True).check()
        page.wait_for_function("() => window.asked === 1")
        assert page.get_by_text("has not allowed notifications").count() == 0
        assert serious_problems(page) == []
        page.reload()
        page.wait_for_selector(".ag-row")
        page.get_by_role("button", name="ann", exact=True).click()
        assert page.get_by_label("A trade of somebody else: notification", exact=True).is_checked()
        assert page.get_by_text("P&L and trades of FX1").count() == 1
