"""The clients of the fan-out bench, one process for each kind: `python -m bench.fanout_clients ROLE OPTIONS`.

`bench.fanout` starts them. A process connects, prints `ready`, reads one line (start and end of the window, Unix microseconds),
does its work, and prints one line of JSON with its measurements and its own usage: processor time, and how late its timer fired.
A process that uses nearly a whole core has measured itself.

screens  many stream clients that read only `as_of`
feed     ticks over `/v1/ingest`
dealers  single trades over HTTP at fixed times, without waiting for answers, or frames of trades over `/v1/ingest`
bad      clients that never read, read slowly, break off, or send garbage (`bench.fanout_bad`)
probe    single trades for a ladder without other changes, and the time until its patch; reads of ladders, `/healthz`, over HTTP
"""

import asyncio
import json
import os
import random
import resource
import sys
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import uvloop
from picows import WSMsgType

from bench.fanout_bad import bad
from bench.fanout_house import CAST, DEALERS, DESKS, QUOTED, raise_limit, spread, trade
from bench.fanout_probe import probe
from bench.fanout_wire import WINDOW, Client, Line, line, now_us, open_websocket

CONNECT_AT_ONCE = 50
TIMER_S = 0.01
SATURATED_PERCENT = 85.0
PLACE_OF_AS_OF = 200
"""Bytes at the start of an update that contain its `as_of`."""


# -- screens -----------------------------------------------------------------------------------------------------


class Screens:
    """Many clients that read only `as_of` of each update."""

    def __init__(self) -> None:
        self.delays = array("d")
        self.bytes = self.snapshots = self.closed = 0
        self.sample = b""
        self.clients: list[Client] = []

    def on_message(self, client: Client, message: bytes) -> None:
        if message.startswith(b'{"type":"update"'):
            now = now_us()
            client.updates += 1
            if WINDOW.first <= now < WINDOW.last:
                self.bytes += len(message)
                start = message.find(b'"as_of":', 0, PLACE_OF_AS_OF) + 8
                self.delays.append(now - int(message[start : start + 16]))
                self.sample = message
        elif message.startswith(b'{"type":"snapshot"'):
            client.waiting -= 1
            self.snapshots += 1
        elif message.startswith(b'{"type":"error"'):
            raise AssertionError(message)

    async def connect(self, options: dict[str, Any], number: int) -> None:
        client = await open_websocket(options["url"], options.get("path", "/v1/stream"), self.on_message)
        self.clients.append(client)
        if options.get("max_hz"):
            client.say(op="configure", max_hz=options["max_hz"])
        for place, view in enumerate(options["views"][number % len(options["views"])]):
            client.waiting += 1
            client.say(op="subscribe", id=f"v{place}", **view)
        while client.waiting and not client.closed:  # noqa: ASYNC110 - picows has no event for it
            await asyncio.sleep(0.01)


