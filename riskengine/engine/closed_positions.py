"""The leaf positions of a close, in columns: what each was, and its P&L to date of the month and the year. Pure; any thread.

Made in slices, as `RowColumns`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter

import numpy as np

from riskengine.engine.closing_market import ClosingMarket
from riskengine.positions.ledger import SHIFT
from riskengine.positions.position import NO_FEES
from riskengine.records.closes import ClosedPosition
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, ONE, BoolArray, FloatArray, IntArray
from riskengine.valuation.day_start import DayStart, StartTable, columns_of
from riskengine.valuation.row_columns import SLICE, RowColumns

_closed_position = partial(tuple.__new__, ClosedPosition)


def closed_positions(
    held: RowColumns,
    names: Sequence[str],
    reference: Reference,
    table: StartTable | None,
    start: DayStart | None,
    market: ClosingMarket,
) -> tuple[ClosedPosition, ...]:
    """The positions of one roll-up by owner and instrument, without those that are set aside, whose amounts are unknown.

    `held` has owners by name.
    """
    quarantined = held.amounts("quarantined", 1)
    if quarantined.any():
        held = held.select(quarantined == 0.0)
    to_date: tuple[FloatArray, FloatArray] = (np.zeros(len(held)), np.zeros(len(held)))
    if table is not None and start is not None:
        to_date = _to_date(held, table, start, market, reference)
    symbols = reference.symbols
    found: list[ClosedPosition] = []
    for first in range(0, len(held), SLICE):
        some = slice(first, first + SLICE)
        rows = held.rows[some]
        columns = (
            [names[owner] for owner in held.owners[some].tolist()],
            [symbols[number] for number in held.instruments[some].tolist()],
            [row.quantity for row in rows],
            [row.cash for row in rows],
            [row.average for row in rows],
            [row.fees for row in rows],
            _or_none(to_date[0][some]),
            _or_none(to_date[1][some]),
            [row.beside or NO_FEES for row in rows],
        )
        found += map(_closed_position, zip(*columns, strict=True))
    if len(symbols) > reference.loaded:  # forwards that trades have made are summed behind all others, and stored by name
        found.sort(key=itemgetter(0, 1))
    return tuple(found)


def _or_none(amounts: FloatArray) -> list[float | None]:
    """The amounts; None where they are not a number."""
    unknown = np.isnan(amounts)
    if not unknown.any():
        return amounts.tolist()  # type: ignore[no-any-return]
    return np.where(unknown, None, amounts.astype(np.object_)).tolist()  # type: ignore[no-any-return,call-overload]


def _to_date(
    held: RowColumns, table: StartTable, start: DayStart, market: ClosingMarket, reference: Reference
) -> tuple[FloatArray, FloatArray]:
    """P&L of month and year to date of each position, the day included; nan where unknown. O(positions log positions)."""
    keys = held.owners.astype(np.int64) << SHIFT | held.instruments
    units, numbers, index = market.units, held.instruments, reference.currency_index
    quantity, cash = held.amounts("quantity", ONE), held.amounts("cash", CASH_ONE)
    known = units.rated[numbers] & (units.priced[numbers] | (quantity == 0.0))
    worth = np.where(known, quantity * units.value[numbers] + cash * units.rate[numbers], np.nan)
    before = _published_worth(keys, table, start, market, index)
    day_pnl = worth - before + _beside_worth(held, keys, table, start, market, index)
    padded_month, padded_year = np.append(table.month, 0.0), np.append(table.year, 0.0)
    places = np.searchsorted(table.keys, keys)
    places[np.append(table.keys, -1)[places] != keys] = len(table.keys)
    return padded_month[places] + day_pnl, padded_year[places] + day_pnl


def _published_worth(
    keys: IntArray, table: StartTable, start: DayStart, market: ClosingMarket, index: Mapping[str, int]
) -> FloatArray:
    """What each position was worth at the close before, as published; nan where unknown."""
    units, prices = market.units, start.prices
    unmarked: BoolArray = ~(units.priced & units.rated)
    order = np.argsort(keys, kind="stable")
    columns = columns_of(table, keys[order], prices, market.terms.cash_currency, unmarked, index)
    scale = market.terms.multiplier[columns.instruments]
    first = columns.published_quantity * scale * np.nan_to_num(prices.published)[columns.instruments]
    rate = np.nan_to_num(prices.rate)[market.terms.cash_currency[columns.instruments]]
    before: FloatArray = np.empty(len(keys))
    before[order] = np.where(columns.is_unknown, np.nan, (columns.published_cash + first) * rate)
    return before


def _beside_worth(
    held: RowColumns, keys: IntArray, table: StartTable, start: DayStart, market: ClosingMarket, index: Mapping[str, int]
) -> FloatArray:
    """What amounts beside net cash add to the P&L of the day of each position; nan where a rate is unknown."""
    found, beside = np.zeros(len(held)), held.column("beside")
    if not table.beside and not any(beside):
        return found
    factors, rates = market.factors, start.prices.rate
    for place, (key, now) in enumerate(zip(keys.tolist(), beside, strict=True)):
        before = table.beside.get(key, NO_FEES)
        for code, units in (now or NO_FEES).items():
            at = index[code]
            found[place] += units / CASH_ONE * factors.fees.item(at) if factors.fees_known.item(at) else np.nan
        for code, units in before.items():
            found[place] -= units / CASH_ONE * rates.item(index[code]) if code in index else np.nan
    return found
