"""One engine of the simulated desk, from its first fiber to its last: the real `EngineProcess`, its routes and its stream."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from greenlet import GreenletExit

from riskengine.config import Config
from riskengine.errors import LeaseHeld, RiskEngineError, StartRefused
from riskengine.process.process import EngineProcess
from riskengine.serve.app import create_app
from riskengine.serve.stream.stream import StreamHub
from riskengine.store.sqlite.lease import WriterLease
from tests.simulation.disk import DiskHost, close_all, freeze_files, put_files
from tests.simulation.fibers import MICROS, Fiber, Scheduler
from tests.simulation.loop import VirtualLoop

PORT = 8321
HEADERS = [(b"host", b"127.0.0.1:8321"), (b"content-type", b"application/json")]


class Answer(NamedTuple):
    """The answer to a request; `values` is its JSON."""

    status: int
    values: Any


class SimClock:
    """The wall clock of a machine, which somebody may set."""

    speed = 1.0

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def now(self) -> int:
        return self._machine.wall_us()


class Machine(DiskHost):
    """A host with one engine process. `epoch_us` is the wall clock at virtual time 0, `offset_us` how wrong its clock is."""

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        path: str,
        config: Config,
        epoch_us: int,
        *,
        offset_us: int = 0,
        accept: str = "",
        latency: Callable[[], int] = lambda: 0,
        note: Callable[[str], None] = lambda _: None,
        others: Callable[[], Iterable["Machine"]] = lambda: (),
        fail: Callable[[str, str], None] = lambda check, text: None,
        ends: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.name = name
        self.path = path
        self.config = config
        self.epoch_us = epoch_us
        self.offset_us = offset_us
        self.state = "starting"
        self.refusal: list[str] = []
        self.torn_wal: bytes | None = None
        self.is_alone = True
        self.critical: list[str] = []
        self._accept = accept
        self._latency = latency
        self._note = note
        self._others = others
        self._fail = fail
        self._ends = ends
        self.was_set = False
        """Whether somebody has set its clock."""
        self._stop: asyncio.Event | None = None
        self.loop: VirtualLoop | None = None
        self.process: EngineProcess | None = None
        self.hub: StreamHub | None = None
        self.app: Any = None
        self.main: Fiber = scheduler.spawn(self, self._main, "main")
        self.fibers.append(self.main)

    def wall_us(self) -> int:
        return self.epoch_us + self.scheduler.now + self.offset_us

    def latency_us(self) -> int:
        return self._latency()

    @property
    def epoch(self) -> int | None:
        store: Any = self.process._store if self.process is not None else None
        return None if store is None else store._epoch

    def expect_sole_lease(self, lease: WriterLease) -> None:
        mine = os.fstat(lease._fd)
        for other in self._others():
            held = [each for each in other.leases if each._fd >= 0] if other is not self and not other.dead else []
            if any(os.path.samestat(os.fstat(each._fd), mine) for each in held):
                self._fail("lease", f"engine {self.name} has the lease that engine {other.name} holds")

    # -- life --------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        self.loop = VirtualLoop(self.scheduler, self)
        task = self.loop.create_task(self._life())
        task.add_done_callback(self._ended)
        self.loop.run()
        self.scheduler.after(0, self._clear_away)

    async def _life(self) -> None:
        self._stop = asyncio.Event()
        config = self.config
        process = EngineProcess(config, SimClock(self), accept_mismatch=bool(self._accept), reason=self._accept)
        self.process = process
        try:
            process.open()
        except (StartRefused, LeaseHeld, RiskEngineError) as error:
            self._refuse(error)
            return
        try:
            await process.start()
            self.app, self.hub = create_app(process), StreamHub(process)
            self.state = "live"
            ended = asyncio.ensure_future(process.ended.wait())
            await asyncio.wait((ended, asyncio.ensure_future(self._stop.wait())), return_when=asyncio.FIRST_COMPLETED)
            self.state = "stopping"
            self._ends()
        except RiskEngineError as error:
            self._refuse(error)
        await process.stop()

    def _refuse(self, error: RiskEngineError) -> None:
        self.refusal = [kind for kind, _ in error.reasons] if isinstance(error, StartRefused) else [type(error).__name__]
        self.why = str(error)

    why = ""

    def _ended(self, task: "asyncio.Task[None]") -> None:
        assert self.loop is not None
        self.loop.is_done = True
        if self.dead:
            return
        if not task.cancelled() and (error := task.exception()) is not None:
            self.scheduler.errors.append(error)
        failure = self.process.failure if self.process is not None else None
        self.state = "refused" if self.refusal else "failed" if failure is not None else "stopped"

    def ask_to_stop(self) -> None:
        """The end as an operator asks for it."""
        if self.loop is not None and not self.dead and self._stop is not None:
            self.loop.call_from_world(self._stop.set)

    @property
    def is_over(self) -> bool:
        return self.dead or self.state in ("refused", "failed", "stopped")

    def die(self, how: str) -> None:
        """Power cut, or kill: nothing is finished. On one of its own fibers it does not return."""
        if self.dead:
            raise GreenletExit
        self._note(how)  # in the state that it ends
        self.dead, self.state = True, "dead"
        self._ends()
        files = freeze_files(self.path) if self.is_alone else None
        close_all(self)
        if files is not None:
            if self.torn_wal is not None:
                files["-wal"] = self.torn_wal
            put_files(self.path, files)
        self._release_lease()
        self.scheduler.after(0, self._clear_away)
        if self.scheduler.current is not None and self.scheduler.current.host is self:
            raise GreenletExit

    def _release_lease(self) -> None:
        """What the kernel does with the locks of a process that has ended."""
        for lease in self.leases:
            lease.release()

    def _clear_away(self) -> None:
        self.dead = True
        close_all(self)
        for fiber in self.fibers:
            self.scheduler.unwind(fiber)
        if self.loop is not None:
            _close_tasks(self.loop)

    # -- requests ----------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: bytes, then: Callable[[Answer], None], **query: Any) -> bool:
        """Send a request; `then` gets the answer, in the scheduler, unless the machine dies first. Whether it was sent."""
        if self.loop is None or self.app is None or self.is_over or self.loop.is_done:
            return False

        def begin() -> None:
            assert self.loop is not None
            task = self.loop.create_task(self._call(method, path, body, query))
            task.add_done_callback(ended)

        def ended(task: "asyncio.Task[Answer]") -> None:
            if not task.cancelled() and task.exception() is None:
                self.scheduler.after(self.latency_us(), partial(then, task.result()))
            elif not task.cancelled() and not self.dead:
                self.scheduler.errors.append(task.exception())  # type: ignore[arg-type]

        self.loop.call_from_world(begin)
        return True

    async def _call(self, method: str, path: str, body: bytes, query: dict[str, Any]) -> Answer:
        sent: list[Any] = []
        received = [{"type": "http.request", "body": body, "more_body": False}]
        never = asyncio.Event()

        async def receive() -> Any:
            if received:
                return received.pop()
            await never.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(_scope(method, path, urlencode(query).encode()), receive, send)
        status = sent[0]["status"]
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(status, msgspec.json.decode(text) if text[:1] in (b"{", b"[") else text.decode())

    def on_loop(self, work: Callable[[], None]) -> None:
        """Have something done on its loop, soon."""
        if self.loop is not None and not self.is_over:
            self.loop.call_from_world(work)


def _scope(method: str, path: str, query: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 50_000),
        "query_string": query,
        "headers": HEADERS,
        "server": ("127.0.0.1", PORT),
        "extensions": {},
    }


def _close_tasks(loop: VirtualLoop) -> None:
    """End the coroutines of a loop that runs no more, so that none ends at a time that the memory decides."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: int(task.get_name().rpartition("-")[2] or 0))
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            task.get_coro().close()
        except BaseException:  # its clean-up waits for what is gone
            continue
    loop.is_done = True
    loop.close()


@contextmanager
def captured_log(take: Callable[[str, str], None]) -> Iterator[None]:
    """The engine's warnings and worse go to `take` as level and event, and nowhere else."""

    class Taker(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = record.msg.get("event", "") if isinstance(record.msg, dict) else str(record.msg)
            take(record.levelname, str(event) + (f" {record.msg.get('error')}" if isinstance(record.msg, dict) else ""))

    logger, handler = logging.getLogger("riskengine"), Taker()
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate, level = before
        logger.setLevel(level)


def path_exists(path: str) -> bool:
    return os.path.exists(path)


SECOND = MICROS
