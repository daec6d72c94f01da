"""A verdict whose commit was not answered takes effect if, and only if, the store has it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from riskengine.errors import EngineNotLive, StoreUnavailable
from riskengine.process.verdicts import settle
from riskengine.records.types import Verdict

VERDICT = Verdict("conflict:test:t1:0:1:ab", "accept", "", "ann", 1)


class Shelf:
    """What is asked on the store thread, and how often it is away before it answers."""

    def __init__(self, *verdicts: Verdict, away: int = 0, ended: bool = False) -> None:
        self._verdicts = [*verdicts]
        self._away = away
        self._ended = ended
        self.effects = 0

    def verdicts(self) -> list[Verdict]:
        return self._verdicts

    async def on_store(self, action: Callable[[Any], bool]) -> bool:
        if self._ended:
            raise EngineNotLive("stopping")
        self._away -= 1
        if self._away >= 0:
            raise StoreUnavailable("away")
        return action(self)

    async def take_effect(self) -> None:
        self.effects += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.process.verdicts.RETRY_S", 0.001)


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
    asyncio.run(asyncio.wait_for(settle(VERDICT, shelf.on_store, shelf.take_effect), 5))
    assert shelf.effects == effects
