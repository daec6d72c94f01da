"""Old trades leave the memory, and come back when something touches them.

`freeze` keeps only the fingerprint of each identity that is done, and replaces the oldest trades of each position by their sums,
its base. No reader sees a difference. Before something touches a frozen identity or a frozen stretch of a position, its caller
reads them from the store again and hands them to `thaw`. The trades of a position must then come to its base, to the last bit; if
they do not, the store has changed since, and the caller sets the key aside. Pure; one thread, the writer's once the engine is
live.
"""

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from riskengine.positions.ledger import Ledger
from riskengine.positions.places import Place, leaf_keys, place_of
from riskengine.positions.position import NO_FEES, Base, Position, replace_fees
from riskengine.positions.position_audit import Belonging, fold_openings, fold_trades
from riskengine.positions.processed import TRADES_PER_REST, Processed
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import Key, Trade, order_key


class Recalled(NamedTuple):
    """What was read from the store for an engine.

    versions   for each frozen identity all its versions, lowest first
    positions  keys, and for each the trades that its base stands for
    """

    versions: Sequence[Sequence[Trade]]
    positions: Sequence[tuple[Key, Sequence[Trade]]]


def freeze(
    ledger: Ledger,
    processed: Processed,
    *,
    before: int,
    traded_before: int,
    open_deals: Container[tuple[str, str]] = (),
    except_keys: Collection[Key] = (),
    rest: Callable[[], None] = lambda: None,
) -> int:
    """Freeze the identities that are done (see `Processed.freeze`) and the oldest trades of positions, except those of some keys.

    Returns the number of identities. Call it between batches: no trade may be on its way into a position. Calls `rest` often.
    O(memory), 2 us an identity.
    """
    count = processed.freeze(before, traded_before, open_deals, rest)
    if not count:
        return 0
    reference = ledger.reference
    for name, rollup, owners in (
        ("node", ledger.organisation, reference.hierarchy.names),
        ("dealer", ledger.dealers, tuple(ledger.dealer_index)),
    ):
        for seen, (owner, number, position) in enumerate(rollup.positions()):
            if not seen % TRADES_PER_REST:
                rest()
            oldest = processed.count_frozen(position.trades)
            if not oldest or position.quarantined or position.is_adjusted:
                continue
            if not (except_keys and (name, owners[owner], reference.symbols[number]) in except_keys):
                freeze_oldest(position, oldest)
    return count


def freeze_oldest(position: Position, count: int) -> None:
    """Let a base stand for the oldest `count` trades of a position, all its sums unchanged. O(trades left)."""
    trades = position.trades
    since, newest = trades[0].ts if position.base is None else position.base.since, trades[count - 1]
    quantity, average, identities = position.quantity, position.average, position.identities
    cash = position.cash - position.carry_cash  # carry stays beside the base, for it is not frozen
    fees = position.fees or NO_FEES
    if count == len(trades):
        position.base = Base(quantity, cash, average, identities, fees, newest, position.trade_count, since)
        position.trades, position.checkpoints = (), None  # allocates nothing
        return
    quantity, average = position.state_after(count)
    left = list(trades[count:])
    cash -= sum(trade.cash for trade in left)
    identities -= sum(map(trade_fingerprint, left))
    for trade in filter(attrgetter("fees"), left):
        fees = replace_fees(fees, {trade.fees_currency: trade.fees}, NO_FEES)
    base = Base(quantity, cash, average, identities, fees, newest, position.trade_count - len(left), since)
    position.set_history(base, left)


def keys_of_identities(processed: Processed, trades: Iterable[Trade]) -> set[Key]:
    """The positions of every version in memory of these trades. O(versions)."""
    versions = (version for trade in trades for version in processed.versions(trade.identity))
    return {key for version in versions for key in leaf_keys(version)}


def keys_covering(ledger: Ledger, processed: Processed, trades: Iterable[Trade]) -> list[Key]:
    """The keys whose base stands for the place of one of these trades: recall them before these trades enter or leave.

    3 us for an old trade. Any thread: once the engine is live, bases only go.
    """
    found = dict[Key, None]()
    for trade in trades:
        if trade.ts >= processed.frozen_to:
            continue
        for key in leaf_keys(trade):
            place = frozen_place(ledger, key)
            if place is not None and place.position is not None and place.position.covers(trade):
                found[key] = None
    return list(found)


def frozen_place(ledger: Ledger, key: Key) -> Place | None:
    """The place of a key, if its position has a base and is not set aside; else None. O(1); any thread."""
    place = place_of(ledger, key)
    position = None if place is None or not place.is_leaf else place.position
    return None if position is None or not position.is_frozen or position.quarantined else place


def thaw(ledger: Ledger, processed: Processed, recalled: Recalled) -> list[Key]:
    """Put back what was read, where it is still frozen. O(what was read).

    Returns the broken keys: those for which the store gave other trades than their base stands for.
    """
    broken = []
    for versions in recalled.versions:
        top = versions[-1]
        for key in leaf_keys(top) if processed.thaw(versions) else ():
            place = place_of(ledger, key)
            position = None if place is None else place.position
            if position is None or position.quarantined or position.covers(top):
                continue
            position.adopt(top)  # position and `processed` hold one record of a trade
            if not position.holds(top):
                broken.append(key)
    for key, trades in recalled.positions:
        place = frozen_place(ledger, key)
        known = [_record_in_memory(processed, trade) for trade in sorted(trades, key=order_key)]
        if place is not None and not _thaw_position(ledger, place, key, known):
            broken.append(key)
    return broken


def _record_in_memory(processed: Processed, trade: Trade) -> Trade:
    """The record of a trade that `processed` holds, if it says the same; else this one."""
    known = processed.effective(trade.identity)
    return known if known is not None and known == trade else trade


def _thaw_position(ledger: Ledger, place: Place, key: Key, trades: list[Trade]) -> bool:
    """Replace the base of a position by its trades, oldest first. False, and nothing is done, if they do not come to it."""
    position, instrument = place.position, ledger.reference.instruments[place.instrument]
    assert position is not None and position.base is not None, "a position to thaw has a base"
    belonging = Belonging(key[1], key[0] == "node", lambda _: True)
    fold = fold_trades(fold_openings(position.openings, instrument), trades, instrument.instrument, belonging)
    if len(trades) != position.base.trade_count or fold != position.base.fold:
        return False
    position.set_history(None, [*trades, *position.trades])
    return True
