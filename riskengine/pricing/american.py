"""Values American options and their Greeks over arrays: never a European price for an American right.

An American option is worth the European one and what early exercise adds, an integral along the boundary at which it is
exercised (Kim, 1990). The boundary (`exercise_boundary`) does not depend on spot: it is made once, with those of bumped
vols and rates, and kept while spot moves; a value for a new spot is one quadrature. As time passes it is shortened, exactly.

Errors: see `american_measures`. Pure, apart from `ExerciseBoundary.put`; any thread.
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from riskengine.pricing.black_scholes import DENSITY_AT_0, Array, Inputs, Measures, measure
from riskengine.pricing.exercise_boundary import NODES, BoundaryTerms, angles, log_at_expiry, roots_at, shorten, solve

Rows = NDArray[np.bool_] | NDArray[np.intp] | slice
Reasons = NDArray[np.int8]

VALUED, TWO_BOUNDARIES, TWO_TIMES, NO_VOL, UNSOLVED = range(5)

AMERICAN_REASONS = (
    "",
    "its rates are both negative so that it has two exercise boundaries, for which there is no method",
    "its vol time differs from its settlement time, for which there is no American method",
    "a vol of 0 values no American option",
    "its exercise boundary was not found",
)
"""Why an American option is not valued, by code; 0 where it is."""

POINTS = 32
CROWDING = 2
"""Points of the integral that values early exercise, and how much they crowd towards exercise at once."""

BLOCK = 128
"""Options valued together: what fits into a core's cache, and too little for BLAS to start threads."""

AT_EXPIRY = 1e-9
"""Years, 0.03 s: from here on an American option is exercised if it is in the money."""

VOL_BUMP = 0.01
"""Of the vol, up and down."""

RATE_BUMP = 1e-3

NEAR_BOUNDARY = 0.05
"""In deviations to expiry: nearer, delta and gamma are interpolated to the boundary, where they are known."""

BASE, VOL_UP, VOL_DOWN, REWARD_UP, REWARD_DOWN, COST_UP, COST_DOWN = range(7)
CASES = 7
NOTHING = np.empty(0)


class ExerciseBoundary:
    """Where American options are exercised: made from everything but their spot, and kept while spot alone moves.

    Rows are those of the inputs that it was made from. 700 bytes an option.
    """

    __slots__ = ("_made_for", "_roots", "is_european", "reasons")

    def __init__(self, made_for: Inputs, is_european: NDArray[np.bool_], reasons: Reasons, roots: Array) -> None:
        self._made_for = made_for
        self._roots = roots
        self.is_european = is_european
        """Options whose early exercise never pays, as a call that gives up no carry: the European formula is exact."""
        self.reasons = reasons
        """Codes of AMERICAN_REASONS: why an option has no boundary and no value."""

    @classmethod
    def of(cls, inputs: Inputs, cases: int = CASES) -> "ExerciseBoundary":
        """Solves the boundaries of `inputs`, whose spot does not matter. About 1.1 ms an option that has one.

        Fewer `cases` than all serve for values alone.
        """
        reward, cost = _reward_and_cost(inputs)
        is_european = exercise_never_pays(inputs)
        reasons = np.zeros(len(reward), np.int8)
        reasons[~is_european & (inputs.vol == 0.0) & (inputs.years > AT_EXPIRY)] = NO_VOL
        reasons[~is_european & (inputs.years != inputs.years_settle)] = TWO_TIMES
        reasons[~is_european & (reward < 0.0)] = TWO_BOUNDARIES
        roots = np.zeros((len(reward), cases, NODES))
        rows = np.flatnonzero(~is_european & (reasons == VALUED) & (inputs.years > AT_EXPIRY))
        terms = _bump(BoundaryTerms(inputs.years, inputs.vol, reward, cost).take(rows))
        base, is_solved = solve(terms[BASE])
        roots[rows, BASE] = base
        at_expiry = log_at_expiry(terms[BASE].reward, terms[BASE].cost)
        for case in range(1, cases):
            moved = log_at_expiry(terms[case].reward, terms[case].cost) - at_expiry
            roots[rows, case], also = solve(terms[case], np.maximum(base + moved[:, None], 0.0))
            is_solved &= also
        reasons[rows[~is_solved]] = UNSOLVED
        return cls(inputs, is_european, reasons, roots)

    def __len__(self) -> int:
        return len(self.reasons)

    def fits(self, inputs: Inputs) -> bool:
        """Whether `inputs` are those that it was made from, apart from their spot."""
        return all(
            np.array_equal(ours, theirs)
            for name, ours, theirs in zip(Inputs._fields, self._made_for, inputs, strict=True)
            if name != "spot"
        )

    def take(self, rows: Rows) -> "ExerciseBoundary":
        """Boundaries of the chosen options."""
        return ExerciseBoundary(self._made_for.take(rows), self.is_european[rows], self.reasons[rows], self._roots[rows])

    def put(self, rows: Rows, other: "ExerciseBoundary") -> None:
        """Replaces the boundaries of the chosen options, as when their vols alone have changed."""
        made_for = Inputs(*(column.copy() for column in self._made_for))
        for mine, theirs in zip(made_for, other._made_for, strict=True):
            mine[rows] = theirs
        self._made_for = made_for
        self.is_european[rows] = other.is_european
        self.reasons[rows] = other.reasons
        self._roots[rows] = other._roots

    def shorten(self, years: Array) -> "ExerciseBoundary":
        """The boundaries with less time left, `years` for each option: the same function of time, not solved again.

        Values then err by less than 1e-5 of max(spot, strike), down to a twentieth of the time. 20 us an option.
        """
        before = self._made_for.years
        if not (years <= before).all():
            raise ValueError("a boundary serves for less time than it was made for, not for more")
        fraction = np.where(years > AT_EXPIRY, years / np.where(before > 0.0, before, 1.0), 1.0)
        roots = shorten(self._roots.reshape(-1, NODES), np.repeat(fraction, CASES)).reshape(self._roots.shape)
        made_for = self._made_for._replace(years=years, years_settle=years)
        return ExerciseBoundary(made_for, self.is_european, self.reasons, roots)


