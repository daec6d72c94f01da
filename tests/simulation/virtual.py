"""Puts the engine's modules on virtual time.

Their `threading`, `time`, `asyncio`, `sqlite3` and queues become those of the simulation; nothing else in the process changes.

Every name in a module of `riskengine` that is a real thread, clock, sleep or queue is replaced while a world runs. A name that
nobody thought of raises AttributeError: it cannot fall back to the real one unnoticed.
"""

import asyncio
import concurrent.futures
import gc
import importlib
import pkgutil
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import riskengine
from tests.simulation import fibers
from tests.simulation.fibers import MICROS, in_force
from tests.simulation.loop import to_thread

EPOCH_US = 1_767_225_600 * MICROS
"""The wall clock of time 0 where no host says otherwise: 2026-01-01."""


def monotonic() -> float:
    return in_force().now / MICROS


def monotonic_ns() -> int:
    return in_force().now * 1_000


def wall_us() -> int:
    """The wall clock of the host whose fiber runs."""
    scheduler = in_force()
    host = scheduler.current.host if scheduler.current is not None else None
    return scheduler.now + EPOCH_US if host is None else getattr(host, "wall_us", lambda: scheduler.now + EPOCH_US)()


def sleep(seconds: float) -> None:
    in_force().sleep(round(seconds * MICROS))


def get_ident() -> int:
    fiber = in_force().current
    return 0 if fiber is None else fiber.ident


def current_thread() -> Any:
    fiber = in_force().current
    return None if fiber is None else fiber.thread


class InlineExecutor:
    """`ThreadPoolExecutor` that does its work when it is given: reading ahead changes no answer."""

    def __init__(self, *_: object, **__: object) -> None:
        """Any number of threads, and any name."""

    def submit(self, work: Callable[..., Any], *args: Any, **named: Any) -> "concurrent.futures.Future[Any]":
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:
            done.set_exception(error)
        return done

    def shutdown(self, *_: object, **__: object) -> None:
        """Nothing runs."""

    def __enter__(self) -> "InlineExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs."""


THREADING = SimpleNamespace(
    Thread=fibers.Thread,
    Lock=fibers.Lock,
    RLock=fibers.RLock,
    Condition=fibers.Condition,
    Event=fibers.Event,
    Semaphore=fibers.Semaphore,
    local=fibers.Local,
    get_ident=get_ident,
    get_native_id=get_ident,
    current_thread=current_thread,
)
TIME = SimpleNamespace(
    monotonic=monotonic,
    monotonic_ns=monotonic_ns,
    perf_counter=monotonic,
    perf_counter_ns=monotonic_ns,
    time=lambda: wall_us() / MICROS,
    time_ns=lambda: wall_us() * 1_000,
    sleep=sleep,
)
GC = SimpleNamespace(
    isenabled=lambda: False,
    disable=lambda: None,
    enable=lambda: None,
    freeze=lambda: None,
    get_freeze_count=lambda: 0,
    collect=lambda *_: 0,
    callbacks=[],
)
"""Nothing is collected while a world lives (`world.no_collection`)."""


class AsyncioModule(ModuleType):
    """`asyncio` but for what starts a real thread."""

    def __init__(self) -> None:
        super().__init__("asyncio")
        vars(self).update(vars(asyncio))
        self.to_thread = to_thread


def _child(*args: Any, **named: Any) -> Any:
    from tests.simulation.child import ComparisonChild

    return ComparisonChild(*args, **named)


def _replacements(connect: Callable[..., sqlite3.Connection]) -> dict[int, Any]:
    """What stands for what, by the identity of the real one."""
    sqlite = ModuleType("sqlite3")
    vars(sqlite).update(vars(sqlite3))
    sqlite.connect = connect  # type: ignore[attr-defined]
    pairs: list[tuple[Any, Any]] = [
        (threading, THREADING),
        (time, TIME),
        (gc, GC),
        (asyncio, AsyncioModule()),
        (sqlite3, sqlite),
        (subprocess, SimpleNamespace(Popen=_child, PIPE=-1, TimeoutExpired=subprocess.TimeoutExpired)),
        (queue.SimpleQueue, fibers.SimpleQueue),
        (concurrent.futures.ThreadPoolExecutor, InlineExecutor),
        (time.perf_counter, monotonic),
        (time.monotonic, monotonic),
    ]
    return {id(real): virtual for real, virtual in pairs}


@cache
def load_all() -> None:
    """Import every module of the engine that a simulation can reach: one imported later would see the real world."""
    for found in pkgutil.walk_packages(riskengine.__path__, "riskengine."):
        if not found.name.startswith(("riskengine.cli", "riskengine.client", "riskengine.store.postgres", "riskengine.web")):
            importlib.import_module(found.name)


@contextmanager
def virtual_modules(connect: Callable[..., sqlite3.Connection]) -> Iterator[None]:
    """Inside the block the engine's modules see virtual time. `connect` opens SQLite connections."""
    load_all()
    stands_for = _replacements(connect)
    changed: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, module in list(sys.modules.items()):
            if name.startswith("riskengine.") and module is not None:
                names = vars(module)
                for key, value in list(names.items()):
                    if id(value) in stands_for and not key.startswith("__"):
                        changed.append((names, key, value))
                        names[key] = stands_for[id(value)]
        yield
    finally:
        for names, key, value in changed:
            names[key] = value


@contextmanager
def small_limits(limits: Mapping[str, int]) -> Iterator[None]:
    """Inside the block constants of the engine have these values (`knobs.SMALL_LIMITS`)."""
    load_all()
    changed: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for place, limit in limits.items():
            only, _, name = place.rpartition(".")
            found = [
                vars(module)
                for module_name, module in list(sys.modules.items())
                if (module_name == f"riskengine.{only}" if only else module_name.startswith("riskengine."))
                and name in vars(module)
            ]
            assert found, f"no module of the engine has {place} any more"
            for names in found:
                changed.append((names, name, names[name]))
                names[name] = limit
        yield
    finally:
        for names, name, value in reversed(changed):
            names[name] = value
