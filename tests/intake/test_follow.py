"""A row that is quarantined is said aloud once, and many at once do not flood the log."""

from typing import Any

import pytest

from riskengine.intake import follow
from riskengine.intake.follow import MAX_LOGGED_ROWS, QuarantineLog


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(follow.log, "warning", lambda event, **facts: said.append((event, facts)))
    return said


def test_each_row_is_named_once_with_its_reason(warned: list[Any]) -> None:
    quarantine_log = QuarantineLog()
    quarantine_log.warn([(7, "desk: unknown desk 'X'")])
    quarantine_log.warn([(7, "desk: unknown desk 'X'"), (9, "price: is missing")])
    assert warned == [
        ("row_quarantined", {"store_seq": 7, "reason": "desk: unknown desk 'X'"}),
        ("row_quarantined", {"store_seq": 9, "reason": "price: is missing"}),
    ]


def test_of_many_at_once_the_first_are_named_and_all_are_counted(warned: list[Any]) -> None:
    QuarantineLog().warn((store_seq, "ts: is missing") for store_seq in range(1, 101))
    assert len(warned) == MAX_LOGGED_ROWS + 1
    assert warned[-1] == ("rows_quarantined", {"rows": 100, "first": 1, "last": 100})


def test_what_is_remembered_is_bounded(warned: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MAX_REMEMBERED_ROWS", 3)
    quarantine_log = QuarantineLog()
    for store_seq in (1, 2, 3, 4, 2, 1):
        quarantine_log.warn([(store_seq, "ts: is missing")])
    assert [facts["store_seq"] for _, facts in warned] == [1, 2, 3, 4, 1], "the oldest was forgotten"
