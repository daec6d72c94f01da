"""A verdict is stored, then takes effect; one whose commit was not answered does so if, and only if, the store has it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from riskengine.config import Config, EngineConfig, MarksConfig, StoreConfig
from riskengine.errors import EngineNotLive, StoreError, StoreUnavailable
from riskengine.process.process import EngineProcess
from riskengine.process.verdicts import Verdicts
from riskengine.records.types import Tick, Trade, Verdict
from riskengine.snapshot.snapshot import ExceptionItem
from riskengine.store.open_store import open_store
from tests.live_process import run_live
from tests.waiting import until
from tests.world import instruments, nodes, trade

VERDICT = Verdict("conflict:test:t1:0:1:ab", "accept", "", "ann", 1)
CONFLICT = ExceptionItem(VERDICT.id, "conflict", 1, "another version stands", trade("t1"))
SUSPECT = ExceptionItem("suspect:EURUSD", "suspect", 1, "far from the last", None, {"instrument": "EURUSD", "source": "feed"})


class Shelf:
    """What is asked on the store thread and the writer thread, in order, and how often the store is away before it answers."""

    def __init__(self, *verdicts: Verdict, away: int = 0, ended: bool = False) -> None:
        self._verdicts = [*verdicts]
        self._away = away
        self._ended = ended
        self.done: list[Any] = []
        self.writer_has_prices = True
        self.carried_out = Verdicts(self.on_store, self.on_writer, self, self, self.hand_over_prices)  # type: ignore[arg-type]

    @property
    def effects(self) -> int:
        return self.done.count("on_writer")

    def verdicts(self) -> list[Verdict]:
        return self._verdicts

    def recall(self, trades: Sequence[Trade]) -> None:
        self.done.append(("recall", [one.trade_id for one in trades]))

    def trades_of_deals(self, deals: Sequence[tuple[str, str]]) -> list[Any]:
        return []

    def save_verdict(self, verdict: Verdict, conflict: Trade | None) -> None:
        self._verdicts.append(verdict)
        self.done.append(("save", None if conflict is None else conflict.trade_id))

    def decide(self, instrument: str, source: str, *, release: bool) -> None:
        self.done.append(("quotes", instrument, source, release))

    async def on_store(self, action: Callable[[Any], Any]) -> Any:
        if self._ended:
            raise EngineNotLive("stopping")
        self._away -= 1
        if self._away >= 0:
            raise StoreUnavailable("away")
        return action(self)

    def hand_over_prices(self) -> bool:
        self.done.append("prices")
        return self.writer_has_prices

    async def on_writer(self, action: Callable[[Any], Any]) -> None:
        self.done.append("on_writer")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.process.verdicts.RETRY_S", 0.001)


def test_a_trade_that_is_accepted_is_recalled_before_it_is_stored() -> None:
    shelf = Shelf()
    asyncio.run(shelf.carried_out.decide(CONFLICT, VERDICT))
    assert shelf.done == [("recall", ["t1"]), ("save", "t1"), "on_writer"]


@pytest.mark.parametrize(("word", "release"), [("accept", True), ("reject", False)])
def test_a_verdict_on_a_price_goes_to_the_quotes_too(word: str, release: bool) -> None:
    shelf = Shelf()
    asyncio.run(shelf.carried_out.decide(SUSPECT, Verdict(SUSPECT.id, word, "", "ann", 1)))
    assert shelf.done == [("recall", []), ("save", None), ("quotes", "EURUSD", "feed", release), "prices", "on_writer"]


def test_a_price_that_was_decided_waits_until_the_writer_has_taken_those_before_it() -> None:
    shelf = Shelf()
    shelf.writer_has_prices = False
    asyncio.run(shelf.carried_out.decide(SUSPECT, Verdict(SUSPECT.id, "accept", "", "ann", 1)))
    assert shelf.done[-4:] == ["prices", "on_writer", "prices", "on_writer"]


@pytest.mark.parametrize(("word", "price"), [("accept", 1.5), ("reject", 1.1)])
def test_what_a_person_decided_about_a_price_is_in_force_with_the_answer(tmp_path: Path, word: str, price: float) -> None:
    """However long a beat is."""
    url = f"sqlite:///{tmp_path}/engine.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        process.offer_ticks([Tick("EURUSD", now - 1, 1.1, 1.1), Tick("EURUSD", now, 1.5, 1.5)])
        number = process.history.newest.reference.instrument_index["EURUSD"]
        await until(lambda: process.history.newest.units.marks[number])
        item = ExceptionItem("suspect:EURUSD", "suspect", now, "", None, {"instrument": "EURUSD", "source": ""})
        await process.decide(item, Verdict(item.id, word, "", "ann", process.clock.now()))
        mark = process.history.newest.units.marks[number]
        assert mark is not None and (mark.price, mark.suspects) == (price, ())

    marks = MarksConfig(suspect_release_s=60.0)
    run_live(Config(engine=EngineConfig(beat_ms=700), marks=marks, store=StoreConfig(url)), test)


def test_while_the_store_is_away_the_person_hears_that_and_nothing_takes_effect() -> None:
    async def decide(shelf: Shelf) -> None:
        with pytest.raises(StoreError):
            await shelf.carried_out.decide(CONFLICT, VERDICT)
        await asyncio.sleep(0.05)

    shelf = Shelf(away=2)
    asyncio.run(decide(shelf))
    assert shelf.done == [], "the store came back without the verdict"


@pytest.mark.parametrize(
    ("shelf", "effects"),
    [
        (Shelf(VERDICT), 1),
        (Shelf(VERDICT, away=3), 1),
        (Shelf(), 0),
        (Shelf(msgspec.structs.replace(VERDICT, ts=2)), 0),
        (Shelf(VERDICT, ended=True), 0),
    ],
    ids=["stored", "stored, and away for a while", "not stored", "another was stored", "the engine ends"],
)
def test_it_takes_effect_once_if_it_was_stored(shelf: Shelf, effects: int) -> None:
    asyncio.run(asyncio.wait_for(shelf.carried_out.settle(CONFLICT, VERDICT), 5))
    assert shelf.effects == effects
