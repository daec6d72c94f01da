"""What a cell of a forward is made from, beside what every cell is: outright, points and discount; P&L of points and of spot.

    spot part = (C + k q S) X D        points part = k q (F - S) X D        together the total P&L, without amounts beside cash

Of the day's position line the same: k q0 (S1 - S0) X1 D1 and k q0 ((F1 - S1) - (F0 - S0)) X1 D1. Numbers are exact texts of
doubles; null where unknown.
"""

import datetime as dt
import math

from riskengine.records.types import CASH_ONE
from riskengine.snapshot.rows import QUANTITY_ONE, RowDict
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.forward_values import NO_PAIR


def forward_receipt(snapshot: Snapshot, table: Table, owner: int, number: int) -> RowDict | None:
    """Of what an owner holds of a forward; None for any other instrument. O(forwards + rows of the owner); any thread."""
    market = snapshot.forwards
    at = None if market is None else market.place(number)
    if market is None or at is None:
        return None
    reference, units = snapshot.reference, snapshot.units
    pair, is_known = int(market.terms.pair[at]), bool(units.priced[number])
    spot = float(units.price[pair]) if pair != NO_PAIR and units.priced[pair] else None
    outright = float(units.price[number]) if is_known else None
    points = None if spot is None or outright is None else outright - spot
    found: RowDict = {
        "pair": reference.symbols[pair] if pair != NO_PAIR else None,
        "value_date": dt.date.fromordinal(int(market.terms.value_day[at])).isoformat(),
        "spot_date": dt.date.fromordinal(int(market.spot_day[at])).isoformat(),
        "spot": _text(spot),
        "points": _text(points),
        "outright": _text(outright),
        "discount": _text(float(market.discount[at])) if market.has_discount[at] else None,
        "is_fixed": bool(market.fixed[at]),
        "reason": market.reasons[at] or None,
    }
    return found | _parts(snapshot, table, owner, number, spot, points) | _day_parts(snapshot, table, owner, number, pair)


def _parts(snapshot: Snapshot, table: Table, owner: int, number: int, spot: float | None, points: float | None) -> RowDict:
    """What the position would be worth at spot, and what the points add."""
    row, units = table.row(owner, number), snapshot.units
    rate = float(units.rate[number]) if units.rated[number] else None
    if row is None or row.quarantined or spot is None or points is None or rate is None:
        return {"spot_pnl": None, "points_pnl": None}
    size = row.quantity * snapshot.reference.instruments[number].contract_multiplier / QUANTITY_ONE
    return {"spot_pnl": _text((row.cash / CASH_ONE + size * spot) * rate), "points_pnl": _text(size * points * rate)}


def _day_parts(snapshot: Snapshot, table: Table, owner: int, number: int, pair: int) -> RowDict:
    """The position line of the day, by what spot and what points have moved."""
    unknown: RowDict = {"day_spot_pnl": None, "day_points_pnl": None}
    units, day = snapshot.units, snapshot.day
    start = None if day is None or table.day is None else table.day.start.start(owner, number)
    if day is None or start is None or pair == NO_PAIR or not (units.priced[number] and units.rated[number]):
        return unknown
    before, spot_before = day.prices.price.item(number), day.prices.price.item(pair)
    if not start.quantity:
        return {"day_spot_pnl": _text(0.0), "day_points_pnl": _text(0.0)}
    if math.isnan(before) or math.isnan(spot_before):
        return unknown
    size = start.quantity * snapshot.reference.instruments[number].contract_multiplier / QUANTITY_ONE
    moved = float(units.price[pair]) - spot_before
    rate = float(units.rate[number])
    points = (float(units.price[number]) - before) - moved
    return {"day_spot_pnl": _text(size * moved * rate), "day_points_pnl": _text(size * points * rate)}


def _text(amount: float | None) -> str | None:
    return None if amount is None else repr(amount + 0.0)
