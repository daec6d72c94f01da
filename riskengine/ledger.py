"""Two roll-ups over the same trades: organisation (leaf -> ancestors) and dealers.

Every position is folded once in each; what is above them is sums of exact integers, kept by differences, so the state
after any sequence of trades is the state that its effective trades would give in any other order, to the last bit. The
open cost K = k q A enters sums as an integer (`open_cost`, units of 1e-28) for the same reason.

Trades mark positions as touched; `carry` takes the differences upwards once per batch, `settle` says what changed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from riskengine.hierarchy import Hierarchy, Reference
from riskengine.messages import CASH_ONE, DECIMALS, MULTIPLIER_DECIMALS, ONE, Opening, Trade
from riskengine.position import NO_FEES, Position, moved

SHIFT = 32
"""A (node, instrument) key is `node << SHIFT | instrument`."""
MASK = (1 << SHIFT) - 1

MANY_CHANGES = 65_536
"""Changed rows between two snapshots from which on following them one by one costs more than starting afresh."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a node or dealer holds of one instrument, at one moment. Immutable; snapshots share it.

    instrument      number in the reference data
    quantity        signed, units of 1e-10, net of the positions below
    cash            net cash of the instrument's currency, units of 1e-28
    open_cost       sum of k q A, units of 1e-28
    open_count      positions below that are not flat
    open_cash       net cash of those (what an unknown mark makes unknown)
    position_count  positions below
    trade_count     effective trades below
    last_trade_ts   of the newest of them, 0 where there is none
    fees            by currency, units of 1e-10
    average         open price of a leaf position, None when flat and in rows of inner nodes
    newest          the newest effective trade of a leaf position
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
    average: float | None = None
    newest: Trade | None = None


EMPTY_ROW = Row(-1, 0, 0, 0, 0, 0, 0, 0, 0, NO_FEES)


class Book:
    """What one owner (node or dealer) holds: a row per instrument that was ever traded there, in order of first coming.

    `rows` is as of the last `settle`; None where there is no position any more. Leaves hold `positions` by instrument, which
    know their places in `rows`; the others have `slots` for that.
    """

    __slots__ = ("count", "last_trade_ts", "positions", "rows", "slots", "trades")

    def __init__(self, *, leaf: bool) -> None:
        self.rows: list[Row | None] = []
        self.positions: dict[int, Position] = {}
        self.slots: dict[int, int] | None = None if leaf else {}
        self.count = 0
        self.trades = 0
        self.last_trade_ts = 0

    def slot(self, instrument: int) -> int | None:
        """Where an instrument's row stands, None where it was never traded. O(1)."""
        if self.slots is not None:
            return self.slots.get(instrument)
        position = self.positions.get(instrument)
        return None if position is None else position.slot

    def row(self, instrument: int) -> Row | None:
        """Its row of an instrument, None where it holds no position. O(1)."""
        slot = self.slot(instrument)
        return None if slot is None else self.rows[slot]

    def note_newest(self, before: Row, now: Row) -> None:
        """Keep `last_trade_ts` true after a row has changed. O(1), or O(rows) where the newest trade was taken out."""
        last = now.last_trade_ts
        if last > self.last_trade_ts:
            self.last_trade_ts = last
        elif last < before.last_trade_ts == self.last_trade_ts:
            self.last_trade_ts = max((row.last_trade_ts for row in self.rows if row is not None), default=0)


