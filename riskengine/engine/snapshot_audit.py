"""Checks one snapshot against itself: sums against the rows below them, desks against dealers, numbers against rows.

This is the part of a self-audit pass that needs the snapshot alone. Each check is a walk: a generator that yields None about
every 50 us, and a suspect where a check fails. A snapshot is immutable, so a walk may pause for any time. Pure; any thread.
"""

from collections.abc import Iterator
from operator import add, attrgetter
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import ALL_ROWS, Row
from riskengine.positions.position import NO_FEES, replace_fees
from riskengine.positions.repair import sum_of
from riskengine.records.types import CASH_ONE, ONE
from riskengine.snapshot.rows import beside, fees_are_known
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.node_values import LEG_SCALE
from riskengine.valuation.number_pages import (
    ADDITIVE,
    DELTA,
    FEES,
    GAMMA,
    GROSS,
    NET,
    NO_RATE,
    PAGE,
    REALISED,
    THETA,
    TOTAL,
    UNPRICED,
    UNREALISED,
    VEGA,
)
from riskengine.valuation.options.netting import LEGS, NOT, PREMIUM
from riskengine.valuation.options.values import UnitGreeks

STEP_ROWS = 48
"""Rows checked between two yields."""

LINES = {
    TOTAL: "total_pnl",
    UNREALISED: "unrealised_pnl",
    DELTA: "delta_cash",
    NET: "net_exposure",
    GAMMA: "gamma_cash",
    VEGA: "vega",
    THETA: "theta",
    REALISED: "realised_pnl",
    FEES: "fees",
    UNPRICED: "unpriced_count",
    NO_RATE: "unpriced_count",
    GROSS: "gross_exposure",
}


NO_BUCKETS = (NOT, NOT, NOT)
"""The buckets of what is no option."""


class FaultPlace(NamedTuple):
    """Where a check failed: an owner, by number, and an instrument or ALL_ROWS."""

    owner: int
    instrument: int


Walk = Iterator[FaultPlace | None]


def audit_sums(snapshot: Snapshot) -> Walk:
    """Find rows of inner nodes that are not the sums of their children's rows (I5). O(rows)."""
    table, hierarchy = snapshot.nodes, snapshot.reference.hierarchy
    for node, (first, end) in enumerate(hierarchy.children):
        if first == end:
            continue
        below = InstrumentSums()
        spent = 0
        for child in range(first, end):
            for row in table.state(child).positions():
                below.add(row)
                spent += 1
                if spent >= STEP_ROWS:
                    spent = 0
                    yield None
        for row in table.state(node).positions():
            if not below.pop_equals(row):
                yield FaultPlace(node, row.instrument)
            spent += 1
            if spent >= STEP_ROWS:
                spent = 0
                yield None
        yield from (FaultPlace(node, instrument) for instrument in below.exact)


class InstrumentSums:
    """Rows summed by instrument: exact figures, the time of the newest trade, fees, amounts beside cash."""

    def __init__(self) -> None:
        self.exact: dict[int, tuple[int, ...]] = {}
        self._newest: dict[int, int] = {}
        self._fees: dict[int, dict[str, int]] = {}
        self._beside: dict[int, dict[str, int]] = {}

    def add(self, row: Row) -> None:
        """Add a row. 0.8 us."""
        instrument, exact = row.instrument, _EXACT(row)
        known = self.exact.get(instrument)
        if known is None:
            self.exact[instrument], self._newest[instrument] = exact, row.last_trade_ts
        else:
            self.exact[instrument] = tuple(map(add, known, exact))
            if row.last_trade_ts > self._newest[instrument]:
                self._newest[instrument] = row.last_trade_ts
        if row.fees:
            self._fees[instrument] = replace_fees(self._fees.get(instrument, NO_FEES), NO_FEES, row.fees)
        if row.beside:
            self._beside[instrument] = replace_fees(self._beside.get(instrument, NO_FEES), NO_FEES, row.beside)

    def pop_equals(self, row: Row) -> bool:
        """Remove the sum of the row's instrument. Returns whether it equals `row`."""
        instrument = row.instrument
        exact, newest = self.exact.pop(instrument, None), self._newest.pop(instrument, 0)
        fees, beside = self._fees.pop(instrument, NO_FEES), self._beside.pop(instrument, NO_FEES)
        same_exact = exact == _EXACT(row) and newest == row.last_trade_ts
        return same_exact and fees == row.fees and beside == (row.beside or NO_FEES)


_EXACT = attrgetter(
    "quantity",
    "cash",
    "open_cost",
    "open_count",
    "open_cash",
    "position_count",
    "trade_count",
    "identities",
    "quarantined",
    "long_count",
)


