"""One process from its first socket to its last: bind, serve, rebuild, go live, stop in order.

The port is bound before anything else is tried and answers "loading" while the morning runs. A signal ends it: streams get
their `bye`, what was acknowledged is applied, marks are stored, the lease is given up.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from riskengine.config import Config
from riskengine.errors import ConfigError, RiskEngineError
from riskengine.observe import get_logger
from riskengine.process import EngineProcess
from riskengine.serve.http import create_app
from riskengine.serve.server import make_server

log = get_logger("riskengine.server")

Feed = Callable[[EngineProcess], Awaitable[None]]


def bind(config: Config) -> socket.socket:
    """A listening socket. Raises ConfigError naming the address where it cannot be had."""
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = "another program listens there" if error.errno in (48, 98) else error.strerror
        raise ConfigError(f"cannot listen at {host}:{port}: {reason}") from None
    return listener


async def run_server(
    process: EngineProcess, config: Config, listener: socket.socket, *, announce: Callable[[str], None], feed: Feed | None = None
) -> int:
    """Serve `process` until a signal or its failure; the exit status. `announce` is told the URL once it answers."""
    host, port = listener.getsockname()[:2]
    server = make_server(create_app(process), config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    status = 0
    feeding: asyncio.Task[None] | None = None
    try:
        await process.start()
        if feed is not None:
            feeding = asyncio.ensure_future(feed(process))  # type: ignore[arg-type]
        ended = asyncio.create_task(process.ended.wait())
        await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        status = 1 if process.failure is not None else 0
    except RiskEngineError as error:
        log.error("start_refused", reason=str(error))
        status = 1
    if feeding is not None:
        feeding.cancel()
    server.should_exit = True
    await serving
    await process.stop()
    return status
