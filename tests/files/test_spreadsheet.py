"""The apostrophe before what a spreadsheet would take for a formula: put there, taken off again, and nobody else's touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.files.spreadsheet import escape_formula, is_plain_number, unescape_formula


@given(st.text() | st.text(alphabet="'=+-@ \t\ufeff\u2212a1"))
def test_every_text_comes_back(text):
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("cell", ["'tHooft", "'", "'s-Hertogenbosch", "a'b", "", "plain"])
def test_an_apostrophe_that_guards_nothing_stays(cell):
    assert unescape_formula(cell) == cell


@pytest.mark.parametrize(
    ("cell", "text"), [("'-77", "-77"), ("'=1+1", "=1+1"), ("''tHooft", "'tHooft"), ("'@ES", "@ES"), ("''=x", "'=x")]
)
def test_the_apostrophe_of_a_guarded_text_goes(cell, text):
    assert unescape_formula(cell) == text


@pytest.mark.parametrize(
    ("text", "is_number"), [("-40.5", True), ("7", True), ("-1e5", False), ("=1", False), ("", False), ("1\n", False)]
)
def test_only_a_decimal_number_is_one(text, is_number):
    assert is_plain_number(text) is is_number
