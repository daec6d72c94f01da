"""The smiles of many expiries at once, from at-the-money vols, risk reversals and butterflies.

A smile is in moneyness K/F, so that it does not depend on spot. Between and beyond its quotes the logarithm of the vol is a
polynomial in y = N(ln(K/F) / width) - 1/2 (Clark, Foreign Exchange Option Pricing, 3.5.3): the least degree that goes through
every quoted point, so smooth, above 0, and level far out on both sides, where y tends to -1/2 and 1/2. `width` is the
at-the-money deviation times the first of WIDTHS with which the density is nowhere negative.

A butterfly of style `smile` gives each wing's vol. One of style `market` is the vol, over atm, at which the market strangle
trades: its two strikes come from that one vol, and the smile's values at them sum to the strangle's premium. Pure; any thread.
"""

from functools import cache
from math import isfinite, isnan
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from riskengine.pricing.deltas import Array, DeltaTerms, Mask, at_the_money, strikes

MOST_VOL = 5.0
"""A vol above this is meant in per cent."""

WIDTHS = (1.25, 1.0, 1.6, 2.5)
"""Widths of a smile's variable in at-the-money deviations, in the order in which they are tried."""

TERMS = 5
"""Coefficients of a smile: a constant and one for each of four wings."""

SOLVED = 1e-12
"""How close a smile comes to the market strangles that it was solved from, in vol."""

_DELTAS = (0.25, 0.10)
_MOST_STEPS = 15
_GOOD_ENOUGH = 1e-10
_BUMP = 1e-6
_SCALES = (1.0, 0.5, 0.2, 0.05)
_LEAST_GAP = 1e-3
"""Points of a smile lie further apart than this, in y."""
_LEAST_SLOPE = 1e-6
_CHUNK = 64
"""Smiles whose densities stay in the processor's cache."""


class SmileQuotes(NamedTuple):
    """What n smiles are made from, float64 and bool arrays of one length.

    atm               vols at the money, fractions
    rr25, rr10        risk reversals: the call wing's vol less the put wing's; NaN where not quoted
    bf25, bf10        butterflies; NaN where not quoted; wings need both
    years             the vols' time, above 0
    discount          the base's discount factor to delivery for spot deltas, 1 for forward ones
    adjusted          whether deltas are premium-adjusted
    is_atm_forward    whether at the money is the forward, else the delta-neutral straddle
    is_market         whether butterflies are the market's, else the smile's
    """

    atm: Array
    rr25: Array
    bf25: Array
    rr10: Array
    bf10: Array
    years: Array
    discount: Array
    adjusted: Mask
    is_atm_forward: Mask
    is_market: Mask

    def take(self, rows: NDArray[np.intp] | Mask) -> "SmileQuotes":
        """The chosen smiles, a copy."""
        return SmileQuotes(*(column[rows] for column in self))  # type: ignore[arg-type]


class Smiles(NamedTuple):
    """n smiles. One with a reason has no vols: its entries are those of a flat vol of 1 and mean nothing.

    coefficients  (n, TERMS): of ln(vol) in y, the constant first
    width         ln(K/F) per unit of the smile's variable, above 0
    least, most   ln(K/F) of the lowest and highest quoted strike
    reasons       why a smile could not be made; empty where it could
    """

    coefficients: Array
    width: Array
    least: Array
    most: Array
    reasons: tuple[str, ...]

    def vols(self, rows: NDArray[np.intp], moneyness: Array) -> Array:
        """The vol of smile `rows[i]` at K/F `moneyness[i]`, above 0. 0.3 ms for 10,000, whatever their smiles."""
        return smile_vols(self.coefficients, self.width, rows, np.log(moneyness))


def smile_vols(coefficients: Array, width: Array, rows: NDArray[np.intp], distance: Array) -> Array:
    """The vols of smiles `rows` at ln(K/F) `distance`, from packed coefficients (n, TERMS) and widths."""
    y = scipy.special.ndtr(distance / width[rows])
    y -= 0.5
    own = coefficients[rows].T
    vol = own[TERMS - 1] * y
    for term in range(TERMS - 2, 0, -1):
        vol += own[term]
        vol *= y
    vol += own[0]
    np.exp(vol, out=vol)
    return np.asarray(vol)


