"""Rows of cash and carry for tests, as the store gives them."""

from typing import Any

from riskengine.records.cash import CarryRow, CashRow
from tests.world import NOON


def cash(cash_id: str = "C1", amount: str = "1000", **columns: Any) -> CashRow:
    usual = {"version": 1, "node": "FX1", "currency": "USD", "ts": NOON, "comment": "", "received_ts": NOON} | columns
    return CashRow(cash_id=cash_id, amount=amount, **usual)


def carry(carry_id: str = "K1", amount: str = "-10", **columns: Any) -> CarryRow:
    usual: dict[str, Any] = {
        "version": 1,
        "desk": "FX1",
        "dealer": "ann",
        "instrument": "EURUSD",
        "currency": "USD",
        "ts": NOON,
        "type": "swap_points",
        "received_ts": NOON,
    }
    return CarryRow(carry_id=carry_id, amount=amount, **(usual | columns))
