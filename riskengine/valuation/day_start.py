"""Where the current trading day began: the last close, by the numbers of the reference data in force.

With 0 the last close, as published and as restated from all trades of earlier days, a `DayStart` gives for every position
quantity and cash of both, the price and the rate of the close, and the P&L to date of month and year (ACCOUNTING section 8). It
is made off the writer thread from a `StruckClose` and is immutable: a table whose earlier trades have changed is replaced.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import compress, repeat
from operator import attrgetter, truediv
from typing import Any, NamedTuple, cast

import numpy as np

from riskengine.positions.adjustments import NO_CHANGES, CloseChanges
from riskengine.positions.day_window import DayWindow, HeldBefore
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
    ObjectArray,
    Opening,
)
from riskengine.valuation.late_prices import ClosedRollup, with_late_prices

MONTH, YEAR = CLOSE_MEASURES.index("month_pnl"), CLOSE_MEASURES.index("year_pnl")


SLICE = 2_048
"""Exact numbers that one call into compiled code works on: half a millisecond."""


class ClosePrices(NamedTuple):
    """Prices and rates of the last close, by instrument and by currency number; nan where it has none.

    price      the mark of the close, of its newest version
    published  the mark that the close was first published with
    rate       value of one unit of each currency in the reporting currency, as the close was first published
    """

    price: FloatArray
    published: FloatArray
    rate: FloatArray

    def grown(self, instruments: int, currencies: int) -> "ClosePrices":
        """The same with room for so many instruments and currencies; those beyond had no price. O(instruments)."""
        more, rates = np.full(instruments - len(self.price), np.nan), np.full(currencies - len(self.rate), np.nan)
        return ClosePrices(np.append(self.price, more), np.append(self.published, more), np.append(self.rate, rates))


class Start(NamedTuple):
    """A position, or several netted, at the last close. Quantities in units of 1e-10, cash in units of 1e-28.

    quantity, cash                      restated from all trades and carry of earlier days
    published_quantity, published_cash  as the close was published
    month, year                         P&L to date at the close, reporting currency; nan where unknown, 0 if it is a new month
    carry                               carry of the current day in the cash currency
    beside, published_beside            amounts beside net cash by currency, restated and as published
    """

    quantity: int
    cash: int
    published_quantity: int
    published_cash: int
    month: float
    year: float
    carry: int = 0
    beside: Mapping[str, int] = NO_FEES
    published_beside: Mapping[str, int] = NO_FEES

    @property
    def held(self) -> HeldBefore:
        """The restated part."""
        return HeldBefore(self.quantity, self.cash, self.carry, self.beside)


NO_START = Start(0, 0, 0, 0, 0.0, 0.0)

UNKNOWN = None
"""In place of what was restated: the position is set aside, so nobody knows what it was."""


MISSING = HeldBefore(0, 0, 0, {})
"""No key of its own among what was restated."""


MAX_REMEMBERED = 65_536
"""Keys of a close whose places are remembered once somebody has asked for them (100 bytes each)."""


class StartTable:
    """One roll-up at the last close: leaf positions, the sums above them, and what owners had in fees and to-date P&L.

    `keys` are `owner << SHIFT | instrument`, ascending; those of leaves and of inner nodes.
    """

    def __init__(
        self,
        columns: "_Columns",
        fees: Mapping[int, Mapping[str, int]],
        fees_by_key: "_Amounts",
        beside: Mapping[int, Mapping[str, int]],
    ) -> None:
        self.keys: IntArray = columns.keys
        self.quantity = columns.quantity
        self.cash = columns.cash
        self.month = columns.month
        self.year = columns.year
        self.fees = fees
        """By owner, then currency, units of 1e-10."""
        self._fees_by_key = fees_by_key
        self.beside = beside
        """Amounts beside net cash as published, by key and currency, units of 1e-28."""
        self.owner_to_date: dict[int, tuple[float, float]] = {}
        """P&L to date of month and year at the close, by owner."""
        self.restated: Mapping[int, HeldBefore | None] = {}
        """What was held where earlier trades say otherwise than the close, or with carry of the day."""
        self.ghosts: Mapping[int, tuple[int, ...]] = {}
        """By owner, the instruments that the close has and whose position has gone since."""
        self._places: dict[int, int] = {}
        self._fees: dict[int, Mapping[str, int]] = {}

    def place(self, key: int) -> int:
        """Where a key stands in the columns; -1 if the close has no such position. O(log keys), then O(1): screens ask again."""
        found = self._places.get(key)
        if found is None:
            at = int(np.searchsorted(self.keys, key))
            found = at if at < len(self.keys) and self.keys.item(at) == key else -1
            if len(self._places) < MAX_REMEMBERED:
                self._places[key] = found
        return found

    def places(self, keys: IntArray) -> IntArray:
        """`place` of each of some keys."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def start(self, owner: int, instrument: int) -> Start | None:
        """What an owner had of an instrument; None where it cannot be known. NO_START where it had nothing. O(log keys)."""
        key = owner << SHIFT | instrument
        at = self.place(key)
        quantity, cash = (self.quantity[at], self.cash[at]) if at >= 0 else (0, 0)
        beside = self.beside.get(key, NO_FEES) if self.beside else NO_FEES
        held = self.restated.get(key, MISSING) if self.restated else MISSING
        if held is UNKNOWN:
            return None
        if held is MISSING and at < 0:
            return NO_START
        month, year = (self.month.item(at), self.year.item(at)) if at >= 0 else (0.0, 0.0)
        if held is MISSING:
            return Start(quantity, cash, quantity, cash, month, year, 0, beside, beside)
        return Start(held.quantity, held.cash, quantity, cash, month, year, held.carry, held.beside, beside)

    def fees_of(self, owner: int, instrument: int) -> Mapping[str, int]:
        """The fees of an owner in an instrument at the close, by currency, units of 1e-10. O(log keys), then O(1)."""
        key = owner << SHIFT | instrument
        found = self._fees.get(key)
        if found is None:
            found = self._fees_by_key.of_key(key)
            if len(self._fees) < MAX_REMEMBERED:
                self._fees[key] = found
        return found

    def carried(self) -> Iterator[tuple[int, int]]:
        """Owner and instrument of every key that had a quantity at the close, restated. O(keys)."""
        restated = self.restated
        for at, key in enumerate(self.keys.tolist()):
            held = restated.get(key, MISSING) if restated else MISSING
            if held is None or held.quantity or self.quantity[at]:
                yield key >> SHIFT, key & MASK

    def is_carried(self, key: int) -> bool:
        """Whether the close has something of a key: quantity, cash, or amounts beside it. O(log keys)."""
        at = self.place(key)
        return at >= 0 and bool(self.quantity[at] or self.cash[at] or key in self.beside)

    def with_restated(self, changes: Mapping[int, HeldBefore | None]) -> "StartTable":
        """The same with what some keys held, restated: snapshots that have this one keep it. O(all that are restated)."""
        table = copy(self)
        table.restated = {**self.restated, **changes}
        return table


