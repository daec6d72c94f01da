"""Long work in the background: a short switch interval, sleeps between, and no garbage collection."""

import asyncio
import gc
import sys
import threading
import time

import pytest

from riskengine import background
from riskengine.background import SWITCH_S, BackgroundThread, Rests, pause_collection, short_switch_interval


def test_the_interpreter_changes_hands_often_until_the_last_has_ended():
    usual = sys.getswitchinterval()
    first, second = short_switch_interval(), short_switch_interval()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S, rel=0.05)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == usual


def test_what_was_made_shorter_by_somebody_else_stays():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S / 2)
    try:
        with short_switch_interval():
            assert sys.getswitchinterval() == pytest.approx(SWITCH_S / 2, rel=0.05)
    finally:
        sys.setswitchinterval(usual)


def test_it_rests_after_so_much_work_and_not_before(monkeypatch):
    slept: list[float] = []
    now = [10.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    rests = Rests()
    for _ in range(10):
        now[0] += background.WORK_S / 2.5
        rests.rest_if_due()
    assert slept == [background.REST_S] * 3


def test_the_collector_rests_meanwhile_and_goes_on_after_a_failure_too():
    def work():
        with pause_collection():
            assert not gc.isenabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0, "nothing is put out of its sight in a process that has not settled its memory"


def test_what_is_made_stays_out_of_the_collector_s_sight_where_memory_is_settled():
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with pause_collection():
            made: list[list[int]] = [[] for _ in range(1_000)]
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()


def test_a_helper_does_one_thing_after_the_other_and_nobody_waits_for_it_at_the_end():
    helper, done = BackgroundThread("test-helper"), threading.Event()
    order: list[str] = []
    helper.submit(lambda: order.append(threading.current_thread().name))
    helper.submit(lambda: order.append("second"))
    helper.submit(done.set)
    assert done.wait(10)
    assert order == ["test-helper", "second"]
    [thread] = [thread for thread in threading.enumerate() if thread.name == "test-helper"]
    assert thread.daemon


def test_what_a_background_thread_returns_or_raises_comes_back_to_the_loop():
    async def asked() -> tuple[int, BaseException]:
        helper = BackgroundThread("test-background")
        found = await helper.run(lambda: 7)
        with pytest.raises(ValueError, match="no") as raised:
            await helper.run(lambda: int("no"))
        return found, raised.value

    found, error = asyncio.run(asked())
    assert found == 7
    assert isinstance(error, ValueError)