def exercise_never_pays(inputs: Inputs) -> NDArray[np.bool_]:
    """Options whose American right is worth nothing: exercise earns no interest, at any spot in the money.

    A call whose base rate is 0 or less and not above its quote rate; a put the same with its rates swapped.
    """
    reward, cost = _reward_and_cost(inputs)
    return np.asarray((reward <= 0.0) & (cost >= reward))


def on_one_clock(inputs: Inputs) -> Inputs:
    """The same options with rates that run over the vol's time: as much growth and as much variance until expiry.

    A value depends on vol^2 years and on rate x years_settle alone. Of an American right that takes growth and variance to
    come at one pace, days of settlement among them. O(options).
    """
    pace = _pace(inputs)
    return inputs._replace(years_settle=inputs.years, rate_quote=inputs.rate_quote * pace, rate_base=inputs.rate_base * pace)


def on_both_clocks(found: Measures, inputs: Inputs) -> Measures:
    """The measures of `inputs` from those of `on_one_clock(inputs)`: theta takes an hour off both times."""
    pace, years = _pace(inputs), np.where(inputs.years > 0.0, inputs.years, 1.0)
    faster = (inputs.rate_quote * found.rho_quote + inputs.rate_base * found.rho_base) * (pace - 1.0) / years
    return found._replace(theta=found.theta + faster, rho_quote=found.rho_quote * pace, rho_base=found.rho_base * pace)


def _pace(inputs: Inputs) -> Array:
    """Time of settlement for one of vol."""
    differ = (inputs.years > 0.0) & (inputs.years != inputs.years_settle)
    return np.asarray(np.where(differ, inputs.years_settle / np.where(inputs.years > 0.0, inputs.years, 1.0), 1.0))


def american_measures(inputs: Inputs, boundary: ExerciseBoundary | None = None) -> tuple[Measures, Reasons]:
    """The value and Greeks of American options, and for each option a code of AMERICAN_REASONS: 0 where it is valued.

    With the `boundary` made for the same inputs at any spot about 30 us an option; without, it is made first (1.1 ms). An
    option with a reason has NaN for every measure, so that it cannot pass for a price; all others are finite.

    Values err by less than 1e-6 of max(spot, strike) over moneyness 0.5 to 2, an hour to 10 years, vol 1 % to 200 %, rates
    -2 % to 15 %, and never lie below the intrinsic or the European value. Delta errs by less than 1e-5. Gamma is the derivative
    of delta, theta follows from both by the Black-Scholes equation. Vega, rhos, vanna and volga are differences over
    boundaries bumped by 1 % of the vol and 10 bp, of early exercise alone: the European part is exact; vega and rhos err by
    less than 1e-4 of max(spot, strike). At and beyond the boundary an option is its intrinsic value, with a delta of its
    sign and no other Greek.
    """
    if boundary is None:
        boundary = ExerciseBoundary.of(inputs)
    elif not boundary.fits(inputs):
        raise ValueError("this boundary was made for other options, times, vols or rates")
    found = measure(inputs)
    is_valued = boundary.reasons == VALUED
    at_expiry = np.flatnonzero(is_valued & ~boundary.is_european & (inputs.years <= AT_EXPIRY))
    _exercise(found, inputs, at_expiry, at_expiry[_intrinsic(inputs.take(at_expiry)) > 0.0])
    rows = np.flatnonzero(is_valued & ~boundary.is_european & (inputs.years > AT_EXPIRY))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        early = _EarlyExercise(inputs.take(block), boundary._roots[block])
        added = early.add(Measures(*(column[block] for column in found)))
        for column, theirs in zip(found, added, strict=True):
            column[block] = theirs
        exercised = block[early.is_exercised]
        _exercise(found, inputs, exercised, exercised)
    for column in found:
        column[~is_valued] = np.nan
    return found, boundary.reasons.copy()