class DayStart:
    """The last close and the day that it began; see the module."""

    def __init__(self, window: DayWindow, prices: ClosePrices, nodes: StartTable, dealers: StartTable) -> None:
        self.window = window
        self.prices = prices
        self.nodes = nodes
        self.dealers = dealers

    def grown(self, reference: Reference) -> "DayStart":
        """The same by a reference that has more forwards. O(instruments); this one where it knows them."""
        count, currencies = len(reference.instruments), len(reference.currencies)
        if len(self.prices.price) == count and len(self.prices.rate) == currencies:
            return self
        return DayStart(self.window, self.prices.grown(count, currencies), self.nodes, self.dealers)

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
        changes: CloseChanges = NO_CHANGES,
    ) -> "DayStart":
        """The day after `close` (its newest version); `published` are its earlier versions, oldest first.

        `dealers` numbers all dealers of the close. An opening balance that came after the close counts as if it had been in
        it. `changes` are those of corporate actions since: its positions go under their new names, and with the units of
        now its prices are divided. O(positions x depth); any thread.
        """
        prices = _prices(reference, close, published, changes)
        first = published[0] if published else close
        known_before = set(first.openings)
        later = [each for each in openings if (each.desk, each.dealer, each.instrument) not in known_before]
        same_month, same_year = close.date[:7] == window.current[:7], close.date[:4] == window.current[:4]
        tables = []
        versions = [*published, close]
        for rollups, index, hierarchy in (
            ([ClosedRollup(each.nodes, each.node_totals) for each in versions], reference.hierarchy.index, reference.hierarchy),
            ([ClosedRollup(each.dealers, each.dealer_totals) for each in versions], dealers, None),
        ):
            rollup = with_late_prices(rollups, hierarchy)
            opened = _opened(later, reference, is_dealer=hierarchy is None)
            named = rollup.positions if not changes.renamed else [_renamed(each, changes) for each in rollup.positions]
            table = _start_table([*named, *opened], reference, index, hierarchy, same_month, same_year)
            table.owner_to_date = _owner_to_date(rollup.totals, index, same_month, same_year)
            tables.append(table)
        return cls(window, prices, *tables)


