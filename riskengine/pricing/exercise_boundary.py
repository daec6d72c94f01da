"""Finds where American options are exercised: the boundary in spot, as a function of the time that is left.

The spectral collocation method of Andersen, Lake and Offengenden (High Performance American Option Pricing, 2016), with their
equation B (value matching) as the fixed point, which converges throughout our range, and nodes of their own: Chebyshev in the
square root of time for the boundary, Gauss-Legendre in the angle `arcsin` of it for the integrals, so that both ends are smooth.

Everything is in one form: `reward` is the rate that exercise earns (a put's quote rate, a call's base rate), `cost` the
other one, and the boundary is `ln(B / K)` of a put; a call's lies mirrored, at `K^2 / B` (McDonald and Schroder, 1998). It
depends on years, vol and rates alone: not on spot, and for less time left it is the same function. Pure; any thread.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from riskengine.pricing.black_scholes import DENSITY_AT_0, Array

NODES = 12
"""Times at which a boundary is solved."""

POINTS = 16
"""Points of each integral while it is solved."""

BLOCK = 64
"""Boundaries solved together: what fits into a core's cache, and too little for BLAS to start threads."""

TINY = 1e-150
FIRST_SWEEPS, SWEEPS_FROM_NEAR = 10, 8
"""Fewer from near lets Newton's method come to another root than that of the base case, which shows in differences."""

SWEEPS = 240
SWEEPS_A_CHECK = 8
NEWTON_STEPS = 4
BELIEVED = 4.0
"""A root that Newton's method finds farther off than this many times the last sweep's step may be another root."""

NEAR_ENOUGH = 1e-10
"""A boundary stands when a step moves it by less than this many deviations to expiry."""


class BoundaryTerms(NamedTuple):
    """What a boundary depends on: one row an option, years and vol above 0, reward above 0 or reward = 0 > cost."""

    years: Array
    vol: Array
    reward: Array
    cost: Array

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "BoundaryTerms":
        """The chosen rows."""
        return BoundaryTerms(*(column[rows] for column in self))


def log_at_expiry(reward: Array, cost: Array) -> Array:
    """`ln(B / K)` of a put with no time left: at the strike, or below it where holding on pays better there."""
    is_below = cost > reward
    return np.where(is_below, np.log(np.where(is_below, reward, 1.0) / np.where(is_below, cost, 1.0)), 0.0)


