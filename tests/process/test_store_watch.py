"""While the engine is live, warnings say what the positions lack, for as long as they lack it."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from riskengine.alerts import Warnings
from riskengine.clock import ManualClock
from riskengine.config import Config, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.errors import StoreUnavailable
from riskengine.process.store_watch import StoreWatch
from riskengine.records.reference import Reference
from riskengine.records.types import ONE, Opening
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.waiting import until
from tests.world import NOON, PARENTS, House, instruments, nodes, reference, trade


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.process.store_watch.NOTE_EVERY_S", 0.02)
    monkeypatch.setattr("riskengine.process.store_watch.LOOK_EVERY_S", 0.02)


class Place:
    """A watched store beside an engine that a test changes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.warnings = Warnings(ManualClock(NOON))
        self.house = House()
        self.watch = StoreWatch(Config(store=StoreConfig(f"sqlite:///{store.name}")), store, ManualClock(NOON), self.warnings)

    @property
    def engine(self) -> Engine:
        return self.house.engine

    def watched(self, test: Callable[["Place"], Any], openings_left_out: int = 0) -> None:
        async def life() -> None:
            self.watch.start(lambda: self.engine.snapshot, openings_left_out)
            await test(self)
            await self.watch.stop()

        asyncio.run(asyncio.wait_for(life(), 10))

    def renew(self, where: Reference) -> None:
        """Other reference data from now on."""
        self.house = House(where)


@pytest.fixture
def place(tmp_path: Any) -> Any:
    store = open_store(f"sqlite:///{tmp_path}/desk.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    yield Place(store)
    store.close()


def test_rows_that_are_no_trades_are_said_until_they_are_trades(place: Place) -> None:
    async def test(place: Place) -> None:
        place.engine.quarantine_row(7, NOON, "desk: unknown desk 'X'")
        place.engine.quarantine_row(8, NOON, "desk: unknown desk 'Y'")
        place.engine.publish(NOON)
        await until(lambda: "unreadable" in place.warnings)
        said = "2 rows cannot be read as trades and are quarantined (first: row 7, desk: unknown desk 'X')"
        assert place.warnings["unreadable"] == said
        place.renew(reference())
        await until(lambda: not place.warnings)

    place.watched(test)


def test_balances_left_out_are_said_until_reference_data_gives_them_a_place(place: Place) -> None:
    place.store.save_openings([Opening(desk="NEW", instrument="EURUSD", ts=NOON, quantity=ONE)])

    async def test(place: Place) -> None:
        assert place.warnings["openings"] == "1 opening balances are left out: their desk or instrument is unknown"
        place.renew(reference(PARENTS | {"NEW": "ALL"}))
        await until(lambda: not place.warnings)

    place.watched(test, openings_left_out=1)


def test_new_reference_data_that_takes_a_balance_its_place_is_said(place: Place) -> None:
    place.store.save_openings([Opening(desk="EQ1", instrument="ACME", ts=NOON, quantity=ONE)])

    async def test(place: Place) -> None:
        place.renew(reference({"ALL": "", "FX1": "ALL"}))
        await until(lambda: "openings" in place.warnings)

    place.watched(test)


def test_a_store_that_is_away_for_a_while_is_noted_when_it_is_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def away(*_: int) -> None:
        asked.append(1)
        raise StoreUnavailable("away")

    async def test(place: Place) -> None:
        await until(lambda: place.watch.witness._seen is not None)
        with monkeypatch.context() as patch:
            patch.setattr(place.store, "state", away)
            await until(lambda: len(asked) > 2)
        place.store.acquire_writer("engine")
        place.store.next_epoch()
        await until(lambda: place.watch.witness.epoch == 1)

    place.watched(test)
    assert not place.warnings


def test_a_mistake_of_ours_is_logged_and_does_not_end_the_engine(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def test(place: Place) -> None:
        monkeypatch.setattr(place.watch.witness, "note", broken)
        await until(lambda: "watch_failed" in caplog.text)

    place.watched(test)


def test_a_store_without_nodes_is_said_until_it_has_some(place: Place) -> None:
    async def test(place: Place) -> None:
        place.renew(Reference([], [], "USD"))
        await until(lambda: "empty" in place.warnings)
        assert "has no nodes: nothing has been loaded yet, or it is the wrong store" in place.warnings["empty"]
        place.renew(reference())
        await until(lambda: not place.warnings)

    place.watched(test)


def test_trades_gone_since_the_last_start_are_said(place: Place) -> None:
    place.store.append_trades([trade("a"), trade("b")])
    place.store.acquire_writer("test")
    place.watch.take_epoch(False)
    place.watched(lambda place: until(lambda: place.watch.witness.path is not None))
    with sqlite3.connect(place.store.name) as outside:
        outside.execute("DELETE FROM trades WHERE trade_id = 'a'")
    outside.close()
    again = Place(place.store)
    again.watch.take_epoch(False)
    assert again.warnings["gone"].startswith("1 trades are missing that the store held when this machine last saw it;")
