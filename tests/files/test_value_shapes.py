"""What values look like: numbers and their styles, sides, codes."""

from decimal import Decimal

import pytest

from riskengine.files.drafts.value_shapes import describe, is_number, is_total, number_style, side_in, written_number


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1,234.56", ".", "1234.56"),
        ("1.234,56", ",", "1234.56"),
        ("1 234,56", ",", "1234.56"),
        ("1\u00a0234,56", ",", "1234.56"),
        ("1'234.56", ".", "1234.56"),
        ("(1,234.56)", ".", "-1234.56"),
        ("1,234.56-", ".", "-1234.56"),
        ("-€12.50", ".", "-12.50"),
        ("€-12.50", ".", "-12.50"),
        ("500DOGE", ".", "500"),
        ("USD 12.5", ".", "12.5"),
        ("\u22125", ".", "-5"),
        (".5", ".", "0.5"),
        ("3.7e-05", ".", "0.000037"),
    ],
)
def test_a_number_is_read_however_it_is_written(text, decimal, value):
    number = written_number(text)
    assert number is not None
    assert number.value(decimal) == Decimal(value)


@pytest.mark.parametrize("text", ["", "DAX40", "0007", "02.11.2026", "1.2.3", "12,34,5", "--5", "(5", "AAPL", "34/42 @ 11"])
def test_what_is_no_amount_is_no_number(text):
    assert not is_number(text)


def test_a_number_that_does_not_fit_the_decimal_mark_has_no_value():
    number = written_number("1.08420")
    assert number is not None
    assert number.value(",") is None


def test_one_number_that_can_be_read_in_one_way_decides_for_the_file():
    assert number_style([["1,234", "2,500"], ["0,5"]]).decimal == ","
    assert number_style([["1,234", "2,500"], ["1,234.5"]]).decimal == "."


def test_a_number_that_can_be_read_in_two_ways_is_a_doubt():
    style = number_style([["1,234", "2,500"]])
    assert "1,234 may be 1.234 or 1234" in style.doubt


def test_two_styles_in_a_file_are_a_doubt():
    assert "both marks" in number_style([["1.5"], ["1,25"]]).doubt


def test_the_mark_of_thousands_is_found():
    assert number_style([["1.000.000,00"]]).thousands == "."
    assert number_style([["1'000.5"]]).thousands == "'"
    assert number_style([["1000.5"]]).thousands == ""


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("BUY", "buy"),
        ("Achat", "buy"),
        ("V", "sell"),
        ("Stocks/ETF purchase", "buy"),
        ("Advanced Trade Sell", "sell"),
        ("BUY (Ca.)", None),
        ("Buy and sell", None),
        ("Dividend", None),
        ("", None),
    ],
)
def test_a_side_is_found_in_a_few_words(text, side):
    assert side_in(text) == side


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (["K", "V"], "side"),
        (["K", "X"], "code"),
        (["EUR", "USD"], "currency"),
        (["EUR/USD", "USD/JPY"], "pair"),
        (["EURUSD", "DOGEEUR", "BTCUSDT", "BTC-USDT"], "pair"),
        (["US0000000001"], "isin"),
        (["1.5", "-2"], "number"),
        (["02.11.2026", "03.11.2026"], "time"),
        (["AAPL", "ESZ6"], "code"),
        (["EXAMPLE CORP", "X"], "text"),
        (["", ""], "empty"),
    ],
)
def test_the_shape_of_a_column_is_what_its_values_are(values, shape):
    assert describe(values).shape == shape


def test_a_stray_value_among_many_is_kept_apart():
    described = describe([*map(str, range(20)), "n/a"])
    assert described.shape == "number"
    assert described.others == ["n/a"]


def test_a_column_tells_whether_its_values_are_unique_and_below_zero():
    assert describe(["1", "2"]).is_unique
    assert not describe(["1", "1"]).is_unique
    assert describe(["-1", "0", "(2)"]).is_never_positive
    assert not describe(["-1", "2"]).is_never_positive


def test_a_total_begins_with_its_word_and_has_gaps():
    assert is_total(["Summe", "", "3,5"])
    assert is_total(["TRL000004", "", ""])
    assert not is_total(["Totale Energie", "FR0000000018", "5"])


@pytest.mark.parametrize(
    ("word", "side"),
    [
        ("ACQ", "buy"),
        ("ACQUISTO", "buy"),
        ("VEN", "sell"),
        ("VENDITA", "sell"),
        ("Ach.", "buy"),
        ("VTE", "sell"),
        ("Kf.", "buy"),
        ("Vk.", "sell"),
        ("Verk.", "sell"),
        ("Cpra.", "buy"),
        ("VTA", "sell"),
        ("Compra", "buy"),
        ("Venda", "sell"),
        ("STORNO ACQ", None),
        ("Estorno venda", None),
    ],
)
def test_short_words_of_a_side_are_known_and_those_that_take_one_back_are_none(word: str, side: str | None) -> None:
    assert side_in(word) == side