def solve_smiles(quotes: SmileQuotes) -> Smiles:
    """The smiles of n expiries, whatever their pairs. 7 ms for one, 0.1 ms each for 1,000.

    Quotes that no smile fits have a reason: vols not above 0 or above MOST_VOL, half a wing, strikes out of order, a strangle
    that no smile reprices, negative density.
    """
    count = len(quotes.atm)
    reasons = [_refusal(*row) for row in zip(*(column.tolist() for column in quotes[:5]), strict=True)]
    solved = Smiles(np.zeros((count, TERMS)), np.ones(count), np.zeros(count), np.zeros(count), ())
    has_wings = ~np.isnan(np.column_stack((quotes.rr25, quotes.rr10)))
    for wings in ((False, False), (True, False), (False, True), (True, True)):
        rows = np.flatnonzero(np.all(has_wings == wings, axis=1) & np.array([not reason for reason in reasons], dtype=np.bool_))
        for width in WIDTHS if any(wings) else WIDTHS[:1]:
            if rows.size:
                rows = _solve_into(solved, reasons, quotes, rows, np.flatnonzero(wings), width)
    return solved._replace(reasons=tuple(reasons))


def _refusal(atm: float, rr25: float, bf25: float, rr10: float, bf10: float) -> str:
    """Why the quotes of one expiry are no quotes, else empty."""
    if not 0 < atm <= MOST_VOL:
        return f"atm must be above 0 and at most {MOST_VOL:g} (0.0825 is 8.25 %): {atm:g}"
    for delta, rr, bf in ((25, rr25, bf25), (10, rr10, bf10)):
        if isnan(rr) != isnan(bf):
            given, missing = ("bf", "rr") if isnan(rr) else ("rr", "bf")
            return f"{given}{delta} without {missing}{delta}"
        if isnan(rr):
            continue
        if not isfinite(rr + bf):
            return f"rr{delta} and bf{delta} must be finite"
        if atm + bf - abs(rr) / 2 <= 0:
            return f"the {delta}-delta wings' vols must be above 0: atm {atm:g}, bf{delta} {bf:g}, rr{delta} {rr:g}"
        if atm + bf + abs(rr) / 2 > MOST_VOL:
            return f"the {delta}-delta wings' vols must be at most {MOST_VOL:g} (0.0825 is 8.25 %)"
    return ""


def _solve_into(
    solved: Smiles, reasons: list[str], quotes: SmileQuotes, rows: NDArray[np.intp], wings: NDArray[np.intp], width: float
) -> NDArray[np.intp]:
    """Solve rows that quote the same wings, and return those whose density another width may mend."""
    fit = _Fit(quotes.take(rows), wings, width)
    with np.errstate(all="ignore"):  # quotes that no smile fits overflow on their way to a reason
        fit.solve()
        density, most = least_density_and_most_vol(fit.coefficients, fit.width, fit.quotes.years)
    again = []
    for n, row in enumerate(rows.tolist()):
        reason = fit.reasons[n] or _arbitrage(float(density[n]), float(most[n]))
        reasons[row] = reason and (reasons[row] or reason)
        if reason:
            again += [] if fit.reasons[n] else [row]
            continue
        solved.coefficients[row], solved.width[row] = fit.coefficients[n], fit.width[n]
        solved.least[row], solved.most[row] = fit.distance[n].min(), fit.distance[n].max()
    return np.array(again, dtype=np.intp)


def _arbitrage(density: float, most_vol: float) -> str:
    if not density >= 0:
        return "the butterflies give negative density"
    return "" if most_vol <= 2 * MOST_VOL else "the vols run away beyond the quoted wings"


