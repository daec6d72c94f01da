"""What intended trades would do to the limits, over HTTP. Answered from the newest snapshot, on the loop."""

import math
from collections.abc import Sequence

from msgspec import structs
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.limits.check import PASSES, REFUSES, RuleOutcome, check, worst
from riskengine.limits.effects import Effect, effect_of
from riskengine.limits.judge import STATES
from riskengine.limits.lines import LimitLine
from riskengine.records.decode import TradeCheck, TradeInput, open_trades
from riskengine.records.fields import Rejected, excerpt
from riskengine.records.types import Refusal, Trade
from riskengine.serve.access.limit_grants import sees_limit
from riskengine.serve.answers.answers import Question, error_rows, json_answer, stamp
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.answers.turns import decode_items
from riskengine.serve.routes.intended import place_intended, valuing
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.trades_answer import DEFAULT_SOURCE
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot

MOST_TRADES = 200
"""Trades of one check: a few milliseconds of the loop."""

ONLY_NEW = "must be new: a check is of trades to come; POST /v1/trades/check says what would become of an amend or a cancel"


async def take_check(question: Question) -> Response:
    """Every rule that applies to intended trades, with its outcome and the headroom after them.

    Raises HttpProblem, InputError, EngineNotLive.
    """
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = await decode_items(open_trades(await read_body(question)))
    if len(items) > MOST_TRADES:
        raise HttpProblem(400, f"{len(items):,} trades: a check takes at most {MOST_TRADES}")
    newest = gateway.history.newest
    judged = [_checked(question, gateway.check, index, item) for index, item in enumerate(items)]
    snapshot = valuing(newest, (each for each in judged if isinstance(each, Trade)), gateway.spot_dates)
    effects = _effects(snapshot, judged, items)
    hierarchy, grants = snapshot.reference.hierarchy, question.grants

    def shows(line: LimitLine) -> bool:
        return sees_limit(grants, hierarchy, line.node, line.dealer, line.limit.measure)

    refusals = [each for each in judged if isinstance(each, Refusal)]
    outcomes = [_bookable(at, each) for at, each in enumerate(judged)]
    outcomes += check(snapshot, gateway.judgement(newest), effects, shows)
    return json_answer(
        stamp(snapshot)
        | {
            "outcome": worst(outcomes),
            "results": _results(items, judged, outcomes),
            "rules": [_row(each, judged) for each in outcomes],
            "errors": error_rows(refusals),
        }
    )


def _bookable(at: int, judged: Trade | Refusal) -> RuleOutcome:
    """The rule that a trade could be booked as it is."""
    if isinstance(judged, Refusal):
        return RuleOutcome("instrument", REFUSES, at, reason=judged.text)
    return RuleOutcome("instrument", PASSES, at)


def _checked(question: Question, check_trade: TradeCheck, index: int, item: TradeInput | Refusal) -> Trade | Refusal:
    """The trade, or why it could not be booked as it is. A hidden desk is as unknown as one that does not exist."""
    if isinstance(item, Refusal):
        return Refusal(index, item.field, item.reason)
    hierarchy = question.gateway.history.newest.reference.hierarchy
    if item.action not in ("", "new"):
        return Refusal(index, "action", ONLY_NEW)
    if item.desk and not question.grants.sees_below(hierarchy, item.desk):
        return Refusal(index, "desk", f"unknown desk {excerpt(item.desk)}")
    now = question.gateway.clock.now()
    try:
        trade = check_trade(structs.replace(item, ts=item.ts if item.ts not in (None, "") else now), now, DEFAULT_SOURCE)
        return place_intended(trade, question.gateway.history.newest.reference, question.gateway.spot_dates)
    except Rejected as error:
        return Refusal(index, error.field, error.reason)


def _effects(snapshot: Snapshot, judged: Sequence[Trade | Refusal], items: Sequence[TradeInput | Refusal]) -> dict[int, Effect]:
    numbers = snapshot.reference.instrument_index
    return {
        at: effect_of(snapshot, each, numbers[each.instrument])._replace(counterparty=item.counterparty)
        for at, (each, item) in enumerate(zip(judged, items, strict=True))
        if isinstance(each, Trade) and isinstance(item, TradeInput) and each.instrument in numbers
    }


def _results(
    items: Sequence[TradeInput | Refusal], judged: Sequence[Trade | Refusal], outcomes: Sequence[RuleOutcome]
) -> list[RowDict]:
    """For each trade the worst of the rules that bound it alone."""
    found = []
    for at, (item, each) in enumerate(zip(items, judged, strict=True)):
        own = [outcome for outcome in outcomes if outcome.trade == at]
        reason = each.text if isinstance(each, Refusal) else ""
        trade_id = None if isinstance(item, Refusal) else item.trade_id
        found.append({"trade_id": trade_id, "outcome": worst(own), "reason": reason})
    return found


def _row(outcome: RuleOutcome, judged: Sequence[Trade | Refusal]) -> RowDict:
    line, at = outcome.line, outcome.trade
    limit = None if line is None else line.limit
    trade = None if at is None else judged[at]
    instrument = trade.instrument if isinstance(trade, Trade) else None
    return {
        "rule": outcome.rule,
        "outcome": outcome.outcome,
        "trade": at,
        "limit_id": None if limit is None else limit.limit_id,
        "line": None if line is None else line.key,
        "node": None if line is None else line.node or None,
        "dealer": None if line is None else line.dealer or None,
        "currency": None if limit is None else limit.currency or None,
        "instrument": instrument if limit is None else limit.instrument or instrument,
        "severity": None if limit is None else limit.severity,
        "limit": None if limit is None else limit.limit,
        "before": _known(outcome.before),
        "after": _known(outcome.after),
        "headroom": _known(outcome.headroom),
        "state": None if limit is None else STATES[outcome.state],
        "reason": outcome.reason,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value + 0.0
