"""What non-deliverable forwards pay: one amount, the difference between what was dealt and the fixing, on the value date.

    settlement = (C + k q F) / F in the base currency, C + k q F in the quote currency        F the fixing

Neither of the two currencies of the pair changes hands as such. Before the fixing the amount is unknown: what it would be at the
outright of now is an estimate, and no flow. Pure; any thread.
"""

from fractions import Fraction

from riskengine.positions.ledger import Row
from riskengine.records.types import CASH_ONE, MULTIPLIER_DECIMALS, ONE, Instrument
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot

LEG_SCALE = CASH_ONE // (ONE * 10**MULTIPLIER_DECIMALS)
"""Turns k q into units of 1e-28."""


def settlement_amount(forward: Instrument, quantity: int, cash: int, price: float | None) -> int | None:
    """What a position is paid at a fixing, in its settlement currency: units of 1e-28, received where positive.

    `quantity` is in units of 1e-10, `cash` in units of 1e-28 of the quote currency. None while it depends on a price that is
    unknown: a flat position too is owed what it made in the quote currency, and paid in its settlement currency. 5 us.
    """
    if not quantity and (not cash or forward.settlement_currency == forward.currency):
        return cash
    if price is None or price <= 0.0:
        return None
    fixing = Fraction(repr(price))
    paid: Fraction = cash + quantity * forward.multiplier * LEG_SCALE * fixing
    return round(paid if forward.settlement_currency == forward.currency else paid / fixing)


def fixing_of(snapshot: Snapshot, number: int) -> float | None:
    """The fixing of a forward by number; None while nobody has said it. O(log forwards)."""
    return None if snapshot.forwards is None else snapshot.forwards.fixing_of(number)


def unfixed_row(snapshot: Snapshot, row: Row, cash: int) -> RowDict:
    """A position whose settlement waits for its fixing; the amount at the outright of now is null without one. 10 us."""
    forward = snapshot.reference.instruments[row.instrument]
    mark = snapshot.units.marks[row.instrument]
    units = settlement_amount(forward, row.quantity, cash, None if mark is None else mark.price)
    return {
        "instrument": forward.instrument,
        "quantity": row.quantity / ONE,
        "fixing_date": forward.fixing_date,
        "value_date": forward.expiry[:10],
        "currency": forward.settlement_currency,
        "amount_expected": None if units is None else units / CASH_ONE,
        "mark": None if mark is None else mark.price,
    }