class Rollup:
    """Positions of leaves and the sums of everything above them. Owned by the writer thread.

    Dealers are a roll-up without ancestors, in which every owner is a leaf.
    """

    def __init__(self, reference: Reference, hierarchy: Hierarchy | None) -> None:
        self.reference = reference
        self.hierarchy = hierarchy
        self.ancestors: list[tuple[int, ...]] = list(hierarchy.ancestors) if hierarchy else []
        self.books = [Book(leaf=hierarchy.is_leaf(n)) for n in range(len(hierarchy))] if hierarchy else []
        self._touched: dict[Position, None] = {}
        self._before: dict[int, Row | None] | None = {}
        self._cost_scale = [float(i.multiplier * 10**DECIMALS) for i in reference.instruments]

    def add_owner(self) -> int:
        """A new leaf without ancestors (a dealer heard of for the first time); its number."""
        self.ancestors.append(())
        self.books.append(Book(leaf=True))
        return len(self.books) - 1

    def position(self, owner: int, instrument: int) -> Position:
        """The position of a leaf in an instrument, made when first asked for, and marked as touched. O(1)."""
        position = self.books[owner].positions.get(instrument)
        if position is None:
            book = self.books[owner]
            assert book.slots is None, "trades attach to leaves"
            position = book.positions[instrument] = Position(owner, instrument, len(book.rows))
            book.rows.append(None)
        self._touched[position] = None
        return position

    def positions(self) -> Iterator[tuple[int, int, Position]]:
        """Every position with its owner and instrument. O(positions)."""
        for owner, book in enumerate(self.books):
            for instrument, position in book.positions.items():
                if position.trades or position.openings:
                    yield owner, instrument, position

    def settle(self) -> "Changes | None":
        """Carry up what is left, and say what changed since the last call.

        {key: (row before, row now)}, None where there is no position; a key is `owner << SHIFT | instrument`. None instead of
        it all where more than `MANY_CHANGES` rows did: whoever follows starts afresh from the rows. O(touched x depth).
        """
        self.carry()
        before, self._before = self._before, {}
        if before is None:
            return None
        books = self.books
        changes: Changes = {}
        for key, row in before.items():
            now = books[key >> SHIFT].row(key & MASK)
            if now is not row:
                changes[key] = (row, now)
        return changes

    def carry(self) -> None:
        """Carry what touched positions changed by into the rows of every ancestor. O(touched x depth).

        Best called after every batch, while what it touched is still in the processor's cache.
        """
        books, ancestors, scales, rows_before = self.books, self.ancestors, self._cost_scale, self._before
        for position in self._touched:
            owner, instrument, slot = position.owner, position.instrument, position.slot
            book = books[owner]
            before = book.rows[slot]
            now = book.rows[slot] = _row(position, scales[instrument])
            if before is now:
                continue
            if rows_before is not None:
                rows_before.setdefault(owner << SHIFT | instrument, before)
            old, new = before or EMPTY_ROW, now or EMPTY_ROW
            book.count += new.position_count - old.position_count
            book.trades += new.trade_count - old.trade_count
            if new.last_trade_ts != old.last_trade_ts:
                book.note_newest(old, new)
            if ancestors[owner]:
                self._carry_up(ancestors[owner], instrument, old, new)
        self._touched.clear()
        if rows_before is not None and len(rows_before) > MANY_CHANGES:
            self._before = None

    def _carry_up(self, nodes: tuple[int, ...], instrument: int, old: Row, new: Row) -> None:
        """Add the difference of a leaf's row to every ancestor."""
        books, rows_before = self.books, self._before
        quantity, cash, cost = new.quantity - old.quantity, new.cash - old.cash, new.open_cost - old.open_cost
        is_open, open_cash = new.open_count - old.open_count, new.open_cash - old.open_cash
        count, trades = new.position_count - old.position_count, new.trade_count - old.trade_count
        last, last_before, fees, fees_before = new.last_trade_ts, old.last_trade_ts, new.fees, old.fees
        for node in nodes:
            book = books[node]
            rows, slots = book.rows, book.slots
            assert slots is not None, "above a leaf there are no leaves"
            slot = slots.get(instrument)
            if slot is None:
                slot = slots[instrument] = len(rows)
                rows.append(None)
            before = rows[slot]
            row = before or EMPTY_ROW
            newest = row.last_trade_ts
            if last > newest:
                newest = last
            elif last < last_before == newest:
                newest = self._newest_below(node, instrument)
            now = rows[slot] = Row(
                instrument, row.quantity + quantity, row.cash + cash, row.open_cost + cost, row.open_count + is_open,
                row.open_cash + open_cash, row.position_count + count, row.trade_count + trades, newest,
                row.fees if fees is fees_before else moved(row.fees, fees_before, fees),
            ) if row.position_count + count else None  # fmt: skip
            if rows_before is not None:
                rows_before.setdefault(node << SHIFT | instrument, before)
            book.count += count
            book.trades += trades
            if last > book.last_trade_ts:
                book.last_trade_ts = last
            elif last < last_before:
                book.note_newest(row, now or EMPTY_ROW)

    def _newest_below(self, node: int, instrument: int) -> int:
        assert self.hierarchy is not None
        rows = (self.books[child].row(instrument) for child in range(*self.hierarchy.children[node]))
        return max((row.last_trade_ts for row in rows if row is not None), default=0)

    def check(self) -> None:
        """Assert every invariant of this roll-up: positions against trades, rows against positions. O(everything)."""
        assert not self._touched, "settle comes before check"
        totals: dict[tuple[int, int], list[int]] = {}
        for owner, instrument, position in self.positions():
            position.check(self.reference.instruments[instrument].multiplier)
            exact = (position.quantity, position.cash, len(position.trades))
            for node in (owner, *self.ancestors[owner]):
                total = totals.setdefault((node, instrument), [0, 0, 0])
                total[:] = [a + b for a, b in zip(total, exact, strict=True)]
        for owner, book in enumerate(self.books):
            for row in book.rows:
                if row is not None:
                    expected = totals.pop((owner, row.instrument), None)
                    assert [row.quantity, row.cash, row.trade_count] == expected, "I5: a parent is not the sum of its children"
        assert not totals, "I5: a position is missing from the rows above it"