def audit_rollups(snapshot: Snapshot) -> Walk:
    """Find instruments of which desks and dealers hold different totals. O(rows of the root and of dealers)."""
    if not len(snapshot.reference.hierarchy):
        return
    dealt: dict[int, list[Row]] = {}
    for dealer in range(snapshot.dealers.size):
        for number, row in enumerate(snapshot.dealers.state(dealer).positions(), start=1):
            dealt.setdefault(row.instrument, []).append(row)
            if not number % (4 * STEP_ROWS):
                yield None
        yield None
    for row in snapshot.nodes.state(0).positions():
        other = sum_of(dealt.pop(row.instrument, ()))
        if exact_figures(row) != exact_figures(other) and not (row.quarantined or (other is not None and other.quarantined)):
            yield FaultPlace(0, row.instrument)
        yield None
    yield from (FaultPlace(0, instrument) for instrument in dealt)


def exact_figures(row: Row | None) -> object:
    """What desks and dealers must agree on about an instrument."""
    return None if row is None else (row.quantity, row.cash, row.trade_count, row.identities, row.fees, row.beside)


def audit_numbers(snapshot: Snapshot, table: Table) -> Walk:
    """Find owners whose numbers do not follow from their rows, or from their children's numbers. O(rows)."""
    units = UnitLists(snapshot)
    spent = 0
    for owner in range(table.size):
        check = ExpectedNumbers(snapshot, table, owner, units)
        for number, row in enumerate(table.state(owner).positions(), start=1):
            check.add(row)
            if not number % STEP_ROWS:
                yield None
        if check.fault():
            yield FaultPlace(owner, ALL_ROWS)
        spent += 4 + table.state(owner).position_count % STEP_ROWS
        if spent >= STEP_ROWS:
            spent = 0
            yield None


def number_fault(snapshot: Snapshot, table: Table, owner: int) -> str:
    """Which number of an owner is wrong, empty if none is. O(instruments + its rows + children)."""
    check = ExpectedNumbers(snapshot, table, owner, UnitLists(snapshot))
    for row in table.state(owner).positions():
        check.add(row)
    return check.fault()


class UnitLists:
    """The unit values of a snapshot as lists, which are faster to read one by one than arrays. O(instruments) to make."""

    def __init__(self, snapshot: Snapshot) -> None:
        units, reference = snapshot.units, snapshot.reference
        self.value: list[float] = units.value.tolist()
        self.rate: list[float] = units.rate.tolist()
        self.priced: list[bool] = units.priced.tolist()
        self.rated: list[bool] = units.rated.tolist()
        self.legs_of: list[float] = snapshot.rates.legs.tolist()
        self.majors: list[int] = snapshot.rates.majors.tolist()
        self.no_delta: list[bool] = units.no_delta.tolist()
        self.fees: list[float] = snapshot.rates.fee_value.tolist()
        self.legs = [instrument.multiplier * LEG_SCALE for instrument in reference.instruments]
        netting = units.netting
        self.posts_premium: list[bool] = netting.posts_legs.tolist()
        self.buckets = list(zip(netting.base.tolist(), netting.quote.tolist(), netting.product.tolist(), strict=True))
        greeks = units.options.greeks if units.options is not None else UnitGreeks.none(len(units.value))
        self.greeks = list(zip(*(greeks[at].tolist() for at in range(4)), strict=True))
        """Delta, gamma, vega and theta of one unit of each option; zeros of all others."""
        self.posted = greeks.legs.reshape(-1, LEGS)[:, :PREMIUM].tolist()


