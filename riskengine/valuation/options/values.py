"""What options are worth at one moment, and their Greeks: columns by place, the order of `OptionTerms`. Immutable.

Raw derivatives, per one unit of base and before the multiplier: vega per 1.00 of vol, theta per year. `UnitGreeks` are the same
per unit of quantity, in the reporting currency and in the published units (ACCOUNTING section 6).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from riskengine.market.currencies import Rates
from riskengine.records.types import BoolArray, FloatArray, IntArray, ObjectArray
from riskengine.valuation.options.netting import BASE_LEG, LEGS, QUOTE_LEG

SOURCES = ("", "quote", "model", "implied", "pushed", "taylor", "fixing")
NO_SOURCE, QUOTED, MODEL, IMPLIED, PUSHED, TAYLOR, FIXED = range(7)
"""Where the value of an option comes from: its own quote and nothing else, our model, our model with the vol that its quote
implies, Greeks from outside, the same moved by a second-order Taylor step; after the cut what that has decided."""

STATES = ("live", "expired")
LIVE, EXPIRED = range(2)

DELTA_TYPES = ("spot", "forward", "spot_pa", "forward_pa")
SPOT, FORWARD, SPOT_PA, FORWARD_PA = range(4)

HELD_DECIMALS = 8
"""The price that a cash-settled option holds is rounded to so many, so that it can be booked to the last digit."""

VOL_POINT = 0.01
DAYS_A_YEAR = 365.0
PERCENT = 100.0


class OptionValues(NamedTuple):
    """Values, Greeks and the inputs that they were computed with, an entry for each option.

    number       of the instrument
    price        mark in the unit of its price (`premium_style`), 0 where not `priced`
    value        quote currency per unit of base; it and the Greeks are 0 where not `has_delta`
    spot, vol, rate_quote, rate_base   nan where unknown
    delta        of the type `delta_type` (an index of DELTA_TYPES); `spot_delta` unadjusted; `hedge_delta` spot or, where the
                 type is, premium-adjusted spot: that of `delta_cash`
    ts           time of the oldest input, microseconds, 0 where there is none
    stale        one of the inputs is
    cut_ts, fixing  when it expires, and what its underlying was worth then: nan before, and while that is unknown
    in_money     whether it is exercised after its cut unless a person says otherwise; while no fixing is known by live spot
    source, state   indexes of SOURCES and STATES
    reason       why value or Greeks are unknown, else ""
    """

    number: IntArray
    price: FloatArray
    priced: BoolArray
    value: FloatArray
    has_delta: BoolArray
    delta: FloatArray
    spot_delta: FloatArray
    hedge_delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho_quote: FloatArray
    rho_base: FloatArray
    vanna: FloatArray
    volga: FloatArray
    spot: FloatArray
    vol: FloatArray
    rate_quote: FloatArray
    rate_base: FloatArray
    years: FloatArray
    years_settle: FloatArray
    delta_type: IntArray
    ts: IntArray
    stale: BoolArray
    cut_ts: IntArray
    fixing: FloatArray
    in_money: BoolArray
    source: IntArray
    state: IntArray
    reason: ObjectArray

    def put(self, places: IntArray, other: "OptionValues") -> "OptionValues":
        """The same with other entries at some places. O(options)."""
        columns = {}
        for name in self._fields:
            column = getattr(self, name).copy()
            column[places] = getattr(other, name)
            column.flags.writeable = False
            columns[name] = column
        return OptionValues(**columns)


class Exposed(NamedTuple):
    """How options are exposed, by place; the reference data alone decides it.

    lot        k, the lot size
    base, quote   numbers of the currencies of its legs; `base` is -1 for an option that nets with its underlying
    quoted     number of the currency that its underlying is quoted in, and its value
    """

    lot: FloatArray
    base: IntArray
    quote: IntArray
    quoted: IntArray


class UnitGreeks(NamedTuple):
    """Cash Greeks of one unit of quantity, by instrument number, in the reporting currency; 0 where unknown and for no option.

    delta   k delta S X        gamma   k gamma S^2 X / 100, per 1 %
    vega    per vol point      theta   per calendar day
    net     what a unit adds to the net exposure
    legs    by LEGS x instrument number and leg: what it adds to the exposure in base (or underlying) and quote currency
    has_delta   its delta, in the reporting currency, is known
    """

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    net: FloatArray
    legs: FloatArray
    has_delta: BoolArray

    @classmethod
    @lru_cache(maxsize=4)
    def none(cls, size: int) -> "UnitGreeks":
        """Those of `size` instruments of which no option is known. Read-only, and shared."""
        nothing, legs, known = np.zeros(size), np.zeros(LEGS * size), np.ones(size, dtype=np.bool_)
        for array in (nothing, legs, known):
            array.flags.writeable = False
        return cls(*(nothing,) * 5, legs, known)

    @classmethod
    def of(cls, values: OptionValues, exposed: Exposed, rates: Rates, reporting: int, size: int) -> "UnitGreeks":
        """The Greeks of all options at these rates. `size` is the number of instruments. 0.3 ms for 10,000 options."""
        number = values.number
        by_legs = exposed.base >= 0
        rate = rates.value[exposed.quoted]
        known = values.has_delta & rates.known[exposed.quoted] & (~by_legs | rates.known[exposed.base])
        scale = np.where(known, exposed.lot * rate, 0.0)
        spot = np.where(known, values.spot, 0.0)
        cash = scale * spot
        base_rate = np.where(by_legs, rates.value[exposed.base], rate * spot)
        base = np.where(known, exposed.lot * values.spot_delta * base_rate, 0.0)
        quote = np.where(by_legs, scale * (values.value - values.spot_delta * spot), 0.0)
        counts_base, counts_quote = exposed.base != reporting, exposed.quote != reporting

        def spread(amounts: FloatArray) -> FloatArray:
            column = np.zeros(size)
            column[number] = amounts
            column.flags.writeable = False
            return column

        legs = np.zeros(LEGS * size)
        legs[LEGS * number + BASE_LEG], legs[LEGS * number + QUOTE_LEG] = base, quote
        legs.flags.writeable = False
        has_delta = np.ones(size, dtype=np.bool_)
        has_delta[number] = known
        return cls(
            spread(values.hedge_delta * cash),
            spread(values.gamma * cash * spot / PERCENT),
            spread(values.vega * scale * VOL_POINT),
            spread(values.theta * scale / DAYS_A_YEAR),
            spread(np.where(counts_base, base, 0.0) + np.where(counts_quote, quote, 0.0)),
            legs,
            has_delta,
        )
