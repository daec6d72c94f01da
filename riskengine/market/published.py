"""Published holidays: of currencies and exchanges, year by year, from the library `holidays`.

Why this one: it agrees with the market on every spot date that was checked, at 17 MB. QuantLib agrees as well and is 88 MB of a
compiled library for this one purpose; exchange_calendars knows days of exchanges only, and brings pandas. Importing it takes
0.1 s, so the first question does it. It is asked for one year at a time and never made to reach beyond: a year that is not
published (China's after the newest decree, dates that the library calls estimated) is not covered: `Published.covers` says so.

Dollar holidays are the Federal Reserve's and the euro's are TARGET's, never lists of countries. A currency that is absent here
has weekends alone: who asks must say so.
"""

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Days = frozenset[dt.date]

_SATURDAY = 5
_DAY = dt.timedelta(days=1)


class HolidaySource(NamedTuple):
    """Where the holidays of a calendar come from.

    code          a market or a country of the library
    is_market     which of the two
    categories    of a country, in the library's words
    subdivision   of a country
    adjust        what the library lacks or has too much, by year
    decreed_in    the country that publishes it year by year: a year without special days there is not out yet
    is_rough      known to differ from the market's dates in a day or two a year
    """

    code: str
    is_market: bool = False
    categories: tuple[str, ...] = ("public",)
    subdivision: str | None = None
    adjust: "Callable[[Days, int], Days] | None" = None
    decreed_in: str = ""
    is_rough: bool = False


def _with_civic_holiday(days: Days, year: int) -> Days:
    """Ontario's banks are shut on the first Monday of August."""
    first = dt.date(year, 8, 1)
    return days | {first + _DAY * (-first.weekday() % 7)}


def _with_second_of_january(days: Days, year: int) -> Days:
    """The payments system of the franc rests on Saint Berchtold's Day, in Zurich no holiday by law."""
    return days | {dt.date(year, 1, 2)}


def _as_danish_banks(days: Days, year: int) -> Days:
    """Banks are shut on the day after Ascension, a Thursday in May or June, and open on 1 May."""
    ascensions = [day for day in days if day.weekday() == 3 and dt.date(year, 4, 30) <= day <= dt.date(year, 6, 3)]
    easter_monday = next(day for day in sorted(days) if day.weekday() == 0 and day.month in (3, 4))
    after = {day + _DAY for day in ascensions if day == easter_monday + 38 * _DAY}
    return (days - {dt.date(year, 5, 1)}) | after


def _market(code: str) -> HolidaySource:
    return HolidaySource(code, is_market=True)


CURRENCIES: Mapping[str, HolidaySource] = {
    "USD": _market("XFED"),
    "EUR": _market("XECB"),
    "JPY": HolidaySource("JP", categories=("public", "bank")),
    "GBP": HolidaySource("GB", subdivision="ENG"),
    "CNY": HolidaySource("CN", decreed_in="CN"),
    "KRW": HolidaySource("KR", categories=("public", "bank")),
    "CAD": HolidaySource("CA", categories=("public", "government"), subdivision="ON", adjust=_with_civic_holiday),
    "MXN": _market("XMEX"),
    "SEK": HolidaySource("SE", categories=("public", "de_facto")),
    "AUD": HolidaySource("AU", categories=("public", "bank"), subdivision="NSW"),
    "CHF": HolidaySource("CH", subdivision="ZH", adjust=_with_second_of_january),
    "NZD": HolidaySource("NZ"),
    "NOK": HolidaySource("NO"),
    "DKK": HolidaySource("DK", categories=("public", "optional"), adjust=_as_danish_banks),
    "HKD": HolidaySource("HK", categories=("public", "optional")),
    "CNH": HolidaySource("HK", categories=("public", "optional")),
    "SGD": HolidaySource("SG"),
    "PLN": HolidaySource("PL"),
    "CZK": HolidaySource("CZ"),
    "ZAR": HolidaySource("ZA"),
    "TRY": HolidaySource("TR"),
    "HUF": HolidaySource("HU", is_rough=True),
    "TWD": HolidaySource("TW", is_rough=True),
    "THB": HolidaySource("TH", categories=("public", "bank"), decreed_in="TH", is_rough=True),
    "BRL": HolidaySource("BR", is_rough=True),
    "PHP": HolidaySource("PH", is_rough=True),
}
"""The sources of currencies. CNH settles in Hong Kong."""

EXCHANGE_SOURCES: Mapping[str, HolidaySource] = {
    code: HolidaySource(code, is_market=True, decreed_in="CN" if code in ("XSHG", "XSHE") else "")
    for code in (
        *("XNYS", "XNAS", "XTSE", "XCME", "XLON", "XPAR", "XAMS", "XBRU", "XLIS", "XDUB", "XMIL", "XMAD", "XOSL", "XETR", "XFRA"),
        *("XSWX", "XWAR", "XIST", "XJSE", "XJPX", "XHKG", "XSHG", "XSHE", "XKRX", "XTAI", "XSES", "XNSE", "XBOM", "XASX", "XNZE"),
    )
}
"""The sources of exchanges, by their code (ISO 10383)."""

SOURCES: Mapping[str, HolidaySource] = {**CURRENCIES, **EXCHANGE_SOURCES}


class PublishedYear(NamedTuple):
    """One year of one calendar: the holidays, the days that close early, and whether the year is published."""

    holidays: Days
    half_days: Days
    is_published: bool


class Published:
    """Answers from the library, each year of each calendar asked for once. Any thread."""

    def __init__(self) -> None:
        self._years: dict[tuple[str, int], PublishedYear] = {}
        self._lock = threading.Lock()

    def knows(self, calendar: str) -> bool:
        """Whether the calendar has a source here."""
        return calendar in SOURCES

    def year(self, calendar: str, year: int) -> PublishedYear:
        """A year of a calendar; without holidays and not published where there is no source, or the library does not reach.

        5 ms for the first question about a year (0.1 s for the first of all), then 0.2 us.
        """
        found = self._years.get((calendar, year))
        if found is None:
            with self._lock:  # the library fills tables of its own
                found = self._years[calendar, year] = _ask(SOURCES.get(calendar), year)
        return found

    def covers(self, calendar: str, year: int) -> bool:
        """Whether the holidays of a year are published."""
        return self.year(calendar, year).is_published


_NOT_COVERED = PublishedYear(frozenset(), frozenset(), False)


def _ask(source: HolidaySource | None, year: int) -> PublishedYear:
    if source is None:
        return _NOT_COVERED
    import holidays  # here: 0.1 s that a start without value dates and exchanges need not pay

    found: Any
    if source.is_market:
        found = holidays.financial_holidays(source.code, years=year, expand=False)
    else:
        found = holidays.country_holidays(
            source.code, subdiv=source.subdivision, categories=source.categories, years=year, expand=False, language=_ENGLISH
        )
    if not found.start_year <= year <= found.end_year:
        return _NOT_COVERED
    half: Any = ()
    if source.is_market and "half_day" in found.supported_categories:
        half = holidays.financial_holidays(source.code, years=year, expand=False, categories=("half_day",))
    days = frozenset(found)
    is_published = not any("estimated" in name.lower() for name in found.values())
    if source.decreed_in:
        decrees: Any = holidays.country_holidays(source.decreed_in, years=year, expand=False)
        is_published = is_published and year <= max(decrees.special_public_holidays, default=year)
    if source.adjust is not None:
        days = source.adjust(days, year)
    return PublishedYear(days, frozenset(half), is_published)


_ENGLISH = "en_US"
"""In English the library marks a date that it estimates."""
