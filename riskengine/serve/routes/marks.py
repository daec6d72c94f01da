"""Marks that people set by hand, over HTTP."""

from starlette.responses import Response

from riskengine.clock import MICROS_PER_SECOND
from riskengine.errors import EngineNotLive
from riskengine.records.fields import Rejected
from riskengine.records.manual_marks import ManualMark, ManualMarkInput, check_manual_mark, decode_marks
from riskengine.records.types import Refusal
from riskengine.serve.answers.answers import Question, posted_answer
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.trades_answer import REJECTED
from riskengine.snapshot.rows import RowDict

MARK_OUTCOMES = ("applied", "duplicate", "superseded", REJECTED)
SUPERSEDED = "a newer mark is in force"


async def take_marks(question: Question) -> Response:
    """Take one mark or a list; the answer has what became of each, once the good ones are durable and in force.

    Raises HttpProblem, InputError, StoreError, EngineNotLive.
    """
    gateway, actor = question.gateway, question.principal.name
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = decode_marks(await read_body(question))
    instruments = gateway.history.newest.reference.by_symbol
    now, limit = gateway.clock.now(), int(gateway.config.engine.future_limit_s * MICROS_PER_SECOND)
    checked: list[ManualMark | Refusal] = []
    for index, item in enumerate(items):
        try:
            checked.append(item if isinstance(item, Refusal) else check_manual_mark(item, instruments, now, limit, actor))
        except Rejected as error:
            checked.append(Refusal(index, error.field, error.reason))
    good = [mark for mark in checked if isinstance(mark, ManualMark)]
    statuses, seq = await gateway.set_marks(good, actor) if good else ([], gateway.history.newest.seq)
    became = iter(statuses)
    results = [
        _refused(item, one) if isinstance(one, Refusal) else _taken(one, next(became))
        for item, one in zip(items, checked, strict=True)
    ]
    refusals = [one for one in checked if isinstance(one, Refusal)]
    return posted_answer(gateway.history.newest, MARK_OUTCOMES, results, refusals, seq)


def _taken(mark: ManualMark, status: str) -> RowDict:
    reason = SUPERSEDED if status == "superseded" else ""
    return {"instrument": mark.instrument, "ts": mark.ts, "status": status, "reason": reason}


def _refused(item: ManualMarkInput | Refusal, refusal: Refusal) -> RowDict:
    sent = item if isinstance(item, ManualMarkInput) else None
    instrument = None if sent is None else sent.instrument
    return {"instrument": instrument, "ts": sent.ts if sent is not None and isinstance(sent.ts, int) else None} | {
        "status": REJECTED,
        "reason": refusal.text,
    }
