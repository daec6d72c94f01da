"""What nodes and dealers come to at a close: the fields of their rows, in columns. Pure; any thread.

The formulas are those of `snapshot.rows`, `day_lines` and `cash_rows`, over arrays, for owners of which all amounts are known.
The rows of the few others are made one by one.
"""

from collections.abc import Callable, Sequence

import numpy as np

from riskengine.positions.ledger import ALL_ROWS, MASK, SHIFT
from riskengine.records.closes import CLOSE_MEASURES, OwnerTotals
from riskengine.records.types import BoolArray, FloatArray
from riskengine.snapshot.day_lines import SNAP
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.cash_values import CashValues
from riskengine.valuation.day_values import (
    CARRY,
    CORRECTION,
    DAY_NUMBERS,
    POSITION,
    START,
    START_FEES,
    TRANSLATION,
    UNKNOWN_COUNT,
    UNKNOWN_TOTAL,
    DayTable,
)
from riskengine.valuation.number_pages import DELTA, FEES, GROSS, MEASURES, NET, TOTAL, UNPRICED, NumberPages

TO_DATE = ("month_pnl", "year_pnl")


def closing_totals(
    snapshot: Snapshot, table: Table, names: Sequence[str], row_of: Callable[[Snapshot, int], RowDict]
) -> OwnerTotals:
    """The amounts of every owner of one roll-up, from the `snapshot` of the close. O(owners).

    `row_of` makes the row of one owner. P&L to date begins with the first close.
    """
    size, numbers = table.size, _joined(table.numbers)
    day = _day_numbers(table.day, size)
    columns = dict.fromkeys(CLOSE_MEASURES, np.full(size, np.nan))
    fees, total, gross = numbers[FEES] + 0.0, numbers[TOTAL] + 0.0, numbers[GROSS]
    columns |= {"total_pnl": total, "fees": fees, "net_exposure": numbers[NET] + 0.0, "gross_exposure": gross}
    if table.cash is not None:
        columns["nav"] = table.cash.movements + total - fees + 0.0
    if day is not None and table.day is not None:
        day_pnl = _day_pnl(day, total, np.abs(numbers[DELTA]) + gross)
        columns["day_pnl"] = day_pnl + 0.0
        columns["net_day_pnl"] = day_pnl - (fees - day[START_FEES]) + 0.0
        known = table.day.start.owner_to_date
        before = np.array([known.get(owner, (0.0, 0.0)) for owner in range(size)], dtype=np.float64).reshape(size, 2)
        columns |= {field: before[:, at] + day_pnl + 0.0 for at, field in enumerate(TO_DATE)}
    amounts = np.array([columns[field] for field in CLOSE_MEASURES], dtype=np.float64).reshape(len(CLOSE_MEASURES), size)
    for owner in np.flatnonzero(~_is_known(table, numbers, day)).tolist():
        row = row_of(snapshot, owner)
        amounts[:, owner] = [np.nan if (amount := row.get(field)) is None else amount for field in CLOSE_MEASURES]
    if snapshot.day is None:
        for field in TO_DATE:
            amounts[CLOSE_MEASURES.index(field)] = 0.0
    return OwnerTotals(tuple(names), amounts)


def _joined(pages: NumberPages) -> FloatArray:
    """The numbers of all owners, a line for each measure."""
    return np.concatenate(tuple(pages), axis=1) if pages else np.zeros((MEASURES, 0))


def _day_numbers(table: DayTable | None, size: int) -> FloatArray | None:
    """The lines of the day of all owners: zeros for dealers who came after the close before."""
    if table is None:
        return None
    numbers = np.zeros((DAY_NUMBERS, size))
    if table.pages:
        known = np.concatenate(table.pages, axis=1)[:, :size]
        numbers[:, : known.shape[1]] = known
    return numbers


def _day_pnl(day: FloatArray, total: FloatArray, scale: FloatArray) -> FloatArray:
    """P&L of the day, as `day_lines.owner_day`; `scale` is the size of the amounts of each owner."""
    moved = day[POSITION] + day[TRANSLATION] + day[CARRY] + day[CORRECTION]
    day_pnl = total - day[UNKNOWN_TOTAL] - day[START]
    trading = day_pnl - day[POSITION] - day[TRANSLATION] - day[CARRY] - day[CORRECTION]
    is_rounding = np.abs(trading) <= SNAP * (scale + np.abs(day[START]) + np.abs(total))
    found: FloatArray = np.where(is_rounding, moved, day_pnl)
    return found


def _is_known(table: Table, numbers: FloatArray, day: FloatArray | None) -> BoolArray:
    """Of which owners each amount is known, those of positions that add to no sum apart."""
    states = [state for page in table.states for state in page]
    count = np.array([state.position_count for state in states], dtype=np.int64)
    aside = np.array([state.quarantined_count for state in states], dtype=np.int64)
    known: BoolArray = (count == 0) | (numbers[UNPRICED].astype(np.int64) + aside < count)
    if day is not None:
        unknown = day[UNKNOWN_COUNT].astype(np.int64)
        known &= (unknown == 0) | (unknown < count)
    known[[key >> SHIFT for key in table.broken if key & MASK == ALL_ROWS]] = False
    known[_without_rate(table.cash)] = False
    return known


def _without_rate(cash: CashValues | None) -> list[int]:
    """The nodes that hold cash in a currency without a rate."""
    return [] if cash is None else sorted(cash.unknown_own)