class ExpectedNumbers:
    """The numbers of one owner, worked out from its rows; for an inner node, all but gross from its children's numbers."""

    def __init__(self, snapshot: Snapshot, table: Table, owner: int, units: UnitLists) -> None:
        self._snapshot, self._table, self._owner, self._units = snapshot, table, owner, units
        self._is_sum = table is snapshot.nodes and not snapshot.reference.hierarchy.is_leaf(owner)
        self._total = self._unrealised = self._realised = self._net = self._gross = self._fees = self._size = 0.0
        self._unpriced = self._no_rate = 0
        self._legs: dict[int, int] = {}
        self._posted: dict[int, float] = {}  # by currency, and by -1 - instrument
        self._greeks = [0.0, 0.0, 0.0, 0.0]

    def add(self, row: Row) -> None:
        """Add what a row is worth. 1 us."""
        units, reference, number = self._units, self._snapshot.reference, row.instrument
        worth = row.quantity / ONE * units.value[number]
        base = reference.base_currency[number]
        has_delta = not units.no_delta[number]
        if base >= 0:
            legs, other = self._legs, reference.cash_currency[number]
            legs[base] = legs.get(base, 0) + row.quantity * units.legs[number]
            legs[other] = legs.get(other, 0) + row.cash
        elif units.buckets[number] != NO_BUCKETS:
            self._add_option(row, has_delta=has_delta)
        else:
            self._post(-1 - number, worth)
        if self._is_sum:
            return
        rate, priced = units.rate[number], units.priced[number]
        cash, cost = row.cash / CASH_ONE * rate, row.open_cost / CASH_ONE * rate
        fees_known, kept_beside = fees_are_known(self._snapshot, row), beside(self._snapshot, row)
        if not units.rated[number] or kept_beside is None:
            self._no_rate += row.position_count - row.quarantined
        elif row.open_count and not (priced and has_delta):
            self._unpriced += row.open_count
        elif not fees_known:
            self._unpriced += row.position_count - row.quarantined
        if kept_beside is not None and (units.rated[number] or not row.beside):
            self._realised += cash + cost + kept_beside
            self._total += worth + (cash if priced else cash - row.open_cash / CASH_ONE * rate) + kept_beside
        if units.buckets[number] == NO_BUCKETS:
            self._greeks[0] += worth
        else:
            self._add_greeks(row.quantity / ONE, units.greeks[number])
        self._size += abs(cash) + abs(cost) + abs(worth) + abs(kept_beside or 0.0)
        self._unrealised += worth - cost if priced else 0.0
        for currency, amount in row.fees.items() if fees_known else ():
            self._fees += amount / ONE * units.fees[reference.currency_index[currency]]

    def _add_greeks(self, quantity: float, greeks: tuple[float, ...]) -> None:
        for at, unit in enumerate(greeks):
            self._greeks[at] += quantity * unit
            self._size += abs(quantity * unit)

    def _add_option(self, row: Row, *, has_delta: bool) -> None:
        """Add what an option posts: two legs and its cash, or so much of its underlying."""
        units, number = self._units, row.instrument
        base, quote, product = units.buckets[number]
        size = row.quantity / ONE
        if units.posts_premium[number]:
            currency = self._snapshot.reference.cash_currency[number]
            cash = row.cash if has_delta else row.cash - row.open_cash
            self._legs[currency] = self._legs.get(currency, 0) + cash
        for bucket, unit in zip((base if base >= 0 else -1 - product, quote), units.posted[number], strict=True):
            self._post(bucket, size * unit)

    def _post(self, bucket: int, amount: float) -> None:
        if amount:
            self._posted[bucket] = self._posted.get(bucket, 0.0) + amount
            self._size += abs(amount)

    def fault(self) -> str:
        """Which published number differs from the expected one, empty if none does."""
        reference = self._snapshot.reference
        majors, own = reference.majors, reference.currency_index[reference.reporting_currency]
        for currency, amount in self._legs.items():
            if majors[currency] != own:
                self._post(self._units.majors[currency], amount / CASH_ONE * self._units.legs_of[currency])
        self._posted.pop(own, None)
        for posted in self._posted.values():
            self._net += posted
            self._gross += abs(posted)
        delta, gamma, vega, theta = self._greeks
        expected = {
            TOTAL: self._total,
            UNREALISED: self._unrealised,
            DELTA: delta,
            NET: self._net,
            GAMMA: gamma,
            VEGA: vega,
            THETA: theta,
            REALISED: self._realised,
            FEES: self._fees,
            UNPRICED: float(self._unpriced + self._no_rate),
            NO_RATE: float(self._no_rate),
        }
        if self._is_sum:
            expected = self._of_children()
        expected[GROSS] = self._gross
        numbers = self._table.numbers.of_owner(self._owner)
        allowed = 1e-9 * (self._size + abs(numbers[GROSS])) + 1e-6
        for line, value in expected.items():
            if not abs(numbers[line] - value) <= allowed:  # a NaN is wrong too
                return f"the published {LINES[line]} does not follow from its rows"
        if not numbers[UNPRICED] and not abs(numbers[TOTAL] - numbers[REALISED] - numbers[UNREALISED]) <= allowed:
            return "I1: total P&L is not realised plus unrealised"
        return ""

    def _of_children(self) -> dict[int, float]:
        """The sums of the additive numbers of its children."""
        first, end = self._snapshot.reference.hierarchy.children[self._owner]
        sums = np.zeros(ADDITIVE)
        for page in range(first // PAGE, (end - 1) // PAGE + 1):
            start = page * PAGE
            numbers = self._table.numbers[page][:ADDITIVE, max(first - start, 0) : end - start]
            sums += numbers.sum(axis=1)
            self._size += float(np.abs(numbers).sum())
        return {line: sums.item(line) for line in LINES if line < ADDITIVE}
