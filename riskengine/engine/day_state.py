"""The trading day of an engine: where it began, and what changed since about earlier days. Writer thread only.

The roll takes three steps, so that no beat waits for it. `close_rows` fixes what positions were at the boundary; another thread
makes the close and the start of the next day from that; `begin` puts the start in force and restates the positions whose earlier
trades changed meanwhile.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import numpy as np

from riskengine.engine.closing import ClosingRows, closing_overrides
from riskengine.engine.table_builder import TableBuilder
from riskengine.positions.day_window import NOTHING_HELD, DayWindow, HeldBefore, held_before, is_ahead
from riskengine.positions.ledger import MASK, SHIFT, Ledger, Rollup
from riskengine.positions.position import NO_FEES, Position, replace_fees
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, Opening
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.day_start import UNKNOWN, DayStart, StartTable
from riskengine.valuation.day_values import DayValues, ghosts_of
from riskengine.valuation.unit_values import Factors, Units

COMPARED_AT_ONCE = 4_096
"""Positions or keys of a close that are compared in one call into compiled code."""


class DayState:
    """The day of one engine; `start` is None until the first close is known."""

    def __init__(self, reference: Reference, ledger: Ledger, builders: tuple[TableBuilder, TableBuilder]) -> None:
        self._reference = reference
        self._ledger = ledger
        self._builders = builders
        self._openings: set[tuple[str, str, str]] = set()
        self._since_close: dict[str, dict[int, None]] | None = None
        self.start: DayStart | None = None

    def grow(self, reference: Reference, units: Units) -> None:
        """Know the forwards that a reference has beyond this one's. O(instruments)."""
        self._reference = reference
        if self.start is not None:
            self.start = self.start.grown(reference)
            for builder in self._builders:
                if builder.day is not None:
                    builder.day.grow(reference, self.start.prices, units)

    def note_openings(self, openings: Collection[Opening]) -> None:
        """Take which opening balances the positions contain."""
        self._openings.update((each.desk, each.dealer, each.instrument) for each in openings)

    def close_rows(
        self, snapshot: Snapshot, window: DayWindow, following: DayWindow, movements: Mapping[tuple[int, str], int]
    ) -> ClosingRows:
        """What positions were at the end of `window`; `snapshot` must be of now. Trades are dated by `following` from here on.

        `movements` are the external movements up to then, by node and currency.

        O(positions with trades that belong after the day).
        """
        ledger = self._ledger
        if self.start is None:  # nobody has noted which trades are of the next day
            ahead = {
                name: [owner << SHIFT | number for owner, number, _ in rollup.positions()]
                for name, rollup in self._rollups().items()
            }
        else:
            ahead = {name: list(rollup.ahead) for name, rollup in self._rollups().items()}
        overrides = {
            name: closing_overrides(rollup, ahead[name], window, self._reference) for name, rollup in self._rollups().items()
        }
        ledger.date_by(following, ahead["node"])
        self._since_close = {name: dict.fromkeys(keys) for name, keys in overrides.items()}  # their carry may be of the next day
        for name, rollup in self._rollups().items():
            rollup.ahead = {key: None for key in ahead[name] if _is_ahead(rollup, key, following)}
        return ClosingRows(
            snapshot, overrides["node"], overrides["dealer"], dict(ledger.dealer_index), tuple(sorted(self._openings)), movements
        )

    def begin(self, start: DayStart, values: Mapping[str, DayValues], units: Units, factors: Factors) -> None:
        """Put the start of a day in force, and the `values` made for it of each roll-up. The next publication restates.

        After `close_rows` that is what changed since; where the same day begins again, what differed; at a start every position.
        O(prices), O(positions) at a start.
        """
        start = start.grown(self._reference)  # trades may have made forwards since it was worked out
        since = self._since_close if self._since_close is not None else self._changed_keys(start)
        self._since_close = None
        self.start = start
        if self._ledger.deals is None or self._ledger.window != start.window:
            self._ledger.date_by(start.window)
        for builder, name in zip(self._builders, ("node", "dealer"), strict=True):
            builder.day = values[name]
            values[name].grow(self._reference, start.prices, units)
            rollup = builder.rollup
            rollup.restated = {**since[name], **rollup.ahead, **rollup.restated}
            values[name].catch_up(units, factors)

    def restate(self, units: Units, factors: Factors) -> bool:
        """Restate positions whose trades of earlier days changed, after `settle`. Returns whether any did. O(their trades)."""
        changed = False
        for builder, name in zip(self._builders, ("node", "dealer"), strict=True):
            rollup = builder.rollup
            if not rollup.restated:
                continue
            keys, rollup.restated = rollup.restated, {}
            if self._since_close is not None:
                self._since_close[name].update(keys)
            if self.start is None or builder.day is None:
                continue
            table = builder.day.start
            found = {key: self._restated(rollup, key, self.start.window) for key in keys}
            rollup.ahead.update((key, None) for key in keys if _is_ahead(rollup, key, self.start.window))
            differing = {key: held for key, held in found.items() if held != _held_in(table, key)}
            above = self._sum_above(rollup, table, differing)
            table = builder.day.start = table.with_restated({**differing, **above})
            table.ghosts = ghosts_of(table, [*keys, *above], rollup.books)
            if differing:
                builder.day.restate(differing, units, factors)
            changed = True
        return changed

    def _changed_keys(self, start: DayStart) -> dict[str, dict[int, None]]:
        """The leaf keys that may differ from what a start says.

        Where it begins the current day again, from another version of the close, those that differ already, and those of which
        the two versions say different things. Else all but those of positions that are as they were, without trades.
        """
        tables = {"node": start.nodes, "dealer": start.dealers}
        if self.start is None or self.start.window != start.window:
            return {name: differing_keys(rollup, tables[name], start.window) for name, rollup in self._rollups().items()}
        found = {}
        for builder, (name, rollup) in zip(self._builders, self._rollups().items(), strict=True):
            assert builder.day is not None, "a day that has begun has its lines"
            keys = {**builder.day.start.restated, **dict.fromkeys(_changed_since(builder.day.start, tables[name]))}
            found[name] = {key: None for key in keys if rollup.books[key >> SHIFT].leaf}
        return found

    def _rollups(self) -> dict[str, Rollup]:
        return {"node": self._ledger.organisation, "dealer": self._ledger.dealers}

    def _restated(self, rollup: Rollup, key: int, window: DayWindow) -> HeldBefore | None:
        position = rollup.books[key >> SHIFT].positions.get(key & MASK)
        if position is None:
            return NOTHING_HELD
        return UNKNOWN if position.quarantined else held_before(position, window)

    def _sum_above(
        self, rollup: Rollup, table: StartTable, leaves: Mapping[int, HeldBefore | None]
    ) -> dict[int, HeldBefore | None]:
        """What is held above leaf keys once these have changed. O(leaves x depth); above one set aside O(its children)."""
        above: dict[int, HeldBefore | None] = {}
        again: dict[int, None] = {}
        for key, held in leaves.items():
            before = _held_in(table, key)
            for owner in rollup.ancestors[key >> SHIFT]:
                place = owner << SHIFT | key & MASK
                known = above[place] if place in above else _held_in(table, place)
                if held is UNKNOWN or before is UNKNOWN or known is UNKNOWN:
                    again[place] = None
                else:
                    above[place] = _moved(known, before, held)
        for place in sorted(again, key=lambda each: -len(rollup.ancestors[each >> SHIFT])):
            assert rollup.hierarchy is not None, "only the organisation has inner nodes"
            children = range(*rollup.hierarchy.children[place >> SHIFT])
            keys = [child << SHIFT | place & MASK for child in children]
            below = [leaves[key] if key in leaves else above[key] if key in above else _held_in(table, key) for key in keys]
            above[place] = UNKNOWN if any(each is UNKNOWN for each in below) else _sum([each for each in below if each])
        return above


