"""Holidays, spot dates and deliveries of options against QuantLib's calendars, which share nothing with ours."""

import datetime as dt
from functools import cache
from typing import Any

import pytest

from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import spot_date
from tests.optioned import OptionHouse, option
from tests.world import NOON

ql: Any = pytest.importorskip("QuantLib", reason="spot dates are NOT held against QuantLib: it is not installed")

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2026, 12, 31)
OURS = Calendars()


@cache
def calendars() -> dict[str, Any]:
    return {
        "USD": ql.UnitedStates(ql.UnitedStates.FederalReserve),
        "EUR": ql.TARGET(),
        "GBP": ql.UnitedKingdom(),
        "JPY": ql.Japan(),
        "CAD": ql.Canada(),
        "CHF": ql.Switzerland(),
        "SEK": ql.Sweden(),
        "DKK": ql.Denmark(),
        "CZK": ql.CzechRepublic(),
        "MXN": ql.Mexico(),
        "ZAR": ql.SouthAfrica(),
        "HKD": ql.HongKong(),
        # Offices work on some Saturdays and Sundays; no currency is paid then.
        "CNY": ql.JointCalendar(ql.China(ql.China.IB), ql.WeekendsOnly(), ql.JoinHolidays),
    }


CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CAD", "CHF", "SEK", "DKK", "CZK", "MXN", "ZAR", "HKD", "CNY")
"""Not NOK (QuantLib rests on 24 December), NZD (on the anniversary of Wellington) and others whose dates QuantLib has in part."""

PAIRS = (
    "EURUSD",
    "GBPUSD",
    "USDJPY",
    "USDCAD",
    "USDCHF",
    "USDSEK",
    "USDMXN",
    "USDHKD",
    "USDCNY",
    "EURGBP",
    "EURJPY",
    "CADJPY",
    "GBPZAR",
)


def theirs(date: dt.date) -> Any:
    return ql.Date(date.day, date.month, date.year)


def ours(date: Any) -> dt.date:
    return dt.date(date.year(), date.month(), date.dayOfMonth())


def days() -> list[dt.date]:
    return [FIRST + dt.timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def quantlib_spot(traded: dt.date, pair: str) -> dt.date:
    """The market's rule in QuantLib's words: each dollar leg by itself, then the first day that is good in all of them."""
    codes, of = [code for code in (pair[:3], pair[3:]) if code != "USD"], calendars()
    legs = []
    for code in codes:
        both = ql.JointCalendar(of[code], of["USD"], ql.JoinHolidays)
        if code == "CAD":
            legs.append(both.advance(theirs(traded), 1, ql.Days))
        elif code == "MXN":
            legs.append(both.advance(theirs(traded), 2, ql.Days))
        else:
            legs.append(both.advance(of[code].advance(theirs(traded), 1, ql.Days), 1, ql.Days))
    every = ql.JointCalendar([*(of[code] for code in codes), of["USD"]], ql.JoinHolidays)
    return ours(every.adjust(max(legs), ql.Following))


@pytest.mark.parametrize("code", CURRENCIES)
def test_a_currency_is_shut_on_the_same_weekdays(code: str) -> None:
    shut = {day for day in days() if day.weekday() < 5 and not OURS.is_business_day(code, day)}
    assert shut == {day for day in days() if day.weekday() < 5 and not calendars()[code].isBusinessDay(theirs(day))}


@pytest.mark.parametrize("pair", PAIRS)
def test_spot_of_every_day_is_the_same(pair: str) -> None:
    found = {day: spot_date(day, pair[:3], pair[3:], OURS) for day in days()[:-14] if day.weekday() < 5}
    assert found == {day: quantlib_spot(day, pair) for day in found}


def test_options_run_from_the_spot_date_of_today_to_the_spot_date_of_their_expiry() -> None:
    """Every weekday of a year as an expiry, on a pair each in turn."""
    pairs = ("EURUSD", "USDJPY", "EURGBP", "USDCAD", "GBPJPY")
    today = dt.date(2026, 3, 4)  # NOON's
    expiries = [day for day in days() if today < day < LAST - dt.timedelta(days=14) and day.weekday() < 5]
    dated = {f"O{at}": (pairs[at % len(pairs)], expiry) for at, expiry in enumerate(expiries)}
    rows = [option(name, pair[:3], pair[3:], "1.1", expiry=day.isoformat()) for name, (pair, day) in dated.items()]
    made = OptionHouse(rows, now=NOON)
    made.spots()
    terms, values = made.engine.options.terms, made.engine.options.values
    delivered = {name: dt.date.fromordinal(terms.delivery.item(place)) for name, place in terms.place.items()}
    assert delivered == {name: quantlib_spot(day, pair) for name, (pair, day) in dated.items()}
    assert values is not None
    days_settle = {name: round(values.years_settle.item(place) * 365) for name, place in terms.place.items()}
    assert days_settle == {name: (delivered[name] - quantlib_spot(today, pair)).days for name, (pair, _) in dated.items()}
