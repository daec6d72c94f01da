"""What is long done leaves the memory, and comes back when something touches it.

Freezing forgets identities that are done but for their fingerprints, and lets the base of each position stand for its oldest
trades; nothing that is shown changes. Recalling reads them from the store again: the versions of an identity before another one
of it comes, the trades of a position before anything comes among those that its base stands for. What was read must come to just
what the base says, to the last bit; where it does not, the store was changed under us, and the key is set aside. Pure; one
thread, the writer's once the engine is live.
"""

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import NamedTuple

from riskengine.positions.ledger import Ledger
from riskengine.positions.position_audit import Belonging, folded, opened
from riskengine.positions.processed import TRADES_PER_REST, Processed
from riskengine.positions.repair import Place, place_of
from riskengine.records.types import Key, Trade, order_key


class Recalled(NamedTuple):
    """What was read for an engine: all versions of identities, lowest first; keys, and the trades that their bases stand for."""

    versions: Sequence[Sequence[Trade]]
    positions: Sequence[tuple[Key, Sequence[Trade]]]


def freeze(
    ledger: Ledger,
    processed: Processed,
    *,
    before: int,
    traded_before: int,
    open_deals: Container[tuple[str, str]] = (),
    but: Collection[Key] = (),
    rest: Callable[[], None] = lambda: None,
) -> int:
    """Freeze what is done (`Processed.freeze`), and what positions begin with, but for some keys; how many identities.

    After any number of trades, none of which waits to be carried out; `rest` is called often. O(memory), 2 us an identity.
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
            done = processed.count_frozen(position.trades)
            if done and not position.quarantined and not (but and (name, owners[owner], reference.symbols[number]) in but):
                position.freeze(done)
    return count


def keys_covering(ledger: Ledger, processed: Processed, trades: Iterable[Trade]) -> list[Key]:
    """The keys whose base stands for the place of one of these trades: to be recalled before they come or go.

    3 us for an old trade. Any thread: bases only go.
    """
    found = dict[Key, None]()
    for trade in trades:
        if trade.ts >= processed.frozen_to:
            continue
        for key in _keys_of(trade):
            place = frozen_place(ledger, key)
            if place is not None and place.position is not None and place.position.covers(trade):
                found[key] = None
    return list(found)


def frozen_place(ledger: Ledger, key: Key) -> Place | None:
    """Where a key stands, if its position has a base, and is not set aside. O(1); any thread."""
    place = place_of(ledger, key)
    position = None if place is None or not place.is_leaf else place.position
    return None if position is None or position.base is None or position.quarantined else place


def thaw(ledger: Ledger, processed: Processed, recalled: Recalled) -> list[Key]:
    """Put back what was read; the keys for which something else was read than their base stands for. O(what was read).

    What is not frozen (any more) is left alone.
    """
    broken = []
    for versions in recalled.versions:
        top = versions[-1]
        for key in _keys_of(top) if processed.thaw(versions) else ():
            place = place_of(ledger, key)
            position = None if place is None else place.position
            if position is None or position.quarantined or position.covers(top):
                continue
            position.adopt(top)  # what holds the trade holds the record that is known
            if not position.holds(top):
                broken.append(key)
    for key, trades in recalled.positions:
        place = frozen_place(ledger, key)
        known = [_known(processed, trade) for trade in sorted(trades, key=order_key)]
        if place is not None and not _thawed(ledger, place, key, known):
            broken.append(key)
    return broken


def _keys_of(trade: Trade) -> tuple[Key, Key]:
    return ("node", trade.desk, trade.instrument), ("dealer", trade.dealer, trade.instrument)


def _known(processed: Processed, trade: Trade) -> Trade:
    """The record of a trade that is in memory, where it says the same."""
    known = processed.effective(trade.identity)
    return known if known is not None and known == trade else trade


def _thawed(ledger: Ledger, place: Place, key: Key, trades: list[Trade]) -> bool:
    position, instrument = place.position, ledger.reference.instruments[place.instrument]
    assert position is not None and position.base is not None, "only what is frozen is thawed"
    belonging = Belonging(key[1], key[0] == "node", lambda _: True)
    fold = folded(opened(position.openings, instrument), trades, instrument.instrument, belonging)
    if len(trades) != position.base.trade_count or fold != position.base[:6]:
        return False
    position.thaw(trades)
    return True
