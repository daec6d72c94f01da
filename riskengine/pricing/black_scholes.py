"""Values European options and all their Greeks in one pass over arrays.

Garman-Kohlhagen for FX, Black-Scholes-Merton with a yield for equities: one formula (Haug, The Complete Guide to Option
Pricing Formulas, 1.1.6 and 2; Wystup, FX Options and Structured Products, 1.2). Raw derivatives throughout: vega per 1.00 of vol,
theta per year, rho per 1.00 of rate. Published units are made where rows are made. Pure; any thread.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_DEVIATION = 1e-100
"""Below this `vol sqrt(years)` an option is worth its discounted intrinsic value: vol 0, or at its cut."""

MOST_DEVIATION = 1e6
"""Above this a call is worth its base and a put its strike, discounted; no double tells more."""

FAR = 1e3
"""A number of deviations at which the normal distribution is 0 or 1 in a double."""

DENSITY_AT_0 = 1.0 / np.sqrt(2.0 * np.pi)


class Inputs(NamedTuple):
    """What options are valued with: a column for each input, a row for each option, all float64 and of one length.

    spot and strike are above 0 in quote currency per unit of base; years, years_settle and vol are at least 0; every entry
    is finite. Nothing here checks that: inputs that are missing or refused do not come here.
    """

    sign: Array
    """+1 for a call on the base, -1 for a put."""
    spot: Array
    strike: Array
    years: Array
    """The vol's time, to the cut."""
    years_settle: Array
    """The time of both rates, to delivery; for equities the same as `years`."""
    vol: Array
    """A fraction: 0.1 is 10 %."""
    rate_quote: Array
    """Continuously compounded, a fraction a year."""
    rate_base: Array
    """As `rate_quote`; the yield of an equity."""

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Inputs":
        """The chosen options, as numpy indexes: a copy for a mask or numbers, a view for a slice."""
        return Inputs(*(column[rows] for column in self))


class Measures(NamedTuple):
    """Value and raw derivatives for each option, for a long position of one unit of base.

    value, vega, theta, rhos and volga are in the quote currency, deltas in units of base.
    """

    value: Array
    delta: Array
    """By spot, unadjusted."""
    delta_forward: Array
    """By the outright for delivery, undiscounted."""
    delta_pa: Array
    """Premium-adjusted: `delta - value / spot`."""
    delta_forward_pa: Array
    gamma: Array
    """Change of `delta` for a change of spot by 1."""
    vega: Array
    """For a change of vol by 1.00."""
    theta: Array
    """For a year that passes, of both times alike."""
    rho_quote: Array
    """For a change of the quote rate by 1.00."""
    rho_base: Array
    vanna: Array
    """Change of `delta` for a change of vol by 1.00."""
    volga: Array
    """Change of `vega` for a change of vol by 1.00."""


