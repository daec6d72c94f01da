"""Corporate actions and the day: an action comes with the roll that begins its ex-date, and is no P&L of that day."""

from typing import Any

import pytest

from riskengine.records.actions import Action
from riskengine.records.manual_marks import ManualMark
from tests import rolling
from tests.acted import ACTED, DAY, YESTERDAY, action, dealt, rows_of
from tests.world import NOON, SECOND, House

LINES = ("day_position_pnl", "day_carry_pnl", "day_trading_pnl", "day_translation_pnl", "correction_pnl")
CLOSED = {"AAA": 400.0, "AAA-C400": 12.5}


def take(house: House, *actions: Action) -> None:
    """As a live engine does it: the engine first, then its quotes."""
    house.engine.take_actions(rows_of(*actions), house.now)
    assert house.engine.ledger.adjustments is not None
    house.quotes.take_splits(house.engine.ledger.adjustments.prices())
    house.beat()


def rolled(*actions: Action, **marks: float) -> tuple[House, Any]:
    """A house on the ex-date, with its close of the day before: 25 AAA bought at 390.50, 10 calls at 12."""
    house = House(where=ACTED, now=YESTERDAY)
    take(house, *actions)
    house.deal(
        dealt("1", quantity="25", price="390.5", received_ts=YESTERDAY),
        dealt("2", instrument="AAA-C400", quantity="10", price="12", received_ts=YESTERDAY),
    )
    house.marks(**({"AAA": 401.0, "AAA-C400": 13.0} | marks))
    assert house.position("AAA")["quantity"] == 25.0, "its day has not begun"
    close = rolling.strike(house.engine, "2026-03-03", CLOSED)
    assert [each.quantity // 10**10 for each in close.nodes if each.instrument == "AAA"] == [25]
    rolling.begin(house.engine, close)
    house.now = NOON
    take(house, *actions)
    return house, close


def lines(row: dict[str, Any]) -> dict[str, float]:
    assert sum(row[line] for line in LINES) == pytest.approx(row["day_pnl"], abs=1e-6)
    return {line: row[line] for line in LINES if row[line]}


def test_a_split_is_no_pnl_of_its_day() -> None:
    house, _ = rolled(action("s"))
    row = house.position("AAA")
    assert (row["quantity"], row["average_price"], row["mark"], row["total_pnl"]) == (100.0, 97.625, 100.25, 262.5)
    assert lines(row) == {"day_position_pnl": pytest.approx(25.0)}
    option = house.position("AAA-C400")
    assert (option["quantity"], option["mark"]) == (40.0, 3.25)
    assert lines(option) == {"day_position_pnl": pytest.approx(500.0)}
    assert house.node()["day_pnl"] == pytest.approx(525.0)


def test_trades_of_the_day_late_ones_and_a_split_make_one_day() -> None:
    house, close = rolled(action("s"))
    house.deal(
        dealt("3", ts=NOON, quantity="40", price="101", side="sell", received_ts=NOON),
        dealt("4", ts=YESTERDAY + 1, quantity="5", price="391", received_ts=NOON),
    )
    house.marks(AAA=101.5)
    brought_forward = 25 * (400 - 390.5)
    cash = -25 * 390.5 + 40 * 101 - 5 * 391
    row = house.position("AAA")
    assert row["day_pnl"] == pytest.approx(cash + 80 * 101.5 - brought_forward)
    assert lines(row) == {
        "day_position_pnl": pytest.approx(120 * 1.5),
        "day_trading_pnl": pytest.approx(40 * -0.5),
        "correction_pnl": pytest.approx(5 * 9.0),
    }
    take(house, action("s"), action("s", version=2, kind="cancel"))
    rolling.begin(house.engine, close)
    row = house.position("AAA")
    assert (row["quantity"], row["mark"]) == (-10.0, 101.5), "what is quoted from the ex-date on stays as quoted"
    assert row["day_pnl"] == pytest.approx(cash - 10 * 101.5 - brought_forward)
    assert lines(row)["correction_pnl"] == pytest.approx(45.0)


def test_a_dividend_is_carry_of_its_day() -> None:
    house, _ = rolled(action("d", kind="dividend", amount="2", currency="USD"))
    house.marks(AAA=398.0)
    row = house.position("AAA")
    assert row["day_pnl"] == pytest.approx(0.0)
    assert lines(row) == {"day_position_pnl": pytest.approx(-50.0), "day_carry_pnl": pytest.approx(50.0)}


def test_a_new_name_has_the_close_of_the_old_one() -> None:
    house, _ = rolled(action("n", kind="symbol_change", into="BBB"))
    row = house.position("BBB")
    assert (row["quantity"], row["mark"], row["total_pnl"]) == (25.0, 401.0, 262.5)
    assert lines(row) == {"day_position_pnl": pytest.approx(25.0)}
    house.marks(BBB=403.0)
    assert lines(house.position("BBB")) == {"day_position_pnl": pytest.approx(75.0)}


def test_a_spin_off_moves_cost_between_two_positions_and_makes_nothing() -> None:
    house, _ = rolled(action("o", kind="spin_off", into="BBB", ratio="1:5", cost_share="0.25"))
    house.marks(AAA=300.0, BBB=505.0)
    old, new = house.position("AAA"), house.position("BBB")
    assert (old["quantity"], new["quantity"]) == (25.0, 5.0)
    assert old["net_cash"] + new["net_cash"] == -25 * 390.5
    assert old["day_pnl"] + new["day_pnl"] == pytest.approx(25 * 300 + 5 * 505 - 25 * 400)
    lines(old), lines(new)


def test_a_mark_set_by_hand_before_the_split_counts_by_its_own_time() -> None:
    house = House(where=ACTED, now=NOON)
    house.deal(dealt("1", quantity="25"))
    ends = NOON + DAY
    for ts, price in ((YESTERDAY, 404.0), (NOON, 102.0)):
        hand = ManualMark(instrument="AAA", ts=ts, price=price, author="ann", reason="as agreed", expires_ts=ends)
        house.quotes.offer([], NOON)
        house.quotes.set_by_hand(hand, NOON)
        house.marks(CCC=1.0)
        take(house, action("s"))
        expected = price / 4 if ts == YESTERDAY else price
        assert house.position("AAA")["mark"] == expected
        house.quotes.set_by_hand(hand, NOON)  # once more, now that the split is in force
        house.beat()
        assert house.position("AAA")["mark"] == expected
        take(house)
        assert house.position("AAA")["mark"] == price
    house.now += SECOND
    house.marks(AAA=400.0)
    assert house.position("AAA")["mark"] == 102.0
    [stored] = [mark.lasting for number, mark in house.engine.marks.take_unsaved() if ACTED.symbols[number] == "AAA"]
    assert stored is not None and stored.price == 400.0
