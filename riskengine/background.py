"""Long work on a thread beside a live engine, without delaying the threads that answer clients.

All threads share one interpreter. By default a busy thread keeps it for 5 ms before another gets its turn, and a trade needs a
dozen turns until its answer: left alone, long work would add 50 ms to every answer.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TypeVar

from riskengine.loop import pending_answer

T = TypeVar("T")

SWITCH_S = 0.000_2
"""How long a busy thread keeps the interpreter inside `short_switch_interval`, seconds."""

WORK_S, REST_S = 0.004, 0.004
"""Work for WORK_S, then sleep for REST_S."""

_lock = threading.Lock()
_users = 0
_usual_s = 0.0


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Inside the block a busy thread hands over the interpreter after SWITCH_S. Any number of threads, in any order."""
    global _users, _usual_s
    with _lock:
        if not _users:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _usual_s))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                sys.setswitchinterval(_usual_s)


class Rests:
    """Throttles long work: call `rest_if_due` often; most calls only read the time."""

    def __init__(self) -> None:
        self._due = time.perf_counter() + WORK_S

    def rest_if_due(self) -> None:
        """Sleep for REST_S if WORK_S have passed since the last sleep."""
        if time.perf_counter() >= self._due:
            time.sleep(REST_S)
            self._due = time.perf_counter() + WORK_S


class BackgroundThread:
    """One thread for long work; it starts with the first piece. The program ends without waiting for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Queue `work`, which must not raise. Call it on the thread that made this object."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._waiting.put(work)

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done after what was queued before. On the loop of the thread that made this object."""
        done, answer = pending_answer()

        def call() -> None:
            with suppress(RuntimeError):  # the loop has ended
                try:
                    result = work()
                except Exception as error:
                    answer(None, error)
                else:
                    answer(result, None)

        self.submit(call)
        found: T = await done
        return found

    def _run(self) -> None:
        while True:
            self._waiting.get()()


@contextmanager
def pause_collection() -> Iterator[None]:
    """Switch the garbage collector off while a thread makes millions of lasting objects: each pass would stop every thread.

    If the process froze its memory after the start (`rebuild.settle_memory`), the new objects are frozen too.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
        if gc.get_freeze_count():
            gc.freeze()
    finally:
        if collecting:
            gc.enable()
