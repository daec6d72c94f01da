"""An engine that was replaced goes in small pieces, without the collector's help, once its readers have had their time."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from riskengine.engine.engine import Engine
from riskengine.rebuild.handover import PIECES, GradualRelease
from tests.world import DESKS, NOON, REFERENCE, trade


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def traded() -> Engine:
    engine = Engine(REFERENCE, now=NOON)
    symbols = ("EURUSD", "ACME")
    engine.apply([trade(f"t{n}", desk=DESKS[n % 4], dealer=f"d{n}", instrument=symbols[n % 2]) for n in range(500)], NOON)
    engine.publish(NOON)
    return engine


def test_nothing_is_left_of_it() -> None:
    engine = traded()
    parts = [weakref.ref(part) for part in (engine, engine.ledger, engine.ledger.organisation, engine.processed)]
    going = GradualRelease(engine, 60.0)
    del engine
    assert all(part() is not None for part in parts), "readers go on"
    going.finish()
    assert [part() for part in parts] == [None] * 4


def test_it_waits_for_no_more_than_it_was_told() -> None:
    engine = traded()
    gone = threading.Event()
    weakref.finalize(engine, gone.set)
    GradualRelease(engine, 0.01)
    del engine
    assert gone.wait(10)


def test_what_it_consists_of_goes_a_few_at_a_time() -> None:
    let_go: list[int] = []

    class Watched(list[object]):
        def __delitem__(self, places: object) -> None:
            before = len(self)
            super().__delitem__(places)  # type: ignore[arg-type]
            let_go.append(before - len(self))

    engine = traded()
    going = GradualRelease(engine, 60.0)
    going._held = Watched([engine])
    del engine
    going.finish()
    assert max(let_go) <= PIECES
    assert sum(let_go) > 500, "positions, and rows by owner"
