"""A real pgbouncer in front of the test server, for the length of a block."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PATIENCE_S = 10.0
CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
ignore_startup_parameters = options,extra_float_digits
server_round_robin = {round_robin}
logfile = {folder}/log
pidfile =
"""


def _program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip("POOLERS ARE NOT TESTED: there is no pgbouncer here (apt-get install pgbouncer)")
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def pgbouncer(server_url: str, folder: Path, mode: str, *, size: int = 5, round_robin: int = 0) -> Iterator[str]:
    """The URL of a pooler in that mode; the server's database and user behind it."""
    server, own_port = urlsplit(server_url), _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "pgbouncer.ini"
    values = {"host": server.hostname, "port": server.port or 5432, "user": server.username, "folder": folder, "mode": mode}
    config.write_text(CONFIG.format(**values, own_port=own_port, size=size, round_robin=round_robin))
    who = None
    if os.getuid() == 0:  # it refuses to run as root
        who = pwd.getpwnam("nobody")
        for path in (folder, config):
            os.chown(path, who.pw_uid, who.pw_gid)
    with subprocess.Popen(
        [_program(), "-q", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=None if who is None else who.pw_uid,
        group=None if who is None else who.pw_gid,
        extra_groups=None if who is None else [],
    ) as pooler:
        try:
            _wait_for(own_port, pooler)
            yield f"postgresql://{server.username}@127.0.0.1:{own_port}{server.path}"
        finally:
            pooler.kill()


def _wait_for(port: int, pooler: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert pooler.poll() is None, "pgbouncer has ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("pgbouncer does not listen")
