"""An event loop of one engine in virtual time: a fiber that parks where a real loop would wait for sockets."""

import asyncio
import contextvars
import math
from asyncio import base_events, events
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.simulation.fibers import MICROS, Fiber, Host, Scheduler, SimpleQueue, in_force


class _NoSelector:
    """Waits for no socket: only for the next timer, or a call from another fiber."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        if timeout is None or timeout > 0:
            if not loop.was_called:
                loop.scheduler.park(None if timeout is None else math.ceil(timeout * MICROS))
        elif loop.turns % loop.BUSY_TURNS == 0:
            loop.scheduler.park(loop.TURN_US)  # a loop that is never idle must let time pass
        loop.turns += 1
        loop.was_called = False
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """The loop of a host. `run` is the work of its fiber."""

    BUSY_TURNS = 16
    TURN_US = 50

    def __init__(self, scheduler: Scheduler, host: Host) -> None:
        self.scheduler = scheduler
        self.host = host
        self.fiber: Fiber | None = None
        self.was_called = False
        self.is_done = False
        super().__init__()
        self.turns = 0
        self.problems: list[dict[str, Any]] = []
        self._selector = _NoSelector(self)
        self._clock_resolution = 1e-6
        self._idle: list[Worker] = []

    def time(self) -> float:
        return self.scheduler.now / MICROS

    def run(self) -> None:
        self.fiber = self.scheduler.current
        while not self.is_done:
            events._set_running_loop(self)
            self._run_once()  # type: ignore[attr-defined]
        events._set_running_loop(None)

    def _process_events(self, _: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        self.was_called = True
        if self.fiber is not None:
            self.scheduler.wake(self.fiber)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.host.dead and "was destroyed but it is pending" not in str(context.get("message")):
            self.problems.append(context)

    def is_running(self) -> bool:
        return not self.is_done

    def call_from_world(self, work: Callable[[], None]) -> None:
        """Have something done on this loop; from outside every fiber."""
        if not self.host.dead and not self.is_done:
            self.call_soon_threadsafe(work)

    def in_worker(self, work: Callable[[], Any], done: "asyncio.Future[Any]") -> None:
        """Do `work` on a fiber of the pool, and complete `done`."""
        worker = self._idle.pop() if self._idle else Worker(self)
        worker.jobs.put((work, done))

    def release(self, worker: "Worker") -> None:
        self._idle.append(worker)


class Worker:
    """A thread of the pool behind `asyncio.to_thread`."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.jobs: Any = SimpleQueue()
        self._loop = loop
        fiber = loop.scheduler.spawn(loop.host, self._run, "pool")
        loop.host.fibers.append(fiber)  # type: ignore[attr-defined]

    def _run(self) -> None:
        while True:
            work, done = self.jobs.get()
            error: BaseException | None = None
            result = None
            try:
                result = work()
            except Exception as failure:
                error = failure
            self._loop.call_soon_threadsafe(partial(self._complete, done, result, error))

    def _complete(self, done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self._loop.release(self)
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)


async def to_thread(work: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    """`asyncio.to_thread` on a fiber."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    done = loop.create_future()
    context = contextvars.copy_context()
    loop.in_worker(partial(context.run, partial(work, *args, **named)), done)
    return await done


def seconds() -> float:
    return in_force().now / MICROS
