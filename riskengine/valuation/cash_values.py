"""The cash of every node: external movements, and what of its positions is money on the account. NAV and available cash.

    nav = movements + total P&L - fees
    available = movements + net cash of funded kinds + amounts beside cash + settled P&L of FX and futures - fees

Funded kinds are those that are paid for: shares, crypto, metals, options. The notional of FX and futures is no cash; of them
counts what has been settled (`positions.settled_cash`). All sums are exact integers by node and currency, kept for inner nodes
too, and valued at the rates of fees, for which the mark of a crypto is the rate of its base. Owned by the writer thread.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter, mul
from typing import Any, NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.positions.position import NO_FEES
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, CASH_PER_ONE, BoolArray, FloatArray, Kind
from riskengine.valuation.row_columns import RowColumns
from riskengine.valuation.sparse import ExactRows
from riskengine.valuation.unit_values import Factors

UNFUNDED_KINDS = frozenset({Kind.FX, Kind.FX_FORWARD, Kind.FUTURE})
"""Kinds whose notional is not paid: only their settled P&L is cash."""

FEW_OWNERS = 48
"""Up to so many changed nodes are valued one by one."""

Balances = Mapping[str, int]
"""Exact amounts by currency, units of 1e-28, without zeros."""

NO_BALANCES: Balances = {}


class CashValues(NamedTuple):
    """The cash of all nodes at one moment. Read-only; arrays are by node, in the reporting currency.

    movements   what the external movements at or below a node are worth, without balances that have no rate
    available   its available cash, without what has no rate
    by_node     the movements at or below each node that has some, exact
    unknown     how many balances of movements at or below a node have no rate, of nodes that have such
    unknown_own   of them, the nodes that hold such a balance themselves: their NAV and available cash are unknown
    since_start movements at or below each node that are dated in the current trading day, exact
    unsettled   nodes of which, or below which, a futures position has no settlement price: available cash is unknown
    """

    movements: FloatArray
    available: FloatArray
    by_node: Mapping[int, Balances]
    unknown: Mapping[int, int]
    unknown_own: frozenset[int]
    unsettled: frozenset[int]
    since_start: Mapping[int, Balances] = {}


class NodeCash:
    """Keeps the sums and their values; `values` is published, and replaced, never changed in place."""

    def __init__(self, reference: Reference, hierarchy: Hierarchy) -> None:
        size, currencies = len(hierarchy), len(reference.currencies)
        self._reference = reference
        self._ancestors = hierarchy.ancestors
        self._is_funded = [instrument.kind not in UNFUNDED_KINDS for instrument in reference.instruments]
        order = reference.currency_ranks
        self._movements = ExactRows(size, currencies, CASH_ONE, order)
        self._settled = ExactRows(size, currencies, CASH_ONE, order)
        self._held = ExactRows(size, currencies, CASH_ONE, order)
        self._own: dict[tuple[int, str], int] = {}
        self._by_node: dict[int, Balances] = {}
        self._since_start: dict[int, Balances] = {}
        self._day_start = 0
        self._unsettled: dict[int, int] = {}
        self._touched: set[int] = set()
        self._moved: set[int] = set()
        self._valued_at: tuple[bytes, bytes] | None = None
        nothing = np.zeros(size)
        nothing.flags.writeable = False
        self.values = CashValues(nothing, nothing, {}, {}, frozenset(), frozenset())

    def grow(self, reference: Reference) -> None:
        """Make room for the forwards that a reference has beyond this one's. O(new ones)."""
        self._is_funded += [each.kind not in UNFUNDED_KINDS for each in reference.instruments[len(self._is_funded) :]]
        self._reference = reference
        for sums in (self._movements, self._settled, self._held):
            sums.grow(len(reference.currencies), reference.currency_ranks)
        self._valued_at = None

    def take_moved(self) -> set[int]:
        """The nodes whose cash has changed since the last call by anything but their rows."""
        moved, self._moved = self._moved, set()
        return moved

    # -- what changes the sums -------------------------------------------------------------------------------------

    def begin_day(self, start_ts: int, movements: Iterable[tuple[int, str, int]]) -> None:
        """A trading day has begun; `movements` (node, currency, units of 1e-28) in force are dated in it. O(nodes + those)."""
        self._day_start = start_ts
        self._since_start = {}
        for node, currency, units in movements:
            self._add_since_start(node, currency, units)
        self._touched.update(range(len(self._ancestors)))
        self._moved.update(self._by_node)

    def _add_since_start(self, node: int, currency: str, change: int) -> None:
        if self._since_start is self.values.since_start:
            self._since_start = dict(self._since_start)
        for owner in (node, *self._ancestors[node]):
            _add_balance(self._since_start, owner, currency, change)

    @property
    def own_movements(self) -> dict[tuple[int, str], int]:
        """The movements of nodes themselves by node and currency, units of 1e-28. O(nodes)."""
        return dict(self._own)

    def move(self, node: int, currency: str, change: int, ts: int = 0) -> None:
        """An external movement of a node, dated `ts`, came into force (units of 1e-28), or was taken back. O(depth)."""
        if self._day_start and ts >= self._day_start:
            self._add_since_start(node, currency, change)
        column = self._reference.currency_index[currency]
        own = self._own.pop((node, currency), 0) + change
        if own:
            self._own[node, currency] = own
        if self._by_node is self.values.by_node:
            self._by_node = dict(self._by_node)  # the one before is published
        for owner in (node, *self._ancestors[node]):
            self._movements.add(owner, column, change)
            _add_balance(self._by_node, owner, currency, change)
            self._touch(owner)

    def settle(self, node: int, number: int, change: int) -> None:
        """The settled P&L of a leaf's position in an instrument of an unfunded kind changed. O(depth)."""
        column = self._reference.cash_currency[number]
        for owner in (node, *self._ancestors[node]):
            self._settled.add(owner, column, change)
            self._touch(owner)

    def note_unsettled(self, node: int, change: int) -> None:
        """One more (or less) position of a leaf lacks a settlement price. O(depth)."""
        for owner in (node, *self._ancestors[node]):
            count = self._unsettled.pop(owner, 0) + change
            if count:
                self._unsettled[owner] = count
            self._touch(owner)

    def _touch(self, owner: int) -> None:
        self._touched.add(owner)
        self._moved.add(owner)

    def take_row(self, owner: int, number: int, before: Row, now: Row) -> None:
        """A row of any node changed. 1 us."""
        change = now.cash - before.cash
        if change and self._is_funded[number]:
            self._held.add(owner, self._reference.cash_currency[number], change)
            self._touched.add(owner)
        if now.fees is not before.fees:
            self._add_difference(owner, now.fees, before.fees, -CASH_PER_ONE)
        if now.beside is not before.beside:
            self._add_difference(owner, now.beside or NO_FEES, before.beside or NO_FEES, 1)

    def _add_difference(self, owner: int, now: Mapping[str, int], before: Mapping[str, int], unit: int) -> None:
        for code in {*now, *before}:
            change = (now.get(code, 0) - before.get(code, 0)) * unit
            self._held.add(owner, self._reference.currency_index[code], change)
        self._touched.add(owner)

    def take_all(self, *parts: RowColumns) -> None:
        """Build the sums of what is held from all rows. O(rows)."""
        self._held.clear()
        funded = np.array(self._is_funded, dtype=np.bool_)
        cash_currency = np.array(self._reference.cash_currency, dtype=np.int32)
        index = self._reference.currency_index
        for rows in parts:
            held = rows.select(funded[rows.instruments])
            self._held.add_all(held.owners, cash_currency[held.instruments], held.integers("cash"))
            self._add_all(rows, index, "fees", -CASH_PER_ONE)
            self._add_all(rows, index, "beside", 1)
        self._touched.update(range(len(self._ancestors)))

    def _add_all(self, rows: RowColumns, index: Mapping[str, int], field: str, unit: int) -> None:
        owners: list[int] = []
        columns: list[int] = []
        units: list[int] = []
        for owner, amounts in zip(rows.owners.tolist(), map(attrgetter(field), rows.rows), strict=True):
            if amounts:
                for code, amount in amounts.items():
                    owners.append(owner)
                    columns.append(index[code])
                    units.append(amount)
        if owners:
            changes = map(mul, units, (unit for _ in units))
            self._held.add_all(np.array(owners, dtype=np.int32), np.array(columns, dtype=np.int32), changes)

    def clear_owner(self, owner: int) -> None:
        """Forget what a node holds: its rows are taken again. O(currencies)."""
        self._held.clear_row(owner)
        self._touched.add(owner)

    # -- the values --------------------------------------------------------------------------------------------------

    def reprice(self, factors: Factors) -> None:
        """Compute the values anew where sums or rates have changed. O(cells) after rates, else O(changed nodes)."""
        rates = (factors.fees.tobytes(), factors.fees_known.tobytes())
        if not self._touched and rates == self._valued_at:
            return
        moved = self._movements.has_changed
        for sums in (self._movements, self._settled, self._held):
            sums.flush()
        if rates == self._valued_at and len(self._touched) <= FEW_OWNERS:
            movements, available = self.values.movements, self.values.available.copy()
            if moved:
                movements = movements.copy()
                for owner in self._touched:
                    movements[owner] = self._movements.product_of_row(0, owner, factors.fees)
            for owner in self._touched:
                available[owner] = self._available(owner, movements.item(owner), factors)
        else:
            movements = self._movements.product(0, factors.fees)
            available = self._available(None, movements, factors)
        movements.flags.writeable = available.flags.writeable = False
        unknown, unknown_own = self._unknown(factors.fees_known)
        unsettled = frozenset(self._unsettled) if self._unsettled else frozenset()
        self.values = CashValues(movements, available, self._by_node, unknown, unknown_own, unsettled, self._since_start)
        self._touched, self._valued_at = set(), rates

    def _available(self, owner: int | None, movements: Any, factors: Factors) -> Any:
        """Available cash of one node, or of all: an array of its own."""
        available = movements + self._held.product(0, factors.fees, owner)
        return available + self._settled.product(0, factors.fees, owner) if self._settled else available

    def _unknown(self, known: BoolArray) -> tuple[Mapping[int, int], frozenset[int]]:
        """How many balances have no rate, by node, and which nodes hold one themselves. O(1) where every rate is known."""
        if not self._own or bool(known.all()):
            return {}, frozenset()
        index, counts, own = self._reference.currency_index, dict[int, int](), set[int]()
        for node, currency in self._own:
            if not known[index[currency]]:
                own.add(node)
                for owner in (node, *self._ancestors[node]):
                    counts[owner] = counts.get(owner, 0) + 1
        return counts, frozenset(own)

    def check(self, factors: Factors) -> None:
        """Assert that what was kept by differences is what all sums give. O(cells)."""
        assert not self._touched, "reprice before check"
        for sums in (self._movements, self._settled, self._held):
            sums.check()
        movements = self._movements.product(0, factors.fees)
        available = self._available(None, movements, factors)
        assert np.array_equal(movements, self.values.movements), "movements are not the sums"
        assert np.array_equal(available, self.values.available), "available cash is not the sums"


def _add_balance(balances: dict[int, Balances], owner: int, currency: str, change: int) -> None:
    """Replace the balances of an owner by those with a change."""
    held = dict(balances.get(owner, NO_BALANCES))
    held[currency] = held.get(currency, 0) + change
    balances[owner] = {code: units for code, units in sorted(held.items()) if units}
