"""Long work on a thread beside a live engine: how it gives way to those that somebody waits for.

All threads share one interpreter. One that works keeps it for 5 ms before another that has something to do gets it, and a trade
on its way to its answer asks for it a dozen times: left alone, long work would cost every answer 50 ms.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

SWITCH_S = 0.000_2
"""For how long a thread that works keeps the others waiting while somebody gives way."""

WORK_S, REST_S = 0.004, 0.004
"""Whoever gives way rests so long after so much work."""

_lock = threading.Lock()
_giving_way = 0
_usual_s = 0.0


@contextmanager
def giving_way() -> Iterator[None]:
    """While one thread works for long: the others get the interpreter soon. Any number of threads, in any order."""
    global _giving_way, _usual_s
    with _lock:
        if not _giving_way:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _usual_s))
        _giving_way += 1
    try:
        yield
    finally:
        with _lock:
            _giving_way -= 1
            if not _giving_way:
                sys.setswitchinterval(_usual_s)


class Rests:
    """Rests in a long work: `rest_if_due` as often as it is cheap to ask."""

    def __init__(self) -> None:
        self._due = time.perf_counter() + WORK_S

    def rest_if_due(self) -> None:
        """Sleep for REST_S where WORK_S have been worked since the last time."""
        if time.perf_counter() >= self._due:
            time.sleep(REST_S)
            self._due = time.perf_counter() + WORK_S


class Helper:
    """One thread for long work, begun with the first. It ends with the program, which does not wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Have `work`, which raises nothing, done after what waits already. The thread that made this."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._waiting.put(work)

    def _run(self) -> None:
        while True:
            self._waiting.get()()


@contextmanager
def uncollected() -> Iterator[None]:
    """While one thread makes millions of objects that stay: the collector does not look through them, which stops everybody.

    Where the process has settled its memory after the start (`start_of_day.settle_memory`), what was made stays out of its sight.
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
