"""Answers that are waited for on the event loop while other threads work on them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from structlog.stdlib import BoundLogger

T = TypeVar("T")

Answer = Callable[[Any, Exception | None], None]
"""Called once with the result, or with None and the error. Any thread."""


def pending_answer() -> "tuple[asyncio.Future[Any], Answer]":
    """Something to wait for on the running loop, and what answers it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    return done, lambda result, error: _tell(loop, done, result, error)


class PendingAnswers:
    """What is waited for now, so that whoever waits is told when nobody is left to answer. Used on the loop."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def keep(self, done: "asyncio.Future[T]") -> "asyncio.Future[T]":
        """Remember `done` until it is answered."""
        self._open.add(done)
        done.add_done_callback(self._open.discard)
        return done

    def give_up(self, error: Exception) -> None:
        """Tell everybody who still waits that no answer will come."""
        for done in [*self._open]:
            if not done.done():
                done.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, done: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    loop.call_soon_threadsafe(_settle, done, result, error)


def _settle(done: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    """On the loop: answer whoever waits, unless they went away or were told already."""
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


class PublishWakeup:
    """Listeners are called on the loop that `on` named; `ring` may be called by any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[], None]] = []
        self._scheduled = False

    def on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Which loop to wake, from now on."""
        self._loop = loop

    def ring(self, _: object = None) -> None:
        """Have every listener called soon. Returns at once."""
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._scheduled = False
        for listener in tuple(self._listeners):  # one may end itself
            listener()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each ring (once for several). Returns what ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)


def start_task(
    job: Coroutine[Any, Any, None],
    log: BoundLogger,
    event: str = "task_failed",
    failed: Callable[[BaseException], None] | None = None,
) -> "asyncio.Task[None]":
    """Start `job` on the running loop; `log` gets the error that ends it, as `event`, then `failed` does. It never ends in silence.

    Cancelling the returned task is an ordinary end.
    """

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical(event, error=repr(error), exc_info=error)
            if failed is not None:
                failed(error)

    task = asyncio.get_running_loop().create_task(job)
    task.add_done_callback(ended)
    return task
