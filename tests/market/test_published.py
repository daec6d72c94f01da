"""Published holidays: the right source for each currency, a year at a time, and honest about what is not out yet."""

import datetime as dt

import pytest

from riskengine.market.published import CURRENCIES, SOURCES, Published

PUBLISHED = Published()


def is_holiday(calendar: str, text: str) -> bool:
    date = dt.date.fromisoformat(text)
    return date in PUBLISHED.year(calendar, date.year).holidays


@pytest.mark.parametrize(
    ("calendar", "date", "expected"),
    [
        # Dollar holidays are the Federal Reserve's: no state's, and nothing on Friday for a Saturday.
        ("USD", "2026-07-03", False),
        ("USD", "2026-10-12", True),
        ("USD", "2026-04-03", False),
        # The euro's are TARGET's: no 3 October, no Ascension.
        ("EUR", "2026-10-03", False),
        ("EUR", "2026-05-14", False),
        ("EUR", "2026-05-01", True),
        ("EUR", "2026-04-06", True),
        ("GBP", "2026-08-31", True),
        ("JPY", "2019-05-06", True),
        ("JPY", "2026-12-31", True),
        ("CNY", "2026-02-23", True),
        ("HKD", "2026-04-03", True),
        ("CNH", "2026-04-03", True),
        ("KRW", "2025-10-09", True),
        ("CAD", "2026-08-03", True),
        ("CHF", "2026-01-02", True),
        ("DKK", "2026-05-15", True),
        ("DKK", "2026-05-01", False),
        ("SEK", "2026-06-19", True),
        ("AUD", "2026-01-26", True),
        ("XNYS", "2026-04-03", True),
    ],
)
def test_a_currency_has_the_holidays_of_its_market(calendar: str, date: str, expected: bool) -> None:
    assert is_holiday(calendar, date) is expected


def test_a_year_that_is_not_published_is_not_covered() -> None:
    assert PUBLISHED.covers("CNY", 2026) and not PUBLISHED.covers("CNY", 2027), "statutory days alone are no calendar"
    assert PUBLISHED.covers("XSHG", 2026) and not PUBLISHED.covers("XSHG", 2027)
    assert PUBLISHED.covers("SGD", 2026) and not PUBLISHED.covers("SGD", 2031), "dates that are only estimated"
    assert not PUBLISHED.covers("EUR", 1998), "before the euro"


def test_what_nobody_publishes_is_unknown_and_has_no_holidays() -> None:
    assert not PUBLISHED.knows("XYZ")
    assert PUBLISHED.year("XYZ", 2026) == (frozenset(), frozenset(), False)


def test_a_question_about_one_year_asks_for_no_other() -> None:
    days = Published().year("USD", 2026).holidays
    assert {day.year for day in days} == {2026}


@pytest.mark.parametrize("calendar", SOURCES)
def test_every_source_answers_for_this_year(calendar: str) -> None:
    assert PUBLISHED.year(calendar, 2026).holidays
    assert PUBLISHED.covers(calendar, 2026) or CURRENCIES[calendar].is_rough
