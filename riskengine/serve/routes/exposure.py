"""Exposure of a node or a dealer, by currency, sector, instrument or kind."""

import asyncio

from starlette.responses import Response

from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import EXPOSED_BY, names
from riskengine.serve.answers.wire import ROWS_PER_SLICE
from riskengine.serve.routes.lists import places_by_field, same_row
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.exposure import Exposure, exposure
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import dealer_number, node_number


async def answer_exposure(question: Question) -> Response:
    """The rows by currency, sector, instrument or kind, never cut, and the figures beside them.

    Without a node or a dealer it is that of the root. Raises UnknownName, Forbidden, HttpProblem.
    """
    snapshot, by = question.snapshot, question.values["by"]
    node, dealer = owner_asked(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
        node = next(iter(snapshot.reference.hierarchy.names), None) if node is None else node
    fields, sort = EXPOSED_BY[by], question.sort
    if sort is not None and sort.field not in names(fields):
        raise bad_field("sort", f"is not a field of these rows: {sort.field!r}")
    found = await _exposure(question, by, node, dealer)
    rows = found.rows
    if sort is not None:
        rows = [rows[place] for place in await places_by_field(rows, sort, same_row)]
    beside = found.summary
    if question.exact:
        rows, beside = [decimal_texts(row) for row in rows], exact_summary(beside)
    header = question.valued_header() | {"by": by, "node": node, "dealer": dealer} | beside
    return list_answer(question, ListAnswer(header, names(fields), rows, same_row, len(rows), items_are_rows=True))


async def _exposure(question: Question, by: str, node: str | None, dealer: str | None) -> Exposure:
    """Made on the loop where few instruments are held, in a thread where many are. Raises UnknownName."""
    snapshot = question.snapshot
    if dealer is None and node is None:  # a tree without a node
        return exposure(snapshot, by)
    state = (
        snapshot.dealers.state(dealer_number(snapshot, dealer))
        if dealer is not None
        else snapshot.nodes.state(node_number(snapshot, node or ""))
    )
    if len(state.rows) <= ROWS_PER_SLICE:
        return exposure(snapshot, by, node=node, dealer=dealer)
    return await asyncio.to_thread(exposure, snapshot, by, node=node, dealer=dealer)


def exact_summary(summary: RowDict) -> RowDict:
    """The figures beside the rows, numbers as decimal texts."""
    texts = decimal_texts(summary)
    texts["top_five"] = [decimal_texts(name) for name in summary["top_five"]]
    texts["largest"] = texts["top_five"][0] if texts["top_five"] else None
    return texts
