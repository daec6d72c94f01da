"""The vols that the own quotes of options imply, for options without any other vol.

A European one is solved again with every change of its quote, spot or rates, an American one, which takes milliseconds, in its
turn: at most MOST_AT_ONCE a beat, those first whose vol is oldest. Its value is its quote meanwhile; `is_behind` says that more
is to come. Writer thread.
"""

from typing import NamedTuple

import numpy as np

from riskengine.pricing.american import exercise_never_pays, on_one_clock
from riskengine.pricing.black_scholes import Inputs
from riskengine.pricing.implied_vol import REASONS, implied_vols
from riskengine.records.types import BoolArray, FloatArray, IntArray, ObjectArray
from riskengine.valuation.options.terms import OptionTerms

MOST_AT_ONCE = 5
"""American options whose vol one beat looks for."""

TEXTS = np.array([f"its quote implies no vol: {reason}" if reason else "" for reason in REASONS], dtype=np.object_)
NOT_YET = "the vol that its quote implies is being worked out"


class Implied(NamedTuple):
    """Implied vols by place, 0 where there is none, and why."""

    vol: FloatArray
    why: ObjectArray


class ImpliedVols:
    """The vols of all options, by place, and what they were worked out from."""

    def __init__(self, terms: OptionTerms) -> None:
        size = len(terms.number)
        self._is_american = terms.is_american
        self._price = np.full(size, np.nan)
        self._from = Inputs(*(np.full(size, np.nan) for _ in Inputs._fields))
        self._turn = np.zeros(size, dtype=np.int64)
        self._turns = 0
        self.found = Implied(np.zeros(size), np.full(size, "", dtype=np.object_))
        self.is_behind = False

    def bring(self, where: BoolArray, price: FloatArray, inputs: Inputs) -> Implied:
        """The implied vols of the options in `where`; `price` in the quote currency per unit of base. O(changed)."""
        if not where.any():
            self.is_behind = False
            return self.found
        changed = where & (price != self._price)
        for name in ("spot", "strike", "years", "years_settle", "rate_quote", "rate_base"):
            changed |= where & (getattr(inputs, name) != getattr(self._from, name))
        places = np.flatnonzero(changed)
        slow = self._is_american[places]
        slow[slow] = ~exercise_never_pays(on_one_clock(inputs.take(places[slow])))
        turn = places[slow][np.argsort(self._turn[places[slow]], kind="stable")]
        self.is_behind = len(turn) > MOST_AT_ONCE
        chosen = np.sort(np.concatenate((places[~slow], turn[:MOST_AT_ONCE])))
        if len(chosen) or self.is_behind:
            self._solve(chosen, turn[MOST_AT_ONCE:], price, inputs)
        return self.found

    def _solve(self, places: IntArray, waiting: IntArray, price: FloatArray, inputs: Inputs) -> None:
        vol, why = self.found.vol.copy(), self.found.why.copy()
        first = waiting[np.isnan(self._price[waiting])]
        why[first] = NOT_YET
        if len(places):
            self._turns += 1
            chosen, is_american = inputs.take(places), self._is_american[places]
            one = on_one_clock(chosen)
            chosen = Inputs(*(np.where(is_american, theirs, own) for theirs, own in zip(one, chosen, strict=True)))
            vols, reasons = implied_vols(price[places], chosen, is_american)
            vol[places], why[places] = vols, TEXTS[reasons]
            self._price[places], self._turn[places] = price[places], self._turns
            for kept, now in zip(self._from, inputs, strict=True):
                kept[places] = now[places]
        self.found = Implied(vol, why)
