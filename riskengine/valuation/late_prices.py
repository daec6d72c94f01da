"""P&L to date of what a close was published without a price of, once a later version has one. Pure; any thread.

A difference between versions is `correction_pnl` of the current day, measured from the first price that was published. So where
the first price came with a later version, what the position made until that close is in no day: it is put into the P&L to date.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, OwnerTotals
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.types import FloatArray

DAY = CLOSE_MEASURES.index("day_pnl")
TO_DATE = (CLOSE_MEASURES.index("month_pnl"), CLOSE_MEASURES.index("year_pnl"))


class ClosedRollup(NamedTuple):
    """One roll-up of one version of a close."""

    positions: Sequence[ClosedPosition]
    totals: OwnerTotals


class _Gain(NamedTuple):
    """What an owner gained by a version: through positions that had no price before, and through other prices of the rest."""

    late: FloatArray
    others: FloatArray


def with_late_prices(versions: Sequence[ClosedRollup], hierarchy: Hierarchy | None) -> ClosedRollup:
    """The first version, with the P&L to date of positions that had no price then, and with theirs in the totals of owners.

    Without such a position it is the first version itself. O(positions), O(positions x versions) with one.
    """
    first = versions[0]
    if len(versions) == 1 or all(each.month_pnl is not None and each.year_pnl is not None for each in first.positions):
        return first
    known = {(each.owner, each.instrument): each for each in first.positions}
    amounts = first.totals.amounts.copy()
    for before, after in pairwise(versions):
        gains = _gains(before, after, hierarchy)
        places = {owner: at for at, owner in enumerate(after.totals.owners)}
        for at, owner in enumerate(first.totals.owners):
            gain = gains.get(owner)
            if gain is not None:
                had, has = amounts[TO_DATE, at], after.totals.amounts[TO_DATE, places[owner]]
                amounts[TO_DATE, at] = np.where(np.isnan(had), has - gain.others, had + gain.late)
        for each in after.positions:
            was = known.get((each.owner, each.instrument))
            if was is not None:
                month = each.month_pnl if was.month_pnl is None else was.month_pnl
                year = each.year_pnl if was.year_pnl is None else was.year_pnl
                known[each.owner, each.instrument] = was._replace(month_pnl=month, year_pnl=year)
    return ClosedRollup([*known.values()], OwnerTotals(first.totals.owners, amounts))


def _gains(before: ClosedRollup, after: ClosedRollup, hierarchy: Hierarchy | None) -> Mapping[str, _Gain]:
    """By owner, those above leaves too; only of owners that have a position with a first price."""
    was = {(each.owner, each.instrument): each for each in before.positions}
    pairs = [(was[key], each) for each in after.positions if (key := (each.owner, each.instrument)) in was]
    late = {each.owner for earlier, each in pairs if _unknown(earlier) != _unknown(each)}
    others = {owner: np.zeros(2) for owner in late}
    for earlier, each in pairs:
        if each.owner in late:
            others[each.owner] += (_moved(earlier.month_pnl, each.month_pnl), _moved(earlier.year_pnl, each.year_pnl))
    days = [dict(zip(each.totals.owners, np.nan_to_num(each.totals.amounts[DAY]), strict=True)) for each in (before, after)]
    gains: dict[str, _Gain] = {}
    for owner in sorted(late & days[0].keys() & days[1].keys()):
        gain = _Gain(days[1][owner] - days[0][owner] - others[owner], others[owner])
        above = () if hierarchy is None else hierarchy.ancestors[hierarchy.index[owner]] if owner in hierarchy.index else ()
        for name in (owner, *(hierarchy.names[each] for each in above if hierarchy is not None)):
            had = gains.get(name, _Gain(np.zeros(2), np.zeros(2)))
            gains[name] = _Gain(had.late + gain.late, had.others + gain.others)
    return gains


def _unknown(position: ClosedPosition) -> tuple[bool, bool]:
    return position.month_pnl is None, position.year_pnl is None


def _moved(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else after - before
