"""Two roll-ups over the same trades: the organisation (leaf -> ancestors) and the dealers.

A trade is folded into one position of each. The rows above positions are sums of exact integers, kept by differences: after any
sequence of trades they are what the effective trades would give in any other order, to the last bit. For the same reason the open
cost K = k q A enters sums as an integer (`open_cost`, units of 1e-28).

Trades mark positions as touched; `settle` carries the differences upwards once per batch and returns what changed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Protocol

import msgspec

from riskengine.positions.adjusted import AdjustedPosition
from riskengine.positions.adjustments import Adjustments, Terms
from riskengine.positions.day_deals import DayDeals, DealsSoFar, Left, deals_in
from riskengine.positions.day_window import DayWindow
from riskengine.positions.position import NO_FEES, LateFold, Position, fold_in, open_cost, replace_fees
from riskengine.records.cash import CarryEntry, CarryRecord, entry_of
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, ONE, Opening, Trade

SHIFT = 32
"""A (node, instrument) key is `node << SHIFT | instrument`."""
MASK = (1 << SHIFT) - 1
ALL_ROWS = MASK
"""In place of an instrument number: everything that an owner holds."""

MAX_LISTED_POSITIONS = 16_384
"""Above this many touched positions, starting afresh from the rows costs less than a list of every change."""


Rise = tuple[int, int, int, int, int, int, int, int, int, dict[str, int], int, int, dict[str, int]]
"""The change of a row, on its way up: quantity, cash, open cost, open count, open cash, positions, trades, the time of its newest
trade, the time of the newest trade that it lost (or 0), fees by currency, identities, long positions, amounts beside cash."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a node or dealer holds of one instrument, at one moment. Immutable; snapshots share it.

    instrument      number in the reference data
    quantity        signed, units of 1e-10, net of the positions below
    cash            net cash in the instrument's currency, units of 1e-28
    open_cost       sum of k q A, units of 1e-28
    open_count      positions below that are not flat
    open_cash       net cash of those, which is unknown without a mark
    position_count  positions below
    trade_count     effective trades below
    last_trade_ts   time of the newest of them, microseconds, 0 if there is none
    fees            by currency, units of 1e-10
    identities      sum of the fingerprints of the effective trades below: says which they are and what their columns hold
    average         open price of a leaf position; None when flat, and in rows of inner nodes
    newest          the newest effective trade of a leaf position
    quarantined     positions below that are set aside: their amounts are unknown, and only the counts here include them
    long_count      positions below that are long; the other open ones are short
    beside          carry in other currencies than that of `cash`, units of 1e-28; None where there is none
    """

    instrument: int
    quantity: int
    cash: int
    open_cost: int
    open_count: int
    open_cash: int
    position_count: int
    trade_count: int
    last_trade_ts: int
    fees: dict[str, int]
    identities: int
    average: float | None = None
    newest: Trade | None = None
    quarantined: int = 0
    long_count: int = 0
    beside: dict[str, int] | None = None

    @property
    def is_one_sided(self) -> bool:
        """Whether all open positions below are long, or all short: then the row has an average price."""
        return self.long_count in (0, self.open_count)


EMPTY_ROW = Row(-1, 0, 0, 0, 0, 0, 0, 0, 0, NO_FEES, 0)


class RowsOfOwner(Protocol):
    """The rows of one node or dealer, of now (`Book`) or of a close."""

    @property
    def rows(self) -> Sequence[Row | None]: ...
    def row(self, instrument: int) -> Row | None: ...


class Book:
    """What one owner (node or dealer) holds: a row for each instrument ever traded there, in the order of first trades.

    rows       as of the last `settle`; None where no position is left
    positions  of a leaf, by instrument; each knows its slot in `rows`
    slots      of an inner node: the slot in `rows` by instrument

    `count` and `trades` are the numbers of positions and effective trades, `quarantined` of positions that are set aside.
    """

    __slots__ = ("count", "last_trade_ts", "leaf", "positions", "quarantined", "rows", "slots", "trades")

    def __init__(self, *, leaf: bool) -> None:
        self.rows: list[Row | None] = []
        self.positions: dict[int, Position] = {}
        self.leaf = leaf
        self.slots: dict[int, int] = {}
        self.count = 0
        self.trades = 0
        self.last_trade_ts = 0
        self.quarantined = 0

    def slot(self, instrument: int) -> int | None:
        """The slot of an instrument's row; None if it was never traded. O(1)."""
        if not self.leaf:
            return self.slots.get(instrument)
        position = self.positions.get(instrument)
        return None if position is None else position.slot

    def row(self, instrument: int) -> Row | None:
        """The row of an instrument; None if there is no position. O(1)."""
        slot = self.slot(instrument)
        return None if slot is None else self.rows[slot]

    def note_lost(self, last: int) -> None:
        """Update `last_trade_ts` after a row lost its newest trade, of time `last`. O(rows) if that was the newest here."""
        if last == self.last_trade_ts:
            self.last_trade_ts = max((row.last_trade_ts for row in self.rows if row is not None), default=0)


