"""Value at risk and expected shortfall of P&L vectors (ACCOUNTING section 7). Pure; any thread.

With n scenarios and level c, the tail has n (1 - c) scenarios, which need not be a whole number. VaR is loss number
`ceil(n (1 - c))`, counted from the worst; expected shortfall is the mean loss of the tail, in which the last scenario counts with
the fraction that is left. Both are positive for a loss, in the currency of the vectors. `c` is a decimal: 500 scenarios at 0.99
have a tail of exactly 5.

>>> tail = LossTail.of(500, Decimal("0.99"))
>>> tail.size, tail.place
(Decimal('5.00'), 5)
"""

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

import numpy as np

from riskengine.records.types import FloatArray, IntArray

ES_CONVENTION = "fractional_tail_mean"
"""How expected shortfall counts a tail that is no whole number of scenarios; sent beside it."""


class LossTail(NamedTuple):
    """Which of the sorted losses are in the tail.

    size     n (1 - c), exact
    place    the loss that is VaR: 1 is the worst
    weights  of the `place` worst losses in expected shortfall; their sum is 1
    """

    size: Decimal
    place: int
    weights: FloatArray

    @classmethod
    def of(cls, scenarios: int, level: Decimal) -> "LossTail":
        """The tail of so many scenarios at a level in (0, 1). Raises ValueError for another level, and without scenarios."""
        if not (Decimal(0) < level < Decimal(1)) or scenarios < 1:
            raise ValueError(f"a tail needs a scenario and a level between 0 and 1: {scenarios}, {level}")
        size = scenarios * (1 - level)
        place = int(size.to_integral_value(ROUND_CEILING))
        weights = np.ones(place)
        weights[-1] = float(size - (place - 1))
        return cls(size, place, weights / float(size))


class Worst(NamedTuple):
    """VaR and expected shortfall of one vector, and the scenarios behind them.

    var, es    positive: a loss
    order      the scenarios of the tail, worst first; of equal ones the earlier first. The last of them is that of VaR
    """

    var: float
    es: float
    order: IntArray


def worst_of(pnl: FloatArray, tail: LossTail) -> Worst:
    """Of one P&L vector (profit > 0). O(n log n)."""
    order = np.argsort(pnl, kind="stable")[: tail.place]
    losses = -pnl[order]
    return Worst(float(losses[-1]) + 0.0, float(losses @ tail.weights) + 0.0, order)


def var_and_es(pnl: FloatArray, tail: LossTail) -> tuple[FloatArray, FloatArray]:
    """Of many vectors at once, a row each: shape (vectors,) both. 5 us for 500 scenarios."""
    losses = -np.partition(pnl, tail.place - 1, axis=1)[:, : tail.place]
    losses[:, ::-1].sort(axis=1)
    return losses[:, -1] + 0.0, losses @ tail.weights + 0.0


def contributions(parts: FloatArray, worst: Worst, tail: LossTail) -> tuple[FloatArray, FloatArray]:
    """What each part adds to VaR and to expected shortfall of the sum of all parts; `parts` has a P&L vector a row.

    A part adds what it loses in the very scenarios that make the figure, so the contributions sum to it. Negative: it takes away.
    """
    losses = -parts[:, worst.order]
    return losses[:, -1] + 0.0, losses @ tail.weights + 0.0
