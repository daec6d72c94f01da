"""A key that is wrong is first set aside, then repaired from the store, at the cost of that key alone.

`set_aside`  A position that broke an invariant keeps its trades and claims nothing, so every sum above it stays right; a sum that
             broke one is marked. Every reader sees that the amounts are unknown.
`repair`     The positions of some keys are folded again from the versions that the store holds, whatever was wrong with them.
`resum`      Both ask for new sums: the next publication adds up every row above those keys from the rows below, and their counts.
             After a repair it is the publication that an engine built from the same stored rows would make.

Writer thread only.
"""

from bisect import insort
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from riskengine.positions.ledger import ALL_ROWS, EMPTY_ROW, MASK, SHIFT, Book, Ledger, Rollup, Row
from riskengine.positions.places import Place, keys_of, leaf_keys, place_of
from riskengine.positions.position import NO_FEES, Position, replace_fees
from riskengine.positions.processed import Processed
from riskengine.records.cash import CarryEntry
from riskengine.records.types import Identity, Key, Opening, Trade, order_key

# -- set aside ----------------------------------------------------------------------------------------------------


class SetAsidePosition(Position):
    """Stands in for a position that broke an invariant, until a repair folds a new one: it keeps trades and claims nothing.

    Quantity, cash, fees and identities are 0, so sums leave it out. It folds nothing, so a broken trade cannot stop the writer.
    """

    __slots__ = ()

    quarantined: ClassVar[int] = 1

    def __init__(self, broken: Position) -> None:
        super().__init__(broken.owner, broken.instrument, broken.slot)
        self.openings, self.base, self.carry = broken.openings, broken.base, broken.carry
        self.trades = sorted({trade.identity: trade for trade in broken.trades}.values(), key=order_key)

    def open_with(self, openings: Collection[Opening], multiplier: int, currency: str) -> None:
        """Keep balances brought forward."""
        self.openings = (*self.openings, *openings)

    def add_carry(self, entries: Collection[CarryEntry]) -> None:
        """Keep carry."""
        self.carry = tuple(sorted((*self.carry, *entries)))

    def remove_carry(self, entry: CarryEntry) -> None:
        """Drop a carry entry, if it is there."""
        self.carry = tuple(other for other in self.carry if other != entry)

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """Keep a trade. Returns 0: nothing was folded. O(log n) for the newest, O(n) for others."""
        insort(self.trades, trade, key=order_key)
        return 0

    def extend(self, trades: Sequence[Trade], fingerprints: Sequence[int]) -> bool:
        """Returns False: `add` keeps them one by one."""
        return False

    def remove(self, trade: Trade) -> None:
        """Drop a trade, if it is there. O(n)."""
        self.trades = [other for other in self.trades if other.identity != trade.identity]

    def check(self, multiplier: int) -> None:
        """Assert that it claims nothing. O(1)."""
        claims = (self.quantity, self.cash, self.average, self.fees, self.beside, self.identities)
        assert claims == (0, 0, None, None, None, 0), "a position that is set aside claims nothing"


def set_aside(place: Place, missing: Trade | None = None) -> None:
    """Set a broken position aside, or mark a broken sum; the sums above follow at the next publication. O(trades).

    `missing` is a trade that should stand there: the position keeps it with the others.
    """
    if place.is_leaf:
        position = place.position or _lost_position(place)
        if not position.quarantined:
            position = SetAsidePosition(position)
        if missing is not None and not position.holds(missing):
            position.add(missing)
        _put(place, position)
    else:
        place.rollup.broken_sums[place.owner << SHIFT | place.instrument] = None
        _request_sums(place)


# -- repair -------------------------------------------------------------------------------------------------------


class Repaired(NamedTuple):
    """What a repair did.

    keys       keys folded or summed again: those named, and those that trades moved to or from
    changed    identities of which another version takes part now, or the same version with other columns
    forgotten  identities that the store does not hold
    aside      further keys that are now set aside: a trade behind their base has changed
    """

    keys: list[Key]
    changed: list[Identity]
    forgotten: list[Identity]
    aside: list[Key]


