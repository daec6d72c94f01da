"""The close of a day: what positions were at the boundary, valued with the marks of the close. Pure but for its first step.

`closing_overrides` runs on the writer thread; `make_close` takes what it found to any other: the same rows and the same sums as
live, of another moment and with other marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from riskengine.config import Config
from riskengine.engine.closed_positions import closed_positions
from riskengine.engine.closing_market import ClosingMarket
from riskengine.engine.closing_options import ClosingOptions
from riskengine.engine.closing_totals import closing_totals
from riskengine.positions.day_window import DayWindow, Held, held_at_close, is_ahead
from riskengine.positions.ledger import MASK, SHIFT, Rollup, Row
from riskengine.positions.position import open_cost
from riskengine.positions.repair import sum_of
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, ONE
from riskengine.snapshot.rows import dealer_row, node_row
from riskengine.snapshot.snapshot import OwnerState, Snapshot, Table
from riskengine.valuation.day_values import DayValues
from riskengine.valuation.forward_values import ForwardMarket
from riskengine.valuation.node_values import Valuation
from riskengine.valuation.number_pages import PAGE
from riskengine.valuation.row_columns import RowColumns

Overrides = Mapping[int, Held | None]
"""By leaf key: the position at the close where it is not that of the snapshot; None where there was none."""


class ClosingRows(NamedTuple):
    """What positions were at the end of a day: a snapshot, and the positions that have traded for the next day since.

    dealers   the number of every dealer by name
    openings  (desk, dealer, instrument) of the opening balances in the positions
    movements external movements of nodes themselves up to the boundary, by node and currency, units of 1e-28
    options   what options are valued with; None: they have no more than their quotes
    forwards  what the curves of before the boundary say of forwards; None: as the snapshot
    """

    snapshot: Snapshot
    nodes: Overrides
    dealer_positions: Overrides
    dealers: Mapping[str, int]
    openings: tuple[tuple[str, str, str], ...]
    movements: Mapping[tuple[int, str], int] = {}
    options: ClosingOptions | None = None
    forwards: ForwardMarket | None = None


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

    def __init__(self, state: OwnerState) -> None:
        self._state = state
        self._by_instrument: dict[int, Row] | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows. O(rows)."""
        return list(self._state.positions()) if self._by_instrument is None else list(self._by_instrument.values())

    def row(self, instrument: int) -> Row | None:
        """The row of an instrument, or None. O(1), but O(rows) at the first call."""
        return self._rows_by_instrument().get(instrument)

    def put(self, instrument: int, row: Row | None) -> None:
        """Replace the row of an instrument; None removes it. O(1), but O(rows) at the first call."""
        held = self._rows_by_instrument()
        held.pop(instrument, None)
        if row is not None:
            held[instrument] = row

    def _rows_by_instrument(self) -> dict[int, Row]:
        if self._by_instrument is None:
            self._by_instrument = {row.instrument: row for row in self._state.positions()}
        return self._by_instrument


def make_close(
    rows: ClosingRows,
    prices: Mapping[str, ClosePrice],
    day: ClosingDay,
    config: Config,
    before: StruckClose | None = None,
) -> StruckClose:
    """The close of a day from its positions and the marks of the close. O(positions); any thread.

    Forwards are marked by what the snapshot of the rows knows of them; where the close is struck anew, by its version `before`.
    """
    snapshot = rows.snapshot
    reference, names = snapshot.reference, snapshot.reference.hierarchy.names
    forwards = snapshot.forwards if rows.forwards is None else rows.forwards
    market = ClosingMarket.of(reference, prices, day.ts, config, rows.options, forwards, before)
    prices = market.prices
    nodes, leaves = _table_at_close(rows, snapshot.nodes, names, rows.nodes, reference.hierarchy, market)
    dealers, held = _table_at_close(rows, snapshot.dealers, snapshot.dealer_names, rows.dealer_positions, None, market)
    closing = snapshot_at_close(snapshot, nodes, dealers, market, day.ts)
    begun = snapshot.day
    node_start, dealer_start = (None if table.day is None else table.day.start for table in (nodes, dealers))
    return StruckClose(
        date=day.date,
        version=day.version,
        ts=day.ts,
        struck_ts=day.struck_ts,
        reporting_currency=reference.reporting_currency,
        prices={symbol: prices[symbol] for symbol in sorted(prices) if symbol in reference.instrument_index},
        rates=market.known_rates(reference),
        nodes=closed_positions(leaves, names, reference, node_start, begun, market),
        dealers=closed_positions(held, snapshot.dealer_names, reference, dealer_start, begun, market),
        node_totals=closing_totals(closing, nodes, names, node_row),
        dealer_totals=closing_totals(closing, dealers, snapshot.dealer_names, dealer_row),
        openings=rows.openings,
    )


def _table_at_close(
    rows: ClosingRows,
    table: Table,
    names: Sequence[str],
    overrides: Overrides,
    hierarchy: Hierarchy | None,
    market: ClosingMarket,
) -> tuple[Table, RowColumns]:
    """One roll-up with the positions and the marks of the close; its leaf positions by the name of their owner and instrument."""
    snapshot = rows.snapshot
    reference = snapshot.reference
    states = [state for page in table.states for state in page]
    books = [ClosedBook(state) for state in states]
    for owner in put_overrides(books, overrides, hierarchy, reference):
        held = books[owner].rows
        counts = (len(held), sum(row.trade_count for row in held), max((row.last_trade_ts for row in held), default=0))
        states[owner] = OwnerState((tuple(held),), *counts, states[owner].quarantined_count)
    is_leaf = [hierarchy is None or hierarchy.is_leaf(owner) for owner in range(len(books))]
    ranks = reference.ranks

    def rank_of(row: Row | None) -> int:
        return -1 if row is None else ranks[row.instrument]

    by_name = sorted(compress(range(len(books)), is_leaf), key=names.__getitem__)
    leaves = RowColumns((owner, sorted(books[owner].rows, key=rank_of)) for owner in by_name)
    above = RowColumns((owner, book.rows) for owner, book in enumerate(books) if not is_leaf[owner])
    valuation = Valuation(reference, hierarchy)
    while valuation.size < len(books):
        valuation.add_owner()
    valuation.take_columns(leaves, above, market.factors, of_close=True)
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
    return Table(table.size, pages, valuation.pages, table.broken, None if cash is None else cash.values, day), leaves


def put_overrides(
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


def snapshot_at_close(snapshot: Snapshot, nodes: Table, dealers: Table, market: ClosingMarket, ts: int) -> Snapshot:
    """The tables of a close as a snapshot, for `node_row` and `dealer_row`."""
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
