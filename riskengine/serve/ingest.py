"""`/v1/ingest`: ticks, trades and heartbeats of publishers, over one websocket each.

Frames are taken in their order. Ticks are in the quote book before the next frame is read. Trades go to the store without
holding up the ticks behind them; a few frames may be on their way, then the next is not read until one is answered. Answers
come in the order of the frames.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import msgspec
from starlette.websockets import WebSocket

from riskengine.board import JSON, MSGPACK
from riskengine.decode import TickInput, TradeInput, decode_ticks, decode_trades, refusal_of, refused_or_null
from riskengine.errors import EngineNotLive, InboxFull, InputError, RiskEngineError, StoreUnavailable
from riskengine.fields import MAX_INTEGER, Rejected, integer, name
from riskengine.gateway import Gateway
from riskengine.messages import Refusal
from riskengine.serve.outlet import Outlet
from riskengine.serve.server import accept_when_live
from riskengine.serve.trades_answer import SubmittedTrades, submit_trades
from riskengine.serve.websocket_frames import FRAMED
from riskengine.subscription import error

MAX_FRAMES_IN_FLIGHT = 4
"""Trades frames on their way through store and writer, of one connection."""

TICKS_AT_ONCE = 1_000
"""Ticks applied before others get their turn: half a millisecond."""

REPORT_AFTER_S = 1.0
REPORTED_REFUSALS = 5
RETRY_AFTER_MS = 1_000
TURN_S = 0.001


class FeedHeartbeat(msgspec.Struct):
    """A publisher is alive; `last_seq` is the highest `source_seq` that it has sent."""

    source: str
    last_seq: int | None = None


class IngestFrame(msgspec.Struct):
    """One message of a publisher; the lists stay encoded, so that one bad item costs only itself."""

    ticks: msgspec.Raw = msgspec.Raw()
    trades: msgspec.Raw = msgspec.Raw()
    heartbeat: FeedHeartbeat | None = None


_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)
_decode_json = msgspec.json.Decoder(IngestFrame).decode
_decode_msgpack = msgspec.msgpack.Decoder(IngestFrame).decode
_split_msgpack = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_msgpack_ticks = msgspec.msgpack.Decoder(list[TickInput]).decode
_msgpack_tick = msgspec.msgpack.Decoder(TickInput).decode
_msgpack_trades = msgspec.msgpack.Decoder(list[TradeInput]).decode
_msgpack_trade = msgspec.msgpack.Decoder(TradeInput).decode

Item = TypeVar("Item")


# -- decoding ----------------------------------------------------------------------------------------------------


def decode_frame(message: str | bytes) -> IngestFrame:
    """A publisher's message, JSON as text or msgpack as bytes. Raises InputError."""
    try:
        frame = _decode_json(message) if isinstance(message, str) else _decode_msgpack(message)
    except _UNDECODABLE as problem:
        refusal = refusal_of(problem, 0)
        raise InputError(f"{refusal.field}: {refusal.reason}" if refusal.field else refusal.reason) from None
    if not frame.ticks and not frame.trades and frame.heartbeat is None:
        raise InputError("a frame has ticks, trades or a heartbeat")
    return frame


def ticks_of(frame: IngestFrame, is_text: bool) -> list[TickInput | Refusal]:
    """The ticks of a frame, bad ones as refusals in their places. Raises InputError where they are no list."""
    if is_text:
        return decode_ticks(bytes(frame.ticks))
    return _msgpack_items(frame.ticks, _msgpack_ticks, _msgpack_tick, TickInput)


def trades_of(frame: IngestFrame, is_text: bool) -> list[TradeInput | Refusal]:
    """The trades of a frame, bad ones as refusals in their places. Raises InputError where they are no list."""
    if is_text:
        return decode_trades(bytes(frame.trades))
    return _msgpack_items(frame.trades, _msgpack_trades, _msgpack_trade, TradeInput)


def _msgpack_items(
    packed: msgspec.Raw, whole: Callable[[msgspec.Raw], list[Item]], single: Callable[[msgspec.Raw], Item], into: type[Item]
) -> list[Item | Refusal]:
    try:
        return list(whole(packed))
    except _UNDECODABLE:
        pass
    try:
        parts = _split_msgpack(packed)
    except _UNDECODABLE as problem:
        raise InputError(f"not a list of objects: {problem}") from None
    items: list[Item | Refusal] = []
    for index, part in enumerate(parts):
        try:
            items.append(single(part))
        except _UNDECODABLE as problem:
            items.append(refused_or_null(problem, index, into, partial(msgspec.msgpack.decode, part)))
    return items


# -- one publisher -----------------------------------------------------------------------------------------------


