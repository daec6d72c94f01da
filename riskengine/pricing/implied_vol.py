"""Finds the vol that reprices an option, or says why there is none: for each option a vol or a reason, over arrays.

A bracketed solver (Chandrupatla, 1997, SciPy's `find_root`) on a monotone function, and every vol is put back into the
formula that values are made with before it is believed. Pure; any thread.
"""

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from riskengine.pricing.american import AT_EXPIRY, american_values, exercise_never_pays
from riskengine.pricing.american import VALUED as HAS_METHOD
from riskengine.pricing.black_scholes import Array, Inputs, measure

Reasons = NDArray[np.int8]

(
    SOLVED,
    NOT_A_PRICE,
    BELOW_INTRINSIC,
    ABOVE_BOUND,
    EXPIRED,
    NO_TIME_VALUE,
    NO_METHOD,
    UNSOLVED,
) = range(8)

REASONS = (
    "",
    "its price is not a number of 0 or more",
    "its price is below what it is worth without any vol",
    "its price is above what any vol gives",
    "at its expiry no price tells a vol",
    "its price holds too little time value to tell a vol",
    "no method values this American option",
    "no vol was found that reprices it",
)
"""Why an option has no implied vol, by code; 0 where it has one."""

LEAST_DEVIATION, MOST_DEVIATION = 1e-9, 60.0
"""Of `vol sqrt(years)` of a European option: between no time value and the whole of it, in doubles."""

LEAST_AMERICAN_VOL, MOST_AMERICAN_VOL = 0.005, 10.0
MOST_AMERICAN_DEVIATION = 12.0

EPSILON = float(np.finfo(np.float64).eps)
ROUNDING = 16.0 * EPSILON
"""Of an option's two discounted flows: how well its value is known."""

AMERICAN_ROUNDING, AMERICAN_ERROR = 1e-7, 1e-6
"""Of max(spot, strike): how evenly an American value follows its vol, and its stated error."""

TOLD, AMERICAN_TOLD = 1e-4, 1e-3
"""Of the vol: where rounding of the price leaves more of it open, the price does not tell it."""

HALF_ROOT_OF_PI = float(np.sqrt(0.5 * np.pi))


def implied_vols(price: Array, inputs: Inputs, american: NDArray[np.bool_] | None = None) -> tuple[Array, Reasons]:
    """The vol of each option that gives it its price, and a code of REASONS: 0 where there is one.

    `price` is in the quote currency per unit of base; `inputs.vol` is not read. `american` says which options are
    American (none if left out). A vol is 0.0 where there is a reason, and means nothing there.

    A vol that comes back reprices its option: European ones to the rounding of doubles, American ones to the stated error of
    their values, between 0.5 % and 1,000 % of vol. Where a price leaves more than 1e-4 of the vol open by its rounding, of
    American ones more than 1e-3, there is no vol but NO_TIME_VALUE. About 4 us for a European option, 4 ms for an American one.
    """
    vols = np.zeros(len(price))
    reasons = np.full(len(price), UNSOLVED, np.int8)
    is_american = np.zeros(len(price), np.bool_) if american is None else american & ~exercise_never_pays(inputs)
    for rows, solve in ((np.flatnonzero(~is_american), _european), (np.flatnonzero(is_american), _american)):
        if len(rows):
            vols[rows], reasons[rows] = solve(price[rows], inputs.take(rows))
    vols[reasons != SOLVED] = 0.0
    return vols, reasons


def _european(price: Array, inputs: Inputs) -> tuple[Array, Reasons]:
    base = inputs.spot * np.exp(-inputs.rate_base * inputs.years_settle)
    quote = inputs.strike * np.exp(-inputs.rate_quote * inputs.years_settle)
    lower = np.maximum(inputs.sign * (base - quote), 0.0)
    upper = np.where(inputs.sign > 0.0, base, quote)
    rounding = ROUNDING * np.where(lower > 0.0, base + quote, 0.0)
    reasons = _judge(price, inputs, lower, upper, rounding)
    rows = np.flatnonzero(reasons == SOLVED)
    vols = np.zeros(len(price))
    # Out of the money, where the value is time value alone: x <= 0, in units of the root of both flows.
    distance = -np.abs(np.log(inputs.spot / inputs.strike) + (inputs.rate_quote - inputs.rate_base) * inputs.years_settle)
    wanted = np.log((price - lower)[rows] / np.sqrt(base * quote)[rows])
    bounds = np.log(LEAST_DEVIATION), np.log(MOST_DEVIATION)
    found = find_root(
        lambda at, x, target: _log_time_value(x, np.exp(at)) - target, bounds, args=(distance[rows], wanted), maxiter=200
    )
    vols[rows] = np.where(found.success, np.exp(found.x), 0.0) / np.sqrt(inputs.years[rows])
    reasons[rows[~found.success]] = UNSOLVED
    return vols, _check_european(price, inputs, vols, reasons)


def find_root(*of: Any, **more: Any) -> Any:
    """SciPy's, by its own words, loaded with the first vol that is implied."""
    from scipy.optimize.elementwise import find_root as of_scipy  # here: 0.3 s that a start need not pay

    return of_scipy(*of, **more)


