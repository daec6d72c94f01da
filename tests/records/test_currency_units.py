"""Minor units: hundredths of a currency, and sources that quote in them. Exact, whatever the number."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.errors import ConfigError
from riskengine.records.currency_units import check_price_units, move_point, move_quote, places_between, quoted_places


@pytest.mark.parametrize(
    ("code", "currency", "places"),
    [
        ("GBP", "GBP", 0),
        ("GBX", "GBP", -2),
        ("GBp", "GBP", -2),
        ("ZAc", "ZAR", -2),
        ("ILA", "ILS", -2),
        ("GBP", "GBX", 2),
        ("GBp", "GBX", 0),
        ("GBX", "GBp", 0),
        ("GBX", "ZAR", None),
        ("EUR", "GBP", None),
        ("gbx", "GBP", None),
    ],
)
def test_a_minor_unit_is_a_hundredth_of_its_currency_alone(code, currency, places):
    assert places_between(code, currency) == places


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_moved_point_loses_no_digit(amount):
    assert move_point(move_point(amount, -2), 2).as_tuple() == amount.as_tuple()


@given(st.integers(-(10**15), 10**15), st.integers(0, 10))
def test_a_moved_quote_is_the_double_nearest_to_the_exact_price(digits, decimals):
    text = f"{Decimal(digits).scaleb(-decimals):f}"
    assert move_quote(float(text), -2) == float(move_point(Decimal(repr(float(text))), -2))
    moved = move_quote(text, -2)
    assert isinstance(moved, str)
    assert Decimal(moved) * 100 == Decimal(text)


@pytest.mark.parametrize("value", [None, "", "x", "1,5"])
def test_what_is_no_number_stays_for_the_rules_of_quotes_to_refuse(value):
    assert move_quote(value, -2) == value


def test_a_source_without_a_setting_quotes_as_the_instrument_does():
    units = {"lse": {"GBP": "GBX"}}
    assert quoted_places(units, "lse", "GBP") == -2
    assert quoted_places(units, "lse", "USD") == quoted_places(units, "other", "GBP") == 0


@pytest.mark.parametrize("units", [{"lse": {"GBP": "ZAc"}}, {"lse": {"USD": "cents"}}, {"lse": {"GBp": "GBP"}}])
def test_a_unit_that_is_none_of_its_currency_is_an_error_of_the_configuration(units):
    with pytest.raises(ConfigError, match=r"price_units\.lse\."):
        check_price_units(units)


def test_good_units_pass():
    check_price_units({"lse": {"GBP": "GBX", "GBX": "GBP"}, "": {"ILS": "ILA"}})