def differing_keys(rollup: Rollup, table: StartTable, window: DayWindow) -> dict[int, None]:
    """The leaf keys whose positions may differ from a close, in the order of positions, then of keys. O(positions), in slices."""
    held = [each for book in rollup.books for each in book.positions.values() if not each.is_empty or each.quarantined]
    is_gone, found = np.ones(len(table.keys), dtype=np.bool_), list[int]()
    for first in range(0, len(held), COMPARED_AT_ONCE):
        found += _differing_of(held[first : first + COMPARED_AT_ONCE], table, window, is_gone)
    left = [key for key in table.keys[is_gone].tolist() if rollup.books[key >> SHIFT].leaf]
    return dict.fromkeys([*found, *left])


def _differing_of(held: Sequence[Position], table: StartTable, window: DayWindow, is_gone: BoolArray) -> list[int]:
    """The keys of those of some positions that may differ; unmarks in `is_gone` which keys of the table they have."""
    owners, instruments = (np.fromiter(map(attrgetter(name), held), np.int64, len(held)) for name in ("owner", "instrument"))
    keys = owners << SHIFT | instruments
    places = table.places(keys)
    is_gone[places[places >= 0]] = False
    before = [*_before_the_day(held, window)]
    is_same = np.fromiter((each is not None for each in before), np.bool_, len(held))
    for column, at in ((table.quantity, 0), (table.cash, 1)):
        now = np.fromiter((each[at] if each is not None else 0 for each in before), np.object_, len(held))
        closed = column[places] if len(column) else np.zeros(len(held), dtype=np.object_)
        closed[places < 0] = 0
        is_same &= (now == closed).astype(np.bool_)
    if table.beside:
        is_same &= np.fromiter((key not in table.beside for key in keys.tolist()), np.bool_, len(held))
    differing: list[int] = keys[~is_same].tolist()
    return differing


