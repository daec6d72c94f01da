"""American options in a beat: valued at points near the market of now, and moved from there by a second-order step.

A boundary of early exercise takes a millisecond, so that an option cannot have a new one with every tick. Each option has a grid
of points in spot, vol, time and rates; it is valued at the point nearest below, and its value and Greeks are moved to the inputs
of now by Taylor's formula, whose third order is below the stated error of the method. A point is a function of the inputs alone.
Where many options leave their points at once, at most MOST_AT_ONCE get theirs in one beat and the others step further from the
old one meanwhile; `is_behind` says so.

An option whose early exercise never pays is European, exactly. Writer thread.
"""

from zlib import crc32

import numpy as np

from riskengine.pricing.american import (
    AMERICAN_REASONS,
    VALUED,
    ExerciseBoundary,
    american_measures,
    exercise_never_pays,
    on_both_clocks,
    on_one_clock,
)
from riskengine.pricing.black_scholes import Inputs, Measures, measure
from riskengine.records.types import BoolArray, FloatArray, IntArray, ObjectArray
from riskengine.valuation.options.origin import PointOrigin
from riskengine.valuation.options.terms import OptionTerms

SPOT_STEP, VOL_STEP, TIME_STEP, RATE_STEP = 1e-3, 1e-3, 2e-3, 1e-4
"""Distances of points: of spot and time as a fraction of them, of vols and rates in their unit."""

MOST_AT_ONCE = 20
"""Boundaries that one beat makes at most, but for options that have none yet."""

TEXTS = np.array(AMERICAN_REASONS, dtype=np.object_)


