"""Settles the first rows of a roll-up in columns: the rows of all positions at once, then the sums of each level above.

They are the rows that `Rollup.settle` makes one by one; this works where nothing was settled before, as at a start. Sums are
exact integers of any size, added over stretches of columns. Writer thread only.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter, mul, truediv
from typing import Any, NamedTuple

import numpy as np

from riskengine.positions.ledger import MASK, MAX_LISTED_POSITIONS, SHIFT, Rollup, Row
from riskengine.positions.position import NO_FEES, Position, open_cost, replace_fees
from riskengine.records.types import CASH_ONE, ONE, FloatArray, IntArray, ObjectArray

_DIGITS = (9, 6, 3, 0)
"""Decimals of an open cost below 1e6, 1e9, 1e12, 1e15 (`position.open_cost`)."""
_UNITS = tuple(CASH_ONE // 10**digits for digits in _DIGITS)


class Level(NamedTuple):
    """The rows of one level, or what rises to it, in columns: see `Row` and `ledger.Rise`."""

    keys: IntArray
    exact: Sequence[ObjectArray]
    """Quantity, cash, open cost, open cash, identities."""
    counts: Sequence[IntArray]
    """Open positions, positions, trades, long positions."""
    last_trade_ts: IntArray
    fees: Sequence[dict[str, int]]
    beside: Sequence[dict[str, int]]

    def above(self, parents: IntArray) -> "Level":
        """What these rows add to the level above, without those that have no parent."""
        parent = parents[self.keys >> SHIFT]
        keys = parent << SHIFT | self.keys & MASK
        return self._replace(keys=keys) if (parent >= 0).all() else self._replace(keys=keys).select(np.flatnonzero(parent >= 0))

    def select(self, rows: IntArray) -> "Level":
        """Some rows, by their places."""
        fees, beside = ([*map(column.__getitem__, rows.tolist())] for column in (self.fees, self.beside))
        exact, counts = [column[rows] for column in self.exact], [column[rows] for column in self.counts]
        return Level(self.keys[rows], exact, counts, self.last_trade_ts[rows], fees, beside)


def settle_new(rollup: Rollup) -> bool:
    """`rollup.settle` for many touched positions where nothing was settled before. 3 us a position.

    Returns False and does nothing where that is not so, or a position is set aside.
    """
    if len(rollup.touched) <= MAX_LISTED_POSITIONS or any(book.count or book.slots for book in rollup.books):
        return False
    if any(map(attrgetter("quarantined"), rollup.touched)):
        return False
    held = [position for position in rollup.touched if not position.is_empty]
    held.sort(key=attrgetter("owner"))
    level = _settle_leaves(rollup, held)
    depth_of = np.fromiter(map(len, rollup.ancestors), np.int64, len(rollup.ancestors))
    parents = np.fromiter((above[0] if above else -1 for above in rollup.ancestors), np.int64, len(rollup.ancestors))
    depths = depth_of[level.keys >> SHIFT]
    rising: Level | None = None
    for depth in range(int(depth_of.max(initial=0)), 0, -1):
        parts = [level.select(np.flatnonzero(depths == depth)).above(parents)]
        if rising is not None:
            parts.append(rising.above(parents))
        rising = _lift(rollup, _join(parts))
    rollup.touched.clear()
    return True


def _settle_leaves(rollup: Rollup, held: list[Position]) -> Level:
    """Put the rows of these positions in their places. Returns them in columns."""
    count = len(held)
    newest = [each.trades[-1] if each.trades else each.base.newest if each.base is not None else None for each in held]
    instruments = [*map(attrgetter("instrument"), held)]
    quantity, cash, average, identities = (
        [*map(attrgetter(field), held)] for field in ("quantity", "cash", "average", "identities")
    )
    prices = np.array([0.0 if each is None else each for each in average])
    is_open = np.fromiter((each is not None for each in average), np.int64, count)
    scale = np.array(rollup.cost_scale)[np.array(instruments, dtype=np.int64)]
    size = np.fromiter(map(truediv, quantity, repeat(ONE)), np.float64, count) * scale
    with np.errstate(all="ignore"):  # as Python: what is too large is infinite
        costs = open_costs(size * prices)
    open_cash = [*map(mul, cash, is_open.tolist())]
    last = [each.ts if each is not None else 0 for each in newest]
    is_long = np.fromiter((each > 0 for each in quantity), np.int64, count)
    lengths, fees = [each.trade_count for each in held], [each.fees or NO_FEES for each in held]
    rows = map(
        Row,
        instruments,
        quantity,
        cash,
        costs,
        is_open.tolist(),
        open_cash,
        repeat(1),
        lengths,
        last,
        fees,
        identities,
        average,
        newest,
        repeat(0),
        is_long.tolist(),
        map(attrgetter("beside"), held),
    )
    books = rollup.books
    for position, row in zip(held, rows, strict=False):  # repeat has no end
        books[position.owner].rows[position.slot] = row
    owners = np.fromiter(map(attrgetter("owner"), held), np.int64, count)
    level = Level(
        owners << SHIFT | np.array(instruments, dtype=np.int64),
        [_objects(column) for column in (quantity, cash, costs, open_cash, identities)],
        [is_open, np.ones(count, dtype=np.int64), np.array(lengths, dtype=np.int64), is_long],
        np.array(last, dtype=np.int64),
        fees,
        [each.beside or NO_FEES for each in held],
    )
    _count(rollup, level)
    return level


def open_costs(costs: FloatArray) -> list[int]:
    """`position.open_cost` of each."""
    sizes = np.abs(costs)
    which = np.searchsorted([1e6, 1e9, 1e12], sizes, side="right")
    beyond = np.flatnonzero(~(sizes < 1e15)).tolist()
    scaled = costs * np.array([10.0**digits for digits in _DIGITS])[which]
    scaled[beyond] = 0.0
    found = [*map(mul, np.rint(scaled).astype(np.int64).tolist(), map(_UNITS.__getitem__, which.tolist()))]
    for at in beyond:
        found[at] = open_cost(float(costs[at]))
    return found


def _lift(rollup: Rollup, rising: Level) -> Level:
    """Put the new rows of one level, the sums of what rises to it, in their places. Returns them in columns."""
    level = _sum_by_key(rising)
    quantity, cash, costs, open_cash, identities = (column.tolist() for column in level.exact)
    is_open, positions, trades, long = (column.tolist() for column in level.counts)
    instruments = (level.keys & MASK).tolist()
    rows = map(
        Row,
        instruments,
        quantity,
        cash,
        costs,
        is_open,
        open_cash,
        positions,
        trades,
        level.last_trade_ts.tolist(),
        level.fees,
        identities,
        repeat(None),
        repeat(None),
        repeat(0),
        long,
        (beside or None for beside in level.beside),
    )
    books = rollup.books
    for node, instrument, row in zip((level.keys >> SHIFT).tolist(), instruments, rows, strict=True):
        book = books[node]
        book.slots[instrument] = len(book.rows)
        book.rows.append(row)
    _count(rollup, level)
    return level


def _sum_by_key(rising: Level) -> Level:
    """What rises, added up by key, in the order in which the keys first come."""
    if not len(rising.keys):
        return rising
    order = np.argsort(rising.keys, kind="stable")
    keys = rising.keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    coming = np.argsort(order[starts])
    return Level(
        keys[starts][coming],
        [np.add.reduceat(column[order], starts)[coming] for column in rising.exact],
        [np.add.reduceat(column[order], starts)[coming] for column in rising.counts],
        np.maximum.reduceat(rising.last_trade_ts[order], starts)[coming],
        _sum_fees(rising.fees, order, starts, coming),
        _sum_fees(rising.beside, order, starts, coming),
    )


def _sum_fees(fees: Sequence[dict[str, int]], order: IntArray, starts: IntArray, coming: IntArray) -> list[dict[str, int]]:
    """Fees added up by key. `coming` has the sums in the order in which their keys first come."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.repeat(np.argsort(coming), np.diff(starts, append=len(order)))
    totals: list[dict[str, int]] = [NO_FEES] * len(starts)
    for at, charged in zip(place.tolist(), fees, strict=True):
        if charged:
            known = totals[at]
            totals[at] = replace_fees(known, NO_FEES, charged) if known else charged
    return totals


