"""Making what the engine holds under some keys equal to what the store says, at the cost of those keys alone.

A key is (roll-up, owner, instrument): ("node", "FX1", "EURUSD") or ("dealer", "ann", "EURUSD"), as reconciliation names what
differs. A leaf's position is folded anew from the versions that the store holds; every row above it is summed anew from the
rows below, so that one that was wrong for any reason is right afterwards; the numbers of those owners are taken anew from their
rows. It all shows in the next publication, which is the one that an engine built from the same stored rows would make.

The same way a position that broke an invariant is set aside: it keeps its trades and claims nothing, until a repair.
Writer thread only.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from riskengine.positions.ledger import ALL_ROWS, EMPTY_ROW, MASK, SHIFT, Book, Ledger, Rollup, Row
from riskengine.positions.position import NO_FEES, Position, replace_fees
from riskengine.positions.processed import Processed
from riskengine.records.types import Identity, Key, Opening, Trade, order_key


class Repaired(NamedTuple):
    """What a repair did.

    keys       whose position was folded anew, or whose sum was made anew: those named, and those that trades replace_fees to or from
    changed    identities of which another version, or the same with other columns, takes part now
    forgotten  identities that the store does not hold
    aside      further keys, set aside: something in them was changed that their base stands for
    """

    keys: list[Key]
    changed: list[Identity]
    forgotten: list[Identity]
    aside: list[Key]


class Place(NamedTuple):
    """Where a key stands. `instrument` may be ALL_ROWS."""

    rollup: Rollup
    owner: int
    instrument: int

    @property
    def position(self) -> Position | None:
        """The position of a leaf, None where there is none or the owner is an inner node."""
        return self.rollup.books[self.owner].positions.get(self.instrument)

    @property
    def is_leaf(self) -> bool:
        """Whether a position stands here, rather than a sum."""
        return self.rollup.books[self.owner].leaf and self.instrument != ALL_ROWS


def place_of(ledger: Ledger, key: Key) -> Place | None:
    """Where a key stands; None where the engine knows no such owner or instrument. O(1)."""
    rollup, name, symbol = key
    assert rollup in ("node", "dealer"), "a roll-up is of nodes or of dealers"
    owner = (ledger.reference.hierarchy.index if rollup == "node" else ledger.dealer_index).get(name)
    instrument = ledger.reference.instrument_index.get(symbol) if symbol else ALL_ROWS
    if owner is None or instrument is None:
        return None
    return Place(ledger.organisation if rollup == "node" else ledger.dealers, owner, instrument)


def keys_of(ledger: Ledger, places: Iterable[Place]) -> list[Key]:
    """The names of places, in order. O(dealers + places)."""
    reference, dealers = ledger.reference, tuple(ledger.dealer_index)
    return sorted(
        (
            "node" if place.rollup is ledger.organisation else "dealer",
            reference.hierarchy.names[place.owner] if place.rollup is ledger.organisation else dealers[place.owner],
            "" if place.instrument == ALL_ROWS else reference.symbols[place.instrument],
        )
        for place in places
    )


def trades_under(ledger: Ledger, keys: Iterable[Key]) -> Iterator[Trade]:
    """Trades that positions of some keys hold, a position's oldest first, without those of bases. O(trades there)."""
    for key in keys:
        place = place_of(ledger, key)
        position = None if place is None else place.position
        if position is not None:
            yield from position.trades


# -- repair ------------------------------------------------------------------------------------------------------


