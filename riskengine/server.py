"""One process from its first socket to its last: serve, rebuild, go live, stop in order.

The port answers "loading" while the morning runs. A signal ends it: streams get their `bye`, what was acknowledged is applied,
marks are stored, the lease is given up.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from riskengine.config import Config
from riskengine.errors import EngineNotLive, RiskEngineError
from riskengine.observe import get_logger
from riskengine.process import EngineProcess
from riskengine.serve.http import create_app
from riskengine.serve.server import build_server

log = get_logger("riskengine.server")

Feed = Callable[[EngineProcess], Awaitable[None]]


async def run_server(
    process: EngineProcess, config: Config, listener: socket.socket, *, announce: Callable[[str], None], feed: Feed | None = None
) -> int:
    """Serve `process` until a signal or its failure; the exit status. `announce` is told the URL once it answers.

    Where the start is refused the status is 1 and the reason is on stderr.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    server = build_server(create_app(process), config.server)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    announce(_url(listener))
    status = 0
    try:
        await _live(process, serving, told, feed)
    except RiskEngineError as error:
        log.error("start_refused", reason=str(error))
        status = 1
    server.should_exit = True
    await serving
    await process.stop()
    return 1 if process.failure is not None else status


async def _live(process: EngineProcess, serving: "asyncio.Task[None]", told: asyncio.Event, feed: Feed | None) -> None:
    """The morning, then the day: until a signal comes, the engine fails or the server ends."""
    starting = asyncio.create_task(process.start())
    waiting = [asyncio.create_task(event.wait()) for event in (told, process.ended)]
    try:
        await asyncio.wait((starting, serving, *waiting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            process.abandon_start()
            with suppress(EngineNotLive):
                await starting
            return
        await starting
        if feed is not None and not told.is_set():
            waiting.append(asyncio.ensure_future(feed(process)))
        await asyncio.wait((serving, *waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
