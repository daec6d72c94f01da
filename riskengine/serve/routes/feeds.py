"""A person's word on a source of trades: its gap is known, it numbers anew, it is no more."""

from typing import Literal

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.records.fields import excerpt
from riskengine.serve.answers.answers import Question, json_answer
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.routes.trades import read_body

FEED_ACTIONS = ("acknowledge", "restart", "retire")


class FeedBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/feeds/{source}`."""

    action: Literal["acknowledge", "restart", "retire"]


_decode_body = msgspec.json.Decoder(FeedBody).decode


async def take_feed_action(question: Question) -> Response:
    """Store and carry out a person's word on a source; answers with its row. Raises HttpProblem, StoreError, EngineNotLive."""
    gateway, source = question.gateway, question.request.path_params["source"]
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    try:
        sent = _decode_body(await read_body(question))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HttpProblem(400, f'the body is not {{"action": "{"|".join(FEED_ACTIONS)}"}}: {error}') from None
    row = await gateway.decide_feed(source, sent.action, question.principal.name)
    if row is None:
        raise HttpProblem(404, f"unknown source {excerpt(source)}: no trade, tick or heartbeat of it has come")
    return json_answer(row)
