"""How dates and times are written, and what is a doubt."""

import pytest

from riskengine.files.drafts.date_styles import DAYS, date_formats, date_style, day_numbers, epoch_unit


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("2026-11-02", ("%Y-%m-%d",)),
        ("13/11/2026", ("%d/%m/%Y",)),
        ("11/13/2026", ("%m/%d/%Y",)),
        ("02/11/2026", ("%d/%m/%Y", "%m/%d/%Y")),
        ("20261102", ("%Y%m%d",)),
        ("20261102;093015", ("%Y%m%d;%H%M%S",)),
        ("2026.11.02 10:00:00", ("%Y.%m.%d %H:%M:%S",)),
        ("2026-11-02T10:00:00.123Z", ("%Y-%m-%dT%H:%M:%S.%f%z",)),
        ("2026-11-02 16:57:02 UTC", ("%Y-%m-%d %H:%M:%S %Z",)),
        ("2-Nov-2026", ("%d-%b-%Y",)),
        ("Nov 2, 2026", ("%b %d, %Y",)),
        ("13/11/2026 3:05:00 PM", ("%d/%m/%Y %I:%M:%S %p",)),
        ("09:15", ("%H:%M",)),
        ("09:15 2026-11-02", ("%H:%M %Y-%m-%d",)),
        ("31/02/2026", ()),
        ("1234567", ()),
        ("hello", ()),
        ("", ()),
    ],
)
def test_a_text_is_read_by_every_format_that_gives_a_day(text, formats):
    assert date_formats(text) == formats


def test_a_value_above_twelve_decides_the_order_of_day_and_month():
    style = date_style(["02/11/2026", "13/11/2026"])
    assert style is not None
    assert (style.format, style.doubt, style.open) == ("%d/%m/%Y", "", False)


def test_dates_that_fit_both_orders_are_an_open_question():
    style = date_style(["01/02/2026"])
    assert style is not None
    assert style.open
    assert style.others == ("%d/%m/%Y", "%m/%d/%Y")
    assert "01 February 2026 or 02 January 2026" in style.doubt


def test_full_stops_and_the_language_of_the_header_make_a_guess_with_a_doubt():
    for values, language in ((["02.11.2026"], ""), (["02-11-2026"], "the header is Dutch")):
        style = date_style(values, day_first=language)
        assert style is not None
        assert style.format.startswith("%d")
        assert style.doubt and not style.open


def test_weekends_are_evidence_and_no_answer():
    style = date_style(["02/11/2026", "03/11/2026", "04/11/2026", "05/11/2026", "06/11/2026"])  # read otherwise: some weekends
    assert style is not None
    assert style.open
    assert "%d/%m/%Y" in style.doubt


def test_a_value_in_another_style_is_a_doubt():
    style = date_style(["2026-11-02", "2026-11-03", "04.11.2026"])
    assert style is not None
    assert "04.11.2026" in style.doubt


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1793000000", "s"), ("1793000000.5", "s"), ("1793000000000", "ms"), ("1793000000000000", "us"), ("179", "")],
)
def test_moments_since_1970_have_a_unit(text, unit):
    assert epoch_unit(text) == unit


def test_what_is_no_date_has_no_style():
    assert date_style(["AAPL", "12.5"]) is None
    assert date_style(["", ""]) is None


def test_day_numbers_of_a_spreadsheet_are_a_doubt():
    style = day_numbers(["46328.395", "46329"])
    assert style is not None
    assert (style.format, style.has_time) == (DAYS, True)
    assert style.doubt
    assert day_numbers(["46328", "12"]) is None