class Rollup:
    """The positions of leaves and the sums of everything above them. Owned by the writer thread.

    The dealers are a roll-up without ancestors: every owner is a leaf.
    """

    def __init__(self, reference: Reference, hierarchy: Hierarchy | None) -> None:
        self.reference = reference
        self.hierarchy = hierarchy
        self.ancestors: list[tuple[int, ...]] = list(hierarchy.ancestors) if hierarchy else []
        self.books = [Book(leaf=hierarchy.is_leaf(n)) for n in range(len(hierarchy))] if hierarchy else []
        self.touched: dict[Position, None] = {}
        """Positions that changed since the last `settle`, in the order of their first change."""
        self.resum: dict[int, None] = {}
        """Keys whose rows the next publication sums again from those below (`repair.resum`)."""
        self.broken_sums: dict[int, None] = {}
        """Keys of inner nodes (`ALL_ROWS` for all of an owner) whose sums are broken, until a repair."""
        self.terms: dict[int, Terms] = {}
        """By instrument number, the corporate actions that act on its positions (`generated`)."""
        self.makers: dict[int, Callable[[int, int, int], Position]] = {}
        """By instrument number, what makes a position in a forward of (owner, instrument, slot) (`merges`)."""
        self.waiting: dict[Position, None] = {}
        """Positions whose generated entries the next publication works out again."""
        self.restated: dict[int, None] = {}
        """Leaf keys whose trades of earlier days changed since the engine last looked (`day_state`)."""
        self.ahead: dict[int, None] = {}
        """Leaf keys with trades that belong after the current day, since it began."""
        self._depth = max(map(len, self.ancestors), default=0)
        self.cost_scale = [i.contract_multiplier / 10**MULTIPLIER_DECIMALS for i in reference.instruments]

    def grow(self, reference: Reference) -> None:
        """Know the instruments of a reference that has more. O(new ones)."""
        new = reference.instruments[len(self.cost_scale) :]
        self.cost_scale += [each.contract_multiplier / 10**MULTIPLIER_DECIMALS for each in new]
        self.reference = reference

    def add_owner(self) -> int:
        """Add a leaf without ancestors (a new dealer). Returns its number. O(1)."""
        self.ancestors.append(())
        self.books.append(Book(leaf=True))
        return len(self.books) - 1

    def position(self, owner: int, instrument: int) -> Position:
        """The position of a leaf in an instrument, marked as touched; makes it if there is none. O(1)."""
        position = self.books[owner].positions.get(instrument)
        if position is None:
            book = self.books[owner]
            assert book.leaf, "trades attach to leaves"
            position = book.positions[instrument] = self.make_position(owner, instrument, len(book.rows))
            book.rows.append(None)
        self.touched[position] = None
        return position

    def make_position(self, owner: int, instrument: int, slot: int) -> Position:
        """A new, empty position; the caller puts it in its place."""
        maker = self.makers.get(instrument) if self.makers else None
        if maker is not None:
            return maker(owner, instrument, slot)
        terms = self.terms.get(instrument) if self.terms else None
        return (
            Position(owner, instrument, slot) if terms is None else AdjustedPosition(owner, instrument, slot, terms, self.waiting)
        )

    def positions(self) -> Iterator[tuple[int, int, Position]]:
        """Every position with its owner and instrument, without empty ones. O(positions)."""
        for owner, book in enumerate(self.books):
            for instrument, position in book.positions.items():
                if not position.is_empty or position.quarantined:
                    yield owner, instrument, position

    def settle(self) -> "Changes | None":
        """Carry the changes of touched positions into the rows of every ancestor, level by level. O(touched x depth).

        Returns what changed since the last call: {key: (row before, row now)}, None for no position; a key is
        `owner << SHIFT | instrument`. Returns None if more than MAX_LISTED_POSITIONS positions were touched: the caller then
        starts afresh from the rows.
        """
        changes: Changes | None = {}
        touched: Collection[Position] = self.touched
        if len(touched) > MAX_LISTED_POSITIONS:
            changes, touched = None, sorted(touched, key=_owner)  # neighbours change the same rows above them
        waiting = iter(touched)
        while some := list(islice(waiting, MAX_LISTED_POSITIONS)):
            rising: list[dict[int, Rise]] = [{} for _ in range(self._depth)]
            self._settle_leaves(some, rising, changes)
            for depth in range(self._depth - 1, -1, -1):
                self._lift(rising[depth], rising[depth - 1] if depth else None, changes)
        self.touched.clear()
        return changes

    def _settle_leaves(self, touched: "list[Position]", rising: "list[dict[int, Rise]]", changes: "Changes | None") -> None:
        books, ancestors, scales = self.books, self.ancestors, self.cost_scale
        for position in touched:
            owner, instrument, slot = position.owner, position.instrument, position.slot
            book = books[owner]
            before = book.rows[slot]
            now = book.rows[slot] = row_of(position, scales[instrument])
            if before is now:
                continue
            if changes is not None:
                changes[owner << SHIFT | instrument] = (before, now)
            above = ancestors[owner]
            if before is None and now is not None:  # all of it is new
                rise: Rise = (
                    now.quantity,
                    now.cash,
                    now.open_cost,
                    now.open_count,
                    now.open_cash,
                    1,
                    now.trade_count,
                    now.last_trade_ts,
                    0,
                    now.fees,
                    now.identities,
                    now.long_count,
                    now.beside or NO_FEES,
                )
            else:
                rise = _difference(before or EMPTY_ROW, now or EMPTY_ROW)
            book.count += rise[5]
            book.trades += rise[6]
            if rise[7] > book.last_trade_ts:
                book.last_trade_ts = rise[7]
            elif rise[8]:
                book.note_lost(rise[8])
            if above:
                level, key = rising[len(above) - 1], above[0] << SHIFT | instrument
                level[key] = _add_rises(level[key], rise) if key in level else rise

    def _lift(self, rising: "dict[int, Rise]", above: "dict[int, Rise] | None", changes: "Changes | None") -> None:
        """Add what rises to the rows of one level, and pass it on to the level above."""
        books, ancestors = self.books, self.ancestors
        for key, rise in rising.items():
            node, instrument = key >> SHIFT, key & MASK
            quantity, cash, cost, is_open, open_cash, count, trades, last, lost, fees, identities, long, beside = rise
            book = books[node]
            rows, slots = book.rows, book.slots
            slot = slots.get(instrument)
            if slot is None:
                slot = slots[instrument] = len(rows)
                rows.append(None)
            row, now = rows[slot], None
            if row is None:
                if count:
                    now = Row(instrument, *rise[:8], fees, identities, None, None, 0, long, beside or None)
            elif row.position_count + count:
                newest = row.last_trade_ts
                if last > newest:
                    newest = last
                elif last < lost == newest:
                    newest = self._newest_below(node, instrument)
                now = Row(
                    instrument,
                    row.quantity + quantity,
                    row.cash + cash,
                    row.open_cost + cost,
                    row.open_count + is_open,
                    row.open_cash + open_cash,
                    row.position_count + count,
                    row.trade_count + trades,
                    newest,
                    replace_fees(row.fees, NO_FEES, fees) if fees else row.fees,
                    row.identities + identities,
                    None,
                    None,
                    row.quarantined,
                    row.long_count + long,
                    (replace_fees(row.beside or NO_FEES, NO_FEES, beside) or None) if beside else row.beside,
                )
            rows[slot] = now
            if changes is not None and now is not row:
                changes[key] = (row, now)
            book.count += count
            book.trades += trades
            if last > book.last_trade_ts:
                book.last_trade_ts = last
            elif lost:
                book.note_lost(lost)
            if above is not None:
                key = ancestors[node][0] << SHIFT | instrument
                above[key] = _add_rises(above[key], rise) if key in above else rise

    def _newest_below(self, node: int, instrument: int) -> int:
        assert self.hierarchy is not None
        rows = (self.books[child].row(instrument) for child in range(*self.hierarchy.children[node]))
        return max((row.last_trade_ts for row in rows if row is not None), default=0)

    def check(self) -> None:
        """Assert every invariant of this roll-up: positions against trades, rows against positions. O(everything)."""
        assert not self.touched, "settle before check"
        totals: dict[tuple[int, int], list[int]] = {}
        for owner, instrument, position in self.positions():
            position.check(self.reference.instruments[instrument].contract_multiplier)
            exact = (position.quantity, position.cash, position.trade_count, position.identities)
            for node in (owner, *self.ancestors[owner]):
                total = totals.setdefault((node, instrument), [0, 0, 0, 0])
                total[:] = [a + b for a, b in zip(total, exact, strict=True)]
        for owner, book in enumerate(self.books):
            for row in book.rows:
                if row is not None:
                    expected = totals.pop((owner, row.instrument), None)
                    held = [row.quantity, row.cash, row.trade_count, row.identities]
                    assert held == expected, "I5: a parent is not the sum of its children"
        assert not totals, "I5: a position is missing from the rows above it"