class _Fit:
    """Smiles that quote the same wings, fitted with one width. Points: at the money, then put and call of each wing."""

    def __init__(self, quotes: SmileQuotes, wings: NDArray[np.intp], width: float) -> None:
        count, self.wing_count = len(quotes.atm), len(wings)
        self.quotes = quotes
        self.reversals = np.column_stack((quotes.rr25, quotes.rr10))[:, wings]
        self.butterflies = np.column_stack((quotes.bf25, quotes.bf10))[:, wings]
        self.deltas = np.asarray(_DELTAS)[wings]
        self.root = np.sqrt(quotes.years)
        self.atm_deviation = quotes.atm * self.root
        self.width = width * self.atm_deviation
        terms = DeltaTerms(self.atm_deviation, quotes.discount, quotes.adjusted)
        self.atm_distance = np.log(at_the_money(terms, quotes.is_atm_forward))
        self.coefficients = np.zeros((count, TERMS))
        self.coefficients[:, 0] = np.log(quotes.atm)
        self.distance = self.atm_distance[:, np.newaxis]
        self.reasons = [""] * count

    def solve(self) -> None:
        """Find the coefficients; rows that have none get a reason."""
        if not self.wing_count:
            return
        quotes = self.quotes
        strangles = self.butterflies.copy()
        market = np.flatnonzero(quotes.is_market)
        if market.size:
            strangles[market] = self._market_strangles(market, strangles[market])
        everyone = np.arange(len(quotes.atm))
        self.coefficients, self.distance, is_fit = self._fit(everyone, strangles)
        self._refuse(~is_fit, "no strikes in order fit the wings")

    def _refuse(self, rows: Mask, reason: str) -> None:
        for row in np.flatnonzero(rows):
            self.reasons[row] = self.reasons[row] or reason

    def _strikes(self, rows: NDArray[np.intp], vols: Array) -> tuple[Array, Mask]:
        """ln(K/F) of the wings' deltas at the given vols, each of shape (rows, wings, put and call), and whether all exist."""
        shape = vols.shape
        sign = np.broadcast_to((-1.0, 1.0), shape)
        quotes = self.quotes
        terms = DeltaTerms(
            (vols * self.root[rows, np.newaxis, np.newaxis]).ravel(),
            np.broadcast_to(quotes.discount[rows, np.newaxis, np.newaxis], shape).ravel(),
            np.broadcast_to(quotes.adjusted[rows, np.newaxis, np.newaxis], shape).ravel(),
        )
        moneyness, is_solved = strikes(sign.ravel(), (sign * self.deltas[:, np.newaxis]).ravel(), terms)
        return np.log(moneyness).reshape(shape), np.asarray(is_solved.reshape(shape).all(axis=(1, 2)))

    def _fit(self, rows: NDArray[np.intp], strangles: Array) -> tuple[Array, Array, Mask]:
        """Coefficients and ln(K/F) of the points of smiles with the given smile strangles, and whether they exist."""
        atm = self.quotes.atm[rows, np.newaxis, np.newaxis]
        half = self.reversals[rows, :, np.newaxis] / 2 * (-1.0, 1.0)
        vols = atm + strangles[:, :, np.newaxis] + half
        is_fit = np.all(vols > 0, axis=(1, 2)) & np.all(vols <= 2 * MOST_VOL, axis=(1, 2))
        vols = np.where(is_fit[:, np.newaxis, np.newaxis], vols, atm)
        distance, is_solved = self._strikes(rows, vols)
        points = np.concatenate((self.atm_distance[rows, np.newaxis], distance.reshape(len(rows), -1)), axis=1)
        y = scipy.special.ndtr(points / self.width[rows, np.newaxis]) - 0.5
        is_fit = is_fit & is_solved & self._in_order(y)
        level = np.log(np.concatenate((atm[:, :, 0], vols.reshape(len(rows), -1)), axis=1))
        powers = y[:, :, np.newaxis] ** np.arange(points.shape[1])
        powers[~is_fit] = np.eye(points.shape[1])
        coefficients = np.zeros((len(rows), TERMS))
        coefficients[:, : points.shape[1]] = np.linalg.solve(powers, level[:, :, np.newaxis])[:, :, 0]
        return coefficients, points, is_fit

    def _in_order(self, y: Array) -> Mask:
        """Whether the points stand as their deltas do: puts from the far wing to the near one, at the money, calls."""
        puts, calls = list(range(1, y.shape[1], 2)), list(range(2, y.shape[1], 2))
        return np.asarray(np.all(np.diff(y[:, [*puts[::-1], 0, *calls]], axis=1) > _LEAST_GAP, axis=1))

    def _market_strangles(self, rows: NDArray[np.intp], start: Array) -> Array:
        """The smile strangles of `rows` with which their market strangles reprice: Newton's steps, shortened where they miss."""
        target, has_strikes = self._target(rows)
        strangles = start
        miss, is_fit = self._miss(rows, strangles, target)
        is_open = is_fit & has_strikes
        for _ in range(_MOST_STEPS):
            is_open = is_open & (np.abs(miss).max(axis=1) > SOLVED)
            if not is_open.any():
                break
            own = np.flatnonzero(is_open)
            step = self._newton_step(rows[own], strangles[own], target.take(own), miss[own])
            strangles, miss, is_better = self._advance(rows, own, strangles, miss, target, step)
            is_open[own[~is_better]] = False
        is_solved = has_strikes & is_fit & (np.abs(miss).max(axis=1) <= _GOOD_ENOUGH)
        is_refused = np.zeros(len(self.quotes.atm), dtype=np.bool_)
        is_refused[rows[~is_solved]] = True
        self._refuse(is_refused, "no smile reprices the market strangles")
        return strangles

    def _target(self, rows: NDArray[np.intp]) -> tuple["_Strangles", Mask]:
        """The market strangles of rows, and whether all their strikes exist."""
        vols = (self.quotes.atm[rows, np.newaxis] + self.butterflies[rows])[:, :, np.newaxis] * np.ones(2)
        distance, has_strikes = self._strikes(rows, vols)
        deviation = vols * self.root[rows, np.newaxis, np.newaxis]
        vega = _density(distance / deviation - deviation / 2) * self.root[rows, np.newaxis, np.newaxis]
        return _Strangles(distance, _premium(distance, deviation), vega.sum(axis=2)), has_strikes

    def _miss(self, rows: NDArray[np.intp], strangles: Array, target: "_Strangles") -> tuple[Array, Mask]:
        """By how much vol the smiles of `strangles` (rows, wings) misprice the market strangles, and whether they exist."""
        coefficients, _, is_fit = self._fit(rows, strangles)
        each = np.repeat(np.arange(len(rows)), 2 * self.wing_count)
        vols = smile_vols(coefficients, self.width[rows], each, target.distance.ravel()).reshape(target.distance.shape)
        premium = _premium(target.distance, vols * self.root[rows, np.newaxis, np.newaxis])
        return (premium - target.premium) / target.vega, is_fit

    def _newton_step(self, rows: NDArray[np.intp], strangles: Array, target: "_Strangles", miss: Array) -> Array:
        wings = self.wing_count
        bumped = np.concatenate([strangles + _BUMP * (np.arange(wings) == wing) for wing in range(wings)])
        there, _ = self._miss(np.tile(rows, wings), bumped, target.take(np.tile(np.arange(len(rows)), wings)))
        slopes = (there.reshape(wings, len(rows), wings) - miss) / _BUMP
        slopes = np.moveaxis(slopes, 0, 2)
        slopes[~(np.isfinite(slopes).all(axis=(1, 2)) & (np.abs(np.linalg.det(slopes)) > _LEAST_SLOPE))] = np.eye(wings)
        return np.asarray(np.linalg.solve(slopes, -miss[:, :, np.newaxis])[:, :, 0])

    def _advance(
        self, rows: NDArray[np.intp], own: NDArray[np.intp], strangles: Array, miss: Array, target: "_Strangles", step: Array
    ) -> tuple[Array, Array, Mask]:
        """Take the longest of a few fractions of each step that brings the miss down; whether one does, for each of `own`."""
        strangles, miss = strangles.copy(), miss.copy()
        is_better = np.zeros(len(own), dtype=np.bool_)
        for scale in _SCALES:
            left = np.flatnonzero(~is_better)
            if not left.size:
                break
            at = own[left]
            trial = strangles[at] + scale * step[left]
            there, is_fit = self._miss(rows[at], trial, target.take(at))
            takes = is_fit & (np.abs(there).max(axis=1) < np.abs(miss[at]).max(axis=1))
            strangles[at[takes]], miss[at[takes]] = trial[takes], there[takes]
            is_better[left[takes]] = True
        return strangles, miss, is_better


