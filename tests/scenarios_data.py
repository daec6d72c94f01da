"""Closes of many days for tests of scenarios: random walks by a seed, the same for everybody."""

import datetime as dt
from collections.abc import Mapping

import numpy as np

from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import Close
from riskengine.scenarios.close_history import Shifts, unbroken
from riskengine.scenarios.shocks import shock_dates
from riskengine.scenarios.workbench import StoredCloses
from tests.world import REFERENCE, House, trade

TRADING_DAY = TradingDay.of(EngineConfig())


def days_before(date: str, count: int) -> list[str]:
    """The business days before a date, ascending."""
    day = dt.date.fromisoformat(date)
    found: list[str] = []
    while len(found) < count:
        day = TRADING_DAY.previous(day)
        found.append(day.isoformat())
    return found[::-1]


def walks(prices: Mapping[str, float], days: int, before: str = "2026-03-04", seed: int = 1, vol: float = 0.01) -> list[Close]:
    """Closes of instruments on the days before a date; the last ones are near `prices`."""
    dates, dice = days_before(before, days), np.random.default_rng(seed)
    found = []
    for symbol, price in prices.items():
        path = price * np.exp(np.cumsum(dice.normal(0.0, vol, days))[::-1])
        found += [Close(date, symbol, float(each)) for date, each in zip(dates, path, strict=True)]
    return found


def stored(closes: list[Close]) -> StoredCloses:
    """The same as a store gives them to the workbench."""
    dates = unbroken(sorted({close.date for close in closes}))
    ends = {date: TRADING_DAY.close_of(dt.date.fromisoformat(date)) for date in (*dates, *shock_dates())}
    shocks = {date: [close for close in closes if close.date == date] for date in shock_dates()}
    return StoredCloses(closes, {date: ends[date] for date in dates}, shocks, ends)


PAIRS = {"EURUSD": 1.1, "GBPUSD": 1.3, "USDJPY": 150.0, "EURGBP": 0.85, "USDCAD": 1.36}
MARKS = PAIRS | {"ACME": 90.0, "ESZ6": 5_000.0, "BTCEUR": 60_000.0}


def moved_by(**shifts: float) -> Shifts:
    """One scenario of relative shifts; instruments that are not named stand still."""
    row = np.zeros((1, len(REFERENCE.symbols)))
    for symbol, shift in shifts.items():
        row[0, REFERENCE.instrument_index[symbol]] = shift
    nothing = np.zeros(len(REFERENCE.symbols), dtype=np.int64)
    return Shifts(("one",), "before", row, nothing.astype(np.bool_), nothing)


def house() -> House:
    made = House()
    made.deal(
        trade("1", quantity="1000000", price="1.09"),
        trade("2", instrument="EURGBP", desk="FX2", quantity="500000", price="0.84", side="sell"),
        trade("3", instrument="USDJPY", desk="EM1", quantity="200000", price="149.5"),
        trade("4", instrument="ACME", desk="EQ1", quantity="300", price="91"),
        trade("5", instrument="ESZ6", desk="EQ1", quantity="3", price="4990", side="sell"),
        trade("6", instrument="BTCEUR", desk="FX1", quantity="0.5", price="59000"),
        trade("7", instrument="USDCAD", desk="FX2", quantity="70000", price="1.35"),
        trade("8", instrument="USDCAD", desk="FX2", quantity="70000", price="1.37", side="sell"),
    )
    made.marks(**MARKS)
    return made
