"""Cash over HTTP: external movements and carry in, the cash ladder out."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.responses import Response

from riskengine.engine.cash_ladder import cash_ladder, look_back
from riskengine.engine.ladder_reading import read_ladder_trades
from riskengine.errors import EngineNotLive
from riskengine.market.trading_day import TradingDay
from riskengine.records.cash import CARRY, CASH, CarryInput, CashInput, CashOutcome, CashRecord, EntryCheck
from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected, exact_in_json
from riskengine.records.types import Refusal
from riskengine.serve.access.permissions import check_node
from riskengine.serve.answers.answers import ListAnswer, Question, list_answer, policies, posted_answer, stamp
from riskengine.serve.answers.shapes import CASH_FLOW, names
from riskengine.serve.answers.turns import decode_items, map_in_turns
from riskengine.serve.routes.lists import same_row
from riskengine.serve.routes.trades import read_body
from riskengine.serve.routes.trades_answer import REJECTED
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import SeqGone

CASH_OUTCOMES = ("applied", "duplicate", "conflict", "superseded", "quarantined", REJECTED)

Sent = TypeVar("Sent", CashInput, CarryInput)


# -- in ----------------------------------------------------------------------------------------------------------


async def take_cash(question: Question) -> Response:
    """Take external movements; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive."""
    return await _take(question, CASH, CashInput, "cash_id", lambda check: check.cash)


async def take_carry(question: Question) -> Response:
    """Take carry; the answer has the outcome of each, in their order. Raises StoreError, EngineNotLive."""
    return await _take(question, CARRY, CarryInput, "carry_id", lambda check: check.carry)


async def _take(
    question: Question,
    kind: str,
    into: type[Sent],
    id_field: str,
    check_of: Callable[[EntryCheck], Callable[[Sent, int], CashRecord]],
) -> Response:
    gateway = question.gateway
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = await decode_items(open_items(await read_body(question), into))
    check = check_of(EntryCheck(gateway.check))

    def checked(numbered: tuple[int, Sent | Refusal]) -> CashRecord | Refusal:
        index, item = numbered
        if isinstance(item, Refusal):
            return item
        try:
            return check(item, 0)
        except Rejected as error:
            return Refusal(index, error.field, error.reason)

    judged = await map_in_turns(checked, enumerate(items))
    records = [each for each in judged if not isinstance(each, Refusal)]
    outcomes = iter(await gateway.take_cash(kind, records, question.principal.name) if records else ())
    results, refusals = [], []
    for item, each in zip(items, judged, strict=True):
        if isinstance(each, Refusal):
            refusals.append(each)
            outcome = CashOutcome(REJECTED, each.text)
        else:
            outcome = next(outcomes)
        results.append(_identity(item, id_field) | outcome._asdict())
    return posted_answer(gateway.history.newest, CASH_OUTCOMES, results, refusals)


def _identity(item: Any, id_field: str) -> RowDict:
    """Id and version of an item; null where it could not be decoded."""
    if isinstance(item, Refusal):
        return {id_field: None, "version": None}
    return {id_field: getattr(item, id_field), "version": exact_in_json(item.version)}


# -- out ---------------------------------------------------------------------------------------------------------


async def answer_cash_ladder(question: Question) -> Response:
    """Cash flows of a node (without one: the root) by currency and value date; never cut.

    It is of the newest snapshot, or with `seq=` of one since the last trade: the engine holds its trades only as they are now.
    Raises UnknownName, EngineNotLive, Forbidden, SeqGone, SnapshotNotYet.
    """
    gateway, node, snapshot = question.gateway, question.values["node"], question.snapshot
    check_node(question.grants, snapshot.reference.hierarchy, node)
    trading_day = TradingDay.of(gateway.config.engine)
    since = look_back(trading_day, snapshot.as_of)
    taken = await read_ladder_trades(lambda: gateway.history.newest, gateway.on_writer, node, since, {})
    if behind := taken.behind():
        read = await gateway.frozen_trades(behind, since, taken.frozen_ids, taken.snapshot.reference, taken.place)
        taken = taken.with_those_behind(read)
    if question.values["seq"] is not None:
        if not snapshot.reference.is_kin(taken.snapshot.reference) or taken.snapshot.trade_seq > snapshot.seq:
            raise SeqGone(f"trades have come since seq {snapshot.seq}: a cash ladder shows the trades of now")
        taken = taken._replace(snapshot=snapshot)
    rows, beside = await asyncio.to_thread(cash_ladder, taken, trading_day, question.values["currency"])
    if question.exact:
        rows = [decimal_texts(row) | {"amount": row["exact"]} for row in rows]
        beside = beside | {name: [decimal_texts(each) for each in beside[name]] for name in ("totals", "awaiting_fixing")}
    for row in rows:
        del row["exact"]
    settings = policies(gateway.config)
    header = stamp(taken.snapshot) | {"reporting_currency": settings["reporting_currency"], "policies": settings}
    owner = node if node is not None else next(iter(taken.snapshot.reference.hierarchy.names), None)
    header |= {"node": owner} | beside
    return list_answer(question, ListAnswer(header, names(CASH_FLOW), rows, same_row, len(rows), items_are_rows=True))
