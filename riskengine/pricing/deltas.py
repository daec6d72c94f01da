"""The four deltas of FX options: of a strike, the strike of a delta, and the strike that is at the money.

Strikes are moneyness K/F, vols come as deviations `vol sqrt(years)`: so nothing depends on spot. A spot delta is the forward
delta times the base's discount factor to delivery; a premium-adjusted one pays the premium in base (ACCOUNTING section 6; Clark,
Foreign Exchange Option Pricing, 3.3; Reiswich and Wystup, FX Volatility Smile Construction). Pure; any thread.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SPOT, FORWARD, SPOT_PA, FORWARD_PA = "spot", "forward", "spot_pa", "forward_pa"
DELTA_TYPES = (SPOT, FORWARD, SPOT_PA, FORWARD_PA)
"""The delta types, by the words of an instrument's `delta_type`."""

_MOST_STEPS = 200
_LEAST_STEP = 1e-9
"""Closer to a peak is not needed: what lies there is flat."""
_HAZARD_SCALE = np.sqrt(2.0 / np.pi)


class DeltaTerms(NamedTuple):
    """What decides deltas beside the strike, a row for each option, float64 and bool arrays of one length.

    deviation  `vol sqrt(years)`, above 0
    discount   the base's discount factor to delivery for spot deltas, 1 for forward ones; above 0
    adjusted   whether the premium is paid in base (types `spot_pa`, `forward_pa`)
    """

    deviation: Array
    discount: Array
    adjusted: Mask


def is_spot(delta_type: str) -> bool:
    """Whether a delta type counts spot, not forward, as its hedge."""
    return delta_type in (SPOT, SPOT_PA)


def is_adjusted(delta_type: str) -> bool:
    """Whether a delta type is premium-adjusted."""
    return delta_type in (SPOT_PA, FORWARD_PA)


def deltas(sign: Array, moneyness: Array, terms: DeltaTerms) -> Array:
    """The deltas of strikes, signed as the options: a put's is negative. `sign` is +1 for a call, moneyness is above 0."""
    d2 = -np.log(moneyness) / terms.deviation - 0.5 * terms.deviation
    adjusted, plain = moneyness * scipy.special.ndtr(sign * d2), scipy.special.ndtr(sign * (d2 + terms.deviation))
    return np.asarray(sign * terms.discount * np.where(terms.adjusted, adjusted, plain))


def strikes(sign: Array, delta: Array, terms: DeltaTerms) -> tuple[Array, Mask]:
    """The moneyness whose delta is `delta` (signed, as `deltas` gives it), and where there is one; 1 where there is none.

    Of the two strikes of a premium-adjusted call the higher one is taken: out of the money it is the one that is quoted. Its
    delta has a greatest value, above which no strike has it. 0.5 ms for one, 2 us each for 1,000.
    """
    share = np.abs(delta) / terms.discount
    has_sign = (np.sign(delta) == sign) & (share > 0)
    plain = has_sign & ~terms.adjusted & (share < 1)
    d1 = sign * scipy.special.ndtri(np.where(plain, share, 0.5))
    distance = -d1 * terms.deviation + 0.5 * terms.deviation**2
    is_solved = plain
    adjusted = np.flatnonzero(has_sign & terms.adjusted)
    if adjusted.size:
        found, is_found = _adjusted_distance(sign[adjusted], share[adjusted], terms.deviation[adjusted])
        distance[adjusted] = found
        is_solved = plain.copy()
        is_solved[adjusted] = is_found
    return np.exp(np.where(is_solved, distance, 0.0)), is_solved


def at_the_money(terms: DeltaTerms, is_forward: Mask) -> Array:
    """The moneyness that is at the money: 1 where that is the forward, else where a straddle has no delta of the terms' type."""
    half = 0.5 * terms.deviation**2
    return np.exp(np.where(is_forward, 0.0, np.where(terms.adjusted, -half, half)))


def _adjusted_distance(sign: Array, share: Array, deviation: Array) -> tuple[Array, Mask]:
    """ln(K/F) of premium-adjusted forward deltas `share` > 0.

    The logarithm of the delta is concave in d2, so that Newton's steps approach the solution from one side, whatever the start:
    for a put from anywhere, for a call from the left of its peak.
    """
    calls = np.flatnonzero(sign > 0)
    peak = _peak(deviation[calls])
    d2 = np.zeros_like(deviation)
    d2[calls] = peak - 1.0
    target = np.log(share) + 0.5 * deviation**2

    def excess(at: Array) -> Array:
        return np.asarray(scipy.special.log_ndtr(sign * at) - deviation * at - target)

    is_solved = np.ones(len(deviation), dtype=np.bool_)
    is_solved[calls] = scipy.special.log_ndtr(peak) - deviation[calls] * peak >= target[calls]
    is_moving = is_solved
    for number in range(_MOST_STEPS):
        slope = sign * _hazard(sign * d2) - deviation
        step = np.where(is_moving, -excess(d2) / slope, 0.0)
        if number:  # the first step may pass the solution; a later one that turns back is rounding
            is_moving = is_moving & (sign * step > 0)
            step = np.where(is_moving, step, 0.0)
        if not is_moving.any():
            break
        d2 = d2 + step
    return -deviation * d2 - 0.5 * deviation**2, is_solved


def _hazard(x: Array) -> Array:
    """n(x) / N(x), also far out."""
    return np.asarray(_HAZARD_SCALE / scipy.special.erfcx(-x / np.sqrt(2.0)))


def _peak(deviation: Array) -> Array:
    """The d2 at which a call's premium-adjusted delta is greatest: where n(d2)/N(d2) is the deviation.

    That ratio is convex and falls, so that Newton's steps from its left stay left of the solution.
    """
    at = -deviation
    for _ in range(_MOST_STEPS):
        hazard = _hazard(at)
        step = (hazard - deviation) / (hazard * (hazard + at))
        is_moving = step > _LEAST_STEP
        if not is_moving.any():
            break
        at = np.where(is_moving, at + step, at)
    return np.asarray(at)
