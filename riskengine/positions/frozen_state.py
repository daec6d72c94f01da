"""The frozen part of an engine's positions as records, for the store, and back into another engine. Pure.

An engine that `install`s what `frozen_positions` gave holds the same sums and averages, to the last bit, without the trades.
"""

from collections.abc import Callable, Iterable, Iterator

from riskengine.positions.ledger import Ledger, Rollup
from riskengine.positions.places import leaf_keys, place_of
from riskengine.positions.position import Base, Stood
from riskengine.positions.processed import TRADES_PER_REST, Processed
from riskengine.records.close_state import FrozenPosition
from riskengine.records.types import Identity, Trade


def rollups_of(ledger: Ledger) -> dict[str, tuple[Rollup, tuple[str, ...]]]:
    """Both roll-ups with the names of their owners."""
    nodes, dealers = ledger.reference.hierarchy.names, tuple(ledger.dealer_index)
    return {"node": (ledger.organisation, nodes), "dealer": (ledger.dealers, dealers)}


def adjusted_symbols(ledger: Ledger) -> set[str]:
    """The instruments on whose positions corporate actions act, and those that are known by another name: none is frozen."""
    reference, numbers = ledger.reference, {*ledger.organisation.terms, *ledger.dealers.terms}
    for symbol, number in ledger.numbers.items():
        if number != reference.instrument_index.get(symbol, number):
            numbers |= {number, reference.instrument_index[symbol]}
    return {reference.symbols[number] for number in numbers}


def frozen_positions(rollup: Rollup, owners: tuple[str, ...], rest: Callable[[], None]) -> Iterator[FrozenPosition]:
    """The bases of a roll-up's positions, 1 us each. Raises ValueError for one that is set aside: nobody knows its amounts."""
    symbols = rollup.reference.symbols
    for seen, (owner, number, position) in enumerate(rollup.positions()):
        if not seen % TRADES_PER_REST:
            rest()
        if position.quarantined:
            raise ValueError(f"{symbols[number]} of {owners[owner]} is set aside")
        base = position.base
        if base is not None:
            yield FrozenPosition(owners[owner], symbols[number], *base)


def trades_in_tails(ledger: Ledger, processed: Processed, rest: Callable[[], None]) -> Iterator[Identity]:
    """Frozen identities whose trades stand in positions all the same: something in memory is older there. O(trades in memory)."""
    for rollup in (ledger.organisation, ledger.dealers):
        for seen, (_, _, position) in enumerate(rollup.positions()):
            if not seen % TRADES_PER_REST:
                rest()
            for trade in position.trades:
                if not processed.is_in_memory(trade):
                    yield trade.identity


def install(ledger: Ledger, rollup: str, positions: Iterable[FrozenPosition]) -> None:
    """Put bases into positions without trades; they hold their opening balances and their carry already. 3 us each."""
    taken, owners = (
        (ledger.organisation, ledger.reference.hierarchy.index) if rollup == "node" else (ledger.dealers, ledger.dealer_index)
    )
    numbers, put = ledger.reference.instrument_index, taken.position
    for frozen in positions:
        owner, instrument, quantity, cash, average, identities, fees, _, _, _, stood = frozen
        position = put(owners[owner], numbers[instrument])
        base = Base._make(frozen[2:])
        if stood:
            base = base._replace(stood=tuple(map(Stood._make, stood)))
        position.base, position.quantity, position.average, position.identities = base, quantity, average, identities
        position.cash = cash + position.carry_cash if position.carry else cash
        position.fees = base.fees if fees else None


def add_tail(ledger: Ledger, trade: Trade) -> None:
    """Put a frozen trade into those of its two positions whose base does not stand for it."""
    for key in leaf_keys(trade):
        place = place_of(ledger, key)
        assert place is not None, "its desk, dealer and instrument are known"
        position = place.rollup.position(place.owner, place.instrument)
        if not position.covers(trade):
            position.add(trade)