def solve(terms: BoundaryTerms, near: Array | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """The roots of boundaries at their NODES times, and which of them are solved.

    A root is `ln(B(0) / B(u)) >= 0` at `u = years * node_roots()**2`, the time that is left; shape (options, NODES), the
    shortest time last. Newton's method after a few sweeps of the fixed point; where it does not converge, sweeps alone.
    About 0.15 ms an option. Roots that are `near` save a few sweeps and keep to the same solution.
    """
    found = np.empty((len(terms.years), NODES))
    is_solved = np.zeros(len(found), np.bool_)
    for start in range(0, len(found), BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows], is_solved[rows] = _solve_block(terms.take(rows), None if near is None else near[rows])
    return found, is_solved


def _solve_block(terms: BoundaryTerms, near: Array | None) -> tuple[Array, NDArray[np.bool_]]:
    at_expiry = log_at_expiry(terms.reward, terms.cost)
    equation = _Equation(terms, at_expiry)
    swept = np.maximum(at_expiry[:, None] - _first_guess(terms), 0.0) if near is None else near
    for _ in range(FIRST_SWEEPS if near is None else SWEEPS_FROM_NEAR):
        before, swept = swept, equation.improve(swept)
    found, is_solved = _newton(equation, swept)
    is_solved &= np.abs(found - swept).max(axis=1) <= BELIEVED * np.abs(swept - before).max(axis=1)
    rows = np.flatnonzero(~is_solved)
    for _ in range(SWEEPS // SWEEPS_A_CHECK):
        if not len(rows):
            break
        equation = _Equation(terms.take(rows), at_expiry[rows])
        roots = swept[rows]
        for _ in range(SWEEPS_A_CHECK):
            before, roots = roots, equation.improve(roots)
        swept[rows] = found[rows] = roots
        stands = _has_stopped(roots - before, equation)
        is_solved[rows[stands]] = True
        rows = rows[~stands]
    return found, is_solved


def _newton(equation: "_Equation", roots: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's steps from `roots`, and which options they have brought to rest."""
    stands = np.zeros(len(roots), np.bool_)
    for _ in range(NEWTON_STEPS):
        step = equation.newton_step(roots)
        is_sound = (np.abs(step) < 1.0).all(axis=1, keepdims=True)
        step = np.where(is_sound, step, np.inf)
        stands = _has_stopped(step, equation)
        roots = np.maximum(roots + np.where(is_sound, step, 0.0), 0.0)
        if stands.all():
            break
    return roots, stands


def _has_stopped(step: Array, equation: "_Equation") -> NDArray[np.bool_]:
    return np.asarray(np.abs(step).max(axis=1) <= NEAR_ENOUGH * equation.deviation)


class _Equation:
    """Equation B at all nodes of some boundaries: what stays the same from step to step, and the steps."""

    def __init__(self, terms: BoundaryTerms, at_expiry: Array) -> None:
        points = _angles()
        self._left = at_expiry[:, None]
        left = terms.years[:, None] * node_roots()[:NODES] ** 2
        self.deviation = terms.vol * np.sqrt(terms.years)
        self._node_deviation = terms.vol[:, None] * np.sqrt(left)
        self._drift = (terms.reward - terms.cost)[:, None] * left
        self._shift = self._drift / self._node_deviation - 0.5 * self._node_deviation
        sines = points.sines
        self._deviation = self._node_deviation[:, :, None] * sines
        later = left[:, :, None] * sines * sines
        self._point_shift = (terms.reward - terms.cost)[:, None, None] * later / self._deviation - 0.5 * self._deviation
        weights = left[:, :, None] * points.weights
        earlier = left[:, :, None] - later
        reward, cost = terms.reward[:, None, None], terms.cost[:, None, None]
        self._rewards = reward * np.exp(reward * earlier) * weights
        self._costs = cost * np.exp(cost * earlier) * weights

    def improve(self, roots: Array) -> Array:
        """`B <- K e^-(r - q) u N / D` at every node, from the boundary as it was."""
        sides = self._sides(roots)
        # Where doubles underflow, far below any spot that matters, the node stays as it is.
        return np.where(np.isfinite(sides.better), np.maximum(sides.better, 0.0), roots)

    def newton_step(self, roots: Array) -> Array:
        """What to add to the roots, by the derivatives of each node's equation by every root; not finite where none is told."""
        sides = self._sides(roots)
        with np.errstate(all="ignore"):
            pull = self._rewards * np.exp(-0.5 * sides.place**2) / sides.exercised[:, :, None]
            pull -= self._costs * np.exp(-0.5 * (sides.place + self._deviation) ** 2) / sides.held[:, :, None]
            pull /= self._deviation
            own = np.exp(-0.5 * sides.at_strike**2) / sides.exercised
            own -= np.exp(-0.5 * (sides.at_strike + self._node_deviation) ** 2) / sides.held
            own = own / self._node_deviation + pull.sum(axis=2)
            pull /= np.maximum(sides.between, TINY)
            by_root = np.matmul(pull.transpose(1, 0, 2), _angles().matrix.reshape(NODES, POINTS, NODES)).transpose(1, 0, 2)
            slopes = by_root * -roots[:, None, :]
            slopes[:, np.arange(NODES), np.arange(NODES)] += own
            slopes *= DENSITY_AT_0
            slopes[:, np.arange(NODES), np.arange(NODES)] -= 1.0
            gap = roots - sides.better
            is_sound = np.isfinite(gap).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
            slopes[~is_sound] = np.eye(NODES)
            gap[~is_sound] = np.nan
            return np.linalg.solve(slopes, gap[:, :, None])[:, :, 0]

    def _sides(self, roots: Array) -> "_Sides":
        between = _interpolate(roots, _angles().matrix).reshape(self._deviation.shape)
        place = between - roots[:, :, None]
        place /= self._deviation
        place += self._point_shift
        at_strike = (self._left - roots) / self._node_deviation + self._shift
        ndtr = scipy.special.ndtr
        exercised = np.einsum("onp,onp->on", self._rewards, ndtr(place)) + ndtr(at_strike)
        held = np.einsum("onp,onp->on", self._costs, ndtr(place + self._deviation)) + ndtr(at_strike + self._node_deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = self._left + self._drift - np.log(exercised / held)
        return _Sides(between, place, at_strike, exercised, held, better)


class _Sides(NamedTuple):
    """Both sides of equation B, N (`exercised`) and D (`held`), and the roots that follow from them (`better`)."""

    between: Array
    place: Array
    at_strike: Array
    exercised: Array
    held: Array
    better: Array


def _interpolate(roots: Array, matrix: Array) -> Array:
    """Roots between the nodes; their squares are smooth in the square root of time, and 0 at 0."""
    squares = (roots * roots) @ matrix.T
    return np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)


def roots_at(roots: Array, fractions: tuple[float, ...]) -> Array:
    """Roots at `sqrt(time left / years)` = each of `fractions`, 0 to 1, for all options: (options, fractions)."""
    return _interpolate(roots, _matrix(fractions))


def shorten(roots: Array, fraction: Array) -> Array:
    """The roots of the same boundaries for less time: `fraction` of the years, one for each option, above 0 and up to 1.

    Exact: a polynomial in the root of time is one of the same degree on the shorter stretch.
    """
    points = np.sqrt(fraction)[:, None] * node_roots()[:NODES]
    away = points[:, :, None] - node_roots()
    is_node = away == 0.0
    shares = _barycentric() / np.where(is_node, 1.0, away)
    shares /= shares.sum(axis=2, keepdims=True)
    shares = np.where(is_node.any(axis=2, keepdims=True), is_node, shares)
    squares = np.einsum("onm,om->on", shares[:, :, :NODES], roots * roots)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), np.float64)


def _first_guess(terms: BoundaryTerms) -> Array:
    """`ln(B / K)` after Bjerksund and Stensland (1993): between the boundaries of no time and of all time."""
    years, vol, reward, cost = terms
    variance = vol * vol
    # Of the mirrored call, whose rates are swapped.
    carry = (cost - reward) / variance
    power = 0.5 - carry + np.sqrt((carry - 0.5) ** 2 + 2.0 * cost / variance)
    for_ever = np.where(power > 1.0, power / np.where(power > 1.0, power - 1.0, 1.0), np.inf)
    now = np.exp(-log_at_expiry(reward, cost))
    for_ever = np.clip(for_ever, now * (1.0 + 1e-9), now * 1e6)
    left = years[:, None] * node_roots()[:NODES] ** 2
    pull = (cost - reward)[:, None] * left + 2.0 * vol[:, None] * np.sqrt(left)
    pull *= (now / (for_ever - now))[:, None]
    boundary = now[:, None] + (for_ever - now)[:, None] * -np.expm1(np.minimum(-pull, 0.0))
    return np.asarray(-np.log(boundary), np.float64)


class _Angles(NamedTuple):
    """Points of the integral over the time left at exercise: `sqrt(1 - left / whole)` = sines; weights include dt / whole."""

    sines: Array
    weights: Array
    matrix: Array
    """(NODES * POINTS, NODES): what takes squares at nodes to squares at the points of every node's integral."""


class Angles(NamedTuple):
    """Gauss-Legendre points in the angle, for integrals over the time left: `later = whole * sines**2`."""

    sines: Array
    cosines: tuple[float, ...]
    """`sqrt((whole - later) / whole)`, as `roots_at` takes them."""
    weights: Array
    """Of `d later / whole`."""


@cache
def angles(points: int, power: int) -> Angles:
    """The points of an integral, crowded towards `later` = 0 by `power`."""
    at, weights = np.polynomial.legendre.leggauss(points)
    part = 0.5 * (1.0 + at)
    angle = 0.5 * np.pi * part**power
    sines, cosines = np.sin(angle), np.cos(angle)
    shares = 2.0 * sines * cosines * (0.25 * np.pi * power) * part ** (power - 1) * weights
    return Angles(np.asarray(sines, np.float64), tuple(cosines.tolist()), np.asarray(shares, np.float64))


@cache
def _angles() -> _Angles:
    sines, cosines, weights = angles(POINTS, 1)
    fractions = (node_roots()[:NODES, None] * np.array(cosines)).ravel()
    return _Angles(sines, weights, _matrix(tuple(fractions.tolist())))


@cache
def node_roots() -> Array:
    """`sqrt(time left / years)` of each node: Chebyshev's, from 1 down to 0, where the root is 0."""
    return np.asarray(0.5 * (1.0 + np.cos(np.pi * np.arange(NODES + 1) / NODES)), np.float64)


def _barycentric() -> Array:
    weights = (-1.0) ** np.arange(NODES + 1)
    weights[[0, -1]] *= 0.5
    return np.asarray(weights, np.float64)


@cache
def _matrix(fractions: tuple[float, ...]) -> Array:
    """Takes squares at the first NODES nodes to squares at `fractions`; the last node's is 0."""
    away = np.array(fractions)[:, None] - node_roots()
    is_node = away == 0.0
    shares = _barycentric() / np.where(is_node, 1.0, away)
    shares /= shares.sum(axis=1, keepdims=True)
    shares = np.where(is_node.any(axis=1, keepdims=True), is_node, shares)
    return np.ascontiguousarray(shares[:, :NODES], np.float64)
