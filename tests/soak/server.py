"""The real server on a PostgreSQL database of its own, and what it has of memory, descriptors, threads and tasks."""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.fanout_wire import line
from riskengine.store.open_store import open_store
from tests.running import Server, running
from tests.soak.measures import Sample
from tests.world import instruments, nodes

SERVER = "RISKENGINE_TEST_POSTGRES"


@contextmanager
def own_database() -> Iterator[tuple[str, str, str]]:
    """The URL of the server, the name of a database of our own there, with nodes and instruments, and its URL."""
    admin = os.environ[SERVER]
    name = f"riskengine_soak_{secrets.token_hex(6)}"
    url = urlunsplit(urlsplit(admin)._replace(path=f"/{name}"))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            store = open_store(url)
            store.save_nodes(nodes())
            store.save_instruments(instruments())
            store.close()
            yield admin, name, url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def own_server(url: str) -> Iterator[tuple[Server, Path]]:
    """A server on a store, with its log; what it remembers of the store outside it goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="riskengine-soak-"))
    try:
        log = folder / "log"
        with running("serve", "--port", "0", "--store", url, log=log, environment={"XDG_STATE_HOME": str(folder)}) as server:
            yield server, log
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def sample(server: Server) -> Sample:
    """What the server has now."""
    at = time.monotonic()
    process = Path("/proc") / str(server.process.pid)
    status = (process / "status").read_text()
    http = await line(server.url)
    async with asyncio.timeout(60):
        told = (await http.get("/metrics")).decode()
    http.writer.close()
    return Sample(
        at,
        int(re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[0]),
        len(list((process / "fd").iterdir())),
        int(re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)[0]),
        round(_metric(told, "riskengine_tasks")),
        round(_metric(told, "riskengine_clients")),
    )


def _metric(told: str, name: str) -> float:
    return float(re.findall(rf"^{name} (\S+)", told, re.MULTILINE)[0])
