"""Virtual time: one scheduler, and threads that are fibers of it.

A fiber runs until it parks (a queue, a lock, a sleep, a slow disk); then the scheduler takes the next event from its heap and
sets the time to it. Nothing here sleeps, and nothing runs beside anything else, so a seed decides everything. Events of the same
moment come in an order that the seed decides, and a fiber that is woken goes on a moment later that the seed decides: so threads
interleave in many ways.
"""

import heapq
import math
from asyncio import events
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty
from random import Random
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

MICROS = 1_000_000


class Timer:
    """An event in the heap; `cancel` makes it nothing."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Host:
    """What fibers belong to: while it is dead none of them goes on."""

    dead = False
    name = "world"

    def latency_us(self) -> int:
        """How long a woken fiber takes to go on."""
        return 0


class Scheduler:
    """Events in order of time. `now` is in microseconds since the world began."""

    def __init__(self, seed: str) -> None:
        self.now = 0
        self.random = Random(seed)
        self.current: Fiber | None = None
        self.events = 0
        self.errors: list[BaseException] = []
        """What ended a fiber of a living host: a bug of the simulation, or of the engine."""
        self._heap: list[tuple[int, float, int, Timer]] = []
        self._count = 0
        self._hub = getcurrent()

    def at(self, us: int, action: Callable[[], None]) -> Timer:
        """Call `action` at a time, or now if that has passed."""
        timer = Timer(action)
        self._count += 1
        heapq.heappush(self._heap, (us, self.random.random(), self._count, timer))
        return timer

    def after(self, us: int, action: Callable[[], None]) -> Timer:
        return self.at(self.now + us, action)

    def run(self, until: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Run all events up to a time, or until `done`; whether it is done. The time is then `until`, unless it is done."""
        heap, pop = self._heap, heapq.heappop
        self._hub = getcurrent()
        while heap and heap[0][0] <= until:
            due, _, _, timer = pop(heap)
            if (action := timer.action) is None:
                continue
            if due > self.now:
                self.now = due
            self.events += 1
            action()
            if self.errors:
                raise self.errors[0]
            if done():
                return True
        self.now = max(self.now, until)
        return done()

    def skip(self, us: int) -> None:
        """The whole machine room stands still for a while, as a suspended machine does: what was due meanwhile is late."""
        self.now += us

    # -- fibers ------------------------------------------------------------------------------------------------

    def spawn(self, host: Host, work: Callable[[], None], name: str) -> "Fiber":
        """Start a fiber, which begins a moment later."""
        fiber = Fiber(self, host, work, name)
        self.after(host.latency_us(), partial(self._resume, fiber, 0, True))
        return fiber

    def park(self, timeout_us: int | None = None) -> bool:
        """Stop this fiber until it is woken; False if the time was over first."""
        fiber = self.current
        assert fiber is not None, "only a fiber parks"
        if fiber.host.dead:
            raise GreenletExit
        fiber.ticket += 1
        fiber.is_parked = True
        timer = None if timeout_us is None else self.after(timeout_us, partial(self._resume, fiber, fiber.ticket, False))
        loop = events._get_running_loop()
        events._set_running_loop(None)
        woken = self._hub.switch()
        events._set_running_loop(loop)
        if timer is not None:
            timer.cancel()
        if fiber.host.dead:
            raise GreenletExit
        return bool(woken)

    def wake(self, fiber: "Fiber") -> None:
        """Let a parked fiber go on, soon. Wakes before it does count as one."""
        if fiber.is_parked and fiber.woken_ticket != fiber.ticket:
            fiber.woken_ticket = fiber.ticket
            self.after(fiber.host.latency_us(), partial(self._resume, fiber, fiber.ticket, True))

    def sleep(self, us: int) -> None:
        """Let time pass for this fiber."""
        end = self.now + us
        while self.now < end:
            self.park(end - self.now)

    def _resume(self, fiber: "Fiber", ticket: int, woken: bool) -> None:
        if fiber.ticket != ticket or not fiber.is_parked or fiber.host.dead:
            return
        fiber.is_parked = False
        self.current = fiber
        fiber.greenlet.switch(woken)
        self.current = None

    def unwind(self, fiber: "Fiber") -> None:
        """End a fiber of a dead host where it stands. Only outside it."""
        if fiber.greenlet and not fiber.greenlet.dead:
            self._hub = getcurrent()
            self.current = fiber
            try:
                fiber.greenlet.throw(GreenletExit)
            finally:
                self.current = None
                events._set_running_loop(None)


class Fiber:
    """One thread of a host."""

    def __init__(self, scheduler: Scheduler, host: Host, work: Callable[[], None], name: str) -> None:
        self.scheduler = scheduler
        self.host = host
        self.name = name
        self.ticket = 0
        self.woken_ticket = -1
        self.is_parked = True
        self.is_over = False
        self.work = work
        self.thread: Any = None
        self.locals: dict[int, dict[str, Any]] = {}
        self.greenlet = greenlet(self._run, scheduler._hub)
        Fiber.idents += 1
        self.ident = Fiber.idents

    idents = 0

    def _run(self, _: object) -> None:
        try:
            self.work()
        except GreenletExit:
            pass
        except BaseException as error:
            if not self.host.dead:
                self.scheduler.errors.append(error)
        finally:
            self.is_over = True
            events._set_running_loop(None)


