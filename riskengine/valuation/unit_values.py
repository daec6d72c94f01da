"""What one unit of each instrument is worth at one moment: what a beat makes, and everything else is multiplied by.

Immutable: snapshots share them.
"""

from copy import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.market.currencies import Rates
from riskengine.market.marks import Mark
from riskengine.records.types import FloatArray


class Units(NamedTuple):
    """What one unit of each instrument is worth, by instrument number, and the marks behind it. Read-only arrays.

    price        mark, in the instrument's currency; 0 where not `priced`
    value        k m X, in the reporting currency per unit of quantity; 0 where price or rate is unknown
    rate         X of the cash currency; 0 where not `rated`
    mark_ts      event time of the mark, 0 where there is none
    stale_mark   the mark is older than the limit
    stale_rate   a pair on the path of the rate is
    """

    price: FloatArray
    priced: npt.NDArray[np.bool_]
    value: FloatArray
    rate: FloatArray
    rated: npt.NDArray[np.bool_]
    mark_ts: npt.NDArray[np.int64]
    stale_mark: npt.NDArray[np.bool_]
    stale_rate: npt.NDArray[np.bool_]
    marks: tuple[Mark | None, ...]


class Factors:
    """The unit values of one moment in the shapes that the products need. Built once per beat. O(instruments)."""

    def __init__(self, units: Units, rates: Rates) -> None:
        self.currency = rates.value
        self.currency_size = np.abs(rates.value)
        unmarked = units.rated & ~units.priced
        self.unmarked_rate = np.where(unmarked, units.rate, 0.0)
        self.unmarked = unmarked.astype(np.float64)
        self.unrated = (~units.rated).astype(np.float64)
        self.any_unmarked = bool(unmarked.any())
        self.any_unrated = not bool(units.rated.all())
        stale_rate = units.stale_rate & units.rated
        self.stale_open = (units.stale_mark & units.priced & units.rated & ~stale_rate).astype(np.float64)
        self.stale_held = stale_rate.astype(np.float64)
        self.any_stale = bool(self.stale_open.any() or self.stale_held.any())
        self._set_value(units)

    def repriced(self, units: Units) -> "Factors":
        """The same with other prices, where no rate and no flag has changed."""
        factors = copy(self)
        factors._set_value(units)
        return factors

    def _set_value(self, units: Units) -> None:
        self.value = units.value
        self.size = np.abs(units.value)
