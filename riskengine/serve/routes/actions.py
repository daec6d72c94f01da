"""Corporate actions over HTTP: posted ones in, answered like trades."""

from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.observe import TRADE_OUTCOMES
from riskengine.records.actions import ACTION_CONFLICT, Action, ActionInput, ActionKind, check_action
from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected, exact_in_json
from riskengine.records.types import Refusal
from riskengine.serve.answers.answers import Question, posted_answer
from riskengine.serve.answers.turns import decode_items
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.trades_answer import REJECTED
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot

STATUSES = {"inserted": "applied", "existing": "duplicate", "superseded": "superseded", "conflict": "conflict"}
"""What became of an action in the store, and its status in an answer."""


async def take_actions(question: Question) -> Response:
    """Take corporate actions; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive."""
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = await decode_items(open_items(await read_body(question), ActionInput))
    instruments, now = gateway.history.newest.reference.by_symbol, gateway.clock.now()
    checked: list[Action | Refusal] = []
    for index, item in enumerate(items):
        try:
            checked.append(item if isinstance(item, Refusal) else check_action(item, instruments, now))
        except Rejected as error:
            checked.append(Refusal(index, error.field, error.reason))
    actions = [each for each in checked if isinstance(each, Action)]
    outcomes = iter(await gateway.save_actions(actions) if actions else ())
    newest = gateway.history.newest
    results = []
    for item, each in zip(items, checked, strict=True):
        if isinstance(each, Refusal):
            results.append(_result(item, REJECTED, each.text))
        else:
            status = STATUSES[next(outcomes)]
            results.append(_result(each, status, ACTION_CONFLICT if status == "conflict" else _effect(each, status, newest)))
    refusals = [each for each in checked if isinstance(each, Refusal)]
    return posted_answer(newest, TRADE_OUTCOMES, results, refusals)


def _result(item: Action | ActionInput | Refusal, status: str, reason: str) -> RowDict:
    """The outcome of one item; its identity is null if it could not be decoded."""
    if isinstance(item, Refusal):
        return {"action_id": None, "version": None, "status": status, "reason": reason}
    version = 1 if item.version is None and getattr(item, "kind", "") != ActionKind.CANCEL else exact_in_json(item.version)
    return {"action_id": item.action_id, "version": version, "status": status, "reason": reason}


def _effect(action: Action, status: str, snapshot: Snapshot) -> str:
    """What a person should know of an action that was taken, or ""."""
    adjustments = snapshot.adjustments
    if status == "superseded":
        return "a higher version stands"
    waiting = {each.action_id for each in adjustments.waiting} if adjustments is not None else set()
    if action.action_id in waiting:
        return f"takes effect when the trading day {action.ex_date} begins"
    refused = {each.action_id: each.reason for each in adjustments.refused} if adjustments is not None else {}
    return f"is stored and not in force: {refused[action.action_id]}" if action.action_id in refused else ""