class _Strangles(NamedTuple):
    """Market strangles: ln(K/F) (rows, wings, put and call), premium over forward and its vega (rows, wings), undiscounted."""

    distance: Array
    premium: Array
    vega: Array

    def take(self, rows: NDArray[np.intp]) -> "_Strangles":
        return _Strangles(self.distance[rows], self.premium[rows], self.vega[rows])


def _premium(distance: Array, deviation: Array) -> Array:
    """Put plus call along the last axis, undiscounted, over the forward."""
    d1 = -distance / deviation + deviation / 2
    sign = np.array((-1.0, 1.0))
    legs = sign * (scipy.special.ndtr(sign * d1) - np.exp(distance) * scipy.special.ndtr(sign * (d1 - deviation)))
    return np.asarray(legs.sum(axis=-1))


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi))


class _Sight:
    """Where smiles are looked at (points,), and what their coefficients are multiplied with there (TERMS, points)."""

    z = np.linspace(-7.0, 7.0, 561)
    """ln(K/F) in widths: from 8.75 deviations below the forward to 8.75 above it, with the first of WIDTHS."""

    def __init__(self) -> None:
        y, density = scipy.special.ndtr(self.z) - 0.5, _density(self.z)
        term = np.arange(TERMS)[:, np.newaxis]
        once, twice = np.maximum(term - 1, 0), np.maximum(term - 2, 0)
        self.level = y**term
        self.slope = term * y**once * density
        self.bend = term * (term - 1) * y**twice * density**2 - self.slope * self.z


