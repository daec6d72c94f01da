"""The loop and the other threads: answers arrive, wakes are merged, and no task fails without a log line."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from riskengine.errors import EngineNotLive
from riskengine.loop import Answer, PendingAnswers, PublishWakeup, pending_answer, start_task


class Log:
    """Collects the critical lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def critical(self, event: str, *, error: str, exc_info: BaseException) -> None:
        self.lines.append((event, error))


def on_a_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_a_thread_answers_a_coroutine() -> None:
    async def test() -> None:
        done, answer = pending_answer()
        on_a_thread(lambda: answer(7, None))
        assert await done == 7

    asyncio.run(test())


def test_a_thread_answers_with_an_error() -> None:
    async def test() -> None:
        done, answer = pending_answer()
        on_a_thread(lambda: answer(None, EngineNotLive("stopped")))
        with pytest.raises(EngineNotLive, match="stopped"):
            await done

    asyncio.run(test())


def test_a_second_answer_and_one_for_a_cancelled_caller_are_ignored() -> None:
    async def test() -> None:
        def answer_twice(answer: Answer) -> None:
            answer(1, None)
            answer(2, EngineNotLive("late"))

        done, answer = pending_answer()
        gone, late = pending_answer()
        gone.cancel()
        on_a_thread(lambda: answer_twice(answer))
        on_a_thread(lambda: late(1, None))
        assert await done == 1
        await asyncio.sleep(0)
        assert gone.cancelled()

    asyncio.run(test())


def test_open_answers_fail_when_no_thread_is_left_to_give_them() -> None:
    async def test() -> None:
        open_answers = PendingAnswers()
        answered, answer = pending_answer()
        waiting, _ = pending_answer()
        open_answers.keep(answered)
        open_answers.keep(waiting)
        answer("done", None)
        assert await answered == "done"
        await asyncio.sleep(0)
        assert len(open_answers) == 1
        open_answers.give_up(EngineNotLive("the engine has stopped"))
        with pytest.raises(EngineNotLive):
            await waiting
        await asyncio.sleep(0)
        assert len(open_answers) == 0

    asyncio.run(test())


def test_wakes_before_the_listeners_run_count_as_one() -> None:
    async def test() -> None:
        wakeup = PublishWakeup()
        woken: list[str] = []
        wakeup.listen(lambda: woken.append("always"))
        wakeup.wake()
        await asyncio.sleep(0)
        assert woken == [], "no loop is attached"
        wakeup.attach(asyncio.get_running_loop())

        def once() -> None:
            woken.append("once")
            remove()

        def wake_thrice() -> None:
            for _ in range(3):
                wakeup.wake()

        remove = wakeup.listen(once)
        on_a_thread(wake_thrice)
        await asyncio.sleep(0.01)
        assert woken == ["always", "once"]
        wakeup.wake()
        await asyncio.sleep(0.01)
        assert woken == ["always", "once", "always"]

    asyncio.run(test())


@pytest.mark.parametrize(("fails", "lines"), [(True, [("job_failed", "ValueError('bad')")]), (False, [])])
def test_a_task_logs_the_error_that_ends_it(fails: bool, lines: list[tuple[str, str]]) -> None:
    log = Log()
    failures: list[BaseException] = []

    async def work() -> None:
        if fails:
            raise ValueError("bad")

    async def test(job: Coroutine[Any, Any, None]) -> None:
        task = start_task(job, log, "job_failed", failures.append)  # type: ignore[arg-type]
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(test(work()))
    assert log.lines == lines
    assert len(failures) == len(lines)


def test_cancelling_a_task_is_an_ordinary_end() -> None:
    log = Log()

    async def test() -> None:
        task = start_task(asyncio.sleep(60), log)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(test())
    assert log.lines == []
