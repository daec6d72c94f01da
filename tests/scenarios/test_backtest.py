"""The backtest: hypothetical P&L of stored positions against VaR of then, Kupiec's test, the traffic light."""

from decimal import Decimal

import numpy as np
import pytest
from scipy.stats import chi2

from riskengine.config import ScenariosConfig
from riskengine.records.closes import ClosedPosition
from riskengine.records.types import CASH_ONE, ONE
from riskengine.scenarios.backtest import backtest_day, verdict_of
from riskengine.scenarios.workbench import Workbench
from tests.scenarios_data import MARKS, house, stored, walks

LEVEL = Decimal("0.99")
CLOSES = walks(MARKS, 120)
DATES = sorted({close.date for close in CLOSES})
PRICE = {(close.date, close.instrument): close.price for close in CLOSES}


def bench() -> Workbench:
    made = Workbench(ScenariosConfig(days=100, min_days=50))
    made.take_closes(stored(CLOSES))
    return made


def held(symbol: str, quantity: int, cash: int = 0) -> ClosedPosition:
    return ClosedPosition("EQ1", symbol, quantity * ONE, cash * CASH_ONE, None, {})


def test_pnl_is_that_of_the_closed_position_by_the_next_close_and_var_that_of_the_days_before() -> None:
    at = 80
    day = backtest_day(bench(), house().engine.snapshot, DATES[at], [held("ACME", 300, -5), held("ACME", -100)])
    assert day is not None
    prices = np.array([PRICE[date, "ACME"] for date in DATES])
    assert (day.date, day.next_date, day.left_out) == (DATES[at], DATES[at + 1], 0)
    assert day.pnl == pytest.approx(200 * (prices[at + 1] - prices[at]), rel=1e-12)
    moves = prices[1 : at + 1] / prices[:at] - 1.0
    assert day.var == pytest.approx(-np.sort(moves * 200 * prices[at])[0], rel=1e-9)


def test_cash_in_another_currency_moves_with_its_rate_of_then() -> None:
    at = 90
    day = backtest_day(bench(), house().engine.snapshot, DATES[at], [held("USDJPY", 0, 1_000_000)])
    assert day is not None
    before, after = (1.0 / PRICE[DATES[place], "USDJPY"] for place in (at, at + 1))
    assert day.pnl == pytest.approx(1_000_000 * (after - before), rel=1e-9)


def test_what_has_no_closes_then_is_counted_and_not_zero() -> None:
    day = backtest_day(bench(), house().engine.snapshot, DATES[80], [held("GHOST", 5), held("gone", 7)])
    assert day is not None
    assert (day.var, day.pnl, day.left_out) == (None, None, 2)
    assert not day.is_exception


def test_a_day_with_too_few_before_it_has_no_var_and_the_last_day_no_row() -> None:
    snapshot = house().engine.snapshot
    early = backtest_day(bench(), snapshot, DATES[49], [held("ACME", 1)])
    assert early is not None
    assert early.var is None
    assert early.pnl is not None
    assert backtest_day(bench(), snapshot, DATES[-1], [held("ACME", 1)]) is None


def test_the_light_changes_where_basel_has_it() -> None:
    lights = [verdict_of(250, count, LEVEL).light for count in range(12)]
    assert lights == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 2


@pytest.mark.parametrize(("days", "exceptions"), [(250, 0), (250, 3), (250, 7), (500, 5), (10, 10)])
def test_kupiec_s_ratio_and_its_probability(days: int, exceptions: int) -> None:
    found = verdict_of(days, exceptions, LEVEL)
    share, rate = exceptions / days, 0.01
    null = (1 - rate) ** (days - exceptions) * rate**exceptions
    free = (1 - share) ** (days - exceptions) * share**exceptions
    assert found.kupiec == pytest.approx(-2 * np.log(null / free), rel=1e-9, abs=1e-12)
    assert found.p_value == pytest.approx(chi2.sf(found.kupiec, 1), rel=1e-9)
    assert found.expected == pytest.approx(days * 0.01)


def test_there_is_no_light_where_less_than_one_exception_was_to_be_expected() -> None:
    assert verdict_of(99, 0, LEVEL).light is None
    assert verdict_of(100, 0, LEVEL).light == "green"


def test_without_days_there_is_no_verdict() -> None:
    assert verdict_of(0, 0, LEVEL)[3:] == (None, None, None)