def repair(
    ledger: Ledger, processed: Processed, reason: Callable[[Trade], str], keys: Iterable[Key], store_versions: Iterable[Trade]
) -> Repaired:
    """See `Engine.repair`. `reason` says why a version is kept out of the positions, or nothing (`Quarantine.reason`)."""
    named = dict.fromkeys(place for key in keys if (place := place_of(ledger, key)) is not None)
    leaves = [place for place in named if place.is_leaf]
    stored: dict[Identity, list[Trade]] = {}
    for trade in store_versions:
        stored.setdefault(trade.identity, []).append(trade)
    held: dict[Identity, list[Trade]] = {identity: [] for identity in stored}
    for place in leaves:
        for trade in () if place.position is None else place.position.trades:
            held.setdefault(trade.identity, []).append(trade)
    standing: dict[Identity, Trade] = {}
    changed: list[Identity] = []
    folds = dict.fromkeys(leaves)
    for identity, had in held.items():
        before = processed.effective(identity)
        kept = {trade.version: trade for trade in (*had, *processed.versions(identity))}
        # A record that says the same stays: positions that are not folded anew hold it.
        versions = [kept[one.version] if kept.get(one.version) == one else one for one in stored.get(identity, ())]
        processed.restore(identity, [(trade, reason(trade)) for trade in versions])
        now = processed.effective(identity)
        if now is not None:
            standing[identity] = now
        if now != before or any(now != other for other in had):
            changed.append(identity)
            for trade in filter(None, (before, now, *had)):
                ledger.positions_of(trade)  # the one that it moves to may be new
                folds.update(dict.fromkeys(_places(ledger, trade)))
    has_bases = any(place.position is not None and place.position.base is not None for place in leaves)
    aside = _fold_anew(ledger, folds, leaves, held, standing)
    if has_bases:  # what they stood for is in memory now, or gone: count anew what is left
        count = sum(position.count for _, _, position in ledger.organisation.positions())
        processed.frozen_count = max(0, count - (processed.in_memory - len(processed.inert)))
    for place in named:
        if not place.is_leaf:
            _sum_anew(place)
        place.rollup.broken_sums.pop(place.owner << SHIFT | place.instrument, None)
    forgotten = [identity for identity in held if identity not in stored]
    return Repaired(keys_of(ledger, {**named, **folds}), changed, forgotten, keys_of(ledger, aside))


def _places(ledger: Ledger, trade: Trade) -> Iterator[Place]:
    """Where a trade belongs."""
    for key in (("node", trade.desk, trade.instrument), ("dealer", trade.dealer, trade.instrument)):
        place = place_of(ledger, key)
        if place is not None:
            yield place


