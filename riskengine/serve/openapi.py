"""The OpenAPI 3.1 document of the HTTP interface, made from the table that the routes are made from."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from riskengine import __version__
from riskengine.limits.check import OUTCOMES
from riskengine.observe import METRICS_CONTENT_TYPE, TRADE_OUTCOMES
from riskengine.records.actions import ActionKind
from riskengine.records.cash import CARRY_TYPES
from riskengine.records.decode import NAMED_ATTRIBUTES
from riskengine.records.fields import MAX_INTEGER, MAX_REMARK, MAX_TEXT
from riskengine.serve.access.identity import COOKIE
from riskengine.serve.answers import shapes
from riskengine.serve.answers.explain_shapes import EXPLAIN, explain_schema
from riskengine.serve.answers.limit_schemas import LIMIT_INPUT, MARGIN_RULE_INPUT
from riskengine.serve.answers.option_input_schemas import GREEKS_INPUT, RATE_INPUT, VOL_INPUT
from riskengine.serve.answers.params import AS_OF
from riskengine.serve.answers.problems import PROBLEM_JSON
from riskengine.serve.answers.shapes import POLICIES, Fields
from riskengine.serve.answers.var_shapes import BACKTEST, BACKTEST_DAY, EVERY_VAR, NODE_VAR, RULE_OF_VAR, var_schema
from riskengine.serve.answers.whatif_shapes import GRID_INPUT, SHIFT_INPUT, WHATIF_BESIDE, WHATIF_INPUT, WHATIF_ROW
from riskengine.serve.operations import Operation
from riskengine.serve.routes.cash import CASH_OUTCOMES
from riskengine.serve.routes.closes import CLOSE_OUTCOMES
from riskengine.serve.routes.feeds import FEED_ACTIONS
from riskengine.serve.routes.limits import RULE_OUTCOMES
from riskengine.serve.routes.marks import MARK_OUTCOMES
from riskengine.snapshot.exposure import BY, TOP
from riskengine.snapshot.groups import BY as GROUP_BY

Schema = dict[str, Any]

INTRODUCTION = (
    "Position and P&L of a dealing desk, right now. Times are microseconds since the Unix epoch, UTC. Amounts without a suffix "
    "are in the reporting currency, prices, net_cash and _local ones in the row's currency; unknown is null. Every answer says "
    "which snapshot it is about (epoch, seq, as_of). Errors are RFC 9457 problems. The websockets /v1/stream and /v1/ingest "
    "stand beside these routes."
)


def _object(properties: Schema, required: Iterable[str] = ()) -> Schema:
    needed = list(required)
    return {"type": "object", "properties": properties} | ({"required": needed} if needed else {})


def _row(fields: Fields, *, required: bool = True) -> Schema:
    return _object({field.name: field.schema() for field in fields}, shapes.names(fields) if required else ())


_INTEGER: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string"}
_DECIMAL: Schema = {"type": ["number", "string"], "description": "exact either way"}
_TIME: Schema = {"type": ["integer", "string"], "description": "microseconds since the epoch, or RFC 3339 with an offset"}
_STAMP: Schema = {"epoch": _INTEGER, "seq": _INTEGER, "as_of": _INTEGER}
_MOMENT: Schema = {
    "asked": _INTEGER | {"description": "the time that was asked for"},
    "exact_at": {
        "type": ["integer", "null"],
        "description": "the recorded instant that the answer is of; null where nothing was recorded",
    },
    "known": {"type": "string", "enum": ["then", "now"]},
    "unknown": {"type": "array", "items": _TEXT, "description": "sentences: what could not be restored as it was"},
}
_ERRORS: Schema = {
    "type": "array",
    "items": _object({"index": {"type": ["integer", "null"]}, "field": _TEXT, "reason": _TEXT}, ("index", "field", "reason")),
}
_COMMENT = _TEXT | {"minLength": 1, "maxLength": 2_000, "pattern": "^[^\\u0000]*$"}
_WARNINGS: Schema = {
    "type": "array",
    "items": _object({"kind": _TEXT, "text": _TEXT, "since": _INTEGER}, ("kind", "text", "since")),
}
ATTRIBUTE_TEXT = "outside the economics: stored and sent on, in no sum; a repeat with another one is a duplicate"
_TRADE_INPUT = _object(
    {
        "source": _TEXT | {"default": "api"},
        "trade_id": _TEXT,
        "leg": _INTEGER | {"default": 0, "minimum": 0},
        "version": _INTEGER
        | {
            "minimum": 1,
            "maximum": MAX_INTEGER,
            "description": "1 where the action is new; an amend or cancel names its version",
        },
        "action": _TEXT | {"enum": ["new", "amend", "cancel"], "default": "new"},
        "ts": _TIME,
        "source_seq": {"type": ["integer", "string"], "default": 0, "description": "below 2^63; a text above 2^53"},
        "instrument": _TEXT,
        "desk": _TEXT | {"description": "a leaf node"},
        "dealer": _TEXT,
        "side": _TEXT | {"enum": ["buy", "sell"]},
        "quantity": _DECIMAL,
        "price": _DECIMAL,
        "fees": _DECIMAL,
        "fees_currency": _TEXT,
        "value_date": _TEXT,
        "trade_date": _TEXT,
        "booked_ts": _TIME,
        "contra_amount": _DECIMAL,
        "legs": _INTEGER,
        "currency": _TEXT | {"description": "a check: the cash currency, or its minor unit, in which the amounts then are"},
        **{name: _TEXT | {"maxLength": MAX_TEXT, "description": ATTRIBUTE_TEXT} for name in NAMED_ATTRIBUTES},
        "comment": _TEXT | {"maxLength": MAX_REMARK, "description": ATTRIBUTE_TEXT},
        "store_seq": {"description": "known and ignored, so that what was read can be posted"},
        "received_ts": {"description": "known and ignored, so that what was read can be posted"},
    },
    ("trade_id",),
) | {"additionalProperties": False}
_TICK_INPUT = _object(
    {"instrument": _TEXT, "ts": _TIME, "bid": _DECIMAL, "ask": _DECIMAL, "mid": _DECIMAL, "source": _TEXT},
    ("instrument", "ts"),
) | {"additionalProperties": False}
_ACTION_INPUT = _object(
    {
        "action_id": _TEXT,
        "version": _INTEGER | {"minimum": 1, "maximum": MAX_INTEGER, "description": "1 where absent; a cancel names its own"},
        "instrument": _TEXT,
        "kind": _TEXT | {"enum": [kind.value for kind in ActionKind]},
        "ex_date": _TEXT | {"description": "the trading day from whose start it counts, YYYY-MM-DD"},
        "ratio": _TEXT | {"description": "new:old, such as 4:1, or 1:10 for a reverse split"},
        "amount": _DECIMAL,
        "currency": _TEXT,
        "into": _TEXT,
        "cost_share": _DECIMAL,
        "received_ts": {"description": "known and ignored, so that what was read can be posted"},
    },
    ("action_id", "kind"),
) | {"additionalProperties": False}
_ACTION_RESULT = _object(
    {
        "action_id": {"type": ["string", "null"]},
        "version": {"type": ["integer", "null"]},
        "status": _TEXT | {"enum": list(TRADE_OUTCOMES)},
        "reason": _TEXT,
    },
    ("action_id", "version", "status", "reason"),
)
_CLOSE_INPUT = _object(
    {
        "date": _TEXT | {"format": "date"},
        "instrument": _TEXT,
        "price": _DECIMAL,
        "source": _TEXT | {"description": "decides the unit of the price, where that source quotes in another one"},
        "currency": _TEXT | {"description": "the unit of the price: the cash currency, or its minor unit"},
    },
    ("date", "instrument", "price"),
) | {"additionalProperties": False}
_CLOSE_RESULT = _object(
    {
        "date": {"type": ["string", "null"]},
        "instrument": {"type": ["string", "null"]},
        "status": _TEXT | {"enum": list(CLOSE_OUTCOMES)},
        "reason": _TEXT | {"description": "why it was rejected, or old and new price of a new version"},
    },
    ("date", "instrument", "status", "reason"),
)
_MARK_INPUT = _object(
    {
        "instrument": _TEXT,
        "ts": _TIME,
        "price": _DECIMAL,
        "author": _TEXT | {"maxLength": MAX_TEXT, "description": "without it the name of the token"},
        "reason": _TEXT | {"maxLength": MAX_REMARK},
        "expires_ts": _TIME | {"description": "until when it holds against the feeds; without it a newer price replaces it"},
        "action": _TEXT | {"enum": ["set", "clear"], "default": "set", "description": "clear ends the one that holds"},
        "currency": _TEXT | {"description": "the unit of the price: the cash currency, or its minor unit"},
    },
    ("instrument", "ts"),
) | {"additionalProperties": False}
_MARK_RESULT = _object(
    {
        "instrument": {"type": ["string", "null"]},
        "ts": {"type": ["integer", "null"]},
        "status": _TEXT | {"enum": list(MARK_OUTCOMES)},
        "reason": _TEXT,
    },
    ("instrument", "ts", "status", "reason"),
)
_TEXTS = {"type": "array", "items": _TEXT}
_IDENTITY = {
    "source": {"type": ["string", "null"]},
    "trade_id": {"type": ["string", "null"]},
    "leg": {"type": ["integer", "null"]},
    "version": {"type": ["integer", "null"]},
}
_TRADE_RESULT = _object(
    {
        **_IDENTITY,
        "status": _TEXT | {"enum": list(TRADE_OUTCOMES)},
        "late": {"type": "boolean"},
        "reason": _TEXT,
    },
    ("source", "trade_id", "leg", "version", "status", "late", "reason"),
)
_NOTICE = _object({"kind": _TEXT | {"enum": ["off_market", "possible_duplicate"]}, "reason": _TEXT}, ("kind", "reason"))
_TRADE_PREVIEW = _object(
    {
        **_IDENTITY,
        "status": _TEXT | {"enum": list(TRADE_OUTCOMES), "description": "what `POST /v1/trades` would answer now"},
        "reason": _TEXT,
        "instrument": {
            "type": ["string", "null"],
            "description": "in whose position it would stand: the pair, or the forward to its value date",
        },
        "notices": {"type": "array", "items": _NOTICE, "description": "what a person would be told, though it counts"},
    },
    (*_IDENTITY, "status", "reason", "instrument", "notices"),
)


def _versioned(id_name: str, properties: Schema, required: Iterable[str]) -> Schema:
    """A record with an id and versions, as it is posted."""
    version = _INTEGER | {"minimum": 1, "maximum": MAX_INTEGER, "default": 1}
    amount = _DECIMAL | {"description": "up to 10 decimals; 0 in a later version cancels"}
    fields = {id_name: _TEXT, "version": version} | properties | {"ts": _TIME, "amount": amount}
    return _object(fields, (id_name, *required, "ts", "amount")) | {"additionalProperties": False}


_CASH_INPUT = _versioned(
    "cash_id", {"node": _TEXT, "currency": _TEXT, "comment": _TEXT | {"maxLength": 2_000}}, ("node", "currency")
)
_CARRY_INPUT = _versioned(
    "carry_id",
    {
        "desk": _TEXT | {"description": "a leaf node"},
        "dealer": _TEXT,
        "instrument": _TEXT,
        "currency": _TEXT | {"description": "without it that of the instrument's cash"},
        "type": _TEXT | {"enum": list(CARRY_TYPES)},
    },
    ("desk", "instrument", "type"),
)


def _cash_answer(id_name: str) -> Schema:
    """What became of posted records, one by one."""
    result = _object(
        {
            id_name: {"type": ["string", "null"]},
            "version": {"type": ["integer", "null"]},
            "status": _TEXT | {"enum": list(CASH_OUTCOMES)},
            "reason": _TEXT,
        },
        (id_name, "version", "status", "reason"),
    )
    counts = _object(dict.fromkeys(CASH_OUTCOMES, _INTEGER), CASH_OUTCOMES)
    fields = {
        "epoch": _INTEGER,
        "seq": _INTEGER,
        "results": {"type": "array", "items": result},
        "errors": _ERRORS,
        "counts": counts,
    }
    return _object(fields, fields)


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": _reference(name)}


def _judged_one_by_one(name: str) -> Schema:
    """One item, or a list in which each item is taken or refused by itself: the answer names every refused one."""
    return {
        "description": f"one {name}, or a list; an item that is none is refused in its place, and the others are taken",
        "type": ["object", "array"],
        "items": {"anyOf": [_reference(name), {"description": "is refused in its place"}]},
    }


def _rules_answer(id_field: str) -> Schema:
    """The answer to posted limits or margin rules."""
    result = _object(
        {
            id_field: {"type": ["string", "null"]},
            "version": {"type": ["integer", "null"]},
            "status": _TEXT | {"enum": list(RULE_OUTCOMES)},
            "reason": _TEXT,
        },
        (id_field, "version", "status", "reason"),
    )
    return _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER | {"description": "of the newest snapshot: they are in force from it on"},
            "results": {"type": "array", "items": result},
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys(RULE_OUTCOMES, _INTEGER), RULE_OUTCOMES),
        },
        ("epoch", "seq", "results", "errors", "counts"),
    )


def _feed_row() -> Schema:
    holes: Schema = {"type": "array", "items": {"type": "array", "items": _INTEGER}}
    return _object(_row(shapes.FEED)["properties"] | {"missing": holes}, ("source",))


ROWS: dict[str, Schema] = {
    "NodeRow": _row(shapes.NODE),
    "DealerRow": _row(shapes.DEALER),
    "PositionRow": _object(_row(shapes.POSITION)["properties"], shapes.names(shapes.HOLDING)),
    "GroupRow": _row(shapes.GROUP),
    "CloseRow": _object(_row(shapes.CLOSE)["properties"], shapes.names((*shapes.CLOSED, *shapes.CLOSED_HOLDING))),
    "MarkRow": _row(shapes.MARK),
    "InstrumentRow": _row(shapes.INSTRUMENT),
    "DifferenceRow": _row(shapes.DIFFERENCE),
    "ExplainRow": _row(EXPLAIN),
    "TradeRow": _row(shapes.TRADE),
    "ExceptionRow": _row(shapes.EXCEPTION),
    "LimitRow": _row(shapes.LIMIT_LINE),
    "MarginRow": _row(shapes.MARGIN),
    "BreachRow": _row(shapes.BREACH),
    "AgendaRow": _row(shapes.AGENDA),
    "AuditRow": _row(shapes.AUDIT),
    "Point": _row(shapes.POINT),
    "CashFlow": _row(shapes.CASH_FLOW),
    "RiskRow": _row(shapes.RISK),
    "ExposureRow": _object(_row(shapes.EVERY_EXPOSURE)["properties"], shapes.names((*shapes.EXPOSURE, shapes.UNPRICED_HERE))),
    "VarRow": _row(EVERY_VAR, required=False),
    "NodeVarRow": _row(NODE_VAR),
    "BacktestDay": _row(BACKTEST_DAY),
}
"""The rows of lists."""

VALUED_ROWS = frozenset(
    {"NodeRow", "DealerRow", "PositionRow", "GroupRow", "CloseRow", "MarkRow", "Point", "CashFlow", "ExposureRow", "RiskRow"}
    | {"VarRow", "NodeVarRow", "BacktestDay", "LimitRow", "MarginRow", "DifferenceRow", "ExplainRow"}
)
"""Rows whose answers also carry the settings that decide their numbers."""

SCHEMAS: dict[str, Schema] = {
    **ROWS,
    "Policies": _object(POLICIES, POLICIES),
    "Moment": _object(_MOMENT, _MOMENT) | {"description": "of an answer with as_of"},
    "Side": _object(_STAMP | _MOMENT | {"asked": {"type": ["integer", "null"]}}, (*_STAMP, *_MOMENT))
    | {"description": "one of two moments; `asked` is null for the newest snapshot"},
    "Problem": _object(
        {"type": _TEXT, "title": _TEXT, "status": _INTEGER, "detail": _TEXT, "errors": _ERRORS},
        ("type", "title", "status", "detail", "errors"),
    ),
    "Health": _object({"status": _TEXT}, ("status",)),
    "Ready": _object({"state": _TEXT, "progress": {"type": "number"}, "warnings": _WARNINGS}, ("state", "progress", "warnings")),
    "Metrics": _TEXT,
    "Status": _object(
        {field.name: field.schema() for field in shapes.STATUS}
        | {"policies": _reference("Policies"), "feeds": _list_of("FeedRow"), "warnings": _WARNINGS},
        shapes.names(shapes.STATUS),
    ),
    "Session": _object(
        {field.name: field.schema() for field in shapes.SESSION}
        | {"roles": _TEXTS}
        | {key: {"type": ["array", "null"], "items": _TEXT} for key in ("nodes", "dealers")},
        shapes.names(shapes.SESSION),
    ),
    "Digest": _object(
        _STAMP | {"digest": _TEXT | {"pattern": "^[0-9a-f]{64}$"}, "watermark": _INTEGER},
        ("epoch", "seq", "as_of", "digest", "watermark"),
    ),
    "Receipt": _object(
        _STAMP
        | {
            "moment": _reference("Moment"),
            "reporting_currency": _TEXT,
            "policies": _reference("Policies"),
            "instrument": _TEXT,
            "currency": _TEXT,
            "multiplier": _TEXT | {"description": "the lot size k: of quantities and deltas"},
            "contract_multiplier": _TEXT
            | {"description": "cash of one unit at a price of 1: k times the unit of an option's price; the k of the arithmetic"},
            "watermark": _INTEGER,
            "node": {"type": ["string", "null"]},
            "dealer": _TEXT,
            "row": {"type": ["object", "null"], "description": "the cell's row, numbers as texts"},
            "mark": {"type": "object"},
            "rate": {"type": "object"},
            "option": {
                "type": ["object", "null"],
                "description": "of an option: model, inputs and the rows behind them with times and sources, the terms of the"
                " formula, value and Greeks per unit of base (raw derivatives), the Greeks of the position in published units",
            },
            "forward": {
                "type": ["object", "null"],
                "description": "of a forward: points, discount, P&L of spot and of points",
            },
            "beside_rates": {"type": "object", "description": "of the currencies of amounts beside net cash"},
            "positions": {"type": "array", "items": {"type": "object"}},
            "day": {"type": ["object", "null"], "description": "the position at the last close, from which the day's lines come"},
            "arithmetic": {"type": "array", "items": {"type": "object"}},
        },
        ("epoch", "seq", "as_of", "instrument", "row", "mark", "rate", "positions", "arithmetic"),
    ),
    "Holdings": _TEXT | {"description": "a header line, then a line for each node and dealer that holds something"},
    "Reconcile": _object({"repair": {"type": "boolean", "default": False}}) | {"additionalProperties": False},
    "Reconciliation": _object(
        {
            "clean": {"type": "boolean", "description": "as found, before any repair"},
            "against": _TEXT,
            "compared": _INTEGER,
            "epoch": _INTEGER,
            "seq": _INTEGER,
            "watermark": _INTEGER,
            "started_ts": _INTEGER,
            "took_ms": _INTEGER,
            "open": _INTEGER,
            "breaks": {"type": "array", "items": {"type": "object"}},
        },
        ("clean", "compared", "watermark", "breaks"),
    ),
    "Breaks": _object(
        _STAMP
        | {
            "last": {"type": ["object", "null"]},
            "rows": {"type": "array", "items": {"type": "object"}},
            "total": _INTEGER,
        },
        ("epoch", "seq", "as_of", "last", "rows", "total"),
    ),
    "Break": {"type": "object", "description": "one of the rows of `/v1/breaks`"},
    "Comment": _object({"comment": _COMMENT | {"pattern": "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"}}, ("comment",))
    | {"additionalProperties": False},
    "Verdict": _object(
        {
            "action": {"type": "string", "enum": ["accept", "reject", "comment"]},
            "comment": _COMMENT | {"minLength": 0, "default": ""},
        },
        ("action",),
    )
    | {"additionalProperties": False},
    "Decided": _object(
        _STAMP | {field.name: field.schema() for field in shapes.EXCEPTION}, ("epoch", "seq", "as_of", "id", "kind", "verdict")
    ),
    "FeedRow": _feed_row(),
    "FeedAction": _object({"action": _TEXT | {"enum": list(FEED_ACTIONS)}}, ("action",)) | {"additionalProperties": False},
    "LimitInput": LIMIT_INPUT,
    "Limits": _judged_one_by_one("LimitInput"),
    "LimitsAnswer": _rules_answer("limit_id"),
    "MarginRuleInput": MARGIN_RULE_INPUT,
    "MarginRules": _judged_one_by_one("MarginRuleInput"),
    "MarginRulesAnswer": _rules_answer("rule_id"),
    "Acknowledgement": _object({"action": _TEXT | {"enum": ["acknowledge"]}, "comment": _COMMENT}, ("action", "comment"))
    | {"additionalProperties": False},
    "BreachOfLimit": _object(_STAMP | _row(shapes.BREACH)["properties"], ("epoch", "seq", "as_of", *shapes.names(shapes.BREACH))),
    "CheckAnswer": _object(
        _STAMP
        | {
            "outcome": _TEXT | {"enum": list(OUTCOMES), "description": "the worst of all rules"},
            "results": {
                "type": "array",
                "items": _object(
                    {"trade_id": {"type": ["string", "null"]}, "outcome": _TEXT | {"enum": list(OUTCOMES)}, "reason": _TEXT},
                    ("trade_id", "outcome", "reason"),
                ),
            },
            "rules": {"type": "array", "items": _row(shapes.RULE)},
            "errors": _ERRORS,
        },
        ("epoch", "seq", "as_of", "outcome", "results", "rules", "errors"),
    ),
    "ActionInput": _ACTION_INPUT,
    "Actions": _judged_one_by_one("ActionInput"),
    "ActionResult": _ACTION_RESULT,
    "ActionsAnswer": _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER | {"description": "of a snapshot that shows those in force, already published"},
            "results": _list_of("ActionResult"),
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys(TRADE_OUTCOMES, _INTEGER), TRADE_OUTCOMES),
        },
        ("epoch", "seq", "results", "counts", "errors"),
    ),
    "TradeInput": _TRADE_INPUT,
    "Trades": _judged_one_by_one("TradeInput"),
    "TradeResult": _TRADE_RESULT,
    "TradesAnswer": _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER | {"description": "of the snapshot that holds them, already published"},
            "results": _list_of("TradeResult"),
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys((*TRADE_OUTCOMES, "rounded"), _INTEGER), (*TRADE_OUTCOMES, "rounded")),
        },
        ("epoch", "seq", "results", "errors", "counts"),
    ),
    "ShiftInput": SHIFT_INPUT,
    "WhatIfGrid": GRID_INPUT,
    "WhatIfInput": WHATIF_INPUT,
    "WhatIfAnswer": _object(
        _STAMP
        | {"reporting_currency": _TEXT, "policies": _reference("Policies"), "rows": {"type": "array", "items": WHATIF_ROW}}
        | WHATIF_BESIDE
        | {"total": _INTEGER},
        ("epoch", "seq", "as_of", "rows", "total", *WHATIF_BESIDE),
    ),
    "TradePreview": _TRADE_PREVIEW,
    "TradesPreview": _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER | {"description": "of the newest snapshot: nothing was stored"},
            "results": _list_of("TradePreview"),
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys((*TRADE_OUTCOMES, "rounded"), _INTEGER), (*TRADE_OUTCOMES, "rounded")),
        },
        ("epoch", "seq", "results", "errors", "counts"),
    ),
    "CashInput": _CASH_INPUT,
    "CashRecords": _judged_one_by_one("CashInput"),
    "CashAnswer": _cash_answer("cash_id"),
    "CarryInput": _CARRY_INPUT,
    "CarryRecords": _judged_one_by_one("CarryInput"),
    "CarryAnswer": _cash_answer("carry_id"),
    "CloseInput": _CLOSE_INPUT,
    "Closes": _judged_one_by_one("CloseInput"),
    "CloseResult": _CLOSE_RESULT,
    "ClosesAnswer": _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER,
            "results": _list_of("CloseResult"),
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys(CLOSE_OUTCOMES, _INTEGER), CLOSE_OUTCOMES),
        },
        ("epoch", "seq", "results", "errors", "counts"),
    ),
    "MarkInput": _MARK_INPUT,
    "Marks": _judged_one_by_one("MarkInput"),
    "MarkResult": _MARK_RESULT,
    "MarksAnswer": _object(
        {
            "epoch": _INTEGER,
            "seq": _INTEGER | {"description": "of a snapshot in which they are in force, already published"},
            "results": _list_of("MarkResult"),
            "errors": _ERRORS,
            "counts": _object(dict.fromkeys(MARK_OUTCOMES, _INTEGER), MARK_OUTCOMES),
        },
        ("epoch", "seq", "results", "errors", "counts"),
    ),
    "TickInput": _TICK_INPUT,
    "Ticks": _judged_one_by_one("TickInput"),
    "VolInput": VOL_INPUT,
    "Vols": _judged_one_by_one("VolInput"),
    "RateInput": RATE_INPUT,
    "Rates": _judged_one_by_one("RateInput"),
    "GreeksInput": GREEKS_INPUT,
    "GreeksRows": _judged_one_by_one("GreeksInput"),
    "OptionInputsAnswer": _object(
        {
            "accepted": _INTEGER | {"description": "in force with the next beat, or known already"},
            "refused": _INTEGER,
            "older": _INTEGER | {"description": "without effect: a newer one of the same subject, by ts, is in force"},
            "errors": _ERRORS,
        },
        ("accepted", "refused", "older", "errors"),
    ),
    "TicksAnswer": _object({"accepted": _INTEGER, "refused": _INTEGER, "errors": _ERRORS}, ("accepted", "refused", "errors")),
}
"""Every body and answer, by the name that operations use."""


SECURITY_SCHEMES: Schema = {
    "token": {"type": "http", "scheme": "bearer", "description": "an access token, where the engine has some"},
    "login": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "what a browser gets at /login"},
}


def describe(operations: Iterable[Operation]) -> Schema:
    """The whole document; it contains its own route too."""
    paths: dict[str, Schema] = {"/openapi.json": {"get": _itself()}}
    for operation in operations:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "riskengine",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY_SCHEMES},
        "security": [{}, {"token": []}, {"login": []}],
    }


def _itself() -> Schema:
    ok = {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}
    responses = {"200": ok} | {str(status): _failure(status) for status in (401, 403, 429)}
    return {"operationId": "get_openapi_json", "summary": "This description", "responses": responses}


_ETAG: Schema = {"description": "stands for these very bytes; send it back in If-None-Match", "schema": _TEXT}
_VARY: Schema = {"description": "what chooses between the forms of the answer", "schema": _TEXT}
_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "ETags that the client has: 304 where one is current",
}
_CSV_HEADERS: Schema = {
    f"Riskengine-{name}": {"description": f"`{name.lower().replace('-', '_')}`, of an answer as CSV", "schema": _INTEGER}
    for name in ("Epoch", "Seq", "As-Of", "Total")
}
_MOMENT_HEADERS: Schema = {
    f"Riskengine-{name}": {"description": text, "schema": _TEXT}
    for name, text in {
        "Asked": "`moment.asked`, of an answer with as_of as CSV",
        "Exact-At": "`moment.exact_at`, empty where nothing was recorded",
        "Known": "`moment.known`",
        "Unknown": "`moment.unknown`, one sentence after the other, semicolons between",
    }.items()
}


def _operation(operation: Operation, path: str) -> Schema:
    in_path = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in re.findall(r"\{(\w+)\}", path)]
    in_query = [
        {"name": p.name, "in": "query", "required": p.required, "description": p.text, "schema": p.schema}
        for p in operation.parameters
    ]
    words = re.findall(r"[a-z0-9]+", path.removeprefix("/v1"))
    described: Schema = {
        "operationId": "_".join([operation.method.lower(), *words]),
        "summary": operation.summary,
        "parameters": in_path + in_query + ([_IF_NONE_MATCH] if operation.cacheable else []),
        "responses": {"200": _ok(operation)} | {str(status): _failure(status) for status in _fails(operation)},
    }
    if operation.needs.is_open:
        described["security"] = []
    if operation.cacheable:
        described["responses"]["304"] = {
            "description": "The client has the newest",
            "headers": {"ETag": _ETAG, "Vary": _VARY},
        }
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body != "Reconcile",
            "content": {"application/json": {"schema": _reference(operation.body)}},
        }
    return described


def _fails(operation: Operation) -> list[int]:
    """With tokens, every route that is not open can refuse: no token, a missing role or grant, too many failures."""
    return sorted({*operation.fails, *(() if operation.needs.is_open else (401, 403, 429))})


def _ok(operation: Operation) -> Schema:
    ok: Schema = {"description": operation.summary, "content": _content(operation)}
    headers = {"ETag": _ETAG, "Vary": _VARY} if operation.cacheable else {}
    if "text/csv" in ok["content"]:
        headers |= _CSV_HEADERS
        if AS_OF in operation.parameters:
            headers |= _MOMENT_HEADERS
    return ok | ({"headers": headers} if headers else {})


def _content(operation: Operation) -> Schema:
    if operation.answer == "Holdings":
        return {"application/x-ndjson": {"schema": _reference("Holdings")}}
    if operation.answer == "Metrics":
        return {METRICS_CONTENT_TYPE.partition(";")[0]: {"schema": _TEXT}}
    if operation.answer not in ROWS:
        return {"application/json": {"schema": _reference(operation.answer)}}
    properties = _STAMP | {"rows": _list_of(operation.answer), "total": _INTEGER}
    if operation.answer in VALUED_ROWS:
        properties |= {"reporting_currency": _TEXT, "policies": _reference("Policies")}
    if operation.answer == "Point":
        properties |= {"node": {"type": ["string", "null"]}, "measure": _TEXT, "bucket_s": {"type": ["number", "null"]}}
        properties |= {"dealer": {"type": ["string", "null"]}, "closes": _INTEGER, "drawdown": _row(shapes.DRAWDOWN)}
    if operation.answer == "CloseRow":
        owner: Schema = {"type": ["string", "null"]}
        properties |= {"date": _TEXT, "version": _INTEGER, "ts": _INTEGER, "struck_ts": _INTEGER, "node": owner, "dealer": owner}
    if operation.answer == "AgendaRow":
        day: Schema = {"type": ["string", "null"], "description": "YYYY-MM-DD"}
        moment: Schema = {"type": ["integer", "null"]}
        properties |= {"day": day, "day_start_ts": moment, "day_end_ts": moment, "closed": day}
    if operation.answer == "AuditRow":
        properties |= {"total": {"type": ["integer", "null"], "description": "null where there are more"}}
    if operation.answer == "DifferenceRow":
        properties |= {"from": _reference("Side"), "to": _reference("Side")}
    if operation.answer == "ExplainRow":
        properties |= explain_schema()
    if operation.answer == "ExposureRow":
        properties |= _beside_exposure()
    if operation.answer == "VarRow":
        properties |= var_schema()
    if operation.answer == "BacktestDay":
        properties |= {field.name: field.schema() for field in BACKTEST}
    if operation.answer == "NodeVarRow":
        properties |= {field.name: field.schema() for field in RULE_OF_VAR}
    if operation.answer == "GroupRow":
        whole: Schema = {"type": ["object", "null"], "description": "the row of the node or the dealer in the same snapshot"}
        either: Schema = {"type": ["string", "null"]}
        properties |= {"by": _TEXT | {"enum": list(GROUP_BY)}, "node": either, "dealer": either, "whole": whole}
    if operation.answer == "RiskRow":
        properties |= _beside_risk()
    if operation.answer == "CashFlow":
        total = _row(tuple(field for field in shapes.CASH_FLOW if field.name in ("value_date", "bucket", "amount_reporting")))
        total["properties"]["unpriced_count"] = _INTEGER
        totals: Schema = {"type": "array", "items": total}
        properties |= {"node": {"type": ["string", "null"]}, "today": _TEXT, "totals": totals, "quarantined_count": _INTEGER}
        properties |= {"awaiting_fixing": {"type": "array", "items": _row(shapes.AWAITING_FIXING)}}
    always = list(properties)
    if AS_OF in operation.parameters:
        properties |= {"moment": _reference("Moment")}
    content = {"application/json": {"schema": _object(properties, always)}}
    if any(parameter.name == "format" for parameter in operation.parameters):
        content["text/csv"] = {"schema": _TEXT | {"description": "a header line, then a line per row"}}
    return content


def _beside_exposure() -> Schema:
    """What stands beside the rows of an exposure."""
    name, owner = _row(shapes.NAME), {"type": ["string", "null"]}
    figures = {field.name: field.schema() for field in shapes.BESIDE_EXPOSURE}
    figures["largest"] |= {"properties": name["properties"], "required": name["required"]}
    figures["top_five"] = {"type": "array", "items": name, "maxItems": TOP}
    return {"by": _TEXT | {"enum": list(BY)}, "node": owner, "dealer": owner} | figures


def _beside_risk() -> Schema:
    """What stands beside the rows of a risk."""
    owner: Schema = {"type": ["string", "null"]}
    figures = {field.name: field.schema() for field in shapes.BESIDE_RISK} | {"left_out": {"type": "array", "items": _TEXT}}
    lists = {"by_underlying": shapes.BY_UNDERLYING, "by_expiry": shapes.BY_EXPIRY, "expiries": shapes.EXPIRING}
    return {"node": owner, "dealer": owner} | figures | {name: _array_of(fields) for name, fields in lists.items()}


def _array_of(fields: Fields) -> Schema:
    return {"type": "array", "items": _row(fields)}


def _failure(status: int) -> Schema:
    failure: Schema = {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM_JSON: {"schema": _reference("Problem")}},
    }
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = {"description": "seconds until it is worth asking again", "schema": _INTEGER}
        failure["headers"] = {"Retry-After": seconds}
    if status == HTTPStatus.UNAUTHORIZED:
        failure["headers"] = {"WWW-Authenticate": {"description": "how to say who asks", "schema": _TEXT}}
    return failure
