"""The event loop and the other threads: answers from a thread, a wake-up after each publish, tasks that log their errors.

A coroutine that asks the writer or the store thread awaits a `pending_answer`, which that thread completes; `PendingAnswers`
fails what is still open when the thread ends. `PublishWakeup` lets the writer wake listeners on the loop. `start_task` starts a
coroutine whose failure must reach the log.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from structlog.stdlib import BoundLogger

T = TypeVar("T")

Answer = Callable[[Any, Exception | None], None]
"""Called once with the result, or with None and the error. Any thread."""


def pending_answer() -> "tuple[asyncio.Future[Any], Answer]":
    """A future of the running loop, and the callback that completes it from any thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    return done, lambda result, error: _complete_soon(loop, done, result, error)


class PendingAnswers:
    """The open futures, so that they can be failed once no thread is left to answer them. Use on the loop."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def keep(self, done: "asyncio.Future[T]") -> "asyncio.Future[T]":
        """Remember `done` until it completes, and return it."""
        self._open.add(done)
        done.add_done_callback(self._open.discard)
        return done

    def give_up(self, error: Exception) -> None:
        """Fail every open future with `error`."""
        for done in [*self._open]:
            if not done.done():
                done.set_exception(error)


def _complete_soon(loop: asyncio.AbstractEventLoop, done: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    loop.call_soon_threadsafe(_complete, done, result, error)


def _complete(done: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    """Complete a future on its loop, unless it was cancelled or completed before."""
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


class PublishWakeup:
    """Calls listeners on the attached loop; any thread may call `wake`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[], None]] = []
        self._scheduled = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake this loop from now on."""
        self._loop = loop

    def wake(self, _: object = None) -> None:
        """Call every listener soon; several wakes before that count as one. Returns at once. Does nothing before `attach`."""
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._call_listeners)

    def _call_listeners(self) -> None:
        self._scheduled = False
        for listener in tuple(self._listeners):  # a listener may remove itself
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Add a listener. Returns the function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


Failed = Callable[[BaseException], None]
"""What is called with the error that ended a task."""


def start_task(
    job: Coroutine[Any, Any, None],
    log: BoundLogger,
    event: str = "task_failed",
    failed: Failed | None = None,
) -> "asyncio.Task[None]":
    """Start `job` on the running loop. An error that ends it is logged as `event` and then passed to `failed`.

    Cancelling the returned task is an ordinary end.
    """

    def report(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical(event, error=repr(error), exc_info=error)
            if failed is not None:
                failed(error)

    task = asyncio.get_running_loop().create_task(job)
    task.add_done_callback(report)
    return task
