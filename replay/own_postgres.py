"""A temporary PostgreSQL server, which a drill can kill and start again as often as it wants.

It listens only on a free port of 127.0.0.1, with `fsync` on as in production. PostgreSQL refuses to run as root: then the server
runs as the user `postgres`, or `nobody`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

START_S = 30.0


def binaries() -> Path | None:
    """The folder of the newest installed server, None if there is none."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name) if path.parent.name.replace(".", "").isdigit() else 0.0)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def missing() -> str:
    """Why no server can run here; empty if one can."""
    if binaries() is None:
        return "no PostgreSQL server is installed here (no initdb in /usr/lib/postgresql/*/bin nor on the PATH)"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody here"
    return ""


def _user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Cluster:
    """One server. `start` and `kill` it repeatedly; `close` stops it and removes all files."""

    def __init__(self, *, auth: str = "trust", password: str = "", settings: dict[str, str] | None = None) -> None:
        """Make the cluster. `auth` is the authentication method (`trust`, `scram-sha-256`), `password` the superuser's."""
        assert not missing(), missing()
        folder = binaries()
        assert folder is not None
        self._bin = folder
        self._as: dict[str, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="riskengine-postgres-"))
        owner = _user() if os.geteuid() == 0 else None
        if owner is not None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = settings or {}
        self._password = password
        self.port = _free_port()
        secret = self.folder / "password"
        secret.write_text(f"{password or 'none'}\n")
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", auth, "-E", "UTF8", "--locale=C", "--no-sync", f"--pwfile={secret}"
        )
        secret.unlink()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """The URL of a database of this server."""
        given = self._password if password is None else password
        return f"postgresql://{user}{':' + given if given else ''}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and wait until it accepts connections (after a kill: until recovery is complete). Raises TimeoutError."""
        assert self._process is None, "the server is already running"
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on",
            "shared_buffers": "16MB",
            "max_connections": "60",
            "log_min_messages": "fatal",
        } | self._settings
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether it accepts connections now."""
        words = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        return subprocess.run(words, check=False).returncode == 0

    def kill(self) -> int:
        """`kill -9` the server and all its processes at once; return their number."""
        assert self._process is not None, "the server is not running"
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # it cannot fork while its children are counted
        children = _children(pid)
        for each in (pid, *children):
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(30)
        self._process = None
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{child}").exists() and not _is_zombie(child) for child in children):
            assert time.monotonic() < deadline, "a child of the server survived"
            time.sleep(0.005)
        return 1 + len(children)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stop every process of the server for the length of a block: it neither answers nor refuses anything."""
        assert self._process is not None, "the server is not running"
        everyone = [self._process.pid, *_children(self._process.pid)]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everyone:
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the server if it runs, and remove its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each in its own transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _run(self, program: str, *words: object) -> None:
        done = subprocess.run(
            [str(self._bin / program), *map(str, words)], capture_output=True, text=True, check=False, cwd=self.folder, **self._as
        )
        assert done.returncode == 0, f"{program}: {done.stderr[-500:]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text("utf-8", "replace").rpartition(") ")
        except OSError:
            continue
        if int(rest.split()[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2].startswith("Z")
    except OSError:
        return True
