"""The probe of the fan-out bench: sends single trades for a ladder without other changes, and times their patches."""

import asyncio
import contextlib
import json
import random
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bench.fanout_house import DESKS, QUIET, spread, trade
from bench.fanout_wire import WINDOW, Client, Line, line, now_us, open_websocket


class Probe:
    """A ladder that only the probe's trades change: when each was posted, answered and seen."""

    def __init__(self) -> None:
        self.posted: dict[str, deque[tuple[int, int]]] = {symbol: deque() for symbol in QUIET}
        self.counts = dict.fromkeys(QUIET, 1)
        self.seen: dict[tuple[str, int], tuple[int, int, int]] = {}
        self.to_patch, self.to_answer = array("d"), array("d")
        self.others = 0
        self.client: Client
        self.arrived = asyncio.Event()

    def on_message(self, client: Client, message: bytes) -> None:
        received = now_us()
        update = msgspec.json.decode(message)
        if update["type"] == "snapshot":
            self.counts |= {row["instrument"]: row["trade_count"] for row in update["rows"]}
            client.waiting = 0
        if update["type"] != "update":
            return
        mine = False
        for row in update["views"].get("probe", {"rows": ()})["rows"]:
            waiting = self.posted[row["instrument"]]
            while waiting and waiting[0][0] <= row.get("trade_count", 0):
                count, began = waiting.popleft()
                self.seen[row["instrument"], count] = update["seq"], update["as_of"], received
                mine = True
                if WINDOW.holds(began):
                    self.to_patch.append(received - began)
        self.others += not mine
        self.arrived.set()


async def probe(options: dict[str, Any], ready: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Run the probe with `trades_per_s` of its own, beside the other load."""
    watch, url = Probe(), options["url"]
    client = watch.client = await open_websocket(url, "/v1/stream", watch.on_message)
    client.waiting = 1
    client.say(op="configure", max_hz=10)
    client.say(op="subscribe", id="probe", view="ladder", node="PROBE")
    while client.waiting:  # noqa: ASYNC110 - picows has no event for it
        await asyncio.sleep(0.01)
    posting, reading, asking = [await line(url) for _ in range(3)]
    await ready()
    applied, pages, pulses = array("d"), array("d"), array("d")
    page = lambda number: f"/v1/ladder?node={DESKS[number % len(DESKS)]}&limit=100"  # noqa: E731
    others = [
        asyncio.create_task(repeated(reading, page, 0.05, pages)),
        asyncio.create_task(repeated(asking, lambda _: "/healthz", 0.02, pulses)),
    ]
    await post_trades(watch, posting, url, options["trades_per_s"], applied)
    for task in others:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    unseen = sum(map(len, watch.posted.values()))
    return {
        "posted_to_patch_ms": spread(watch.to_patch),
        "applied_to_patch_ms": spread(applied),
        "posted_to_answer_ms": spread(watch.to_answer),
        "ladder_page_ms": spread(pages),
        "healthz_ms": spread(pulses),
        "trades": len(watch.to_patch),
        "unseen": unseen,
        "updates_without_a_trade": watch.others,
    }


async def post_trades(watch: Probe, posting: Line, url: str, per_s: float, applied: array) -> None:
    dice, number, due = random.Random(3), 0, time.time()
    checks: set[asyncio.Task[None]] = set()
    while due < WINDOW.last / 1e6:
        due += dice.uniform(0.6, 1.4) / per_s
        await asyncio.sleep(max(0.0, due - time.time()))
        symbol = QUIET[number % len(QUIET)]
        body = msgspec.json.encode(trade(f"probe-{number}", symbol, "PROBE", "probe"))
        number += 1
        watch.counts[symbol] += 1
        began = now_us()
        watch.posted[symbol].append((watch.counts[symbol], began))
        answer = json.loads(await posting.post("/v1/trades", body))
        assert answer["counts"]["applied"] == 1, answer
        if WINDOW.holds(began):
            watch.to_answer.append(now_us() - began)
            task = asyncio.create_task(since_applied(watch, url, (symbol, watch.counts[symbol]), answer["seq"], applied))
            checks.add(task)
            task.add_done_callback(checks.discard)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            await asyncio.gather(*checks)


LOOKING = asyncio.Lock()


async def since_applied(watch: Probe, url: str, what: tuple[str, int], seq: int, applied: array) -> None:
    """The time from the snapshot that first contained a trade to the trade's patch, which may be of a later snapshot."""
    while what not in watch.seen:
        watch.arrived.clear()
        await watch.arrived.wait()
    shown, as_of, received = watch.seen[what]
    if shown != seq:
        async with LOOKING:  # a separate connection: the server closes one that idles for seconds
            looking = await line(url)
            as_of = json.loads(await looking.get(f"/v1/ladder?node=PROBE&seq={seq}"))["as_of"]
            looking.writer.close()
    applied.append(received - as_of)


async def repeated(asked: Line, path: Callable[[int], str], pause_s: float, took: array) -> None:
    """Send a request repeatedly, each after a pause."""
    number = 0
    while True:
        began = now_us()
        await asked.get(path(number))
        if WINDOW.holds(began):
            took.append(now_us() - began)
        number += 1
        await asyncio.sleep(pause_s)
