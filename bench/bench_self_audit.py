"""Measures the self-audit: its cost to the writer, and how much longer a trade waits because of it.

In the running engine a pass takes a minute: its seconds of work are its share of the writer's time. The trade goes through a
writer that prices 1,000 instruments ten times a second; its answer comes when it is published.
"""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from bench.book import INSTRUMENTS, NOW, Maker
from riskengine.clock import ManualClock
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import DurableTrades, Inbox
from riskengine.engine.self_audit import SelfAudit
from riskengine.engine.writer import Writer
from riskengine.observe import Metrics
from riskengine.snapshot.snapshot import SnapshotHistory

BEAT_S = 0.1


@pytest.mark.benchmark(group="self-audit of 300,000 positions")
def test_a_whole_pass(benchmark, engine):
    audit = SelfAudit(engine)
    found = benchmark.pedantic(audit.finish_pass, rounds=2, warmup_rounds=1)
    assert found == []


@pytest.mark.benchmark(group="self-audit of 300,000 positions")
def test_a_step_of_it(benchmark, engine):
    audit = SelfAudit(engine)
    benchmark.pedantic(audit.step, rounds=20_000, iterations=1)


def running(engine: Engine, maker: Maker, self_audit_s: float) -> Iterator[Inbox]:
    """Run a writer under prices; yield its inbox."""
    inbox = Inbox(1_000)
    writer = Writer(
        engine,
        inbox,
        SnapshotHistory(engine.snapshot, 0),
        ManualClock(NOW),
        Metrics(),
        beat_us=int(BEAT_S * 1e6),
        store_marks_us=10**12,
        published=lambda snapshot: None,
        save_notices=lambda items, up_to: None,
        save_marks=lambda marks: None,
        failed=lambda error: None,
        self_audit_s=self_audit_s,
    )
    stop = threading.Event()

    def price() -> None:
        while not stop.wait(BEAT_S):
            if inbox.takes_prices:
                inbox.put_prices(maker.marks(range(INSTRUMENTS)), engine.reference)

    pricing = threading.Thread(target=price)
    writer.start()
    pricing.start()
    yield inbox
    stop.set()
    pricing.join()
    writer.stop()


@pytest.fixture
def inbox(request: pytest.FixtureRequest, engine: Engine, maker: Maker) -> Iterator[Inbox]:
    yield from running(engine, maker, request.param)


@pytest.mark.parametrize("inbox", [0.0, 60.0], indirect=True, ids=["without", "with"])
@pytest.mark.benchmark(group="one trade through the writer, self-audit of 300,000 positions a minute")
def test_one_trade_through_the_writer(benchmark, inbox, maker):
    def setup():
        time.sleep(maker.seeded.uniform(0.0, 0.01))
        return tuple(maker.trades([maker.seeded.choice(maker.held)])), {}

    benchmark.pedantic(partial(send, inbox), setup=setup, rounds=2_000)


def send(inbox: Inbox, trade) -> None:
    done = threading.Event()
    inbox.reserve(1)
    inbox.put_trades(DurableTrades((trade,), 0, lambda receipt: done.set()))
    assert done.wait(5)
