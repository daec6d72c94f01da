"""The queue that makes batches of submissions: whatever waits, up to a limit, and never part of a submission."""

import threading
import time

import pytest

from riskengine.intake import submissions
from riskengine.intake.submissions import Submission, SubmissionQueue
from tests.store_book import trade


def submission(*trade_ids: str) -> Submission:
    return Submission([trade(trade_id) for trade_id in trade_ids], lambda receipt: None)


def taken(queue: SubmissionQueue, timeout_s: float = 0.0) -> list[list[str]]:
    return [[one.trade_id for one in each.trades] for each in queue.take(timeout_s)]


def test_whatever_waits_is_one_batch() -> None:
    queue = SubmissionQueue(10)
    queue.put(submission("a"))
    queue.wake()
    queue.put(submission("b", "c"))
    assert taken(queue) == [["a"], ["b", "c"]]
    assert taken(queue) == []
    assert queue.is_empty


def test_a_submission_is_never_divided_and_none_is_passed_by() -> None:
    queue = SubmissionQueue(3)
    for ids in (("a", "b"), ("c", "d"), ("e",), ("f", "g", "h", "i")):
        queue.put(submission(*ids))
    assert taken(queue) == [["a", "b"]]
    assert not queue.is_empty, "one was taken and left over"
    assert taken(queue) == [["c", "d"], ["e"]]
    assert taken(queue) == [["f", "g", "h", "i"]], "one that is larger than a batch goes alone"


def test_a_call_ends_a_wait() -> None:
    queue = SubmissionQueue(3)
    threading.Timer(0.05, queue.wake).start()
    started = time.monotonic()
    assert taken(queue, 10.0) == []
    assert time.monotonic() - started < 5.0


def test_only_after_several_senders_at_once_it_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(submissions, "CROWDED_S", 60.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    queue = SubmissionQueue(3)
    for senders in (1, 2, 1):
        queue.put(submission("a"))
        taken(queue)
        queue.note_senders(senders)
    assert waits == [submissions.LINGER_S], "in the third batch, after the second had two senders"
