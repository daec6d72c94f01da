"""`GET /v1/history`: what a node came to over the day."""

from starlette.responses import Response

from riskengine.serve.answers import Question, RowDict, Rows, list_answer
from riskengine.serve.permissions import check_row
from riskengine.serve.shapes import POINT, names
from riskengine.snapshot.curves import Point
from riskengine.snapshot.rows import decimal_texts, node_row
from riskengine.snapshot.snapshot import node_number

DEFAULT_MEASURE = "total_pnl"


async def answer_history(question: Question) -> Response:
    """The curve of one measure of a node, without a name that of the root: oldest first, the snapshot's own point last.

    Raises UnknownName, and NotAllowed where the node's row is not shown.
    """
    snapshot, values = question.snapshot, question.values
    hierarchy = snapshot.reference.hierarchy
    measure, bucket_us = values["measure"], values["bucket"] or 0
    header = question.valued_header() | {"measure": measure, "bucket_s": bucket_us / 1e6 if bucket_us else None}
    node: str | None = values["node"] if values["node"] is not None else next(iter(hierarchy.names), None)
    if node is None:
        return list_answer(question, Rows(header | {"node": None}, names(POINT), [], _row, 0))
    check_row(question.grants, hierarchy, node)
    newest = snapshot.as_of, node_row(snapshot, node_number(snapshot, node))[measure]
    points = question.gateway.curves.points(node, measure, values["since"] or 0, newest, bucket_us)
    row_of = _exact_row if question.exact else _row
    return list_answer(question, Rows(header | {"node": node}, names(POINT), points, row_of, len(points)))


def _row(point: Point) -> RowDict:
    return point._asdict()


def _exact_row(point: Point) -> RowDict:
    return decimal_texts(point._asdict())
