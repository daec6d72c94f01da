"""Feeds inside this process: the simulated market and dealing of the demo, and recorded ticks played as if they were live.

They go through the same target as everybody else: ticks are offered, trades are checked and submitted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from riskengine.clock import MICROS_PER_SECOND, Clock
from riskengine.engine.inbox import Receipt
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.market.marks import AnyTick
from riskengine.observe import get_logger
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.fields import Rejected
from riskengine.records.types import Tick, Trade

STEP_S = 0.05
"""How often a feed sends what has happened since."""

log = get_logger("riskengine.feeds")


class FeedTarget(Protocol):
    """What a feed needs of the engine; a part of `gateway.Gateway`."""

    clock: Clock

    @property
    def check(self) -> TradeCheck: ...

    def offer_ticks(self, ticks: Sequence[AnyTick]) -> object: ...

    def submit(self, trades: Sequence[Trade]) -> Awaitable[Receipt]: ...


Ticks = Callable[[int, float], Sequence[Tick]]
"""The ticks of the last so many seconds up to a time."""


class DemoFeed:
    """A market and the dealers in it, live. `ticks` replaces the simulated market by another source of ticks."""

    def __init__(self, market: MarketSimulator, dealing: DealingSimulator, ticks: Ticks | None = None) -> None:
        self._market = market
        self._dealing = dealing
        self._recorded = ticks
        self._quotes: dict[str, tuple[float, float]] = {}
        self._covered: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, target: FeedTarget) -> None:
        """Send until cancelled or the engine stops taking. A step that comes late sends what it missed, up to a second of it."""
        before = target.clock.now()
        while True:
            await asyncio.sleep(STEP_S)
            now = target.clock.now()
            elapsed = min((now - before) / MICROS_PER_SECOND, 1.0)
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
        """Trades of one moment in one submission, so that the legs of a deal are applied together."""
        try:
            await target.submit([target.check(trade, now, "demo") for trade in sent])
        except Rejected as error:
            log.error("demo_trade_rejected", reason=str(error))
        except RiskEngineError as error:
            log.warning("demo_trades_not_taken", reason=str(error))


class RecordedTicks:
    """Recorded ticks moved in time so that the first of them comes now; when they end, they begin again.

    `read` opens the recording anew; it must have at least one tick.
    """

    def __init__(self, read: Callable[[], Iterator[Tick]], symbols: frozenset[str]) -> None:
        self._read = read
        self._symbols = symbols
        self._ticks: Iterator[Tick] = iter(())
        self._shift = 0
        self._next: Tick | None = None

    def __call__(self, now: int, elapsed_s: float) -> list[Tick]:
        """Ticks that are due by `now`."""
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
