"""Reads of a snapshot: the tree, dealers, marks and instruments. One answer is of one moment."""

from collections.abc import Sequence

from starlette.responses import Response

from riskengine.records.types import MULTIPLIER_DECIMALS, Instrument
from riskengine.serve.access.permissions import check_row
from riskengine.serve.answers.answers import Question
from riskengine.serve.answers.shapes import DEALER, INSTRUMENT, MARK, NODE, names
from riskengine.serve.routes.lists import answer_page, make_rows, row_filter, same_row
from riskengine.snapshot.rows import RowDict, dealer_row, mark_rows, node_row
from riskengine.snapshot.snapshot import instrument_number, node_number
from riskengine.views.grants import HIDDEN_PARENT

# -- nodes, dealers, marks, instruments ---------------------------------------------------------------------------------------


async def answer_nodes(question: Question) -> Response:
    """All visible nodes, parents before children; never cut."""
    return await _answer_nodes(question, question.grants.visible_nodes(question.snapshot.reference.hierarchy))


async def answer_node(question: Question) -> Response:
    """One node, then its visible children. Raises UnknownName, Forbidden."""
    snapshot, grants, name = question.snapshot, question.grants, question.request.path_params["node"]
    hierarchy = snapshot.reference.hierarchy
    check_row(grants, hierarchy, name)
    number = node_number(snapshot, name)
    children = (child for child in range(*hierarchy.children[number]) if grants.sees_row(hierarchy, hierarchy.names[child]))
    return await _answer_nodes(question, [number, *children])


async def _answer_nodes(question: Question, numbers: Sequence[int]) -> Response:
    """Rows of nodes; the name of a hidden parent is null."""
    snapshot, grants = question.snapshot, question.grants
    hierarchy = snapshot.reference.hierarchy

    def row_of(number: int) -> RowDict:
        row = node_row(snapshot, number)
        return row | HIDDEN_PARENT if grants.hides_parent(hierarchy, number) else row

    return await answer_page(question, NODE, numbers, row_of, cut=False)


async def answer_dealers(question: Question) -> Response:
    """A row per visible dealer with positions, by name."""
    snapshot, sees = question.snapshot, question.grants.sees_dealer
    dealers, dealer_names = snapshot.dealers, snapshot.dealer_names
    visible = [number for number in range(dealers.size) if dealers.state(number).position_count and sees(dealer_names[number])]
    visible.sort(key=dealer_names.__getitem__)
    return await answer_page(question, DEALER, visible, lambda number: dealer_row(snapshot, number))


async def answer_marks(question: Question) -> Response:
    """A row per instrument, by name. Raises UnknownName."""
    snapshot = question.snapshot
    passes = row_filter(question)
    rows = await make_rows(len(snapshot.reference.instruments), lambda: list(filter(passes, mark_rows(snapshot))))
    return await answer_page(question, MARK, rows, same_row)


async def answer_instruments(question: Question) -> Response:
    """A row per instrument that is known, by name; never cut. Raises UnknownName."""
    snapshot, asked = question.snapshot, question.values["instrument"]
    number = None if asked is None else instrument_number(snapshot, asked)
    found = snapshot.reference.instruments
    return await answer_page(question, INSTRUMENT, found if number is None else [found[number]], _instrument_row, cut=False)


def _instrument_row(instrument: Instrument) -> RowDict:
    row = {name: getattr(instrument, name) for name in names(INSTRUMENT)}
    strike = instrument.strike
    return row | {"multiplier": instrument.multiplier / 10**MULTIPLIER_DECIMALS, "strike": float(strike) if strike else None}
