"""`/v1/ingest`: ticks, trades, vols, rates, Greeks and heartbeats of publishers, over one websocket each.

Frames are processed in order. The quote book has the ticks of one before the next is read. Trades go to the store without
delaying the ticks behind them: a few frames may be in flight; then the next is read only when one is answered. Answers come in
the order of the frames.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from riskengine.errors import EngineNotLive, InboxFull, InputError, RiskEngineError, StoreUnavailable
from riskengine.market.tick_limits import TicksTaken
from riskengine.observe import get_logger
from riskengine.records.decode import (
    ItemParts,
    TickInput,
    TradeInput,
    check_parts,
    open_items,
    open_ticks,
    open_trades,
    refusal_text,
    retry_without_nulls,
)
from riskengine.records.fields import Rejected, excerpt, name, sequence
from riskengine.records.option_input_checks import GreeksInput, RateInput, SentInput, VolInput
from riskengine.records.types import Refusal
from riskengine.serve.answers.answers import error_rows
from riskengine.serve.answers.problems import POLICY_VIOLATION
from riskengine.serve.answers.turns import TURN_S, Item, decode_items
from riskengine.serve.gateway import Gateway
from riskengine.serve.routes.option_inputs import take_inputs
from riskengine.serve.routes.trades_answer import SubmittedTrades, submit_trades
from riskengine.serve.stream.frames import FRAMED
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.uvicorn_server import accept_when_live
from riskengine.views.board import JSON, MSGPACK
from riskengine.views.subscription import error

MAX_FRAMES_IN_FLIGHT = 4
"""Frames with trades of one connection that are on their way through store and writer."""

TICKS_PER_TURN = 1_000
"""Ticks applied before other tasks run: half a millisecond."""

MAX_MALFORMED = 100
"""Unreadable frames in a row after which the client is taken for no publisher and is dropped."""

LAST_ANSWERS_S = 1.0

REPORT_AFTER_S = 1.0
REPORTED_REFUSALS = 5
RETRY_AFTER_MS = 1_000


class TooMuchGarbage(Exception):
    """A publisher sends nothing that can be read."""


class FeedHeartbeat(msgspec.Struct, forbid_unknown_fields=True):
    """A publisher is alive; `last_seq` is the highest `source_seq` that it has sent: a text above 2^53, as there."""

    source: str
    last_seq: int | str | None = None


class IngestFrame(msgspec.Struct, forbid_unknown_fields=True):
    """One message of a publisher; the lists stay encoded, so that a bad item costs only itself."""

    ticks: msgspec.Raw = msgspec.Raw()
    trades: msgspec.Raw = msgspec.Raw()
    vols: msgspec.Raw = msgspec.Raw()
    rates: msgspec.Raw = msgspec.Raw()
    greeks: msgspec.Raw = msgspec.Raw()
    heartbeat: FeedHeartbeat | None = None
    counts: bool = False


log = get_logger("riskengine.serve.ingest")


class WholeFrame(msgspec.Struct, forbid_unknown_fields=True):
    """A frame of which every tick can be decoded, at once: nearly all frames."""

    ticks: list[TickInput] | msgspec.UnsetType = msgspec.UNSET
    trades: msgspec.Raw = msgspec.Raw()
    vols: msgspec.Raw = msgspec.Raw()
    rates: msgspec.Raw = msgspec.Raw()
    greeks: msgspec.Raw = msgspec.Raw()
    heartbeat: FeedHeartbeat | None = None
    counts: bool = False


INPUTS: Mapping[str, type[SentInput]] = {"vols": VolInput, "rates": RateInput, "greeks": GreeksInput}
"""The lists of a frame that options are valued with, and their records."""

_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)
_decode_json = msgspec.json.Decoder(IngestFrame).decode
_decode_msgpack = msgspec.msgpack.Decoder(IngestFrame).decode
_decode_whole_json = msgspec.json.Decoder(WholeFrame).decode
_decode_whole_msgpack = msgspec.msgpack.Decoder(WholeFrame).decode
_split_msgpack = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_msgpack_ticks = msgspec.msgpack.Decoder(list[TickInput]).decode
_msgpack_tick = msgspec.msgpack.Decoder(TickInput).decode
_msgpack_trades = msgspec.msgpack.Decoder(list[TradeInput]).decode
_msgpack_trade = msgspec.msgpack.Decoder(TradeInput).decode

Opened = list[Item] | ItemParts[Item]
"""A frame's list: decoded at once, or to be decoded item by item."""


