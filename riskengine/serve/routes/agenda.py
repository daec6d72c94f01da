"""What the trading day and the next ones bring, over HTTP."""

import asyncio
from collections import Counter

from starlette.responses import Response

from riskengine.serve.answers.answers import ListAnswer, Question, list_answer
from riskengine.serve.answers.params import Parameter, integer_parameter
from riskengine.serve.answers.shapes import AGENDA, names
from riskengine.serve.routes.exceptions import visible_rows
from riskengine.serve.routes.lists import same_row
from riskengine.snapshot.agenda import agenda
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.grants import Grants

MAX_AHEAD_DAYS = 45
"""Calendars of the year that follows are counted on no earlier (`Calendars.gaps`)."""

AHEAD: Parameter = integer_parameter("ahead", "how many days beyond the current one", 0, MAX_AHEAD_DAYS, 5)


async def answer_today(question: Question) -> Response:
    """What the current trading day and the next ones bring; of positions those that the token shows."""
    snapshot, values = question.snapshot, question.values
    held = held_positions(snapshot, question.grants)
    # Off the loop: the first question about a calendar reads the library.
    items = await asyncio.to_thread(agenda, snapshot, question.gateway.spot_dates, held, values["ahead"])
    rows = [item._asdict() for item in items if values["kind"] in (None, item.kind)]
    return list_answer(question, ListAnswer(question.header() | _day(snapshot), names(AGENDA), rows, same_row, len(rows)))


def held_positions(snapshot: Snapshot, grants: Grants) -> dict[int, int]:
    """How many visible positions are open, by instrument number."""
    counts: Counter[int] = Counter()
    for row in visible_rows(snapshot, grants):
        counts[row.instrument] += row.open_count
    return {number: count for number, count in counts.items() if count}


def _day(snapshot: Snapshot) -> RowDict:
    """The current trading day and the close that it began with; null while no day, or no close, is known."""
    window = None if snapshot.day is None else snapshot.day.window
    return {
        "day": snapshot.current_day or None,
        "day_start_ts": None if window is None else window.start_ts,
        "day_end_ts": None if window is None else window.end_ts,
        "closed": None if window is None else window.closed,
    }
