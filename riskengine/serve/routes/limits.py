"""Limits over HTTP: how they stand, limits and margin rules in, breaches, and who knows of them."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.limits.judge import STATES, Judgement
from riskengine.limits.rows import breach_row, limit_row
from riskengine.records.breaches import Breach
from riskengine.records.decode import open_items, refusal_text
from riskengine.records.fields import Rejected, exact_in_json, excerpt
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.limits import ANOTHER_STORED, LIMIT, Limit, LimitCheck, LimitInput
from riskengine.records.margin_rules import MARGIN, MarginRule, MarginRuleCheck, MarginRuleInput
from riskengine.records.types import Refusal
from riskengine.serve.access.limit_grants import sees_limit
from riskengine.serve.access.permissions import check_dealer, check_row
from riskengine.serve.answers.answers import ListAnswer, Question, json_answer, list_answer, posted_answer, stamp
from riskengine.serve.answers.problems import HttpProblem, bad_field
from riskengine.serve.answers.shapes import BREACH, LIMIT_LINE, names
from riskengine.serve.answers.turns import decode_items
from riskengine.serve.routes.actions import STATUSES
from riskengine.serve.routes.exceptions import check_comment
from riskengine.serve.routes.lists import answer_page, same_row
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.trades_answer import REJECTED
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import Snapshot, dealer_number, node_number
from riskengine.views.grants import Grants

RULE_OUTCOMES = ("applied", "duplicate", "superseded", "conflict", REJECTED)
HIGHER_STANDS = "a higher version is stored"

Sent = LimitInput | MarginRuleInput
Rule = Limit | MarginRule


# -- how limits stand --------------------------------------------------------------------------------------------


class LimitRows:
    """The rows of the view `limits`: made once for a snapshot, cut to each access class. Event loop only."""

    def __init__(self) -> None:
        self._made_from: Judgement | None = None
        self._rows: list[RowDict] = []

    def visible(self, judgement: Judgement | None, hierarchy: Hierarchy, grants: Grants) -> list[RowDict]:
        """The rows that a caller may see; None: those of the last call. A row that has not changed is the same object."""
        if judgement is not None and judgement is not self._made_from:
            self._made_from = judgement
            self._rows = [limit_row(judgement, at) for at in range(len(judgement.lines))]
        made_from = self._made_from
        if made_from is None or grants.see_everything:
            return self._rows
        return [self._rows[at] for at in _visible(made_from, hierarchy, grants)]


def _visible(judgement: Judgement, hierarchy: Hierarchy, grants: Grants) -> list[int]:
    """The places of the lines that a caller may see. O(lines x depth)."""
    return [
        at for at, line in enumerate(judgement.lines) if sees_limit(grants, hierarchy, line.node, line.dealer, line.limit.measure)
    ]


async def answer_limits(question: Question) -> Response:
    """How the visible limits stand at a snapshot, by id, then in the order of nodes. Raises UnknownName, Forbidden, SeqGone."""
    _check_names(question)
    snapshot, values = question.snapshot, question.values
    judgement = question.gateway.judgement(snapshot)
    state = None if values["state"] is None else STATES.index(values["state"])
    places = [
        at
        for at in _visible(judgement, snapshot.reference.hierarchy, question.grants)
        if values["node"] in (None, judgement.lines[at].node)
        and values["dealer"] in (None, judgement.lines[at].dealer)
        and state in (None, judgement.state.item(at))
    ]
    return await answer_page(question, LIMIT_LINE, places, lambda at: limit_row(judgement, at))


def _check_names(question: Question) -> None:
    """Check the node and the dealer that a question names. Raises UnknownName, Forbidden."""
    snapshot, grants = question.snapshot, question.grants
    node, dealer = question.values["node"], question.values["dealer"]
    if node is not None:
        check_row(grants, snapshot.reference.hierarchy, node)
        node_number(snapshot, node)
    if dealer is not None:
        check_dealer(grants, dealer)
        dealer_number(snapshot, dealer)


# -- rules in ----------------------------------------------------------------------------------------------------


async def take_limits(question: Question) -> Response:
    """Take limits; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive."""

    def check_of(snapshot: Snapshot) -> Callable[[Any, int, str], Rule]:
        reference = snapshot.reference
        return LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)

    return await _take(question, LIMIT, LimitInput, check_of)


async def take_margin_rules(question: Question) -> Response:
    """Take margin rules; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive."""
    return await _take(question, MARGIN, MarginRuleInput, lambda snapshot: MarginRuleCheck(snapshot.reference.hierarchy))


async def _take(
    question: Question,
    kind: Literal["limit", "margin"] | str,
    into: type[Any],
    check_of: Callable[[Snapshot], Callable[[Any, int, str], Rule]],
) -> Response:
    gateway, actor = question.gateway, question.principal.name
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items: list[Any] = await decode_items(open_items(await read_body(question), into))
    check, now = check_of(gateway.history.newest), gateway.clock.now()
    checked: list[Rule | Refusal] = []
    for index, item in enumerate(items):
        try:
            checked.append(item if isinstance(item, Refusal) else check(item, now, actor))
        except Rejected as error:
            checked.append(Refusal(index, error.field, error.reason))
    rules = [each for each in checked if not isinstance(each, Refusal)]
    outcomes = iter(await gateway.save_risk_rules(kind, rules, actor) if rules else ())
    id_field = "limit_id" if kind == LIMIT else "rule_id"
    results = []
    for item, each in zip(items, checked, strict=True):
        if isinstance(each, Refusal):
            results.append(_result(id_field, item, REJECTED, each.text))
        else:
            status = STATUSES[next(outcomes)]
            reason = {"conflict": ANOTHER_STORED, "superseded": HIGHER_STANDS}.get(status, "")
            results.append(_result(id_field, item, status, reason))
    refusals = [each for each in checked if isinstance(each, Refusal)]
    return posted_answer(gateway.history.newest, RULE_OUTCOMES, results, refusals)


def _result(id_field: str, item: Sent | Refusal, status: str, reason: str) -> RowDict:
    """The outcome of one item; its identity is null if it could not be decoded."""
    rule_id, version = (None, None) if isinstance(item, Refusal) else (getattr(item, id_field), exact_in_json(item.version))
    return {id_field: rule_id, "version": version, "status": status, "reason": reason}


# -- breaches ----------------------------------------------------------------------------------------------------


async def answer_breaches(question: Question) -> Response:
    """The visible breaches of limits, newest first. Raises EngineNotLive, StoreError."""
    values = question.values
    found = await question.gateway.breaches_of_limits(past=values["status"] == "all")
    measures = _measures(question.gateway.limits)
    hierarchy, grants = question.snapshot.reference.hierarchy, question.grants
    rows = [
        breach_row(breach, measures.get(breach.limit_id))
        for breach in found
        if sees_limit(grants, hierarchy, breach.node, breach.dealer, measures.get(breach.limit_id))
    ]
    first = values["offset"]
    page = rows[first : first + values["limit"]]
    row_of = decimal_texts if question.exact else same_row
    return list_answer(question, ListAnswer(question.header(), names(BREACH), page, row_of, len(rows)))


def _measures(limits: Sequence[Limit]) -> dict[str, str]:
    """The measure of each limit, that of its highest version."""
    return {limit.limit_id: limit.measure for limit in sorted(limits, key=lambda limit: limit.version)}


class Acknowledgement(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an acknowledgement: `comment` says why the breach may stand."""

    action: str
    comment: str


