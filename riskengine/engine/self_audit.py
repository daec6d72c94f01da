"""The engine looks itself over: every invariant of everything that it holds, a little at a time, again and again.

One pass goes over every position (I1, I3: against its trades in order, which must be those that `processed` lets take part), its
row and what was published of it, every book's counts, every sum (I5), the two roll-ups against each other, and the published
numbers. It takes no lock and copies nothing long: it is done in steps of about 50 us, between which trades may come, and each
looks at one thing at one moment. What does not hold is a fault of one key: who is to blame is found out once it is needed.

No clock in here: whoever runs it says when. Writer thread only, while everything that was applied is published.
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from riskengine.engine.engine import Engine
from riskengine.engine.snapshot_audit import Walk, audit_numbers, audit_rollups, audit_sums, number_fault
from riskengine.positions.ledger import ALL_ROWS, Book, Rollup, Row, row_of
from riskengine.positions.places import Place, keys_of, place_of
from riskengine.positions.position import TRADES_PER_CHECKPOINT, Position
from riskengine.positions.position_audit import NOT_STANDING, Belonging, long_position_fault, position_fault
from riskengine.positions.repair import sum_of
from riskengine.records.types import MULTIPLIER_DECIMALS, Identity, Key, Trade
from riskengine.snapshot.snapshot import ROWS_PAGE, OwnerState, Table

STRIDE = 48
"""Trades, or as much work, between two yields."""

NOT_ITS_ROW = "its row does not say what the position is"
NOT_PUBLISHED = "what is published is not its row"
NOT_THE_CHILDREN = "I5: it is not the sum of what is below it"
NOT_COUNTED = "I5: its positions, their trades or the newest of them are not counted right"
MISSING = "a trade that takes part does not stand in it"
NOT_BOTH = "I5: desks and dealers together do not hold the same"
NOT_ACCOUNTED_FOR = "positions hold more or fewer trades than take part, though none is missing or too many"


class Fault(NamedTuple):
    """An invariant that a key breaks. `key` is None where none could be found that is to blame.

    `missing` is a trade that should stand there.
    """

    key: Key | None
    reason: str
    missing: Trade | None = None


Faults = Iterator[Fault | None]
"""None between two steps."""


class SelfAudit:
    """Passes over one engine, step by step. `passes` counts those that are complete."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.passes = 0
        self._instruments = engine.reference.instruments
        self._scales = [instrument.multiplier / 10**MULTIPLIER_DECIMALS for instrument in self._instruments]
        self._steps_of_last = 0
        self.start_again()

    @property
    def progress(self) -> float:
        """How much of this pass is done, 0 to 1, judged by how long the last one was. O(1)."""
        expected = self._steps_of_last or 1 + len(self.engine.processed) // 4
        return min(self._steps / expected, 1.0)

    def step(self) -> Fault | None:
        """About 50 us of work. Returns a fault where one was found. Does nothing while trades wait to be published."""
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
        """Begin a pass from its start."""
        self._steps = 0
        self._walk = self._pass()

    def end(self) -> None:
        """Let go of what a pass holds: a walk and this refer to each other, and would keep the engine until a collection."""
        self._walk = iter(())

    def whole(self) -> list[Fault]:
        """What is left of this pass, at once. O(everything)."""
        passes, found = self.passes, []
        while self.passes == passes:
            fault = self.step()
            if fault is not None:
                found.append(fault)
        return found

    def _pass(self) -> Faults:
        engine = self.engine
        for rollup in (engine.ledger.organisation, engine.ledger.dealers):
            yield from self._owners(rollup)
        yield from self._accounts()
        yield from self._suspects(audit_sums(engine.snapshot), self._blame_sum)
        yield from self._suspects(audit_rollups(engine.snapshot), self._blame_rollups)
        for rollup in (engine.ledger.organisation, engine.ledger.dealers):
            walk = audit_numbers(engine.snapshot, self._table(rollup))
            yield from self._suspects(walk, partial(self._blame_numbers, rollup))

    def _suspects(self, walk: Walk, blame: Callable[[int, int], Faults]) -> Faults:
        """What a walk over a snapshot found, where it still does not hold now."""
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

    # -- positions and what is published of them ---------------------------------------------------------------

    def _owners(self, rollup: Rollup) -> Faults:
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
                if spent >= STRIDE:
                    spent = 0
                    yield None
            yield from self._book(rollup, owner)

    def _names(self, rollup: Rollup) -> tuple[str, ...]:
        ledger = self.engine.ledger
        return ledger.reference.hierarchy.names if rollup is ledger.organisation else tuple(ledger.dealer_index)

    def _belonging(self, rollup: Rollup, name: str) -> Belonging:
        return Belonging(name, rollup is self.engine.ledger.organisation, self.engine.processed.stands)

    def _position_fault(self, rollup: Rollup, position: Position, belonging: Belonging) -> str:
        """What a position is not, or its row. O(trades)."""
        instrument = self._instruments[position.instrument]
        return position_fault(position, instrument, belonging) or self._row_fault(rollup, position)

    def _row_fault(self, rollup: Rollup, position: Position) -> str:
        row = rollup.books[position.owner].rows[position.slot]
        return "" if row == row_of(position, self._scales[position.instrument]) else NOT_ITS_ROW

    def _long_position_fault(self, rollup: Rollup, position: Position, belonging: Belonging) -> Generator[None, None, str]:
        positions, number = rollup.books[position.owner].positions, position.instrument
        walk = long_position_fault(position, self._instruments[number], belonging, lambda: positions[number] is position)
        for reason in walk:
            if reason is not None:
                return reason or self._row_fault(rollup, positions[number])
            yield None
        return ""

    def _book(self, rollup: Rollup, owner: int) -> Faults:
        """Rows against what is published of them, a page at a time; counts against rows."""
        book, state = rollup.books[owner], self._state(rollup, owner)
        if _counts(book) != _counts(state):
            yield self._fault(rollup, owner, ALL_ROWS, NOT_COUNTED)
        spent, positions, trades, last = 0, 0, 0, 0
        for first in range(0, len(book.rows), ROWS_PAGE):
            live = tuple(book.rows[first : first + ROWS_PAGE])
            if live != self._page(rollup, owner, first):
                yield from self._blame_page(rollup, owner, first)
            spent += 4
            if spent >= STRIDE:
                spent = 0
                yield None
        for row in state.positions():
            spent += 1
            positions, trades, last = positions + row.position_count, trades + row.trade_count, max(last, row.last_trade_ts)
            if book.leaf and row.instrument not in book.positions:
                yield self._fault(rollup, owner, row.instrument, NOT_ITS_ROW)
            if spent >= 4 * STRIDE:
                spent = 0
                yield None
        if (positions, trades, last) != _counts(state)[:3]:
            yield from self._blame_counts(rollup, owner)

    def _state(self, rollup: Rollup, owner: int) -> OwnerState:
        return self._table(rollup).state(owner)

    def _page(self, rollup: Rollup, owner: int, first: int) -> tuple[Row | None, ...]:
        pages = self._state(rollup, owner).pages
        return pages[first // ROWS_PAGE] if first < len(pages) * ROWS_PAGE else ()

    # -- who is to blame, at this moment -----------------------------------------------------------------------

    def _blame_page(self, rollup: Rollup, owner: int, first: int) -> Faults:
        """Rows that differ from what is published of them. O(trades of those)."""
        book, belonging = rollup.books[owner], self._belonging(rollup, self._names(rollup)[owner])
        live, published = book.rows[first : first + ROWS_PAGE], self._page(rollup, owner, first)
        for row, shown in zip_longest(live, published):
            found = row or shown
            if found is None or row == shown:
                continue
            instrument = found.instrument
            position = book.positions.get(instrument)
            if not book.leaf:
                yield from self._blame_sum(owner, instrument)
            elif position is None or not self._position_fault(rollup, position, belonging):
                yield self._fault(rollup, owner, instrument, NOT_PUBLISHED)

    def _blame_counts(self, rollup: Rollup, owner: int) -> Faults:
        """Rows that are not the sum of what is below them; where all are, the counts. O(rows x children)."""
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
            yield self._fault(rollup, owner, ALL_ROWS, NOT_COUNTED)

    def _blame_sum(self, node: int, instrument: int) -> Faults:
        """Positions below that are wrong themselves; where none is, the sum. O(leaves below + their trades)."""
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
            yield self._fault(rollup, node, instrument, NOT_THE_CHILDREN)
        elif row != self._table(rollup).row(node, instrument):
            yield self._fault(rollup, node, instrument, NOT_PUBLISHED)

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
        """Trades that stand on one side only; the side that is wrong about them. O(trades of the instrument)."""
        ledger, stands = self.engine.ledger, self.engine.processed.stands
        desks, dealers = (self._trades_of(rollup, instrument) for rollup in (ledger.organisation, ledger.dealers))
        rows = [
            sum_of(book.row(instrument) for book in rollup.books if book.leaf) for rollup in (ledger.organisation, ledger.dealers)
        ]
        if any(row is not None and row.quarantined for row in rows):
            return
        alone = [trade for identity, trade in desks.items() if identity not in dealers and not self._is_frozen(trade, False)]
        dealt = [trade for identity, trade in dealers.items() if identity not in desks and not self._is_frozen(trade, True)]
        for trade in alone:
            yield Fault(_key(trade, False), MISSING, trade) if stands(trade) else Fault(_key(trade, True), NOT_STANDING)
        for trade in dealt:
            yield Fault(_key(trade, True), MISSING, trade) if stands(trade) else Fault(_key(trade, False), NOT_STANDING)
        if not alone and not dealt and _held(rows[0]) != _held(rows[1]):
            yield self._fault(ledger.organisation, root, instrument, NOT_BOTH)

    def _is_frozen(self, trade: Trade, of_nodes: bool) -> bool:
        """Whether the base of the other position stands for a trade."""
        place = place_of(self.engine.ledger, _key(trade, of_nodes))
        return place is not None and place.position is not None and place.position.covers(trade)

    def _trades_of(self, rollup: Rollup, instrument: int) -> dict[Identity, Trade]:
        positions = (book.positions.get(instrument) for book in rollup.books)
        return {trade.identity: trade for position in positions if position is not None for trade in position.trades}

    def _blame_numbers(self, rollup: Rollup, owner: int, _: int) -> Faults:
        """Children whose own numbers are wrong; where none is, the owner's. O(their rows)."""
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

    # -- trades that take part ---------------------------------------------------------------------------------

    def _accounts(self) -> Faults:
        """As many trades stand in positions as take part; where not so, those that take part and do not stand there."""
        if self._accounted_for():
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
                    yield Fault(key, MISSING, trade)
            if not number % STRIDE:
                yield None
        if not blamed and not self._accounted_for():
            yield Fault(None, NOT_ACCOUNTED_FOR)

    def _accounted_for(self) -> bool:
        """O(dealers). Positions that were set aside keep whatever they had: nothing can be said about the number then."""
        organisation, dealers = self.engine.ledger.organisation.books, self.engine.ledger.dealers.books
        if not organisation or organisation[0].quarantined or any(book.quarantined for book in dealers):
            return True
        count = len(self.engine.processed) - len(self.engine.processed.inert)
        return count == organisation[0].trades == sum(book.trades for book in dealers)


def _key(trade: Trade, of_nodes: bool) -> Key:
    return ("node", trade.desk, trade.instrument) if of_nodes else ("dealer", trade.dealer, trade.instrument)


def _counts(of: Book | OwnerState) -> tuple[int, int, int, int]:
    if isinstance(of, Book):
        return of.count, of.trades, of.last_trade_ts, of.quarantined
    return of.position_count, of.trade_count, of.last_trade_ts, of.quarantined_count


def _held(row: Row | None) -> object:
    return None if row is None else (row.quantity, row.cash, row.trade_count, row.identities, row.fees)
