"""The prices of options at other spots, by full revaluation: vol, rates and time stay as they are. Pure; any thread.

A price moves by the difference of two values of the model, so that an option whose value is no closed formula's starts from the
value on the screen. One whose Greeks come from outside moves by its delta and gamma. What the cut has decided stays as it is; one
that has nothing but its own quote has no value elsewhere.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.pricing.american import AMERICAN_REASONS, ExerciseBoundary, american_values, on_one_clock
from riskengine.pricing.black_scholes import Inputs, values_of
from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import EXPIRED, FIXED, IMPLIED, MODEL, PUSHED, TAYLOR, OptionValues
from riskengine.valuation.unit_values import OptionMarks

ONLY_QUOTED = "nothing but its own quote is known, which says nothing of another spot"

BLOCK = 200_000
"""Values worked out at once: a few megabytes."""


class HeldOptions(NamedTuple):
    """Some options: their places among `terms` and `values`."""

    terms: OptionTerms
    values: OptionValues
    place: IntArray

    @classmethod
    def of(cls, options: OptionMarks, places: IntArray) -> "HeldOptions":
        """Those at these places."""
        return cls(options.terms, options.values, places)

    def underlyings(self) -> Iterator[tuple[int, bool, tuple[int, int] | None]]:
        """What gives the spot of each: an instrument, whether by 1 / price, and for a cross its two currencies instead."""
        terms = self.terms
        for place in self.place.tolist():
            ends = (terms.base.item(place), terms.quote.item(place)) if terms.crossed[place] else None
            yield terms.spot.item(place), bool(terms.inverse[place]), ends


def option_prices(asked: HeldOptions, spot: FloatArray, reasons: list[str]) -> tuple[FloatArray, BoolArray]:
    """Prices, as the options are quoted, by scenario and option, and which options have them.

    `spot` is by scenario and option. An option with a reason has no spots; what has no price gets one, in place.
    """
    values, terms, place = asked.values, asked.terms, asked.place
    price = np.broadcast_to(values.price[place], spot.shape).copy()
    known = np.zeros(len(place), dtype=np.bool_)
    source, state = values.source[place], values.state[place]
    settled = source == FIXED
    known[settled] = True
    has_spot = np.array([not reason for reason in reasons], dtype=np.bool_)
    for at in np.flatnonzero(settled).tolist():
        reasons[at] = ""
    by_model = has_spot & ~settled & ((source == MODEL) | (source == IMPLIED)) & (state != EXPIRED)
    groups = (
        (by_model & ~terms.is_american[place], _europeans),
        (by_model & terms.is_american[place], _americans),
        (has_spot & ((source == PUSHED) | (source == TAYLOR)), _stepped),
        (has_spot & (source == MODEL) & (state == EXPIRED), _exercised),
    )
    for where, value_at in groups:
        here = np.flatnonzero(where)
        if not len(here):
            continue
        mine = place[here]
        value, why = value_at(asked, mine, spot[:, here])
        for one, reason in zip(here.tolist(), why, strict=True):
            reasons[one] = reason
        valued = np.array([not reason for reason in why], dtype=np.bool_)
        unit = np.where(terms.in_base[mine], terms.factor[mine] * spot[:, here], terms.factor[mine])
        price[:, here] = np.where(valued, value / unit, 0.0)
        known[here] = valued
    for one in np.flatnonzero(has_spot & ~known).tolist():
        reasons[one] = reasons[one] or ONLY_QUOTED
    return price, known


def _inputs(asked: HeldOptions, places: IntArray, spot: FloatArray) -> Inputs:
    """The inputs of options at a spot each."""
    values, terms = asked.values, asked.terms
    return Inputs(
        terms.sign[places],
        spot,
        terms.strike[places],
        values.years[places],
        values.years_settle[places],
        values.vol[places],
        values.rate_quote[places],
        values.rate_base[places],
    )


def _repeated(inputs: Inputs, spot: FloatArray) -> Inputs:
    """Inputs of every scenario: `spot` is by scenario and option."""
    return Inputs(*(np.tile(column, len(spot)) for column in inputs))._replace(spot=np.ascontiguousarray(spot).ravel())


def _europeans(asked: HeldOptions, places: IntArray, spot: FloatArray) -> tuple[FloatArray, Sequence[str]]:
    now = _inputs(asked, places, asked.values.spot[places])
    start = asked.values.value[places] - values_of(now)
    value = np.empty(spot.shape)
    step = max(1, BLOCK // len(places))
    for first in range(0, len(spot), step):
        some = spot[first : first + step]
        value[first : first + step] = values_of(_repeated(now, some)).reshape(some.shape)
    return np.maximum(value + start, 0.0), [""] * len(places)


def _americans(asked: HeldOptions, places: IntArray, spot: FloatArray) -> tuple[FloatArray, Sequence[str]]:
    """With one boundary of early exercise each, which no spot changes; valued on the clock of the vol, as every beat does."""
    here = _inputs(asked, places, asked.values.spot[places])
    now = on_one_clock(here)
    boundary = ExerciseBoundary.of(now, cases=1)
    start, codes = american_values(now, boundary)
    start = asked.values.value[places] - start
    value = np.zeros(spot.shape)
    step = max(1, BLOCK // len(places))
    for first in range(0, len(spot), step):
        some = spot[first : first + step]
        rows = np.tile(np.arange(len(places)), len(some))
        found, _ = american_values(_repeated(now, some), boundary.take(rows))
        value[first : first + step] = np.nan_to_num(found).reshape(some.shape)
    intrinsic = np.maximum(here.sign * (spot - here.strike), 0.0)
    return np.maximum(value + np.nan_to_num(start), intrinsic), [AMERICAN_REASONS[code] for code in codes.tolist()]


def _stepped(asked: HeldOptions, places: IntArray, spot: FloatArray) -> tuple[FloatArray, Sequence[str]]:
    values = asked.values
    moved = spot - values.spot[places]
    value = values.value[places] + values.spot_delta[places] * moved + 0.5 * values.gamma[places] * moved * moved
    return np.maximum(value, 0.0), [""] * len(places)


def _exercised(asked: HeldOptions, places: IntArray, spot: FloatArray) -> tuple[FloatArray, Sequence[str]]:
    """After the cut, until the exercise is booked: the difference to the strike, which has been decided."""
    return asked.terms.sign[places] * (spot - asked.terms.strike[places]), [""] * len(places)