def _judge(price: Array, inputs: Inputs, lower: Array, upper: Array, rounding: Array) -> Reasons:
    """What a price alone says, the first that holds."""
    return np.select(
        [
            ~(np.isfinite(price) & (price >= 0.0)),
            inputs.years <= AT_EXPIRY,
            price < lower - rounding,
            price <= lower + rounding,
            price >= upper,
        ],
        [NOT_A_PRICE, EXPIRED, BELOW_INTRINSIC, NO_TIME_VALUE, ABOVE_BOUND],
        SOLVED,
    ).astype(np.int8)


def _check_european(price: Array, inputs: Inputs, vols: Array, reasons: Reasons) -> Reasons:
    """Puts every vol back: a reason where it does not reprice, and where neighbours of it would do as well."""
    again = measure(inputs._replace(vol=vols))
    # Far out of the money a value is a difference of two small numbers, each as good as its deviations squared allow.
    deviation = np.where(reasons == SOLVED, vols * np.sqrt(inputs.years), 1.0)
    forward = np.log(inputs.spot / inputs.strike) + (inputs.rate_quote - inputs.rate_base) * inputs.years_settle
    far = np.abs(forward) / deviation + deviation
    rounding = ROUNDING * (1.0 + far * far) * inputs.spot * (np.abs(again.delta) + np.abs(again.delta_pa))
    reasons[(reasons == SOLVED) & (np.abs(again.value - price) > rounding)] = UNSOLVED
    # A price is itself rounded, and its time value with it.
    left_open = EPSILON * price + ROUNDING * inputs.spot * np.abs(again.delta)
    reasons[(reasons == SOLVED) & (left_open > TOLD * again.vega * vols)] = NO_TIME_VALUE
    return reasons


def _log_time_value(distance: Array, deviation: Array) -> Array:
    """`ln` of an option's value out of the money, over the root of both discounted flows; `distance` = -|ln(F / K)|.

    `n(d1) (M(d1) - M(d2))` with Mills's ratio `M = N / n`: nothing cancels or underflows however far out.
    """
    d1 = distance / deviation + 0.5 * deviation
    d2 = d1 - deviation
    between = HALF_ROOT_OF_PI * (scipy.special.erfcx(-d1 / np.sqrt(2.0)) - scipy.special.erfcx(-d2 / np.sqrt(2.0)))
    density = -0.5 * d1 * d1 - 0.5 * np.log(2.0 * np.pi) + 0.5 * distance
    return np.asarray(density + np.log(np.maximum(between, 1e-300)), np.float64)


def _american(price: Array, inputs: Inputs) -> tuple[Array, Reasons]:
    """Only options whose early exercise may pay come here."""
    lower = np.maximum(inputs.sign * (inputs.spot - inputs.strike), 0.0)
    size = np.maximum(inputs.spot, inputs.strike)
    rounding = AMERICAN_ROUNDING * size
    upper = np.where(inputs.sign > 0.0, inputs.spot, inputs.strike)
    reasons = _judge(price, inputs, lower, upper, rounding)
    vols = np.zeros(len(price))
    rows = np.flatnonzero(reasons == SOLVED)
    chosen = inputs.take(rows)
    least = np.full(len(rows), LEAST_AMERICAN_VOL)
    most = np.minimum(MOST_AMERICAN_VOL, MOST_AMERICAN_DEVIATION / np.sqrt(chosen.years))
    low, (high, refused) = _american_at(chosen, least)[0], _american_at(chosen, most)
    reasons[rows] = np.select(
        [refused != HAS_METHOD, price[rows] < low - rounding[rows], price[rows] > high],
        [NO_METHOD, BELOW_INTRINSIC, ABOVE_BOUND],
        SOLVED,
    )
    is_between = reasons[rows] == SOLVED
    rows = rows[is_between]
    if len(rows):
        vols[rows], reasons[rows] = _bracket(price[rows], inputs.take(rows), least[is_between], most[is_between], rounding[rows])
    return vols, reasons


def _american_at(inputs: Inputs, vols: Array) -> tuple[Array, Reasons]:
    return american_values(inputs._replace(vol=vols))


def _bracket(price: Array, inputs: Inputs, least: Array, most: Array, rounding: Array) -> tuple[Array, Reasons]:
    """Solves American options whose price lies between the values at `least` and `most`, and puts every vol back."""

    def gap(vols: Array, rows: Array) -> Array:
        chosen = rows.astype(np.intp).ravel()
        return np.reshape(_american_at(inputs.take(chosen), np.ravel(vols))[0] - price[chosen], np.shape(vols))

    every = np.arange(len(price), dtype=np.float64)
    found = find_root(gap, (least, most), args=(every,), tolerances={"xatol": 1e-12}, maxiter=200)
    vols = np.where(found.success, found.x, least)
    up, down = (_american_at(inputs, vols * by)[0] for by in (1.0 + 0.5 * AMERICAN_TOLD, 1.0 - 0.5 * AMERICAN_TOLD))
    again = _american_at(inputs, vols)[0]
    reasons = np.select(
        [~found.success | ~(np.abs(again - price) <= AMERICAN_ERROR / AMERICAN_ROUNDING * rounding), ~(up - down > rounding)],
        [UNSOLVED, NO_TIME_VALUE],
        SOLVED,
    )
    return vols, reasons.astype(np.int8)
