"""A few thousand inputs at every door, kept finds, and that the search would see a crash, a silence and a hang."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.records import decode
from riskengine.records.fields import Rejected
from tests.fuzz import run
from tests.fuzz.doors import every_door
from tests.fuzz.mutation import Draw
from tests.fuzz.records import Kind, Records, kinds
from tests.fuzz.rules import Target, Violation, reasoned
from tests.fuzz.run import Found, run_block, timed, tried

KEPT = sorted((Path(__file__).parent / "kept").iterdir())
SIZES = {"drafts": 10, "connections": 40, "files": 60, "mappings": 80, "ready mappings": 60, "frames": 80, "bodies": 80}
WAYS = {"drafts": 5, "connections": 4, "scenarios": 9, "nodes": 8, "ready mappings": 4}
"""In at least so many ways, or 10, the inputs of this test are taken or refused: a search that always meets one is blind."""


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, Target]]:
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield {door.name: door for door in every_door(loop)}
    loop.close()
    asyncio.set_event_loop(None)


def test_no_input_crashes_a_door_or_is_refused_without_a_reason(doors: dict[str, Target]) -> None:
    found = Found()
    with timed():
        for name, door in doors.items():
            run_block(door, 1, 0, found, SIZES.get(name, 120))
    assert found.broken == []
    assert found.total > 2_500
    blind = {name: len(ways) for name, ways in found.ways.items() if len(ways) < WAYS.get(name, 10)}
    assert blind == {}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_once_broke_is_taken_or_refused(doors: dict[str, Target], path: Path) -> None:
    with timed():
        assert tried(doors[path.name.rpartition("-")[0]], path.read_bytes())[1] is None


def test_the_same_seed_draws_the_same_inputs(doors: dict[str, Target]) -> None:
    for door in doors.values():
        assert [door.draw(Draw("7")) for _ in range(3)] == [door.draw(Draw("7")) for _ in range(3)]


@pytest.fixture
def trades() -> Records:
    return Records("trades", kinds()["trades"])


def broken_by(door: Target, inputs: int = 200) -> set[str]:
    """What the inputs of one block break."""
    found = Found()
    with timed():
        run_block(door, 1, 0, found, inputs)
    return {broken.error for broken in found.broken}


def test_a_crash_is_found(trades: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_UNDECODABLE", (UnicodeError,))
    assert any("DecodeError" in error or "ValidationError" in error for error in broken_by(trades))


def test_a_refusal_without_a_reason_is_found() -> None:
    def check(sent: object) -> None:
        raise Rejected("quantity", "")

    assert any("without a reason" in error for error in broken_by(Records("trades", Kind(kinds()["trades"].decode, check))))


def test_an_accepted_trade_that_is_another_is_found(trades: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode.TradeCheck, "_positive", lambda self, amount, decimals, field: 7)
    assert any("is in the trade" in error for error in broken_by(trades))


class Hanging:
    name = "hanging"

    def draw(self, draw: Draw) -> bytes:
        return b""

    def check(self, data: bytes) -> str:
        while True:
            pass


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_S", 0.02)
    [error] = broken_by(Hanging(), 3)
    assert "of processor" in error


@pytest.mark.parametrize("reason", ["", " ", "x" * 5_000, "\ud800", "KeyError: 3", "<class 'int'>", None])
def test_a_reason_that_says_nothing_to_a_person_is_none(reason: object) -> None:
    with pytest.raises(Violation):
        reasoned(reason)
