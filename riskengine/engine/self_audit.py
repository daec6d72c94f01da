"""The self-audit: checks every invariant of everything in an engine's memory, in small steps, pass after pass.

Three files share the work. This one walks over the engine and names the key at fault. `snapshot_audit` checks what is published
of it. `audit_schedule` decides when the writer runs steps, and sets the keys at fault aside.

A pass checks, in this order:

- every position against its trades in order (I1, I3), and that those are the trades that `processed` counts as effective;
- the row of every position, and what is published of it; the counts of every book;
- that as many trades stand in positions as are effective;
- every sum against the rows below it (I5), the two roll-ups against each other, and the published numbers.

A step takes about 50 us. Between two steps trades may come, so each step looks at one thing at one moment; a pass takes no lock
and makes no long copy. A check that fails says where, not why; only then a search (`_blame_..`) finds the key at fault.

No clock: the caller decides when to step. Writer thread only. A step does nothing while applied trades are unpublished.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from riskengine.engine.engine import Engine
from riskengine.engine.snapshot_audit import Walk, audit_numbers, audit_rollups, audit_sums, exact_figures, number_fault
from riskengine.positions.adjusted import AdjustedPosition
from riskengine.positions.adjusted_audit import adjusted_faults
from riskengine.positions.ledger import ALL_ROWS, Book, Rollup, Row, row_of
from riskengine.positions.places import Place, keys_of, place_of
from riskengine.positions.position import TRADES_PER_CHECKPOINT, Position
from riskengine.positions.position_audit import NOT_STANDING, Belonging, long_position_fault, position_fault
from riskengine.positions.repair import sum_of
from riskengine.records.types import Identity, Instrument, Key, Trade
from riskengine.snapshot.snapshot import ROWS_PAGE, OwnerState, Table

STEP_TRADES = 48
"""Trades checked in a step, or other work that takes as long."""

ROW_DIFFERS = "its row differs from its position"
PUBLISHED_ROW_DIFFERS = "its published row differs from its row in memory"
SUM_DIFFERS = "I5: its row is not the sum of the rows below it"
COUNTS_DIFFER = "I5: its count of positions, its count of trades or the time of its newest trade is wrong"
TRADE_MISSING = "an effective trade does not stand in it"
ROLLUPS_DIFFER = "I5: all desks together and all dealers together hold different amounts"
TRADE_COUNTS_DIFFER = "positions have more or fewer trades than are effective, yet none is missing and none is too many"


class Fault(NamedTuple):
    """An invariant that a key breaks. `key` is None if no key at fault was found.

    `missing` is a trade that the key should have and lacks.
    """

    key: Key | None
    reason: str
    missing: Trade | None = None


Faults = Iterator[Fault | None]
"""Faults as they are found, and None at the end of each step."""


class SelfAudit:
    """Passes over one engine, step by step. `passes` counts the complete ones."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.passes = 0
        self._steps_of_last = 0
        self.start_again()

    @property
    def _instruments(self) -> Sequence[Instrument]:
        """Those of now: trades make forwards."""
        return self.engine.reference.instruments

    @property
    def progress(self) -> float:
        """The part of this pass that is done, 0 to 1, estimated from the steps of the last pass. O(1)."""
        expected = self._steps_of_last or 1 + len(self.engine.processed) // 4
        return min(self._steps / expected, 1.0)

    def step(self) -> Fault | None:
        """Do about 50 us of work. Returns a fault if it found one. Does nothing while trades wait to be published."""
        ledger = self.engine.ledger
        if any(rollup.touched or rollup.resum for rollup in (ledger.organisation, ledger.dealers)):
            return None
        self._steps += 1
        try:
            return next(self._walk)
        except StopIteration:
            self.passes += 1
            self._steps_of_last = self._steps
            self.start_again()
            return None

    def start_again(self) -> None:
        """Give this pass up and begin another."""
        self._steps = 0
        self._walk = self._steps_of_pass()

    def release(self) -> None:
        """Drop the pass. It and this object refer to each other, so the engine would live on until a garbage collection."""
        self._walk = iter(())

    def finish_pass(self) -> list[Fault]:
        """Do the rest of this pass at once. Returns its faults. O(everything)."""
        passes, found = self.passes, []
        while self.passes == passes:
            fault = self.step()
            if fault is not None:
                found.append(fault)
        return found

    def _steps_of_pass(self) -> Faults:
        engine = self.engine
        for rollup in (engine.ledger.organisation, engine.ledger.dealers):
            yield from self._audit_owners(rollup)
        yield from self._audit_trade_counts()
        yield from self._confirm(audit_sums(engine.snapshot), self._blame_sum)
        yield from self._confirm(audit_rollups(engine.snapshot), self._blame_rollups)
        for rollup in (engine.ledger.organisation, engine.ledger.dealers):
            walk = audit_numbers(engine.snapshot, self._table(rollup))
            yield from self._confirm(walk, partial(self._blame_numbers, rollup))

    def _confirm(self, walk: Walk, blame: Callable[[int, int], Faults]) -> Faults:
        """Search the engine as it is now for the faults behind the suspects of a walk over a snapshot."""
        for suspect in walk:
            if suspect is None:
                yield None
            else:
                yield from blame(*suspect)

    def _table(self, rollup: Rollup) -> Table:
        snapshot = self.engine.snapshot
        return snapshot.nodes if rollup is self.engine.ledger.organisation else snapshot.dealers

    def _fault(self, rollup: Rollup, owner: int, instrument: int, reason: str) -> Fault:
        return Fault(keys_of(self.engine.ledger, [Place(rollup, owner, instrument)])[0], reason)

    # -- positions and their published rows --------------------------------------------------------------------

    def _audit_owners(self, rollup: Rollup) -> Faults:
        spent = 0
        for owner, name in enumerate(self._names(rollup)):
            book = rollup.books[owner]
            belonging = self._belonging(rollup, name)
            for instrument in tuple(book.positions):
                position = book.positions[instrument]
                spent += 3 + len(position.trades)
                if len(position.trades) < TRADES_PER_CHECKPOINT:
                    reason = self._position_fault(rollup, position, belonging)
                else:
                    reason = yield from self._long_position_fault(rollup, position, belonging)
                if reason:
                    yield self._fault(rollup, owner, instrument, reason)
                if spent >= STEP_TRADES:
                    spent = 0
                    yield None
            yield from self._audit_book(rollup, owner)

    def _names(self, rollup: Rollup) -> tuple[str, ...]:
        ledger = self.engine.ledger
        return ledger.reference.hierarchy.names if rollup is ledger.organisation else tuple(ledger.dealer_index)

    def _belonging(self, rollup: Rollup, name: str) -> Belonging:
        return Belonging(name, rollup is self.engine.ledger.organisation, self.engine.processed.stands)

    def _position_fault(self, rollup: Rollup, position: Position, belonging: Belonging) -> str:
        """Why a position or its row is wrong, empty if both are right. O(trades)."""
        instrument = self._instruments[position.instrument]
        if isinstance(position, AdjustedPosition):
            found = next(filter(None, adjusted_faults(position, instrument.currency, belonging)), "")
        else:
            found = position_fault(position, instrument, belonging)
        return found or self._row_fault(rollup, position)

    def _row_fault(self, rollup: Rollup, position: Position) -> str:
        row = rollup.books[position.owner].rows[position.slot]
        return "" if row == row_of(position, self.engine.ledger.organisation.cost_scale[position.instrument]) else ROW_DIFFERS

    def _long_position_fault(self, rollup: Rollup, position: Position, belonging: Belonging) -> Generator[None, None, str]:
        positions, number = rollup.books[position.owner].positions, position.instrument
        if isinstance(position, AdjustedPosition):
            walk = adjusted_faults(position, self._instruments[number].currency, belonging)
        else:
            walk = long_position_fault(position, self._instruments[number], belonging, lambda: positions[number] is position)
        for reason in walk:
            if reason is not None:
                return reason or self._row_fault(rollup, positions[number])
            yield None
        return ""

    def _audit_book(self, rollup: Rollup, owner: int) -> Faults:
        """Compare an owner's rows with the published ones, page by page, and the counts with the rows."""
        book, state = rollup.books[owner], self._state(rollup, owner)
        if _counts(book) != _counts(state):
            yield self._fault(rollup, owner, ALL_ROWS, COUNTS_DIFFER)
        spent, positions, trades, last = 0, 0, 0, 0
        for first in range(0, len(book.rows), ROWS_PAGE):
            live = tuple(book.rows[first : first + ROWS_PAGE])
            if live != self._page(rollup, owner, first):
                yield from self._blame_page(rollup, owner, first)
            spent += 4
            if spent >= STEP_TRADES:
                spent = 0
                yield None
        for row in state.positions():
            spent += 1
            positions, trades, last = positions + row.position_count, trades + row.trade_count, max(last, row.last_trade_ts)
            if book.leaf and row.instrument not in book.positions:
                yield self._fault(rollup, owner, row.instrument, ROW_DIFFERS)
            if spent >= 4 * STEP_TRADES:
                spent = 0
                yield None
        if (positions, trades, last) != _counts(state)[:3]:
            yield from self._blame_counts(rollup, owner)

    def _state(self, rollup: Rollup, owner: int) -> OwnerState:
        return self._table(rollup).state(owner)

    def _page(self, rollup: Rollup, owner: int, first: int) -> tuple[Row | None, ...]:
        pages = self._state(rollup, owner).pages
        return pages[first // ROWS_PAGE] if first < len(pages) * ROWS_PAGE else ()

    # -- which key is at fault, at this moment -----------------------------------------------------------------

    def _blame_page(self, rollup: Rollup, owner: int, first: int) -> Faults:
        """Blame rows of a page that differ from the published ones. O(their trades)."""
        book, belonging = rollup.books[owner], self._belonging(rollup, self._names(rollup)[owner])
        live, published = book.rows[first : first + ROWS_PAGE], self._page(rollup, owner, first)
        for row, published_row in zip_longest(live, published):
            found = row or published_row
            if found is None or row == published_row:
                continue
            instrument = found.instrument
            position = book.positions.get(instrument)
            if not book.leaf:
                yield from self._blame_sum(owner, instrument)
            elif position is None or not self._position_fault(rollup, position, belonging):
                yield self._fault(rollup, owner, instrument, PUBLISHED_ROW_DIFFERS)

    def _blame_counts(self, rollup: Rollup, owner: int) -> Faults:
        """Blame rows that are not the sum of the rows below them; if all are, the counts. O(rows x children)."""
        book = rollup.books[owner]
        if not book.leaf:
            children = rollup.books[slice(*self.engine.reference.hierarchy.children[owner])]
            blamed = False
            for instrument in tuple(book.slots):
                if book.row(instrument) != sum_of(child.row(instrument) for child in children):
                    blamed = True
                    yield from self._blame_sum(owner, instrument)
                yield None
            if blamed:
                return
        rows = [row for row in book.rows if row is not None]
        counted = (
            sum(row.position_count for row in rows),
            sum(row.trade_count for row in rows),
            max((row.last_trade_ts for row in rows), default=0),
            sum(row.quarantined for row in rows),
        )
        if counted != _counts(book):
            yield self._fault(rollup, owner, ALL_ROWS, COUNTS_DIFFER)

    def _blame_sum(self, node: int, instrument: int) -> Faults:
        """Blame positions below that are wrong themselves; if none is, the sum. O(leaves below + their trades)."""
        rollup, names = self.engine.ledger.organisation, self.engine.reference.hierarchy.names
        blamed = False
        leaves = self._leaves_below(node)
        for leaf in leaves:
            position = rollup.books[leaf].positions.get(instrument)
            reason = "" if position is None else self._position_fault(rollup, position, self._belonging(rollup, names[leaf]))
            if reason:
                blamed = True
                yield self._fault(rollup, leaf, instrument, reason)
        row = rollup.books[node].row(instrument)
        if blamed:
            return
        if row != sum_of(rollup.books[leaf].row(instrument) for leaf in leaves):
            yield self._fault(rollup, node, instrument, SUM_DIFFERS)
        elif row != self._table(rollup).row(node, instrument):
            yield self._fault(rollup, node, instrument, PUBLISHED_ROW_DIFFERS)

    def _leaves_below(self, node: int) -> list[int]:
        children = self.engine.reference.hierarchy.children
        found, waiting = [], [node]
        while waiting:
            node = waiting.pop()
            first, end = children[node]
            if first == end:
                found.append(node)
            waiting.extend(range(first, end))
        return found

    def _blame_rollups(self, root: int, instrument: int) -> Faults:
        """Blame, for each trade in one roll-up only, the roll-up that is wrong about it. O(trades of the instrument)."""
        ledger, stands = self.engine.ledger, self.engine.processed.stands
        desks, dealers = (self._trades_of(rollup, instrument) for rollup in (ledger.organisation, ledger.dealers))
        rows = [
            sum_of(book.row(instrument) for book in rollup.books if book.leaf) for rollup in (ledger.organisation, ledger.dealers)
        ]
        if any(row is not None and row.quarantined for row in rows):
            return
        desk_only = [trade for identity, trade in desks.items() if identity not in dealers and not self._is_frozen(trade, False)]
        dealer_only = [trade for identity, trade in dealers.items() if identity not in desks and not self._is_frozen(trade, True)]
        for trade in desk_only:
            yield Fault(_key(trade, False), TRADE_MISSING, trade) if stands(trade) else Fault(_key(trade, True), NOT_STANDING)
        for trade in dealer_only:
            yield Fault(_key(trade, True), TRADE_MISSING, trade) if stands(trade) else Fault(_key(trade, False), NOT_STANDING)
        if not desk_only and not dealer_only and exact_figures(rows[0]) != exact_figures(rows[1]):
            yield self._fault(ledger.organisation, root, instrument, ROLLUPS_DIFFER)

    def _is_frozen(self, trade: Trade, of_nodes: bool) -> bool:
        """Whether the trade is part of the frozen base of its position by node (`of_nodes`) or by dealer."""
        place = place_of(self.engine.ledger, _key(trade, of_nodes))
        return place is not None and place.position is not None and place.position.covers(trade)

    def _trades_of(self, rollup: Rollup, instrument: int) -> dict[Identity, Trade]:
        positions = (book.positions.get(instrument) for book in rollup.books)
        return {trade.identity: trade for position in positions if position is not None for trade in position.trades}

    def _blame_numbers(self, rollup: Rollup, owner: int, _: int) -> Faults:
        """Blame children whose own numbers are wrong; if none is, the owner. O(their rows)."""
        blamed = False
        hierarchy = self.engine.reference.hierarchy
        below = range(*hierarchy.children[owner]) if rollup is self.engine.ledger.organisation else range(0)
        for one in (*below, owner):
            if blamed and one == owner:
                return
            snapshot = self.engine.snapshot
            reason = number_fault(snapshot, self._table(rollup), one)
            if reason:
                blamed = True
                yield self._fault(rollup, one, ALL_ROWS, reason)
            yield None

    # -- effective trades --------------------------------------------------------------------------------------

    def _audit_trade_counts(self) -> Faults:
        """Check that as many trades stand in positions as are effective; if not, blame the positions that lack one."""
        if self._trade_counts_agree():
            return
        blamed = False
        ledger, processed = self.engine.ledger, self.engine.processed
        for number, trade in enumerate(processed.standing_trades(), start=1):
            for of_nodes in (True, False):
                key = _key(trade, of_nodes)
                place = place_of(ledger, key)
                position = None if place is None else place.position
                if processed.stands(trade) and (position is None or not position.holds(trade)):
                    blamed = True
                    yield Fault(key, TRADE_MISSING, trade)
            if not number % STEP_TRADES:
                yield None
        if not blamed and not self._trade_counts_agree():
            yield Fault(None, TRADE_COUNTS_DIFFER)

    def _trade_counts_agree(self) -> bool:
        """Whether both roll-ups have as many trades as are effective; true if unknown. O(dealers).

        It is unknown while a position is set aside, because such a position keeps the trades that it had.
        """
        organisation, dealers = self.engine.ledger.organisation.books, self.engine.ledger.dealers.books
        if not organisation or organisation[0].quarantined or any(book.quarantined for book in dealers):
            return True
        count = self.engine.processed.standing_count
        return count == organisation[0].trades == sum(book.trades for book in dealers)


def _key(trade: Trade, of_nodes: bool) -> Key:
    return ("node", trade.desk, trade.instrument) if of_nodes else ("dealer", trade.dealer, trade.instrument)


def _counts(of: Book | OwnerState) -> tuple[int, int, int, int]:
    if isinstance(of, Book):
        return of.count, of.trades, of.last_trade_ts, of.quarantined
    return of.position_count, of.trade_count, of.last_trade_ts, of.quarantined_count