def american_values(inputs: Inputs, boundary: ExerciseBoundary | None = None) -> tuple[Array, Reasons]:
    """Values alone, as `american_measures` gives them: a seventh of its cost.

    `boundary` is made for the same inputs at any spot, with one case or more; without, it is made first.
    """
    if boundary is None:
        boundary = ExerciseBoundary.of(inputs, cases=1)
    elif not boundary.fits(inputs):
        raise ValueError("this boundary was made for other options, times, vols or rates")
    value = measure(inputs).value
    value[boundary.reasons != VALUED] = np.nan
    rows = np.flatnonzero((boundary.reasons == VALUED) & ~boundary.is_european)
    value[rows] = np.maximum(value[rows], _intrinsic(inputs.take(rows)))
    rows = rows[inputs.years[rows] > AT_EXPIRY]
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        chosen = inputs.take(block)
        early = _EarlyExercise(chosen, boundary._roots[block])
        held = measure(chosen).value + np.maximum(early._integrate(BASE)[0], 0.0)
        intrinsic = _intrinsic(chosen)
        value[block] = np.where(early.is_exercised, intrinsic, np.maximum(held, intrinsic))
    return value, boundary.reasons


def _exercise(found: Measures, inputs: Inputs, rows: NDArray[np.intp], in_the_money: NDArray[np.intp]) -> None:
    """Sets the measures of options that are exercised at once, or at their expiry not at all."""
    for column in found:
        column[rows] = 0.0
    chosen = inputs.take(in_the_money)
    found.value[in_the_money] = _intrinsic(chosen)
    found.delta[in_the_money] = chosen.sign
    _adjust_deltas(found, inputs, in_the_money)


def _adjust_deltas(found: Measures, inputs: Inputs, rows: Rows) -> None:
    """The three other deltas, which follow from value and delta."""
    adjusted = found.delta[rows] - found.value[rows] / inputs.spot[rows]
    carry = np.exp(inputs.rate_base[rows] * inputs.years_settle[rows])
    found.delta_forward[rows] = found.delta[rows] * carry
    found.delta_pa[rows] = adjusted
    found.delta_forward_pa[rows] = adjusted * carry


def _intrinsic(inputs: Inputs) -> Array:
    return np.maximum(inputs.sign * (inputs.spot - inputs.strike), 0.0)


def _reward_and_cost(inputs: Inputs) -> tuple[Array, Array]:
    """The rate that exercise earns and the one that it gives up: a put's quote and base rates, a call's swapped."""
    is_put = inputs.sign < 0.0
    return np.where(is_put, inputs.rate_quote, inputs.rate_base), np.where(is_put, inputs.rate_base, inputs.rate_quote)


def _bump(base: BoundaryTerms) -> list[BoundaryTerms]:
    """The terms of every case; a reward stays at 0 or above, where there is one boundary."""
    _, vol, reward, cost = base
    is_zero = reward == 0.0
    down = np.where(reward > 2.0 * RATE_BUMP, reward - RATE_BUMP, 0.5 * reward)
    up = np.where(is_zero, 0.1 * RATE_BUMP, 2.0 * reward - down)
    by = np.where(is_zero, np.minimum(RATE_BUMP, -0.5 * cost), RATE_BUMP)
    return [
        base,
        base._replace(vol=vol * (1.0 + VOL_BUMP)),
        base._replace(vol=vol * (1.0 - VOL_BUMP)),
        base._replace(reward=up),
        base._replace(reward=down),
        base._replace(cost=cost + by),
        base._replace(cost=cost - by),
    ]


