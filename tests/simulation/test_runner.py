"""The runner: the same ranges, the same trace, whatever the number of processes."""

import pytest

from tests.simulation import ledger
from tests.simulation.runner import WORLDS_A_BLOCK, Block, Range, blocks, live_all


def test_blocks_come_to_the_days_asked_for_and_follow_each_other():
    found = list(blocks(5, 3 * WORLDS_A_BLOCK + 4))
    assert found == [Block(5, (3,) * WORLDS_A_BLOCK), Block(5 + WORLDS_A_BLOCK, (3, 1))]
    assert list(blocks(1, 0)) == []


def test_a_range_is_one_line_of_the_ledger():
    whole = Range(5)
    for lived in live_all(5, 1, 1):
        whole.add(lived)
    line = ledger.entry("abc", whole)
    assert (line["seeds"], line["days"], line["evenings"], line["failed"]) == ([5, 5], 1, 1, {})
    assert line["crash_points"] > 1_000
    assert len(line["trace"]) == 64


def test_two_processes_live_the_same_lives_as_one():
    traces = []
    for processes in (1, 2):
        whole = Range(5)
        for lived in live_all(5, 1, processes):
            whole.add(lived)
        traces.append(whole.trace.digest)
    assert traces[0] == traces[1]


def test_no_block_begins_after_the_time_that_is_set():
    assert list(live_all(5, 1, 1, until="00:00")) == []


def test_what_a_block_that_was_cut_short_has_lived_is_kept_and_nothing_behind_it(monkeypatch: pytest.MonkeyPatch):
    times = iter(["10:00", "10:01", "10:02"])
    monkeypatch.setattr("tests.simulation.runner.time.strftime", lambda _: next(times))
    monkeypatch.setattr("tests.simulation.runner.DAYS_A_WORLD", 1)
    [lived] = live_all(5, 4, 1, until="10:01")
    assert (lived.first, lived.last, lived.days, len(lived.digests)) == (5, 5, 1, 1)