_owner = attrgetter("owner")


def _difference(old: Row, new: Row) -> Rise:
    """The change from one row to another."""
    last, last_before = new.last_trade_ts, old.last_trade_ts
    return (
        new.quantity - old.quantity,
        new.cash - old.cash,
        new.open_cost - old.open_cost,
        new.open_count - old.open_count,
        new.open_cash - old.open_cash,
        new.position_count - old.position_count,
        new.trade_count - old.trade_count,
        last,
        last_before if last < last_before else 0,
        NO_FEES if new.fees is old.fees else replace_fees(NO_FEES, old.fees, new.fees),
        new.identities - old.identities,
        new.long_count - old.long_count,
        NO_FEES if new.beside is old.beside else replace_fees(NO_FEES, old.beside or NO_FEES, new.beside or NO_FEES),
    )


def _add_rises(one: Rise, other: Rise) -> Rise:
    """Two changes of the same row as one."""
    quantity, cash, cost, is_open, open_cash, count, trades, last, lost, fees, identities, long, beside = one
    return (
        quantity + other[0],
        cash + other[1],
        cost + other[2],
        is_open + other[3],
        open_cash + other[4],
        count + other[5],
        trades + other[6],
        max(last, other[7]),
        max(lost, other[8]),
        replace_fees(fees, NO_FEES, other[9]) if other[9] else fees,
        identities + other[10],
        long + other[11],
        replace_fees(beside, NO_FEES, other[12]) if other[12] else beside,
    )


