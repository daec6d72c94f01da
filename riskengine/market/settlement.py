"""When the cash of a trade changes hands: its value date, by the kind of instrument. Weekdays are known, holidays are not.

Shares settle after so many business days of their market, which is told by the currency that they are dealt in (`SHARES`): one
in the dollar, the Canadian dollar and the Mexican peso since May 2024, in the rupee since 2023, and in euro, pound and franc
from 11 October 2027; two elsewhere. FX, metals and the premiums of FX options settle on the spot date, crypto on the day of the
trade, listed options on the next business day. Futures pay no price: their variation is settled every day.
"""

import datetime as dt

from riskengine.market.trading_day import TradingDay, spot_date
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

LONGEST_DAYS = 15
"""No spot trade settles later than so many calendar days after its trading day."""

_SATURDAY = 5
_DAY = dt.timedelta(days=1)


def business_day_after(date: dt.date, count: int) -> dt.date:
    """The weekday that is `count` weekdays after a date."""
    while count:
        date += _DAY
        count -= date.weekday() < _SATURDAY
    return date


def settlement_date(instrument: Instrument, traded: dt.date) -> dt.date | None:
    """The value date of what a trade of this trading day pays; None for futures. 3 us."""
    kind = instrument.kind
    if kind is Kind.FUTURE:
        return None
    if kind is Kind.FX_FORWARD:
        return dt.date.fromisoformat(instrument.expiry[:10])
    if kind is Kind.CRYPTO:
        return traded
    if kind is Kind.EQUITY:
        return business_day_after(traded, _days_of_shares(MINOR_UNITS.get(instrument.currency, instrument.currency), traded))
    if kind is Kind.EQUITY_OPTION:
        return business_day_after(traded, 1)
    return spot_date(traded, instrument.base_currency, instrument.quote_currency)


def _days_of_shares(currency: str, traded: dt.date) -> int:
    days = ELSEWHERE
    for since, count in SHARES.get(currency, ()):
        if traded >= since:
            days = count
    return days


def value_date_of(trade: Trade, instrument: Instrument, trading_day: TradingDay) -> dt.date | None:
    """The value date of a trade: its own, else that of its trading day; None for futures."""
    if instrument.kind is Kind.FUTURE:
        return None
    if trade.value_date and instrument.kind is not Kind.FX_FORWARD:
        return dt.date.fromisoformat(trade.value_date)
    traded = dt.date.fromisoformat(trade.trade_date) if trade.trade_date else trading_day.date_of(trade.ts)
    return settlement_date(instrument, traded)


def settled_before(instrument: Instrument, today: dt.date, trading_day: TradingDay) -> int:
    """The moment before which trades have a value date that is over today: microseconds, 0 where none has. 50 us."""
    day = today
    for _ in range(LONGEST_DAYS):
        day -= _DAY
        if day.weekday() < _SATURDAY and (settles := settlement_date(instrument, day)) is not None and settles < today:
            return trading_day.close_of(day)
    return 0
