"""The yardstick of a beat: its numbers in bare NumPy (gather, multiply, `reduceat`) over arrays that are already laid out.

The same sums as `valuation` over both roll-ups: value, cash and open cost, net and gross exposure of leaves and dealers,
their sums up the tree, and the gross exposure of every inner node from its own netted legs. No snapshot, no flags, no rows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.records.types import CASH_ONE, ONE
from riskengine.snapshot.snapshot import Snapshot, Table

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Cells(NamedTuple):
    """Numbers by owner and column, in the order of owners; `starts` is the index of each owner's first. Every owner has one."""

    amounts: FloatArray
    columns: IntArray
    starts: IntArray

    def times(self, factors: FloatArray) -> FloatArray:
        return np.add.reduceat(self.amounts * factors[self.columns], self.starts)

    def sizes(self) -> "Cells":
        return Cells(np.abs(self.amounts), self.columns, self.starts)


def cells(summed: dict[tuple[int, int], float], owners: range) -> Cells:
    summed = {(owner, 0): 0.0 for owner in owners} | summed
    keys = sorted(summed)
    owner_of = np.array([owner for owner, _ in keys])
    columns = np.array([column for _, column in keys])
    return Cells(np.array([summed[key] for key in keys]), columns, np.searchsorted(owner_of, np.array(owners)))


class Sums:
    """The sums of some owners of a table."""

    def __init__(self, snapshot: Snapshot, table: Table, owners: range) -> None:
        reference = snapshot.reference
        quantity: dict[tuple[int, int], float] = {}
        products: dict[tuple[int, int], float] = {}
        cash: dict[tuple[int, int], float] = {}
        cost: dict[tuple[int, int], float] = {}
        legs: dict[tuple[int, int], float] = {}
        for owner in owners:
            for row in table.state(owner).positions():
                base, currency = reference.base_currency[row.instrument], reference.cash_currency[row.instrument]
                quantity[owner, row.instrument] = row.quantity / ONE
                cash[owner, currency] = cash.get((owner, currency), 0.0) + row.cash / CASH_ONE
                cost[owner, currency] = cost.get((owner, currency), 0.0) + row.open_cost / CASH_ONE
                if base < 0:
                    products[owner, row.instrument] = row.quantity / ONE
                else:
                    legs[owner, base] = legs.get((owner, base), 0.0) + row.quantity / ONE
                    legs[owner, currency] = legs.get((owner, currency), 0.0) + row.cash / CASH_ONE
        self.quantity, self.products = cells(quantity, owners), cells(products, owners)
        self.cash, self.cost, self.legs = cells(cash, owners), cells(cost, owners), cells(legs, owners)
        self.product_sizes, self.leg_sizes = self.products.sizes(), self.legs.sizes()

    def gross(self, value_size: FloatArray, rates: FloatArray) -> FloatArray:
        return self.product_sizes.times(value_size) + self.leg_sizes.times(rates)

    def additive(self, value: FloatArray, rates: FloatArray) -> FloatArray:
        """Total, unrealised, value, net and realised, by owner."""
        worth, cash, cost = self.quantity.times(value), self.cash.times(rates), self.cost.times(rates)
        net = self.products.times(value) + self.legs.times(rates)
        return np.array((worth + cash, worth - cost, worth, net, cash + cost))


class BareBeat:
    """Everything a beat sums, over the book of `bench.book` (leaves at the end of the nodes' numbers)."""

    def __init__(self, snapshot: Snapshot) -> None:
        hierarchy = snapshot.reference.hierarchy
        first_leaf = next(number for number in range(len(hierarchy)) if hierarchy.is_leaf(number))
        self.leaves = Sums(snapshot, snapshot.nodes, range(first_leaf, len(hierarchy)))
        self.inner = Sums(snapshot, snapshot.nodes, range(first_leaf))
        self.dealers = Sums(snapshot, snapshot.dealers, range(snapshot.dealers.size))
        self.levels = [starts for _, starts, _, _ in hierarchy.levels]

    def __call__(self, value: FloatArray, rates: FloatArray) -> list[FloatArray]:
        value_size = np.abs(value)
        numbers = [self.leaves.additive(value, rates)]
        for starts in self.levels:
            numbers.append(np.add.reduceat(numbers[-1], starts, axis=1))
        numbers.append(self.dealers.additive(value, rates))
        return [*numbers, *(sums.gross(value_size, rates) for sums in (self.leaves, self.inner, self.dealers))]
