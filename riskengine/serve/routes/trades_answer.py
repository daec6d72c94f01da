"""The answer to submitted trades, the same over HTTP and over a websocket, and what would be answered to trades not yet sent.

It exists only when its trades are durable, applied and published: `results` in the order of the items, refused ones among the
others, and the `seq` of a snapshot that a later read will see.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from riskengine.engine.inbox import Receipt
from riskengine.engine.preview import Preview
from riskengine.observe import TRADE_OUTCOMES
from riskengine.records.decode import TradeCheck, TradeInput, has_rounded_fees
from riskengine.records.fields import MAX_TEXT, Rejected, exact_in_json, sequence
from riskengine.records.types import Refusal, Trade
from riskengine.serve.answers.answers import error_rows
from riskengine.serve.gateway import Gateway

DEFAULT_SOURCE = "api"
REJECTED = "rejected"
ROUNDED = "rounded"
"""Counted beside the outcomes: trades whose fees had more decimals than the store keeps."""

TRADES_PER_TURN = 100
"""Trades checked before other tasks run: about a millisecond."""


async def answer_trades(gateway: Gateway, items: Sequence[TradeInput | Refusal]) -> dict[str, Any]:
    """Submit decoded trades (`decode.open_trades`) and answer when a published snapshot shows them.

    Returns `{epoch, seq, results, counts, errors}`. Raises InboxFull, StoreUnavailable or EngineNotLive, and then nothing was
    stored.
    """
    return await (await submit_trades(gateway, items)).answer()


class SubmittedTrades:
    """Trades in flight through store and writer, and the items that were refused before."""

    def __init__(
        self,
        gateway: Gateway,
        items: Sequence[Trade | TradeInput | Refusal],
        refusals: Sequence[Refusal],
        rounded: int,
        receipt: "asyncio.Future[Receipt] | None",
        numbered: "Awaitable[None] | None" = None,
    ) -> None:
        self._gateway = gateway
        self._items = items
        self._refusals = refusals
        self._rounded = rounded
        self._receipt = receipt
        self._numbered = numbered

    async def answer(self) -> dict[str, Any]:
        """The answer, once there is one. Raises what `answer_trades` raises."""
        if self._numbered is not None:  # that the numbers of refused trades have come must be known after a restart
            await self._numbered
        # The sender may go away; the submitted trades go on.
        receipt = None if self._receipt is None else await asyncio.shield(self._receipt)
        if receipt is not None and receipt.error is not None:
            raise receipt.error
        newest = self._gateway.history.newest
        refusals = {refusal.index: refusal for refusal in self._refusals}
        outcomes = iter(() if receipt is None else receipt.outcomes)
        results, counts = [], dict.fromkeys(TRADE_OUTCOMES, 0) | {ROUNDED: self._rounded}
        for index, item in enumerate(self._items):
            refusal = refusals.get(index)
            if refusal is not None:
                status, late, reason = REJECTED, False, refusal.text
            else:
                status, late, reason = next(outcomes)
            counts[status] += 1
            results.append(_result(item, status, late, reason))
        return {
            "epoch": newest.epoch,
            "seq": newest.seq if receipt is None else receipt.seq,
            "results": results,
            "counts": counts,
            "errors": error_rows(self._refusals),
        }


async def submit_trades(gateway: Gateway, items: Sequence[TradeInput | Refusal]) -> SubmittedTrades:
    """Check trades and submit the valid ones, without waiting for the store.

    Trades of two calls, the second made after the first has returned, stay in that order. Raises what `answer_trades` raises if
    that is known already.
    """
    check = gateway.check
    checked, trades, refusals, rounded = await _checked(check, items, gateway.clock.now())
    if refusals:
        gateway.metrics.trades[REJECTED].inc(len(refusals))
    numbers = [found for refusal in refusals if (found := _source_number(checked[refusal.index])) is not None]
    numbered = gateway.note_refused(numbers) if numbers else None
    receipt: asyncio.Future[Receipt] | None = None
    if trades:
        receipt = asyncio.ensure_future(gateway.submit(trades, check))
        receipt.add_done_callback(_retrieve_error)
    return SubmittedTrades(gateway, checked, refusals, rounded, receipt, numbered)


async def preview_trades(gateway: Gateway, items: Sequence[TradeInput | Refusal]) -> dict[str, Any]:
    """What would become of decoded trades if they were sent now: the same check, and nothing is stored, applied or counted.

    Returns `{epoch, seq, results, counts, errors}`. Raises StoreUnavailable, EngineNotLive.
    """
    check = gateway.check
    checked, trades, refusals, rounded = await _checked(check, items, gateway.clock.now())
    previews = iter(await gateway.preview(trades, check))
    newest = gateway.history.newest
    refused = {refusal.index: refusal for refusal in refusals}
    results, counts = [], dict.fromkeys(TRADE_OUTCOMES, 0) | {ROUNDED: rounded}
    for index, item in enumerate(checked):
        refusal = refused.get(index)
        each = next(previews) if refusal is None else Preview(REJECTED, refusal.text)
        counts[each.status] += 1
        results.append(_identity(item) | _preview_row(each))
    return {"epoch": newest.epoch, "seq": newest.seq, "results": results, "counts": counts, "errors": error_rows(refusals)}


def _preview_row(preview: Preview) -> dict[str, Any]:
    notices = [{"kind": kind, "reason": reason} for kind, reason in preview.notices]
    return {"status": preview.status, "reason": preview.reason, "instrument": preview.instrument or None, "notices": notices}


class _Checked(NamedTuple):
    """A batch behind the check: of each item the trade or the item that was refused; the trades; the refusals; rounded fees."""

    items: list[Trade | TradeInput | Refusal]
    trades: list[Trade]
    refusals: list[Refusal]
    rounded: int


async def _checked(check: TradeCheck, items: Sequence[TradeInput | Refusal], received_ts: int) -> _Checked:
    """Check a batch, in turns."""
    checked: list[Trade | TradeInput | Refusal] = []
    trades: list[Trade] = []
    refusals: list[Refusal] = []
    rounded = 0
    for index, item in enumerate(items):
        if index and not index % TRADES_PER_TURN:
            await asyncio.sleep(0)
        result = item if isinstance(item, Refusal) else _check(check, item, index, received_ts)
        if isinstance(result, Trade):
            checked.append(result)
            trades.append(result)
            rounded += isinstance(item, TradeInput) and has_rounded_fees(item)
        else:
            checked.append(item)
            refusals.append(result)
    return _Checked(checked, trades, refusals, rounded)


def _source_number(item: Trade | TradeInput | Refusal) -> tuple[str, int] | None:
    """Source and number of a refused item; None where it has none that can be stored."""
    source = item.source or DEFAULT_SOURCE
    if len(source) > MAX_TEXT or not source.isprintable():
        return None
    try:
        number = sequence(item.source_seq, "source_seq")
    except Rejected:
        return None
    return (source, number) if number else None


def _retrieve_error(receipt: "asyncio.Future[Receipt]") -> None:
    """Retrieve the error, so that asyncio does not log it if the sender is gone and nobody awaits the answer."""
    if not receipt.cancelled():
        receipt.exception()


def _check(check: TradeCheck, item: TradeInput, index: int, received_ts: int) -> Trade | Refusal:
    try:
        return check(item, received_ts, DEFAULT_SOURCE)
    except Rejected as error:
        return Refusal(index, error.field, error.reason)


def _result(item: Trade | TradeInput | Refusal, status: str, late: bool, reason: str) -> dict[str, Any]:
    """The outcome of one item."""
    return _identity(item) | {"status": status, "late": late, "reason": reason}


def _identity(item: Trade | TradeInput | Refusal) -> dict[str, Any]:
    """The identity and version of an item, all null if it could not be decoded; so is a number that JSON cannot carry."""
    if isinstance(item, Refusal):
        return dict.fromkeys(("source", "trade_id", "leg", "version"))
    return {
        "source": item.source or DEFAULT_SOURCE,
        "trade_id": item.trade_id,
        "leg": exact_in_json(item.leg),
        "version": 1 if item.version is None and item.action == "new" else exact_in_json(item.version),
    }