_decode_body = msgspec.json.Decoder(Acknowledgement).decode


async def take_acknowledgement(question: Question) -> Response:
    """Note that a person knows of a breach, and why it may stand. Raises HttpProblem, EngineNotLive, StoreError."""
    gateway, wanted = question.gateway, question.request.path_params["id"]
    snapshot = gateway.history.newest  # an engine that is not live says so, whatever was sent
    sent = _read_acknowledgement(await read_body(question))
    async with gateway.deciding:
        breach = await _breach_of(question, wanted)
        stored = await gateway.acknowledge_breach(breach, question.principal.name, sent.comment)
    return json_answer(stamp(snapshot) | breach_row(stored, _measures(gateway.limits).get(stored.limit_id)))


async def _breach_of(question: Question, wanted: str) -> Breach:
    """The breach of an id that the caller may see. Raises HttpProblem (404): a hidden one is as unknown as none."""
    gateway = question.gateway
    measures, hierarchy = _measures(gateway.limits), gateway.history.newest.reference.hierarchy
    for past in (False, True):
        for breach in await gateway.breaches_of_limits(past=past):
            measure = measures.get(breach.limit_id)
            if breach.breach_id == wanted and sees_limit(question.grants, hierarchy, breach.node, breach.dealer, measure):
                return breach
    raise HttpProblem(404, f"unknown breach {excerpt(wanted)}")


def _read_acknowledgement(body: bytes) -> Acknowledgement:
    try:
        sent = _decode_body(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f"the body is not an acknowledgement: {refusal_text(error, Acknowledgement)}") from None
    if sent.action != "acknowledge":
        raise bad_field("action", f"must be acknowledge: {excerpt(sent.action)}")
    check_comment(sent.comment)
    if not sent.comment.strip():
        raise bad_field("comment", "is missing: say why the breach may stand")
    return sent
