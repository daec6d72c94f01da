"""Warnings that stand until they are cleared."""

from typing import Any

import pytest

from riskengine.alerts import TASK_ENDED, Warnings, tells_end
from riskengine.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(5)


@pytest.fixture
def warnings(clock: ManualClock) -> Warnings:
    return Warnings(clock)


def test_a_kind_keeps_its_place_and_its_time_while_its_words_change(warnings: Warnings, clock: ManualClock) -> None:
    warnings["breaks"] = "1 break"
    clock.advance(10)
    warnings["mismatch"] = "the store went back"
    warnings["breaks"] = "2 breaks"
    assert warnings.rows() == [
        {"kind": "breaks", "text": "2 breaks", "since": 5},
        {"kind": "mismatch", "text": "the store went back", "since": 15},
    ]


def test_one_that_comes_back_stands_since_then(warnings: Warnings, clock: ManualClock) -> None:
    warnings["breaks"] = "1 break"
    del warnings["breaks"]
    assert warnings.rows() == [] and not warnings
    clock.advance(10)
    warnings["breaks"] = "1 break"
    assert warnings.rows()[0]["since"] == 15


def test_clearing_what_does_not_stand_is_harmless_where_it_is_asked_for(warnings: Warnings) -> None:
    assert warnings.pop("breaks", None) is None
    with pytest.raises(KeyError):
        del warnings["breaks"]


def test_the_log_has_a_line_when_the_words_change_and_when_it_is_over(
    warnings: Warnings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "riskengine")
    for text in ("1 break", "1 break", "2 breaks"):
        warnings["breaks"] = text
    del warnings["breaks"]
    events: list[Any] = [record.msg for record in caplog.records]
    assert [each["event"] for each in events] == ["warning_set", "warning_set", "warning_cleared"]
    assert [each.get("text") for each in events] == ["1 break", "2 breaks", None]


def test_tasks_that_end_with_an_error_are_told_by_what_is_not_done_any_more(warnings: Warnings) -> None:
    tells_end(warnings, "nobody counts")(ValueError("one"))
    tells_end(warnings, "nobody looks")(KeyError("two"))
    assert warnings[TASK_ENDED] == (
        "nobody counts until the next start: ValueError('one'); nobody looks until the next start: KeyError('two')"
    )
