"""When a corporate action takes effect: at the start of the trading day that is its ex-date. Pure."""

import datetime as dt
from collections.abc import Iterable

from riskengine.market.trading_day import TradingDay
from riskengine.records.actions import Action

_DAY = dt.timedelta(days=1)


def start_of(trading_day: TradingDay, ex_date: str) -> int:
    """The first moment, microseconds, that belongs to a trading day of `ex_date` or later.

    Monday's begins at Friday's boundary; so does that of a Saturday, which is no trading day.
    """
    day = dt.date.fromisoformat(ex_date) - _DAY
    while trading_day.date_of(trading_day.close_of(day) - 1) != day:  # a day without a roll belongs to a later one
        day -= _DAY
    return trading_day.close_of(day)


def in_force(actions: Iterable[Action], day: str) -> tuple[list[Action], list[Action]]:
    """Those with an ex-date of `day` or earlier, and those that wait for a later one, each by (ex_date, action_id)."""
    ordered = sorted(actions, key=lambda action: (action.ex_date, action.action_id))
    return [each for each in ordered if each.ex_date <= day], [each for each in ordered if each.ex_date > day]
