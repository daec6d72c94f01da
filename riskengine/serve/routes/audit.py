"""The audit trail over HTTP: its newest entries, searched by kind, trade, node and time."""

from starlette.responses import Response

from riskengine.records.audit_kinds import ENTRY_KINDS
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.params import choice_parameter, text_parameter
from riskengine.serve.answers.shapes import AUDIT, names
from riskengine.serve.routes.lists import same_row
from riskengine.snapshot.snapshot import node_number

MAX_ENTRIES = 1_000
"""Of one answer: the detail of an entry may have some kilobytes."""

ENTRY_KIND = choice_parameter("kind", "only entries of this kind", ENTRY_KINDS)
OF_TRADE = text_parameter("trade", "entries about a trade: `source:trade_id`, `source:trade_id:leg`, or the trade_id alone")


async def answer_audit(question: Question) -> Response:
    """The newest entries that match, newest first. Raises UnknownName, StoreError, EngineNotLive."""
    snapshot, values = question.snapshot, question.values
    node, limit = values["node"], min(values["limit"], MAX_ENTRIES)
    hierarchy = snapshot.reference.hierarchy
    desks = () if node is None else hierarchy.leaves_below(node_number(snapshot, node))
    found = await question.gateway.audit_entries(
        trade=values["trade"],
        node=node,
        desks=desks,
        kind=values["kind"],
        since=values["since"],
        until=values["until"],
        limit=limit + 1,
    )
    # How many there are beyond these is not counted: that would read the whole trail.
    total = len(found) if len(found) <= limit else None
    return list_answer(question, ListAnswer(question.header(), names(AUDIT), found[:limit], same_row, total))