def repair(
    ledger: Ledger, processed: Processed, reason: Callable[[Trade], str], keys: Iterable[Key], store_versions: Iterable[Trade]
) -> Repaired:
    """See `Engine.repair`. `reason` gives why a version is kept out of the positions, or "" (`Quarantine.reason`)."""
    named = dict.fromkeys(place for key in keys if (place := place_of(ledger, key)) is not None)
    leaves = [place for place in named if place.is_leaf]
    stored = _by_identity(store_versions)
    held = dict.fromkeys(stored, ()) | _by_identity(
        trade for place in leaves if place.position is not None for trade in place.position.trades
    )
    standing: dict[Identity, Trade] = {}
    changed: list[Identity] = []
    folds = dict.fromkeys(leaves)
    for identity, trades in held.items():
        before = processed.effective(identity)
        now = _restore(processed, reason, identity, trades, stored.get(identity, ()))
        if now is not None:
            standing[identity] = now
        if now != before or any(now != other for other in trades):
            changed.append(identity)
            for trade in filter(None, (before, now, *trades)):
                ledger.positions_of(trade)  # makes the position that it moves to
                folds.update(dict.fromkeys(_places(ledger, trade)))
    if ledger.deals is not None:
        ledger.deals = ledger.deals.restated(held, standing.values())
    was_frozen = any(place.position is not None and place.position.is_frozen for place in leaves)
    aside = _fold_again(ledger, folds, leaves, held, standing)
    if was_frozen:  # the trades behind those bases are in memory now, or gone
        _recount_frozen(ledger, processed)
    for place in named:
        if not place.is_leaf:
            _request_sums(place)
        place.rollup.broken_sums.pop(place.owner << SHIFT | place.instrument, None)
    forgotten = [identity for identity in held if identity not in stored]
    return Repaired(keys_of(ledger, {**named, **folds}), changed, forgotten, keys_of(ledger, aside))


def _by_identity(trades: Iterable[Trade]) -> dict[Identity, Sequence[Trade]]:
    found: dict[Identity, list[Trade]] = {}
    for trade in trades:
        found.setdefault(trade.identity, []).append(trade)
    return {**found}


def _restore(
    processed: Processed, reason: Callable[[Trade], str], identity: Identity, held: Iterable[Trade], stored: Iterable[Trade]
) -> Trade | None:
    """Make the versions of an identity those of the store. Returns the one that takes part now.

    Where a record in memory says the same, it stays: positions that are not folded again hold it.
    """
    kept = {trade.version: trade for trade in (*held, *processed.versions(identity))}
    versions = [kept[trade.version] if kept.get(trade.version) == trade else trade for trade in stored]
    processed.restore(identity, [(trade, reason(trade)) for trade in versions])
    return processed.effective(identity)


def _recount_frozen(ledger: Ledger, processed: Processed) -> None:
    """Count the frozen identities from the positions: trades that stand there and are not in memory. O(positions)."""
    count = sum(position.trade_count for _, _, position in ledger.organisation.positions())
    processed.frozen_count = max(0, count - (processed.in_memory - len(processed.inert)))


def _places(ledger: Ledger, trade: Trade) -> Iterator[Place]:
    """The places that a trade belongs to, of those that exist."""
    for key in leaf_keys(trade):
        place = place_of(ledger, key)
        if place is not None:
            yield place


def _fold_again(
    ledger: Ledger,
    folds: Iterable[Place],
    leaves: Iterable[Place],
    held: Container[Identity],
    standing: dict[Identity, Trade],
) -> list[Place]:
    """Put new positions in the places `folds`, made of the `standing` trades that belong there. Returns those now set aside.

    Places that no key named (they are not in `leaves`) keep their other trades. If such a position was set aside it stays so: its
    other trades have not been compared with the store. If it has a base it cannot be folded: it is set aside, and returned.
    """
    aside: list[Place] = []
    belonging: dict[Place, list[Trade]] = {place: [] for place in folds}
    for trade in standing.values():
        for place in _places(ledger, trade):
            if place in belonging:
                belonging[place].append(trade)
    named = set(leaves)
    for place, trades in belonging.items():
        before = place.position
        if before is None:
            if not trades:
                continue  # named, and nothing was ever there
            before = _lost_position(place)
        if place not in named:
            trades.extend(trade for trade in before.trades if trade.identity not in held)
        if before.is_frozen and not before.quarantined and place not in named:
            before = SetAsidePosition(before)
            _put(place, before)
            aside.append(place)
        if before.quarantined and place not in named:
            before.trades = sorted(trades, key=order_key)
            place.rollup.touched[before] = None
            continue
        fresh = place.rollup.make_position(before.owner, before.instrument, before.slot)
        instrument = ledger.reference.instruments[before.instrument]
        fresh.open_with(before.openings, instrument.contract_multiplier, instrument.currency)
        fresh.add_carry(before.carry)
        for trade in sorted(trades, key=order_key):
            fresh.add(trade)
        _put(place, fresh)
    return aside


# -- what both do to a place --------------------------------------------------------------------------------------


