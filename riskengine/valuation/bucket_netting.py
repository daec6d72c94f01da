"""The sizes of currency legs where forwards are held: the legs of one currency net, whatever their value dates.

`node_values` keeps a leg of a forward in the column of its bucket, at a rate of its own. Gross exposure is the sum of |netted
legs| by currency, so that of an owner with such legs is no product of sizes. These owners are few; the others never come here.
Sums are added in the order of the cells of a row, for one owner as for all. Writer thread.
"""

from collections.abc import Sequence

import numpy as np

from riskengine.records.types import FloatArray, IntArray
from riskengine.valuation.sparse import ExactRows


class BucketNetting:
    """Nets the `legs` of owners that have some in buckets: columns for which `majors` names another one, their currency's."""

    def __init__(self, legs: ExactRows, majors: Sequence[int]) -> None:
        self._legs = legs
        self._majors = majors
        self._owners: set[int] = set()
        self._cells: tuple[IntArray, IntArray, FloatArray] | None = None

    def grow(self, majors: Sequence[int]) -> None:
        """Know the columns of more buckets. O(1)."""
        self._majors = majors
        self._cells = None

    def note(self, owner: int, column: int) -> None:
        """A leg of an owner has changed. O(1)."""
        if self._majors[column] != column:
            self._owners.add(owner)
        if self._cells is not None and owner in self._owners:
            self._cells = None

    def note_all(self, owners: IntArray, columns: IntArray) -> None:
        """Legs of many owners have changed. O(legs)."""
        in_bucket = np.array(self._majors)[columns] != columns
        self._owners.update(owners[in_bucket].tolist())
        self._cells = None

    def size_of(self, owner: int, rates: FloatArray, majors: IntArray) -> float | None:
        """The sum of |netted legs| of an owner; None where it has no leg in a bucket. O(its legs).

        `majors` says which columns net at the moment.
        """
        if owner not in self._owners:
            return None
        sums: dict[int, float] = {}
        for column, amount in self._legs.doubles(owner):
            major = majors.item(column)
            sums[major] = sums.get(major, 0.0) + amount * float(rates[column])
        total = 0.0
        for _, amount in sorted(sums.items()):
            total += abs(amount)
        return total

    def put_sizes(self, sizes: FloatArray, rates: FloatArray, majors: IntArray) -> None:
        """Write the sums of all owners with legs in buckets over those in `sizes`. O(their legs), in arrays."""
        if not self._owners:
            return
        if self._cells is None:
            self._cells = self._collect()
        owners, columns, amounts = self._cells
        width = max(len(majors), 1)
        keys, places = np.unique(owners * width + majors[columns], return_inverse=True)
        sums = np.bincount(places, weights=amounts * rates[columns], minlength=len(keys))
        held = np.array(sorted(self._owners), dtype=np.int64)
        sizes[held] = np.bincount(keys // width, weights=np.abs(sums), minlength=len(sizes))[held]

    def worth(self, owners: IntArray, currencies: IntArray, rates: FloatArray, majors: IntArray) -> FloatArray:
        """What owners hold of currencies in buckets, a pair of numbers each; 0.0 where they hold none there. O(pairs)."""
        found = np.zeros(len(owners))
        if not self._owners:
            return found
        for at, (owner, currency) in enumerate(zip(owners.tolist(), currencies.tolist(), strict=True)):
            if owner in self._owners:
                for column, amount in self._legs.doubles(owner):
                    if column != currency and majors.item(column) == currency:
                        found[at] += amount * float(rates[column])
        return found

    def _collect(self) -> tuple[IntArray, IntArray, FloatArray]:
        cells = [(owner, column, amount) for owner in sorted(self._owners) for column, amount in self._legs.doubles(owner)]
        owners, columns, amounts = zip(*cells, strict=True) if cells else ((), (), ())
        return np.array(owners, dtype=np.int64), np.array(columns, dtype=np.int64), np.array(amounts, dtype=np.float64)
