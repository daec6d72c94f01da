"""The numbers of every node and dealer, P&L, exposure and counts: what it holds times what one unit is worth.

All numbers of a node are linear in the unit values, so a beat is a handful of sparse products of quantities with unit values,
summed up the tree. With Q the open quantities of a leaf, C its cash and K its open cost by currency, X the rates:

    total = Q . value + C . X        unrealised = Q . value - K . X        realised = (C + K) . X

What is kept beside cash (carry in other currencies) adds to total and realised, at its own rates. A position of which such an
amount has no rate is left out of both, and counts as unpriced. Cash of nodes is in `cash_values`.

The quantities stand in three matrices: of products, whose value is their exposure; of pairs, which are exposed by their currency
legs; and of options, which are exposed by their delta: those on pairs by two currency legs and the cash of their premium, all
others as so much of their underlying. One with an unknown delta adds to no exposure and no Greek. An open position without a
mark must not count its cash either: `open_cash` and `open_cost` take it out again.
Gross exposure is the sum of the absolute values of a node's own netted legs (currencies and products, those of options among
them: `options.netting`); long and short are (gross + net) / 2 and (net - gross) / 2.

A position with fees in a currency without a rate has unknown fees: the sums leave them out, all of them, and it counts as
unpriced. These positions are few; `ForeignAmounts` finds them among those with fees in another currency than that of their cash.

The numbers of a leaf depend on its exact state and the unit values alone: after a trade and after a beat the same sequential sums
compute them, to the same bit. Owned by the writer thread.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from operator import mul
from typing import Any

import numpy as np

from riskengine.positions.ledger import EMPTY_ROW, MASK, SHIFT, Changes, Row, RowsOfOwner
from riskengine.positions.position import NO_FEES, replace_fees
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, MULTIPLIER_DECIMALS, ONE, BoolArray, FloatArray, IntArray
from riskengine.valuation.bucket_netting import BucketNetting
from riskengine.valuation.cash_values import NodeCash
from riskengine.valuation.foreign_amounts import ForeignAmounts, beside_of, fees_of
from riskengine.valuation.number_pages import (
    ADDITIVE,
    DELTA,
    FEES,
    GAMMA,
    GROSS,
    MEASURES,
    NET,
    NO_RATE,
    PAGE,
    PRICED,
    PRICED_OPTIONS,
    REALISED,
    STALE,
    THETA,
    TOTAL,
    UNPRICED,
    UNREALISED,
    VEGA,
    NumberPages,
)
from riskengine.valuation.options.netting import OptionNetting
from riskengine.valuation.row_columns import RowColumns
from riskengine.valuation.sparse import Cells, ExactRows, Rows, SparseRows
from riskengine.valuation.unit_values import Factors

LEG_ONE = ONE * 10**MULTIPLIER_DECIMALS
"""A currency leg k q is an exact integer in units of 1e-18."""
LEG_SCALE = CASH_ONE // LEG_ONE
"""Legs are kept in units of 1e-28, as cash is."""

# Layers of the sparse rows.
QUANTITY, SIZE, OPEN_CASH, OPEN_COST, OPEN, HELD = range(6)
# Lines of the sums that prices do not move, by owner.
CASH, COST, LEGS, LEG_SIZE, PAIRS, BESIDE, OPTIONS, OPTION_DELTA, OPTION_NET = range(9)
FIXED = 9

BLOCK_COLUMNS = 16
"""Gross exposure above the leaves is kept as one sum for each node and block of so many instruments. A price changes the sums of
its own block alone."""

FIRST = np.zeros(1, dtype=np.int64)
"""Makes `reduceat` add one range, in the order in which the sums of the tree are added."""


def _is_counted(row: Row, factors: Factors) -> bool:
    """Whether a position is unpriced by its mark, its rate or its delta."""
    number = row.instrument
    return bool(factors.unrated[number] or (row.open_count and (factors.unmarked[number] or factors.undelta[number])))


class Valuation:
    """The numbers of one roll-up: its sums, kept as sparse rows, and their products with the unit values.

    `hierarchy` is None for the dealers, which have nothing above them. `pages` are the published numbers, replaced and never
    changed in place.
    """

    def __init__(self, reference: Reference, hierarchy: Hierarchy | None) -> None:
        instruments, currencies = len(reference.instruments), len(reference.currencies)
        self.size = len(hierarchy) if hierarchy else 0
        self.pages = NumberPages()
        self._reference = reference
        self._hierarchy = hierarchy
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._currencies = currencies
        order, cash_order = reference.ranks, reference.currency_ranks
        self._products = SparseRows(self.size, instruments, 6, order)
        self._pairs = SparseRows(self.size, instruments, 6, order)
        self._options = SparseRows(self.size, instruments, 6, order)
        self._is_option = np.zeros(instruments, dtype=np.bool_)
        self._is_option[reference.options] = True
        self._kinds = self._by_kind()
        self._has_options = bool(len(reference.options))
        self._held_options: set[int] = set()
        self._option_rows: IntArray = np.zeros(0, dtype=np.int64)
        self._foreign_fees = ForeignAmounts(reference, fees_of)
        self._foreign_beside = ForeignAmounts(reference, beside_of)
        self._cash = ExactRows(self.size, currencies, CASH_ONE, cash_order)
        self._cost = ExactRows(self.size, currencies, CASH_ONE, cash_order)
        self._fees = ExactRows(self.size, currencies, ONE, cash_order)
        self._beside = ExactRows(self.size, currencies, CASH_ONE, cash_order)
        self.node_cash = None if hierarchy is None else NodeCash(reference, hierarchy)
        """External cash and available cash; None for the dealers."""
        self._legs = ExactRows(self.size, currencies, CASH_ONE, cash_order)
        self._buckets = BucketNetting(self._legs, reference.majors)
        inner = [n for n in range(self.size) if not self._is_leaf(n)]
        self._inner = np.array(inner, dtype=np.int64)
        self._inner_row = {owner: row for row, owner in enumerate(inner)}
        self._block_count = -(-reference.loaded // BLOCK_COLUMNS)  # forwards are exposed by their legs
        self._blocks = SparseRows(self._block_count * len(inner), instruments, 2)  # sizes, quantities; by block, then node
        self._block_sums = np.zeros((len(inner), self._block_count))
        self._touched_blocks: set[int] = set()
        self._touched_legs: set[int] = set()
        self._holders = [array("i") for _ in range(instruments)]
        self._netting = OptionNetting(self.size, reference, hierarchy, self._linear, self._worth_in_buckets)
        self._leg_options = self._netting.terms.posts_legs
        self._fixed = np.zeros((FIXED, self.size))
        self._held = [np.zeros(self.size), np.zeros(self.size)]
        """What the products of each leaf are worth, and their size, at the prices in force."""
        self._numbers = np.zeros((MEASURES, self.size))
        self._publish(range(-(-self.size // PAGE)), is_new=True)

    def add_owner(self) -> None:
        """Make room for one more dealer. O(dealers)."""
        for rows in self._matrices():
            rows.add_row()
        self._fixed = np.concatenate((self._fixed, np.zeros((FIXED, 1))), axis=1)
        self._held = [np.append(held, 0.0) for held in self._held]
        self._numbers = np.concatenate((self._numbers, np.zeros((MEASURES, 1))), axis=1)
        self._netting.add_owner()
        self._publish((self.size // PAGE,), is_new=True)
        self.size += 1

    def grow(self, reference: Reference) -> None:
        """Make room for the forwards that a reference has beyond this one's. O(instruments); no number changes."""
        new = len(reference.instruments) - len(self._reference.instruments)
        self._reference = reference
        self._currencies = len(reference.currencies)
        for by_instrument in (self._products, self._pairs, self._options):
            by_instrument.grow(len(reference.instruments), reference.ranks)
        for by_currency in (self._cash, self._cost, self._fees, self._legs, self._beside):
            by_currency.grow(self._currencies, reference.currency_ranks)
        self._buckets.grow(reference.majors)
        self._netting.grow(reference)
        self._leg_options = self._netting.terms.posts_legs
        self._blocks.grow(len(reference.instruments), None)
        self._is_option = np.concatenate((self._is_option, np.zeros(new, dtype=np.bool_)))
        self._kinds = self._by_kind()
        self._holders += [array("i") for _ in range(new)]
        for amounts in (self._foreign_fees, self._foreign_beside):
            amounts.grow(reference)
        if self.node_cash is not None:
            self.node_cash.grow(reference)

    def _matrices(self) -> tuple[SparseRows | ExactRows, ...]:
        return (self._products, self._pairs, self._options, self._cash, self._cost, self._fees, self._legs, self._beside)

    # -- trades ------------------------------------------------------------------------------------------------

    def take(self, changes: Changes, factors: Factors) -> None:
        """Update sums and numbers with changed rows. O(changed rows x their owners' cells)."""
        for key, (before, now) in changes.items():
            self._take_row(key >> SHIFT, key & MASK, before or EMPTY_ROW, now or EMPTY_ROW)
        self._flush()
        self._reprice_few(sorted({key >> SHIFT for key in changes}), factors)

    def take_all(self, books: Sequence[RowsOfOwner], factors: Factors) -> None:
        """Build all sums and numbers from the rows: at a start, and after more changes than `settle` lists. O(rows)."""
        inner = self._inner_row
        leaves = RowColumns((owner, book.rows) for owner, book in enumerate(books) if owner not in inner)
        above = RowColumns((owner, book.rows) for owner, book in enumerate(books) if owner in inner)
        self.take_columns(leaves, above, factors)

    def take_columns(self, leaves: RowColumns, above: RowColumns, factors: Factors, *, of_close: bool = False) -> None:
        """Build them from the rows of leaves and of inner nodes in columns. O(rows).

        `of_close` leaves out what no close keeps: realised and unrealised P&L, and available cash. These numbers are then wrong.
        """
        for amounts in (self._cash, self._cost, self._fees, self._legs, self._beside):
            amounts.clear()
        self._holders = [array("i") for _ in self._holders]
        self._foreign_fees.clear()
        self._foreign_beside.clear()
        self._take_leaves(leaves, of_close=of_close)
        sums = above.select(self._reference.products[above.instruments] & ~self._is_option[above.instruments])
        places_of = np.zeros(self.size, dtype=np.int32)
        places_of[self._inner] = np.arange(len(self._inner), dtype=np.int32)
        blocks = sums.instruments // BLOCK_COLUMNS * len(self._inner) + places_of[sums.owners]
        quantity = sums.amounts("quantity", ONE)
        self._blocks.fill(Cells(blocks, sums.instruments, np.stack((np.abs(quantity), quantity), axis=1)))
        self._take_legs(above)
        if self.node_cash is not None and not of_close:
            self.node_cash.take_all(leaves, above)
        self._flush()
        if self._has_options:
            self._held_options.update(leaves.owners[self._is_option[leaves.instruments]].tolist())
            self._netting.take_all(leaves)
        self.reprice(factors)

    def _take_leaves(self, held: RowColumns, *, of_close: bool) -> None:
        """Write the cells and sums of all rows of leaves at once; `_take_row` does it one by one."""
        reference, owners, numbers = self._reference, held.owners, held.instruments
        quantity, is_open = held.amounts("quantity", ONE), held.amounts("open_count", 1)
        open_cash = np.where(is_open != 0.0, held.amounts("cash", CASH_ONE), 0.0)
        open_cost = np.zeros(len(held)) if of_close else held.amounts("open_cost", CASH_ONE)
        counted = held.amounts("position_count", 1) - held.amounts("quarantined", 1)
        values = np.stack((quantity, np.abs(quantity), open_cash, open_cost, is_open, counted), axis=1)
        pairs, options = ~reference.products[numbers], self._is_option[numbers]
        for matrix, which in ((self._products, ~pairs & ~options), (self._pairs, pairs), (self._options, options)):
            matrix.fill(Cells(owners[which], numbers[which], values[which]))
        self._holders = [array("i", owners.tobytes()) for owners in held.owners_by_instrument(len(self._holders))]
        currencies = np.array(reference.cash_currency, dtype=np.int32)[numbers]
        self._cash.add_all(owners, currencies, held.integers("cash"))
        if not of_close:
            self._cost.add_all(owners, currencies, held.integers("open_cost"))
        for owner, row in zip(owners.tolist(), held.rows, strict=True):
            if row.fees:
                self._foreign_fees.note(owner, row.instrument, row)
                for code, fees in row.fees.items():
                    self._fees.add(owner, reference.currency_index[code], fees)
            if row.beside:
                self._foreign_beside.note(owner, row.instrument, row)
                for code, units in row.beside.items():
                    self._beside.add(owner, reference.currency_index[code], units)
        self._take_legs(held)

    def _take_legs(self, held: RowColumns) -> None:
        """Add the currency legs of all rows of pairs at once, and the cash of options on pairs."""
        reference = self._reference
        pairs = held.select(~reference.products[held.instruments])
        scale = [instrument.multiplier * LEG_SCALE for instrument in reference.instruments]
        base = map(mul, pairs.integers("quantity"), map(scale.__getitem__, pairs.integers("instrument")))
        options = held.select(self._leg_options[held.instruments])
        for rows, currency_of, amounts in (
            (pairs, reference.base_currency, base),
            (pairs, reference.cash_currency, pairs.integers("cash")),
            (options, reference.cash_currency, options.integers("cash")),
        ):
            currencies = np.array(currency_of, dtype=np.int32)[rows.instruments]
            exposed = np.array(reference.majors)[currencies] != self._reporting
            self._legs.add_all(rows.owners[exposed], currencies[exposed], compress(amounts, exposed.tolist()))
            self._buckets.note_all(rows.owners[exposed], currencies[exposed])

    def retake(self, owners: Collection[int], books: Sequence[RowsOfOwner], factors: Factors) -> None:
        """Build the sums and numbers of some owners from their rows, whatever was wrong with them. O(their rows + owners).

        The owners above them must be among them.
        """
        for owner in owners:
            for rows in self._matrices():
                rows.clear_row(owner)
            self._foreign_fees.clear_owner(owner)
            self._foreign_beside.clear_owner(owner)
            if self.node_cash is not None:
                self.node_cash.clear_owner(owner)
            inner = self._inner_row.get(owner)
            if inner is not None:
                for block in range(inner, self._block_sums.size, len(self._inner)):
                    self._blocks.clear_row(block)
                    self._touched_blocks.add(block)
            self._touched_legs.add(owner)
            self._numbers[:, owner] = 0.0
            if self._has_options:
                self._netting.clear_owner(owner)
            for row in books[owner].rows:
                if row is not None:
                    self._take_row(owner, row.instrument, EMPTY_ROW, row)
        self._flush()
        self._reprice_few(sorted(owners), factors)

    def _flush(self) -> None:
        for amounts in (self._cash, self._cost, self._fees, self._legs, self._beside):
            amounts.flush()

    def _take_row(self, owner: int, number: int, before: Row, now: Row) -> None:
        reference, quantity = self._reference, now.quantity
        currency, base = reference.cash_currency[number], reference.base_currency[number]
        d_cash = now.cash - before.cash
        if self.node_cash is not None:
            self.node_cash.take_row(owner, number, before, now)
        if base >= 0:
            self._touched_legs.add(owner)
            multiplier = reference.instruments[number].multiplier
            self._take_leg(owner, base, (quantity - before.quantity) * multiplier * LEG_SCALE)
            self._take_leg(owner, currency, d_cash)
        elif self._has_options and self._leg_options[number]:
            self._touched_legs.add(owner)
            self._take_leg(owner, currency, d_cash)
        if self._has_options:
            self._netting.note(owner)
        inner, is_option = self._inner_row.get(owner), bool(self._is_option[number]) if self._has_options else False
        if inner is not None:
            if base < 0 and not is_option:
                block = number // BLOCK_COLUMNS * len(self._inner) + inner
                self._blocks.set(block, number, (abs(quantity) / ONE, quantity / ONE))
                self._touched_blocks.add(block)
            return
        if (self._options if is_option else self._products if base < 0 else self._pairs).set(
            owner,
            number,
            (
                quantity / ONE,
                abs(quantity) / ONE,
                now.open_cash / CASH_ONE,
                now.open_cost / CASH_ONE,
                now.open_count,
                now.position_count - now.quarantined,
            ),
        ):
            self._holders[number].append(owner)
        if is_option:
            self._held_options.add(owner)
            self._netting.take(owner, number, now)
        if d_cash:
            self._cash.add(owner, currency, d_cash)
        d_cost = now.open_cost - before.open_cost
        if d_cost:
            self._cost.add(owner, currency, d_cost)
        if now.fees or before.fees:
            self._foreign_fees.note(owner, number, now)
        if now.fees is not before.fees:
            for code in {*before.fees, *now.fees}:
                change = now.fees.get(code, 0) - before.fees.get(code, 0)
                self._fees.add(owner, reference.currency_index[code], change)
        if now.beside is not before.beside:
            self._foreign_beside.note(owner, number, now)
            old, new = before.beside or NO_FEES, now.beside or NO_FEES
            for code in {*old, *new}:
                self._beside.add(owner, reference.currency_index[code], new.get(code, 0) - old.get(code, 0))

    def _take_leg(self, owner: int, currency: int, change: int) -> None:
        if change and self._reference.majors[currency] != self._reporting:
            self._legs.add(owner, currency, change)
            self._buckets.note(owner, currency)

    def _worth_in_buckets(self, owners: IntArray, currencies: IntArray, rates: FloatArray, majors: IntArray) -> FloatArray:
        return self._buckets.worth(owners, currencies, rates, majors)

    def _linear(self, owner: int, bucket: int) -> float:
        """What an owner holds of a currency or an instrument, options apart (`options.netting`)."""
        if bucket >= 0:
            return self._legs.get(owner, bucket)[0]
        number, inner = -1 - bucket, self._inner_row.get(owner)
        if inner is None:
            return self._products.get(owner, number)[QUANTITY]
        return self._blocks.get(number // BLOCK_COLUMNS * len(self._inner) + inner, number)[1]

    def _is_leaf(self, owner: int) -> bool:
        return self._hierarchy is None or self._hierarchy.is_leaf(owner)

    def _reprice_few(self, owners: Sequence[int], factors: Factors) -> None:
        if len(owners) > 48:
            self.reprice(factors)
        elif owners:
            self._reprice_owners(owners, factors)

    def _reprice_owners(self, owners: Sequence[int], factors: Factors) -> None:
        """Compute the numbers of some owners (ascending), children before parents."""
        numbers, inner = self._numbers, self._inner_row
        if self._has_options:
            self._netting.settle(factors.options)
        excess = self._netting.excess
        leaves = [owner for owner in owners if owner not in inner]
        for leaf in leaves:
            self._own_numbers(leaf, factors)
        for row in self._touched_blocks:
            block, place = divmod(row, len(self._inner))
            self._block_sums[place, block] = self._blocks.product_of_row(0, row, factors.size)
        self._touched_blocks.clear()
        for owner in reversed(owners):
            if owner in inner:
                first, end = self._hierarchy.children[owner]  # type: ignore[union-attr]
                numbers[:ADDITIVE, owner] = np.add.reduceat(numbers[:ADDITIVE, first:end], FIRST, axis=1)[:, 0]
                if owner in self._touched_legs:
                    self._size_legs(owner, owner, factors)
                sizes = np.add.reduce(self._block_sums[inner[owner]]) + self._fixed[LEG_SIZE, owner]
                numbers[GROSS, owner] = np.maximum(sizes + excess[owner], 0.0)
        self._touched_legs.clear()
        self._publish({owner // PAGE for owner in owners})

    # -- prices ------------------------------------------------------------------------------------------------

    def reprice(self, factors: Factors) -> None:
        """Compute the numbers of all owners: any price, rate or flag may have changed. O(cells)."""
        if self._has_options:
            self._netting.reprice(factors.options)
        self._own_numbers(None, factors)
        self._sum_blocks(None, factors)
        self._touched_legs.clear()
        if self._hierarchy is not None:
            amounts = self._fees or self._beside
            flags = amounts or factors.any_unmarked or factors.any_unrated or factors.any_stale or self._has_options
            self._hierarchy.sum_up(self._numbers[: ADDITIVE if flags else FEES])
        self._size_inner()
        self.pages = self.pages.with_all(self._numbers, self.size, greeks=self._has_options)
        if self.node_cash is not None:
            self.node_cash.reprice(factors)

    def reprice_prices(self, instruments: Sequence[int] | None, factors: Factors, fees_moved: Collection[int] = ()) -> None:
        """Compute the numbers after the prices, and nothing else, of some instruments changed (None: of any); as `reprice` does.

        `fees_moved` are currencies of which only the rate for fees moved with them. O(cells of the owners that hold them +
        owners).
        """
        if fees_moved and self._foreign_beside.uses_any(fees_moved):
            self.reprice(factors)
            return
        if fees_moved and self.node_cash is not None:
            self.node_cash.reprice(factors)
        fees_move = bool(fees_moved) and self._foreign_fees.uses_any(fees_moved)
        if fees_move:
            self._value_fees(None, factors)
            if self._hierarchy is not None:
                self._hierarchy.sum_up(self._numbers[FEES : FEES + 1])
        is_held = self._price_all(factors) if instruments is None else self._price_some(instruments, factors)
        if is_held:
            if self._hierarchy is not None:
                self._hierarchy.sum_up(self._numbers[: PRICED_OPTIONS if self._has_options else PRICED])
            self._size_inner()
        if fees_move:
            self.pages = self.pages.with_all(self._numbers, self.size, greeks=self._has_options)
        elif is_held:
            self.pages = self.pages.with_prices(self._numbers, self.size, greeks=self._has_options)

    def _price_all(self, factors: Factors) -> bool:
        """Compute what prices move of all owners themselves. Returns whether there are any."""
        if self._pairs.has_cells:
            self._fixed[PAIRS] = self._pairs.product(QUANTITY, factors.value)
        if self._has_options:
            self._netting.reprice(factors.options)
            self._fix_options(None, factors)
        self._price(None, factors)
        self._sum_blocks(None, factors)
        return self.size > 0

    def _price_some(self, instruments: Sequence[int], factors: Factors) -> bool:
        """Compute what prices move of the owners that hold some of these instruments. Returns whether there are any."""
        held = np.zeros(self.size, dtype=np.bool_)
        for instrument in instruments:
            held[np.frombuffer(self._holders[instrument], dtype=np.int32)] = True
        rows = np.flatnonzero(held)
        if not len(rows):
            return False
        if not self._reference.products[instruments].all():
            self._fixed[PAIRS, rows] = self._pairs.product_of_rows(QUANTITY, rows, factors.value)
        if self._has_options:
            if self._netting:
                self._netting.reprice(factors.options)
            if self._is_option[instruments].any():
                self._fix_options(rows, factors)
        self._price(rows, factors)
        self._sum_blocks({number // BLOCK_COLUMNS for number in instruments if number < self._reference.loaded}, factors)
        return True

    def _own_numbers(self, rows: int | None, factors: Factors) -> None:
        """Compute the numbers of one owner or all, from what they hold themselves: for a leaf, that is all.

        For one owner the terms are floats, for several arrays: the same expressions give the same numbers.
        """
        rates, every = factors.currency, slice(None) if rows is None else rows
        numbers, fixed = self._numbers, self._fixed
        cash, cost = self._cash.product(QUANTITY, rates, rows), self._cost.product(QUANTITY, rates, rows)
        beside = self._beside.product(QUANTITY, factors.fees, rows) if self._beside else 0.0
        numbers[REALISED, every] = cash + cost + beside if self._beside else cash + cost
        fixed[BESIDE, every] = beside
        no_rate = self._product(HELD, factors.unrated, rows) if factors.any_unrated else 0.0
        unmarked = stale = 0.0
        if factors.any_unmarked:
            cash -= self._product(OPEN_CASH, factors.unmarked_rate, rows)
            cost -= self._product(OPEN_COST, factors.unmarked_rate, rows)
            unmarked = self._product(OPEN, factors.unmarked, rows)
        if factors.any_stale:
            stale = self._product(OPEN, factors.stale_open, rows) + self._product(HELD, factors.stale_held, rows)
        unpriced = unmarked + no_rate
        if self._has_options:
            unpriced = unpriced + self._undelta(rows, factors)
            self._fix_options(rows, factors)
        numbers[UNPRICED, every], numbers[NO_RATE, every], numbers[STALE, every] = unpriced, no_rate, stale
        if self._fees:
            self._value_fees(rows, factors)
            for owner, unknown in self._foreign_fees.unknown(rows, factors.fees_known):
                numbers[UNPRICED][owner] += sum(not _is_counted(row, factors) for row in unknown)
        if self._beside:
            self._leave_out_beside(rows, factors)
        fixed[CASH, every], fixed[COST, every] = cash, cost
        if not isinstance(rows, int) or rows in self._touched_legs:
            self._fix_legs(rows, every, factors)
        self._price(rows, factors)

    def _value_fees(self, rows: int | None, factors: Factors) -> None:
        """Compute the fees of one owner or all, without those of positions of which some are unknown."""
        self._numbers[FEES][slice(None) if rows is None else rows] = self._fees.product(QUANTITY, factors.fees, rows)
        for owner, unknown in self._foreign_fees.unknown(rows, factors.fees_known):
            left_out = NO_FEES
            for row in unknown:
                left_out = replace_fees(left_out, NO_FEES, row.fees)
            columns = {self._reference.currency_index[code]: units for code, units in left_out.items()}
            self._numbers[FEES, owner] = self._fees.product_of_rest(owner, columns, factors.fees)

    def _leave_out_beside(self, rows: int | None, factors: Factors) -> None:
        """Leave positions with an unknown amount beside their cash out of realised P&L, and count them."""
        fees_unknown = dict(self._foreign_fees.unknown(rows, factors.fees_known))
        for owner, unknown in self._unknown_beside(rows, factors):
            for row in unknown:
                currency = self._reference.cash_currency[row.instrument]
                cash = (row.cash + row.open_cost) / CASH_ONE * float(factors.currency[currency])
                self._numbers[REALISED, owner] -= cash + self._known_beside(row, factors)
                if not factors.unrated[row.instrument]:
                    self._numbers[NO_RATE, owner] += 1.0
                counted = _is_counted(row, factors) or any(row is other for other in fees_unknown.get(owner, ()))
                self._numbers[UNPRICED, owner] += not counted

    def _unknown_beside(self, owner: int | None, factors: Factors) -> Iterator[tuple[int, list[Row]]]:
        """The positions with amounts beside their cash of which an amount, or the cash, has no rate. O(1) where all have one."""
        if not factors.any_unrated and bool(factors.fees_known.all()):
            return
        known, index = factors.fees_known, self._reference.currency_index
        for number, rows in self._foreign_beside.rows(owner):
            found = [
                row
                for row in rows
                if factors.unrated[row.instrument] or not all(known[index[code]] for code in row.beside or NO_FEES)
            ]
            if found:
                yield number, found

    def _known_beside(self, row: Row, factors: Factors) -> float:
        """What is known of the amounts beside the cash of a row: a currency without a rate counts 0."""
        index = self._reference.currency_index
        amounts = row.beside or NO_FEES
        return float(sum(units / CASH_ONE * float(factors.fees[index[code]]) for code, units in amounts.items()))

    def _leave_out_totals(self, rows: Rows, factors: Factors) -> None:
        """Leave positions with an unknown amount beside their cash out of total P&L: of one owner, some or all."""
        for owner, unknown in self._unknown_beside(rows if isinstance(rows, int) else None, factors):
            if not isinstance(rows, int | None) and owner not in rows:
                continue
            for row in unknown:
                number = row.instrument
                cash = (row.cash - row.open_cash if factors.unmarked[number] else row.cash) / CASH_ONE
                worth = row.quantity / ONE * float(factors.value[number])
                rate = float(factors.currency[self._reference.cash_currency[number]])
                self._numbers[TOTAL, owner] -= worth + cash * rate + self._known_beside(row, factors)

    def _fix_legs(self, rows: Rows, every: Any, factors: Factors) -> None:
        """Compute what pairs add to the numbers of one owner, some or all; trades in products do not change it."""
        fixed = self._fixed
        fixed[LEGS, every] = self._legs.product(QUANTITY, factors.legs, rows)
        self._size_legs(rows, every, factors)
        fixed[PAIRS, every] = self._pairs.product(QUANTITY, factors.value, rows)

    def _size_legs(self, rows: Rows, every: Any, factors: Factors) -> None:
        """Compute the sums of |netted legs| of one owner, some or all: the legs of one currency net over all value dates."""
        sizes = self._fixed[LEG_SIZE]
        netted = self._buckets.size_of(rows, factors.legs, factors.majors) if isinstance(rows, int) else None
        sizes[every] = self._legs.product(SIZE, factors.leg_size, rows) if netted is None else netted
        if not isinstance(rows, int):
            self._buckets.put_sizes(sizes, factors.legs, factors.majors)

    def _undelta(self, rows: int | None, factors: Factors) -> Any:
        """How many open options have a value and no delta, of one owner or all."""
        if not factors.any_undelta:
            return 0.0
        return self._product_of_options(OPEN, factors.undelta, rows)

    def _fix_options(self, rows: Rows, factors: Factors) -> None:
        """Compute what options add to the numbers of one owner, some or all: of those that hold any."""
        held = self._option_owners if rows is None else rows
        value, delta, net, gamma, vega, theta = self._options.products(
            held,
            (QUANTITY, factors.value),
            (QUANTITY, factors.delta),
            (QUANTITY, factors.option_net),
            (QUANTITY, factors.gamma),
            (QUANTITY, factors.vega),
            (QUANTITY, factors.theta),
        )
        if factors.any_unknown_delta:
            net = net + self._options.product(OPEN_CASH, factors.unknown_premium, held)
        fixed, numbers = self._fixed, self._numbers
        fixed[OPTIONS][held], fixed[OPTION_DELTA][held], fixed[OPTION_NET][held] = value, delta, net
        numbers[GAMMA][held], numbers[VEGA][held], numbers[THETA][held] = gamma, vega, theta

    @property
    def _option_owners(self) -> IntArray:
        """The leaves that hold options or have held some, ascending."""
        if len(self._held_options) != len(self._option_rows):
            self._option_rows = np.array(sorted(self._held_options), dtype=np.int64)
        return self._option_rows

    def _price(self, rows: Rows, factors: Factors) -> None:
        """Compute the lines that prices move, of one owner, some or all."""
        products, sizes = self._products.products(rows, (QUANTITY, factors.value), (SIZE, factors.size))
        every: Any = rows
        if rows is None:
            self._held = [products, sizes]
        else:
            self._held[0][rows], self._held[1][rows] = products, sizes
        if isinstance(rows, int):
            fixed = self._fixed[:, rows].tolist()
        else:  # a pass over all owners costs less than to pick some from every line
            (products, sizes), rows, every, fixed = self._held, None, slice(None), self._fixed
        cash, cost, legs, leg_size, pairs, beside, options, option_delta, option_net = fixed
        value, net, gross = products + pairs, products + legs, sizes + leg_size
        worth, delta = value, value
        if self._has_options:
            worth, delta, net = value + options, value + option_delta, net + option_net
            gross = np.maximum(gross + self._netting.excess[every], 0.0)
        numbers = self._numbers
        numbers[TOTAL, every] = worth + cash + beside if self._beside else worth + cash
        numbers[UNREALISED, every] = worth - cost
        numbers[DELTA, every], numbers[NET, every], numbers[GROSS, every] = delta, net, gross
        if self._beside:
            self._leave_out_totals(rows, factors)

    def _product(self, layer: int, factors: FloatArray, rows: Rows) -> Any:
        """The product over all that is held. For several owners, kinds that all have the factor 0 are passed over."""
        found: Any = 0.0
        for matrix, of_kind in self._kinds:
            if isinstance(rows, int) or (matrix.has_cells and factors[of_kind].any()):
                product = self._product_of_options if matrix is self._options else matrix.product
                found = found + product(layer, factors, rows)
        return found

    def _product_of_options(self, layer: int, factors: FloatArray, rows: Rows) -> Any:
        """The product over options: few owners hold any."""
        if rows is not None:
            return self._options.product(layer, factors, rows)
        found, held = np.zeros(self.size), self._option_owners
        found[held] = self._options.product(layer, factors, held)
        return found

    def _by_kind(self) -> tuple[tuple[SparseRows, BoolArray], ...]:
        """The matrices of quantities, and which instruments each is of."""
        pairs, options = ~self._reference.products, self._is_option
        return (self._products, ~(pairs | options)), (self._pairs, pairs), (self._options, options)

    def _sum_blocks(self, blocks: Collection[int] | None, factors: Factors) -> None:
        """Compute the sizes of products above the leaves, by node and block of instruments: of all blocks or some."""
        inner = len(self._inner)
        if blocks is None:
            sums = self._blocks.product(0, factors.size).reshape(self._block_count, inner)
            self._block_sums = np.ascontiguousarray(sums.T)
            self._touched_blocks.clear()
        elif inner:
            for block in blocks:
                self._block_sums[:, block] = self._blocks.product_of_range(0, factors.size, block * inner, inner)

    def _size_inner(self) -> None:
        """Compute the gross exposure of all inner nodes."""
        if len(self._inner):
            sizes = np.add.reduce(self._block_sums, axis=1) + self._fixed[LEG_SIZE, self._inner]
            self._numbers[GROSS, self._inner] = np.maximum(sizes + self._netting.excess[self._inner], 0.0)

    def _publish(self, changed: Iterable[int], *, is_new: bool = False) -> None:
        """Publish all lines of the pages that changed, or are new."""
        self.pages = self.pages.with_pages(self._numbers, changed, greeks=is_new or self._has_options)