def row_of(position: Position, cost_scale: float) -> Row | None:
    """The row of a leaf position; None if it is empty. `cost_scale` is its instrument's multiplier as a double."""
    trades, quantity, cash, average = position.trades, position.quantity, position.cash, position.average
    base = position.base
    count = len(trades) if base is None else len(trades) + base.trade_count
    newest = trades[-1] if trades else base.newest if base is not None else None
    is_empty = newest is None and not position.openings and not position.carry and not position.has_entries
    if is_empty and not position.quarantined:
        return None
    last_trade_ts = 0 if newest is None else newest.ts
    if average is None:
        return Row(
            position.instrument,
            0,
            cash,
            0,
            0,
            0,
            1,
            count,
            last_trade_ts,
            position.fees or NO_FEES,
            position.identities,
            None,
            newest,
            position.quarantined,
            0,
            position.beside,
        )
    return Row(
        position.instrument,
        quantity,
        cash,
        open_cost(quantity / ONE * cost_scale * average),
        1,
        cash,
        1,
        count,
        last_trade_ts,
        position.fees or NO_FEES,
        position.identities,
        average,
        newest,
        0,
        1 if quantity > 0 else 0,
        position.beside,
    )


Changes = dict[int, tuple[Row | None, Row | None]]


class Ledger:
    """Both roll-ups and the names of dealers. Owned by the writer thread."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.organisation = Rollup(reference, reference.hierarchy)
        self.dealers = Rollup(reference, None)
        self.dealer_index: dict[str, int] = {}
        self._desks = reference.hierarchy.index
        # Positions by the name of their owner, then instrument: one look-up instead of two for those that exist.
        self._of_desk = {name: self.organisation.books[self._desks[name]].positions for name in reference.hierarchy.leaves}
        self._of_dealer: dict[str, dict[int, Position]] = {}
        self.adjustments: Adjustments | None = None
        """The corporate actions in force; None before any were known."""
        self.numbers: Mapping[str, int] = reference.instrument_index
        """By stored instrument the number of the positions in which its trades count: that of another one once it is renamed."""
        self.window: DayWindow | None = None
        """The current trading day: trades outside of it are noted by their positions; None: no day is kept."""
        self.deals: DayDeals | None = None
        """The trades of the current trading day; None: no day is kept. Another object where it is not the old one, grown."""

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(instruments)."""
        known = self.reference.instrument_index
        renamed = {symbol: number for symbol, number in self.numbers.items() if known.get(symbol) != number}
        self.numbers = reference.instrument_index | renamed if renamed else reference.instrument_index
        self.reference = reference
        if self.deals is not None:
            self.deals.numbers = self.numbers  # the old ones, and more
        for rollup in (self.organisation, self.dealers):
            rollup.grow(reference)

    def add(self, trade: Trade, tolerance: int) -> "LateFold | None":
        """Fold a trade into both positions. O(1) for the newest of its position (see `Position.add`).

        If it came more than `tolerance` microseconds of event time behind the newest trade of its desk's position, returns that
        position before and after; else None.
        """
        number = self.numbers[trade.instrument]
        fingerprint = trade_fingerprint(trade)
        window = self.window
        if window is not None:
            if trade.trade_date or not window.start_ts <= trade.ts < window.end_ts:
                self.note_dated(trade)
            elif self.deals is not None:
                self.deals.entries.append(trade)
        try:
            position = self._of_dealer[trade.dealer][number]
            self.dealers.touched[position] = None
        except KeyError:
            position = self._dealer_position(trade.dealer, number)
        position.add(trade, fingerprint)
        try:
            position = self._of_desk[trade.desk][number]
            self.organisation.touched[position] = None
        except KeyError:
            position = self.organisation.position(self._desks[trade.desk], number)
        return fold_in(position, trade, fingerprint, tolerance, self.reference.instruments[number].contract_multiplier)

    def remove(self, trade: Trade) -> None:
        """Take an effective trade out of both positions. See `Position.remove`."""
        self.note_dated(trade, leaves=True)
        number = self.numbers[trade.instrument]
        self._dealer_position(trade.dealer, number).remove(trade)
        self.organisation.position(self._desks[trade.desk], number).remove(trade)

    def date_by(self, window: DayWindow, keys: Iterable[int] | None = None) -> None:
        """Date trades by this day from now on. `keys` are the leaf keys that hold some of it; None: any may. O(their trades)."""
        books = self.organisation.books
        if keys is None:
            held: Iterable[Position] = (position for _, _, position in self.organisation.positions())
        else:
            found = (books[key >> SHIFT].positions.get(key & MASK) for key in keys)
            held = (position for position in found if position is not None)
        self.window = window
        self.deals = DayDeals(window, self.numbers, self._desks, self.organisation.ancestors, deals_in(held, window))

    def take_numbers(self, numbers: Mapping[str, int]) -> None:
        """Let instruments count in other positions: some are renamed. O(deals of the day)."""
        if self.deals is not None and numbers != self.numbers:
            self.deals = self.deals.with_other(numbers)
        self.numbers = numbers

    @property
    def deals_so_far(self) -> DealsSoFar | None:
        """The deals of the current day as of now; None: no day is kept. O(1)."""
        return None if self.deals is None else DealsSoFar(self.deals, len(self.deals.entries))

    def note_dated(self, trade: Trade, *, leaves: bool = False) -> None:
        """Note a trade that enters or leaves: among the deals of the day, or its positions if it is of another day. O(1)."""
        window = self.window
        if window is None:
            return
        is_before = window.is_before(trade)
        if not is_before and not window.is_after(trade):
            if self.deals is not None:
                self.deals.entries.append(Left(trade) if leaves else trade)
            return
        number = self.numbers[trade.instrument]
        for rollup, owner in (
            (self.organisation, self._desks[trade.desk]),
            (self.dealers, self.dealer_number(trade.dealer)),
        ):
            (rollup.restated if is_before else rollup.ahead)[owner << SHIFT | number] = None

    def open_with(self, openings: Iterable[Opening]) -> None:
        """Put balances brought forward before the trades of both their positions. O(balances + trades there), 5 us a balance.

        Each position is folded once: one dealer, or none, may hold the balances of hundreds of desks.
        """
        opened: dict[Position, list[Opening]] = {}
        for opening in openings:
            number = self.numbers[opening.instrument]
            opened.setdefault(self.organisation.position(self._desks[opening.desk], number), []).append(opening)
            opened.setdefault(self._dealer_position(opening.dealer, number), []).append(opening)
        for position, balances in opened.items():
            instrument = self.reference.instruments[position.instrument]
            position.open_with(balances, instrument.contract_multiplier, instrument.currency)

    def change_carry(self, removed: Iterable[CarryRecord], added: Iterable[CarryRecord]) -> None:
        """Take carry out of the positions of its desk and dealer, and put carry in. O(records + carry of those positions).

        Each position is given its new entries once, however many there are.
        """
        for record in removed:
            for position, entry in self._carry_places(record):
                position.remove_carry(entry)
        entering: dict[Position, list[CarryEntry]] = {}
        for record in added:
            for position, entry in self._carry_places(record):
                entering.setdefault(position, []).append(entry)
        for position, entries in entering.items():
            position.add_carry(entries)

    def _carry_places(self, record: CarryRecord) -> tuple[tuple[Position, CarryEntry], ...]:
        number = self.numbers[record.instrument]
        entry = entry_of(record, self.reference.instruments[number])
        for rollup, owner in ((self.organisation, self._desks[record.desk]), (self.dealers, self.dealer_number(record.dealer))):
            rollup.restated[owner << SHIFT | number] = None  # carry of the day is a line of its own
            if self.window is not None and entry.ts >= self.window.end_ts:
                rollup.ahead[owner << SHIFT | number] = None
        desk = self.organisation.position(self._desks[record.desk], number)
        return (desk, entry), (self._dealer_position(record.dealer, number), entry)

    @property
    def of_desks(self) -> Mapping[str, Mapping[int, Position]]:
        """The positions of every leaf by name, each by instrument number. To look at only: nothing is marked as touched."""
        return self._of_desk

    def positions_of(self, trade: Trade) -> tuple[Position, Position]:
        """The positions that a trade belongs to, its desk's and its dealer's, marked as touched; makes them. O(1)."""
        number = self.numbers[trade.instrument]
        return self.organisation.position(self._desks[trade.desk], number), self._dealer_position(trade.dealer, number)

    def _dealer_position(self, dealer: str, instrument: int) -> Position:
        return self.dealers.position(self.dealer_number(dealer), instrument)

    def dealer_number(self, dealer: str) -> int:
        """The number of a dealer; a new dealer gets the next one. O(1)."""
        owner = self.dealer_index.get(dealer)
        if owner is None:
            owner = self.dealer_index[dealer] = self.dealers.add_owner()
            self._of_dealer[dealer] = self.dealers.books[owner].positions
        return owner

    def check(self) -> None:
        """Assert I1, I3 and I5 of ACCOUNTING section 1 on everything. O(everything)."""
        self.organisation.check()
        self.dealers.check()
        sides, aside = [], set()
        for rollup in (self.organisation, self.dealers):
            held: dict[int, list[int]] = {}
            for _, instrument, position in rollup.positions():
                if position.quarantined:
                    aside.add(instrument)
                total = held.setdefault(instrument, [0, 0])
                total[0] += position.quantity
                total[1] += position.cash
            sides.append(held)
        known = [{number: total for number, total in held.items() if number not in aside} for held in sides]
        assert known[0] == known[1], "the two roll-ups disagree"
