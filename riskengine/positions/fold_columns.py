"""New positions folded in columns: many trades at once, to the bit as `Position.add` folds them one by one.

At a start hundreds of thousands of positions are new and most of their trades come in order. Sorted by position, their exact sums
are sums over stretches of columns, and the averages are worked out for the first trades of all positions at once, then for the
second ones, and so on: the same IEEE operations in the same order for each. What is not certain to come out the same is left
to whoever goes one by one: trades that come late, quantities beyond what doubles hold exactly, long histories.

Writer thread only.
"""

from collections.abc import Collection, Sequence
from itertools import islice, repeat
from operator import attrgetter, mul
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Rollup
from riskengine.positions.position import TRADES_PER_CHECKPOINT, Position
from riskengine.records.reference import Reference
from riskengine.records.types import DECIMALS, ONE, BoolArray, FloatArray, IntArray, Trade, order_key

MAX_TRADES = 512
"""Trades of one position up to which it is folded here: beyond, few positions are as long, and each step is for few."""

_EXACT = 2.0**52
"""Sums of sizes below are whole numbers that a double holds exactly, with a bit to spare for having been added as doubles."""
_FEES_LIMIT = 2**50
"""Sums of MAX_TRADES fees below it fit 64 bits."""
_BEYOND = 2**62
_LIMB = 32

Checkpoints = list[tuple[int, float | None]]
State = tuple[int, float | None, int, int, dict[str, int] | None, Checkpoints | None, list[Trade]]
"""Of a position: quantity, average, cash, identities, fees, checkpoints, trades."""