def measure(inputs: Inputs) -> Measures:
    """The value and Greeks of European options: 12 arrays of the inputs' length. About 0.2 us an option.

    Theta takes an hour off the vol's time and off the settlement time together, as an hour that passes does:
    `-(dV/dyears + dV/dyears_settle)`, with spot, vol and rates held. With vol 0 or no time left to the cut, the value is
    the discounted intrinsic one, `max(sign (S e^-rf T - K e^-rd T), 0)`; in the money delta is `sign e^-rf T` and theta and
    rhos are those of the two discounted flows; gamma, vega, vanna and volga are 0, as is everything at or out of the money.

    No measure is NaN or infinite, no value is negative. Against exact arithmetic each errs by less than 1e-9 of max(its
    size, 1e-4 S), for moneyness 0.5 to 2, an hour to 10 years, vol 1 % to 200 %, rates -2 % to 15 %.
    """
    sign, spot, strike, _, settle, _, rate_quote, rate_base = inputs
    terms = _deviations(inputs)
    root, vol, d1, d2 = terms.root, terms.vol, terms.d1, terms.d2
    carry = np.exp(rate_base * -settle)
    delta_forward = sign * scipy.special.ndtr(sign * d1)
    delta = carry * delta_forward
    base_flow = spot * delta
    quote_flow = np.exp(rate_quote * -settle)
    quote_flow *= strike
    quote_flow *= sign
    quote_flow *= scipy.special.ndtr(sign * d2)
    delta_pa = quote_flow / spot

    density = d1 * d1
    density *= -0.5
    np.exp(density, out=density)
    density *= carry
    density *= DENSITY_AT_0
    spot_density = spot * density
    vega = spot_density * root
    theta = _theta(inputs, terms, base_flow, quote_flow, spot_density)
    volga = vega * d1
    volga *= d2
    volga /= vol
    value = base_flow - quote_flow
    quote_flow *= settle
    base_flow *= -settle
    return Measures(
        value=np.maximum(value, 0.0, out=value),
        delta=delta,
        delta_forward=delta_forward,
        delta_pa=delta_pa,
        delta_forward_pa=delta_pa / carry,
        gamma=density / (spot * terms.deviation),
        vega=vega,
        theta=theta,
        rho_quote=quote_flow,
        rho_base=base_flow,
        vanna=density * d2 / -vol,
        volga=volga,
    )


def values_of(inputs: Inputs) -> Array:
    """The values alone, as `measure` gives them, to a few units in the last place. About 0.06 us an option."""
    sign, spot, strike, _, settle, _, rate_quote, rate_base = inputs
    terms = _deviations(inputs)
    base_flow = spot * np.exp(rate_base * -settle)
    base_flow *= scipy.special.ndtr(sign * terms.d1)
    quote_flow = strike * np.exp(rate_quote * -settle)
    quote_flow *= scipy.special.ndtr(sign * terms.d2)
    base_flow -= quote_flow
    base_flow *= sign
    return np.maximum(base_flow, 0.0, out=base_flow)


def _theta(inputs: Inputs, terms: "_Deviations", base_flow: Array, quote_flow: Array, spot_density: Array) -> Array:
    """For a year that passes, from the signed discounted flows; overwrites `spot_density`."""
    theta = inputs.rate_base * base_flow
    theta -= inputs.rate_quote * quote_flow
    spot_density *= terms.vol
    spot_density *= 0.5
    spot_density /= terms.root
    theta -= spot_density
    return theta


class _Deviations(NamedTuple):
    """Where each option's strike stands in deviations; vol, root and deviation are above 0, and unused where d1 is FAR."""

    root: Array
    vol: Array
    deviation: Array
    d1: Array
    d2: Array


def _deviations(inputs: Inputs) -> _Deviations:
    root = np.sqrt(inputs.years)
    deviation = inputs.vol * root
    distance = inputs.spot / inputs.strike
    np.log(distance, out=distance)
    distance += (inputs.rate_quote - inputs.rate_base) * inputs.years_settle
    if deviation.size and not (deviation.min() >= LEAST_DEVIATION and deviation.max() <= MOST_DEVIATION):
        return _odd_deviations(inputs, root, np.minimum(deviation, MOST_DEVIATION), distance)
    d1 = distance / deviation
    half = 0.5 * deviation
    d1 += half
    return _Deviations(root, inputs.vol, deviation, d1, d1 - deviation)


def _odd_deviations(inputs: Inputs, root: Array, deviation: Array, distance: Array) -> _Deviations:
    """As `_deviations`, where some option has no vol or no time left: it lies FAR in the money, else FAR out of it."""
    is_certain = deviation < LEAST_DEVIATION
    root, vol, deviation = (np.where(is_certain, 1.0, column) for column in (root, inputs.vol, deviation))
    d1 = distance / deviation + 0.5 * deviation
    d2 = d1 - deviation
    certain = np.where(inputs.sign * distance > 0.0, FAR, -FAR) * inputs.sign
    return _Deviations(root, vol, deviation, np.where(is_certain, certain, d1), np.where(is_certain, certain, d2))