def _fold_anew(
    ledger: Ledger,
    folds: Iterable[Place],
    leaves: Iterable[Place],
    held: dict[Identity, list[Trade]],
    standing: dict[Identity, Trade],
) -> list[Place]:
    """New positions for `folds`: of the `standing` trades that belong there and, but for named `leaves`, what else is there.

    One that was set aside, and is not named, stays so: its other trades have not been compared with the store. One that has a
    base, and is not named, cannot be folded: it is set aside, and returned.
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
            before = _position(place)
        if place not in named:
            trades.extend(trade for trade in before.trades if trade.identity not in held)
        if before.base is not None and not before.quarantined and place not in named:
            before = SetAsidePosition(before)
            _put(place, before)
            aside.append(place)
        if before.quarantined and place not in named:
            before.trades = sorted(trades, key=order_key)
            place.rollup.touched[before] = None
            continue
        fresh = Position(before.owner, before.instrument, before.slot)
        instrument = ledger.reference.instruments[before.instrument]
        for opening in before.openings:
            fresh.open_with(opening, instrument.multiplier, instrument.currency)
        for trade in sorted(trades, key=order_key):
            fresh.add(trade)
        _put(place, fresh)
    return aside


def _position(place: Place) -> Position:
    """A position that was lost, in the place where its row still stands."""
    position = place.rollup.position(place.owner, place.instrument)
    rows = place.rollup.books[place.owner].rows
    for slot, row in enumerate(rows):
        if row is not None and row.instrument == place.instrument:
            position.slot = slot
            rows.pop()
            break
    return position


def _put(place: Place, position: Position) -> None:
    """Have another position stand where one stood; the rows above are summed anew at the next publication."""
    rollup, owner, instrument = place
    positions = rollup.books[owner].positions
    rollup.touched.pop(positions[instrument], None)
    positions[instrument] = position
    rollup.touched[position] = None
    rollup.resum[owner << SHIFT | instrument] = None


def _sum_anew(place: Place) -> None:
    """Have a sum, or all that an owner holds, made anew at the next publication. O(rows below where it is all)."""
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


# -- quarantine --------------------------------------------------------------------------------------------------


def set_aside(place: Place, missing: Trade | None = None) -> None:
    """Leave a broken position out of everything above it, or have a broken sum made anew and marked as such.

    `missing` is a trade that should stand there: it is kept with the others. O(trades); sums follow at the next publication.
    """
    if place.is_leaf:
        position = place.position or _position(place)
        if not position.quarantined:
            position = SetAsidePosition(position)
        if missing is not None and not position.holds(missing):
            position.add(missing)
        _put(place, position)
    else:
        place.rollup.broken_sums[place.owner << SHIFT | place.instrument] = None
        _sum_anew(place)


# -- sums --------------------------------------------------------------------------------------------------------


def resum(rollup: Rollup) -> list[int]:
    """Sum anew what was asked for in `rollup.resum`, upwards, from the rows below; counts too. After `settle`.

    Returns the owners whose rows or counts were written. O(keys x depth x children + rows of those owners).
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
    """The row that nets rows of one instrument; None where there are none."""
    held = [row for row in rows if row is not None]
    if not held:
        return None
    quantity = cash = cost = is_open = open_cash = count = trades = last = identities = quarantined = 0
    fees = NO_FEES
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
        if row.fees:
            fees = replace_fees(fees, NO_FEES, row.fees)
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
    )


def _children(rollup: Rollup, node: int) -> Sequence[Book]:
    assert rollup.hierarchy is not None, "only the organisation has inner nodes"
    first, end = rollup.hierarchy.children[node]
    return rollup.books[first:end]


def _count(book: Book) -> None:
    """The counts of a book from its rows."""
    rows = [row or EMPTY_ROW for row in book.rows]
    book.count = sum(row.position_count for row in rows)
    book.trades = sum(row.trade_count for row in rows)
    book.last_trade_ts = max((row.last_trade_ts for row in rows), default=0)
    book.quarantined = sum(row.quarantined for row in rows)


class SetAsidePosition(Position):
    """Stands in the place of a position that broke an invariant, until a repair: it keeps trades and claims nothing.

    Quantity, cash, fees and identities are 0, so that sums leave it out; nothing is folded, so that nothing that is broken in it
    can stop the writer. A repair folds a new position from what the store holds.
    """

    __slots__ = ()

    quarantined: ClassVar[int] = 1

    def __init__(self, broken: Position) -> None:
        super().__init__(broken.owner, broken.instrument, broken.slot)
        self.openings, self.base = broken.openings, broken.base
        self.trades = sorted({trade.identity: trade for trade in broken.trades}.values(), key=order_key)

    def open_with(self, opening: Opening, multiplier: int, currency: str) -> None:
        """Keep a balance brought forward."""
        self.openings = (*self.openings, opening)

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """Keep a trade. Returns 0: nothing replace_fees. O(log n), O(n) for one that is not the newest."""
        insort(self.trades, trade, key=order_key)
        return 0

    def extend(self, trades: Sequence[Trade], fingerprints: Sequence[int]) -> bool:
        """Returns False: they are kept one by one."""
        return False

    def remove(self, trade: Trade) -> None:
        """Drop a trade where it is there. O(n)."""
        self.trades = [other for other in self.trades if other.identity != trade.identity]

    def check(self, multiplier: int) -> None:
        """Assert that it claims nothing. O(1)."""
        claims = (self.quantity, self.cash, self.average, self.fees, self.identities)
        assert claims == (0, 0, None, None, 0), "a quarantined position claims nothing"