# -- decoding ----------------------------------------------------------------------------------------------------


def decode_frame(message: str | bytes) -> IngestFrame:
    """A publisher's message, JSON as text or msgpack as bytes. Raises InputError."""
    try:
        frame = _decode_json(message) if isinstance(message, str) else _decode_msgpack(message)
    except _UNDECODABLE as problem:
        beat = str(problem).endswith("`$.heartbeat`")
        raise InputError(refusal_text(problem, FeedHeartbeat if beat else IngestFrame)) from None
    lists = (frame.ticks, frame.trades, frame.vols, frame.rates, frame.greeks)
    if not any(lists) and frame.heartbeat is None and not frame.counts:
        raise InputError("a frame has ticks, trades, vols, rates, greeks or a heartbeat")
    return frame


def open_frame(message: str | bytes) -> tuple[IngestFrame | WholeFrame, Opened[TickInput] | None]:
    """A publisher's message and its ticks, None if it has none. Raises InputError. 0.15 us a tick."""
    try:
        whole = _decode_whole_json(message) if isinstance(message, str) else _decode_whole_msgpack(message)
        if whole.ticks is not msgspec.UNSET:
            return whole, whole.ticks
    except _UNDECODABLE:
        pass
    frame = decode_frame(message)
    return frame, ticks_of(frame, isinstance(message, str)) if frame.ticks else None


def ticks_of(frame: IngestFrame, is_text: bool) -> Opened[TickInput]:
    """The ticks of a frame, bad ones as refusals in their places. Raises InputError if they are no list."""
    if is_text:
        return open_ticks(bytes(frame.ticks))
    return _open_msgpack(frame.ticks, _msgpack_ticks, _msgpack_tick, TickInput)


def trades_of(frame: IngestFrame | WholeFrame, is_text: bool) -> Opened[TradeInput]:
    """The trades of a frame, bad ones as refusals in their places. Raises InputError if they are no list."""
    if is_text:
        return open_trades(bytes(frame.trades))
    return _open_msgpack(frame.trades, _msgpack_trades, _msgpack_trade, TradeInput)


def inputs_of(frame: IngestFrame | WholeFrame, name: str, is_text: bool) -> Opened[SentInput]:
    """The vols, rates or Greeks of a frame, bad ones as refusals in their places. Raises InputError if they are no list."""
    packed, into = getattr(frame, name), INPUTS[name]
    if is_text:
        return open_items(bytes(packed), into)
    whole, single = msgspec.msgpack.Decoder(list[into]), msgspec.msgpack.Decoder(into)  # type: ignore[valid-type]
    return _open_msgpack(packed, whole.decode, single.decode, into)


def _open_msgpack(
    packed: msgspec.Raw, whole: Callable[[msgspec.Raw], list[Item]], single: Callable[[msgspec.Raw], Item], into: type[Item]
) -> Opened[Item]:
    try:
        return whole(packed)
    except _UNDECODABLE:
        pass
    try:
        parts = _split_msgpack(packed)
    except _UNDECODABLE as problem:
        raise InputError(f"not a list of objects: {problem}") from None
    check_parts(len(parts), len(bytes(packed)))

    def one(numbered: tuple[int, msgspec.Raw]) -> Item | Refusal:
        try:
            return single(numbered[1])
        except _UNDECODABLE as problem:
            return retry_without_nulls(problem, numbered[0], into, partial(msgspec.msgpack.decode, numbered[1]))

    return ItemParts(parts, one)


class TickTotals:
    """What became of the ticks of one connection. Of `coalesced` ones the newest of each instrument comes into force later."""

    __slots__ = ("coalesced", "in_force", "old", "refused", "taken", "unknown")

    def __init__(self) -> None:
        self.taken = self.in_force = self.old = self.refused = self.unknown = self.coalesced = 0

    def add(self, offered: int, taken: TicksTaken) -> None:
        """Count the ticks of one call."""
        refused = len(taken.refused)
        self.taken += offered - refused
        self.in_force += taken.in_force
        self.old += taken.old
        self.coalesced += taken.coalesced
        if refused:
            self.refused += refused
            self.unknown += sum(refusal.field == "instrument" for refusal in taken.refused)

    def fields(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in ("taken", "in_force", "old", "coalesced", "refused", "unknown")}


