"""Whether one position is what its trades say: the same sums worked out a second time, trade by trade.

Short positions in one go, long ones from checkpoint to checkpoint, between which trades may come: a checkpoint that is still
the same record says that nothing before it has changed. Pure; writer thread only.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from riskengine.positions.position import TRADES_PER_CHECKPOINT, NO_FEES, Position, replace_fees, next_average
from riskengine.records.types import CASH_PER_ONE, ONE, Instrument, Opening, Trade, order_key, version_fingerprint

NOT_IN_ORDER = "I3: its trades are not in order, or one stands there twice"
NOT_ITS_TRADE = "a trade of another position stands in it"
NOT_STANDING = "a trade that does not take part stands in it"
NOT_THE_SUM = "I1: quantity or net cash is not the sum of its trades"
NOT_THE_AVERAGE = "I3: the average price is not that of its trades in order"
NOT_THE_CHECKPOINT = "I3: a checkpoint is not what its trades give"
NOT_THE_FEES = "I1: fees are not the sum of its trades"
NOT_THE_IDENTITIES = "the identities are not those of its trades"


class Belonging(NamedTuple):
    """Whose every trade of a position must be: of this desk, or else dealer, and one that `stands` (`Processed.stands`)."""

    owner: str
    of_desk: bool
    stands: Callable[[Trade], bool]


Fold = tuple[int, int, float | None, int, dict[str, int], Trade | None]
"""What a position must be after some of its trades: quantity, cash, average, identities, fees, newest."""

NOTHING: Fold = (0, 0, None, 0, NO_FEES, None)


def start_of(position: Position, instrument: Instrument) -> Fold:
    """Before the first trade that it holds: its base, or balances brought forward."""
    if position.base is not None:
        return position.base[:6]
    return opened(position.openings, instrument) if position.openings else NOTHING


def opened(openings: Sequence[Opening], instrument: Instrument) -> Fold:
    """Before the first trade: balances brought forward."""
    if not openings:
        return NOTHING
    quantity, cash, average, fees = 0, 0, None, NO_FEES
    for opening in openings:
        if opening.quantity:
            average = next_average(quantity, average, opening.quantity, opening.average_price / ONE)
            quantity += opening.quantity
        cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * instrument.multiplier
        if opening.fees:
            fees = replace_fees(fees, NO_FEES, {instrument.currency: opening.fees})
    return quantity, cash, average, 0, fees, None


def folded(before: Fold, trades: Sequence[Trade], symbol: str, belonging: Belonging) -> Fold | str:
    """Go on with newer trades; what is wrong with one of them where something is. 1.2 us a trade."""
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
        identities += version_fingerprint(trade.source, trade.trade_id, trade.leg, trade.version)
        if trade.fees:
            fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees})
        newest = trade
    return quantity, cash, average, identities, fees, newest


def against(fold: Fold | str, position: Position) -> str:
    """What of a position is not what all its trades give, or nothing."""
    if isinstance(fold, str):
        return fold
    quantity, cash, average, identities, fees, _ = fold
    if quantity != position.quantity or cash != position.cash:
        return NOT_THE_SUM
    if average != position.average:
        return NOT_THE_AVERAGE
    if identities != position.identities:
        return NOT_THE_IDENTITIES
    return NOT_THE_FEES if fees != (position.fees or NO_FEES) else ""


def position_fault(position: Position, instrument: Instrument, belonging: Belonging) -> str:
    """What a position is not, or nothing. O(trades)."""
    if position.quarantined:
        return ""  # it claims nothing
    return against(folded(start_of(position, instrument), position.trades, instrument.instrument, belonging), position)


def long_position_fault(
    position: Position, instrument: Instrument, belonging: Belonging, is_there: Callable[[], bool]
) -> Iterator[str | None]:
    """The same a piece at a time: yields None between two pieces, and what is wrong, or "", at the end.

    Trades may come in between. `is_there` says whether it is still this position that stands in its place.
    """
    kept: list[tuple[object, Fold]] = []
    """Behind each checkpoint: the record of it that was seen, and what the position must be there."""
    while is_there() and not position.quarantined:
        checkpoints = position.checkpoints or []
        while kept and (len(checkpoints) < len(kept) or checkpoints[len(kept) - 1] is not kept[-1][0]):
            kept.pop()
        first = len(kept) * TRADES_PER_CHECKPOINT
        trades = position.trades[first : first + TRADES_PER_CHECKPOINT]
        fold = folded(kept[-1][1] if kept else start_of(position, instrument), trades, instrument.instrument, belonging)
        if len(trades) < TRADES_PER_CHECKPOINT:
            yield NOT_THE_CHECKPOINT if len(checkpoints) != len(kept) else against(fold, position)
            return
        if isinstance(fold, str) or len(checkpoints) <= len(kept) or checkpoints[len(kept)] != (fold[0], fold[2]):
            yield fold if isinstance(fold, str) else NOT_THE_CHECKPOINT
            return
        kept.append((checkpoints[len(kept)], fold))
        yield None
    yield ""
