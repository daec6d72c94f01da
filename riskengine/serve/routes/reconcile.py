"""`POST /v1/reconcile`, `GET /v1/breaks`, `POST /v1/breaks/{id}`: whether engine and store hold the same, now and since."""

from functools import partial

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.records.fields import MAX_DIGITS, excerpt
from riskengine.serve.answers.answers import Question, json_answer
from riskengine.serve.answers.problems import HttpProblem, bad_field
from riskengine.serve.answers.turns import SlicedResponse
from riskengine.serve.routes.exceptions import check_comment
from riskengine.serve.routes.trades import read_body
from riskengine.snapshot.holdings import holding_lines
from riskengine.snapshot.rows import RowDict


class ReconcileBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent."""

    repair: bool = False


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """What a person says of a break."""

    comment: str


_decoder = msgspec.json.Decoder(ReconcileBody)
_comment_decoder = msgspec.json.Decoder(Said)


async def take_reconcile(question: Question) -> Response:
    """Compare engine and store now, and repair where that is asked for; the report. Raises Problem, StoreError, EngineNotLive."""
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    body = b"{}" if question.request.headers.get("content-length") == "0" else await read_body(question)
    try:
        asked = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f'the body is not {{"repair": true}} or {{"repair": false}}: {error}') from None
    actor = question.principal.name
    report = await gateway.reconcile(repair=asked.repair, actor=actor)
    gateway.note("reconcile", "", {"repair": asked.repair, "clean": report["clean"], "breaks": len(report["breaks"])}, actor)
    return json_answer(report)


async def answer_breaks(question: Question) -> Response:
    """Remembered breaks that are shown, open ones first, and to whoever sees everything the last report.

    Raises StoreError, EngineNotLive.
    """
    gateway, values, grants = question.gateway, question.values, question.grants
    header = question.header()
    rows, last = await gateway.breaks(status=None if values["status"] == "all" else "open")
    if not grants.see_everything:
        rows, last = [row for row in rows if _is_shown(row, question)], None
    first = values["offset"]
    return json_answer(header | {"last": last, "rows": rows[first : first + values["limit"]], "total": len(rows)})


async def take_comment(question: Question) -> Response:
    """Note what a person says of a remembered break that they are shown; its row. Raises Problem, StoreError, EngineNotLive."""
    gateway, asked_id = question.gateway, question.request.path_params["id"]
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    try:
        said = _comment_decoder.decode(await read_body(question))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f'the body is not {{"comment": "..."}}: {error}') from None
    check_comment(said.comment)
    if not said.comment.strip():
        raise bad_field("comment", "is missing")
    number = int(asked_id) if asked_id.isascii() and asked_id.isdigit() and len(asked_id) <= MAX_DIGITS else 0
    row = None
    if question.grants.see_everything or await _shows_break(question, number):
        row = await gateway.comment_break(number, said.comment, question.principal.name)
    if row is None:
        raise HttpProblem(404, f"unknown break {excerpt(asked_id)}")
    return json_answer(row)


async def _shows_break(question: Question, number: int) -> bool:
    rows, _ = await question.gateway.breaks(status=None)
    return any(row["break_id"] == number and _is_shown(row, question) for row in rows)


def _is_shown(row: RowDict, question: Question) -> bool:
    """Whether the key of a break is shown: of a node without its parts, or of a dealer."""
    if row.get("dealer") is not None:
        return question.grants.sees_dealer(row["dealer"])
    return row.get("node") is not None and question.grants.sees_below(question.snapshot.reference.hierarchy, row["node"])


NDJSON = "application/x-ndjson"


async def answer_holdings(question: Question) -> Response:
    """All positions of both roll-ups and all inner nodes of one snapshot, made while they are sent."""
    more = {"store_id": question.gateway.health().get("store_id")}
    return SlicedResponse(partial(holding_lines, question.snapshot, more), {}, NDJSON)
