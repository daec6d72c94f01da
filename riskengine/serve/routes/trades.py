"""Trades and ticks over HTTP: posted ones in, stored trades out, and what would become of trades that are not sent yet."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.positions.processed import DUPLICATE
from riskengine.records.decode import NAMED_ATTRIBUTES, TradeInput, open_ticks, open_trades, split_refusals
from riskengine.records.fields import MAX_INTEGER, excerpt
from riskengine.records.types import Refusal
from riskengine.serve.access.booking import BOOKED, as_bookings, books_by_grants, deals_of, only_own
from riskengine.serve.access.permissions import check_dealer, check_node
from riskengine.serve.answers.answers import ListAnswer, Question, error_rows, json_answer, list_answer
from riskengine.serve.answers.coding import GZIP, MAX_INLINE_BYTES, decompress
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.answers.shapes import TRADE, names
from riskengine.serve.answers.turns import decode_items
from riskengine.serve.answers.wire import with_doubles, with_safe_integers
from riskengine.serve.routes.trades_answer import DEFAULT_SOURCE, REJECTED, answer_trades, preview_trades
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import dealer_number, instrument_number, node_number

READ_TIMEOUT_S = 30.0
BOM = b"\xef\xbb\xbf"
MAX_NOTED = 100
"""Trades of one post that the audit trail names; the others are counted."""
IDENTITY = {"source": str, "trade_id": str, "leg": int, "version": int}

_anything = msgspec.json.Decoder(Any)


async def answer_stored_trades(question: Question) -> Response:
    """The visible stored trades that the snapshot holds, newest first. Raises UnknownName, Forbidden, StoreUnavailable."""
    snapshot, values, grants = question.snapshot, question.values, question.grants
    check_names(question)
    offset = values["offset"]
    found, total = await question.gateway.select_trades(
        node=values["node"],
        instrument=values["instrument"],
        dealer=values["dealer"],
        since=values["since"],
        versions=values["versions"],
        limit=offset + values["limit"],
        attributes={name: values[name] for name in NAMED_ATTRIBUTES if values[name] is not None},
        snapshot=snapshot,
        grants=grants,
        source=values["source"],
        trade_id=values["trade_id"],
        action=values["action"],
        kept_out=values["kept_out"],
    )
    row_of = with_safe_integers if question.exact else with_doubles
    return list_answer(question, ListAnswer(question.header(), names(TRADE), found[offset:], row_of, total))


def check_names(question: Question) -> None:
    """Check the node, dealer and instrument that a question names. Raises UnknownName, Forbidden."""
    snapshot, values, grants = question.snapshot, question.values, question.grants
    if values["node"] is not None:
        check_node(grants, snapshot.reference.hierarchy, values["node"])
    if values["dealer"] is not None:
        check_dealer(grants, values["dealer"])
    for name, number_of in (("node", node_number), ("dealer", dealer_number), ("instrument", instrument_number)):
        if values[name] is not None:
            number_of(snapshot, values[name])


async def take_trades(question: Question) -> Response:
    """Take trades; the answer has the outcome of each, in their order. Raises InboxFull, StoreUnavailable, EngineNotLive."""
    _require_live(question)
    body = await read_body(question)
    items = await decode_items(open_trades(body))
    books = books_by_grants(question.principal)
    if books:
        items = await _cut_to_grants(question, items)
    answer = await answer_trades(question.gateway, items)
    if any(isinstance(item, Refusal) for item in items):
        _identify_undecoded(answer["results"], body, BOOKED if books else DEFAULT_SOURCE)
    if books:
        _note_booked(question, answer["results"])
    return json_answer(answer)


async def check_trades(question: Question) -> Response:
    """Say what would become of trades if they were sent now; nothing is stored. Raises StoreUnavailable, EngineNotLive."""
    _require_live(question)
    body = await read_body(question)
    items = await decode_items(open_trades(body))
    books = books_by_grants(question.principal)
    if books:
        items = await _cut_to_grants(question, items, is_asked=True)
    answer = await preview_trades(question.gateway, items)
    if any(isinstance(item, Refusal) for item in items):
        _identify_undecoded(answer["results"], body, BOOKED if books else DEFAULT_SOURCE)
    return json_answer(answer)


async def _cut_to_grants(
    question: Question, items: list[TradeInput | Refusal], *, is_asked: bool = False
) -> list[TradeInput | Refusal]:
    """The items as bookings of the principal; what it may not book is a refusal. `is_asked`: it asks, and books nothing."""
    gateway, bookings = question.gateway, as_bookings(items)
    deals = deals_of(bookings)
    stored = await gateway.stored_deals(deals) if deals else []
    found = only_own(bookings, stored, question.grants, gateway.history.newest.reference.hierarchy)
    refused = any(isinstance(one, Refusal) and isinstance(item, TradeInput) for one, item in zip(found, items, strict=True))
    if refused and not is_asked:
        question.request.app.state.access_audit.record_refusal("grant", question.request.scope)
    return found


def _note_booked(question: Question, results: Sequence[RowDict]) -> None:
    """Note in the audit trail who booked what: trades that were stored now, or are stored already."""
    booked = [one for one in results if one["status"] not in (REJECTED, DUPLICATE)]
    if booked:
        named = [{name: one[name] for name in (*IDENTITY, "status")} for one in booked[:MAX_NOTED]]
        question.gateway.note("booked", "", {"count": len(booked), "trades": named}, question.principal.name)


async def take_ticks(question: Question) -> Response:
    """Take ticks; the snapshot after the next beat shows them. Raises EngineNotLive."""
    _require_live(question)
    gateway = question.gateway
    items = await decode_items(open_ticks(await read_body(question)))
    undecoded = [item for item in items if isinstance(item, Refusal)]
    readable = list(split_refusals(items))
    offered = gateway.offer_ticks([tick for _, tick in readable]).refused
    gateway.metrics.ticks_refused.inc(len(undecoded))
    refusals = [*undecoded, *(Refusal(readable[r.index][0], r.field, r.reason) for r in offered)]
    refusals.sort(key=lambda refusal: refusal.index)
    return json_answer({"accepted": len(items) - len(refusals), "refused": len(refusals), "errors": error_rows(refusals)})


def _require_live(question: Question) -> None:
    """Called before the body is read: a client should not send a megabyte to be refused."""
    if not question.gateway.is_live:
        raise EngineNotLive(f"the engine is {question.gateway.state}")


async def read_body(question: Question) -> bytes:
    """The request's body, unpacked, without a byte-order mark. Raises HttpProblem if it is too large, too slow or empty.

    A body that is too large is refused as soon as its Content-Length or the bytes received so far say so, and is never held; what
    was packed as gzip has the same bound when it is unpacked. Other codings are refused.
    """
    is_gzip = _is_gzip(question)
    request, limit = question.request, question.gateway.config.server.max_body_bytes
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise HttpProblem(408, f"the body did not come within {READ_TIMEOUT_S:.0f} s") from None
    body = b"".join(parts)
    if is_gzip:
        body = await _unpacked(body, limit)
    body = body.removeprefix(BOM)
    if not body.strip():
        raise HttpProblem(400, "the body is empty: JSON is expected")
    return body


def _is_gzip(question: Question) -> bool:
    """Whether the body is packed as gzip. Raises HttpProblem (415) for every other coding."""
    sent = ",".join(question.request.headers.getlist("content-encoding"))
    codings = [name for part in sent.lower().split(",") if (name := part.strip()) and name != "identity"]
    if codings not in ([], [GZIP], ["x-gzip"]):
        detail = f"a body in {excerpt(sent)} is not read: send it plain, or as {GZIP}"
        raise HttpProblem(415, detail, headers={"accept-encoding": GZIP})
    return bool(codings)


async def _unpacked(body: bytes, limit: int) -> bytes:
    try:
        if len(body) <= MAX_INLINE_BYTES:
            found = decompress(body, limit)
        else:
            found = await asyncio.to_thread(decompress, body, limit)
    except ValueError as error:
        raise HttpProblem(400, f"the body is no {GZIP}: {error}") from None
    if found is None:
        raise _too_large(limit)
    return found


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(413, f"the body is larger than {limit} bytes; nothing of it was taken: send it in parts")


def _identify_undecoded(results: list[RowDict], body: bytes, default_source: str) -> None:
    """Add the identity of trades that could not be decoded, as far as they have one."""
    try:
        sent = _anything.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    for result, item in zip(results, sent if isinstance(sent, list) else [sent], strict=False):
        if result["status"] == REJECTED and result["trade_id"] is None and isinstance(item, dict):
            named = {"source": default_source, "leg": 0, "version": 1} | {
                key: item[key]
                for key, kind in IDENTITY.items()
                if type(item.get(key)) is kind and (kind is str or abs(item[key]) <= MAX_INTEGER)
            }
            result.update(named)