class _Columns(NamedTuple):
    """Positions of a close in columns, one for each owner and instrument."""

    keys: IntArray
    quantity: ObjectArray
    cash: ObjectArray
    month: FloatArray
    year: FloatArray

    @classmethod
    def of(cls, positions: Sequence[ClosedPosition], keys: IntArray, same_month: bool, same_year: bool) -> "_Columns":
        """The positions, whose keys may repeat. P&L to date begins anew with a month and a year."""
        quantity, cash = (_column(positions, name, np.object_) for name in ("quantity", "cash"))
        to_date = [
            _column(positions, name, np.float64) if goes_on else np.zeros(len(positions))  # None becomes nan
            for name, goes_on in (("month_pnl", same_month), ("year_pnl", same_year))
        ]
        return cls(keys, quantity, cash, *to_date)

    def joined(self, other: "_Columns") -> "_Columns":
        """These and others."""
        return _Columns(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def summed(self) -> "_Columns":
        """One for each key, ascending: the sums, exact ones exact. O(n log n), in arrays."""
        if not len(self.keys):
            return self
        order = np.argsort(self.keys, kind="stable")
        keys = self.keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(starts) == len(keys):
            return _Columns(keys, *(column[order] for column in cast(tuple[Any, ...], self[1:])))
        return _Columns(keys[starts], *(_sums(column[order], starts) for column in cast(tuple[Any, ...], self[1:])))

    def with_sums_above(self, hierarchy: Hierarchy | None) -> "_Columns":
        """With the sums of all inner nodes. O(positions x depth)."""
        leaves = self.summed()
        if hierarchy is None or not len(leaves.keys):
            return leaves
        parents, every = np.array(hierarchy.parents, dtype=np.int64), leaves
        rising = leaves
        while True:
            above = parents[rising.keys >> SHIFT]
            kept = above >= 0
            if not kept.any():
                return every.summed()
            rising = _Columns((above << SHIFT | rising.keys & MASK)[kept], *(column[kept] for column in rising[1:])).summed()
            every = every.joined(rising)


class _Amounts(NamedTuple):
    """Amounts by key and currency, units of 1e-10: a line each in the order of both, none of them 0.

    codes  the currencies in the order of names; `code` is the place of a line's among them
    """

    codes: Sequence[str]
    keys: IntArray
    code: IntArray
    units: ObjectArray

    @classmethod
    def of(cls, amounts: Sequence[Mapping[str, int]], keys: IntArray) -> "_Amounts":
        """The amounts of some positions, whose `keys` may repeat. 0.3 us a position that has any."""
        lengths = np.fromiter(map(len, amounts), np.int64, len(amounts))
        charged = [*filter(None, amounts)]
        listed = [code for each in charged for code in each]
        codes = sorted(set(listed))
        numbers = map({code: number for number, code in enumerate(codes)}.__getitem__, listed)
        code = np.fromiter(numbers, np.int64, len(listed))
        units = np.fromiter((units for each in charged for units in each.values()), np.object_, len(listed))
        return cls(codes, np.repeat(keys, lengths), code, units).summed()

    def summed(self) -> "_Amounts":
        """One line for each key and currency: the sums, without those that are 0. O(n log n), in arrays."""
        if not len(self.keys):
            return self
        order = np.lexsort((self.code, self.keys))
        keys, code = self.keys[order], self.code[order]
        starts = np.flatnonzero((np.diff(keys, prepend=-1) != 0) | (np.diff(code, prepend=-1) != 0))
        units = _sums(self.units[order], starts)
        kept = units.astype(np.bool_)
        return self._replace(keys=keys[starts][kept], code=code[starts][kept], units=units[kept])

    def with_sums_above(self, hierarchy: Hierarchy | None) -> "_Amounts":
        """With the sums of all inner nodes; the keys of these are those of leaves. O(lines x depth)."""
        if hierarchy is None:
            return self
        parents, parts = np.array(hierarchy.parents, dtype=np.int64), [self]
        while len(parts[-1].keys):
            rising = parts[-1]
            above = parents[rising.keys >> SHIFT]
            kept = above >= 0
            keys = (above << SHIFT | rising.keys & MASK)[kept]
            parts.append(rising._replace(keys=keys, code=rising.code[kept], units=rising.units[kept]).summed())
        columns = (np.concatenate(column) for column in zip(*(part[1:] for part in parts), strict=True))
        return _Amounts(self.codes, *columns).summed()

    def by_owner(self) -> dict[int, dict[str, int]]:
        """The sums of each owner by currency, in the order of names, without zeros."""
        owners = self._replace(keys=self.keys >> SHIFT).summed()
        found: dict[int, dict[str, int]] = {}
        for owner, code, units in zip(owners.keys.tolist(), owners.code.tolist(), owners.units.tolist(), strict=True):
            found.setdefault(owner, {})[self.codes[code]] = units
        return found

    def of_key(self, key: int) -> dict[str, int]:
        """The amounts of a key by currency, in the order of names. O(log lines)."""
        first, end = np.searchsorted(self.keys, (key, key + 1)).tolist()
        return {self.codes[self.code.item(at)]: self.units[at] for at in range(first, end)}


def _start_table(
    positions: Sequence[ClosedPosition],
    reference: Reference,
    index: Mapping[str, int],
    hierarchy: Hierarchy | None,
    same_month: bool,
    same_year: bool,
) -> StartTable:
    """The table of one roll-up: positions of known owners and instruments, and the sums above them."""
    owners = np.fromiter((index.get(each.owner, -1) for each in positions), np.int64, len(positions))
    known = reference.instrument_index
    numbers = np.fromiter((known.get(each.instrument, -1) for each in positions), np.int64, len(positions))
    is_known = (owners >= 0) & (numbers >= 0)
    held = positions if is_known.all() else [*compress(positions, is_known.tolist())]
    keys = (owners << SHIFT | numbers)[is_known]
    columns = _Columns.of(held, keys, same_month, same_year).with_sums_above(hierarchy)
    fees = _Amounts.of(_column(held, "fees", np.object_).tolist(), keys).with_sums_above(hierarchy)
    beside: dict[int, Mapping[str, int]] = {}
    amounts = _column(held, "beside", np.object_).tolist()
    for key, more in compress(zip(keys.tolist(), amounts, strict=True), map(bool, amounts)):
        owner = key >> SHIFT
        for node in (owner, *(hierarchy.ancestors[owner] if hierarchy is not None else ())):
            _add_amounts(beside, node << SHIFT | key & MASK, more)
    return StartTable(columns, fees.by_owner(), fees, beside)


def _add_amounts(amounts: dict[int, Mapping[str, int]], place: int, more: Mapping[str, int]) -> None:
    """Add amounts by currency to those of a place."""
    known = amounts.get(place)
    amounts[place] = more if known is None else replace_fees({**known}, NO_FEES, {**more})


def _renamed(position: ClosedPosition, changes: CloseChanges) -> ClosedPosition:
    name = changes.renamed.get(position.instrument)
    return position if name is None else position._replace(instrument=name)


def _prices(reference: Reference, close: StruckClose, published: Sequence[StruckClose], changes: CloseChanges) -> ClosePrices:
    count = len(reference.instruments)
    price, first = np.full(count, np.nan), np.full(count, np.nan)
    for symbol, number in reference.instrument_index.items():
        for version in (*published, close):
            if symbol in version.prices:
                first[number] = version.prices[symbol].price
                break
        if symbol in close.prices:
            price[number] = close.prices[symbol].price
    index = reference.instrument_index
    for symbol, ratio in changes.ratios.items():
        price[index[symbol]] = price[index[symbol]] * ratio.old / ratio.new
    for symbol, name in changes.renamed.items():
        for column in (price, first):
            if np.isnan(column[index[name]]):
                column[index[name]] = column[index[symbol]]
    rate = np.full(len(reference.currencies), np.nan)
    for code, number in reference.currency_index.items():
        # The first version that has one: P0 X0 stays what was published, so that days add up over a later version.
        rate[number] = next((version.rates[code] for version in (*published, close) if code in version.rates), np.nan)
    return ClosePrices(price, first, rate)


def _opened(openings: Iterable[Opening], reference: Reference, *, is_dealer: bool) -> list[ClosedPosition]:
    """Balances as positions of a close."""
    found = []
    for each in openings:
        number = reference.instrument_index.get(each.instrument)
        if number is not None:
            instrument = reference.instruments[number]
            cash = each.realised * CASH_PER_ONE - each.quantity * each.average_price * instrument.contract_multiplier
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


def _lacks_rate_beside(
    table: StartTable, keys: Sequence[int], prices: ClosePrices, currency_index: Mapping[str, int]
) -> BoolArray:
    """Which keys held amounts beside net cash in a currency without a rate at the close."""
    found = np.zeros(len(keys), dtype=np.bool_)
    if not table.beside and not table.restated:
        return found
    for place, key in enumerate(keys):
        restated = table.restated.get(key)
        amounts = (table.beside.get(key, NO_FEES), restated.beside if restated is not None else NO_FEES)
        for code in (*amounts[0], *amounts[1]) if any(amounts) else ():
            found[place] |= code not in currency_index or np.isnan(prices.rate[currency_index[code]])
    return found


def columns_of(
    table: StartTable,
    keys: IntArray,
    prices: ClosePrices,
    cash_currency: IntArray,
    is_unmarked: BoolArray,
    currency_index: Mapping[str, int],
) -> StartColumns:
    """Some leaf keys (ascending) of a table in columns. O(keys log keys).

    `is_unmarked` are the instruments without a mark or rate now: of a position brought forward in one the day is unknown.
    """
    places = table.places(keys)
    listed = keys.tolist()
    published_quantity, published_cash = _amounts(table.quantity, places, ONE), _amounts(table.cash, places, CASH_ONE)
    restated_quantity, restated_cash = published_quantity, published_cash
    aside = np.zeros(len(listed), dtype=np.bool_)
    if table.restated:
        restated_quantity, restated_cash = published_quantity.copy(), published_cash.copy()
        for place, key in enumerate(listed):
            if key in table.restated:
                restated = table.restated[key]
                if restated is UNKNOWN:
                    aside[place] = True
                else:
                    restated_quantity[place], restated_cash[place] = restated.quantity / ONE, restated.cash / CASH_ONE
    numbers = keys & MASK
    needs_price = (restated_quantity != 0.0) | (published_quantity != 0.0)  # of a sum that is not 0 the double is not
    needs_rate = needs_price | (restated_cash != 0.0) | (published_cash != 0.0)
    no_price = np.isnan(prices.price) | np.isnan(prices.published) | is_unmarked
    no_rate = np.isnan(prices.rate)[cash_currency]
    unknown = aside | (needs_price & no_price[numbers]) | (needs_rate & no_rate[numbers])
    unknown |= _lacks_rate_beside(table, listed, prices, currency_index)
    return StartColumns(
        keys >> SHIFT,
        numbers,
        restated_quantity,
        restated_cash,
        published_quantity,
        published_cash,
        unknown,
    )


def _amounts(exact: ObjectArray, places: IntArray, unit: int) -> FloatArray:
    """The exact numbers at some places in units of `unit`, the nearest doubles; 0 at the place -1."""
    found = np.zeros(len(places))
    for first in range(0, len(places), SLICE):
        some, here = places[first : first + SLICE], found[first : first + SLICE]
        there = some >= 0
        held = exact[some[there]].tolist()
        here[there] = np.fromiter(map(truediv, held, repeat(unit)), dtype=np.float64, count=len(held))
    return found


def _column(positions: Sequence[ClosedPosition], name: str, dtype: Any) -> Any:
    """One field of every position, in slices: a call over all of them keeps the interpreter for tens of milliseconds."""
    get, found = attrgetter(name), np.empty(len(positions), dtype)
    for first in range(0, len(positions), SLICE):
        some = positions[first : first + SLICE]
        found[first : first + len(some)] = (
            [*map(get, some)] if dtype is np.float64 else np.fromiter(map(get, some), dtype, len(some))
        )
    return found


def _sums(column: FloatArray | ObjectArray, starts: IntArray) -> Any:
    """The sums of the stretches of a column that begin at `starts`, in slices: exact numbers keep the interpreter meanwhile."""
    bounds, parts = np.append(starts, len(column)), [column[:0]]
    for first in range(0, len(starts), SLICE):
        begin, end = bounds[first], bounds[min(first + SLICE, len(starts))]
        parts.append(np.add.reduceat(column[begin:end], starts[first : first + SLICE] - begin))
    return np.concatenate(parts)
