"""A ladder by counterparty or strategy: what each of them has of every line."""

import asyncio

from starlette.responses import Response

from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.shapes import GROUP, names
from riskengine.serve.answers.wire import ROWS_PER_SLICE
from riskengine.serve.routes.lists import places_by_field, same_row
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.groups import Parts, group_rows
from riskengine.snapshot.rows import RowDict, dealer_row, decimal_texts, node_row
from riskengine.snapshot.snapshot import Snapshot, dealer_number, instrument_number, node_number


async def answer_groups(question: Question) -> Response:
    """The rows of each line of the ladder, never cut, and beside them the row of their owner in the same snapshot.

    Without a node or a dealer it is the root's. Raises UnknownName, Forbidden, HttpProblem, TooBusy, SeqGone, StoreError.
    """
    snapshot, by, instrument = question.snapshot, question.values["by"], question.values["instrument"]
    node, dealer = owner_asked(question)
    if dealer is None:
        check_node(question.grants, snapshot.reference.hierarchy, node)
        node = next(iter(snapshot.reference.hierarchy.names), None) if node is None else node
    if instrument is not None:
        instrument_number(snapshot, instrument)
    whole = _owner_row(snapshot, node, dealer)
    rows: list[RowDict] = []
    if whole is not None:
        parts = await question.gateway.trade_groups(snapshot, by, node=node, dealer=dealer)
        rows = await _rows(question, parts, node, dealer, exact=question.exact)
        if question.sort is not None:  # texts do not sort as numbers
            numbers = await _rows(question, parts, node, dealer, exact=False) if question.exact else rows
            rows = [rows[place] for place in await places_by_field(numbers, question.sort, same_row)]
    header = question.valued_header() | {"by": by, "node": node, "dealer": dealer}
    header["whole"] = decimal_texts(whole) if question.exact and whole is not None else whole
    return list_answer(question, ListAnswer(header, names(GROUP), rows, same_row, len(rows), items_are_rows=True))


async def _rows(question: Question, parts: Parts, node: str | None, dealer: str | None, *, exact: bool) -> list[RowDict]:
    """Made on the loop where they are few, in a thread where they are many."""
    snapshot, instrument = question.snapshot, question.values["instrument"]

    def make() -> list[RowDict]:
        rows = group_rows(snapshot, parts, node=node, dealer=dealer, exact=exact)
        return rows if instrument is None else [row for row in rows if row["instrument"] == instrument]

    return make() if sum(map(len, parts.values())) <= ROWS_PER_SLICE else await asyncio.to_thread(make)


def _owner_row(snapshot: Snapshot, node: str | None, dealer: str | None) -> RowDict | None:
    """The row of the owner; None of a tree without a node. Raises UnknownName."""
    if dealer is not None:
        return dealer_row(snapshot, dealer_number(snapshot, dealer))
    return None if node is None else node_row(snapshot, node_number(snapshot, node))
