"""`GET /v1/holdings`: everything that the engine holds, for programs that compare it with something else."""

from functools import partial

from starlette.responses import Response

from riskengine.serve.answers import Question
from riskengine.serve.turns import SlicedResponse
from riskengine.snapshot.holdings import holding_lines

NDJSON = "application/x-ndjson"


async def answer_holdings(question: Question) -> Response:
    """All positions of both roll-ups and all inner nodes of one snapshot, made while they are sent."""
    more = {"store_id": question.gateway.health().get("store_id")}
    return SlicedResponse(partial(holding_lines, question.snapshot, more), {}, NDJSON)
