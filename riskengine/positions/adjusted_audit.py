"""Checks a position on which corporate actions act against its trades and entries: the same sums a second time.

The ratios are worked out in fractions, split by split. Pure; writer thread only.
"""

from collections.abc import Iterator
from fractions import Fraction

from riskengine.positions.adjusted import AdjustedPosition, Entry, netted
from riskengine.positions.position import NO_FEES, TRADES_PER_CHECKPOINT, Fold, next_average, replace_fees
from riskengine.positions.position_audit import NOT_IN_ORDER, NOT_ITS_TRADE, NOT_STANDING, Belonging, sum_fault
from riskengine.records.fingerprints import trade_fingerprint
from riskengine.records.types import CASH_PER_ONE, ONE, Opening, Trade, order_key


def adjusted_faults(position: AdjustedPosition, currency: str, belonging: Belonging) -> Iterator[str | None]:
    """The first invariant that the position breaks, or "", last; None between two stretches of trades.

    Trades may come in between: then it says "", and the next pass looks again. 4 us a trade.
    """
    trades, entries = list(position.trades), list(netted(position.entries, position.terms.multiplier))
    seen = _seen(position)
    fold = _opened(position, currency)
    for at, trade in enumerate(trades):
        if at and not at % TRADES_PER_CHECKPOINT:
            yield None
            if _seen(position) != seen:
                yield ""
                return
        while entries and entries[0].ts <= trade.ts:
            fold = _entered(fold, entries.pop(0), position.terms.multiplier)
        fault = _fault_of(trade, fold[5], position, belonging)
        if fault:
            yield fault
            return
        fold = _dealt(fold, trade, position)
    for entry in entries:
        fold = _entered(fold, entry, position.terms.multiplier)
    yield sum_fault(fold, position)


def _seen(position: AdjustedPosition) -> tuple[object, ...]:
    return position.identities, len(position.trades), position.entries


def _fault_of(trade: Trade, newest: Trade | None, position: AdjustedPosition, belonging: Belonging) -> str:
    owner, of_desk, stands = belonging
    if newest is not None and order_key(newest) >= order_key(trade):
        return NOT_IN_ORDER
    if trade.instrument not in position.terms.paths or (trade.desk if of_desk else trade.dealer) != owner:
        return NOT_ITS_TRADE
    return "" if stands(trade) else NOT_STANDING


def _factor(position: AdjustedPosition, item: Trade | Opening) -> Fraction:
    """New units for each old one of what is dated so."""
    factor, date = Fraction(1), item.trade_date if isinstance(item, Trade) else ""
    for split in position.terms.paths[item.instrument].splits:
        if date < split.ex_date if date else item.ts < split.start_ts:
            factor *= Fraction(split.ratio.new, split.ratio.old)
    return factor


def _opened(position: AdjustedPosition, currency: str) -> Fold:
    if position.base is not None:
        return position.base.fold
    quantity, cash, average, fees = 0, 0, None, NO_FEES
    for opening in position.openings:
        factor = _factor(position, opening)
        if signed := round(opening.quantity * factor):
            price = opening.average_price / ONE
            if factor != 1:
                price = price * factor.denominator / factor.numerator
            average = next_average(quantity, average, signed, price)
            quantity += signed
        cash += opening.realised * CASH_PER_ONE - opening.quantity * opening.average_price * position.terms.multiplier
        if opening.fees:
            fees = replace_fees(fees, NO_FEES, {currency: opening.fees})
    return quantity, cash, average, 0, fees, None


def _dealt(fold: Fold, trade: Trade, position: AdjustedPosition) -> Fold:
    quantity, cash, average, identities, fees, _ = fold
    _, price = position.terms.fold(trade)
    expected = round(trade.signed_quantity * _factor(position, trade))
    if expected:
        average = next_average(quantity, average, expected, price)
    if trade.fees:
        fees = replace_fees(fees, NO_FEES, {trade.fees_currency: trade.fees})
    return quantity + expected, cash + trade.cash, average, identities + trade_fingerprint(trade), fees, trade


def _entered(fold: Fold, entry: Entry, multiplier: int) -> Fold:
    quantity, cash, average, identities, fees, newest = fold
    if entry.signed:
        average = next_average(quantity, average, entry.signed, entry.price)
    elif entry.cost and average is not None:
        average -= entry.cash / (quantity * multiplier * ONE)
    return quantity + entry.signed, cash + entry.cash, average, identities, fees, newest
