"""JSON schemas of `POST /v1/whatif` and its answer, with unit and sign."""

from typing import Any

from riskengine.scenarios.shocks import library
from riskengine.scenarios.whatif import AMOUNTS, COUNTS, ON_THE_GRID
from riskengine.serve.answers.shapes import NODE

Schema = dict[str, Any]

_TEXTS = {field.name: field for field in NODE}
_NUMBER: Schema = {"type": ["number", "null"]}


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
    }
) | {"additionalProperties": False}

_AMOUNTS: Schema = {name: _NUMBER | {"description": _TEXTS[name].text} for name in AMOUNTS}
_COUNTS: Schema = {name: {"type": ["integer", "null"], "description": _TEXTS[name].text} for name in COUNTS}
_VAR: Schema = {"var": _NUMBER, "es": _NUMBER, "var_unknown_count": {"type": ["integer", "null"]}}
_SIDE: Schema = _object(_AMOUNTS | _COUNTS | _VAR, *AMOUNTS, *COUNTS)
_NAMED: Schema = _object({"instrument": {"type": "string"}, "reason": {"type": "string"}}, "instrument", "reason")

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
}
