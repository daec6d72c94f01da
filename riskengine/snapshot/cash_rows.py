"""NAV and available cash in the row of a node. Pure functions of a snapshot; any thread."""

import math
from collections.abc import Mapping
from typing import Any

from riskengine.records.types import CASH_ONE, CASH_PER_ONE
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.cash_values import NO_BALANCES, Balances

CASH_LINES = ("nav", "available_cash", "cash_translation_pnl")
"""The fields of a node's row that its cash adds."""


def cash_fields(snapshot: Snapshot, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """What cash adds to the row of a node, and the row's `unpriced_count` with the balances that have no rate.

    NAV and available cash sum what is known, as all amounts of a node. They are null where nothing is known and where the node
    itself holds cash in a currency without a rate; available cash also where a future below lacks a settlement price.
    """
    cash = snapshot.nodes.cash
    assert cash is not None, "the organisation has cash"
    total, realised, fees = row["total_pnl"], row["realised_pnl"], row["fees"]
    nav = available = None
    if number not in cash.unknown_own and fees is not None:
        if total is not None:
            nav = cash.movements.item(number) + total - fees + 0.0
        if realised is not None and number not in cash.unsettled:
            available = cash.available.item(number) + 0.0
    unpriced = row["unpriced_count"] + cash.unknown.get(number, 0)
    translation = None if nav is None else _translation(snapshot, number)
    return {"nav": nav, "available_cash": available, "cash_translation_pnl": translation, "unpriced_count": unpriced}


def _translation(snapshot: Snapshot, number: int) -> float | None:
    """What rates have done since the last close to the cash and the fees brought forward; None where a rate is unknown.

    NAV has moved by this, `net_day_pnl` and the movements of the day.
    """
    cash, table, day = snapshot.nodes.cash, snapshot.nodes.day, snapshot.day
    if cash is None or table is None or day is None:
        return None
    held = dict(cash.by_node.get(number, NO_BALANCES))
    for code, units in cash.since_start.get(number, NO_BALANCES).items():
        held[code] = held.get(code, 0) - units
    for code, fees in table.start.fees.get(number, {}).items():
        held[code] = held.get(code, 0) - fees * CASH_PER_ONE
    rates, index, total = snapshot.rates, snapshot.reference.currency_index, 0.0
    for code, units in sorted(held.items()):
        at = index.get(code)
        before = math.nan if at is None else day.prices.rate.item(at)
        if units and (at is None or not rates.fee_known.item(at) or math.isnan(before)):
            return None
        if units and at is not None:
            total += units / CASH_ONE * (rates.fee_value.item(at) - before)
    return total + 0.0


def balances_of(snapshot: Snapshot, number: int) -> Balances:
    """The external movements at or below a node, exact, by currency."""
    cash = snapshot.nodes.cash
    return NO_BALANCES if cash is None else cash.by_node.get(number, NO_BALANCES)