class Publisher:
    """One connection: takes its frames, answers its trades, counts its refused ticks."""

    def __init__(self, gateway: Gateway, outlet: Outlet) -> None:
        self._gateway = gateway
        self._outlet = outlet
        self._encoding = JSON
        self._answers: asyncio.Queue[SubmittedTrades | Mapping[str, Any]] = asyncio.Queue(MAX_FRAMES_IN_FLIGHT)
        self._refused = 0
        self._reported: list[Refusal] = []
        self._report_timer: asyncio.TimerHandle | None = None

    async def take(self, message: str | bytes) -> None:
        """Do what one frame says. Raises EngineNotLive; what else is wrong is answered."""
        is_text = isinstance(message, str)
        self._encoding = JSON if is_text else MSGPACK
        try:
            frame = decode_frame(message)
            if frame.heartbeat is not None:
                self._take_heartbeat(frame.heartbeat)
            if frame.ticks:
                await self._take_ticks(ticks_of(frame, is_text))
            if frame.trades:
                await self._take_trades(trades_of(frame, is_text))
        except InputError as problem:
            await self._answers.put(error(None, "malformed frame", str(problem)))

    async def answer(self) -> None:
        """Send the answers in their order, each when its trades are published. Until cancelled."""
        while True:
            item = await self._answers.get()
            if isinstance(item, SubmittedTrades):
                try:
                    message: Mapping[str, Any] = {"type": "trades"} | await item.answer()
                except RiskEngineError as problem:
                    message = nothing_stored(problem)
            else:
                message = item
            self._send(message)
            await self._outlet.drained()

    def close(self) -> None:
        """The connection has ended; nothing is reported any more."""
        if self._report_timer is not None:
            self._report_timer.cancel()

    def _take_heartbeat(self, beat: FeedHeartbeat) -> None:
        try:
            source = name(beat.source, "heartbeat.source")
            last_seq = None if beat.last_seq is None else integer(beat.last_seq, "heartbeat.last_seq", 0, MAX_INTEGER)
        except Rejected as problem:
            raise InputError(str(problem)) from None
        self._gateway.feed_heartbeat(source, last_seq)

    async def _take_ticks(self, items: Sequence[TickInput | Refusal]) -> None:
        for first in range(0, len(items), TICKS_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            part = items[first : first + TICKS_AT_ONCE]
            ticks = [item for item in part if not isinstance(item, Refusal)]
            refused = self._gateway.offer_ticks(ticks)
            if len(ticks) < len(part):
                places = [place for place, item in enumerate(part) if not isinstance(item, Refusal)]
                refused = [msgspec.structs.replace(refusal, index=places[refusal.index]) for refusal in refused]
                undecoded = [item for item in part if isinstance(item, Refusal)]
                self._gateway.metrics.ticks_refused.inc(len(undecoded))
                self._note(undecoded, 0)
            if refused:
                self._note(refused, first)

    async def _take_trades(self, items: Sequence[TradeInput | Refusal]) -> None:
        try:
            await self._answers.put(await submit_trades(self._gateway, items))
        except EngineNotLive:
            raise
        except RiskEngineError as problem:
            await self._answers.put(nothing_stored(problem))

    def _note(self, refusals: Sequence[Refusal], offset: int) -> None:
        """Count refused ticks; the first of them within a second are reported with their reasons."""
        self._refused += len(refusals)
        room = REPORTED_REFUSALS - len(self._reported)
        self._reported += [msgspec.structs.replace(r, index=r.index + offset) for r in refusals[:room]]
        if self._report_timer is None:
            self._report_timer = asyncio.get_running_loop().call_later(REPORT_AFTER_S, self._report)

    def _report(self) -> None:
        errors = [{"index": refusal.index, "field": refusal.field, "reason": refusal.reason} for refusal in self._reported]
        self._send({"type": "refused", "count": self._refused, "errors": errors})
        self._refused, self._reported, self._report_timer = 0, [], None

    def _send(self, message: Mapping[str, Any]) -> None:
        self._outlet.write_message(self._encoding.encode(message), self._encoding.is_text)


def nothing_stored(problem: RiskEngineError) -> dict[str, Any]:
    """The answer to trades of which none was taken, for the sender to send them again."""
    titles = {InboxFull: "no room for more trades", StoreUnavailable: "store unavailable", EngineNotLive: "engine not live"}
    title = next((text for kind, text in titles.items() if isinstance(problem, kind)), "trades not stored")
    return error(None, title, str(problem)) | {"retry_after_ms": RETRY_AFTER_MS}


def ingest_endpoint(gateway: Gateway) -> Callable[[WebSocket], Awaitable[None]]:
    """What `/v1/ingest` does with a connection."""

    async def ingest(websocket: WebSocket) -> None:
        outlet = await accept_when_live(websocket, gateway, FRAMED[JSON.name])
        if outlet is None:
            return
        publisher = Publisher(gateway, outlet)
        answering = asyncio.create_task(publisher.answer())
        try:
            await _take_frames(websocket, publisher, outlet)
        except EngineNotLive:
            outlet.shutdown()
        finally:
            publisher.close()
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering

    return ingest


async def _take_frames(websocket: WebSocket, publisher: Publisher, outlet: Outlet) -> None:
    """Until the connection ends. Others get their turn once a millisecond."""
    turn = perf_counter()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        await publisher.take(message["bytes"] if text is None else text)
        if outlet.unsent_bytes:
            await outlet.drained()
        if perf_counter() - turn > TURN_S:
            await asyncio.sleep(0)
            turn = perf_counter()
