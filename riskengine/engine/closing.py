"""The close of a day: what positions were at the boundary, valued with the marks of the close. Pure but for its first step.

`closing_overrides` runs on the writer thread; `make_close` takes what it found to any other: the same rows and the same sums as
live, of another moment and with other marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from riskengine.config import Config
from riskengine.engine.closing_options import ClosingOptions, ValuedOptions, value_options_at
from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.market.marks import CLOSE, Mark, MarkTable
from riskengine.positions.day_window import DayWindow, Held, held_at_close, is_ahead
from riskengine.positions.ledger import MASK, SHIFT, Rollup, Row
from riskengine.positions.position import NO_FEES, open_cost
from riskengine.positions.repair import sum_of
from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, ClosePrice, OwnerTotals, StruckClose
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, MULTIPLIER_DECIMALS, ONE, FloatArray
from riskengine.snapshot.rows import RowDict, dealer_row, node_row
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from riskengine.valuation.day_start import DayStart, StartTable, columns_of
from riskengine.valuation.day_values import DayTable, DayValues
from riskengine.valuation.node_values import PAGE, Valuation
from riskengine.valuation.unit_values import ContractTerms, Factors, Units

Overrides = Mapping[int, Held | None]
"""By leaf key: the position at the close where it is not that of the snapshot; None where there was none."""


class ClosingRows(NamedTuple):
    """What positions were at the end of a day: a snapshot, and the positions that have traded for the next day since.

    dealers   the number of every dealer by name
    openings  (desk, dealer, instrument) of the opening balances in the positions
    movements external movements of nodes themselves up to the boundary, by node and currency, units of 1e-28
    options   what options are valued with; None: they have no more than their quotes
    """

    snapshot: Snapshot
    nodes: Overrides
    dealer_positions: Overrides
    dealers: Mapping[str, int]
    openings: tuple[tuple[str, str, str], ...]
    movements: Mapping[tuple[int, str], int] = {}
    options: ClosingOptions | None = None


class ClosingDay(NamedTuple):
    """Which close is made: its date, the boundary that ends the day, when it is struck, its version."""

    date: str
    ts: int
    struck_ts: int
    version: int = 1


def closing_overrides(rollup: Rollup, keys: Iterable[int], window: DayWindow, reference: Reference) -> dict[int, Held | None]:
    """Positions without their trades that belong after the day, where they have such. O(trades of the keys). Writer thread."""
    found: dict[int, Held | None] = {}
    for key in keys:
        position = rollup.books[key >> SHIFT].positions.get(key & MASK)
        if position is None or position.quarantined or not is_ahead(position, window):
            continue
        instrument = reference.instruments[key & MASK]
        later = all(map(window.is_after, position.trades)) and all(entry.ts >= window.end_ts for entry in position.carry)
        is_new = position.base is None and not position.openings and later
        found[key] = None if is_new else held_at_close(position, window, instrument.contract_multiplier, instrument.currency)
    return found


class ClosedBook:
    """The rows of one owner at the close, as `node_values` and `day_values` read them."""

    def __init__(self, rows: Iterable[Row | None]) -> None:
        self._by_instrument = {row.instrument: row for row in rows if row is not None}

    @property
    def rows(self) -> list[Row]:
        """The rows. O(rows)."""
        return list(self._by_instrument.values())

    def row(self, instrument: int) -> Row | None:
        """The row of an instrument, or None. O(1)."""
        return self._by_instrument.get(instrument)

    def put(self, instrument: int, row: Row | None) -> None:
        """Replace the row of an instrument; None removes it. O(1)."""
        self._by_instrument.pop(instrument, None)
        if row is not None:
            self._by_instrument[instrument] = row


def make_close(rows: ClosingRows, prices: Mapping[str, ClosePrice], day: ClosingDay, config: Config) -> StruckClose:
    """The close of a day from its positions and the marks of the close. O(positions); any thread."""
    snapshot = rows.snapshot
    reference, hierarchy = snapshot.reference, snapshot.reference.hierarchy
    market = _Market.of(reference, prices, day.ts, config, rows.options)
    prices = market.prices
    nodes, node_books = _table_at_close(rows, snapshot.nodes, rows.nodes, hierarchy, market)
    dealers, dealer_books = _table_at_close(rows, snapshot.dealers, rows.dealer_positions, None, market)
    closing = _snapshot_at_close(snapshot, nodes, dealers, market, day.ts)
    dealer_names = snapshot.dealer_names
    leaves = [(number, book) for number, book in enumerate(node_books) if hierarchy.is_leaf(number)]
    is_first = snapshot.day is None
    return StruckClose(
        date=day.date,
        version=day.version,
        ts=day.ts,
        struck_ts=day.struck_ts,
        reporting_currency=reference.reporting_currency,
        prices={symbol: prices[symbol] for symbol in sorted(prices) if symbol in reference.instrument_index},
        rates=market.known_rates(reference),
        nodes=_positions(leaves, hierarchy.names, reference, nodes.day, snapshot.day, market),
        dealers=_positions([*enumerate(dealer_books)], dealer_names, reference, dealers.day, snapshot.day, market),
        node_totals=_totals(hierarchy.names, [node_row(closing, n) for n in range(len(hierarchy))], is_first=is_first),
        dealer_totals=_totals(dealer_names, [dealer_row(closing, n) for n in range(dealers.size)], is_first=is_first),
        openings=rows.openings,
    )


class _Market(NamedTuple):
    """The unit values at the close."""

    terms: ContractTerms
    units: Units
    rates: Rates
    factors: Factors
    prices: Mapping[str, ClosePrice]

    @classmethod
    def of(
        cls,
        reference: Reference,
        prices: Mapping[str, ClosePrice],
        ts: int,
        config: Config,
        options: ClosingOptions | None,
    ) -> "_Market":
        marks = MarkTable(reference, config.marks, config.engine.future_limit_s)
        index = reference.instrument_index
        marks.take(
            {index[symbol]: Mark(each.price, each.ts, each.source, CLOSE) for symbol, each in prices.items() if symbol in index}
        )
        fresh, priced = marks.fresh(ts), marks.priced.copy()
        rates, terms = CurrencyGraph(reference).rates(marks.price, priced, fresh), ContractTerms.of(reference)
        valued = ValuedOptions(None, prices)
        if options is not None and len(reference.options):
            valued = value_options_at(options, reference, marks, rates, prices, ts, config)
        units = Units.of(terms, marks, priced, fresh, rates, marks.shut(ts), valued.marks)
        return cls(terms, units, rates, Factors(units, rates), valued.prices)

    def known_rates(self, reference: Reference) -> dict[str, float]:
        """The rates by currency, those that crypto give among them."""
        value, known = self.rates.fee_value, self.rates.fee_known
        return {code: value.item(number) for code, number in reference.currency_index.items() if known.item(number)}


def _table_at_close(
    rows: ClosingRows, table: Table, overrides: Overrides, hierarchy: Hierarchy | None, market: _Market
) -> tuple[Table, list[ClosedBook]]:
    """One roll-up with the positions and the marks of the close."""
    snapshot = rows.snapshot
    reference = snapshot.reference
    states = [table.state(owner) for owner in range(table.size)]
    books = [ClosedBook(state.rows) for state in states]
    for owner in _put_overrides(books, overrides, hierarchy, reference):
        held = [row for row in books[owner].rows if row is not None]
        counts = (len(held), sum(row.trade_count for row in held), max((row.last_trade_ts for row in held), default=0))
        states[owner] = OwnerState((tuple(held),), *counts, states[owner].quarantined_count)
    valuation = Valuation(reference, hierarchy)
    while valuation.size < len(books):
        valuation.add_owner()
    valuation.take_all(books, market.factors)
    pages = tuple(tuple(states[first : first + PAGE]) for first in range(0, len(states), PAGE))
    day = None
    if table.day is not None and snapshot.day is not None:
        start = table.day.start
        day = DayValues(reference, hierarchy, start, snapshot.day.prices, books, market.units, market.factors).table
    cash = valuation.node_cash
    if cash is not None:
        for (node, currency), units in rows.movements.items():
            cash.move(node, currency, units)
        cash.reprice(market.factors)
    return Table(table.size, pages, valuation.pages, table.broken, None if cash is None else cash.values, day), books


def _put_overrides(
    books: Sequence[ClosedBook], overrides: Overrides, hierarchy: Hierarchy | None, reference: Reference
) -> list[int]:
    """Replace the rows of some positions, and of the sums above them. Returns the owners of all of them."""
    owners: dict[int, None] = {}
    above: dict[int, None] = {}
    for key, held in overrides.items():
        owner, number = key >> SHIFT, key & MASK
        owners[owner] = None
        scale = reference.instruments[number].contract_multiplier / 10**MULTIPLIER_DECIMALS
        books[owner].put(number, None if held is None else _row(number, held, scale))
        for node in hierarchy.ancestors[owner] if hierarchy is not None else ():
            above[node << SHIFT | number] = None
            owners[node] = None
    if hierarchy is not None:
        for key in sorted(above, key=lambda each: -len(hierarchy.ancestors[each >> SHIFT])):
            first, end = hierarchy.children[key >> SHIFT]
            books[key >> SHIFT].put(key & MASK, sum_of(book.row(key & MASK) for book in books[first:end]))
    return list(owners)


def _row(number: int, held: Held, scale: float) -> Row:
    """The row of a position at the close; the number of its trades then is not worked out."""
    quantity, cash, average, fees, beside = held
    if average is None:
        return Row(number, 0, cash, 0, 0, 0, 1, 0, 0, fees, 0, None, None, 0, 0, beside or None)
    cost = open_cost(quantity / ONE * scale * average)
    return Row(number, quantity, cash, cost, 1, cash, 1, 0, 0, fees, 0, average, None, 0, int(quantity > 0), beside or None)


def _snapshot_at_close(snapshot: Snapshot, nodes: Table, dealers: Table, market: _Market, ts: int) -> Snapshot:
    return Snapshot(
        epoch=snapshot.epoch,
        seq=snapshot.seq,
        as_of=ts,
        reference=snapshot.reference,
        nodes=nodes,
        dealers=dealers,
        dealer_names=snapshot.dealer_names,
        units=market.units,
        rates=market.rates,
        counts=snapshot.counts,
        exceptions={},
        watermark=snapshot.watermark,
        trade_seq=snapshot.trade_seq,
        last_trade_at=snapshot.last_trade_at,
        verdicts={},
        day=snapshot.day,
    )


def _totals(owners: tuple[str, ...], rows: Sequence[RowDict], *, is_first: bool) -> OwnerTotals:
    """The fields of a close in columns. P&L to date begins with the first close."""
    if is_first:
        rows = [row | {"month_pnl": 0.0, "year_pnl": 0.0} for row in rows]
    amounts = [[np.nan if (amount := row.get(field)) is None else amount for row in rows] for field in CLOSE_MEASURES]
    return OwnerTotals(owners, np.array(amounts, dtype=np.float64).reshape(len(CLOSE_MEASURES), len(rows)))


# -- positions ----------------------------------------------------------------------------------------------------


def _positions(
    books: Sequence[tuple[int, ClosedBook]],
    names: tuple[str, ...],
    reference: Reference,
    table: DayTable | None,
    start: DayStart | None,
    market: _Market,
) -> tuple[ClosedPosition, ...]:
    """The leaf positions of one roll-up, by owner and instrument; without those that are set aside, whose amounts are unknown."""
    held = [
        (owner, row)
        for owner, book in sorted(books, key=lambda each: names[each[0]])
        for row in sorted(book.rows, key=attrgetter("instrument"))
        if not row.quarantined
    ]
    rows = [row for _, row in held]
    to_date = [(0.0, 0.0)] * len(rows)
    if table is not None and start is not None:
        to_date = _to_date(held, table.start, start, market, reference)
    month, year = ([None if isnan(each[at]) else each[at] for each in to_date] for at in (0, 1))
    columns = (map(attrgetter(field), rows) for field in ("quantity", "cash", "average", "fees"))
    owners, symbols = (names[owner] for owner, _ in held), (reference.symbols[row.instrument] for row in rows)
    beside = (row.beside or NO_FEES for row in rows)
    return tuple(map(ClosedPosition, owners, symbols, *columns, month, year, beside))


def _to_date(
    held: Sequence[tuple[int, Row]], table: StartTable, start: DayStart, market: _Market, reference: Reference
) -> list[tuple[float, float]]:
    """P&L of month and year to date of each position, the day included; nan where unknown. O(positions log positions)."""
    keys = np.array([owner << SHIFT | row.instrument for owner, row in held], dtype=np.int64)
    order = np.argsort(keys)
    units, numbers = market.units, keys & MASK
    unmarked = ~(units.priced & units.rated)
    index = reference.currency_index
    columns = columns_of(table, keys[order], start.prices, market.terms.cash_currency, unmarked, index)
    scale = market.terms.multiplier[columns.instruments]
    first = columns.published_quantity * scale * np.nan_to_num(start.prices.published)[columns.instruments]
    rate = np.nan_to_num(start.prices.rate)[market.terms.cash_currency[columns.instruments]]
    before: FloatArray = np.empty(len(keys))
    before[order] = np.where(columns.is_unknown, np.nan, (columns.published_cash + first) * rate)
    rows = [row for _, row in held]
    quantity = np.array([row.quantity / ONE for row in rows])
    cash = np.array([row.cash / CASH_ONE for row in rows])
    known = units.rated[numbers] & (units.priced[numbers] | (quantity == 0.0))
    beside = _beside_worth(held, table, start, market, index)
    day_pnl = np.where(known, quantity * units.value[numbers] + cash * units.rate[numbers], np.nan) - before + beside
    padded_month, padded_year = np.append(table.month, 0.0), np.append(table.year, 0.0)
    places = np.searchsorted(table.keys, keys)
    places[np.append(table.keys, -1)[places] != keys] = len(table.keys)
    return [*zip((padded_month[places] + day_pnl).tolist(), (padded_year[places] + day_pnl).tolist(), strict=True)]


def _beside_worth(
    held: Sequence[tuple[int, Row]], table: StartTable, start: DayStart, market: _Market, index: Mapping[str, int]
) -> FloatArray:
    """What amounts beside net cash add to the P&L of the day of each position; nan where a rate is unknown."""
    found = np.zeros(len(held))
    if not table.beside and not any(row.beside for _, row in held):
        return found
    factors, rates = market.factors, start.prices.rate
    for place, (owner, row) in enumerate(held):
        before = table.beside.get(owner << SHIFT | row.instrument, NO_FEES) if table.beside else NO_FEES
        for code, units in (row.beside or NO_FEES).items():
            at = index[code]
            found[place] += units / CASH_ONE * factors.fees.item(at) if factors.fees_known.item(at) else np.nan
        for code, units in before.items():
            found[place] -= units / CASH_ONE * rates.item(index[code]) if code in index else np.nan
    return found
