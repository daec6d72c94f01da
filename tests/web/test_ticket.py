"""The ticket and the trade blotter in a real browser over an engine with tokens: booked, amended, cancelled, pasted, found."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from riskengine.clock import SystemClock
from tests.waiting import wait_until
from tests.web.booking_desk import MANY, Desk, booking_desk
from tests.web.browsing import cells_of, opened, serious_problems, wait_live
from tests.world import SECOND, row


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with booking_desk(tmp_path_factory.mktemp("desk")) as running:
        yield running


@contextmanager
def logged_in(desk: Desk, browser: Any, name: str, **more: Any) -> Iterator[Any]:
    with opened(browser, f"{desk.url}/login", **more) as page:
        desk.log_in(page, name)
        yield page


@pytest.fixture(scope="module")
def tab(desk: Desk, browser: Any) -> Iterator[Any]:
    # A refusal of the engine and a request that is cut are told by the browser's console too.
    with logged_in(desk, browser, "ann", expected=("Failed to load resource",)) as page:
        yield page


@pytest.fixture
def page(tab: Any) -> Any:
    """The blotter of FX1 with an empty ticket."""
    tab.unroute("**/v1/trades")
    tab.evaluate("() => { location.hash = '#/ladder?node=FX1'; }")
    tab.wait_for_selector('[data-grid="ladder"] .ag-row')
    tab.evaluate("() => { location.hash = '#/blotter?node=FX1'; }")
    tab.wait_for_selector(".ticket form")
    wait_live(tab)
    return tab


def fill(page: Any, **fields: str) -> None:
    for name, value in fields.items():
        field = page.locator(f".ticket [name={name}]")
        field.select_option(value) if name == "side" else field.fill(value)


DEAL = {"instrument": "EURUSD", "side": "buy", "quantity": "1.5m", "price": "1.1012", "counterparty": "BANK"}


def newest(page: Any, status: str = "applied") -> Any:
    """The newest answer, once it has that status."""
    answer = page.locator(f'.outcomes li:first-child[data-status="{status}"]')
    answer.wait_for()
    return answer


def booked(desk: Desk, page: Any, **fields: str) -> str:
    """Book a trade; its trade_id."""
    before = {item["trade_id"] for item in desk.ask("boss", "/v1/trades?source=manual&limit=1000")["rows"]}
    fill(page, **(DEAL | fields))
    page.keyboard.press("Enter")
    newest(page)
    after = {item["trade_id"] for item in desk.ask("boss", "/v1/trades?source=manual&limit=1000")["rows"]}
    [trade_id] = after - before
    return str(trade_id)


def line_of(page: Any, trade_id: str) -> Any:
    return page.locator(f'[data-grid="trades"] .ag-row[row-id*="&quot;{trade_id}&quot;"] [col-id="ts"]').first


def wait_found(page: Any, words: str) -> None:
    """Wait until the words above the trades begin so."""
    summary = "document.querySelector('[data-grid=trades] .tools > .quiet')"
    page.wait_for_function(f"(words) => {summary}.textContent.startsWith(words)", arg=words)


def test_a_trade_is_booked_by_keyboard_alone_and_its_row_appears(desk: Desk, page: Any) -> None:
    page.locator(".ticket [name=instrument]").focus()
    for keys in ("EURUSD", "Tab", "s", "Tab", "2.5m", "Tab", "1.10125", "Tab", "Tab", "Tab", "Tab", "BANK", "Enter"):
        page.keyboard.press(keys) if keys in ("Tab", "Enter") else page.keyboard.type(keys)
    answer = newest(page)
    assert "booked sell 2,500,000 EURUSD at 1.10125, FX1 ann" in answer.inner_text().replace("\n", " ")
    trade_id = answer.locator(".quiet").last.inner_text().strip()
    line_of(page, trade_id).wait_for()
    stored = desk.trade(trade_id)
    assert (stored["quantity"], stored["price"], stored["side"], stored["counterparty"]) == ("2500000", "1.10125", "sell", "BANK")
    assert (stored["source"], stored["desk"], stored["dealer"]) == ("manual", "FX1", "ann")
    assert page.evaluate("() => document.activeElement.name") == "instrument", "ready for the next one"


def test_a_trade_is_amended_and_cancelled_from_its_row(desk: Desk, page: Any) -> None:
    trade_id = booked(desk, page)
    line_of(page, trade_id).click()
    page.keyboard.press("Enter")
    page.get_by_text("Version 2 of").wait_for()
    fill(page, price="1.1013")
    page.keyboard.press("Enter")
    newest(page)
    wait_until(lambda: desk.trade(trade_id)["version"] == 2, 10)
    amended = desk.trade(trade_id)
    assert (amended["price"], amended["quantity"], amended["counterparty"]) == ("1.1013", "1500000", "BANK")
    line_of(page, trade_id).click()
    page.keyboard.press("Enter")
    page.get_by_text("Version 3 of").wait_for()
    page.get_by_role("button", name="Cancel the trade").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    page.locator(".outcomes li", has_text=f"cancel {trade_id}").wait_for()
    wait_until(lambda: desk.trade(trade_id)["action"] == "cancel", 10)
    cancelled = desk.trade(trade_id)
    assert (cancelled["instrument"], cancelled["counterparty"]) == ("EURUSD", "BANK"), "it says what it takes out"


def test_what_is_not_plain_is_said_while_it_is_written(desk: Desk, page: Any) -> None:
    desk.price()
    before = desk.ask("boss", "/v1/trades?source=manual")["total"]
    fill(page, **(DEAL | {"price": "9.9"}))
    page.locator(".ticket .ahead", has_text="from the mark 1.1 of its time").wait_for()
    fill(page, price="1.1")
    page.locator(".ticket .ahead").wait_for(state="hidden")
    fill(page, instrument="NOPE")
    page.locator(".ticket .ahead", has_text="refused: instrument: unknown instrument 'NOPE'").wait_for()
    assert desk.ask("boss", "/v1/trades?source=manual")["total"] == before


def test_a_second_enter_before_the_answer_books_nothing_more(desk: Desk, page: Any) -> None:
    before = desk.ask("boss", "/v1/trades?source=manual")["total"]
    fill(page, **DEAL)
    page.evaluate("() => { for (let n = 0; n < 3; n += 1) document.querySelector('.ticket form').requestSubmit(); }")
    newest(page)
    page.wait_for_function("() => document.querySelector('.ticket [name=quantity]').value === ''")
    assert desk.ask("boss", "/v1/trades?source=manual")["total"] == before + 1


def test_a_desk_that_is_not_the_dealers_is_refused_and_the_reason_stands_there(desk: Desk, page: Any) -> None:
    fill(page, **DEAL, desk="EQ1")
    page.keyboard.press("Enter")
    answer = newest(page, "rejected")
    assert "desk: 'EQ1' is not one that this token books for" in answer.inner_text()
    assert page.locator(".ticket [name=price]").input_value() == DEAL["price"], "what was written stays, to be corrected"
    fill(page, desk="FX1", dealer="bob")
    page.keyboard.press("Enter")
    page.locator(".outcomes li:first-child", has_text="dealer: 'bob' is not one").wait_for()


def test_what_lacks_or_cannot_be_read_is_said_before_anything_is_sent(page: Any) -> None:
    before = page.locator(".outcomes li").count()
    fill(page, instrument="EURUSD", side="buy", quantity="1e6", price="")
    page.keyboard.press("Enter")
    page.locator(".ticket [role=alert]", has_text="Price: is missing").wait_for()
    assert page.locator('.ticket [aria-invalid="true"]').count() == 2
    assert page.locator(".outcomes li").count() == before


def test_a_trade_of_another_program_is_not_amended_here(page: Any) -> None:
    line_of(page, f"b{MANY - 1}").click()
    page.keyboard.press("Enter")
    page.locator(".ticket [role=alert]", has_text="it came from booking").wait_for()


def test_a_trade_whose_answer_was_lost_is_sent_again_and_counts_once(desk: Desk, page: Any) -> None:
    before = desk.ask("boss", "/v1/trades?source=manual")["total"]

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/v1/trades", lose)
    fill(page, **DEAL)
    page.keyboard.press("Enter")
    newest(page, "unanswered")
    page.keyboard.press("Enter")  # what may be booked is not left in the fields
    page.locator(".ticket [role=alert]", has_text="Quantity: is missing").wait_for()
    page.reload()
    page.wait_for_selector(".ticket form")
    page.unroute("**/v1/trades")
    newest(page, "unanswered").get_by_role("button", name="Send again").click()
    assert "booked already" in newest(page, "duplicate").inner_text()
    assert desk.ask("boss", "/v1/trades?source=manual")["total"] == before + 1
    page.reload()
    page.wait_for_selector(".ticket form")
    assert page.locator(".outcomes li").count() == 0


def test_pasted_rows_show_their_fates_before_they_are_booked_and_are_booked_once(desk: Desk, page: Any) -> None:
    known = booked(desk, page)
    stored = desk.trade(known)
    moment = stored["ts"]
    lines = [
        "trade_id\tPair\tB/S\tQty\tRate\tDesk\tTime\tCpty",
        "\tEURUSD\tb\t1,234,567.89\t1.101\t\t\tBANK",
        f"{known}\tEURUSD\tb\t1\t1.2\tFX1\t\tBANK",
        "\tNOPE\tb\t1\t1.1\t\t\tBANK",
        "\tEURUSD\tb\t1\t9.9\t\t\tBANK",
        "\tEURUSD\tup\t1\t1.1\t\t\tBANK",
        "\tEURUSD\tb\t1\t1.1\tEQ1\t\tBANK",
        "\tEURUSD\tb\t7\t1.1\t\t2031-01-01T00:00:00Z\tBANK",
    ]
    total = desk.ask("boss", "/v1/trades?source=manual")["total"]
    desk.price()
    page.get_by_role("button", name="Paste rows").click()
    page.locator(".paste textarea").fill("\n".join(lines))
    page.locator('.paste tr[data-status="quarantined"]').wait_for()
    fates = page.locator(".paste tbody tr").evaluate_all("(rows) => rows.map((row) => row.dataset.status)")
    assert fates == ["applied", "conflict", "rejected", "applied", "unreadable", "rejected", "quarantined"]
    texts = page.locator(".paste tbody tr").all_inner_texts()
    assert "1234567.89" in texts[0]
    assert "unknown instrument" in texts[2]
    assert "from the mark" in texts[3], "it counts, and its price is looked at"
    assert "neither buy nor sell" in texts[4]
    assert "after it was received" in texts[6]
    assert desk.ask("boss", "/v1/trades?source=manual")["total"] == total, "nothing is booked yet"
    assert desk.trade(known)["ts"] == moment
    page.get_by_role("button", name="Book 2 rows").click()
    page.locator(".paste tbody tr:first-child", has_text="booked").wait_for()
    wait_until(lambda: desk.ask("boss", "/v1/trades?source=manual")["total"] == total + 2, 10)
    rows = desk.ask("boss", "/v1/trades?source=manual&exact=true&limit=1000")["rows"]
    assert any(Decimal(item["quantity"]) == Decimal("1234567.89") and item["quantity"] == "1234567.89" for item in rows)
    page.locator(".paste textarea").fill("\n".join(lines[:2]) + "\n")
    page.locator('.paste tr[data-status="conflict"], .paste tr[data-status="duplicate"]').wait_for()
    assert page.get_by_role("button", name="Book 0 rows").is_disabled()
    page.keyboard.press("Escape")
    page.locator(".paste").wait_for(state="detached")


def test_rows_pasted_into_the_ticket_open_the_preview(page: Any) -> None:
    page.locator(".ticket [name=instrument]").focus()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "EURUSD\\tbuy\\t5\\t1.1");
            const told = { clipboardData: data, bubbles: true, cancelable: true };
            document.activeElement.dispatchEvent(new ClipboardEvent("paste", told));
        }"""
    )
    page.locator('.paste tr[data-status="applied"]').wait_for()
    assert page.locator(".ticket [name=instrument]").input_value() == ""
    page.get_by_role("button", name="Close").click()


