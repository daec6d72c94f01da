"""`POST /v1/reconcile` and `GET /v1/breaks`: whether engine and store hold the same, now and since."""

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.serve.answers import Question, json_answer
from riskengine.serve.problems import Problem
from riskengine.serve.trades_route import read_body

ACTOR = "local"
"""Who asks where there are no tokens."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent."""

    repair: bool = False


_decoder = msgspec.json.Decoder(Asked)


async def take_reconcile(question: Question) -> Response:
    """Compare engine and store now, and repair where that is asked for; the report. Raises Problem, StoreError, EngineNotLive."""
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    body = b"{}" if question.request.headers.get("content-length") == "0" else await read_body(question)
    try:
        asked = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Problem(400, f'the body is not {{"repair": true}} or {{"repair": false}}: {error}') from None
    return json_answer(await gateway.reconcile(repair=asked.repair, actor=ACTOR))


async def answer_breaks(question: Question) -> Response:
    """Remembered breaks, open ones first, and the last report. Raises StoreError, EngineNotLive."""
    gateway, values = question.gateway, question.values
    header = question.header()
    rows, last = await gateway.breaks(status=None if values["status"] == "all" else "open")
    first = values["offset"]
    return json_answer(
        header | {"last": last, "rows": rows[first : first + values["limit"]], "total": len(rows)}
    )
