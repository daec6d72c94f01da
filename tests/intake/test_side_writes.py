"""What the store thread writes beside trades: each write answered once, no mark lost."""

from collections.abc import Sequence
from typing import Any

import pytest

from riskengine.errors import StoreError, StoreUnavailable
from riskengine.intake.side_writes import PendingMarks, SideWrites, Write
from riskengine.records.types import StoredMark
from tests.store_book import TS

EUR, NEWER, BTC = StoredMark("EURUSD", TS, 1.1), StoredMark("EURUSD", TS + 1, 1.2), StoredMark("BTCUSD", TS, 60_000.0)


class Shelf:
    """A store that takes marks, unless it is away."""

    def __init__(self) -> None:
        self.saved: list[list[StoredMark]] = []
        self.is_away = False
        self.meanwhile = PendingMarks()

    def save_marks(self, marks: Sequence[StoredMark]) -> None:
        if self.is_away:
            self.meanwhile.put([NEWER])
            raise StoreUnavailable("away")
        self.saved.append([*marks])


def failing(error: StoreError) -> Any:
    def action(store: Any) -> None:
        raise error

    return action


def test_writes_are_done_in_their_order_and_answered() -> None:
    writes, answers = SideWrites(), list[Any]()
    for number in (1, 2):
        writes.put(Write(lambda store, number=number: number, lambda *answer: answers.append(answer)))  # type: ignore[misc]
    writes.run(Shelf())  # type: ignore[arg-type]
    assert answers == [(1, None), (2, None)]
    assert writes.is_empty


def test_an_error_about_the_request_is_its_answer_and_the_next_write_is_done() -> None:
    writes, answers, error = SideWrites(), list[Any](), StoreError("no such break")
    for action in (failing(error), lambda store: "done"):
        writes.put(Write(action, lambda *answer: answers.append(answer)))
    writes.run(Shelf())  # type: ignore[arg-type]
    assert answers == [(None, error), ("done", None)]


def test_an_error_about_the_store_is_raised_and_what_waits_can_be_refused() -> None:
    writes, answers, error = SideWrites(), list[Any](), StoreUnavailable("away")
    for action in (failing(error), lambda store: "done"):
        writes.put(Write(action, lambda *answer: answers.append(answer)))
    with pytest.raises(StoreUnavailable):
        writes.run(Shelf())  # type: ignore[arg-type]
    assert answers == [(None, error)]
    writes.refuse(error)
    assert answers == [(None, error)] * 2 and writes.is_empty


def test_the_newest_mark_of_each_instrument_is_kept_until_it_is_stored() -> None:
    shelf = Shelf()
    marks = shelf.meanwhile
    marks.put([EUR, BTC])
    shelf.is_away = True
    with pytest.raises(StoreUnavailable):
        marks.save(shelf)  # type: ignore[arg-type]
    marks.save_last(shelf)  # type: ignore[arg-type]
    shelf.is_away = False
    marks.save(shelf)  # type: ignore[arg-type]
    marks.save(shelf)  # type: ignore[arg-type]
    [saved] = shelf.saved
    assert {mark.instrument: mark for mark in saved} == {"EURUSD": NEWER, "BTCUSD": BTC}, (
        "the one that came while the store was away is newer"
    )
