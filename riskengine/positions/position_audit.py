"""Checks one position against its trades: works out the same sums a second time, trade by trade.

A short position is checked in one go. A long one is checked from checkpoint to checkpoint, and trades may come in between: a
checkpoint that is still the same record proves that nothing before it has changed. Pure; writer thread only.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from riskengine.positions.position import NO_FEES, TRADES_PER_CHECKPOINT, Fold, Position, next_average, replace_fees
from riskengine.records.cash import CarryEntry
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import CASH_PER_ONE, ONE, Instrument, Opening, Trade, order_key

NOT_IN_ORDER = "I3: its trades are not in order, or one stands in it twice"
NOT_ITS_TRADE = "a trade of another position stands in it"
NOT_STANDING = "a trade that does not take part stands in it"
NOT_THE_SUM = "I1: quantity or net cash is not the sum of its trades"
NOT_THE_AVERAGE = "I3: the average price is not that of its trades in order"
NOT_THE_CHECKPOINT = "I3: a checkpoint is not what the trades up to it come to"
NOT_THE_FEES = "I1: fees are not the sum of its trades"
NOT_THE_CARRY = "I1: the amounts beside net cash are not the sum of its carry"
NOT_THE_IDENTITIES = "the identities are not those of its trades"


class Belonging(NamedTuple):
    """What every trade of a position must be: one of this `owner` (a desk or a dealer) that `stands` (`Processed.stands`)."""

    owner: str
    of_desk: bool
    stands: Callable[[Trade], bool]


NOTHING: Fold = (0, 0, None, 0, NO_FEES, None)


def fold_start(position: Position, instrument: Instrument) -> Fold:
    """What a position must be before its first trade in memory: its base, or its balances brought forward."""
    if position.base is not None:
        return position.base.fold
    return fold_openings(position.openings, instrument) if position.openings else NOTHING


def fold_openings(openings: Sequence[Opening], instrument: Instrument) -> Fold:
    """What a position must be after its balances brought forward, before its first trade."""
    if not openings:
        return NOTHING
    quantity, cash, average, fees = 0, 0, None, NO_FEES
    for opening in openings:
        if opening.quantity:
            average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
            quantity += opening.quantity
        cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * instrument.contract_multiplier
        if opening.fees:
            fees = replace_fees(fees, NO_FEES, {instrument.currency: opening.fees})
    return quantity, cash, average, 0, fees, None


def fold_trades(before: Fold, trades: Sequence[Trade], symbol: str, belonging: Belonging) -> Fold | str:
    """What a position must be after newer trades, or the fault of the first that must not stand there. 2 us a trade."""
    quantity, cash, average, identities, fees, newest = before
    owner, of_desk, stands = belonging
    for trade in trades:
        if newest is not None and newest.ts >= trade.ts and order_key(newest) >= order_key(trade):
            return NOT_IN_ORDER
        if trade.instrument != symbol or (trade.desk if of_desk else trade.dealer) != owner:
            return NOT_ITS_TRADE
        if not stands(trade):
            return NOT_STANDING
        signed = trade.signed_quantity
        average = next_average(quantity, average, signed, trade.fill_price) if quantity else trade.fill_price
        quantity += signed
        cash += trade.cash
        identities += trade_fingerprint(trade)
        if trade.fees:
            fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees})
        newest = trade
    return quantity, cash, average, identities, fees, newest


def sum_fault(fold: Fold | str, position: Position) -> str:
    """The first sum of a position that differs from the fold of all its trades, or ""."""
    if isinstance(fold, str):
        return fold
    quantity, cash, average, identities, fees, _ = fold
    if quantity != position.quantity or cash + position.carry_cash != position.cash:
        return NOT_THE_SUM
    if average != position.average:
        return NOT_THE_AVERAGE
    if identities != position.identities:
        return NOT_THE_IDENTITIES
    if beside_of(position.carry) != (position.beside or NO_FEES):
        return NOT_THE_CARRY
    return NOT_THE_FEES if fees != (position.fees or NO_FEES) else ""


def beside_of(entries: Sequence[CarryEntry]) -> dict[str, int]:
    """What carry in other currencies than that of the cash comes to, by currency, without zeros."""
    total: dict[str, int] = {}
    for entry in entries:
        if entry.is_beside:
            total[entry.currency] = total.get(entry.currency, 0) + entry.amount
    return {currency: units for currency, units in total.items() if units}


def position_fault(position: Position, instrument: Instrument, belonging: Belonging) -> str:
    """The first invariant that a position breaks, or "". O(trades)."""
    if position.quarantined:
        return ""  # it claims nothing
    start = fold_start(position, instrument)
    return sum_fault(fold_trades(start, position.trades, instrument.instrument, belonging), position)


def long_position_fault(
    position: Position, instrument: Instrument, belonging: Belonging, is_there: Callable[[], bool]
) -> Iterator[str | None]:
    """The same a stretch at a time: yields None between two stretches, and the fault, or "", at the end.

    Trades may come in between. `is_there` says whether this position still stands in its place.
    """
    kept: list[tuple[object, Fold]] = []
    """For each checkpoint: the record of it seen here, and what the position must be there."""
    while is_there() and not position.quarantined:
        checkpoints = position.checkpoints or []
        while kept and (len(checkpoints) < len(kept) or checkpoints[len(kept) - 1] is not kept[-1][0]):
            kept.pop()
        first = len(kept) * TRADES_PER_CHECKPOINT
        trades = position.trades[first : first + TRADES_PER_CHECKPOINT]
        start = kept[-1][1] if kept else fold_start(position, instrument)
        fold = fold_trades(start, trades, instrument.instrument, belonging)
        if len(trades) < TRADES_PER_CHECKPOINT:
            yield NOT_THE_CHECKPOINT if len(checkpoints) != len(kept) else sum_fault(fold, position)
            return
        if isinstance(fold, str) or len(checkpoints) <= len(kept) or checkpoints[len(kept)] != (fold[0], fold[2]):
            yield fold if isinstance(fold, str) else NOT_THE_CHECKPOINT
            return
        kept.append((checkpoints[len(kept)], fold))
        yield None
    yield ""
