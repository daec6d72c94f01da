"""Nets the deltas of options with what an owner holds of the same currencies and underlyings, for its gross exposure.

An option on a currency pair posts two legs, base and quote; they net with the legs of pairs. An option on anything else nets
with the position in its underlying. Both meet in a bucket of an owner: a currency, or an instrument. A slot is one bucket of
one owner that has options below it; all that is not in a slot is netted by `node_values` alone.

    gross = sum |linear| + sum over the slots of (|linear + options| - |linear|)

The second sum is `excess`. The options of an inner node's slot are the sum of its children's, so a leaf's cells are all that
is stored. Sums are added in the order of owners and buckets, whatever the order in which they came. Writer thread.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.pairs import quoted_pairs
from riskengine.records.reference import Reference
from riskengine.records.types import (
    CASH_ONE,
    ONE,
    OPTION_KINDS,
    BoolArray,
    FloatArray,
    Instrument,
    IntArray,
    Kind,
)
from riskengine.valuation.row_columns import RowColumns
from riskengine.valuation.sparse import Cells, SparseRows

BASE_LEG, QUOTE_LEG, PREMIUM = range(3)
LEGS = 3
"""Columns of one option: two legs, and the cash that is as unknown as its delta."""

NOT = -1
"""In place of a number: there is none."""

_OWNER = 33
_MIDDLE = 1 << 32
_BUCKET = (1 << _OWNER) - 1


class NettingTerms(NamedTuple):
    """Where the delta of each option counts, by instrument number; NOT where it does not, and for what is no option.

    base, quote   numbers of the currencies of its two legs
    product       number of the instrument that it nets with, itself where its underlying is unknown
    spot          number of the instrument that gives its spot; `inverse` where 1 / its price does
    foreign_cash  whether it has legs, and the cash of its premium is one in another than the reporting currency
    """

    base: IntArray
    quote: IntArray
    product: IntArray
    spot: IntArray
    inverse: BoolArray
    foreign_cash: BoolArray

    @classmethod
    def of(cls, reference: Reference) -> "NettingTerms":
        """The terms of all instruments. O(instruments)."""
        size = len(reference.instruments)
        base, quote, product, spots = (np.full(size, NOT, dtype=np.int64) for _ in range(4))
        terms = cls(base, quote, product, spots, np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_))
        pairs = {ends: reference.instrument_index[symbol] for ends, symbol in quoted_pairs(reference.instruments).items()}
        for number, option in enumerate(reference.instruments):
            if option.kind not in OPTION_KINDS:
                continue
            spot, inverse = _spot_of(option, reference, pairs)
            terms.spot[number], terms.inverse[number] = spot, inverse
            if option.kind is Kind.FX_OPTION and (spot == NOT or reference.instruments[spot].posts_legs):
                terms.base[number] = reference.currency_index[option.base_currency]
                terms.quote[number] = reference.currency_index[option.quote_currency]
                terms.foreign_cash[number] = option.currency != reference.reporting_currency
            else:
                terms.product[number] = number if spot == NOT else spot
        for array in terms:
            array.flags.writeable = False
        return terms

    def grown(self, size: int) -> "NettingTerms":
        """The same for more instruments, none of them an option. O(instruments)."""
        new = size - len(self.base)
        nowhere, flags = np.full(new, NOT, dtype=np.int64), np.zeros(new, dtype=np.bool_)
        base, quote, product, spot = (np.append(column, nowhere) for column in (self.base, self.quote, self.product, self.spot))
        terms = NettingTerms(base, quote, product, spot, np.append(self.inverse, flags), np.append(self.foreign_cash, flags))
        for array in terms:
            array.flags.writeable = False
        return terms

    @property
    def posts_legs(self) -> BoolArray:
        """Which instruments are options that are exposed by two currency legs."""
        return np.asarray(self.base != NOT)

    def is_option(self, number: int) -> bool:
        """Whether an instrument is an option. O(1)."""
        return self.base.item(number) != NOT or self.product.item(number) != NOT


Pairs = dict[tuple[str, str], int]


def _spot_of(option: Instrument, reference: Reference, pairs: Pairs) -> tuple[int, bool]:
    """The instrument that gives an option its spot, and whether upside down. NOT: none; an FX option then takes two rates."""
    if option.kind is Kind.EQUITY_OPTION:
        return reference.instrument_index.get(option.underlying, NOT), False
    direct = pairs.get((option.base_currency, option.quote_currency), NOT)
    return (direct, False) if direct != NOT else (pairs.get((option.quote_currency, option.base_currency), NOT), True)


class OptionFactors(NamedTuple):
    """What nets options at one moment.

    legs      by 3 x instrument number and BASE_LEG, QUOTE_LEG, PREMIUM: reporting currency per unit of quantity, of premium per
              unit of cash
    currency  rates by currency number      value  k m X by instrument number
    leg_rates, majors   of currency legs by currency number, buckets of forwards among them (`market.currencies`)
    """

    legs: FloatArray
    currency: FloatArray
    value: FloatArray
    leg_rates: FloatArray
    majors: IntArray


Linear = Callable[[int, int], float]
"""What an owner holds in a bucket without options: an amount of the currency, or a quantity of the instrument."""


InBuckets = Callable[[IntArray, IntArray, FloatArray, IntArray], FloatArray]
"""What owners hold of currencies in buckets of forwards, in the reporting currency (`BucketNetting.worth`)."""


class OptionNetting:
    """The slots of one roll-up. A bucket is the number of a currency, or -1 - the number of an instrument."""

    def __init__(
        self, size: int, reference: Reference, hierarchy: Hierarchy | None, linear: Linear, in_buckets: InBuckets
    ) -> None:
        self._in_buckets = in_buckets
        self.terms = NettingTerms.of(reference)
        self.excess = np.zeros(size)
        """By owner: what options add to its gross exposure."""
        self._reference = reference
        self._hierarchy = hierarchy
        self._linear = linear
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._cells = SparseRows(0, LEGS * len(reference.instruments), 1)
        self._row_of: dict[int, int] = {}
        self._depth = np.array([len(path) for path in hierarchy.ancestors] if hierarchy else [], dtype=np.int64)
        self._parents = np.array(hierarchy.parents if hierarchy else [], dtype=np.int64)
        self._is_underlying = np.zeros(len(reference.instruments), dtype=np.bool_)
        self._is_underlying[self.terms.product[self.terms.product != NOT]] = True
        self._touched: set[int] = set()
        self._is_moved = False
        self._keys, self._held = np.zeros(0, dtype=np.int64), np.zeros(0)
        self._lay_out(self._keys)

    def __bool__(self) -> bool:
        return bool(self._row_of)

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(instruments)."""
        count = len(reference.instruments)
        self._reference = reference
        self.terms = self.terms.grown(count)
        self._cells.grow(LEGS * count, None)
        self._is_underlying = np.append(self._is_underlying, np.zeros(count - len(self._is_underlying), dtype=np.bool_))

    def is_bucket(self, number: int) -> bool:
        """Whether options net with an instrument. O(1)."""
        return bool(self._is_underlying[number])

    def add_owner(self) -> None:
        """Make room for one more owner. O(owners)."""
        self.excess = np.append(self.excess, 0.0)

    # -- what is held ------------------------------------------------------------------------------------------

    def note(self, owner: int) -> None:
        """Take it that something that options may net with has changed at an owner. O(1)."""
        self._touched.add(owner)

    def take(self, owner: int, number: int, row: Row) -> None:
        """Write the row of an option, by number, of a leaf. 5 us; a new slot is added to the tree with the next sums."""
        self._is_moved = True
        quantity, cash = row.quantity / ONE, row.open_cash / CASH_ONE
        for column, bucket in self._posts(number):
            value = cash if column == PREMIUM else quantity
            self._cells.set(self._slot(owner, bucket), LEGS * number + column, (value,))

    def take_all(self, leaves: RowColumns) -> None:
        """Write the rows of options of all leaves at once, in place of what was there. O(rows)."""
        self._row_of = {}
        terms, numbers, owners = self.terms, leaves.instruments.astype(np.int64), leaves.owners.astype(np.int64)
        currency = np.array(self._reference.cash_currency, dtype=np.int64)[numbers]
        quantity, cash = leaves.amounts("quantity", ONE), leaves.amounts("open_cash", CASH_ONE)
        by_legs, by_product = terms.base[numbers] != NOT, terms.product[numbers] != NOT
        posts = (
            (BASE_LEG, by_legs, terms.base[numbers], quantity),
            (BASE_LEG, by_product, -1 - terms.product[numbers], quantity),
            (QUOTE_LEG, by_legs, terms.quote[numbers], quantity),
            (PREMIUM, by_legs, currency, cash),
        )
        keys, columns, values = [], [], []
        for column, is_posted, bucket, amount in posts:
            which = is_posted & (bucket != self._reporting)
            keys.append((owners[which] << _OWNER) + bucket[which] + _MIDDLE)
            columns.append(LEGS * numbers[which] + column)
            values.append(amount[which])
        every = np.concatenate(keys)
        self._keys = self._keys[:0]  # nothing of before holds
        self._lay_out(self._with_ancestors(np.unique(every)))
        self._row_of = {key: row for row, key in enumerate(self._keys.tolist())}
        self._rows = np.arange(len(self._keys))
        self._cells = SparseRows(len(self._keys), self._cells.columns, 1)
        rows = np.searchsorted(self._keys, every)
        self._cells.fill(
            Cells(rows.astype(np.int32), np.concatenate(columns).astype(np.int32), np.concatenate(values).reshape(-1, 1))
        )
        self._is_moved = True

    def clear_owner(self, owner: int) -> None:
        """Take an owner to hold no options. O(slots)."""
        for key, row in self._row_of.items():
            if key >> _OWNER == owner:
                self._cells.clear_row(row)
        self._is_moved = True
        self.note(owner)

    def _posts(self, number: int) -> Iterable[tuple[int, int]]:
        """The columns of an option and the bucket of each; the reporting currency is no exposure."""
        terms = self.terms
        product, base = terms.product.item(number), terms.base.item(number)
        if product != NOT:
            return ((BASE_LEG, -1 - product),)
        if base == NOT:
            return ()
        posts = (
            (BASE_LEG, base),
            (QUOTE_LEG, terms.quote.item(number)),
            (PREMIUM, self._reference.cash_currency[number]),
        )
        return tuple(post for post in posts if post[1] != self._reporting)

    def _slot(self, owner: int, bucket: int) -> int:
        """The row of a slot; a new one of a leaf makes those above it too."""
        key = (owner << _OWNER) + bucket + _MIDDLE
        row = self._row_of.get(key)
        if row is None:
            row = self._row_of[key] = self._cells.add_row()
            for node in self._hierarchy.ancestors[owner] if self._hierarchy is not None else ():
                above = (node << _OWNER) + bucket + _MIDDLE
                if above not in self._row_of:
                    self._row_of[above] = self._cells.add_row()
        return row

    # -- layout ------------------------------------------------------------------------------------------------

    def _with_ancestors(self, keys: IntArray) -> IntArray:
        found = [keys]
        while len(keys) and len(self._parents):
            parents = self._parents[keys >> _OWNER]
            keys = np.unique((parents[parents >= 0] << _OWNER) + (keys[parents >= 0] & _BUCKET))
            found.append(keys)
        return np.unique(np.concatenate(found))

    def _lay_out(self, keys: IntArray) -> None:
        """Put the slots of these keys (ascending) in order, and fetch the linear amounts of new ones. O(slots)."""
        old_keys, old_held = self._keys, self._held
        self._keys = keys
        self._owners = keys >> _OWNER
        bucket = (keys & _BUCKET) - _MIDDLE
        self._is_currency = bucket >= 0
        self._place = np.where(self._is_currency, bucket, -1 - bucket)
        self._rows = np.array([self._row_of[key] for key in keys.tolist()] if self._row_of else [], dtype=np.int64)
        self._held = np.zeros(len(keys))
        known = np.isin(keys, old_keys, assume_unique=True)
        self._held[known] = old_held[np.isin(old_keys, keys, assume_unique=True)]
        for at in np.flatnonzero(~known).tolist():
            self._held[at] = self._linear(self._owners.item(at), bucket.item(at))
        self._options = np.zeros(len(keys))
        self._levels: list[tuple[IntArray, IntArray]] = []
        if len(self._parents) and len(keys):
            depth = self._depth[self._owners]
            above = np.searchsorted(keys, (self._parents[self._owners] << _OWNER) + (keys & _BUCKET))
            for level in range(int(depth.max()), 0, -1):
                here = np.flatnonzero(depth == level)
                self._levels.append((here, above[here]))

    # -- sums --------------------------------------------------------------------------------------------------

    def reprice(self, factors: OptionFactors) -> None:
        """Compute what options add to the gross exposure of every owner. O(cells + slots)."""
        if len(self._keys) != len(self._row_of):
            self._lay_out(np.array(sorted(self._row_of), dtype=np.int64))
        self._hold_touched()
        self._is_moved = False
        options = self._cells.product(0, factors.legs)[self._rows]
        for here, above in self._levels:
            np.add.at(options, above, options[here])
        self._options = options
        linear = self._worth(factors, slice(None))
        added = np.abs(linear + options) - np.abs(linear)
        self.excess = np.asarray(np.bincount(self._owners, weights=added, minlength=len(self.excess)), dtype=np.float64)

    def settle(self, factors: OptionFactors) -> None:
        """The same after trades, at the prices of the last sums: what was touched alone, where no option was."""
        if self._is_moved:
            self.reprice(factors)
            return
        for owner in self._hold_touched():
            first, end = np.searchsorted(self._owners, (owner, owner + 1))
            here = slice(int(first), int(end))
            linear = self._worth(factors, here)
            added = np.abs(linear + self._options[here]) - np.abs(linear)
            self.excess[owner] = np.bincount(np.zeros(len(added), dtype=np.int64), weights=added, minlength=1)[0]

    def _hold_touched(self) -> Sequence[int]:
        """Fetch the linear amounts of touched owners again. Returns those that have slots."""
        found = []
        for owner in sorted(self._touched):
            first, end = np.searchsorted(self._owners, (owner, owner + 1))
            for at in range(int(first), int(end)):
                place = self._place.item(at)
                self._held[at] = self._linear(owner, place if self._is_currency[at] else -1 - place)
            if first < end:
                found.append(owner)
        self._touched.clear()
        return found

    def _worth(self, factors: OptionFactors, here: slice) -> FloatArray:
        """What the owners of some slots hold there without options, in the reporting currency."""
        currency = np.where(self._is_currency[here], self._place[here], NOT)
        in_buckets = self._in_buckets(self._owners[here], currency, factors.leg_rates, factors.majors)
        return np.asarray(self._held[here] * self._prices(factors, here) + in_buckets)

    def _prices(self, factors: OptionFactors, here: slice) -> FloatArray:
        place, is_currency = self._place[here], self._is_currency[here]
        last_currency, last_instrument = len(factors.currency) - 1, len(factors.value) - 1
        return np.where(
            is_currency,
            factors.currency[np.minimum(place, last_currency)],
            factors.value[np.minimum(place, last_instrument)],
        )
