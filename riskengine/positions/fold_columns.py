"""Folds positions in columns: many trades at once, to the same bit as `Position.add` folds them one by one.

At a start, hundreds of thousands of positions begin or go on from what was restored, and most of their trades come in order.
Sorted by position, their exact sums are sums over stretches of columns. The averages are computed for the first trades of all
positions at once, then for the second ones, and so on: the same IEEE operations in the same order for each position. Where the
same result is not certain, the trades are left to be folded one by one: trades that come late, quantities that a double does not
hold exactly, long histories, positions that are set aside or adjusted.

Writer thread only.
"""

from collections.abc import Collection, Sequence
from itertools import islice, repeat
from operator import attrgetter, mul
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Rollup
from riskengine.positions.position import LONG_HISTORY_TRADES, NO_FEES, TRADES_PER_CHECKPOINT, Position, replace_fees
from riskengine.records.fingerprints import join_parts
from riskengine.records.reference import Reference
from riskengine.records.types import DECIMALS, ONE, BoolArray, FloatArray, IntArray, Trade, order_key

MAX_TRADES = 512
"""Trades that a position may get here at once: those that get more are few, and so each step would be for few."""

_EXACT = 2.0**52
"""A double holds every whole number below 2 ** 53 exactly; one bit is spare, because the sizes are added as doubles."""
_FEES_LIMIT = 2**50
"""The sum of MAX_TRADES fees below this fits 64 bits."""
_BEYOND = 2**62
_LIMB = 32

Checkpoints = list[tuple[int, float | None]]
State = tuple[int, float | None, int, int, dict[str, int] | None, Checkpoints | None, list[Trade]]
"""Quantity and average of a position after its run; what the run adds: cash, identities, fees, checkpoints, trades."""


