"""Fields of the answer about why P&L moved, with unit and sign."""

from typing import Any

from riskengine.serve.answers.shapes import FLAG, INTEGER, NUMBER, TEXT, TIME, Field, Fields, names

LINE_FIELDS: Fields = (
    Field("price", NUMBER, "marks moved what was held at the beginning, at the rate of the end; 0 of an option"),
    Field("delta", NUMBER, "of an option, from its spot: first order"),
    Field("gamma", NUMBER, "of an option, from its spot: second order"),
    Field("vega", NUMBER, "of an option, from its vol"),
    Field("theta", NUMBER, "of an option, from the time that passed, up to its cut"),
    Field("trades", NUMBER, "trades since the beginning, at the mark of the end"),
    Field("carry", NUMBER, "cash dividends and financing since the beginning, at the rate of the end"),
    Field("translation", NUMBER, "rates moved the P&L that stood at the beginning"),
    Field("corrections", NUMBER, "trades of before the beginning that came, were amended or cancelled since; official prices"),
    Field(
        "unpriced",
        NUMBER,
        "the whole change where lines cannot be told apart: no price or rate at an end; null if at both",
    ),
    Field("unexplained", NUMBER, "of an option, what delta, gamma, vega and theta leave; exactly 0 of all else"),
)
FEES = Field("fees", NUMBER, "fees charged, and rates that moved those charged before: a cost is negative")
CHANGES: Fields = (
    Field("total_pnl", NUMBER, "the change of total_pnl: the sum of the lines but fees"),
    Field("net_pnl", NUMBER, "the change after fees: the sum of all lines"),
)
EXPLAIN: Fields = (
    Field("instrument", TEXT, "its symbol, as it is named at the end"),
    Field("currency", TEXT, "its cash currency"),
    Field("quantity_from", NUMBER, "what was held at the beginning, as was known then"),
    Field("quantity_to", NUMBER, "what was held at the end"),
    Field("mark_from", NUMBER, "its mark at the beginning"),
    Field("mark_to", NUMBER, "its mark at the end"),
    Field("rate_from", NUMBER, "the rate of its currency at the beginning"),
    Field("rate_to", NUMBER, "the rate of its currency at the end"),
    *LINE_FIELDS,
    CHANGES[0],
    FEES,
    CHANGES[1],
    Field("unpriced_count", INTEGER, "positions whose worth is unknown at an end, the larger number of both"),
    Field("reason", TEXT, "why it stands under unpriced, or a Greek is unknown, else null"),
)
END: Fields = (
    Field("ts", TIME, "the instant whose numbers these are: of a close the boundary"),
    Field("close", TEXT, "the date of the close; null where it is none"),
    Field("exact_at", TIME, "the recorded instant; null of a close, of now, and where nothing was recorded"),
    Field("total_pnl", NUMBER, "total P&L as was known then, before fees; null where positions are held and none is known"),
    Field("fees", NUMBER, "fees until then, a cost is positive"),
    Field("net_pnl", NUMBER, "total P&L less fees"),
    Field("position_count", INTEGER, "positions; of a close one for each instrument"),
    Field("unpriced_count", INTEGER, "of them, those whose worth is unknown"),
)
BESIDE_EXPLAIN: Fields = (
    Field("node", TEXT, "the node"),
    *CHANGES,
    Field("tolerance", NUMBER, "[explain] tolerance"),
    Field("alarmed", FLAG, "whether more than the tolerance is unexplained"),
)


def explain_schema() -> dict[str, Any]:
    """What stands beside the rows."""

    def described(fields: Fields) -> dict[str, Any]:
        return {field.name: field.schema() for field in fields}

    unknown = {
        "type": "array",
        "items": {"type": "string"},
        "description": "sentences: what could not be restored as it was",
    }
    end = {"type": "object", "properties": described(END) | {"unknown": unknown}, "required": [*names(END), "unknown"]}
    lines = (*LINE_FIELDS, FEES)
    sums = {
        "type": "object",
        "properties": described(lines),
        "required": list(names(lines)),
        "description": "the sums of the lines, in the order of a waterfall from `from.net_pnl` to `to.net_pnl`",
    }
    return described(BESIDE_EXPLAIN) | {"from": end, "to": end, "lines": sums}