def _lost_position(place: Place) -> Position:
    """A new, empty position where one was lost, in the slot where its row still stands. O(rows of the owner)."""
    position = place.rollup.position(place.owner, place.instrument)
    rows = place.rollup.books[place.owner].rows
    for slot, row in enumerate(rows):
        if row is not None and row.instrument == place.instrument:
            position.slot = slot
            rows.pop()
            break
    return position


def _put(place: Place, position: Position) -> None:
    """Replace a position by another, and request the sums above it."""
    rollup, owner, instrument = place
    positions = rollup.books[owner].positions
    rollup.touched.pop(positions[instrument], None)
    positions[instrument] = position
    rollup.touched[position] = None
    rollup.resum[owner << SHIFT | instrument] = None
    rollup.restated[owner << SHIFT | instrument] = None


def _request_sums(place: Place) -> None:
    """Ask for one new sum, or for all of an owner, with the next publication. O(1), or O(rows below) for all."""
    rollup, owner, instrument = place
    book = rollup.books[owner]
    if instrument != ALL_ROWS:
        rollup.resum[owner << SHIFT | instrument] = None
    elif book.leaf:
        rollup.touched.update(dict.fromkeys(book.positions.values()))
        rollup.resum.update((owner << SHIFT | number, None) for number in book.positions)
    else:
        below = (row.instrument for child in _children(rollup, owner) for row in child.rows if row is not None)
        rollup.resum.update((owner << SHIFT | number, None) for number in {*book.slots, *below})
    rollup.resum[owner << SHIFT | ALL_ROWS] = None


# -- sums ---------------------------------------------------------------------------------------------------------


def resum(rollup: Rollup) -> list[int]:
    """Sum the keys in `rollup.resum` again from the rows below, and everything above them, with the counts. After `settle`.

    Returns the owners whose rows or counts it wrote. O(keys x depth x children + rows of those owners).
    """
    inner: dict[tuple[int, int], None] = {}
    owners: dict[int, None] = {}
    for key in rollup.resum:
        owner, instrument = key >> SHIFT, key & MASK
        chain = (owner, *rollup.ancestors[owner])
        owners.update(dict.fromkeys(chain))
        if instrument != ALL_ROWS:
            inner.update(dict.fromkeys((node, instrument) for node in chain if not rollup.books[node].leaf))
    rollup.resum.clear()
    for node, instrument in sorted(inner, key=lambda place: -len(rollup.ancestors[place[0]])):
        book = rollup.books[node]
        slot = book.slots.get(instrument)
        if slot is None:
            slot = book.slots[instrument] = len(book.rows)
            book.rows.append(None)
        book.rows[slot] = sum_of(child.row(instrument) for child in _children(rollup, node))
    for owner in owners:
        _count(rollup.books[owner])
    return list(owners)


def sum_of(rows: Iterable[Row | None]) -> Row | None:
    """The row that nets rows of one instrument; None if there are none. O(rows)."""
    held = [row for row in rows if row is not None]
    if not held:
        return None
    quantity = cash = cost = is_open = open_cash = count = trades = last = identities = quarantined = long = 0
    fees = beside = NO_FEES
    for row in held:
        quantity += row.quantity
        cash += row.cash
        cost += row.open_cost
        is_open += row.open_count
        open_cash += row.open_cash
        count += row.position_count
        trades += row.trade_count
        last = max(last, row.last_trade_ts)
        identities += row.identities
        quarantined += row.quarantined
        long += row.long_count
        if row.fees:
            fees = replace_fees(fees, NO_FEES, row.fees)
        if row.beside:
            beside = replace_fees(beside, NO_FEES, row.beside)
    return Row(
        held[0].instrument,
        quantity,
        cash,
        cost,
        is_open,
        open_cash,
        count,
        trades,
        last,
        fees,
        identities,
        None,
        None,
        quarantined,
        long,
        beside or None,
    )


def _children(rollup: Rollup, node: int) -> Sequence[Book]:
    assert rollup.hierarchy is not None, "only the organisation has inner nodes"
    first, end = rollup.hierarchy.children[node]
    return rollup.books[first:end]


def _count(book: Book) -> None:
    """Count a book's positions and trades from its rows. O(rows)."""
    rows = [row or EMPTY_ROW for row in book.rows]
    book.count = sum(row.position_count for row in rows)
    book.trades = sum(row.trade_count for row in rows)
    book.last_trade_ts = max((row.last_trade_ts for row in rows), default=0)
    book.quarantined = sum(row.quarantined for row in rows)