class _EarlyExercise:
    """What early exercise adds to options that have a boundary, from the roots of all cases."""

    def __init__(self, inputs: Inputs, roots: Array) -> None:
        self._inputs = inputs
        self._roots = roots
        self._cases = _bump(BoundaryTerms(inputs.years, inputs.vol, *_reward_and_cost(inputs)))
        base = self._cases[BASE]
        self._deviation = base.vol * np.sqrt(base.years)
        now = log_at_expiry(base.reward, base.cost) - roots[:, BASE, 0]
        self._boundary = inputs.strike * np.exp(-inputs.sign * now)
        beyond = inputs.sign * np.log(inputs.spot / self._boundary)
        self.is_exercised = beyond >= 0.0
        self._is_near = ~self.is_exercised & (beyond > -NEAR_BOUNDARY * self._deviation)

    def add(self, european: Measures) -> Measures:
        """The measures of the American options, from those of the European ones; where exercised, nothing of use."""
        inputs, cases = self._inputs, self._cases
        value, delta, gamma = self._integrate(BASE)
        vol_up, vol_down = self._integrate(VOL_UP), self._integrate(VOL_DOWN)
        by_vol = cases[VOL_UP].vol - cases[BASE].vol
        by_reward = _slope(self, REWARD_UP, REWARD_DOWN, cases[REWARD_UP].reward - cases[REWARD_DOWN].reward)
        by_cost = _slope(self, COST_UP, COST_DOWN, cases[COST_UP].cost - cases[COST_DOWN].cost)
        is_put = inputs.sign < 0.0
        found = Measures(*(column.copy() for column in european))._replace(
            value=np.maximum(european.value + np.maximum(value, 0.0), _intrinsic(inputs)),
            delta=european.delta + delta,
            gamma=european.gamma + gamma,
            vega=european.vega + (vol_up[0] - vol_down[0]) / (2.0 * by_vol),
            rho_quote=european.rho_quote + np.where(is_put, by_reward, by_cost),
            rho_base=european.rho_base + np.where(is_put, by_cost, by_reward),
            vanna=european.vanna + (vol_up[1] - vol_down[1]) / (2.0 * by_vol),
            volga=european.volga + (vol_up[0] - 2.0 * value + vol_down[0]) / by_vol**2,
        )
        self._approach(found)
        _adjust_deltas(found, inputs, slice(None))
        drift = (inputs.rate_quote - inputs.rate_base) * inputs.spot * found.delta
        convexity = 0.5 * (inputs.vol * inputs.spot) ** 2 * found.gamma
        return found._replace(theta=inputs.rate_quote * found.value - drift - convexity)

    def _approach(self, found: Measures) -> None:
        """Delta and gamma next to the boundary, where the integral's points are too far apart: from its edge inwards.

        At the boundary delta is the sign, theta is 0 and gamma follows; gamma is straight from there to the edge.
        """
        near = np.flatnonzero(self._is_near)
        if not len(near):
            return
        inputs, boundary = self._inputs.take(near), self._boundary[near]
        edge = boundary * np.exp(-inputs.sign * NEAR_BOUNDARY * self._deviation[near])
        there = inputs._replace(spot=edge)
        gamma_there = measure(there).gamma + _EarlyExercise(there, self._roots[near])._integrate(BASE)[2]
        earned = inputs.sign * (inputs.rate_base * boundary - inputs.rate_quote * inputs.strike)
        gamma_at = 2.0 * earned / (inputs.vol * boundary) ** 2
        away = inputs.spot - boundary
        bend = (gamma_there - gamma_at) * away / (edge - boundary)
        found.gamma[near] = gamma_at + bend
        found.delta[near] = inputs.sign + (gamma_at + 0.5 * bend) * away

    def _integrate(self, case: int) -> tuple[Array, Array, Array]:
        """Value, delta and gamma of early exercise: interest on what is exercised, over the time until it is (Kim, 1990)."""
        terms, inputs = self._cases[case], self._inputs
        sines, cosines, weights = angles(POINTS, CROWDING)
        roots = roots_at(self._roots[:, case], cosines)
        sign, spot, strike = inputs.sign[:, None], inputs.spot[:, None], inputs.strike[:, None]
        is_put = sign < 0.0
        reward, cost = terms.reward[:, None], terms.cost[:, None]
        quote, base = np.where(is_put, reward, cost), np.where(is_put, cost, reward)
        boundary = strike * np.exp(sign * (roots - log_at_expiry(terms.reward, terms.cost)[:, None]))
        later = terms.years[:, None] * (sines * sines)
        deviation = terms.vol[:, None] * np.sqrt(later)
        weights = terms.years[:, None] * weights
        d2 = (np.log(spot / boundary) + (quote - base) * later) / deviation - 0.5 * deviation
        d1 = d2 + deviation
        weighted = weights * np.exp(-base * later)
        held = weighted * base * sign * scipy.special.ndtr(sign * d1)
        value = spot * held - weights * quote * strike * np.exp(-quote * later) * sign * scipy.special.ndtr(sign * d2)
        if case > VOL_DOWN:
            # Of bumped rates the value is all that is asked for.
            return value.sum(axis=1), NOTHING, NOTHING
        gain = base - quote * strike / boundary
        density = DENSITY_AT_0 * np.exp(-0.5 * d1 * d1) * weighted / deviation
        gamma = density * (base - gain * d1 / deviation)
        return value.sum(axis=1), (held + density * gain).sum(axis=1), gamma.sum(axis=1) / inputs.spot


def _slope(early: _EarlyExercise, up: int, down: int, apart: Array) -> Array:
    return (early._integrate(up)[0] - early._integrate(down)[0]) / apart