@cache
def _sight() -> _Sight:
    """Made with the first smile: it is SciPy that takes its time, and an engine without options needs neither."""
    return _Sight()


def least_density_and_most_vol(coefficients: Array, width: Array, years: Array) -> tuple[Array, Array]:
    """The least density of each smile, over that of a lognormal (below 0 is arbitrage), and its greatest vol.

    The density of ln(K/F) k is g(k) n(d2) / sqrt(w), w the total variance (Gatheral and Jacquier, Arbitrage-free SVI, 2.2):
    g = (1 - k L')^2 + w (L'' + L'^2) - w^2 L'^2 / 4 with L = ln(vol).
    """
    least, most = np.empty(len(width)), np.empty(len(width))
    for start in range(0, len(width), _CHUNK):
        own = slice(start, start + _CHUNK)
        least[own], most[own] = _least_and_most(coefficients[own], width[own], years[own])
    return least, most


def _least_and_most(coefficients: Array, width: Array, years: Array) -> tuple[Array, Array]:
    """As above, for few smiles; slope and bend are L' and L'' by widths, later what they are overwritten with."""
    sight = _sight()
    level = coefficients @ sight.level
    slope = coefficients @ sight.slope
    bend = coefficients @ sight.bend
    most = np.exp(level.max(axis=1))
    level *= 2
    variance = np.exp(level, out=level)
    variance *= (years / width**2)[:, np.newaxis]
    factor = 1 - slope * sight.z
    factor *= factor
    slope *= slope
    bend += slope
    bend *= variance
    factor += bend
    slope *= variance
    slope *= variance
    slope *= (width**2 / 4)[:, np.newaxis]
    factor -= slope
    return factor.min(axis=1), most
