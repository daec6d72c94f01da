import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.rate_curves import NEVER_OLD, NONE, CurveNumbers, RateCurves, day_of
from riskengine.records.option_inputs import DISCOUNT, POINTS, RATE, YIELD, RateRow
from riskengine.records.types import FloatArray

TODAY = dt.date(2026, 3, 2)
NOW = int(dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC).timestamp()) * 1_000_000


def days(*dates: str) -> np.ndarray:
    return np.array([dt.date.fromisoformat(date).toordinal() for date in dates], dtype=np.int64)


def in_days(count: int) -> str:
    return (TODAY + dt.timedelta(days=count)).isoformat()


def row(subject: str, date: str, value: float, kind: str = RATE, ts: int = NOW) -> RateRow:
    return RateRow(subject, kind, date, ts, value)


def curves(*rows: RateRow) -> RateCurves:
    return RateCurves(rows, TODAY.toordinal())


def value(made: RateCurves, kind: str, subject: str, date: str) -> float:
    return float(made.values(np.array([made.number(kind, subject)]), days(date))[0])


def terms(made: RateCurves, legs: CurveNumbers, start: str, end: str):
    assert legs.reason == ""
    return made.terms([legs], days(start), days(end))


# -- values by date --------------------------------------------------------------------------------------------------

DOLLARS = row("USD", "2026-03-12", 0.04), row("USD", "2026-03-22", 0.05)


@pytest.mark.parametrize(
    ("date", "expected"),
    [("2026-03-12", 0.04), ("2026-03-17", 0.045), ("2026-03-22", 0.05), ("2026-03-03", 0.04), ("2030-01-01", 0.05)],
)
def test_a_curve_is_linear_between_its_dates_and_flat_outside(date, expected):
    assert value(curves(*DOLLARS), RATE, "USD", date) == pytest.approx(expected, abs=1e-15)


def test_a_curve_that_does_not_exist_is_0():
    assert value(curves(*DOLLARS), RATE, "KRW", "2026-05-01") == 0.0


def test_without_rows_every_value_is_0():
    assert value(curves(), RATE, "USD", "2026-05-01") == 0.0


def test_the_newest_row_of_a_date_counts():
    made = curves(row("USD", "2026-06-01", 0.03, ts=NOW), row("USD", "2026-06-01", 0.02, ts=NOW - 1))
    assert value(made, RATE, "USD", "2026-06-01") == 0.03


def test_of_equal_times_the_later_row_counts():
    made = curves(row("USD", "2026-06-01", 0.03), row("USD", "2026-06-01", 0.02))
    assert value(made, RATE, "USD", "2026-06-01") == 0.02


def test_a_discount_factor_is_a_rate_from_the_day_of_its_ts():
    made = curves(row("USD", in_days(365), math.exp(-0.04), DISCOUNT))
    assert value(made, RATE, "USD", in_days(365)) == pytest.approx(0.04, abs=1e-15)


def test_a_discount_factor_for_the_day_of_its_ts_is_a_fault():
    made = curves(row("USD", TODAY.isoformat(), 1.0, DISCOUNT))
    assert [fault.reason for fault in made.faults] == ["discount factor of USD to 2026-03-02 must be for a date after its ts"]


@pytest.mark.parametrize("bad", [0.0, -0.5])
def test_a_discount_factor_of_0_or_below_is_a_fault_and_no_node(bad):
    made = curves(row("USD", in_days(30), bad, DISCOUNT))
    assert (len(made.faults), made.currency("USD")) == (1, NONE)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_a_number_is_a_fault(bad):
    made = curves(row("USD", in_days(30), bad), *DOLLARS)
    assert [fault.reason for fault in made.faults] == [f"rate of USD to {in_days(30)} is not a number"]


def test_a_row_of_the_past_does_not_bend_what_is_ahead():
    made = curves(row("USD", in_days(-10), 0.9), row("USD", in_days(10), 0.04))
    assert value(made, RATE, "USD", in_days(1)) == 0.04


def test_a_curve_with_rows_of_the_past_alone_keeps_its_last():
    made = curves(row("USD", in_days(-10), 0.03), row("USD", in_days(-5), 0.04))
    assert value(made, RATE, "USD", in_days(1)) == 0.04


