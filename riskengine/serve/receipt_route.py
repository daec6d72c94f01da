"""`GET /v1/receipt`: what reproduces one cell."""

import asyncio
from functools import partial

from starlette.responses import Response

from riskengine.engine.receipt import cell_of, receipt
from riskengine.errors import EngineNotLive
from riskengine.serve.answers import Question, json_answer, policies, stamp
from riskengine.serve.permissions import check_dealer, check_node
from riskengine.serve.problems import bad_field
from riskengine.snapshot.snapshot import SnapshotGone


async def answer_receipt(question: Question) -> Response:
    """The receipt of what a node (without one: the root) or a dealer holds of an instrument.

    Of now, or with `seq=` of a snapshot since the last trade: the engine holds its trades as they are. Raises UnknownName,
    EngineNotLive, Problem, NotAllowed, SnapshotGone, SnapshotNotYet.
    """
    values, gateway = question.values, question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    node, dealer, instrument = values["node"], values["dealer"], values["instrument"]
    if instrument is None:
        raise bad_field("instrument", "is missing: a receipt is for one instrument")
    if node is not None and dealer is not None:
        raise bad_field("dealer", "goes with no node: ask for one of them")
    if dealer is not None:
        check_dealer(question.grants, dealer)
    else:
        check_node(question.grants, gateway.history.newest.reference.hierarchy, node)
    wanted = question.snapshot if values["seq"] is not None else None
    cell = await gateway.on_writer(partial(cell_of, node=node, dealer=dealer, instrument=instrument))
    if wanted is not None:
        if wanted.reference is not cell.snapshot.reference or cell.snapshot.trade_seq > wanted.seq:
            raise SnapshotGone(f"trades have come since seq {wanted.seq}: a receipt is of the trades that there are")
        cell = cell._replace(snapshot=wanted)
    made = await asyncio.to_thread(receipt, cell)
    shown = policies(gateway.config)
    owner = {"dealer": dealer} if dealer is not None else {"node": node}
    return json_answer(
        stamp(cell.snapshot) | {"reporting_currency": shown["reporting_currency"], "policies": shown} | owner | made
    )
