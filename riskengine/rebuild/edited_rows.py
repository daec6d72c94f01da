"""Finds trades that were changed in place, when an engine takes over from one that had read them earlier.

Two engines made from the same trades hold the same, unless somebody changed a stored row, an opening balance or an instrument. An
engine must not follow a changed row in silence. Pure; not for a thread that anybody waits for.
"""

from collections.abc import Iterator, Sequence

from riskengine.background import Rests, short_switch_interval
from riskengine.engine.engine import Engine
from riskengine.positions.places import place_of
from riskengine.records.fingerprints import versions_of
from riskengine.records.types import Key
from riskengine.snapshot.compare import DEALER, NODE
from riskengine.snapshot.snapshot import Snapshot, Table

EDITED = "edited"
"""The kind of the warning."""


def changed_in_place(before: Engine, now: Engine, first: Snapshot) -> list[Key]:
    """Keys with the same versions of the same trades in both engines that say something else, though nothing else has changed.

    `before` was replaced; `first` is the first snapshot of `now`. 1 us a position, and as long for rests.
    """
    with short_switch_interval():
        return [
            key
            for key in _keys_with_other_columns(before.snapshot, first)
            if _beside_trades(before, key) == _beside_trades(now, key)
        ]


def warning_text(keys: Sequence[Key]) -> str:
    """What every screen says about them."""
    return (
        f"{len(keys):,} positions changed because stored trades were changed in place (first: {' '.join(keys[0])}); "
        "`riskengine audit verify` lists the rows"
    )


def _keys_with_other_columns(before: Snapshot, now: Snapshot) -> Iterator[Key]:
    instruments, others = before.reference.by_symbol, now.reference.by_symbol
    same = {symbol for symbol, instrument in instruments.items() if others.get(symbol) == instrument}
    for adjustments in (before.adjustments, now.adjustments):  # what actions act on may change by them
        same -= adjustments.paths.keys() if adjustments is not None else set()
    leaves = before.reference.hierarchy.leaves & now.reference.hierarchy.leaves
    index, other_index = before.reference.hierarchy.index, now.reference.hierarchy.index
    pairs = [(NODE, leaf, before.nodes, index[leaf], now.nodes, other_index[leaf]) for leaf in leaves]
    dealers = {dealer: number for number, dealer in enumerate(now.dealer_names)}
    pairs += [
        (DEALER, dealer, before.dealers, number, now.dealers, dealers[dealer])
        for number, dealer in enumerate(before.dealer_names)
        if dealer in dealers
    ]
    rests = Rests()
    for rollup, owner, table, number, other_table, other_number in pairs:
        rests.rest_if_due()
        held = _held(table, number, before)
        for symbol, (trades, amounts) in _held(other_table, other_number, now).items():
            if symbol in same and symbol in held and held[symbol][0] == trades and held[symbol][1] != amounts:
                yield rollup, owner, symbol


def _held(table: Table, owner: int, snapshot: Snapshot) -> dict[str, tuple[object, object]]:
    """By instrument: which trades an owner holds, and what they say and come to; without positions that are set aside."""
    symbols = snapshot.reference.symbols
    return {
        symbols[row.instrument]: (
            (row.trade_count, versions_of(row.identities)),
            (row.quantity, row.cash, row.identities, row.fees),
        )
        for row in table.state(owner).positions()
        if not row.quarantined
    }


def _beside_trades(engine: Engine, key: Key) -> object:
    """What a position holds that is no trade: balances brought forward and carry."""
    place = place_of(engine.ledger, key)
    return None if place is None or place.position is None else (place.position.openings, place.position.carry)
