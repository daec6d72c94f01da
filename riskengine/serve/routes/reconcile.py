"""Reconciliation over HTTP: compare engine and store now, list the breaks found so far, export all holdings."""

from functools import partial

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.records.decode import refusal_text
from riskengine.records.fields import MAX_DIGITS, excerpt
from riskengine.serve.answers.answers import Question, json_answer
from riskengine.serve.answers.problems import HttpProblem, bad_field
from riskengine.serve.answers.turns import SlicedResponse
from riskengine.serve.routes.exceptions import check_comment
from riskengine.serve.routes.trades import read_body
from riskengine.snapshot.holdings import holding_lines
from riskengine.snapshot.rows import RowDict


class ReconcileBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/reconcile`."""

    repair: bool = False


class CommentBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/breaks/{id}`."""

    comment: str


_decode_request = msgspec.json.Decoder(ReconcileBody).decode
_decode_comment = msgspec.json.Decoder(CommentBody).decode


async def take_reconcile(question: Question) -> Response:
    """Compare engine and store now, repair if asked to, and answer with the report.

    Raises HttpProblem, StoreError, EngineNotLive.
    """
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    body = b"{}" if question.request.headers.get("content-length") == "0" else await read_body(question)
    try:
        request = _decode_request(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(
            400, f'the body is not {{"repair": true}} or {{"repair": false}}: {refusal_text(error, ReconcileBody)}'
        ) from None
    actor = question.principal.name
    report = await gateway.reconcile(repair=request.repair, actor=actor)
    gateway.note("reconcile", "", {"repair": request.repair, "clean": report["clean"], "breaks": len(report["breaks"])}, actor)
    return json_answer(report)


async def answer_breaks(question: Question) -> Response:
    """Visible remembered breaks, open ones first; the last report too for principals that see everything.

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
    """Add a comment to a visible break and answer with its row. Raises HttpProblem, StoreError, EngineNotLive."""
    gateway, break_id = question.gateway, question.request.path_params["id"]
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    try:
        sent = _decode_comment(await read_body(question))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f'the body is not {{"comment": "..."}}: {refusal_text(error, CommentBody)}') from None
    check_comment(sent.comment)
    if not sent.comment.strip():
        raise bad_field("comment", "is missing")
    number = int(break_id) if break_id.isascii() and break_id.isdigit() and len(break_id) <= MAX_DIGITS else 0
    row = None
    if question.grants.see_everything or await _shows_break(question, number):
        row = await gateway.comment_break(number, sent.comment, question.principal.name)
    if row is None:
        raise HttpProblem(404, f"unknown break {excerpt(break_id)}")
    return json_answer(row)


async def _shows_break(question: Question, number: int) -> bool:
    rows, _ = await question.gateway.breaks(status=None)
    return any(row["break_id"] == number and _is_shown(row, question) for row in rows)


def _is_shown(row: RowDict, question: Question) -> bool:
    """Whether a break is visible: it is of a dealer, or of a node with everything below it."""
    if row.get("dealer") is not None:
        return question.grants.sees_dealer(row["dealer"])
    return row.get("node") is not None and question.grants.sees_below(question.snapshot.reference.hierarchy, row["node"])


NDJSON = "application/x-ndjson"


async def answer_holdings(question: Question) -> Response:
    """All positions of both roll-ups and all inner nodes of one snapshot, made while they are sent."""
    more = {"store_id": question.gateway.health().get("store_id")}
    return SlicedResponse(partial(holding_lines, question.snapshot, more), {}, NDJSON)