class Americans:
    """The points of all options, by place."""

    def __init__(self, terms: OptionTerms) -> None:
        size = len(terms.number)
        offsets = np.array([crc32(symbol.encode()) % 1_000 / 1_000.0 for symbol in terms.symbols])
        self._offset: FloatArray = offsets
        """Of each option's grid, so that a move of all does not take all of them over a point in one beat."""
        nothing = np.zeros(size)
        self._points = Inputs(*(nothing.copy() for _ in Inputs._fields))
        self._found = Measures(*(nothing.copy() for _ in Measures._fields))
        self._reasons = np.zeros(size, dtype=np.int8)
        self._is_there = np.zeros(size, dtype=np.bool_)
        self._boundary: ExerciseBoundary | None = None
        self.behind: BoolArray = np.zeros(size, dtype=np.bool_)
        """Options that are further from their point than a step."""

    @property
    def is_behind(self) -> bool:
        """Whether a next beat has more to do at the same inputs."""
        return bool(self.behind.any())

    def measures(self, places: IntArray, inputs: Inputs) -> tuple[Measures, ObjectArray]:
        """The measures of options at these places, and why there are none ("": there are). 1 ms a new point, else 1 us."""
        one = on_one_clock(inputs)
        european = exercise_never_pays(one)
        reasons = np.full(len(places), "", dtype=np.object_)
        found = measure(inputs)
        self.behind[places] = False
        rows = np.flatnonzero(~european)
        if len(rows):
            mine, now = places[rows], one.take(rows)
            self._bring(mine, self._snapped(mine, now))
            moved = on_both_clocks(self._moved(mine, now), inputs.take(rows))
            for column, theirs in zip(found, moved, strict=True):
                column[rows] = theirs
            reasons[rows] = TEXTS[self._reasons[mine]]
        return found, reasons

    def origin(self, place: int) -> PointOrigin | None:
        """The point of an option, None while it has none: exercising it early has never paid. O(1)."""
        if not self._is_there[place]:
            return None
        here = np.array([place])
        return PointOrigin(self._points.take(here), Measures(*(column[here] for column in self._found)))

    def _snapped(self, places: IntArray, now: Inputs) -> Inputs:
        """The points of options at these inputs."""
        offset = self._offset[places]

        def linear(amount: FloatArray, step: float) -> FloatArray:
            return np.asarray((np.floor(amount / step - offset) + offset + 0.5) * step)

        def ratio(amount: FloatArray, step: float) -> FloatArray:
            logs = np.log(np.maximum(amount, 1e-12))
            return np.asarray(np.exp((np.floor(logs / step - offset) + offset + 0.5) * step))

        vol = np.maximum(linear(now.vol, VOL_STEP), np.minimum(now.vol, VOL_STEP / 4.0))
        years = ratio(now.years, TIME_STEP)
        rates = (linear(now.rate_quote, RATE_STEP), np.where(now.rate_base == 0.0, 0.0, linear(now.rate_base, RATE_STEP)))
        return Inputs(now.sign, ratio(now.spot, SPOT_STEP), now.strike, years, years, vol, *rates)

    def _bring(self, places: IntArray, points: Inputs) -> None:
        """Value options at their points, where those are others than before."""
        old = self._points.take(places)
        is_new = ~self._is_there[places]
        other_boundary = is_new.copy()
        for name in ("sign", "strike", "years", "vol", "rate_quote", "rate_base"):
            other_boundary |= getattr(old, name) != getattr(points, name)
        late = np.flatnonzero(other_boundary & ~is_new)[MOST_AT_ONCE:]
        other_boundary[late] = False
        self.behind[places[late]] = True
        solved = np.flatnonzero(other_boundary)
        self._solve(places[solved], points.take(solved))
        moved = np.flatnonzero((old.spot != points.spot) & ~other_boundary & ~self.behind[places])
        self._value(places[moved], points.take(moved))

    def _solve(self, places: IntArray, points: Inputs) -> None:
        if not len(places):
            return
        boundary = ExerciseBoundary.of(points)
        if self._boundary is None:
            every = Inputs(*(column.copy() for column in self._points))
            self._boundary = ExerciseBoundary.of(every._replace(strike=np.ones(len(every.spot)), sign=np.ones(len(every.spot))))
        self._boundary.put(places, boundary)
        self._keep(places, points, *american_measures(points, boundary))

    def _value(self, places: IntArray, points: Inputs) -> None:
        if len(places):
            assert self._boundary is not None, "made with the first point"
            self._keep(places, points, *american_measures(points, self._boundary.take(places)))

    def _keep(self, places: IntArray, points: Inputs, found: Measures, reasons: "np.typing.NDArray[np.int8]") -> None:
        for mine, theirs in zip(self._points, points, strict=True):
            mine[places] = theirs
        for kept, column in zip(self._found, found, strict=True):
            kept[places] = np.nan_to_num(column)
        self._reasons[places] = reasons
        self._is_there[places] = True

    def _moved(self, places: IntArray, now: Inputs) -> Measures:
        """The measures of points moved to the inputs of now."""
        point, at = self._points.take(places), Measures(*(column[places] for column in self._found))
        spot, vol, passed = now.spot - point.spot, now.vol - point.vol, point.years - now.years
        quote, base = now.rate_quote - point.rate_quote, now.rate_base - point.rate_base
        value = at.value + at.delta * spot + 0.5 * at.gamma * spot * spot + at.vega * vol + 0.5 * at.volga * vol * vol
        value += at.vanna * spot * vol + at.theta * passed + at.rho_quote * quote + at.rho_base * base
        value = np.maximum(value, np.maximum(now.sign * (now.spot - now.strike), 0.0))
        delta = np.clip(at.delta + at.gamma * spot + at.vanna * vol, -1.0, 1.0)
        grown = np.exp(now.rate_base * now.years_settle)
        adjusted = delta - value / now.spot
        return at._replace(
            value=np.where(self._reasons[places] == VALUED, value, 0.0),
            delta=delta,
            delta_forward=delta * grown,
            delta_pa=adjusted,
            delta_forward_pa=adjusted * grown,
            vega=at.vega + at.volga * vol + at.vanna * spot,
        )
