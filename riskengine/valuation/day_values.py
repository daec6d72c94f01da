"""The lines of the day of every node and dealer, kept beside the other numbers (`node_values`).

With 0 the last close and 1 now, q0 and C0 restated, X the rate of the cash currency (ACCOUNTING section 8):

    position    = sum k q0 (m1 - m0) X1        translation = sum T0 (X1 - X0)        correction = sum (T0 - P0) X0
    carry       = sum of the day's carry x X1

`START` is the sum of P0 X0, so that the P&L of the day is the total less that. Trading is what is left. A position brought
forward whose day is unknown (no price or rate of the close) is in none of these sums: `UNKNOWN_TOTAL` is what such positions add
to the total now, and `UNKNOWN_COUNT` is their number.

A beat costs one sparse product of the quantities at the close; trades cost nothing here. Owned by the writer thread once it is in
force; made on any thread before.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress, groupby, repeat
from operator import attrgetter, truediv
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import EMPTY_ROW, MASK, SHIFT, Changes, Row, RowsOfOwner
from riskengine.positions.position import NO_FEES
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, ONE, BoolArray, FloatArray, IntArray
from riskengine.valuation.day_start import ClosePrices, StartColumns, StartTable, columns_of
from riskengine.valuation.number_pages import PAGE, read_only_pages
from riskengine.valuation.sparse import Cells, SparseRows
from riskengine.valuation.unit_values import ContractTerms, Factors, Units

POSITION, TRANSLATION, CARRY, START_FEES, UNKNOWN_TOTAL, CORRECTION, START, UNKNOWN_COUNT = range(8)
"""Lines of the table; the first MOVING of them move with prices and rates. Reporting currency, but for the count."""
DAY_NUMBERS = 8
MOVING = 5

NO_NUMBERS = np.zeros(DAY_NUMBERS)
NO_NUMBERS.flags.writeable = False


class DayTable(NamedTuple):
    """What readers get: the start of the day of one roll-up, and its numbers in pages of PAGE owners."""

    start: StartTable
    pages: tuple[FloatArray, ...]

    def measures(self, owner: int) -> FloatArray:
        """The day numbers of an owner, shape (DAY_NUMBERS,). O(1)."""
        page, at = divmod(owner, PAGE)
        if page >= len(self.pages) or at >= self.pages[page].shape[1]:
            return NO_NUMBERS  # a dealer who came after the close
        return self.pages[page][:, at]


class DayMarket(NamedTuple):
    """Prices now in the shapes that the lines need, by instrument and by currency number. O(instruments), once a beat.

    move        k (m1 - m0) X1, 0 where either price is unknown
    translation X1 - X0, 0 where either rate is unknown
    is_unmarked no mark or no rate now
    """

    move: FloatArray
    translation: FloatArray
    is_unmarked: BoolArray

    @classmethod
    def of(cls, prices: ClosePrices, terms: ContractTerms, units: Units, factors: Factors) -> "DayMarket":
        """The market of one moment against that of the close."""
        is_unmarked = ~(units.priced & units.rated)
        unknown = is_unmarked | np.isnan(prices.price)
        move = np.where(unknown, 0.0, terms.multiplier * (units.price - np.nan_to_num(prices.price)) * units.rate)
        known = np.isfinite(prices.rate) & factors.fees_known
        translation = np.where(known, factors.fees - np.nan_to_num(prices.rate), 0.0)
        return cls(move, translation, is_unmarked)


class _Unknown:
    """What positions whose day is unknown add to the total now: in columns, and where each key stands."""

    def __init__(self, keys: IntArray, quantity: FloatArray, cash: FloatArray) -> None:
        self.places = {key: at for at, key in enumerate(keys.tolist())}
        self.owners = keys >> SHIFT
        self.instruments = keys & MASK
        self.quantity = quantity
        self.cash = cash
        self.beside: list[Mapping[str, int]] = [NO_FEES] * len(keys)

    def put(self, key: int, row: Row | None) -> bool:
        """Take what a key holds now. Returns whether it is one of these. O(1)."""
        at = self.places.get(key)
        if at is None:
            return False
        held = _amounts_known(row)
        self.quantity[at], self.cash[at] = held.quantity / ONE, held.cash / CASH_ONE
        self.beside[at] = held.beside or NO_FEES
        return True

    def put_all(self, books: Sequence[RowsOfOwner]) -> None:
        """Take what all of these hold now. 0.5 us each."""
        owners, numbers, size = self.owners.tolist(), self.instruments.tolist(), len(self.places)
        known = [*compress(range(size), (self.owners < len(books)).tolist())]  # of the others nothing has come since the close
        held = [_amounts_known(books[owners[at]].row(numbers[at])) for at in known]
        for column, field, unit in ((self.quantity, "quantity", ONE), (self.cash, "cash", CASH_ONE)):
            column[known] = np.fromiter(map(truediv, map(attrgetter(field), held), repeat(unit)), np.float64, len(held))
        for at, row in zip(known, held, strict=True):
            self.beside[at] = row.beside or NO_FEES

    def totals(self, size: int, units: Units, factors: Factors, currency_index: Mapping[str, int]) -> FloatArray:
        """By owner: what these add to the total now, as `node_values` counts it. O(these + owners)."""
        numbers = self.instruments
        known = units.rated[numbers] & (units.priced[numbers] | (self.quantity == 0.0))
        worth = self.quantity * units.value[numbers] + self.cash * units.rate[numbers]
        for at, amounts in enumerate(self.beside) if any(self.beside) else ():
            for code, amount in amounts.items():
                known[at] &= factors.fees_known.item(currency_index[code])
                worth[at] += amount / CASH_ONE * factors.fees.item(currency_index[code])
        return np.asarray(np.bincount(self.owners, weights=np.where(known, worth, 0.0), minlength=size)[:size])


def _amounts_known(row: Row | None) -> Row:
    """A row whose amounts are known: an empty one for none, and for one that is set aside."""
    return row if row is not None and not row.quarantined else EMPTY_ROW


class _Worth(NamedTuple):
    """What positions were worth at the close, by place in `StartColumns`; 0 where that is unknown.

    total      T0 in the cash currency      start      P0 X0
    currency   number of the cash currency  corrected  (T0 - P0) X0
    """

    total: FloatArray
    currency: IntArray
    start: FloatArray
    corrected: FloatArray

    @classmethod
    def of(cls, columns: StartColumns, prices: ClosePrices, terms: ContractTerms) -> "_Worth":
        """Value some positions at the close. O(positions)."""
        numbers, known = columns.instruments, ~columns.is_unknown
        currency, scale = terms.cash_currency[numbers], terms.multiplier[numbers]
        rate = np.nan_to_num(prices.rate)[currency]
        now = columns.quantity * scale * np.nan_to_num(prices.price)[numbers]
        then = columns.published_quantity * scale * np.nan_to_num(prices.published)[numbers]
        corrected = (columns.cash - columns.published_cash) + (now - then)
        return cls(
            np.where(known, columns.cash + now, 0.0),
            currency,
            np.where(known, (columns.published_cash + then) * rate, 0.0),
            np.where(known, corrected * rate, 0.0),
        )


class DayValues:
    """The numbers of one roll-up. `books` are those of the roll-up: read for positions whose day is unknown."""

    def __init__(
        self,
        reference: Reference,
        hierarchy: Hierarchy | None,
        start: StartTable,
        prices: ClosePrices,
        books: Sequence[RowsOfOwner],
        units: Units,
        factors: Factors,
    ) -> None:
        self.start = start
        self._hierarchy = hierarchy
        self._prices = prices
        self._books = books
        self._terms = ContractTerms.of(reference)
        self._currency_index = reference.currency_index
        last = int(start.keys[-1] >> SHIFT) + 1 if len(start.keys) else 0
        self._size = len(hierarchy) if hierarchy is not None else last
        leaf = np.array([hierarchy is None or hierarchy.is_leaf(owner) for owner in range(self._size)], dtype=np.bool_)
        self._leaf_keys: IntArray = start.keys[leaf[start.keys >> SHIFT]] if self._size else start.keys
        self._ranks = np.array(reference.ranks, dtype=np.int64)
        self._quantities = SparseRows(self._size, len(reference.instruments), 1, reference.ranks)
        self._carried = SparseRows(self._size, len(reference.currencies), 1, reference.currency_ranks)
        self._carry = SparseRows(self._size, len(reference.currencies), 1, reference.currency_ranks)
        self._fees = SparseRows(self._size, len(reference.currencies), 1, reference.currency_ranks)
        self._numbers = np.zeros((DAY_NUMBERS, self._size))
        self._unknown = _Unknown(self._leaf_keys[:0], np.zeros(0), np.zeros(0))
        self._holders: list[IntArray] = []
        self.pages: tuple[FloatArray, ...] = ()
        self._is_unmarked = DayMarket.of(prices, self._terms, units, factors).is_unmarked
        self._build(units, factors)

    @property
    def table(self) -> DayTable:
        """What readers get now."""
        return DayTable(self.start, self.pages)

    def grow(self, reference: Reference, prices: ClosePrices, units: Units) -> None:
        """Make room for the forwards that a reference has beyond this one's; `prices` has it. O(instruments)."""
        known, new = len(self._terms.multiplier), len(reference.instruments)
        self._prices = prices
        self._terms = self._terms.grown(reference)
        self._currency_index = reference.currency_index
        self._ranks = np.array(reference.ranks, dtype=np.int64)
        self._quantities.grow(new, reference.ranks)
        for by_currency in (self._carried, self._carry, self._fees):
            by_currency.grow(len(reference.currencies), reference.currency_ranks)
        self._holders += [np.zeros(0, dtype=np.int64) for _ in range(known, new)]
        self._is_unmarked = np.append(self._is_unmarked, ~(units.priced & units.rated)[known:])

    # -- the close ---------------------------------------------------------------------------------------------

    def restate(self, keys: Collection[int], units: Units, factors: Factors) -> None:
        """Take corrections of leaf keys, once the table of the start has them. O(positions of their owners at the close)."""
        new = sorted(set(keys).difference(self._keys_of({key >> SHIFT for key in keys}).tolist()))
        if new:
            self._leaf_keys = np.insert(self._leaf_keys, np.searchsorted(self._leaf_keys, new), new)
            self._grow(int(self._leaf_keys[-1] >> SHIFT) + 1)
        owners = sorted({key >> SHIFT for key in keys})
        columns = self._columns(self._keys_of(owners))
        if self._unknown.places or columns.is_unknown.any():
            self._build(units, factors)
            return
        columns = self._in_order(columns)
        worth = _Worth.of(columns, self._prices, self._terms)
        for owner in owners:
            self._take_owner(owner, columns, worth)
        self._sum_up(slice(0, DAY_NUMBERS), units, factors)

    def _take_owner(self, owner: int, columns: StartColumns, worth: "_Worth") -> None:
        """Replace what one owner had at the close."""
        mine = np.flatnonzero(columns.owners == owner)
        numbers, quantity = columns.instruments[mine].tolist(), columns.quantity[mine].tolist()
        for number, held in zip(numbers, quantity, strict=True):
            if self._quantities.set(owner, number, (held,)):
                self._holders[number] = np.append(self._holders[number], owner)
        self._carried.clear_row(owner)
        sums: dict[int, float] = {}
        for currency, amount in zip(worth.currency[mine].tolist(), worth.total[mine].tolist(), strict=True):
            sums[currency] = sums.get(currency, 0.0) + amount
        for currency, amount in sums.items():
            self._carried.set(owner, currency, (amount,))
        self._numbers[START, owner] = _in_order(worth.start[mine])
        self._numbers[CORRECTION, owner] = _in_order(worth.corrected[mine])
        self._carry.clear_row(owner)
        self._add_carry(owner, (columns.owners[mine] << SHIFT | columns.instruments[mine]).tolist())

    def _in_order(self, columns: StartColumns) -> StartColumns:
        """The positions by owner, those of one owner in the order in which sums over instruments add them."""
        if len(self._ranks) and self._ranks[-1] == len(self._ranks) - 1 and bool((np.diff(self._ranks) > 0).all()):
            return columns
        order = np.lexsort((self._ranks[columns.instruments], columns.owners))
        ordered = columns._asdict()
        return columns._replace(**{name: column[order] for name, column in ordered.items()})

    def _keys_of(self, owners: Collection[int]) -> IntArray:
        """The leaf keys of some owners, ascending. O(those)."""
        found = [np.zeros(0, dtype=np.int64)]
        for owner in sorted(owners):
            first, end = np.searchsorted(self._leaf_keys, (owner << SHIFT, (owner + 1) << SHIFT))
            found.append(self._leaf_keys[first:end])
        return np.concatenate(found)

    def _grow(self, size: int) -> None:
        """Make room for dealers who came after the close."""
        if self._hierarchy is None and size > self._size:
            for rows in (self._quantities, self._carried, self._carry, self._fees):
                while len(rows) < size:
                    rows.add_row()
            self._numbers = np.concatenate((self._numbers, np.zeros((DAY_NUMBERS, size - self._size))), axis=1)
            self._size = size

    def _build(self, units: Units, factors: Factors) -> None:
        """Build all sums from the start table. O(positions at the close)."""
        size = self._size
        columns = self._columns(self._leaf_keys)
        self._fill_known(columns)
        lost = columns.is_unknown
        unknown_keys = self._leaf_keys[lost]
        unknown_keys = unknown_keys[np.lexsort((self._ranks[unknown_keys & MASK], unknown_keys >> SHIFT))]
        self._unknown = _Unknown(unknown_keys, np.zeros(len(unknown_keys)), np.zeros(len(unknown_keys)))
        self._unknown.put_all(self._books)
        self._numbers[UNKNOWN_COUNT] = np.bincount(columns.owners[lost], minlength=size)[:size]
        self._fill_fees()
        self._sum_up(slice(0, DAY_NUMBERS), units, factors)

    def _fill_known(self, columns: StartColumns) -> None:
        """Fill quantities, totals by currency and the fixed lines from positions whose start is known."""
        size, width = self._size, max(self._carried.columns, 1)
        unknown = set(self._leaf_keys[columns.is_unknown].tolist())
        columns = self._in_order(columns)
        worth = _Worth.of(columns, self._prices, self._terms)
        owners, numbers, quantity = columns.owners, columns.instruments, np.where(columns.is_unknown, 0.0, columns.quantity)
        self._numbers[START] = np.bincount(owners, weights=worth.start, minlength=size)[:size]
        self._numbers[CORRECTION] = np.bincount(owners, weights=worth.corrected, minlength=size)[:size]
        held = quantity != 0.0
        self._quantities.fill(_cells(owners[held], numbers[held], quantity[held]))
        order = np.argsort(numbers[held], kind="stable")
        ends = np.cumsum(np.bincount(numbers[held], minlength=len(self._terms.multiplier)))[:-1]
        self._holders = np.split(owners[held][order], ends)
        keys, amounts = _sums_by_key(owners * width + worth.currency, worth.total)
        self._carried.fill(_cells(keys // width, keys % width, amounts))
        nothing = np.zeros(0, dtype=np.int64)
        self._carry.fill(_cells(nothing, nothing, np.zeros(0)))
        found = {*self.start.beside, *self.start.restated}.difference(unknown) if self._has_carry else ()
        with_carry = sorted(found, key=lambda key: (key >> SHIFT, self._ranks.item(key & MASK)))
        leaves = set(self._leaf_keys.tolist()) if with_carry else set()
        for owner, mine in groupby((key for key in with_carry if key in leaves), key=lambda key: key >> SHIFT):
            self._add_carry(owner, list(mine))

    @property
    def _has_carry(self) -> bool:
        return bool(self.start.beside) or any(
            held is not None and (held.carry or held.beside) for held in self.start.restated.values()
        )

    def _add_carry(self, owner: int, keys: Sequence[int]) -> None:
        """Add carry of the day, and amounts beside net cash, of positions of one owner whose start is known."""
        index, rates = self._currency_index, self._prices.rate
        for key in keys:
            start = self.start.start(owner, key & MASK)
            row = self._books[owner].row(key & MASK) if owner < len(self._books) else None
            if start is None or not (start.carry or start.beside or start.published_beside or (row is not None and row.beside)):
                continue
            self._add_cell(self._carry, owner, self._terms.cash_currency.item(key & MASK), start.carry)
            now = (row.beside or NO_FEES) if row is not None else NO_FEES
            for code in {*now, *start.beside, *start.published_beside}:
                at, before, first = index[code], start.beside.get(code, 0), start.published_beside.get(code, 0)
                self._add_cell(self._carry, owner, at, now.get(code, 0) - before)
                self._add_cell(self._carried, owner, at, before)
                if before or first:
                    self._numbers[START, owner] += first / CASH_ONE * rates.item(at)
                    self._numbers[CORRECTION, owner] += (before - first) / CASH_ONE * rates.item(at)

    def _add_cell(self, cells: SparseRows, owner: int, currency: int, units: int) -> None:
        if units:
            cells.set(owner, currency, (cells.get(owner, currency)[0] + units / CASH_ONE,))

    def _columns(self, keys: IntArray) -> StartColumns:
        terms, index = self._terms, self._currency_index
        return columns_of(self.start, keys, self._prices, terms.cash_currency, self._is_unmarked, index)

    def _fill_fees(self) -> None:
        found = [
            (owner, self._currency_index[code], units / ONE)
            for owner, charged in self.start.fees.items()
            if self._hierarchy is None or self._hierarchy.is_leaf(owner)
            for code, units in charged.items()
            if code in self._currency_index
        ]
        owners, currencies, amounts = zip(*found, strict=True) if found else ((), (), ())
        self._fees.fill(_cells(np.array(owners, dtype=np.int64), np.array(currencies, dtype=np.int64), np.array(amounts)))

    # -- now ---------------------------------------------------------------------------------------------------

    def take(self, changes: Changes | None, units: Units, factors: Factors) -> None:
        """Take changed rows of positions; None: any may have changed. O(1) a row where the day of all positions is known."""
        if not self._unknown.places:
            return
        if changes is None:
            self._unknown.put_all(self._books)
        if changes is None or sum(self._unknown.put(key, now) for key, (_, now) in changes.items()):
            self._numbers[UNKNOWN_TOTAL] = self._unknown.totals(self._size, units, factors, self._currency_index)
            if self._hierarchy is not None:
                self._hierarchy.sum_up(self._numbers[UNKNOWN_TOTAL : UNKNOWN_TOTAL + 1])
            self._publish()

    def catch_up(self, units: Units, factors: Factors) -> None:
        """Take prices and rows of now, where the values were made on another thread. O(positions at the close)."""
        self._unknown.put_all(self._books)
        self.reprice(units, factors)

    def reprice(self, units: Units, factors: Factors) -> None:
        """Compute the moving lines: any price, rate or flag may have changed. O(positions at the close)."""
        unmarked = ~(units.priced & units.rated)
        if not np.array_equal(unmarked, self._is_unmarked):
            self._is_unmarked = unmarked
            self._build(units, factors)
        else:
            self._sum_up(slice(0, MOVING), units, factors)

    def reprice_some(self, instruments: Sequence[int], units: Units, factors: Factors) -> None:
        """Compute them after prices of a few instruments, and nothing else, changed; the same bits as `reprice`."""
        held = np.zeros(self._size, dtype=np.bool_)
        for number in instruments:
            held[self._holders[number]] = True
        rows = np.flatnonzero(held)
        moved = len(self._unknown.places) > 0
        if not len(rows) and not moved:
            return
        market = DayMarket.of(self._prices, self._terms, units, factors)
        self._numbers[POSITION, rows] = self._quantities.product_of_rows(0, rows, market.move)
        if moved:
            self._numbers[UNKNOWN_TOTAL] = self._unknown.totals(self._size, units, factors, self._currency_index)
        if self._hierarchy is not None:
            self._hierarchy.sum_up(self._numbers[POSITION : POSITION + 1])
            if moved:
                self._hierarchy.sum_up(self._numbers[UNKNOWN_TOTAL : UNKNOWN_TOTAL + 1])
        self._publish()

    def _sum_up(self, lines: slice, units: Units, factors: Factors) -> None:
        market = DayMarket.of(self._prices, self._terms, units, factors)
        numbers = self._numbers
        numbers[POSITION] = self._quantities.product(0, market.move)
        numbers[TRANSLATION] = self._carried.product(0, market.translation)
        numbers[CARRY] = self._carry.product(0, factors.fees)
        numbers[START_FEES] = self._fees.product(0, factors.fees)
        numbers[UNKNOWN_TOTAL] = (
            self._unknown.totals(self._size, units, factors, self._currency_index) if self._unknown.places else 0.0
        )
        if self._hierarchy is not None:
            self._hierarchy.sum_up(numbers[lines])
        self._publish()

    def _publish(self) -> None:
        self.pages = read_only_pages(self._numbers, self._size)


def _cells(rows: IntArray, columns: IntArray, values: FloatArray) -> Cells:
    return Cells(rows.astype(np.int32), columns.astype(np.int32), values.reshape(-1, 1))


def _sums_by_key(keys: IntArray, amounts: FloatArray) -> tuple[IntArray, FloatArray]:
    """Keys, ascending, and the sum of each: its amounts added from the first to the last."""
    known, place = np.unique(keys, return_inverse=True)
    return known, np.asarray(np.bincount(place, weights=amounts, minlength=len(known)), dtype=np.float64)


def _in_order(amounts: FloatArray) -> float:
    """The sum from the first to the last, as `bincount` adds."""
    total = 0.0
    for amount in amounts.tolist():
        total += amount
    return total


def ghosts_of(start: StartTable, keys: Collection[int], books: Sequence[RowsOfOwner]) -> Mapping[int, tuple[int, ...]]:
    """`start.ghosts` once some keys have been looked at again: by owner, instruments of the close without a row now. O(keys)."""
    ghosts = dict(start.ghosts)
    for key in keys:
        owner, number = key >> SHIFT, key & MASK
        gone = start.is_carried(key) and (owner >= len(books) or books[owner].row(number) is None)
        others = tuple(each for each in ghosts.get(owner, ()) if each != number)
        ghosts[owner] = (*others, number) if gone else others
    return {owner: numbers for owner, numbers in ghosts.items() if numbers}
