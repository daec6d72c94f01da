"""What everything is worth: the linear form (DESIGN section 3).

All numbers of a node are linear in what one unit of each instrument is worth, so a beat is a handful of sparse products of
quantities with unit values, summed up the tree. With Q the open quantities of a leaf, C its cash and K its open cost by currency:

    total = Q . value + C . X        unrealised = Q . value - K . X        realised = (C + K) . X

An open position without a mark must not count its cash either: what it holds is taken out again through `open_cash` and
`open_cost`. Gross exposure comes from each node's own netted legs (currencies and products): the sum of their absolute
values after netting; long and short are (gross + net) / 2 and (net - gross) / 2.

A number of a leaf depends on the exact state of that leaf and the unit values alone: after a trade and after a beat it is
computed by the same sequential sums, to the same bit. Owned by the writer thread.
"""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.currencies import Rates
from riskengine.hierarchy import Hierarchy, Reference
from riskengine.ledger import MASK, NO_FEES, SHIFT, Changes, Row
from riskengine.marks import Mark
from riskengine.messages import CASH_ONE, MULTIPLIER_DECIMALS, ONE
from riskengine.sparse import SparseRows

FloatArray = npt.NDArray[np.float64]

PAGE = 256
"""Nodes on one page of a table."""

# Lines of the table of node numbers. Amounts are in the reporting currency; the counts are whole numbers.
TOTAL, UNREALISED, VALUE, NET, REALISED, FEES, UNPRICED, NO_RATE, STALE, GROSS = range(10)
MEASURES = 10
PRICED = 4
"""The first lines are those that a price moves without moving a rate."""
ADDITIVE = 9
"""The first lines are summed over children; GROSS is that of each node's own netted legs."""

LEG_ONE = ONE * 10**MULTIPLIER_DECIMALS
"""A currency leg k q is an exact integer in units of 1e-18; cash has 1e-28: legs are kept in the latter."""
LEG_SCALE = CASH_ONE // LEG_ONE

# Layers of the sparse rows.
QUANTITY, OPEN_CASH, OPEN_COST, OPEN, HELD = range(5)
CASH, COST, FEE = range(3)
SIGNED, ABSOLUTE = range(2)


class Units(NamedTuple):
    """What one unit of each instrument is worth, by instrument number, and the marks behind it. Read-only arrays.

    price        mark, in the instrument's currency; 0 where not `priced`
    value        k m X, in the reporting currency per unit of quantity; 0 where price or rate is unknown
    rate         X of the cash currency; 0 where not `rated`
    mark_ts      event time of the mark, 0 where there is none
    stale_mark   the mark is older than the limit
    stale_rate   a pair on the path of the rate is
    """

    price: FloatArray
    priced: npt.NDArray[np.bool_]
    value: FloatArray
    rate: FloatArray
    rated: npt.NDArray[np.bool_]
    mark_ts: npt.NDArray[np.int64]
    stale_mark: npt.NDArray[np.bool_]
    stale_rate: npt.NDArray[np.bool_]
    marks: tuple[Mark | None, ...]


class Factors:
    """The unit values of one moment in the shapes that the products need. Built once per beat. O(instruments)."""

    def __init__(self, reference: Reference, units: Units, rates: Rates) -> None:
        self.value = units.value
        self.currency = rates.value
        unmarked = units.rated & ~units.priced
        self.unmarked_rate = np.where(unmarked, units.rate, 0.0)
        self.unmarked = unmarked.astype(np.float64)
        self.unrated = (~units.rated).astype(np.float64)
        self.any_unmarked = bool(unmarked.any())
        self.any_unrated = not bool(units.rated.all())
        stale_rate = units.stale_rate & units.rated
        self.stale_open = (units.stale_mark & units.priced & units.rated & ~stale_rate).astype(np.float64)
        self.stale_held = stale_rate.astype(np.float64)
        self.any_stale = bool(self.stale_open.any() or self.stale_held.any())
        self.leg = np.concatenate((rates.value, np.where(reference.products, units.value, 0.0)))
        self.leg_size = np.abs(self.leg)


