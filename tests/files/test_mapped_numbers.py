"""Numbers as people write them: read exactly, or refused in full."""

from decimal import Decimal

import pytest

from riskengine.files.mappings.mapped_numbers import changed, number_reader, split_unit
from riskengine.files.mappings.mapping import NumberRule, parse_mapping
from riskengine.records.fields import Rejected


def read(text: str, decimal: str = ".", thousands: str = "", strip: tuple[str, ...] = ()) -> str:
    mapping = parse_mapping(f"kind = 'ticks'\ndecimal = '{decimal}'\nthousands = \"{thousands}\"", "our.toml")
    return number_reader(mapping, NumberRule(strip=strip))(text, "price")


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1.50", ".", "", "1.50"),
        ("1.234.567,89", ",", ".", "1234567.89"),
        ("1,234,567.89", ".", ",", "1234567.89"),
        ("1'234.5", ".", "'", "1234.5"),
        ("1\u2019234.5", ".", "'", "1234.5"),
        ("1\u00a0234,5", ",", " ", "1234.5"),
        ("1\u202f234,5", ",", " ", "1234.5"),
        ("1234,5", ",", ".", "1234.5"),
        (",5", ",", "", ".5"),
        ("5,", ",", "", "5."),
        ("+5", ".", "", "5"),
        ("(1,234.50)", ".", ",", "-1234.50"),
        ("1234.50-", ".", "", "-1234.50"),
        ("\u22125", ".", "", "-5"),
        ("1e-05", ".", "", "1e-05"),
        ("1,5E-05", ",", "", "1.5E-05"),
    ],
)
def test_a_number_is_read_exactly(text: str, decimal: str, thousands: str, number: str) -> None:
    assert read(text, decimal, thousands) == number
    assert Decimal(read(text, decimal, thousands)) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands"),
    [
        ("1.5", ",", ""),
        ("1.5", ",", "."),
        ("1.50", ",", "."),
        ("1.0842", ",", "."),
        ("1,5", ".", ""),
        ("1,5", ".", ","),
        ("12,34,567", ".", ","),
        ("1.234.5", ",", "."),
        ("1234.567", ",", "."),
        ("1_000", ".", ""),
        ("1 000", ".", ""),
        ("\u0661", ".", ""),
        ("1.2.3", ".", ""),
        ("", ".", ""),
        ("-", ".", ""),
        (".", ".", ""),
        ("NaN", ".", ""),
        ("1.5 EUR", ".", ""),
        ("--5", ".", ""),
        ("(-5)", ".", ","),
    ],
)
def test_half_a_number_is_none(text: str, decimal: str, thousands: str) -> None:
    with pytest.raises(Rejected, match="is not a number with the decimal mark"):
        read(text, decimal, thousands)


@pytest.mark.parametrize(("text", "number"), [("€5", "5"), ("5 €", "5"), ("-€5", "-5"), ("€-5", "-5"), ("(€5)", "-5")])
def test_marks_are_taken_off_either_end(text: str, number: str) -> None:
    assert read(text, strip=("€",)) == number


def test_a_mark_that_was_not_named_is_refused() -> None:
    with pytest.raises(Rejected, match=r"'\$5'"):
        read("$5", strip=("€",))


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("500DOGE", "500", "DOGE"),
        ("0.5 EUR", "0.5", "EUR"),
        ("USD 12", "12", "USD"),
        ("-12USD", "-12", "USD"),
        ("€3343.11", "3343.11", "€"),
        ("-€3", "-3", "€"),
        ("CA$5", "5", "CA$"),
        ("1.234,56 CHF", "1.234,56", "CHF"),
        ("0.5C98", "0.5", "C98"),
        ("12", "12", ""),
    ],
)
def test_a_unit_is_told_from_its_number(text: str, number: str, unit: str) -> None:
    assert split_unit(text) == (number, unit)


@pytest.mark.parametrize("text", ["EUR", "5 EUR USD", "5;EUR", ""])
def test_what_is_no_number_with_a_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number with a unit"):
        split_unit(text)


@pytest.mark.parametrize(
    ("text", "rule", "number", "rounded"),
    [
        ("-3.50", NumberRule(negate=True), "3.50", False),
        ("3.50", NumberRule(negate=True), "-3.50", False),
        ("0.1", NumberRule(multiply=Decimal(100_000)), "10000.0", False),
        ("1.005", NumberRule(round=2), "1.00", True),
        ("1.015", NumberRule(round=2), "1.02", True),
        ("1.5", NumberRule(round=10), "1.5", False),
        ("0.12345678901234567", NumberRule(round=10), "0.1234567890", True),
        ("123456789012345678901234567890.5", NumberRule(multiply=Decimal("0.1")), "12345678901234567890123456789.05", False),
    ],
)
def test_a_number_is_changed_without_a_loss_that_nobody_is_told(text: str, rule: NumberRule, number: str, rounded: bool) -> None:
    assert changed(text, rule) == (number, rounded)