def _count(rollup: Rollup, level: Level) -> None:
    """Write the counts of the books of a level."""
    owners, books = level.keys >> SHIFT, rollup.books
    order = np.argsort(owners, kind="stable")
    starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
    if not len(starts):
        return
    _, positions, trades, _ = (np.add.reduceat(column[order], starts).tolist() for column in level.counts)
    last = np.maximum.reduceat(level.last_trade_ts[order], starts).tolist()
    for owner, *figures in zip(owners[order][starts].tolist(), positions, trades, last, strict=True):
        book = books[owner]
        book.count, book.trades, book.last_trade_ts = figures


def _join(parts: Sequence[Level]) -> Level:
    if len(parts) == 1:
        return parts[0]
    fees: list[dict[str, int]] = []
    beside: list[dict[str, int]] = []
    for part in parts:
        fees += part.fees
        beside += part.beside
    exact = [np.concatenate(columns) for columns in zip(*(part.exact for part in parts), strict=True)]
    counts = [np.concatenate(columns) for columns in zip(*(part.counts for part in parts), strict=True)]
    keys, last = np.concatenate([part.keys for part in parts]), np.concatenate([part.last_trade_ts for part in parts])
    return Level(keys, exact, counts, last, fees, beside)


def _objects(values: Sequence[Any]) -> ObjectArray:
    return np.fromiter(values, np.object_, len(values))
