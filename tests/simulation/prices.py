"""The feed of prices: a walk for each instrument, sent as ticks over the same kind of network."""

import json
from collections import deque
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulation.fibers import MICROS
from tests.simulation.house import TERMS
from tests.simulation.machine import Answer, Machine

if TYPE_CHECKING:
    from tests.simulation.world import World


class Taken(NamedTuple):
    """A tick that an engine said it took: its own time, when the answer came, and how often the machine room had stood still."""

    ts: int
    at: int
    skips: int


class Prices:
    """`units` are the current prices in units of the last decimal; `sent` every tick that ever left, by instrument and time."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self.units = {name: terms.start for name, terms in TERMS.items()}
        self.sent: dict[tuple[str, int], set[float]] = {}
        self.last: dict[str, tuple[int, float]] = {}
        self.taken: dict[tuple[Machine, str], Taken] = {}
        """The newest tick of each instrument that an engine has said it took: its marks are never older again."""
        self._older: deque[dict[str, Any]] = deque(maxlen=60)
        self.is_calm = False
        self.is_on = False

    def start(self) -> None:
        """Ticks from now on, until `is_on` is False."""
        if not self.is_on:
            self.is_on = True
            self._tick()

    def _tick(self) -> None:
        if not self.is_on:
            return
        world, random = self.world, self.random
        world.scheduler.after(world.knobs.tick_pause_us, self._tick)
        some = [name for name in TERMS if random.random() < 0.7]
        self.send(some)

    def send(self, names: list[str], *, step: bool = True) -> None:
        """One message with a tick of each of these instruments, at their own time of now."""
        world, random, knobs = self.world, self.random, self.world.knobs
        ts = world.wall_us()
        ticks: list[dict[str, Any]] = []
        for name in names:
            if step:
                self.units[name] += random.randrange(-3, 4)
            units = self.units[name]
            if not self.is_calm and random.random() < knobs.wild_prices:
                world.note("price_wild")
                units = units * random.choice((2, 13)) // random.choice((1, 10))
            price = units / 10 ** TERMS[name].decimals
            quoted = {"mid": price} if random.random() < 0.3 else {"bid": price, "ask": price}
            tick = {"instrument": name, "ts": ts, "source": "venue"} | quoted
            ticks.append(tick)
            self._older.append(tick)
            self.sent.setdefault((name, ts), set()).add(price)
            self.last[name] = (ts, price)
        if not ticks:
            return
        body = json.dumps(ticks).encode()
        calm = self.is_calm
        if not calm and random.random() < knobs.lost:
            world.note("tick_lost")
            return
        for copy in range(2 if not calm and random.random() < knobs.duplicated else 1):
            delay = random.randrange(2_000)
            if is_late := not calm and random.random() < knobs.reordered:
                delay = int(10 ** random.uniform(4.0, 7.95))
                world.note("tick_reordered_60s" if delay > 60 * MICROS else "tick_reordered")
            damaged = body
            if not calm and random.random() < knobs.half:
                world.note("tick_half")
                damaged = body[: random.randrange(len(body))]
            world.count("messages")
            world.count("duplicated_or_reordered", int(is_late or copy > 0))
            world.scheduler.after(delay, partial(self._arrive, damaged, ticks if damaged is body else []))

    def send_old(self) -> None:
        """A tick of some time ago arrives once more, behind newer ones."""
        old = {tick["instrument"]: tick for tick in self._older if tick["ts"] < self.last[tick["instrument"]][0]}
        if old:
            self.world.note("tick_overtaken")
            self.world.scheduler.after(3_000, partial(self._arrive, json.dumps([*old.values()]).encode(), []))

    def _arrive(self, body: bytes, ticks: list[dict[str, Any]]) -> None:
        machine = self.world.machine
        if machine is not None and not self.world.is_over:
            machine.ask("POST", "/v1/ticks", body, partial(self._answered, machine, ticks))

    def _answered(self, machine: Machine, ticks: list[dict[str, Any]], answer: Answer) -> None:
        if answer.status not in (200, 400, 503):
            self.world.fail("answer", f"POST /v1/ticks answered {answer.status}: {answer.values}")
        if answer.status != 200 or answer.values["refused"] or "bad_prices" in self.world.knobs.on:
            return
        for tick in ticks:
            key, ts = (machine, tick["instrument"]), tick["ts"]
            known = self.taken.get(key)
            if known is None or known.ts < ts:
                self.taken[key] = Taken(ts, self.world.scheduler.now, self.world.skips)

    def too_old(self, machine: Machine, symbol: str, ts: int, asked_at: int) -> int | None:
        """The time of a tick that an engine took, which its mark must not be older than; None if it is not.

        Judges ticks that it took well before it was asked: a beat puts them in force.
        """
        known = self.taken.get((machine, symbol))
        margin = MICROS + 2_000 * self.world.knobs.beat_ms
        if known is None or ts >= known.ts or known.at > asked_at - margin or known.skips != self.world.skips:
            return None
        return known.ts
