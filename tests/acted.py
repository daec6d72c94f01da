"""Corporate actions for tests, in the small world of `tests.world` with a few more instruments."""

from typing import Any

from riskengine.records.actions import Action, ActionInput, ActionRows, PriceBefore, check_action
from riskengine.records.decode import convert
from riskengine.records.types import Trade
from tests.world import INSTRUMENTS, NOON, SECOND, reference, trade

DAY = 86_400 * SECOND
EX_DATE = "2026-03-04"
"""The trading day of NOON."""
YESTERDAY = NOON - DAY

ROWS = (
    *INSTRUMENTS,
    {"instrument": "AAA", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 0},
    {"instrument": "BBB", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 0},
    {"instrument": "CCC", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 2},
    {
        "instrument": "AAA-C400",
        "kind": "equity_option",
        "quote_currency": "USD",
        "quantity_decimals": 0,
        "underlying": "AAA",
        "option_type": "call",
        "strike": "400",
        "expiry": "2026-06-19",
        "multiplier": "100",
    },
)
ACTED = reference(rows=ROWS)


def action(action_id: str = "a", received_ts: int = NOON, **columns: Any) -> Action:
    """An action as it passes the door; a 4:1 split of AAA unless the columns say otherwise."""
    plain = {"instrument": "AAA", "kind": "split", "ex_date": EX_DATE}
    if columns.get("kind") == "cancel":
        plain = {}
    elif columns.get("kind", "split") == "split":
        plain["ratio"] = "4:1"
    return check_action(convert({"action_id": action_id} | plain | columns, ActionInput), ACTED.by_symbol, received_ts)


def rows_of(*actions: Action, **closes: float) -> ActionRows:
    """What a store knows: actions, and closes of the day before by instrument."""
    return ActionRows(actions, {(symbol, EX_DATE): PriceBefore("2026-03-03", price) for symbol, price in closes.items()})


def dealt(trade_id: str, **columns: Any) -> Trade:
    """A trade in AAA, of yesterday unless the columns say otherwise."""
    plain: dict[str, Any] = {"instrument": "AAA", "ts": YESTERDAY, "price": "400"}
    return trade(trade_id, where=ACTED, **(plain | columns))
