"""Rolls of an engine in tests: the steps of a roll one behind the other, on one thread."""

import datetime as dt
from collections.abc import Mapping

from riskengine.config import EngineConfig
from riskengine.engine.closing import ClosingDay, make_close
from riskengine.engine.engine import Engine
from riskengine.market.trading_day import TradingDay
from riskengine.positions.day_window import DayWindow
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.types import Opening
from riskengine.valuation.day_start import DayStart
from tests.world import config

TRADING_DAY = TradingDay.of(EngineConfig())


def strike(engine: Engine, date: str, prices: Mapping[str, float], version: int = 1) -> StruckClose:
    """The close of a day from what the engine holds; the engine then waits for `begin`."""
    day = dt.date.fromisoformat(date)
    following = DayWindow.after(day, TRADING_DAY)
    window = DayWindow.after(TRADING_DAY.previous(day), TRADING_DAY)
    engine.publish(window.end_ts)
    rows = engine.close_rows(window, following)
    marks = {symbol: ClosePrice(price, window.end_ts - 1) for symbol, price in prices.items()}
    return make_close(rows, marks, ClosingDay(date, window.end_ts, window.end_ts, version), config())


def begin(
    engine: Engine, close: StruckClose, published: tuple[StruckClose, ...] = (), openings: tuple[Opening, ...] = ()
) -> None:
    """Put the day after a close in force."""
    window = DayWindow.after(dt.date.fromisoformat(close.date), TRADING_DAY)
    dealers = engine.number_dealers(each.owner for each in close.dealers)
    changes = engine.close_changes(window)
    start = DayStart.of(engine.reference, window, close, published, dealers=dealers, openings=openings, changes=changes)
    engine.begin_day(start, engine.day_values(start))
    engine.publish(window.start_ts)
