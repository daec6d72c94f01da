"""The history of a node or a dealer: the samples of memory and the closes of days, and the greatest fall in them."""

import datetime as dt
from collections.abc import Sequence

from starlette.responses import Response

from riskengine.market.trading_day import TradingDay
from riskengine.serve.access.permissions import check_row
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.shapes import POINT, names
from riskengine.serve.routes.positions import owner_asked
from riskengine.snapshot.curves import Series, Side
from riskengine.snapshot.history import (
    DAY_US,
    LONGEST_BREAK,
    Drawdown,
    Point,
    dated_closes,
    drawdown,
    first_moment,
    joined,
    points,
)
from riskengine.snapshot.rows import RowDict, dealer_row, decimal_texts, node_row
from riskengine.snapshot.snapshot import dealer_number, node_number

DEFAULT_MEASURE = "total_pnl"

NODE: Side = "node"
DEALER: Side = "dealer"

DAYS = ("1", "7", "30", "365")
"""How many days a history may be asked for."""


async def answer_history(question: Question) -> Response:
    """The curve of one measure of a node or a dealer, without a name of the root: oldest point first, the snapshot's own last.

    Raises UnknownName, StoreError, HttpProblem, and Forbidden if the row of the node or the dealer is hidden.
    """
    snapshot, values = question.snapshot, question.values
    hierarchy = snapshot.reference.hierarchy
    if values["since"] is not None and values["days"] is not None:
        raise bad_field("days", "cannot be given together with since")
    node, dealer = owner_asked(question)
    if dealer is not None:
        owner, of, row = dealer, DEALER, dealer_row(snapshot, dealer_number(snapshot, dealer))
    else:
        node = node if node is not None else next(iter(hierarchy.names), None)
        if node is None:
            return _answer(question, None, None, Series([], []), 0)
        check_row(question.grants, hierarchy, node)
        owner, of, row = node, NODE, node_row(snapshot, node_number(snapshot, node))
    closes, since = await _closes(question, of, owner)
    newest = snapshot.as_of, row.get(values["measure"])
    samples = question.gateway.curves.series(owner, values["measure"], since, newest, of=of)
    found = joined(samples, closes, since)
    return _answer(question, node, dealer, found, sum(ts >= since for ts in closes.times))


async def _closes(question: Question, of: Side, owner: str) -> tuple[Series, int]:
    """The closes of a node or dealer, and from when on its history is asked for; none where no beginning is named."""
    measure, since, as_of = question.values["measure"], question.values["since"], question.snapshot.as_of
    days = question.values["days"]
    if since is None and days is None:
        return Series([], []), 0
    trading_day = TradingDay.of(question.gateway.config.engine)
    first = trading_day.local_time(as_of - int(days) * DAY_US).date() - LONGEST_BREAK if since is None else _date_before(since)
    found = await question.gateway.close_totals(of, owner, first.isoformat())
    closes = dated_closes(found, measure, trading_day, as_of)
    return closes, first_moment(int(days), as_of, closes) if since is None else since


def _date_before(since: int) -> dt.date:
    """A date before that of a moment in any zone."""
    return dt.datetime.fromtimestamp(since // 1_000_000, dt.UTC).date() - dt.timedelta(days=1)


def _answer(question: Question, node: str | None, dealer: str | None, found: Series, closes: int) -> Response:
    bucket_us: int = question.values["bucket"] or 0
    header = question.valued_header() | {
        "measure": question.values["measure"],
        "bucket_s": bucket_us / 1e6 if bucket_us else None,
        "node": node,
        "dealer": dealer,
        "closes": closes,
        "drawdown": _drawdown_row(drawdown(found), question.exact),
    }
    rows: Sequence[Point] = points(found, bucket_us)
    return list_answer(
        question, ListAnswer(header, names(POINT), rows, _exact_point_row if question.exact else _point_row, len(rows))
    )


def _drawdown_row(found: Drawdown, exact: bool) -> RowDict:
    return decimal_texts(found._asdict()) if exact else found._asdict()


def _point_row(point: Point) -> RowDict:
    return point._asdict()


def _exact_point_row(point: Point) -> RowDict:
    return decimal_texts(point._asdict())