def _before_the_day(positions: Sequence[Position], window: DayWindow) -> Iterator[tuple[int, int] | None]:
    """Quantity and cash of positions before the trades of a day, where that is certain without their trades, else None.

    It is certain of plain ones without carry whose trades in memory are all of that day, and come after a base or are all it has.
    """
    dated = map(attrgetter("trade_date"), chain.from_iterable(map(attrgetter("trades"), positions)))
    is_dated, begin, end = any(dated), window.start_ts, window.end_ts
    for position in positions:
        trades, base = position.trades, position.base
        if position.carry or type(position) is not Position:
            yield None
        elif not trades:
            yield position.quantity, position.cash
        elif trades[0].ts < begin or trades[-1].ts >= end or (is_dated and any(map(attrgetter("trade_date"), trades))):
            yield None
        elif base is not None:
            yield base.quantity, base.cash
        else:
            yield None if position.openings else (0, 0)


def _changed_since(before: StartTable, now: StartTable) -> set[int]:
    """The keys of which two closes say different things: published quantity, cash and amounts beside it. O(keys), 40 ns each."""
    found = {*before.beside, *now.beside}
    if not np.array_equal(before.keys, now.keys):
        return {*found, *before.keys.tolist(), *now.keys.tolist()}
    for first in range(0, len(now.keys), COMPARED_AT_ONCE):
        some = slice(first, first + COMPARED_AT_ONCE)
        was, held = [*before.quantity[some]], [*now.quantity[some]]
        had, has = [*before.cash[some]], [*now.cash[some]]
        if was != held or had != has:
            keys = now.keys[some].tolist()
            columns = zip(keys, zip(was, had, strict=True), zip(held, has, strict=True), strict=True)
            found.update(key for key, then, close in columns if then != close)
    return found


def _is_ahead(rollup: Rollup, key: int, window: DayWindow) -> bool:
    """Whether a position holds a trade or carry that belongs after the day. O(trades in memory)."""
    position = rollup.books[key >> SHIFT].positions.get(key & MASK)
    return position is not None and is_ahead(position, window)


def _held_in(table: StartTable, key: int) -> HeldBefore | None:
    start = table.start(key >> SHIFT, key & MASK)
    return UNKNOWN if start is None else start.held


def _moved(held: HeldBefore, before: HeldBefore, now: HeldBefore) -> HeldBefore:
    """A sum, once one of its parts has changed."""
    beside = held.beside
    if before.beside or now.beside:
        beside = replace_fees({**beside}, {**before.beside}, {**now.beside})
    quantity, cash = held.quantity + now.quantity - before.quantity, held.cash + now.cash - before.cash
    return HeldBefore(quantity, cash, held.carry + now.carry - before.carry, beside)


def _sum(held: Sequence[HeldBefore]) -> HeldBefore:
    beside = NO_FEES
    for each in held:
        if each.beside:
            beside = replace_fees(beside, NO_FEES, {**each.beside})
    quantity, cash = sum(each.quantity for each in held), sum(each.cash for each in held)
    return HeldBefore(quantity, cash, sum(each.carry for each in held), beside)
