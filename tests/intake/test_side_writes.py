"""What the store thread writes beside trades: each write answered once, no mark lost."""

from collections.abc import Sequence
from typing import Any

import pytest

from riskengine.errors import StoreError, StoreUnavailable
from riskengine.intake.side_writes import (
    NOTHING,
    SAVE_NOTICES,
    PendingMarks,
    PendingNotices,
    PendingOptionInputs,
    SideWrites,
    Write,
)
from riskengine.records.option_inputs import DatedInput, Vol
from riskengine.records.types import Notice, StoredMark
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

    def save_closing_marks(self, date: str, marks: Sequence[StoredMark]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.saved.append([date, *marks])  # type: ignore[list-item]

    def save_option_inputs(self, rows: Sequence[DatedInput]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.saved.append([*rows])  # type: ignore[list-item]


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


class Board:
    """A store that takes notices, unless it is away."""

    def __init__(self) -> None:
        self.saved: list[tuple[list[str], int]] = []
        self.is_away = False

    def save_notices(self, notices: Sequence[Notice], up_to: int) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.saved.append(([each.id for each in notices], up_to))


def notice(name: str) -> Notice:
    return Notice(name, "late", TS, "late", "{}", "desk", name, 0, 1)


def test_a_notice_is_stored_at_once_and_a_number_without_one_at_the_end_or_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pending, board = PendingNotices(), Board()
    pending.save(board)  # type: ignore[arg-type]
    assert board.saved == [], "nobody has noticed anything"
    pending.put([], 3)
    pending.save(board)  # type: ignore[arg-type]
    pending.put([], 4)
    pending.save(board)  # type: ignore[arg-type]
    assert board.saved == [([], 3)]
    pending.put([notice("a")], 5)
    pending.save(board)  # type: ignore[arg-type]
    pending.put([], 6)
    pending.save_last(board)  # type: ignore[arg-type]
    assert board.saved[1:] == [(["a"], 5), ([], 6)]
    monkeypatch.setattr("riskengine.intake.side_writes.SAVE_EVERY_S", 0.0)
    for up_to in (7, 8):
        pending.put([], up_to)
        pending.save_last(board)  # type: ignore[arg-type]
    assert board.saved[3:] == [([], 7), ([], 8)]


def test_many_notices_are_stored_in_pieces_and_the_number_with_the_last() -> None:
    pending, board = PendingNotices(), Board()
    pending.put([notice(f"{number}") for number in range(SAVE_NOTICES + 5)], 9)
    for _ in range(3):
        pending.save(board)  # type: ignore[arg-type]
    assert [(len(ids), up_to) for ids, up_to in board.saved] == [(SAVE_NOTICES, NOTHING), (5, 9)]


def test_notices_that_the_store_did_not_take_are_kept() -> None:
    pending, board = PendingNotices(), Board()
    board.is_away = True
    pending.put([notice("a")], 1)
    with pytest.raises(StoreUnavailable):
        pending.save(board)  # type: ignore[arg-type]
    board.is_away = False
    pending.put([notice("b")], 2)
    pending.save(board)  # type: ignore[arg-type]
    assert board.saved == [(["a", "b"], 2)]


def test_closing_marks_are_stored_before_the_marks_that_came_after_them() -> None:
    marks, shelf = PendingMarks(), Shelf()
    marks.closing.put("2026-12-01", [EUR])
    marks.put([NEWER])
    marks.save(shelf)  # type: ignore[arg-type]
    assert shelf.saved == [["2026-12-01", EUR], [NEWER]]
    marks.save(shelf)  # type: ignore[arg-type]
    assert len(shelf.saved) == 2


def test_while_the_store_is_away_no_mark_overtakes_a_closing_mark() -> None:
    marks, shelf = PendingMarks(), Shelf()
    shelf.is_away = True
    marks.closing.put("2026-12-01", [EUR])
    marks.put([NEWER])
    with pytest.raises(StoreUnavailable):
        marks.save(shelf)  # type: ignore[arg-type]
    marks.closing.put("2026-12-01", [BTC])
    shelf.is_away = False
    marks.save_last(shelf)  # type: ignore[arg-type]
    assert shelf.saved == [["2026-12-01", EUR, BTC], [NEWER]]


def test_inputs_of_options_are_coalesced_by_day_and_kept_while_the_store_is_away() -> None:
    pending, shelf = PendingOptionInputs(), Shelf()
    before, now, newer = (
        DatedInput(day, Vol("C", ts, 0.1)) for day, ts in (("2026-11-30", 1), ("2026-12-01", 2), ("2026-12-01", 3))
    )
    shelf.is_away = True
    pending.put([before, now])
    with pytest.raises(StoreUnavailable):
        pending.save(shelf)  # type: ignore[arg-type]
    pending.put([newer])
    pending.save_last(shelf)  # type: ignore[arg-type]
    shelf.is_away = False
    pending.save(shelf)  # type: ignore[arg-type]
    pending.save(shelf)  # type: ignore[arg-type]
    assert repr(shelf.saved) == repr([[before, newer]])
