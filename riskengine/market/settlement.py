"""When the cash of a trade changes hands: its value date, by the kind of instrument and the calendars in force.

Shares settle after so many business days of their market, which is told by the currency that they are dealt in (`SHARES`): one
in the dollar, the Canadian dollar and the Mexican peso since May 2024, in the rupee since 2023, and in euro, pound and franc
from 11 October 2027; two elsewhere. FX, metals and the premiums of FX options settle on the spot date, crypto on the day of the
trade, listed options on the next business day. Futures pay no price: their variation is settled every day.
"""

import datetime as dt

from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import spot_date
from riskengine.market.trading_day import TradingDay
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.types import Instrument, Kind, Trade

SHARES: dict[str, tuple[tuple[dt.date, int], ...]] = {
    "USD": ((dt.date(2024, 5, 28), 1),),
    "CAD": ((dt.date(2024, 5, 27), 1),),
    "MXN": ((dt.date(2024, 5, 27), 1),),
    "INR": ((dt.date(2023, 1, 27), 1),),
    "EUR": ((dt.date(2027, 10, 11), 1),),
    "GBP": ((dt.date(2027, 10, 11), 1),),
    "CHF": ((dt.date(2027, 10, 11), 1),),
}
"""Business days from trade to settlement of shares, by currency: from which trading day on, newest last."""

ELSEWHERE = 2
"""Business days from trade to settlement of shares in any other currency, and before those dates."""

LONGEST_DAYS = 30
"""No spot trade settles later than so many calendar days after its trading day."""

_DAY = dt.timedelta(days=1)


def business_day_after(date: dt.date, count: int, calendar: str, calendars: Calendars) -> dt.date:
    """The business day of a currency or an exchange that is `count` of them after a date."""
    while count:
        date += _DAY
        count -= calendars.is_business_day(calendar, date)
    return date


def settlement_date(instrument: Instrument, traded: dt.date, calendars: Calendars) -> dt.date | None:
    """The value date of what a trade of this trading day pays; None for futures. 3 us."""
    market = instrument.calendar or instrument.currency
    kind = instrument.kind
    if kind is Kind.FUTURE:
        return None
    if kind is Kind.FX_FORWARD:
        return dt.date.fromisoformat(instrument.expiry[:10])
    if kind is Kind.CRYPTO:
        return traded
    if kind is Kind.EQUITY:
        days = _days_of_shares(MINOR_UNITS.get(instrument.currency, instrument.currency), traded)
        return business_day_after(traded, days, market, calendars)
    if kind is Kind.EQUITY_OPTION:
        return business_day_after(traded, 1, market, calendars)
    return spot_date(traded, instrument.base_currency, instrument.quote_currency, calendars)


def _days_of_shares(currency: str, traded: dt.date) -> int:
    days = ELSEWHERE
    for since, count in SHARES.get(currency, ()):
        if traded >= since:
            days = count
    return days


def value_date_of(trade: Trade, instrument: Instrument, trading_day: TradingDay, calendars: Calendars) -> dt.date | None:
    """The value date of a trade: its own, else that of its trading day; None for futures."""
    if instrument.kind is Kind.FUTURE:
        return None
    if trade.value_date and instrument.kind is not Kind.FX_FORWARD:
        return dt.date.fromisoformat(trade.value_date)
    return settlement_date(instrument, trading_date(trade, trading_day), calendars)


def trading_date(trade: Trade, trading_day: TradingDay) -> dt.date:
    """The trading day of a trade: its own, else that of its time."""
    return dt.date.fromisoformat(trade.trade_date) if trade.trade_date else trading_day.date_of(trade.ts)


def settled_before(instrument: Instrument, today: dt.date, trading_day: TradingDay, calendars: Calendars) -> int:
    """The moment before which trades have a value date that is over today: microseconds, 0 where none has. 50 us."""
    day = today
    for _ in range(LONGEST_DAYS):
        day -= _DAY
        if not trading_day.is_business_day(day):
            continue
        settles = settlement_date(instrument, day, calendars)
        if settles is not None and settles < today:
            return trading_day.close_of(day)
    return 0
