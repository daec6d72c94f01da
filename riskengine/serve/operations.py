"""The table of all HTTP operations: path, parameters, answer and handler. Routes and OpenAPI document are made from it."""

from collections.abc import Mapping
from typing import NamedTuple

from riskengine.limits.judge import STATES as LIMIT_STATES
from riskengine.records.types import MEASURES
from riskengine.scenarios.var import BY as VAR_BY
from riskengine.scenarios.var import HISTORICAL, METHODS
from riskengine.serve.access.permissions import (
    COMMENT,
    FEED,
    FEED_OR_OPS,
    OPEN,
    OPS,
    OPS_EVERYTHING,
    POST_TRADES,
    READ,
    READ_EVERYTHING,
    Need,
)
from riskengine.serve.answers import params, shapes
from riskengine.serve.answers.answers import Handler
from riskengine.serve.answers.explain_shapes import EXPLAIN
from riskengine.serve.answers.params import (
    AS_OF,
    ATTRIBUTES,
    BUCKET,
    CURRENCY_ASKED,
    DATE,
    DEALER,
    EXACT,
    FORMAT,
    FROM,
    INSTRUMENT,
    KEPT_OUT,
    KNOWN,
    LIMIT,
    LIMIT_IGNORED,
    NODE,
    OFFSET,
    SEQ,
    SINCE,
    SOURCE,
    STALE,
    TRADE_ID,
    UNTIL,
    Parameter,
)
from riskengine.serve.routes.actions import take_actions
from riskengine.serve.routes.agenda import AHEAD, answer_today
from riskengine.serve.routes.audit import ENTRY_KIND, OF_TRADE, answer_audit
from riskengine.serve.routes.backtest import answer_backtest
from riskengine.serve.routes.cash import answer_cash_ladder, take_carry, take_cash
from riskengine.serve.routes.check import take_check
from riskengine.serve.routes.closes import answer_closes, take_closes
from riskengine.serve.routes.diff import LISTS, answer_diff
from riskengine.serve.routes.exceptions import KINDS, answer_exceptions, take_verdict
from riskengine.serve.routes.explain import answer_explain
from riskengine.serve.routes.exposure import answer_exposure
from riskengine.serve.routes.feeds import take_feed_action
from riskengine.serve.routes.groups import answer_groups
from riskengine.serve.routes.history import DAYS, DEFAULT_MEASURE, answer_history
from riskengine.serve.routes.limits import answer_breaches, answer_limits, take_acknowledgement, take_limits, take_margin_rules
from riskengine.serve.routes.margin import answer_margin
from riskengine.serve.routes.marks import take_marks
from riskengine.serve.routes.option_inputs import take_greeks, take_rates, take_vols
from riskengine.serve.routes.positions import answer_ladder, answer_positions, answer_receipt
from riskengine.serve.routes.reads import answer_dealers, answer_instruments, answer_marks, answer_node, answer_nodes
from riskengine.serve.routes.reconcile import answer_breaks, answer_holdings, take_comment, take_reconcile
from riskengine.serve.routes.risk import answer_risk
from riskengine.serve.routes.session import answer_session
from riskengine.serve.routes.status import answer_digest, answer_health, answer_metrics, answer_ready, answer_status
from riskengine.serve.routes.trades import answer_stored_trades, check_trades, take_ticks, take_trades
from riskengine.serve.routes.var import answer_every_var, answer_var
from riskengine.serve.routes.whatif import answer_whatif
from riskengine.snapshot.agenda import AGENDA_KINDS
from riskengine.snapshot.exposure import BY, CURRENCY
from riskengine.snapshot.groups import BY as GROUP_BY
from riskengine.snapshot.groups import COUNTERPARTY