def test_the_day_of_a_moment_is_that_of_utc():
    assert day_of(NOW) == TODAY.toordinal()


@given(
    st.dictionaries(st.integers(1, 4000), st.floats(-0.05, 0.5), min_size=1, max_size=8),
    st.dictionaries(st.integers(1, 4000), st.floats(-0.05, 0.5), min_size=1, max_size=8),
    st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), min_size=1),
)
def test_every_curve_agrees_with_numpy_s_interpolation(first, second, asked):
    made = curves(*(row(code, in_days(n), rate) for code, own in (("USD", first), ("EUR", second)) for n, rate in own.items()))
    numbers = np.array([made.currency("USD" if is_first else "EUR") for is_first, _ in asked])
    found = made.values(numbers, TODAY.toordinal() + np.array([n for _, n in asked]))
    for (is_first, n), got in zip(asked, found, strict=True):
        nodes = sorted((first if is_first else second).items())
        assert got == pytest.approx(np.interp(n, [d for d, _ in nodes], [r for _, r in nodes]), abs=1e-14)


# -- between two days ------------------------------------------------------------------------------------------------


def test_the_discount_factor_between_two_days_is_the_quotient_of_those_from_today():
    made = curves(*DOLLARS)
    found = made.terms([CurveNumbers(made.currency("USD"))], days("2026-03-12"), days("2026-03-22")).discount[0]
    assert found == pytest.approx(math.exp(-0.05 * 20 / 365) / math.exp(-0.04 * 10 / 365), abs=1e-15)


def test_the_rate_to_the_same_day_is_that_of_the_day():
    made = curves(*DOLLARS)
    assert made.rates_between(np.array([0]), days("2026-03-17"), days("2026-03-17"))[0] == pytest.approx(0.045)


def test_a_year_of_points_at_four_percent_is_worth_what_the_accounting_says():
    # ACCOUNTING section 5: 10m EURUSD at +200 points for a year at 4 % is 192,158 of 200,000.
    made = curves(row("USD", in_days(367), 0.04), row("EURUSD", in_days(367), 0.02, POINTS))
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(367))
    assert round(1e7 * float((found.outrights(spot(1.08)) - 1.08)[0] * found.discount[0])) == 192_158


# -- forwards and bases ----------------------------------------------------------------------------------------------


def spot(price: float) -> FloatArray:
    return np.array([price])


EUROS = row("EUR", in_days(365), 0.02)
USD = row("USD", in_days(365), 0.05)


def test_points_win_for_a_forward():
    made = curves(EUROS, USD, row("EURUSD", in_days(365), 0.01, POINTS))
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(100))
    assert found.outrights(spot(1.10))[0] == pytest.approx(1.11)


def test_without_points_a_forward_follows_from_the_two_curves():
    made = curves(EUROS, USD)
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(367))
    assert found.outrights(spot(1.10))[0] == pytest.approx(1.10 * math.exp(0.03))


def test_the_outright_of_the_spot_date_is_spot():
    made = curves(EUROS, USD, row("EURUSD", in_days(365), 0.01, POINTS))
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(2))
    assert found.outrights(spot(1.10))[0] == 1.10


def test_points_after_spot_say_nothing_of_tomorrow():
    made = curves(EUROS, USD, row("EURUSD", in_days(365), 0.01, POINTS))
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(1))
    assert found.outrights(spot(1.10))[0] == pytest.approx(1.10 * math.exp(-0.03 / 365))


def test_an_option_takes_both_curves_although_the_pair_has_points():
    made = curves(EUROS, USD, row("EURUSD", in_days(365), 0.01, POINTS))
    found = terms(made, made.option_legs("EURUSD", "EUR", "USD"), in_days(0), in_days(365))
    assert found.base_rates(spot(1.10))[0][0] == 0.02


@given(st.floats(0.5, 200.0), st.floats(-0.2, 0.2), st.integers(1, 3000))
def test_a_base_without_rates_has_the_one_that_the_points_imply(price, move, ahead):
    made = curves(USD, row("EURUSD", in_days(365), price * move, POINTS))
    found = terms(made, made.option_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(2 + ahead))
    rates, is_known = found.base_rates(spot(price))
    assert is_known.all()
    assert price * math.exp((found.rate_quote[0] - rates[0]) * found.years[0]) == pytest.approx(price * (1 + move))