# -- one publisher -----------------------------------------------------------------------------------------------


class PublisherConnection:
    """One connection: takes its frames, answers its trades, reports its refused ticks, vols, rates and Greeks."""

    def __init__(self, gateway: Gateway, outlet: Outlet) -> None:
        self._gateway = gateway
        self._outlet = outlet
        self._encoding = JSON
        self._answers: asyncio.Queue[SubmittedTrades | Mapping[str, Any]] = asyncio.Queue(MAX_FRAMES_IN_FLIGHT)
        self._refused = self._coalesced = self._malformed = self._beats_refused = 0
        self._taken = TickTotals()
        self._inputs = dict.fromkeys(("taken", "older", "refused"), 0)
        self._older = 0
        self._reported: list[Refusal] = []
        self._report_timer: asyncio.TimerHandle | None = None

    async def take(self, message: str | bytes) -> None:
        """Process one frame. Raises EngineNotLive and TooMuchGarbage; other errors are answered."""
        is_text = isinstance(message, str)
        self._encoding = JSON if is_text else MSGPACK
        try:
            frame, ticks = open_frame(message)
            if frame.heartbeat is not None:
                self._take_heartbeat(frame.heartbeat)
            taken = frame.heartbeat is not None
            if ticks is not None:
                taken |= await self._take_ticks(ticks)
            for name in INPUTS:
                if getattr(frame, name):
                    taken |= await self._take_inputs(name, inputs_of(frame, name, is_text))
            if frame.trades:
                taken |= await self._take_trades(trades_of(frame, is_text))
            if frame.counts:
                taken = True
                await self._answers.put(self._counts())
        except InputError as problem:
            taken = False
            await self._answers.put(error(None, "malformed frame", str(problem)))
        self._malformed = 0 if taken else self._malformed + 1
        if self._malformed >= MAX_MALFORMED:
            raise TooMuchGarbage(f"{MAX_MALFORMED} frames in a row of which nothing could be read")

    async def answer(self) -> None:
        """Send the answers in order, each when its trades are published. Until cancelled."""
        while True:
            item = await self._answers.get()
            if isinstance(item, SubmittedTrades):
                try:
                    message: Mapping[str, Any] = {"type": "trades"} | await item.answer()
                except RiskEngineError as problem:
                    message = not_stored(problem)
            else:
                message = item
            self._send(message)
            self._answers.task_done()
            await self._outlet.drained()

    async def give_up(self, reason: str) -> None:
        """Send the reason for closing, after the answers that are due.

        A client that does not read them in LAST_ANSWERS_S is not waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS_S):
                await self._answers.put(error(None, "too much garbage", reason))
                await self._answers.join()

    def close(self) -> None:
        """The connection has ended: report nothing any more."""
        if self._report_timer is not None:
            self._report_timer.cancel()

    def _take_heartbeat(self, beat: FeedHeartbeat) -> None:
        try:
            source = name(beat.source, "heartbeat.source")
            last_seq = None if beat.last_seq is None else sequence(beat.last_seq, "heartbeat.last_seq")
        except Rejected as problem:
            raise InputError(str(problem)) from None
        refusal = self._gateway.feed_heartbeat(source, last_seq)
        if refusal is not None:
            self._beats_refused += 1
            self._report_soon([Refusal(0, "heartbeat.source", f"{excerpt(source)}: {refusal}")])

    def _counts(self) -> dict[str, Any]:
        """What became of the ticks of this connection so far; refusals that wait to be reported go before it."""
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report()
        return {"type": "counts", "ts": self._gateway.clock.now(), "ticks": self._taken.fields(), "inputs": self._inputs}

    async def _take_ticks(self, opened: Opened[TickInput]) -> bool:
        """Offer ticks in order. Returns whether the list is empty or any of them could be read."""
        places: Sequence[int]
        if isinstance(opened, ItemParts):
            items = await decode_items(opened)
            places = [place for place, item in enumerate(items) if not isinstance(item, Refusal)]
            ticks = [item for item in items if not isinstance(item, Refusal)]
            undecoded = [item for item in items if isinstance(item, Refusal)]
            self._gateway.metrics.ticks_refused.inc(len(undecoded))
            self._taken.refused += len(undecoded)
            self._note(undecoded, range(len(items)))
            readable = bool(ticks)
        else:
            ticks, places, readable = opened, range(len(opened)), True
        for first in range(0, len(ticks), TICKS_PER_TURN):
            if first:
                await asyncio.sleep(0)
            part = ticks[first : first + TICKS_PER_TURN]
            taken = self._gateway.offer_ticks(part)
            self._taken.add(len(part), taken)
            if taken.refused or taken.coalesced:
                self._note(taken.refused, places[first:], taken.coalesced)
        return readable

    async def _take_inputs(self, name: str, opened: Opened[SentInput]) -> bool:
        """Take vols, rates or Greeks. Returns whether the list is empty or any of them could be read."""
        items = await decode_items(opened)
        taken = await take_inputs(self._gateway, items)
        self._inputs["taken"] += taken.accepted
        self._inputs["older"] += taken.older
        self._inputs["refused"] += len(taken.refusals)
        if taken.refusals or taken.older:
            self._refused += len(taken.refusals)
            self._older += taken.older
            told = [msgspec.structs.replace(each, field=f"{name}.{each.field}") for each in taken.refusals[:REPORTED_REFUSALS]]
            self._report_soon(told)
        return not items or any(not isinstance(item, Refusal) for item in items)

    async def _take_trades(self, opened: Opened[TradeInput]) -> bool:
        """Submit trades. Returns whether the list is empty or any of them could be read."""
        items = await decode_items(opened)
        try:
            await self._answers.put(await submit_trades(self._gateway, items))
        except EngineNotLive:
            raise
        except RiskEngineError as problem:
            await self._answers.put(not_stored(problem))
        return isinstance(opened, list) or any(not isinstance(item, Refusal) for item in items)

    def _note(self, refusals: Sequence[Refusal], places: Sequence[int], coalesced: int = 0) -> None:
        """Count refused ticks and those beyond a limit; report the first refusals within a second with their reasons.

        `places` are the indices of the ticks in their frame.
        """
        self._refused += len(refusals)
        self._coalesced += coalesced
        self._report_soon(
            [msgspec.structs.replace(refusal, index=places[refusal.index]) for refusal in refusals[:REPORTED_REFUSALS]]
        )

    def _report_soon(self, refusals: Sequence[Refusal]) -> None:
        self._reported += refusals[: REPORTED_REFUSALS - len(self._reported)]
        if self._report_timer is None:
            self._report_timer = asyncio.get_running_loop().call_later(REPORT_AFTER_S, self._report)

    def _report(self) -> None:
        errors = error_rows(self._reported)
        heartbeats = {"heartbeats": self._beats_refused} if self._beats_refused else {}
        more = heartbeats | ({"older": self._older} if self._older else {})
        self._send({"type": "refused", "count": self._refused, "coalesced": self._coalesced, **more, "errors": errors})
        self._older = 0
        self._refused, self._coalesced, self._beats_refused, self._reported, self._report_timer = 0, 0, 0, [], None

    def _send(self, message: Mapping[str, Any]) -> None:
        self._outlet.write_message(self._encoding.encode(message), self._encoding.is_text)


def not_stored(problem: RiskEngineError) -> dict[str, Any]:
    """The answer to trades of which none was stored: the publisher should send them again."""
    titles = {InboxFull: "no room for more trades", StoreUnavailable: "store unavailable", EngineNotLive: "engine not live"}
    title = next((text for kind, text in titles.items() if isinstance(problem, kind)), "trades not stored")
    return error(None, title, str(problem)) | {"retry_after_ms": RETRY_AFTER_MS}


def ingest_endpoint(gateway: Gateway) -> Callable[[WebSocket], Awaitable[None]]:
    """The handler of `/v1/ingest`."""

    async def ingest(websocket: WebSocket) -> None:
        outlet = await accept_when_live(websocket, gateway, FRAMED[JSON.name])
        if outlet is None:
            return
        publisher = PublisherConnection(gateway, outlet)
        answering = asyncio.create_task(publisher.answer())
        try:
            await _take_frames(websocket, publisher, outlet)
        except EngineNotLive:
            outlet.shutdown()
        except TooMuchGarbage as problem:
            log.warning("publisher_dropped", reason=str(problem))
            await publisher.give_up(str(problem))
            await websocket.close(POLICY_VIOLATION, "too much garbage")
        finally:
            publisher.close()
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering

    return ingest


async def _take_frames(websocket: WebSocket, publisher: PublisherConnection, outlet: Outlet) -> None:
    """Process frames until the connection ends. Other tasks run once a millisecond."""
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
