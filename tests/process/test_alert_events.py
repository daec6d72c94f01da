"""When something is told: once it has held, once for each time, whatever flickers; and the quiet hours."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from riskengine.process.alert_events import BEGAN, ENDED, AlertBook, AlertCondition, QuietHours

SECOND = 1_000_000


def condition(key: str = "light:prices", *, urgent: bool = False, text: str = "old") -> AlertCondition:
    return AlertCondition(key, "lights", key, text, urgent, 0)


class Watch:
    """A book that is looked at second by second."""

    def __init__(self) -> None:
        self.book = AlertBook(5 * SECOND, 60 * SECOND)
        self.now = 0

    def look(self, *conditions: AlertCondition, seconds: int = 1) -> list[tuple[str, str]]:
        """The events of so many looks at the same."""
        found = []
        for _ in range(seconds):
            self.now += SECOND
            found += [(event.what, event.condition.key) for event in self.book.look(self.now, conditions)]
        return found


def test_what_holds_is_told_once_after_a_moment_and_once_when_it_is_over() -> None:
    watch = Watch()
    assert watch.look(condition(), seconds=5) == []
    assert watch.look(condition()) == [(BEGAN, "light:prices")]
    assert watch.look(condition(text="older"), seconds=100) == []
    assert watch.look(seconds=59) == []
    assert watch.look() == [(ENDED, "light:prices")]
    assert watch.look(seconds=100) == []


def test_a_hard_breach_is_told_at_once() -> None:
    assert Watch().look(condition(urgent=True)) == [(BEGAN, "light:prices")]


def test_what_comes_and_goes_is_one_event() -> None:
    watch = Watch()
    told = []
    for _ in range(20):
        told += watch.look(condition(), seconds=3)
        told += watch.look(seconds=3)
    assert told == [(BEGAN, "light:prices")], "seen again within a minute: the same"
    assert watch.look(seconds=60) == [(ENDED, "light:prices")]
    assert watch.look(condition(), seconds=6) == [(BEGAN, "light:prices")], "another time"


def test_a_flicker_is_told_neither_when_it_begins_nor_when_it_ends() -> None:
    watch = Watch()
    assert watch.look(condition(), seconds=2) == []
    assert watch.look(seconds=200) == []


def test_each_thing_is_told_by_itself() -> None:
    watch = Watch()
    watch.look(condition("a"), seconds=3)
    assert watch.look(condition("a"), condition("b"), seconds=6) == [(BEGAN, "a"), (BEGAN, "b")]


@pytest.mark.parametrize(
    ("hours", "time", "quiet"),
    [
        (("22:00", "07:00"), "22:00", True),
        (("22:00", "07:00"), "06:59", True),
        (("22:00", "07:00"), "07:00", False),
        (("22:00", "07:00"), "21:59", False),
        (("12:00", "13:00"), "12:30", True),
        (("12:00", "13:00"), "13:00", False),
        (("", ""), "03:00", False),
    ],
)
@pytest.mark.parametrize("day", ["2026-03-07", "2026-03-08"])
def test_quiet_hours_are_of_their_zone_on_both_sides_of_a_change_of_the_clocks(
    hours: tuple[str, str], time: str, *, quiet: bool, day: str
) -> None:
    at = dt.datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=ZoneInfo("America/New_York"))
    assert QuietHours(*hours, "America/New_York").holds(int(at.timestamp() * 1e6)) is quiet
