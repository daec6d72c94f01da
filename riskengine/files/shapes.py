"""The columns of each kind of file that can be read: which there are, and which a file must have."""

from collections.abc import Mapping
from typing import Any

import msgspec

from riskengine.records.actions import ActionInput
from riskengine.records.calendars import CalendarInput
from riskengine.records.cash import CarryInput, CashInput
from riskengine.records.decode import TickInput, TradeInput
from riskengine.records.limits import LimitInput
from riskengine.records.margin_rules import MarginRuleInput
from riskengine.records.option_input_checks import RateInput, VolInput
from riskengine.records.reference_input import CloseInput, InstrumentInput, MarkInput, NodeInput, OpeningInput
from riskengine.records.scenario_shifts import ScenarioShiftInput


class Shape(msgspec.Struct, frozen=True):
    """The columns of a kind of file. `required` are groups; the file needs one column or more of each group."""

    what: str = "row"
    columns: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()


ANY = Shape()
"""A file of any columns, each under its own name."""


def _shape(what: str, sent: type[Any], *required: tuple[str, ...]) -> Shape:
    return Shape(what, sent.__struct_encode_fields__, required)


NODES = _shape("node", NodeInput, ("node",), ("parent",))
INSTRUMENTS = _shape("instrument", InstrumentInput, ("instrument",), ("kind",), ("quote_currency",))
TRADES = _shape(
    "trade",
    TradeInput,
    ("trade_id",),
    # A file with actions may hold cancels alone, which need no other column.
    *((column, "action") for column in ("ts", "instrument", "desk", "side", "quantity", "price")),
)
TICKS = _shape("tick", TickInput, ("instrument",), ("ts",), ("bid", "ask", "mid"))
OPENINGS = _shape("position", OpeningInput, ("desk",), ("instrument",), ("ts",), ("quantity",))
CLOSES = _shape("close", CloseInput, ("date",), ("instrument",), ("price",))
CALENDARS = _shape("calendar entry", CalendarInput, ("calendar",), ("kind",))
MARKS = _shape("mark", MarkInput, ("instrument",), ("ts",), ("price",))
VOLS = _shape("vol", VolInput, ("instrument", "pair"), ("ts",), ("vol", "atm"))
RATES = _shape("rate", RateInput, ("currency", "underlying", "pair"), ("date",), ("ts",), ("rate", "df", "points"))
CASH = _shape("movement", CashInput, ("cash_id",), ("node",), ("currency",), ("ts",), ("amount",))
CARRY = _shape("carry record", CarryInput, ("carry_id",), ("desk",), ("instrument",), ("ts",), ("amount",), ("type",))
ACTIONS = _shape("corporate action", ActionInput, ("action_id",), ("kind",))
SCENARIOS = _shape("shift", ScenarioShiftInput, ("scenario",), ("instrument", "currency", "sector", "all"))
LIMITS = _shape("limit", LimitInput, ("limit_id",), ("measure",), ("limit",), ("node", "dealer", "level"))
MARGIN_RULES = _shape("margin rule", MarginRuleInput, ("rule_id",), ("kind",), ("node",))
STATEMENT = Shape(
    "statement",
    ("node", "desk", "dealer", "instrument", "quantity", "net_cash", "average_price"),
    (("instrument",), ("quantity",)),
)

MAPPED: Mapping[str, Shape] = {
    "trades": TRADES,
    "ticks": TICKS,
    "positions": OPENINGS,
    "calendars": CALENDARS,
    "closes": CLOSES,
    "marks": MARKS,
    "vols": VOLS,
    "rates": RATES,
    "cash": CASH,
    "carry": CARRY,
    "actions": ACTIONS,
    "scenarios": SCENARIOS,
    "limits": LIMITS,
    "margin": MARGIN_RULES,
    "statement": STATEMENT,
    "nodes": NODES,
    "instruments": INSTRUMENTS,
}
"""The kinds that a mapping can describe."""

INPUTS: Mapping[str, type[msgspec.Struct] | None] = {
    "trades": TradeInput,
    "ticks": TickInput,
    "positions": OpeningInput,
    "calendars": CalendarInput,
    "closes": CloseInput,
    "marks": MarkInput,
    "vols": VolInput,
    "rates": RateInput,
    "cash": CashInput,
    "carry": CarryInput,
    "actions": ActionInput,
    "scenarios": ScenarioShiftInput,
    "limits": LimitInput,
    "margin": MarginRuleInput,
    "statement": None,
    "nodes": NodeInput,
    "instruments": InstrumentInput,
}
"""The loose record that a row of each kind becomes; a statement's rows become none."""
