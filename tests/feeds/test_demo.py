"""The feeds of the demo: they use the engine's ordinary inputs, and their errors never end it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from riskengine.clock import Clock, ManualClock
from riskengine.errors import EngineNotLive, InboxFull, InputError
from riskengine.feeds.demo import DemoFeed, RecordedTicks
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Tick, Trade

START = 1_790_000_000_000_000
SECOND = 1_000_000
SYMBOLS = frozenset({"EURUSD", "USDJPY"})
RECORDING = [Tick("EURUSD", 100 * SECOND + n * SECOND // 2, 1.1 + n / 100, 1.2 + n / 100) for n in range(3)]


class FakeEngine:
    """Records what a feed sends; each reading of the clock moves time by a step."""

    def __init__(self, steps: int) -> None:
        reference = Reference(sample_nodes(), sample_instruments(), "USD")
        self.manual = ManualClock(START)
        self.clock: Clock = self.manual
        self.check = trade_check(reference)
        self.ticks: list[Tick] = []
        self.inputs: list[Any] = []
        self.trades: list[list[Trade]] = []
        self.left = steps
        self.submitting: Callable[[], None] = lambda: None

    def offer_ticks(self, ticks: Sequence[Any]) -> list[Any]:
        if not self.left:
            raise EngineNotLive("the engine is stopping")
        self.left -= 1
        self.manual.advance(SECOND // 2)
        self.ticks += ticks
        return []

    def offer_option_inputs(self, rows: Sequence[Any]) -> list[int]:
        self.inputs += rows
        return []

    async def submit(self, trades: Sequence[Trade]) -> Any:
        self.submitting()
        self.trades.append(list(trades))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.feeds.demo.STEP_S", 0.0)


def run(engine: FakeEngine, ticks: Callable[[int, float], Sequence[Tick]] | None = None) -> None:
    """Feed until the engine takes no more; time moves before the first step, too."""
    feed = DemoFeed(
        MarketSimulator(7, sample_instruments()), DealingSimulator(7, sample_nodes(), sample_instruments(), run="r"), ticks
    )

    async def life() -> None:
        task = asyncio.ensure_future(feed.run(engine))
        await asyncio.sleep(0)
        engine.manual.advance(SECOND // 2)
        await asyncio.wait_for(task, 20)
        await asyncio.gather(*feed._sending)

    asyncio.run(life())


def test_the_market_and_its_dealers_come_through_the_doors() -> None:
    engine = FakeEngine(60)
    run(engine)
    assert len({tick.instrument for tick in engine.ticks}) >= 30
    trades = [trade for sent in engine.trades for trade in sent]
    assert trades and {trade.source for trade in trades}
    assert all(trade.received_ts <= engine.clock.now() for trade in trades)


def test_it_ends_quietly_when_the_engine_takes_no_more() -> None:
    run(FakeEngine(1))


def test_trades_that_are_not_taken_do_not_end_the_feed() -> None:
    engine = FakeEngine(60)

    def full() -> None:
        raise InboxFull("no room")

    engine.submitting = full
    run(engine)
    assert engine.left == 0 and not engine.trades


def test_recorded_instruments_are_not_simulated_and_the_others_are() -> None:
    engine = FakeEngine(20)
    run(engine, RecordedTicks(lambda: iter(RECORDING), SYMBOLS))
    eurusd = [tick for tick in engine.ticks if tick.instrument == "EURUSD"]
    assert {tick.source for tick in eurusd} == {"recorded"}
    assert {tick.bid for tick in eurusd} == {1.1, 1.11, 1.12}
    assert len({tick.instrument for tick in engine.ticks}) >= 30


def test_a_recording_that_breaks_leaves_the_market_to_the_simulation() -> None:
    def broken() -> Iterator[Tick]:
        yield RECORDING[0]
        raise InputError("ticks.csv.gz: the gzip data ends in the middle")

    assert RecordedTicks(broken, SYMBOLS).first_mids(9) == {"EURUSD": pytest.approx(1.15)}
    engine = FakeEngine(20)
    run(engine, RecordedTicks(broken, SYMBOLS))
    assert {tick.source for tick in engine.ticks if tick.instrument == "EURUSD"} != {"recorded"}
    assert engine.left == 0


def test_recorded_ticks_are_moved_to_now_and_begin_again_at_the_end() -> None:
    ticks = RecordedTicks(lambda: iter([*RECORDING, Tick("UNKNOWN", 100 * SECOND, 1.0, 1.0)]), SYMBOLS)
    first = ticks(START, 0.0)
    assert [(tick.ts, tick.bid, tick.source) for tick in first] == [(START, 1.1, "recorded")]
    assert ticks(START + SECOND // 2 - 1, 0.5) == []
    assert [tick.ts for tick in ticks(START + SECOND, 0.5)] == [START + SECOND // 2, START + SECOND]
    assert [tick.ts for tick in ticks(START + 5 * SECOND, 4.0)] == [START + 5 * SECOND]


def test_the_first_prices_of_a_recording_are_those_of_its_instruments() -> None:
    halves = [Tick("USDJPY", 1, bid=100.0), Tick("USDJPY", 2, mid=101.0), Tick("XYZ", 3, mid=5.0)]
    ticks = RecordedTicks(lambda: iter([*halves, *RECORDING]), SYMBOLS)
    assert ticks.first_mids(100) == {"USDJPY": 101.0, "EURUSD": pytest.approx(1.15)}
    assert ticks.first_mids(2) == {"USDJPY": 101.0}
    assert [tick.instrument for tick in ticks(START, 0.0)] == ["USDJPY"], "looking ahead takes nothing away"


def test_a_recording_without_a_known_instrument_has_nothing() -> None:
    assert RecordedTicks(lambda: iter(RECORDING), frozenset({"XYZ"}))(START, 0.0) == []
