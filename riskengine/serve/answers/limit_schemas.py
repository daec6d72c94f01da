"""JSON schemas of limits, margin rules and acknowledgements as they are posted."""

from typing import Any

from riskengine.records.fields import MAX_INTEGER, MAX_REMARK, MAX_TEXT
from riskengine.records.limits import HYSTERESIS, LIMIT_MEASURES, MOST_HYSTERESIS, SEVERITIES, SIDES, WARNING
from riskengine.records.margin_rules import INITIAL, KINDS, MAINTENANCE

Schema = dict[str, Any]


def _number(text: str) -> Schema:
    return {"type": ["number", "string"], "description": text}


def _text(text: str, **more: Any) -> Schema:
    return {"type": "string", "maxLength": MAX_TEXT, "description": text} | more


def _object(properties: Schema, *required: str) -> Schema:
    dated: Schema = {
        "version": {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER, "default": 1},
        "from": _text("the first trading day in which it holds, YYYY-MM-DD; empty: no bound"),
        "to": _text("the last one; empty: no end"),
        "comment": _text("free text", maxLength=MAX_REMARK),
    }
    return {
        "type": "object",
        "properties": properties | dated,
        "required": list(required),
        "additionalProperties": False,
    }


LIMIT_INPUT = _object(
    {
        "limit_id": _text("its identity over all versions"),
        "measure": _text("what is limited", enum=list(LIMIT_MEASURES)),
        "node": _text("of this node; one of node, dealer and level"),
        "dealer": _text("of this dealer"),
        "level": _text("of every node of this level"),
        "currency": _text("of net_open_position and cash_on_date only, and needed there"),
        "instrument": _text("of measures of a position or a trade"),
        "counterparty": _text("of counterparty_exposure only; without it the largest"),
        "side": _text("where a number breaks the limit; without it that of the measure", enum=[*SIDES, ""]),
        "limit": _number("in the unit of the measure"),
        "severity": _text("hard refuses a checked trade, soft warns of it", enum=list(SEVERITIES), default=SEVERITIES[0]),
        "warning": _number(f"per cent of the limit from which it warns, 1 to 100; {WARNING:g} where absent"),
        "warning_margin": _number("instead of warning: the distance from the limit; a limit of 0 needs it"),
        "hysteresis": _number(f"per cent of the limit, 0 to {MOST_HYSTERESIS:g}; {HYSTERESIS:g} where absent"),
        "owner": _text("who answers for it"),
    },
    "limit_id",
    "measure",
    "limit",
)
MARGIN_RULE_INPUT = _object(
    {
        "rule_id": _text("its identity over all versions"),
        "kind": _text("what it works out", enum=list(KINDS)),
        "node": _text("the account"),
        "initial": _number(f"of reg_t: per cent of cost; {INITIAL:g} where absent"),
        "maintenance": _number(f"of reg_t: per cent of market value; {MAINTENANCE:g} where absent"),
        "price_shifts": _text("of scenario: shifts of every price in per cent, such as -10 0 10", maxLength=MAX_REMARK),
        "vol_shifts": _text("of scenario: shifts of every vol in per cent of itself", maxLength=MAX_REMARK),
        "minimum_equity": _number("of day_trading: reporting currency"),
        "day_trades": {"type": ["integer", "null"], "description": "of day_trading: so many in days"},
        "days": {"type": ["integer", "null"], "description": "of day_trading: trading days"},
    },
    "rule_id",
    "kind",
    "node",
)
