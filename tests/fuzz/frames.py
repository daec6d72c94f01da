"""What publishers send: frames of `/v1/ingest`, JSON and msgpack. Each item is counted as taken or refused, with a reason."""

import asyncio
import json
from typing import Any, cast

import msgspec

from riskengine.serve.stream.ingest import INPUTS, PublisherConnection, TooMuchGarbage
from riskengine.serve.stream.outlet import Outlet
from tests.fuzz.house import house, sound_rows
from tests.fuzz.mutation import Draw, Pairs
from tests.fuzz.rules import Violation, reasoned
from tests.serve.wired import Wired

LISTS = ("ticks", "trades", *INPUTS)
HEARTBEAT = {"source": "venue", "last_seq": 17}
ENGINE_LASTS = 2_000
"""Inputs that one engine takes before it is made anew."""

COUNTS = '{"counts":true}'
TEXT, PACKED = b"T", b"B"
"""How an input begins: a text frame or a binary one; the rest is the message."""


class Paper:
    """What would be written to the publisher."""

    unsent_bytes = 0

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def write_message(self, payload: bytes, is_text: bool) -> None:
        self.told.append(json.loads(payload) if is_text else msgspec.msgpack.decode(payload))

    async def drained(self) -> None:
        """Everything is read at once."""


class Frames:
    """One frame, and after it the question what became of its items."""

    name = "frames"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = 0
        self._engine: Wired

    def draw(self, draw: Draw) -> bytes:
        """A frame with some of its lists, text or binary."""
        frame: Any = {}
        for name in LISTS:
            if draw.chance(0.35):
                rows = sound_rows(name)
                made = [draw.record(draw.pick(rows)) if draw.chance(0.6) else draw.pick(rows) for _ in range(draw.few(5))]
                frame[name] = made if draw.chance(0.9) else draw.value(made)
        if draw.chance(0.3):
            frame["heartbeat"] = draw.record(HEARTBEAT, ("last_seq", "seq")) if draw.chance(0.6) else HEARTBEAT
        if draw.chance(0.1):
            frame = draw.record(frame, (*LISTS, "counts"))
        if draw.chance(0.05):
            frame = draw.value(frame) if not isinstance(frame, Pairs) else [frame]
        return TEXT + draw.written(frame) if draw.chance(0.5) else PACKED + draw.packed(frame)

    def check(self, data: bytes) -> str:
        """Take one frame."""
        if not self._left:
            self._engine, self._left = Wired(reference=house()), ENGINE_LASTS
        self._left -= 1
        message: str | bytes = data[1:] if data[:1] == PACKED else data[1:].decode("utf-8", "replace")
        return self._loop.run_until_complete(self._take(message))

    async def _take(self, message: str | bytes) -> str:
        paper = Paper()
        publisher = PublisherConnection(self._engine, cast(Outlet, paper))
        answering = asyncio.create_task(publisher.answer())
        try:
            await publisher.take(message)
            await publisher.take(COUNTS)
            for _ in range(20):
                await asyncio.sleep(0)
                if paper.told and paper.told[-1]["type"] == "counts":
                    break
        except TooMuchGarbage:
            raise Violation("one frame is too much garbage") from None
        finally:
            publisher.close()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        return _judged(paper.told)


def _judged(told: list[dict[str, Any]]) -> str:
    """The kind of what a publisher was told of one frame."""
    if not told or told[-1]["type"] != "counts":
        raise Violation(f"a frame without an answer: {told!r:.300}")
    *before, counts = told
    ways = [_way(message) for message in before if message["type"] != "counts"]
    refused = counts["ticks"]["refused"] + counts["inputs"]["refused"]
    reported = sum(message["count"] for message in before if message["type"] == "refused")
    if refused > reported:
        raise Violation(f"{refused} items were refused, and {reported} reported")
    return " ".join(ways) or "taken"


def _way(message: dict[str, Any]) -> str:
    if message["type"] == "error":
        return f"{reasoned(message['title'])}: {reasoned(message['detail'])}"
    if message["type"] == "refused":
        kinds = [reasoned(each["reason"], each["field"]) for each in message["errors"]]
        if message["count"] and not kinds:
            raise Violation("refused without a reason")
        return kinds[-1] if kinds else "older"
    if message["type"] != "trades":
        raise Violation(f"an answer of no known type: {message!r:.300}")
    for each in message["results"]:
        if each["status"] in ("rejected", "quarantined", "conflict", "parked"):
            reasoned(each["reason"])
    return "trades " + " ".join(sorted({each["status"] for each in message["results"]}))
