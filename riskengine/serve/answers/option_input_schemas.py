"""JSON schemas of vols, rates and Greeks as they are posted, with the unit of every number."""

from typing import Any

from riskengine.records.fields import MAX_TEXT
from riskengine.records.option_input_checks import MAX_RATE, MAX_VOL

Schema = dict[str, Any]


def _number(text: str) -> Schema:
    return {"type": ["number", "string"], "description": text}


def _text(text: str) -> Schema:
    return {"type": "string", "maxLength": MAX_TEXT, "description": text}


def _object(properties: Schema, *required: str) -> Schema:
    shared = {
        "ts": {
            "type": ["integer", "string"],
            "description": "when it was observed: microseconds since 1970, UTC, or RFC 3339 with an offset",
        },
        "source": _text("who says so"),
    }
    return {
        "type": "object",
        "properties": properties | shared,
        "required": [*required, "ts"],
        "additionalProperties": False,
    }


_VOL = f"annual vol, a fraction: 0.0825 is 8.25 %; above 0, at most {MAX_VOL:g}"
_RATE = f"continuously compounded, ACT/365, a fraction: 0.045 is 4.5 %; at most {MAX_RATE:g} either way"
_DELTA = "a fraction: 0.002 is 0.2 % of vol"

VOL_INPUT = _object(
    {
        "instrument": _text("the option, of a vol of one option"),
        "vol": _number(f"of one option: {_VOL}"),
        "pair": _text("the pair or underlying, of a surface"),
        "expiry": _text("of a surface: YYYY-MM-DD, not past"),
        "atm": _number(f"of a surface, at the money: {_VOL}"),
        "rr25": _number(f"25-delta risk reversal, vol of the call less that of the put: {_DELTA}; with bf25"),
        "bf25": _number(f"25-delta butterfly, by the pair's bf_style: {_DELTA}; with rr25"),
        "rr10": _number(f"the same of 10 delta: {_DELTA}; with bf10"),
        "bf10": _number(f"the same of 10 delta: {_DELTA}; with rr10"),
    }
)
RATE_INPUT = _object(
    {
        "currency": _text("of a rate or a discount factor"),
        "underlying": _text("of a dividend yield"),
        "pair": _text("of forward points"),
        "date": _text("to when: YYYY-MM-DD, not past"),
        "rate": _number(f"of a currency or underlying, {_RATE}"),
        "df": _number("of a currency, instead of rate: the discount factor from the day of ts to date"),
        "points": _number("of a pair, in price units: outright = spot + points"),
    },
    "date",
)
GREEKS_INPUT = _object(
    {
        "instrument": _text("an option whose column greeks says pushed"),
        "spot": _number("quote currency for one unit of base: the spot that the others were computed with"),
        "vol": _number(f"that they were computed with: {_VOL}"),
        "value": _number("in the cash currency, in the unit of the option's price, before the multiplier; 0 or more"),
        "delta": _number("a fraction, by the option's delta type"),
        "gamma": _number("change of delta for 1.00 of spot"),
        "vega": _number("change of value for one vol point (0.01)"),
        "theta": _number("change of value for one calendar day"),
    },
    "instrument",
    "spot",
    "vol",
    "value",
    "delta",
    "gamma",
    "vega",
    "theta",
)
