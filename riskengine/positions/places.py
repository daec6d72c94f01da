"""Finds the position or sum that a key names: where it stands in which roll-up, and which trades it holds.

A key is (roll-up, owner, instrument): ("node", "FX1", "EURUSD") or ("dealer", "ann", "EURUSD"), as reconciliation, the self-audit
and recall name what they find. An empty instrument names everything that an owner holds.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from riskengine.positions.ledger import ALL_ROWS, Ledger, Rollup
from riskengine.positions.position import Position
from riskengine.records.types import Key, Trade


class Place(NamedTuple):
    """The place of a key. `instrument` may be ALL_ROWS."""

    rollup: Rollup
    owner: int
    instrument: int

    @property
    def position(self) -> Position | None:
        """The position of a leaf; None where there is none or the owner is an inner node. O(1)."""
        return self.rollup.books[self.owner].positions.get(self.instrument)

    @property
    def is_leaf(self) -> bool:
        """Whether a position stands here, rather than a sum. O(1)."""
        return self.rollup.books[self.owner].leaf and self.instrument != ALL_ROWS


def place_of(ledger: Ledger, key: Key) -> Place | None:
    """The place of a key; None where the engine knows no such owner or instrument. O(1); any thread.

    A renamed instrument names the place of the one that it leads to.
    """
    rollup, name, symbol = key
    assert rollup in ("node", "dealer"), "a roll-up is of nodes or of dealers"
    owner = (ledger.reference.hierarchy.index if rollup == "node" else ledger.dealer_index).get(name)
    instrument = ledger.numbers.get(symbol) if symbol else ALL_ROWS
    if owner is None or instrument is None:
        return None
    return Place(ledger.organisation if rollup == "node" else ledger.dealers, owner, instrument)


def keys_of(ledger: Ledger, places: Iterable[Place]) -> list[Key]:
    """The keys of places, in order. O(dealers + places)."""
    reference, dealers = ledger.reference, tuple(ledger.dealer_index)
    return sorted(
        (
            "node" if place.rollup is ledger.organisation else "dealer",
            reference.hierarchy.names[place.owner] if place.rollup is ledger.organisation else dealers[place.owner],
            "" if place.instrument == ALL_ROWS else reference.symbols[place.instrument],
        )
        for place in places
    )


def leaf_keys(trade: Trade) -> tuple[Key, Key]:
    """The keys of the two positions that a trade belongs to, its desk's and its dealer's."""
    return ("node", trade.desk, trade.instrument), ("dealer", trade.dealer, trade.instrument)


def trades_under(ledger: Ledger, keys: Iterable[Key]) -> Iterator[Trade]:
    """The trades in memory of the positions of some keys, a position's oldest first. O(trades there)."""
    for key in keys:
        place = place_of(ledger, key)
        position = None if place is None else place.position
        if position is not None:
            yield from position.trades
