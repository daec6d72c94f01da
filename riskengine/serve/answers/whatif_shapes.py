"""JSON schemas of `POST /v1/whatif` and its answer, with unit and sign."""

from typing import Any

from riskengine.scenarios.shocks import library
from riskengine.scenarios.whatif import AMOUNTS, COUNTS, ON_THE_GRID
from riskengine.serve.answers.shapes import MARGIN, NODE

Schema = dict[str, Any]

_TEXTS = {field.name: field for field in NODE}
_NUMBER: Schema = {"type": ["number", "null"]}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: Schema, text: str = "") -> Schema:
    return {"type": "array", "items": items} | ({"description": text} if text else {})


_SCOPE: Schema = {
    "instrument": {"type": "string", "description": "of spot one with a price of its own, of vol an option or its underlying"},
    "currency": {"type": "string", "description": "of spot: its value against all others, in all of its pairs; of rates"},
    "sector": {"type": ["string", "null"], "description": "all instruments of a sector"},
    "all": {"type": "boolean", "description": "everything"},
}
SHIFT_INPUT: Schema = _object(
    {
        "factor": {"type": "string", "enum": ["spot", "vol", "rate"], "default": "spot"},
        **_SCOPE,
        "relative": {"type": ["number", "null"], "description": "a fraction of what it is: -0.1 is 10 % down; not of rates"},
        "absolute": {
            "type": ["number", "null"],
            "description": "price units; of vols 0.02 is two points; of rates 0.01 is 1 % a year",
        },
    }
) | {"additionalProperties": False}
GRID_INPUT: Schema = _object(
    {
        "spot": _list({"type": "number"}, "relative moves of spot; without it 0 alone"),
        "vol": _list({"type": "number"}, "absolute moves of vol; without it 0 alone"),
        **_SCOPE,
    }
) | {"additionalProperties": False}
WHATIF_INPUT: Schema = _object(
    {
        "nodes": _list({"type": "string"}, "which nodes, up to 50; without it the root"),
        "trades": _list({"type": "object"}, "as of POST /v1/trades; trade_id and ts may be left out"),
        "shifts": _list({"$ref": "#/components/schemas/ShiftInput"}, "apply in their order"),
        "shock": {"type": ["string", "null"], "description": f"before the shifts: {', '.join(library())}, or a loaded scenario"},
        "grid": {"anyOf": [{"$ref": "#/components/schemas/WhatIfGrid"}, {"type": "null"}]},
        "var": {"type": "boolean", "default": False, "description": "also VaR and expected shortfall, before and after"},
        "limits": {"type": "boolean", "default": False, "description": "also the limits on the nodes"},
        "margin": {"type": "boolean", "default": False, "description": "also what margin rules ask of the nodes"},
    }
) | {"additionalProperties": False}

_AMOUNTS: Schema = {name: _NUMBER | {"description": _TEXTS[name].text} for name in AMOUNTS}
_COUNTS: Schema = {name: {"type": ["integer", "null"], "description": _TEXTS[name].text} for name in COUNTS}
_VAR: Schema = {"var": _NUMBER, "es": _NUMBER, "var_unknown_count": {"type": ["integer", "null"]}}
_SIDE: Schema = _object(_AMOUNTS | _COUNTS | _VAR, *AMOUNTS, *COUNTS)
_NAMED: Schema = _object({"instrument": {"type": "string"}, "reason": {"type": "string"}}, "instrument", "reason")

MARGIN_NUMBERS = (
    "available_cash",
    "market_value",
    "cost",
    "debit",
    "equity",
    "maintenance",
    "call",
    "trigger_value",
    "buying_power",
    "not_covered_count",
    "unknown_count",
    "worst_price_shift",
    "worst_vol_shift",
    "requirement",
    "available_after_margin",
)
"""What a margin rule says of an account before and after: fields of `GET /v1/margin`."""

_MARGIN_TEXTS = {field.name: field for field in MARGIN}
_MARGIN_SIDE: Schema = _object(
    {name: _NUMBER | {"description": _MARGIN_TEXTS[name].text} for name in MARGIN_NUMBERS}, *MARGIN_NUMBERS
)
_MARGIN_RULE: Schema = _object(
    {
        "rule_id": _TEXT,
        "version": {"type": "integer"},
        "kind": _TEXT,
        "node": _TEXT,
        "before": _MARGIN_SIDE,
        "after": _MARGIN_SIDE,
        "reason": _TEXT | {"description": "why available cash after is unknown"},
    },
    "rule_id",
    "node",
    "before",
    "after",
)
_LIMIT: Schema = _object(
    {
        "line": _TEXT | {"description": "the limit and its node"},
        "limit_id": _TEXT,
        "node": _TEXT,
        "measure": _TEXT,
        "currency": _TEXT_OR_NULL,
        "instrument": _TEXT_OR_NULL,
        "side": _TEXT,
        "severity": _TEXT,
        "limit": _NUMBER | {"description": "in the unit of the measure"},
        "before": _NUMBER | {"description": "the number now, as it is judged"},
        "after": _NUMBER | {"description": "the number in the what-if"},
        "headroom_before": _NUMBER | {"description": "how much further the number may go; below 0: how far it is beyond"},
        "headroom_after": _NUMBER | {"description": "the same in the what-if"},
        "state_before": _TEXT,
        "state_after": _TEXT | {"description": "without hysteresis"},
        "outcome": _TEXT | {"description": "pass, warn, unknown or refuse, as of POST /v1/check"},
        "reason": _TEXT,
    },
    "line",
    "measure",
    "before",
    "after",
    "headroom_before",
    "headroom_after",
    "state_before",
    "state_after",
    "outcome",
)

WHATIF_ROW: Schema = _object(
    {"node": {"type": "string"}, "before": _SIDE, "after": _SIDE, "change": _SIDE}, "node", "before", "after"
)
WHATIF_BESIDE: Schema = {
    "trades": {"type": "integer", "description": "how many took part"},
    "shock": {"type": ["string", "null"]},
    "unshifted": _list(_NAMED, "what is held and stands still because the shock has no closes of it"),
    "unvalued": _list(_NAMED, "what is held and has no value at the shifted prices, so that after is without it"),
    "standing": _list(
        _object({"index": {"type": "integer"}, "instruments": {"type": "integer"}}, "index", "instruments"),
        "shifts that found instruments without a price or vol, and how many",
    ),
    "grid": _list(
        _object(
            {"node": {"type": "string"}, "spot": {"type": "number"}, "vol": {"type": "number"}, "change": _NUMBER}
            | dict.fromkeys(ON_THE_GRID, _NUMBER),
            "node",
            "spot",
            "vol",
            "change",
            *ON_THE_GRID,
        ),
        "a row of each node and cell; change is that of total_pnl against before",
    ),
    "limits": _list(_LIMIT, "a row of each limit on the nodes, if asked for; but of those on intended trades"),
    "margin": _list(_MARGIN_RULE, "a row of each margin rule in force of the nodes, where margin was asked for"),
}
