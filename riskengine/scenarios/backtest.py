"""Backtest of VaR: what was held at each stored close, its VaR then, and what it came to by the next close. Pure; any thread.

P&L is hypothetical: the positions of the close at the prices of the next one, without trades and fees. VaR of a close uses the
scenarios that were known by then. Cash products alone: what options and forwards were valued with then is not stored, so they are
left out, and counted.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from riskengine.market.currencies import CurrencyGraph
from riskengine.market.split_prices import CLOSE_KIND, NO_SPLITS
from riskengine.records.closes import ClosedPosition
from riskengine.records.types import CASH_ONE, ONE, FloatArray
from riskengine.scenarios.close_history import CloseHistory, shifts_of
from riskengine.scenarios.held_lines import HeldLines, owner_vectors
from riskengine.scenarios.moves import DERIVED
from riskengine.scenarios.revaluation import StartingPoint, unit_vectors
from riskengine.scenarios.tail import LossTail, worst_of
from riskengine.scenarios.var import HISTORICAL
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.snapshot import Snapshot

GREEN, YELLOW, RED = "green", "yellow", "red"
YELLOW_FROM, RED_FROM = 0.95, 0.9999
"""The probability of so few exceptions or fewer, from which a model is yellow, and red: Basel's bounds."""


class BacktestDay(NamedTuple):
    """One stored close: VaR of what was held, and its P&L by the next close. None where it is not known.

    left_out  positions that are in neither: options, forwards, and what lacks closes
    """

    date: str
    next_date: str
    var: float | None
    pnl: float | None
    left_out: int

    @property
    def is_exception(self) -> bool:
        """Whether the loss was larger than VaR."""
        return self.var is not None and self.pnl is not None and -self.pnl > self.var


class BacktestVerdict(NamedTuple):
    """What the days say of VaR at a level.

    days, exceptions  those with both figures, and how many of them lost more than VaR
    kupiec            likelihood ratio of Kupiec's proportion of failures; None without days
    p_value           the probability of one as large if the level is right (chi-square, one degree of freedom)
    light             Basel's traffic light; None where less than one exception was to be expected, which says nothing either way
    """

    days: int
    exceptions: int
    expected: float
    kupiec: float | None
    p_value: float | None
    light: str | None


def verdict_of(days: int, exceptions: int, level: Decimal) -> BacktestVerdict:
    """Kupiec's test and the traffic light.

    >>> [verdict_of(250, count, Decimal("0.99")).light for count in (4, 5, 9, 10)]
    ['green', 'yellow', 'yellow', 'red']
    """
    rate = float(1 - level)
    if not days:
        return BacktestVerdict(0, 0, 0.0, None, None, None)
    ratio = -2.0 * (_log_likelihood(days, exceptions, rate) - _log_likelihood(days, exceptions, exceptions / days))
    ratio = max(ratio, 0.0)
    few = math.fsum(math.comb(days, count) * rate**count * (1.0 - rate) ** (days - count) for count in range(exceptions + 1))
    light: str | None = GREEN if few < YELLOW_FROM else YELLOW if few < RED_FROM else RED
    if days * rate < 1.0:
        light = None
    return BacktestVerdict(days, exceptions, days * rate, ratio, math.erfc(math.sqrt(ratio / 2.0)), light)


def _log_likelihood(days: int, exceptions: int, rate: float) -> float:
    held = (days - exceptions) * math.log1p(-rate) if days > exceptions else 0.0
    return held + (exceptions * math.log(rate) if exceptions else 0.0)


def backtest_day(bench: Workbench, snapshot: Snapshot, date: str, positions: Sequence[ClosedPosition]) -> BacktestDay | None:
    """One day by its stored positions; None where no later day has closes. 30 ms for 500 scenarios of 1,000 instruments."""
    history = bench.history(snapshot)
    if date not in history.dates[:-1]:
        return None
    at = history.dates.index(date)
    held, left_out = _held(bench, snapshot, date, positions)
    rule = bench.rule(HISTORICAL)
    past = _part(history, max(0, at - bench.config.days), at + 1)
    known_var, known_pnl, lost = None, None, 0
    if len(past.dates) - 1 >= rule.fewest:
        pnl, lost, some = _vector(bench, snapshot, past, history, at, held)
        known_var = worst_of(pnl, LossTail.of(len(pnl), rule.level)).var if some else None
    pnl, lost_next, some = _vector(bench, snapshot, _part(history, at, at + 2), history, at, held)
    known_pnl = float(pnl[0]) if some else None
    return BacktestDay(date, history.dates[at + 1], known_var, known_pnl, left_out + max(lost, lost_next))


def _part(history: CloseHistory, first: int, end: int) -> CloseHistory:
    return CloseHistory(history.dates[first:end], history.price[first:end], history.carried[first:end])


def _vector(
    bench: Workbench, snapshot: Snapshot, window: CloseHistory, history: CloseHistory, at: int, held: HeldLines
) -> tuple[FloatArray, int, bool]:
    """P&L of what is held in the scenarios of a window, from the prices of a date; what is left out; whether anything is in."""
    reference = snapshot.reference
    price = np.nan_to_num(history.price[at])
    priced = ~np.isnan(history.price[at])
    rates = CurrencyGraph(reference).rates(price, priced, priced)
    start = StartingPoint(reference, price, priced, rates.value, rates.known, rates.paths)
    shifts = shifts_of(window, reference, bench.config.may_be_negative, price)
    units = unit_vectors(start, shifts, np.zeros(len(price), dtype=np.bool_))
    found = owner_vectors(held, units)
    return found.pnl[0], len(found.left_out), bool(found.known[0]) or not found.left_out


def _held(bench: Workbench, snapshot: Snapshot, date: str, positions: Sequence[ClosedPosition]) -> tuple[HeldLines, int]:
    """The positions of a close by instrument, in units of today, without those that cannot be tested, which are counted."""
    reference = snapshot.reference
    splits = NO_SPLITS if snapshot.adjustments is None else snapshot.adjustments.prices()
    ends, left_out = bench.ends, 0
    quantity, cash = np.zeros(len(reference.instruments)), np.zeros(len(reference.instruments))
    is_open = np.zeros(len(quantity), dtype=np.bool_)
    for each in positions:
        number = reference.instrument_index.get(each.instrument)
        if number is None or reference.instruments[number].kind in DERIVED:
            left_out += each.quantity != 0
            continue
        old_units = splits.now(each.instrument, 1.0, ends[date], CLOSE_KIND)
        quantity[number] += each.quantity / ONE / old_units
        cash[number] += each.cash / CASH_ONE
        is_open[number] |= each.quantity != 0
    there = np.flatnonzero(is_open | (cash != 0.0))
    owner = np.zeros(len(there), dtype=np.int64)
    lines = (quantity[there], cash[there], np.where(is_open[there], cash[there], 0.0), is_open[there])
    return HeldLines(owner, there, *lines, (), np.zeros(1, dtype=np.int64)), left_out
