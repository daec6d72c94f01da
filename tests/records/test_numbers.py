"""Which numbers have come: ranges of missing ones, against a plain set; bounded; what people say of them."""

import random

import pytest

from riskengine.records.numbers import MAX_HOLES, FeedState, NumberSet, count_of, parse_ranges, ranges_text, runs_of


def numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def test_runs_leave_out_what_is_no_number() -> None:
    assert runs_of([3, 1, 2, 2, 0, -4]) == [(1, 3)]
    assert runs_of([7, 1, 3, 4]) == [(1, 1), (3, 4), (7, 7)]
    assert runs_of([0]) == []


@pytest.mark.parametrize("seed", range(20))
def test_what_is_missing_is_what_a_plain_set_says(seed: int) -> None:
    chance, kept, came = random.Random(seed), NumberSet(), set[int]()
    for _ in range(60):
        first = chance.randrange(1, 80)
        sent = [chance.randrange(first, first + 6) for _ in range(chance.randrange(1, 8))]
        kept.take(runs_of(sent))
        came |= set(sent)
        assert numbers(kept.missing) == set(range(1, max(came))) - came
        assert kept.missing == runs_of(numbers(kept.missing)), "sorted, disjoint, apart"
        assert numbers(kept.runs()) == came
        assert NumberSet.parse(kept.text()).missing == kept.missing
        assert all(kept.has(number, number) == (number in came) for number in range(1, 90))


def test_ranges_are_read_back_from_their_text() -> None:
    assert ranges_text([(2, 2), (5, 6)]) == "2, 5-6"
    assert parse_ranges("2, 5-6") == [(2, 2), (5, 6)]
    assert parse_ranges("") == []


def test_more_holes_than_are_kept_are_joined_and_alarm_until_a_person_says_so() -> None:
    kept = NumberSet()
    kept.take([(number, number) for number in range(2, 2 * MAX_HOLES + 100, 2)])
    assert len(kept.missing) == MAX_HOLES
    assert kept.missing[0] == (1, kept.joined)
    assert count_of(kept.missing) >= MAX_HOLES + 49, "no missing number is forgotten"
    kept.take([(1, 1), (3, 3)])
    assert kept.joined and kept.missing
    state = FeedState("s", kept, promised=kept.highest)
    assert state.missing()
    state.acknowledge()
    assert not state.missing() and count_of(state.acknowledged)


def test_only_a_source_that_promised_misses_numbers_from_one_and_up_to_what_it_sent() -> None:
    state = FeedState("s")
    state.take([(1, 1), (3, 4), (7, 7)])
    assert state.missing() == []
    state.promise(9)
    assert state.missing() == [(2, 2), (5, 6), (8, 9)]


def test_what_a_person_knows_of_alarms_no_more_and_what_comes_of_it_later_is_taken_off() -> None:
    state = FeedState("s", promised=4)
    state.take([(1, 1)])
    state.acknowledge()
    assert (state.missing(), state.acknowledged) == ([], [(2, 4)])
    state.take([(3, 3)])
    state.promise(6)
    assert (state.missing(), state.acknowledged) == ([(5, 6)], [(2, 2), (4, 4)])


def test_after_a_restart_what_came_since_is_what_came() -> None:
    state = FeedState("s", NumberSet(900), promised=900)
    since = NumberSet()
    since.take([(901, 903), (1, 2), (4, 4)])
    state.suspect(5, since)
    assert state.missing() == []
    state.take([(5, 5)])
    state.restart()
    assert (state.missing(), state.came.highest, state.anew) == ([(3, 3)], 5, None)


def test_a_retired_source_promises_nothing() -> None:
    state = FeedState("s", promised=7)
    state.retire()
    assert (state.missing(), state.retired) == ([], True)
    state.promise(9)
    assert state.missing() == [(8, 9)], "what was missing before it retired is known"


def test_nothing_is_acknowledged_of_a_source_that_promised_nothing():
    state = FeedState("venue")
    state.came.take([(2**62, 2**62)])
    state.acknowledge()
    assert state.acknowledged == []