async def screens(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Run `clients` screens; client n subscribes to all of `views[n % len(views)]`."""
    kept = Screens()
    for first in range(0, options["clients"], CONNECT_AT_ONCE):
        numbers = range(first, min(first + CONNECT_AT_ONCE, options["clients"]))
        await asyncio.gather(*(kept.connect(options, number) for number in numbers))
    await ready()
    before = [client.updates for client in kept.clients]
    await asyncio.sleep(max(0.0, WINDOW.last / 1e6 - time.time()))
    seconds = (WINDOW.last - WINDOW.first) / 1e6
    each = sorted(client.updates - count for client, count in zip(kept.clients, before, strict=True))
    return {
        "clients": len(kept.clients),
        "lost": sum(client.closed for client in kept.clients),
        "updates": len(kept.delays),
        "updates_per_s": round(len(kept.delays) / seconds),
        "fewest": each[0] if each else 0,
        "most": each[-1] if each else 0,
        "mb_per_s": round(kept.bytes / seconds / 1e6, 2),
        "update_bytes": round(kept.bytes / max(1, len(kept.delays))),
        "as_of_to_received_ms": spread(kept.delays),
        "sample": kept.sample.decode() if options.get("sample") else None,
    }


# -- feed --------------------------------------------------------------------------------------------------------


PLACEHOLDER = 1_111_111_111_111_111
FRAMES_KEPT = 200


def tick_frames(symbols: list[str], ticks: int, packed: bool) -> list[bytes]:
    """Prepare frames, with a placeholder for the time; prices follow a random walk."""
    encode = msgspec.msgpack.encode if packed else msgspec.json.encode
    dice, prices = random.Random(1), dict.fromkeys(symbols, 100.0)
    frames = []
    for frame in range(FRAMES_KEPT):
        made = []
        for number in range(ticks):
            symbol = symbols[(frame * ticks + number) % len(symbols)]
            price = prices[symbol] = round(prices[symbol] * (1 + dice.gauss(0, 1e-4)), 4)
            sides = {"bid": price, "ask": round(price + 0.01, 4)}
            made.append({"instrument": symbol, "ts": PLACEHOLDER, **sides, "source": "feed"})
        frames.append(encode({"ticks": made}))
    return frames


def stamp(packed: bool, ts: int) -> bytes:
    """A time as encoded in a frame; always of the same length."""
    return msgspec.msgpack.encode(ts) if packed else str(ts).encode()


async def feed(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Send `ticks_per_s` in frames of `frame` ticks. `symbols` is "quoted" or "cast"; `packed` selects msgpack."""
    said: list[bytes] = []
    packed = bool(options.get("packed"))
    kind, placeholder = WSMsgType.BINARY if packed else WSMsgType.TEXT, stamp(packed, PLACEHOLDER)
    client = await open_websocket(options["url"], "/v1/ingest", lambda _, message: said.append(message))
    frames = tick_frames(CAST if options.get("symbols") == "cast" else QUOTED, options["frame"], packed)
    await ready()
    pause, sent, skipped, number = options["frame"] / options["ticks_per_s"], 0, 0.0, 0
    due = time.monotonic()
    while time.time() * 1e6 < WINDOW.last:
        await client.writable.wait()
        now = time.monotonic()
        if now - due > 1.0:  # blocked by the server: skip the missed frames
            skipped += now - due
            due = now
        while due <= now and client.writable.is_set():
            client.transport.send(kind, frames[number % FRAMES_KEPT].replace(placeholder, stamp(packed, now_us())))
            number += 1
            due += pause
            sent += WINDOW.holds(now_us())
        assert not client.closed, said[-1:]
        await asyncio.sleep(max(0.001, due - time.monotonic()))
    seconds = (WINDOW.last - WINDOW.first) / 1e6
    last = [message.decode() for message in said[-1:]]
    return {"ticks_per_s": round(sent * options["frame"] / seconds), "held_up_s": round(skipped, 2), "said": last}


# -- dealers -----------------------------------------------------------------------------------------------------


LINES = 8
TRADES_IN_FRAME = 10


async def dealers(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Send `trades_per_s`; `over` is "http" or "ingest"."""
    dice, took, over_http = random.Random(2), array("d"), options["over"] == "http"
    waiting: deque[int] = deque()

    def count_answer(_: Client, message: bytes) -> None:
        assert message.startswith(b'{"type":"trades"'), message
        began = waiting.popleft()
        if WINDOW.holds(began):
            took.append(now_us() - began)

    lines: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(LINES if over_http else 0):
        lines.put_nowait(await line(options["url"]))
    client = None if over_http else await open_websocket(options["url"], "/v1/ingest", count_answer)
    await ready()

    async def deal(body: bytes) -> None:
        began = now_us()
        free = await lines.get()
        assert json.loads(await free.post("/v1/trades", body))["counts"]["applied"]
        lines.put_nowait(free)
        if WINDOW.holds(began):
            took.append(now_us() - began)

    number, dealing, together = 0, set[asyncio.Task[None]](), 1 if over_http else TRADES_IN_FRAME
    due = time.time()
    while due < WINDOW.last / 1e6:
        await asyncio.sleep(max(0.0, due - time.time()))
        made = [trade(f"d-{number + n}", dice.choice(QUOTED), dice.choice(DESKS), dice.choice(DEALERS)) for n in range(together)]
        number += together
        due += together / options["trades_per_s"]
        if client is None:
            task = asyncio.create_task(deal(msgspec.json.encode(made[0])))
            dealing.add(task)
            task.add_done_callback(dealing.discard)
        else:
            waiting.append(now_us())
            client.transport.send(WSMsgType.TEXT, msgspec.json.encode({"trades": made}))
    await asyncio.gather(*dealing)
    seconds = (WINDOW.last - WINDOW.first) / 1e6
    return {"trades_per_s": round(len(took) * together / seconds), "answer_ms": spread(took)}


# -- the process -------------------------------------------------------------------------------------------------


async def lateness(late: array) -> None:
    """Measure how late a timer of this process fires: the error of all its other measurements."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(TIMER_S)
        if WINDOW.holds(now_us()):
            late.append((time.monotonic() - began - TIMER_S) * 1e6)


ROLES = {"screens": screens, "feed": feed, "dealers": dealers, "probe": probe, "bad": bad}


Role = Callable[[dict[str, Any], Callable[[], Awaitable[None]]], Awaitable[dict[str, Any]]]


async def main(roles: Mapping[str, Role], role: str, options: dict[str, Any]) -> None:
    """Run one process of clients, from its first connection to its report."""
    late, began = array("d"), [0.0, 0.0]

    async def ready() -> None:
        print("ready", flush=True)
        window = await asyncio.to_thread(sys.stdin.readline)
        assert window, "the parent process has ended"
        WINDOW.first, WINDOW.last = json.loads(window)
        began[:] = processor_s(), time.monotonic()

    watching = asyncio.create_task(lateness(late))
    result = await roles[role](options, ready)
    percent = 100 * (processor_s() - began[0]) / (time.monotonic() - began[1])
    watching.cancel()
    instrument = {"cpu_percent": round(percent, 1), "timer_late_ms": spread(late), "saturated": percent > SATURATED_PERCENT}
    print(json.dumps({"role": role, **result, "instrument": instrument}), flush=True)


def processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(roles: Mapping[str, Role]) -> None:
    """Run the program with the arguments ROLE OPTIONS."""
    raise_limit()
    options = json.loads(sys.argv[2])
    os.nice(options.get("nice", 0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(roles, sys.argv[1], options))


if __name__ == "__main__":
    run(ROLES)
