"""What owners hold, as rows of a matrix that P&L vectors of one unit are multiplied by. Pure but for `HeldCache`, which caches.

A vector of an owner is `quantities @ value + cash @ rate`. Of a position without a vector neither quantity nor cash counts, of
one that is closed by now its cash alone is needed; the instruments left out are counted, as nodes count unpriced positions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.reference import Reference
from riskengine.records.types import CASH_ONE, ONE, BoolArray, FloatArray, IntArray
from riskengine.scenarios.revaluation import UnitVectors
from riskengine.snapshot.snapshot import OwnerState
from riskengine.valuation.row_columns import RowColumns

CELLS_AT_ONCE = 8_000_000
"""Cells of a dense matrix: 64 MB."""


class HeldLines(NamedTuple):
    """The positions of some owners in columns, a line for each owner and instrument.

    owner, instrument   numbers; the owner is a place among those asked for
    quantity, cash      doubles, in units and in the currency of the cash
    open_cash           the cash of what is open, which is unknown without a mark
    is_open             something is open here or below
    beside              lines of carry in other currencies: (owner, instrument, currency, amount)
    set_aside           by owner: positions that wait for a repair and have no amounts
    """

    owner: IntArray
    instrument: IntArray
    quantity: FloatArray
    cash: FloatArray
    open_cash: FloatArray
    is_open: BoolArray
    beside: tuple[tuple[int, int, int, float], ...]
    set_aside: IntArray

    @classmethod
    def of(cls, states: Sequence[OwnerState], reference: Reference) -> "HeldLines":
        """Those of these owners, in their order. 1 us a row."""
        columns = RowColumns((place, state.positions()) for place, state in enumerate(states))
        return cls(
            columns.owners.astype(np.int64),
            columns.instruments.astype(np.int64),
            columns.amounts("quantity", ONE),
            columns.amounts("cash", CASH_ONE),
            columns.amounts("open_cash", CASH_ONE),
            columns.amounts("open_count", 1) != 0.0,
            tuple(_beside(columns, reference)),
            np.array([state.quarantined_count for state in states], dtype=np.int64),
        )

    @classmethod
    def joined(cls, parts: "Sequence[HeldLines]") -> "HeldLines":
        """Those of several owners, whose parts hold one each. O(lines)."""
        owner = np.repeat(np.arange(len(parts)), [len(part.owner) for part in parts])
        beside = tuple((place, *line[1:]) for place, part in enumerate(parts) for line in part.beside)
        columns = (np.concatenate([part[at] for part in parts]) if parts else np.zeros(0) for at in range(1, 6))
        instrument, quantity, cash, open_cash, is_open = columns
        set_aside = np.array([int(part.set_aside.sum()) for part in parts], dtype=np.int64)
        return cls(owner, instrument.astype(np.int64), quantity, cash, open_cash, is_open.astype(np.bool_), beside, set_aside)

    def __len__(self) -> int:
        return len(self.set_aside)


def _beside(columns: RowColumns, reference: Reference) -> list[tuple[int, int, int, float]]:
    owners = columns.owners.tolist()
    return [
        (owner, row.instrument, reference.currency_index[code], units / CASH_ONE)
        for owner, row in zip(owners, columns.rows, strict=True)
        for code, units in (row.beside or {}).items()
    ]


class Vectors(NamedTuple):
    """P&L vectors of some lines, and which instruments are not in them.

    pnl       by line and scenario, profit > 0
    left_out  (line, instrument) of positions without a vector
    known     by line: how many positions are in it
    """

    pnl: FloatArray
    left_out: tuple[tuple[int, int], ...]
    known: IntArray


def owner_vectors(held: HeldLines, units: UnitVectors) -> Vectors:
    """The vectors of owners. One dense product for as many owners at once as CELLS_AT_ONCE allows."""
    keeps_open, keeps_cash = _known(held, units)
    size = len(held)
    pnl = np.zeros((size, len(units.names)))
    instruments, currencies = len(units.value), len(units.rate)
    quantity = np.where(keeps_open, held.quantity, 0.0)
    cash = np.where(keeps_cash, np.where(keeps_open, held.cash, held.cash - held.open_cash), 0.0)
    step = max(1, CELLS_AT_ONCE // max(1, instruments + currencies))
    for first in range(0, size, step):
        here = (held.owner >= first) & (held.owner < first + step) if size > step else slice(None)
        rows = held.owner[here] - first
        count = min(step, size - first)
        dense = np.zeros((count, instruments))
        dense[rows, held.instrument[here]] = quantity[here]
        slots = rows * currencies + units.cash_currency[held.instrument[here]]
        sums = np.bincount(slots, weights=cash[here], minlength=count * currencies).reshape(count, currencies)
        pnl[first : first + count] = dense @ units.value + sums @ units.rate
    lost = np.flatnonzero(~keeps_cash | (held.is_open & ~keeps_open))
    left_out = list(zip(held.owner[lost].tolist(), held.instrument[lost].tolist(), strict=True))
    for owner, instrument, currency, amount in held.beside:
        if units.rated[currency]:
            pnl[owner] += amount * units.rate[currency]
        elif amount:
            left_out.append((owner, instrument))
    whole = keeps_cash & (keeps_open | ~held.is_open)
    known = np.bincount(held.owner[whole], minlength=size)
    return Vectors(pnl, tuple(dict.fromkeys(left_out)), known)


def line_vectors(held: HeldLines, units: UnitVectors) -> FloatArray:
    """The vectors of every line of what is held, by line and scenario: they sum to their owner's."""
    keeps_open, keeps_cash = _known(held, units)
    cash = np.where(keeps_cash, np.where(keeps_open, held.cash, held.cash - held.open_cash), 0.0)
    quantity = np.where(keeps_open, held.quantity, 0.0)
    pnl = quantity[:, None] * units.value[held.instrument]
    pnl += cash[:, None] * units.rate[units.cash_currency[held.instrument]]
    if held.beside:
        lines = {pair: at for at, pair in enumerate(zip(held.owner.tolist(), held.instrument.tolist(), strict=True))}
        for owner, instrument, currency, amount in held.beside:
            if units.rated[currency]:
                pnl[lines[owner, instrument]] += amount * units.rate[currency]
    return pnl


def _known(held: HeldLines, units: UnitVectors) -> tuple[BoolArray, BoolArray]:
    """Of each line, whether what is open has a vector, and whether its cash has one."""
    keeps_cash = units.rated[units.cash_currency[held.instrument]]
    return units.known[held.instrument] & keeps_cash, keeps_cash


class HeldCache:
    """Keeps the columns of owners from one snapshot to the next: only those that a trade has touched are read again.

    One thread. A snapshot of other reference data starts anew.
    """

    def __init__(self) -> None:
        self._root: Reference | None = None
        self._parts: dict[str, tuple[tuple[tuple[Row | None, ...], ...], int, HeldLines]] = {}

    def of(self, names: Sequence[str], states: Sequence[OwnerState], reference: Reference) -> HeldLines:
        """What nodes of these names hold. 1 us a row of an owner that has changed, else 2 us an owner and 3 ns a row."""
        if self._root is not reference.root:
            self._root, self._parts = reference.root, {}
        found = []
        for name, state in zip(names, states, strict=True):
            known = self._parts.get(name)
            if known is None or known[0] is not state.pages or known[1] != state.quarantined_count:
                known = self._parts[name] = (state.pages, state.quarantined_count, HeldLines.of([state], reference))
            found.append(known[2])
        return HeldLines.joined(found)