def test_a_filter_finds_a_trade_that_is_older_than_those_on_the_screen(page: Any) -> None:
    wait_found(page, "newest 200 of")
    page.get_by_role("combobox", name="Counterparty").last.fill("OLDBANK")
    page.keyboard.press("Enter")
    wait_found(page, "1 of 1 ")
    assert {line["trade_id"] for line in cells_of(page, "trades").values()} == {"b0"}
    assert "t-counterparty=OLDBANK" in page.evaluate("() => location.hash")
    page.get_by_role("button", name="All", exact=True).click()
    wait_found(page, "newest 200 of")


def lists(page: Any, wanted: set[str]) -> bool:
    return {line["trade_id"] for line in cells_of(page, "trades").values()} == wanted


def test_each_status_is_a_filter_of_all_that_is_stored(desk: Desk, page: Any) -> None:
    now = SystemClock().now()
    late = row("q1", source="booking", ts=now + 10**12, desk="FX1")
    twice = [
        row("a1", source="booking", ts=now - SECOND),
        row("a1", source="booking", ts=now - SECOND, version=2, action="amend", price="1.2"),
    ]
    gone = [row("c1", source="booking", ts=now - SECOND), row("c1", source="booking", action="cancel", version=2)]
    counts = desk.ask("feed", "/v1/trades", [late, *twice, *gone])["counts"]
    assert (counts["applied"], counts["quarantined"]) == (4, 1)
    page.get_by_role("combobox", name="Source").fill("booking")
    page.keyboard.press("Enter")
    for status, wanted in (("kept out", {"q1"}), ("amended", {"a1"}), ("cancelled", {"c1"})):
        page.get_by_label("Status", exact=True).select_option(status)
        wait_found(page, "1 of 1 ")
        wait_until(partial(lists, page, wanted), 10)
    page.get_by_role("button", name="All", exact=True).click()


def test_who_may_not_book_sees_no_ticket(desk: Desk, browser: Any) -> None:
    with logged_in(desk, browser, "looker") as page:
        page.evaluate("() => { location.hash = '#/blotter?node=FX1'; }")
        page.wait_for_selector('[data-grid="trades"] .ag-row')
        assert page.locator(".ticket").count() == 0


@pytest.mark.parametrize(("width", "theme"), [(1_600, "light"), (1_600, "dark"), (420, "light")])
def test_the_ticket_with_pasted_rows_is_open_to_everybody(desk: Desk, browser: Any, width: int, theme: str) -> None:
    with logged_in(desk, browser, "ann", viewport={"width": width, "height": 1_000}, color_scheme=theme) as page:
        page.evaluate("() => { location.hash = '#/blotter?node=FX1'; }")
        page.get_by_role("button", name="Paste rows").click()
        page.locator(".paste textarea").fill("EURUSD\tbuy\t5\t1.1\nNOPE\tb\t1\t1\nEURUSD\tup\t1\t1")
        page.locator('.paste tr[data-status="rejected"]').wait_for()
        assert serious_problems(page) == []
