"""The work of a trade, a tick and a beat does not rise unnoticed: calls, memory and pages made anew."""

import copy

import pytest

from bench.counted_work import VERSION, count_alone, risen, stored_counts

ON_PURPOSE = """
If the change is worth its work, store the new figures with `python -m bench.counted_work --write`, in the same commit, whose
message says why. The same command lowers them after work was saved."""


@pytest.fixture(scope="module")
def stored():
    counts = stored_counts()
    if counts is None:
        pytest.skip(f"no counts are stored for Python {VERSION}: `python -m bench.counted_work --write` stores them")
    return counts


def test_no_trade_tick_or_beat_does_more_work_than_is_stored(stored):
    more = risen(count_alone(), stored)
    assert not more, "\n  ".join(["more work than before:", *more]) + ON_PURPOSE


def test_a_figure_that_rose_by_a_tenth_is_found(stored):
    for work, figures in stored.items():
        for name in figures:
            counted = copy.deepcopy(stored)
            counted[work][name] *= 1.1
            (found,) = risen(counted, stored)
            assert found.startswith(f"{work}: {name} ")


def test_work_that_nobody_has_counted_is_found(stored):
    counted = copy.deepcopy(stored) | {"another beat": {"calls": 1.0}}
    assert risen(counted, stored) == ["another beat: calls is not stored"]
