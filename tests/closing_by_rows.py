"""The close of a day made row by row: what `engine.closing` makes in columns. It shares no loop over positions with it."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from riskengine.config import Config
from riskengine.engine.closing import ClosedBook, ClosingDay, ClosingRows, put_overrides, snapshot_at_close
from riskengine.engine.closing_market import ClosingMarket
from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, ClosePrice, OwnerTotals, StruckClose
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, ONE
from riskengine.snapshot.rows import dealer_row, node_row
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from riskengine.valuation.day_start import DayStart, StartTable
from riskengine.valuation.day_values import DayValues
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.number_pages import PAGE


def close_by_rows(rows: ClosingRows, prices: Mapping[str, ClosePrice], day: ClosingDay, config: Config) -> StruckClose:
    snapshot = rows.snapshot
    reference, names = snapshot.reference, snapshot.reference.hierarchy.names
    market = ClosingMarket.of(reference, prices, day.ts, config)
    nodes, node_books = _table(rows, snapshot.nodes, rows.nodes, reference.hierarchy, market)
    dealers, dealer_books = _table(rows, snapshot.dealers, rows.dealer_positions, None, market)
    closing = snapshot_at_close(snapshot, nodes, dealers, market, day.ts)
    leaves = [(owner, book) for owner, book in enumerate(node_books) if reference.hierarchy.is_leaf(owner)]
    return StruckClose(
        date=day.date,
        version=day.version,
        ts=day.ts,
        struck_ts=day.struck_ts,
        reporting_currency=reference.reporting_currency,
        prices={symbol: prices[symbol] for symbol in sorted(prices)},
        rates=market.known_rates(reference),
        nodes=_positions(leaves, names, reference, nodes, snapshot.day, market),
        dealers=_positions([*enumerate(dealer_books)], snapshot.dealer_names, reference, dealers, snapshot.day, market),
        node_totals=_totals(closing, names, node_row),
        dealer_totals=_totals(closing, snapshot.dealer_names, dealer_row),
        openings=rows.openings,
    )


def _table(
    rows: ClosingRows, table: Table, overrides: Any, hierarchy: Hierarchy | None, market: ClosingMarket
) -> tuple[Table, list[ClosedBook]]:
    """A roll-up at the close, with every number that a live one has."""
    snapshot, reference = rows.snapshot, rows.snapshot.reference
    states = [table.state(owner) for owner in range(table.size)]
    books = [ClosedBook(state) for state in states]
    for owner in put_overrides(books, overrides, hierarchy, reference):
        held = books[owner].rows
        counts = (len(held), sum(row.trade_count for row in held), max((row.last_trade_ts for row in held), default=0))
        states[owner] = OwnerState((tuple(held),), *counts, states[owner].quarantined_count)
    valuation = Valuation(reference, hierarchy)
    while valuation.size < len(books):
        valuation.add_owner()
    valuation.take_all(books, market.factors)
    day = None
    if table.day is not None and snapshot.day is not None:
        prices = snapshot.day.prices
        day = DayValues(reference, hierarchy, table.day.start, prices, books, market.units, market.factors).table
    if valuation.node_cash is not None:
        for (node, currency), units in rows.movements.items():
            valuation.node_cash.move(node, currency, units)
        valuation.node_cash.reprice(market.factors)
    pages = tuple(tuple(states[first : first + PAGE]) for first in range(0, len(states), PAGE))
    cash = None if valuation.node_cash is None else valuation.node_cash.values
    return Table(table.size, pages, valuation.pages, table.broken, cash, day), books


def _totals(closing: Snapshot, names: Sequence[str], row_of: Callable[[Snapshot, int], dict[str, Any]]) -> OwnerTotals:
    rows = [row_of(closing, owner) for owner in range(len(names))]
    if closing.day is None:
        rows = [row | {"month_pnl": 0.0, "year_pnl": 0.0} for row in rows]
    amounts = [[nan if (amount := row.get(field)) is None else amount for row in rows] for field in CLOSE_MEASURES]
    return OwnerTotals(tuple(names), np.array(amounts, dtype=np.float64).reshape(len(CLOSE_MEASURES), len(rows)))


def _positions(
    books: Sequence[tuple[int, ClosedBook]],
    names: Sequence[str],
    reference: Reference,
    table: Table,
    start: DayStart | None,
    market: ClosingMarket,
) -> tuple[ClosedPosition, ...]:
    found = []
    for owner, book in sorted(books, key=lambda each: names[each[0]]):
        for row in sorted(book.rows, key=lambda row: row.instrument):
            if row.quarantined:
                continue
            month = year = 0.0
            if table.day is not None and start is not None:
                month, year = _to_date(owner, row, table.day.start, start, market, reference)
            held = ClosedPosition(names[owner], reference.symbols[row.instrument], row.quantity, row.cash, row.average, row.fees)
            month_pnl, year_pnl = (None if isnan(amount) else amount for amount in (month, year))
            found.append(held._replace(month_pnl=month_pnl, year_pnl=year_pnl, beside=row.beside or NO_FEES))
    return tuple(found)


def _to_date(
    owner: int, row: Row, table: StartTable, day: DayStart, market: ClosingMarket, reference: Reference
) -> tuple[float, float]:
    start, number, units, prices = table.start(owner, row.instrument), row.instrument, market.units, day.prices
    if start is None:
        return nan, nan
    currency = reference.cash_currency[number]
    was_open = bool(start.quantity or start.published_quantity)
    carried = was_open or bool(start.cash or start.published_cash)
    is_marked = bool(units.priced[number] and units.rated[number])
    if was_open and (not is_marked or isnan(prices.price[number]) or isnan(prices.published[number])):
        return nan, nan
    if (carried and isnan(prices.rate[currency])) or not units.rated[number] or (row.quantity and not units.priced[number]):
        return nan, nan
    published = start.published_quantity / ONE * market.terms.multiplier.item(number) * _or_zero(prices.published[number])
    before = (start.published_cash / CASH_ONE + published) * _or_zero(prices.rate[currency])
    worth = row.quantity / ONE * units.value.item(number) + row.cash / CASH_ONE * units.rate.item(number)
    beside, factors, index = 0.0, market.factors, reference.currency_index
    for code, amount in (row.beside or NO_FEES).items():
        beside += amount / CASH_ONE * factors.fees.item(index[code]) if factors.fees_known[index[code]] else nan
    for code, amount in start.published_beside.items():
        beside -= amount / CASH_ONE * prices.rate.item(index[code])
    if any(isnan(prices.rate[index[code]]) for code in (*start.beside, *start.published_beside)):
        return nan, nan
    return start.month + (worth - before + beside), start.year + (worth - before + beside)


def _or_zero(amount: float) -> float:
    return 0.0 if isnan(amount) else float(amount)
