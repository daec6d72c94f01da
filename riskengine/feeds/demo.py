"""The feeds of the demo, inside this process: a simulated market with dealers, and recorded ticks played as if live.

They enter the engine like any client's data: ticks are offered, trades are checked and submitted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.engine.inbox import Receipt
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.option_desks import OptionDesks
from riskengine.market.quote_book import AnyTick
from riskengine.observe import get_logger
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.fields import Rejected
from riskengine.records.option_inputs import OptionInput
from riskengine.records.types import Tick, Trade

STEP_S = 0.05
"""Interval between two sends of a feed, seconds."""

log = get_logger("riskengine.feeds")


class FeedTarget(Protocol):
    """The part of `gateway.Gateway` that a feed uses."""

    clock: Clock

    @property
    def check(self) -> TradeCheck: ...

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> object: ...

    def offer_option_inputs(self, rows: Sequence[OptionInput]) -> object: ...

    def submit(self, trades: Sequence[Trade]) -> Awaitable[Receipt]: ...


Ticks = Callable[[int, float], Sequence[Tick]]
"""From a time and a number of seconds to the ticks of those seconds up to that time."""


class DemoFeed:
    """A live market and its dealers. Instruments that `ticks` covers take their prices from it instead of the simulation."""

    def __init__(
        self,
        market: MarketSimulator,
        dealing: DealingSimulator,
        ticks: Ticks | None = None,
        options: OptionDesks | None = None,
    ) -> None:
        self._market = market
        self._dealing = dealing
        self._recorded = ticks
        self._options = options
        self._quotes: dict[str, tuple[float, float]] = {}
        self._covered: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, target: FeedTarget) -> None:
        """Send until cancelled or the engine stops. A late step makes up for the time it missed, up to a real second."""
        before, longest_s = target.clock.now(), target.clock.speed
        while True:
            await asyncio.sleep(STEP_S)
            now = target.clock.now()
            elapsed = min((now - before) / MICROS_PER_SECOND, longest_s)
            before = now
            if elapsed <= 0.0:
                continue
            try:
                self._send_ticks(target, now, elapsed)
            except EngineNotLive:
                return
            trades = self._dealing.trades(now, elapsed, self._quotes.get)
            if trades:
                task = asyncio.get_running_loop().create_task(self._send_trades(target, trades, now))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    def _send_ticks(self, target: FeedTarget, now: int, elapsed: float) -> None:
        ticks = list(self._market.ticks(now, elapsed))
        if self._recorded is not None:
            recorded = self._read_recorded(self._recorded, now, elapsed)
            self._covered.update(tick.instrument for tick in recorded)
            ticks = [tick for tick in ticks if tick.instrument not in self._covered] + list(recorded)
        for tick in ticks:
            if tick.bid is not None and tick.ask is not None:
                self._quotes[tick.instrument] = (tick.bid, tick.ask)
        if self._options is not None:
            mids = {name: (bid + ask) / 2.0 for name, (bid, ask) in self._quotes.items()}
            ticks += self._options.ticks(now, mids)
            if changes := self._options.changes(now):
                target.offer_option_inputs(changes)
        target.offer_ticks(ticks)

    def _read_recorded(self, read: Ticks, now: int, elapsed: float) -> Sequence[Tick]:
        try:
            return read(now, elapsed)
        except RiskEngineError as error:
            log.error("recording_ended", reason=str(error))
            self._recorded = None
            self._covered.clear()
            return ()

    async def _send_trades(self, target: FeedTarget, sent: Sequence[TradeInput], now: int) -> None:
        """Submit the trades of one moment together, so that the engine applies the legs of a deal together."""
        try:
            await target.submit([target.check(trade, now, "demo") for trade in sent])
        except Rejected as error:
            log.error("demo_trade_rejected", reason=str(error))
        except RiskEngineError as error:
            log.warning("demo_trades_not_taken", reason=str(error))


class RecordedTicks:
    """Recorded ticks shifted in time, so that the first is due now; at its end the recording starts again.

    `read` opens the recording; it must have at least one tick.
    """

    def __init__(self, read: Callable[[], Iterator[Tick]], symbols: frozenset[str]) -> None:
        self._read = read
        self._symbols = symbols
        self._ticks: Iterator[Tick] = iter(())
        self._shift = 0
        self._next: Tick | None = None

    def first_mids(self, ticks: int) -> dict[str, float]:
        """The first mid of each instrument among the first `ticks` ticks of the recording, or those before it breaks.

        Reads it anew.
        """
        found: dict[str, float] = {}
        with suppress(RiskEngineError):  # `run` logs it when its time comes
            for tick in islice(self._read(), ticks):
                if tick.instrument in self._symbols and tick.instrument not in found:
                    mid = tick.mid if tick.mid is not None else _middle(tick)
                    if mid is not None and mid > 0.0:
                        found[tick.instrument] = mid
        return found

    def __call__(self, now: int, elapsed_s: float) -> list[Tick]:
        """The ticks due by `now`."""
        due: list[Tick] = []
        if self._next is None:
            self._ticks = (tick for tick in self._read() if tick.instrument in self._symbols)
            self._next = next(self._ticks, None)
            self._shift = now - self._next.ts if self._next is not None else 0
        while self._next is not None and self._next.ts + self._shift <= now:
            tick = self._next
            due.append(Tick(tick.instrument, tick.ts + self._shift, tick.bid, tick.ask, tick.mid, tick.source or "recorded"))
            self._next = next(self._ticks, None)
        return due


def _middle(tick: Tick) -> float | None:
    return None if tick.bid is None or tick.ask is None else (tick.bid + tick.ask) / 2.0