class TradeColumns:
    """Trades side by side, in the order of their arrival: what a position is folded from.

    `prints` are their `version_fingerprint`s, `instruments` the numbers of what they are in. Where `fine` is not set, a number is
    too large for columns. 0.6 us a trade.
    """

    def __init__(self, trades: Sequence[Trade], prints: IntArray, instruments: IntArray, reference: Reference) -> None:
        decimals = np.array([each.quantity_decimals for each in reference.instruments], dtype=np.int64)
        self.trades = trades
        self.prints = prints
        self.instruments = instruments
        # Quantities in steps of their instrument: the same doubles as in units of 1e-10, from numbers that fit them exactly.
        self.step = 10 ** (DECIMALS - decimals)
        self.steps_in_one = (ONE // self.step).astype(np.float64)
        signed, self.fine = _column("signed_quantity", trades)
        step = self.step[instruments]
        self.fine &= (signed != 0) & (signed % step == 0)
        self.signed = signed // step
        self.ts = self._take("ts")
        self.source_seq = self._take("source_seq")
        self.fees = self._take("fees")
        charged = np.flatnonzero(self.fees)
        codes = [trades[place].fees_currency for place in charged.tolist()]
        self.codes = sorted(set(codes))
        """Currencies of fees, by name; `code` has the place of each trade's among them where it has fees."""
        self.code = np.zeros(len(trades), dtype=np.int64)
        self.code[charged] = [*map({code: at for at, code in enumerate(self.codes)}.__getitem__, codes)]
        self.fine &= np.abs(self.fees) < _FEES_LIMIT
        self.price: FloatArray = np.fromiter(map(attrgetter("fill_price"), trades), np.float64, len(trades))
        self.cash = np.fromiter(map(attrgetter("cash"), trades), np.object_, len(trades))

    def _take(self, field: str) -> IntArray:
        column, fine = _column(field, self.trades)
        self.fine &= fine
        return column


def _column(field: str, trades: Sequence[Trade]) -> tuple[IntArray, BoolArray]:
    """Whole numbers of all trades, and which fit 62 bits; the others are 0."""
    values = map(attrgetter(field), trades)
    try:
        column = np.fromiter(values, np.int64, len(trades))
    except OverflowError:
        every = map(attrgetter(field), trades)
        column = np.array([value if -_BEYOND < value < _BEYOND else _BEYOND for value in every], dtype=np.int64)
    fine: BoolArray = (column > -_BEYOND) & (column < _BEYOND)
    column[~fine] = 0
    return column, fine


class Runs(NamedTuple):
    """The moves of a batch by position: `order` has their places, run after run, each as they came."""

    order: IntArray
    starts: IntArray
    ends: IntArray


class Passing(NamedTuple):
    """Which moves undo each other.

    staying  by place: all but trades that enter and leave in the same batch
    odd      places of trades that leave and did not enter, once, in the same batch
    """

    staying: BoolArray
    odd: list[int]


def passing(trades: Sequence[Trade], leaving: Collection[int]) -> Passing:
    """Which moves undo each other. O(trades)."""
    staying = np.ones(len(trades), dtype=np.bool_)
    if not leaving:
        return Passing(staying, [])
    moves: dict[int, list[int]] = {id(trades[place]): [] for place in leaving}
    for place, one in enumerate(map(id, trades)):
        if one in moves:
            moves[one].append(place)
    odd: list[int] = []
    for places in moves.values():
        if len(places) == 2 and places[0] not in leaving and places[1] in leaving:
            staying[places] = False
        else:
            odd += places
    return Passing(staying, odd)


class Folded:
    """What the trades of each run make of a new position, where they certainly make the same here as one by one.

    `watched` says by place of which trades it is to be told where they come more than `tolerance` behind a newer one: the runs in
    which that may be so do not fit. None where nobody wants to know.
    """

    def __init__(
        self, columns: TradeColumns, runs: Runs, moves: Passing, watched: BoolArray | None = None, tolerance: int = 0
    ) -> None:
        self._columns, self._runs = columns, runs
        lengths = runs.ends - runs.starts
        run_of: IntArray = np.repeat(np.arange(len(lengths)), lengths)
        unfit = ~columns.fine
        unfit[moves.odd] = True
        fits: BoolArray = (lengths <= MAX_TRADES) & ~np.logical_or.reduceat(unfit[runs.order], runs.starts)
        disorder = self._disordered(run_of)
        if watched is not None:
            fits[self._with_late(np.unique(run_of[1:][disorder]), watched, tolerance)] = False
        staying = moves.staying[runs.order] & fits[run_of]
        self._order, self._run_of = runs.order[staying], run_of[staying]
        shuffled = np.zeros(len(lengths), dtype=np.bool_)
        shuffled[run_of[1:][disorder]] = True
        some = np.flatnonzero(shuffled[self._run_of])
        places = self._order[some]
        self._order[some] = places[np.lexsort((columns.source_seq[places], columns.ts[places], self._run_of[some]))]
        self._starts = np.flatnonzero(np.diff(self._run_of, prepend=-1))
        """Of the runs of which something stays, which `_runs_here` names."""
        self._here = self._run_of[self._starts]
        self._counts = np.diff(self._starts, append=len(self._order))
        self._instruments = columns.instruments[self._order[self._starts]]
        self._checkpoints: dict[int, Checkpoints] = {}

    def states(self) -> list[State | None]:
        """The state of each run, in their order; None of those that do not fit."""
        states: list[State | None] = [None] * len(self._runs.starts)
        if not len(self._order):
            return states
        columns, order, starts = self._columns, self._order, self._starts
        signed = columns.signed[order]
        fits = np.add.reduceat(np.abs(signed).astype(np.float64), starts) < _EXACT
        fits[np.searchsorted(self._here, self._tied_wrongly())] = False
        quantity, average = self._averages(signed, columns.price[order])
        prints = columns.prints[order]
        low = np.add.reduceat(prints & ((1 << _LIMB) - 1), starts).tolist()
        high = np.add.reduceat(prints >> _LIMB, starts).tolist()
        averages = average.astype(np.object_)
        averages[quantity == 0] = None
        trades = map(columns.trades.__getitem__, order.tolist())
        of_each = map(list, map(islice, repeat(trades), self._counts.tolist()))
        made = zip(
            _in_units(quantity, columns.step[self._instruments]),
            averages.tolist(),
            np.add.reduceat(columns.cash[order], starts).tolist(),
            [(above << _LIMB) + below for above, below in zip(high, low, strict=True)],
            self._fees(),
            map(self._checkpoints.get, range(len(starts))),
            of_each,
            strict=True,
        )
        for run, state, fit in zip(self._here.tolist(), made, fits.tolist(), strict=True):
            if fit:
                states[run] = state
        return states

    def _disordered(self, run_of: IntArray) -> BoolArray:
        """Which moves came behind a newer one of their run by time and number of the source; the first move is left out."""
        columns, order = self._columns, self._runs.order
        ts, seq = columns.ts[order], columns.source_seq[order]
        found: BoolArray = (run_of[1:] == run_of[:-1]) & ((ts[1:] < ts[:-1]) | ((ts[1:] == ts[:-1]) & (seq[1:] < seq[:-1])))
        return found

    def _with_late(self, runs: IntArray, watched: BoolArray, tolerance: int) -> list[int]:
        """Those of some runs in which a watched trade may come late."""
        found = []
        starts, ends = self._runs.starts[runs].tolist(), self._runs.ends[runs].tolist()
        for run, start, end in zip(runs.tolist(), starts, ends, strict=True):
            places = self._runs.order[start:end]
            ts = self._columns.ts[places]
            if (watched[places] & (np.maximum.accumulate(ts) - ts > tolerance)).any():
                found.append(run)
        return found

    def _tied_wrongly(self) -> list[int]:
        """The runs in which trades of one time and number are not in the order of their names."""
        columns, order, run_of = self._columns, self._order, self._run_of
        ts, seq = columns.ts[order], columns.source_seq[order]
        tied = (run_of[1:] == run_of[:-1]) & (ts[1:] == ts[:-1]) & (seq[1:] == seq[:-1])
        return [
            int(run_of[at])
            for at in np.flatnonzero(tied).tolist()
            if order_key(columns.trades[order[at]]) > order_key(columns.trades[order[at + 1]])
        ]

    def _averages(self, signed: IntArray, price: FloatArray) -> tuple[IntArray, FloatArray]:
        """Quantity in steps and average of each run: `position.next_average`, for the trades of one rank at a time."""
        by = np.argsort(-self._counts, kind="stable")
        first, shorter = self._starts[by], -self._counts[by]
        in_one = self._columns.steps_in_one[self._instruments[by]]
        held, prices = np.zeros(len(by), dtype=np.int64), np.zeros(len(by))
        with np.errstate(all="ignore"):  # as Python: what is too large is infinite
            for rank in range(-int(shorter[0])):
                some = slice(0, int(np.searchsorted(shorter, -rank)))  # the runs that have so many trades
                at = first[some] + rank
                _step(held[some], prices[some], signed[at], price[at], in_one[some])
                if not (rank + 1) % TRADES_PER_CHECKPOINT:
                    self._keep(by[some], held[some], prices[some])
        quantity, average = np.empty_like(held), np.empty_like(prices)
        quantity[by], average[by] = held, prices
        return quantity, average

    def _keep(self, runs: IntArray, quantity: IntArray, average: FloatArray) -> None:
        exact = _in_units(quantity, self._columns.step[self._instruments[runs]])
        for run, held, price in zip(runs.tolist(), exact, average.tolist(), strict=True):
            self._checkpoints.setdefault(run, []).append((held, price if held else None))

    def _fees(self) -> list[dict[str, int] | None]:
        """Fees of each run by currency, by name, without zeros; None where there are none."""
        columns, order = self._columns, self._order
        found: list[dict[str, int] | None] = [None] * len(self._starts)
        charged = np.flatnonzero(columns.fees[order] != 0)
        if not len(charged):
            return found
        names = columns.codes
        run = np.searchsorted(self._starts, charged, side="right") - 1
        keys = run * len(names) + columns.code[order[charged]]
        by = np.argsort(keys, kind="stable")
        keys = keys[by]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        totals = np.add.reduceat(columns.fees[order][charged][by], starts).tolist()
        for key, total in zip(keys[starts].tolist(), totals, strict=True):
            if total:
                which, at = divmod(key, len(names))
                known = found[which]
                if known is None:
                    found[which] = {names[at]: total}
                else:
                    known[names[at]] = total
        return found


def _step(quantity: IntArray, average: FloatArray, signed: IntArray, price: FloatArray, in_one: FloatArray) -> None:
    """One trade more for each, in place: `position.next_average`. Where nothing is held an average is any number."""
    after = quantity + signed
    held, added = np.abs(quantity) / in_one, np.abs(signed) / in_one
    mixed = (held * average + added * price) / (held + added)
    kept = np.where((after > 0) == (quantity > 0), average, price)
    average[:] = np.where(quantity == 0, price, np.where((quantity > 0) == (signed > 0), mixed, kept))
    quantity[:] = after


def _in_units(quantity: IntArray, step: IntArray) -> list[int]:
    return [*map(mul, quantity.tolist(), step.tolist())]


def put(rollup: Rollup, owner: int, instrument: int, state: State | None) -> bool:
    """Put a new position in its place, marked as touched. 1 us.

    False where there is one already, or no state for it: then an empty one stands there.
    """
    book = rollup.books[owner]
    if state is None or instrument in book.positions:
        rollup.position(owner, instrument)
        return False
    assert book.leaf, "trades attach to leaves"
    position = book.positions[instrument] = Position(owner, instrument, len(book.rows))
    book.rows.append(None)
    (
        position.quantity,
        position.average,
        position.cash,
        position.identities,
        position.fees,
        position.checkpoints,
        position.trades,
    ) = state
    rollup.touched[position] = None
    return True
