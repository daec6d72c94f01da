"""What becomes of options at their cut: the spot that decides, and what they are worth from then on.

The spot at the cut is the newest price of the underlying that was in force when the cut came. It is stored (`CutSpot`), so that a
start, a renewal and a rebuild decide alike. It decides whether an option ends in the money. From the cut until it is booked

    physical, in the money    phi (S - K) at live spot, delta phi
    cash-settled              phi (F - K), or what a person says: a mark of the option by hand, or its close, of after the cut
    out of the money          0

While no spot of the cut is known, a physical option is worth what exercise would give now, and a cash-settled one is unpriced.
Pure; any thread.
"""

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.valuation.options.values import HELD_DECIMALS

LISTED_LEAST = 0.01
"""From so much in the money on are listed options exercised (ACCOUNTING section 6); those on pairs from any amount."""

ROUNDING = 1e-9
"""How far a difference of decimal prices may lie below itself as doubles."""

OLDEST_US = 3_600 * MICROS_PER_SECOND
"""Age at the cut up to which a price counts as that of the cut: an older one says too little, and a person is asked."""


def is_in_the_money(sign: FloatArray, strike: FloatArray, spot: FloatArray, is_pair: BoolArray) -> BoolArray:
    """Whether options with this spot at their cut are exercised unless a person says otherwise."""
    amount = sign * (spot - strike)
    return np.asarray(np.where(is_pair, amount > 0.0, amount >= LISTED_LEAST - ROUNDING))


def is_of_the_cut(ts: IntArray, cut: IntArray) -> BoolArray:
    """Whether prices of these times count as those of the cut: none from after it, and no old one."""
    return np.asarray((ts <= cut) & (ts >= cut - OLDEST_US))


def is_before_cut(ts: int, cut: int) -> bool:
    """Whether a price is too old to be that of a cut."""
    return ts < cut - OLDEST_US


def held_prices(sign: FloatArray, strike: FloatArray, fixing: FloatArray, factor: FloatArray) -> FloatArray:
    """What cash-settled options hold, in the unit of their price; `factor` is quote currency of one such unit at the fixing."""
    return np.asarray(np.round(np.maximum(sign * (fixing - strike), 0.0) / factor, HELD_DECIMALS))
