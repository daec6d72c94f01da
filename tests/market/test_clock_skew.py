"""Clocks of sources that run ahead: named at once, as long as a tick of theirs may hide others."""

from riskengine.market.clock_skew import AHEAD_US, KEEP_US, MAX_SOURCES, ClockSkews
from riskengine.records.types import Tick
from tests.world import NOON, SECOND


def tick(source: str, ts: int) -> Tick:
    return Tick("EURUSD", ts, 1.0, 1.0, None, source)


def note(skews: ClockSkews, now: int, *ticks: Tick, refused: bool = False) -> bool:
    return skews.note(ticks, 0 if refused else max(each.ts for each in ticks), refused, now)


def test_a_clock_that_runs_ahead_is_named_with_its_skew_in_any_batch() -> None:
    skews = ClockSkews()
    assert not note(skews, NOON, tick("good", NOON - 20_000))
    assert note(skews, NOON + 1, tick("fast", NOON + 55 * SECOND), *(tick("good", NOON) for _ in range(5)))
    assert skews.ahead(NOON + 2) == {"fast": 54_999}
    assert (skews.skew_ms("fast", NOON), skews.skew_ms("good", NOON), skews.skew_ms("other", NOON)) == (54_999, -1, None)


def test_a_second_is_no_skew_and_a_tick_that_is_refused_for_its_time_names_its_source_too() -> None:
    skews = ClockSkews()
    assert not note(skews, NOON, tick("s", NOON + AHEAD_US))
    assert note(skews, NOON, tick("s", NOON + 90 * SECOND), refused=True)


def test_a_source_stays_named_until_its_ticks_hide_nothing_any_more() -> None:
    skews = ClockSkews()
    note(skews, NOON, tick("far", NOON + 50 * SECOND), tick("near", NOON + 2 * SECOND))
    note(skews, NOON + SECOND, tick("far", NOON + SECOND), tick("near", NOON + SECOND))
    assert list(skews.ahead(NOON + SECOND)) == ["far", "near"]
    assert list(skews.ahead(NOON + KEEP_US)) == ["far"]
    assert skews.ahead(NOON + 50 * SECOND) == {}
    assert skews.skew_ms("far", NOON + 50 * SECOND) == 0


def test_every_source_of_mixed_batches_is_known_and_they_are_bounded() -> None:
    skews = ClockSkews()
    note(skews, NOON, *(tick(f"s{number}", NOON) for number in range(MAX_SOURCES + 50)))
    assert len(skews.rows((), NOON)) == MAX_SOURCES
    note(skews, NOON + SECOND, tick("x" * 129, NOON + SECOND))
    skews.forget("s0")
    assert not skews.knows("s0") and skews.knows("s1")
    assert [row["source"] for row in skews.rows((f"s{number}" for number in range(2, MAX_SOURCES)), NOON)] == ["s1"]


def test_a_time_that_cannot_be_read_names_nobody() -> None:
    skews = ClockSkews()
    assert not skews.note([Tick("EURUSD", "soon", 1.0, 1.0, None, "s")], 0, True, NOON)  # type: ignore[arg-type]
    assert not skews.knows("s")


def test_sources_that_are_more_than_a_minute_short_of_a_moment_are_behind_it_while_they_are_fresh():
    skews, minute = ClockSkews(), 60 * SECOND
    assert skews.behind(NOON, NOON) == ([], 0)
    for source, ts in (("late", NOON - minute - 1), ("near", NOON - minute), ("ahead", NOON + SECOND)):
        skews.note([Tick("EURUSD", ts, 1.0, 1.0, None, source)], ts, False, NOON)
    assert skews.behind(NOON, NOON + minute) == (["late"], 3) and skews.any_known
    assert skews.behind(NOON, NOON + minute + 1) == ([], 0)