class Operation(NamedTuple):
    """One method of one path.

    answer      the schema of a 200 (`openapi.SCHEMAS`); a list answer if it names rows
    body        the schema of the request body
    fails       the statuses that it may answer beside 200
    cacheable   whether one answer about the newest snapshot serves every request with the same question and the same grants
    needs       what the principal must have (`permissions`); the handler cuts the answer to the principal's grants
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answer: str
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    fails: tuple[int, ...] = (400,)
    cacheable: bool = False
    needs: Need = READ


def _sort(fields: shapes.Fields) -> Parameter:
    """Sort by any of the fields. Rows of a node have no dealer and rows of a dealer no node: the document promises neither."""
    return params.sort_parameter(shapes.names(fields), shapes.names(shapes.HOLDING if fields is shapes.POSITION else fields))


_READ = (SEQ, EXACT, FORMAT)
_PAGE = (LIMIT, OFFSET)
_MOMENT = (AS_OF, KNOWN)
_READ_FAILS = (400, 404, 410, 503)
_MOMENT_FAILS = (*_READ_FAILS, 429)
_FLAT = params.flag_parameter("flat", "`false` hides rows without quantity", True)
_VERSIONS = params.choice_parameter("versions", "the highest of each trade, or all", ("latest", "all"), "latest")
_ACTION = params.choice_parameter("action", "of the version that is listed", ("new", "amend", "cancel"))
_BREAKS = params.choice_parameter("status", "those that are open, or all that are remembered", ("open", "all"), "open")
_BY = params.choice_parameter("by", "what a row is of", BY, CURRENCY)
_GROUP_BY = params.choice_parameter("by", "the attribute of trades", GROUP_BY, COUNTERPARTY)
_BY_SORT = params.sort_parameter(shapes.names(shapes.EVERY_EXPOSURE), shapes.names((*shapes.EXPOSURE, shapes.UNPRICED_HERE)))
_STATE = params.choice_parameter("state", "only limits that stand so", LIMIT_STATES)
_BREACHES = params.choice_parameter("status", "those that last, or also those that have ended", ("open", "all"), "open")
_MEASURE = params.choice_parameter("measure", "which amount", MEASURES, DEFAULT_MEASURE)
_DAYS = params.choice_parameter("days", "so many days back: the days before the samples in memory by their closes", DAYS)
_AGENDA_KIND = params.choice_parameter("kind", "only these", AGENDA_KINDS)
_KIND = params.choice_parameter("kind", "only these; without it all, kind by kind", KINDS)

_METHOD = params.choice_parameter("method", "by daily closes, or by the last minutes", METHODS, HISTORICAL)
_VAR_BY = params.choice_parameter("by", "what a row is of; without it children, where there are none instruments", VAR_BY)

_KNOWN = ("then", "now")
_DIFF = (
    params.moment_parameter("from", "the earlier moment", required=True),
    params.moment_parameter("to", "the later moment; without it the newest snapshot"),
    params.choice_parameter("from_known", "of the earlier moment what was then known, or is known now", _KNOWN, "then"),
    params.choice_parameter("to_known", "of the later moment what was then known, or is known now", _KNOWN, "then"),
    params.choice_parameter("of", "only cells of this list", LISTS),
    params.choice_parameter("field", "only cells of this field", shapes.COMPARED),
)

_SPAN = (
    params.instant_parameter("from", "where the span begins; without it the last close"),
    params.instant_parameter("to", "where it ends; without it now"),
)

OPERATIONS = (
    Operation("GET", "/healthz", "The process is alive", answer_health, "Health", needs=OPEN),
    Operation("GET", "/readyz", "Snapshots may be shown", answer_ready, "Ready", fails=(400, 503), needs=OPEN),
    Operation("GET", "/metrics", "Metrics for Prometheus", answer_metrics, "Metrics", needs=OPS),
    Operation("GET", "/v1/status", "How the engine is, in every state", answer_status, "Status", (SEQ,), fails=_READ_FAILS),
    Operation("GET", "/v1/session", "Who asks, and what the token allows", answer_session, "Session"),
    Operation(
        "GET",
        "/v1/digest",
        "One hash of all positions",
        answer_digest,
        "Digest",
        (SEQ,),
        fails=_READ_FAILS,
        needs=READ_EVERYTHING,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/nodes",
        "The whole tree, parents before children",
        answer_nodes,
        "NodeRow",
        (*_READ, *_MOMENT, LIMIT_IGNORED, _sort(shapes.NODE)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/nodes/{node:path}",
        "One node, then its children",
        answer_node,
        "NodeRow",
        (*_READ, *_MOMENT, LIMIT_IGNORED, _sort(shapes.NODE)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/positions",
        "Positions below a node or of a dealer",
        answer_positions,
        "PositionRow",
        (NODE, DEALER, INSTRUMENT, STALE, *_READ, *_MOMENT, *_PAGE, _sort(shapes.POSITION)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/ladder",
        "What a node (without one: the root) or a dealer holds, by instrument",
        answer_ladder,
        "PositionRow",
        (NODE, DEALER, INSTRUMENT, STALE, _FLAT, *_READ, *_MOMENT, LIMIT_IGNORED, _sort(shapes.POSITION)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/groups",
        "What each counterparty or strategy has of every line of a ladder; with the rest they add up to it",
        answer_groups,
        "GroupRow",
        (_GROUP_BY, NODE, DEALER, INSTRUMENT, *_READ, LIMIT_IGNORED, _sort(shapes.GROUP)),
        fails=(400, 403, 404, 410, 429, 503),
    ),
    Operation(
        "GET",
        "/v1/dealers",
        "A row per dealer",
        answer_dealers,
        "DealerRow",
        (*_READ, *_MOMENT, *_PAGE, _sort(shapes.DEALER)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/marks",
        "Prices with source and age",
        answer_marks,
        "MarkRow",
        (INSTRUMENT, STALE, *_READ, *_PAGE, _sort(shapes.MARK)),
        fails=_READ_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/instruments",
        "What can be held, with units, decimals and currencies",
        answer_instruments,
        "InstrumentRow",
        (INSTRUMENT, *_READ, LIMIT_IGNORED),
        fails=_READ_FAILS,
        cacheable=True,
    ),
    Operation(
        "POST",
        "/v1/marks",
        "Set marks by hand, or clear them; answered when they are durable and in force",
        take_marks,
        "MarksAnswer",
        body="Marks",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/exposure",
        "What a node (without one: the root) or a dealer is exposed to; by currency the net open position",
        answer_exposure,
        "ExposureRow",
        (_BY, NODE, DEALER, *_READ, *_MOMENT, LIMIT_IGNORED, _BY_SORT),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/risk",
        "The options of a node (without one: the root) or a dealer with inputs and Greeks, their hedges, and the sums of both",
        answer_risk,
        "RiskRow",
        (NODE, DEALER, *_READ, *_MOMENT, LIMIT_IGNORED, _sort(shapes.RISK)),
        fails=_MOMENT_FAILS,
        cacheable=True,
    ),
    Operation(
        "GET",
        "/v1/var",
        "Value at risk and expected shortfall of a node (without one: the root) or a dealer, and what contributes",
        answer_var,
        "VarRow",
        (NODE, DEALER, _METHOD, _VAR_BY, *_READ, LIMIT_IGNORED),
        fails=_READ_FAILS,
    ),
    Operation(
        "GET",
        "/v1/var/nodes",
        "The same of every node that has children, parents first",
        answer_every_var,
        "NodeVarRow",
        (_METHOD, *_READ, LIMIT_IGNORED),
        fails=_READ_FAILS,
    ),
    Operation(
        "GET",
        "/v1/var/backtest",
        "VaR of a node (without one: the root) at its stored closes against what it came to",
        answer_backtest,
        "BacktestDay",
        (NODE, *_READ, LIMIT_IGNORED),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/whatif",
        "Some nodes before and after trades and shifts; nothing is stored",
        answer_whatif,
        "WhatIfAnswer",
        body="WhatIfInput",
        fails=(400, 404, 408, 413, 415, 429, 503),
    ),
    Operation(
        "GET",
        "/v1/cashladder",
        "What flows in and out of a node (without one: the root), by currency and value date",
        answer_cash_ladder,
        "CashFlow",
        (NODE, CURRENCY_ASKED, *_READ, LIMIT_IGNORED),
        fails=(400, 403, 404, 410, 503),
    ),
    Operation(
        "GET",
        "/v1/history",
        "What a node (without one: the root) or a dealer came to over the day, or over days",
        answer_history,
        "Point",
        (NODE, DEALER, _MEASURE, FROM, _DAYS, BUCKET, *_READ, LIMIT_IGNORED),
        fails=(400, 403, 404, 410, 503),
    ),
    Operation(
        "GET",
        "/v1/closes",
        "Positions as a trading day closed them, below a node (without one: all) or of a dealer",
        answer_closes,
        "CloseRow",
        (DATE, NODE, DEALER, *_READ, *_PAGE),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/closes",
        "Official closing prices, one or a list; answered when they are durable",
        take_closes,
        "ClosesAnswer",
        body="Closes",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/trades",
        "Stored trades, newest first",
        answer_stored_trades,
        "TradeRow",
        (NODE, INSTRUMENT, DEALER, *ATTRIBUTES, SOURCE, TRADE_ID, _ACTION, KEPT_OUT, SINCE, _VERSIONS, *_READ, *_PAGE),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/trades",
        "One trade or a list; answered when they are durable, applied and published",
        take_trades,
        "TradesAnswer",
        body="Trades",
        fails=(400, 403, 408, 413, 415, 503),
        needs=POST_TRADES,
    ),
    Operation(
        "POST",
        "/v1/trades/check",
        "What would become of one trade or a list if it were posted now; nothing is stored",
        check_trades,
        "TradesPreview",
        body="Trades",
        fails=(400, 408, 413, 415, 503),
    ),
    Operation(
        "POST",
        "/v1/ticks",
        "A list of ticks",
        take_ticks,
        "TicksAnswer",
        body="Ticks",
        fails=(400, 403, 408, 413, 415, 503),
        needs=FEED,
    ),
    Operation(
        "POST",
        "/v1/vols",
        "Vols of options, and surfaces of pairs and underlyings by expiry; a list or one",
        take_vols,
        "OptionInputsAnswer",
        body="Vols",
        fails=(400, 403, 408, 413, 415, 503),
        needs=FEED_OR_OPS,
    ),
    Operation(
        "POST",
        "/v1/rates",
        "Rates, discount factors, dividend yields and forward points by date; a list or one",
        take_rates,
        "OptionInputsAnswer",
        body="Rates",
        fails=(400, 403, 408, 413, 415, 503),
        needs=FEED_OR_OPS,
    ),
    Operation(
        "POST",
        "/v1/greeks",
        "Value and Greeks of options that an outside model values; a list or one",
        take_greeks,
        "OptionInputsAnswer",
        body="GreeksRows",
        fails=(400, 403, 408, 413, 415, 503),
        needs=FEED_OR_OPS,
    ),
    Operation(
        "POST",
        "/v1/cash",
        "External movements of nodes, one or a list; answered when they are durable and published",
        take_cash,
        "CashAnswer",
        body="CashRecords",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "POST",
        "/v1/carry",
        "Carry of positions, one record or a list; answered when they are durable and published",
        take_carry,
        "CarryAnswer",
        body="CarryRecords",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "POST",
        "/v1/actions",
        "Corporate actions: splits, dividends, symbol changes, spin-offs; one or a list, answered like trades",
        take_actions,
        "ActionsAnswer",
        body="Actions",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/limits",
        "Limits in force, how much of each is used and what is left",
        answer_limits,
        "LimitRow",
        (NODE, DEALER, _STATE, *_READ, *_PAGE, _sort(shapes.LIMIT_LINE)),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/limits",
        "Versions of limits, one or a list; answered when they are durable and in force",
        take_limits,
        "LimitsAnswer",
        body="Limits",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "POST",
        "/v1/check",
        "What intended trades would do to the limits: every rule that applies, its outcome, and the headroom after them",
        take_check,
        "CheckAnswer",
        body="Trades",
        fails=(400, 408, 413, 415, 503),
    ),
    Operation(
        "GET",
        "/v1/breaches",
        "Breaches of limits, newest first: since when, the worst, who knows of it and why it may stand",
        answer_breaches,
        "BreachRow",
        (_BREACHES, *_READ, *_PAGE),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/breaches/{id:path}",
        "Acknowledge a breach of a limit, and say why it may stand",
        take_acknowledgement,
        "BreachOfLimit",
        body="Acknowledgement",
        fails=(400, 403, 404, 408, 413, 415, 503),
        needs=COMMENT,
    ),
    Operation(
        "GET",
        "/v1/margin",
        "What accounts must hold by the margin rules in force: Regulation T, the worst of a grid",
        answer_margin,
        "MarginRow",
        (NODE, *_READ, *_PAGE, _sort(shapes.MARGIN)),
        fails=(*_READ_FAILS, 429),
    ),
    Operation(
        "POST",
        "/v1/margin",
        "Versions of margin rules, one or a list; answered when they are durable and in force",
        take_margin_rules,
        "MarginRulesAnswer",
        body="MarginRules",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/diff",
        "Every cell of nodes, dealers and positions that differs between two moments",
        answer_diff,
        "DifferenceRow",
        (*_DIFF, NODE, DEALER, INSTRUMENT, EXACT, FORMAT, *_PAGE),
        fails=(400, 404, 429, 503),
    ),
    Operation(
        "GET",
        "/v1/explain",
        "Why the P&L of a node (without one: the root) moved between two instants, by instrument",
        answer_explain,
        "ExplainRow",
        (NODE, *_SPAN, EXACT, FORMAT, LIMIT_IGNORED, params.sort_parameter(shapes.names(EXPLAIN))),
        fails=(400, 404, 429, 503),
    ),
    Operation(
        "GET",
        "/v1/receipt",
        "What reproduces one cell: trades, mark, rate and arithmetic",
        answer_receipt,
        "Receipt",
        (NODE, DEALER, INSTRUMENT._replace(required=True), SEQ, *_MOMENT),
        fails=_MOMENT_FAILS,
    ),
    Operation(
        "GET",
        "/v1/holdings",
        "Everything that is held, exact, as lines of JSON",
        answer_holdings,
        "Holdings",
        (SEQ,),
        fails=_READ_FAILS,
        needs=READ_EVERYTHING,
    ),
    Operation(
        "POST",
        "/v1/reconcile",
        "Compare engine and store now, and repair where asked",
        take_reconcile,
        "Reconciliation",
        body="Reconcile",
        fails=(400, 403, 408, 413, 415, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/breaks",
        "Differences from the store that were found, and the last report",
        answer_breaks,
        "Breaks",
        (_BREAKS, SEQ, *_PAGE),
        fails=_READ_FAILS,
    ),
    Operation(
        "POST",
        "/v1/breaks/{id}",
        "Note what a person says of one of them",
        take_comment,
        "Break",
        body="Comment",
        fails=(400, 403, 404, 408, 413, 415, 503),
        needs=COMMENT,
    ),
    Operation(
        "POST",
        "/v1/feeds/{source:path}",
        "Say of a source that its gap is known, that it numbers anew, or that it is no more",
        take_feed_action,
        "FeedRow",
        body="FeedAction",
        fails=(400, 403, 404, 408, 413, 503),
        needs=OPS,
    ),
    Operation(
        "GET",
        "/v1/today",
        "What the trading day and the next ones bring: value dates, fixings, expiries, ex-dates, holidays, unmoved prices",
        answer_today,
        "AgendaRow",
        (_AGENDA_KIND, AHEAD, *_READ, LIMIT_IGNORED),
        fails=_READ_FAILS,
    ),
    Operation(
        "GET",
        "/v1/audit",
        "Entries of the audit trail, newest first; at most a thousand at a time",
        answer_audit,
        "AuditRow",
        (ENTRY_KIND, OF_TRADE, NODE, SINCE, UNTIL, FORMAT, LIMIT),
        fails=(400, 404, 503),
        needs=OPS_EVERYTHING,
    ),
    Operation(
        "GET",
        "/v1/exceptions",
        "What needs a person",
        answer_exceptions,
        "ExceptionRow",
        (_KIND, NODE, DEALER, INSTRUMENT, SOURCE, *_READ, *_PAGE, _sort(shapes.EXCEPTION)),
        fails=_READ_FAILS,
        cacheable=True,
    ),
    Operation(
        "POST",
        "/v1/exceptions/{id:path}",
        "Accept, reject or comment on one of them",
        take_verdict,
        "Decided",
        (EXACT,),
        body="Verdict",
        fails=(400, 403, 404, 408, 409, 413, 415, 503),
        needs=COMMENT,
    ),
)

OTHER_PATHS: Mapping[str, Need] = {
    "/v1/stream": READ,
    "/v1/ingest": FEED,
    "/manual": READ,
    "/login": OPEN,
    "/logout": OPEN,
    "/tokens.css": OPEN,
    "/login.css": OPEN,
    "/icon.svg": OPEN,
} | {operation.path: OPEN for operation in OPERATIONS if operation.needs.is_open}
"""All other paths: the websockets, the manual with its pages below it, and everything that is open to strangers.

A path without an entry needs a token.
"""