class TradeColumns:
    """The fields of trades that positions are folded from, a column each, in the order of arrival. 0.6 us a trade.

    `prints` are the parts of their fingerprints, shape (3, trades); `instruments` are their instrument numbers. A trade that is
    not `fits` has a number too large for columns.
    """

    def __init__(
        self,
        trades: Sequence[Trade],
        prints: IntArray,
        instruments: IntArray,
        reference: Reference,
        adjusted: Collection[int] = (),
    ) -> None:
        """`adjusted` are the numbers of instruments on which corporate actions act: their trades do not fit."""
        decimals = np.array([each.quantity_decimals for each in reference.instruments], dtype=np.int64)
        self.trades = trades
        self.prints = prints
        self.instruments = instruments
        # Quantities in steps of their instrument: they fit doubles exactly, and give the same averages as in units of 1e-10.
        self.step = 10 ** (DECIMALS - decimals)
        self.steps_in_one = (ONE // self.step).astype(np.float64)
        signed, self.fits = _column("signed_quantity", trades)
        step = self.step[instruments]
        self.fits &= (signed != 0) & (signed % step == 0)
        if adjusted:
            self.fits &= ~np.isin(instruments, np.fromiter(adjusted, np.int64, len(adjusted)))
        self.signed = signed // step
        self.ts = self._take("ts")
        self.source_seq = self._take("source_seq")
        self.fees = self._take("fees")
        charged = np.flatnonzero(self.fees)
        codes = [trades[place].fees_currency for place in charged.tolist()]
        self.codes = sorted(set(codes))
        """Currencies of fees, in the order of names; `code` is the place of a trade's among them, if it has fees."""
        self.code = np.zeros(len(trades), dtype=np.int64)
        self.code[charged] = [*map({code: at for at, code in enumerate(self.codes)}.__getitem__, codes)]
        self.fits &= np.abs(self.fees) < _FEES_LIMIT
        self.price: FloatArray = np.fromiter(map(attrgetter("fill_price"), trades), np.float64, len(trades))
        self.cash = np.fromiter(map(attrgetter("cash"), trades), np.object_, len(trades))

    def _take(self, field: str) -> IntArray:
        column, fits = _column(field, self.trades)
        self.fits &= fits
        return column


def _column(field: str, trades: Sequence[Trade] | Sequence[Position]) -> tuple[IntArray, BoolArray]:
    """One integer field of all trades or positions, and which of them fit 62 bits; the others are 0."""
    values = map(attrgetter(field), trades)
    try:
        column = np.fromiter(values, np.int64, len(trades))
    except OverflowError:
        every = map(attrgetter(field), trades)
        column = np.array([value if -_BEYOND < value < _BEYOND else _BEYOND for value in every], dtype=np.int64)
    fits: BoolArray = (column > -_BEYOND) & (column < _BEYOND)
    column[~fits] = 0
    return column, fits


class Runs(NamedTuple):
    """The changes of a batch by position: `order` has their places, run after run, each run in the order of arrival."""

    order: IntArray
    starts: IntArray
    ends: IntArray


class RoundTrips(NamedTuple):
    """Trades that enter and leave in one batch, and so need not be folded.

    staying  by place: whether the change is not part of a round trip
    odd      places of the changes of any other trade that leaves
    """

    staying: BoolArray
    odd: list[int]


class HeldColumns:
    """What the positions of some runs hold before these, a column each: zeros where a run begins a new one (None).

    quantity  in steps of the instrument
    average   any number where that is 0
    count     trades in memory
    ts        time of the newest trade, also of one behind the base
    fits      whether columns can go on from there
    """

    def __init__(self, positions: Sequence[Position | None], step: IntArray) -> None:
        """`step` are the steps of the positions' instruments, units of 1e-10. 1 us for a position that is there."""
        size = len(positions)
        self.quantity, self.average = np.zeros(size, dtype=np.int64), np.zeros(size)
        self.count = np.zeros(size, dtype=np.int64)
        self.ts = np.full(size, -_BEYOND)
        self.fits = np.ones(size, dtype=np.bool_)
        held = [each for each in positions if each is not None]
        self.is_new = not held
        if self.is_new:
            return
        places = np.flatnonzero(np.fromiter((each is not None for each in positions), np.bool_, size))
        quantity, fits = _column("quantity", held)
        trades = [*map(attrgetter("trades"), held)]
        fits &= np.fromiter((type(each) is list or not each for each in trades), np.bool_, len(held))
        fits &= np.fromiter((type(each) is Position for each in held), np.bool_, len(held))
        fits &= quantity % step[places] == 0
        self.fits[places] = fits
        self.quantity[places] = quantity // step[places]
        average = np.fromiter(map(attrgetter("average"), held), np.object_, len(held)).astype(np.float64)  # None becomes nan
        self.average[places] = average
        self.count[places] = [*map(len, trades)]
        self.ts[places] = [
            some[-1].ts if some else each.base.newest.ts if each.base is not None else -_BEYOND
            for each, some in zip(held, trades, strict=True)
        ]


def find_round_trips(trades: Sequence[Trade], leaving: Collection[int]) -> RoundTrips:
    """Which trades enter once, then leave once. `leaving` are the places of changes that leave. O(trades)."""
    staying = np.ones(len(trades), dtype=np.bool_)
    if not leaving:
        return RoundTrips(staying, [])
    places_of: dict[int, list[int]] = {id(trades[place]): [] for place in leaving}
    for place, one in enumerate(map(id, trades)):
        if one in places_of:
            places_of[one].append(place)
    odd: list[int] = []
    for places in places_of.values():
        if len(places) == 2 and places[0] not in leaving and places[1] in leaving:
            staying[places] = False
        else:
            odd += places
    return RoundTrips(staying, odd)


class ColumnFold:
    """Folds the trades of each run onto its position, where the result is certainly that of one by one.

    `held` are the positions as they are, None where there is none yet. `watched` are the trades, by place, of which the caller
    wants to know if they come more than `tolerance` microseconds behind a newer one: a run in which that may be so is left out.
    None: the caller does not want to know.
    """

    def __init__(
        self,
        columns: TradeColumns,
        runs: Runs,
        held: Sequence[Position | None],
        *,
        round_trips: RoundTrips,
        watched: BoolArray | None = None,
        tolerance: int = 0,
    ) -> None:
        self._columns, self._runs = columns, runs
        lengths = runs.ends - runs.starts
        run_of: IntArray = np.repeat(np.arange(len(lengths)), lengths)
        self._held = HeldColumns(held, columns.step[columns.instruments[runs.order[runs.starts]]])
        unfit = ~columns.fits
        unfit[round_trips.odd] = True
        fits: BoolArray = (lengths <= MAX_TRADES) & ~np.logical_or.reduceat(unfit[runs.order], runs.starts)
        fits &= self._go_on(lengths)
        disorder = self._disordered(run_of)
        if watched is not None:
            fits[self._with_late(np.unique(run_of[1:][disorder]), watched, tolerance)] = False
        staying = round_trips.staying[runs.order] & fits[run_of]
        self._order, self._run_of = runs.order[staying], run_of[staying]
        shuffled = np.zeros(len(lengths), dtype=np.bool_)
        shuffled[run_of[1:][disorder]] = True
        some = np.flatnonzero(shuffled[self._run_of])
        places = self._order[some]
        self._order[some] = places[np.lexsort((columns.source_seq[places], columns.ts[places], self._run_of[some]))]
        self._starts = np.flatnonzero(np.diff(self._run_of, prepend=-1))
        """Of the runs of which a trade stays; `_run_numbers` are those runs."""
        self._run_numbers = self._run_of[self._starts]
        self._counts = np.diff(self._starts, append=len(self._order))
        self._instruments = columns.instruments[self._order[self._starts]]
        self._checkpoints: dict[int, Checkpoints] = {}

    def states(self) -> list[State | None]:
        """The state of each run, in their order; None for a run to fold one by one."""
        states: list[State | None] = [None] * len(self._runs.starts)
        if not len(self._order):
            return states
        columns, order, starts = self._columns, self._order, self._starts
        signed = columns.signed[order]
        sizes = np.abs(self._held.quantity[self._run_numbers]).astype(np.float64)
        fits = sizes + np.add.reduceat(np.abs(signed).astype(np.float64), starts) < _EXACT
        fits[np.searchsorted(self._run_numbers, self._tied_wrongly())] = False
        quantity, average = self._averages(signed, columns.price[order])
        averages = average.astype(np.object_)
        averages[quantity == 0] = None
        trades = map(columns.trades.__getitem__, order.tolist())
        of_each = map(list, map(islice, repeat(trades), self._counts.tolist()))
        made = zip(
            _in_units(quantity, columns.step[self._instruments]),
            averages.tolist(),
            np.add.reduceat(columns.cash[order], starts).tolist(),
            join_parts(*(_sum_stretches(part[order], starts) for part in columns.prints)),
            self._fees(),
            map(self._checkpoints.get, range(len(starts))),
            of_each,
            strict=True,
        )
        for run, state, fit in zip(self._run_numbers.tolist(), made, fits.tolist(), strict=True):
            if fit:
                states[run] = state
        return states

    def _go_on(self, lengths: IntArray) -> BoolArray:
        """Which runs can go on from what their position holds: all their trades are newer, and it does not get long."""
        held, runs = self._held, self._runs
        if held.is_new:
            return held.fits
        oldest = np.minimum.reduceat(self._columns.ts[runs.order], runs.starts)
        goes_on: BoolArray = held.fits & (oldest > held.ts) & (held.count + lengths <= LONG_HISTORY_TRADES)
        return goes_on

    def _disordered(self, run_of: IntArray) -> BoolArray:
        """Which changes came behind a newer one of their run, by `ts` and `source_seq`; without the first change of all."""
        columns, order = self._columns, self._runs.order
        ts, seq = columns.ts[order], columns.source_seq[order]
        found: BoolArray = (run_of[1:] == run_of[:-1]) & ((ts[1:] < ts[:-1]) | ((ts[1:] == ts[:-1]) & (seq[1:] < seq[:-1])))
        return found

    def _with_late(self, runs: IntArray, watched: BoolArray, tolerance: int) -> list[int]:
        """Those of `runs` in which a watched trade may come late."""
        found = []
        starts, ends = self._runs.starts[runs].tolist(), self._runs.ends[runs].tolist()
        for run, start, end in zip(runs.tolist(), starts, ends, strict=True):
            places = self._runs.order[start:end]
            ts = self._columns.ts[places]
            if (watched[places] & (np.maximum.accumulate(ts) - ts > tolerance)).any():
                found.append(run)
        return found

    def _tied_wrongly(self) -> list[int]:
        """The runs in which trades of the same `ts` and `source_seq` are not in the order of their names."""
        columns, order, run_of = self._columns, self._order, self._run_of
        ts, seq = columns.ts[order], columns.source_seq[order]
        tied = (run_of[1:] == run_of[:-1]) & (ts[1:] == ts[:-1]) & (seq[1:] == seq[:-1])
        return [
            int(run_of[at])
            for at in np.flatnonzero(tied).tolist()
            if order_key(columns.trades[order[at]]) > order_key(columns.trades[order[at + 1]])
        ]

    def _averages(self, signed: IntArray, price: FloatArray) -> tuple[IntArray, FloatArray]:
        """Quantity in steps and average after each run: `position.next_average` for all first trades, all second ones, and so on.

        A checkpoint falls after every TRADES_PER_CHECKPOINT trades of the position, those that it held before included.
        """
        by = np.argsort(-self._counts, kind="stable")
        first, shorter = self._starts[by], -self._counts[by]
        in_one = self._columns.steps_in_one[self._instruments[by]]
        runs = self._run_numbers[by]
        held, prices, counts = self._held.quantity[runs], self._held.average[runs], self._held.count[runs]
        is_restart = not counts.any()
        with np.errstate(all="ignore"):  # as Python: what is too large is infinite
            for rank in range(-int(shorter[0])):
                some = slice(0, int(np.searchsorted(shorter, -rank)))  # the runs with more than `rank` trades
                at = first[some] + rank
                _step(held[some], prices[some], signed[at], price[at], in_one[some])
                if is_restart and (rank + 1) % TRADES_PER_CHECKPOINT:
                    continue
                due = np.flatnonzero((counts[some] + (rank + 1)) % TRADES_PER_CHECKPOINT == 0)
                self._note_checkpoints(by[due], held[due], prices[due])
        quantity, average = np.empty_like(held), np.empty_like(prices)
        quantity[by], average[by] = held, prices
        return quantity, average

    def _note_checkpoints(self, runs: IntArray, quantity: IntArray, average: FloatArray) -> None:
        exact = _in_units(quantity, self._columns.step[self._instruments[runs]])
        for run, held, price in zip(runs.tolist(), exact, average.tolist(), strict=True):
            self._checkpoints.setdefault(run, []).append((held, price if held else None))

    def _fees(self) -> list[dict[str, int] | None]:
        """Fees of each run by currency, in the order of names, without zeros; None if there are none."""
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
    """Take one more trade each, in place: `position.next_average`. The average of a flat position is any number."""
    after = quantity + signed
    held, added = np.abs(quantity) / in_one, np.abs(signed) / in_one
    mixed = (held * average + added * price) / (held + added)
    kept = np.where((after > 0) == (quantity > 0), average, price)
    average[:] = np.where(quantity == 0, price, np.where((quantity > 0) == (signed > 0), mixed, kept))
    quantity[:] = after


def _sum_stretches(prints: IntArray, starts: IntArray) -> list[int]:
    """The exact sum of each stretch of 64-bit numbers."""
    low = np.add.reduceat(prints & ((1 << _LIMB) - 1), starts).tolist()
    high = np.add.reduceat(prints >> _LIMB, starts).tolist()
    return [(above << _LIMB) + below for above, below in zip(high, low, strict=True)]


def _in_units(quantity: IntArray, step: IntArray) -> list[int]:
    return [*map(mul, quantity.tolist(), step.tolist())]


def put_position(rollup: Rollup, owner: int, instrument: int, state: State | None) -> bool:
    """Put a position, new or known, into this state, marked as touched. 1 us.

    Returns False if there is no state: then it only makes an empty position, if needed, for the caller to fold into.
    """
    if state is None:
        rollup.position(owner, instrument)
        return False
    book = rollup.books[owner]
    position = book.positions.get(instrument)
    if position is not None:
        _add_state(position, state)
    else:
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


def _add_state(position: Position, state: State) -> None:
    """Let a position that is there go on to a state."""
    position.quantity, position.average, cash, identities, fees, checkpoints, trades = state
    position.cash += cash
    position.identities += identities
    if fees is not None:
        position.fees = _sum_fees(position.fees, fees)
    if checkpoints is not None:
        position.checkpoints = (position.checkpoints or []) + checkpoints
    if position.trades:
        position.trades += trades
    else:
        position.trades = trades


def _sum_fees(held: dict[str, int] | None, added: dict[str, int]) -> dict[str, int] | None:
    """What `replace_fees` makes of both; None where nothing is left. 0.3 us in one currency, as nearly always."""
    if held is None:
        return added
    if len(held) == len(added) == 1:
        [(currency, units)] = added.items()
        if currency in held:
            units += held[currency]
            return {currency: units} if units else None
    return replace_fees(held, NO_FEES, added) or None
