"""Forwards are merged into spot at their roll, and what an engine shows does not depend on how it came there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forwarding import DAYS, afresh, assert_equal, assert_sound, histories, house, live, noon_of, to_day
from tests.world import House, cancel, trade


def forward(made: House, date: str, **owner: str) -> dict[str, object]:
    return made.position(f"EURUSD@{date}", **(owner or {"node": "FX1"}))


def test_a_forward_is_merged_at_the_roll_that_makes_its_date_the_spot_date() -> None:
    made = house()
    made.deal(trade(quantity="10", price="1.1", value_date="2026-03-09"))
    to_day(made.engine, "2026-03-04")
    assert forward(made, "2026-03-09")["quantity"] == 10.0
    to_day(made.engine, "2026-03-05")  # spot is 2026-03-09
    assert forward(made, "2026-03-09")["quantity"] == 0.0
    assert (made.position()["quantity"], made.position()["average_price"]) == (10.0, 1.1)
    assert_sound(made.engine)


def test_a_merge_makes_no_pnl_whatever_the_price() -> None:
    made = house(rows=())
    made.deal(trade("t1", quantity="10", price="1.05", value_date="2026-03-09"))
    to_day(made.engine, "2026-03-05")
    made.marks(EURUSD=1.09)
    assert made.node()["total_pnl"] == made.dealer("ann")["total_pnl"]
    assert abs(made.node()["total_pnl"] - 10 * (1.09 - 1.05)) < 1e-12


def test_realised_pnl_stays_with_the_forward() -> None:
    made = house()
    made.deal(
        trade("t1", quantity="10", price="1.10", value_date="2026-03-09"),
        trade("t2", quantity="4", price="1.20", side="sell", value_date="2026-03-09"),
    )
    to_day(made.engine, "2026-03-05")
    row = forward(made, "2026-03-09")
    assert (row["quantity"], round(float(row["realised_pnl_local"]), 12), row["trade_count"]) == (0.0, 0.4, 2)  # type: ignore[arg-type]
    assert (made.position()["quantity"], made.position()["average_price"]) == (6.0, 1.1)


def test_tom_and_cash_are_merged_at_the_next_roll() -> None:
    made = house()
    made.deal(trade("tom", value_date="2026-03-05"), trade("cash", value_date="2026-03-04"))
    assert forward(made, "2026-03-05")["quantity"] == forward(made, "2026-03-04")["quantity"] == 100.0
    to_day(made.engine, "2026-03-05")
    assert made.position()["quantity"] == 200.0
    assert forward(made, "2026-03-05")["quantity"] == forward(made, "2026-03-04")["quantity"] == 0.0


def test_a_cancel_after_the_merge_takes_it_out_of_spot_again() -> None:
    made = house()
    made.deal(trade(quantity="10", price="1.1", value_date="2026-03-09"))
    to_day(made.engine, "2026-03-05")
    made.deal(cancel())
    assert made.node()["position_count"] in (0, 1)
    assert made.node()["total_pnl"] == 0.0
    assert_sound(made.engine)


def test_an_amend_after_the_merge_folds_it_again() -> None:
    made = house()
    made.deal(trade(quantity="10", price="1.1", value_date="2026-03-09"), trade("spot", quantity="2", price="1.0"))
    to_day(made.engine, "2026-03-05")
    made.deal(trade(version=2, action="amend", quantity="4", price="1.3", value_date="2026-03-09"))
    assert made.position()["quantity"] == 6.0
    assert abs(float(made.position()["average_price"]) - (2 * 1.0 + 4 * 1.3) / 6) < 1e-12
    assert_sound(made.engine)


def test_each_dealer_gives_at_the_price_of_its_own() -> None:
    made = house()
    made.deal(
        trade("a", quantity="10", price="1.1", dealer="ann", value_date="2026-03-09"),
        trade("b", quantity="4", price="1.2", dealer="bob", side="sell", value_date="2026-03-09"),
    )
    to_day(made.engine, "2026-03-05")
    assert made.position(dealer="ann")["average_price"] == 1.1
    assert made.position(dealer="bob")["average_price"] == 1.2
    assert made.position(node="FX1")["quantity"] == 6.0
    assert forward(made, "2026-03-09", dealer="bob")["quantity"] == 0.0
    assert_sound(made.engine)


def test_a_late_trade_for_a_date_that_has_passed_is_in_spot_at_once() -> None:
    made = house()
    to_day(made.engine, "2026-03-10")
    made.deal(trade(quantity="10", price="1.1", value_date="2026-03-09"))
    made.engine.publish(noon_of("2026-03-10"))
    assert made.position()["quantity"] == 10.0
    assert forward(made, "2026-03-09")["quantity"] == 0.0


@settings(max_examples=150, deadline=None)
@given(history=histories(), until=st.integers(0, len(DAYS) - 1))
def test_a_restart_on_any_day_shows_the_same_to_the_last_bit(history, until) -> None:
    came = [each for day, each in history if day <= until]
    one, other = live(history, until), afresh(came, until)
    assert_equal(one, other)
    assert_sound(one)


@settings(max_examples=80, deadline=None)
@given(history=histories(), chance=st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(history, chance) -> None:
    trades = [each for _, each in history]
    mixed = list(trades)
    chance.shuffle(mixed)
    assert_equal(afresh(trades, len(DAYS) - 1), afresh(mixed, len(DAYS) - 1))
