"""One process from its first socket to its last: serve, rebuild, go live, stop in order.

The port answers "loading" during the start. SIGINT, SIGTERM or SIGHUP ends the process: streams get their `bye`, acknowledged
trades are applied, marks are stored, the lease is given up.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from riskengine.config import Config
from riskengine.errors import ConfigError, EngineNotLive, RiskEngineError, StartRefused
from riskengine.observe import get_logger
from riskengine.process.process import EngineProcess
from riskengine.process.supervisor import Supervisor, report
from riskengine.serve.app import create_app
from riskengine.serve.stream.uvicorn_server import Server, make_server

log = get_logger("riskengine.server")

Companion = Callable[[EngineProcess], Coroutine[Any, Any, None]]
"""Something that runs beside an engine and ends with it."""

BACKLOG = 2_048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises ConfigError, with the address, if that cannot be bound."""
    try:
        [family, kind, proto, _, address], *_ = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


async def run_server(
    process: EngineProcess,
    config: Config,
    listener: socket.socket,
    *,
    announce: Callable[[str], None],
    feed: Companion | None = None,
    beside: Companion | None = None,
) -> int:
    """Serve `process` until a signal or its failure; returns the exit status. `announce` gets the URL once it answers.

    `feed` runs once the engine is live, and the engine ends with it; `beside` runs from the beginning. If the start is refused,
    the status is 1 and each reason is in the log.
    """
    server = make_server(create_app(process), config)
    with server.ending_on_signals():
        return await _run(process, config, listener, server, announce=announce, feed=feed, beside=beside)


async def _run(
    process: EngineProcess,
    config: Config,
    listener: socket.socket,
    server: Server,
    *,
    announce: Callable[[str], None],
    feed: Companion | None,
    beside: Companion | None,
) -> int:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers a flag and no event
        await asyncio.sleep(0.005)
    announce(_url(listener, "https" if config.server.tls_certificate else "http"))
    status = 0
    supervisor = Supervisor()
    companions = [asyncio.create_task(report(process, supervisor))]
    if beside is not None:
        companions.append(asyncio.create_task(beside(process)))
    try:
        await _live(process, serving, feed)
    except StartRefused as refused:
        for kind, reason in refused.reasons:
            log.error("start_refused", kind=kind, reason=reason, otherwise="--accept-mismatch goes live with it")
        status = 1
    except RiskEngineError as error:
        log.error("start_refused", reason=str(error))
        status = 1
    finally:
        for companion in companions:
            companion.cancel()
        await asyncio.gather(*companions, return_exceptions=True)
    supervisor.tell("STOPPING=1", f"STATUS={_ending(status, process)}")
    server.should_exit = True
    await serving
    await process.stop()
    return 1 if process.failure is not None else status


async def _live(process: EngineProcess, serving: "asyncio.Task[None]", feed: Companion | None) -> None:
    """Start the engine and run until the server ends (on a signal), the feed ends or the engine fails."""
    starting = asyncio.create_task(process.start())
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(process.ended.wait())]
    try:
        await asyncio.wait((starting, serving, *waiting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            process.abandon_start()
            with suppress(EngineNotLive):
                await starting
            return
        await starting
        if feed is not None:
            waiting.append(asyncio.create_task(feed(process)))
        await asyncio.wait((serving, *waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _ending(status: int, process: EngineProcess) -> str:
    """What the supervisor hears of the end; the log says more."""
    if process.failure is not None:
        return "stopping: the engine failed, see the log"
    return "the start is refused, see the log" if status else "stopping"


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
