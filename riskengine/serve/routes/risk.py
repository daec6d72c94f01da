"""Risk of a node or a dealer: options, their hedges, and the sums of both."""

import asyncio

from starlette.responses import Response

from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.shapes import RISK, names
from riskengine.serve.answers.wire import ROWS_PER_SLICE
from riskengine.serve.routes.lists import places_by_field, same_row
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.exposure import owner_of
from riskengine.snapshot.risk import Risk, risk
from riskengine.snapshot.snapshot import Snapshot


async def answer_risk(question: Question) -> Response:
    """The rows, never cut, and the sums beside them. Without a node or a dealer it is that of the root.

    Raises UnknownName, Forbidden, HttpProblem.
    """
    snapshot = question.snapshot
    node, dealer = owner_asked(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
        node = next(iter(snapshot.reference.hierarchy.names), None) if node is None else node
    found = await _risk(snapshot, node, dealer, exact=question.exact)
    rows = found.rows
    if question.sort is not None:  # texts do not sort as numbers
        numbers = (await _risk(snapshot, node, dealer)).rows if question.exact else rows
        rows = [rows[place] for place in await places_by_field(numbers, question.sort, same_row)]
    header = question.valued_header() | {"node": node, "dealer": dealer} | found.summary
    return list_answer(question, ListAnswer(header, names(RISK), rows, same_row, len(rows), items_are_rows=True))


async def _risk(snapshot: Snapshot, node: str | None, dealer: str | None, *, exact: bool = False) -> Risk:
    """Made on the loop where few instruments are held, in a thread where many are. Raises UnknownName."""
    place = owner_of(snapshot, node, dealer)
    if place is None or len(place[0].state(place[1]).rows) <= ROWS_PER_SLICE:
        return risk(snapshot, node=node, dealer=dealer, exact=exact)
    return await asyncio.to_thread(risk, snapshot, node=node, dealer=dealer, exact=exact)