def _row(position: Position, cost_scale: float) -> Row | None:
    """The row of a leaf position; None where nothing is left of it."""
    trades, quantity, cash, average = position.trades, position.quantity, position.cash, position.average
    if trades:
        newest = trades[-1]
        last_trade_ts = newest.ts
    elif position.openings:
        newest, last_trade_ts = None, 0
    else:
        return None
    if average is None:
        return Row(
            position.instrument, 0, cash, 0, 0, 0, 1, len(trades), last_trade_ts, position.fees or NO_FEES, None, newest
        )
    return Row(
        position.instrument, quantity, cash, int(quantity * (average * cost_scale)), 1, cash, 1, len(trades), last_trade_ts,
        position.fees or NO_FEES, average, newest,
    )  # fmt: skip


class Standing(NamedTuple):
    """A position as it stood: for the notice of a late trade."""

    quantity: int
    cash: int
    average: float | None
    multiplier: int

    def split(self, mark: float | None) -> dict[str, float | None]:
        """Average, realised and unrealised in the instrument's currency; unrealised is None without a mark."""
        size = self.quantity * self.multiplier / (ONE * 10**MULTIPLIER_DECIMALS)
        cost = size * self.average if self.average is not None else 0.0
        unrealised = 0.0 if not self.quantity else None if mark is None else size * mark - cost
        return {"average_price": self.average, "realised_pnl": self.cash / CASH_ONE + cost, "unrealised_pnl": unrealised}


class LateFold(NamedTuple):
    """A position before and after a trade `late_by` microseconds older than its newest was put in its place."""

    late_by: int
    before: Standing
    after: Standing


Changes = dict[int, tuple[Row | None, Row | None]]


class Ledger:
    """Both roll-ups and the names of dealers. Owned by the writer thread."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.organisation = Rollup(reference, reference.hierarchy)
        self.dealers = Rollup(reference, None)
        self.dealer_index: dict[str, int] = {}
        self._desks = reference.hierarchy.index
        self._instruments = reference.instrument_index

    def add(self, trade: Trade, tolerance: int) -> "LateFold | None":
        """Fold a trade into both positions. O(1) for the newest of its position (see `Position.add`).

        Returns what it did to the organisation's position where it came more than `tolerance` microseconds of event time behind
        the newest there, else None.
        """
        number = self._instruments[trade.instrument]
        dealer = self.dealer_index.get(trade.dealer)
        if dealer is None:
            dealer = self._new_dealer(trade.dealer)
        self.dealers.position(dealer, number).add(trade)
        position = self.organisation.position(self._desks[trade.desk], number)
        quantity, cash, average = position.quantity, position.cash, position.average
        if not position.add(trade):
            return None
        late_by = position.trades[-1].ts - trade.ts
        if late_by <= tolerance:
            return None
        multiplier = self.reference.instruments[number].multiplier
        before = Standing(quantity, cash, average, multiplier)
        return LateFold(late_by, before, Standing(position.quantity, position.cash, position.average, multiplier))

    def remove(self, trade: Trade) -> None:
        """Take an effective trade out of both positions."""
        number = self._instruments[trade.instrument]
        self._dealer_position(trade.dealer, number).remove(trade)
        self.organisation.position(self._desks[trade.desk], number).remove(trade)

    def open_with(self, opening: Opening) -> None:
        """Put a balance brought forward under the trades of both its positions."""
        number = self._instruments[opening.instrument]
        instrument = self.reference.instruments[number]
        position = self.organisation.position(self._desks[opening.desk], number)
        for held in (position, self._dealer_position(opening.dealer, number)):
            held.open_with(opening, instrument.multiplier, instrument.currency)

    def carry(self) -> None:
        """Carry what positions changed by up both roll-ups. Once per batch. O(touched x depth)."""
        self.organisation.carry()
        self.dealers.carry()

    def _dealer_position(self, dealer: str, instrument: int) -> Position:
        owner = self.dealer_index.get(dealer)
        return self.dealers.position(self._new_dealer(dealer) if owner is None else owner, instrument)

    def _new_dealer(self, dealer: str) -> int:
        owner = self.dealer_index[dealer] = self.dealers.add_owner()
        return owner

    def check(self) -> None:
        """Assert I1, I3 and I5 of ACCOUNTING section 1 on everything. O(everything)."""
        self.organisation.check()
        self.dealers.check()
        sides = []
        for rollup in (self.organisation, self.dealers):
            held: dict[int, list[int]] = {}
            for _, instrument, position in rollup.positions():
                total = held.setdefault(instrument, [0, 0])
                total[0] += position.quantity
                total[1] += position.cash
            sides.append(held)
        assert sides[0] == sides[1], "the two roll-ups disagree"
