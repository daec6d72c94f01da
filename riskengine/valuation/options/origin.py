"""Where the inputs of one option come from: the rows behind its vol and its rates, Greeks from outside, the point of an American.

For receipts: nothing here is worked out in a beat. The rows are immutable; only taking them is the writer thread's.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from riskengine.market.option_market import OptionMarket
from riskengine.market.rate_curves import NONE, CurveNumbers
from riskengine.pricing.black_scholes import Inputs, Measures
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.option_inputs import POINTS, RATE, YIELD, PushedGreeks, RateRow, SurfaceRow, Vol
from riskengine.records.types import Instrument, Kind


class SurfaceOrigin(NamedTuple):
    """The quotes that an option's vol lies between, by expiry (one where it has no neighbour on one side).

    as_of   the moment that the smiles were solved for, microseconds
    """

    rows: tuple[SurfaceRow, ...]
    as_of: int


class PointOrigin(NamedTuple):
    """The inputs that an American option was valued with, and its value and Greeks there: columns of one entry."""

    inputs: Inputs
    measures: Measures


class OptionOrigin(NamedTuple):
    """Where the inputs of one option come from; empty or None is what is not used.

    rates_from, rates_to   the days that rates run between, YYYY-MM-DD
    quote, base, points    the rows beside those days of the curves of quote currency, of base (or yield), of the pair's points
    """

    vol: Vol | None
    surface: SurfaceOrigin | None
    rates_from: str
    rates_to: str
    quote: tuple[RateRow, ...]
    base: tuple[RateRow, ...]
    points: tuple[RateRow, ...]
    greeks: PushedGreeks | None
    point: PointOrigin | None


_Row = TypeVar("_Row", SurfaceRow, RateRow)


def around(rows: Sequence[_Row], dates: Sequence[str], date: str) -> list[_Row]:
    """The rows beside a date, of rows at ascending `dates`: the one at it, else the last before and the first after."""
    at = [row for row, its in zip(rows, dates, strict=True) if its == date]
    if at:
        return at
    before = [row for row, its in zip(rows, dates, strict=True) if its < date]
    return before[-1:] + [row for row, its in zip(rows, dates, strict=True) if its > date][:1]


class RateOrigins(NamedTuple):
    """The rows of curves beside the days of one option: of quote currency, of base or yield, and of points."""

    quote: tuple[RateRow, ...]
    base: tuple[RateRow, ...]
    points: tuple[RateRow, ...]


def rate_origins(
    market: OptionMarket, option: Instrument, subject: str, legs: CurveNumbers, start: int, end: int, today: int
) -> RateOrigins:
    """The rows behind an option's rates. `start` and `end` are ordinals of days, `today` that of the curves. O(rows of them)."""
    days = sorted({day for day in (start, end) if day != today or day == end})
    is_pair = option.kind is Kind.FX_OPTION
    base = (RATE, _major(option.base_currency)) if is_pair else (YIELD, subject)

    def beside(kind: str, name: str, wanted: Sequence[int]) -> tuple[RateRow, ...]:
        rows = market.curve_rows(kind, name)
        ahead = [row for row in rows if row.date >= _date(today)] or rows[-1:]
        found = {row.date: row for day in wanted for row in around(ahead, [row.date for row in ahead], _date(day))}
        return tuple(found[date] for date in sorted(found))

    return RateOrigins(
        beside(RATE, _major(option.quote_currency), days) if legs.quote != NONE else (),
        beside(*base, days) if legs.base != NONE else (),
        beside(POINTS, subject, [end]) if legs.points != NONE else (),
    )


def _major(code: str) -> str:
    return MINOR_UNITS.get(code, code)


def _date(day: int) -> str:
    return dt.date.fromordinal(day).isoformat()
