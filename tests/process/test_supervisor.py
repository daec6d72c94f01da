"""What systemd hears of an engine, at a real datagram socket."""

import asyncio
import os
import secrets
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from riskengine.process import supervisor
from riskengine.process.supervisor import Supervisor, report, status_text
from riskengine.records.types import Node
from riskengine.store.open_store import open_store
from tests.running import begin, running


class Listener:
    """The supervisor's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Every line so far."""
        lines: list[str] = []
        while True:
            try:
                lines += self._socket.recv(65_536).decode().splitlines()
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(str(tmp_path / "notify") if request.param == "file" else f"@riskengine-test-{secrets.token_hex(6)}")
    yield made
    made.close()


def engine(**more: Any) -> Any:
    """The part of a process that is told of."""
    told: dict[str, Any] = {"state": "loading", "is_live": False, "progress": 0.5, "warnings": {}, "publish_age_ms": None} | more
    return SimpleNamespace(starting=lambda: {"phase": "replay", "progress": told["progress"]}, **told)


def heard_of(process: Any, listener: Listener, **environment: str) -> list[str]:
    """The lines of a report of some length."""

    async def watch() -> None:
        told = Supervisor({"NOTIFY_SOCKET": listener.name, **environment})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(report(process, told), 0.1)

    asyncio.run(watch())
    return listener.heard()


def test_a_start_says_how_far_it_is_and_asks_for_time_while_it_gets_on(listener: Listener) -> None:
    assert heard_of(engine(progress=0.734), listener) == ["STATUS=loading 73 %, replay", "EXTEND_TIMEOUT_USEC=600000000"]


def test_a_live_engine_is_ready_once_and_names_its_warnings(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_S", 0.01)
    assert heard_of(engine(state="live", is_live=True), listener) == ["READY=1", "STATUS=live"]
    degraded = engine(state="degraded", is_live=True, warnings={"breaks": "2 breaks", "gone": "3 trades"})
    assert status_text(degraded) == "degraded, 2 warnings: breaks, gone"


def test_the_watchdog_hears_from_a_writer_that_publishes_and_not_from_one_that_hangs(listener: Listener) -> None:
    for age_ms, is_heard in ((100, True), (60_000, False)):
        lines = heard_of(engine(state="live", is_live=True, publish_age_ms=age_ms), listener, WATCHDOG_USEC="40000")
        assert (lines.count("WATCHDOG=1") > 1) is is_heard


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_of_this_process_there_is_no_sign_of_life(listener: Listener, environment: dict[str, str]) -> None:
    assert "WATCHDOG=1" not in heard_of(engine(state="live", is_live=True), listener, **environment)
    assert Supervisor({"WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 0.1


def test_without_a_supervisor_nothing_is_told() -> None:
    asyncio.run(asyncio.wait_for(report(engine(), Supervisor({})), 1))
    Supervisor({}).tell("READY=1")


def test_a_supervisor_that_is_gone_is_a_line_in_the_log_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    told.tell("READY=1")
    told.tell("WATCHDOG=1")
    assert [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)] == ["supervisor_not_told"]


def test_the_real_program_tells_of_its_start_its_life_and_its_end(listener: Listener, house_url: str, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1000000"}
    words = ("serve", "--port", "0", "--store", house_url)
    with running(*words, log=tmp_path / "log", environment=environment) as server:
        lines: list[str] = []
        deadline = time.monotonic() + 30
        while lines.count("WATCHDOG=1") < 3 and time.monotonic() < deadline:
            lines += listener.heard()
            time.sleep(0.05)
        assert lines.count("READY=1") == 1 and "STATUS=live" in lines
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert [line for line in listener.heard() if line != "WATCHDOG=1"] == ["STOPPING=1", "STATUS=stopping"]


def test_a_refused_start_never_says_that_it_is_ready(listener: Listener, tmp_path: Path) -> None:
    path = tmp_path / "roots.db"
    store = open_store(f"sqlite:///{path}")
    store.save_nodes([Node("ALL", "total", ""), Node("FX", "desk", "ALL")])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE nodes SET parent = '' WHERE node = 'FX'")
    connection.close()
    words = ("serve", "--port", "0", "--store", f"sqlite:///{path}")
    process = begin(*words, log=tmp_path / "log", environment={"NOTIFY_SOCKET": listener.name})
    process.communicate(timeout=60)
    assert process.returncode == 1
    lines = listener.heard()
    assert "READY=1" not in lines and lines[-2:] == ["STOPPING=1", "STATUS=the start is refused, see the log"]