def test_points_that_take_the_outright_below_0_imply_no_rate():
    made = curves(USD, row("EURUSD", in_days(365), -2.0, POINTS))
    rates, is_known = terms(made, made.option_legs("EURUSD", "EUR", "USD"), in_days(2), in_days(90)).base_rates(spot(1.1))
    assert (rates[0], is_known[0]) == (0.0, False)


def test_an_underlying_without_yields_has_0():
    made = curves(USD)
    assert terms(made, made.equity_legs("ACME", "USD"), in_days(0), in_days(90)).rate_base[0] == 0.0


def test_an_underlying_with_yields_has_them():
    made = curves(USD, row("ACME", in_days(90), 0.013, YIELD))
    assert terms(made, made.equity_legs("ACME", "USD"), in_days(0), in_days(90)).rate_base[0] == 0.013


def test_pence_are_discounted_as_pounds():
    made = curves(row("GBP", in_days(90), 0.045))
    assert terms(made, made.equity_legs("VOD", "GBX"), in_days(0), in_days(90)).rate_quote[0] == 0.045


# -- what is missing -------------------------------------------------------------------------------------------------


def test_an_option_without_rates_of_its_quote_says_so():
    made = curves(USD, row("USDKRW", in_days(90), 2.0, POINTS))
    assert made.option_legs("USDKRW", "USD", "KRW").reason == "no rates for KRW"


def test_an_option_without_rates_of_its_base_and_without_points_says_so():
    assert curves(USD).option_legs("EURUSD", "EUR", "USD").reason == "no rates for EUR and no points of EURUSD"


def test_a_forward_without_points_and_rates_says_so():
    assert curves(USD).forward_legs("USDKRW", "USD", "KRW").reason == "no points of USDKRW and no rates for KRW"


def test_a_forward_with_points_that_nothing_discounts_says_so():
    made = curves(row("USDKRW", in_days(90), 2.0, POINTS))
    assert made.forward_legs("USDKRW", "USD", "KRW").reason == "no rates for KRW"


def test_a_forward_that_is_not_discounted_needs_points_alone():
    made = curves(row("USDKRW", in_days(90), 2.0, POINTS))
    found = terms(made, made.forward_legs("USDKRW", "USD", "KRW", discounted=False), in_days(2), in_days(90))
    assert found.outrights(spot(1350.0))[0] == 1352.0


def test_an_equity_option_without_rates_of_its_currency_says_so():
    assert curves().equity_legs("ACME", "KRW").reason == "no rates for KRW"


# -- age -------------------------------------------------------------------------------------------------------------


def test_the_rows_beside_the_date_say_how_old_the_rates_are():
    rows = [row("USD", in_days(10 * n), 0.04, ts=NOW + n) for n in (1, 2, 3, 4)]
    made = curves(*rows)
    found = terms(made, CurveNumbers(made.currency("USD")), in_days(0), in_days(25))
    assert (found.oldest_ts[0], found.newest_ts[0]) == (NOW + 2, NOW + 3)


def test_a_row_of_the_date_itself_says_alone_how_old_the_rate_is():
    made = curves(*(row("USD", in_days(10 * n), 0.04, ts=NOW + n) for n in (1, 2, 3)))
    found = terms(made, CurveNumbers(made.currency("USD")), in_days(0), in_days(20))
    assert (found.oldest_ts[0], found.newest_ts[0]) == (NOW + 2, NOW + 2)


def test_the_base_s_age_does_not_count_where_points_win():
    made = curves(row("EUR", in_days(9), 0.02, ts=5), USD, row("EURUSD", in_days(9), 0.01, POINTS, ts=NOW - 7))
    found = terms(made, made.forward_legs("EURUSD", "EUR", "USD"), in_days(0), in_days(9))
    assert found.oldest_ts[0] == NOW - 7


def test_what_was_made_from_no_row_is_never_old():
    found = curves().terms([CurveNumbers(NONE)], days("2026-03-02"), days("2026-04-02"))
    assert (found.oldest_ts[0], found.newest_ts[0]) == (NEVER_OLD, 0)
