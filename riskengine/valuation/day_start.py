"""Where the current trading day began: the last close, by the numbers of the reference data in force.

With 0 the last close, as published and as restated from all trades of earlier days, a `DayStart` gives for every position
quantity and cash of both, the price and the rate of the close, and the P&L to date of month and year (ACCOUNTING section 8). It
is made off the writer thread from a `StruckClose` and is immutable but for `restate`, which replaces entries of positions whose
earlier trades changed since.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import truediv
from typing import NamedTuple

import numpy as np

from riskengine.positions.day_window import DayWindow
from riskengine.positions.ledger import MASK, SHIFT
from riskengine.positions.position import NO_FEES, replace_fees
from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, OwnerTotals, StruckClose
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import (
    CASH_ONE,
    CASH_PER_ONE,
    ONE,
    BoolArray,
    FloatArray,
    IntArray,
    Opening,
)

MONTH, YEAR = CLOSE_MEASURES.index("month_pnl"), CLOSE_MEASURES.index("year_pnl")


class ClosePrices(NamedTuple):
    """Prices and rates of the last close, by instrument and by currency number; nan where it has none.

    price      the mark of the close, of its newest version
    published  the mark that the close was first published with
    rate       value of one unit of each currency in the reporting currency
    """

    price: FloatArray
    published: FloatArray
    rate: FloatArray


class Start(NamedTuple):
    """A position, or several netted, at the last close. Quantities in units of 1e-10, cash in units of 1e-28.

    quantity, cash                      restated from all trades of earlier days
    published_quantity, published_cash  as the close was published
    month, year                         P&L to date at the close, reporting currency; nan where unknown, 0 if it is a new month
    """

    quantity: int
    cash: int
    published_quantity: int
    published_cash: int
    month: float
    year: float


NO_START = Start(0, 0, 0, 0, 0.0, 0.0)

UNKNOWN = None
"""In place of restated sums: the position is set aside, so nobody knows what it was."""


class StartTable:
    """One roll-up at the last close: leaf positions, the sums above them, and what owners had in fees and to-date P&L.

    `keys` are `owner << SHIFT | instrument`, ascending; those of leaves and of inner nodes.
    """

    def __init__(
        self,
        sums: Mapping[int, list[int]],
        to_date: Mapping[int, tuple[float, float]],
        fees: Mapping[int, dict[str, int]],
        fees_by_key: Mapping[int, Mapping[str, int]],
    ) -> None:
        self.keys: IntArray = np.array(sorted(sums), dtype=np.int64)
        ordered = [sums[key] for key in self.keys.tolist()]
        self.quantity: list[int] = [each[0] for each in ordered]
        self.cash: list[int] = [each[1] for each in ordered]
        dates = [to_date.get(key, (0.0, 0.0)) for key in self.keys.tolist()]
        self.month: FloatArray = np.array([each[0] for each in dates], dtype=np.float64)
        self.year: FloatArray = np.array([each[1] for each in dates], dtype=np.float64)
        self.fees = fees
        """By owner, then currency, units of 1e-10."""
        self._fees_by_key = fees_by_key
        self.owner_to_date: dict[int, tuple[float, float]] = {}
        """P&L to date of month and year at the close, by owner."""
        self.restated: Mapping[int, tuple[int, int] | None] = {}
        """Quantity and cash where earlier trades say otherwise than the close as published. Replaced, never changed."""
        self.ghosts: Mapping[int, tuple[int, ...]] = {}
        """By owner, the instruments that the close has and whose position has gone since. Replaced, never changed."""

    def place(self, key: int) -> int:
        """Where a key stands in the columns; -1 if the close has no such position. O(log keys)."""
        at = int(np.searchsorted(self.keys, key))
        return at if at < len(self.keys) and self.keys.item(at) == key else -1

    def start(self, owner: int, instrument: int) -> Start | None:
        """What an owner had of an instrument; None where it cannot be known. NO_START where it had nothing. O(log keys)."""
        key = owner << SHIFT | instrument
        at = self.place(key)
        quantity, cash = (self.quantity[at], self.cash[at]) if at >= 0 else (0, 0)
        restated = self.restated.get(key, (quantity, cash)) if self.restated else (quantity, cash)
        if restated is UNKNOWN:
            return None
        if at < 0:
            return NO_START if restated == (0, 0) else Start(*restated, 0, 0, 0.0, 0.0)
        return Start(*restated, quantity, cash, self.month.item(at), self.year.item(at))

    def fees_of(self, owner: int, instrument: int) -> Mapping[str, int]:
        """The fees of an owner in an instrument at the close, by currency, units of 1e-10. O(1)."""
        return self._fees_by_key.get(owner << SHIFT | instrument, NO_FEES)

    def is_carried(self, key: int) -> bool:
        """Whether the close has something of a key: quantity or cash. O(log keys)."""
        at = self.place(key)
        return at >= 0 and bool(self.quantity[at] or self.cash[at])

    def replace_restated(self, changes: Mapping[int, tuple[int, int] | None]) -> None:
        """Take restated quantities and cash of some keys. O(all that are restated). Writer thread."""
        self.restated = {**self.restated, **changes}


class DayStart:
    """The last close and the day that it began; see the module."""

    def __init__(self, window: DayWindow, prices: ClosePrices, nodes: StartTable, dealers: StartTable) -> None:
        self.window = window
        self.prices = prices
        self.nodes = nodes
        self.dealers = dealers

    @classmethod
    def of(
        cls,
        reference: Reference,
        window: DayWindow,
        close: StruckClose,
        published: Sequence[StruckClose] = (),
        *,
        dealers: Mapping[str, int],
        openings: Iterable[Opening] = (),
    ) -> "DayStart":
        """The day after `close` (its newest version); `published` are its earlier versions, oldest first.

        `dealers` numbers all dealers of the close. An opening balance that came after the close counts as if it had been in
        it. O(positions x depth); any thread.
        """
        prices = _prices(reference, close, published)
        first = published[0] if published else close
        later = [each for each in openings if (each.desk, each.dealer, each.instrument) not in set(first.openings)]
        known = reference.instrument_index
        same_month, same_year = close.date[:7] == window.current[:7], close.date[:4] == window.current[:4]
        tables = []
        for positions, index, hierarchy, totals in (
            (first.nodes, reference.hierarchy.index, reference.hierarchy, first.node_totals),
            (first.dealers, dealers, None, first.dealer_totals),
        ):
            held = [each for each in positions if each.owner in index and each.instrument in known]
            opened = _opened(later, reference, is_dealer=hierarchy is None)
            builder = _Builder(reference, index, hierarchy, same_month, same_year)
            for each in (*held, *opened):
                if each.owner in index:
                    builder.add(each)
            table = StartTable(builder.sums, builder.to_date, builder.fees, builder.fees_by_key)
            table.owner_to_date = _owner_to_date(totals, index, same_month, same_year)
            tables.append(table)
        return cls(window, prices, *tables)


class _Builder:
    """Adds up positions of a close by owner and instrument, and above leaves by every ancestor."""

    def __init__(
        self, reference: Reference, index: Mapping[str, int], hierarchy: Hierarchy | None, same_month: bool, same_year: bool
    ) -> None:
        self._instruments = reference.instrument_index
        self._index = index
        self._ancestors = hierarchy.ancestors if hierarchy is not None else None
        self._kept = (same_month, same_year)
        self.sums: dict[int, list[int]] = {}
        self.to_date: dict[int, tuple[float, float]] = {}
        self.fees: dict[int, dict[str, int]] = {}
        self.fees_by_key: dict[int, Mapping[str, int]] = {}

    def add(self, position: ClosedPosition) -> None:
        """Add one leaf position. O(depth)."""
        owner, number = self._index[position.owner], self._instruments[position.instrument]
        month, year = (
            0.0 if not kept else float("nan") if amount is None else amount
            for kept, amount in zip(self._kept, (position.month_pnl, position.year_pnl), strict=True)
        )
        for each in (owner, *(self._ancestors[owner] if self._ancestors is not None else ())):
            key = each << SHIFT | number
            held = self.sums.get(key)
            if held is None:
                self.sums[key] = [position.quantity, position.cash]
                self.to_date[key] = (month, year)
            else:
                held[0] += position.quantity
                held[1] += position.cash
                before = self.to_date[key]
                self.to_date[key] = (before[0] + month, before[1] + year)
            if position.fees:
                self.fees[each] = replace_fees(self.fees.get(each, NO_FEES), NO_FEES, dict(position.fees))
                known = self.fees_by_key.get(key)
                self.fees_by_key[key] = position.fees if known is None else replace_fees({**known}, NO_FEES, {**position.fees})


def _prices(reference: Reference, close: StruckClose, published: Sequence[StruckClose]) -> ClosePrices:
    count = len(reference.instruments)
    price, first = np.full(count, np.nan), np.full(count, np.nan)
    for symbol, number in reference.instrument_index.items():
        for version in (*published, close):
            if symbol in version.prices:
                first[number] = version.prices[symbol].price
                break
        if symbol in close.prices:
            price[number] = close.prices[symbol].price
    rate = np.full(len(reference.currencies), np.nan)
    for code, number in reference.currency_index.items():
        if code in close.rates:
            rate[number] = close.rates[code]
    return ClosePrices(price, first, rate)


def _opened(openings: Iterable[Opening], reference: Reference, *, is_dealer: bool) -> list[ClosedPosition]:
    """Balances as positions of a close."""
    found = []
    for each in openings:
        number = reference.instrument_index.get(each.instrument)
        if number is not None:
            instrument = reference.instruments[number]
            cash = each.realised * CASH_PER_ONE - each.quantity * each.average_price * instrument.multiplier
            fees = {instrument.currency: each.fees} if each.fees else NO_FEES
            owner = each.dealer if is_dealer else each.desk
            found.append(ClosedPosition(owner, each.instrument, each.quantity, cash, None, fees, 0.0, 0.0))
    return found


def _owner_to_date(
    totals: OwnerTotals, index: Mapping[str, int], same_month: bool, same_year: bool
) -> dict[int, tuple[float, float]]:
    found = {}
    for at, owner in enumerate(totals.owners):
        if owner in index:
            month = totals.amounts.item(MONTH, at) if same_month else 0.0
            found[index[owner]] = (month, totals.amounts.item(YEAR, at) if same_year else 0.0)
    return found


class StartColumns(NamedTuple):
    """Leaf positions at the last close in columns, restated, for sums over them.

    owners, instruments  numbers
    quantity, cash       restated: units of quantity; cash currency
    published_quantity, published_cash  as published
    is_unknown           set aside, or without a price or rate of the close that they need
    """

    owners: IntArray
    instruments: IntArray
    quantity: FloatArray
    cash: FloatArray
    published_quantity: FloatArray
    published_cash: FloatArray
    is_unknown: BoolArray


def columns_of(
    table: StartTable, keys: IntArray, prices: ClosePrices, cash_currency: IntArray, is_unmarked: BoolArray
) -> StartColumns:
    """Some leaf keys (ascending) of a table in columns. O(keys log keys).

    `is_unmarked` are the instruments without a mark or rate now: of a position brought forward in one the day is unknown.
    """
    places = np.searchsorted(table.keys, keys)
    found = np.append(table.keys, -1)[places] == keys
    listed = keys.tolist()
    at = places.tolist()
    is_found = found.tolist()
    quantity = [table.quantity[place] if there else 0 for place, there in zip(at, is_found, strict=True)]
    cash = [table.cash[place] if there else 0 for place, there in zip(at, is_found, strict=True)]
    q0, c0 = list(quantity), list(cash)
    aside = np.zeros(len(listed), dtype=np.bool_)
    if table.restated:
        for place, key in enumerate(listed):
            if key in table.restated:
                restated = table.restated[key]
                if restated is UNKNOWN:
                    aside[place] = True
                else:
                    q0[place], c0[place] = restated
    numbers = keys & MASK
    needs_price = np.array([bool(one or other) for one, other in zip(q0, quantity, strict=True)], dtype=np.bool_)
    needs_rate = needs_price | np.array([bool(one or other) for one, other in zip(c0, cash, strict=True)], dtype=np.bool_)
    no_price = np.isnan(prices.price) | np.isnan(prices.published) | is_unmarked
    no_rate = np.isnan(prices.rate)[cash_currency]
    unknown = aside | (needs_price & no_price[numbers]) | (needs_rate & no_rate[numbers])
    return StartColumns(
        keys >> SHIFT,
        numbers,
        _amounts(q0, ONE),
        _amounts(c0, CASH_ONE),
        _amounts(quantity, ONE),
        _amounts(cash, CASH_ONE),
        unknown,
    )


def _amounts(exact: Sequence[int], unit: int) -> FloatArray:
    return np.fromiter(map(truediv, exact, (unit for _ in exact)), dtype=np.float64, count=len(exact))
