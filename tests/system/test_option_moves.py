"""Options in a whole engine: what a move of spot does to P&L, and what a split of a share leaves unchanged."""

from typing import Any

import pytest

from riskengine.engine.exercise import ExerciseDecision
from riskengine.records.actions import ActionInput, ActionRows, PriceBefore, check_action
from riskengine.records.decode import convert
from tests.optioned import OptionHouse, option, share_option
from tests.world import NOON, SECOND

DAY = 86_400 * SECOND


def book_of_options() -> OptionHouse:
    """Calls and puts on a pair and a share, long and short, European and American, with their hedges."""
    made = OptionHouse(
        [
            option("C1", "EUR", "USD", "1.1", expiry="2026-05-04"),
            option("C2", "EUR", "USD", "1.14", expiry="2026-06-04", premium_style="pips"),
            option("P1", "EUR", "USD", "1.07", expiry="2026-09-04", option_type="put"),
            share_option("SC", "95", expiry="2026-06-19"),
            share_option("SP", "85", expiry="2026-06-19", option_type="put"),
        ]
    )
    made.vols(0.11)
    made.spots()
    for symbol, size, side, desk in (
        ("C1", "10000000", "buy", "FX1"),
        ("C2", "7000000", "sell", "FX1"),
        ("P1", "4000000", "buy", "FX2"),
        ("SC", "30", "buy", "EQ1"),
        ("SP", "20", "buy", "EQ1"),
        ("EURUSD", "2500000", "sell", "FX1"),
        ("ACME", "900", "sell", "EQ1"),
    ):
        made.buy(symbol, size, "1", side=side, desk=desk)
    return made


def moved_by(made: OptionHouse, part: float) -> tuple[float, float]:
    """The change of the total after all spots have moved by a part, and what delta and gamma of before say of it."""
    made.spots()
    before = made.node()
    made.spots(EURUSD=1.1 * (1.0 + part), ACME=90.0 * (1.0 + part))
    change = made.node()["total_pnl"] - before["total_pnl"]
    return change, before["delta_cash"] * part + before["gamma_cash"] * 100.0 * part * part / 2.0


def test_a_move_of_one_per_cent_changes_p_and_l_by_delta_and_gamma_to_within_the_third_order() -> None:
    made = book_of_options()
    errors = {}
    for part in (0.01, -0.01, 0.005, -0.005):
        change, told = moved_by(made, part)
        errors[part] = change - told
        assert abs(errors[part]) < 5.0 * abs(part) * made.node()["gamma_cash"] * 50.0 * part * part
    odd = {part: errors[part] - errors[-part] for part in (0.01, 0.005)}
    assert odd[0.01] / odd[0.005] == pytest.approx(8.0, rel=0.1), "what is left goes with the cube of the move"


# -- a split ----------------------------------------------------------------------------------------------------


def split_in(made: OptionHouse, ex_date: str) -> None:
    """Put a 4:1 split of ACME in force on the running day, with the house's clock there."""
    sent: dict[str, Any] = {"action_id": "s", "instrument": "ACME", "kind": "split", "ex_date": ex_date, "ratio": "4:1"}
    action = check_action(convert(sent, ActionInput), made.where.by_symbol, made.now)
    made.engine.take_actions(ActionRows((action,), {("ACME", ex_date): PriceBefore("2026-03-03", 400.0)}), made.now, ex_date)


def test_one_call_at_400_becomes_four_at_100_and_is_worth_the_same_at_the_adjusted_spot() -> None:
    made = OptionHouse([share_option("C400", "400", expiry="2026-06-19")])
    made.vols(0.3)
    made.marks(ACME=404.0)
    made.buy("C400", "3", "20", desk="EQ1", ts=NOON - DAY)
    before, values = made.position("C400", node="EQ1"), made.values("C400")
    split_in(made, "2026-03-04")
    made.marks(ACME=101.0)
    after, adjusted = made.position("C400", node="EQ1"), made.values("C400")
    assert (before["quantity"], after["quantity"]) == (3.0, 12.0)
    assert adjusted["value"] == pytest.approx(values["value"] / 4, rel=1e-6)
    for field in ("market_value", "total_pnl", "delta_cash", "gamma_cash", "vega", "theta"):
        assert after[field] == pytest.approx(before[field], rel=1e-4), field


def test_an_option_that_expired_before_a_split_is_exercised_for_as_many_new_shares() -> None:
    made = OptionHouse([share_option("C400", "400", expiry="2026-03-04", cut="10:00 America/New_York")])
    made.vols(0.3)
    made.marks(ACME=404.0)
    made.buy("C400", "3", "20", desk="EQ1")
    made.now = NOON + 3 * 3_600 * SECOND
    made.marks(ACME=408.0)
    made.now += 20 * 3_600 * SECOND
    split_in(made, "2026-03-05")
    made.marks(ACME=103.0)
    assert (made.values("C400")["fixing"], bool(made.values("C400")["in_money"])) == (408.0, True)
    before = made.node("EQ1")["total_pnl"]
    assert before == pytest.approx(300 * (4 * 103.0 - 400.0 - 20.0))
    trades = made.engine.exercise_trades("C400", ExerciseDecision(True, "olga", made.now))
    assert made.deal(*trades) == ["applied", "applied"]
    assert (made.position("C400", node="EQ1")["quantity"], made.position("ACME", node="EQ1")["quantity"]) == (0.0, 1_200.0)
    assert made.node("EQ1")["total_pnl"] == pytest.approx(before, rel=1e-12)
