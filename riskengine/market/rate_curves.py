"""Rates of currencies, dividend yields and forward points by date, and what they say of an option or a forward.

A rate is continuously compounded, ACT/365, from the day of the curves to its date. Curves are linear in time between their
dates and flat outside (INTERFACE section 5). A discount factor becomes the rate from the day of its `ts` (UTC) to its date.
Days are proleptic ordinals (`datetime.date.toordinal`). A pair's points win for forwards; options take the two curves, and where
the base has none its rate follows from the points (covered parity): that rate moves with spot. Immutable; any thread.
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.overtaken import LEFT_BEHIND_US
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.option_inputs import DISCOUNT, POINTS, RATE, YIELD, RateRow
from riskengine.records.types import BoolArray, FloatArray

IntArray = npt.NDArray[np.int64]

NONE = -1
"""The number of a curve that does not exist: 0 on every day, and never old."""

NEVER_OLD = np.iinfo(np.int64).max
"""The oldest `ts` where no row was used."""

DAYS_A_YEAR = 365.0
_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAY_SPAN = 1 << 22
"""More than the ordinal of any date: curve number and day make one key."""
_MICROS_A_DAY = 86_400 * MICROS_PER_SECOND


class CurveNumbers(NamedTuple):
    """The numbers of the curves that value one pair or underlying, and what is missing (empty: nothing)."""

    quote: int
    base: int = NONE
    points: int = NONE
    reason: str = ""


class CurveFault(NamedTuple):
    """A row that no curve takes, and why."""

    row: RateRow
    reason: str


class CarryTerms(NamedTuple):
    """What curves say of n options or forwards from a start (the spot date) to an end (delivery), all but what spot decides.

    years              from start to end; negative for an end before it
    rate_quote         of the quote currency between the two days
    rate_base          of the base, or the yield; 0 where `is_implied`
    points             outright less spot, 0 where not `has_points`
    is_implied         the base has no rates: `base_rates` makes its rate from spot and points
    oldest_ts, newest_ts   of the rows that were used, for staleness; NEVER_OLD and 0 where none was
    is_left_behind     one of those is far older than the newest of its curve (`overtaken`)
    """

    years: FloatArray
    rate_quote: FloatArray
    rate_base: FloatArray
    points: FloatArray
    has_points: BoolArray
    is_implied: BoolArray
    oldest_ts: IntArray
    newest_ts: IntArray
    is_left_behind: BoolArray

    @property
    def discount(self) -> FloatArray:
        """The quote currency's discount factor from start to end."""
        return np.asarray(np.exp(-self.rate_quote * self.years))

    def outrights(self, spot: FloatArray) -> FloatArray:
        """Forward prices: spot plus points where the pair has points, else by the two rates. 0.1 ms for 10,000."""
        by_rates = spot * np.exp((self.rate_quote - self.rate_base) * self.years)
        return np.where(self.has_points, spot + self.points, by_rates)

    def base_rates(self, spot: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Rates of the base, those that points imply among them, and where they exist.

        They do not where points take the outright to 0 or below; the rate there is 0. 0.3 ms for 10,000.
        """
        ratio = 1.0 + np.divide(self.points, spot, out=np.full_like(spot, -1.0), where=spot > 0)
        is_known = ~self.is_implied | (ratio > 0)
        use = self.is_implied & is_known
        growth = np.divide(np.log(np.where(use, ratio, 1.0)), self.years, out=np.zeros_like(spot), where=self.years != 0)
        return np.where(use, self.rate_quote - growth, self.rate_base), is_known


class RateCurves:
    """Every curve, packed into arrays so that one pass serves all options. Made anew when a row or the day changes.

    Construction: 4 us a row. Later rows win where subject and date are the same and neither `ts` is newer. Rows before `today`
    (an ordinal) are left out where the subject has a later one.
    """

    def __init__(self, rows: Iterable[RateRow], today: int) -> None:
        self.today = today
        curves, faults = _by_curve(rows, today)
        self.faults: tuple[CurveFault, ...] = tuple(faults)
        """Rows that no curve takes."""
        self._numbers: dict[tuple[str, str], int] = {key: number for number, key in enumerate(curves)}
        nodes = [sorted((day, value, ts) for day, (value, ts) in curve.items()) for curve in curves.values()]
        counts = [len(each) for each in nodes] + [1]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._starts = self._ends - counts
        flat = [node for each in nodes for node in each]
        self._days = np.array([day for day, _, _ in flat] + [0], dtype=np.int64)
        self._values = np.array([value for _, value, _ in flat] + [0.0])
        self._ts = np.array([ts for _, _, ts in flat] + [0], dtype=np.int64)
        self._keys = np.repeat(np.arange(len(counts)), counts) * _DAY_SPAN + self._days
        self._newest = np.array([max(ts for _, _, ts in each) for each in nodes] + [0], dtype=np.int64)

    # -- which curves ------------------------------------------------------------------------------------------

    def number(self, kind: str, subject: str) -> int:
        """The number of a subject's curve; `kind` is RATE, YIELD or POINTS. NONE where it has no rows."""
        return self._numbers.get((kind, subject), NONE)

    def currency(self, code: str) -> int:
        """The number of a currency's curve; a minor unit (GBX) has its currency's."""
        return self.number(RATE, MINOR_UNITS.get(code, code))

    def option_legs(self, pair: str, base: str, quote: str) -> CurveNumbers:
        """The curves of an option on a pair: both rates, else the quote's with the base's implied from points."""
        legs = CurveNumbers(self.currency(quote), self.currency(base), self.number(POINTS, pair))
        if legs.quote == NONE:
            return legs._replace(reason=f"no rates for {quote}")
        if legs.base != NONE:
            return legs._replace(points=NONE)
        return legs if legs.points != NONE else legs._replace(reason=f"no rates for {base} and no points of {pair}")

    def forward_legs(self, pair: str, base: str, quote: str, *, discounted: bool = True) -> CurveNumbers:
        """The curves of a forward on a pair: its points, else both rates; the quote's also discount (`forward_discounting`)."""
        legs = CurveNumbers(self.currency(quote), self.currency(base), self.number(POINTS, pair))
        if legs.points != NONE:
            is_short = discounted and legs.quote == NONE
            return legs._replace(reason=f"no rates for {quote}" if is_short else "")
        missing = [code for code, number in ((quote, legs.quote), (base, legs.base)) if number == NONE]
        return legs._replace(reason=f"no points of {pair} and no rates for {' and '.join(missing)}" if missing else "")

    def equity_legs(self, underlying: str, currency: str) -> CurveNumbers:
        """The curves of an option on an equity or index: its currency's rates and its yield, which is 0 where it has no rows."""
        legs = CurveNumbers(self.currency(currency), self.number(YIELD, underlying))
        return legs if legs.quote != NONE else legs._replace(reason=f"no rates for {currency}")

    # -- what they say -----------------------------------------------------------------------------------------

    def values(self, numbers: IntArray, days: IntArray) -> FloatArray:
        """The value of curve `numbers[i]` on day `days[i]`; 0 for NONE. 2 ms for 10,000."""
        return self._look_up(numbers, days)[0]

    def rates_between(self, numbers: IntArray, start: IntArray, end: IntArray) -> FloatArray:
        """The rates of curves from one day to another; to a day itself its rate to that day. 4 ms for 10,000."""
        return self._between(numbers, start, end)[0]

    def terms(self, legs: Mapping[str, CurveNumbers] | Iterable[CurveNumbers], start: IntArray, end: IntArray) -> CarryTerms:
        """What the curves say of each of n options or forwards, one `CurveNumbers`, start and end day each.

        Where `legs.reason` is not empty the entry means nothing. 10 ms for 10,000; for when rows or dates change, not for a beat.
        """
        each = list(legs.values() if isinstance(legs, Mapping) else legs)
        columns = np.array([(leg.quote, leg.base, leg.points) for leg in each], dtype=np.int64).reshape(-1, 3)
        return self.terms_of(columns[:, 0], columns[:, 1], columns[:, 2], start, end)

    def terms_of(self, quote: IntArray, base: IntArray, points: IntArray, start: IntArray, end: IntArray) -> CarryTerms:
        """As `terms`, from the numbers of the curves."""
        has_points = (points != NONE) & self._reaches(points, start, end)
        used_points = np.where(has_points, points, NONE)
        rate_quote, quote_old, quote_new = self._between(quote, start, end)
        rate_base, base_old, base_new = self._between(base, start, end)
        moved, points_old, points_new = self._look_up(used_points, end)
        behind = self._is_behind(quote, quote_old) | self._is_behind(used_points, points_old)
        behind |= ~has_points & self._is_behind(base, base_old)
        return CarryTerms(
            years=(end - start) / DAYS_A_YEAR,
            rate_quote=rate_quote,
            rate_base=rate_base,
            points=np.where(end == start, 0.0, moved),
            has_points=has_points,
            is_implied=has_points & (base == NONE),
            oldest_ts=np.minimum(np.minimum(quote_old, points_old), np.where(has_points, NEVER_OLD, base_old)),
            newest_ts=np.maximum(np.maximum(quote_new, points_new), np.where(has_points, 0, base_new)),
            is_left_behind=behind,
        )

    def _is_behind(self, numbers: IntArray, oldest: IntArray) -> BoolArray:
        """Whether the oldest row that was used of each curve is left behind by the newest of that curve."""
        newest = self._newest[np.where(numbers < 0, len(self._newest) - 1, numbers)]
        return np.asarray((numbers >= 0) & (oldest < newest - LEFT_BEHIND_US), dtype=np.bool_)

    def _reaches(self, points: IntArray, start: IntArray, end: IntArray) -> BoolArray:
        """Whether points say something of an end: those after spot say nothing of a day before it."""
        first = self._days[self._starts[points]]
        return np.asarray((end >= start) | (first < start), dtype=np.bool_)

    def _between(self, numbers: IntArray, start: IntArray, end: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
        near, near_old, near_new = self._look_up(numbers, start)
        far, far_old, far_new = self._look_up(numbers, end)
        has_near = (start != end) & (start != self.today)
        grown = far * (end - self.today) - near * (start - self.today)
        rate = np.divide(grown, end - start, out=far.copy(), where=start != end)
        oldest = np.where(has_near, np.minimum(near_old, far_old), far_old)
        return rate, oldest, np.where(has_near, np.maximum(near_new, far_new), far_new)

    def _look_up(self, numbers: IntArray, days: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
        """Values, oldest and newest `ts` of the rows on both sides of each day."""
        curve = np.where(numbers < 0, len(self._starts) - 1, numbers)
        first, last = self._starts[curve], self._ends[curve] - 1
        after = np.searchsorted(self._keys, curve * _DAY_SPAN + days, side="left")
        low, high = np.clip(after - 1, first, last), np.clip(after, first, last)
        low = np.where(self._days[high] == days, high, low)
        width = self._days[high] - self._days[low]
        share = np.divide(days - self._days[low], width, out=np.zeros(len(days)), where=width > 0)
        value = self._values[low] + share * (self._values[high] - self._values[low])
        none = numbers < 0
        oldest = np.where(none, NEVER_OLD, np.minimum(self._ts[low], self._ts[high]))
        return value, oldest, np.where(none, 0, np.maximum(self._ts[low], self._ts[high]))


_Curve = dict[int, tuple[float, int]]
"""Value and `ts` by day."""


def _by_curve(rows: Iterable[RateRow], today: int) -> tuple[dict[tuple[str, str], _Curve], list[CurveFault]]:
    curves: dict[tuple[str, str], _Curve] = {}
    faults = []
    for row in rows:
        day = dt.date.fromisoformat(row.date).toordinal()
        value = _curve_value(row, day)
        if isinstance(value, str):
            faults.append(CurveFault(row, value))
            continue
        kind = RATE if row.kind == DISCOUNT else row.kind
        curve = curves.setdefault((kind, row.subject), {})
        if day not in curve or curve[day][1] <= row.ts:
            curve[day] = value, row.ts
    return {key: _not_past(curve, today) for key, curve in curves.items()}, faults


def _not_past(curve: _Curve, today: int) -> _Curve:
    later = {day: node for day, node in curve.items() if day >= today}
    return later or {max(curve): curve[max(curve)]}


def _curve_value(row: RateRow, day: int) -> float | str:
    """The value of a row as its curve holds it, or why it has none."""
    if not math.isfinite(row.value):
        return f"{row.kind} of {row.subject} to {row.date} is not a number"
    if row.kind != DISCOUNT:
        return row.value
    if row.value <= 0:
        return f"discount factor of {row.subject} to {row.date} must be above 0: {row.value}"
    days = day - day_of(row.ts)
    if days <= 0:
        return f"discount factor of {row.subject} to {row.date} must be for a date after its ts"
    return -math.log(row.value) * DAYS_A_YEAR / days


def day_of(ts: int) -> int:
    """The ordinal of the day (UTC) of a moment in microseconds."""
    return _EPOCH + ts // _MICROS_A_DAY