# -- what the engine's threads wait for --------------------------------------------------------------------------

_scheduler: list[Scheduler] = []
"""The scheduler in force: one while a world runs."""


def in_force() -> Scheduler:
    return _scheduler[-1]


def push(scheduler: Scheduler) -> None:
    _scheduler.append(scheduler)


def pop() -> None:
    _scheduler.pop()


def _us(timeout: float | None) -> int | None:
    return None if timeout is None or timeout < 0 else math.ceil(timeout * MICROS)


class Waiters:
    """Fibers that wait for something to become true."""

    def __init__(self) -> None:
        self._waiting: deque[Fiber] = deque()

    def wait_for(self, holds: Callable[[], bool], timeout: float | None = None) -> bool:
        """Park until it holds; False if the time was over first."""
        if holds():
            return True
        scheduler = in_force()
        left_us = _us(timeout)
        if left_us == 0 or scheduler.current is None:
            assert scheduler.current is not None or left_us == 0, "the scheduler itself would wait for ever"
            return False
        end = None if left_us is None else scheduler.now + left_us
        fiber = scheduler.current
        while True:
            self._waiting.append(fiber)
            try:
                scheduler.park(None if end is None else max(0, end - scheduler.now))
            finally:
                if fiber in self._waiting:
                    self._waiting.remove(fiber)
            if holds():
                return True
            if end is not None and scheduler.now >= end:
                return False

    def wake_all(self) -> None:
        scheduler = in_force()
        for fiber in self._waiting:
            scheduler.wake(fiber)


class SimpleQueue:
    """`queue.SimpleQueue` for fibers."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiters = Waiters()

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._waiters._waiting:
            self._waiters.wake_all()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._items and not (block and self._waiters.wait_for(lambda: bool(self._items), timeout)):
            raise Empty
        return self._items.popleft()

    def get_nowait(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items

    def __class_getitem__(cls, _: object) -> type:
        return cls


class Lock:
    """`threading.Lock` for fibers; the reentrant one too."""

    def __init__(self) -> None:
        self._owner: Fiber | None = None
        self._depth = 0
        self._waiters = Waiters()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = in_force().current
        if self._depth and not (self._owner is me and self.reentrant):
            assert self._owner is not me or not blocking, "a fiber waits for its own lock"
            if not blocking or not self._waiters.wait_for(lambda: not self._depth, timeout):
                return False
        self._owner = me
        self._depth += 1
        return True

    reentrant = False

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._waiters.wake_all()

    def locked(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    reentrant = True


class Condition(RLock):
    """`threading.Condition` for fibers: waiting gives the lock back."""

    def wait_for(self, holds: Callable[[], Any], timeout: float | None = None) -> bool:
        waiters = self._waiters
        while not holds():
            depth, self._depth, self._owner = self._depth, 0, None
            waiters.wake_all()
            done = waiters.wait_for(lambda: bool(holds()) and not self._depth, timeout)
            self._depth, self._owner = depth, in_force().current
            if not done:
                return bool(holds())
        return True

    def notify_all(self) -> None:
        self._waiters.wake_all()

    notify = notify_all


class Event:
    """`threading.Event` for fibers."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiters = Waiters()

    def set(self) -> None:
        self._is_set = True
        self._waiters.wake_all()

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiters.wait_for(lambda: self._is_set, timeout)


class Semaphore:
    """`threading.Semaphore` for fibers."""

    def __init__(self, value: int = 1) -> None:
        self._value = value
        self._waiters = Waiters()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not self._value and not (blocking and self._waiters.wait_for(lambda: self._value > 0, timeout)):
            return False
        self._value -= 1
        return True

    def release(self) -> None:
        self._value += 1
        self._waiters.wake_all()


class Thread:
    """`threading.Thread` as a fiber of the host that starts it."""

    def __init__(
        self,
        target: Callable[..., Any] | None = None,
        name: str = "thread",
        args: tuple[Any, ...] = (),
        daemon: bool | None = None,
    ) -> None:
        self.name = name
        self.daemon = daemon
        self._target = target
        self._args = args
        self._fiber: Fiber | None = None
        self._is_over = False
        self._waiters = Waiters()

    def start(self) -> None:
        scheduler = in_force()
        assert scheduler.current is not None, "a thread is started by a thread of its engine"
        host = scheduler.current.host
        self._fiber = scheduler.spawn(host, self._run, self.name)
        self._fiber.thread = self
        host.fibers.append(self._fiber)  # type: ignore[attr-defined]

    def _run(self) -> None:
        try:
            assert self._target is not None
            self._target(*self._args)
        finally:
            self._is_over = True
            self._waiters.wake_all()

    def is_alive(self) -> bool:
        return self._fiber is not None and not self._is_over

    def join(self, timeout: float | None = None) -> None:
        self._waiters.wait_for(lambda: not self.is_alive(), timeout)


class Local:
    """`threading.local` for fibers."""

    def _mine(self) -> dict[str, Any]:
        fiber = in_force().current
        assert fiber is not None, "fiber-local state is asked for outside a fiber"
        return fiber.locals.setdefault(id(self), {})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._mine()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._mine()[name] = value
