"""Fields of the answers about VaR, with unit and sign."""

from typing import Any

from riskengine.scenarios.var import BY, INSTRUMENT, METHODS, NODE, SCENARIO
from riskengine.serve.answers.shapes import FLAG, INTEGER, NUMBER, TEXT, Field, Fields

_VAR = Field("var", NUMBER, "value at risk, a loss > 0; null with too few scenarios, or where nothing held has a vector")
_ES = Field("es", NUMBER, "expected shortfall, the mean loss of the tail")
_UNKNOWN = Field("unknown_count", INTEGER, "instruments held that are not in it, and positions that wait for a repair")
_PARTS: Fields = (
    Field("var_contribution", NUMBER, "what it loses in the scenario of the owner's VaR: these sum to it"),
    Field("es_contribution", NUMBER, "its share of the owner's expected shortfall: these sum to it"),
)
NODE_VAR: Fields = (
    Field("node", TEXT, "its name"),
    Field("level", TEXT, "its label"),
    Field("parent", TEXT, "the node above, null for the root"),
    _VAR,
    _ES,
    _UNKNOWN,
)
VAR_BY: dict[str, Fields] = {
    NODE: (Field("node", TEXT, "the child"), _VAR._replace(text="of the child alone"), _ES, _UNKNOWN, *_PARTS),
    INSTRUMENT: (
        Field("instrument", TEXT, "its symbol"),
        _VAR._replace(text="of the instrument alone; null where it has no vector"),
        _ES,
        *_PARTS,
        Field("reason", TEXT, "why it has no vector, else null"),
    ),
    SCENARIO: (
        Field("scenario", TEXT, "the day or the minute that it ends with"),
        Field("pnl", NUMBER, "P&L of the owner in it, profit > 0"),
        Field("tail_weight", NUMBER, "its weight in expected shortfall, 0 outside the tail"),
    ),
}
EVERY_VAR: Fields = tuple({field.name: field for fields in VAR_BY.values() for field in fields}.values())
BESIDE_VAR: Fields = (
    Field("by", TEXT, "what a row is of"),
    Field("node", TEXT, "the node, null for a dealer"),
    Field("dealer", TEXT, "the dealer, null for a node"),
    _VAR,
    _ES,
    Field("set_aside", INTEGER, "positions that wait for a repair and are not in it"),
)
BACKTEST_DAY: Fields = (
    Field("date", TEXT, "the day whose close is tested"),
    Field("next_date", TEXT, "the next day with closes"),
    Field("var", NUMBER, "value at risk of what was held at the close, a loss > 0; null with too few scenarios before it"),
    Field("pnl", NUMBER, "what that came to by the next close, without trades and fees"),
    Field("left_out", INTEGER, "positions that are in neither: options, forwards, and what lacks closes"),
    Field("exception", FLAG, "whether the loss was larger than VaR; null where one of both is unknown"),
)
BACKTEST: Fields = (
    Field("node", TEXT, "whose positions"),
    Field("method", TEXT, "historical"),
    Field("confidence", TEXT, "the level, a decimal"),
    Field("days", INTEGER, "days with VaR and P&L"),
    Field("exceptions", INTEGER, "of them, those that lost more than VaR"),
    Field("expected", NUMBER, "how many exceptions the level lets expect"),
    Field("kupiec", NUMBER, "likelihood ratio of Kupiec's test of the proportion of failures; null without days"),
    Field("p_value", NUMBER, "the probability of one as large if the level is right"),
    Field("light", TEXT, "Basel's traffic light: green, yellow or red; null with too few days"),
)
RULE_OF_VAR: Fields = (
    Field("method", TEXT, "historical: by daily closes; intraday: by the last minutes"),
    Field("confidence", TEXT, "the level, a decimal"),
    Field("es_convention", TEXT, "how a tail counts that is no whole number of scenarios"),
    Field("scenarios", INTEGER, "how many there are"),
    Field("fewest", INTEGER, "with fewer the figures are null"),
    Field("begins", TEXT, "the day or minute before the first; null without scenarios"),
    Field("ends", TEXT, "that of the last"),
)


def var_schema() -> dict[str, Any]:
    """What stands beside the rows of one owner's VaR."""
    named = {
        "type": "array",
        "items": {"type": "object", "properties": {"instrument": {"type": "string"}, "reason": {"type": "string"}}},
    }
    counted = {
        "type": "array",
        "items": {"type": "object", "properties": {"instrument": {"type": "string"}, "scenarios": {"type": "integer"}}},
    }
    fields = {field.name: field.schema() for field in (*RULE_OF_VAR, *BESIDE_VAR)}
    fields["by"] |= {"enum": list(BY)}
    fields["method"] |= {"enum": list(METHODS)}
    return fields | {
        "unknown": named | {"description": "what is held and not in the figures, with the reason"},
        "carried": counted | {"description": "what is held and has scenarios that end with an older close, with their count"},
    }