class Valuation:
    """The numbers of one roll-up: which sums, kept as sparse rows, and their products with the unit values.

    `hierarchy` is None for dealers, who have nothing above them. `pages` is the table as published: read-only arrays of shape
    (MEASURES, up to PAGE owners), replaced and never changed.
    """

    def __init__(self, reference: Reference, hierarchy: Hierarchy | None) -> None:
        instruments, currencies = len(reference.instruments), len(reference.currencies)
        self.size = len(hierarchy) if hierarchy else 0
        self.pages: tuple[FloatArray, ...] = ()
        self._reference = reference
        self._hierarchy = hierarchy
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._currencies = currencies
        self._positions = SparseRows(self.size, instruments, 5)
        self._cash = SparseRows(self.size, currencies, 3)
        self._legs = SparseRows(self.size, currencies + instruments, 2)
        inner = [n for n in range(self.size) if not hierarchy.is_leaf(n)] if hierarchy else []
        self._inner = np.array(inner, dtype=np.int64)
        self._inner_row = {owner: row for row, owner in enumerate(inner)}
        self._inner_legs = SparseRows(len(inner), currencies + instruments, 1)
        self._cash_exact: list[dict[int, list[int]]] = [{} for _ in range(self.size)]
        self._legs_exact: list[dict[int, int]] = [{} for _ in range(self.size)]
        self._holders = [array("i") for _ in range(instruments)]
        self._cash_sum = np.zeros(self.size)
        self._cost_sum = np.zeros(self.size)
        self._publish(np.zeros((MEASURES, self.size)))

    def add_owner(self) -> None:
        """Room for one more dealer. O(dealers)."""
        for rows in (self._positions, self._cash, self._legs):
            rows.add_row()
        self._cash_exact.append({})
        self._legs_exact.append({})
        self._cash_sum = np.append(self._cash_sum, 0.0)
        self._cost_sum = np.append(self._cost_sum, 0.0)
        self.size += 1
        self._publish(np.concatenate((*self.pages, np.zeros((MEASURES, 1))), axis=1))

    # -- trades ------------------------------------------------------------------------------------------------

    def take(self, changes: Changes, factors: Factors) -> None:
        """Bring sums and numbers up to date with changed rows. O(changed rows x their owners' cells)."""
        owners: set[int] = set()
        for key, (before, now) in changes.items():
            owner = key >> SHIFT
            self._take_row(owner, key & MASK, before, now)
            owners.add(owner)
        if len(owners) > 64 + self.size // 8:
            self.reprice(factors)
        elif owners:
            self._reprice_owners(sorted(owners, reverse=True), factors)

    def _take_row(self, owner: int, number: int, before: Row | None, now: Row | None) -> None:
        if before is None:
            self._holders[number].append(owner)
        instrument = self._reference.instruments[number]
        currency = self._reference.cash_currency[number]
        quantity = now.quantity if now else 0
        d_cash = (now.cash if now else 0) - (before.cash if before else 0)
        if self._is_leaf(owner):
            self._take_position(owner, number, currency, before, now)
        if instrument.posts_legs:
            base = self._reference.base_currency[number]
            d_quantity = quantity - (before.quantity if before else 0)
            self._take_leg(owner, base, d_quantity * instrument.multiplier * LEG_SCALE)
            self._take_leg(owner, currency, d_cash)
        else:
            self._set_leg(owner, self._currencies + number, quantity / ONE)

    def _take_position(self, owner: int, number: int, currency: int, before: Row | None, now: Row | None) -> None:
        if now is None:
            self._positions.set(owner, number, (0.0, 0.0, 0.0, 0.0, 0.0))
        else:
            self._positions.set(owner, number, (
                now.quantity / ONE, now.open_cash / CASH_ONE, now.open_cost / CASH_ONE, now.open_count, now.position_count,
            ))  # fmt: skip
        d_cash = (now.cash if now else 0) - (before.cash if before else 0)
        d_cost = (now.open_cost if now else 0) - (before.open_cost if before else 0)
        if d_cash or d_cost:
            self._take_cash(owner, currency, d_cash, d_cost, 0)
        old, new = before.fees if before else NO_FEES, now.fees if now else NO_FEES
        if old is not new:
            for code in {*old, *new}:
                self._take_cash(owner, self._reference.currency_index[code], 0, 0, new.get(code, 0) - old.get(code, 0))

    def _take_cash(self, owner: int, currency: int, d_cash: int, d_cost: int, d_fees: int) -> None:
        sums = self._cash_exact[owner].setdefault(currency, [0, 0, 0])
        sums[CASH] += d_cash
        sums[COST] += d_cost
        sums[FEE] += d_fees
        self._cash.set(owner, currency, (sums[CASH] / CASH_ONE, sums[COST] / CASH_ONE, sums[FEE] / ONE))

    def _take_leg(self, owner: int, currency: int, change: int) -> None:
        if currency == self._reporting or not change:
            return
        legs = self._legs_exact[owner]
        legs[currency] = legs.get(currency, 0) + change
        self._set_leg(owner, currency, legs[currency] / CASH_ONE)

    def _set_leg(self, owner: int, column: int, natural: float) -> None:
        row = self._inner_row.get(owner)
        if row is None:
            self._legs.set(owner, column, (natural, abs(natural)))
        else:
            self._inner_legs.set(row, column, (abs(natural),))

    def _is_leaf(self, owner: int) -> bool:
        return self._hierarchy is None or self._hierarchy.is_leaf(owner)

    def _reprice_owners(self, owners: list[int], factors: Factors) -> None:
        """New numbers for some owners, children before parents; copies the pages that they stand on."""
        pages = list(self.pages)
        copied: set[int] = set()
        for owner in owners:
            page, column = divmod(owner, PAGE)
            if page not in copied:
                copied.add(page)
                pages[page] = pages[page].copy()
            numbers = pages[page]
            if self._is_leaf(owner):
                numbers[:, column] = self._leaf_numbers(owner, factors)
            else:
                numbers[:ADDITIVE, column] = self._sum_of_children(owner, pages)
                gross = self._inner_legs.product_of_row(0, self._inner_row[owner], factors.leg_size)
                numbers[GROSS, column] = gross
        for page in copied:
            pages[page].flags.writeable = False
        self._patched |= copied
        self.pages = tuple(pages)

    def _leaf_numbers(self, owner: int, factors: Factors) -> tuple[float, ...]:
        positions, rates = self._positions, factors.currency
        value = positions.product_of_row(QUANTITY, owner, factors.value)
        cash = self._cash_sum[owner] = self._cash.product_of_row(CASH, owner, rates)
        cost = self._cost_sum[owner] = self._cash.product_of_row(COST, owner, rates)
        fees = self._cash.product_of_row(FEE, owner, rates)
        total, unrealised, unpriced, no_rate, stale = value + cash, value - cost, 0.0, 0.0, 0.0
        if factors.any_unmarked:
            total -= positions.product_of_row(OPEN_CASH, owner, factors.unmarked_rate)
            unrealised += positions.product_of_row(OPEN_COST, owner, factors.unmarked_rate)
            unpriced = positions.product_of_row(OPEN, owner, factors.unmarked)
        if factors.any_unrated:
            no_rate = positions.product_of_row(HELD, owner, factors.unrated)
        if factors.any_stale:
            stale = positions.product_of_row(OPEN, owner, factors.stale_open)
            stale += positions.product_of_row(HELD, owner, factors.stale_held)
        net = self._legs.product_of_row(SIGNED, owner, factors.leg)
        gross = self._legs.product_of_row(ABSOLUTE, owner, factors.leg_size)
        return (total, unrealised, value, net, cash + cost, fees, unpriced + no_rate, no_rate, stale, gross)

    def _sum_of_children(self, owner: int, pages: list[FloatArray]) -> FloatArray:
        assert self._hierarchy is not None
        first, end = self._hierarchy.children[owner]
        parts = [
            pages[page][:ADDITIVE, max(first - page * PAGE, 0) : end - page * PAGE]
            for page in range(first // PAGE, (end - 1) // PAGE + 1)
        ]
        children = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return np.add.reduceat(children, [0], axis=1)[:, 0]

    # -- prices ------------------------------------------------------------------------------------------------

    def reprice(self, factors: Factors) -> None:
        """New numbers for everybody: all prices, rates or flags may have changed. O(cells)."""
        numbers = np.zeros((MEASURES, self.size))
        positions, rates = self._positions, factors.currency
        value = positions.product(QUANTITY, factors.value)
        cash = self._cash_sum = self._cash.product(CASH, rates)
        cost = self._cost_sum = self._cash.product(COST, rates)
        np.add(value, cash, out=numbers[TOTAL])
        np.subtract(value, cost, out=numbers[UNREALISED])
        numbers[VALUE] = value
        np.add(cash, cost, out=numbers[REALISED])
        numbers[FEES] = self._cash.product(FEE, rates)
        if factors.any_unmarked:
            numbers[TOTAL] -= positions.product(OPEN_CASH, factors.unmarked_rate)
            numbers[UNREALISED] += positions.product(OPEN_COST, factors.unmarked_rate)
            numbers[UNPRICED] = positions.product(OPEN, factors.unmarked)
        if factors.any_unrated:
            numbers[NO_RATE] = positions.product(HELD, factors.unrated)
            numbers[UNPRICED] += numbers[NO_RATE]
        if factors.any_stale:
            numbers[STALE] = positions.product(OPEN, factors.stale_open) + positions.product(HELD, factors.stale_held)
        numbers[NET] = self._legs.product(SIGNED, factors.leg)
        numbers[GROSS] = self._legs.product(ABSOLUTE, factors.leg_size)
        if self._hierarchy is not None:
            self._hierarchy.sum_up(numbers[:ADDITIVE])
        self._publish_gross(numbers, factors)

    def reprice_some(self, instruments: Iterable[int], factors: Factors) -> None:
        """New numbers after the prices, and only the prices, of a few instruments changed.

        O(cells of the owners that hold them + owners). To the same bit as `reprice`.
        """
        held = np.zeros(self.size, dtype=np.bool_)
        for instrument in instruments:
            held[np.array(self._holders[instrument], dtype=np.int32)] = True
        rows = np.flatnonzero(held)
        if not len(rows):
            return
        numbers = self._numbers.copy()
        for page in self._patched:
            numbers[:, page * PAGE : (page + 1) * PAGE] = self.pages[page]
        value = self._positions.product_of_rows(QUANTITY, rows, factors.value)
        numbers[VALUE, rows] = value
        numbers[TOTAL, rows] = value + self._cash_sum[rows]
        numbers[UNREALISED, rows] = value - self._cost_sum[rows]
        numbers[NET, rows] = self._legs.product_of_rows(SIGNED, rows, factors.leg)
        numbers[GROSS, rows] = self._legs.product_of_rows(ABSOLUTE, rows, factors.leg_size)
        if self._hierarchy is not None:
            self._hierarchy.sum_up(numbers[:PRICED])
        self._publish_gross(numbers, factors)

    def _publish_gross(self, numbers: FloatArray, factors: Factors) -> None:
        if len(self._inner):
            numbers[GROSS, self._inner] = self._inner_legs.product(0, factors.leg_size)
        self._publish(numbers)

    def _publish(self, numbers: FloatArray) -> None:
        numbers.flags.writeable = False
        self._numbers = numbers
        self._patched: set[int] = set()
        self.pages = tuple(numbers[:, first : first + PAGE] for first in range(0, self.size, PAGE))
